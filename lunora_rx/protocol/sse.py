"""Server-sent events: bytes to events, and an event to what it means for a stream.

Source: ``docs/protocol.md``, section "Server-sent events".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from lunora_rx.errors import CodecError, LunoraError, ServerError, StreamError
from lunora_rx.protocol.frozen import frozen
from lunora_rx.protocol.text import parse

_BOM: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event, as it stands in the body.

    Attributes:
        name: What its ``event`` field says, empty without one.
        data: Its ``data`` lines joined with line feeds, in UTF-8 if the server kept to the rules; ``None`` if it had
            none.
    """

    name: bytes
    data: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Chunk:
    """The next value of a stream, in plain JSON; ``size`` is how many bytes it came in."""

    value: Any
    size: int = field(default=0, compare=False)


@frozen
class StreamEnd:
    """Nothing more comes: the stream is complete, or failed with an error."""

    error: LunoraError | None = None


StreamNews: TypeAlias = Chunk | StreamEnd


class EventParser:
    """Finds the events in a body that comes in pieces; how it is cut makes no difference.

    It knows the line that is not at its end yet, and the event around it. Lines are split before anything is
    decoded, since no byte of a longer UTF-8 sequence is an end of line. An event that is not at its blank line when
    the body ends is none, so there is nothing to do at the end.

    Args:
        limit: Bytes that one event, or a line between two, may take.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._is_first_line = True
        self._ended_in_cr = False
        self._line = bytearray()
        self._name = b""
        self._data = bytearray()
        self._has_data = False

    def feed(self, data: bytes) -> Iterator[ServerEvent]:
        """Yield the events that these bytes bring to their end; take all of them before the next bytes.

        Raises:
            StreamError: An event is too large, after those before it; code ``HTTP_STREAM_BAD_CHUNK``. The parser
                is of no use after it.
        """
        if not data:
            return
        if self._ended_in_cr:
            # The other half of one end of line.
            data = data.removeprefix(b"\n")
        self._ended_in_cr = data.endswith(b"\r")
        lines = data.splitlines()
        rest = lines.pop() if lines and not data.endswith((b"\r", b"\n")) else b""
        for line in lines:
            event = self._take(self._whole(line))
            if event is not None:
                yield event
        self._line += rest
        self._check(len(self._line))

    def _whole(self, line: bytes) -> bytes:
        if self._line:
            line = bytes(self._line + line)
            self._line.clear()
        self._check(len(line))
        if self._is_first_line:
            self._is_first_line = False
            return line.removeprefix(_BOM)
        return line

    def _take(self, line: bytes) -> ServerEvent | None:
        if not line:
            return self._finish()
        name, _, value = line.partition(b":")
        if name == b"data":
            # Joined as they come: kept apart, many short lines would take far more room than they are counted for.
            self._data += value.removeprefix(b" ") + b"\n"
            self._has_data = True
        elif name == b"event":
            self._name = value.removeprefix(b" ")
        return None

    def _finish(self) -> ServerEvent | None:
        name, data, has_data = self._name, bytes(self._data[:-1]), self._has_data
        self._name, self._has_data = b"", False
        self._data.clear()
        return ServerEvent(name, data if has_data else None) if name or has_data else None

    def _check(self, line_size: int) -> None:
        if line_size + len(self._name) + len(self._data) > self._limit:
            raise StreamError(f"an event is larger than {self._limit} bytes", code="HTTP_STREAM_BAD_CHUNK")


def chunk_of(event: ServerEvent) -> StreamNews | None:
    """Return what an event means for its stream; ``None`` for one that means nothing here.

    Raises:
        StreamError: Its data is no JSON; code ``HTTP_STREAM_BAD_CHUNK``.
    """
    if event.name == b"complete":
        return StreamEnd()
    if event.name == b"error":
        return StreamEnd(_error_of(event.data or b""))
    if event.name not in (b"", b"message") or event.data is None:
        return None
    try:
        return Chunk(parse(event.data), len(event.data))
    except CodecError as error:
        reason = error.message.removeprefix(f"{error.path}: ")
    raise StreamError(f"an event is {reason}", code="HTTP_STREAM_BAD_CHUNK")


def _error_of(data: bytes) -> ServerError | StreamError:
    try:
        tree = parse(data)
    except CodecError:
        tree = None
    fields = tree if isinstance(tree, dict) else {}
    code, message = fields.get("code"), fields.get("message")
    text = message if isinstance(message, str) else "the server ended the stream with an error"
    # Codes that a server gives belong to one class, whatever they came in.
    if isinstance(code, str) and code:
        return ServerError(text, code=code)
    return StreamError(text, code="HTTP_STREAM_ERROR")
