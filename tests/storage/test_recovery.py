"""A queue that goes on in memory while its store refuses, and catches up."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lunora_rx.errors import StorageError
from lunora_rx.storage.disk_store import DiskQueue
from lunora_rx.storage.files import identity
from lunora_rx.storage.memory_store import MemoryQueue
from lunora_rx.storage.recovery import RecoveringQueue
from tests.storage.disk import Reports, damaged, database, ids, opened, record


class Broken(MemoryQueue):
    """A store in memory that refuses while ``fault`` is set, after ``patience`` more calls."""

    def __init__(self) -> None:
        super().__init__()
        self.fault: Exception | None = None
        self.patience = 0

    def _pass(self) -> None:
        if self.fault is not None:
            self.patience -= 1
            if self.patience < 0:
                raise self.fault

    def append(self, record):
        self._pass()
        super().append(record)

    def load(self):
        self._pass()
        return super().load()

    def remove(self, ids):
        self._pass()
        super().remove(ids)

    def replace(self, record):
        self._pass()
        super().replace(record)

    def clear(self):
        self._pass()
        super().clear()


class Ungrouped(Broken):
    """One that offers no transactions."""

    group = None


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def store() -> Broken:
    return Broken()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(store: Broken, clock: Clock) -> RecoveringQueue:
    return RecoveringQueue(store, clock=clock)


@contextmanager
def refused() -> Iterator[None]:
    with pytest.raises(StorageError):
        yield


def break_store(store: Broken, message: str = "database or disk is full") -> None:
    store.fault, store.patience = OSError(message), 0


def test_append_that_fails_is_kept_in_memory_and_written_later(store, queue):
    """The error says that memory alone has it; recovery writes it."""
    queue.append(record("m1"))
    break_store(store)
    with pytest.raises(StorageError, match="disk is full"):
        queue.append(record("m2"))
    assert not queue.is_durable
    store.fault = None
    assert queue.recover()
    assert queue.is_durable
    assert store.load() == queue.load() == [record("m1"), record("m2")]


def test_removal_that_fails_is_remembered(store, queue):
    """A verdict is not forgotten because the disk was full."""
    for name in ("m1", "m2"):
        queue.append(record(name))
    break_store(store)
    with refused():
        queue.remove(["m1"])
    with refused():
        queue.replace(record("m2", version="v2"))
    store.fault = None
    assert queue.recover()
    assert store.load() == [record("m2", version="v2")]


def test_record_removed_and_composed_again_while_behind_is_kept(store, queue):
    """The last word counts."""
    queue.append(record("m1"))
    break_store(store)
    with refused():
        queue.remove(["m1"])
    with refused():
        queue.append(record("m1", version="v2"))
    store.fault = None
    assert queue.recover()
    assert store.load() == [record("m1", version="v2")]


def test_clear_that_fails_is_remembered(store, queue):
    """What was there before stays gone, what came after stays."""
    queue.append(record("m1"))
    break_store(store)
    with refused():
        queue.clear()
    with refused():
        queue.append(record("m2"))
    store.fault = None
    assert queue.recover()
    assert store.load() == [record("m2")]


def test_next_call_recovers_when_it_is_time(store, clock, queue):
    """Attempts are spaced, and further apart each time; a success brings everything to the store, in order."""
    break_store(store)
    for name in ("m1", "m2"):
        with refused():
            queue.append(record(name))
    store.fault = None
    with refused():
        queue.append(record("m3"))
    assert queue.retry_delay == 1.0
    clock.now = 1.0
    queue.append(record("m4"))
    assert queue.retry_delay is None
    assert [each.mutation_id for each in store.load()] == ["m1", "m2", "m3", "m4"]


def test_attempts_grow_apart(store, clock, queue):
    """Up to half a minute."""
    break_store(store)
    with refused():
        queue.append(record("m1"))
    delays = []
    for _ in range(7):
        delays.append(queue.retry_delay)
        assert not queue.recover()
    assert delays == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


def test_record_lost_in_the_middle_is_written_in_its_place(store, queue):
    """The store came back without one: only a rewrite keeps the order."""
    for name in ("m1", "m2", "m3"):
        queue.append(record(name))
    break_store(store)
    with refused():
        queue.append(record("m4"))
    store.fault = None
    store.remove(["m2"])
    assert queue.recover()
    assert [each.mutation_id for each in store.load()] == ["m1", "m2", "m3", "m4"]


def test_records_of_a_store_that_opens_late_are_given_by_looking_again(store, queue):
    """A load that failed deletes nothing: what the store holds is found when it works."""
    store.append(record("old"))
    break_store(store)
    with refused():
        queue.load()
    with refused():
        queue.append(record("new"))
    store.fault = None
    assert queue.look_again() == [record("old")]
    assert queue.look_again() == []
    assert queue.load() == [record("old"), record("new")]
    assert {each.mutation_id for each in store.load()} == {"old", "new"}


def test_group_that_fails_fails_for_all_and_is_kept_in_memory(store, queue):
    """One transaction, one fate, also for the calls that seemed to succeed."""
    with refused(), queue.group():
        queue.append(record("m1"))
        break_store(store)
        queue.append(record("m2"))
        queue.append(record("m3"))
    store.fault = None
    assert store.load() == []
    assert queue.recover()
    assert [each.mutation_id for each in store.load()] == ["m1", "m2", "m3"]


def test_record_without_json_is_refused_in_memory_too(store, queue):
    """It can never be stored: the caller settles it, and the store is not blamed."""
    for bad in (record("m1", args={"text": "\ud800"}), record("m1", args={"n": object()})):
        with pytest.raises(StorageError, match="cannot store") as caught:
            queue.append(bad)
        assert not caught.value.transient
    assert queue.is_durable
    assert queue.load() == []


@pytest.mark.parametrize("make", [Broken, Ungrouped])
@settings(deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["append", "append", "remove", "replace", "clear", "break", "mend", "group"]),
            st.integers(0, 5),
        ),
        max_size=30,
    )
)
def test_store_equals_memory_after_any_faults(make, steps):
    """Whatever failed when: once the store works, it holds what a store that never failed would."""
    store, model = make(), MemoryQueue()
    queue = RecoveringQueue(store, clock=Clock(), retry_interval=0)
    for step, number in steps:
        perform(step, number, store, queue, model)
    store.fault = None
    assert queue.recover()
    assert store.load() == queue.load() == model.load()


def perform(step: str, number: int, store: Broken, queue: RecoveringQueue, model: MemoryQueue) -> None:
    entry = record(f"m{number}", baseline=number)
    if step == "break":
        store.fault, store.patience = OSError("full"), number
        return
    if step == "mend":
        store.fault = None
        return
    for each in (queue, model):
        try:
            with each.group() if step == "group" else nullcontext():
                change(step, entry, each)
        except StorageError:
            assert each is queue


def change(step: str, entry, target) -> None:
    if step in ("append", "group"):
        target.append(entry)
    if step == "group":
        target.append(record("in the same group"))
    elif step == "remove":
        target.remove([entry.mutation_id, "unknown"])
    elif step == "replace":
        target.replace(record(entry.mutation_id, version="v2"))
    elif step == "clear":
        target.clear()


@contextmanager
def recovering(directory: Path, reports: Reports) -> Iterator[RecoveringQueue]:
    queue = RecoveringQueue(DiskQueue(directory, report=reports), retry_interval=0)
    try:
        yield queue
    finally:
        queue.close()


def test_deleted_directory_is_an_error_and_then_made_anew(tmp_path):
    """SQLite writes to deleted files as if nothing were wrong; here everything is written again."""
    directory = tmp_path / "store"
    with recovering(directory, Reports()) as queue:
        queue.append(record("m1"))
        queue.append(record("m2"))
        shutil.rmtree(directory)
        with pytest.raises(StorageError, match="was deleted"):
            queue.append(record("m3"))
        queue.append(record("m4"))
        queue.remove(["m1"])
    with opened(directory) as queue:
        assert ids(queue) == ["m2", "m3", "m4"]


@pytest.mark.parametrize("is_settled", [False, True], ids=["just opened", "settled"])
def test_log_deleted_under_an_open_store_is_noticed(tmp_path, is_settled):
    """The commits would go to a file without a name. Once its directory has settled, that alone is looked at."""
    with recovering(tmp_path, Reports()) as queue:
        queue.append(record("m1"))
        if is_settled:
            os.utime(database(tmp_path).parent, (1, 1))
            queue.append(record("m0"))
        database(tmp_path).with_name("cache.db-wal").unlink()
        with pytest.raises(StorageError, match=r"cache\.db-wal was deleted or replaced"):
            queue.append(record("m2"))
        queue.append(record("m3"))
    with opened(tmp_path, Reports()) as queue:
        assert ids(queue) == ["m1", *["m0"] * is_settled, "m2", "m3"]


def test_settled_directory_spares_a_look_at_each_file(tmp_path, monkeypatch):
    """Asking for the times of a file that is written makes the next synchronisation of it take longer."""
    with recovering(tmp_path, Reports()) as queue:
        queue.append(record("m1"))
        os.utime(database(tmp_path).parent, (1, 1))
        looks = []
        monkeypatch.setattr("lunora_rx.storage.database.identity", lambda path: looks.append(path) or identity(path))
        queue.append(record("m2"))
        assert len(looks) == 2
        queue.append(record("m3"))
        assert len(looks) == 2


def test_database_overwritten_under_an_open_store_is_set_aside_and_written_again(tmp_path):
    """Whatever happens to the file, the writes of this process reach the next one."""
    reports = Reports()
    with recovering(tmp_path, reports) as queue:
        queue.append(record("m1"))
        path = database(tmp_path)
        path.unlink()
        path.write_bytes(b"not a database" * 100)
        with refused():
            queue.append(record("m2"))
        queue.append(record("m3"))
    assert reports
    assert damaged(tmp_path)
    with opened(tmp_path) as queue:
        assert ids(queue) == ["m1", "m2", "m3"]


def test_store_that_others_lock_is_not_waited_for_long(tmp_path):
    """A process that holds the database costs a second, and no write."""
    with recovering(tmp_path, Reports()) as queue:
        queue.append(record("m1"))
        with closing(sqlite3.connect(database(tmp_path), isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StorageError, match="database is locked"):
                queue.append(record("m2"))
        assert queue.recover()
        assert [each.mutation_id for each in queue.load()] == ["m1", "m2"]


@pytest.mark.fault(39, 51)
def test_database_that_becomes_read_only_while_open_loses_nothing(tmp_path):
    """As a file system does after an error of the device."""
    disk = DiskQueue(tmp_path, report=Reports())
    queue = RecoveringQueue(disk, retry_interval=0)
    queue.append(record("m1"))
    connection = disk._lanes[-1]._database._cache._con
    connection.execute("PRAGMA query_only = 1")
    with pytest.raises(StorageError, match="readonly database"):
        queue.append(record("m2"))
    queue.append(record("m3"))
    queue.close()
    with opened(tmp_path) as again:
        assert ids(again) == ["m1", "m2", "m3"]
