"""Lanes: one a process, adopted once when it is gone."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lunora_rx.errors import StorageError
from lunora_rx.storage import locks, open_directory
from lunora_rx.storage.disk_store import DiskQueue
from lunora_rx.storage.locks import FileLock
from tests.storage.disk import Reports, filled, ids, needs_fork, opened, record

needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="nothing tells which file is meant")

_WRITER = """
import sys
from pathlib import Path
from lunora_rx.storage import locks
from lunora_rx.storage.disk_store import DiskQueue
from lunora_rx.testing import a_queued_mutation
queue = DiskQueue(Path(sys.argv[1]), report=print)
for name in sys.argv[2:]:
    queue.append(a_queued_mutation(name))
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def writers() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes to be killed at the end."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


def launch(writers: list[subprocess.Popen[str]], directory: Path, *names: str) -> subprocess.Popen[str]:
    """Start a process that stores records and goes on holding its lane."""
    command = [sys.executable, "-c", _WRITER, str(directory), *names]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    writers.append(process)
    return process


def wait_until_ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"


def start(writers: list[subprocess.Popen[str]], directory: Path, *names: str) -> subprocess.Popen[str]:
    """Start a process as ``launch`` does, and wait until it has stored its records."""
    process = launch(writers, directory, *names)
    wait_until_ready(process)
    return process


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def lanes(directory: Path) -> list[str]:
    return sorted(os.listdir(directory / "lanes"))


def test_second_client_of_a_directory_gets_a_lane_of_its_own(tmp_path):
    """Each loads its own writes, and none of the other's."""
    with opened(tmp_path) as first, opened(tmp_path) as second:
        first.append(record("a1"))
        second.append(record("b1"))
        first.append(record("a2"))
        assert ids(first) == ["a1", "a2"]
        assert ids(second) == ["b1"]
        assert second.adopt() == []


def test_living_process_keeps_its_lane(tmp_path, writers):
    """Another process does not see it, and is not kept waiting."""
    start(writers, tmp_path, "a1", "a2")
    with opened(tmp_path) as queue:
        assert ids(queue) == []
        queue.append(record("b1"))
        assert ids(queue) == ["b1"]


def test_lane_of_a_killed_process_is_adopted_at_opening(tmp_path, writers):
    """Its records keep ids, stamps and order, and come first."""
    kill(start(writers, tmp_path, "a1", "a2"))
    with opened(tmp_path) as queue:
        queue.append(record("b1"))
        assert queue.load() == [record("a1"), record("a2"), record("b1")]
        assert queue.adopt() == []


def test_lanes_are_adopted_oldest_first(tmp_path, writers):
    """Three dead lanes, in the order in which they were made; the newest is gone on with."""
    processes = [start(writers, tmp_path, *names) for names in (("a1", "a2"), ("b1",), ("c1",))]
    for process in reversed(processes):
        kill(process)
    with opened(tmp_path) as queue:
        queue.append(record("d1"))
        assert ids(queue) == ["a1", "a2", "b1", "c1", "d1"]
        assert len(lanes(tmp_path)) == 3
        queue.remove(["a2", "b1", "a1"])
        assert ids(queue) == ["c1", "d1"]
        assert len(lanes(tmp_path)) == 1
    with opened(tmp_path) as queue:
        assert ids(queue) == ["c1", "d1"]


def test_lane_is_adopted_by_looking_again(tmp_path, writers):
    """Its records are given once, to one client, and load ahead of the adopter's own."""
    process = start(writers, tmp_path, "a1", "a2")
    with opened(tmp_path) as queue, opened(tmp_path) as other:
        queue.append(record("b1"))
        other.append(record("c1"))
        assert queue.adopt() == []
        kill(process)
        assert queue.adopt() == [record("a1"), record("a2")]
        assert queue.adopt() == other.adopt() == []
        assert ids(queue) == ["a1", "a2", "b1"]
        queue.replace(record("a1", identity="subj:grace"))
        queue.remove(["a2"])
        assert queue.load() == [record("a1", identity="subj:grace"), record("b1")]


@pytest.mark.fault(50)
def test_adopter_that_dies_leaves_everything_for_the_next(tmp_path, writers):
    """No record moves when a lane is adopted, so none is lost or doubled."""
    first, second = start(writers, tmp_path, "a1", "a2"), start(writers, tmp_path, "b1")
    kill(first)
    kill(second)
    kill(start(writers, tmp_path, "c1"))
    with opened(tmp_path) as queue:
        assert ids(queue) == ["a1", "a2", "b1", "c1"]


def test_record_in_two_lanes_is_one_record(tmp_path):
    """A process killed while it carried records over leaves them in both; a removal takes both."""
    with opened(tmp_path) as first, opened(tmp_path) as second:
        first.append(record("a1"))
        second.append(record("a1"))
        second.append(record("b1"))
    with opened(tmp_path) as queue:
        assert ids(queue) == ["a1", "b1"]
        queue.remove(["a1"])
        assert ids(queue) == ["b1"]


@pytest.mark.fault(50)
def test_racing_adopters_share_the_lanes_without_doubles(tmp_path, writers):
    """Every record is given to exactly one of eight clients that open at once."""
    names = [f"m{number}" for number in range(6)]
    processes = [launch(writers, tmp_path, name) for name in names]
    for process in processes:
        wait_until_ready(process)
    for process in processes:
        kill(process)
    barrier = threading.Barrier(8)
    found: list[list[str]] = []
    errors: list[BaseException] = []

    def adopt() -> None:
        reports = Reports()
        queue = DiskQueue(tmp_path, report=reports)
        try:
            barrier.wait()
            found.append(ids(queue))
            barrier.wait()
            errors.extend(reports)
        except BaseException as error:
            errors.append(error)
        finally:
            queue.close()

    threads = [threading.Thread(target=adopt) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert sorted(name for each in found for name in each) == names


def test_empty_lane_is_gone_on_with(tmp_path):
    """Starting and ending does not make a directory each time."""
    for _ in range(3):
        with opened(tmp_path) as queue:
            assert ids(queue) == []
    assert lanes(tmp_path) == ["00000001"]


def test_keys_are_never_used_again(tmp_path):
    """Not when the queue was empty, and not after a restart."""
    with opened(tmp_path) as queue:
        queue.append(record("m1"))
        with queue.group():
            queue.append(record("m2"))
            queue.append(record("m3"))
        keys = list(queue._lanes[0]._keys.values())
        queue.clear()
    with opened(tmp_path) as queue:
        queue.append(record("m4"))
        keys += queue._lanes[0]._keys.values()
    assert keys == sorted(set(keys))
    assert len(keys) == 4


def test_files_are_closed_to_others(tmp_path):
    """Directories 0700 and files 0600, whatever the umask; a directory that was there keeps its mode."""
    root = tmp_path / "store"
    before = os.umask(0)
    try:
        filled(root, "m1")
        with opened(root) as queue:
            queue.append(record("m2"))
            modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (root, *root.rglob("*"))}
    finally:
        os.umask(before)
    assert any(path.name == "cache.db-wal" for path in modes)
    assert all(mode == (0o700 if path.is_dir() else 0o600) for path, mode in modes.items()), modes
    (tmp_path / "mine").mkdir(mode=0o755)
    filled(tmp_path / "mine", "m1")
    assert stat.S_IMODE((tmp_path / "mine").stat().st_mode) == 0o755


def test_files_that_others_could_read_are_closed(tmp_path):
    """What an older program or a copy left open is closed at opening."""
    path = filled(tmp_path, "m1")
    path.chmod(0o644)
    path.parent.chmod(0o755)
    with opened(tmp_path) as queue:
        assert ids(queue) == ["m1"]
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_lock_without_its_file_is_not_held(tmp_path):
    """A lock whose file was deleted would exclude nobody."""
    lock, other = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert lock.acquire()
    assert not other.acquire()
    lock.path.unlink()
    assert not lock.is_held
    assert other.acquire()
    lock.discard()  # leaves the other's file
    assert other.is_held
    other.discard()
    assert not other.path.exists()


def test_lock_waits_and_gives_up(tmp_path):
    """Whoever waits is told who is in the way."""
    lock, other = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    lock.wait(0)
    with pytest.raises(StorageError, match="another process holds it"):
        other.wait(0.02)
    lock.release()
    other.wait(0)
    other.release()


@needs_fork
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_forked_child_gets_a_clear_error_and_harms_nothing(tmp_path):
    """The store belongs to who opened it; the child's copy of the lock does not outlive the parent's."""
    with opened(tmp_path) as queue:
        queue.append(record("m1"))
        assert in_child(lambda: queue.append(record("child"))) == "StorageError"
        assert in_child(queue.load) == "StorageError"
        queue.append(record("m2"))
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(write)
            os.read(read, 1)
            os._exit(0)
        queue.close()
        with opened(tmp_path) as other:  # the child is alive, and holds nothing
            assert ids(other) == ["m1", "m2"]
        os.close(write)
        os.close(read)
        os.waitpid(child, 0)


@needs_fork
def test_lock_that_is_released_is_free_though_a_child_has_a_copy(tmp_path):
    """A child that was just forked may not have come to closing its own."""
    lock, other = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    lock.wait(0)
    copy = os.dup(lock._file)  # as a child has it
    lock.release()
    assert other.acquire()
    os.close(copy)
    assert other.is_held
    other.release()


def in_child(call) -> str:
    """Call something in a forked child and return what it raised."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        name = "nothing"
        try:
            call()
        except StorageError as error:
            name = "StorageError" if "forked process" in str(error) else str(error)
        finally:
            os.write(write, name.encode())
            os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    name = os.read(read, 200).decode()
    os.close(read)
    return name


def test_lane_that_cannot_be_opened_is_reported_and_left(tmp_path, writers):
    """The others are adopted, and a client goes on in a lane of its own."""
    for process in [start(writers, tmp_path, "a1"), start(writers, tmp_path, "b1")]:
        kill(process)
    broken = tmp_path / "lanes" / "00000001" / "queue" / "1" / "cache.db"
    broken.rename(tmp_path / "kept")
    broken.mkdir()
    with opened(tmp_path, reports := Reports()) as queue:
        assert ids(queue) == ["b1"]
    assert "00000001" in reports.text
    assert broken.is_dir()


def test_lock_on_a_file_that_lost_its_name_is_no_lock(tmp_path, monkeypatch):
    """Whoever holds a lane may delete it between our opening its lock and our locking it."""
    lock, locking = FileLock(tmp_path / "lock"), locks._lock

    def delete_first(file: int) -> None:
        lock.path.unlink()
        locking(file)

    monkeypatch.setattr(locks, "_lock", delete_first)
    assert not lock.acquire()
    monkeypatch.undo()
    assert lock.acquire()
    lock.release()


@pytest.fixture
def synchronised(monkeypatch) -> list[Path]:
    """The paths that were synchronised, but for what SQLite does by itself."""
    paths: list[Path] = []

    def fsync(file: int, original=os.fsync) -> None:
        paths.append(Path(f"/proc/self/fd/{file}").readlink())
        original(file)

    monkeypatch.setattr(os, "fsync", fsync)
    return paths


@pytest.mark.fault(37)
@needs_proc
def test_every_name_that_leads_to_a_write_is_synchronised(tmp_path, synchronised):
    """From the directory that was there down to the database; what goes on with it costs no more."""
    directory = tmp_path / "app" / "state" / "storage"
    below = ["app", "state", "storage", "lanes", "00000001", "queue", "1"]
    with opened(directory) as queue:
        queue.append(record("m1"))
        chain = [tmp_path.joinpath(*below[:depth]) for depth in range(len(below) + 1)]
        assert [path for path in chain if path not in synchronised] == []
        synchronised.clear()
        queue.append(record("m2"))
        queue.remove(["m1"])
        assert synchronised == []


@needs_proc
def test_names_made_by_a_process_that_was_killed_at_once_are_synchronised(tmp_path, synchronised):
    """Its lane is gone on with, and nobody knows whether it came as far as that."""
    (tmp_path / "lanes" / "00000001").mkdir(parents=True)
    with opened(tmp_path) as queue:
        queue.append(record("m1"))
    assert lanes(tmp_path) == ["00000001"]
    assert {tmp_path, tmp_path / "lanes"} <= {*synchronised}


@needs_proc
@pytest.mark.parametrize("part", ["client_id", "cache"])
def test_names_that_lead_to_what_else_is_kept_are_synchronised(tmp_path, synchronised, part):
    """Whoever is first makes the directory for all."""
    directory = tmp_path / "app" / "storage"
    storage = open_directory(directory)
    if part == "client_id":
        assert storage.keep_client_id is not None
        storage.keep_client_id(lambda: "client-1")
    else:
        assert storage.cache is not None
        storage.cache.load()
    storage.close()
    assert {tmp_path, tmp_path / "app", directory} <= {*synchronised}


def test_directory_that_may_be_written_and_not_read_is_no_obstacle(tmp_path, monkeypatch):
    """What cannot be opened cannot be synchronised; root could open it."""

    def open_file(path: Path, *options: int, original=os.open, **more: int) -> int:
        if path == tmp_path:
            raise PermissionError(13, "Permission denied")
        return original(path, *options, **more)

    monkeypatch.setattr(os, "open", open_file)
    with opened(tmp_path / "storage") as queue:
        queue.append(record("m1"))
        assert ids(queue) == ["m1"]


@pytest.mark.fault(37)
def test_commit_is_synchronised(tmp_path):
    """A write that is reported as stored survives a power loss; a database that is opened again, too."""
    filled(tmp_path, "m1")
    with opened(tmp_path) as queue:
        queue.append(record("m2"))
        connection = queue._lanes[-1]._database._cache._con
        assert connection.execute("PRAGMA synchronous").fetchall() == [(2,)]
        assert connection.execute("PRAGMA mmap_size").fetchall() in ([], [(0,)])
