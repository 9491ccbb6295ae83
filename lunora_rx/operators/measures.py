"""Operators that measure a stream of numbers, or keep its past."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TypeVar

from reactivex import Observable, abc
from reactivex import operators as ops

from lunora_rx.operators.stepping import Step, check_seconds, clock_of, stepped
from lunora_rx.protocol.values import UNDEFINED, Undefined

T = TypeVar("T")


def history(
    n: int | None = None, *, seconds: float | None = None, scheduler: abc.SchedulerBase | None = None
) -> Callable[[Observable[T]], Observable[list[T]]]:
    """Give the latest values as a list, oldest first, with each new one.

    ::

        values      --a-----b--------c----------d--------|
        history(2)  --[a]---[a,b]----[b,c]------[c,d]----|

    By time, values go when a new one comes; an idle stream is silent.

    Args:
        n: How many values are kept at most.
        seconds: How old they are at most; a value of exactly that age is kept.
        scheduler: What the time is told by, if ``seconds`` is given; else that of ``subscribe``, else the running
            asyncio loop's.

    Raises:
        TypeError: Neither limit is given, or one is no number.
        ValueError: A limit is not positive.
        RuntimeError: As an error of the stream, ``seconds`` is given and there is no scheduler.

    >>> import reactivex
    >>> from lunora_rx import operators as lops
    >>> _ = reactivex.of(1, 2, 3).pipe(lops.history(2)).subscribe(print)
    [1]
    [1, 2]
    [2, 3]
    """
    if n is None and seconds is None:
        raise TypeError("history() takes n, a number of values, or seconds")
    if n is not None and (isinstance(n, bool) or not isinstance(n, int)):
        raise TypeError(f"history(): n is a whole number of values, not {type(n).__name__}")
    if n is not None and n < 1:
        raise ValueError(f"history(): n is at least 1, not {n}")
    if seconds is None:
        return lambda source: stepped(source, lambda _: _last(n))
    check_seconds("history", "seconds", seconds)
    return lambda source: stepped(source, lambda given: _lately(n, seconds, clock_of("history", scheduler, given)))


def ewma(
    alpha: float | None = None, *, half_life: float | None = None, scheduler: abc.SchedulerBase | None = None
) -> Callable[[Observable[float]], Observable[float]]:
    """Smooth numbers by an exponentially weighted moving average; the first one stands for itself.

    ::

        numbers    --0-----8-----8-----|
        ewma(0.5)  --0-----4-----6-----|

    Args:
        alpha: How much a new number counts against all before, above 0 and up to 1, however far apart they are.
        half_life: After how many seconds a number counts half, for numbers that come irregularly. A number stands
            for the time since the one before.
        scheduler: What the time is told by, if ``half_life`` is given; else that of ``subscribe``, else the running
            asyncio loop's.

    Raises:
        TypeError: Not exactly one of ``alpha`` and ``half_life`` is given, or it is no number.
        ValueError: It is out of range.
        RuntimeError: As an error of the stream, ``half_life`` is given and there is no scheduler.

    >>> import reactivex
    >>> from lunora_rx import operators as lops
    >>> _ = reactivex.of(0, 8, 8).pipe(lops.ewma(0.5)).subscribe(print)
    0
    4.0
    6.0
    """
    if (alpha is None) == (half_life is None):
        raise TypeError("ewma() takes either alpha, a weight, or half_life, in seconds")
    if half_life is not None:
        check_seconds("ewma", "half_life", half_life)
        return lambda source: stepped(source, lambda given: _fading(half_life, clock_of("ewma", scheduler, given)))
    if isinstance(alpha, bool) or not isinstance(alpha, int | float):
        raise TypeError(f"ewma(): alpha is a number, not {type(alpha).__name__}")
    if not 0 < alpha <= 1:
        raise ValueError(f"ewma(): alpha is above 0 and up to 1, not {alpha!r}")
    weight = alpha
    return ops.scan(lambda mean, number: mean + weight * (number - mean))


def rate(
    seconds: float | None = None, *, scheduler: abc.SchedulerBase | None = None
) -> Callable[[Observable[float]], Observable[float]]:
    """Tell how fast a number grows, per second: its change over a moving window.

    ::

        numbers  0----10----30----30----|    one every 5 seconds
        rate()   -----2-----4-----0-----|
        rate(10) -----2-----3-----2-----|

    Nothing is told of the first number alone. Of numbers at the same instant the last one counts. It is told anew with
    each number; an idle stream is silent. To count events, number them: ``ops.scan(lambda count, _: count + 1, 0)``.

    Args:
        seconds: The length of the window: the change since the latest number that is at least so old, or since the
            first one; ``None`` for the change since the number before.
        scheduler: What the time is told by; else that of ``subscribe``, else the running asyncio loop's.

    Raises:
        TypeError: ``seconds`` is no number.
        ValueError: It is not positive.
        RuntimeError: As an error of the stream, there is no scheduler.

    >>> import reactivex
    >>> from reactivex.scheduler import VirtualTimeScheduler
    >>> from lunora_rx import operators as lops
    >>> clock = VirtualTimeScheduler()
    >>> counts = reactivex.interval(5.0).map(lambda n: 10 * n).pipe(reactivex.operators.take(3))
    >>> _ = counts.pipe(lops.rate()).subscribe(print, scheduler=clock)
    >>> clock.start()
    2.0
    2.0
    """
    if seconds is not None:
        check_seconds("rate", "seconds", seconds)
    window = seconds or 0.0
    return lambda source: stepped(source, lambda given: _growth(window, clock_of("rate", scheduler, given)))


def _last(n: int | None) -> Step[T, list[T]]:
    values: deque[T] = deque(maxlen=n)

    def step(value: T) -> list[T]:
        values.append(value)
        return list(values)

    return step


def _lately(n: int | None, seconds: float, now: Callable[[], float]) -> Step[T, list[T]]:
    values: deque[tuple[float, T]] = deque(maxlen=n)

    def step(value: T) -> list[T]:
        values.append((now(), value))
        while values[-1][0] - values[0][0] > seconds:
            values.popleft()
        return [each for _, each in values]

    return step


def _fading(half_life: float, now: Callable[[], float]) -> Step[float, float]:
    mean: float | None = None
    told_at = 0.0

    def step(number: float) -> float:
        nonlocal mean, told_at
        before, told_at = told_at, now()
        new = number if mean is None else mean + (1 - 0.5 ** ((told_at - before) / half_life)) * (number - mean)
        mean = new
        return new

    return step


def _growth(window: float, now: Callable[[], float]) -> Step[float, float]:
    past: deque[tuple[float, float]] = deque()

    def step(number: float) -> float | Undefined:
        at = now()
        if past and past[-1][0] >= at:
            past.pop()
        past.append((at, number))
        while len(past) > 2 and past[1][0] <= at - window:
            past.popleft()
        (first_at, first), (last_at, last) = past[0], past[-1]
        return (last - first) / (last_at - first_at) if last_at > first_at else UNDEFINED

    return step
