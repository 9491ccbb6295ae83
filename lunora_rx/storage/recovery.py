"""A queue store whose failures lose nothing while the process lives.

Memory holds what the store should hold. While the store refuses, memory alone changes; once it works again,
it is made equal to memory in one transaction.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from typing import Any

from lunora_rx.core.records import QueuedMutation
from lunora_rx.errors import StorageError
from lunora_rx.interfaces import QueueStore
from lunora_rx.storage.rows import queued_to_payload

RETRY_INTERVAL = 1.0
LONGEST_RETRY_INTERVAL = 30.0


class RecoveringQueue:
    """A queue store over another one that may fail.

    Every call takes effect in memory. It raises ``StorageError`` when that is all it did; the error is
    for reporting, and the call must not be repeated. A record that has no JSON is the exception: it is refused,
    in memory too.

    Args:
        store: What should hold the records; any exception of it counts as a failure.
        clock: Tells monotonic seconds.
        retry_interval: Seconds until the first attempt to recover that nobody asked for; each failure doubles them.
    """

    def __init__(
        self,
        store: QueueStore[QueuedMutation],
        *,
        clock: Callable[[], float] = time.monotonic,
        retry_interval: float = RETRY_INTERVAL,
    ) -> None:
        self._store = store
        self._clock = clock
        self._first_interval = self._interval = retry_interval
        self._records: dict[str, QueuedMutation] = {}
        self._removed: set[str] = set()
        self._is_cleared = False
        self._found: list[QueuedMutation] = []
        self._failure: StorageError | None = None
        self._retry_at = 0.0
        self._is_in_group = False

    @property
    def is_durable(self) -> bool:
        """Whether the store holds what memory holds."""
        return self._failure is None

    @property
    def retry_delay(self) -> float | None:
        """Seconds until ``recover`` should be called; ``None`` while the store is durable."""
        return None if self._failure is None else max(0.0, self._retry_at - self._clock())

    def append(self, record: QueuedMutation) -> None:
        """Keep a record behind all others; one whose id is there already is replaced in its place."""
        queued_to_payload(record)
        self._catch_up()
        self._records[record.mutation_id] = record
        self._removed.discard(record.mutation_id)
        self._change("append to", self._store.append, record)

    def load(self) -> list[QueuedMutation]:
        """Return all records, oldest first.

        Raises:
            StorageError: The store cannot be read. What it holds is given by ``look_again`` once it can.
        """
        if self._failure is not None and not self.recover():
            raise self._refusal()
        with self._failures("load"):
            stored = {record.mutation_id: record for record in self._store.load()}
        self._records = stored | self._records
        self._found.clear()
        return list(self._records.values())

    def remove(self, ids: Collection[str]) -> None:
        """Forget records; unknown ids are ignored."""
        self._catch_up()
        for mutation_id in ids:
            self._records.pop(mutation_id, None)
        self._removed.update(ids)
        self._change("remove from", self._store.remove, ids)

    def replace(self, record: QueuedMutation) -> None:
        """Put a record in the place of the one with its id; without one, do nothing."""
        queued_to_payload(record)
        if record.mutation_id not in self._records:
            return
        self._catch_up()
        self._records[record.mutation_id] = record
        self._change("replace in", self._store.replace, record)

    def clear(self) -> None:
        """Forget every record."""
        self._catch_up()
        self._records.clear()
        self._is_cleared = True
        self._change("clear", self._store.clear)

    @contextmanager
    def group(self) -> Iterator[None]:
        """Make one transaction of what is called inside, where the store can.

        A call inside does not raise when the store refuses: the end of the group does, for all of them.

        Raises:
            StorageError: The store refuses: all of it happened in memory only.
        """
        if self._is_in_group:
            yield
            return
        self._catch_up()
        before = dict(self._records), self._is_cleared
        self._is_in_group = True
        try:
            with self._failures("commit to"), ExitStack() as stack:
                self._begin(stack)
                try:
                    yield
                except BaseException as error:
                    self._undo(*before)
                    raise _GivenUp from error
                if self._failure is not None:
                    raise self._refusal()
        except _GivenUp as given_up:
            raise given_up.__cause__ or given_up from None
        finally:
            self._is_in_group = False
        self._forget_debts()

    def recover(self) -> bool:
        """Make the store hold what memory holds, and tell whether it does; nothing is raised."""
        if self._failure is None:
            return True
        try:
            with self._failures("recover"), self._store_group():
                unknown = self._reconcile()
        except StorageError:
            return False
        self._failure, self._interval = None, self._first_interval
        self._records = {record.mutation_id: record for record in unknown} | self._records
        self._found += unknown
        self._forget_debts()
        return True

    def look_again(self) -> list[QueuedMutation]:
        """Return records that nobody was given yet: found while recovering, or in lanes that lost their process.

        They belong ahead of what this process composes from now on.

        Raises:
            StorageError: The store cannot be read.
        """
        self.recover()
        found, self._found = self._found, []
        adopt = getattr(self._store, "adopt", None)
        if adopt is None or self._failure is not None:
            return found
        with self._failures("adopt into"):
            adopted = [record for record in adopt() if record.mutation_id not in self._records]
        self._records = {record.mutation_id: record for record in adopted} | self._records
        return found + adopted

    def close(self) -> None:
        """Write what memory holds, if it can be, and close the store."""
        self.recover()
        close = getattr(self._store, "close", None)
        if close is not None:
            close()

    def _reconcile(self) -> list[QueuedMutation]:
        """Change the store into what memory holds; return what it holds beside that."""
        if self._is_cleared:
            self._store.clear()
        stored = {record.mutation_id: record for record in self._store.load()}
        gone = [mutation_id for mutation_id in stored if mutation_id in self._removed]
        if gone:
            self._store.remove(gone)
        kept = [mutation_id for mutation_id in stored if mutation_id in self._records]
        missing = [mutation_id for mutation_id in self._records if mutation_id not in stored]
        if [*kept, *missing] != list(self._records):  # some in the middle are gone: only a rewrite keeps the order
            self._store.remove(kept)
            kept, missing = [], list(self._records)
        for mutation_id in kept:
            if stored[mutation_id] != self._records[mutation_id]:
                self._store.replace(self._records[mutation_id])
        for mutation_id in missing:
            self._store.append(self._records[mutation_id])
        known = self._records.keys() | self._removed
        return [record for mutation_id, record in stored.items() if mutation_id not in known]

    def _begin(self, stack: ExitStack) -> None:
        """Begin the store's transaction; if it cannot, memory alone takes part."""
        if self._failure is None:
            with suppress(StorageError), self._failures("change"):
                stack.enter_context(self._store_group())

    def _undo(self, before: dict[str, QueuedMutation], was_cleared: bool) -> None:
        """Return to what memory held; what the store took of it meanwhile is taken back by the next recovery."""
        self._removed |= self._records.keys() - before.keys()
        self._removed -= before.keys()
        self._records, self._is_cleared = before, was_cleared
        self._failure = self._failure or StorageError("a group of changes was given up", transient=True)
        self._retry_at = self._clock()

    def _catch_up(self) -> None:
        if self._failure is not None and not self._is_in_group and self._clock() >= self._retry_at:
            self.recover()

    def _change(self, operation: str, change: Callable[..., None], *arguments: Any) -> None:
        """Change the store too; if it cannot, this says so, or the end of the group."""
        if self._failure is None:
            try:
                change(*arguments)
            except Exception as error:
                self._note(error, operation)
        if self._is_in_group:
            return
        if self._failure is not None:
            raise self._refusal()
        self._forget_debts()

    def _forget_debts(self) -> None:
        self._removed.clear()
        self._is_cleared = False

    def _store_group(self) -> AbstractContextManager[Any]:
        group = getattr(self._store, "group", None)
        return nullcontext() if group is None else group()

    @contextmanager
    def _failures(self, operation: str) -> Iterator[None]:
        try:
            yield
        except _GivenUp:
            raise
        except Exception as error:
            self._note(error, operation)
            if isinstance(error, StorageError):
                raise
            raise self._refusal() from error

    def _note(self, error: Exception, operation: str) -> None:
        is_retry = operation == "recover"
        if is_retry:
            self._interval = min(self._interval * 2, LONGEST_RETRY_INTERVAL)
        if is_retry or self._failure is None:
            self._retry_at = self._clock() + self._interval
            self._failure = _storage_error(error, operation)

    def _refusal(self) -> StorageError:
        assert self._failure is not None, "the store refused"
        return StorageError(f"kept in memory only: {self._failure.message}", transient=True)


class _GivenUp(Exception):
    """The caller's own exception, on its way through a group of the store."""


def _storage_error(error: Exception, operation: str) -> StorageError:
    if isinstance(error, StorageError):
        return error
    return StorageError(f"cannot {operation} the queue: {error!r}", transient=True)
