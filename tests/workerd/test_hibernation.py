"""Hibernation: the object of a shard is gone from memory, its sockets are not, and nobody out there can tell."""

from __future__ import annotations

import asyncio

import pytest

from lunora_rx import LunoraClient, Status
from tests.e2e.peer import call, connected
from tests.support import QUICK, Recorder, until

ADD = "rows:add"
NUMBERS = "rows:numbers"
# The runtime lets an object go that has heard nothing for ten seconds; on a busy machine it may take more.
IDLE = 10.5
ATTEMPTS = 4
PATIENCE = 20.0

pytestmark = pytest.mark.timeout(180)


async def let_sleep(worker, wake):
    """Leave a shard alone until it is found asleep by what wakes it; return how often it was constructed since."""
    before = await worker.control("lives")
    for _ in range(ATTEMPTS):
        await asyncio.sleep(IDLE)  # asking whether it sleeps would wake it
        await wake()
        if (lives := await worker.control("lives")) > before:
            return lives - before
    raise AssertionError("the object never hibernated")


async def test_write_of_somebody_else_reaches_a_client_through_hibernation(worker, no_tasks_left):
    """Query and shape go on over the socket there was; the client's keepalives were answered and woke nobody."""
    async with LunoraClient(worker.url, heartbeat_interval=0.4, reconnect=QUICK) as client:
        statuses, query, shape = Recorder(), Recorder(), Recorder()
        client.live(NUMBERS).subscribe(query)
        client.shape("rows:all").subscribe(shape)
        await until(lambda: query.values and shape.values)
        client.status.subscribe(statuses)
        written = []

        async def write():
            written.append(len(written))
            await call(worker.url, ADD, {"n": written[-1]})
            await until(lambda: query.last == written == [row["n"] for row in shape.last], patience=PATIENCE)

        assert await let_sleep(worker, write) == 1
        assert statuses.values == [Status.CONNECTED]
        await write()


async def test_own_write_after_hibernation_settles_queries_that_it_does_not_touch(worker, no_tasks_left):
    """The object that wakes knows whose sockets it has: their client id is attached to them."""
    async with LunoraClient(worker.url, heartbeat_interval=0.4, reconnect=QUICK) as client:
        live, seen = client.live("notes:count"), Recorder()
        live.subscribe(seen)
        await until(lambda: seen.values)

        async def write():
            patch = {"optimistic_update": lambda store, _: store.set_query("notes:count", None, 99)}
            await client.mutation(ADD, {"n": 1}, **patch)
            await until(lambda: not live.snapshot.is_optimistic, patience=PATIENCE)

        assert await let_sleep(worker, write) == 1
        assert (seen.last, client.status.value) == (0, Status.CONNECTED)


async def test_frames_after_hibernation_are_those_of_a_server_in_doubt(worker):
    """It does not know what it sent last, so it sends the value whole, and from then on deltas again."""
    async with connected(worker.url, token="token-ana") as peer:
        _, first = await peer.subscribe("rows:list")
        frames = []

        async def write():
            await call(worker.url, ADD, {"n": 1})
            frames.append(await peer.next())

        await let_sleep(worker, write)
        await write()
        assert [each["type"] for each in frames[-2:]] == ["data", "delta"]
        assert {each["epoch"] for each in frames} == {first["epoch"]}
        assert (await peer.subscribe("rows:mine", id="sub_2"))[1]["data"] == "of ana"
