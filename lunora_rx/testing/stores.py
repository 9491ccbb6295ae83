"""Contracts for stores of your own: subclass one in a test module and say how to open the store.

    class TestMyQueue(QueueStoreContract):
        def open_store(self):
            return MyQueue("test.db")

pytest calls each ``test_`` method on a new instance; so can you, with no test runner at all.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

from lunora_rx.core.records import CachedRead, QueuedMutation
from lunora_rx.interfaces import CacheStore, QueueStore
from lunora_rx.protocol.values import UNDEFINED

__all__ = ["CacheStoreContract", "QueueStoreContract", "a_cached_read", "a_queued_mutation"]


def a_queued_mutation(mutation_id: str = "m1", **fields: Any) -> QueuedMutation:
    """Return a queued mutation with something in every field that is not given."""
    given: dict[str, Any] = {
        "function_path": "messages:send",
        "args": {
            "text": "snowman \u2603 \U0001f600",
            "count": 2**53,
            "tagged": ["$lunora.date", 0],
            "none": None,
            "f": 0.1,
        },
        "client_id": "client-1",
        "shard": "room",
        "identity": "subj:ada",
        "baseline": 0,
        "version": "v1",
    }
    return QueuedMutation(mutation_id, **(given | fields))


def a_cached_read(key: str = "messages:list|{}", **fields: Any) -> CachedRead:
    """Return a cached read with something in every field that is not given."""
    given: dict[str, Any] = {
        "value": [{"_id": "1", "text": "hello"}],
        "identity": "subj:ada",
        "credential": "tok:00",
        "cursor": 7,
        "epoch": "e1",
        "stored_at": 1.5,
        "version": "v1",
    }
    return CachedRead(key, **(given | fields))


class QueueStoreContract:
    """What a ``QueueStore`` promises. Set ``is_durable`` to false for one that forgets when it is closed."""

    is_durable = True

    def open_store(self) -> QueueStore[QueuedMutation]:
        """Return the store; the first call of a test gives an empty one, a later one the same contents."""
        raise NotImplementedError

    def close_store(self, store: QueueStore[QueuedMutation]) -> None:
        """Close a store; by default with its ``close()``, if it has one."""
        _close(store)

    def opened(self) -> contextlib.AbstractContextManager[QueueStore[QueuedMutation]]:
        """Open a store for a ``with`` block."""
        return _opened(self.open_store, self.close_store)

    def test_load_of_an_empty_store_is_empty(self) -> None:
        """A new store holds nothing."""
        with self.opened() as store:
            assert list(store.load()) == []

    def test_load_returns_every_field_in_the_order_of_appending(self) -> None:
        """The order is that of ``append``, whatever the ids."""
        records = [a_queued_mutation(name) for name in ("b", "a", "ü/..\\:", "c", "10", "9")]
        with self.opened() as store:
            for record in records:
                store.append(record)
            assert list(store.load()) == records

    def test_absent_stamp_differs_from_a_stamp_of_nobody(self) -> None:
        """No identity key replays as anybody; null was queued signed out."""
        records = [
            a_queued_mutation("absent", identity=UNDEFINED),
            a_queued_mutation("nobody", identity=None),
            a_queued_mutation("bare", shard="", baseline=None, version=None, args={}),
        ]
        with self.opened() as store:
            for record in records:
                store.append(record)
            assert list(store.load()) == records

    def test_append_of_a_present_id_replaces_it_in_its_place(self) -> None:
        """One id is one record, however often it is stored."""
        with self.opened() as store:
            _append(store, "m1", "m2")
            store.append(a_queued_mutation("m1", version="v2"))
            assert [(each.mutation_id, each.version) for each in store.load()] == [("m1", "v2"), ("m2", "v1")]

    def test_remove_takes_the_named_ones_and_ignores_the_unknown(self) -> None:
        """What was never there is as good as gone."""
        with self.opened() as store:
            _append(store, "m1", "m2", "m3", "m4")
            store.remove(["m3", "unknown", "m1"])
            store.remove([])
            assert _ids(store) == ["m2", "m4"]

    def test_replace_keeps_the_place(self) -> None:
        """A new stamp does not send a write to the back."""
        with self.opened() as store:
            _append(store, "m1", "m2", "m3")
            stamped = replace(a_queued_mutation("m2"), identity="subj:grace")
            store.replace(stamped)
            assert list(store.load()) == [a_queued_mutation("m1"), stamped, a_queued_mutation("m3")]

    def test_replace_of_an_unknown_id_does_nothing(self) -> None:
        """A verdict may have come first."""
        with self.opened() as store:
            _append(store, "m1")
            store.replace(a_queued_mutation("m2"))
            assert _ids(store) == ["m1"]

    def test_order_survives_an_empty_queue(self) -> None:
        """Places are not given out anew in a way that puts a newer record first."""
        with self.opened() as store:
            _append(store, "m1", "m2")
            store.remove(["m1", "m2"])
            _append(store, "m4", "m3")
            store.remove(["m4"])
            _append(store, "m4")
            assert _ids(store) == ["m3", "m4"]

    def test_clear_forgets_everything(self) -> None:
        """A cleared store is an empty one that works."""
        with self.opened() as store:
            _append(store, "m1", "m2")
            store.clear()
            assert _ids(store) == []
            _append(store, "m3")
            assert _ids(store) == ["m3"]

    def test_closed_store_opens_with_the_same_contents(self) -> None:
        """What was kept is there in the next process, and so is what was forgotten."""
        if not self.is_durable:
            return
        with self.opened() as store:
            _append(store, "m1", "m2", "m3")
            store.remove(["m2"])
            store.replace(a_queued_mutation("m1", version="v2"))
        with self.opened() as store:
            assert list(store.load()) == [a_queued_mutation("m1", version="v2"), a_queued_mutation("m3")]
            _append(store, "m0")
            assert _ids(store) == ["m1", "m3", "m0"]

    def test_a_thousand_records_keep_their_order(self) -> None:
        """As many as a client queues by default."""
        names = [f"m{number}" for number in range(1_000)]
        with self.opened() as store, getattr(store, "group", contextlib.nullcontext)():
            _append(store, *names)
            assert _ids(store) == names

    def test_group_that_fails_leaves_nothing(self) -> None:
        """Where a store offers ``group()``, it is all or nothing."""
        with self.opened() as store:
            _append(store, "m1")
            group = getattr(store, "group", None)
            if group is None:
                return
            with contextlib.suppress(ZeroDivisionError), group():
                store.remove(["m1"])
                _append(store, "m2", "m3")
                raise ZeroDivisionError
            assert _ids(store) == ["m1"]
            with group():
                store.remove(["m1"])
                _append(store, "m2")
            assert _ids(store) == ["m2"]


class CacheStoreContract:
    """What a ``CacheStore`` promises. Set ``is_durable`` to false for one that forgets when it is closed."""

    is_durable = True
    limit = 500

    def open_store(self) -> CacheStore[CachedRead]:
        """Return the store; the first call of a test gives an empty one, a later one the same contents."""
        raise NotImplementedError

    def close_store(self, store: CacheStore[CachedRead]) -> None:
        """Close a store; by default with its ``close()``, if it has one."""
        _close(store)

    def opened(self) -> contextlib.AbstractContextManager[CacheStore[CachedRead]]:
        """Open a store for a ``with`` block."""
        return _opened(self.open_store, self.close_store)

    def test_get_returns_what_was_put_in_every_field(self) -> None:
        """An entry comes back as it was."""
        bare = CachedRead("bare", None, None)
        with self.opened() as store:
            store.put([a_cached_read(), bare])
            assert store.get("messages:list|{}") == a_cached_read()
            assert store.get("bare") == bare
            assert store.get("other") is None

    def test_put_replaces_an_older_entry(self) -> None:
        """The latest value of a key wins."""
        newer = a_cached_read(value=[], cursor=8)
        with self.opened() as store:
            store.put([a_cached_read()])
            store.put([newer])
            assert list(store.load()) == [newer]

    def test_load_begins_with_the_least_recently_stored(self) -> None:
        """In the order of ``stored_at``, whatever the order of ``put``."""
        with self.opened() as store:
            store.put([a_cached_read(key, stored_at=at) for key, at in (("b", 2.0), ("c", 3.0), ("a", 1.0))])
            assert [entry.key for entry in store.load()] == ["a", "b", "c"]

    def test_remove_takes_the_named_ones_and_ignores_the_unknown(self) -> None:
        """What was never there is as good as gone."""
        with self.opened() as store:
            store.put([a_cached_read("a"), a_cached_read("b")])
            store.remove(["a", "unknown"])
            assert [entry.key for entry in store.load()] == ["b"]
            assert store.get("a") is None

    def test_least_recently_stored_entries_make_room(self) -> None:
        """At most ``limit`` entries are kept, the latest ones."""
        with self.opened() as store:
            store.put([a_cached_read(f"k{number}", stored_at=float(number)) for number in range(self.limit + 3)])
            keys = [entry.key for entry in store.load()]
            assert keys == [f"k{number}" for number in range(3, self.limit + 3)]
            assert store.get("k0") is None

    def test_closed_store_opens_with_the_same_contents(self) -> None:
        """What was kept is there in the next process."""
        if not self.is_durable:
            return
        with self.opened() as store:
            store.put([a_cached_read("a"), a_cached_read("b", stored_at=2.0)])
            store.remove(["a"])
        with self.opened() as store:
            assert list(store.load()) == [a_cached_read("b", stored_at=2.0)]


@contextlib.contextmanager
def _opened(open_store: Any, close_store: Any) -> Any:
    store = open_store()
    try:
        yield store
    finally:
        close_store(store)


def _close(store: object) -> None:
    close = getattr(store, "close", None)
    if close is not None:
        close()


def _append(store: QueueStore[QueuedMutation], *ids: str) -> None:
    for mutation_id in ids:
        store.append(a_queued_mutation(mutation_id))


def _ids(store: QueueStore[QueuedMutation]) -> list[str]:
    return [record.mutation_id for record in store.load()]
