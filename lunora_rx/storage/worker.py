"""One thread for one storage: the disk never blocks the event loop.

Operations run strictly in order. Writes that wait together are committed together, so that one
synchronisation of the disk serves them all.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

from lunora_rx.errors import StorageError
from lunora_rx.storage.bundle import Storage
from lunora_rx.storage.disk_store import one_process
from lunora_rx.storage.recovery import RETRY_INTERVAL, RecoveringQueue

T = TypeVar("T")
OnDone = Callable[[Any, Exception | None], object]
Deliver = Callable[..., object]

GROUP_LIMIT = 1_000
EXIT_TIMEOUT = 5.0

_log = logging.getLogger("lunora_rx.storage")


@dataclass(slots=True)
class _Job(Generic[T]):
    operation: Callable[[], T]
    on_done: OnDone | None
    is_grouped: bool
    result: T | None = None
    error: Exception | None = None

    def run(self) -> None:
        try:
            self.result = self.operation()
        except Exception as error:
            self.error = error


class StorageWorker:
    """Calls the stores of one storage, and nobody else does.

    ``submit`` and ``submit_write`` may be called from any one thread and never wait for the disk. Results
    come as ``on_done(result, error)``, one of them ``None``, by way of ``deliver``.

    Args:
        storage: The stores. ``queue`` of the worker stands in for its queue: it goes on in memory.
        deliver: Calls a function with arguments where results belong: ``loop.call_soon_threadsafe``.
        on_recovered: Called where results belong when the queue's store works again: time for ``queue.look_again``.
        retry_interval: Seconds until the first attempt to make a failing store work again; each failure doubles them.
    """

    def __init__(
        self,
        storage: Storage,
        *,
        deliver: Deliver,
        on_recovered: Callable[[], object] | None = None,
        retry_interval: float = RETRY_INTERVAL,
    ) -> None:
        self.queue = RecoveringQueue(storage.queue, retry_interval=retry_interval)
        self.cache = storage.cache
        self.bookmarks = storage.bookmarks
        self._storage = storage
        self._deliver = deliver
        self._on_recovered = on_recovered
        self._jobs: SimpleQueue[_Job[Any] | None] = SimpleQueue()
        self._ahead: list[_Job[Any] | None] = []
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_finished = False
        self._is_over = False
        self._at_end: list[OnDone] = []
        self._check_process = one_process(storage.name)

    def client_id(self, new_id: Callable[[], str]) -> str:
        """Return the client id that the storage keeps, or a new one; on the thread."""
        keep = self._storage.keep_client_id
        return new_id() if keep is None else keep(new_id)

    def submit(self, operation: Callable[[], object], on_done: OnDone | None = None) -> None:
        """Run an operation after all that were submitted before.

        Raises:
            StorageError: The worker was closed, or this process was forked from the one it works for.
        """
        self._put(_Job(operation, on_done, is_grouped=False))

    def submit_write(self, operation: Callable[[], object], on_done: OnDone | None = None) -> None:
        """Run an operation on the queue as ``submit`` does, in one transaction with the writes that wait beside it.

        ``on_done`` is called when the transaction has ended. If it fails, each of its operations failed.
        """
        self._put(_Job(operation, on_done, is_grouped=True))

    def finish(self, on_done: OnDone | None = None) -> None:
        """Take nothing more; run what was submitted, close the stores, end the thread, and then call ``on_done``.

        Calling it again only adds another ``on_done``.
        """
        self._check_process()
        with self._lock:
            if not self._is_finished:
                self._jobs.put(None)
            self._is_finished = True
            is_over = self._is_over or self._thread is None
            if on_done is not None and not is_over:
                self._at_end.append(on_done)
        if on_done is not None and is_over:
            self._hand_over(_call, [(on_done, None, None)])

    def close(self, timeout: float = EXIT_TIMEOUT) -> bool:
        """Finish, wait for the end at most that many seconds, and tell whether it came; blocks the calling thread."""
        self.finish()
        if self._thread is None:
            return True
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _put(self, job: _Job[Any]) -> None:
        self._check_process()
        with self._lock:
            if self._is_finished:
                raise StorageError(f"cannot use {self._storage.name}: it was closed")
            self._jobs.put(job)
            if self._thread is None:
                self._start()

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._work, name="lunora-storage", daemon=True)
        self._thread.start()
        atexit.register(self._close_at_exit)

    def _work(self) -> None:
        try:
            while (jobs := self._next()) is not None:
                if jobs:
                    self._perform(jobs)
                elif self.queue.recover() and self._on_recovered is not None:
                    self._hand_over(self._on_recovered)
            self._close_stores()
        finally:
            atexit.unregister(self._close_at_exit)
            with self._lock:
                self._is_over = True
                ends, self._at_end = self._at_end, []
            self._hand_over(_call, [(on_done, None, None) for on_done in ends])

    def _next(self) -> list[_Job[Any]] | None:
        """Wait for jobs; an empty list says that it is time to recover, and ``None`` that there will be no more."""
        try:
            first = self._ahead.pop() if self._ahead else self._jobs.get(timeout=self.queue.retry_delay)
        except Empty:
            return []
        if first is None:
            return None
        jobs = [first]
        with contextlib.suppress(Empty):
            while first.is_grouped and len(jobs) < GROUP_LIMIT:
                job = self._jobs.get_nowait()
                if job is None or not job.is_grouped:
                    self._ahead.append(job)
                    break
                jobs.append(job)
        return jobs

    def _perform(self, jobs: list[_Job[Any]]) -> None:
        if len(jobs) > 1:
            self._perform_group(jobs)
        else:
            jobs[0].run()
        done = [(job.on_done, job.result, job.error) for job in jobs if job.on_done is not None]
        if done:
            self._hand_over(_call, done)

    def _perform_group(self, jobs: list[_Job[Any]]) -> None:
        try:
            with self.queue.group():
                for job in jobs:
                    job.run()
        except Exception as error:
            for job in jobs:
                job.error = job.error or error

    def _hand_over(self, function: Callable[..., object], *args: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits any more
            self._deliver(function, *args)

    def _close_stores(self) -> None:
        try:
            # Its queue is closed by the one that stands in for it, and so only once.
            replace(self._storage, queue=self.queue).close()
        except Exception:
            _log.exception("closing %s failed", self._storage.name)

    def _close_at_exit(self) -> None:
        with contextlib.suppress(StorageError):  # a forked process leaves its parent's alone
            if not self.close():
                _log.warning(
                    "%s was not closed in time; what was not reported as stored may be lost", self._storage.name
                )


def _call(done: list[tuple[OnDone, Any, Exception | None]]) -> None:
    for on_done, result, error in done:
        try:
            on_done(None if error is not None else result, error)
        except Exception:
            _log.exception("a callback of the storage failed")
