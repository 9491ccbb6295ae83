"""Those who watch: too slow, raising, calling back, or overwhelmed."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from lunora_rx import LunoraClient
from lunora_rx.errors import StreamError, TransportError
from lunora_rx.rx.stream import MAX_BUFFER_SIZE
from tests.faults import oracle
from tests.faults.customer import PATIENCE, until
from tests.faults.memory import MEGABYTE, Peak, needs_proc
from tests.faults.process import ROOT, opened_apart
from tests.faults.shop import HEARTBEAT
from tests.support import Recorder

# What a few frames of a megabyte take, on their way through buffers and a parser.
BOUND = 48 * MEGABYTE


# --- 27 and 57: more than anybody can hear


@asynccontextmanager
async def bursting(count: int, size: int) -> AsyncIterator[str]:
    """A server that answers a query with so many values of a size; yields its URL."""
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "tests.faults.burst", str(count), str(size)],
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(await process.stdout.readline())}"
    finally:
        process.kill()
        await process.communicate()


@needs_proc
@pytest.mark.parametrize(
    "count", [pytest.param(40), pytest.param(400, marks=pytest.mark.slow)], ids=["40 MB", "400 MB"]
)
@pytest.mark.fault(27)
async def test_burst_takes_no_more_memory_than_a_few_frames(watched, count):
    """Who observes sees every value; who iterates sees the newest; what is not read yet waits at the server."""
    numbers, newest = [], []
    async with (
        bursting(count, MEGABYTE) as url,
        LunoraClient(url, polling=None, heartbeat_interval=HEARTBEAT) as client,
    ):
        live = client.live("values:burst")
        peak = Peak()
        live.subscribe(lambda value: numbers.append(int(value.partition(" ")[0])))
        async with asyncio.timeout(PATIENCE * 3):
            async for value in live:
                newest.append(int(value.partition(" ")[0]))
                if newest[-1] == count - 1:
                    break
                await asyncio.sleep(0.05)
        assert numbers == [*range(count)]
        assert newest == sorted(set(newest))
        assert len(newest) < count, "a slow consumer skips what is outdated"
        assert peak.growth < BOUND


@needs_proc
@pytest.mark.slow
@pytest.mark.fault(57)
async def test_frame_of_100_megabytes_is_refused_without_being_kept(watched):
    """Nothing is parsed above the limit of 64 MiB: the query fails alone, and one beside it is live."""
    failed, beside = Recorder(), Recorder()
    async with bursting(1, 100 * MEGABYTE) as url, LunoraClient(url, polling=None, heartbeat_interval=0) as client:
        peak = Peak()
        client.live("values:burst").subscribe(failed)
        client.live("values:other").subscribe(beside)
        await until(lambda: failed.errors and beside.values, patience=60)
        assert isinstance(failed.errors[0], TransportError)
        assert failed.errors[0].code == "FRAME_TOO_LARGE"
        assert beside.last == "small"
        assert peak.growth < 16 * MEGABYTE


# --- 28: slow


@pytest.mark.fault(28, 55)
async def test_slow_iteration_gets_the_newest_value_and_delays_nobody(shop, ada):
    """While one takes its time, longer than a connection may be silent, others see every value at once."""
    taken, may_begin = [], asyncio.Event()

    async def take() -> None:
        async for rows in ada.live:
            taken.append(len(rows))
            may_begin.set()
            await asyncio.sleep(3 * HEARTBEAT)
            if len(rows) == 11:
                return

    slow = asyncio.ensure_future(take())
    await may_begin.wait()
    began = time.monotonic()
    await ada.write(*range(10))
    await until(lambda: ada.numbers == [*range(10)])
    assert time.monotonic() - began < 3 * HEARTBEAT or taken == [0, 10], "nobody waits for the slow one"
    await until(lambda: len(taken) == 2)
    await ada.write(10)
    await asyncio.wait_for(slow, PATIENCE)
    assert taken[0] == 0
    assert len(taken) <= 4
    await oracle.check(shop, ada, range(11))
    assert shop.sockets.connections == 1


@pytest.mark.fault(28, 55)
@pytest.mark.parametrize("debug", [False, pytest.param(True, marks=pytest.mark.slow)])
async def test_observer_that_blocks_is_named_and_loses_nothing(watched, caplog, debug):
    """All wait for it, as it holds the event loop; a warning names it, and every write and value arrives."""

    def dawdle(rows: list) -> None:
        if len(rows) == 2:
            time.sleep(3 * HEARTBEAT)

    async with opened_apart() as (shop, _), shop.customer(debug=debug) as ada:
        ada.live.subscribe(dawdle)
        await ada.write(*range(5))
        await oracle.check(shop, ada, range(5))
        assert await shop.ask("server:runs") == [0, 1, 2, 3, 4]
        assert await shop.ask("server:attempts") <= 2
        warnings = [each.getMessage() for each in caplog.records if "stood still" in each.getMessage()]
        assert warnings
        assert all("dawdle" in each for each in warnings)
        await oracle.check_closed(ada)


# --- 29 and 30: raising, and calling back


@pytest.mark.fault(29, 55)
async def test_observer_that_raises_harms_nobody_else(shop):
    """Each of its errors is reported; the connection, the queue and whoever watches beside it go on."""
    errors: list[Exception] = []
    async with shop.customer(on_error=errors.append) as ada:

        def explode(rows: list) -> None:
            raise ValueError(f"I do not like {len(rows)}")

        ada.live.subscribe(explode)
        ada.client.status.subscribe(explode_at_status)
        await ada.write(0, 1)
        shop.cut()
        await until(lambda: not shop.sockets.open_connections)
        await ada.write(2)
        await shop.heal()
        await oracle.check(shop, ada, range(3))
        assert {type(error) for error in errors} == {ValueError}
        assert "I do not like 3" in [str(error) for error in errors]
        await oracle.check_closed(ada)


def explode_at_status(status: object) -> None:
    """Raise at every status."""
    raise ValueError(f"not {status}")


@pytest.mark.fault(30, 55)
async def test_observer_that_calls_the_client_deadlocks_nothing_and_keeps_the_order(shop, ada):
    """It writes, subscribes, and disposes of itself, from within what it is shown: each takes effect in its turn."""
    lengths, others = [], Recorder()

    def react(rows: list) -> None:
        lengths.append(len(rows))
        if len(rows) == 1:
            ada.add(1)
            ada.client.live("rows:large", {"size": 3}).subscribe(others)
        if len(rows) == 2:
            ada.client.live("rows:list").subscribe(others)
        if len(rows) == 3:
            subscription.dispose()

    subscription = ada.live.subscribe(react)
    await ada.write(0)
    await until(lambda: 1 in ada.writes and ada.writes[1].is_settled)
    await ada.write(2, 3)
    await oracle.check(shop, ada, range(4))
    assert lengths == sorted(lengths)
    assert (lengths[0], lengths[-1], lengths.count(3)) == (0, 3, 1)
    assert "xxx" in others.values
    assert [len(each) for each in others.values if each != "xxx"][-1] == 4


# --- 56: a stream that nobody reads


@pytest.mark.fault(56)
async def test_stream_nobody_reads_is_cancelled_at_its_bound(shop, ada):
    """What is too far behind fails with ``STREAM_BACKPRESSURE``, and the server is told to stop."""
    chunks = ada.client.stream("numbers:count", {"until": 1000}, max_buffer=16).aiter()
    assert await anext(chunks) == 0
    shop.rows.gate.set()
    await until(lambda: not ada.client.debug()["shards"][""]["streams"])
    with pytest.raises(StreamError) as raised:
        async for _ in chunks:
            pass
    assert raised.value.code == "STREAM_BACKPRESSURE"
    await ada.write(0)
    await oracle.check(shop, ada, [0])


@needs_proc
@pytest.mark.fault(56)
async def test_stream_of_large_chunks_that_nobody_reads_takes_no_more_memory_than_its_bound(watched):
    """Far fewer than may wait are too many: 300 of a megabyte come, and not a quarter of them is kept."""
    async with bursting(300, MEGABYTE) as url, LunoraClient(url, polling=None, heartbeat_interval=0) as client:
        chunks = client.stream("values:flow").aiter()
        peak = Peak()
        first = await anext(chunks)
        assert first.startswith("0 ")
        await until(lambda: not client.debug()["shards"][""]["streams"])
        with pytest.raises(StreamError, match="characters behind") as raised:
            await anext(chunks)
        assert raised.value.code == "STREAM_BACKPRESSURE"
        # The server goes on for a while: what nobody wants any more takes no room either.
        assert await client.live("values:other").first() == "small"
        assert peak.growth < MAX_BUFFER_SIZE + BOUND
