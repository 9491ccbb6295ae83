"""Writes that outlive their client, over real sockets: all carried out, once, in order."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from lunora_rx import Backoff, ClientClosedError, LunoraClient, Phase, Polling, Status, Storage
from lunora_rx.storage.browse import browse
from tests.contracts.test_stores import AsyncMapping, Mapping
from tests.support import PATIENCE, Recorder, turn, until

BRIEF = Backoff(initial=0.01, maximum=0.03)


class Shop:
    """A server that keeps a row for each time that a write is carried out, and clients of it."""

    def __init__(self, gateway):
        self.faults = gateway

    @asynccontextmanager
    async def client(self, storage, **options):
        """A client with a storage; closed at the end."""
        async with LunoraClient(
            self.faults.url, **{"storage": storage, "reconnect": BRIEF, "polling": None, **options}
        ) as client:
            yield client

    def cut(self):
        """Cut every connection, and keep it cut."""
        self.faults.refuse_sockets()
        self.faults.drop_sockets()

    def heal(self):
        """Let connections be made again."""
        self.faults.release()

    async def until_kept(self, count):
        """Wait until the server carried out so many writes."""
        async with asyncio.timeout(PATIENCE):
            while len(await self.table()) < count:
                await asyncio.sleep(0.01)

    async def table(self):
        """Return what the server holds, oldest first."""
        async with LunoraClient(self.faults.url) as client:
            return [row["n"] for row in await client.query("rows:list")]


@pytest.fixture
async def shop(no_tasks_left, gateway):
    """A server that keeps numbers."""
    return Shop(gateway)


@pytest.fixture(params=["directory", "mapping", "async mapping"])
def storage(request, tmp_path):
    """Returns what to give each client of one place as ``storage``."""
    kv = AsyncMapping() if request.param == "async mapping" else Mapping()
    return lambda: tmp_path / "store" if request.param == "directory" else Storage.from_mapping(kv)


def add(client, number):
    """Write a number."""
    return client.mutation("rows:add", {"n": number})


async def queued(*mutations):
    """Wait until writes wait durably."""
    await until(lambda: all(each.phases.latest is Phase.QUEUED for each in mutations))


def stored(directory):
    """The mutation ids in a directory, lane after lane."""
    return [write.record.mutation_id for lane in browse(directory) for write in lane.writes]


async def test_writes_of_three_lives_are_carried_out_in_order_once(shop, storage):
    """Two clients leave writes behind, a third adds its own and is let through."""
    shop.cut()
    for life in range(2):
        async with shop.client(storage()) as client:
            await queued(*[add(client, 10 * life + number) for number in range(10)])
    settled = Recorder()
    async with shop.client(storage()) as client:
        client.settled.subscribe(settled)
        own = [add(client, 20 + number) for number in range(10)]
        await until(lambda: client.pending.value == 30)
        shop.heal()
        for each in own:
            await each
        await until(lambda: len(settled.values) == 30)
        assert client.pending.value == 0
    assert await shop.table() == list(range(30))
    assert [each.had_awaiter for each in settled.values[:20]] == [False] * 20
    assert {each.status for each in settled.values} == {"committed"}


async def test_client_closed_again_and_again_while_it_replays_loses_and_doubles_nothing(shop, tmp_path):
    """A replay may be cut short by the end of its client at any moment."""
    shop.cut()
    async with shop.client(tmp_path) as client:
        await queued(*[add(client, number) for number in range(20)])
    shop.heal()
    delays = [0.0, 0.002, 0.005, 0.01, 0.02, 0.04]
    for delay in delays:
        shop.faults.lose_replies()
        async with shop.client(tmp_path) as client:
            await asyncio.sleep(delay)
    shop.heal()
    async with shop.client(tmp_path) as client:
        await until(lambda: client.debug()["client_id"] and not stored(tmp_path))
    assert await shop.table() == list(range(20))


async def test_two_clients_of_one_directory_each_keep_their_order(shop, tmp_path):
    """Through cuts; what the first leaves behind is carried out by the second."""
    async with shop.client(tmp_path) as second:
        second.live("rows:list").subscribe(Recorder())
        await until(lambda: second.status.value is Status.CONNECTED)
        shop.cut()
        await until(lambda: second.status.value is not Status.CONNECTED)
        async with shop.client(tmp_path) as first:
            mine = [add(second, 100 + number) for number in range(5)]
            theirs = [add(first, number) for number in range(5)]
            await queued(*mine, *theirs)
        for each in theirs:
            with pytest.raises(ClientClosedError):
                await each
        shop.heal()
        for each in mine:
            await each
        await shop.until_kept(10)
        await until(lambda: not stored(tmp_path))
    table = await shop.table()
    assert sorted(table) == [0, 1, 2, 3, 4, 100, 101, 102, 103, 104]
    assert [number for number in table if number < 100] == list(range(5))
    assert [number for number in table if number >= 100] == list(range(100, 105))


async def test_write_over_a_stale_value_is_shown_at_start_and_confirmed_later(shop, tmp_path):
    """Offline from the first moment: the last value is there, a write is shown over it, and nothing flickers."""
    async with shop.client(tmp_path) as client:
        live = client.live("rows:list")
        live.subscribe(Recorder())
        await add(client, 1)
        await until(lambda: live.snapshot.has_value and len(live.value) == 1)
    shop.cut()
    async with shop.client(tmp_path) as client:
        shown = Recorder()
        client.live("rows:list").subscribe(lambda rows: shown.on_next([row["n"] for row in rows]))
        await until(lambda: shown.values)
        mutation = client.mutation("rows:add", {"n": 2}, optimistic_update=_append(2))
        await queued(mutation)
        assert shown.values == [[1], [1, 2]]
        shop.heal()
        await mutation
        live = client.live("rows:list")
        await until(lambda: live.snapshot.status == "live" and not live.snapshot.is_optimistic)
        assert {tuple(each) for each in shown.values[1:]} == {(1, 2)}
    assert await shop.table() == [1, 2]


async def test_write_left_behind_is_committed_without_anybody_watching(shop, tmp_path):
    """To open a client and wait is enough; its storage is empty afterwards."""
    shop.cut()
    async with shop.client(tmp_path) as client:
        await queued(add(client, 1))
    shop.heal()
    async with shop.client(tmp_path) as client:
        await shop.until_kept(1)
        await until(lambda: not stored(tmp_path))
        await turn()
        assert (client.pending.value, client.debug()["observers"]) == (0, 0)
    assert await shop.table() == [1]


async def test_write_left_behind_is_committed_where_no_socket_can_be_had(shop, tmp_path):
    """A client that polls carries out over HTTP what an earlier one left, and shows the last value meanwhile."""
    shop.cut()
    async with shop.client(tmp_path) as client:
        await queued(add(client, 1), add(client, 2))
    async with shop.client(tmp_path, polling=Polling(interval=0.05, after_failures=2)) as client:
        shown = Recorder()
        client.live("rows:list").subscribe(lambda rows: shown.on_next([row["n"] for row in rows]))
        await until(lambda: shown.values and shown.last == [1, 2])
        await until(lambda: not stored(tmp_path))
        assert (client.status.value, client.pending.value) == (Status.POLLING, 0)
    assert await shop.table() == [1, 2]


def _append(number):
    def update(store, _):
        store.set_query("rows:list", None, [*store.get_query("rows:list", None), {"n": number}])

    return update
