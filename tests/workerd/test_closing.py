"""Evictions and farewells of the runtime: the codes that a client is closed with, and that it comes back after each."""

from __future__ import annotations

import pytest

from lunora_rx import LunoraClient, Status
from tests.coverage_of_protocol.wire import Wire
from tests.e2e.peer import call, connected
from tests.support import QUICK, Recorder, until

NUMBERS = "rows:numbers"
# Without a farewell: what a socket says of itself that was cut off.
ABNORMAL = 1006


async def follow_through(worker, cut, **options):
    """Let a client watch, cut it off, and see that it shows what is written then; return its statuses since."""
    async with LunoraClient(worker.url, reconnect=QUICK, polling=None, **options) as client:
        seen, statuses = Recorder(), Recorder()
        client.live(NUMBERS).subscribe(seen)
        await until(lambda: seen.values)
        client.status.subscribe(statuses)
        await cut()
        await until(lambda: statuses.values.count(Status.CONNECTED) == 2)
        await call(worker.url, "rows:add", {"n": 1})
        await until(lambda: seen.last == [1])
        assert seen.errors == []
        return list(statuses.values)


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1011, 1012, 1013, 3000, 4000])
async def test_socket_closed_by_the_server_is_opened_again(worker, no_tasks_left, code):
    """Whatever the code: none is final."""
    async with connected(worker.url) as peer:
        await worker.control("close", code=code)
        assert await peer.next() is None
        assert peer.close_code == code
    statuses = await follow_through(worker, lambda: worker.control("close", code=code))
    assert statuses[0] is statuses[-1] is Status.CONNECTED


async def test_evicted_object_cuts_its_sockets_and_is_back_with_its_positions(worker, no_tasks_left):
    """No farewell: code 1006. The epoch is that of the database, so that clients resume."""
    async with connected(worker.url) as peer:
        _, before = await peer.subscribe(NUMBERS)
        lives = await worker.control("lives")
        assert await worker.control("abort") == "aborted"
        assert await peer.next() is None
        assert peer.close_code == ABNORMAL
    assert await worker.control("lives") == lives + 1
    since = {"cursor": before["cursor"], "epoch": before["epoch"]}
    async with connected(worker.url) as peer:
        assert (await peer.subscribe(NUMBERS, since=since))[1]["type"] == "resume"


async def test_client_of_an_evicted_object_resumes(worker, no_tasks_left):
    """It shows nothing twice."""
    wire = Wire()
    await follow_through(worker, lambda: worker.control("abort"), transport=wire)
    assert (wire.received["data"], wire.received["resume"]) == (2, 1)


async def test_process_killed_cuts_its_sockets(worker, no_tasks_left):
    """No farewell either; the new process goes on from the disk."""

    async def restart():
        await worker.kill()
        await worker.start()

    async with connected(worker.url) as peer:
        await worker.kill()
        assert await peer.next() is None
        assert peer.close_code == ABNORMAL
    await worker.start()
    await follow_through(worker, restart)


async def test_log_lost_begins_an_epoch_and_clients_take_the_value(worker, no_tasks_left):
    """No position of the old one is resumed from, though it is the same number."""
    async with connected(worker.url) as peer:
        _, before = await peer.subscribe(NUMBERS)
        poke = await peer.follow("rows:all")
        await worker.control("begin-epoch")
    async with connected(worker.url) as peer:
        _, after = await peer.subscribe(NUMBERS, since={"cursor": before["cursor"], "epoch": before["epoch"]})
        assert (after["type"], after["cursor"]) == ("data", before["cursor"])
        assert after["epoch"] != before["epoch"]
        assert (await peer.follow("rows:all", since=poke[-1]))[1]["reset"] is True


async def test_socket_that_ends_takes_its_subscriptions_with_it(worker, no_tasks_left):
    """They are kept on disk for as long as the socket lives, and no longer."""
    async with connected(worker.url) as peer:
        await peer.subscribe(NUMBERS)
        await peer.follow("rows:all")
        assert await worker.control("subscriptions") == 2
    async with connected(worker.url):
        await call(worker.url, "rows:add", {"n": 1})
        assert await worker.control("subscriptions") == 0
