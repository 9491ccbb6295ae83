"""The disk's end of the driver: keeps what the core wants kept, and brings back what is there.

It decides nothing. Everything here runs on the client's loop, but for the operations handed to the storage's
thread.  Source: ``docs/protocol.md``, sections "Durable record", "Loading at start" and "Durable read cache".
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

from lunora_rx.core.events import (
    BookmarkChanged,
    ClearReads,
    ForgetReads,
    RemoveRecords,
    ReplaceRecord,
    StaleRecordsDropped,
    StoreReads,
    StoreRecord,
)
from lunora_rx.core.multiplexer import Multiplexer
from lunora_rx.core.read_cache import FreshRead
from lunora_rx.core.records import CachedRead, QueuedMutation
from lunora_rx.errors import CodecError, StorageError
from lunora_rx.interfaces import CacheStore, StorageThread

Thread: TypeAlias = StorageThread[QueuedMutation, CachedRead]
OpenStorage: TypeAlias = Callable[[Callable[..., object], Callable[[], object]], Thread]
Apply: TypeAlias = Callable[[Callable[[float], object]], object]

START_TIMEOUT = 10.0
CLOSE_TIMEOUT = 5.0

_log = logging.getLogger("lunora_rx.storage")


@dataclass(slots=True)
class _Start:
    """What must be known before anything is sent."""

    client_id: str = ""
    bookmark: str | None = None
    reads: Sequence[CachedRead] = ()
    failures: list[tuple[str, Exception]] = field(default_factory=list)


class Persistence:
    """The stores of one client, as its driver uses them.

    Args:
        core: The state of the client.
        open_storage: Returns the storage's thread, given what calls a function on the loop, and what to call there
            when failing stores work again.
        new_client_id: Makes a client id, where none is kept.
        apply: Calls the core with the time, then drains it.
        report: Takes every failure.
        works: Called when the queue's store did what it was asked.
    """

    def __init__(
        self,
        core: Multiplexer,
        open_storage: OpenStorage,
        *,
        new_client_id: Callable[[], str],
        apply: Apply,
        report: Callable[[StorageError], None],
        works: Callable[[], None],
    ) -> None:
        self._core = core
        self._open_storage = open_storage
        self._new_client_id = new_client_id
        self._apply = apply
        self._report = report
        self._works = works
        self._thread: Thread
        self._loop: asyncio.AbstractEventLoop
        self._late: asyncio.TimerHandle
        self._stored: list[str] = []
        self._is_over = self._has_begun = self._clears_at_start = False
        self.has_started = asyncio.Event()
        self.has_loaded = asyncio.Event()

    @property
    def is_loading(self) -> bool:
        """Whether the queue is being read."""
        return self._has_begun and not self.has_loaded.is_set()

    def describe(self) -> dict[str, Any]:
        """Return what a bug report needs, as plain values."""
        return {
            "is_started": self.has_started.is_set(),
            "is_loaded": self.has_loaded.is_set(),
            "is_closed": self._is_over,
        }

    @property
    def handlers(self) -> dict[type, Callable[[Any], None]]:
        """What to do with the core's wishes."""
        return {
            StoreRecord: self._store,
            RemoveRecords: self._remove,
            ReplaceRecord: self._replace,
            StaleRecordsDropped: self._report_stale,
            StoreReads: self._store_reads,
            ForgetReads: self._forget_reads,
            ClearReads: self._clear_reads,
        }

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to read what is there: first what any request depends on, then the queue."""
        self._loop = loop
        self._thread = self._open_storage(loop.call_soon_threadsafe, self.look_again)
        self._has_begun = True
        self._thread.submit(self._read_start, self._receive_start)
        if self._clears_at_start:
            self._clear_reads(ClearReads())
        self._thread.submit(self._thread.queue.load, self._receive_queue)
        self._late = loop.call_later(START_TIMEOUT, self._start_without)

    def look_again(self) -> None:
        """Take over what another process has left since, or what could not be read before."""
        if self.has_loaded.is_set() and not self._is_over:
            self._core.expect_records()
            self._thread.submit(self._thread.queue.look_again, self._receive_found)

    def keep_bookmark(self, event: BookmarkChanged) -> None:
        """Remember a newer bookmark, where there is a store for it."""
        bookmarks = self._thread.bookmarks
        if bookmarks is not None:
            self._thread.submit(
                partial(bookmarks.set, event.bookmark), self._failure_of("replace", "keep the bookmark")
            )

    async def finish(self) -> None:
        """Take nothing more, and wait until everything is written; a disk that hangs is left behind."""
        self._is_over = True
        self._late.cancel()
        done: asyncio.Future[None] = self._loop.create_future()
        self._thread.finish(lambda *_: None if done.done() else done.set_result(None))
        try:
            await asyncio.wait_for(done, CLOSE_TIMEOUT)
        except TimeoutError:
            message = "the storage was not closed within %g s; what was not reported as stored may be lost"
            _log.warning(message, CLOSE_TIMEOUT)

    def _read_start(self) -> _Start:
        found, thread = _Start(), self._thread
        bookmarks, cache = thread.bookmarks, thread.cache
        parts: tuple[tuple[str, str, Callable[[], Any] | None], ...] = (
            ("client_id", "read the client id", lambda: thread.client_id(self._new_client_id)),
            ("bookmark", "read the bookmark", None if bookmarks is None else bookmarks.get),
            ("reads", "read the cache", None if cache is None else cache.load),
        )
        for part, what, read in parts:
            try:
                if read is not None:
                    setattr(found, part, read())
            except Exception as error:  # a store may be the user's, and one that fails must not keep the others
                found.failures.append((what, error))
        return found

    def _start_without(self) -> None:
        if not self.has_started.is_set() and not self._is_over:
            self._fail("load", "read the storage in time", TimeoutError(f"no answer within {START_TIMEOUT:g} s"))
            self._begin(_Start())

    def _receive_start(self, found: _Start, error: Exception | None) -> None:
        assert error is None, "failures are among what was found"
        for what, failure in found.failures:
            self._fail("load", what, failure)
        if not self._is_over:
            self._begin(found)

    def _begin(self, found: _Start) -> None:
        self._late.cancel()
        core = self._core
        core.learn_client_id(core.client_id or found.client_id or self._new_client_id())
        core.calls.bookmark = core.calls.bookmark or found.bookmark
        self.has_started.set()
        self._apply(lambda now: core.load_reads(found.reads, now))

    def _receive_queue(self, records: Iterable[QueuedMutation] | None, error: Exception | None) -> None:
        if error is not None:
            self._fail("load", "load the queue", error)
        self.has_loaded.set()
        self._apply(lambda now: self._core.hydrate(records or (), now, is_whole=error is None))

    def _receive_found(self, records: list[QueuedMutation] | None, error: Exception | None) -> None:
        if error is not None:
            self._fail("load", "look for more in the queue", error)
            return
        self._works()
        if not self._is_over:
            self._apply(lambda now: self._core.hydrate(records or (), now))

    def _store(self, event: StoreRecord) -> None:
        record = event.record
        append = partial(self._thread.queue.append, record)
        self._thread.submit_write(append, partial(self._note_stored, record.mutation_id))

    def _note_stored(self, mutation_id: str, _: object, error: Exception | None) -> None:
        if error is not None:
            self._fail("append", "append to the queue", error, mutation_id)
        else:
            self._works()
        if self._is_over:
            return
        if isinstance(error, StorageError) and not error.transient:
            refused = error
            self._apply(lambda now: self._core.refuse_stored(mutation_id, refused, now))
            return
        # What was committed together is told together.
        self._stored.append(mutation_id)
        if len(self._stored) == 1:
            self._loop.call_soon(self._tell_stored)

    def _tell_stored(self) -> None:
        stored, self._stored = self._stored, []
        if not self._is_over:
            self._apply(lambda now: self._core.receive_stored(stored, now))

    def _remove(self, event: RemoveRecords) -> None:
        remove = partial(self._thread.queue.remove, event.mutation_ids)
        self._thread.submit_write(remove, self._failure_of("remove", "remove from the queue"))

    def _replace(self, event: ReplaceRecord) -> None:
        replace = partial(self._thread.queue.replace, event.record)
        self._thread.submit_write(
            replace, self._failure_of("replace", "replace in the queue", event.record.mutation_id)
        )

    def _report_stale(self, event: StaleRecordsDropped) -> None:
        for record in event.records:
            message = (
                f"dropped the queued write {record.mutation_id!r} of {record.function_path!r}:"
                f" it is of storage version {record.version!r}"
            )
            self._fail("load", "load the queue", StorageError(message), record.mutation_id)

    def _store_reads(self, event: StoreReads) -> None:
        if (cache := self._thread.cache) is not None:
            put = partial(_put, cache, event.reads)
            self._thread.submit(put, self._failure_of("replace", "write the cache"))

    def _forget_reads(self, event: ForgetReads) -> None:
        if (cache := self._thread.cache) is not None:
            self._thread.submit(partial(cache.remove, event.keys), self._failure_of("remove", "write the cache"))

    def _clear_reads(self, event: ClearReads) -> None:
        if not self._has_begun:  # somebody else may sign in before the first use
            self._clears_at_start = True
        elif (cache := self._thread.cache) is not None:
            self._thread.submit(partial(_clear, cache), self._failure_of("clear", "write the cache"))

    def _failure_of(
        self, operation: str, what: str, mutation_id: str | None = None
    ) -> Callable[[object, Exception | None], None]:
        def note(_: object, error: Exception | None) -> None:
            if error is not None:
                self._fail(operation, what, error, mutation_id)

        return note

    def _fail(self, operation: str, what: str, error: Exception, mutation_id: str | None = None) -> None:
        message = str(error) if isinstance(error, StorageError) else f"cannot {what}: {type(error).__name__}: {error}"
        failure = StorageError(
            message,
            transient=getattr(error, "transient", True),
            data={"operation": operation, "mutation_id": mutation_id},
        )
        failure.__cause__ = error
        self._report(failure)


def _put(cache: CacheStore[CachedRead], reads: Iterable[FreshRead]) -> None:
    stored_at, entries = time.time(), []
    for read in reads:
        try:
            entries.append(read.encoded(stored_at))
        except (CodecError, RuntimeError):  # an observer may change what it was told to leave alone, meanwhile too
            _log.debug("the value of a live query cannot be cached")
    cache.put(entries)


def _clear(cache: CacheStore[CachedRead]) -> None:
    cache.remove([entry.key for entry in cache.load()])
