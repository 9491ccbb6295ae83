"""A server that is killed and started again, with its disk and without: what clients show, and what is carried out."""

from __future__ import annotations

import asyncio
import shutil

import pytest

from lunora_rx import Backoff, LunoraClient, Phase, SnapshotStatus, Status
from tests.coverage_of_protocol.wire import Wire
from tests.support import Recorder, until

BRIEF = Backoff(initial=0.01, maximum=0.05)
ADD = "rows:add"
LIST = "rows:list"
PATIENCE = 20.0


class Watch:
    """A client of a server, and what it shows of rows: a live query and a shape."""

    def __init__(self, client, wire):
        self.client = client
        self.wire = wire
        self.live, self.shown, self.shaped = client.live(LIST), Recorder(), Recorder()
        self.live.subscribe(self.shown)
        client.shape("rows:all").subscribe(self.shaped)

    @property
    def resumes(self):
        """How often the query was answered with a word that it is unchanged."""
        return self.wire.received["resume"]

    def add(self, n):
        """Write a number, shown at once."""
        return self.client.mutation(ADD, {"n": n}, optimistic_update=_append(n))

    async def until_both_show(self, *numbers):
        """Wait until query and shape show these numbers, as the server's."""
        want = list(numbers)
        await until(lambda: _numbers(self.shown) == want == _numbers(self.shaped), patience=PATIENCE)
        await until(lambda: self.live.snapshot.status is SnapshotStatus.LIVE and not self.live.snapshot.is_optimistic)

    async def until_cut(self):
        """Wait until the client knows that nobody is there."""
        await until(lambda: self.client.status.value is not Status.CONNECTED)


@pytest.fixture
async def watch(no_tasks_left, process):
    """A client that is connected and does not poll."""
    wire = Wire()
    async with LunoraClient(process.url, reconnect=BRIEF, polling=None, transport=wire) as client:
        watch = Watch(client, wire)
        await until(lambda: watch.shown.values and watch.shaped.values)
        yield watch


async def test_server_killed_and_started_again_goes_on_where_it_was(process, watch):
    """The position is good, so nothing is shown twice; writes of the time between are carried out in order."""
    await watch.add(1)
    await watch.until_both_show(1)
    shown = len(watch.shown.values)
    await process.kill()
    await watch.until_cut()
    waiting = [watch.add(number) for number in (2, 3, 4)]
    await until(lambda: all(each.phases.latest is Phase.QUEUED for each in waiting))
    assert _numbers(watch.shown) == [1, 2, 3, 4]
    await process.start()
    await asyncio.gather(*waiting)
    await watch.until_both_show(1, 2, 3, 4)
    assert watch.resumes > 0
    assert _numbers(watch.shown, shown) == [1, 2]


async def test_server_killed_while_it_is_written_to_loses_and_doubles_nothing(process, watch):
    """Whatever was acknowledged is there; whatever was not is sent again under its id."""
    writes = []
    for number in range(60):
        writes.append(watch.add(number))
        if number in (20, 40):
            await process.kill()
            await process.start()
        await asyncio.sleep(0.002)
    async with asyncio.timeout(PATIENCE):
        acknowledged = [await each for each in writes]
    rows = await watch.client.query(LIST)
    assert sorted(row["n"] for row in rows) == list(range(60))
    assert {row["_id"] for row in rows} == set(acknowledged)
    await watch.until_both_show(*(row["n"] for row in rows))


async def test_server_that_lost_its_disk_has_a_new_epoch_and_its_rows_are_shown(process, disk, watch):
    """Fewer than before, at a position of its own; what is written then is shown and confirmed."""
    for number in range(5):
        await watch.add(number)
    await watch.until_both_show(*range(5))
    await process.kill()
    _empty(disk)
    await process.start()
    await watch.until_both_show()
    assert watch.resumes == 0
    await watch.add(7)
    await watch.until_both_show(7)


async def test_writes_left_on_disk_by_a_client_are_carried_out_by_a_server_started_later(process, tmp_path):
    """Neither was there with the other; once, in order."""
    async with LunoraClient(process.url, storage=tmp_path, reconnect=BRIEF, polling=None) as client:
        await client.mutation(ADD, {"n": 0})
        await process.kill()
        waiting = [client.mutation(ADD, {"n": number}) for number in (1, 2, 3)]
        await until(lambda: all(each.phases.latest is Phase.QUEUED for each in waiting))
    await process.start()
    async with LunoraClient(process.url, storage=tmp_path, reconnect=BRIEF, polling=None) as client:
        shown = Recorder()
        client.live("rows:numbers").subscribe(shown)
        await until(lambda: shown.values and shown.last == [0, 1, 2, 3], patience=PATIENCE)


def _append(n):
    def update(store, _):
        store.set_query(LIST, None, [*store.get_query(LIST, None), {"n": n}])

    return update


def _numbers(recorder, index=-1):
    return [row["n"] for row in recorder.values[index]]


def _empty(directory):
    for each in directory.iterdir():
        shutil.rmtree(each) if each.is_dir() else each.unlink()
