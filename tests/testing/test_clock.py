"""Virtual time: what waits takes none, and what waits for ever is told."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
import time

import pytest
import reactivex
from reactivex import operators as ops
from reactivex.scheduler import ImmediateScheduler
from reactivex.scheduler.eventloop import AsyncIOThreadSafeScheduler

from lunora_rx.testing import Bench, ScriptedServer, VirtualTime, record, run


def test_sleep_takes_no_real_time():
    """An hour is over at once, and the loop's clock says that it was one."""

    async def main():
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time() - began

    began = time.monotonic()
    assert run(main()) == 3600
    assert time.monotonic() - began < 2


def test_timeout_strikes_at_its_time():
    """``asyncio.timeout`` and what it cuts off share one clock."""

    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.sleep(6)
        async with asyncio.timeout(5):
            await asyncio.sleep(4)
        return asyncio.get_running_loop().time()

    clock = VirtualTime()
    clock.run(main())
    assert clock.now == 9
    clock.close()


def test_settle_lets_everything_happen_and_no_time_pass():
    """A chain of callbacks has run, a timer has not."""
    clock, seen = VirtualTime(), []

    async def main():
        loop = asyncio.get_running_loop()
        loop.call_soon(lambda: loop.call_soon(lambda: loop.call_soon(seen.append, "chain")))
        loop.call_later(0.001, seen.append, "timer")
        await clock.settle()
        assert (seen, clock.now) == (["chain"], 0)
        await clock.advance(0.001)
        assert seen == ["chain", "timer"]

    clock.run(main())
    clock.close()


def test_advance_stops_at_each_timer_on_its_way():
    """Timers see the time that they were set for, those at the end included."""
    clock, seen = VirtualTime(), []

    async def tick():
        while True:
            await asyncio.sleep(10)
            seen.append(clock.now)

    async def main():
        task = asyncio.create_task(tick())
        await clock.advance(30)
        task.cancel()

    clock.run(main())
    clock.close()
    assert seen == [10, 20, 30]


def test_advance_refuses_to_go_back():
    """Time has one direction."""
    clock = VirtualTime()
    for seconds in (-1, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="seconds is a number of seconds from 0"):
            clock.run(clock.advance(seconds))
    clock.close()


@pytest.mark.parametrize("seconds", ["1", None, True])
def test_advance_takes_numbers_only(seconds):
    """A text is told apart at once, where it is given."""
    with pytest.raises(TypeError, match="seconds is a number of seconds, not"):
        VirtualTime().advance(seconds)


def test_real_patience_ends_a_wait_in_which_only_timers_strike(monkeypatch):
    """A day of heartbeats takes too long; ``advance``, and what works in a thread, may take as long as they need."""
    clock = VirtualTime()
    clock.real_patience = 0.05
    monkeypatch.setattr("lunora_rx.testing.clock._GRACE", 0.02)

    async def wait():
        clock._threads = 0  # as if the program had a thread, each idle moment takes real time
        await asyncio.to_thread(time.sleep, 0.1)
        beating = asyncio.create_task(beat())
        await clock.advance(300)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            beating.cancel()

    async def beat():
        while True:
            await asyncio.sleep(30)

    with pytest.raises(AssertionError, match=r"in (\d+) virtual and 0.05 real seconds \(real_patience\)"):
        clock.run(wait())
    assert 300 < clock.now < 1000
    clock.close()


async def test_settle_outside_of_virtual_time_says_what_to_do():
    """In a loop whose time is real there is nothing to settle."""
    with pytest.raises(RuntimeError, match="not virtual; use the fixture lunora_time"):
        await VirtualTime().settle()


@pytest.mark.parametrize("has_timer", [True, False])
def test_what_never_comes_is_told_with_the_place(monkeypatch, has_timer):
    """A test that would hang ends, and names the line that waits: with a heartbeat beside it, and without."""
    monkeypatch.setattr("lunora_rx.testing.clock._REAL_PATIENCE", 0.01)

    async def beat():
        while True:
            await asyncio.sleep(30)

    async def main():
        beating = asyncio.create_task(beat()) if has_timer else None
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            if beating:
                beating.cancel()

    with pytest.raises(AssertionError, match=r"tasks that wait:(.|\n)*test_clock.py:\d+ in main: await"):
        run(main())


def test_what_never_comes_is_told_with_the_programs_line_and_not_that_of_a_library():
    """The innermost frame of the test's own, though asyncio's and the client's are beneath it."""

    async def inner():
        async with asyncio.timeout(None):
            while True:
                await asyncio.sleep(3600)

    with pytest.raises(AssertionError) as failure:
        run(asyncio.wait_for(inner(), None))
    assert "in inner: await asyncio.sleep(3600)" in str(failure.value)
    assert "tasks.py" not in str(failure.value)


def test_time_stands_still_while_a_thread_works():
    """What runs in an executor takes real time, and no timer strikes meanwhile."""

    async def main():
        async with asyncio.timeout(0.5):
            await asyncio.to_thread(time.sleep, 0.05)
        return asyncio.get_running_loop().time() % 1

    assert run(main()) == 0


def test_news_of_a_thread_come_before_the_next_timer():
    """A thread of the program's own has a moment to speak before time goes on."""

    async def main():
        loop, heard = asyncio.get_running_loop(), asyncio.Event()
        go = threading.Event()
        thread = threading.Thread(target=lambda: go.wait(5) and loop.call_soon_threadsafe(heard.set))
        thread.start()
        loop.call_soon(go.set)
        async with asyncio.timeout(0.001):
            await heard.wait()
        thread.join()

    run(main())


def test_loop_has_its_own_time_back_afterwards():
    """Virtual time ends with the coroutine, also when that fails."""

    async def sleep(*, fails):
        await asyncio.sleep(1000)
        assert 1 / (not fails)

    async def main():
        loop = asyncio.get_running_loop()
        before, selector = loop.time(), loop._selector
        for fails in (False, True):
            with contextlib.suppress(ZeroDivisionError):
                await VirtualTime().guard(sleep(fails=fails))
        assert loop._selector is selector
        assert loop.time() - before < 100
        assert "time" not in vars(loop)

    asyncio.run(main())


def test_random_numbers_are_the_same_every_time_and_leave_no_trace():
    """Chance is seeded inside, and goes on outside as if nothing had been."""

    async def main():
        return random.random()

    random.seed(7)
    first = run(main())
    after = random.random()
    random.seed(7)
    assert after == random.random()
    assert run(main()) == first != run(main(), seed=1)


def test_backoff_is_the_same_every_time():
    """Two runs of one test open sockets at the same times."""

    async def openings():
        bench, times = Bench(), []

        async def test():
            server = bench.add(ScriptedServer())
            server.refuse()
            server.push("a:b", 1)
            client = server.client(polling=None)
            client.live("a:b").subscribe(lambda _: None)
            for _ in range(600):
                await bench.time.advance(0.1)
                if len(server.openings) > len(times):
                    times.append(bench.time.now)
            return times

        return await bench.run(test)

    first = asyncio.run(openings())
    assert len(first) > 4
    assert asyncio.run(openings()) == first


def test_operators_on_the_client_scheduler_are_in_virtual_time():
    """``debounce`` and ``interval`` of RxPY ask the loop for the time."""

    async def main():
        bench, seen = Bench(), []

        async def test():
            server = bench.add(ScriptedServer())
            client = server.client()
            server.push("a:b", 0)
            client.live("a:b").pipe(ops.debounce(3, scheduler=client.scheduler)).subscribe(
                lambda value: seen.append((value, bench.time.now))
            )
            for value in (1, 2, 3):
                await bench.time.advance(2)
                server.push("a:b", value)
            await bench.time.advance(10)
            return seen

        return await bench.run(test)

    assert asyncio.run(main()) == [(3, 9)]


def test_operators_that_ask_for_the_date_see_virtual_time():
    """``throttle_first`` and ``timestamp`` compare moments of the scheduler's clock."""

    async def main():
        scheduler = AsyncIOThreadSafeScheduler(asyncio.get_running_loop())
        stamps = record(
            reactivex.interval(1, scheduler=scheduler).pipe(
                ops.take(25), ops.throttle_first(10, scheduler=scheduler), ops.timestamp(scheduler=scheduler)
            )
        )
        await asyncio.sleep(60)
        return stamps

    stamps = run(main())
    assert [message.time for message in stamps.messages] == [1, 11, 21, 25]
    assert [str(stamp.timestamp) for stamp in stamps.values] == [
        f"2026-01-01 00:00:{second:02}+00:00" for second in (1, 11, 21)
    ]
    assert abs(ImmediateScheduler().now.timestamp() - time.time()) < 60


def test_loop_that_cannot_be_bent_is_refused():
    """Another kind of loop keeps its time, and the message names it."""

    class Loop:
        """No loop of asyncio's."""

    with pytest.raises(RuntimeError, match=r"selector loop, and this is .*Loop"):
        VirtualTime()._install(Loop())
