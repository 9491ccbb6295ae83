"""The read cache, the bookmark and the client id that the processes of a directory share."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from lunora_rx.errors import StorageError
from lunora_rx.storage.bundle import Storage, open_directory
from lunora_rx.storage.client_id import kept_client_id
from lunora_rx.storage.disk_reads import DiskCache
from lunora_rx.storage.mapping_store import KeyValueStore
from lunora_rx.testing import a_cached_read
from tests.storage.disk import Reports, damaged, record


def cache_of(storage: Storage) -> DiskCache:
    assert isinstance(storage.cache, DiskCache)
    return storage.cache


def test_two_clients_share_the_read_cache(tmp_path):
    """What one stores, the next one to open loads; both write."""
    first, second = open_directory(tmp_path), open_directory(tmp_path)
    cache_of(first).put([a_cached_read("a")])
    cache_of(second).put([a_cached_read("b", stored_at=2.0)])
    cache_of(first).put([a_cached_read("c", stored_at=3.0)])
    assert cache_of(first).get("b") == a_cached_read("b", stored_at=2.0)
    third = open_directory(tmp_path)
    assert [entry.key for entry in cache_of(third).load()] == ["a", "b", "c"]
    for storage in (first, second, third):
        storage.close()


def test_damaged_read_cache_is_set_aside_and_the_other_client_recovers(tmp_path):
    """Whoever has the old file open is told once, and goes on in the new one."""
    reports = Reports()
    first, second = (open_directory(tmp_path, report=reports) for _ in range(2))
    cache_of(first).put([a_cached_read("a")])
    first.close()
    path = tmp_path / "reads" / "1" / "cache.db"
    path.write_bytes(path.read_bytes().replace(b"hello", b"hullo"))
    first = open_directory(tmp_path, report=reports)
    cache_of(second).put([a_cached_read("b")])
    assert damaged(tmp_path) == ["reads-1-1"]
    assert "checksum" in reports.text
    assert [entry.key for entry in cache_of(first).load()] == ["b"]
    for storage in (first, second):
        storage.close()


def test_read_cache_moved_away_is_noticed_by_who_has_it_open(tmp_path):
    """The commit went to a file that nobody will open again."""
    storage = open_directory(tmp_path)
    cache_of(storage).put([a_cached_read("a")])
    (tmp_path / "reads" / "1").rename(tmp_path / "moved")
    with pytest.raises(StorageError, match="cannot write"):
        cache_of(storage).put([a_cached_read("b")])
    cache_of(storage).put([a_cached_read("c")])
    assert [entry.key for entry in cache_of(storage).load()] == ["c"]
    storage.close()


def test_entry_without_json_is_reported_and_the_others_kept(tmp_path):
    """A value that the server sent with a lone surrogate cannot be written."""
    storage = open_directory(tmp_path, report=(reports := Reports()))
    cache_of(storage).put([a_cached_read("bad", value="\ud800"), a_cached_read("good")])
    assert [entry.key for entry in cache_of(storage).load()] == ["good"]
    assert "'bad'" in reports.text
    storage.close()


def test_key_with_any_text_is_a_key(tmp_path):
    """Keys are texts of the application."""
    storage = open_directory(tmp_path)
    assert cache_of(storage).get("\ud800") is None
    cache_of(storage).put([a_cached_read("\0'\"\u2603")])
    assert cache_of(storage).get("\0'\"\u2603") is not None
    storage.close()


def test_client_id_is_made_once(tmp_path):
    """The first id is kept, in a file of its own that only the owner reads."""
    directory = tmp_path / "new" / "store"
    assert kept_client_id(directory, new_id=lambda: "one") == "one"
    assert kept_client_id(directory, new_id=lambda: "two") == "one"
    assert os.listdir(directory) == ["client_id"]
    assert (directory / "client_id").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("contents", ["", "cut off", "\n", "two\nlines\n", "x" * 300 + "\n", "\x1b[0m\n"])
def test_file_without_a_client_id_is_set_aside(tmp_path, contents):
    """It is not deleted, and not sent to a server."""
    (tmp_path / "client_id").write_text(contents)
    assert kept_client_id(tmp_path, new_id=lambda: "one") == "one"
    assert kept_client_id(tmp_path, new_id=lambda: "two") == "one"
    (kept,) = tmp_path.glob("client_id-damaged-*")
    assert kept.read_text() == contents


def test_clients_that_start_at_once_agree_on_an_id(tmp_path):
    """Whoever comes second takes the first one's."""
    barrier = threading.Barrier(8)
    found: list[str] = []

    def start(name: str) -> None:
        barrier.wait()
        found.append(kept_client_id(tmp_path, new_id=lambda: name))

    threads = [threading.Thread(target=start, args=(f"client-{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_client_id_that_cannot_be_kept_is_an_error(tmp_path):
    """The caller goes on with one of its own."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot keep the client id"):
        kept_client_id(tmp_path / "file", new_id=lambda: "one")


class Faulty:
    """A key-value store that loses and fails on demand."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.fault: Exception | None = None

    def get(self, key: str) -> str | None:
        return self.texts.get(key)

    def set(self, key: str, value: str) -> None:
        if self.fault is not None:
            raise self.fault
        self.texts[key] = value

    def delete(self, key: str) -> None:
        self.texts.pop(key, None)


def test_mapping_reports_what_it_cannot_read_one_by_one():
    """A missing record, a broken one and a broken index cost themselves and nothing else."""
    kv, reports = Faulty(), Reports()
    storage = Storage.from_mapping(kv, report=reports)
    for name in ("m1", "m2", "m3"):
        storage.queue.append(record(name))
    assert storage.cache is not None
    storage.cache.put([a_cached_read("a"), a_cached_read("b")])
    del kv.texts["lunora:queue:m1"]
    kv.texts["lunora:queue:m2"] = "{"
    kv.texts["lunora:read:a"] = '{"key": 1}'
    assert storage.queue.load() == [record("m3")]
    assert storage.cache.load() == [a_cached_read("b")]
    assert len(reports) == 3
    kv.texts["lunora:queue"] = "broken"
    assert storage.queue.load() == []
    assert len(reports) == 4


def test_mapping_failure_is_a_storage_error():
    """Whatever the key-value store raises."""
    kv: KeyValueStore = Faulty()
    storage = Storage.from_mapping(kv, prefix="mine:")
    kv.fault = RuntimeError("connection lost")
    with pytest.raises(StorageError, match=r"cannot write 'queue:m1' in Faulty: .*connection lost"):
        storage.queue.append(record("m1"))
    kv.fault = None
    storage.queue.append(record("m1"))
    assert set(kv.texts) == {"mine:queue", "mine:queue:m1"}


def test_open_directory_does_nothing_before_its_first_use(tmp_path: Path):
    """Making a client does no I/O."""
    storage = open_directory(tmp_path / "store")
    storage.close()
    assert not (tmp_path / "store").exists()
