"""The app of a shop: it keeps numbers, and knows Ada and Bob by their tokens."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from lunora_rx.devserver import App, AppError
from lunora_rx.devserver.settings import Limits

CANARY = "canary-5b1fe0"
BEARERS = {f"{CANARY}-ada": "ada", f"{CANARY}-ada-2": "ada", f"{CANARY}-bob": "bob", f"{CANARY}-socket": "ada"}
ADA, ADA_2, BOB, SOCKET = BEARERS


@dataclass(slots=True)
class Rows:
    """An app that keeps numbers.

    Attributes:
        app: The app.
        runs: The numbers that it was made to keep, in order.
        refused: Tokens, and texts of writes, that are refused as unauthorized.
        asked: The tokens that it was shown.
        gate: What streams wait for after their first chunk.
    """

    app: App
    runs: list[int] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)


def rows_app(limits: Limits | None = None) -> Rows:
    """Return an app that knows Ada and Bob, and keeps the numbers they write."""
    rows = Rows(app := App(limits=limits, origins=["*"]))

    @app.authenticate
    def subject_of(token: str) -> str | None:
        rows.asked.append(token)
        return None if token in rows.refused else BEARERS.get(token)

    @app.query("rows:list")
    def all_rows(ctx):
        return ctx.db.table("rows").collect()

    @app.mutation("rows:add")
    def add(ctx, n: int, text: str = ""):
        if text in rows.refused:
            raise AppError("UNAUTHORIZED", "not with that credential")
        rows.runs.append(n)
        return ctx.db.insert("rows", n=n, author=ctx.identity)

    @app.mutation("rows:refuse")
    def refuse(ctx, n: int, code: str):
        raise AppError(code, "not that one")

    register_more(rows)
    register_imports(rows)
    register_server(rows)
    return rows


def register_more(rows: Rows) -> None:
    """Register what is watched besides: a value of any size, pages, a shape, streams of both kinds."""
    app = rows.app

    @app.query("rows:large")
    def large(ctx, size: int):
        return "x" * size

    @app.query("rows:pages")
    def pages(ctx, paginationOpts: dict):
        lower, upper, count = (paginationOpts[name] for name in ("lower", "upper", "numItems"))
        return ctx.db.table("rows").paginate(lower, count, upper=upper)

    @app.http_stream("/numbers/:until")
    async def count_for_http(ctx, until: str):
        for number in range(int(until)):
            yield number
            await rows.gate.wait()

    @app.shape("rows:shape")
    def shape(ctx):
        return ctx.db.table("rows")

    @app.stream("numbers:count")
    async def count(ctx, until: int):
        for number in range(until):
            yield number
            await rows.gate.wait()


def register_imports(rows: Rows) -> None:
    """Register what takes the rows of an import, in a table of its own."""
    app = rows.app

    @app.mutation("imports:add")
    def add_imported(ctx, rows: list):
        for row in rows:
            ctx.db.insert("imports", **row)

    @app.query("imports:list")
    def all_imported(ctx):
        return [row["n"] for row in ctx.db.table("imports").collect()]


def register_server(rows: Rows) -> None:
    """Register what tells of the server itself."""
    app = rows.app

    @app.query("server:who")
    def who(ctx):
        return ctx.identity

    @app.query("rows:mine")
    def mine(ctx):
        return [{**row, "reader": ctx.identity} for row in ctx.db.table("rows").collect()]

    @app.action("server:runs")
    def all_runs(ctx):
        return rows.runs

    @app.action("server:attempts")
    def attempts(ctx):
        return app.faults.attempts
