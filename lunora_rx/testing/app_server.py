"""An app of the embedded server, reached in memory: real functions, tables and rules, and no socket."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from lunora_rx.client import LunoraClient
from lunora_rx.interfaces import Transport
from lunora_rx.protocol.rpc import HttpReply
from lunora_rx.testing.network import Network, Opening, ServerHalf
from lunora_rx.testing.server import URL
from lunora_rx.transport.memory_transport import MemoryReply, MemoryRequest

if TYPE_CHECKING:
    from lunora_rx.devserver import App
    from lunora_rx.devserver.backend import Backend
    from lunora_rx.devserver.routes import EventRequest, Route

__all__ = ["AppServer"]

_SESSION = "/get-session"
_BEGINNING = 1_700_000_000.0


class AppServer:
    """A ``lunora_rx.devserver.App`` in the test's own loop and time.

    What functions do is theirs; the test writes through a client, and looks at ``backend``. Row ids are ``id1``,
    ``id2`` and so on, and ``_creationTime`` follows the loop's clock, so a test sees the same rows every time.
    ``app.faults`` of frames and streams strike; those of connections are this server's ``drop`` and ``refuse``.

    Args:
        app: The app; it may be served several times.
    """

    def __init__(self, app: App) -> None:
        from lunora_rx.devserver.backend import Backend

        numbers = itertools.count(1)
        self.app = app
        self.backend: Backend = Backend(app, clock=_wall_clock(), new_id=lambda: f"id{next(numbers)}")
        self._network = Network(self._open, self._respond, self._respond_bit_by_bit)
        self._routes: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<AppServer {self.app!r} sockets={len(self._network.connections)}>"

    def client(self, url: str = URL, **options: Any) -> LunoraClient:
        """Return a client of this server, which ``aclose`` closes; options are those of ``LunoraClient``.

        Without ``on_error``, what its observers, taps and optimistic updates raise is a problem of the test.
        """
        return self._network.client(url, options)

    @property
    def transport(self) -> Transport:
        """What reaches this server, for clients that the program makes."""
        return self._network.transport

    @property
    def clients(self) -> tuple[LunoraClient, ...]:
        """The clients that ``client`` has made."""
        return tuple(self._network.clients)

    @property
    def latency(self) -> float:
        """Seconds that each request takes to arrive."""
        return self._network.latency

    @latency.setter
    def latency(self, seconds: float) -> None:
        self._network.latency = seconds

    @property
    def client_errors(self) -> tuple[Exception, ...]:
        """What observers, taps and optimistic updates raised, of clients that ``client`` made without ``on_error``."""
        return tuple(self._network.client_errors)

    @property
    def allows_client_errors(self) -> bool:
        """Whether ``client_errors`` are no problem; unless it is set to true, they fail the test at its end."""
        return self._network.allows_client_errors

    @allows_client_errors.setter
    def allows_client_errors(self, allows: bool) -> None:
        self._network.allows_client_errors = allows

    @property
    def openings(self) -> tuple[Opening, ...]:
        """The sockets that clients have asked for, also in vain."""
        return tuple(self._network.openings)

    @property
    def open_sockets(self) -> int:
        """How many sockets are open."""
        return len(self._network.connections)

    def drop(self, code: int | None = None) -> None:
        """Cut every socket: as a lost network does, or closed by the server with a code."""
        self._network.drop(code)

    def refuse(self, *, calls: bool = True) -> None:
        """Let no socket open from now on, and no call arrive unless ``calls`` is false; open sockets stay."""
        self._network.refuses_sockets, self._network.refuses_calls = True, calls

    def accept(self) -> None:
        """Let sockets and calls through again; clients come back when their backoff is over."""
        self._network.refuses_sockets = self._network.refuses_calls = False

    def wait_for_disks(self) -> None:
        """Block until the storage of each client has done what it was asked for; virtual time calls it."""
        self._network.wait_for_disks()

    @property
    def problems(self) -> tuple[str, ...]:
        """What the server itself failed with, and ``client_errors`` unless they are allowed, in words."""
        return tuple(self._network.problems())

    def check(self) -> None:
        """Raise ``AssertionError`` if there are ``problems``; a test that uses the fixtures does so at its end."""
        if self.problems:
            raise AssertionError("\n".join(self.problems))

    async def aclose(self) -> None:
        """Close the clients, end the app's streams, and close its databases."""
        await self._network.aclose()
        for task in self._routes:
            task.cancel()
        await asyncio.gather(*self._routes, return_exceptions=True)
        self.backend.close()
        await self.backend.finish()

    async def _open(self, shard: str, token: str | None) -> ServerHalf:
        session = await self.backend.accept(shard, token)
        if session.expires_at is not None:
            asyncio.get_running_loop().call_later(max(0.0, session.expires_at - self.backend.now), session.expire)
        return session

    async def _respond(self, request: MemoryRequest) -> HttpReply:
        from lunora_rx.devserver.calls import HttpRequest

        parts = urlsplit(request.url)
        headers = {name.lower(): value for name, value in request.headers.items()}
        if parts.path.endswith(_SESSION):
            return await self.backend.probe(headers)
        asked = HttpRequest(parts.path, headers, request.body or b"", f"{parts.scheme}://{parts.netloc}")
        return await self.backend.answer(asked)

    async def _respond_bit_by_bit(self, request: MemoryRequest) -> MemoryReply:
        from lunora_rx.devserver.refusals import AppError, refusal_reply

        try:
            route, asked = self._route(request)
            events = await self.backend.open_route(route, asked)
        except AppError as error:
            refused = refusal_reply(error)
            reply = MemoryReply(refused.status, refused.headers)
            reply.send(refused.body)
            reply.end()
            return reply
        reply = MemoryReply(200, {"content-type": "text/event-stream"})
        task = asyncio.create_task(_send_events(reply, events))
        self._routes.add(task)
        task.add_done_callback(self._routes.discard)
        return reply

    def _route(self, request: MemoryRequest) -> tuple[Route, EventRequest]:
        from lunora_rx.devserver.refusals import AppError
        from lunora_rx.devserver.routes import EventRequest

        parts = urlsplit(request.url)
        for path, route in self.app.http_streams.items():
            found = re.fullmatch(re.sub(r":([A-Za-z_]\w*)", r"(?P<\1>[^/]+)", path), parts.path)
            if found is not None:
                params = {name: unquote(text) for name, text in found.groupdict().items()}
                search = dict(parse_qsl(parts.query, keep_blank_values=True))
                headers = {name.lower(): value for name, value in request.headers.items()}
                return route, EventRequest(params, search, headers, f"{parts.scheme}://{parts.netloc}")
        raise AppError("NOT_FOUND", f"there is nothing at {parts.path!r}")


async def _send_events(reply: MemoryReply, events: Any) -> None:
    try:
        async for text in events:
            if reply.is_closed:
                return
            reply.send(text.encode())
        reply.end()
    finally:
        await events.aclose()


def _wall_clock() -> Callable[[], float]:
    """Return a clock that begins at the same instant every time, and goes on with the loop's."""
    began: float | None = None

    def now() -> float:
        nonlocal began
        try:
            time = asyncio.get_running_loop().time()
        except RuntimeError:
            return _BEGINNING
        began = time if began is None else began
        return round(_BEGINNING + time - began, 6)

    return now
