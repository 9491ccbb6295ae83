"""Lists of rows become other rows, value by value."""

from __future__ import annotations

import pytest
from reactivex import of

from lunora_rx import operators as lops
from tests.operators.sources import Counted
from tests.support import Recorder

A, B = {"_id": "a", "n": 1, "tag": "x"}, {"_id": "b", "n": 2}


def through(operator, *values):
    """Return what an operator makes of values, and its error."""
    seen = Recorder()
    of(*values).pipe(operator).subscribe(seen)
    return seen.values, [str(error) for error in seen.errors]


def test_by_id_keeps_the_order_and_the_rows():
    """A dict of the very rows, a new one each time."""
    (first, second), errors = through(lops.by_id(), [B, A], [A])
    assert (list(first.items()), second, errors) == ([("b", B), ("a", A)], {"a": A}, [])
    assert first["a"] is A


def test_by_id_by_a_function():
    """Any value may be a key."""
    assert through(lops.by_id(lambda row: (row["_id"], row["n"])), [A]) == ([{("a", 1): A}], [])


def test_by_id_of_rows_that_share_a_key_fails():
    """No row is lost silently."""
    _, (error,) = through(lops.by_id("n"), [A, {**B, "n": 1}])
    assert error == "by_id(key='n'): two rows have the key 1; give a key that no two rows share"


def test_select_leaves_missing_fields_missing():
    """In the order given, of pages too."""
    values, errors = through(lops.select("tag", "_id"), [A, B], {"page": [A]})
    assert (values, errors) == ([[{"tag": "x", "_id": "a"}, {"_id": "b"}], [{"tag": "x", "_id": "a"}]], [])
    assert list(values[0][0]) == ["tag", "_id"]


def test_where_keeps_the_very_rows():
    """They are no copies."""
    values, _ = through(lops.where(lambda row: row["n"] > 1), [A, B], [])
    assert values == [[B], []]
    assert values[0][0] is B


def test_where_whose_predicate_raises_fails_with_that():
    """The source is let go of."""
    source, seen = Counted([A], [B], [A]), Recorder()
    source.pipe(lops.where(lambda row: row["tag"] == "x")).subscribe(seen)
    assert (seen.values, [type(each) for each in seen.errors], source.watching) == ([[A]], [KeyError], 0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: lops.select(), "at least one"),
        (lambda: lops.select("a", 5), "names of the fields"),
        (lambda: lops.where("n"), "a function of a row, not str"),
        (lambda: lops.by_id(None), "the name of a field or a function of a row, not None"),
    ],
)
def test_operator_of_rows_with_a_wrong_argument_says_so_at_once(make, message):
    """Which one, and what was expected."""
    with pytest.raises(TypeError, match=message):
        make()


@pytest.mark.parametrize("operator", [lops.by_id(), lops.select("n"), lops.where(bool), lops.to_frame("polars")])
def test_operator_of_rows_given_something_else_fails(operator):
    """The error names the operator."""
    _, (error,) = through(operator, {"a": 1})
    assert "() takes lists of rows, or objects whose 'page' is a list, not a value of type dict" in error


@pytest.mark.parametrize("rows", [["text"], [A, "text"], [5], [None]])
def test_select_of_rows_without_fields_fails(rows):
    """A text that contains the name of a field has no such field."""
    values, (error,) = through(lops.select("tex"), rows)
    assert (values, error.startswith("select(): a row is an object with fields, not ")) == ([], True)


def test_where_whose_predicate_fails_on_a_row_without_fields_says_so():
    """Rows of any type are taken, if the predicate takes them."""
    values, (error,) = through(lops.where(lambda row: row["n"] > 1), [A, "text"])
    assert values == []
    assert error.startswith(
        "where(): the predicate raised TypeError for a row that is no object with fields, but a value of type str: "
    )
    assert through(lops.where(lambda n: n > 1), [1, 2]) == ([[2]], [])


def test_fluent_methods_and_pipe_mix():
    """What an operator returns is an Observable like any other."""
    seen = Recorder()
    piped = of([A, B], [B]).map(lambda rows: rows[:1]).pipe(lops.by_id()).map(list).filter(bool)
    piped.subscribe(seen)
    lops.by_id()(of([A])).map(len).subscribe(seen)
    assert seen.values == [["a"], ["b"], 1]
