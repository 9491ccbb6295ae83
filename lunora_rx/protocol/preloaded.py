"""A query's value on its way into a page, from who asked for it to who shows it first.

Source: ``docs/protocol.md``, section "Preload".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar, cast

from lunora_rx.errors import CodecError
from lunora_rx.protocol.text import parse, serialize
from lunora_rx.protocol.wire import decode_wire, encode_wire

T = TypeVar("T")

MARK_KEY: Final = "__lunora"
MARK: Final = "preloaded"
"""What a record holds under ``MARK_KEY``, so that nothing else is taken for one."""

# Inside JSON these stand in strings only, where an escape means the same. The first four end a script, a comment
# or an attribute in single quotes; the last two are line ends to older readers of scripts.
_ESCAPES: Final = str.maketrans({sign: f"\\u{ord(sign):04x}" for sign in "<>&'\u2028\u2029"})


@dataclass(frozen=True, slots=True)
class Preloaded(Generic[T]):
    """The value of a query with what was asked for.

    It knows nothing of who asked, nor of when: whoever shows it must be the user whose it is.

    Attributes:
        function_path: The query, as ``"file:function"``.
        args: Its arguments, not encoded; shared, so read-only. Not in ``repr``.
        shard: The shard key, ``None`` for the default shard.
        value: What the query returned; shared, so read-only. Not in ``repr``.
    """

    function_path: str
    args: dict[str, Any] = field(repr=False)
    shard: str | None
    value: T = field(repr=False)

    def serialize(self) -> str:
        """Return a text that can stand in a ``script`` element, and in an attribute in single quotes.

        Raises:
            CodecError: The value or an argument cannot be sent, such as a lone surrogate that was received.
        """
        # Each part is a root of its own: what could be received can be written, however deep it is.
        tree = {
            MARK_KEY: MARK,
            "args": encode_wire(self.args, root="args"),
            "functionPath": self.function_path,
            **({"shardKey": self.shard} if self.shard else {}),
            "value": encode_wire(self.value, root="value"),
        }
        return serialize(tree).decode().translate(_ESCAPES)

    @classmethod
    def parse(cls, text: str | bytes) -> Preloaded[Any]:
        """Return the value that a text of ``serialize`` holds; members that it does not know are ignored.

        Raises:
            TypeError: ``text`` is no text.
            CodecError: It is no preloaded value, or one that cannot be decoded; code ``WIRE_DECODE_FAILED``.
        """
        if not isinstance(text, str | bytes):
            raise TypeError(f"a preloaded value is parsed from a str or bytes, not {type(text).__name__}")
        tree = parse(text)
        if not isinstance(tree, dict) or tree.get(MARK_KEY) != MARK:
            raise _refusal(f"the text is no preloaded value, which has {MARK_KEY!r}: {MARK!r}")
        path, args, shard = tree.get("functionPath"), tree.get("args"), tree.get("shardKey")
        if not isinstance(path, str):
            raise _refusal("'functionPath' is no string")
        if not isinstance(args, dict):
            raise _refusal("'args' is no object")
        if shard is not None and not isinstance(shard, str):
            raise _refusal("'shardKey' is no string")
        if "value" not in tree:
            raise _refusal("'value' is missing")
        plain = cast("dict[str, Any]", decode_wire(args, root="args"))
        return Preloaded(path, plain, shard or None, decode_wire(tree["value"], root="value"))


def _refusal(reason: str) -> CodecError:
    return CodecError(reason, path="preloaded", code="WIRE_DECODE_FAILED")
