"""A server on a thread of its own, and a blocking client of it; no thread may be left."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future

import pytest

from lunora_rx import Backoff
from lunora_rx.blocking import LunoraClient
from lunora_rx.devserver import App

PATIENCE = 10.0
NOWHERE = "http://127.0.0.1:9"
QUICK = Backoff(initial=0.01, maximum=0.02)


class Shop:
    """A served app, with gates that its actions wait for."""

    def __init__(self) -> None:
        self.app = App()
        self.url = ""
        self.cancelled_runs = 0
        _add_tables(self.app)
        _add_streams(self, self.app)


def _add_tables(app: App) -> None:
    @app.query("rows:list")
    def list_rows(ctx, channel: str = "main"):
        return ctx.db.table("rows").where(channel=channel).take(10_000)

    @app.query("rows:count")
    def count(ctx):
        return ctx.db.table("rows").count()

    @app.query("rows:page")
    def page(ctx, paginationOpts: dict):
        options = paginationOpts
        return ctx.db.table("rows").paginate(options["lower"], options["numItems"], upper=options["upper"])

    @app.shape("allRows")
    def all_rows(ctx):
        return ctx.db.table("rows")

    @app.mutation("rows:add")
    def add(ctx, n: int, channel: str = "main"):
        return ctx.db.insert("rows", n=n, channel=channel)

    @app.mutation("rows:add_all")
    def add_all(ctx, rows: list[dict]):
        for row in rows:
            ctx.db.insert("rows", channel="main", **row)


def _add_streams(shop: Shop, app: App) -> None:
    @app.action("slow:forever")
    async def forever(ctx):
        await asyncio.Event().wait()

    @app.action("math:square")
    def square(ctx, n: int):
        return n * n

    @app.stream("count:up")
    async def count_up(ctx, to: int):
        try:
            for number in range(to):
                yield number
                await asyncio.sleep(0)
        finally:
            shop.cancelled_runs += 1

    @app.http_stream("/count/:to")
    async def count_http(ctx, to: str):
        for number in range(int(to)):
            yield number


@pytest.fixture
def shop() -> Iterator[Shop]:
    """An app served on a thread of its own."""
    shop, url, over = Shop(), Future(), Future()

    async def run() -> None:
        async with shop.app.serve() as address:
            end = asyncio.Event()
            url.set_result((address, asyncio.get_running_loop(), end))
            await end.wait()

    thread = threading.Thread(target=lambda: over.set_result(asyncio.run(run())))
    thread.start()
    shop.url, loop, end = url.result(PATIENCE)
    yield shop
    loop.call_soon_threadsafe(end.set)
    over.result(PATIENCE)
    thread.join()


@pytest.fixture
def no_threads_left() -> Iterator[None]:
    """Fails a test that leaves threads behind."""
    before = set(threading.enumerate())
    yield
    gc.collect()
    until(lambda: set(threading.enumerate()) <= before)


@pytest.fixture
def client(shop: Shop, no_threads_left: None) -> Iterator[LunoraClient]:
    """A blocking client of the shop."""
    with LunoraClient(shop.url, reconnect=QUICK) as client:
        yield client


def until(condition: Callable[[], object], *, patience: float = PATIENCE) -> None:
    """Let other threads run until a condition holds."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.001)
