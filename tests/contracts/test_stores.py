"""The contract suites on every store that the package brings."""

from __future__ import annotations

import asyncio
import inspect
from contextlib import nullcontext
from pathlib import Path

import pytest

from lunora_rx.errors import StorageError
from lunora_rx.interfaces import CacheStore, QueueStore
from lunora_rx.storage import Storage, open_directory
from lunora_rx.storage.memory_store import MemoryBookmarks, MemoryCache, MemoryQueue
from lunora_rx.storage.recovery import RecoveringQueue
from lunora_rx.testing import CacheStoreContract, QueueStoreContract, a_cached_read, a_queued_mutation


class Mapping:
    """A key-value store whose methods return at once."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def get(self, key: str) -> str | None:
        return self.texts.get(key)

    def set(self, key: str, value: str) -> None:
        self.texts[key] = value

    def delete(self, key: str) -> None:
        self.texts.pop(key, None)


class AsyncMapping:
    """A key-value store of coroutines, which gives bytes back."""

    def __init__(self) -> None:
        self.inner = Mapping()

    async def get(self, key: str) -> bytes | None:
        await asyncio.sleep(0)
        value = self.inner.get(key)
        return None if value is None else value.encode()

    async def set(self, key: str, value: str) -> None:
        await asyncio.sleep(0)
        self.inner.set(key, value)

    async def delete(self, key: str) -> None:
        await asyncio.sleep(0)
        self.inner.delete(key)


class OfStorage:
    """Opens the stores of a bundle; a subclass says which."""

    @pytest.fixture(autouse=True)
    def _place(self, tmp_path: Path) -> None:
        self.directory = tmp_path
        self.mapping = Mapping()
        self.async_mapping = AsyncMapping()

    def storage(self) -> Storage:
        raise NotImplementedError


class InDirectory(OfStorage):
    def storage(self) -> Storage:
        return open_directory(self.directory / "store", report=_raise)


class InMapping(OfStorage):
    def storage(self) -> Storage:
        return Storage.from_mapping(self.mapping, report=_raise)


class InAsyncMapping(OfStorage):
    def storage(self) -> Storage:
        return Storage.from_mapping(self.async_mapping, report=_raise)


class TestMemoryQueue(QueueStoreContract):
    is_durable = False

    def open_store(self) -> QueueStore:
        return MemoryQueue()


class TestMemoryCache(CacheStoreContract):
    is_durable = False

    def open_store(self) -> CacheStore:
        return MemoryCache()


class QueueOfStorage(QueueStoreContract):
    def open_store(self) -> QueueStore:
        return self.storage().queue


class CacheOfStorage(CacheStoreContract):
    def open_store(self) -> CacheStore:
        return self.storage().cache


class TestDiskQueue(InDirectory, QueueOfStorage):
    pass


class TestMappingQueue(InMapping, QueueOfStorage):
    pass


class TestAsyncMappingQueue(InAsyncMapping, QueueOfStorage):
    pass


class TestRecoveringDiskQueue(InDirectory, QueueStoreContract):
    def open_store(self) -> QueueStore:
        queue = RecoveringQueue(self.storage().queue, retry_interval=0)
        queue.load()
        return queue


class TestRecoveringMappingQueue(InMapping, QueueStoreContract):
    def open_store(self) -> QueueStore:
        queue = RecoveringQueue(self.storage().queue, retry_interval=0)
        queue.load()
        return queue


class TestDiskCache(InDirectory, CacheOfStorage):
    pass


class TestMappingCache(InMapping, CacheOfStorage):
    pass


class TestAsyncMappingCache(InAsyncMapping, CacheOfStorage):
    pass


@pytest.mark.parametrize("kind", ["memory", "directory", "mapping", "async mapping"])
def test_bookmark_is_the_latest_one_set(kind, tmp_path):
    """A store has no bookmark, then one, then a newer one; it is there after closing, where anything is."""
    mapping = AsyncMapping() if kind == "async mapping" else Mapping()

    def opened() -> Storage:
        if kind == "directory":
            return open_directory(tmp_path, report=_raise)
        return Storage.from_mapping(mapping, report=_raise)

    storage = Storage(MemoryQueue(), None, MemoryBookmarks()) if kind == "memory" else opened()
    assert storage.bookmarks.get() is None
    storage.bookmarks.set("1-ä")
    storage.bookmarks.set("2-ü")
    assert storage.bookmarks.get() == "2-ü"
    storage.close()
    if kind != "memory":
        storage = opened()
        assert storage.bookmarks.get() == "2-ü"
        storage.close()


@pytest.mark.parametrize("kind", ["directory", "mapping", "async mapping"])
def test_client_id_is_made_once_and_kept(kind, tmp_path):
    """Whoever opens the place next has the id that the first one made."""
    mapping = AsyncMapping() if kind == "async mapping" else Mapping()
    made = iter(["id-1", "id-2"])
    for _ in range(2):
        storage = open_directory(tmp_path) if kind == "directory" else Storage.from_mapping(mapping)
        assert storage.keep_client_id(lambda: next(made)) == "id-1"
        storage.close()


@pytest.mark.parametrize("kept", ["", "a\nb", "ä"])
def test_client_id_that_no_header_can_hold_is_made_anew(kept):
    """What is found in a key-value store is not believed."""
    mapping = Mapping()
    mapping.set("lunora:client_id", kept)
    storage = Storage.from_mapping(mapping)
    assert storage.keep_client_id(lambda: "made") == "made"
    assert mapping.get("lunora:client_id") == "made"


def test_prefixes_keep_two_storages_of_one_mapping_apart():
    """Queue, cache, bookmark and client id of one are not those of the other."""
    mapping = Mapping()
    ours, theirs = (Storage.from_mapping(mapping, prefix=prefix, report=_raise) for prefix in ("ours:", "theirs:"))
    ours.queue.append(a_queued_mutation("m1"))
    ours.cache.put([a_cached_read("k1")])
    ours.bookmarks.set("b1")
    ours.keep_client_id(lambda: "id-1")
    found = theirs.queue.load(), theirs.cache.load(), theirs.bookmarks.get(), theirs.keep_client_id(lambda: "id-2")
    assert found == ([], [], None, "id-2")
    assert {key.partition(":")[0] for key in mapping.texts} == {"ours", "theirs"}


def test_key_value_store_that_fails_names_itself_and_may_recover():
    """Whatever it raises is a ``StorageError`` that says where, and worth another attempt."""

    class Failing(Mapping):
        def set(self, key: str, value: str) -> None:
            raise LookupError("no shelf")

    with pytest.raises(StorageError, match=r"Failing: LookupError\('no shelf'\)") as caught:
        Storage.from_mapping(Failing()).queue.append(a_queued_mutation("m1"))
    assert caught.value.transient is True


def test_every_contract_test_has_a_sentence():
    """Users read them when their store fails."""
    for contract in (QueueStoreContract, CacheStoreContract):
        tests = [method for name, method in inspect.getmembers(contract) if name.startswith("test_")]
        assert len(tests) >= 6
        assert all(inspect.getdoc(test) for test in tests)


def test_contract_finds_a_store_that_loses_the_order():
    """The suite can fail: a store that forgets the order does not pass."""

    class Sorted(MemoryQueue):
        def load(self):
            return sorted(super().load(), key=lambda record: record.mutation_id)

        group = nullcontext

    class Contract(QueueStoreContract):
        is_durable = False

        def open_store(self):
            return Sorted()

    with pytest.raises(AssertionError):
        Contract().test_load_returns_every_field_in_the_order_of_appending()
    with pytest.raises(AssertionError):
        Contract().test_group_that_fails_leaves_nothing()


def _raise(error: Exception) -> None:
    raise error
