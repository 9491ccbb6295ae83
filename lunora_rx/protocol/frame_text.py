"""One frame as it stands on the wire, for those who look on: logs, metrics, recordings.

It says of itself what may be shown anywhere: its type, its id, its size. Its text holds the payload.
Source: ``docs/protocol.md``, sections "Client frames" and "Server frames".
"""

from __future__ import annotations

import re
from typing import Final

from lunora_rx.errors import CodecError
from lunora_rx.protocol.endpoints import PING, PONG
from lunora_rx.protocol.frames import CLIENT_FRAMES, SERVER_FRAMES
from lunora_rx.protocol.text import parse

KEEPALIVES: Final = {PING: "ping", PING.encode(): "ping", PONG: "pong", PONG.encode(): "pong"}

_LONGEST_KEEPALIVE: Final = max(map(len, KEEPALIVES))
_TYPES: Final = frozenset({*CLIENT_FRAMES, *SERVER_FRAMES})
# As peers write it; any other order of the fields is parsed.
_LEADING_TYPE: Final = re.compile(r'\{"type":"(\w{1,32})"')
_LEADING_TYPE_BYTES: Final = re.compile(rb'\{"type":"(\w{1,32})"')
_OWN_ID: Final = re.compile(r"[a-z]{1,16}_[0-9]{1,18}")


class FrameText:
    """A frame, its fields read only when somebody asks.

    Attributes:
        text: The whole frame; it holds the payload.
        is_inbound: Whether the server sent it.
    """

    __slots__ = ("_fields", "is_inbound", "text")

    def __init__(self, text: str | bytes, *, is_inbound: bool) -> None:
        self.text = text
        self.is_inbound = is_inbound
        self._fields: dict[str, object] | None = None

    def __repr__(self) -> str:
        return f"<FrameText {self.type} {self.id}, {self.size} bytes>"

    @property
    def size(self) -> int:
        """How many bytes it has on the wire."""
        text = self.text
        return len(text) if isinstance(text, bytes) or text.isascii() else len(text.encode(errors="surrogatepass"))

    @property
    def type(self) -> str:
        """A type of the protocol, ``ping`` or ``pong``, else ``unknown``: what a peer makes up is not repeated."""
        text = self.text
        if len(text) <= _LONGEST_KEEPALIVE and text in KEEPALIVES:
            return KEEPALIVES[text]
        kind: object
        if isinstance(text, bytes):
            found = _LEADING_TYPE_BYTES.match(text)
            kind = self._field("type") if found is None else found[1].decode()
        else:
            leading = _LEADING_TYPE.match(text)
            kind = self._field("type") if leading is None else leading[1]
        return kind if isinstance(kind, str) and kind in _TYPES else "unknown"

    @property
    def id(self) -> str | None:
        """What it is about, such as ``sub_1``; ``None`` where that is nothing that a client asked for."""
        about = self._field("id") or self._field("shapeId")
        return about if isinstance(about, str) and _OWN_ID.fullmatch(about) else None

    def _field(self, name: str) -> object:
        if self._fields is None:
            try:
                tree = parse(self.text)
            except CodecError:
                tree = None
            self._fields = tree if isinstance(tree, dict) else {}
        return self._fields.get(name)
