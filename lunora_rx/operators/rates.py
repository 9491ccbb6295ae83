"""How fast a number grows."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, Disposable, SerialDisposable

from lunora_rx.operators.keys import check_number
from lunora_rx.operators.stepping import check_seconds, scheduler_of
from lunora_rx.protocol.values import UNDEFINED, Undefined

SHORTEST_SPAN: Final = 0.001
"""Over how many seconds growth is measured at least: what comes faster is a burst, or values that stood ready."""


def rate(
    seconds: float | None = None, *, every: float | None = None, scheduler: abc.SchedulerBase | None = None
) -> Callable[[Observable[float]], Observable[float]]:
    """Tell how fast a number grows, per second: its change over a moving window.

    ::

        numbers            0----10----30----30----|          one every 5 seconds
        rate(10)           -----2-----3-----2-----|
        rate()             -----------4-----0-----|

        numbers            0----10----30---------------      and then no more
        rate(10, every=5)  -----2-----3-----2-----0----

    A window is better than none: growth between two numbers jumps with every jitter. It is told anew with each number,
    and from half a window after the first number on: a live query shows its latest value at once, and the change after
    it may come at any moment, which says nothing of how fast changes come. For the same reason nothing is told of the
    first two numbers where there is no window. To count events, number them:
    ``ops.scan(lambda count, _: count + 1, 0)``.

    Args:
        seconds: The length of the window: the change since the latest number that is at least so old, or since the
            first one; ``None`` for the change since the number before, numbers within a millisecond counting as one.
        every: While no number comes, tell the rate again every so many seconds, until it is 0; by default an idle
            stream is silent. A number then stands until the next one, as a count does, and the window is never longer
            than ``seconds``.
        scheduler: What the time is told by, and what ``every`` waits on; else that of ``subscribe``, else the running
            asyncio loop's. Values must come on its thread.

    Raises:
        TypeError: ``seconds`` or ``every`` is no number, or ``every`` is given without ``seconds``; as an error of the
            stream, a value is no number.
        ValueError: One is not positive.
        RuntimeError: As an error of the stream, there is no scheduler.

    >>> import reactivex
    >>> from reactivex.scheduler import VirtualTimeScheduler
    >>> from lunora_rx import operators as lops
    >>> clock = VirtualTimeScheduler()
    >>> counts = reactivex.interval(5.0).map(lambda n: 10 * n).pipe(reactivex.operators.take(3))
    >>> _ = counts.pipe(lops.rate(10)).subscribe(print, scheduler=clock)
    >>> clock.start()
    2.0
    2.0
    """
    if seconds is not None:
        check_seconds("rate", "seconds", seconds)
    if every is not None:
        check_seconds("rate", "every", every)
        if seconds is None:
            raise TypeError("rate(): every needs a window to look at: rate(seconds, every=...)")

    def apply(source: Observable[float]) -> Observable[float]:
        def subscribe(observer: abc.ObserverBase[float], given: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            growth = Growth(seconds, is_held=every is not None)
            meter = Meter(observer, growth, every, scheduler_of("rate", scheduler, given))
            subscription = source.subscribe(meter.on_next, meter.on_error, meter.on_completed, scheduler=given)
            return CompositeDisposable(subscription, meter.timer)

        return Observable(subscribe)

    return apply


class Growth:
    """The numbers of one window.

    It knows numbers, and when they came. It does not know the time.

    Args:
        seconds: The length of the window; ``None`` for one from number to number, the first not counting.
        is_held: Whether a number stands until the next one, so that growth is known at any instant.
    """

    def __init__(self, seconds: float | None, *, is_held: bool) -> None:
        self._window = SHORTEST_SPAN if seconds is None else seconds
        self._least = SHORTEST_SPAN if seconds is None else max(seconds / 2, SHORTEST_SPAN)
        self._longest = self._window if is_held else float("inf")
        self._is_held = is_held
        self._skips_first = seconds is None
        self._past: deque[tuple[float, float]] = deque()

    @property
    def is_still(self) -> bool:
        """Whether one number stands for all of the window."""
        return len(self._past) == 1

    def add(self, at: float, number: float) -> None:
        """Take a number; of several at one instant the last one counts."""
        past = self._past
        if past and self._skips_first and at - past[0][0] >= SHORTEST_SPAN:
            # The first number may be an old one, shown now: how long ago it came nobody knows.
            self._skips_first = False
            past.clear()
        if past and past[-1][0] >= at:
            past.pop()
        if not (past and self._is_held and past[-1][1] == number):
            past.append((at, number))

    def at(self, now: float) -> float | Undefined:
        """Return the growth per second, ``UNDEFINED`` while too little has passed to tell."""
        past = self._past
        while len(past) > 1 and past[1][0] <= now - self._window:
            past.popleft()
        span = min(now - past[0][0], self._longest)
        return (past[-1][1] - past[0][1]) / span if span >= self._least else UNDEFINED


class Meter:
    """Measures the numbers of one subscription.

    It knows when a rate was told last, and by its timer whether it is to be told again while no number comes.
    """

    def __init__(
        self, observer: abc.ObserverBase[float], growth: Growth, every: float | None, scheduler: abc.SchedulerBase
    ) -> None:
        self.timer = SerialDisposable()
        self._observer = observer
        self._growth = growth
        self._every = every
        self._scheduler = scheduler
        self._told_at = 0.0
        self._is_waiting = False

    def on_next(self, number: float) -> None:
        """Take a number, and tell the rate if that can be."""
        try:
            check_number("rate", number)
            self._growth.add(self._now, number)
        except Exception as error:
            self.on_error(error)
            return
        if self._every is not None and not self._is_waiting:
            self._wait(self._every)
        self._tell()

    def on_error(self, error: Exception) -> None:
        """Pass the error on."""
        self.timer.dispose()
        self._observer.on_error(error)

    def on_completed(self) -> None:
        """Pass the end on."""
        self.timer.dispose()
        self._observer.on_completed()

    @property
    def _now(self) -> float:
        return self._scheduler.to_seconds(self._scheduler.now)

    def _wait(self, seconds: float) -> None:
        self._is_waiting = True
        self.timer.disposable = self._scheduler.schedule_relative(seconds, self._tell_again)

    def _tell_again(self, scheduler: abc.SchedulerBase, state: object = None) -> None:
        assert self._every is not None
        left = self._told_at + self._every - self._now
        if left > SHORTEST_SPAN:
            # A number came meanwhile.
            self._wait(left)
            return
        self._wait(self._every)
        self._tell()

    def _tell(self) -> None:
        self._told_at = self._now
        rate = self._growth.at(self._told_at)
        if rate is UNDEFINED:
            return
        if self._growth.is_still:
            self._is_waiting = False
            self.timer.disposable = Disposable()
        self._observer.on_next(rate)
