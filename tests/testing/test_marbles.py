"""Marbles: recorded, compared, and shown by a live query without a server."""

from __future__ import annotations

import asyncio

import pytest
import reactivex
from reactivex import operators as ops
from reactivex.testing import ReactiveTest, TestScheduler

from lunora_rx import LiveQuery, LunoraError, SnapshotStatus
from lunora_rx.testing import assert_marbles, hot_live, record, run

on_next = ReactiveTest.on_next


@pytest.fixture
def scheduler():
    """RxPY's scheduler for tests, at 0."""
    return TestScheduler()


def test_record_keeps_values_with_their_times(scheduler):
    """Times count from the recording, as in RxPY's own tests."""
    scheduler.advance_to(5)
    recording = record(reactivex.from_marbles("a-b|", timespan=1.0, scheduler=scheduler), scheduler)
    scheduler.start()
    assert recording.messages == [on_next(0, "a"), on_next(2, "b"), ReactiveTest.on_completed(3)]
    assert (recording.values, recording.error, recording.is_completed) == (["a", "b"], None, True)


def test_record_keeps_the_error_and_stops_when_disposed(scheduler):
    """How it ended can be asked for; a recording that is over hears nothing."""
    source = reactivex.from_marbles("a-#", timespan=1.0, error=LunoraError("no"), scheduler=scheduler)
    failed, disposed = record(source, scheduler), record(source, scheduler)
    scheduler.advance_to(1)
    disposed.dispose()
    scheduler.start()
    assert (str(failed.error), failed.is_completed) == ("no", False)
    assert disposed.messages == [on_next(0, "a")]


def test_record_without_a_scheduler_asks_the_loop():
    """In virtual time the recorded times are exact."""

    async def main():
        scheduler = reactivex.scheduler.eventloop.AsyncIOScheduler(asyncio.get_running_loop())
        recording = record(reactivex.interval(0.25, scheduler=scheduler).pipe(ops.take(2)))
        await asyncio.sleep(1)
        assert_marbles(recording, "-0(1,|)", timespan=0.25)

    run(main())


def test_assert_marbles_passes_what_is_equal(scheduler):
    """Values by name, groups at one moment, an error of one class and text."""
    source = reactivex.from_marbles("-a-(b,c)#", timespan=1.0, error=LunoraError("no"), scheduler=scheduler)
    recording = record(source.pipe(ops.map(str.upper)), scheduler)
    scheduler.start()
    assert_marbles(recording, "-A-(B,x)#", {"x": "C"})
    assert_marbles(recording, "-A-(B,C)#", error=LunoraError("no"))


@pytest.mark.parametrize("marbles", ["a-b", "ab", "-a-b", "a-c", "a", "a-b|", "a-b#", ""])
def test_assert_marbles_fails_on_any_difference(scheduler, marbles):
    """Another time, another value, one too many or too few, another end."""
    recording = record(reactivex.from_marbles("a--b", timespan=1.0, scheduler=scheduler), scheduler)
    scheduler.start()
    with pytest.raises(AssertionError, match=r"recorded\n  0 s: value 'a'\n  3 s: value 'b'"):
        assert_marbles(recording, marbles)


def test_assert_marbles_tells_errors_apart(scheduler):
    """Where an error is given it must be that one."""
    recording = record(reactivex.from_marbles("#", error=LunoraError("no"), scheduler=scheduler), scheduler)
    scheduler.start()
    with pytest.raises(AssertionError, match="LunoraError"):
        assert_marbles(recording, "#", error=LunoraError("yes"))


def test_assert_marbles_of_what_was_not_recorded_says_so(scheduler):
    """A live query itself is no recording."""
    with pytest.raises(TypeError, match=r"recorded is what record\(\.\.\.\) has returned, not <LiveQuery"):
        assert_marbles(hot_live("a", scheduler=scheduler), "a")


def test_recording_shows_the_last_of_what_it_was_told(scheduler):
    """Its ``repr`` tells an error from values, and is short."""
    recording = record(reactivex.from_marbles("a-b-c-#", error=LunoraError("no"), scheduler=scheduler), scheduler)
    assert repr(recording) == "<Recording nothing>"
    scheduler.start()
    assert repr(recording).endswith("error LunoraError('no')>")
    long = record(reactivex.from_iterable(["x" * 999] * 9), scheduler)
    scheduler.start()
    assert repr(long).startswith("<Recording ...; ")
    assert len(repr(long)) < 2000


def test_hot_live_is_hot_and_replays_the_latest(scheduler):
    """A late observer gets the latest value at once, and what follows."""
    live = hot_live("a-b-c", {"a": [1], "b": [1, 2]}, scheduler=scheduler)
    assert isinstance(live, LiveQuery)
    scheduler.advance_to(2.5)
    recording = record(live, scheduler)
    scheduler.start()
    assert_marbles(recording, "b--c", {"b": [1, 2]}, timespan=0.5)
    assert live.value == "c"


def test_hot_live_error_ends_todays_observers_and_a_value_heals(scheduler):
    """As for a live query of a client: snapshots and ``resilient`` go on."""
    live = hot_live("a-#-b", scheduler=scheduler, error=LunoraError("no", code="FORBIDDEN"))
    values, resilient = record(live, scheduler), record(live.resilient, scheduler)
    statuses = record(live.snapshots.pipe(ops.map(lambda each: each.status)), scheduler)
    scheduler.start()
    assert_marbles(values, "a-#", error=LunoraError("no", code="FORBIDDEN"))
    assert_marbles(resilient, "a---b")
    assert [str(each) for each in statuses.values] == ["pending", "live", "failed", "live"]
    assert live.snapshot.status is SnapshotStatus.LIVE


def test_hot_live_debounced_in_a_pipeline(scheduler):
    """What pipelines are tested with: time operators on the same scheduler."""
    live = hot_live("ab--c-|", {"ab": "early"}, scheduler=scheduler)
    recording = record(live.pipe(ops.debounce(1.5, scheduler=scheduler)), scheduler)
    scheduler.start()
    assert_marbles(recording, "---e-------c|", {"e": "early"}, timespan=0.5)
