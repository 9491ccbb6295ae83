"""Slows a fast stream down without losing what counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, SerialDisposable

from lunora_rx.operators.stepping import check_seconds, scheduler_of
from lunora_rx.protocol.values import UNDEFINED

T = TypeVar("T")


def conflate(seconds: float, *, scheduler: abc.SchedulerBase | None = None) -> Callable[[Observable[T]], Observable[T]]:
    """Pass on the latest value, at most one in that many seconds.

    ::

        values       --a-bc-----d-e--|
        conflate(3)  --a--c-----d--e-|    a is passed on at once, c when 3 seconds are over; b is skipped

    A value that comes after a pause goes through at once. The last value is never lost: what waits at the end, or at
    an error, is passed on before it. No timer runs while no values come.

    Args:
        seconds: The shortest time between two values.
        scheduler: What the time is told by, and where waiting values are passed on; else that of ``subscribe``,
            else the running asyncio loop's. Values must come on its thread.

    Raises:
        TypeError: ``seconds`` is no number.
        ValueError: It is not positive.
        RuntimeError: As an error of the stream, there is no scheduler.

    >>> import reactivex
    >>> from reactivex.scheduler import VirtualTimeScheduler
    >>> from lunora_rx import operators as lops
    >>> clock = VirtualTimeScheduler()
    >>> values = reactivex.interval(1.0).pipe(reactivex.operators.take(5))
    >>> _ = values.pipe(lops.conflate(2.5)).subscribe(print, scheduler=clock)
    >>> clock.start()
    0
    2
    4
    """
    check_seconds("conflate", "seconds", seconds)

    def apply(source: Observable[T]) -> Observable[T]:
        def subscribe(observer: abc.ObserverBase[T], given: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            pacer = Pacer(observer, seconds, scheduler_of("conflate", scheduler, given))
            subscription = source.subscribe(pacer.on_next, pacer.on_error, pacer.on_completed, scheduler=given)
            return CompositeDisposable(subscription, pacer.timer)

        return Observable(subscribe)

    return apply


class Pacer:
    """Paces the values of one subscription.

    It knows the value that waits, and by its timer whether one was passed on lately.
    """

    def __init__(self, observer: abc.ObserverBase[Any], seconds: float, scheduler: abc.SchedulerBase) -> None:
        self.timer = SerialDisposable()
        self._observer = observer
        self._seconds = seconds
        self._scheduler = scheduler
        self._waiting: Any = UNDEFINED
        self._is_pausing = False

    def on_next(self, value: Any) -> None:
        """Pass a value on, now or later."""
        if self._is_pausing:
            self._waiting = value
            return
        # The pause begins first: an observer may cause the next value.
        self._is_pausing = True
        self.timer.disposable = self._scheduler.schedule_relative(self._seconds, self._end_pause)
        self._observer.on_next(value)

    def on_error(self, error: Exception) -> None:
        """Pass on what waits, then the error."""
        self._flush()
        self._observer.on_error(error)

    def on_completed(self) -> None:
        """Pass on what waits, then the end."""
        self._flush()
        self._observer.on_completed()

    def _end_pause(self, scheduler: abc.SchedulerBase, state: object = None) -> None:
        self._is_pausing = False
        value, self._waiting = self._waiting, UNDEFINED
        if value is not UNDEFINED:
            self.on_next(value)

    def _flush(self) -> None:
        self.timer.dispose()
        value, self._waiting = self._waiting, UNDEFINED
        if value is not UNDEFINED:
            self._observer.on_next(value)
