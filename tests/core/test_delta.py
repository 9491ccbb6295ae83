"""Row changes merged into lists and pages: the placement rule of the protocol."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lunora_rx.core.delta import UNMERGEABLE, Merger, is_row_delta, merge_delta
from lunora_rx.core.placement import creation_time, in_order, placement, placement_in_order
from lunora_rx.core.row_places import MOST_MOVES
from lunora_rx.protocol.values import UNDEFINED, WireBigInt


def row(key: str, time: Any = None, **fields: Any) -> dict[str, Any]:
    return {"_id": key, **fields} if time is None else {"_id": key, "_creationTime": time, **fields}


def delta(op: str, key: str, **fields: Any) -> dict[str, Any]:
    return {"op": op, "key": key, "table": "t", **fields}


def times(*values: Any) -> list[dict[str, Any]]:
    return [row(f"r{place}", value) for place, value in enumerate(values)]


@pytest.mark.parametrize(
    ("rows", "time", "place"),
    [
        ([], 5, 0),  # nothing there
        ([1], 5, 1),  # one row: ascending
        ([9], 5, 0),
        ([5], 5, 1),  # after its equal
        ([1, 3, 5], 4, 2),  # ascending: before the first larger
        ([1, 3, 5], 3, 2),  # after its equals
        ([1, 3, 3, 5], 3, 3),
        ([1, 3, 5], 0, 0),
        ([1, 3, 5], 9, 3),
        ([5, 3, 1], 4, 1),  # descending: before the first smaller
        ([5, 3, 1], 3, 2),
        ([5, 3, 3, 1], 3, 3),
        ([5, 3, 1], 9, 0),
        ([5, 3, 1], 0, 3),
        ([2, 2, 2], 2, 3),  # all equal: ascending
        ([2, 2, 2], 1, 0),
        ([2, 2, 1], 3, 0),  # the first pair that differs decides
        ([2, 2, 1, 9], 3, 0),
        ([2, 2, 3, 1], 0, 0),
        ([None, 5, None, 3], 4, 3),  # rows without a time are skipped over
        ([None, 1, None, 3, None], 2, 3),
        ([None, None], 2, 2),
        ([1, "x", 3], 2, 2),  # so are those whose time is no number
        ([True, 3, 5], 4, 2),  # a bool is no number
        ([WireBigInt(9), 3, 5], 4, 2),  # nor is a bigint
        ([1, 3, 5], None, 3),  # a new row without a time is appended
        ([1, 3, 5], True, 3),
        ([1, 3, 5], "4", 3),
        ([1, 3, 5], WireBigInt(2), 3),
        ([1, 3, 5], 2.5, 1),  # floats and ints compare
        ([1, 3, 5], float("nan"), 3),  # nothing is larger than NaN
        ([5, float("inf")], 6, 1),
    ],
)
def test_new_row_goes_where_the_placement_rule_says(rows, time, place):
    """The table of the protocol, case by case."""
    merged = merge_delta(times(*rows), delta("insert", "new", row=row("new", time)))
    assert [each["_id"] for each in merged].index("new") == place
    assert len(merged) == len(rows) + 1


@pytest.mark.parametrize("op", ["insert", "update"])
def test_row_that_is_there_is_replaced_in_place(op):
    """Neither an insert nor an update moves a row, whatever its time says."""
    merged = merge_delta(times(1, 2, 3), delta(op, "r1", row=row("r1", 99, text="new")))
    assert merged == [row("r0", 1), row("r1", 99, text="new"), row("r2", 3)]


def test_rows_that_share_an_id_are_all_replaced_or_deleted():
    """A join may hold a row twice."""
    rows = [row("a", 1), row("b", 2), row("a", 3)]
    assert merge_delta(rows, delta("update", "a", row=row("a", 9))) == [row("a", 9), row("b", 2), row("a", 9)]
    assert merge_delta(rows, delta("delete", "a")) == [row("b", 2)]


def test_delete_of_an_unknown_key_gives_an_equal_copy():
    """The value is the same, the list is another."""
    rows = times(1, 2)
    merged = merge_delta(rows, delta("delete", "nobody"))
    assert merged == rows
    assert merged is not rows


def test_page_is_merged_into_and_its_other_fields_stay():
    """A result of pagination keeps its cursor."""
    page = {"page": times(1), "isDone": False, "continueCursor": "c"}
    merged = merge_delta(page, delta("insert", "x", row=row("x", 2)))
    assert merged == {"page": [row("r0", 1), row("x", 2)], "isDone": False, "continueCursor": "c"}
    assert list(merged) == list(page)


@pytest.mark.parametrize(
    "base",
    [
        None,
        5,
        "text",
        {},
        {"page": None},
        {"page": {"_id": "a"}},
        [1],
        [row("a", 1), None],
        [{"id": "a"}],
        [{"_id": 5}],
        {"page": [{"_id": None}]},
    ],
)
@pytest.mark.parametrize("op", ["insert", "delete"])
def test_base_that_is_no_list_of_rows_is_unmergeable(base, op):
    """Every element must be an object with a string id, for deletes too."""
    assert merge_delta(base, delta(op, "x", row=row("x"))) is UNMERGEABLE


@pytest.mark.parametrize("fields", [{}, {"row": UNDEFINED}])
@pytest.mark.parametrize("op", ["insert", "update"])
def test_upsert_without_a_row_is_unmergeable(op, fields):
    """There is nothing to put in, in a list or a page."""
    assert merge_delta(times(1), delta(op, "r0", **fields)) is UNMERGEABLE
    assert merge_delta({"page": times(1)}, delta(op, "r0", **fields)) is UNMERGEABLE


def test_row_that_is_no_object_is_placed_at_the_end():
    """It is the server's to say what a row is; the next delta will ask for the whole value."""
    merged = merge_delta(times(1), delta("insert", "x", row=None))
    assert merged == [row("r0", 1), None]
    assert merge_delta(merged, delta("delete", "x")) is UNMERGEABLE


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        (delta("insert", "a", row={}), True),
        (delta("update", "a"), True),
        (delta("delete", "a"), True),
        (delta("replace", "a"), False),
        (delta([], "a"), False),
        (delta("insert", 5), False),
        ({"op": "insert", "key": "a"}, False),
        ({"op": "insert", "key": "a", "table": None}, False),
        ({"key": "a", "table": "t"}, False),
        ([delta("insert", "a")], False),
        (None, False),
        ("delete", False),
    ],
)
def test_delta_is_a_row_change_only_with_key_table_and_operation(tree, expected):
    """Anything else replaces the whole value."""
    assert is_row_delta(tree) is expected


def test_unmergeable_shows_itself_by_name():
    """It may turn up in a debugger."""
    assert repr(UNMERGEABLE) == "UNMERGEABLE"


# --- against an oracle written from the text of the protocol, and against re-running the query

TIMES = st.one_of(st.integers(0, 6), st.floats(0, 6), st.none(), st.booleans(), st.just("5"))
KEYS = st.sampled_from("abcdef")
ROWS = st.builds(row, KEYS, TIMES, n=st.integers(0, 3))
OPERATIONS = st.sampled_from(["insert", "update", "delete"])
DELTAS = st.builds(lambda op, key, new: delta(op, key, row={**new, "_id": key}), OPERATIONS, KEYS, ROWS)


def oracle(rows: list[dict[str, Any]], change: dict[str, Any]) -> list[dict[str, Any]]:
    """Merge by the letter of the protocol, slowly."""
    key, new = change["key"], change.get("row")
    if change["op"] == "delete":
        return list(filter(lambda each: each["_id"] != key, rows))
    if key in {each["_id"] for each in rows}:
        return [new if each["_id"] == key else each for each in rows]

    def number(each: dict[str, Any]) -> bool:
        return "_creationTime" in each and each["_creationTime"].__class__ in (int, float)

    if not number(new):
        return [*rows, new]
    timed = [each["_creationTime"] for each in rows if number(each)]
    differing = [(timed[i], timed[i + 1]) for i in range(len(timed) - 1) if timed[i] != timed[i + 1]]
    sign = -1 if differing and differing[0][0] > differing[0][1] else 1
    for i in range(len(rows)):
        if number(rows[i]) and sign * rows[i]["_creationTime"] > sign * new["_creationTime"]:
            return [*rows[:i], new, *rows[i:]]
    return [*rows, new]


@given(rows=st.lists(ROWS, max_size=8), changes=st.lists(DELTAS, max_size=8), paged=st.booleans())
def test_merge_equals_the_letter_of_the_protocol_and_leaves_its_arguments_alone(rows, changes, paged):
    """Lists and pages, any times and keys, any run of changes."""
    value: Any = {"page": rows, "isDone": True} if paged else rows
    for change in changes:
        given_value, given_change = copy.deepcopy(value), copy.deepcopy(change)
        merged = merge_delta(value, change)
        assert (value, change) == (given_value, given_change)
        assert merged is not value
        expected = oracle(value["page"] if paged else value, change)
        assert merged == ({"page": expected, "isDone": True} if paged else expected)
        value = merged


@given(
    table=st.dictionaries(KEYS, st.integers(0, 50), max_size=6),
    changes=st.lists(st.tuples(KEYS, st.integers(0, 50), st.sampled_from(["put", "delete"])), max_size=20),
    descending=st.booleans(),
)
def test_merged_list_equals_the_query_run_again(table, changes, descending):
    """A query in order of creation, whose rows are made one after another, as a server makes them."""

    def query() -> list[dict[str, Any]]:
        return sorted(stored.values(), key=lambda each: each["_creationTime"], reverse=descending)

    clock = iter(range(1000))
    stored = {key: row(key, next(clock), n=n) for key, n in table.items()}
    shown = query()
    for key, n, what in changes:
        if what == "delete":
            stored.pop(key, None)
            change = delta("delete", key)
        else:
            time = stored[key]["_creationTime"] if key in stored else next(clock)
            stored[key] = row(key, time, n=n)
            change = delta("insert", key, row=stored[key])
        can_tell_direction = len(shown) >= 2 or not descending
        shown = merge_delta(shown, change) if can_tell_direction else query()
        assert shown == query()


@given(rows=st.lists(ROWS, max_size=8), new=ROWS)
def test_placement_lies_within_the_list(rows, new):
    """The place can be inserted at."""
    assert 0 <= placement(rows, new) <= len(rows)


# --- one change after another, by a merger that remembers where the rows stand


def folded(rows, ops):
    """Apply row operations to rows by id."""
    known = {each["_id"]: each for each in rows}
    for op, key, new, old in ops:
        assert known.pop(key, UNDEFINED) is old
        assert (op == "delete") is (new is UNDEFINED)
        assert (op == "insert") is (old is UNDEFINED)
        known.update({} if new is UNDEFINED else {key: new})
    return known


@given(
    rows=st.lists(ROWS, max_size=8, unique_by=lambda each: each["_id"]),
    changes=st.lists(DELTAS, min_size=20, max_size=60),
    paged=st.booleans(),
    in_order=st.booleans(),
)
def test_merger_merges_a_long_run_as_the_protocol_says(rows, changes, paged, in_order):
    """Whatever it remembers, each merge gives what looking through the whole list would, and tells what it did."""
    rows = sorted(rows, key=lambda each: creation_time(each) or 0) if in_order else rows
    value: Any = {"page": rows} if paged else rows
    merger = Merger()
    for change in changes:
        merge = merger.merge(value, change)
        before, after = (value["page"], merge.after["page"]) if paged else (value, merge.after)
        assert after == oracle(before, change)
        assert merge.before is value
        assert folded(before, merge.ops) == {each["_id"]: each for each in after}
        value = merge.after


@given(times=st.lists(st.sampled_from([1, 2, 3, 2.5, None, True, float("nan"), 10**400]), max_size=6), new=TIMES)
def test_place_found_in_logarithmic_time_is_that_of_the_rule(times, new):
    """It is looked for that way only where both ways agree."""
    rows = [row(f"r{place}", time) for place, time in enumerate(times)]
    created = creation_time(row("new", new))
    if created is not None and in_order(rows):
        assert placement_in_order(rows, created) == placement(rows, row("new", new))


@pytest.mark.parametrize("times", [[1, 2, 2], [3, 2, 2], [1], [], [2.5, 3], [7, 7]])
def test_rows_whose_times_only_rise_or_fall_are_in_order(times):
    """Most lists are, so that their places are found fast."""
    assert in_order([row(f"r{place}", time) for place, time in enumerate(times)])


@pytest.mark.parametrize("rows", [[row("a", 1), row("a", 2)], [row("b", 1)]])
def test_merge_that_must_be_compared_says_no_operations(rows):
    """Rows that share an id, and a row of another id than the delta's."""
    change = delta("update", "a", row=row("a" if len(rows) == 2 else "x", 5))
    merge = Merger().merge(rows, change)
    assert merge.ops is None
    assert merge.after == oracle(rows, change)


def test_merger_given_another_base_forgets_the_former():
    """A whole value came in between."""
    merger = Merger()
    merger.merge(times(1, 2), delta("delete", "r0"))
    assert merger.merge([row("x", 1)], delta("delete", "x")).after == []
    assert merger.merge([5], delta("delete", "x")) is None


@pytest.mark.parametrize("change", [lambda rows: rows.reverse(), lambda rows: rows.pop(0)])
def test_merger_survives_a_list_that_its_owner_changed(change):
    """Values are read-only for observers; one that writes all the same harms nothing else."""
    merger = Merger()
    rows = merger.merge(times(*range(40)), delta("delete", "r30")).after
    change(rows)
    expected = oracle(rows, delta("delete", "r0"))
    assert merger.merge(rows, delta("delete", "r0")).after == expected


class Read(dict):
    """A row that counts how often a field of any of them is read."""

    count = 0

    def __getitem__(self, name):
        Read.count += 1
        return super().__getitem__(name)


def test_merger_looks_at_few_rows_after_its_first_merge():
    """Where a row stands is known about, and where a new one belongs is found by halves."""
    merger, counts = Merger(), []
    rows = [Read(row(f"r{place}", place)) for place in range(1000)]
    for change in range(1, 30):
        before = Read.count
        rows = merger.merge(rows, delta("delete", f"r{change * 30}")).after
        rows = merger.merge(rows, delta("insert", f"n{change}", row=row(f"n{change}", 990.5))).after
        counts.append(Read.count - before)
    assert sorted(counts)[len(counts) // 2] < 70
    assert sum(count > 100 for count in counts) <= 2 * len(counts) // MOST_MOVES + 1


def test_merger_that_replaced_a_time_places_new_rows_as_the_protocol_says():
    """The rows are in order no longer, and not in it again before somebody looks."""
    merger, value = Merger(), times(1, 2, 3)
    for change in (
        delta("insert", "x", row=row("x", 2.5)),
        delta("update", "r0", row=row("r0", 9)),
        delta("insert", "y", row=row("y", 2.2)),
    ):
        expected = oracle(value, change)
        value = merger.merge(value, change).after
        assert value == expected
