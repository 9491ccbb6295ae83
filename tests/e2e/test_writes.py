"""Writes over real sockets, through faults: all carried out, once, in order."""

from __future__ import annotations

import asyncio

import pytest

from lunora_rx import Backoff, LunoraClient, Phase, Status
from tests.support import Recorder, until

BRIEF = Backoff(initial=0.02, maximum=0.05)
HTML = b"<html><body><h1>503 Service Unavailable</h1></body></html>"


class Shop:
    """A server that keeps a row for each time that a write is carried out, a client, and what the client shows."""

    def __init__(self, gateway, client):
        self.faults = gateway
        self.client = client
        self.settled = Recorder()
        self.shown = Recorder()
        self.live = client.live("rows:list")
        client.settled.subscribe(self.settled)
        self.live.subscribe(self.shown)

    def add(self, number):
        """Write a number, shown at once."""
        row = {"n": number}
        return self.client.mutation(
            "rows:add",
            {"n": number},
            optimistic_update=lambda store, _: store.set_query(
                "rows:list", None, [*store.get_query("rows:list", None), row]
            ),
        )

    async def table(self):
        """Return what the server holds, oldest first."""
        return [row["n"] for row in await self.client.query("rows:list")]

    async def until_calm(self, count):
        """Wait until the live query shows so many rows, all of them the server's."""
        await until(lambda: len(self.shown.last) == count and not self.live.snapshot.is_optimistic)

    async def cut(self):
        """Cut the connection and keep it cut; return once the client knows."""
        self.faults.refuse_sockets()
        self.faults.drop_sockets()
        await until(lambda: self.client.status.value is not Status.CONNECTED)


@pytest.fixture
async def shop(no_tasks_left, gateway):
    """A server, a client that is connected to it, and a live query."""
    async with LunoraClient(gateway.url, reconnect=BRIEF) as client:
        shop = Shop(gateway, client)
        await until(lambda: shop.shown.values)
        yield shop


async def test_cut_while_writing_replays_in_order_once(shop):
    """Writes composed before, during and after an outage are all in the table, once, in the order of composing."""
    mutations = []
    for number in range(30):
        if number == 10:
            await shop.cut()
        if number == 20:
            assert shop.client.pending.value == 10
            assert [row["n"] for row in shop.shown.last] == list(range(20))
            shop.faults.release()
        mutations.append(shop.add(number))
        # Direct writes go out at once, each over a connection of its own: only who awaits them orders them.
        if not 10 <= number < 20:
            await mutations[-1]
    acknowledged = [await each for each in mutations]
    rows = await shop.client.query("rows:list")
    assert [row["n"] for row in rows] == list(range(30))
    assert [row["_id"] for row in rows] == acknowledged
    waited = [each.mutation_id for each in mutations if was_queued(each)]
    assert len(waited) == 11
    assert [each.mutation_id for each in shop.settled.values] == waited
    assert {each.status for each in shop.settled.values} == {"committed"}
    await shop.until_calm(30)
    assert shop.shown.last == rows


async def test_cut_again_and_again_loses_and_doubles_nothing(shop):
    """Sockets and replies are lost all the time; the table holds every write once."""
    mutations = []
    for number in range(60):
        if number % 12 == 5:
            shop.faults.refuse_sockets(0.05)
            shop.faults.drop_sockets()
        if number % 12 == 9:
            shop.faults.lose_replies()
        mutations.append(shop.add(number))
        await asyncio.sleep(0.003)
    async with asyncio.timeout(10):
        acknowledged = [await each for each in mutations]
    rows = await shop.client.query("rows:list")
    assert {row["_id"] for row in rows} == set(acknowledged)
    assert sorted(row["n"] for row in rows) == list(range(60))
    assert len(shop.settled.values) == sum(was_queued(each) for each in mutations) > 0
    await shop.until_calm(60)


async def test_reply_lost_after_the_commit_is_replayed_under_the_same_id_and_applied_once(shop):
    """The server recognises the id and answers as it did the first time."""
    shop.faults.lose_replies()
    phases, mutation = Recorder(), shop.add(1)
    mutation.phases.subscribe(phases)
    row_id = await mutation
    assert phases.values == [Phase.COMPOSED, Phase.SENT, Phase.QUEUED, Phase.SENT, Phase.COMMITTED]
    rows = await shop.client.query("rows:list")
    assert [(row["_id"], row["n"]) for row in rows] == [(row_id, 1)]
    await shop.until_calm(1)


async def test_reply_to_a_batch_lost_after_the_commit_applies_each_write_once(shop):
    """A whole replay whose reply is lost is sent again, and no write of it is carried out twice."""
    await shop.cut()
    mutations = [shop.add(number) for number in range(5)]
    shop.faults.release()
    shop.faults.lose_replies()
    acknowledged = [await each for each in mutations]
    assert await shop.table() == list(range(5))
    assert len(set(acknowledged)) == len(shop.settled.values) == 5


@pytest.mark.parametrize("count", [1, 3], ids=["single", "batch"])
async def test_rate_limit_keeps_queued_writes_for_as_long_as_it_says(shop, count):
    """429 with Retry-After: the writes stay queued, with their patches, and are committed after that time."""
    loop = asyncio.get_running_loop()
    await shop.cut()
    mutations = [shop.add(number) for number in range(count)]
    shop.faults.release()
    shop.faults.fail_calls(1, status=429, headers={"retry-after": "1"})
    await until(lambda: mutations[0].phases.latest is Phase.SENT)
    began = loop.time()
    await until(lambda: shop.client.pending.value == count)
    assert [row["n"] for row in shop.shown.last] == list(range(count))
    assert len([await each for each in mutations]) == count
    assert loop.time() - began > 0.9
    assert await shop.table() == list(range(count))
    assert [each.status for each in shop.settled.values] == ["committed"] * count


@pytest.mark.parametrize("count", [1, 3], ids=["single", "batch"])
async def test_503_of_a_proxy_keeps_queued_writes(shop, count):
    """A page in HTML is no verdict: the writes are kept and sent again."""
    await shop.cut()
    mutations = [shop.add(number) for number in range(count)]
    shop.faults.release()
    shop.faults.fail_calls(1, status=503, body=HTML, headers={"content-type": "text/html"})
    assert len([await each for each in mutations]) == count
    assert await shop.table() == list(range(count))
    assert [each.status for each in shop.settled.values] == ["committed"] * count
    await shop.until_calm(count)


def was_queued(mutation):
    """Tell whether a write waited."""
    phases = Recorder()
    mutation.phases.subscribe(phases)
    return Phase.QUEUED in phases.values
