"""The network between clients and a server in the same process: connections that a test opens, refuses and cuts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from threading import Event
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

from lunora_rx.client import LunoraClient
from lunora_rx.errors import ClientClosedError, StorageError, TransportError
from lunora_rx.protocol.rpc import HttpReply
from lunora_rx.storage import StorageWorker
from lunora_rx.testing.places import place_of_error
from lunora_rx.transport.memory_transport import MemoryReply, MemoryRequest, MemorySocket, MemoryTransport

__all__ = ["Connection", "Network", "Opening", "ServerHalf"]

_DISK_PATIENCE = 5.0


class ServerHalf(Protocol):
    """The server's half of one socket, texts in and texts out; the embedded server's sessions are such halves."""

    on_ready: Callable[[], object]
    close_code: int | None

    def receive_text(self, text: str) -> None:
        """Handle what the client has sent."""
        ...

    def frames_to_send(self) -> list[str]:
        """Take the texts to send, in order."""
        ...

    def close(self) -> None:
        """Forget the socket; closing twice is silent."""
        ...


@dataclass(frozen=True, slots=True)
class Opening:
    """A socket that a client has asked for, also in vain.

    Attributes:
        shard: The shard's key; ``""`` for the default shard.
        token: The socket's token, or ``None``.
    """

    shard: str
    token: str | None = field(default=None, repr=False)


class Connection:
    """Moves texts between a client's socket and the server's half of it, in the loop's next turn."""

    def __init__(self, end: MemorySocket, half: ServerHalf, network: Network) -> None:
        self._half = half
        self._end = end
        self._network = network
        self._loop = asyncio.get_running_loop()
        self._is_due = False
        half.on_ready = self._note_ready
        end.listen(self._receive, self._leave)
        self._note_ready()

    def cut(self, code: int | None = None) -> None:
        """End the connection: with a close code, or as a lost network does."""
        self._end.cut(code)

    def _receive(self, text: str) -> None:
        try:
            self._half.receive_text(text)
        except Exception as error:
            # It is called from the client's writer, which would take it for a lost connection.
            self._network.errors.append(error)

    def _note_ready(self) -> None:
        if not self._is_due:
            self._is_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._is_due = False
        for text in self._half.frames_to_send():
            self._end.put(text)
        if self._half.close_code is not None:
            self._end.cut(self._half.close_code)

    def _leave(self) -> None:
        self._half.close()
        self._network.connections.remove(self)


class Network:
    """Clients of one server, and the connections between them.

    Args:
        open_half: Makes the server's half of a new socket from its shard and token.
        respond: Answers an HTTP request.
        respond_bit_by_bit: Answers a request whose reply is a stream.

    Attributes:
        errors: What the server itself has failed with.
        client_errors: What observers, taps and optimistic updates of its clients have raised.
        allows_client_errors: Whether those are no problem.
    """

    def __init__(
        self,
        open_half: Callable[[str, str | None], Awaitable[ServerHalf]],
        respond: Callable[[MemoryRequest], Awaitable[HttpReply]],
        respond_bit_by_bit: Callable[[MemoryRequest], Awaitable[MemoryReply]],
    ) -> None:
        self.transport = MemoryTransport(self._accept, self._answer, self._answer_bit_by_bit)
        self.connections: list[Connection] = []
        self.openings: list[Opening] = []
        self.clients: list[LunoraClient] = []
        self.errors: list[Exception] = []
        self.client_errors: list[Exception] = []
        self.allows_client_errors = False
        self.latency = 0.0
        self.refuses_sockets = self.refuses_calls = False
        self._open_half = open_half
        self._respond = respond
        self._respond_bit_by_bit = respond_bit_by_bit

    def client(self, url: str, options: dict[str, Any]) -> LunoraClient:
        """Return a new client, which ``aclose`` closes."""
        given: dict[str, Any] = {"transport": self.transport}
        if options.get("on_error") is None:
            options = options | {"on_error": self._note_client_error}
        if options.get("storage") is None:
            given["client_id"] = f"client-{len(self.clients) + 1}"
        client = LunoraClient(url, **(given | options))
        self.clients.append(client)
        return client

    def wait_for_disks(self) -> None:
        """Block until the storage of each client has done what it was asked for: real disks keep no virtual time."""
        for client in self.clients:
            worker: Any = getattr(client._driver.persistence, "_thread", None)
            if worker is not None:
                _wait_for(worker)

    def problems(self) -> list[str]:
        """Return what the server itself has failed with, and what its clients' observers raised, in words."""
        raised = [] if self.allows_client_errors else self.client_errors
        return [f"the server failed: {error!r}" for error in self.errors] + list(map(_raised, raised))

    def drop(self, code: int | None) -> None:
        """Cut every connection."""
        for connection in tuple(self.connections):
            connection.cut(code)

    async def aclose(self) -> None:
        """Close the clients, and cut what is left."""
        for client in self.clients:
            await client.aclose()
        self.drop(None)

    def _note_client_error(self, error: Exception) -> None:
        if not isinstance(error, ClientClosedError):  # what is under way when the test ends is no fault
            self.client_errors.append(error)

    async def _accept(self, url: str, end: MemorySocket) -> None:
        query = parse_qs(urlsplit(url).query)
        opening = Opening(query.get("shard", [""])[0], query.get("token", [None])[0])
        self.openings.append(opening)
        if self.refuses_sockets:
            raise TransportError("the test refuses connections", transient=True)
        half = await self._open_half(opening.shard, opening.token)
        self.connections.append(Connection(end, half, self))

    async def _answer(self, request: MemoryRequest) -> HttpReply:
        await self._travel()
        return await self._respond(request)

    async def _answer_bit_by_bit(self, request: MemoryRequest) -> MemoryReply:
        await self._travel()
        return await self._respond_bit_by_bit(request)

    async def _travel(self) -> None:
        if self.latency > 0:
            await asyncio.sleep(self.latency)
        if self.refuses_calls:
            raise TransportError("the test lets no call through", transient=True)


def _raised(error: Exception) -> str:
    place = place_of_error(error)
    what = f"an observer, a tap or an optimistic update raised {type(error).__name__}: {error}"
    if place:
        return f"{what}\n  {place}"
    return f"{what}\n  nobody has taken it: subscribe with on_error"


def _wait_for(worker: StorageWorker) -> None:
    done = Event()
    try:
        worker.submit(done.set)  # it is done in its turn, after all that was asked for before
    except StorageError:
        worker.close()
    else:
        done.wait(_DISK_PATIENCE)
