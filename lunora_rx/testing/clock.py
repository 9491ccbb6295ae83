"""Virtual time: a loop's clock that moves only while nothing else can happen, and then from timer to timer.

``asyncio.sleep``, ``asyncio.timeout``, the client's heartbeat, backoff and linger, and time operators on
``client.scheduler`` all ask the loop for the time: none of them waits. For RxPY's schedulers it is then the year 2026,
from its first second on. ``time.time``, ``time.monotonic`` and ``datetime.now`` are not touched.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import math
import random
import selectors
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from numbers import Real
from typing import Any, TypeVar

from reactivex.scheduler import scheduler as rx_scheduler

from lunora_rx.testing.places import place_of_caller, place_of_coroutine

__all__ = ["KitFailure", "VirtualTime", "run"]

T = TypeVar("T")

PATIENCE = 86_400.0
"""Virtual seconds that a test may wait for something without asking for time to pass."""

_BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
_REAL_PATIENCE = 5.0
_GRACE = 0.02
_LONGEST_STEP = 0.5
_DIGITS = 6


class KitFailure(AssertionError):
    """What the kit itself finds wrong with a test: its text says all, and its traceback nothing."""


class VirtualTime:
    """The time of one test: it stands still while anything can run.

    While the test awaits something, time goes on to the next timer as soon as every task waits: ``await
    client.query(...)`` returns at once, however slow the scripted server is said to be. ``settle`` and ``advance``
    are for tests that look at what happens in between. For what runs in an executor, and for the disks of clients
    that a server has made, time waits; where the program has other threads, they have 20 real milliseconds before it
    goes on.

    Attributes:
        task: The task that time is guarded in; that of the test is another one.
        outsiders: Called before time goes on; each waits for what is under way outside of the loop.
        real_patience: Real seconds that a test may wait for something while only time goes on; what runs in
            executors, and ``advance``, may take longer.
    """

    def __init__(self) -> None:
        self._loop: asyncio.SelectorEventLoop | None = None
        self._selector: _Selector | None = None
        self._now = self._began = self._horizon = 0.0
        self._waiters: list[asyncio.Future[None]] = []
        self._stuck: asyncio.Future[str] | None = None
        self._threads = self._working = self._advancing = 0
        self._waited = self._last_idle = 0.0
        self._promised: dict[Coroutine[Any, Any, None], str] = {}
        self._runner: asyncio.Runner | None = None
        self.task: asyncio.Task[Any] | None = None
        self.outsiders: list[Callable[[], object]] = []
        self.real_patience = 10.0

    def __repr__(self) -> str:
        return f"<VirtualTime {self.now:g} s>"

    @property
    def now(self) -> float:
        """Virtual seconds since the test began."""
        return round(self._now - self._began, _DIGITS)

    def settle(self) -> Coroutine[Any, Any, None]:
        """Let everything happen that can happen now; time does not move. It is to be awaited.

        Raises:
            RuntimeError: The running loop's time is not virtual.
        """
        return self._promise(self._settle(), "settle()")

    def advance(self, seconds: float) -> Coroutine[Any, Any, None]:
        """Let ``seconds`` pass, timer by timer, and then everything happen that is due by then. It is to be awaited.

        Raises:
            TypeError: ``seconds`` is no number.
            ValueError: ``seconds`` is negative, or no finite number.
            RuntimeError: The running loop's time is not virtual.
        """
        given: object = seconds
        if isinstance(given, bool) or not isinstance(given, Real):
            raise TypeError(f"seconds is a number of seconds, not {given!r} of type {type(given).__name__}")
        if not 0 <= seconds < math.inf:
            raise ValueError(f"seconds is a number of seconds from 0, not {seconds!r}: time does not go back")
        return self._promise(self._advance(float(seconds)), f"advance({seconds!r})")

    def take_forgotten(self) -> list[str]:
        """Return where ``advance`` or ``settle`` was called and not awaited, in words, and forget it."""
        forgotten, self._promised = self._unbegun(), {}
        for each in forgotten:
            each.close()
        return list(forgotten.values())

    def _promise(self, coroutine: Coroutine[Any, Any, None], what: str) -> Coroutine[Any, Any, None]:
        self._promised = self._unbegun()
        self._promised[coroutine] = f"{what} was not awaited\n  {place_of_caller()}"
        return coroutine

    def _unbegun(self) -> dict[Coroutine[Any, Any, None], str]:
        created = inspect.CORO_CREATED
        return {each: text for each, text in self._promised.items() if inspect.getcoroutinestate(each) == created}

    async def _settle(self) -> None:
        waiter = self._bound("settle()").create_future()
        self._waited = 0.0
        self._waiters.append(waiter)
        await waiter

    async def _advance(self, seconds: float) -> None:
        loop = self._bound("advance()")
        self._horizon = max(self._horizon, self._now + seconds + PATIENCE)
        arrived = loop.create_future()
        timer = loop.call_at(self._now + seconds, arrived.set_result, None)
        self._advancing += 1
        try:
            await arrived
        finally:
            timer.cancel()
            self._advancing -= 1
        await self._settle()

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine from a test that is no coroutine itself; several runs share one loop and one time.

        Raises:
            AssertionError: It waits for what will not come.
            RuntimeError: A loop is running already: await the coroutine instead.
        """
        if self._runner is None:
            self._runner = asyncio.Runner(loop_factory=asyncio.SelectorEventLoop)
        return self._runner.run(self.guard(main))

    def close(self) -> None:
        """End the loop that ``run`` has made; without one, do nothing."""
        runner, self._runner = self._runner, None
        if runner is not None:
            runner.close()

    async def guard(self, main: Coroutine[Any, Any, T]) -> T:
        """Await a coroutine in virtual time; ``AssertionError`` tells where it waits for what will not come."""
        __tracebackhide__ = True
        if self._loop is not None:
            return await main
        try:
            restore = self._install(asyncio.get_running_loop())
        except RuntimeError:
            main.close()
            raise
        self.task, task = asyncio.current_task(), asyncio.ensure_future(main)
        assert self._stuck is not None
        try:
            waited: set[asyncio.Future[Any]] = {task, self._stuck}
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            report = self._stuck.result()
            raise KitFailure(f"{report}\n{_places()}")
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
            self._stuck.cancel()
            restore()

    # --- for the selector

    def on_idle(self, select: Callable[[float | None], Any], timeout: float | None) -> Any:
        """Decide what comes when no task can go on: news from outside, whoever waits for rest, or the next timer."""
        for wait in self.outsiders:
            wait()
        busy = self._working > 0
        events = select(self._grace)
        while not events and busy and self._working > 0:
            events = select(_GRACE)
        is_late = self._is_late(is_idle=not events and not busy)
        if events or busy:
            return events
        if self._waiters:
            self._wake()
        elif timeout is None:
            events = select(_REAL_PATIENCE)
            if not events:
                self._give_up(f"nothing is left that could happen, and none came in {_REAL_PATIENCE:g} real seconds")
        elif (when := self._next_timer()) > self._horizon:
            self._give_up(f"what the test awaits has not come in {self.now:g} virtual seconds")
        elif is_late:
            self._give_up(
                f"what the test awaits has not come in {self.now:g} virtual and {self.real_patience:g} real seconds"
                " (real_patience)"
            )
        else:
            self._now = when
        return events

    def _is_late(self, *, is_idle: bool) -> bool:
        """Count real time in which nothing happens but timers; a step that takes long is no waiting."""
        now, last = time.monotonic(), self._last_idle
        self._last_idle = now
        waits = is_idle and not self._advancing
        self._waited = self._waited + min(now - last, _LONGEST_STEP) if waits else 0.0
        return self._waited > self.real_patience

    def _next_timer(self) -> float:
        # The timer's own time: a sum of floats may fall short of it, and what is done early is done in vain.
        patched: Any = self._loop
        return float(patched._scheduled[0].when())

    @property
    def _grace(self) -> float:
        return _GRACE if threading.active_count() > self._threads else 0.0

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _give_up(self, report: str) -> None:
        self._horizon = self.real_patience = math.inf
        if self._stuck is not None and not self._stuck.done():
            self._stuck.set_result(report)

    def _bound(self, what: str) -> asyncio.AbstractEventLoop:
        if self._loop is None or self._loop is not asyncio.get_running_loop():
            raise RuntimeError(
                f"{what}: the time of the running loop is not virtual; use the fixture lunora_time in the test"
                " itself, or lunora_rx.testing.run"
            )
        return self._loop

    def _install(self, loop: asyncio.AbstractEventLoop) -> Callable[[], None]:
        if not isinstance(loop, asyncio.SelectorEventLoop):
            raise RuntimeError(
                f"virtual time needs asyncio's own selector loop, and this is {type(loop).__module__}."
                f"{type(loop).__qualname__}; run the test without uvloop, or use lunora_rx.testing.run"
            )
        # What was set to a time before, by a fixture perhaps, stays where it was: the clock starts from there.
        self._now = self._began = float(math.ceil(loop.time()))
        self._horizon = self._now + PATIENCE
        self._waited, self._last_idle = 0.0, time.monotonic()
        self._threads = threading.active_count()
        self._loop, self._stuck = loop, loop.create_future()
        inner: Any = loop._selector  # type: ignore[attr-defined]
        run_in_executor = loop.run_in_executor
        patched: Any = loop
        before = {name: each for name, each in vars(loop).items() if name in ("time", "run_in_executor")}
        patched.time = lambda: self._now
        patched._selector = _Selector(inner, self)
        patched.run_in_executor = lambda *args: self._counted(run_in_executor(*args))

        # RxPY's schedulers tell the wall clock's time even where they run on a loop's: operators would see both.
        wall: Any = rx_scheduler
        real_now, thread = wall.default_now, threading.get_ident()
        wall.default_now = lambda: self._wall_clock() if threading.get_ident() == thread else real_now()

        def restore() -> None:
            wall.default_now = real_now
            del patched.time, patched.run_in_executor
            vars(loop).update(before)
            patched._selector = inner
            self._loop = None

        return restore

    def _wall_clock(self) -> datetime:
        return _BEGINNING + timedelta(seconds=self.now)

    def _counted(self, future: asyncio.Future[Any]) -> asyncio.Future[Any]:
        self._working += 1
        future.add_done_callback(self._count_down)
        return future

    def _count_down(self, future: asyncio.Future[Any]) -> None:
        self._working -= 1


class _Selector:
    """A loop's selector which never waits for a timer; everything else is the inner one's."""

    def __init__(self, inner: selectors.BaseSelector, time: VirtualTime) -> None:
        self._inner = inner
        self._time = time

    def select(self, timeout: float | None = None) -> Any:
        if timeout is not None and timeout <= 0:
            return self._inner.select(0)
        return self._time.on_idle(self._inner.select, timeout)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def run(main: Coroutine[Any, Any, T], *, seed: int = 0) -> T:
    """Run a coroutine as ``asyncio.run`` does, in virtual time and with the same random numbers every time.

    Args:
        main: What to run; the time of its loop moves only while everything waits.
        seed: Of the module ``random``, which the client's backoff takes its numbers from.

    Raises:
        AssertionError: It waits for what will not come.
    """
    virtual = VirtualTime()
    with seeded(seed), contextlib.closing(virtual):
        return virtual.run(main)


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Let ``random`` begin at a seed, and give it its own state back afterwards."""
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)


def _places() -> str:
    """Return the lines of the program that wait; tasks without one, as those of the client, are no help."""
    current = asyncio.current_task()
    places = {
        task.get_name(): place_of_coroutine(task.get_coro()) for task in asyncio.all_tasks() if task is not current
    }
    lines = [f"  {name}: {place}" for name, place in places.items() if place]
    return "\n".join(["tasks that wait:", *sorted(lines)]) if lines else "no task waits in a line of the program"
