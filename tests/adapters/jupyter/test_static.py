"""What is readable without a kernel."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from lunora_rx.adapters.jupyter.badges import Badge
from lunora_rx.adapters.jupyter.cells import table_of, text_of
from lunora_rx.adapters.jupyter.static import as_html, as_text

LIVE = Badge("live", "live")
ROWS = [{"_id": "1", "name": "Ada", "points": 2.5}, {"_id": "2", "name": None, "extra": [1, {"a": 2}]}]


def test_rows_as_text_are_a_table_under_their_title():
    """Fields that a row lacks are empty, what the server added comes last."""
    assert as_text("live('scores:list')", LIVE, ROWS, has_value=True).splitlines() == [
        "live('scores:list') (live)",
        "name  points  extra          _id",
        "Ada   2.5                    1",
        '              [1, {"a": 2}]  2',
    ]


def test_rows_beyond_the_first_are_counted():
    """A long list does not fill the page, and says how long it is."""
    rows = [{"n": number} for number in range(1234)]
    assert as_text("q", LIVE, rows, has_value=True).splitlines()[-1] == "and 1,214 more rows"
    assert "<em>and 1,134 more rows</em>" in as_html("q", LIVE, rows, has_value=True)


def test_html_takes_nothing_of_a_value_for_markup():
    """Neither fields, nor their names, nor the title, nor an error's text."""
    evil = "<script>alert(1)</script>"
    shown = as_html(evil, Badge("failed", evil), [{evil: evil}], has_value=True) + as_html(
        "", LIVE, evil, has_value=True
    )
    assert "<script" not in shown
    assert shown.count("&lt;script&gt;") == 5


@pytest.mark.parametrize(("value", "end"), [([], "no rows"), (3, ": 3"), (None, ": "), ("word", ": word")])
def test_values_that_are_no_rows_are_shown_in_a_line(value, end):
    """An empty list is told from a missing one."""
    assert as_text("q", LIVE, value, has_value=True).endswith(end)
    assert as_text("q", LIVE, None, has_value=False) == "q (live): no value yet"


@pytest.mark.parametrize(
    ("value", "column", "text"),
    [
        (1 / 3, "", "0.333333"),
        (10**15, "", "1000000000000000"),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp() * 1000, "_creationTime", "03:04:05"),
        ("x" * 500, "", "x" * 200 + "…"),
        ({(1, 2): 3}, "", "{(1, 2): 3}"),
        (True, "", "true"),
    ],
)
def test_cell_is_one_short_line(value, column, text):
    """Whatever a value is, there is a text for it."""
    assert text_of(value, column) == text


@pytest.mark.parametrize("value", [[1, 2], [{"a": 1}, 2], "text", 5, None])
def test_value_that_is_no_table_is_none(value):
    """Only lists of mappings, mappings and frames are."""
    assert table_of(value) is None
