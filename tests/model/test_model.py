"""Client core against server session over a simulated network: after quiescence everybody shows what is true.

Run more schedules with ``HYPOTHESIS_PROFILE=long pytest tests/model``.
"""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import RUN, Schedules

SCHEDULES_EACH = 3
"""Schedules for each example of the profile: 300 by default, 3,000 in the long one."""

STEPS = 64
"""At most; hypothesis draws about 50 on the average."""


@pytest.mark.timeout(7200)
def test_model_under_random_schedules_shows_the_truth_after_quiescence(request, record_property):
    """Whatever happens on the way, after it every observer sees what a fresh query gives, and no write is lost."""
    RUN.clear()
    schedules = SCHEDULES_EACH * settings.default.max_examples
    try:
        run_state_machine_as_test(Schedules, settings=settings(max_examples=schedules, stateful_step_count=STEPS))
    finally:
        record_property("model", dict(RUN))
        if hasattr(request.config, "cache"):
            request.config.cache.set("model/runs", dict(RUN))
