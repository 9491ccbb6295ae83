"""A TCP proxy that misbehaves on purpose, for real sockets on the loop of the test.

It knows bytes and connections, and nothing of what they mean: put one before the calls and another before
the sockets to hurt either alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import socket
import ssl
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self, TypeAlias

HOST = "127.0.0.1"
_CHUNK = 1 << 16
_READ_AHEAD = 64
_NO_LINGER = struct.pack("ii", 1, 0)

Change: TypeAlias = Callable[[bytes], bytes]


class Way(enum.Enum):
    """A direction through the proxy."""

    UP = "client to server"
    DOWN = "server to client"


class End(enum.Enum):
    """How a connection is ended: with FIN, or with RST."""

    FIN = "fin"
    RST = "rst"


@dataclass(slots=True)
class Rules:
    """What is done to the bytes of one direction.

    Attributes:
        delay: Seconds that each byte is under way; the order stays, and so does the rate.
        piece: Bytes of the largest segment sent on; 0 for as they come.
        pause: Seconds after each segment.
        is_swallowed: Whether bytes are taken and go nowhere.
        gate: What bytes are held back by until it is opened.
        change: What is sent on instead of a chunk.
        left: Bytes until the connection that carries the last of them is ended; ``None`` for no end.
        end: How it is ended then.
    """

    delay: float = 0.0
    piece: int = 0
    pause: float = 0.0
    is_swallowed: bool = False
    gate: asyncio.Event | None = None
    change: Change | None = None
    left: int | None = None
    end: End = End.FIN

    def take(self, chunk: bytes) -> tuple[bytes, bool]:
        """Return what goes on of a chunk, and whether the connection ends after it."""
        if self.change is not None:
            chunk = self.change(chunk)
        if self.left is None or len(chunk) < self.left:
            self.left = None if self.left is None else self.left - len(chunk)
            return chunk, False
        left, self.left = self.left, None
        return chunk[:left], True

    def pieces(self, chunk: bytes) -> list[bytes]:
        """Return a chunk in segments."""
        size = self.piece or len(chunk) or 1
        return [chunk[start : start + size] for start in range(0, len(chunk), size)]


@dataclass(eq=False, slots=True)
class Pipe:
    """One connection through the proxy.

    Attributes:
        client: The client's end.
        server: The server's end.
        stranded: The directions in which nothing passes any more, though nobody is told.
    """

    client: tuple[asyncio.StreamReader, asyncio.StreamWriter]
    server: tuple[asyncio.StreamReader, asyncio.StreamWriter]
    stranded: set[Way] = field(default_factory=set)

    def end(self, end: End) -> None:
        """End both connections at once."""
        for _, writer in (self.client, self.server):
            if end is End.RST:
                _reset(writer)
            else:
                writer.close()

    async def run(self, rules: dict[Way, Rules]) -> None:
        """Pass bytes on until either side is done."""
        pumps = [asyncio.ensure_future(self._pump(way, rules)) for way in Way]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            self.end(End.FIN)
            await asyncio.gather(*(_closed(writer) for _, writer in (self.client, self.server)))

    async def _pump(self, way: Way, rules: dict[Way, Rules]) -> None:
        reader, writer = (self.client[0], self.server[1]) if way is Way.UP else (self.server[0], self.client[1])
        arrived: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_READ_AHEAD)
        ahead = asyncio.ensure_future(_read_ahead(reader, arrived))
        try:
            while (each := await arrived.get())[1]:
                await self._pass_on(way, *each, writer, rules)
        finally:
            ahead.cancel()
            await asyncio.gather(ahead, return_exceptions=True)

    async def _pass_on(
        self, way: Way, arrived_at: float, chunk: bytes, writer: asyncio.StreamWriter, rules: dict[Way, Rules]
    ) -> None:
        await asyncio.sleep(max(0.0, arrived_at + rules[way].delay - asyncio.get_running_loop().time()))
        if rules[way].is_swallowed:
            # A stream with a hole in it does not exist: what was swallowed once passes nothing again.
            self.stranded.add(way)
        if (gate := rules[way].gate) is not None:
            await gate.wait()
        if way in self.stranded:
            return
        rest, is_last = rules[way].take(chunk)
        for piece in rules[way].pieces(rest):
            writer.write(piece)
            await writer.drain()
            # A segment of its own needs a turn of its own: what is written together is sent together.
            await asyncio.sleep(rules[way].pause)
        if is_last:
            self.end(rules[way].end)


class Proxy:
    """Listens on a port of its own and passes on to another; every fault is a switch.

    A fault is in force until ``heal``, for the connections there are and for those to come, unless it says
    otherwise.

    Args:
        target_port: Where connections go.
        tls: Lets connections come by TLS; they go on in plain text.

    Attributes:
        accepted_at: When each connection was accepted, by the clock of the loop.
        rules: What is done to the bytes of each direction.
    """

    def __init__(self, target_port: int, *, tls: ssl.SSLContext | None = None) -> None:
        self.accepted_at: list[float] = []
        self.rules = {way: Rules() for way in Way}
        self._target_port = target_port
        self._tls = tls
        self._port = 0
        self._server: asyncio.Server | None = None
        self._pipes: set[Pipe] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._garbage: bytes | None = None
        self._ends_at_once: End | None = None

    async def __aenter__(self) -> Self:
        await self.accept()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.refuse()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        """Where the proxy is, for HTTP."""
        return f"{'https' if self._tls else 'http'}://{HOST}:{self._port}"

    @property
    def connections(self) -> int:
        """How many were accepted so far."""
        return len(self.accepted_at)

    @property
    def open_connections(self) -> int:
        """How many connections pass through at present."""
        return len(self._pipes)

    @property
    def stranded_connections(self) -> int:
        """How many of them pass nothing any more, one way or both."""
        return sum(bool(pipe.stranded) for pipe in self._pipes)

    def cut(self, after: int = 0, *, way: Way = Way.DOWN, end: End = End.FIN) -> None:
        """End connections: all of them now, or the one that carries a byte of a direction, after that many more."""
        if after == 0:
            for pipe in list(self._pipes):
                pipe.end(end)
            return
        self.rules[way].left, self.rules[way].end = after, end

    def cut_before(self, way: Way, *, end: End = End.FIN) -> None:
        """End the next connection that has bytes of a direction to pass on, instead of passing them on."""
        self.rules[way].left, self.rules[way].end = 0, end

    def strand(self, *ways: Way) -> None:
        """Let nothing pass on the connections there are, half-open from now on; new ones work."""
        for pipe in self._pipes:
            pipe.stranded.update(ways or Way)

    def swallow(self, *ways: Way) -> None:
        """Take bytes and pass none on; connections are still accepted, and those that lost bytes stay silent."""
        for way in ways or Way:
            self.rules[way].is_swallowed = True

    def stall(self, *ways: Way) -> None:
        """Hold bytes back, and pass them on when this is over: nothing is lost, however long it takes."""
        for way in ways or Way:
            self.rules[way].gate = asyncio.Event()

    def delay(self, seconds: float) -> None:
        """Let each byte be under way for longer."""
        for rules in self.rules.values():
            rules.delay = seconds

    def split(self, size: int) -> None:
        """Pass bytes on in segments of a few."""
        for rules in self.rules.values():
            rules.piece = size

    def throttle(self, bytes_per_second: int, *, piece: int = 256) -> None:
        """Pass bytes on at a rate."""
        for rules in self.rules.values():
            rules.piece, rules.pause = piece, piece / bytes_per_second

    def change(self, way: Way, change: Change) -> None:
        """Send something else on than what came: flipped bits, twice the same, nothing."""
        self.rules[way].change = change

    def duplicate(self, *ways: Way) -> None:
        """Pass everything on twice, as it came: a frame, or several in a row, and then the same again."""
        for way in ways or Way:
            self.change(way, lambda chunk: chunk + chunk)

    def drop_one(self, way: Way, mark: bytes) -> None:
        """Leave out the next bytes that came together and hold a mark, such as one frame; only these."""

        def change(chunk: bytes) -> bytes:
            if mark not in chunk:
                return chunk
            self.rules[way].change = None
            return b""

        self.change(way, change)

    def answer(self, garbage: bytes) -> None:
        """Answer new connections with this instead of passing them on, and end them."""
        self._garbage = garbage

    def end_at_once(self, end: End = End.RST) -> None:
        """Accept new connections and end them before a byte has passed."""
        self._ends_at_once = end

    def refuse(self) -> None:
        """Close the port, and with it every connection: nobody listens."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        self.cut(end=End.RST)

    async def accept(self) -> None:
        """Listen, on the same port as before."""
        if self._server is None:
            self._server = await asyncio.start_server(self._take, HOST, self._port, ssl=self._tls)
            self._port = self._server.sockets[0].getsockname()[1]

    async def heal(self) -> None:
        """End every fault that is in force, also for the connections there are."""
        gates = [rules.gate for rules in self.rules.values() if rules.gate is not None]
        self.rules.update({way: Rules() for way in Way})
        for gate in gates:
            gate.set()
        self._garbage = self._ends_at_once = None
        await self.accept()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.accepted_at.append(asyncio.get_running_loop().time())
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await self._serve(reader, writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._ends_at_once is not None or self._garbage is not None:
            await self._turn_away(reader, writer)
            return
        try:
            server = await asyncio.open_connection(HOST, self._target_port)
        except OSError:
            _reset(writer)
            return
        pipe = Pipe((reader, writer), server)
        self._pipes.add(pipe)
        try:
            await pipe.run(self.rules)
        finally:
            self._pipes.discard(pipe)

    async def _turn_away(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._ends_at_once is End.RST:
            _reset(writer)
        elif self._ends_at_once is None:
            await reader.read(_CHUNK)
            writer.write(self._garbage or b"")
        writer.close()
        await _closed(writer)


def flip(position: int) -> Change:
    """Return a change that flips the bits of one byte of each chunk that has so many."""

    def change(chunk: bytes) -> bytes:
        if position >= len(chunk):
            return chunk
        return chunk[:position] + bytes([chunk[position] ^ 0xFF]) + chunk[position + 1 :]

    return change


async def _read_ahead(reader: asyncio.StreamReader, arrived: asyncio.Queue[tuple[float, bytes]]) -> None:
    """Note when each chunk came, so that a delay does not become a rate; an empty chunk is the end."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(ConnectionError):
        while chunk := await reader.read(_CHUNK):
            await arrived.put((loop.time(), chunk))
    await arrived.put((loop.time(), b""))


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    if connection is not None:
        with contextlib.suppress(OSError):  # it is closed already
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    writer.transport.abort()


async def _closed(writer: asyncio.StreamWriter) -> None:
    try:
        await writer.wait_closed()
    except ConnectionError:
        pass  # it was reset
    except asyncio.CancelledError:
        writer.transport.abort()
        raise
