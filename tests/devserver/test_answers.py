"""Exact deltas between two answers, or none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lunora_rx.core.delta import is_row_delta, merge_delta
from lunora_rx.devserver.answers import answer_of, deltas_between, spliced
from lunora_rx.protocol import WireBigInt, decode_wire

# What is tested is the outcome, not how busy the machine is.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

PADDING = "x" * 200


def rows(*ids: str, text: str = PADDING, descending: bool = False) -> list[dict[str, Any]]:
    made = [{"_id": each, "_creationTime": float(ord(each)), "text": text} for each in sorted(ids)]
    return made[::-1] if descending else made


def deltas(old: Any, new: Any) -> list[dict[str, Any]]:
    texts = deltas_between(answer_of(old), answer_of(new), {"c": "messages"}, "file:fn")
    return [json.loads(text) for text in texts]


@pytest.mark.parametrize(
    ("old", "new", "operations"),
    [
        (rows("a", "b"), rows("a", "b", "c"), [("insert", "c")]),
        (rows("a", "b", "c"), rows("a", "c"), [("delete", "b")]),
        (
            rows("a", "b", "c", descending=True),
            rows("b", "c", "d", descending=True),
            [("insert", "d"), ("delete", "a")],
        ),
        (rows("a", "b"), [rows("a", text="new")[0], rows("b")[0]], [("update", "a")]),
        ({"page": rows("a"), "n": 1}, {"n": 1, "page": rows("a", "b")}, [("insert", "b")]),
        (rows("a", "b", "c"), [], [("delete", "a"), ("delete", "b"), ("delete", "c")]),
    ],
)
def test_row_changes_are_named(old, new, operations):
    """What was added, changed or removed is what is sent."""
    if not new:  # the empty list is shorter than any delta
        assert deltas(old, new) == []
        return
    found = deltas(old, new)
    assert [(each["op"], each["key"]) for each in found] == operations
    assert all(is_row_delta(each) for each in found)


def test_delta_names_the_table_of_a_written_row():
    """Rows that were not written, or come from elsewhere, carry the query's path."""
    (delta,) = deltas(rows("a", "b"), rows("a", "b", "c"))
    assert delta["table"] == "messages"
    (delta,) = deltas(rows("a"), rows("a", "b"))
    assert delta["table"] == "file:fn"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (1, 2),
        (None, rows("a")),
        (rows("a"), {"page": rows("a")}),
        ({"page": rows("a"), "n": 1}, {"page": rows("a", "b"), "n": 2}),
        (rows("a", "b"), rows("a", "b", descending=True)),
        (rows("b"), rows("b", "c", descending=True)),
        ([*rows("a"), *rows("a")], rows("a")),
        ([1, 2], [1, 2, 3]),
        (rows("a"), [{"_id": "a", "_creationTime": WireBigInt(1)}]),
        (rows("a"), [{"text": PADDING}]),
        ([], rows(*"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOP")),
    ],
)
def test_value_is_sent_whole_where_deltas_would_not_be_exact(old, new):
    """Other kinds of value, rows without ids, moved rows and long runs have no deltas."""
    assert deltas(old, new) == []


def test_value_shorter_than_its_deltas_is_sent_whole():
    """Deltas are there to save bytes."""
    assert deltas(rows("a", text=""), rows("a", "b", text="")) == []


def test_change_of_kind_is_a_change():
    """1, 1.0 and true are three values here, as they are three texts."""
    for old, new in ((1, True), (True, 1), (0, False)):
        before = [*rows("a"), {"_id": "b", "n": old}]
        found = deltas(before, [*rows("a"), {"_id": "b", "n": new}])
        assert [(each["op"], each["row"]["n"]) for each in found] == [("update", new)]


keys = st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=8)
times = st.one_of(st.none(), st.integers(0, 3), st.booleans())


@unhurried
@given(keys, keys, st.dictionaries(st.sampled_from("abcdefgh"), times), st.booleans())
def test_deltas_replay_to_exactly_the_new_answer(before, after, created, is_page):
    """Whatever the order of the rows and their times, deltas are exact or not there."""

    def value(ids: list[str], version: str) -> Any:
        made: list[dict[str, Any]] = [
            {"_id": each, "v": version if each in "ab" else "", "pad": PADDING} for each in ids
        ]
        for row in made:
            if row["_id"] in created:
                row["_creationTime"] = created[row["_id"]]
        return {"page": made, "isDone": True} if is_page else made

    old, new = value(before, "1"), value(after, "2")
    found = deltas(old, new)
    merged = old
    for delta in found:
        merged = merge_delta(merged, decode_wire(delta))
    assert not found or json.dumps(merged, sort_keys=True) == json.dumps(new, sort_keys=True)


@pytest.mark.parametrize(
    "value", [[], {}, rows("a"), rows("a") + rows("a"), {"page": []}, {"page": rows("a"), "x": [1]}, "text", None]
)
def test_text_of_an_answer_is_its_json(value):
    """What is put together from parts reads as the whole."""
    assert json.loads(answer_of(value).text) == value


def test_spliced_object_holds_both():
    """A member may join an empty object as well."""
    assert json.loads(spliced("{}", "a", "[1]")) == {"a": [1]}
    assert json.loads(spliced('{"b":2}', "a", "[1]")) == {"a": [1], "b": 2}
