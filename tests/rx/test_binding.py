"""Values where a user interface wants them."""

from __future__ import annotations

import threading

import pytest
import reactivex
from reactivex.subject import BehaviorSubject, Subject

from lunora_rx import bind
from tests.support import Recorder, until


class Place:
    """What dashboards offer: callbacks that run later, and a hook for the end."""

    def __init__(self) -> None:
        self.scheduled = []
        self.at_end = []
        self.set = []

    def schedule(self, callback):
        """Take a callback that runs later."""
        self.scheduled.append(callback)

    def run(self):
        """Run what was scheduled."""
        scheduled, self.scheduled = self.scheduled, []
        for each in scheduled:
            each()

    def bind(self, source, **options):
        """Bind a source to this place."""
        return bind(source, self.set.append, schedule=self.schedule, until=self.at_end.append, **options)


@pytest.fixture
def place():
    """A place to set values in."""
    return Place()


def test_bind_sets_every_value_at_once_without_a_schedule():
    """From the first on, until it is disposed of."""
    source, seen = BehaviorSubject(1), []
    with bind(source, seen.append):
        source.on_next(2)
    source.on_next(3)
    assert (seen, source.observers) == ([1, 2], [])


def test_bind_schedules_one_crossing_for_the_newest_value(place):
    """Values that come before it are not set; the next one crosses anew."""
    source = BehaviorSubject(1)
    place.bind(source)
    for number in (2, 3):
        source.on_next(number)
    assert (len(place.scheduled), place.set) == (1, [])
    place.run()
    source.on_next(4)
    assert (len(place.scheduled), place.set) == (1, [3])
    place.run()
    assert place.set == [3, 4]


def test_bind_value_that_comes_while_another_is_set_crosses_next(place):
    """A setter that causes a change misses nothing."""
    source = Subject()
    bind(
        source,
        lambda value: (place.set.append(value), value < 2 and source.on_next(2)),
        schedule=place.schedule,
    )
    source.on_next(1)
    place.run()
    place.run()
    assert (place.set, place.scheduled) == ([1, 2], [])


@pytest.mark.parametrize("arguments", [(), ("session context",)])
def test_bind_ends_when_the_place_does(place, arguments):
    """With whatever the hook is called, how often it may be; a value on its way is set no more."""
    source = BehaviorSubject(1)
    place.bind(source)
    (end,) = place.at_end
    end(*arguments)
    end(*arguments)
    place.run()
    assert (place.set, source.observers) == ([], [])


def test_bind_of_a_place_that_is_gone_already_binds_nothing(place):
    """A hook that calls back at once is heard."""
    source = BehaviorSubject(1)
    bind(source, place.set.append, until=lambda end: end())
    assert (place.set, source.observers) == ([], [])


def test_bind_until_that_raises_binds_nothing(place):
    """Whoever calls is told, and nothing is left."""
    source = BehaviorSubject(1)
    with pytest.raises(ZeroDivisionError):
        bind(source, place.set.append, until=lambda end: 1 / 0)
    assert (place.set, source.observers) == ([], [])


def test_bind_setter_that_raises_is_reported_and_gets_the_next_value(place):
    """It reaches neither the source nor whoever runs the crossing."""
    source, reported = Subject(), Recorder()
    bind(source, lambda value: 1 / value, schedule=place.schedule, on_error=reported.on_next)
    for number in (0, 1, 0):
        source.on_next(number)
        place.run()
    assert [type(each) for each in reported.values] == [ZeroDivisionError] * 2


def test_bind_setter_that_raises_is_logged_by_default(caplog):
    """With its traceback; other observers of the source are not harmed."""
    source, seen = Subject(), Recorder()
    bind(source, lambda value: 1 / 0)
    source.subscribe(seen)
    source.on_next(1)
    assert seen.values == [1]
    assert "a binding raised ZeroDivisionError" in caplog.text
    assert "Traceback" in caplog.text


def test_bind_schedule_that_raises_ends_the_binding(place):
    """The place is gone; that is said once, and not for every value."""
    source, reported = Subject(), Recorder()
    bind(source, place.set.append, schedule=lambda callback: 1 / 0, on_error=reported.on_next)
    source.on_next(1)
    source.on_next(2)
    assert ([type(each) for each in reported.values], source.observers) == ([ZeroDivisionError], [])


def test_bind_source_that_fails_is_reported(place):
    """The value before it still crosses."""
    reported = Recorder()
    place.bind(reactivex.concat(reactivex.of(1), reactivex.throw(ValueError("no"))), on_error=reported.on_next)
    place.run()
    assert ([type(each) for each in reported.values], place.set) == ([ValueError], [1])


async def test_bind_schedule_of_another_thread_sets_on_that_thread(server, client):
    """A live query, and a place whose thread takes callbacks from a queue."""
    place, threads, ready = Place(), [], threading.Event()

    def run():
        assert ready.wait(5)
        place.run()

    thread = threading.Thread(target=run)
    thread.start()
    handle = bind(
        client.live("a:b"),
        lambda value: threads.append((value, threading.current_thread())),
        schedule=place.schedule,
    )
    socket, sub = await server.subscribed()
    for number in (1, 2):
        await socket.push("data", id=sub, data=number)
    ready.set()
    await until(lambda: threads)
    thread.join()
    assert threads == [(2, thread)]
    handle.dispose()
    assert client.debug()["observers"] == 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (([1], print), "observable is an Observable, not list"),
        ((reactivex.empty(), None), "setter is a callable, not NoneType"),
        ((reactivex.empty(), print, {"schedule": 1}), "schedule is a callable, not int"),
        ((reactivex.empty(), print, {"until": 1}), "until"),
        ((reactivex.empty(), print, {"on_error": 1}), "on_error"),
    ],
)
def test_bind_bad_argument_is_named(arguments, named):
    """At the call."""
    source, setter, options = (*arguments, {})[:3]
    with pytest.raises(TypeError, match=named):
        bind(source, setter, **options)
