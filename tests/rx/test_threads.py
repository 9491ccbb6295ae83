"""Observers on a thread of their own."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

import pytest
import reactivex
from reactivex.subject import BehaviorSubject, Subject

from lunora_rx import StreamError, observe_on_thread
from tests.support import Recorder, until

CELL: ContextVar[str] = ContextVar("cell", default="none")


class Gate:
    """An observer that may be held up, and tells where it was called."""

    def __init__(self) -> None:
        self.seen = Recorder()
        self.open = threading.Event()
        self.entered = threading.Event()
        self.threads: set[threading.Thread] = set()
        self.cells: set[str] = set()

    def on_next(self, value):
        """Take a value, when the gate is open."""
        self.threads.add(threading.current_thread())
        self.cells.add(CELL.get())
        self.entered.set()
        assert self.open.wait(5)
        self.seen.on_next(value)

    def watch(self, source, **options):
        """Watch a source on a thread; return the handle."""
        crossed = source.pipe(observe_on_thread(**options))
        return crossed.subscribe(self.on_next, self.seen.on_error, self.seen.on_completed)

    def hold(self, source, **options):
        """Watch a source, and be held up by its first value, 0."""
        handle = self.watch(source, **options)
        source.on_next(0)
        assert self.entered.wait(5)
        return handle


def is_over(gate):
    """Whether every thread that called has ended."""
    return not any(each.is_alive() for each in gate.threads)


async def test_values_cross_to_one_named_thread_in_order():
    """All of them if the bound is wide enough, then the completion, then the thread is gone."""
    gate = Gate()
    gate.open.set()
    gate.watch(reactivex.from_iterable(range(1000)), name="charts", overflow="error", max_buffer=1000)
    await until(lambda: gate.seen.completions)
    (thread,) = gate.threads
    assert gate.seen.values == list(range(1000))
    assert thread.name.startswith("charts")
    await until(lambda: is_over(gate))


@pytest.mark.parametrize(
    ("options", "kept"),
    [({}, [0, 4]), ({"overflow": "oldest", "max_buffer": 2}, [0, 3, 4]), ({"overflow": "error"}, [0, 1, 2, 3, 4])],
)
async def test_slow_observer_gets_what_the_choice_keeps(options, kept):
    """The newest by default; the completion comes after it."""
    gate, source = Gate(), Subject()
    gate.hold(source, **options)
    for number in range(1, 5):
        source.on_next(number)
    source.on_completed()
    gate.open.set()
    await until(lambda: gate.seen.completions)
    assert gate.seen.values == kept


async def test_observer_too_far_behind_fails_and_lets_go_of_the_source():
    """What waits is dropped; the source is let go of at once, not when the observer comes to it."""
    gate, source = Gate(), Subject()
    gate.hold(source, overflow="error", max_buffer=2)
    for number in range(1, 5):
        source.on_next(number)
    assert source.observers == []
    gate.open.set()
    await until(lambda: gate.seen.errors)
    assert (gate.seen.values, gate.seen.errors[0].code) == ([0], "STREAM_BACKPRESSURE")
    assert isinstance(gate.seen.errors[0], StreamError)
    await until(lambda: is_over(gate))


async def test_error_crosses_after_the_values_before_it():
    """On the same thread, which ends."""
    gate, source = Gate(), Subject()
    gate.hold(source)
    source.on_next(1)
    source.on_error(ValueError("no"))
    gate.open.set()
    await until(lambda: gate.seen.errors)
    assert (gate.seen.values, type(gate.seen.errors[0])) == ([0, 1], ValueError)
    await until(lambda: is_over(gate))


async def test_disposal_ends_the_thread_and_drops_what_waits():
    """It does not wait for the observer, which finishes what it is at."""
    gate, source = Gate(), Subject()
    handle = gate.hold(source)
    source.on_next(1)
    handle.dispose()
    assert source.observers == []
    gate.open.set()
    await until(lambda: is_over(gate))
    assert gate.seen.values == [0]


async def test_thread_ends_though_the_source_keeps_what_it_was_given():
    """It does not take the garbage collector."""
    gate, kept = Gate(), []
    gate.open.set()
    gate.watch(reactivex.create(lambda observer, scheduler: kept.append(observer)))
    kept[0].on_next(1)
    kept[0].on_completed()
    await until(lambda: gate.seen.completions)
    await until(lambda: is_over(gate))


async def test_observer_may_dispose_of_itself_on_its_thread():
    """Nothing waits for itself."""
    source, seen, threads = Subject(), Recorder(), []
    handle = None

    def on_next(value):
        threads.append(threading.current_thread())
        seen.on_next(value)
        handle.dispose()

    handle = source.pipe(observe_on_thread(overflow="error")).subscribe(on_next)
    source.on_next(1)
    await until(lambda: threads and not threads[0].is_alive())
    source.on_next(2)
    assert (seen.values, source.observers) == ([1], [])


async def test_no_thread_is_started_before_the_first_value():
    """A subscription alone costs none."""
    before = threading.active_count()
    Subject().pipe(observe_on_thread()).subscribe(print).dispose()
    assert threading.active_count() == before


async def test_executor_of_ones_own_keeps_the_order_and_is_not_shut_down():
    """On several threads, and with two subscriptions at once, one call at a time for each."""
    with ThreadPoolExecutor(4) as executor:
        seen, again = Recorder(), Recorder()
        source = reactivex.from_iterable(range(500))
        for each in (seen, again):
            source.pipe(observe_on_thread(executor=executor, overflow="error")).subscribe(each)
        await until(lambda: seen.completions and again.completions)
        assert seen.values == again.values == list(range(500))
        assert executor.submit(lambda: "open").result() == "open"


async def test_executor_that_was_shut_down_ends_it():
    """The source is let go of, and is told why."""
    executor, source = ThreadPoolExecutor(1), Subject()
    executor.shutdown()
    source.pipe(observe_on_thread(executor=executor)).subscribe(print)
    with pytest.raises(RuntimeError, match="shutdown"):
        source.on_next(1)
    assert source.observers == []


async def test_observer_that_raises_is_reported_and_gets_the_next_value():
    """To the hook; a hook that raises itself is no end either."""
    reported, seen, source = [], Recorder(), Subject()

    def on_next(value):
        seen.on_next(value)
        raise ValueError(value)

    def hook(error):
        reported.append(error)
        raise KeyError

    source.pipe(observe_on_thread(overflow="error", on_error=hook)).subscribe(on_next, on_completed=seen.on_completed)
    for number in (1, 2):
        source.on_next(number)
    source.on_completed()
    await until(lambda: seen.completions)
    assert (seen.values, [str(each) for each in reported]) == ([1, 2], ["1", "2"])


async def test_observer_is_called_in_the_context_it_subscribed_in():
    """Output of a thread lands in the notebook's cell that subscribed."""
    gate, source = Gate(), Subject()
    gate.open.set()
    token = CELL.set("three")
    handle = gate.watch(source)
    CELL.reset(token)
    source.on_next(1)
    await until(lambda: gate.seen.values)
    assert gate.cells == {"three"}
    handle.dispose()


async def test_live_query_is_observed_on_a_thread_and_disposed_of_there(server, client):
    """The last value before the disposal is the newest; the query is closed on the loop."""
    seen, handles = Recorder(), []

    def on_next(value):
        seen.on_next((value, threading.current_thread() is threading.main_thread()))
        handles[0].dispose()

    handles.append(client.live("a:b").pipe(observe_on_thread()).subscribe(on_next))
    socket, sub = await server.subscribed()
    await socket.push("data", id=sub, data=1)
    assert (await socket.expect("unsubscribe"))["id"] == sub
    assert seen.values == [(1, False)]


@pytest.mark.parametrize(
    ("options", "error", "named"),
    [
        ({"overflow": "newest"}, ValueError, "overflow"),
        ({"max_buffer": 0}, ValueError, "max_buffer"),
        ({"name": 1}, TypeError, "name is a string"),
        ({"executor": 1}, TypeError, "executor"),
        ({"on_error": 1}, TypeError, "on_error"),
    ],
)
def test_bad_option_is_named(options, error, named):
    """At the call, and not when the first value comes."""
    with pytest.raises(error, match=named):
        observe_on_thread(**options)


async def test_fluent_pipe_of_a_source_that_replays_crosses_too():
    """A source that emits while it is subscribed to is no special case."""
    seen = Recorder()
    BehaviorSubject(1).pipe(observe_on_thread()).subscribe(seen).dispose()
    reactivex.of(1, 2).pipe(observe_on_thread(overflow="error")).subscribe(seen)
    await until(lambda: seen.completions)
    assert seen.values[-2:] == [1, 2]
