"""Row changes: told by the server, or found by comparing, and always the same."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reactivex import of
from reactivex.subject import BehaviorSubject

from lunora_rx import UNDEFINED, RowChanges, RowOp
from lunora_rx import operators as lops
from lunora_rx.core.delta import RowMerge
from lunora_rx.core.events import SnapshotChanged, ValueChanged
from lunora_rx.core.optimistic import Layer
from lunora_rx.core.results import Change, Result
from lunora_rx.core.snapshot import Snapshot
from lunora_rx.operators.keys import RowKey
from lunora_rx.operators.row_diff import RowDiff
from lunora_rx.rx.live_query import LiveQuery
from lunora_rx.rx.subject import SnapshotSubject
from tests.operators.sources import Acting, Counted
from tests.rx.test_shape import Played, put
from tests.support import Recorder


def row(key: str, n: int = 0, **fields: Any) -> dict[str, Any]:
    return {"_id": key, "n": n, **fields}


def told(*lists: Any, key: Any = "_id") -> list[RowChanges[Any]]:
    seen = Recorder()
    of(*lists).pipe(lops.changes(key)).subscribe(seen)
    assert seen.errors == []
    return seen.values


def test_changes_of_the_first_list_are_inserts_after_a_reset():
    """Whoever folds them needs nothing else."""
    assert told([row("a")]) == [RowChanges((RowOp("insert", "a", row("a"), UNDEFINED),), is_reset=True)]


def test_changes_of_an_empty_first_list_say_so():
    """To know that there is nothing is news."""
    assert told([]) == [RowChanges((), is_reset=True)]


def test_changes_between_lists_are_told_with_the_old_rows():
    """What went, what came, what is another."""
    _, changes = told([row("a"), row("b")], [row("c"), row("b", 1)])
    assert changes == RowChanges(
        (
            RowOp("delete", "a", UNDEFINED, row("a")),
            RowOp("insert", "c", row("c"), UNDEFINED),
            RowOp("update", "b", row("b", 1), row("b")),
        )
    )
    assert (changes.added, changes.changed, changes.removed) == ([row("c")], [row("b", 1)], [row("a")])


def test_changes_of_equal_lists_are_silent():
    """Another order is none either."""
    assert len(told([row("a"), row("b")], [row("a"), row("b")], [row("b"), row("a")])) == 1


def test_changes_of_page_objects_are_those_of_the_page():
    """As a paginated query answers."""
    _, changes = told({"page": [row("a")], "isDone": False}, {"page": [], "isDone": True})
    assert changes.removed == [row("a")]


@pytest.mark.parametrize("key", ["n", lambda each: each["n"]])
def test_changes_by_another_key(key):
    """A field or a function may tell rows apart; a row whose key changes goes and comes."""
    _, changes = told([row("a", 1)], [row("a", 2)], key=key)
    assert [op[:2] for op in changes.ops] == [("delete", 1), ("insert", 2)]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (5, "takes lists of rows"),
        ({"page": 5}, "takes lists of rows"),
        ([5], "a row is an object with fields, not a value of type int"),
        ([{"id": 1}], "its fields are 'id'"),
        ([row("a"), row("a")], "two rows have the key 'a'"),
        ([{"_id": []}], "a key is a value such as a text or a number, not a value of type list"),
    ],
)
def test_changes_of_what_is_no_list_of_rows_fails(value, message):
    """The error says what was expected; the operator is named."""
    seen = Recorder()
    of([], value).pipe(lops.changes()).subscribe(seen)
    assert (len(seen.values), len(seen.errors)) == (1, 1)
    assert "changes(" in str(seen.errors[0])
    assert message in str(seen.errors[0])


def test_changes_with_a_key_that_is_none_fails_at_once():
    """Not when the first list comes."""
    with pytest.raises(TypeError, match=r"changes\(\): key is the name of a field or a function of a row"):
        lops.changes(5)


def test_row_is_followed_through_lists():
    """What it is, each change, and that it is not there."""
    seen = Recorder()
    lists = of([row("a")], [row("a"), row("b")], [row("b", 1)], [row("b", 1), row("c")], [])
    lists.pipe(lops.row("b")).subscribe(seen)
    assert seen.values == [None, row("b"), row("b", 1), None]


# --- on a live query, beside an observer that compares whole lists


class Shown:
    """A live query that a test plays: a result of the core, and the subject that shows it."""

    title = "'a:b'"

    def __init__(self) -> None:
        self.result = Result()
        self.subject: SnapshotSubject[Any] = SnapshotSubject(self._report)
        self.live = LiveQuery[Any](self)
        self.layers = [Layer(lambda rows: [*rows, row("mine")] if isinstance(rows, list) else rows, self._report)]

    def _report(self, error: Exception) -> None:
        raise AssertionError from error

    def attach_values(self, observer: Any, *, resilient: bool) -> Any:
        return self.subject.attach_values(observer, resilient=resilient)

    @property
    def row_merge(self) -> Any:
        return self.subject.row_merge

    def data(self, value: Any) -> None:
        self._apply({"type": "data", "data": value})

    def delta(self, op: str, key: str, **fields: Any) -> None:
        change = {"op": op, "key": key, "table": "t"}
        self._apply({"type": "delta", "delta": {**change, "row": row(key, **fields)} if op != "delete" else change})

    def push(self) -> None:
        if not self.result.layers and self.result.base is not UNDEFINED:
            self.result.push(self.layers[0])
            self._show()

    def roll_back(self) -> None:
        if self.result.layers:
            self.result.roll_back(self.layers)
            self._show()

    def _apply(self, frame: dict[str, Any]) -> None:
        result = self.result
        if result.apply_value(frame, tagged=False) is Change.VALUE:
            self.subject.publish(ValueChanged("q", result.shown, None, len(result.layers), result.merge))

    def _show(self) -> None:
        self.subject.publish(SnapshotChanged("q", Snapshot(value=self.result.shown)))


class Read(dict):
    """A row that counts how often a field of any of them is read."""

    count = 0

    def __getitem__(self, name: str) -> Any:
        Read.count += 1
        return super().__getitem__(name)


def reads(shown: Shown) -> list[int]:
    """Return how many fields are read for each of three deltas of a long list."""
    counts = []
    shown.delta("insert", "first")  # the first one learns where the rows stand
    for op, key in (("update", "r500"), ("insert", "new"), ("delete", "r700")):
        before = Read.count
        shown.delta(op, key, n=1)
        counts.append(Read.count - before)
    return counts


def many() -> list[Any]:
    return [Read(row(f"r{place}")) for place in range(1000)]


def compared(live: LiveQuery[Any], key: Any = "_id") -> Any:
    """The same lists, of which nothing else is known."""
    return live.map(lambda value: value).pipe(lops.changes(key))


def fold(changes: list[RowChanges[Any]]) -> dict[Any, Any]:
    rows: dict[Any, Any] = {}
    for each in changes:
        rows = {} if each.is_reset else rows
        for op in each.ops:
            assert rows.pop(op.key, UNDEFINED) == op.old_row
            rows.update({} if op.op == "delete" else {op.key: op.row})
    return rows


@pytest.mark.parametrize("resilient", [False, True])
@pytest.mark.parametrize("paged", [False, True])
def test_changes_of_a_live_query_look_at_no_other_row(resilient, paged):
    """A delta costs the row that it is about, in a list or a page, and not the thousand others."""
    shown, seen = Shown(), Recorder()
    (shown.live.resilient if resilient else shown.live).pipe(lops.changes()).subscribe(seen)
    shown.data({"page": many()} if paged else many())
    assert max(reads(shown)) < 50
    assert [[op[:2] for op in each.ops] for each in seen.values[2:]] == [
        [("update", "r500")],
        [("insert", "new")],
        [("delete", "r700")],
    ]


def test_changes_elsewhere_look_at_every_row():
    """So the test above can fail."""
    shown, seen = Shown(), Recorder()
    compared(shown.live).subscribe(seen)
    shown.data(many())
    assert min(reads(shown)) > 900


def test_changes_of_another_value_than_the_one_told_of_are_compared():
    """What is said to have become of the value before may be late, or about another one."""
    first, second, third = [row("a")], [row("a"), row("b")], [row("c")]
    diff = RowDiff(RowKey("changes", "_id"))
    diff.next(first, None)
    told = RowMerge(first, second, (RowOp("insert", "b", row("b"), UNDEFINED),))
    assert [op[:2] for op in diff.next(third, told).ops] == [("delete", "a"), ("insert", "c")]
    assert [op[:2] for op in diff.next(second, told).ops] == [("delete", "c"), ("insert", "a"), ("insert", "b")]


def test_changes_of_an_update_to_the_same_are_silent():
    """As they would be if lists were compared."""
    shown, seen = Shown(), Recorder()
    shown.live.pipe(lops.changes()).subscribe(seen)
    shown.data([row("a")])
    shown.delta("update", "a")
    assert len(seen.values) == 1


def test_changes_for_a_late_observer_begin_with_all_rows():
    """It was not there for the delta, and is told the next one."""
    shown, late = Shown(), Recorder()
    shown.live.subscribe(lambda value: None)
    shown.data([row("a")])
    shown.delta("insert", "b")
    shown.live.pipe(lops.changes()).subscribe(late)
    shown.delta("delete", "a")
    assert [(len(each.added), each.is_reset) for each in late.values] == [(2, True), (0, False)]
    assert fold(late.values) == {"b": row("b")}


def test_changes_of_a_live_query_that_are_no_longer_unique_fail():
    """The server may send rows that share another field."""
    shown, seen = Shown(), Recorder()
    shown.live.pipe(lops.changes("n")).subscribe(seen)
    shown.data([row("a", 1)])
    shown.delta("insert", "b", n=1)
    assert "two rows have the key 1" in str(seen.errors[0])


def test_changes_caused_by_an_observer_of_changes_come_in_order():
    """Another delta arrives while the first is told."""
    shown = Shown()
    acting = Acting(lambda each: shown.delta("delete", "b") if each.added == [row("b")] else None)
    after = Recorder()
    shown.live.pipe(lops.changes()).subscribe(acting)
    shown.live.pipe(lops.changes()).subscribe(after)
    shown.data([row("a")])
    shown.delta("insert", "b")
    assert fold(acting.values) == fold(after.values) == {"a": row("a")}
    assert len(after.values) == 3


STEPS = st.one_of(
    st.tuples(st.just("data"), st.lists(st.builds(row, st.sampled_from("abcd"), st.integers(0, 2)), max_size=4)),
    st.tuples(st.sampled_from(["insert", "update", "delete"]), st.sampled_from("abcd"), st.integers(0, 2)),
    st.tuples(st.sampled_from(["push", "roll_back", "attach"])),
)


@given(steps=st.lists(STEPS, max_size=25), paged=st.booleans(), key=st.sampled_from(["_id", lambda each: each["_id"]]))
def test_changes_told_by_the_server_fold_to_what_is_shown(steps, paged, key):
    """Deltas, whole lists, layers and observers that come at any time, against comparing each list."""
    shown, seen = Shown(), []
    for step in [("data", []), ("attach",), *steps]:
        match step:
            case ("data", rows):
                unique = list({each["_id"]: each for each in rows}.values())
                shown.data({"page": unique} if paged else unique)
            case (op, name, n):
                shown.delta(op, name, n=n)
            case ("attach",):
                seen.append((Recorder(), Recorder()))
                shown.live.pipe(lops.changes(key)).subscribe(seen[-1][0])
                compared(shown.live, key).subscribe(seen[-1][1])
            case (name,):
                getattr(shown, name)()
        value = shown.result.shown
        rows = {each["_id"]: each for each in (value["page"] if paged else value)}
        for fast, slow in seen:
            assert not fast.errors
            assert fold(fast.values) == fold(slow.values) == rows
            assert [len(each.ops) for each in fast.values] == [len(each.ops) for each in slow.values]


def test_changes_of_a_shape_are_its_own():
    """A poke is passed on as it is, by another key as changes by that; no list is made."""
    played = Played()
    shape, own, seen, by_number = played.shape(), Recorder(), Recorder(), Recorder()
    shape.changes.subscribe(own)
    shape.pipe(lops.changes()).subscribe(seen)
    shape.pipe(lops.changes("n")).subscribe(by_number)
    for n in (1, 1, 2):
        played.poke(put("a", row("a", n)))
    assert [each is ours for each, ours in zip(own.values, seen.values, strict=True)] == [True, True, True]
    assert [[op[:2] for op in each.ops] for each in by_number.values] == [
        [("insert", 1)],
        [("delete", 1), ("insert", 2)],
    ]


def test_row_of_a_shape_is_followed_by_its_pokes():
    """A poke about another row tells nothing."""
    played, seen = Played(), Recorder()
    played.shape().pipe(lops.row("a")).subscribe(seen)
    played.poke(put("b", row("b")))
    played.poke(put("a", row("a")))
    played.poke(put("b", row("b", 1)))
    assert seen.values == [None, row("a")]


async def test_changes_of_a_live_query_that_follows_its_arguments(server, client, monkeypatch):
    """Deltas of the query followed now are told; another query's list is compared."""
    seen, arguments = Recorder(), BehaviorSubject({"room": 1})
    client.live("a:b", arguments).pipe(lops.changes()).subscribe(seen)
    socket, first = await server.subscribed()
    await socket.push("data", id=first, data=[row("a"), row("b")])
    with monkeypatch.context() as patched:
        patched.setattr(RowDiff, "_compare", None)
        await socket.push("delta", id=first, delta={"op": "delete", "key": "a", "table": "t"})
    arguments.on_next({"room": 2})
    second = await socket.subscription()
    await socket.push("data", id=second, data=[row("b"), row("c")])
    assert [(len(each.added), len(each.removed), each.is_reset) for each in seen.values] == [
        (2, 0, True),
        (0, 1, False),
        (1, 0, False),
    ]


async def test_changes_go_on_over_a_lost_connection(server, client):
    """The resumed value is no news, and the delta after it is told."""
    seen = Recorder()
    client.live("a:b").pipe(lops.changes()).subscribe(seen)
    socket, sub = await server.subscribed()
    await socket.push("data", id=sub, data=[row("a")], cursor=1, epoch="e")
    socket.cut()
    socket, sub = await server.subscribed()
    await socket.push("resume", id=sub, cursor=1, epoch="e")
    await socket.push("delta", id=sub, delta={"op": "insert", "key": "b", "table": "t", "row": row("b")}, cursor=2)
    assert [each.added for each in seen.values] == [[row("a")], [row("b")]]


def test_changes_hold_on_to_nothing_after_they_were_disposed():
    """The source is let go of."""
    source = Counted()
    source.pipe(lops.changes()).subscribe().dispose()
    assert (source.subscriptions, source.watching) == (1, 0)
