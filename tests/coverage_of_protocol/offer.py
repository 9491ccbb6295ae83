"""What the server of the scene offers: one of everything."""

from __future__ import annotations

import asyncio
import sqlite3

from lunora_rx import WireBigInt
from lunora_rx.devserver import App, AppError

ADD = "rows:add"
LIST = "rows:list"
SHAPE = "rows:all"


class Traces:
    """What the functions leave behind, and what they wait for.

    Attributes:
        runs: What the mutation has added, in order.
        contexts: What the hook of sockets was told.
        ended: How many runs of streams are over, cancelled ones included.
        gate: What streams wait for after their second chunk.
    """

    def __init__(self) -> None:
        self.runs: list[int] = []
        self.contexts: list[object] = []
        self.ended = 0
        self.gate = asyncio.Event()


def register(app: App, traces: Traces) -> None:
    """Register everything."""
    register_rows(app, traces)
    register_refusals(app)
    register_streams(app, traces)

    @app.on_connect
    def note_context(ctx):
        traces.contexts.append(ctx.context)


def register_rows(app: App, traces: Traces) -> None:
    """Register what reads and writes."""

    @app.query(LIST)
    def rows(ctx):
        return ctx.db.table("rows").collect()

    @app.query("rows:large")
    def large(ctx, size: int):
        return "x" * size

    @app.mutation(ADD)
    def add(ctx, n: int, **fields: str):
        traces.runs.append(n)
        return ctx.db.insert("rows", n=n, **fields)

    @app.shape(SHAPE)
    def shape(ctx):
        return ctx.db.table("rows")


def register_refusals(app: App) -> None:
    """Register what fails."""

    @app.query("codes:raise")
    def refuse(ctx, code: str):
        raise AppError(code, "no", data={"retryAfterMs": 1500, "n": WireBigInt(7)}, hint="try it")

    @app.query("codes:fail")
    def fail(ctx):
        raise ValueError("a bug")

    @app.query("codes:locked")
    def locked(ctx):
        raise sqlite3.OperationalError("database is locked")

    @app.http_stream("/refusal")
    def refusal(ctx):
        yield 0
        raise AppError("ROOM_FULL", "the room is full")


def register_streams(app: App, traces: Traces) -> None:
    """Register what goes on."""

    async def numbers(ctx, count: int = 3):
        try:
            for number in range(count):
                if number == 2:
                    await traces.gate.wait()
                yield number
        finally:
            traces.ended += 1

    app.stream("numbers:once")(numbers)
    app.stream("numbers:kept", durable=True)(numbers)

    @app.http_stream("/numbers/:count")
    def counted(ctx, count: int):
        yield from range(count)
