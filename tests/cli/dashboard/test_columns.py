"""Values as columns for the grid."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from lunora_rx import UNDEFINED, WireBigInt, WireDate
from lunora_rx.cli.dashboard.columns import columns_of


def test_rows_that_differ_leave_gaps():
    """A field that a row lacks, or has as nothing, is an empty cell."""
    columns = columns_of([{"a": 1}, {"b": "x", "a": UNDEFINED}, {"a": None}])
    assert columns.cells == {"a": [1, None, None], "b": [None, "x", None]}
    assert columns.kinds == {"a": "integer", "b": "text"}
    assert columns.count == 3


@pytest.mark.parametrize(
    ("cells", "kind", "shown"),
    [
        ([1, 2.5], "float", [1.0, 2.5]),
        ([2**31], "float", [float(2**31)]),
        ([True, 1], "text", ["true", "1"]),
        ([{"x": 1}, "y"], "text", ['{"x":1}', "y"]),
        ([datetime(2026, 1, 2, tzinfo=UTC), WireDate(9e15)], "datetime", [datetime(2026, 1, 2, tzinfo=UTC), None]),
        ([None], "empty", [None]),
    ],
)
def test_column_is_as_wide_as_its_cells_need(cells, kind, shown):
    """Mixed cells become what all of them can be shown as."""
    columns = columns_of([{"c": cell} for cell in cells])
    assert (columns.kinds["c"], columns.cells["c"]) == (kind, shown)


def test_time_of_creation_is_an_instant():
    """The field that every row of a server has is milliseconds on the wire."""
    columns = columns_of([{"_creationTime": 1000.0}])
    assert columns.cells["_creationTime"] == [datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)]


def test_column_keeps_its_kind_while_it_is_empty():
    """A chart made of a column lasts through values that do not have it."""
    before = columns_of([{"a": 1.5, "b": "x"}]).kinds
    assert columns_of([{"b": "y"}], before).kinds == {"a": "float", "b": "text"}
    assert columns_of([{"a": 1}], before).cells["a"] == [1.0]


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("\ud800", "\\ud800"),
        ({"a": "\ud800"}, '{"a":"\\ud800"}'),
        ([WireBigInt(5), 2**70], f'[["$lunora.wire$","bigint","5"],{2**70}]'),
    ],
)
def test_cell_that_could_not_be_sent_is_shown(cell, shown):
    """A page takes what UTF-8 has; no cell of a server may hold up the others."""
    columns = columns_of([{"c": cell, "\udfff": "x"}])
    assert columns.cells == {"c": [shown], "\\udfff": ["x"]}


@pytest.mark.parametrize(
    ("value", "cells"),
    [
        ({"a": 1}, {"a": [1]}),
        ([[1, "x"], [2]], {"0": [1, 2], "1": ["x", None]}),
        ([3, 4], {"value": [3, 4]}),
        ([], {}),
    ],
)
def test_value_of_another_form_is_rows_too(value, cells):
    """An object is one row, lists are rows, and so are bare values."""
    assert columns_of(value).cells == cells


@pytest.mark.parametrize("value", [5, None, "text"])
def test_value_without_rows_has_no_columns(value):
    """It is shown as it is."""
    assert columns_of(value) is None
