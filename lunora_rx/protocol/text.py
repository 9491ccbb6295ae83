"""JSON text to wire trees and back.

Source: ``docs/protocol.md``, section "Value codec".  Most texts hold no tag at
all, so a text is walked only after a cheap search has found what might be one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any, Final

import orjson

from lunora_rx.errors import CodecError
from lunora_rx.protocol.wire import TAG, decode_parsed, encode_wire

__all__ = ["dumps", "loads", "may_hold_tag", "parse", "parse_strictly", "serialize", "spell"]

# A call of Python less for whoever reads every frame; what it refuses with a ``ValueError``, ``parse`` may still take.
parse_strictly: Final = orjson.loads

_TAG_BYTES: Final = TAG.encode()
_DOLLAR: Final = ord("$")
_BACKSLASH: Final = ord("\\")
_INTS: Final = range(-(2**63), 2**64)  # what the fast parser reads as such, and can write again
_INT_CHARACTERS: Final = 20
_TOO_DEEP: Final = "nested too deeply"
_LEVELS: Final = 1024  # of arrays and objects, as the fast parser has it
_REFUSE_WHAT_IS_NOT_JSON: Final = (
    orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS
)


def dumps(value: object) -> bytes:
    """Return the JSON text of a value's wire form.

    Raises:
        CodecError: The value has no wire form.
    """
    return serialize(encode_wire(value))


def loads(text: str | bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
        CodecError: The text is not JSON, or what it holds is not a wire value.
    """
    tree = parse(text)
    return decode_parsed(tree) if may_hold_tag(text) else tree


def parse(text: str | bytes) -> object:
    """Return the wire tree of a JSON text.

    Raises:
        CodecError: The text is not JSON; its code is ``WIRE_DECODE_FAILED``.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        pass  # it may still be legal: a lone surrogate, a number beyond a double
    return _parse_tolerantly(text)


def may_hold_tag(text: str | bytes) -> bool:
    """Tell whether a JSON text can hold a tag; if not, its parse is its value.

    A single character is found a hundred times faster than the tag is found missing, and a byte
    given as a number seven times faster than as bytes.
    """
    if isinstance(text, str):
        return ("$" in text and TAG in text) or ("\\" in text and _may_spell_tag(text))
    return (_DOLLAR in text and _TAG_BYTES in text) or (_BACKSLASH in text and _may_spell_tag_bytes(text))


def serialize(tree: object) -> bytes:
    """Return the JSON text of a tree that ``encode_wire`` has made, or of a frame around such trees.

    Raises:
        CodecError: The tree holds a lone surrogate or something that is no JSON.
    """
    try:
        return orjson.dumps(tree, option=_REFUSE_WHAT_IS_NOT_JSON)
    except orjson.JSONEncodeError as refused:
        reason = str(refused)
    raise CodecError(f"cannot be written as JSON: {reason}")


def spell(tree: object) -> str:
    """Return the JSON text of any tree that ``parse`` gives, for those who repeat what was received.

    Unlike ``serialize`` it takes lone surrogates, which it escapes, and any depth. A number beyond a double, which is
    read as an infinite one, is null.

    Raises:
        TypeError: The tree holds something that is no JSON.
    """
    try:
        return orjson.dumps(tree, option=_REFUSE_WHAT_IS_NOT_JSON).decode()
    except orjson.JSONEncodeError:
        pass  # more slowly, and without a call for each level
    parts: list[str] = []
    waiting: list[Any] = [tree]
    while waiting:
        node = waiting.pop()
        if type(node) is dict:
            waiting += reversed(_spelt(node.items(), "{", "}"))
        elif type(node) is list:
            waiting += reversed(_spelt(((None, each) for each in node), "[", "]"))
        else:
            parts.append(node if type(node) is _Sign else _spell_scalar(node))
    return "".join(parts)


class _Sign(str):
    """A part of a text that is spelt already."""

    __slots__ = ()


def _spelt(members: Iterable[tuple[str | None, Any]], opening: str, closing: str) -> list[Any]:
    nodes: list[Any] = []
    for key, member in members:
        nodes += [_Sign("," if nodes else ""), _Sign("" if key is None else f"{json.dumps(key)}:"), member]
    return [_Sign(opening), *nodes, _Sign(closing)]


def _spell_scalar(value: Any) -> str:
    return "null" if type(value) is float and math.isinf(value) else json.dumps(value)  # as the fast serializer does


def _may_spell_tag(text: str) -> bool:
    # "$", "." and the letters of the tag are U+0024, U+002E and U+0061 to U+0077.
    return "\\u00" in text and ("\\u002" in text or "\\u006" in text or "\\u007" in text)


def _may_spell_tag_bytes(text: bytes) -> bool:
    return b"\\u00" in text and (b"\\u002" in text or b"\\u006" in text or b"\\u007" in text)


def _parse_tolerantly(text: str | bytes) -> object:
    try:
        decoded = text if isinstance(text, str) else text.decode()
        tree = json.loads(decoded, parse_int=_bounded_int, parse_constant=_refuse_constant)
        if decoded.count("[") + decoded.count("{") <= _LEVELS or not _is_deeper(tree, _LEVELS):
            return tree
        reason = _TOO_DEEP
    except RecursionError:
        reason = _TOO_DEEP
    except json.JSONDecodeError as error:
        reason = f"{error.msg} at character {error.pos}"
    except UnicodeDecodeError as error:
        reason = f"not UTF-8 at byte {error.start}"
    except ValueError as error:
        reason = str(error)
    raise CodecError(f"not valid JSON: {reason}", path="text", code="WIRE_DECODE_FAILED")


def _is_deeper(tree: object, levels: int) -> bool:
    # From Python 3.12 on the tolerant parser goes deeper than what works on its values may.
    nodes: list[Any] = [tree]
    for _ in range(levels):
        inner = [each.values() if type(each) is dict else each for each in nodes if type(each) in (dict, list)]
        nodes = [each for part in inner for each in part]
    return any(type(each) in (dict, list) for each in nodes)


def _bounded_int(literal: str) -> float:
    # As the fast parser does: a position that is read here may be sent back one day.
    value = int(literal) if len(literal) <= _INT_CHARACTERS else _INTS.stop
    return value if value in _INTS else float(literal)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number of JSON")
