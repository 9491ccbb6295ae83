"""A server in another thread, for commands that run an event loop of their own."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from lunora_rx.cli.commands import app as command
from lunora_rx.devserver import App, AppError

TOKEN = "canary-5e0c7d3a"


class Served:
    """A server of notes, and commands that talk to it."""

    def __init__(self, app: App, url: str, loop: asyncio.AbstractEventLoop) -> None:
        self.app = app
        self.url = url
        self._loop = loop

    def run(self, *arguments: object, stdin: str | None = None, **env: str) -> Result:
        """Run a command against the server, into a pipe."""
        return CliRunner().invoke(
            command, [str(each) for each in arguments], input=stdin, env={"LUNORA_URL": self.url, **env}
        )

    def do(self, act: Callable[[], Any]) -> None:
        """Do something on the server's loop, and wait until it is done."""

        async def acting() -> None:
            act()

        asyncio.run_coroutine_threadsafe(acting(), self._loop).result(10)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """What the server holds."""
        rows: list[dict[str, Any]] = []
        self.do(lambda: rows.extend(self.app.backend.shard().query(self.app.functions["notes:list"], {}, None).value))
        return rows


def notes_app() -> App:  # noqa: C901 - a function each
    """An app of notes."""
    app = App()

    @app.authenticate
    def whose(token: str) -> str | None:
        return "ada" if token == TOKEN else None

    @app.query("notes:list")
    def list_notes(ctx, limit: int = 100):
        return ctx.db.table("notes").take(limit)

    @app.query("notes:first")
    def first(ctx):
        if (row := ctx.db.table("notes").first()) is None:
            raise AppError("EMPTY", "there is no note yet", hint="write one")
        return row

    @app.query("notes:whoami")
    def whoami(ctx):
        return ctx.identity

    @app.query("notes:leak")
    def leak(ctx):
        raise AppError("LEAK", f"the server repeats {TOKEN}")

    @app.mutation("notes:write")
    def write(ctx, text: str):
        if text == "no":
            raise AppError("REFUSED", "such notes are refused")
        return ctx.db.insert("notes", text=text)

    @app.mutation("notes:add")
    def add(ctx, rows: list[dict], book: str = ""):
        for row in rows:
            if row.get("text") == "no":
                raise AppError("REFUSED", "such notes are refused")
            ctx.db.insert("notes", **row, book=book)

    @app.action("notes:shout")
    def shout(ctx, text: str):
        return text.upper()

    return app


def words(text: str) -> str:
    """A text without the frames and the line breaks of a usage error."""
    return " ".join(re.sub("[│╭╮╰╯─]", " ", text).split())


@contextmanager
def serving(app: App, port: int = 0) -> Iterator[Served]:
    """Serve an app, on a loop and a thread of its own."""
    started, ended = threading.Event(), asyncio.Event()
    found: list[Served] = []

    async def serve() -> None:
        async with app.serve(port=port) as url:
            found.append(Served(app, url, asyncio.get_running_loop()))
            started.set()
            await ended.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert started.wait(10)
    try:
        yield found[0]
    finally:
        found[0].do(ended.set)
        thread.join(10)


class _Answer(BaseHTTPRequestHandler):
    """Answers everything alike."""

    status, headers_too, body = 404, {}, b"<html>no such page</html>"

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(self.status)
        for name, value in {"content-length": str(len(self.body)), **self.headers_too}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(self.body)

    do_POST = do_GET  # noqa: N815 - the name that http.server looks for

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@contextmanager
def answering(status: int = 404, **headers: str) -> Iterator[str]:
    """Serve what is no Lunora server: a page of HTML with one status for everything; yields its URL."""
    handler = type("Answer", (_Answer,), {"status": status, "headers_too": headers})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join(10)


@pytest.fixture
def served() -> Iterator[Served]:
    """A server of notes."""
    with serving(notes_app()) as server:
        yield server
