"""Storage that was damaged, or made up, between one client and the next."""

from __future__ import annotations

import os
import pickle
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lunora_rx.errors import StorageError
from tests.faults import oracle
from tests.faults.customer import until
from tests.faults.proxy import Way
from tests.faults.shop import left_behind
from tests.storage.disk import damaged, database, execute

INSERT = "INSERT INTO Cache(key, raw, store_time, access_time, mode, filename, value) VALUES (?, ?, 0, 0, ?, ?, ?)"
PICKLE, TEXT_FILE = 4, 2


class Bomb:
    """Makes a directory when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def flip_a_byte(path: Path) -> None:
    """Of the record of number 1."""
    before = path.read_bytes()
    assert before.count(b"left-1") == 1
    path.write_bytes(before.replace(b"left-1", b"left-!"))


def cut_short(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def overwrite(path: Path) -> None:
    path.write_bytes(b"this is no database\n" * 1000)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def delete(path: Path) -> None:
    path.unlink()


async def check_next_client(shop, storage: Path, reports, survivors: list[int]) -> None:
    """Open the storage again: it is reported, what is whole is sent, and the client works."""
    async with shop.customer(is_connected=False, storage=storage, on_storage_error=reports) as ada:
        await until(lambda: reports)
        await ada.write(10)
        await shop.heal()
        await oracle.check(shop, ada, [*survivors, 10])
        assert all(isinstance(each, StorageError) for each in reports)
        await oracle.check_closed(ada, storage=storage)
    reports.clear()
    async with shop.customer(storage=storage, on_storage_error=reports) as ada:
        await ada.write(11)
        await oracle.check(shop, ada, [*survivors, 10, 11])
        await oracle.check_closed(ada, storage=storage)
    assert reports == [], "damage is reported once"
    assert shop.runs == [*survivors, 10, 11]


@pytest.mark.fault(40, 51)
@pytest.mark.parametrize(
    ("damage", "survivors"),
    [(flip_a_byte, [0, 2]), (overwrite, []), (empty, []), (delete, [])],
)
async def test_damaged_queue_is_reported_and_what_is_whole_is_sent(
    shop, storage, reports, damage: Callable[[Path], None], survivors
):
    """The file is set aside and not deleted, the whole records are sent in order, and the client runs."""
    await left_behind(shop, storage, 0, 1, 2)
    damage(database(storage))
    await check_next_client(shop, storage, reports, survivors)
    assert len(damaged(storage)) == 1


@pytest.mark.fault(40, 51)
async def test_truncated_queue_is_reported_and_its_beginning_is_sent(shop, storage, reports):
    """Whatever of a hundred writes can still be read goes out, each once and in order."""
    await left_behind(shop, storage, *range(100))
    cut_short(database(storage))
    await shop.heal()
    async with shop.customer(storage=storage, on_storage_error=reports) as ada:
        await until(lambda: reports)
        await ada.write(100)
        table = [row["n"] for row in await shop.table()]
        await oracle.check(shop, ada, sorted(table))
        assert shop.runs == table == sorted(set(table))
        await oracle.check_closed(ada, storage=storage)
    assert len(damaged(storage)) == 1


@pytest.mark.fault(40, 51)
async def test_queue_whose_log_is_gone_is_reported_and_sends_what_it_holds(shop, storage, tmp_path, reports):
    """A database without its log is an older one: that it is, is noticed, and the server knows what it has done."""
    await left_behind(shop, storage, 0)
    copy = tmp_path / "copy"
    async with shop.customer(is_connected=False, storage=storage) as ada:
        await ada.write(1, 2)
        shutil.copytree(storage, copy)
    log = database(copy).with_name("cache.db-wal")
    assert log.stat().st_size
    log.unlink()
    await check_next_client(shop, copy, reports, [0])


@pytest.mark.fault(40, 51)
@pytest.mark.parametrize(("damage", "is_noticed"), [(overwrite, True), (cut_short, True), (empty, False)])
async def test_damaged_read_cache_harms_no_write(shop, storage, reports, damage, is_noticed):
    """The queue beside it is whole, and values come from the server; a cache that is merely empty is none to report."""
    async with shop.customer(storage=storage) as ada:
        await ada.write(0)
        await oracle.check(shop, ada, [0])
        await oracle.check_closed(ada, storage=storage)
    await left_behind(shop, storage, 1)
    for path in cache_databases(storage):
        damage(path)
    async with shop.customer(is_connected=False, storage=storage, on_storage_error=reports) as ada:
        await ada.write(2)
        await shop.heal()
        await oracle.check(shop, ada, range(3))
        assert bool(reports) is is_noticed
        await oracle.check_closed(ada, storage=storage)


@pytest.mark.fault(41, 51)
@pytest.mark.parametrize("place", ["value", "key"])
async def test_planted_pickle_is_reported_and_runs_no_code(shop, storage, reports, tmp_path, place):
    """The records beside it are sent."""
    await left_behind(shop, storage, 0, 1, 2)
    bomb = sqlite3.Binary(pickle.dumps(Bomb(tmp_path / "ran")))
    if place == "value":
        execute(database(storage), INSERT, 77, 1, PICKLE, None, bomb)
    else:
        execute(database(storage), INSERT, bomb, 0, 1, None, b"x")
    await check_next_client(shop, storage, reports, [0, 1, 2])
    assert not (tmp_path / "ran").exists()


@pytest.mark.fault(41, 51)
async def test_planted_path_is_reported_and_read_by_nobody(shop, storage, reports, tmp_path):
    """The file that a row names is neither sent, told nor deleted."""
    secret = tmp_path / "secret"
    secret.write_text("not to be read")
    await left_behind(shop, storage, 0, 1, 2)
    execute(database(storage), INSERT, 77, 1, TEXT_FILE, str(secret), None)
    await check_next_client(shop, storage, reports, [0, 1, 2])
    assert secret.read_text() == "not to be read"


@pytest.mark.fault(41, 51)
async def test_planted_record_of_another_program_is_reported_and_not_sent(shop, storage, reports):
    """A row with no checksum of this library is none of its records, whatever it says."""
    await left_behind(shop, storage, 0, 1, 2)
    row = b'{"id":"x","functionPath":"rows:add","args":{"n":66},"clientId":"c"}'
    execute(database(storage), INSERT, 77, 1, 1, None, row)
    await check_next_client(shop, storage, reports, [0, 1, 2])


def cache_databases(storage: Path) -> Iterator[Path]:
    """The databases that are not queues."""
    found = [path for path in storage.rglob("cache.db") if "lanes" not in path.parts]
    assert found
    return iter(found)


@pytest.mark.fault(40, 51)
@pytest.mark.parametrize("damage", [overwrite, empty, delete])
async def test_damaged_client_id_doubles_nothing(shop, storage, reports, damage):
    """A replay carries the id that composed the write: the server of a nobody knows it by that."""
    nobody = {"auth_token": None, "auth_subject": None, "ws_token": None}
    async with shop.customer(storage=storage, **nobody) as first:
        shop.cut()
        await until(lambda: not shop.sockets.open_connections)
        await first.write(0, 1)
        await shop.calls.accept()
        shop.calls.swallow(Way.DOWN)
        await shop.sockets.accept()
        await until(lambda: shop.runs == [0, 1])
        await oracle.check_closed(first, storage=storage)
    damage(storage / "client_id")
    await shop.heal()
    async with shop.customer(storage=storage, on_storage_error=reports, **nobody) as second:
        await until(lambda: len(second.verdicts) == 2)
        await second.write(2)
        await oracle.check(shop, second, range(3))
        assert second.client.debug()["client_id"] != first.client.debug()["client_id"]
        await oracle.check_closed(second, storage=storage)
    assert shop.runs == [0, 1, 2]
