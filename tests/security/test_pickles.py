"""Nothing stored reaches pickle, whoever wrote it: why CVE-2025-69872 of diskcache does not apply.

diskcache pickles keys and values that are no bytes, text or numbers, and unpickles what a row says is one. Rows of
every mode, planted in both databases before they are opened and while they are, are opened under an eye on pickle and
on files: neither is touched.
"""

from __future__ import annotations

import ast
import inspect
import io
import os
import pickle
import sqlite3
import sys
from pathlib import Path

import diskcache
import pytest
from diskcache.core import MODE_BINARY, MODE_NONE, MODE_PICKLE, MODE_RAW, MODE_TEXT

from lunora_rx import LunoraClient
from lunora_rx.storage import bytes_disk
from lunora_rx.storage.browse import browse
from lunora_rx.storage.bytes_disk import UNREADABLE, ByteCache, BytesDisk
from lunora_rx.storage.disk_reads import DiskBookmarks, DiskCache, SharedReads
from tests.security.house import house
from tests.storage.disk import Reports, database, execute, filled, ids, opened, record
from tests.support import Recorder, until

INSERT = "INSERT INTO Cache(key, raw, store_time, access_time, mode, filename, value) VALUES (?, ?, 0, 0, ?, ?, ?)"


class Bomb:
    """Makes a directory when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


class Watch:
    """An eye on the whole process: what unpickles, and which files are opened outside a directory.

    Attributes:
        seen: The audit events of pickle, and paths that were opened.
    """

    def __init__(self, secret: Path) -> None:
        self.seen: list[str] = []
        self.is_on = False
        self._secret = str(secret)
        sys.addaudithook(self._note)

    def _note(self, event, arguments):
        if not self.is_on:
            return
        if event.startswith(("pickle.", "os.system", "os.exec", "subprocess.")):
            self.seen.append(event)
        if event == "open" and os.fsdecode(str(arguments[0])) == self._secret:
            self.seen.append(f"open {arguments[0]}")


@pytest.fixture
def watch(tmp_path, monkeypatch):
    """Watches, and makes every way into pickle fail as well."""

    def refuse(*arguments, **options):
        watch.seen.append("pickle")
        raise AssertionError("something was unpickled")

    secret = tmp_path / "secret"
    secret.write_text("the secret")
    watch = Watch(secret)
    for module, name in ((pickle, "load"), (pickle, "loads"), (pickle, "Unpickler"), (pickle, "_Unpickler")):
        monkeypatch.setattr(module, name, refuse)
    monkeypatch.setattr(diskcache.core.pickle, "load", refuse)
    watch.is_on = True
    yield watch
    watch.is_on = False
    assert watch.seen == []
    assert not (tmp_path / "ran").exists()
    assert secret.read_text() == "the secret"


def rows(tmp_path):
    """Rows of every sort that diskcache reads other than as raw bytes: name, then what to insert."""
    bomb = sqlite3.Binary(pickle.dumps(Bomb(tmp_path / "ran")))
    (tmp_path / "bomb").write_bytes(bytes(bomb))
    secret, up = str(tmp_path / "secret"), "../" * 6 + str(tmp_path / "secret").lstrip("/")
    return {
        "pickled value": (71, 1, MODE_PICKLE, None, bomb),
        "pickled file": (72, 1, MODE_PICKLE, str(tmp_path / "bomb"), None),
        "pickled key": (bomb, 0, MODE_RAW, None, sqlite3.Binary(b"x")),
        "pickled key and value": (sqlite3.Binary(bytes(bomb) + b"."), 0, MODE_PICKLE, None, bomb),
        "binary file": (73, 1, MODE_BINARY, secret, None),
        "binary file above": (74, 1, MODE_BINARY, up, None),
        "text file": (75, 1, MODE_TEXT, secret, None),
        "raw with a file": (76, 1, MODE_RAW, secret, sqlite3.Binary(b"x")),
        "no mode": (77, 1, MODE_NONE, secret, bomb),
        "unknown mode": (78, 1, 9, None, bomb),
        "raw that is a pickle": (79, 1, MODE_RAW, None, bomb),
        "text key": ("read:text", 1, MODE_PICKLE, None, bomb),
        "float key": (1.5, 1, MODE_PICKLE, None, bomb),
    }


def plant(path, tmp_path):
    """Plant all of them in a database."""
    for row in rows(tmp_path).values():
        execute(path, INSERT, *row)


def test_planted_rows_of_the_queue_are_never_unpickled(tmp_path, watch):
    """Opened, loaded, changed, cleared and adopted: every one of them is damage, and the write beside them is there."""
    path = filled(tmp_path / "storage", "m1")
    plant(path, tmp_path)
    with opened(tmp_path / "storage", reports := Reports()) as queue:
        assert ids(queue) == ["m1"]
        queue.adopt()
        queue.clear()
    assert len(reports) == len(rows(tmp_path))
    assert "the secret" not in reports.text


def test_rows_planted_in_an_open_queue_are_never_unpickled(tmp_path, watch):
    """As by another process: under the keys of writes that are known, too."""
    with opened(tmp_path / "storage", reports := Reports()) as queue:
        filled_names = [f"m{number}" for number in range(len(rows(tmp_path)))]
        for name in filled_names:
            queue.append(record(name))
        keys = list(queue._lanes[0]._keys.values())
        path = database(tmp_path / "storage")
        for key, (_, raw, mode, filename, value) in zip(keys, rows(tmp_path).values(), strict=True):
            row = (raw or 1, mode, filename, value, key)
            execute(path, "UPDATE Cache SET raw = ?, mode = ?, filename = ?, value = ? WHERE key = ?", *row)
        assert ids(queue) == []
        queue.remove(filled_names)
        queue.append(record("after"))
        assert ids(queue) == ["after"]
    assert reports


def test_planted_rows_of_the_read_cache_are_never_unpickled(tmp_path, watch):
    """Values, the bookmark, and whatever else lies between them."""
    reads = SharedReads(tmp_path / "storage", report=Reports())
    DiskBookmarks(reads).set("b1")
    reads.close()
    (path,) = (tmp_path / "storage").glob("reads/*/cache.db")
    plant(path, tmp_path)
    bomb = rows(tmp_path)["pickled value"][-1]
    for key in (b"read:a", b"bookmark"):
        statement = "INSERT OR REPLACE INTO Cache(key, raw, store_time, access_time, mode, value) VALUES (?,1,0,0,4,?)"
        execute(path, statement, sqlite3.Binary(key), bomb)
    reads = SharedReads(tmp_path / "storage", report=(reports := Reports()))
    assert DiskCache(reads).load() == []
    assert DiskCache(reads).get("a") is None
    assert DiskBookmarks(reads).get() is None
    plant(next((tmp_path / "storage").glob("reads/*/cache.db")), tmp_path)
    execute(next((tmp_path / "storage").glob("reads/*/cache.db")), statement, sqlite3.Binary(b"bookmark"), bomb)
    assert DiskBookmarks(reads).get() is None
    reads.close()
    assert reports


async def test_client_on_a_planted_directory_runs_and_unpickles_nothing(no_tasks_left, tmp_path, watch):
    """The whole way, beside the command that browses the queue."""
    directory, seen, reports = tmp_path / "storage", Recorder(), Reports()
    path = filled(directory, "m1")
    plant(path, tmp_path)
    async with house().serve() as url, LunoraClient(url, storage=directory, on_storage_error=reports) as client:
        client.live("notes:list").subscribe(seen.on_next)
        await until(lambda: seen.values)
    assert reports


def test_planted_queue_is_browsed_without_unpickling(tmp_path, watch):
    """What ``lunora-rx queue`` reads, it reads by itself and not through diskcache."""
    path = filled(tmp_path / "storage", "m1")
    plant(path, tmp_path)
    (lane,) = browse(tmp_path / "storage")
    assert [each.record.mutation_id for each in lane.writes if each.record is not None] == ["m1"]


@pytest.mark.parametrize("mode", [MODE_NONE, MODE_RAW, MODE_BINARY, MODE_TEXT, MODE_PICKLE, 5, -1, None])
@pytest.mark.parametrize("filename", [None, "/etc/hostname", "../x"])
@pytest.mark.parametrize("read", [False, True])
def test_disk_gives_raw_bytes_or_nothing(tmp_path, watch, mode, filename, read):
    """Whatever mode a row claims."""
    disk = BytesDisk(str(tmp_path))
    expected = b"x" if (mode, filename, read) == (MODE_RAW, None, False) else UNREADABLE
    assert disk.fetch(mode, filename, b"x", read) is expected or disk.fetch(mode, filename, b"x", read) == expected


def test_disk_overrides_every_method_of_diskcaches_that_pickles_or_opens_files():
    """Found by reading diskcache: a release that pickles elsewhere fails here, before it is allowed."""
    tree = ast.parse(inspect.getsource(diskcache.Disk))
    touching = {
        method.name
        for method in ast.walk(tree)
        if isinstance(method, ast.FunctionDef)
        and {each.id for each in ast.walk(method) if isinstance(each, ast.Name)} & {"pickle", "open", "io"}
    }
    assert touching == {"put", "get", "store", "fetch", "_write"}
    assert touching - {"_write"} <= set(vars(BytesDisk))  # ``_write`` is called by ``store`` alone
    assert "remove" in vars(BytesDisk)  # what deletes the file that a row names
    for whose in (diskcache.Cache, bytes_disk.ByteCache):
        assert "pickle." not in inspect.getsource(whose)


def test_disk_writes_no_file_and_no_pickle(tmp_path):
    """What it is not made for is refused, not pickled."""
    cache = ByteCache(tmp_path, synchronous=1)
    for value in ({"a": 1}, None, True, 1.5, "text", io.BytesIO(b"x"), bytearray(b"x")):
        with pytest.raises(TypeError, match="a value is bytes"):
            cache.set(1, value)
    for key in ("text", 1.5, None, True, (1,)):
        with pytest.raises(TypeError, match="a key is int or bytes"):
            cache.set(key, b"x")
    cache.set(1, b"x" * 2**20)
    cache.close()
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} <= {"cache.db", "cache.db-wal", "cache.db-shm"}


def test_watch_sees_what_it_is_there_for(tmp_path):
    """Both eyes are open: diskcache's own disk, given the same row, sets the bomb off."""
    watch = Watch(tmp_path / "secret")
    plain = diskcache.Cache(str(tmp_path / "plain"))
    execute(tmp_path / "plain" / "cache.db", INSERT, *rows(tmp_path)["pickled value"])
    watch.is_on = True
    plain.get(71)
    watch.is_on = False
    plain.close()
    assert (tmp_path / "ran").exists()
    assert "pickle.find_class" in watch.seen
