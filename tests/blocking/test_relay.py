"""Functions that are told on an executor: one at a time, in order, and nothing lost or left."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Executor, Future, ThreadPoolExecutor

import pytest

from lunora_rx.blocking.relay import Courier


class StepByStep(Executor):
    """An executor that runs a job when the test says so."""

    def __init__(self):
        self.jobs = deque()

    def submit(self, fn, /, *args, **kwargs):
        """Keep a job."""
        self.jobs.append(fn)
        return Future()

    def run_all(self):
        """Run what there is, and what that submits."""
        while self.jobs:
            self.jobs.popleft()()


def test_courier_has_one_job_at_a_time_and_keeps_the_order():
    """However many errands wait."""
    done, steps = [], StepByStep()
    courier = Courier(steps, done.append, conflate=False)
    for number in range(3):
        courier.deliver(lambda number=number: done.append(number), is_replaceable=True)
    assert len(steps.jobs) == 1
    steps.run_all()
    assert done == [0, 1, 2]
    courier.deliver(lambda: done.append(3))
    steps.run_all()
    assert done == [0, 1, 2, 3]


def test_courier_that_conflates_replaces_values_and_keeps_the_end():
    """A busy executor gets the newest value, and the end after it."""
    done, steps = [], StepByStep()
    courier = Courier(steps, done.append, conflate=True)
    for number in range(3):
        courier.deliver(lambda number=number: done.append(number), is_replaceable=True)
    courier.deliver(lambda: done.append("end"))
    steps.run_all()
    assert done == [2, "end"]


def test_courier_reports_what_an_errand_raises_and_goes_on():
    """One that fails keeps no other from its turn."""
    reported, done, steps = [], [], StepByStep()
    courier = Courier(steps, reported.append, conflate=False)
    courier.deliver(lambda: 1 / 0)
    courier.deliver(lambda: done.append(1))
    steps.run_all()
    assert (done, [type(each) for each in reported]) == ([1], [ZeroDivisionError])


def test_courier_of_an_executor_that_was_shut_down_says_so():
    """Who delivers is told; nothing piles up."""
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    courier = Courier(pool, print, conflate=False)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="after shutdown"):
            courier.deliver(lambda: None)


def test_courier_on_real_threads_delivers_in_order():
    """Many workers, one at a time."""
    done, over = [], threading.Event()
    with ThreadPoolExecutor(4) as pool:
        courier = Courier(pool, print, conflate=False)
        for number in range(1000):
            courier.deliver(lambda number=number: done.append(number))
        courier.deliver(over.set)
        assert over.wait(30)
    assert done == list(range(1000))
