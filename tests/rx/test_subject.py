"""Subjects: what is shown now, to whom, and in which order."""

from __future__ import annotations

import time

import pytest

from lunora_rx.core.events import QueryFailed, SnapshotChanged, ValueChanged
from lunora_rx.core.snapshot import Snapshot, SnapshotStatus
from lunora_rx.errors import ServerError
from lunora_rx.rx.calls import Phase, Phases
from lunora_rx.rx.observers import DebugReport
from lunora_rx.rx.subject import Latest, Signal, SnapshotSubject, once
from tests.support import Recorder


class Acting(Recorder):
    """An observer that does something with each value."""

    def __init__(self, act):
        super().__init__()
        self.act = act

    def on_next(self, value):
        """Keep the value, then act."""
        super().on_next(value)
        self.act(value)


def value(number):
    """The event of a new value."""
    return ValueChanged("key", number, number, 0)


def failure(number, code):
    """The event of a failed query that still shows a value."""
    return QueryFailed("key", Snapshot(SnapshotStatus.FAILED, number, ServerError("no", code=code)))


@pytest.fixture
def subject():
    """A subject whose observers must not raise."""

    def report(error):
        raise AssertionError from error

    return SnapshotSubject(report)


def test_subject_published_during_a_delivery_keeps_the_order_for_all(subject):
    """A value published by an observer comes after the present one, for the later observers too."""
    first = Acting(lambda number: subject.publish(value(number + 1)) if number < 3 else None)
    second = Recorder()
    subject.attach_values(first)
    subject.attach_values(second)
    subject.publish(value(1))
    assert first.values == second.values == [1, 2, 3]


@pytest.mark.parametrize("kind", ["values", "resilient", "snapshots"])
def test_subject_attached_during_a_delivery_sees_each_state_once(subject, kind):
    """Whoever attaches while the others are told has neither a gap nor a duplicate."""
    late = Recorder()
    attach = {
        "values": subject.attach_values,
        "resilient": lambda observer: subject.attach_values(observer, resilient=True),
        "snapshots": subject.attach_snapshots,
    }[kind]
    subject.attach_values(Acting(lambda number: attach(late) if number == 1 else None))
    subject.publish(value(1))
    subject.publish(value(2))
    shown = [each.value if kind == "snapshots" else each for each in late.values]
    assert shown == [1, 2]


def test_subject_published_while_an_observer_attaches_is_not_lost(subject):
    """What an observer publishes while it is shown the present state comes to it too, and after it."""
    subject.publish(value(1))
    seen = Acting(lambda snapshot: subject.publish(value(2)) if snapshot.value == 1 else None)
    subject.attach_snapshots(seen)
    assert [each.value for each in seen.values] == [1, 2]


def test_subject_failure_is_for_who_was_there(subject):
    """An observer that attaches while a failure is told gets the value and not the failure."""
    late = Recorder()
    subject.attach_snapshots(Acting(lambda snapshot: snapshot.error and subject.attach_values(late)))
    early = Recorder()
    subject.attach_values(early)
    subject.publish(value(1))
    subject.publish(failure(1, "NO"))
    assert (early.values, [each.code for each in early.errors]) == ([1], ["NO"])
    assert (late.values, late.errors) == ([1], [])
    subject.publish(value(2))
    assert (early.values, late.values) == ([1], [1, 2])


def test_subject_status_alone_is_no_value(subject):
    """A change of status reaches snapshots only."""
    values, snapshots = Recorder(), Recorder()
    subject.attach_values(values)
    subject.attach_snapshots(snapshots)
    subject.publish(value(1))
    subject.publish(SnapshotChanged("key", Snapshot(SnapshotStatus.STALE, 1)))
    assert values.values == [1]
    assert [str(each.status) for each in snapshots.values] == ["pending", "live", "stale"]


def test_subject_snapshot_has_an_aware_time_near_now(subject):
    """``updated_at`` is when the state changed here."""
    subject.publish(value(1))
    assert abs(subject.snapshot.updated_at.timestamp() - time.time()) < 5


def test_subject_observer_raises_the_rest_of_the_turn_goes_on():
    """A raising observer of values keeps neither values nor snapshots from the others."""
    reported, values, snapshots = [], Recorder(), Recorder()
    subject = SnapshotSubject(reported.append)
    subject.attach_values(Acting(lambda number: 1 / 0))
    subject.attach_values(values)
    subject.attach_snapshots(snapshots)
    subject.publish(value(1))
    assert (values.values, snapshots.last.value, len(reported)) == ([1], 1, 1)


def test_subject_inspects_snapshots_without_mistaking_errors_for_changes():
    """The value of a snapshot is looked at, not its error, which is never equal to a copy."""
    reported = []
    subject = SnapshotSubject(DebugReport(reported.append, lambda what: None))
    subject.attach_snapshots(Acting(lambda snapshot: None))
    subject.publish(failure([1], "NO"))
    assert reported == []
    subject.attach_snapshots(Acting(lambda snapshot: snapshot.value.append(2)))
    assert len(reported) == 1


def test_latest_new_observer_gets_the_value_then_changes():
    """The value now, then each real change."""
    latest, seen = Latest(1, print), Recorder()
    latest.subscribe(seen)
    for number in (1, 2, 2, 3):
        latest.set(number)
    assert (seen.values, latest.value) == ([1, 2, 3], 3)


def test_latest_set_while_an_observer_attaches_is_not_lost():
    """An observer that causes a change while it is shown the value is told of it, afterwards."""
    latest, log = Latest(1, print), []

    def on_next(number):
        if number == 1:
            latest.set(2)
        log.append(number)

    latest.subscribe(on_next)
    assert log == [1, 2]


def test_latest_set_by_an_observer_keeps_the_order_for_all():
    """Later observers see the changes in the order in which they happened."""
    latest, seen = Latest(0, print), Recorder()
    latest.subscribe(lambda number: latest.set(2) if number == 1 else None)
    latest.subscribe(seen)
    latest.set(1)
    assert seen.values == [0, 1, 2]


def test_latest_completed_gives_late_observers_value_and_end():
    """After the end there is a last value."""
    latest, early, late = Latest(1, print), Recorder(), Recorder()
    latest.subscribe(early)
    latest.complete()
    latest.subscribe(late)
    assert (early.completions, late.values, late.completions) == (1, [1], 1)


def test_signal_observers_get_what_happens_while_they_watch():
    """Nothing is replayed; the end is."""
    signal, early, late = Signal(print), Recorder(), Recorder()
    signal.subscribe(early)
    signal.emit(1)
    signal.subscribe(late)
    signal.complete()
    signal.subscribe(late)
    assert (early.values, early.completions, late.values, late.completions) == ([1], 1, [], 2)


def test_end_told_to_a_late_observer_that_raises_is_reported():
    """``on_completed`` that raises is reported, whether the end comes now or came before."""
    reported = []
    for stream in (Latest(1, reported.append), Signal(reported.append), Phases(reported.append)):
        (stream.end if isinstance(stream, Phases) else stream.complete)()
        stream.subscribe(on_completed=lambda: 1 / 0)
    assert len(reported) == 3


def test_phases_entered_while_an_observer_is_told_the_past_are_told_too():
    """An observer that causes the next phase sees it."""
    phases, seen = Phases(print), []
    phases.enter(Phase.COMPOSED)

    def on_next(phase):
        seen.append(phase)
        if phase is Phase.COMPOSED:
            phases.enter(Phase.REJECTED)
            phases.end()

    phases.subscribe(on_next)
    assert seen == [Phase.COMPOSED, Phase.REJECTED]


def test_once_called_twice_acts_once():
    """The second call does nothing."""
    calls = []
    act = once(lambda: calls.append(1))
    act()
    act()
    assert calls == [1]
