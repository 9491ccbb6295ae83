"""Sources that count who watches them, and ways to try an operator on virtual time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reactivex import Observable, abc
from reactivex.disposable import Disposable
from reactivex.scheduler import VirtualTimeScheduler
from reactivex.subject import Subject

from tests.support import Recorder


class Counted(Observable[Any]):
    """A hot source that the test plays by hand.

    Attributes:
        watching: How many observers there are now; what is left after a test has leaked.
        subscriptions: How many there were.
    """

    def __init__(self, *first: Any) -> None:
        super().__init__()
        self.watching = 0
        self.subscriptions = 0
        self.first = first
        self._subject: Subject[Any] = Subject()

    def _subscribe_core(self, observer: Any, scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        self.watching += 1
        self.subscriptions += 1
        inner = self._subject.subscribe(observer)
        for value in self.first:
            observer.on_next(value)

        def leave() -> None:
            self.watching -= 1
            inner.dispose()

        return Disposable(leave)

    def emit(self, *values: Any) -> None:
        """Emit values."""
        for value in values:
            self._subject.on_next(value)

    def fail(self, error: Exception) -> None:
        """Fail whoever watches; who comes later watches anew."""
        before, self._subject = self._subject, Subject()
        before.on_error(error)

    def complete(self) -> None:
        """Complete."""
        self._subject.on_completed()


class Clock(VirtualTimeScheduler):
    """Virtual time from 0 that counts what waits."""

    def at(self, time: float, act: Callable[[], Any]) -> None:
        """Do something at a time."""
        self.schedule_absolute(time, lambda *_: act())

    @property
    def waiting(self) -> int:
        """How many timers there are that nobody has cancelled."""
        return sum(not each[0].is_cancelled() for each in self._queue.items)


class Timed(Recorder):
    """An observer that keeps when it was told."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock
        self.told: list[tuple[float, Any]] = []

    def on_next(self, value: Any) -> None:
        """Keep a value and the time."""
        super().on_next(value)
        self.told.append((self.clock.clock, value))


class Acting(Recorder):
    """An observer that does something with each value."""

    def __init__(self, act: Callable[[Any], Any]) -> None:
        super().__init__()
        self._act = act

    def on_next(self, value: Any) -> None:
        """Keep the value, then act."""
        super().on_next(value)
        self._act(value)
