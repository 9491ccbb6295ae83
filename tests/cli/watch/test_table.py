"""The table behind a watch: rows of any value, order, filter, and what has just changed."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from lunora_rx import WireBigInt
from lunora_rx.cli.watch.cells import cell_text, sort_key
from lunora_rx.cli.watch.filtering import parse_filter
from lunora_rx.cli.watch.reading import Form, read_value
from lunora_rx.cli.watch.table import MARK_SECONDS, SERIES_LENGTH, LiveTable, Order
from lunora_rx.protocol.values import UNDEFINED

ADA = {"_id": "1", "name": "Ada", "age": 36}
BO = {"_id": "2", "name": "Bo", "age": 4}


def table(*values, **settings):
    """A table that was given values, a second apart."""
    made = LiveTable()
    for name, setting in settings.items():
        setattr(made, name, setting)
    for at, value in enumerate(values):
        made.apply(value, float(at))
    return made


def shown(table, column):
    return [table.row(key).get(column) for key in table.keys]


@pytest.mark.parametrize(
    ("value", "form", "rows"),
    [
        ([ADA, BO], Form.ROWS, {"1": ADA, "2": BO}),
        ([ADA, ADA], Form.ROWS, {"1": ADA, 1: ADA}),
        ([{"n": 1}], Form.ROWS, {0: {"n": 1}}),
        ([], Form.ROWS, {}),
        ([5, "x"], Form.ITEMS, {0: {"#": 0, "value": 5}, 1: {"#": 1, "value": "x"}}),
        ({"page": [ADA], "isDone": True, "continueCursor": None}, Form.ROWS, {"1": ADA}),
        ({"a": 1}, Form.OBJECT, {"a": {"field": "a", "value": 1}}),
        (7, Form.SINGLE, {"value": {"value": 7}}),
        (None, Form.SINGLE, {"value": {"value": None}}),
    ],
)
def test_value_of_any_form_is_rows(value, form, rows):
    """Lists, pages, objects and single values."""
    reading = read_value(value)
    assert (reading.form, reading.rows) == (form, rows)


def test_page_that_is_not_the_last_says_so():
    """There is more than what is shown."""
    assert table({"page": [ADA], "isDone": False, "continueCursor": "x"}).note == "more pages"


def test_columns_stand_as_they_came_and_those_of_the_server_last():
    """A column that comes later goes before them."""
    made = table([ADA])
    assert made.columns == ["name", "age", "_id"]
    made.apply([{**ADA, "city": "London", "_creationTime": 0}], 1.0)
    assert made.columns == ["name", "age", "city", "_id", "_creationTime"]


def test_value_of_another_form_begins_anew():
    """Its columns are others, and nothing of it is a change."""
    made = table(None, [ADA])
    assert made.columns == ["name", "age", "_id"]
    assert not made.has_marks(1.0)


def test_cell_that_changed_is_marked_for_a_while():
    """Neither its neighbours, nor anything of the first value."""
    made = table([ADA, BO], [ADA, {**BO, "age": 5}])
    marked = [(key, column) for key in made.keys for column in made.columns if made.is_marked(key, column, 1.0)]
    assert marked == [("2", "age")]
    assert made.has_marks(1.0 + MARK_SECONDS - 0.01)
    assert not made.has_marks(1.0 + MARK_SECONDS)
    assert not table([ADA]).has_marks(0.0)


def test_row_that_is_new_is_marked_whole_and_one_that_went_is_forgotten():
    """A field that went is a change as well."""
    made = table([ADA], [ADA, BO], [ADA])
    assert (len(made), made.has_marks(2.0)) == (1, False)
    made = table([ADA], [ADA, BO])
    assert all(made.is_marked("2", column, 1.0) for column in made.columns)
    made = table([ADA], [{"_id": "1", "name": "Ada"}])
    assert made.is_marked("1", "age", 1.0)


@pytest.mark.parametrize(
    ("order", "names"),
    [
        (None, ["Cy", "Ada", "Bo", "di", None]),
        (Order("name"), [None, "Ada", "Bo", "Cy", "di"]),
        (Order("name", is_descending=True), ["di", "Cy", "Bo", "Ada", None]),
        (Order("none"), ["Cy", "Ada", "Bo", "di", None]),
    ],
)
def test_rows_are_sorted_by_any_column(order, names):
    """Without regard to case; what is nothing comes first, and equal ones stay as they are."""
    made = table([{"name": name} for name in ("Cy", "Ada", "Bo", "di", None)], order=order)
    assert shown(made, "name") == names


def test_values_of_several_sorts_have_an_order():
    """Nothing, numbers, texts, the rest."""
    values = [[1], "b", 2.5, None, True, "A", WireBigInt(10**400), {"a": 1}, UNDEFINED]
    assert sorted(values, key=sort_key)[:5] == [None, UNDEFINED, True, 2.5, "A"]


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("", ["Ada", "Bo"]),
        ("ADA", ["Ada"]),
        ("name=b", ["Bo"]),
        ("name!=b", ["Ada"]),
        ("age>4", ["Ada"]),
        ("age>=4 a", ["Ada"]),
        ("age<=4", ["Bo"]),
        ("age<", []),
        ("age>old", []),
        ("name>5", []),
        ("city=", ["Ada", "Bo"]),
        ("36", ["Ada"]),
    ],
)
def test_filter_narrows_the_rows(words, names):
    """Every word has to hold; half a condition holds for no row."""
    made = table([ADA, BO], words=words)
    assert (shown(made, "name"), len(made)) == (names, 2)


def test_filter_of_nothing_is_none():
    """Rows are not looked at for it."""
    assert parse_filter("  ") is None


def test_series_is_a_column_of_the_shown_rows():
    """In their order; what is no number is left out."""
    made = table([ADA, BO, {"_id": "3", "age": "old"}], order=Order("age"))
    assert made.series("age") == [4, 36]


def test_series_of_a_single_row_is_its_past():
    """The newest only, and it ends with the row."""
    made = table(*range(SERIES_LENGTH + 5))
    assert made.series("value") == list(range(5, SERIES_LENGTH + 5))
    assert table([BO], [{**BO, "age": 5}]).series("age") == [4, 5]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (UNDEFINED, ""),
        (True, "true"),
        (0.1 + 0.2, "0.3"),
        (WireBigInt(12), "12"),
        ("a\x1b[2J\nb", "a\\x1b[2J\\nb"),
        ({"a": [1]}, '{"a":[1]}'),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02 00:00:00.000+00:00"),
    ],
)
def test_cell_is_one_line_that_steers_no_terminal(value, text):
    """Of every sort of value."""
    assert cell_text(value) == text


@pytest.mark.parametrize("value", [float("nan"), -5, 1e300])
def test_creation_time_that_is_none_is_a_number(value):
    """A clock that is wrong breaks no table."""
    assert cell_text(value, "_creationTime") == cell_text(value)


def test_frame_of_a_large_table_costs_little():
    """A row of ten thousand changed, with order and filter: well below a tenth of a second."""
    rows = [{"_id": str(n), "name": f"sensor {n}", "celsius": n % 37} for n in range(10_000)]
    made = table(rows, order=Order("celsius"))
    changed = [*rows[:5000], {**rows[5000], "celsius": 99}, *rows[5001:]]
    started = time.process_time()
    made.apply(changed, 1.0)
    assert time.process_time() - started < 0.1
    assert made.keys[-1] == "5000"
