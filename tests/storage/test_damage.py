"""Damaged databases: set aside, reported, and as much as is whole carried over."""

from __future__ import annotations

import os
import pickle
import shutil
import sqlite3
from itertools import zip_longest
from pathlib import Path

import pytest

from lunora_rx.errors import StorageError
from lunora_rx.storage.bytes_disk import UNREADABLE, ByteCache
from lunora_rx.storage.disk_reads import DiskCache, SharedReads
from lunora_rx.storage.disk_store import DiskQueue
from lunora_rx.storage.inspection import KEYS_A_COMMIT
from lunora_rx.storage.rows import seal
from lunora_rx.testing import a_cached_read
from tests.storage.disk import Reports, damaged, database, execute, filled, ids, opened, record

_INSERT = "INSERT INTO Cache(key, raw, store_time, access_time, mode, filename, value) VALUES (?, ?, 0, 0, ?, ?, ?)"
FIRST_KEY = KEYS_A_COMMIT


class Planted:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_flipped_byte_in_a_record_costs_that_record(tmp_path):
    """The checksum finds it: it is reported, the others stay in order, and nothing is deleted."""
    path = filled(tmp_path, "m1", "m2-flip-me", "m3")
    before = path.read_bytes()
    assert before.count(b"m2-flip-me") == 1
    path.write_bytes(before.replace(b"m2-flip-me", b"m2-flip-ne"))
    with opened(tmp_path, reports := Reports()) as queue:
        assert ids(queue) == ["m1", "m3"]
        queue.append(record("m4"))
    assert len(reports) == 1
    assert "does not match its checksum" in reports.text
    (kept,) = damaged(tmp_path)
    assert b"m2-flip-ne" in (tmp_path / "damaged" / kept / "cache.db").read_bytes()
    with opened(tmp_path) as queue:  # reported once
        assert ids(queue) == ["m1", "m3", "m4"]


@pytest.mark.parametrize("place", ["a tenth", "the middle", "the end"])
def test_truncated_database_is_set_aside(tmp_path, place):
    """What a cut leaves is read as far as it goes; the client runs on a fresh database."""
    names = [f"m{number:03d}" for number in range(300)]
    path = filled(tmp_path, *names)
    size = path.stat().st_size
    os.truncate(path, {"a tenth": size // 10, "the middle": size // 2, "the end": size - 100}[place])
    with opened(tmp_path, reports := Reports()) as queue:
        left = ids(queue)
        assert left == sorted(left)
        assert set(left) <= set(names)
        queue.append(record("new"))
    assert reports
    assert len(damaged(tmp_path)) == 1
    with opened(tmp_path) as queue:
        assert ids(queue) == [*left, "new"]


@pytest.mark.parametrize("contents", [b"", b"not a database" * 1000, b"\0" * 4096])
def test_file_that_is_no_database_is_set_aside(tmp_path, contents):
    """An emptied file opens as a new database in SQLite; here it is noticed."""
    path = filled(tmp_path, "m1")
    path.write_bytes(contents)
    with opened(tmp_path, reports := Reports()) as queue:
        assert ids(queue) == []
        queue.append(record("m2"))
        assert ids(queue) == ["m2"]
    assert reports
    assert str(path.parent) in reports.text
    (kept,) = damaged(tmp_path)
    assert (tmp_path / "damaged" / kept / "cache.db").read_bytes() == contents


def test_deleted_database_is_noticed(tmp_path):
    """The mark beside it says how far it was."""
    filled(tmp_path, "m1").unlink()
    with opened(tmp_path, reports := Reports()) as queue:
        assert ids(queue) == []
    assert "commits are missing" in reports.text


def test_deleted_log_is_noticed_and_the_rest_carried_over(tmp_path):
    """A database without its log is a healthy, older one; the mark tells the difference."""
    source, copy = tmp_path / "source", tmp_path / "copy"
    filled(source, "m1", "m2")
    with opened(source) as queue:
        queue.append(record("m3"))
        queue.remove(["m1"])
        shutil.copytree(source, copy)
    log = database(copy).with_name("cache.db-wal")
    log.unlink()
    with opened(copy, reports := Reports()) as queue:
        assert ids(queue) == ["m1", "m2"]  # m1 again: the server knows its id
    assert "its latest 2 of 3 commits are missing" in reports.text
    assert len(damaged(copy)) == 1


@pytest.mark.fault(37)
@pytest.mark.parametrize("is_marked", [True, False], ids=["mark kept", "mark lost"])
def test_every_cut_of_the_log_leaves_a_prefix(tmp_path, is_marked):
    """As after a power loss: of each lane what was stored and removed first, whole and in order.

    The mark, which is never synchronised, may be older or newer than that: only with a newer one is a loss noticed.
    """
    whole = tmp_path / "whole"
    stories = filled_together(tmp_path / "source", whole)
    logs = sorted(whole.glob("lanes/*/queue/*/cache.db-wal"))
    reached: list[list[int]] = [[], []]
    for cuts in zip_longest(*(cuts_of(log) for log in logs)):
        copy = tmp_path / "copy"
        shutil.copytree(whole, copy)
        for log, cut in zip(logs, cuts, strict=True):
            if cut is not None:
                os.truncate(copy / log.relative_to(whole), cut)
        if not is_marked:
            for mark in copy.glob("lanes/*/queue/*/mark"):
                mark.unlink()
        with opened(copy, reports := Reports()) as queue:
            left = ids(queue)
        assert left == sorted(left), "the older lane goes first"
        places = [
            story.index([each for each in left if each[0] == name]) for name, story in zip("ab", stories, strict=True)
        ]
        for place, so_far in zip(places, reached, strict=True):
            so_far.append(place)
        is_behind = any(place < len(story) - 1 for place, story in zip(places, stories, strict=True))
        if is_marked or all(places):
            assert bool(reports) is (is_marked and is_behind), reports.text
        shutil.rmtree(copy)
    for so_far, story in zip(reached, stories, strict=True):
        assert so_far == sorted(so_far)
        assert {*so_far} == {*range(len(story))}, "each commit was the last one once"


def filled_together(source: Path, copy: Path) -> list[list[list[str]]]:
    """Let two processes queue and remove at once, copy what is there; return what each lane held after each commit."""
    stories: list[list[list[str]]] = [[[]], [[]]]
    with opened(source) as first, opened(source) as second:
        for number in range(6):
            for name, queue, story in zip("ab", (first, second), stories, strict=True):
                queue.append(record(f"{name}{number}"))
                story.append(ids(queue))
                if number % 2:
                    queue.remove([ids(queue)[number // 2]])
                    story.append(ids(queue))
        shutil.copytree(source, copy)
    return stories


def cuts_of(log: Path) -> list[int]:
    """Return where to cut a log, the shortest first: between its frames, and within each."""
    frame, size = 4096 + 24, log.stat().st_size
    between = range(32, size + 1, frame)
    return sorted({0, *between, *(cut + 5 for cut in between[:-1]), *(cut - 3 for cut in between)})


@pytest.mark.fault(37)
def test_every_cut_of_the_log_of_the_read_cache_leaves_a_prefix(tmp_path):
    """It is not synchronised with each commit: the latest values may be lost, and nothing of the others is torn."""
    source, whole, story = tmp_path / "source", tmp_path / "whole", [{}]
    reads = SharedReads(source, report=Reports())
    cache = DiskCache(reads)
    for number in range(8):
        cache.put([a_cached_read(f"q{number % 3}", stored_at=float(number))])
        story.append(held_by(cache))
        if number % 3 == 2:
            cache.remove([f"q{number % 2}"])
            story.append(held_by(cache))
    shutil.copytree(source, whole)
    cache.close()
    reached = []
    for cut in cuts_of(whole / "reads" / "1" / "cache.db-wal"):
        copy = tmp_path / "copy"
        shutil.copytree(whole, copy)
        os.truncate(copy / "reads" / "1" / "cache.db-wal", cut)
        left = DiskCache(SharedReads(copy, report=(reports := Reports())))
        reached.append(story.index(held_by(left)))
        left.close()
        assert reached[-1] == 0 or not reports, reports.text
        shutil.rmtree(copy)
    assert reached == sorted(reached)
    assert {*reached} == {*range(len(story))}


def held_by(cache: DiskCache) -> dict[str, float]:
    """What a cache holds, by the time it was stored."""
    return {entry.key: entry.stored_at for entry in cache.load()}


@pytest.mark.fault(41)
@pytest.mark.parametrize("what", ["value", "key"])
def test_planted_pickle_runs_no_code(tmp_path, what):
    """A pickled row is reported as damage, and never loaded."""
    path = filled(tmp_path, "m1")
    bomb = sqlite3.Binary(pickle.dumps(Planted(tmp_path / "ran")))
    if what == "value":
        execute(path, _INSERT, 77, 1, 4, None, bomb)
    else:
        execute(path, _INSERT, bomb, 0, 1, None, b"x")
    with opened(tmp_path, reports := Reports()) as queue:
        assert ids(queue) == ["m1"]
    assert "is a pickle" in reports.text
    assert not (tmp_path / "ran").exists()


@pytest.mark.fault(41)
def test_planted_path_reads_no_file(tmp_path):
    """A row that names a file is reported as damage, and the file neither read nor deleted."""
    secret = tmp_path / "secret"
    secret.write_text("canary")
    path = filled(tmp_path, "m1")
    execute(path, _INSERT, 77, 1, 2, str(secret), None)
    with opened(tmp_path, reports := Reports()) as queue:
        assert ids(queue) == ["m1"]
        queue.clear()
    assert "names a file" in reports.text
    assert "canary" not in reports.text
    assert secret.read_text() == "canary"


@pytest.mark.fault(40)
def test_row_whose_file_is_missing_costs_that_row(tmp_path):
    """Diskcache keeps large values in files of their own; here a row that names one is damage, there or not."""
    path = filled(tmp_path, "m1", "m2")
    execute(path, _INSERT, FIRST_KEY + 77, 1, 2, "00/11/missing.val", None)
    with opened(tmp_path, reports := Reports()) as queue:
        assert ids(queue) == ["m1", "m2"]
        queue.append(record("m3"))
    assert "names a file" in reports.text
    assert len(damaged(tmp_path)) == 1
    with opened(tmp_path) as queue:
        assert ids(queue) == ["m1", "m2", "m3"]


@pytest.mark.parametrize("setting", ["close", "disk_planted", "sqlite_user_version"])
def test_planted_setting_is_not_obeyed(tmp_path, setting):
    """Diskcache makes settings into attributes, arguments and pragmas."""
    path = filled(tmp_path, "m1")
    execute(path, "INSERT INTO Settings VALUES (?, ?)", setting, 5)
    with opened(tmp_path, reports := Reports()) as queue:
        assert ids(queue) == ["m1"]
        queue.append(record("m2"))
    assert repr(setting) in reports.text


def test_planted_eviction_loses_nothing(tmp_path):
    """Whoever opens the file can change its policy and size; ours win."""
    path = filled(tmp_path, "m1")
    for key, value in (("eviction_policy", "least-recently-stored"), ("size_limit", 1), ("cull_limit", 10)):
        execute(path, "UPDATE Settings SET value = ? WHERE key = ?", value, key)
    names = [f"n{number}" for number in range(200)]
    with opened(tmp_path) as queue:
        for name in names[:5]:
            queue.append(record(name))
        with queue.group():
            for name in names[5:]:
                queue.append(record(name))
        assert ids(queue) == ["m1", *names]


def test_row_under_the_key_of_another_is_noticed(tmp_path):
    """The checksum covers the key."""
    path = filled(tmp_path, "m1", "m2")
    execute(path, "DELETE FROM Cache WHERE key = (SELECT min(key) FROM Cache)")
    execute(path, "UPDATE Cache SET key = key - 1")
    with opened(tmp_path, reports := Reports()) as queue:
        assert ids(queue) == []
    assert "does not match its checksum" in reports.text


def test_row_damaged_while_open_is_skipped_and_reported(tmp_path):
    """A load reads what is there now."""
    with opened(tmp_path, reports := Reports()) as queue:
        for name in ("m1", "m2", "m3"):
            queue.append(record(name))
        execute(
            database(tmp_path),
            "UPDATE Cache SET value = ? WHERE key = (SELECT min(key) FROM Cache)",
            sqlite3.Binary(b"00000000 {}"),
        )
        execute(
            database(tmp_path),
            "UPDATE Cache SET mode = 4 WHERE key = (SELECT key FROM Cache ORDER BY key LIMIT 1 OFFSET 1)",
        )
        assert ids(queue) == ["m3"]
    assert "does not match its checksum" in reports.text
    assert "is not one of this library" in reports.text


@pytest.mark.fault(36)
def test_killed_while_replacing_finishes_at_the_next_opening(tmp_path):
    """Two versions side by side: the newer holds everything, the older one was about to be moved away."""
    path = filled(tmp_path, "m1", "m2")
    version = path.parent
    shutil.copytree(version, version.with_name("2"))
    shutil.copytree(version, version.with_name("half-made"))
    with opened(tmp_path, reports := Reports()) as queue:
        assert ids(queue) == ["m1", "m2"]
    assert len(damaged(tmp_path)) == 1
    assert len(reports) == 1


def test_byte_cache_reads_planted_rows_as_unreadable(tmp_path):
    """The second line: rows planted while the database is open."""
    cache = ByteCache(tmp_path, synchronous=1)
    bomb = sqlite3.Binary(pickle.dumps(Planted(tmp_path / "ran")))
    execute(tmp_path / "cache.db", _INSERT, 1, 1, 4, None, bomb)
    execute(tmp_path / "cache.db", _INSERT, 2, 1, 2, "cache.db", None)
    execute(tmp_path / "cache.db", _INSERT, bomb, 0, 1, None, b"x")
    assert cache.get(1) is UNREADABLE
    assert cache.get(2) is UNREADABLE
    assert list(cache.iterkeys()) == [1, 2, UNREADABLE]
    for key, value in ((1, {"a": 1}), (1, "text"), (None, b"x"), ((1,), b"x")):
        with pytest.raises(TypeError):
            cache.set(key, value)
    cache.close()
    assert not (tmp_path / "ran").exists()


def test_symbolic_link_in_place_of_the_database_is_refused(tmp_path):
    """Nothing outside the directory is opened for writing."""
    path = filled(tmp_path / "store", "m1")
    elsewhere = tmp_path / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    with opened(tmp_path / "store", reports := Reports()) as queue:
        assert ids(queue) == []
        queue.append(record("m2"))
    assert "cannot open the database" in reports.text


def test_directory_that_diskcache_would_expand_is_refused(tmp_path, monkeypatch):
    """Diskcache replaces names of environment variables in paths."""
    monkeypatch.setenv("PLACE", "elsewhere")
    queue = DiskQueue(tmp_path / "$PLACE", report=Reports())
    with pytest.raises(StorageError, match="environment variable"):
        queue.append(record("m1"))
    assert not (tmp_path / "elsewhere").exists()


def test_records_on_both_sides_of_a_damaged_page_are_carried_over(tmp_path):
    """Reading from the other end reaches what lies behind it."""
    names = [f"m{number:03d}" for number in range(300)]
    path = filled(tmp_path, *names)
    contents = bytearray(path.read_bytes())
    page = contents.index(b'"m150"') // 4096 * 4096
    contents[page : page + 4096] = b"\xff" * 4096
    path.write_bytes(contents)
    with opened(tmp_path, reports := Reports()) as queue:
        left = ids(queue)
    assert left == sorted(left)
    assert left[0] == "m000"
    assert left[-1] == "m299"
    assert "m150" not in left
    assert len(left) > 250
    assert "malformed" in reports.text


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("text", b"x", "a key of type text"),
        (b"blob", None, "holds no checksum"),
        (5, "text", "holds no checksum"),
    ],
)
def test_planted_row_of_another_kind_is_reported(tmp_path, key, value, complaint):
    """Only what this library stores is taken for a record."""
    path = filled(tmp_path, "m1")
    execute(path, "DELETE FROM Cache WHERE key = ?", key)
    execute(path, _INSERT, key, 1, 1, None, value)
    with opened(tmp_path, reports := Reports()) as queue:
        assert ids(queue) == ["m1"]
        queue.append(record("m2"))
    assert complaint in reports.text


@pytest.mark.parametrize("count", ["text", -1, None, 1.5])
def test_count_that_is_none_is_reported(tmp_path, count):
    """The commits are counted where diskcache counts hits."""
    path = filled(tmp_path, "m1")
    execute(path, "UPDATE Settings SET value = ? WHERE key = 'hits'", count)
    with opened(tmp_path, reports := Reports()) as queue:
        assert ids(queue) == ["m1"]
        queue.append(record("m2"))
    assert "count of commits" in reports.text
    with opened(tmp_path) as queue:
        assert ids(queue) == ["m1", "m2"]


def test_record_that_is_none_is_reported_and_set_aside(tmp_path):
    """As one that a later version of this library stored."""
    path = filled(tmp_path, "m1", "m2")
    execute(
        path, "UPDATE Cache SET value = ? WHERE key = (SELECT min(key) FROM Cache)", seal(FIRST_KEY, b'{"id": "m1"}')
    )
    with opened(tmp_path, reports := Reports()) as queue:
        assert ids(queue) == ["m2"]
    assert "functionPath" in reports.text
    assert len(damaged(tmp_path)) == 1
