"""Operators that measure a stream of numbers, or keep its past."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TypeVar

from reactivex import Observable, abc

from lunora_rx.operators.keys import check_number
from lunora_rx.operators.stepping import Step, check_seconds, clock_of, stepped

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
        TypeError: Not exactly one of ``alpha`` and ``half_life`` is given, or it is no number; as an error of the
            stream, a value is no number.
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
    return lambda source: stepped(source, lambda _: _averaging(weight))


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


def _averaging(weight: float) -> Step[float, float]:
    mean: float | None = None

    def step(number: float) -> float:
        nonlocal mean
        check_number("ewma", number)
        mean = new = number if mean is None else mean + weight * (number - mean)
        return new

    return step


def _fading(half_life: float, now: Callable[[], float]) -> Step[float, float]:
    mean: float | None = None
    told_at = 0.0

    def step(number: float) -> float:
        nonlocal mean, told_at
        check_number("ewma", number)
        before, told_at = told_at, now()
        new = number if mean is None else mean + (1 - 0.5 ** ((told_at - before) / half_life)) * (number - mean)
        mean = new
        return new

    return step
