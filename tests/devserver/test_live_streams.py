"""Shapes, streams and hooks over real sockets."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType

from lunora_rx.devserver import App, Limits
from tests.devserver.views import tasks_app

CONNECT = {"type": "connect", "id": "connect", "clientId": "c1", "caps": ["pageDelta"]}


class Stage:
    """A served app, streams that wait for the test, and what became of them."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.url = ""
        self.http: Any = None
        self.go_on = asyncio.Event()
        self.events: list[str] = []
        app.stream("jobs:wait")(self.wait)
        app.stream("jobs:durable", durable=True)(self.wait)
        app.stream("jobs:forever")(self.forever)
        app.stream("jobs:stubborn")(self.stubborn)

    async def wait(self, ctx):
        try:
            yield "before"
            await self.go_on.wait()
            yield "after"
        finally:
            await asyncio.sleep(0.02)
            self.events.append("closed")

    def forever(self, ctx):
        try:
            while True:
                yield "x" * 1000
        finally:
            self.events.append("closed")

    async def stubborn(self, ctx):
        yield "before"
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.events.append("cancelled")
        yield "after"

    def socket(self) -> Any:
        return self.http.ws_connect(f"{self.url}/_lunora/ws")

    async def call(self, path: str, args: dict[str, Any]) -> Any:
        async with self.http.post(f"{self.url}/_lunora/rpc", json={"functionPath": path, "args": args}) as reply:
            return await reply.json()

    async def until(self, *events: str) -> None:
        async with asyncio.timeout(5):
            while self.events != list(events):
                await asyncio.sleep(0.005)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage(tasks_app(Limits(queued_bytes=200_000)))
    async with stage.app.serve() as stage.url, aiohttp.ClientSession() as stage.http:
        yield stage


async def receive(socket: Any, count: int = 1) -> list[dict[str, Any]]:
    return [json.loads(await socket.receive_str(timeout=5)) for _ in range(count)]


def start(path: str, **position: Any) -> dict[str, Any]:
    return {"type": "stream", "id": "stream_1", "query": {"functionPath": path}, **position}


async def test_shape_follows_writes_over_a_socket(stage):
    """Seeded, then told by pokes."""
    async with stage.socket() as socket:
        await socket.send_json({"type": "shape_subscribe", "id": "shape_1", "shape": {"name": "tasks:open"}})
        assert [frame["type"] for frame in await receive(socket, 3)] == ["pokeStart", "pokePart", "pokeEnd"]
        await stage.call("tasks:put", {"id": "a"})
        _, part, _ = await receive(socket, 3)
        assert part["rowsPatch"][0]["key"] == "a"


async def test_cut_poke_arrives_as_far_as_it_goes_and_ends_with_1006(stage):
    """The part is there, and no closing handshake follows it."""
    async with stage.socket() as socket:
        await socket.send_json({"type": "shape_subscribe", "id": "shape_1", "shape": {"name": "tasks:open"}})
        await receive(socket, 3)
        stage.app.faults.cut_poke(after="part")
        await stage.call("tasks:put", {"id": "a"})
        assert [frame["type"] for frame in await receive(socket, 2)] == ["pokeStart", "pokePart"]
        assert (await socket.receive(timeout=5)).type in (WSMsgType.CLOSED, WSMsgType.ERROR)
        assert socket.close_code == 1006
    assert stage.app.faults.open_sockets == 0


async def test_stream_that_waits_holds_nobody_up(stage):
    """Chunks come as they are made, and everything else goes on meanwhile."""
    async with stage.socket() as socket:
        await socket.send_json(start("jobs:wait"))
        assert (await receive(socket))[0]["data"] == "before"
        assert "result" in await stage.call("tasks:all", {})
        stage.go_on.set()
        after, complete = await receive(socket, 2)
    assert (after["data"], complete["type"]) == ("after", "complete")


@pytest.mark.parametrize("how", ["unsubscribe", "close", "drop"])
async def test_ephemeral_stream_ends_with_its_reader(stage, how):
    """A generator that waits is interrupted, and its ``finally`` may wait in turn."""
    async with stage.socket() as socket:
        await socket.send_json(start("jobs:wait"))
        await receive(socket)
        if how == "unsubscribe":
            await socket.send_json({"type": "unsubscribe", "id": "stream_1"})
        elif how == "close":
            await socket.close()
        else:
            stage.app.faults.drop_sockets()
        await stage.until("closed")


async def test_stream_that_never_waits_lets_others_run_and_can_be_ended(stage):
    """A plain generator without an end fills what the socket takes; the frame that ends it is read."""
    async with stage.socket() as socket:
        await socket.send_json(start("jobs:forever"))
        await receive(socket, 500)
        assert "result" in await stage.call("tasks:all", {})
        await socket.send_json({"type": "unsubscribe", "id": "stream_1"})
        async with asyncio.timeout(5):
            while not stage.events:
                await socket.receive_str()


async def test_slow_reader_holds_the_generator_up(stage):
    """What waits for a socket stays bounded, and the socket lives."""
    async with stage.socket() as socket:
        socket._conn.transport.pause_reading()
        await socket.send_json(start("jobs:forever"))
        await asyncio.sleep(0.2)
        (session,) = stage.app.backend.shard().members
        assert session.queued_bytes <= 200_000 // 8 + 2000
        socket._conn.transport.resume_reading()
        await receive(socket, 100)
        assert stage.app.faults.open_sockets == 1


async def test_generator_that_swallows_its_cancellation_is_closed_all_the_same(stage):
    """Its next chunk goes to nobody."""
    async with stage.socket() as socket:
        await socket.send_json(start("jobs:stubborn"))
        await receive(socket)
        await socket.send_json({"type": "unsubscribe", "id": "stream_1"})
        await stage.until("cancelled")
        await socket.send_str("lunora-ping")
        assert await socket.receive_str(timeout=5) == "lunora-pong"


async def test_durable_run_goes_on_without_a_socket_and_is_shared(stage):
    """A second reader joins, the first comes back by its position, and there was one run."""
    async with stage.socket() as first:
        await first.send_json(start("jobs:durable"))
        (chunk,) = await receive(first)
    async with stage.socket() as second, stage.socket() as back:
        await second.send_json(start("jobs:durable"))
        assert await receive(second) == [chunk]
        await back.send_json(start("jobs:durable", sinceChunk=chunk["seq"], generation=chunk["generation"]))
        stage.go_on.set()
        rest = await receive(second, 2)
        assert await receive(back, 2) == rest
    assert [frame["type"] for frame in rest] == ["chunk", "complete"]
    assert rest[0] == {**chunk, "data": "after", "seq": 2}
    await stage.until("closed")


async def test_durable_run_that_never_waits_lets_others_run(stage):
    """A plain generator without an end is stored chunk by chunk, and calls are answered in between."""
    stage.app.stream("jobs:endless", durable=True)(stage.forever)
    async with stage.socket() as socket:
        await socket.send_json(start("jobs:endless"))
        await receive(socket)
        assert "result" in await stage.call("tasks:all", {})
        assert len(stage.app.backend.shard().runs) == 1
        stage.app.faults.forget_streams()
        await stage.until("closed")


async def test_forgotten_run_is_interrupted_for_who_follows_it(stage):
    """The generator is closed, the reader is told, and a resume gets the same code."""
    async with stage.socket() as socket:
        await socket.send_json(start("jobs:durable"))
        (chunk,) = await receive(socket)
        stage.app.faults.forget_streams()
        (error,) = await receive(socket)
        await socket.send_json(start("jobs:durable", sinceChunk=1, generation=chunk["generation"]))
        (again,) = await receive(socket)
    assert error["error"]["code"] == again["error"]["code"] == "STREAM_INTERRUPTED"
    await stage.until("closed")


async def test_stopping_the_server_closes_generators_and_leaves_no_task(stage, caplog):
    """Ephemeral and durable ones alike, before ``serve`` returns."""
    caplog.set_level(logging.WARNING)
    before = asyncio.all_tasks()
    async with stage.app.serve() as url:
        socket = await stage.http.ws_connect(f"{url}/_lunora/ws")
        await socket.send_json(start("jobs:wait"))
        await socket.send_json(start("jobs:durable") | {"id": "stream_2"})
        await receive(socket, 2)
        reading = asyncio.create_task(socket.receive(timeout=5))
    assert (await reading).type is WSMsgType.CLOSE
    assert stage.events == ["closed", "closed"]
    assert asyncio.all_tasks() <= before
    assert caplog.text == ""


async def test_unfinished_run_is_gone_after_a_restart(tmp_path):
    """A server that stops in the middle of a run leaves nothing of it."""
    stage = Stage(App())
    async with aiohttp.ClientSession() as stage.http:
        async with stage.app.serve(storage=tmp_path) as stage.url, stage.socket() as socket:
            await socket.send_json(start("jobs:durable"))
            (chunk,) = await receive(socket)
        with closing(sqlite3.connect(next(tmp_path.glob("*.sqlite3")))) as database:
            assert database.execute("SELECT count(*) FROM chunks").fetchone() == (0,)
        async with stage.app.serve(storage=tmp_path) as stage.url, stage.socket() as socket:
            await socket.send_json(start("jobs:durable", sinceChunk=1, generation=chunk["generation"]))
            (error,) = await receive(socket)
    assert error["error"]["code"] == "STREAM_INTERRUPTED"


@pytest.mark.parametrize("how", ["close", "drop", "stop"])
async def test_disconnect_is_told_once_for_every_end_of_a_socket(how):
    """A closing handshake, a reset, and a server that stops."""
    app, told = App(), []
    app.on_connect(lambda ctx: told.append(("connect", ctx.context)))
    app.on_disconnect(lambda ctx: told.append(("disconnect", ctx.context)))
    async with aiohttp.ClientSession() as http:
        async with app.serve() as url:
            socket = await http.ws_connect(f"{url}/_lunora/ws")
            await socket.send_json(CONNECT | {"context": 1})
            await receive(socket)
            if how == "close":
                await socket.close()
            elif how == "drop":
                app.faults.drop_sockets()
            async with asyncio.timeout(5):
                while how != "stop" and app.faults.open_sockets:
                    await asyncio.sleep(0.005)
        assert told == [("connect", 1), ("disconnect", 1)]
        await socket.close()
