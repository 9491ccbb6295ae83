"""Client core against server session over a simulated network: after quiescence everybody shows what is true.

Run more schedules with ``HYPOTHESIS_PROFILE=long pytest tests/model``.
"""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import RUN, Schedules

SCHEDULES_EACH = 3
STEPS = 50


@pytest.mark.timeout(7200)
def test_model_under_random_schedules_shows_the_truth_after_quiescence(record_property):
    """Whatever happens on the way, after it every observer sees what a fresh query gives, and no write is lost."""
    RUN.clear()
    profile = settings(max_examples=SCHEDULES_EACH * settings.default.max_examples, stateful_step_count=STEPS)
    try:
        run_state_machine_as_test(Schedules, settings=profile)
    finally:
        record_property("model", dict(RUN))
