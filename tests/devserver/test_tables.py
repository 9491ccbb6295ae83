"""The query builder and the writes that functions see."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lunora_rx.devserver import AppError
from lunora_rx.devserver.store import Store
from lunora_rx.devserver.tables import Reader, Table, Writer
from lunora_rx.devserver.tracking import RangeRead, Read, RowRead
from lunora_rx.errors import CodecError
from lunora_rx.protocol import UNDEFINED, WireBigInt, WireUrl
from tests.devserver.test_store import opened

# What is tested is the outcome, not how busy the machine is.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture
def store() -> Iterator[Store]:
    """An empty store in memory."""
    with closing(opened(None)) as store:
        yield store


def fill(store: Store, *values: Any) -> None:
    with store.transaction() as writes:
        for value in values:
            Writer(store, writes).insert("t", x=value)


def table(store: Store, reads: list[Read] | None = None) -> Table:
    return Reader(store, (reads if reads is not None else []).append).table("t")


def xs(rows: list[dict[str, Any]]) -> list[Any]:
    return [row["x"] for row in rows]


def test_rows_come_in_creation_order_or_its_reverse(store):
    """Ascending unless asked otherwise; each step gives a new table."""
    fill(store, 1, 2, 3)
    rows = table(store)
    assert xs(rows.collect()) == [1, 2, 3]
    assert xs(rows.order("desc").take(2)) == [3, 2]
    assert (rows.first() or {})["x"] == 1
    assert rows.count() == 3


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (("x", "==", 2), [2]),
        (("x", "!=", 2), [1, 3, "a", True, None]),
        (("x", "<", 3), [1, 2]),
        (("x", ">=", 2), [2, 3]),
        (("x", ">", "A"), ["a"]),
        (("x", "in", [1, True]), [1, True]),
        ((lambda row: row["x"] in (3, "a"),), [3, "a"]),
    ],
)
def test_where_keeps_what_matches_within_its_kind(store, where, expected):
    """Comparisons never cross kinds: a string is neither less nor more than a number."""
    fill(store, 1, 2, 3, "a", True, None)
    assert xs(table(store).where(*where).collect()) == expected


@unhurried
@given(st.lists(st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.floats(-2, 2), st.text(max_size=2))))
def test_equality_finds_the_same_with_and_without_the_index(values):
    """What sqlite filters beforehand never hides a row that Python would keep."""
    with closing(opened(None)) as store:
        fill(store, *values, WireBigInt(1), b"a", WireUrl("a:b"), float("nan"))
        for wanted in [*values, 1, True, "a", WireBigInt(1), b"a", float("nan")]:
            indexed = table(store).where(x=wanted).collect()
            scanned = table(store).where("x", "in", [wanted]).collect()
            assert indexed == scanned or wanted != wanted
            assert len(indexed) == len(scanned)


def test_missing_field_reads_as_none(store):
    """There is no third state between a field of null and none."""
    with store.transaction() as writes:
        Writer(store, writes).insert("t", y=1)
    assert table(store).where(x=None).count() == 1


@pytest.mark.parametrize("field", ["odd name", 'quo"te', "_creationTime", "_id", "x; DROP TABLE rows"])
def test_any_field_name_can_be_asked_for(store, field):
    """A name that is no identifier is filtered in Python."""
    fill(store, 1)
    assert table(store).where(**{field: "nothing"}).collect() == []
    assert store.counts() == {"t": 1}


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "é", "x" * 5000])
def test_any_text_can_be_asked_for(store, text):
    """A text that sqlite would cut or refuse is no exception."""
    if text != "\ud800":
        fill(store, text)
    assert len(table(store).where(x=text).collect()) == (text != "\ud800")


def test_bad_use_is_refused_by_name(store):
    """What makes no sense says so at the call."""
    rows = table(store)
    with pytest.raises(ValueError, match="'sideways'"):
        rows.order("sideways")
    with pytest.raises(ValueError, match="'~'"):
        rows.where("x", "~", 1)
    with pytest.raises(TypeError, match="a list has no order"):
        rows.where("x", "<", [])
    for limit in (0, -1, True, 1.5):
        with pytest.raises(AppError, match="limit"):
            rows.take(limit)


def test_page_goes_on_where_the_last_one_ended(store):
    """Pages cover every row once, in either direction, and the last one is done."""
    fill(store, *range(7))
    for order in ("asc", "desc"):
        seen, cursor, is_done = [], None, False
        while not is_done:
            page = table(store).order(order).paginate(cursor, 3)
            seen += xs(page["page"])
            cursor, is_done = page["continueCursor"], page["isDone"]
        assert seen == sorted(range(7), reverse=order == "desc")
        assert cursor is None


def test_bounded_page_holds_all_rows_up_to_its_upper_end(store):
    """A pinned page grows and shrinks with its range, and offers a split when it is overfull."""
    fill(store, *range(6))
    upper = table(store).paginate(None, 5)["continueCursor"]
    page = table(store).paginate(None, 2, upper=upper)
    assert xs(page["page"]) == [0, 1, 2, 3, 4]
    assert (page["isDone"], page["continueCursor"]) == (False, upper)
    lower, higher = (
        table(store).paginate(None, 2, upper=page["splitCursor"]),
        table(store).paginate(page["splitCursor"], 2, upper=upper),
    )
    assert xs(lower["page"] + higher["page"]) == [0, 1, 2, 3, 4]
    assert "splitCursor" not in lower


@pytest.mark.parametrize("cursor", ["", "nan", "later", 7.5, []])
def test_unusable_page_cursor_is_a_validation_error(store, cursor):
    """A cursor is what a page has given, or an error with a code."""
    if isinstance(cursor, float):
        assert table(store).paginate(cursor, 1)["isDone"]
        return
    with pytest.raises(AppError, match="cursor") as caught:
        table(store).paginate(cursor, 1)
    assert caught.value.code == "VALIDATION_ERROR"


def test_reads_are_noted_as_narrowly_as_they_matter(store):
    """A full take ends at its last row, a short one is open, a lookup is one row."""
    fill(store, 1, 2, 3)
    times = [row["_creationTime"] for row in table(store).collect()]
    reads: list[Read] = []
    table(store, reads).take(2)
    table(store, reads).order("desc").take(2)
    table(store, reads).take(9)
    Reader(store, reads.append).get("t", "r")
    full, descending, short, row = reads
    assert isinstance(full, RangeRead)
    assert isinstance(descending, RangeRead)
    assert full.high == times[1]
    assert descending.low == times[1]
    assert short == RangeRead("t")
    assert row == RowRead("t", "r")


def test_update_patches_and_replace_replaces(store):
    """Identity and creation time stay; UNDEFINED removes a field."""
    with store.transaction() as writes:
        writer = Writer(store, writes)
        row_id = writer.insert("t", a=1, b=2, c=3)
        created = (writer.get("t", row_id) or {})["_creationTime"]
        writer.update("t", row_id, a=9, b=UNDEFINED)
        assert writer.get("t", row_id) == {"_id": row_id, "_creationTime": created, "a": 9, "c": 3}
        writer.replace("t", row_id, z=1)
        assert writer.get("t", row_id) == {"_id": row_id, "_creationTime": created, "z": 1}
        assert writer.delete("t", row_id) is True
        assert writer.delete("t", row_id) is False


def test_write_that_cannot_be_is_refused(store):
    """Missing rows, doubled ids, reserved names and values without a wire form each say so."""
    with store.transaction() as writes:
        writer = Writer(store, writes)
        writer.insert("t", _id="a")
        for write, code in ((writer.update, "NOT_FOUND"), (writer.replace, "NOT_FOUND")):
            with pytest.raises(AppError) as caught:
                write("t", "missing", x=1)
            assert caught.value.code == code
        with pytest.raises(AppError, match="already has a row 'a'"):
            writer.insert("t", _id="a")
        with pytest.raises(ValueError, match="_creationTime"):
            writer.insert("t", _creationTime=1)
        with pytest.raises(CodecError, match="time zone"):
            writer.insert("t", when=datetime(2026, 1, 1))
        writer.insert("t", when=datetime(2026, 1, 1, tzinfo=UTC))


def test_rows_are_copies(store):
    """What a function does to a row it has read stays in the function."""
    fill(store, [1])
    (row,) = table(store).collect()
    row["x"].append(2)
    assert xs(table(store).collect()) == [[1]]
