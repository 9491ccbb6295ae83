"""Rows, change log and recorded replies in one database."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from lunora_rx.devserver.changelog import ChangeLog
from lunora_rx.devserver.store import Recorded, Store, open_store
from lunora_rx.devserver.tables import Writer
from lunora_rx.devserver.tracking import Change, RangeRead, RowRead

Opener = Callable[[], Store]


def opened(path: Path | None, retention: int = 100) -> Store:
    numbers = itertools.count(1)
    return open_store(path, name="s", clock=lambda: 5.0, new_id=lambda: f"id{next(numbers)}", retention=retention)


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty store, in memory and in a file."""
    with closing(opened(None if request.param == "memory" else tmp_path / "shard.sqlite3")) as store:
        yield store


def insert(store: Store, table: str = "t", **fields: Any) -> str:
    with store.transaction() as writes:
        return Writer(store, writes).insert(table, **fields)


def test_commit_moves_the_cursor_by_one_however_much_it_writes(store):
    """A transaction is one position of the history."""
    cursor = store.cursor
    with store.transaction() as writes:
        for number in range(3):
            Writer(store, writes).insert("t", number=number)
    assert store.cursor == cursor + 1


def test_exception_rolls_everything_back(store):
    """A mutation that raises has written nothing, and moved nothing."""
    row_id = insert(store, text="before")
    cursor = store.cursor

    def fail() -> None:
        with store.transaction() as writes:
            writer = Writer(store, writes)
            writer.update("t", row_id, text="after")
            writer.insert("t", text="new")
            store.record("space", "m1", Recorded("null", 1))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert store.counts() == {"t": 1}
    assert (store.get("t", row_id) or {})["text"] == "before"
    assert store.cursor == cursor
    assert store.recorded("space", "m1") is None


def test_write_that_leaves_the_row_as_it_was_is_no_change(store):
    """Insert and delete in one transaction cancel out."""
    cursor = store.cursor
    with store.transaction() as writes:
        writer = Writer(store, writes)
        writer.delete("t", writer.insert("t", text="short-lived"))
    assert store.cursor == cursor


def test_creation_times_grow_strictly_while_the_clock_stands_still(store):
    """Rows of one shard have an order of their own."""
    ids = [insert(store) for _ in range(50)]
    times = [(store.get("t", row_id) or {})["_creationTime"] for row_id in ids]
    assert times == sorted(set(times))
    assert times[0] == 5000.0


def test_rows_epoch_and_cursor_outlive_the_process(tmp_path):
    """A directory keeps rows, replies, history and its name."""
    path = tmp_path / "shard.sqlite3"
    with closing(opened(path)) as first:
        row_id = insert(first, value=b"\x00", when=[1.5])
        first.record("space", "m1", Recorded("7", 2, 1))
        epoch, cursor = first.epoch, first.cursor
    with closing(opened(path)) as second:
        assert (second.get("t", row_id) or {})["value"] == b"\x00"
        assert (second.epoch, second.cursor) == (epoch, cursor)
        assert second.recorded("space", "m1") == Recorded("7", 2, 1)
        assert not second.log.is_unchanged([RangeRead("t")], cursor - 1)
        assert second.log.is_unchanged([RangeRead("t"), RowRead("t", row_id)], cursor)
        assert insert(second) != row_id


def test_creation_times_go_on_after_a_restart_with_an_earlier_clock(tmp_path):
    """The order of rows does not depend on the clock of the second run."""
    path = tmp_path / "shard.sqlite3"
    with closing(opened(path)) as first:
        before = (first.get("t", insert(first, _id="a")) or {})["_creationTime"]
    with closing(open_store(path, name="s", clock=lambda: 1.0, new_id=lambda: "b", retention=9)) as second:
        assert (second.get("t", insert(second)) or {})["_creationTime"] > before


def test_log_forgets_the_oldest_changes(tmp_path):
    """Beyond the retention nothing can be said any more, after a restart as well."""
    path = tmp_path / "shard.sqlite3"
    with closing(opened(path, retention=8)) as store:
        start = store.cursor
        for _ in range(30):
            insert(store)
        floor = store.log.floor
        assert len(store.log) <= 10
        assert not store.log.is_unchanged([RowRead("other", "x")], start)
        assert store.log.is_unchanged([RowRead("other", "x")], floor)
    with closing(opened(path, retention=8)) as again:
        assert again.log.floor == floor
        assert len(again.log) <= 10


def test_oldest_recorded_replies_are_forgotten(store):
    """The record of replies is bounded."""
    for number in range(40):
        with store.transaction():
            store.record("space", f"m{number}", Recorded("null", 1))
            store.prune_replies(10)
    assert store.recorded("space", "m39") is not None
    assert store.recorded("space", "m0") is None


def test_new_epoch_keeps_rows_and_forgets_history(store):
    """Cursors given out before mean nothing in the new epoch."""
    row_id, epoch = insert(store), store.epoch
    before = store.cursor - 1
    store.begin_epoch()
    assert store.epoch != epoch
    assert store.get("t", row_id) is not None
    assert not store.log.is_unchanged([], before)


def test_new_epoch_that_cannot_be_stored_leaves_everything_as_it_was(tmp_path):
    """A history is never left without the changes that its cursors count on."""
    path = tmp_path / "shard.sqlite3"
    with closing(opened(path)) as store:
        before, epoch = store.cursor, store.epoch
        insert(store)
        store._database.execute("CREATE TRIGGER full BEFORE INSERT ON meta BEGIN SELECT RAISE(ABORT, 'full'); END")
        with pytest.raises(sqlite3.IntegrityError, match="full"):
            store.begin_epoch()
        store._database.execute("DROP TRIGGER full")
        assert store.epoch == epoch
    with closing(opened(path)) as again:
        assert again.epoch == epoch
        assert not again.log.is_unchanged([RangeRead("t")], before)


def test_commit_in_a_file_waits_for_the_disk(tmp_path):
    """Write-ahead log and full synchronisation: neither a killed process nor a power cut takes back a commit."""
    with closing(opened(tmp_path / "shard.sqlite3")) as store:
        settings = [store._database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
    assert settings == ["wal", 2]


def test_erased_store_is_like_new(store):
    """Nothing is left: neither rows nor replies nor the epoch."""
    epoch, start = store.epoch, store.cursor
    row_id = insert(store)
    store.record("space", "m1", Recorded("null", 1))
    store.erase()
    assert (store.get("t", row_id), store.recorded("space", "m1"), store.counts()) == (None, None, {})
    assert store.epoch != epoch
    assert store.cursor == start


def test_change_log_tells_the_net_change_of_each_row_as_far_back_as_it_is_kept():
    """Changes of a row are put together, of one table, after a cursor; before the floor nothing can be told."""
    row = {"_id": "a", "_creationTime": 1.0}
    log = ChangeLog(floor=1)
    log.append(2, [Change("t", "a", None, row), Change("u", "a", None, row)])
    log.append(3, [Change("t", "b", None, row)])
    log.append(4, [Change("t", "a", row, row | {"x": 1})])
    log.append(5, [Change("t", "b", row, None)])
    assert log.changes_since("t", 1) == [Change("t", "a", None, row | {"x": 1})]
    assert log.changes_since("t", 3) == [Change("t", "a", row, row | {"x": 1}), Change("t", "b", row, None)]
    assert log.changes_since("nothing", 1) == log.changes_since("t", 5) == []
    log.forget(3)
    assert log.changes_since("t", 2) is None
