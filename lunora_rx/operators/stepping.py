"""What most operators with a memory are made of, and the clock of those that look at the time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

from reactivex import Observable, abc

from lunora_rx.protocol.values import UNDEFINED, Undefined
from lunora_rx.rx.interop import running_scheduler

A = TypeVar("A")
B = TypeVar("B")

Step: TypeAlias = Callable[[A], B | Undefined]


def stepped(source: Observable[A], start: Callable[[abc.SchedulerBase | None], Step[A, B]]) -> Observable[B]:
    """Take each value of a source through a step, which every subscription has its own of.

    Args:
        source: Where values come from.
        start: Returns the step of one subscription, given the scheduler of that. A step returns ``UNDEFINED`` for
            nothing; what it raises ends the subscription with that error.
    """

    def subscribe(observer: abc.ObserverBase[B], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        step = start(scheduler)

        def on_next(value: A) -> None:
            try:
                result = step(value)
            except Exception as error:
                observer.on_error(error)
                return
            if result is not UNDEFINED:
                observer.on_next(result)

        return source.subscribe(on_next, observer.on_error, observer.on_completed, scheduler=scheduler)

    return Observable(subscribe)


def scheduler_of(operator: str, *offered: abc.SchedulerBase | None) -> abc.SchedulerBase:
    """Return the first scheduler that is offered, or that of the running asyncio loop.

    Raises:
        RuntimeError: There is none: one that starts threads is never taken unasked.
    """
    scheduler = next((each for each in offered if each is not None), None) or running_scheduler()
    if scheduler is None:
        raise RuntimeError(
            f"{operator}() needs a scheduler where no asyncio loop runs:"
            f" {operator}(..., scheduler=client.scheduler), or subscribe(..., scheduler=...)"
        )
    return scheduler


def clock_of(operator: str, *offered: abc.SchedulerBase | None) -> Callable[[], float]:
    """Return what tells the seconds that have passed, by the scheduler that ``scheduler_of`` chooses."""
    scheduler = scheduler_of(operator, *offered)
    return lambda: scheduler.to_seconds(scheduler.now)


def check_seconds(operator: str, argument: str, seconds: Any) -> None:
    """Check a duration.

    Raises:
        TypeError: It is no number.
        ValueError: It is not positive, or not finite.
    """
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(f"{operator}(): {argument} is a number of seconds, not {type(seconds).__name__}")
    if not 0 < seconds < float("inf"):
        raise ValueError(f"{operator}(): {argument} is more than 0 seconds, not {seconds!r}")
