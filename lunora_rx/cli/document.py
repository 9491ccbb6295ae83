"""What a server says of its functions: its OpenRPC document, looked at before and after a call.

Source: ``docs/protocol.md``, section "OpenRPC document".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Final

from lunora_rx.cli.contact import WHENCE
from lunora_rx.cli.ending import CommandError, ExitCode
from lunora_rx.cli.target import Target
from lunora_rx.cli.text import printable
from lunora_rx.errors import CodecError, LunoraError, TransportError
from lunora_rx.protocol.endpoints import HEADER_AUTHORIZATION, OPENRPC_PATH
from lunora_rx.protocol.text import parse
from lunora_rx.transport.aiohttp_transport import AiohttpTransport

_TIMEOUT = 10.0
_MAX_SIZE = 16 * 2**20
_SHOWN_LEVELS: Final = 8
_COMMANDS: Final = {"query": "watch or call", "action": "call", "mutation": "mutate"}


@dataclass(frozen=True, slots=True)
class Method:
    """One function of the document.

    Attributes:
        path: ``"file:function"``.
        kind: ``"query"``, ``"mutation"``, ``"action"``, or something that a later version knows.
        schema: The JSON schema of its arguments object.
    """

    path: str
    kind: str
    schema: Mapping[str, Any] = field(default_factory=dict)

    @property
    def signature(self) -> str:
        """Its arguments for a person, such as ``{channel: string, limit?: integer}``."""
        properties, required = self.schema.get("properties"), self.schema.get("required")
        names = properties if isinstance(properties, dict) else {}
        needed = required if isinstance(required, list) else []
        parts = [f"{name}{'' if name in needed else '?'}: {_type(schema)}" for name, schema in names.items()]
        return f"{{{', '.join(parts)}}}" if parts else "no arguments"


@dataclass(frozen=True, slots=True)
class Document:
    """The functions that a server tells of, by path; empty where it tells of none."""

    methods: Mapping[str, Method] = field(default_factory=dict)

    def check_kind(self, function: str, *kinds: str) -> None:
        """Refuse a function that is known to be of a kind that the command does not take.

        Raises:
            CommandError: It is; the message names the command that takes it.
        """
        method = self.methods.get(function)
        if method is None or method.kind in kinds or method.kind not in _COMMANDS:
            return
        kind = printable(method.kind)
        raise CommandError(
            f"{function} is of kind {kind}, and not {' or '.join(kinds)}: use lunora-rx {_COMMANDS[method.kind]}",
            ExitCode.USAGE,
        )

    def explain(self, error: LunoraError, function: str, *kinds: str) -> str | None:
        """Return what the document has to say about a refused call, or ``None``."""
        method = self.methods.get(function)
        if method is not None:
            return f"{function} takes {printable(method.signature)}" if error.code == "VALIDATION_ERROR" else None
        if error.code != "NOT_FOUND" or not self.methods:
            return None
        near = self._near(function, kinds)
        return f"did you mean {' or '.join(near)}?" if near else f"the server has: {self._listed(kinds)}"

    def _near(self, function: str, kinds: tuple[str, ...]) -> list[str]:
        names = self._names(kinds)
        same_name = [name for name in names if name.rpartition(":")[2] == function.rpartition(":")[2]]
        near = get_close_matches(function, names, n=3, cutoff=0.75)
        return [printable(name) for name in dict.fromkeys([*near, *same_name])][:3]

    def _listed(self, kinds: tuple[str, ...]) -> str:
        names = [printable(name) for name in self._names(kinds)]
        return (
            ", ".join(names[:10]) + (f", and {len(names) - 10} more" if len(names) > 10 else "") or "no such function"
        )

    def _names(self, kinds: tuple[str, ...]) -> list[str]:
        return [method.path for method in self.methods.values() if not kinds or method.kind in kinds]


async def fetch_document(target: Target) -> Document:
    """Return what the server tells of its functions; an answer of any other sort is an empty document.

    Raises:
        CommandError: Nothing answers at the URL; the message says what to look at.
    """
    transport = AiohttpTransport(max_frame_size=_MAX_SIZE, max_body_size=_MAX_SIZE)
    headers = {HEADER_AUTHORIZATION: f"Bearer {target.token}"} if target.token else {}
    try:
        reply = await transport.request(
            "GET", f"{target.url}{OPENRPC_PATH}", headers=headers, body=None, timeout=_TIMEOUT
        )
    except TransportError as error:
        raise CommandError(
            f"{error.message}\n{WHENCE}; lunora-rx serve FILE serves an app here",
            ExitCode.UNREACHABLE,
        ) from None
    finally:
        await transport.aclose()
    if reply.status != 200 or reply.is_cut:
        return Document()
    try:
        return read_document(parse(reply.body))
    except CodecError:
        return Document()  # a page of a proxy, say: what is wrong shows when the function is asked for


def read_document(tree: Any) -> Document:
    """Return the functions of a parsed document; entries that cannot be read are left out."""
    entries = tree.get("methods") if isinstance(tree, dict) else None
    listed = entries if isinstance(entries, list) else []
    methods = [method for entry in listed if (method := _method(entry)) is not None]
    return Document({method.path: method for method in methods})


def _method(entry: Any) -> Method | None:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        return None
    params = entry.get("params")
    first = params[0] if isinstance(params, list) and params else None
    schema = first.get("schema") if isinstance(first, dict) else None
    kind = entry.get("x-lunora-function-kind")
    return Method(
        entry["name"], kind if isinstance(kind, str) else "unknown", schema if isinstance(schema, dict) else {}
    )


def _type(schema: Any, levels: int = _SHOWN_LEVELS) -> str:
    if not isinstance(schema, dict) or not levels:
        return "any"
    choices = schema.get("anyOf")
    if isinstance(choices, list):
        return " or ".join(_type(each, levels - 1) for each in choices)
    kind = schema.get("type", "any")
    if "const" in schema:
        return "any" if isinstance(schema["const"], dict | list) else repr(schema["const"])
    return kind if isinstance(kind, str) else " or ".join(map(_name, kind)) if isinstance(kind, list) else "any"


def _name(kind: Any) -> str:
    return kind if isinstance(kind, str) else "any"
