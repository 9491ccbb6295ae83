"""A running server without its sockets: the one object that the aiohttp shell, and tests in memory, talk to."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from lunora_rx.devserver.calls import Calls, HttpRequest
from lunora_rx.devserver.refusals import AppError, refusal_reply
from lunora_rx.devserver.routes import EventRequest, Route, open_route
from lunora_rx.devserver.session import ServerSession
from lunora_rx.devserver.shard import Shard
from lunora_rx.devserver.shards import Shards, code_version
from lunora_rx.devserver.works import Works
from lunora_rx.protocol.rpc import HttpReply
from lunora_rx.protocol.text import serialize

if TYPE_CHECKING:
    from lunora_rx.devserver.app import App

__all__ = ["Backend"]

T = TypeVar("T")


class Backend:
    """Shards, calls and sessions of one app.

    In memory it needs no event loop: ``call`` answers a request, ``open`` gives the server half
    of a socket, and everything that a write changes is in the sessions' ``frames_to_send`` when
    ``call`` returns.

    Args:
        app: The functions, and who may call them.
        storage: Directory for the databases; ``None`` keeps them in memory.
        clock: Wall clock in seconds, for ``_creationTime`` and for the expiry of tokens.
        new_id: Makes row ids and epochs; each call gives another one.
    """

    def __init__(
        self,
        app: App,
        *,
        storage: str | Path | None = None,
        clock: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: secrets.token_hex(10),
    ) -> None:
        self._app = app
        self._clock = clock
        self._works = Works()
        limits = app.limits if app.surface.has_change_log else replace(app.limits, change_retention=0)
        self._shards = Shards(
            None if storage is None else Path(storage),
            clock=clock,
            new_id=new_id,
            limits=limits,
            works=self._works,
            version="" if storage is None else code_version((*app.functions.values(), *app.surface.shapes.values())),
        )
        self._calls = Calls(app, self._shards, first_bookmark=int(clock() * 1000))

    async def answer(self, request: HttpRequest) -> HttpReply:
        """Carry out a POST to ``/_lunora/rpc`` or ``/_lunora/rpc-batch``."""
        return await self._calls.answer(request)

    def call(self, request: HttpRequest) -> HttpReply:
        """Do the same with no event loop.

        Raises:
            RuntimeError: An async action, or an async ``authenticate``, has to wait for something.
        """
        return _without_loop(self.answer(request))

    async def probe(self, headers: Mapping[str, str]) -> HttpReply:
        """Answer the session probe, ``GET /api/auth/get-session``: who is it that asks."""
        try:
            subject = await self._app.access.subject_of_request(headers)
        except AppError as error:
            return refusal_reply(error)
        body = serialize(None if subject is None else {"user": {"id": subject}})
        return HttpReply(200, {"content-type": "application/json"}, body)

    async def accept(
        self, shard: str = "", token: str | None = None, headers: Mapping[str, str] | None = None
    ) -> ServerSession:
        """Return the server half of a new socket; ``headers`` of its request may hold a session cookie.

        A token that is refused or expired gives a session that says so and is closed with 4001.
        """
        try:
            subject, expires_at = await self._app.access.open_socket(token, headers or {}, self._clock())
        except AppError:
            session = self._session(shard, None, None)
            session.expire()
            return session
        return self._session(shard, subject, expires_at)

    def open(
        self, shard: str = "", token: str | None = None, headers: Mapping[str, str] | None = None
    ) -> ServerSession:
        """Do the same with no event loop."""
        return _without_loop(self.accept(shard, token, headers))

    def shard(self, name: str = "") -> Shard:
        """Return a shard, to look at: ``shard().cursor``, ``.epoch``, ``.store``, ``.live``, ``.shapes``, ``.runs``."""
        return self._shards.get(name)

    @property
    def now(self) -> float:
        """The wall clock."""
        return self._clock()

    def begin_epoch(self) -> None:
        """Behave as after a restart that lost the change log: same rows, new epoch; sockets end with 1012."""
        self._shards.begin_epoch()

    def erase(self) -> None:
        """Behave as after a restart that lost everything; sockets end with 1012."""
        self._shards.erase()

    def forget_streams(self) -> None:
        """Forget the durable runs, those that go on included."""
        self._shards.forget_streams()

    async def open_route(self, route: Route, request: EventRequest) -> AsyncGenerator[str, None]:
        """Return the events of a new run of a streaming route.

        Raises:
            AppError: The caller or the parameters are refused.
        """
        return await open_route(
            route, request, self._app.access, lambda subject: self._calls.context(self.shard(), subject)
        )

    def status(self) -> dict[str, Any]:
        """Return what ``GET /_lunora/status`` says."""
        return {
            "status": "ok",
            "server": "lunora_rx.devserver",
            "functions": len(self._app.functions),
            "shards": {shard.name: _shard_status(shard) for shard in self._shards},
        }

    def close(self) -> None:
        """End all sessions and streams, and close the databases; closing twice is silent."""
        self._shards.close()

    async def finish(self) -> None:
        """Wait, after ``close``, until the generators of the streams are closed as well."""
        await self._works.finish()

    def _session(self, shard: str, subject: str | None, expires_at: float | None) -> ServerSession:
        return ServerSession(
            self._shards.get(shard),
            self._app.surface,
            make_context=self._calls.context,
            works=self._works,
            faults=self._app.faults.frames,
            subject=subject,
            limits=self._app.limits,
            expires_at=expires_at,
        )


def _shard_status(shard: Shard) -> dict[str, Any]:
    return {
        "cursor": shard.cursor,
        "epoch": shard.epoch,
        "sockets": len(shard.members),
        "liveQueries": len(shard.live),
        "shapes": len(shard.shapes),
        "runs": len(shard.runs),
        "tables": shard.store.counts(),
    }


def _without_loop(work: Coroutine[Any, Any, T]) -> T:
    try:
        work.send(None)
    except StopIteration as finished:
        result: T = finished.value
        return result
    work.close()
    raise RuntimeError("this needs an event loop: await Backend.answer or Backend.accept instead")
