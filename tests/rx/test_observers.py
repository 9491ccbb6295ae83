"""Delivery to many observers, which cannot harm each other."""

from __future__ import annotations

import asyncio
import itertools
import threading
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial

import pytest
from reactivex.observer import AutoDetachObserver

from lunora_rx import WireMap, WireSet
from lunora_rx.rx.observers import DebugReport, Observers, anatomy, containable, is_another
from tests.support import Recorder

CELL: ContextVar[str] = ContextVar("cell", default="none")


def observer(on_next):
    """An observer as ``subscribe`` makes it."""
    return AutoDetachObserver(on_next)


def test_observers_one_raises_the_others_get_the_value():
    """An exception is reported, and nobody else notices."""
    reported, seen = [], Recorder()
    observers = Observers(reported.append)
    observers.attach(observer(lambda value: 1 / 0))
    observers.attach(seen)
    observers.next(1)
    observers.next(2)
    assert seen.values == [1, 2]
    assert [type(each) for each in reported] == [ZeroDivisionError] * 2


def test_observers_one_raises_cancelled_error_the_others_get_the_value():
    """A ``CancelledError`` out of an observer is reported, and ends no task."""
    reported, seen = [], Recorder()
    observers = Observers(reported.append)

    def on_next(value):
        raise asyncio.CancelledError

    observers.attach(observer(on_next))
    observers.attach(seen)
    observers.next(1)
    assert seen.values == [1]
    assert isinstance(reported[0].__cause__, asyncio.CancelledError)


def test_containable_interrupt_is_raised_again():
    """What is meant to end the program is not swallowed."""
    with pytest.raises(KeyboardInterrupt):
        containable(KeyboardInterrupt())


def test_observers_one_raises_at_the_end_the_others_are_told():
    """Exceptions out of ``on_completed`` and ``on_error`` are contained as well."""
    reported, seen = [], Recorder()
    observers = Observers(reported.append)
    for _ in range(2):
        observers.attach(AutoDetachObserver(print, lambda error: 1 / 0, lambda: 1 / 0))
        observers.attach(seen)
        observers.complete() if not seen.completions else observers.error(lambda: ValueError("no"))
    assert (seen.completions, len(seen.errors), len(reported)) == (1, 1, 2)


def test_observers_without_error_handler_is_reported():
    """An error that an observer has no handler for goes to the report, as reactivex raises it."""
    reported = []
    observers = Observers(reported.append)
    observers.attach(observer(print))
    observers.error(lambda: ValueError("no"))
    assert isinstance(reported[0], ValueError)


def test_observers_error_makes_one_exception_each():
    """No two observers share an exception."""
    first, second = Recorder(), Recorder()
    observers = Observers(print)
    observers.attach(first)
    observers.attach(second)
    observers.error(lambda: ValueError("no"))
    assert first.errors[0] is not second.errors[0]
    assert len(observers) == 0


def test_observers_attached_during_a_delivery_wait_for_the_next():
    """Who attaches during a delivery is not part of it."""
    late = Recorder()
    observers = Observers(print)
    observers.attach(observer(lambda value: observers.attach(late) if value == 1 else None))
    observers.next(1)
    observers.next(2)
    assert late.values == [2]


def test_observers_detached_during_a_delivery_harms_no_other():
    """An observer that removes itself leaves the others their place in the row."""
    observers, seen = Observers(print), Recorder()
    detach = observers.attach(observer(lambda value: detach()))
    observers.attach(seen)
    observers.next(1)
    observers.next(2)
    detach()
    assert seen.values == [1, 2]
    assert len(observers) == 1


def test_observers_are_called_in_the_context_they_attached_in():
    """Each observer sees the context variables of its own subscription."""
    cells = []
    observers = Observers(print)
    for name in ("one", "two"):
        token = CELL.set(name)
        observers.attach(observer(lambda value: cells.append(CELL.get())))
        CELL.reset(token)
    observers.next(1)
    assert cells == ["one", "two"]


@pytest.mark.parametrize("is_replay", [False, True])
def test_observers_that_change_a_shared_value_are_found(is_replay):
    """With inspection on, an observer that changes the value is named; later ones that do not are not."""
    reported, seen = [], Recorder()
    observers = Observers(DebugReport(reported.append, lambda what: None))

    def sorts_in_place(rows):
        rows.sort()

    if is_replay:
        observers.replay(observer(sorts_in_place), [2, 1])
    else:
        observers.attach(observer(sorts_in_place))
        observers.attach(seen)
        observers.next([2, 1])
    (error,) = reported
    assert "sorts_in_place" in str(error)


def test_inspected_value_that_cannot_be_copied_is_delivered_and_looked_into():
    """Nothing is copied; what is no container is a part that has none."""
    reported, seen = [], Recorder()
    observers = Observers(DebugReport(reported.append, lambda what: None))
    observers.attach(seen)
    value = [lambda: None, threading.Lock()]
    observers.next(value)
    assert (seen.values, reported) == ([value], [])
    observers.attach(observer(list.clear))
    observers.next(value)
    assert [type(error) for error in reported] == [RuntimeError]


@dataclass
class Row:
    """A row with cells."""

    cells: list[int]


CHANGES = {
    "list": ([1], lambda value: value.append(2)),
    "cell replaced by an equal one": ([[1]], lambda value: value.__setitem__(0, [1])),
    "dict within a list": ([{"n": 1}], lambda value: value[0].update(n=2)),
    "key": ({"n": 1}, lambda value: value.update(m=value.pop("n"))),
    "set": ({1}, lambda value: value.add(2)),
    "dataclass": (Row([1]), lambda value: setattr(value, "cells", [1])),
    "list within a dataclass": (Row([1]), lambda value: value.cells.append(2)),
    "tuple": (([1],), lambda value: value[0].clear()),
    "wire map": (WireMap([(1, [1])]), lambda value: value[1].append(2)),
    "wire set": (WireSet([Row([1])]), lambda value: next(iter(value)).cells.append(2)),
    "neighbour": ([[1], [2]], lambda value: value[1].append(value[0].pop())),
    "moved outwards": ([[1, 2]], lambda value: value.append(value[0].pop())),
}


@pytest.mark.parametrize("name", CHANGES)
def test_anatomy_of_a_changed_value_is_another(name):
    """Whatever was changed, however deep; a value that stays as it is has the same."""
    value, change = CHANGES[name]
    before = anatomy(value)
    same = anatomy(value)
    change(value)
    after = anatomy(value)
    assert not is_another(before, same)
    assert is_another(before, after)


def test_anatomy_of_deep_and_of_circular_values_ends():
    """It neither recurses nor walks in circles."""
    deep = circle = []
    for _ in range(100_000):
        deep = [deep]
    circle.append(circle)
    assert len(anatomy(deep)) > 100_000


def test_debug_report_has_all_inspected_and_attached_on_the_right_thread_only():
    """It stands for debug mode, wherever it is given."""
    reported, checked = [], []
    observers = Observers(DebugReport(reported.append, checked.append))
    observers.attach(observer(list.clear))
    observers.next([1])
    assert ([type(error) for error in reported], checked) == ([RuntimeError], ["subscribe()"])


@pytest.mark.parametrize(("debug", "times"), [(False, [0.0, 1.6]), (True, [0.0, 0.1, 1.0, 2.5])])
def test_observer_that_blocks_is_named_in_a_warning(monkeypatch, caplog, debug, times):
    """Whoever was told then is, a few of many; in debug mode the one that took too long, and none beside it."""
    ticks = iter(times)
    monkeypatch.setattr("lunora_rx.rx.observers.monotonic", lambda: next(ticks))

    def quick(value):
        """Return at once."""

    def dawdle(value):
        """Seem to take long."""

    observers = Observers(DebugReport(pytest.fail, lambda what: None) if debug else pytest.fail)
    for callback in (quick, dawdle) if debug else (quick, dawdle, quick, quick, quick):
        observers.attach(AutoDetachObserver(callback))
    observers.next(1)
    (record,) = caplog.records
    assert "stood still for 1." in record.getMessage()
    assert "dawdle" in record.getMessage()
    assert ("quick" not in record.getMessage()) if debug else record.getMessage().endswith("or 2 more")


class Sink:
    """What somebody observes with, which holds what no log may show, and cannot always be shown."""

    def __repr__(self):
        raise RuntimeError("canary-5f0e")

    def show(self, value):
        """Look at a value."""

    def __call__(self, value):
        """Look at a value."""


@pytest.mark.parametrize(
    ("callback", "name"),
    [
        (Sink().show, "Sink.show"),
        (partial(partial(print, "canary-5f0e"), "canary-5f0e"), "builtins.print"),
        (Sink(), "Sink"),
        (lambda value: None, "<lambda>"),
    ],
)
@pytest.mark.parametrize("debug", [False, True])
def test_observer_is_named_without_asking_it(monkeypatch, caplog, debug, callback, name):
    """A ``repr`` may hold a token, or raise: then the value would be lost to all."""
    ticks = itertools.count()
    monkeypatch.setattr("lunora_rx.rx.observers.monotonic", lambda: float(next(ticks)))
    reported, got = [], []
    observers = Observers(DebugReport(reported.append, lambda what: None) if debug else reported.append)
    observers.attach(AutoDetachObserver(callback))
    observers.attach(AutoDetachObserver(got.append))
    observers.next(1)
    assert (got, reported) == ([1], [])
    assert caplog.records[0].getMessage().partition(",")[0].endswith(name)
    assert "canary" not in caplog.text


def test_observer_that_changes_a_value_is_named_without_asking_it():
    """What is reported may be logged, too."""

    class Changer(Sink):
        def show(self, value):
            value.clear()

    reported = []
    observers = Observers(DebugReport(reported.append, lambda what: None))
    observers.attach(AutoDetachObserver(Changer().show))
    observers.next([1])
    assert "Changer.show changed a value" in str(reported[0])
