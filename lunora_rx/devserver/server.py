"""The aiohttp shell around a ``Backend``: routes, sockets, and the faults that strike between them."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any

from aiohttp import web

from lunora_rx.devserver.backend import Backend
from lunora_rx.devserver.calls import HttpRequest
from lunora_rx.devserver.refusals import AppError, status_of
from lunora_rx.devserver.sockets import LiveSocket
from lunora_rx.protocol.endpoints import (
    ADMIN_WS_TOKEN_PATH,
    BATCH_PATH,
    OPENRPC_PATH,
    RPC_PATH,
    STATUS_PATH,
    WS_PATH,
)
from lunora_rx.protocol.rpc import HttpReply, Refused, encode_outcome
from lunora_rx.protocol.text import serialize

if TYPE_CHECKING:
    from lunora_rx.devserver.app import App

__all__ = ["Server"]

logger = logging.getLogger("lunora_rx.devserver")

SESSION_PATH = "/api/auth/get-session"
_SHUTDOWN_TIMEOUT = 2.0


class Server:
    """Serves one backend on one address."""

    def __init__(self, app: App, backend: Backend) -> None:
        self._app = app
        self._backend = backend
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> str:
        """Listen, and return the URL; port 0 takes a free one."""
        routes = web.Application(client_max_size=self._app.limits.body_size)
        routes.add_routes(
            [
                web.post(RPC_PATH, self._call),
                web.post(BATCH_PATH, self._call),
                web.get(WS_PATH, self._socket),
                web.get(STATUS_PATH, self._status),
                web.get(OPENRPC_PATH, self._openrpc),
                web.post(ADMIN_WS_TOKEN_PATH, self._ws_token),
                web.get(SESSION_PATH, self._session),
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
        """End all sockets and stop listening; stopping twice is silent."""
        runner, self._runner = self._runner, None
        if runner is None:
            return
        self._app.faults.detach_server(self._backend)
        self._backend.close()
        await runner.cleanup()

    async def _call(self, request: web.Request) -> web.StreamResponse:
        faults = self._app.faults
        reply = faults.take_failure()
        if reply is None:
            reply = await self._answered(request)
            if faults.take_lost_reply():
                return _abort(request)
        await faults.until_flowing()
        return _response(reply)

    async def _answered(self, request: web.Request) -> HttpReply:
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            limit = self._app.limits.body_size
            return _refusal(AppError("PAYLOAD_TOO_LARGE", f"a body holds at most {limit} bytes"))
        return await self._backend.answer(HttpRequest(request.path, _headers(request), body, _origin(request)))

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        faults = self._app.faults
        faults.attempts += 1
        if faults.is_refusing:
            return _abort(request)
        try:
            session = await self._backend.accept(request.query.get("shard", ""), request.query.get("token"))
        except AppError as error:
            return _response(_refusal(error))
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
            return _response(_refusal(error))
        body = serialize({"token": token, "expiresAtMs": expires_at_ms})
        return _response(HttpReply(200, {"content-type": "application/json"}, body))

    async def _session(self, request: web.Request) -> web.Response:
        try:
            subject = await self._app.access.subject_of_request(_headers(request))
        except AppError as error:
            return _response(_refusal(error))
        body = serialize(None if subject is None else {"user": {"id": subject}})
        return _response(HttpReply(200, {"content-type": "application/json"}, body))


def _headers(request: web.Request) -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers.items()}


def _origin(request: web.Request) -> str:
    return f"{request.scheme}://{request.host}"


def _response(reply: HttpReply) -> web.Response:
    return web.Response(status=reply.status, headers=dict(reply.headers), body=reply.body)


def _refusal(error: AppError) -> HttpReply:
    body = serialize(encode_outcome(Refused(error)))
    return HttpReply(status_of(error.code), {"content-type": "application/json"}, body)


def _abort(request: web.Request) -> web.Response:
    transport = request.transport
    if isinstance(transport, asyncio.Transport):
        transport.abort()
    return web.Response(status=499)


def _pretty(document: dict[str, Any]) -> bytes:
    return json.dumps(document, indent=2, ensure_ascii=False).encode()
