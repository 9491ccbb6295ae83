"""Shapes, from the observer's side: a core that the test pokes, and no client around it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any
from weakref import ref

import pytest
from reactivex import Observable
from reactivex import operators as ops

from lunora_rx.core.shape_events import RowsChanged, ShapeEvent
from lunora_rx.core.shapes import Shapes as CoreShapes
from lunora_rx.core.snapshot import Snapshot, SnapshotStatus
from lunora_rx.errors import ClientClosedError, CodecError, ServerError
from lunora_rx.protocol.text import may_hold_tag, parse
from lunora_rx.protocol.values import UNDEFINED
from lunora_rx.protocol.wire import TAG
from lunora_rx.rx.observers import DebugReport
from lunora_rx.rx.shape import RowChanges, RowOp, Shape, Shapes
from tests.core.play import frame, parsed
from tests.support import Recorder, turn

A, B, C = {"_id": "a"}, {"_id": "b"}, {"_id": "c"}


def put(key: str, value: Any) -> dict[str, Any]:
    return {"op": "insert", "key": key, "table": "t", "value": value}


def inserted(**rows: Any) -> tuple[RowOp[Any], ...]:
    return tuple(RowOp("insert", key, row, UNDEFINED) for key, row in rows.items())


class Played:
    """What shapes ask for, answered by a core of their own.

    Attributes:
        shapes: The shapes under test.
        sent: What was sent, as types and ids.
        reported: What observers raised.
        held: Callbacks of other threads, while ``is_elsewhere``.
    """

    def __init__(self, *, inspects: bool = False) -> None:
        numbers = itertools.count(1)
        self.events: list[ShapeEvent] = []
        self.core = CoreShapes(lambda: f"shape_{next(numbers)}", emit=self.events.append, send=self._send)
        self.sent: list[tuple[str, str]] = []
        self.reported: list[Exception] = []
        self.held: list[Callable[[], None]] = []
        self.is_elsewhere = False
        self.refusal: Exception | None = None
        report = DebugReport(self.reported.append, lambda what: None) if inspects else self.reported.append
        self.shapes = Shapes(self, report)
        self._poke_ids = itertools.count(1)

    def enter(self, what: str) -> None:
        if self.refusal is not None:
            raise self.refusal

    def call_on_loop(self, callback: Callable[[], None]) -> None:
        self.held.append(callback) if self.is_elsewhere else callback()

    def subscribe_shape(self, name: str, args: Any, shard: str) -> str:
        return self.core.subscribe(name, args)

    def unsubscribe_shape(self, shape_id: str, shard: str) -> None:
        self.core.unsubscribe(shape_id)

    def shape(self, name: str = "open", shard: str = "") -> Shape[Any]:
        return self.shapes.shape(name, UNDEFINED, shard)

    def poke(self, *patch: Any, shape_id: str = "shape_1", start: Any = None, end: Any = None, **part: Any) -> None:
        """Play a poke of one part, and tell what came of it."""
        poke_id = next(self._poke_ids)
        self._receive("pokeStart", pokeId=poke_id, **(start or {}))
        self._receive("pokePart", pokeId=poke_id, shapeId=shape_id, rowsPatch=list(patch), **part)
        self._receive("pokeEnd", pokeId=poke_id, **(end or {}))
        self.drain()

    def fail(self, message: str = "no", shape_id: str = "shape_1") -> None:
        self.core.receive_error(shape_id, ServerError(message, code="FORBIDDEN"))
        self.drain()

    def drain(self) -> None:
        """Tell what happened; what that causes is told after it."""
        for event in self.events:
            self.shapes.publish(event)
        self.events.clear()

    def _receive(self, kind: str, **body: Any) -> None:
        text = frame(kind, **body)
        self.core.handlers[kind](parse(text), may_hold_tag(text))  # type: ignore[arg-type]

    def _send(self, text: str) -> bool:
        sent = parsed(text)
        self.sent.append((sent["type"], sent["id"]))
        return True


@pytest.fixture
def played() -> Played:
    return Played()


def watch(stream: Observable[Any]) -> Recorder:
    """Subscribe a recorder to a stream."""
    seen = Recorder()
    stream.subscribe(seen)
    return seen


def test_shape_is_asked_for_by_its_first_observer_and_released_by_its_last(played):
    """Of whichever stream; a handle disposed twice counts once."""
    shape = played.shape()
    assert played.sent == []
    handles = [each.subscribe(print) for each in (shape.snapshots.pipe(ops.skip(1)), shape, shape.changes)]
    assert played.sent == [("shape_subscribe", "shape_1")]
    for handle in (handles[0], handles[0], handles[1], handles[0]):
        handle.dispose()
    assert len(played.sent) == 1
    handles[2].dispose()
    assert played.sent[1:] == [("shape_unsubscribe", "shape_1")]
    assert len(played.shapes) == 0


def test_shape_objects_are_subscriptions_of_their_own(played):
    """Even of the same name and arguments."""
    first, second = watch(played.shape()), watch(played.shape())
    played.poke(put("a", A), shape_id="shape_2")
    assert (first.values, second.values) == ([], [[A]])


def test_shape_emits_a_list_a_poke(played):
    """The first is that of the first poke, even of no rows; a list that was given out never changes."""
    seen = watch(played.shape())
    assert seen.values == []
    for patch in ([], [put("a", A), put("b", B)], [put("b", C), {"op": "delete", "key": "a"}], []):
        played.poke(*patch)
    assert seen.values == [[], [A, B], [C]]


def test_shape_late_observer_gets_the_list_at_once(played):
    """The same list as everybody."""
    shape = played.shape()
    first = watch(shape)
    played.poke(put("a", A))
    late = watch(shape)
    assert late.values == [[A]]
    assert late.last is first.last
    assert shape.value is first.last


def test_shape_builds_no_list_that_nobody_looks_at(played, monkeypatch):
    """Observing changes costs what changed; one who looks pays once a poke."""
    shape = played.shape()
    changes = watch(shape.changes)
    built = []
    monkeypatch.setattr("lunora_rx.rx.shape.list", lambda rows: built.append(1) or [*rows], raising=False)
    played.poke(put("a", A))
    played.poke(put("b", B))
    assert (len(changes.values), built) == (2, [])
    assert (shape.value, watch(shape).last, watch(shape).last) == ([A, B], [A, B], [A, B])
    assert built == [1]


def test_changes_are_the_operations_as_applied(played):
    """The mapping already holds them when they are told."""
    shape, at_the_time = played.shape(), []
    changes = Recorder()
    shape.changes.pipe(ops.do_action(lambda change: at_the_time.append(dict(shape.rows)))).subscribe(changes)
    played.poke(put("a", A), put("b", B))
    played.poke(put("a", C), {"op": "delete", "key": "b"}, {"op": "delete", "key": "nobody"})
    updated, deleted = RowOp("update", "a", C, A), RowOp("delete", "b", UNDEFINED, B)
    assert changes.values == [RowChanges(inserted(a=A, b=B)), RowChanges((updated, deleted))]
    assert at_the_time == [{"a": A, "b": B}, {"a": C}]


def test_changes_late_observer_is_seeded(played):
    """With all present rows as inserts over nothing, even if there are none; before the first poke with nothing."""
    shape = played.shape()
    early = watch(shape.changes)
    assert early.values == []
    played.poke()
    assert watch(shape.changes).values == [RowChanges((), is_reset=True)]
    played.poke(put("b", B), put("a", A))
    assert watch(shape.changes).values == [RowChanges(inserted(b=B, a=A), is_reset=True)]
    assert early.values == [RowChanges(()), RowChanges(inserted(b=B, a=A))]


def test_changes_tell_a_server_that_starts_over(played):
    """A reset is told with all its rows, a gap with none until the seed comes."""
    shape = played.shape()
    changes, lists, snapshots = watch(shape.changes), watch(shape), watch(shape.snapshots)
    played.poke(put("a", A), put("b", B), end={"checkpoint": 1})
    played.poke(put("c", C), start={"baseCheckpoint": 7})
    assert played.sent == [("shape_subscribe", "shape_1")] * 2
    played.poke(put("b", B), reset=True)
    assert changes.values[1:] == [RowChanges((), is_reset=True), RowChanges(inserted(b=B), is_reset=True)]
    assert lists.values == [[A, B], [], [B]]
    assert [str(each.status) for each in snapshots.values] == ["pending", "live", "stale", "live"]


def test_rows_is_one_read_only_mapping(played):
    """It lives as long as the shape, in the server's order, and is empty while nobody watches."""
    shape = played.shape()
    rows = shape.rows
    handle = shape.changes.subscribe(print)
    played.poke(put("b", B), put("a", A))
    assert list(rows.items()) == [("b", B), ("a", A)]
    with pytest.raises(TypeError):
        rows["c"] = C
    handle.dispose()
    assert (dict(rows), shape.value) == ({}, UNDEFINED)
    watch(shape)
    played.poke(put("c", C), shape_id="shape_2")
    assert rows == {"c": C}


def test_snapshots_go_on_through_a_lost_socket(played):
    """The present one comes first; a lost connection is no error, and the rows stay."""
    shape = played.shape()
    seen, lists = watch(shape.snapshots), watch(shape)
    played.poke(put("a", A), end={"checkpoint": 1})
    played.core.forget_socket()
    played.drain()
    played.poke(start={"baseCheckpoint": 1}, end={"checkpoint": 2})
    played.poke(start={"baseCheckpoint": 2}, end={"checkpoint": 3})
    assert [(str(each.status), each.value) for each in seen.values] == [
        ("pending", UNDEFINED),
        ("live", [A]),
        ("stale", [A]),
        ("live", [A]),
    ]
    assert (seen.values[0].updated_at, lists.values, lists.errors) == (None, [[A]], [])
    assert seen.last.updated_at.tzinfo is not None
    assert shape.snapshot == seen.last


def test_error_ends_lists_and_changes_of_that_moment(played):
    """Each with an exception of its own; snapshots carry it as data and go on."""
    shape = played.shape()
    lists, changes, snapshots = watch(shape), watch(shape.changes), watch(shape.snapshots)
    played.poke(put("a", A))
    played.fail()
    assert [str(each) for each in lists.errors + changes.errors] == ["FORBIDDEN: no"] * 2
    assert lists.errors[0] is not changes.errors[0]
    assert (snapshots.last.status, snapshots.last.error.code, snapshots.last.value) == (
        SnapshotStatus.FAILED,
        "FORBIDDEN",
        [A],
    )
    late = watch(shape)
    played.poke(put("b", B))
    assert (late.values, late.errors, lists.values) == ([[A], [A, B]], [], [[A]])
    assert (snapshots.last.status, snapshots.last.error, snapshots.errors) == (SnapshotStatus.LIVE, None, [])


def test_error_spares_an_observer_that_comes_while_it_is_told(played):
    """A snapshot observer that subscribes anew on a failure does not get that same failure."""
    shape, late = played.shape(), Recorder()

    def on_snapshot(snapshot):
        if snapshot.status is SnapshotStatus.FAILED:
            shape.subscribe(late)

    shape.snapshots.subscribe(on_snapshot)
    played.poke(put("a", A))
    played.fail()
    assert (late.values, late.errors) == ([[A]], [])


def test_rows_that_cannot_be_read_end_the_streams_and_stay(played):
    """The error says so; the rows shown are known to be behind."""
    shape = played.shape()
    lists, snapshots = watch(shape), watch(shape.snapshots)
    played.poke(put("a", A))
    played.poke(put("b", [TAG, "bigint", "x"]))
    assert isinstance(lists.errors[0], CodecError)
    assert (lists.errors[0].code, snapshots.last.status) == ("WIRE_DECODE_FAILED", SnapshotStatus.STALE)
    assert shape.rows == {"a": A}


def test_retry_leaves_and_comes_back_as_another_subscription(played):
    """The only observer gives the shape up in failing, and asks for it anew in the same step."""
    seen = watch(played.shape().pipe(ops.retry(2)))
    played.poke(put("a", A))
    played.fail()
    assert [kind for kind, _ in played.sent] == ["shape_subscribe", "shape_unsubscribe", "shape_subscribe"]
    played.poke(put("z", A), shape_id="shape_1")
    played.poke(put("b", B), shape_id="shape_2")
    assert (seen.values, seen.errors) == ([[A], [B]], [])


def test_somebody_else_signed_in_takes_the_rows_off_the_screen(played):
    """Observers are told that they are gone, and later ones nothing until the answer."""
    shape = played.shape()
    lists, changes, snapshots = watch(shape), watch(shape.changes), watch(shape.snapshots)
    played.poke(put("a", A))
    played.core.forget_values()
    played.drain()
    late = watch(shape)
    assert (lists.values, changes.last, late.values) == ([[A], []], RowChanges((), is_reset=True), [])
    assert (snapshots.last.status, snapshots.last.value, shape.value) == (SnapshotStatus.PENDING, UNDEFINED, UNDEFINED)
    played.poke()
    assert (lists.values, late.values) == ([[A], [], []], [[]])


def test_observer_that_comes_during_a_delivery_is_shown_the_new_rows_once(played):
    """Be it of the same shape or of another of the same poke, whose event is still to come."""
    first, second = played.shape(), played.shape()
    late_first, late_second = Recorder(), Recorder()
    first.changes.pipe(ops.take(1)).subscribe(lambda change: first.changes.subscribe(late_first))
    first.changes.pipe(ops.take(1)).subscribe(lambda change: second.changes.subscribe(late_second))
    watch(second)
    played._receive("pokeStart", pokeId="p")
    for shape_id in ("shape_1", "shape_2"):
        played._receive("pokePart", pokeId="p", shapeId=shape_id, rowsPatch=[put("a", A)])
    played._receive("pokeEnd", pokeId="p")
    played.drain()
    assert late_first.values == [RowChanges(inserted(a=A), is_reset=True)]
    assert late_second.values == [RowChanges(inserted(a=A))]


@pytest.mark.parametrize("stream", ["lists", "snapshots"])
def test_observer_that_causes_a_poke_is_told_of_it_afterwards(played, stream):
    """Neither lost nor before what it is looking at."""
    shape, seen = played.shape(), []

    def on_next(shown):
        seen.append(shown if stream == "lists" else shown.value)
        if len(seen) == 1:
            played.poke(put("b", B))
            assert len(seen) == 1

    if stream == "lists":
        watch(shape.changes)
        played.poke(put("a", A))
    (shape if stream == "lists" else shape.snapshots).subscribe(on_next)
    assert seen == ([[A], [A, B]] if stream == "lists" else [UNDEFINED, [B]])
    assert played.reported == []


def test_observer_that_leaves_and_comes_back_is_not_told_what_waited(played):
    """It was about the former subscription."""
    shape, seen, handles = played.shape(), Recorder(), []

    def on_change(change):
        played.poke(put("b", B))
        handles.pop().dispose()
        shape.changes.subscribe(seen)

    handles.append(shape.changes.subscribe(on_change))
    played.poke(put("a", A))
    assert (seen.values, played.reported) == ([], [])
    played.poke(put("c", C), shape_id="shape_2")
    assert seen.values == [RowChanges(inserted(c=C))]


def test_shape_that_nobody_watches_any_more_keeps_nothing(played):
    """Neither rows, nor what became of them."""
    shape, row = played.shape(), Recorder()
    watched = ref(row)
    handle = shape.subscribe(lambda rows: None)
    played.shapes.publish(RowsChanged("shape_1", inserted(a=row), False, SnapshotStatus.LIVE, 1, 0))
    assert shape.value == [row]
    del row
    handle.dispose()
    assert (shape.snapshot, watched()) == (Snapshot(), None)


def test_observer_that_raises_harms_nobody(played):
    """It is reported."""
    shape = played.shape()
    shape.changes.subscribe(lambda change: 1 / 0)
    seen = watch(shape.changes)
    played.poke(put("a", A))
    assert (len(seen.values), [type(each) for each in played.reported]) == (1, [ZeroDivisionError])


@pytest.mark.parametrize("stream", ["lists", "changes", "snapshots"])
def test_observer_that_changes_shared_rows_is_found(stream):
    """Where the client is asked to look for it."""
    played = Played(inspects=True)
    shape = played.shape()

    def spoil(shown):
        {
            "lists": lambda: shown.clear(),
            "changes": lambda: shown.ops[0].row.clear(),
            "snapshots": lambda: shown.value.clear(),
        }[stream]()

    skipped = shape.snapshots.pipe(ops.skip(1))
    {"lists": shape, "changes": shape.changes, "snapshots": skipped}[stream].subscribe(spoil)
    played.poke(put("a", dict(A)))
    assert [type(each) for each in played.reported] == [RuntimeError]


def test_complete_ends_every_stream_and_later_ones_at_once(played):
    """Without an error; a shape of a client that is over is empty, and gives nothing up."""
    shape = played.shape()
    seen = [watch(each) for each in (shape, shape.changes, shape.snapshots)]
    played.shapes.complete()
    seen += [watch(each) for each in (shape, shape.changes, shape.snapshots)]
    assert [(each.completions, each.errors) for each in seen] == [(1, [])] * 6
    assert played.sent == [("shape_subscribe", "shape_1")]


def test_subscribing_where_it_is_not_allowed_fails_and_counts_nobody(played):
    """The next one is the first."""
    shape = played.shape()
    played.refusal = RuntimeError("needs a running event loop")
    for stream in (shape, shape.changes, shape.snapshots):
        assert watch(stream).errors == [played.refusal]
    played.refusal = None
    watch(shape)
    assert played.sent == [("shape_subscribe", "shape_1")]


def test_disposed_elsewhere_leaves_on_the_loop(played):
    """A handle may be disposed on any thread."""
    handle = played.shape().subscribe(print)
    played.is_elsewhere = True
    handle.dispose()
    assert len(played.sent) == 1
    played.held.pop()()
    assert played.sent[1:] == [("shape_unsubscribe", "shape_1")]


async def test_shape_awaited_itself_names_what_to_await(played):
    """A shape has no last value."""
    with pytest.raises(TypeError, match=r"shape\.first\(\)"):
        await played.shape()


async def test_first_gives_the_first_list_that_fits_and_leaves(played):
    """It is an Observable, too."""
    shape = played.shape()
    first = watch(shape.first(lambda rows: len(rows) > 1))
    played.poke(put("a", A))
    played.poke(put("b", B))
    assert (first.values, first.completions) == ([[A, B]], 1)
    assert played.sent[1:] == [("shape_unsubscribe", "shape_1")]
    watch(shape)
    played.poke(put("a", A), shape_id="shape_2")
    assert await shape.first() == [A]


async def test_first_of_a_client_that_is_over_says_so(played):
    """An awaited value that never comes is an error."""
    played.shapes.complete()
    with pytest.raises(ClientClosedError):
        await played.shape().first()


async def test_aiter_sees_the_newest_list(played):
    """A loop that is slow sees no backlog, unless it wants one."""
    shape = played.shape()
    iterators = shape.aiter(), shape.aiter(conflate=False)
    watch(shape)
    played.poke(put("a", A))
    assert [await anext(each) for each in iterators] == [[A], [A]]
    played.poke(put("b", B))
    played.poke(put("c", C))
    assert [await anext(each) for each in iterators] == [[A, B, C], [A, B]]
    for each in iterators:
        await each.aclose()
    await turn()


def test_repr_names_shape_status_and_number_of_rows(played):
    """And no row."""
    shape = played.shape(shard="room")
    assert repr(shape) == "<Shape 'open', shard='room' pending rows=0>"
    watch(shape)
    played.poke(put("a", A))
    assert repr(shape) == "<Shape 'open', shard='room' live rows=1>"


def test_names_of_a_shape_hide_no_method_of_an_observable(played):
    """But ``first``, which can be awaited."""
    own = {name for name in vars(Shape) if not name.startswith("_")}
    assert own & set(dir(Observable)) == {"first"}
    assert not {"_attach", "_attach_changes", "_attach_snapshots", "_leaver"} & set(dir(Observable()))
    assert not set(vars(played.shape())) - set(vars(Observable())) & set(dir(Observable))
