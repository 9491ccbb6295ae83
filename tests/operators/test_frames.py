"""Rows become frames whose columns have sensible types."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from reactivex import of

from lunora_rx import UNDEFINED, WireBigInt, WireBytes, WireDate, WireMap, WireUrl
from lunora_rx import operators as lops
from tests.support import Recorder

pd = pytest.importorskip("pandas", reason="pandas is not installed")
pl = pytest.importorskip("polars", reason="polars is not installed")

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
FAR = WireDate(8.64e15)
ENGINES = ("pandas", "polars")


def frames(*values, engine="pandas", **options):
    """Return the frames of lists, and the errors."""
    seen = Recorder()
    of(*values).pipe(lops.to_frame(engine, **options)).subscribe(seen)
    return seen.values, seen.errors


def column(values, engine):
    """Return the column of a field of rows."""
    (frame,), errors = frames([{"x": value} for value in values], engine=engine)
    assert errors == []
    return frame["x"]


@pytest.mark.parametrize(
    ("values", "dtype", "told"),
    [
        ([1, 2], "int64", [1, 2]),
        ([2**62 + 1, None], "Int64", [2**62 + 1, pd.NA]),
        ([WireBigInt(5), WireBigInt(6)], "int64", [5, 6]),
        ([WireBigInt(2**70), 1], "object", [2**70, 1]),
        ([WireBigInt(2**70), None], "object", [2**70, None]),
        ([1, 2.5], "float64", [1, 2.5]),
        ([True, False], "bool", [True, False]),
        ([True, UNDEFINED], "boolean", [True, pd.NA]),
        ([NOON], "datetime64[us, UTC]", [pd.Timestamp(NOON)]),
        ([NOON, None], "datetime64[us, UTC]", [pd.Timestamp(NOON), pd.NaT]),
        ([NOON, WireDate(float("nan"))], "datetime64[ms, UTC]", [pd.Timestamp(NOON), pd.NaT]),
        ([WireBytes(b"ab", "ArrayBuffer")], "object", [b"ab"]),
        ([[1, 2], {"a": 1}], "object", [[1, 2], {"a": 1}]),
        ([None, None], "object", [None, None]),
        ([1, "a"], "object", [1, "a"]),
    ],
    ids=str,
)
def test_column_of_pandas_has_the_type_of_its_values(values, dtype, told):
    """No number loses its last digit, and a date keeps its zone."""
    found = column(values, "pandas")
    assert str(found.dtype) in (dtype, dtype.replace("[us", "[ns"))
    assert [each is told[place] or each == told[place] for place, each in enumerate(found)] == [True] * len(values)


@pytest.mark.parametrize(
    ("values", "dtype", "told"),
    [
        ([1, None], pl.Int64, [1, None]),
        ([WireBigInt(5), 6], pl.Int64, [5, 6]),
        ([WireBigInt(2**70), 1], pl.Int128, [2**70, 1]),
        ([WireBigInt(2**200), 1], pl.Object, [2**200, 1]),
        ([1, 2.5, None], pl.Float64, [1, 2.5, None]),
        ([True, UNDEFINED], pl.Boolean, [True, None]),
        ([NOON, None], pl.Datetime("us", "UTC"), [NOON, None]),
        ([NOON, WireDate(float("nan"))], pl.Datetime("ms", "UTC"), [NOON, None]),
        ([WireBytes(b"ab", "ArrayBuffer"), b"c"], pl.Binary, [b"ab", b"c"]),
        ([WireUrl("http://a"), "b"], pl.String, ["http://a", "b"]),
        ([[1, 2], [3]], pl.List(pl.Int64), [[1, 2], [3]]),
        ([{"a": 1}, {"b": "x"}], pl.Struct, [{"a": 1, "b": None}, {"a": None, "b": "x"}]),
        ([{"a": [WireBytes(b"a", "ArrayBuffer")]}], pl.Object, [{"a": [WireBytes(b"a", "ArrayBuffer")]}]),
        ([[1], {"a": 1}], pl.Object, [[1], {"a": 1}]),
        ([None, None], pl.Null, [None, None]),
        ([1, "a"], pl.Object, [1, "a"]),
        ([WireMap({"a": 1})], pl.Object, [WireMap({"a": 1})]),
    ],
    ids=str,
)
def test_column_of_polars_has_the_type_of_its_values(values, dtype, told):
    """Nothing turns into a text or into nothing."""
    found = column(values, "polars")
    assert found.dtype == dtype
    assert found.to_list() == told


def test_column_of_texts_is_one_of_texts():
    """Urls are texts."""
    found = column([WireUrl("http://a"), "b", None], "pandas")
    assert found.dtype in ("str", "object")
    assert list(found[:2]) == ["http://a", "b"]
    assert type(found[0]) is str


@pytest.mark.parametrize("engine", ENGINES)
def test_date_that_no_datetime_holds_keeps_its_instant(engine):
    """To the millisecond, beside ordinary ones."""
    soon = NOON + timedelta(milliseconds=7)
    found = column([FAR, soon], engine)
    numbers = found.astype("int64") if engine == "pandas" else found.cast(pl.Int64)
    assert list(numbers) == [8_640_000_000_000_000, round(soon.timestamp() * 1000)]


@pytest.mark.parametrize("engine", ENGINES)
def test_frame_has_a_column_for_each_field_as_first_seen(engine):
    """A field that comes with a later row too."""
    (frame,), _ = frames([{"_id": "a", "n": 1}, {"_id": "b", "tag": "x"}], engine=engine)
    assert list(frame.columns) == ["_id", "n", "tag"]
    assert len(frame) == 2


@pytest.mark.parametrize("engine", ENGINES)
def test_empty_list_keeps_columns_and_types(engine):
    """A chart goes on; the next rows may have others."""
    (full, empty, again), errors = frames([{"n": 1, "at": NOON}], [], [{"m": "x"}], engine=engine)
    assert (len(empty), errors) == (0, [])
    assert (list(empty.columns), list(empty.dtypes)) == (list(full.columns), list(full.dtypes))
    assert list(again.columns) == ["m"]


@pytest.mark.parametrize("engine", ENGINES)
def test_columns_that_are_named_are_there_in_that_order(engine):
    """Also where there are no rows yet."""
    (empty, full), errors = frames([], [{"a": 1, "b": 2, "c": 3}], engine=engine, columns=("c", "d", "a"))
    assert list(empty.columns) == list(full.columns) == ["c", "d", "a"]
    assert (len(empty), len(full), errors) == (0, 1, [])


def test_index_is_a_field():
    """Rows are found by it; an empty first list has it as well."""
    (empty, full), _ = frames([], [{"_id": "a", "n": 1}], index="_id")
    assert (empty.index.name, len(empty)) == ("_id", 0)
    assert full.loc["a", "n"] == 1


def test_index_that_is_no_field_fails():
    """The error names the fields that there are."""
    _, (error,) = frames([{"a": 1}], index="_id")
    assert str(error) == "to_frame(): no field is called '_id' for the index; there are a"


@pytest.mark.parametrize("engine", ENGINES)
def test_frame_of_a_page_or_a_join(engine):
    """Whatever gives rows."""
    page = {"page": [{"_id": "a"}], "isDone": True}
    seen = Recorder()
    of(page).pipe(lops.join(of([{"_id": "a", "n": 1}]), on="_id"), lops.to_frame(engine)).subscribe(seen)
    assert list(seen.last["n"]) == [1]


@pytest.mark.parametrize("engine", ENGINES)
def test_frame_of_what_are_no_rows_fails(engine):
    """Numbers have no fields."""
    _, (error,) = frames([1, 2], engine=engine)
    assert str(error) == "to_frame(): a row is an object with fields, not a value of type int"


@pytest.mark.parametrize(
    ("options", "message"),
    [({"engine": "dask"}, "engine is 'pandas' or 'polars'"), ({"engine": "polars", "index": "_id"}, "have no index")],
)
def test_to_frame_with_a_wrong_argument_says_so_at_once(options, message):
    """Which one, and what to do."""
    with pytest.raises(ValueError, match=message):
        lops.to_frame(**options)


@pytest.mark.parametrize("engine", ENGINES)
def test_to_frame_without_its_library_names_the_extra(engine):
    """At once, and not when the first rows come."""
    program = (
        f"import sys; sys.modules[{engine!r}] = None; from lunora_rx.operators import to_frame; to_frame({engine!r})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert f"ImportError: to_frame('{engine}') needs {engine}" in done.stderr
    assert f"pip install 'lunora-rx[{engine}]'" in done.stderr
