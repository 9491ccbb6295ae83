"""Looking at lanes without owning them, and dropping from those that nobody holds."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lunora_rx.errors import StorageError
from lunora_rx.storage import browse as browsing
from lunora_rx.storage.browse import BrowsedLane, browse, drop, set_aside_in
from tests.storage.disk import Reports, damaged, database, execute, filled, ids, opened, record

_WRITER = """
import sys
from pathlib import Path
from lunora_rx.storage.disk_store import DiskQueue
from lunora_rx.testing import a_queued_mutation
queue = DiskQueue(Path(sys.argv[1]), report=print)
for name in sys.argv[2:]:
    queue.append(a_queued_mutation(name))
print("ready", flush=True)
sys.stdin.read()
"""

# Opens, appends, removes and closes for ever, so that logs come and go.
_RESTLESS = """
import sys
from pathlib import Path
from lunora_rx.storage.disk_store import DiskQueue
from lunora_rx.testing import a_queued_mutation
print("ready", flush=True)
while True:
    queue = DiskQueue(Path(sys.argv[1]), report=print)
    for number in range(3):
        queue.append(a_queued_mutation(f"m{number}", args={"text": "x" * 5000}))
    queue.remove(["m1"])
    queue.close()
"""


class Writers:
    """Processes that hold lanes; all are killed at the end."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.processes: list[subprocess.Popen[str]] = []

    def start(self, *names: str, code: str = _WRITER) -> subprocess.Popen[str]:
        """Start a process that stores records and stays, and wait until it has."""
        command = [sys.executable, "-c", code, str(self.directory), *names]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    def kill(self, process: subprocess.Popen[str]) -> None:
        process.kill()
        process.communicate()


@pytest.fixture
def writers(tmp_path: Path) -> Iterator[Writers]:
    """Writers of ``tmp_path / "data"``."""
    started = Writers(tmp_path / "data")
    yield started
    for process in started.processes:
        started.kill(process)


def names(lane: BrowsedLane) -> list[str | None]:
    return [None if write.record is None else write.record.mutation_id for write in lane.writes]


def traces(directory: Path) -> dict[str, tuple[int, bytes]]:
    """Everything in a directory that a look could have changed."""
    files = sorted(directory.rglob("*"))
    return {str(file): (file.stat().st_mtime_ns, file.read_bytes() if file.is_file() else b"") for file in files}


def test_lane_of_a_living_process_is_read_with_what_only_its_log_holds(writers):
    """The records are there before any checkpoint, in order; the holder is named; nothing is touched."""
    process = writers.start("m1", "m2", "m3")
    before = traces(writers.directory)
    (lane,) = browse(writers.directory)
    assert (lane.name, lane.is_held, lane.damage) == ("00000001", True, ())
    assert lane.holder == (process.pid if Path("/proc/locks").exists() else None)
    assert names(lane) == ["m1", "m2", "m3"]
    assert [write.place for write in lane.writes] == [1, 2, 3]
    assert lane.writes[0].record == record("m1")
    assert traces(writers.directory) == before


def test_lane_of_a_killed_process_is_free_and_read_without_a_trace(writers):
    """Its log and the log's index stay as the killed process left them, for the client that will adopt it."""
    writers.kill(writers.start("m1", "m2"))
    log = database(writers.directory).with_name("cache.db-wal")
    assert log.stat().st_size > 0
    before = traces(writers.directory)
    (lane,) = browse(writers.directory)
    assert (lane.is_held, lane.holder, lane.damage, names(lane)) == (False, None, (), ["m1", "m2"])
    assert traces(writers.directory) == before
    with opened(writers.directory) as queue:
        assert ids(queue) == ["m1", "m2"]


def test_closed_lane_is_read_without_making_a_log(tmp_path):
    """SQLite would make a log and its index for a reader."""
    filled(tmp_path, "m1")
    before = traces(tmp_path)
    (lane,) = browse(tmp_path)
    assert (lane.is_held, names(lane)) == (False, ["m1"])
    assert traces(tmp_path) == before


def test_log_without_its_index_is_read_from_a_copy(writers):
    """As a backup brings it: the index is not made beside it."""
    writers.kill(writers.start("m1", "m2"))
    database(writers.directory).with_name("cache.db-shm").unlink()
    before = traces(writers.directory)
    (lane,) = browse(writers.directory)
    assert (lane.damage, names(lane)) == ((), ["m1", "m2"])
    assert traces(writers.directory) == before


def test_lanes_are_listed_oldest_first_each_with_its_own_state(writers):
    """One lives, one was killed, one closed."""
    writers.start("a1")
    writers.kill(writers.start("b1"))
    with opened(writers.directory) as queue:
        queue.append(record("c1"))
    assert [(lane.is_held, names(lane)) for lane in browse(writers.directory)] == [
        (True, ["a1"]),
        (False, ["b1", "c1"]),
    ]


def test_held_lane_of_a_process_that_is_not_listed_is_still_held(tmp_path, monkeypatch):
    """Where the system does not tell who holds a lock, trying it tells that somebody does."""
    monkeypatch.setattr(browsing, "_LOCKS", tmp_path / "nothing")
    with opened(tmp_path) as queue:
        queue.append(record("m1"))
        (lane,) = browse(tmp_path)
        assert (lane.is_held, lane.holder, names(lane)) == (True, None, ["m1"])
        queue.append(record("m2"))
    assert not browse(tmp_path)[0].is_held


@pytest.mark.timeout(60)
def test_looks_beside_a_restless_client_never_see_damage(writers):
    """Opening, writing, closing and looking in any order: each look sees a state that there was."""
    writers.start(code=_RESTLESS)
    seen = set()
    until = time.monotonic() + 3
    while time.monotonic() < until or len(seen) < 2:
        if (writers.directory / "lanes").exists():
            for lane in browse(writers.directory):
                assert lane.damage == ()
                seen.add(tuple(names(lane)))
    assert seen <= {(), ("m0",), ("m0", "m1"), ("m0", "m1", "m2"), ("m0", "m2"), ("m0", "m2", "m1")}
    assert damaged(writers.directory) == []


def test_flipped_byte_is_shown_in_its_place_with_the_bytes_found(tmp_path):
    """The damaged record keeps its place and nothing is set aside by a look."""
    path = filled(tmp_path, "m1", "m2-flip-me", "m3")
    path.write_bytes(path.read_bytes().replace(b"m2-flip-me", b"m2-flip-ne"))
    (lane,) = browse(tmp_path)
    assert names(lane) == ["m1", None, "m3"]
    assert lane.writes[1].damage == "does not match its checksum"
    assert b"m2-flip-ne" in lane.writes[1].stored
    assert damaged(tmp_path) == []


def test_planted_row_is_shown_as_damaged_and_not_loaded(tmp_path):
    """A pickle, and a file that a row names, are none of ours."""
    path = filled(tmp_path, "m1")
    execute(path, "INSERT INTO Cache(key, raw, mode, value) VALUES ('k', 1, 4, x'80')")
    (lane,) = browse(tmp_path)
    assert [write.damage for write in lane.writes] == [None, "was not stored by this library"]


def test_deleted_log_is_damage_of_the_lane(tmp_path):
    """A database without its log is a healthy, older one; the mark tells the difference."""
    source, copy = tmp_path / "source", tmp_path / "copy"
    filled(source, "m1")
    with opened(source) as queue:
        queue.append(record("m2"))
        shutil.copytree(source, copy)
    for each in ("wal", "shm"):
        database(copy).with_name(f"cache.db-{each}").unlink()
    (lane,) = browse(copy)
    assert names(lane) == ["m1"]
    assert lane.damage == ("its latest 1 of 2 commits are missing",)


@pytest.mark.parametrize("contents", [b"", b"not a database" * 1000])
def test_file_that_is_no_database_is_damage_of_the_lane(tmp_path, contents):
    """It is told, and left for the next client to set aside."""
    path = filled(tmp_path, "m1")
    path.write_bytes(contents)
    (lane,) = browse(tmp_path)
    assert lane.writes == ()
    assert lane.damage
    assert path.read_bytes() == contents


def test_truncated_database_is_read_as_far_as_it_goes(tmp_path):
    """What a cut leaves is shown, in order, and the lane is called damaged."""
    stored = [f"m{number:03d}" for number in range(300)]
    path = filled(tmp_path, *stored)
    os.truncate(path, path.stat().st_size // 2)
    (lane,) = browse(tmp_path)
    left = [name for name in names(lane) if name is not None]
    assert left == sorted(left)
    assert set(left) <= set(stored)
    assert lane.damage


def test_damaged_page_hides_only_what_lies_on_it(tmp_path):
    """Rows behind it are reached from the other end."""
    path = filled(tmp_path, *(f"m{number:03d}" for number in range(300)))
    content = path.read_bytes()
    page = content.index(b"m150") // 4096 * 4096
    path.write_bytes(content[:page] + b"\xff" * 4096 + content[page + 4096 :])
    (lane,) = browse(tmp_path)
    assert names(lane)[0] == "m000"
    assert names(lane)[-1] == "m299"
    assert "m150" not in names(lane)
    assert lane.damage


def test_lane_that_never_came_to_hold_a_database_is_empty(tmp_path):
    """A process killed right after it made its lane leaves a directory."""
    (tmp_path / "lanes" / "00000001").mkdir(parents=True)
    assert browse(tmp_path) == [BrowsedLane("00000001", is_held=False)]


def test_lane_that_cannot_be_opened_is_told_with_the_reason(tmp_path, monkeypatch):
    """It is no empty lane, and does not hide the others."""
    monkeypatch.setattr(browsing, "_RETRY_INTERVAL", 0)
    path = filled(tmp_path, "m1")
    path.unlink()
    path.mkdir()
    (lane,) = browse(tmp_path)
    assert lane.writes == ()
    assert lane.damage[0].startswith(f"cannot read the lane {tmp_path / 'lanes' / '00000001'}: ")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: None, "there is no directory"),
        (lambda path: path.write_text(""), "is no directory"),
        (lambda path: path.mkdir(), "holds no storage"),
    ],
    ids=["missing", "a file", "empty"],
)
def test_directory_without_a_storage_is_refused_and_left_as_it_is(tmp_path, make, reason):
    """The error says which of the three it is, and nothing is made."""
    path = tmp_path / "data"
    make(path)
    before = traces(tmp_path)
    with pytest.raises(StorageError, match=reason):
        browse(path)
    assert traces(tmp_path) == before


def test_drop_removes_the_chosen_and_keeps_the_order_of_the_rest(tmp_path):
    """Ids that are not there are ignored; what is left goes to the next client."""
    filled(tmp_path, "m1", "m2", "m3")
    assert list(drop(tmp_path, {"00000001": ["m2", "gone"]}, report=Reports())) == [("00000001", ["m2"])]
    with opened(tmp_path) as queue:
        assert ids(queue) == ["m1", "m3"]


def test_drop_of_the_last_record_deletes_the_lane(tmp_path):
    """As a client does with an adopted lane once it is empty."""
    filled(tmp_path, "m1")
    assert list(drop(tmp_path, {"00000001": ["m1"]}, report=Reports())) == [("00000001", ["m1"])]
    assert browse(tmp_path) == []


def test_drop_from_a_held_lane_is_refused_before_anything_is_removed(writers):
    """All lanes are taken first: the free one keeps its records too."""
    killed = writers.start("a1")
    held = writers.start("b1")
    writers.kill(killed)
    with pytest.raises(StorageError, match="00000002 is held"):
        list(drop(writers.directory, {"00000001": ["a1"], "00000002": ["b1"]}, report=Reports()))
    assert [(lane.is_held, names(lane)) for lane in browse(writers.directory)] == [(False, ["a1"]), (True, ["b1"])]
    assert held.poll() is None


def test_drop_from_a_damaged_lane_sets_the_damage_aside(tmp_path):
    """The damaged row is no more in the lane, but in the directory for such; it is reported."""
    path = filled(tmp_path, "m1", "m2-flip-me", "m3")
    path.write_bytes(path.read_bytes().replace(b"m2-flip-me", b"m2-flip-ne"))
    assert list(drop(tmp_path, {"00000001": ["m1"]}, report=(reports := Reports()))) == [("00000001", ["m1"])]
    assert "does not match its checksum" in reports.text
    (lane,) = browse(tmp_path)
    assert names(lane) == ["m3"]
    assert [path.name for path in set_aside_in(tmp_path)] == damaged(tmp_path) == ["queue-1-1"]
