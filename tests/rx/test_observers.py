"""Delivery to many observers, which cannot harm each other."""

from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar
from dataclasses import dataclass

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
