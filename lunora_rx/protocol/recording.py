"""The lines of a recording: what passed between a client and its server, and when.

A recording is JSON Lines: a header, then one entry a line.  Source: ``docs/recording.md``, section "File format".
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from lunora_rx.errors import CodecError
from lunora_rx.protocol.endpoints import PONG
from lunora_rx.protocol.frame_fields import is_sendable
from lunora_rx.protocol.text import parse, serialize

VERSION: Final = 1
REDACTED: Final = "[redacted]"

_MARK: Final = "lunora_rx_recording"


class Kind(enum.StrEnum):
    """What an entry of a recording tells."""

    CONNECTING = "connecting"
    OPENED = "opened"
    FAILED = "failed"
    LOST = "lost"
    RELEASED = "released"
    RECEIVED = "received"
    SENT = "sent"
    BASE = "base"
    REQUEST = "request"
    REPLY = "reply"
    FAILURE = "failure"
    END = "end"


_KINDS: Final = {str(kind): kind for kind in Kind}
_SEEN: Final = frozenset({Kind.OPENED, Kind.FAILED, Kind.LOST})
_UNSEEN_FRAMES: Final = frozenset({"ack", "identity"})
_SMALL: Final = 500
_SHOWN: Final = 60


@dataclass(frozen=True, slots=True)
class Header:
    """The first line.

    Attributes:
        started_at: When the recording began, as ISO 8601 text in UTC.
        url: The origin of the server, without credentials.
    """

    started_at: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line after the header.

    Attributes:
        at: When it happened, in milliseconds since the recording began.
        kind: What happened.
        shard: The shard of a socket, empty for the default shard; of a reply, the default shard's own name if it told.
        text: The text of a frame or of a body; of a failure, why there is no reply.
        code: The code that a socket was closed with, or the status of a reply.
        request: The number of a request, the same in its reply.
        path: Method and path of a request.
    """

    at: float
    kind: Kind
    shard: str = ""
    text: str = ""
    code: int | None = None
    request: int = 0
    path: str = ""

    def __repr__(self) -> str:
        named = f"at={self.at:g}, kind={str(self.kind)!r}" + "".join(
            f", {name}={getattr(self, name)!r}"
            for name, _, default in _OPTIONAL
            if name != "text" and getattr(self, name) != default
        )
        rest = f"... ({len(self.text)} characters)" if len(self.text) > _SHOWN else ""
        return f"Entry({named}, text={self.text[:_SHOWN]!r}{rest})"

    @property
    def is_seen(self) -> bool:
        """Whether an observer of the client could tell: a frame that came in, or news of a connection."""
        if self.kind is not Kind.RECEIVED:
            return self.kind in _SEEN
        return self.text != PONG and not (len(self.text) < _SMALL and _type_of(self.text) in _UNSEEN_FRAMES)


_OPTIONAL: Final = (("shard", str, ""), ("text", str, ""), ("code", int, None), ("request", int, 0), ("path", str, ""))


def encode_header(header: Header) -> bytes:
    """Return the first line, with its end."""
    return serialize({_MARK: VERSION, "started_at": header.started_at, "url": header.url}) + b"\n"


def decode_header(line: bytes) -> Header:
    """Return the header that the first line of a file holds.

    Raises:
        CodecError: The file is no recording, or one of a version that is not known here.
    """
    try:
        tree = parse(line)
    except CodecError:
        tree = None
    if not isinstance(tree, dict) or _MARK not in tree:
        raise CodecError("this is no recording: a header is missing", path="header")
    if tree[_MARK] != VERSION:
        version = _shown(tree[_MARK])
        raise CodecError(f"the recording has format version {version}; known here is {VERSION}", path="header")
    started_at, url = tree.get("started_at"), tree.get("url")
    return Header(started_at if isinstance(started_at, str) else "", url if isinstance(url, str) else "")


def encode_entry(entry: Entry) -> bytes:
    """Return the line of an entry, with its end."""
    tree: dict[str, Any] = {"t": round(entry.at, 3), "kind": str(entry.kind)}
    for name, _, default in _OPTIONAL:
        value = getattr(entry, name)
        if value != default:
            tree[name] = value
    return serialize(tree) + b"\n"


def decode_entry(line: bytes) -> Entry:
    """Return the entry of a line.

    Raises:
        CodecError: The line is no entry; what is wrong with it is said.
    """
    tree = parse(line)
    if not isinstance(tree, dict):
        raise CodecError("not a JSON object", path="entry")
    at, kind = tree.get("t"), tree.get("kind")
    if isinstance(at, bool) or not isinstance(at, int | float):
        raise CodecError("'t' is not a number", path="entry")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise CodecError(f"unknown kind {_shown(kind)}", path="entry")
    for name, expected, default in _OPTIONAL:
        if type(tree.get(name, default)) is not expected and tree.get(name, default) != default:
            raise CodecError(f"{name!r} is not {'a string' if expected is str else 'an integer'}", path="entry")
        if expected is str and not is_sendable(tree.get(name, default)):
            raise CodecError(f"{name!r} holds a lone surrogate", path="entry")
    values: dict[str, Any] = {name: tree.get(name, default) for name, _, default in _OPTIONAL}
    return Entry(at, _KINDS[kind], **values)


def _shown(value: object) -> str:
    """Return a scalar as it reads, and of anything else its type: what a file holds may be endlessly deep."""
    return type(value).__name__ if isinstance(value, dict | list) else repr(value)[:_SHOWN]


def _type_of(text: str) -> str | None:
    try:
        tree = parse(text)
    except CodecError:
        return None
    kind = tree.get("type") if isinstance(tree, dict) else None
    return kind if isinstance(kind, str) else None


def redact(text: str, secrets: Iterable[str]) -> str:
    """Return a text without the secrets, however JSON or a URL spells them."""
    for secret in secrets:
        for spelt in {secret, serialize(secret).decode()[1:-1], quote(secret, safe="")}:
            text = text.replace(spelt, REDACTED)
    return text


def redact_frame(text: str) -> str:
    """Return a client's frame as it may be kept: what an application says of itself in a ``connect`` is left out."""
    if '"connect"' not in text:
        return text
    tree = parse(text)
    if not isinstance(tree, dict) or tree.get("type") != "connect":
        return text
    return serialize({name: value for name, value in tree.items() if name != "context"}).decode()
