"""Several processes on one storage directory, a directory that is deleted, a client that is forked."""

from __future__ import annotations

import shutil

import pytest

from lunora_rx.errors import StorageError
from tests.faults import oracle
from tests.faults.customer import until
from tests.faults.neighbour import neighbour
from tests.storage.disk import needs_fork


@pytest.mark.fault(42, 50)
async def test_two_processes_on_one_directory_send_what_is_their_own(shop, storage, reports):
    """Each has a lane: neither sends, drops or doubles what the other has queued."""
    async with neighbour(shop, storage, 0, 1) as other:
        assert await other.next_line() == "ready"
        async with shop.customer(storage=storage, on_storage_error=reports) as ada:
            shop.cut()
            await until(lambda: not shop.sockets.open_connections)
            await ada.write(2, 3)
            await shop.heal()
            await oracle.check(shop, ada, [2, 3])
            await other.way.accept()
            await oracle.check(shop, ada, [2, 3, 0, 1])
            await other.close()
            await oracle.check_closed(ada, storage=storage)
    async with shop.customer(storage=storage, on_storage_error=reports) as ada:
        await ada.write(4)
        await oracle.check(shop, ada, [2, 3, 0, 1, 4])
        assert ada.inherited == []
        await oracle.check_closed(ada, storage=storage)
    assert shop.runs == [2, 3, 0, 1, 4]
    assert reports == []


@pytest.mark.fault(42, 50)
@pytest.mark.parametrize("is_killed", [True, False], ids=["killed", "closed"])
async def test_lane_of_a_process_that_is_gone_is_sent_by_the_next_client(shop, storage, reports, is_killed):
    """What it had queued comes first, in order, ahead of what is written now."""
    async with neighbour(shop, storage, 0, 1, 2) as other:
        assert await other.next_line() == "ready"
        await (other.kill() if is_killed else other.close())
    async with shop.customer(storage=storage, on_storage_error=reports) as ada:
        await until(lambda: len(ada.verdicts) == 3)
        await ada.write(3)
        await oracle.check(shop, ada, range(4))
        await oracle.check_closed(ada, storage=storage)
    assert shop.runs == [0, 1, 2, 3]
    assert reports == []


@pytest.mark.fault(42, 50)
async def test_lane_of_a_process_killed_beside_a_running_client_is_adopted_when_it_reconnects(shop, storage, reports):
    """A client that was there all along notices the lane that nobody holds any more."""
    async with shop.customer(storage=storage, on_storage_error=reports) as ada:
        await ada.write(0)
        async with neighbour(shop, storage, 1, 2) as other:
            assert await other.next_line() == "ready"
            await other.kill()
        shop.sockets.cut()
        await until(lambda: ada.verdicts == [(1, "committed", None), (2, "committed", None)])
        await ada.write(3)
        await oracle.check(shop, ada, range(4))
        await oracle.check_closed(ada, storage=storage)
    assert reports == []


@pytest.mark.fault(42, 50)
async def test_deleted_directory_is_reported_and_memory_goes_on(shop, storage, reports):
    """Writes wait and go out as without storage, and a directory is made anew for what still waits."""
    async with shop.customer(storage=storage, on_storage_error=reports) as ada:
        shop.cut()
        await until(lambda: not shop.sockets.open_connections)
        await ada.write(0, 1)
        shutil.rmtree(storage)
        await ada.write(2, 3)
        assert ada.pending == 4
        await until(lambda: reports)
        assert all(isinstance(each, StorageError) for each in reports)
        assert "deleted" in reports.text
        await oracle.check_closed(ada, storage=storage)
    await shop.heal()
    async with shop.customer(storage=storage) as ada:
        await oracle.check(shop, ada, range(4))
        assert len(ada.verdicts) == 4
        await oracle.check_closed(ada, storage=storage)


@pytest.mark.fault(42, 50)
async def test_directory_deleted_while_writes_are_settled_loses_nothing(shop, storage, reports):
    """The verdicts are remembered in memory: nothing is sent again."""
    async with shop.customer(storage=storage, on_storage_error=reports) as ada:
        shop.cut()
        await until(lambda: not shop.sockets.open_connections)
        await ada.write(0, 1)
        shutil.rmtree(storage)
        await shop.heal()
        await oracle.check(shop, ada, range(2))
        await until(lambda: reports)
        await oracle.check_closed(ada, storage=storage)
    async with shop.customer(storage=storage) as ada:
        await ada.write(2)
        await oracle.check(shop, ada, range(3))
        assert ada.inherited == []
        await oracle.check_closed(ada, storage=storage)
    assert shop.runs == [0, 1, 2]


@pytest.mark.fault(42, 50)
@pytest.mark.parametrize("task", ["fork", "fork-loop"])
@needs_fork
async def test_forked_child_gets_a_clear_error_and_its_parent_goes_on(shop, storage, reports, task):
    """The child has neither the thread nor the locks of its parent: it is told at once, and stores nothing."""
    async with neighbour(shop, storage, 0, 1, task=task) as other:
        said = await other.next_line()
        assert "fork" in said
        assert said.split(":")[0] in ("StorageError", "RuntimeError")
        assert await other.next_line() == "ready"
        await other.way.accept()
        async with shop.customer(storage=storage, on_storage_error=reports) as ada:
            await oracle.check(shop, ada, range(2))
            await other.close()
            await oracle.check_closed(ada)
    assert shop.runs == [0, 1]


@pytest.mark.fault(42, 50)
async def test_two_clients_of_one_process_on_one_directory_send_what_is_their_own(shop, storage, reports):
    """They have a lane each, and the one that stays takes over what the other leaves."""
    async with shop.customer(storage=storage, on_storage_error=reports) as ada:
        async with shop.customer(storage=storage, on_storage_error=reports) as other:
            shop.cut()
            await until(lambda: not shop.sockets.open_connections)
            await ada.write(0)
            await other.write(1, 2)
        await shop.heal()
        await until(lambda: len(ada.verdicts) == 3)
        await ada.write(3)
        await oracle.check(shop, ada, range(4))
        await oracle.check_closed(ada, storage=storage)
    assert shop.runs == [0, 1, 2, 3]
    assert reports == []
