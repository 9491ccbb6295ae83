"""Numbers measured and the past kept, in virtual time."""

from __future__ import annotations

import pytest
from reactivex import of

from lunora_rx import operators as lops
from tests.operators.sources import Clock, Counted, Timed
from tests.support import Recorder


def timed(operator, *told):
    """Return what an operator makes of values at times."""
    clock, source = Clock(), Counted()
    seen = Timed(clock)
    source.pipe(operator).subscribe(seen, scheduler=clock)
    for time, value in told:
        clock.at(time, lambda value=value: source.emit(value))
    clock.start()
    assert seen.errors == []
    return seen.told


def test_history_by_number_keeps_the_latest():
    """Each list is a new one."""
    seen = Recorder()
    of(1, 2, 3, 4).pipe(lops.history(3)).subscribe(seen)
    assert seen.values == [[1], [1, 2], [1, 2, 3], [2, 3, 4]]


def test_history_by_time_lets_the_old_go():
    """One of exactly the age is kept."""
    told = timed(lops.history(seconds=10), (1, "a"), (5, "b"), (11, "c"), (16, "d"), (100, "e"))
    assert [values for _, values in told] == [["a"], ["a", "b"], ["a", "b", "c"], ["c", "d"], ["e"]]


def test_history_by_both_is_bounded_by_both():
    """A burst is cut to the number, a pause to the time."""
    told = timed(lops.history(2, seconds=10), (1, "a"), (2, "b"), (3, "c"), (20, "d"))
    assert [values for _, values in told] == [["a"], ["a", "b"], ["b", "c"], ["d"]]


def test_ewma_by_weight():
    """The first number stands for itself."""
    seen = Recorder()
    of(0, 10, 10, 0).pipe(lops.ewma(0.5)).subscribe(seen)
    assert seen.values == [0, 5, 7.5, 3.75]


def test_ewma_by_half_life_weighs_by_the_time_between():
    """After one half-life a number counts half, after two three quarters; at the same instant nothing."""
    told = timed(lops.ewma(half_life=10), (5, 0), (15, 8), (35, 8), (35, 100))
    assert told == [(5, 0), (15, 4), (35, 7), (35, 7)]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: lops.history(), TypeError, "a number of values, or seconds"),
        (lambda: lops.history(0), ValueError, "n is at least 1"),
        (lambda: lops.history(2.5), TypeError, "n is a whole number of values, not float"),
        (lambda: lops.ewma(), TypeError, "either alpha, a weight, or half_life"),
        (lambda: lops.ewma(0.5, half_life=1), TypeError, "either alpha"),
        (lambda: lops.ewma(0), ValueError, "above 0 and up to 1"),
        (lambda: lops.ewma(1.5), ValueError, "above 0 and up to 1"),
        (lambda: lops.ewma("a"), TypeError, "alpha is a number, not str"),
        (lambda: lops.ewma(half_life=0), ValueError, "half_life is more than 0 seconds"),
    ],
)
def test_measure_with_a_wrong_argument_says_so_at_once(make, error, message):
    """Which one, and what was expected."""
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("operator", [lops.ewma(0.5), lops.ewma(half_life=5)])
def test_ewma_of_no_number_fails_at_the_first(operator):
    """It names itself, and says what to do."""
    clock, source, seen = Clock(), Counted(), Recorder()
    source.pipe(operator).subscribe(seen, scheduler=clock)
    source.emit([1, 2], 5)
    assert [str(error) for error in seen.errors] == [
        "ewma() takes numbers, not a value of type list; map the rows to a number first, such as .map(len)"
    ]
    assert (seen.values, source.watching) == ([], 0)
