"""A server whose doors open to planted secrets, and an application that uses everything that a client offers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from lunora_rx.devserver import App
from tests.security.canary import planted

BEARER, NEXT_BEARER, OTHERS_BEARER = planted("bearer"), planted("next"), planted("other")
SOCKET, COOKIE, PASSWORD, ADMIN = planted("socket"), planted("cookie"), planted("password"), planted("admin")
USERS = {BEARER: "ada", NEXT_BEARER: "ada", OTHERS_BEARER: "bob", SOCKET: "ada"}


def house() -> App:
    """Return an app with a function of every kind, which knows the planted secrets."""
    app = App(admin_token=ADMIN)
    app.authenticate(USERS.get)

    @app.query("notes:list")
    def all_notes(ctx):
        return ctx.db.table("notes").collect()

    @app.query("notes:page")
    def page(ctx, paginationOpts: dict):
        return ctx.db.table("notes").paginate(None, 10)

    @app.query("notes:who")
    def who(ctx):
        return ctx.identity

    @app.mutation("notes:add")
    def add(ctx, text: str = ""):
        return ctx.db.insert("notes", text=text)

    @app.action("notes:act")
    def act(ctx):
        return "done"

    @app.shape("notes")
    def notes(ctx):
        return ctx.db.table("notes")

    @app.stream("notes:read", durable=True)
    def read(ctx):
        yield from range(3)

    @app.http_stream("/notes")
    def notes_stream(ctx):
        yield from range(3)

    return app


class Trap:
    """Notes each request that it gets, with what it says in its headers and its URL.

    Attributes:
        requests: ``(path and query, headers)``, one a request.
    """

    def __init__(self, answer: Callable[[web.Request], Any]) -> None:
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.url = ""
        self._answer = answer

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Note a request and answer it."""
        self.requests.append((request.raw_path, dict(request.headers)))
        return await self._answer(request)


@asynccontextmanager
async def trap(answer: Callable[[web.BaseRequest], Any], *, ssl_context: Any = None) -> AsyncIterator[Trap]:
    """Serve a trap on a free port, which takes requests of every sort."""
    set_up = Trap(answer)
    # No access log: that of a server holds the URLs that it is asked for.
    runner = web.ServerRunner(web.Server(set_up.handle, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=ssl_context)
    await site.start()
    port = runner.addresses[0][1]
    set_up.url = f"{'http' if ssl_context is None else 'https'}://127.0.0.1:{port}"
    try:
        yield set_up
    finally:
        await runner.cleanup()


async def empty(request: web.BaseRequest) -> web.StreamResponse:
    """Answer with an empty object."""
    return web.json_response({})
