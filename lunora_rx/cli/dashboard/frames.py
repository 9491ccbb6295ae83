"""The frames and calls between the dashboard's client and its server, looked at on their way."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from lunora_rx.errors import CodecError
from lunora_rx.interfaces import Socket, StreamingReply, Transport
from lunora_rx.protocol.endpoints import PING, PONG, redact_url
from lunora_rx.protocol.recording import redact
from lunora_rx.protocol.rpc import HttpReply
from lunora_rx.protocol.text import parse

KEPT: Final = 200
_TEXT: Final = 300


@dataclass(frozen=True, slots=True)
class Seen:
    """One frame, or one half of a call.

    Attributes:
        at: When, in local time.
        way: ``"sent"`` or ``"received"``.
        what: The frame's type; of a call its method and path, of a reply its status.
        size: Bytes on the wire, without headers.
        text: How it begins, without the credentials.
    """

    at: datetime
    way: str
    what: str
    size: int
    text: str


class FrameLog:
    """Remembers the newest frames.

    Args:
        secrets: What stands in no text.

    Attributes:
        seen: The newest, the last one last.
        count: How many there have been.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self.seen: deque[Seen] = deque(maxlen=KEPT)
        self.count = 0
        self._secrets = tuple(secrets)

    def note(self, way: str, text: str | bytes | None, *, what: str | None = None) -> None:
        """Remember one."""
        whole = text if isinstance(text, str) else (text or b"").decode(errors="replace")
        # The cut comes last: half a secret is no longer found.
        shown = redact(whole, self._secrets)[:_TEXT]
        size = len(text or b"") if not isinstance(text, str) else len(text.encode(errors="surrogatepass"))
        self.count += 1
        self.seen.append(Seen(datetime.now().astimezone(), way, what or _type(whole), size, shown))


def _type(text: str) -> str:
    if text in (PING, PONG):
        return "keepalive"
    try:
        tree = parse(text)
    except CodecError:
        return "unreadable"
    kind = tree.get("type") if isinstance(tree, dict) else None
    return kind if isinstance(kind, str) else "unknown"


class WatchedSocket:
    """A socket whose frames are noted."""

    def __init__(self, socket: Socket, log: FrameLog) -> None:
        self._socket = socket
        self._log = log

    async def receive(self) -> str | bytes | None:
        """Wait for the next frame."""
        text = await self._socket.receive()
        if text is None:
            self._log.note("received", None, what="closed")
        else:
            self._log.note("received", text)
        return text

    async def send(self, text: str) -> None:
        """Send a frame."""
        self._log.note("sent", text)
        await self._socket.send(text)

    async def close(self, code: int = 1000) -> None:
        """Close the socket."""
        await self._socket.close(code)

    @property
    def close_code(self) -> int | None:
        """The code that either side closed the socket with."""
        return self._socket.close_code


class WatchedTransport:
    """A transport whose frames and calls are noted.

    Args:
        transport: Does the work.
        log: Where they are noted.
    """

    def __init__(self, transport: Transport, log: FrameLog) -> None:
        self._transport = transport
        self._log = log

    async def connect(self, url: str, headers: Mapping[str, str]) -> Socket:
        """Open a WebSocket."""
        socket = await self._transport.connect(url, headers)
        self._log.note("received", None, what="opened")
        return WatchedSocket(socket, self._log)

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None, timeout: float
    ) -> HttpReply:
        """Make a request."""
        self._log.note("sent", body, what=f"{method} {redact_url(url).partition('?')[0]}")
        reply = await self._transport.request(method, url, headers=headers, body=body, timeout=timeout)
        self._log.note("received", reply.body, what=f"reply {reply.status}")
        return reply

    async def stream(
        self, method: str, url: str, *, headers: Mapping[str, str], timeout: float, read_timeout: float
    ) -> StreamingReply:
        """Make a request whose reply is read as it comes; the dashboard makes none."""
        return await self._transport.stream(method, url, headers=headers, timeout=timeout, read_timeout=read_timeout)

    async def aclose(self) -> None:
        """Release the transport."""
        await self._transport.aclose()
