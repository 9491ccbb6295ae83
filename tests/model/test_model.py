"""Client core against server session over a simulated network: after quiescence everybody shows what is true.

Run more schedules with ``HYPOTHESIS_PROFILE=long pytest tests/model``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import RUN, Schedules, Steps, WritingSchedules
from tests.model.page_machine import PageSchedules
from tests.model.shape_machine import ShapeSchedules
from tests.model.whole_machine import WholeSchedules

READING_EACH = 2
WRITING_EACH = 2
SHAPES_EACH = 1
PAGES_EACH = 1
WHOLE_EACH = 2
"""Schedules for each example of the profile: hundreds by default, thousands in the long one."""

STEPS = 64
"""At most; hypothesis draws about 50 on the average."""


@pytest.fixture
def run_schedules(request: pytest.FixtureRequest, record_property: Any) -> Callable[[type[Steps], int], None]:
    """Runs a machine, and records what happened in its schedules."""

    def run(machine: type[Steps], each: int) -> None:
        RUN.clear()
        schedules = each * settings.default.max_examples
        # By default the same schedules every time, so that a change is judged by what it changes; the long run is free.
        is_free = settings.default.max_examples > settings.get_profile("default").max_examples
        drawn = settings(max_examples=schedules, stateful_step_count=STEPS, derandomize=not is_free, database=None)
        try:
            run_state_machine_as_test(machine, settings=drawn)
        finally:
            record_property("model", dict(RUN))
            if hasattr(request.config, "cache"):
                request.config.cache.set(f"model/{machine.__name__}", dict(RUN))

    return run


@pytest.mark.timeout(7200)
def test_model_under_random_schedules_shows_the_truth_after_quiescence(run_schedules: Callable[..., None]):
    """Whatever happens on the way, after it every observer sees what a fresh query gives, and no write is lost."""
    run_schedules(Schedules, READING_EACH)


@pytest.mark.timeout(7200)
def test_model_under_random_writes_settles_each_once_and_leaves_no_layer(run_schedules: Callable[..., None]):
    """Each write is applied exactly once, in its order and for its author, or rejected and reported."""
    run_schedules(WritingSchedules, WRITING_EACH)


@pytest.mark.timeout(7200)
def test_model_under_random_pokes_holds_the_rows_that_belong(run_schedules: Callable[..., None]):
    """The rows of each shape are at every step those of one moment of the server, and of the latest in the end."""
    run_schedules(ShapeSchedules, SHAPES_EACH)


@pytest.mark.timeout(7200)
def test_model_under_random_growth_lists_every_row_once(run_schedules: Callable[..., None]):
    """A list that grows has no gap, no double and no row out of order, and in the end the rows of the whole query."""
    run_schedules(PageSchedules, PAGES_EACH)


@pytest.mark.timeout(7200)
def test_model_under_random_schedules_of_everything_shows_the_truth(run_schedules: Callable[..., None]):
    """One client that reads, writes, lists and follows on three shards, changes its user, dies and comes back."""
    run_schedules(WholeSchedules, WHOLE_EACH)
