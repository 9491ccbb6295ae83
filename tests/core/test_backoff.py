"""Delays between attempts to connect."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lunora_rx.core.backoff import Backoff, Ramp, next_delay

NUMBERS = st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=200)


@st.composite
def backoffs(draw, *jitters: str) -> Backoff:
    initial = draw(st.floats(0.001, 100))
    return Backoff(initial, initial * draw(st.floats(1, 1000)), draw(st.sampled_from(jitters)))


def delays(backoff: Backoff, numbers: list[float]) -> list[float]:
    """Return the delays of a run of attempts, none of which succeeds."""
    ramp, run = Ramp(), []
    for number in numbers:
        delay, ramp = next_delay(backoff, ramp, number)
        run.append(delay)
    return run


@given(backoff=backoffs("decorrelated", "equal", "none"), numbers=NUMBERS)
def test_delay_of_any_jitter_stays_within_its_limits(backoff, numbers):
    """No delay exceeds the maximum, and none falls below half of the initial one."""
    for delay in delays(backoff, numbers):
        assert backoff.initial / 2 <= delay <= backoff.maximum


@given(backoff=backoffs("decorrelated"), numbers=NUMBERS)
def test_decorrelated_delay_lies_between_initial_and_three_times_the_one_before(backoff, numbers):
    """The initial delay stands for the one before the first."""
    for before, delay in pairwise([backoff.initial, *delays(backoff, numbers)]):
        assert backoff.initial <= delay <= min(backoff.maximum, 3 * before) * (1 + 1e-12)


@given(backoff=backoffs("equal"), numbers=NUMBERS)
def test_equal_delay_lies_in_the_upper_half_of_the_doubled_one(backoff, numbers):
    """The n-th delay is drawn from the upper half of ``initial * 2**n``, cut at the maximum."""
    for attempt, delay in enumerate(delays(backoff, numbers)):
        doubled = min(backoff.maximum, backoff.initial * 2.0 ** min(attempt, 900))
        assert doubled / 2 <= delay <= doubled


@pytest.mark.parametrize(
    ("jitter", "number", "expected"),
    [
        ("none", 0.9, [1, 2, 4, 8, 10, 10]),
        ("equal", 0.0, [0.5, 1, 2, 4, 5, 5]),
        ("equal", 0.5, [0.75, 1.5, 3, 6, 7.5, 7.5]),
        ("decorrelated", 0.0, [1, 1, 1, 1, 1, 1]),
        ("decorrelated", 0.5, [2, 3.5, 5.75, 9.125, 10, 10]),
    ],
)
def test_delays_of_a_run_follow_the_formula(jitter, number, expected):
    """A run of attempts with one random number gives the delays of the protocol's formula."""
    assert delays(Backoff(1, 10, jitter), [number] * 6) == expected


def test_delays_of_clients_dropped_together_spread_from_the_first_attempt():
    """The first delay is drawn too, so that a restarted server is not met by everybody at once."""
    first = [next_delay(Backoff(), Ramp(), number / 100)[0] for number in range(100)]
    assert len(set(first)) == 100
    assert max(first) - min(first) > 0.4


def test_delay_after_thousands_of_attempts_is_still_a_number():
    """The doubling does not overflow."""
    assert next_delay(Backoff(jitter="none"), Ramp(attempts=100_000), 0.5)[0] == 30


@pytest.mark.parametrize(
    ("arguments", "error", "named"),
    [
        ({"initial": 0}, ValueError, "initial"),
        ({"initial": -1}, ValueError, "initial"),
        ({"initial": 2, "maximum": 1}, ValueError, "maximum"),
        ({"maximum": float("inf")}, ValueError, "maximum"),
        ({"initial": float("nan")}, ValueError, "initial"),
        ({"jitter": "full"}, ValueError, "jitter"),
        ({"initial": "1"}, TypeError, "initial"),
        ({"maximum": None}, TypeError, "maximum"),
        ({"maximum": True}, TypeError, "maximum"),
    ],
)
def test_backoff_of_unusable_arguments_names_the_argument(arguments, error, named):
    """What cannot work is refused where it is written."""
    with pytest.raises(error, match=named):
        Backoff(**arguments)
