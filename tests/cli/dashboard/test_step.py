"""What is sent of the rows of the next picture."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lunora_rx.cli.dashboard.columns import columns_of
from lunora_rx.cli.dashboard.step import step_between


def rows(*numbers, **changed):
    """Return rows by number, whose value is ten times that, unless it is changed."""
    return [{"_id": f"r{n}", "value": changed.get(f"r{n}", n * 10)} for n in numbers]


def step(before, after, first=0):
    """Return the step between two lists of rows, in columns of the same kinds."""
    kinds = columns_of([{"_id": "r", "value": 1}]).kinds
    return step_between(columns_of(before, kinds), columns_of(after, kinds), first)


@pytest.mark.parametrize(
    ("before", "after", "first", "changed", "removed"),
    [
        (rows(1, 2), rows(1, 2), 0, [], []),
        (rows(1, 2, 3), rows(1, 2, 3, r2=7), 0, [1], []),
        (rows(1, 2, 3), rows(1, 2, 3, r1=None), 0, [0], []),
        (rows(1, 2), rows(1, 2, 3), 0, [2], []),
        (rows(1, 2, 3), rows(1, 2), 0, [], [2]),
        (rows(1, 2, 3), rows(2, 3, 4), 1, [2], [0]),
        (rows(1, 2, 3), rows(2, 3), 1, [], [0]),
        (rows(2, 3, 4), rows(1, 2, 3, r3=7), -1, [0, 2], [2]),
        (rows(1, 2, 3), rows(2, 1, 3), 0, [0, 1], []),
        (rows(1, 2), [], 0, [], [0, 1]),
        (rows(1, 2), rows(8, 9), 0, [0, 1], []),
    ],
)
def test_only_rows_that_are_others_in_their_places_are_sent(before, after, first, changed, removed):
    """Wherever rows come and go, those that stay keep their places."""
    taken = step(before, after)
    assert (taken.first, [*taken.changed], [*taken.removed]) == (first, changed, removed)


@given(st.lists(st.lists(st.integers(0, 9), unique=True).map(lambda each: rows(*each)), min_size=2, max_size=6))
def test_steps_lead_to_the_rows_of_now_whatever_they_were(pictures):
    """A table that takes each step holds the rows in the order of their places."""
    table, first, before = {}, 0, []
    for after in pictures:
        taken = step(before, after, first)
        for place in taken.removed:
            del table[place]
        table.update({taken.first + index: after[index] for index in taken.changed})
        assert [table[place] for place in sorted(table)] == after
        before, first = after, taken.first
