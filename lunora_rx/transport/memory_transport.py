"""An in-process transport: two ends of a queue instead of a network, for tests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from lunora_rx.errors import RequestTimeout, TransportError
from lunora_rx.protocol.rpc import HttpReply


@dataclass(frozen=True, slots=True)
class MemoryRequest:
    """What a server sees of an HTTP request."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None


class MemorySocket:
    """One end of a pair; what one end sends, the other receives."""

    def __init__(self) -> None:
        self.peer: MemorySocket
        self._inbox: asyncio.Queue[str | bytes | None] = asyncio.Queue()
        self._listener: tuple[Callable[[str], None], Callable[[], None]] | None = None
        self._close_code: int | None = None
        self._is_closed = False

    def listen(self, on_text: Callable[[str], None], on_closed: Callable[[], None] = lambda: None) -> None:
        """Take what the other end sends as calls from now on, at once, and no longer by ``receive``.

        So a server in memory needs no task of its own. Neither function may raise.

        Args:
            on_text: Called with each frame.
            on_closed: Called once, when either end is closed or the connection is cut.
        """
        self._listener = (on_text, on_closed)

    async def receive(self) -> str | bytes | None:
        """Wait for the next frame; ``None`` once either end is closed."""
        if self._is_closed and self._inbox.empty():
            return None
        return await self._inbox.get()

    async def send(self, text: str | bytes) -> None:
        """Hand a frame to the other end; raises ``TransportError`` once either end is closed."""
        if self._is_closed:
            raise TransportError("the socket is gone", transient=True)
        self.put(text)

    def put(self, text: str | bytes) -> None:
        """Hand a frame to the other end without a wait; what is sent to a closed end is lost."""
        if self._is_closed:
            return
        listener = self.peer._listener
        if listener is None:
            self.peer._inbox.put_nowait(text)
        else:
            listener[0](text if isinstance(text, str) else text.decode(errors="replace"))

    async def close(self, code: int = 1000) -> None:
        """Close both ends with a code; what was not received yet is dropped here."""
        while not self._inbox.empty():
            self._inbox.get_nowait()
        if self._is_closed:
            # Its end may have been among that, and somebody may be waiting for it.
            self._inbox.put_nowait(None)
        self.cut(code)

    def cut(self, code: int | None = None) -> None:
        """Break the connection; without a code, as a lost network does."""
        for end in (self, self.peer):
            if not end._is_closed:
                end._is_closed, end._close_code = True, code
                end._inbox.put_nowait(None)
                if end._listener is not None:
                    end._listener[1]()

    @property
    def close_code(self) -> int | None:
        """The code that either end closed with; ``None`` while it is open or was cut."""
        return self._close_code

    @property
    def unread(self) -> int:
        """How many frames this end has sent that the other may still receive."""
        return 0 if self._is_closed else self.peer._inbox.qsize()


def socket_pair() -> tuple[MemorySocket, MemorySocket]:
    """Return two connected ends."""
    near, far = MemorySocket(), MemorySocket()
    near.peer, far.peer = far, near
    return near, far


class MemoryReply:
    """A reply whose body the server sends bit by bit.

    Args:
        status: The HTTP status.
        headers: The headers, their names in lower case.
    """

    def __init__(self, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.headers: Mapping[str, str] = headers or {}
        self.read_timeout: float | None = None
        self._inbox: asyncio.Queue[bytes | TransportError | None] = asyncio.Queue()
        self._is_closed = False

    def send(self, data: bytes) -> None:
        """Send the next bytes of the body."""
        self._inbox.put_nowait(data)

    def end(self) -> None:
        """End the body."""
        self._inbox.put_nowait(None)

    def cut(self) -> None:
        """Break the connection, as a lost network does."""
        self._inbox.put_nowait(TransportError("the reply broke off", transient=True))

    @property
    def is_closed(self) -> bool:
        """Whether the client has closed it."""
        return self._is_closed

    @property
    def unread(self) -> int:
        """How much of what was sent the client may still read."""
        return self._inbox.qsize()

    async def read(self) -> bytes | None:
        """Wait for the next bytes of the body; ``None`` at its end and once it is closed."""
        if self._is_closed:
            return None
        try:
            async with asyncio.timeout(self.read_timeout):
                data = await self._inbox.get()
        except TimeoutError:
            raise RequestTimeout(f"nothing came for {self.read_timeout:g} s", transient=True) from None
        if isinstance(data, bytes):
            return data
        # The end is for every later read, too.
        self._inbox.put_nowait(data)
        if data is not None:
            raise data.copy()
        return None

    async def aclose(self) -> None:
        """Give up what was not read."""
        self._is_closed = True


class MemoryTransport:
    """Reaches a server that is a few functions.

    Args:
        accept: Called with the URL and the server's end of each new socket; may raise ``TransportError`` to refuse,
            and may be async.
        respond: Called with each HTTP request; returns the reply, or raises ``TransportError``.
        respond_bit_by_bit: Called instead with each request whose reply is to be streamed; by default such a reply
            is what ``respond`` returns, in one piece.
    """

    def __init__(
        self,
        accept: Callable[[str, MemorySocket], Awaitable[None] | None],
        respond: Callable[[MemoryRequest], Awaitable[HttpReply]],
        respond_bit_by_bit: Callable[[MemoryRequest], Awaitable[MemoryReply]] | None = None,
    ) -> None:
        self._accept = accept
        self._respond = respond
        self._respond_bit_by_bit = respond_bit_by_bit or self._respond_at_once

    async def connect(self, url: str, headers: Mapping[str, str]) -> MemorySocket:
        """Open a socket to the server."""
        near, far = socket_pair()
        accepting = self._accept(url, far)
        if accepting is not None:
            await accepting
        return near

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None, timeout: float
    ) -> HttpReply:
        """Return the server's reply."""
        try:
            async with asyncio.timeout(timeout):
                return await self._respond(MemoryRequest(method, url, headers, body))
        except TimeoutError:
            raise RequestTimeout(f"no reply within {timeout:g} s", transient=True) from None

    async def stream(
        self, method: str, url: str, *, headers: Mapping[str, str], timeout: float, read_timeout: float
    ) -> MemoryReply:
        """Return the server's reply, whose body may come later."""
        try:
            async with asyncio.timeout(timeout):
                reply = await self._respond_bit_by_bit(MemoryRequest(method, url, headers, None))
        except TimeoutError:
            raise RequestTimeout(f"no reply within {timeout:g} s", transient=True) from None
        reply.read_timeout = read_timeout
        return reply

    async def _respond_at_once(self, request: MemoryRequest) -> MemoryReply:
        whole = await self._respond(request)
        reply = MemoryReply(whole.status, whole.headers)
        if whole.body:
            reply.send(whole.body)
        reply.end()
        return reply

    async def aclose(self) -> None:
        """Release nothing: there is nothing."""
