"""Disks that are full, forbidden or broken under a client with queued writes, and what outlives the client."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lunora_rx import Phase, Status, Storage, persistence
from lunora_rx.errors import ClientClosedError, StorageError
from lunora_rx.storage.memory_store import MemoryQueue
from tests.faults import oracle
from tests.faults.customer import PATIENCE, phases_of, until
from tests.faults.proxy import Way
from tests.faults.rows import ADA, ADA_2, BOB
from tests.faults.shop import left_behind
from tests.storage.disk import fill, mounted, needs_root, remount

NOBODY = 65_534


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of three megabytes."""
    with mounted(tmp_path / "small") as place:
        yield place


class BrokenDisk(MemoryQueue):
    """A store whose disk fails with EIO while it is broken."""

    is_broken = False

    def append(self, record):
        self._check()
        super().append(record)

    def remove(self, ids):
        self._check()
        super().remove(ids)

    def _check(self) -> None:
        if self.is_broken:
            raise OSError(errno.EIO, os.strerror(errno.EIO))


# --- what outlives the client


@pytest.mark.parametrize("count", [1, 3], ids=["single", "batch"])
async def test_client_closed_with_queued_writes_leaves_them_for_the_next(shop, storage, reports, count):
    """Who awaits them is told that the client closed; the next client sends them, in order, before its own."""
    left = await left_behind(shop, storage, *range(count))
    assert isinstance(await left.verdict_on(0), ClientClosedError)
    assert Phase.REJECTED not in phases_of(left.writes[0])
    async with shop.customer(is_connected=False, storage=storage, on_storage_error=reports) as ada:
        await ada.write(10)
        await shop.heal()
        await oracle.check(shop, ada, [*range(count), 10])
        assert ada.verdicts[:count] == [(number, "committed", None) for number in range(count)]
        assert [each.had_awaiter for each in ada.settled.values][:count] == [False] * count
        await oracle.check_closed(ada, storage=storage)
    assert reports == []


@pytest.mark.fault(6)
async def test_reply_lost_and_client_closed_is_settled_by_the_next_and_applied_once(shop, storage, reports):
    """The replay of another life carries the same ids, also that of the client."""
    async with shop.customer(storage=storage, on_storage_error=reports) as ada:
        shop.cut()
        await until(lambda: not shop.sockets.open_connections)
        await ada.write(0, 1)
        await shop.calls.accept()
        shop.calls.swallow(Way.DOWN)
        await shop.sockets.accept()
        await until(lambda: shop.runs == [0, 1])
        await oracle.check_closed(ada, storage=storage)
    await shop.heal()
    async with shop.customer(storage=storage, on_storage_error=reports) as ada:
        await until(lambda: ada.verdicts == [(0, "committed", None), (1, "committed", None)])
        await oracle.check(shop, ada, range(2))
        await oracle.check_closed(ada, storage=storage)
    assert shop.runs == [0, 1]
    async with shop.customer(storage=storage, on_storage_error=reports) as ada:
        await ada.write(2)
        await oracle.check(shop, ada, range(3))
        assert ada.inherited == [], "nothing was left on disk"
        await oracle.check_closed(ada)
    assert reports == []


# --- 38: full


@pytest.mark.fault(38, 51)
@needs_root
async def test_full_disk_lets_writes_go_on_in_memory_and_is_reported(shop, small_disk, reports):
    """What finds no room on disk still waits, is shown and is sent; the verdicts are remembered."""
    storage = small_disk / "storage"
    async with shop.customer(storage=storage, on_storage_error=reports) as ada:
        shop.cut()
        await until(lambda: not shop.sockets.open_connections)
        await ada.write(0, 1)
        fill(small_disk)
        await ada.write(*range(2, 30))
        assert ada.pending == 30
        assert ada.numbers == [*range(30)]
        assert reports
        assert "full" in reports.text
        await shop.heal()
        await oracle.check(shop, ada, range(30))
        remount(small_disk, "size=20m")
        await oracle.check_closed(ada, storage=storage)
    async with shop.customer(storage=storage, on_storage_error=reports) as ada:
        await oracle.check(shop, ada, range(30))
        assert ada.inherited == [], "what was settled while the disk was full is settled"
        await oracle.check_closed(ada, storage=storage)
    assert shop.runs == [*range(30)]


@pytest.mark.fault(38, 51)
@needs_root
async def test_full_disk_is_durable_again_when_there_is_space(shop, small_disk, reports):
    """Writes that only memory held are on disk before the client closes, and the next one sends them."""
    storage = small_disk / "storage"
    fill(small_disk)
    shop.cut()
    async with shop.customer(is_connected=False, storage=storage, on_storage_error=reports) as ada:
        await ada.write(0, 1, 2)
        assert reports
        (small_disk / "ballast").unlink()
        await until(lambda: ada.writes[2].mutation_id.encode() in oracle.contents(storage))
        await oracle.check_closed(ada, storage=storage)
    await shop.heal()
    async with shop.customer(storage=storage, on_storage_error=reports) as ada:
        await oracle.check(shop, ada, range(3))
        assert len(ada.verdicts) == 3
        await oracle.check_closed(ada, storage=storage)


# --- 39: forbidden, read-only, broken


@pytest.mark.fault(39, 51)
async def test_storage_that_is_a_file_leaves_memory_alone(shop, storage, reports):
    """It is reported, nothing hangs, and writes wait and go out as without storage."""
    storage.write_text("not a directory")
    await check_memory_goes_on(shop, storage, reports)
    assert storage.read_text() == "not a directory"


@pytest.fixture
def no_privileges() -> Iterator[Path]:
    """Lets this process be nobody in particular if it is root, to whom nothing is forbidden; yields a place to work."""
    if os.name == "nt":
        pytest.skip("permissions are others on Windows")
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        if user == 0:
            try:
                os.seteuid(NOBODY)
            except OSError:
                pytest.skip("root of a user namespace can be nobody else; run this one outside of it")
        try:
            yield Path(place)
        finally:
            os.seteuid(user)
            os.chmod(place, 0o700)


@pytest.mark.fault(39, 51)
async def test_directory_without_permission_leaves_memory_alone(no_privileges, shop, reports):
    """As above, for EACCES."""
    place = no_privileges
    if os.geteuid() != NOBODY:
        os.chmod(place, 0o555)
    with pytest.raises(PermissionError):
        (place / "probe").touch()
    await check_memory_goes_on(shop, place / "storage", reports)
    assert os.listdir(place) == []


@pytest.mark.fault(39, 51)
@needs_root
async def test_read_only_file_system_leaves_memory_alone(shop, small_disk, reports):
    """What is on it already is not lost: it is sent when the disk can be read again."""
    storage = small_disk / "storage"
    await left_behind(shop, storage, 100)
    remount(small_disk, "ro")
    await shop.heal()
    await check_memory_goes_on(shop, storage, reports)
    remount(small_disk, "rw")
    async with shop.customer(storage=storage) as ada:
        await oracle.check(shop, ada, [0, 1, 2, 3, 100])
        await oracle.check_closed(ada, storage=storage)


@pytest.mark.fault(39, 51)
@needs_root
async def test_read_only_bind_mount_leaves_memory_alone(shop, small_disk, tmp_path, reports):
    """The same directory, seen through a mount that cannot be written to."""
    storage = small_disk / "storage"
    await left_behind(shop, storage, 100)
    window = tmp_path / "window"
    window.mkdir()
    subprocess.run(["mount", "--bind", str(small_disk), str(window)], check=True)
    try:
        remount(window, "bind,ro")
        await shop.heal()
        await check_memory_goes_on(shop, window / "storage", reports)
    finally:
        subprocess.run(["umount", "--lazy", str(window)], check=True)
    async with shop.customer(storage=storage) as ada:
        await oracle.check(shop, ada, [0, 1, 2, 3, 100])
        await oracle.check_closed(ada, storage=storage)


@pytest.mark.fault(39, 51)
async def test_input_output_error_leaves_memory_alone_until_it_passes(shop, reports):
    """A store that raises EIO is reported; when it works again it holds what waits, and no more."""
    disk = BrokenDisk()
    async with shop.customer(storage=Storage(queue=disk), on_storage_error=reports) as ada:
        shop.cut()
        await until(lambda: not shop.sockets.open_connections)
        await ada.write(0)
        disk.is_broken = True
        await ada.write(1, 2)
        assert "Input/output error" in reports.text
        disk.is_broken = False
        await until(lambda: [each.args["n"] for each in disk.load()] == [0, 1, 2])
        disk.is_broken = True
        await shop.heal()
        await oracle.check(shop, ada, range(3))
        disk.is_broken = False
        await oracle.check_closed(ada)
    assert disk.load() == []


async def check_memory_goes_on(shop, storage, reports) -> None:
    """With a storage that is of no use, do what one does without."""
    async with shop.customer(storage=storage, on_storage_error=reports) as ada:
        await ada.write(0)
        shop.cut()
        await until(lambda: not shop.sockets.open_connections)
        await ada.write(1, 2)
        assert ada.pending == 2
        await until(lambda: reports)
        assert all(isinstance(each, StorageError) for each in reports)
        await shop.heal()
        await ada.write(3)
        await oracle.check(shop, ada, range(4))
        await oracle.check_closed(ada)


# --- a slow disk, and other users


class SlowDisk(MemoryQueue):
    """A store that does not return from an append until it may."""

    def __init__(self) -> None:
        super().__init__()
        self.may_return = threading.Event()
        self.may_return.set()

    def append(self, record):
        self.may_return.wait(20)
        super().append(record)


@pytest.mark.fault(39, 51)
async def test_disk_that_hangs_holds_up_only_what_must_be_on_it(shop, reports):
    """Calls and frames go on; a write that waits for the disk is shown, and sent once it is stored."""
    disk = SlowDisk()
    async with shop.customer(storage=Storage(queue=disk), on_storage_error=reports) as ada:
        disk.may_return.clear()
        shop.cut()
        await until(lambda: not shop.sockets.open_connections)
        ada.add(0)
        await shop.heal()
        await ada.until_status(Status.CONNECTED)
        assert await ada.client.query("rows:list") == []
        assert ada.numbers == [0]
        assert phases_of(ada.writes[0]) == [Phase.COMPOSED]
        disk.may_return.set()
        await oracle.check(shop, ada, [0])
        await oracle.check_closed(ada)
    assert disk.load() == []
    assert reports == []


@pytest.mark.fault(39, 51)
async def test_disk_that_hangs_does_not_hang_the_end(shop, reports, monkeypatch, caplog):
    """``aclose`` waits for it for some seconds, says so, and leaves it behind."""
    monkeypatch.setattr(persistence, "CLOSE_TIMEOUT", 0.2)
    disk = SlowDisk()
    async with shop.customer(storage=Storage(queue=disk), on_storage_error=reports) as ada:
        disk.may_return.clear()
        shop.cut()
        await until(lambda: not shop.sockets.open_connections)
        ada.add(0)
        async with asyncio.timeout(PATIENCE):
            await ada.client.aclose()
        assert isinstance(await ada.verdict_on(0), ClientClosedError)
        assert "the storage was not closed" in caplog.text
    disk.may_return.set()
    await until(lambda: [each.args["n"] for each in disk.load()] == [0])


@pytest.mark.fault(18, 50, 60)
async def test_writes_that_another_user_left_on_disk_are_rejected_and_purged(shop, storage, reports):
    """Bob opens the directory that Ada used: nothing of hers is sent, neither now nor later."""
    await left_behind(shop, storage, 0, 1)
    await shop.heal()
    bob = {"auth_token": BOB, "auth_subject": "bob", "ws_token": BOB}
    async with shop.customer(storage=storage, on_storage_error=reports, **bob) as customer:
        code = "OFFLINE_IDENTITY_CHANGED"
        await until(lambda: customer.verdicts == [(0, "rejected", code), (1, "rejected", code)])
        await customer.write(2)
        await oracle.check(shop, customer, [2])
        await oracle.check_closed(customer, storage=storage)
    async with shop.customer(storage=storage, on_storage_error=reports) as ada:
        await oracle.check(shop, ada, [2])
        assert ada.inherited == []
        await oracle.check_closed(ada, storage=storage)
    assert shop.runs == [2]


@pytest.mark.fault(17)
async def test_writes_held_for_a_credential_are_held_on_disk(shop, storage, reports):
    """A client closed while its bearer was refused leaves them for one whose bearer is not."""
    shop.rows.refused.add(ADA)
    await left_behind(shop, storage, 0, 1)
    await shop.heal()
    async with shop.customer(storage=storage, on_storage_error=reports) as ada:
        await until(lambda: ada.expired.values == [None] and ada.pending == 2)
        await oracle.check_closed(ada, storage=storage)
    async with shop.customer(storage=storage, on_storage_error=reports, auth_token=ADA_2) as ada:
        await until(lambda: len(ada.verdicts) == 2)
        await oracle.check(shop, ada, range(2))
        await oracle.check_closed(ada, storage=storage)
    assert reports == []


async def test_client_closed_at_once_leaves_what_it_composed(shop, storage, reports):
    """Even what was composed while the storage was still being read is on disk when ``aclose`` returns."""
    await left_behind(shop, storage, 0)
    async with shop.customer(is_connected=False, storage=storage) as hasty:
        hasty.add(1)
        hasty.add(2)
        await oracle.check_closed(hasty, storage=storage)
    await shop.heal()
    async with shop.customer(storage=storage, on_storage_error=reports) as ada:
        await until(lambda: [number for number, _, _ in ada.verdicts] == [0, 1, 2])
        await oracle.check(shop, ada, range(3))
        await oracle.check_closed(ada, storage=storage)
    assert reports == []
