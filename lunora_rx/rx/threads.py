"""Values on another thread: crossing from the client's loop, with a bound on what waits."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any, Protocol, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import Disposable, SingleAssignmentDisposable

from lunora_rx.errors import StreamError
from lunora_rx.rx.interop import Overflow, limit_of
from lunora_rx.rx.observers import OnError, reporter

__all__ = ["observe_on_thread"]

T = TypeVar("T")


def observe_on_thread(
    name: str = "lunora_rx observer",
    *,
    executor: Executor | None = None,
    overflow: Overflow = "latest",
    max_buffer: int = 1024,
    on_error: Callable[[Exception], object] | None = None,
) -> Callable[[Observable[T]], Observable[T]]:
    """Make an operator that calls its observers on a thread of their own, so that they may block.

    Each subscription has one thread, which starts with the first value and ends with the last, or with the disposal
    once the value under way is dealt with. Order is kept; an error or the completion comes after the values before
    it. An observer is called in the context (``contextvars``) in which it subscribed. The source is subscribed to
    on the thread that subscribes, and may be disposed of on any.

    Args:
        name: Begins the name of the thread.
        executor: Runs the observers instead of a thread of their own, one call at a time for each subscription; it is
            not shut down.
        overflow: What happens to values that come faster than the observer takes them: ``"latest"`` keeps the newest
            one only, ``"oldest"`` drops the oldest beyond ``max_buffer``, ``"error"`` drops what waits and ends with
            ``StreamError`` and code ``STREAM_BACKPRESSURE``.
        max_buffer: How many values may wait; ``"latest"`` keeps one.
        on_error: Takes what the observer raises, on that thread; by default it is logged. The next value follows.

    Raises:
        TypeError: ``name`` is no string, ``executor`` no executor, or ``on_error`` cannot be called.
        ValueError: ``overflow`` is unknown, or ``max_buffer`` is below 1.
    """
    if not isinstance(name, str):
        raise TypeError(f"name is a string, not {type(name).__name__}")
    if executor is not None and not isinstance(executor, Executor):
        raise TypeError(f"executor is a concurrent.futures.Executor, not {type(executor).__name__}")
    if on_error is not None and not callable(on_error):
        raise TypeError(f"on_error is a callable, not {type(on_error).__name__}")
    limit = limit_of(overflow, max_buffer)
    report = reporter(on_error, "an observer on a thread of its own")

    def cross(source: Observable[T]) -> Observable[T]:
        def subscribe(observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            thread = OwnThread(name) if executor is None else BorrowedThreads(executor)
            return Crossing(observer, thread, overflow, limit, report).start(source, scheduler)

        return Observable(subscribe)

    return cross


class Threads(Protocol):
    """Where jobs are run."""

    def run(self, job: Callable[[], object]) -> None:
        """Run a job; raises ``RuntimeError`` when there is nobody to run it any more."""
        ...

    def end(self) -> None:
        """Run no more."""
        ...


class OwnThread:
    """A thread that is there from the first job to the end."""

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)

    def run(self, job: Callable[[], object]) -> None:
        """Run a job after those before it."""
        self._executor.submit(job)

    def end(self) -> None:
        """End the thread, after the job under way."""
        self._executor.shutdown(wait=False, cancel_futures=True)


class BorrowedThreads:
    """Somebody else's threads, which outlive the use that is made of them."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def run(self, job: Callable[[], object]) -> None:
        """Run a job on any of them."""
        self._executor.submit(job)

    def end(self) -> None:
        """Leave them to their owner."""


class Crossing:
    """What waits between a source and an observer on another thread.

    One job at most tells the observer what waits, at any time: order is kept on several threads too.
    """

    def __init__(
        self, observer: abc.ObserverBase[Any], threads: Threads, overflow: Overflow, limit: int, report: OnError
    ) -> None:
        self._observer = observer
        self._threads = threads
        self._overflow = overflow
        self._limit = limit
        self._report = report
        self._context = copy_context()
        self._lock = threading.Lock()
        # A full deque drops its oldest by itself.
        self._waiting: deque[Callable[[], object]] = deque(maxlen=limit)
        self._ending: Callable[[], object] | None = None
        self._is_running = False
        self._is_over = False
        self._source = SingleAssignmentDisposable()

    def start(self, source: Observable[Any], scheduler: abc.SchedulerBase | None) -> abc.DisposableBase:
        """Watch a source; return what ends it all."""
        self._source.disposable = source.subscribe(
            lambda value: self._take(partial(self._observer.on_next, value)),
            lambda error: self._end(partial(self._observer.on_error, error)),
            lambda: self._end(self._observer.on_completed),
            scheduler=scheduler,
        )
        return Disposable(self.stop)

    def stop(self) -> None:
        """Let go of the source, tell no more of what waits, and end the thread."""
        with self._lock:
            self._is_over = True
            self._waiting.clear()
        self._source.dispose()
        self._threads.end()

    def _take(self, notice: Callable[[], object]) -> None:
        with self._lock:
            if self._is_over or self._ending is not None:
                return
            is_behind = self._overflow == "error" and len(self._waiting) == self._limit
            if not is_behind:
                self._waiting.append(notice)
        if is_behind:
            self._fall_behind()
        else:
            self._run()

    def _fall_behind(self) -> None:
        message = f"the observer is more than {self._limit} values behind"
        self._end(partial(self._observer.on_error, StreamError(message, code="STREAM_BACKPRESSURE")), drops=True)
        self._source.dispose()

    def _end(self, notice: Callable[[], object], *, drops: bool = False) -> None:
        with self._lock:
            if self._is_over or self._ending is not None:
                return
            self._ending = notice
            if drops:
                self._waiting.clear()
        self._run()

    def _run(self) -> None:
        with self._lock:
            if self._is_running or self._is_over:
                return
            self._is_running = True
        try:
            self._threads.run(self._tell)
        except RuntimeError:
            # The executor was shut down, or the interpreter ends: nobody can be told.
            self.stop()
            raise

    def _tell(self) -> None:
        try:
            while (notice := self._next()) is not None:
                self._call(notice)
        except BaseException:
            # What is meant to end the program; nobody would go on with what waits.
            self.stop()
            raise

    def _call(self, notice: Callable[[], object]) -> None:
        try:
            self._context.run(notice)
        except Exception as error:
            self._report(error)
        if notice is self._ending:
            self.stop()

    def _next(self) -> Callable[[], object] | None:
        with self._lock:
            if not self._is_over:
                if self._waiting:
                    return self._waiting.popleft()
                if self._ending is not None:
                    return self._ending
            self._is_running = False
            return None
