"""How what happens on the loop reaches a user's functions, there or on an executor."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from threading import Lock
from typing import Any, Generic, NoReturn, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import Disposable

from lunora_rx.blocking.bridge import Bridge
from lunora_rx.rx.observers import OnError

T = TypeVar("T")


class Relay(Generic[T]):
    """Calls functions with what an Observable tells, until it is disposed of.

    Whoever has functions called keeps the client alive, as a subscription does that is forgotten. One without any only
    holds something open, and for nobody once its handle is gone.

    Args:
        bridge: The way to the loop.
        courier: Calls them elsewhere; without one they are called on the loop.
        on_next: Takes each value.
        on_error: Takes the error.
        on_completed: Called at the end.
    """

    def __init__(
        self,
        bridge: Bridge,
        courier: Courier | None,
        on_next: Callable[[T], object] | None,
        on_error: Callable[[Exception], object] | None,
        on_completed: Callable[[], object] | None,
    ) -> None:
        self._keeps_alive = bridge if on_next or on_error or on_completed else None
        self._courier = courier
        self._on_next: Callable[[T], object] = on_next or _ignore
        self._on_error = on_error or _raise
        self._on_completed = on_completed or _ignore
        self._is_over = False

    def watch(self, source: Observable[T], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        """Subscribe, on the loop."""
        handle = source.subscribe(
            lambda value: self._deliver(partial(self._on_next, value), is_replaceable=True),
            lambda error: self._deliver(partial(self._on_error, error)),
            lambda: self._deliver(self._on_completed),
            scheduler=scheduler,
        )
        return Disposable(partial(self._leave, handle))

    def _leave(self, handle: abc.DisposableBase) -> None:
        self._is_over = True
        handle.dispose()

    def _deliver(self, errand: Callable[[], object], *, is_replaceable: bool = False) -> None:
        if self._courier is None:
            self._run(errand)
        else:
            self._courier.deliver(partial(self._run, errand), is_replaceable=is_replaceable)

    def _run(self, errand: Callable[[], object]) -> None:
        if self._is_over:
            return
        try:
            errand()
        except (SystemExit, KeyboardInterrupt) as error:
            # It would end this thread, for which others wait, and not the program.
            name = type(error).__name__
            raise RuntimeError(f"an observer raised {name} on a thread where it ends nothing") from error


class Courier:
    """Has an executor do one thing after another, with at most one at a time.

    Args:
        executor: Does them.
        report: Takes what they raise.
        conflate: Whether what is replaceable gives way to the next.
    """

    def __init__(self, executor: Executor, report: OnError, *, conflate: bool) -> None:
        self._executor = executor
        self._report = report
        self._is_conflating = conflate
        self._lock = Lock()
        self._waiting: deque[Callable[[], object]] = deque()
        self._is_busy = False

    def deliver(self, errand: Callable[[], object], *, is_replaceable: bool = False) -> None:
        """Have something done after all that was delivered before."""
        with self._lock:
            if is_replaceable and self._is_conflating:
                self._waiting.clear()
            self._waiting.append(errand)
            if self._is_busy:
                return
            self._is_busy = True
        self._submit()

    def _submit(self) -> None:
        try:
            self._executor.submit(self._run)
        except RuntimeError:
            with self._lock:
                self._is_busy = False
                self._waiting.clear()
            raise

    def _run(self) -> None:
        # All of it in one job: an executor that is being shut down takes no further one.
        while (errand := self._next()) is not None:
            try:
                errand()
            except Exception as error:
                self._report(error)

    def _next(self) -> Callable[[], object] | None:
        with self._lock:
            self._is_busy = bool(self._waiting)
            return self._waiting.popleft() if self._waiting else None


def _ignore(*args: Any) -> None:
    pass


def _raise(error: Exception) -> NoReturn:
    raise error
