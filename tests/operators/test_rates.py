"""How fast numbers grow, in virtual time."""

from __future__ import annotations

from fractions import Fraction

import pytest
from reactivex import of

from lunora_rx import operators as lops
from tests.operators.sources import Clock, Counted
from tests.operators.test_measures import timed
from tests.support import Recorder

TEN_A_SECOND = [(0, 0), *((0.009 + n / 10, n + 1) for n in range(100))]
"""A count as a live query shows it: the first value moments before the first change."""


def test_rate_between_two_numbers():
    """Per second, whatever lies between them; how old the first one was nobody knows."""
    assert timed(lops.rate(), (0, 0), (5, 10), (7, 10), (9, 0)) == [(7, 0), (9, -5)]


def test_rate_over_a_window():
    """Since the latest number that is at least so old, or the first one."""
    told = timed(lops.rate(10), (0, 0), (5, 10), (10, 30), (15, 30), (30, 30), (35, 60))
    assert told == [(5, 2), (10, 3), (15, 2), (30, 0), (35, 1.5)]


@pytest.mark.parametrize("options", [(1, None), (5, None), (2, 1)])
def test_rate_after_a_first_value_that_was_there_is_never_nonsense(options):
    """Nothing is told before half a window; from then on it is about right."""
    seconds, every = options
    told = timed(lops.rate(seconds, every=every), *TEN_A_SECOND)
    assert told[0][0] >= seconds / 2
    assert all(8 <= rate <= 12.1 for time, rate in told if time <= 9.909)
    assert len(told) > 40


def test_rate_without_a_window_after_a_first_value_that_was_there_is_never_nonsense():
    """The time from a replayed value to the first change says nothing."""
    assert [round(rate, 6) for _, rate in timed(lops.rate(), *TEN_A_SECOND)] == [10] * 99


@pytest.mark.parametrize("operator", [lops.rate(), lops.rate(5), lops.rate(5, every=1)])
async def test_rate_of_numbers_that_stand_ready_tells_nothing(operator):
    """On the clock of the running loop, by which microseconds lie between them."""
    seen = Recorder()
    of(5, 6, 7, 8).pipe(operator).subscribe(seen)
    assert (seen.values, seen.errors, seen.completions) == ([], [], 1)


def test_rate_of_a_burst_is_measured_over_a_millisecond_at_least():
    """Also where the burst goes on and on."""
    told = timed(lops.rate(), (0, 0), *((1 + n / 4096, n) for n in range(9)))
    assert [rate for _, rate in told] == pytest.approx([4096] * 4, rel=1e-3)


def test_rate_of_numbers_at_one_instant_takes_the_last():
    """Nothing is divided by no time."""
    told = timed(lops.rate(4), (1, 0), (1, 4), (3, 10), (3, 20))
    assert told == [(3, 3), (3, 8)]


def test_rate_told_again_falls_to_0_and_then_rests():
    """While no number comes, and no longer; the next number is seen over the window alone."""
    numbers = [(0, 0), (5, 10), (10, 30), (15, 30), (40, 60)]
    told = timed(lops.rate(10, every=5), *numbers)
    assert told == [(5, 2), (10, 3), (15, 2), (20, 0), (40, 3), (45, 3), (50, 0)]


def test_rate_told_again_of_a_count_that_stays_is_0():
    """A display has something to show before the first change."""
    clock, source, seen = Clock(), Counted(7), Recorder()
    source.pipe(lops.rate(10, every=2)).subscribe(seen, scheduler=clock)
    clock.advance_by(5.9)
    assert (seen.values, clock.waiting) == ([], 1)
    clock.advance_by(100)
    assert (seen.values, clock.waiting) == ([0], 0)


@pytest.mark.parametrize("operator", [lops.rate(), lops.rate(5), lops.rate(5, every=1)])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            [{"n": 1}],
            "rate() takes numbers, not a value of type list; map the rows to a number first, such as .map(len)",
        ),
        (None, "rate() takes numbers, not None; map each value to a number first, such as .map(lambda value: ...)"),
    ],
)
def test_rate_of_no_number_fails_at_the_first(operator, value, message):
    """It names itself, and says what to do; nothing is left."""
    clock, source, seen = Clock(), Counted(), Recorder()
    source.pipe(operator).subscribe(seen, scheduler=clock)
    source.emit(value, 5)
    assert ([str(error) for error in seen.errors], source.watching, clock.waiting) == ([message], 0, 0)


def test_rate_of_any_real_numbers():
    """Not of int and float alone."""
    assert timed(lops.rate(4), (0, Fraction(1, 2)), (2, Fraction(5, 2))) == [(2, 1)]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: lops.rate(float("inf")), ValueError, "seconds is more than 0"),
        (lambda: lops.rate(5, every=0), ValueError, "every is more than 0"),
        (lambda: lops.rate(5, every="1"), TypeError, "every is a number of seconds, not str"),
        (lambda: lops.rate(every=1), TypeError, r"every needs a window to look at: rate\(seconds, every=...\)"),
    ],
)
def test_rate_with_a_wrong_argument_says_so_at_once(make, error, message):
    """Which one, and what was expected."""
    with pytest.raises(error, match=message):
        make()
