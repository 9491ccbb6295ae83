"""Cancelled at every await: whoever waits may go at any moment, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeAlias

import pytest
from reactivex import operators as ops

from lunora_rx import PageStatus, Phase, SnapshotStatus, Status, observable_to_aiter
from tests.faults import oracle
from tests.faults.customer import Customer, until
from tests.support import Recorder

# More turns of the loop than the longest visit takes.
ENOUGH = 600
# And than it takes until whatever cannot go on without a socket waits for one.
UNTIL_WAITING = 60

Step: TypeAlias = Callable[[Customer, Iterator[int]], Awaitable[object]]


async def write(customer: Customer, numbers: Iterator[int]) -> None:
    await customer.add(next(numbers))


async def follow_phases(customer: Customer, numbers: Iterator[int]) -> None:
    written = customer.add(next(numbers))
    await written.phases.pipe(ops.filter(lambda phase: phase in (Phase.QUEUED, Phase.SENT)), ops.first())
    await written.phases.pipe(ops.last())


async def query(customer: Customer, numbers: Iterator[int]) -> None:
    await customer.client.query("rows:list")
    await customer.client.batch([("rows:list",), ("server:who",)])


async def ask_who_it_is(customer: Customer, numbers: Iterator[int]) -> None:
    await customer.client.current_user()


async def read_http_stream(customer: Customer, numbers: Iterator[int]) -> None:
    async for _ in customer.client.http_stream("/numbers/:until", params={"until": 2}).aiter():
        pass


async def import_rows(customer: Customer, numbers: Iterator[int]) -> None:
    await customer.client.import_rows("imports:add", [{"n": next(numbers)} for _ in range(2)], chunk_size=1)


async def preload_and_hydrate(customer: Customer, numbers: Iterator[int]) -> None:
    preloaded = await customer.client.preload("rows:large", {"size": 6})
    live = customer.client.hydrate(preloaded)
    async for snapshot in observable_to_aiter(live.snapshots):
        if snapshot.status is SnapshotStatus.LIVE:
            break


async def read_live_query(customer: Customer, numbers: Iterator[int]) -> None:
    await customer.client.live("rows:large", {"size": 3}).first()
    async for _ in customer.client.live("rows:large", {"size": 4}):
        break


async def combine(customer: Customer, numbers: Iterator[int]) -> None:
    live = customer.client.live
    await customer.client.combine({"who": live("server:who"), "large": live("rows:large", {"size": 7})}).first()


async def grow_list(customer: Customer, numbers: Iterator[int]) -> None:
    pages = customer.client.paginate("rows:pages", page_size=1)
    async for rows in pages:
        if len(rows) > 1 or pages.status is PageStatus.EXHAUSTED:
            break
        pages.load_more(1)


async def read_stream(customer: Customer, numbers: Iterator[int]) -> None:
    async for _ in customer.client.stream("numbers:count", {"until": 1}).aiter():
        pass


async def read_shape(customer: Customer, numbers: Iterator[int]) -> None:
    await customer.client.shape("rows:shape").first()


VISITS: dict[str, tuple[Step, ...]] = {
    "calls": (write, query, ask_who_it_is, read_http_stream, import_rows, follow_phases),
    "watching": (write, read_live_query, preload_and_hydrate, combine, grow_list, read_stream, read_shape, write),
}
"""Everything that can be awaited, in two parts: that each await is reached costs the square of a part's length."""

visits = pytest.mark.parametrize("steps", VISITS.values(), ids=VISITS)


async def visit(customer: Customer, numbers: Iterator[int], steps: tuple[Step, ...]) -> None:
    """Do one thing after another."""
    for step in steps:
        await step(customer, numbers)


async def turns(count: int) -> None:
    """Let the loop run so many turns."""
    for _ in range(count):
        await asyncio.sleep(0)


async def cancel_after(count: int, customer: Customer, numbers: Iterator[int], steps: tuple[Step, ...]) -> bool:
    """Begin a visit, cancel it after so many turns, and tell whether it was over by then."""
    task = asyncio.ensure_future(visit(customer, numbers, steps))
    await turns(count)
    was_over = task.done()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return was_over


def shown_by(customer: Customer) -> dict[str, object]:
    """Return what a client holds for somebody: queries, layers, calls, and what its sessions know of."""
    counts = customer.client.counts()
    session = customer.client.debug()["shards"][""]
    return {
        "queries": counts.live_queries,
        "observers": counts.observers,
        "writes": counts.pending_writes + counts.open_mutations,
        "layers": counts.optimistic_layers,
        "calls": counts.calls_in_flight,
        "subscriptions": len(session["subscriptions"]),
        "shapes": len(session["shapes"]),
        "streams": len(session["streams"]),
    }


WRITES = {"writes": None, "layers": None}
"""What stays of a write that waits."""


@pytest.mark.fault(58)
@visits
@pytest.mark.parametrize("step", [pytest.param(3), pytest.param(1, marks=pytest.mark.slow)])
async def test_visit_cancelled_at_any_moment_leaves_nothing(shop, ada, step, steps):
    """Whatever was awaited: no layer, subscription, call or task stays, and what was written is carried out once."""
    shop.rows.gate.set()
    numbers = iter(range(10**6))
    before, tasks = shown_by(ada), len(oracle._tasks_of_the_client())
    for count in range(0, ENOUGH, step):
        was_over = await cancel_after(count, ada, numbers, steps)
        await ada.until_calm()
        await until(lambda: shown_by(ada) == before)
        await until(lambda: len(oracle._tasks_of_the_client()) == tasks)
        if was_over:
            break
    assert was_over, "not every await was reached"
    table = [row["n"] for row in await shop.table()]
    assert sorted(table) == sorted(ada.writes)
    await oracle.check(shop, ada, table)
    await check_imports(shop)


async def check_imports(shop) -> None:
    """Nothing that was imported is there twice, and of each import, which nobody took back, all of it."""
    imported = await shop.ask("imports:list")
    assert len(set(imported)) == len(imported)
    assert len(imported) % 2 == 0


@pytest.mark.fault(58)
@pytest.mark.parametrize("step", [pytest.param(4), pytest.param(1, marks=pytest.mark.slow)])
async def test_everything_cancelled_while_sockets_are_refused_leaves_nothing_but_writes(shop, ada, step):
    """What waits for a socket waits for nothing once it is cancelled; writes go on waiting, and go out once."""
    shop.rows.gate.set()
    numbers = iter(range(10**6))
    steps = {step for steps in VISITS.values() for step in steps}
    before, tasks = shown_by(ada), len(oracle._tasks_of_the_client())
    shop.sockets.refuse()
    await ada.until_status(Status.OFFLINE, Status.CONNECTING)
    for count in range(0, UNTIL_WAITING, step):
        waiting = [asyncio.ensure_future(each(ada, numbers)) for each in steps]
        await turns(count)
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        await until(lambda: shown_by(ada) | WRITES == before | WRITES)
    assert ada.pending >= len(ada.writes) > 0
    await shop.heal()
    await ada.until_calm()
    await until(lambda: shown_by(ada) == before)
    await until(lambda: len(oracle._tasks_of_the_client()) == tasks)
    table = [row["n"] for row in await shop.table()]
    assert sorted(table) == sorted(ada.writes)
    await oracle.check(shop, ada, table)
    await check_imports(shop)


@pytest.mark.fault(58, 59)
@visits
@pytest.mark.parametrize("step", [pytest.param(20), pytest.param(3, marks=pytest.mark.slow)])
async def test_client_closed_at_any_moment_of_a_visit_leaves_nothing(shop, storage, step, steps):
    """Whoever awaits is told; what was queued is on disk, and the next client carries it out once."""
    shop.rows.gate.set()
    numbers, queued = iter(range(10**6)), set[int]()
    for count in range(0, ENOUGH, step):
        async with shop.customer(is_connected=False, storage=storage) as customer:
            seen = Recorder()
            customer.client.live("rows:large", {"size": 5}).subscribe(seen)
            task = asyncio.ensure_future(visit(customer, numbers, steps))
            await turns(count)
            await oracle.check_closed(customer, storage=storage)
            await asyncio.wait([task])
            assert seen.completions == 1
        if task.exception() is None:
            break
        queued |= {number for number in customer.writes if customer.was_queued(number)}
    async with shop.customer(storage=storage) as ada:
        await ada.verdict_on(next(numbers))
        table = [row["n"] for row in await shop.table()]
        assert queued <= set(table)
        assert len(set(table)) == len(table) == len(shop.runs)
        await oracle.check(shop, ada, table)
        await oracle.check_closed(ada, storage=storage)
