"""Subscribes again to what failed."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import SerialDisposable, SingleAssignmentDisposable

from lunora_rx.core.backoff import Backoff, Ramp, next_delay
from lunora_rx.errors import ClientClosedError, LunoraError
from lunora_rx.operators.stepping import scheduler_of

T = TypeVar("T")


def retry_backoff(
    backoff: Backoff = Backoff(),  # noqa: B008 it is frozen
    *,
    retry_if: Callable[[Exception], bool] = lambda error: not isinstance(error, ClientClosedError),
    scheduler: abc.SchedulerBase | None = None,
) -> Callable[[Observable[T]], Observable[T]]:
    """Subscribe anew after an error, with a delay that grows from one failure to the next.

    ::

        first try        --a--X
        second, later         ...--a--b--X
        third, later                      ...--b--c---|
        retry_backoff()  --a---------a--b--------b--c--|

    The delays are those of the client's own reconnects. They start over when a value has come after a subscription was
    made: one that is replayed while it is made proves nothing. An error that bears a ``retry_after`` is given that
    long at least. A live query shows its latest value again with each subscription.

    Args:
        backoff: How long to wait.
        retry_if: Which errors to try again after; the others end the stream. By default all but
            ``ClientClosedError``.
        scheduler: Where it waits; else that of ``subscribe``, else the running asyncio loop's.

    Raises:
        TypeError: ``backoff`` is no ``Backoff``.
        RuntimeError: As an error of the stream, there is no scheduler.

    >>> import reactivex
    >>> from reactivex.scheduler import VirtualTimeScheduler
    >>> from lunora_rx import Backoff, operators as lops
    >>> clock, tries = VirtualTimeScheduler(), iter([reactivex.throw(OSError("busy")), reactivex.of("done")])
    >>> source = reactivex.defer(lambda _: next(tries))
    >>> _ = source.pipe(lops.retry_backoff(Backoff(initial=2.0, jitter="none"))).subscribe(print, scheduler=clock)
    >>> clock.start()
    done
    >>> clock.clock
    2.0
    """
    if not isinstance(backoff, Backoff):
        raise TypeError(f"retry_backoff() takes a Backoff, not {type(backoff).__name__}")

    def apply(source: Observable[T]) -> Observable[T]:
        def subscribe(observer: abc.ObserverBase[T], given: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            timer = scheduler_of("retry_backoff", scheduler, given)
            retrying = Retrying(source, observer, given, backoff, retry_if, timer)
            retrying.start()
            return retrying.handle

        return Observable(subscribe)

    return apply


class Retrying:
    """The tries of one subscription.

    Args:
        source: What is subscribed to, again and again.
        observer: Who hears of values, and of the error that ends them.
        given: The scheduler that each try is subscribed with.
        backoff: How long to wait between them.
        retry_if: Which errors to try again after.
        timer: Where it waits.
    """

    def __init__(
        self,
        source: Observable[Any],
        observer: abc.ObserverBase[Any],
        given: abc.SchedulerBase | None,
        backoff: Backoff,
        retry_if: Callable[[Exception], bool],
        timer: abc.SchedulerBase,
    ) -> None:
        self.handle = SerialDisposable()
        self._source = source
        self._observer = observer
        self._given = given
        self._backoff = backoff
        self._retry_if = retry_if
        self._timer = timer
        self._ramp = Ramp()
        self._is_starting = False

    def start(self, scheduler: abc.SchedulerBase | None = None, state: object = None) -> None:
        """Subscribe to the source."""
        # Known before the source is: one that fails at once is followed by a timer, which must not be replaced.
        subscription = SingleAssignmentDisposable()
        self.handle.disposable = subscription
        self._is_starting = True
        subscription.disposable = self._source.subscribe(
            self._on_next, self._on_error, self._observer.on_completed, scheduler=self._given
        )
        self._is_starting = False

    def _on_next(self, value: Any) -> None:
        if not self._is_starting:
            self._ramp = Ramp()
        self._observer.on_next(value)

    def _on_error(self, error: Exception) -> None:
        try:
            is_wanted = self._retry_if(error)
        except Exception as mistake:
            self._observer.on_error(mistake)
            return
        if not is_wanted:
            self._observer.on_error(error)
            return
        delay, self._ramp = next_delay(self._backoff, self._ramp, random.random())  # noqa: S311 no secret
        hint = error.retry_after if isinstance(error, LunoraError) else None
        self.handle.disposable = self._timer.schedule_relative(max(delay, hint or 0.0), self.start)
