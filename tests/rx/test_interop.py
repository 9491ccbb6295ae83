"""Observables in asyncio's terms."""

from __future__ import annotations

import asyncio
import threading
from contextlib import aclosing

import pytest
import reactivex
from reactivex import operators as ops
from reactivex.subject import Subject

from lunora_rx import StreamError, observable_to_aiter
from tests.support import turn, until


@pytest.fixture
def subject():
    """A source without memory."""
    return Subject()


async def started(source, **options):
    """Return an iterator that has subscribed, after one value."""
    iterator = observable_to_aiter(source, **options)
    first = asyncio.create_task(_next(iterator))
    await turn()
    source.on_next(0)
    assert await first == 0
    return iterator


async def test_aiter_latest_keeps_the_newest_value(subject):
    """What was not taken in time is dropped but for the newest."""
    iterator = await started(subject)
    for number in range(1, 5):
        subject.on_next(number)
    assert await anext(iterator) == 4


async def test_aiter_oldest_drops_the_oldest(subject):
    """Beyond ``max_buffer`` the oldest goes."""
    iterator = await started(subject, overflow="oldest", max_buffer=2)
    for number in range(1, 5):
        subject.on_next(number)
    subject.on_completed()
    assert [each async for each in iterator] == [3, 4]


async def test_aiter_error_ends_with_backpressure(subject):
    """Beyond ``max_buffer`` the iteration fails, and the source is let go of."""
    iterator = await started(subject, overflow="error", max_buffer=2)
    for number in range(1, 5):
        subject.on_next(number)
    with pytest.raises(StreamError) as caught:
        await anext(iterator)
    assert caught.value.code == "STREAM_BACKPRESSURE"
    assert subject.observers == []
    with pytest.raises(StopAsyncIteration):
        await anext(iterator)


async def test_aiter_error_within_the_bound_keeps_all(subject):
    """Up to ``max_buffer`` nothing is lost."""
    iterator = await started(subject, overflow="error", max_buffer=3)
    for number in range(1, 4):
        subject.on_next(number)
    subject.on_completed()
    assert [each async for each in iterator] == [1, 2, 3]


async def test_aiter_source_fails_raises_after_what_waits(subject):
    """The error comes after the values before it."""
    iterator = await started(subject)
    subject.on_next(1)
    subject.on_error(ValueError("no"))
    assert await anext(iterator) == 1
    with pytest.raises(ValueError, match="no"):
        await anext(iterator)


async def test_aiter_cold_source_that_ends_at_once_is_iterated():
    """A source that has emitted and completed before subscribe returns is no special case."""
    assert [each async for each in observable_to_aiter(reactivex.of(1, 2), overflow="oldest")] == [1, 2]


async def test_aiter_left_by_break_disposes_at_once(subject):
    """Leaving the loop lets go of the source, not some turns later."""
    async for _ in observable_to_aiter(reactivex.merge(reactivex.of(1), subject)):
        assert len(subject.observers) == 1
        break
    assert subject.observers == []


async def test_aiter_left_by_an_exception_disposes_at_once(subject):
    """An exception in the body leaves the loop like ``break`` does, even while somebody keeps the exception."""
    try:
        async for _ in observable_to_aiter(reactivex.merge(reactivex.of(1), subject)):
            raise ValueError
    except ValueError:
        assert subject.observers == []


async def test_aiter_cancelled_consumer_disposes(subject):
    """Cancelling a task that iterates lets go of the source, though the exception is kept."""
    task = asyncio.create_task(_consume(subject))
    await until(lambda: subject.observers)
    task.cancel()
    (outcome,) = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(outcome, asyncio.CancelledError)
    assert subject.observers == []


async def test_aiter_wait_that_timed_out_may_be_repeated(subject):
    """A timeout around ``anext`` ends the wait and not the iteration."""
    iterator = await started(subject)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(_next(iterator), 0.01)
    subject.on_next(1)
    assert await anext(iterator) == 1


async def test_aiter_closed_ends_a_wait(subject):
    """``aclose`` ends the iteration, also for a task that waits."""
    iterator = await started(subject)
    waiting = asyncio.create_task(_next(iterator))
    await turn()
    await iterator.aclose()
    with pytest.raises(StopAsyncIteration):
        await waiting
    assert subject.observers == []


async def test_aiter_two_tasks_share_the_values(subject):
    """Two tasks may wait at the same iterator; each value goes to one."""
    iterator = await started(subject, overflow="oldest")
    waiting = [asyncio.create_task(_next(iterator)) for _ in range(2)]
    await turn()
    subject.on_next(1)
    subject.on_next(2)
    assert sorted(await asyncio.gather(*waiting)) == [1, 2]


async def test_aiter_source_on_another_thread_wakes_the_loop(subject):
    """A source may emit on any thread."""
    iterator = await started(subject, overflow="error", max_buffer=10_000)

    def emit():
        for number in range(1000):
            subject.on_next(number)
        subject.on_completed()

    thread = threading.Thread(target=emit)
    thread.start()
    async with asyncio.timeout(5):
        assert [each async for each in iterator] == list(range(1000))
    thread.join()


async def test_aiter_timeout_around_a_loop_lets_it_be_continued(subject):
    """``asyncio.timeout`` ends the wait; the iterator goes on where it was."""
    iterator, seen = await started(subject, overflow="oldest"), []
    for number in (1, 2):
        subject.on_next(number)
    try:
        async with asyncio.timeout(0.01) as timeout:
            async for value in iterator:
                seen.append(value)
    except TimeoutError:
        assert timeout.expired()
    subject.on_next(3)
    assert (seen, await anext(iterator), len(subject.observers)) == ([1, 2], 3, 1)
    await iterator.aclose()


async def test_aiter_cancelled_as_a_value_comes_loses_none(subject):
    """A task that is cancelled between a value and its turn leaves the value to the next."""
    iterator = await started(subject, overflow="error")
    waiting = asyncio.create_task(_next(iterator))
    await turn()
    subject.on_next(1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await anext(iterator) == 1


async def test_aiter_in_aclosing_disposes_at_its_end(subject):
    """``contextlib.aclosing`` fits, also around a loop that goes on after a ``break``."""
    async with aclosing(observable_to_aiter(reactivex.merge(reactivex.of(1), subject))) as iterator:
        async for _ in iterator:
            break
        assert len(subject.observers) == 1
    assert subject.observers == []
    with pytest.raises(StopAsyncIteration):
        await anext(iterator)


@pytest.mark.parametrize(
    "observable",
    [
        lambda client: client.status,
        lambda client: client.pending,
        lambda client: client.live("a:b").snapshots,
        lambda client: client.combine({"status": client.status}),
        lambda client: client.shape("rows").snapshots,
        lambda client: client.paginate("p:q").statuses,
        lambda client: client.status.pipe(ops.map(str)),
    ],
)
async def test_aiter_takes_every_observable_of_the_client(client, observable):
    """Each of these has a value at once; leaving lets go of it."""
    async for value in observable_to_aiter(observable(client)):
        assert value is not None
        break
    assert client.debug()["observers"] == 0


@pytest.mark.parametrize(
    ("options", "named"), [({"overflow": "newest"}, "overflow"), ({"max_buffer": 0}, "max_buffer")]
)
def test_aiter_bad_option_is_named(options, named):
    """An unusable option is refused at the call."""
    with pytest.raises(ValueError, match=named):
        observable_to_aiter(reactivex.empty(), **options)


async def _next(iterator):
    return await anext(iterator)


async def _consume(source):
    async for _ in observable_to_aiter(source):
        pass


async def test_first_with_what_is_no_function_says_so_at_the_call(client):
    """A number was meant as a limit of time; the message names what sets one."""
    with pytest.raises(TypeError, match=r"predicate is a function that takes a value, not 2; .*asyncio\.timeout"):
        client.live("a:b").first(2)
