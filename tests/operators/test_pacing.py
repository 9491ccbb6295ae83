"""The latest value of each interval, in virtual time."""

from __future__ import annotations

import asyncio
import threading

import pytest

from lunora_rx import operators as lops
from tests.operators.sources import Clock, Counted, Timed
from tests.support import Recorder


@pytest.fixture
def clock():
    return Clock()


@pytest.mark.parametrize(
    ("times", "told"),
    [
        ([1], [(1, 1)]),
        ([1, 2, 3], [(1, 1), (11, 3)]),
        ([1, 2, 12, 13], [(1, 1), (11, 2), (21, 13)]),
        ([1, 20, 21], [(1, 1), (20, 20), (30, 21)]),  # after a pause at once
        ([1, 11, 12], [(1, 1), (11, 11), (21, 12)]),  # when the interval is just over
    ],
)
def test_conflate_passes_the_latest_value_on(clock, times, told):
    """At most one in ten seconds, the last one always."""
    source, seen = Counted(), Timed(clock)
    source.pipe(lops.conflate(10)).subscribe(seen, scheduler=clock)
    for time in times:
        clock.at(time, lambda time=time: source.emit(time))
    clock.start()
    assert seen.told == told


@pytest.mark.parametrize("ending", ["complete", "fail"])
def test_conflate_passes_what_waits_on_before_the_end(clock, ending):
    """None is lost, at an error neither."""
    source, seen, error = Counted(), Timed(clock), OSError("gone")
    source.pipe(lops.conflate(10, scheduler=clock)).subscribe(seen)
    source.emit(1, 2, 3)
    source.complete() if ending == "complete" else source.fail(error)
    assert seen.told == [(0, 1), (0, 3)]
    assert (seen.completions, seen.errors) == ((1, []) if ending == "complete" else (0, [error]))
    assert clock.waiting == 0


def test_conflate_runs_no_timer_while_nothing_comes(clock):
    """An idle stream wakes nobody."""
    source = Counted()
    source.pipe(lops.conflate(10, scheduler=clock)).subscribe()
    assert clock.waiting == 0
    source.emit(1)
    clock.advance_by(30)
    assert clock.waiting == 0


def test_conflate_keeps_what_its_observer_causes(clock):
    """A value emitted while one is told waits for the interval."""
    source, told = Counted(), []

    def cause(value):
        told.append((clock.clock, value))
        source.emit(value + 1) if value < 3 else None

    source.pipe(lops.conflate(10, scheduler=clock)).subscribe(cause)
    source.emit(1)
    clock.start()
    assert told == [(0, 1), (10, 2), (20, 3)]


async def test_conflate_runs_on_the_running_loop_unasked():
    """Where asyncio runs it just works, on its thread."""
    source, threads, done = Counted(), [], asyncio.Event()
    source.pipe(lops.conflate(0.001)).subscribe(
        lambda value: (threads.append(threading.get_ident()), done.set() if value == 3 else None)
    )
    source.emit(1, 2, 3)
    await asyncio.wait_for(done.wait(), 5)
    assert threads == [threading.get_ident()] * 2


async def test_conflate_on_the_scheduler_of_a_client(client):
    """The one that the client offers serves."""
    source, done = Counted(), asyncio.Event()
    source.pipe(lops.conflate(0.001, scheduler=client.scheduler)).subscribe(lambda value: value == 2 and done.set())
    source.emit(1, 2)
    await asyncio.wait_for(done.wait(), 5)


@pytest.mark.parametrize(
    "operator",
    [
        lops.conflate(1),
        lops.ewma(half_life=1),
        lops.history(seconds=1),
        lops.rate(),
        lops.retry_backoff(),
    ],
)
def test_time_operator_without_a_scheduler_fails_and_starts_no_thread(operator):
    """The error says what to pass."""
    source, seen, threads = Counted(1), Recorder(), threading.active_count()
    source.pipe(operator).subscribe(seen)
    (error,) = seen.errors
    assert "needs a scheduler where no asyncio loop runs" in str(error)
    assert "scheduler=client.scheduler" in str(error)
    assert (threading.active_count(), source.watching) == (threads, 0)


@pytest.mark.parametrize("make", [lops.conflate, lambda each: lops.history(seconds=each), lops.rate])
@pytest.mark.parametrize(("seconds", "error"), [(0, ValueError), (-1, ValueError), ("1", TypeError), (True, TypeError)])
def test_time_operator_with_a_wrong_duration_says_so_at_once(make, seconds, error):
    """In which operator, and what was expected."""
    with pytest.raises(error, match="seconds"):
        make(seconds)
