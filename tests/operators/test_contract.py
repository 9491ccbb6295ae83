"""What every operator does: it shares nothing, leaks nothing, and passes on how its source ends."""

from __future__ import annotations

import pytest

from lunora_rx import Snapshot, SnapshotStatus
from lunora_rx import operators as lops
from tests.operators.sources import Acting, Clock, Counted, Timed
from tests.support import Recorder

A, B = [{"_id": "a", "n": 1}], [{"_id": "a", "n": 2}, {"_id": "b", "n": 3}]
LIVE = [Snapshot(SnapshotStatus.LIVE, number) for number in (1, 2)]
CASES = {
    "by_id": (lops.by_id(), A, B),
    "changes": (lops.changes(), A, B),
    "changes by field": (lops.changes("n"), A, B),
    "conflate": (lops.conflate(5), 1, 2),
    "ewma": (lops.ewma(0.5), 1, 2),
    "ewma by time": (lops.ewma(half_life=5), 1, 2),
    "history": (lops.history(3), 1, 2),
    "history by time": (lops.history(seconds=5), 1, 2),
    "join": (lops.join(Counted(B), on="_id"), A, B),
    "log": (lops.log("x"), 1, 2),
    "rate": (lops.rate(1), 1, 2),
    "rate told again": (lops.rate(1, every=2), 1, 2),
    "retry_backoff": (lops.retry_backoff(retry_if=lambda error: False), 1, 2),
    "row": (lops.row("a"), A, B),
    "select": (lops.select("n"), A, B),
    "to_frame": (lops.to_frame(), A, B),
    "unwrap": (lops.unwrap(), *LIVE),
    "where": (lops.where(lambda row: True), A, B),
}
operators = pytest.mark.parametrize(("operator", "first", "second"), CASES.values(), ids=CASES)


def play(clock, source, *values):
    for value in values:
        clock.advance_by(1)
        source.emit(value)


@operators
def test_operator_gives_two_subscriptions_the_same(operator, first, second):
    """A second subscription to the same piped Observable starts afresh: nothing of the first is in it."""
    clock, source = Clock(), Counted()
    piped, seen = source.pipe(operator), [Recorder(), Recorder()]
    for each in seen:
        handle = piped.subscribe(each, scheduler=clock)
        play(clock, source, first, second)
        clock.advance_by(10)
        handle.dispose()
    assert len(seen[0].values) >= 1
    assert repr(seen[0].values) == repr(seen[1].values)
    assert source.subscriptions == 2


@operators
def test_operator_used_on_two_sources_keeps_them_apart(operator, first, second):
    """One operator object may stand in many pipes."""
    clock, sources, seen = Clock(), [Counted(), Counted()], [Recorder(), Recorder()]
    for source, each in zip(sources, seen, strict=True):
        source.pipe(operator).subscribe(each, scheduler=clock)
    play(clock, sources[0], first, second)
    clock.advance_by(10)
    assert seen[0].values
    assert not seen[1].values


@operators
def test_operator_disposed_leaves_nothing(operator, first, second):
    """Neither the source nor the clock knows of it any more, and it is silent."""
    clock, source, seen = Clock(), Counted(), Recorder()
    handle = source.pipe(operator).subscribe(seen, scheduler=clock)
    play(clock, source, first, second)
    handle.dispose()
    count = len(seen.values)
    source.emit(first)
    clock.advance_by(10)
    assert (source.watching, clock.waiting, len(seen.values)) == (0, 0, count)


@operators
def test_operator_disposed_by_its_observer_stops_at_once(operator, first, second):
    """The observer lets go while it is told."""
    clock, source = Clock(), Counted()
    seen = Acting(lambda value: handle.dispose())
    handle = source.pipe(operator).subscribe(seen, scheduler=clock)
    play(clock, source, first, second, first, second)
    clock.advance_by(10)
    assert (len(seen.values), source.watching, clock.waiting) == (1, 0, 0)


@operators
def test_operator_passes_an_error_on_once(operator, first, second):
    """The error is the source's own, and nothing is left."""
    clock, source, seen, error = Clock(), Counted(), Recorder(), OSError("gone")
    source.pipe(operator).subscribe(seen, scheduler=clock)
    play(clock, source, first, second)
    source.fail(error)
    clock.advance_by(10)
    assert (seen.errors, seen.completions, source.watching, clock.waiting) == ([error], 0, 0, 0)


@operators
def test_operator_completes_with_its_source(operator, first, second):
    """Once, and nothing of it is left; a join goes on with the other."""
    clock, source, seen = Clock(), Counted(), Recorder()
    source.pipe(operator).subscribe(seen, scheduler=clock)
    play(clock, source, first, second)
    source.complete()
    clock.advance_by(10)
    completions = 0 if operator is CASES["join"][0] else 1
    assert (seen.completions, seen.errors, clock.waiting) == (completions, [], 0)
    assert source.watching == 0


@operators
def test_operator_whose_observer_causes_the_next_value_sees_what_others_see(operator, first, second):
    """What an observer causes while it is told comes after, as if somebody else had caused it then."""
    clock, source, caused = Clock(), Counted(), []

    def cause(value):
        if not caused:
            caused.append(clock.clock)
            source.emit(second)

    seen, flat = Acting(cause), Timed(Clock())
    source.pipe(operator).subscribe(seen, scheduler=clock)
    play(clock, source, first, first, second)
    clock.advance_by(10)
    other = Counted()
    other.pipe(operator).subscribe(flat, scheduler=flat.clock)
    for time, value in enumerate((first, first, second), start=1):
        flat.clock.advance_by(1)
        other.emit(*([value, second] if caused == [time] else [value]))
    flat.clock.advance_by(10)
    assert repr(seen.values) == repr(flat.values)


def test_every_operator_is_checked():
    """A new one cannot be left out."""
    assert {name.partition(" ")[0] for name in CASES} == set(lops.__all__)
