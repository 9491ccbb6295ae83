"""Rows of two streams, joined."""

from __future__ import annotations

import pytest
from reactivex import never, of

from lunora_rx import operators as lops
from tests.operators.sources import Counted
from tests.support import Recorder

USERS = [{"_id": "u", "name": "Ada"}, {"_id": "v", "name": "Bo"}]


def message(key, by, **fields):
    return {"_id": key, "by": by, **fields}


def joined(left, right, **options):
    """Return what a join of two lists gives, and its error."""
    seen = Recorder()
    of(left).pipe(lops.join(of(right), **options)).subscribe(seen)
    return (seen.last if seen.values else None), [str(each) for each in seen.errors]


def test_join_by_a_pair_of_names_has_the_fields_of_both():
    """A field that both have is the left one's; the right one's has another name."""
    rows, _ = joined([message("m", "v"), message("n", "u")], USERS, on=("by", "_id"))
    assert rows == [
        {"_id": "m", "by": "v", "_id_right": "v", "name": "Bo"},
        {"_id": "n", "by": "u", "_id_right": "u", "name": "Ada"},
    ]


def test_join_by_one_name_has_it_once():
    """The same field on both sides."""
    assert joined([{"_id": "u", "n": 1}], USERS, on="_id")[0] == [{"_id": "u", "n": 1, "name": "Ada"}]


def test_join_gives_a_row_for_each_match():
    """One to many, in the order of both."""
    rows, _ = joined(USERS, [message("m", "u"), message("n", "u"), message("o", "x")], on=("_id", "by"))
    assert [(row["name"], row["_id_right"]) for row in rows] == [("Ada", "m"), ("Ada", "n")]


@pytest.mark.parametrize("by", ["nobody", None])
def test_join_left_keeps_rows_that_agree_with_none(by):
    """They have their own fields only; nothing agrees with None."""
    left = [message("m", by), {"_id": "n"}]
    right = [*USERS, {"_id": None, "name": "None"}]
    assert joined(left, right, on=("by", "_id"), how="left")[0] == left
    assert joined(left, right, on=("by", "_id"))[0] == []


def test_join_into_makes_the_row():
    """Of any type; with a left join of the left row and None."""
    left = [message("m", "u"), message("n", "x")]
    pairs, _ = joined(left, USERS, on=("by", "_id"), how="left", into=lambda row, user: (row["_id"], user))
    assert pairs == [("m", USERS[0]), ("n", None)]


def test_join_is_done_anew_when_either_changes():
    """It waits for both first."""
    left, right, seen = Counted(), Counted(), Recorder()
    left.pipe(lops.join(right, on=("by", "_id"), into=lambda row, user: row["_id"] + user["name"])).subscribe(seen)
    left.emit([message("m", "u")])
    assert seen.values == []
    right.emit(USERS)
    left.emit([message("m", "u"), message("n", "v")])
    right.emit(USERS[:1])
    assert seen.values == [["mAda"], ["mAda", "nBo"], ["mAda"]]


def test_join_lets_go_of_both():
    """When it is disposed, and when either fails."""
    left, right, seen = Counted([]), Counted([]), Recorder()
    left.pipe(lops.join(right, on="_id")).subscribe().dispose()
    assert (left.watching, right.watching) == (0, 0)
    left.pipe(lops.join(right, on="_id")).subscribe(seen)
    right.fail(OSError("gone"))
    assert (left.watching, right.watching, len(seen.errors)) == (0, 0, 1)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"on": 5}, TypeError),
        ({"on": ("a",)}, TypeError),
        ({"on": "a", "how": "outer"}, ValueError),
        ({"on": "a", "into": 5}, TypeError),
    ],
)
def test_join_with_a_wrong_argument_says_so_at_once(options, error):
    """Which one, and what was expected."""
    with pytest.raises(error, match=r"join\(\): (on|how|into) is"):
        lops.join(never(), **options)


@pytest.mark.parametrize("how", ["inner", "left"])
@pytest.mark.parametrize(
    ("on", "message"),
    [
        (("bye", "_id"), "join(): no row of this stream has the field 'bye'; the fields are '_id', 'by'; one that"),
        (("by", "id"), "join(): no row of the other stream has the field 'id'; the fields are '_id', 'name'; one that"),
    ],
)
def test_join_on_a_field_that_no_row_has_fails(on, message, how):
    """A mistyped name is not taken for rows that agree with none."""
    rows, (error,) = joined([{"_id": "m", "by": "u"}], USERS, on=on, how=how)
    assert (rows, error.startswith(message)) == (None, True)


def test_join_on_a_field_that_rows_had_goes_on():
    """Once it was seen it is no mistake; a list without rows says nothing."""
    left, seen = Counted([]), Recorder()
    left.pipe(lops.join(of(USERS), on=("by", "_id"), how="left")).subscribe(seen)
    left.emit([message("m", "u")], [{"_id": "n"}], [])
    assert ([len(rows) for rows in seen.values], seen.errors) == ([0, 1, 1, 0], [])
    seen = Recorder()
    Counted([{"_id": "n", "by": None}]).pipe(lops.join(of(USERS), on=("by", "_id"))).subscribe(seen)
    assert (seen.values, seen.errors) == ([[]], [])


@pytest.mark.parametrize(
    ("left", "message"),
    [([5], "a row is an object with fields, not a value of type int"), ([{"_id": []}], "'_id' is a text or a number")],
)
def test_join_of_what_cannot_be_joined_fails(left, message):
    """The error says what was expected."""
    _, (error,) = joined(left, USERS, on="_id")
    assert message in error
