"""The shared cache: one subject a live query, opened by its first observer and closed by its last."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

from reactivex import abc
from reactivex.disposable import Disposable

from lunora_rx.core.delta import RowMerge
from lunora_rx.core.events import QueryFailed, SnapshotChanged, SubscriptionClosed, ValueChanged
from lunora_rx.core.snapshot import Snapshot, SnapshotStatus
from lunora_rx.protocol.keys import subscription_key_of_tree
from lunora_rx.protocol.values import UNDEFINED
from lunora_rx.protocol.wire import encode_wire
from lunora_rx.rx.observers import Observers, OnError
from lunora_rx.rx.subject import SnapshotSubject


class Requests(Protocol):
    """What the cache asks of whoever holds the connection."""

    def enter(self, what: str) -> None:
        """Raise unless requests can be made here and now."""
        ...

    def check_thread(self, what: str) -> None:
        """Raise in debug mode if this is not the client's thread."""
        ...

    def call_on_loop(self, callback: Callable[[], None]) -> None:
        """Run a callback on the client's thread."""
        ...

    def subscribe(self, key: str, function_path: str, args: Any, shard: str) -> Snapshot[Any]:
        """Ask for a live query; return what is known of it."""
        ...

    def unsubscribe(self, key: str, shard: str) -> None:
        """Give one request for a live query up."""
        ...

    def refresh(self, key: str, shard: str) -> None:
        """Ask for its whole value again."""
        ...


class Query:
    """Which live query: function, arguments in wire form, shard, and the key they make."""

    __slots__ = ("args", "function_path", "key", "shard")

    def __init__(self, function_path: str, args: Any, shard: str) -> None:
        self.function_path = function_path
        self.args = args
        self.shard = shard
        self.key = subscription_key_of_tree(function_path, args, shard)

    def __repr__(self) -> str:
        shard = f", shard={self.shard!r}" if self.shard else ""
        return f"<Query {self.function_path!r}{shard}>"


class Entry:
    """One open live query of the cache."""

    __slots__ = ("observers", "query", "subject")

    def __init__(self, query: Query, subject: SnapshotSubject[Any]) -> None:
        self.query = query
        self.subject = subject
        self.observers = 0


class SharedCache:
    """All live queries that somebody watches.

    Args:
        requests: Where subscriptions are asked for.
        report: Takes what observers raise.
        path_of: Returns the path of a function reference, or raises ``TypeError``.
    """

    def __init__(self, requests: Requests, report: OnError, *, path_of: Callable[[Any], str] = str) -> None:
        self._path_of = path_of
        self._requests = requests
        self._report = report
        self._entries: dict[str, Entry] = {}
        self._revocations = 0
        self._is_completed = False

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[tuple[Query, Snapshot[Any]]]:
        self.check_thread("iterating over client.cache")
        return iter([(entry.query, entry.subject.snapshot) for entry in self._entries.values()])

    @property
    def is_completed(self) -> bool:
        """Whether nothing is opened any more."""
        return self._is_completed

    @property
    def revocations(self) -> int:
        """How often what was shown until then became nobody's to keep."""
        return self._revocations

    @property
    def observer_count(self) -> int:
        """How many observers all entries have together; may be asked from any thread."""
        return sum(entry.observers for entry in list(self._entries.values()))

    def find(self, key: str) -> Query | None:
        """Return the query of a key, if somebody watches it."""
        entry = self._entries.get(key)
        return None if entry is None else entry.query

    def get(self, function: Any, args: Any = None, *, shard: str | None = None) -> Snapshot[Any]:
        """Return what a live query shows, the empty snapshot for one that nobody watches.

        Raises:
            TypeError: ``function`` is no query.
            CodecError: An argument cannot be encoded.
        """
        self.check_thread("cache.get()")
        tree = encode_wire({} if args is None else args, root="args")
        return self.snapshot(Query(self._path_of(function), tree, shard or ""))

    def snapshot(self, query: Query) -> Snapshot[Any]:
        """Return what a live query shows now."""
        entry = self._entries.get(query.key)
        return entry.subject.snapshot if entry else Snapshot()

    def value(self, query: Query) -> Any:
        """Return the value shown now, ``UNDEFINED`` without one."""
        entry = self._entries.get(query.key)
        return entry.subject.value if entry else UNDEFINED

    def row_merge(self, query: Query) -> RowMerge | None:
        """How the value shown now was made of the one before, if by one row change."""
        entry = self._entries.get(query.key)
        return entry.subject.row_merge if entry else None

    def attach_values(self, query: Query, observer: abc.ObserverBase[Any], *, resilient: bool) -> abc.DisposableBase:
        """Let an observer watch the values of a query; it gets the latest at once."""
        if self._is_completed:
            return self.complete_late(observer)
        entry = self._acquire(query)
        return self._disposable(entry, entry.subject.attach_values(observer, resilient=resilient))

    def attach_snapshots(self, query: Query, observer: abc.ObserverBase[Snapshot[Any]]) -> abc.DisposableBase:
        """Let an observer watch the snapshots of a query; it gets the latest at once."""
        if self._is_completed:
            return self.complete_late(observer)
        entry = self._acquire(query)
        return self._disposable(entry, entry.subject.attach_snapshots(observer))

    def refresh(self, query: Query) -> None:
        """Ask for the whole value of a query again."""
        self._requests.enter("refresh()")
        self._requests.refresh(query.key, query.shard)

    def publish(self, event: ValueChanged | SnapshotChanged | QueryFailed) -> None:
        """Show what an event tells of its query."""
        entry = self._entries.get(event.key)
        if entry is not None:
            entry.subject.publish(event)

    def publish_value(self, event: ValueChanged) -> None:
        """Show a new value, which is what nearly every event tells."""
        # By number: the name of a field of a named tuple takes six times as long.
        entry = self._entries.get(event[0])
        if entry is not None:
            entry.subject.publish_value(event)

    def revoke(self) -> None:
        """Note that what was shown so far may be somebody else's: it must not be kept beyond its query."""
        self._revocations += 1

    def close(self, event: SubscriptionClosed) -> None:
        """Forget a query that is over, and complete whoever still watches it."""
        entry = self._entries.get(event.key)
        # While the client lives, a query ends with its last observer; one who came since has asked for it anew.
        if entry is None or (entry.observers and not self._is_completed):
            return
        del self._entries[event.key]
        entry.subject.complete()

    def complete(self) -> None:
        """Complete everybody; nothing is opened any more."""
        self._is_completed = True

    def enter(self) -> None:
        """Raise unless queries can be watched here and now."""
        self._requests.enter("subscribing to a live query")

    def check_thread(self, what: str) -> None:
        """Raise in debug mode if this is not the client's thread."""
        self._requests.check_thread(what)

    def call_on_loop(self, callback: Callable[[], None]) -> None:
        """Run a callback on the client's thread."""
        self._requests.call_on_loop(callback)

    def new_subject(self) -> SnapshotSubject[Any]:
        """Return a subject that reports as all of this cache do."""
        return SnapshotSubject(self._report)

    def complete_late(self, observer: abc.ObserverBase[Any]) -> abc.DisposableBase:
        """Complete an observer that comes after the end."""
        Observers[Any](self._report).finish(observer)
        return Disposable()

    def _acquire(self, query: Query) -> Entry:
        self.enter()
        entry = self._entries.get(query.key)
        if entry is None:
            entry = self._entries[query.key] = Entry(query, self.new_subject())
        entry.observers += 1
        if entry.observers == 1:
            self._open(entry)
        return entry

    def _open(self, entry: Entry) -> None:
        query, subject = entry.query, entry.subject
        snapshot = self._requests.subscribe(query.key, query.function_path, query.args, query.shard)
        if snapshot.has_value:
            # Known already: from the disk, or because the query lingers.
            subject.publish(SnapshotChanged(query.key, snapshot))
        elif subject.value is not UNDEFINED:
            # Left and asked for anew before the end was told: the value shown is that of the former subscription.
            subject.publish(SnapshotChanged(query.key, replace(subject.snapshot, status=SnapshotStatus.STALE)))

    def _disposable(self, entry: Entry, detach: Callable[[], None]) -> abc.DisposableBase:
        def leave() -> None:
            detach()
            entry.observers -= 1
            query = entry.query
            if entry.observers == 0 and self._entries.get(query.key) is entry:
                self._requests.unsubscribe(query.key, query.shard)

        # A Disposable acts once.
        return Disposable(partial(self._requests.call_on_loop, leave))
