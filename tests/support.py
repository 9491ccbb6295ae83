"""A server that a test plays by hand, and ways to wait for what a client does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import orjson

from lunora_rx import Backoff, LunoraClient
from lunora_rx.errors import TransportError
from lunora_rx.protocol.rpc import HttpReply
from lunora_rx.transport.memory_transport import MemoryRequest, MemorySocket, MemoryTransport

PATIENCE = 5.0
QUICK = Backoff(initial=0.001, maximum=0.002)


async def until(condition: Callable[[], Any], *, patience: float = PATIENCE) -> None:
    """Let the loop run until a condition holds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience
    while not condition():
        assert loop.time() < deadline, "the condition never came true"
        await asyncio.sleep(0.001)


async def turn(times: int = 5) -> None:
    """Let the loop run a few turns, so that whatever is ready has run."""
    for _ in range(times):
        await asyncio.sleep(0)


class ServerSocket:
    """The server's end of one socket, in frames."""

    def __init__(self, url: str, end: MemorySocket) -> None:
        self.url = url
        self._end = end

    async def next(self) -> dict[str, Any] | str:
        """Return the client's next frame; a ping is a text."""
        async with asyncio.timeout(PATIENCE):
            text = await self._end.receive()
        assert text is not None, "the client closed the socket"
        return orjson.loads(text) if text[:1] in ("{", b"{") else str(text)

    async def expect(self, kind: str) -> dict[str, Any]:
        """Return the client's next frame, which must be of a kind."""
        frame = await self.next()
        assert isinstance(frame, dict), frame
        assert frame["type"] == kind, frame
        return frame

    async def subscription(self) -> str:
        """Return the id of the next subscription."""
        return (await self.expect("subscribe"))["id"]

    async def push(self, kind: str, **body: Any) -> None:
        """Send a frame and wait until the client has dealt with it."""
        await self.push_text(orjson.dumps({"type": kind, **body}))

    async def push_text(self, text: str | bytes) -> None:
        """Send a text and wait until the client has dealt with it."""
        await self._end.send(text)
        await until(lambda: self._end.unread == 0)

    async def push_all(self, *frames: dict[str, Any]) -> None:
        """Send frames that the client reads in one go, and wait until it has dealt with them."""
        for each in frames:
            await self._end.send(orjson.dumps(each))
        await until(lambda: self._end.unread == 0)
        await turn()

    async def closed(self) -> int | None:
        """Wait for the client to close the socket; return the code."""
        async with asyncio.timeout(PATIENCE):
            while await self._end.receive() is not None:
                pass
        return self._end.close_code

    def cut(self, code: int | None = None) -> None:
        """Break the connection."""
        self._end.cut(code)

    @property
    def unread(self) -> int:
        """How many frames of the client nobody has looked at."""
        return self._end.peer.unread


class ServerCall:
    """One HTTP request that waits for its reply."""

    def __init__(self, request: MemoryRequest, future: asyncio.Future[HttpReply]) -> None:
        self.request = request
        self._future = future

    @property
    def headers(self) -> dict[str, str]:
        """The request's headers."""
        return dict(self.request.headers)

    @property
    def body(self) -> dict[str, Any]:
        """The request's body."""
        return orjson.loads(self.request.body or b"null")

    def reply(self, body: Any, *, status: int = 200, **headers: str) -> None:
        """Answer; underscores of header names stand for dashes."""
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._future.set_result(HttpReply(status, named, content))

    def refuse(self, code: str, message: str = "no") -> None:
        """Answer with an error envelope."""
        self.reply({"error": {"code": code, "message": message}}, status=400)

    def break_off(self) -> None:
        """Lose the connection instead of answering."""
        self._future.set_exception(TransportError("the connection broke", transient=True))

    @property
    def was_given_up(self) -> bool:
        """Whether the client no longer waits."""
        return self._future.cancelled()


class ScriptedServer:
    """Everything that a client talks to, in memory.

    Attributes:
        refusal: When set, why no socket can be had.
        urls: What was opened, also in vain.
    """

    def __init__(self) -> None:
        self.refusal: TransportError | None = None
        self.urls: list[str] = []
        self.transport = MemoryTransport(self._accept, self._respond)
        self._sockets: asyncio.Queue[ServerSocket] = asyncio.Queue()
        self._calls: asyncio.Queue[ServerCall] = asyncio.Queue()

    def client(self, url: str = "http://server.test", **options: Any) -> LunoraClient:
        """Return a client of this server that reconnects at once, does not ping and never polls."""
        calm = {"transport": self.transport, "reconnect": QUICK, "heartbeat_interval": 0, "polling": None}
        return LunoraClient(url, **{**calm, **options})

    async def socket(self) -> ServerSocket:
        """Return the next socket that a client opens, once it has introduced itself."""
        async with asyncio.timeout(PATIENCE):
            socket = await self._sockets.get()
        await socket.expect("connect")
        return socket

    async def subscribed(self) -> tuple[ServerSocket, str]:
        """Return the next socket and the id of the first subscription on it, which is acknowledged."""
        socket = await self.socket()
        subscription = await socket.subscription()
        await socket.push("ack", id=subscription)
        return socket, subscription

    async def call(self) -> ServerCall:
        """Return the next HTTP request."""
        async with asyncio.timeout(PATIENCE):
            return await self._calls.get()

    @property
    def waiting_calls(self) -> int:
        """How many requests nobody has looked at."""
        return self._calls.qsize()

    def _accept(self, url: str, end: MemorySocket) -> None:
        self.urls.append(url)
        if self.refusal is not None:
            raise self.refusal
        self._sockets.put_nowait(ServerSocket(url, end))

    async def _respond(self, request: MemoryRequest) -> HttpReply:
        future: asyncio.Future[HttpReply] = asyncio.get_running_loop().create_future()
        self._calls.put_nowait(ServerCall(request, future))
        return await future


class Recorder:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self.errors: list[Exception] = []
        self.completions = 0

    def on_next(self, value: Any) -> None:
        """Keep a value."""
        self.values.append(value)

    def on_error(self, error: Exception) -> None:
        """Keep the error."""
        self.errors.append(error)

    def on_completed(self) -> None:
        """Count the end."""
        self.completions += 1

    @property
    def last(self) -> Any:
        """The latest value."""
        return self.values[-1]
