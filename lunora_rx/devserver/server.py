"""The aiohttp shell around a ``Backend``: routes, sockets, and the faults that strike between them."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from lunora_rx.devserver.access import check_cross_site_socket
from lunora_rx.devserver.backend import Backend
from lunora_rx.devserver.calls import HttpRequest
from lunora_rx.devserver.event_streams import EventStream
from lunora_rx.devserver.pages import Pages, grants, preflight
from lunora_rx.devserver.refusals import AppError, refusal_reply
from lunora_rx.devserver.routes import EventRequest
from lunora_rx.devserver.routes import Route as EventRoute
from lunora_rx.devserver.sockets import LiveSocket, reset
from lunora_rx.devserver.strikes import Route
from lunora_rx.errors import LunoraError
from lunora_rx.protocol.endpoints import (
    ADMIN_WS_TOKEN_PATH,
    BATCH_PATH,
    OPENRPC_PATH,
    RPC_PATH,
    STATUS_PATH,
    WS_PATH,
)
from lunora_rx.protocol.rpc import HttpReply
from lunora_rx.protocol.text import serialize

if TYPE_CHECKING:
    from lunora_rx.devserver.app import App

__all__ = ["Server"]

logger = logging.getLogger("lunora_rx.devserver")

Answering: TypeAlias = Callable[[HttpRequest], Awaitable[HttpReply]]

SESSION_PATH = "/api/auth/get-session"
_SHUTDOWN_TIMEOUT = 2.0
_MAY_ASK = web.RequestKey("may_ask", bool)


class Server:
    """Serves one backend on one address."""

    def __init__(self, app: App, backend: Backend) -> None:
        self._app = app
        self._backend = backend
        self._runner: web.AppRunner | None = None
        self._streams: set[asyncio.Task[web.StreamResponse]] = set()

    async def start(self, host: str, port: int) -> str:
        """Listen, and return the URL; port 0 takes a free one."""
        guard = _guard(Pages(self._app.origins, host))
        routes = web.Application(client_max_size=self._app.limits.body_size, middlewares=[guard])
        routes.on_response_prepare.append(_grant)
        routes.add_routes(
            [
                web.post(RPC_PATH, self._single),
                web.post(BATCH_PATH, self._batch),
                web.get(WS_PATH, self._socket),
                web.get(STATUS_PATH, self._status),
                web.get(OPENRPC_PATH, self._openrpc),
                web.post(ADMIN_WS_TOKEN_PATH, self._ws_token),
                web.get(SESSION_PATH, self._session),
                *(
                    web.get(route.pattern, self._answering(route), allow_head=False)
                    for route in self._app.http_streams.values()
                ),
            ]
        )
        self._runner = runner = web.AppRunner(routes, access_log=None, shutdown_timeout=_SHUTDOWN_TIMEOUT)
        await runner.setup()
        await web.TCPSite(runner, host, port).start()
        self._app.faults.attach_server(self._backend)
        bound_port = runner.addresses[0][1]
        url = f"http://{f'[{host}]' if ':' in host else host}:{bound_port}"
        logger.info("listening on %s", url)
        return url

    async def stop(self) -> None:
        """Stop listening and end all sockets; stopping twice is silent."""
        runner, self._runner = self._runner, None
        if runner is None:
            return
        self._app.faults.detach_server(self._backend)
        for site in list(runner.sites):
            await site.stop()  # first, or a socket that opens now would outlive those that are ended
        self._backend.close()
        for stream in self._streams:
            stream.cancel()
        await runner.cleanup()
        await self._backend.finish()

    async def _single(self, request: web.Request) -> web.StreamResponse:
        return await self._struck(request, "single", self._backend.answer)

    async def _batch(self, request: web.Request) -> web.StreamResponse:
        return await self._struck(request, "batch", self._backend.answer)

    async def _session(self, request: web.Request) -> web.StreamResponse:
        return await self._struck(request, "session", lambda asked: self._backend.probe(asked.headers))

    def _answering(self, route: EventRoute) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            # A task of its own, or the server would wait for a stream without an end when it stops.
            stream = asyncio.create_task(self._events(route, request), name="lunora devserver events")
            self._streams.add(stream)
            stream.add_done_callback(self._streams.discard)
            return await stream

        return answer

    async def _events(self, route: EventRoute, request: web.Request) -> web.StreamResponse:
        faults, headers = self._app.faults, _headers(request)
        strike = faults.take_strike("http_stream", HttpRequest(request.path, headers, b"", _origin(request)))
        await faults.hold_back(strike.delay)
        if strike.instead is not None:
            return _response(strike.instead)
        if strike.is_lost:
            return _abort(request)
        asked = EventRequest(dict(request.match_info), dict(request.query), headers, _origin(request))
        try:
            texts = await self._backend.open_route(route, asked)
        except LunoraError as error:
            return _response(
                refusal_reply(error if isinstance(error, AppError) else AppError("BAD_REQUEST", str(error)))
            )
        events = EventStream(
            request, texts, keepalive=route.keepalive, strike=faults.events.take_event_strike(), faults=faults
        )
        return await events.run()

    async def _struck(self, request: web.Request, route: Route, answer: Answering) -> web.StreamResponse:
        faults = self._app.faults
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            limit = self._app.limits.body_size
            return _response(refusal_reply(AppError("PAYLOAD_TOO_LARGE", f"a body holds at most {limit} bytes")))
        asked = HttpRequest(request.path, _headers(request), body, _origin(request))
        strike = faults.take_strike(route, asked)
        reply = strike.instead or strike.distort(await answer(strike.admit(asked)))
        await faults.hold_back(strike.delay)
        if strike.is_lost:
            return _abort(request)
        await faults.until_flowing()
        return _response(reply)

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        faults = self._app.faults
        faults.attempts += 1
        if faults.is_refusing:
            return _abort(request)
        headers, query = _headers(request), request.query
        try:
            check_cross_site_socket(headers, _origin(request))
            session = await self._backend.accept(query.get("shard", ""), query.get("token"), headers)
        except AppError as error:
            return _response(refusal_reply(error))
        try:
            socket = web.WebSocketResponse(max_msg_size=self._app.limits.frame_size, compress=False)
            await socket.prepare(request)
            live = LiveSocket(session, socket, request.transport, faults)
            expires_at = session.expires_at
            await live.run(None if expires_at is None else expires_at - self._backend.now)
        finally:
            session.close()
        return socket

    async def _status(self, request: web.Request) -> web.Response:
        return _response(HttpReply(200, {"content-type": "application/json"}, serialize(self._backend.status())))

    async def _openrpc(self, request: web.Request) -> web.Response:
        return _response(HttpReply(200, {"content-type": "application/json"}, _pretty(self._app.openrpc())))

    async def _ws_token(self, request: web.Request) -> web.Response:
        try:
            token, expires_at_ms = self._app.access.make_ws_token(
                _headers(request), self._backend.now, self._app.limits.ws_token_lifetime
            )
        except AppError as error:
            return _response(refusal_reply(error))
        body = serialize({"token": token, "expiresAtMs": expires_at_ms})
        return _response(HttpReply(200, {"content-type": "application/json"}, body))


def _guard(pages: Pages) -> Middleware:
    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            pages.check(_headers(request), _origin(request))
        except AppError as error:
            return _response(refusal_reply(error))
        request[_MAY_ASK] = True
        allowed = preflight(_headers(request)) if request.method == "OPTIONS" else None
        return await handler(request) if allowed is None else web.Response(status=204, headers=allowed)

    return guard


async def _grant(request: web.Request, response: web.StreamResponse) -> None:
    if _MAY_ASK in request:
        response.headers.update(grants(_headers(request)))


def _headers(request: web.Request) -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers.items()}


def _origin(request: web.Request) -> str:
    return f"{request.scheme}://{request.host}"


def _response(reply: HttpReply) -> web.Response:
    return web.Response(status=reply.status, headers=dict(reply.headers), body=reply.body)


def _abort(request: web.Request) -> web.Response:
    reset(request.transport)
    return web.Response(status=499)


def _pretty(document: dict[str, Any]) -> bytes:
    return json.dumps(document, indent=2, ensure_ascii=False).encode()
