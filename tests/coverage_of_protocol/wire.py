"""A real transport that notes what passes through it, and changes what it is told to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import aiohttp
import orjson

from lunora_rx.transport.aiohttp_transport import AiohttpTransport

LIMIT = 2**20


class Wire:
    """What a client reaches its server by.

    Attributes:
        received: How many frames of each type have come, texts that are no JSON under their own name.
        statuses: The HTTP statuses of the replies to calls that have come.
        change_frame: Returns what is sent in place of a frame.
        change_body: Returns what is sent in place of the body of a call.
    """

    def __init__(self, session: aiohttp.ClientSession | None = None, *, max_frame_size: int = LIMIT) -> None:
        self.received: Counter[str] = Counter()
        self.statuses: list[int] = []
        self.change_frame: Callable[[str], str] = lambda text: text
        self.change_body: Callable[[bytes], bytes] = lambda body: body
        self._transport = AiohttpTransport(session, max_frame_size=max_frame_size, max_body_size=LIMIT)
        self.stream = self._transport.stream
        self.aclose = self._transport.aclose

    async def connect(self, url, headers):
        """Open a socket through which frames are noted."""
        return WireSocket(await self._transport.connect(url, headers), self)

    async def request(self, method, url, *, headers, body, timeout):
        """Make a request whose reply is noted."""
        sent = body if body is None else self.change_body(body)
        reply = await self._transport.request(method, url, headers=headers, body=sent, timeout=timeout)
        self.statuses.append(reply.status)
        return reply


class WireSocket:
    """One socket of a wire."""

    def __init__(self, socket, wire):
        self._socket = socket
        self._wire = wire
        self.close = socket.close

    @property
    def close_code(self):
        """The code that it was closed with."""
        return self._socket.close_code

    async def receive(self):
        """Wait for the next frame."""
        text = await self._socket.receive()
        if text is not None:
            self._wire.received[type_of(text)] += 1
        return text

    async def send(self, text):
        """Send a frame."""
        await self._socket.send(self._wire.change_frame(text))


def type_of(text: str | bytes) -> str:
    """Return the type of a frame; a keepalive is its own."""
    if text[:1] in ("{", b"{"):
        return orjson.loads(text)["type"]
    return text if isinstance(text, str) else text.decode()
