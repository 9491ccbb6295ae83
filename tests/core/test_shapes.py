"""Shapes, played frame by frame; and any shape of pokes against a server that is plainly right."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from lunora_rx.core import shapes as shapes_module
from lunora_rx.core.shape_events import RowOp, RowsChanged, ShapeEvent, ShapeFailed, ShapeMoved
from lunora_rx.core.shapes import MAX_POKES, Shapes
from lunora_rx.core.snapshot import SnapshotStatus
from lunora_rx.errors import CodecError, ProtocolError, ServerError
from lunora_rx.protocol.text import may_hold_tag, parse
from lunora_rx.protocol.values import UNDEFINED, WireBigInt
from lunora_rx.protocol.wire import TAG
from tests.core.play import frame, parsed

PENDING, LIVE, STALE, FAILED = SnapshotStatus
A, B = {"_id": "a"}, {"_id": "b"}
BAD = [TAG, "bigint", "x"]


def put(key: str, value: Any = UNDEFINED, op: str = "insert") -> dict[str, Any]:
    """Return an operation of a patch; without a value it has none."""
    named = {"op": op, "key": key, "table": "t"}
    return named if value is UNDEFINED else {**named, "value": value}


def drop(key: str) -> dict[str, Any]:
    """Return an operation that deletes a row."""
    return {"op": "delete", "key": key, "table": "t"}


class PlayedShapes:
    """Shapes with a socket that can be shut, and what was sent and told.

    Attributes:
        shapes: The part under test.
        is_open: Whether the socket takes frames.
    """

    def __init__(self, *, is_open: bool = True, frame_size: Callable[[], int] = lambda: 0) -> None:
        self.is_open = is_open
        self._sent: list[str] = []
        self._events: list[ShapeEvent] = []
        self._poke_ids = itertools.count(1)
        numbers = itertools.count(1)
        self.shapes = Shapes(
            lambda: f"shape_{next(numbers)}", emit=self._events.append, send=self._send, frame_size=frame_size
        )

    def sent(self) -> list[dict[str, Any]]:
        """Take what was sent."""
        taken, self._sent = self._sent, []
        return [parsed(text) for text in taken]

    def events(self) -> list[ShapeEvent]:
        """Take what was told."""
        taken = self._events.copy()
        self._events.clear()
        return taken

    def receive(self, kind: str, **body: Any) -> list[ShapeEvent]:
        """Hand in a frame of the server, through its text."""
        text = frame(kind, **body)
        self.shapes.handlers[kind](parse(text), may_hold_tag(text))  # type: ignore[arg-type]
        return self.events()

    def poke(
        self,
        *ops: Any,
        shape_id: str = "shape_1",
        start: dict[str, Any] | None = None,
        end: dict[str, Any] | None = None,
        **part: Any,
    ) -> list[ShapeEvent]:
        """Play a poke of one part."""
        poke_id = next(self._poke_ids)
        self.receive("pokeStart", pokeId=poke_id, **(start or {}))
        self.receive("pokePart", pokeId=poke_id, shapeId=shape_id, rowsPatch=list(ops), **part)
        return self.receive("pokeEnd", pokeId=poke_id, **(end or {}))

    def reopen(self) -> list[dict[str, Any]]:
        """Lose the socket and open another; return what it is told first."""
        self.shapes.forget_socket()
        self.is_open = True
        return [parsed(text) for text in self.shapes.frames_on_open()]

    def rows(self, shape_id: str = "shape_1") -> dict[str, Any]:
        """Return the rows of a shape."""
        shape = self.shapes.find(shape_id)
        assert shape is not None
        return shape.rows

    def _send(self, text: str) -> bool:
        if self.is_open:
            self._sent.append(text)
        return self.is_open


@pytest.fixture
def played() -> PlayedShapes:
    """An open socket and one shape, shape_1, asked for and not answered."""
    played = PlayedShapes()
    played.shapes.subscribe("open", {"owner": "u"})
    played.sent()
    return played


@pytest.fixture
def seeded(played) -> PlayedShapes:
    """The same, seeded with rows a and b at checkpoint c1 of epoch e1."""
    played.poke(put("a", A), put("b", B), reset=True, end={"checkpoint": "c1", "epoch": "e1"})
    return played


def test_subscribe_on_an_open_socket_is_sent_at_once():
    """Each is a subscription of its own, with an id of its own; arguments that are not given are absent."""
    played = PlayedShapes()
    assert [played.shapes.subscribe("open", {"n": 1}), played.shapes.subscribe("open")] == ["shape_1", "shape_2"]
    assert played.sent() == [
        {"type": "shape_subscribe", "id": "shape_1", "shape": {"name": "open", "args": {"n": 1}}},
        {"type": "shape_subscribe", "id": "shape_2", "shape": {"name": "open"}},
    ]
    assert played.events() == []


def test_subscribe_without_a_socket_waits_for_one():
    """What is released before it was ever sent leaves no trace."""
    played = PlayedShapes(is_open=False)
    first, second = played.shapes.subscribe("one"), played.shapes.subscribe("two")
    played.shapes.unsubscribe(first)
    assert [(each["type"], each["id"]) for each in played.reopen()] == [("shape_subscribe", second)]


def test_subscribe_with_arguments_that_no_frame_can_hold_leaves_nothing_behind():
    """Else every later opening would fail of them."""
    played = PlayedShapes()
    with pytest.raises(CodecError):
        played.shapes.subscribe("open", {"text": "\ud800"})
    assert not played.shapes.is_needed


def test_unsubscribe_is_sent_once():
    """One that is over is over."""
    played = PlayedShapes()
    shape_id = played.shapes.subscribe("open")
    played.sent()
    played.shapes.unsubscribe(shape_id)
    played.shapes.unsubscribe(shape_id)
    assert played.sent() == [{"type": "shape_unsubscribe", "id": shape_id}]


def test_unsubscribe_without_a_socket_waits_where_a_server_was_asked(played):
    """It comes after the subscriptions, once."""
    played.shapes.subscribe("other")
    played.is_open = False
    played.shapes.unsubscribe("shape_1")
    assert [(each["type"], each["id"]) for each in played.reopen()] == [
        ("shape_subscribe", "shape_2"),
    ]
    (text,) = played.shapes.take_unsubscribes()
    assert (parsed(text)["type"], parsed(text)["id"]) == ("shape_unsubscribe", "shape_1")
    assert played.shapes.take_unsubscribes() == []


def test_unsubscribe_of_what_an_opening_asked_for_is_told(played):
    """What was asked for by an opening alone counts as sent."""
    late = PlayedShapes(is_open=False)
    late.shapes.subscribe("open")
    late.reopen()
    late.shapes.unsubscribe("shape_1")
    assert late.sent() == [{"type": "shape_unsubscribe", "id": "shape_1"}]


def test_is_needed_while_there_is_a_shape(played):
    """That is what keeps the socket."""
    assert played.shapes.is_needed
    played.shapes.unsubscribe("shape_1")
    assert not played.shapes.is_needed


def test_nothing_is_told_before_the_poke_ends(played):
    """Neither an event nor a row."""
    assert played.receive("pokeStart", pokeId=1) == []
    assert played.receive("pokePart", pokeId=1, shapeId="shape_1", rowsPatch=[put("a", A)]) == []
    assert played.rows() == {}
    (event,) = played.receive("pokeEnd", pokeId=1, checkpoint=3, epoch="e")
    assert event == RowsChanged("shape_1", (RowOp("insert", "a", A, UNDEFINED),), False, LIVE, 3, 0)
    assert played.receive("pokeEnd", pokeId=1, checkpoint=9) == []


def test_first_poke_of_no_rows_is_told(played):
    """That a shape is empty is an answer; it is no news the second time."""
    assert played.poke(end={"checkpoint": 1}) == [RowsChanged("shape_1", (), False, LIVE, 1, 0)]
    assert played.poke(end={"checkpoint": 1}) == []


def test_operations_are_told_as_applied(seeded):
    """An update keeps its place; what does nothing is not among them."""
    newer = {"_id": "a", "n": 2}
    (event,) = seeded.poke(
        put("a", newer, "update"),
        drop("b"),
        drop("nobody"),
        put("c", A),
        put("a"),
        put("b", B, "update"),
        put("d", None),
    )
    assert event.ops == (
        RowOp("update", "a", newer, A),
        RowOp("delete", "b", UNDEFINED, B),
        RowOp("insert", "c", A, UNDEFINED),
        RowOp("insert", "b", B, UNDEFINED),
        RowOp("insert", "d", None, UNDEFINED),
    )
    assert list(seeded.rows().items()) == [("a", newer), ("c", A), ("b", B), ("d", None)]


def test_insert_of_a_key_that_is_there_is_applied_as_an_update(seeded):
    """Whoever mirrors the rows is told what happened, not what was asked for."""
    (event,) = seeded.poke(put("a", B))
    assert event.ops == (RowOp("update", "a", B, A),)
    assert list(seeded.rows()) == ["a", "b"]


def test_poke_that_moves_the_checkpoint_alone_tells_of_no_rows(seeded):
    """The position is told, and resumed from; a poke that moves nothing is not told."""
    start = {"baseCheckpoint": "c1"}
    moved = ShapeMoved("shape_1", LIVE, "c2", 0)
    assert seeded.poke(drop("nobody"), start=start, end={"checkpoint": "c2"}) == [moved]
    assert seeded.poke() == []
    (asked,) = seeded.reopen()
    assert (asked["sinceCheckpoint"], asked["sinceEpoch"]) == ("c2", "e1")


def test_last_mutation_id_is_the_highest(seeded):
    """Of all parts and all pokes."""
    seeded.receive("pokeStart", pokeId=50)
    for mutation in (7, 5, None):
        part = {} if mutation is None else {"lastMutationId": mutation}
        seeded.receive("pokePart", pokeId=50, shapeId="shape_1", rowsPatch=[], **part)
    assert seeded.receive("pokeEnd", pokeId=50) == [ShapeMoved("shape_1", LIVE, "c1", 7)]
    (event,) = seeded.poke(drop("a"), lastMutationId=6)
    assert event.last_mutation_id == 7


def test_values_are_decoded(played):
    """Rows go through the codec; one that decodes to nothing has no value."""
    (event,) = played.poke(put("a", {"n": [TAG, "bigint", "5"]}), put("b", [TAG, "undefined"]), put("c"))
    assert event.ops == (RowOp("insert", "a", {"n": WireBigInt(5)}, UNDEFINED),)


@pytest.mark.parametrize(
    "bad",
    [
        put("b", BAD),
        {**drop("a"), "value": BAD},
        "text",
        {"op": "rename", "key": "a"},
        {"op": ["insert"], "key": "a"},
        {"op": "insert", "key": 1, "value": 1},
        {"op": "insert", "value": "canary"},
    ],
)
def test_slice_that_cannot_be_read_is_refused_whole(seeded, bad):
    """Rows, checkpoint and epoch stay; other shapes of the same poke do not notice."""
    seeded.shapes.subscribe("other")
    seeded.receive("pokeStart", pokeId=70)
    seeded.receive("pokePart", pokeId=70, shapeId="shape_1", rowsPatch=[drop("a"), bad], reset=True)
    seeded.receive("pokePart", pokeId=70, shapeId="shape_2", rowsPatch=[put("a", A)])
    failed, changed = seeded.receive("pokeEnd", pokeId=70, checkpoint="c9", epoch="e9")
    assert isinstance(failed, ShapeFailed)
    assert isinstance(failed.error, CodecError)
    assert (failed.shape_id, failed.status, failed.error.code) == ("shape_1", STALE, "WIRE_DECODE_FAILED")
    assert failed.error.path.startswith("rowsPatch[1]")
    assert "canary" not in str(failed.error)
    assert (changed.shape_id, changed.checkpoint) == ("shape_2", "c9")
    described = seeded.shapes.describe()["shape_1"]
    assert (seeded.rows(), described["checkpoint"], described["epoch"]) == ({"a": A, "b": B}, "c1", "e1")


def test_refused_slice_is_healed_by_the_next_that_fits(seeded):
    """The shape is live again, and told so even if no row changed."""
    seeded.poke(put("c", BAD), end={"checkpoint": "c2"})
    assert seeded.poke(start={"baseCheckpoint": "c1"}) == [ShapeMoved("shape_1", LIVE, "c1", 0)]
    assert seeded.shapes.describe()["shape_1"]["error"] is None


def test_refused_slice_is_a_gap_for_what_builds_on_it(seeded):
    """So the row that was missed is asked for."""
    seeded.poke(put("c", BAD), end={"checkpoint": "c2"})
    assert seeded.poke(put("d", A), start={"baseCheckpoint": "c2"}) == [
        RowsChanged("shape_1", (), True, STALE, None, 0)
    ]
    (asked,) = seeded.sent()
    assert (asked["id"], "sinceCheckpoint" in asked, "sinceEpoch" in asked) == ("shape_1", False, False)


def test_refused_seed_keeps_what_builds_on_it_from_being_taken_for_all(played):
    """Without a checkpoint no gap can be seen; what is not a seed waits for one, which the next socket brings."""
    (failed,) = played.poke(put("a", BAD), reset=True, end={"checkpoint": "c1"})
    assert isinstance(failed, ShapeFailed)
    assert played.poke(put("b", B), start={"baseCheckpoint": "c1"}, end={"checkpoint": "c2"}) == []
    (asked,) = played.reopen()
    assert "sinceCheckpoint" not in asked
    (event,) = played.poke(put("b", B), start={"baseCheckpoint": 0}, end={"checkpoint": "c2"})
    assert event.ops == (RowOp("insert", "b", B, UNDEFINED),)


@pytest.mark.parametrize(
    ("start", "part"),
    [
        ({"baseCheckpoint": "c0"}, {}),
        ({"baseCheckpoint": "c1"}, {"baseCheckpoint": "c0"}),
        ({"epoch": "e2"}, {}),
        ({"epoch": "e2", "baseCheckpoint": "c1"}, {}),
    ],
)
def test_gap_or_fork_empties_the_rows_and_asks_for_all(seeded, start, part):
    """Nothing of the poke is applied; the seed that answers heals."""
    emptied = RowsChanged("shape_1", (), True, STALE, None, 0)
    assert seeded.poke(put("c", A), start=start, end={"checkpoint": "c2", "epoch": "e2"}, **part) == [emptied]
    assert seeded.sent() == [
        {"type": "shape_subscribe", "id": "shape_1", "shape": {"name": "open", "args": {"owner": "u"}}}
    ]
    (event,) = seeded.poke(put("a", A), reset=True, end={"checkpoint": "c2", "epoch": "e2"})
    assert event == RowsChanged("shape_1", (RowOp("insert", "a", A, UNDEFINED),), True, LIVE, "c2", 0)


def test_gap_passes_over_what_the_server_sent_before_it_knew(seeded):
    """Rows over nothing would look like all there are, and their checkpoint would be resumed from for good."""
    seeded.poke(put("c", A), start={"baseCheckpoint": "c0"})
    seeded.sent()
    assert seeded.poke(put("d", A), start={"baseCheckpoint": "c2"}, end={"checkpoint": "c3"}) == []
    assert (seeded.rows(), seeded.sent()) == ({}, [])
    (event,) = seeded.poke(put("e", A), end={"checkpoint": "c4"})
    assert (event.status, event.checkpoint, seeded.rows()) == (LIVE, "c4", {"e": A})


@pytest.mark.parametrize(
    ("start", "part"),
    [({}, {}), ({"epoch": "e1"}, {}), ({"baseCheckpoint": "c0"}, {"baseCheckpoint": "c1"}), ({"epoch": None}, {})],
)
def test_poke_that_fits_or_does_not_say_is_applied(seeded, start, part):
    """An absent base disarms the check; a part's own base counts before the poke's."""
    (event,) = seeded.poke(put("c", A), start=start, **part)
    assert (event.is_reset, seeded.rows()) == (False, {"a": A, "b": B, "c": A})


def test_reset_is_the_complete_membership_even_across_epochs(seeded):
    """In whichever part it stands; nobody is asked again."""
    seeded.receive("pokeStart", pokeId=60, epoch="e2", baseCheckpoint="c7")
    seeded.receive("pokePart", pokeId=60, shapeId="shape_1", rowsPatch=[put("b", A)])
    seeded.receive("pokePart", pokeId=60, shapeId="shape_1", rowsPatch=[put("z", B)], reset=True)
    seeded.receive("pokePart", pokeId=60, shapeId="shape_1", rowsPatch=[], reset=False)
    (event,) = seeded.receive("pokeEnd", pokeId=60, checkpoint="c8", epoch="e2")
    inserted = (RowOp("insert", "b", A, UNDEFINED), RowOp("insert", "z", B, UNDEFINED))
    assert event == RowsChanged("shape_1", inserted, True, LIVE, "c8", 0)
    assert (list(seeded.rows()), seeded.sent()) == (["b", "z"], [])


def test_checkpoints_of_another_kind_are_others(played):
    """The text is opaque: ``"1"`` is not ``1``."""
    played.poke(put("a", A), end={"checkpoint": 1})
    (event,) = played.poke(start={"baseCheckpoint": "1"})
    assert event.is_reset


def test_pokes_interleave(played):
    """Each has its own buffer, and ids of another kind are other ids."""
    for poke_id, key in ((1, "a"), ("1", "b")):
        played.receive("pokeStart", pokeId=poke_id)
        played.receive("pokePart", pokeId=poke_id, shapeId="shape_1", rowsPatch=[put(key, A)])
    assert len(played.receive("pokeEnd", pokeId="1")) == 1
    assert played.rows() == {"b": A}
    assert len(played.receive("pokeEnd", pokeId=1)) == 1


def test_poke_that_starts_twice_starts_over(played):
    """What came before belongs to another poke of that number."""
    for key in ("a", "b"):
        played.receive("pokeStart", pokeId=1)
        played.receive("pokePart", pokeId=1, shapeId="shape_1", rowsPatch=[put(key, A)])
    played.receive("pokeEnd", pokeId=1)
    assert played.rows() == {"b": A}


def test_part_or_end_without_a_start_is_ignored(played):
    """Its start was lost, or evicted."""
    assert played.receive("pokePart", pokeId=1, shapeId="shape_1", rowsPatch=[put("a", A)]) == []
    assert played.receive("pokeEnd", pokeId=1, checkpoint=5) == []
    assert played.shapes.describe()["shape_1"]["checkpoint"] is None


def test_poke_for_a_shape_that_is_unknown_is_ignored(seeded):
    """It was given up before, or while the poke came in."""
    assert seeded.poke(put("a", A), shape_id="shape_9") == []
    seeded.receive("pokeStart", pokeId=60)
    seeded.receive("pokePart", pokeId=60, shapeId="shape_1", rowsPatch=[put("c", A)])
    seeded.shapes.unsubscribe("shape_1")
    assert seeded.receive("pokeEnd", pokeId=60) == []


def test_oldest_poke_is_evicted_beyond_the_bound(played):
    """A server that never ends them costs a bounded number of buffers."""
    for poke_id in range(MAX_POKES + 1):
        played.receive("pokeStart", pokeId=poke_id)
        played.receive("pokePart", pokeId=poke_id, shapeId="shape_1", rowsPatch=[put(str(poke_id), A)])
    assert played.receive("pokeEnd", pokeId=0) == []
    assert len(played.receive("pokeEnd", pokeId=1)) == 1


@pytest.mark.parametrize("kind", ["pokeStart", "pokePart", "pokeEnd"])
def test_malformed_frame_is_reported(played, kind):
    """The session ignores and counts it."""
    for poke_id in (None, [], {}, True, 7):
        with pytest.raises(ProtocolError):
            played.receive(kind, pokeId=poke_id, rowsPatch=5, checkpoint=[], epoch=[])


def test_malformed_part_keeps_its_slice_from_being_applied_in_part(seeded):
    """Whole or not at all: the shape that it names is refused, the others go on."""
    seeded.shapes.subscribe("other")
    seeded.receive("pokeStart", pokeId=60)
    for shape_id in ("shape_1", "shape_2"):
        seeded.receive("pokePart", pokeId=60, shapeId=shape_id, rowsPatch=[put("c", A)])
    with pytest.raises(ProtocolError):
        seeded.receive("pokePart", pokeId=60, shapeId="shape_1", rowsPatch="canary")
    failed, changed = seeded.receive("pokeEnd", pokeId=60, checkpoint="c2")
    assert isinstance(failed, ShapeFailed)
    assert (failed.shape_id, failed.error.code) == ("shape_1", "WIRE_DECODE_FAILED")
    assert (changed.shape_id, seeded.rows()) == ("shape_2", {"a": A, "b": B})


def test_malformed_part_of_no_shape_spoils_its_poke(seeded):
    """Whose rows are missing cannot be told, so nobody's are applied."""
    seeded.receive("pokeStart", pokeId=60)
    seeded.receive("pokePart", pokeId=60, shapeId="shape_1", rowsPatch=[put("c", A)])
    with pytest.raises(ProtocolError):
        seeded.receive("pokePart", pokeId=60, shapeId=5, rowsPatch=[])
    assert seeded.receive("pokeEnd", pokeId=60, checkpoint="c2") == []


def test_socket_lost_drops_the_pokes_and_makes_the_rows_stale(seeded):
    """The rows stay, the next socket resumes from their checkpoint, and its pokes count anew."""
    seeded.shapes.subscribe("unanswered")
    seeded.receive("pokeStart", pokeId=60)
    seeded.receive("pokePart", pokeId=60, shapeId="shape_1", rowsPatch=[put("c", A)])
    asked, cold = seeded.reopen()
    assert seeded.events() == [ShapeMoved("shape_1", STALE, "c1", 0)]
    assert (asked["sinceCheckpoint"], asked["sinceEpoch"], "sinceCheckpoint" in cold) == ("c1", "e1", False)
    assert seeded.receive("pokeEnd", pokeId=60, checkpoint="c2") == []
    assert seeded.poke(start={"baseCheckpoint": "c1"}) == [ShapeMoved("shape_1", LIVE, "c1", 0)]
    assert seeded.rows() == {"a": A, "b": B}


def test_error_is_data_and_the_registration_stays(seeded):
    """The shape is asked for again by the next opening, and healed by the next poke."""
    error = ServerError("no change log", code="SHAPE_REQUIRES_CDC")
    assert seeded.shapes.receive_error("shape_1", error)
    assert seeded.events() == [ShapeFailed("shape_1", FAILED, error)]
    assert seeded.shapes.describe()["shape_1"]["error"] == "SHAPE_REQUIRES_CDC: no change log"
    assert [each["id"] for each in seeded.reopen()] == ["shape_1"]
    assert seeded.events() == []
    assert seeded.poke() == [ShapeMoved("shape_1", LIVE, "c1", 0)]


def test_error_for_another_id_is_not_its_own(seeded):
    """Somebody else may know it."""
    assert not seeded.shapes.receive_error("sub_1", ServerError("no"))
    assert seeded.events() == []


def test_values_forgotten_empties_the_shapes_and_their_positions(seeded):
    """They were somebody else's, and so is what comes in just then; only what was shown is taken back."""
    seeded.shapes.subscribe("unanswered")
    seeded.shapes.subscribe("refused")
    seeded.shapes.receive_error("shape_3", ServerError("no"))
    seeded.events()
    seeded.receive("pokeStart", pokeId=60)
    seeded.receive("pokePart", pokeId=60, shapeId="shape_1", rowsPatch=[put("c", A)], lastMutationId=5)
    seeded.shapes.forget_values()
    emptied = RowsChanged("shape_1", (), True, PENDING, None, 0)
    assert seeded.events() == [emptied, ShapeMoved("shape_3", PENDING, None, 0)]
    assert seeded.receive("pokeEnd", pokeId=60) == []
    assert not any("sinceCheckpoint" in each or "sinceEpoch" in each for each in seeded.reopen())
    assert seeded.poke(end={"checkpoint": 1}) == [RowsChanged("shape_1", (), False, LIVE, 1, 0)]


def test_close_forgets_everything(seeded):
    """Nothing is left to ask for, nor to give up."""
    seeded.shapes.subscribe("other")
    seeded.is_open = False
    seeded.shapes.unsubscribe("shape_1")
    seeded.shapes.close()
    assert (seeded.shapes.is_needed, seeded.reopen(), seeded.shapes.describe()) == (False, [], {})


def test_describe_holds_no_row(seeded):
    """It goes into bug reports."""
    described = {"name": "open", "status": "live", "error": None, "rows": 2, "checkpoint": "c1", "epoch": "e1"}
    assert seeded.shapes.describe() == {"shape_1": described}


class Server:
    """A server that is plainly right, and does not care what of its frames arrives.

    Attributes:
        rows: The membership of its one shape.
        outbox: What is on its way to the client.
    """

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}
        self.outbox: list[dict[str, Any]] = []
        self._epoch = 1
        self._log: list[tuple[str, int | None]] = []
        self._subscribed = False
        self._poke_ids = itertools.count(1)

    def accept(self) -> None:
        """Begin a connection, on which pokes count from one again."""
        self.outbox.clear()
        self._subscribed = False
        self._poke_ids = itertools.count(1)

    def restart(self) -> None:
        """Begin another history with the same rows, at checkpoints that were in use before."""
        self._epoch += 1
        self._log = self._log[: len(self._log) // 2]

    def change(self, key: str, value: int | None, *, bad: bool = False) -> None:
        """Set a row, or delete it for ``None``, and tell; ``bad`` spoils what is told."""
        base = len(self._log)
        self._log.append((key, value))
        self.rows.pop(key, None) if value is None else self.rows.update({key: value})
        if self._subscribed:
            self._poke([put(key, BAD) if bad else _op(key, value)], baseCheckpoint=base)

    def answer(self, asked: dict[str, Any]) -> None:
        """Answer a subscription: what happened since its checkpoint, else all rows."""
        self._subscribed = True
        since = asked.get("sinceCheckpoint")
        if since is not None and asked.get("sinceEpoch") == self._epoch and since <= len(self._log):
            self._poke([_op(key, value) for key, value in self._log[since:]], baseCheckpoint=since)
        else:
            self._poke([put(key, value) for key, value in self.rows.items()], reset=True)

    def _poke(self, ops: list[dict[str, Any]], **part: Any) -> None:
        poke_id, half = next(self._poke_ids), len(ops) // 2
        self.outbox += [
            {"type": "pokeStart", "pokeId": poke_id, "epoch": self._epoch},
            {"type": "pokePart", "pokeId": poke_id, "shapeId": "shape_1", "rowsPatch": ops[:half], **part},
            {"type": "pokePart", "pokeId": poke_id, "shapeId": "shape_1", "rowsPatch": ops[half:], **part},
            {"type": "pokeEnd", "pokeId": poke_id, "checkpoint": len(self._log), "epoch": self._epoch},
        ]


def _op(key: str, value: int | None) -> dict[str, Any]:
    return drop(key) if value is None else put(key, value, "update")


class AnyPokes(RuleBasedStateMachine):
    """Whatever becomes of its frames, a shape that says it is live has rows that the server had.

    Nothing is lost that a client could not miss: a part out of several, and the first poke where no rows are
    known. Pokes interleave, but end in the order in which the server committed them.
    """

    @initialize()
    def begin(self) -> None:
        self.server = Server()
        self.played = PlayedShapes()
        self.shape_id = self.played.shapes.subscribe("all")
        self.history: list[dict[str, int]] = [{}]
        self.told: dict[str, int] = {}
        self.asked = self.played.sent()

    @rule(key=st.sampled_from("abc"), value=st.none() | st.integers(0, 9), bad=st.sampled_from([False, False, True]))
    def change(self, key: str, value: int | None, bad: bool) -> None:
        self.server.change(key, value, bad=bad)
        self.history.append(dict(self.server.rows))

    @precondition(lambda self: self.asked)
    @rule()
    def answer(self) -> None:
        self.server.answer(self.asked.pop(0))

    @precondition(lambda self: self.server.outbox)
    @rule(count=st.integers(1, 9))
    def deliver(self, count: int) -> None:
        for _ in range(min(count, len(self.server.outbox))):
            self._receive(self.server.outbox.pop(0))

    @precondition(lambda self: self.server.outbox)
    @rule(index=st.integers(0, 30))
    def lose(self, index: int) -> None:
        kind, poke_id = lost = _group(self.server.outbox[index % len(self.server.outbox)])
        kept = [each for each in self.server.outbox if _group(each) != lost]
        is_half_delivered = kind == "pokePart" and (len(self.server.outbox) - len(kept)) % 2 == 1
        if not is_half_delivered and not (self._is_unseeded and poke_id == 1):
            self.server.outbox = kept

    @precondition(lambda self: 0 < len(self.server.outbox) < 40)
    @rule(index=st.integers(0, 30))
    def double(self, index: int) -> None:
        poke_id = self.server.outbox[index % len(self.server.outbox)]["pokeId"]
        self.server.outbox += [each for each in self.server.outbox if each["pokeId"] == poke_id]

    @precondition(lambda self: len(self.server.outbox) > 1)
    @rule(index=st.integers(0, 30))
    def interleave(self, index: int) -> None:
        outbox, index = self.server.outbox, index % (len(self.server.outbox) - 1)
        (kind, poke_id), (next_kind, next_poke_id) = map(_group, outbox[index : index + 2])
        if poke_id != next_poke_id and not kind == next_kind == "pokeEnd":
            outbox[index : index + 2] = outbox[index + 1], outbox[index]

    @rule()
    def restart(self) -> None:
        self.server.restart()

    @rule()
    def reconnect(self) -> None:
        self.server.accept()
        self.asked = self.played.reopen()
        self._fold()

    @rule()
    def sign_in_as_another(self) -> None:
        self.played.shapes.forget_values()
        self._fold()
        assert self.told == {}
        self.reconnect()

    @rule()
    def settle(self) -> None:
        self.reconnect()
        self.answer()
        while self.server.outbox:
            self._receive(self.server.outbox.pop(0))
        assert (self.told, self._shape().status, self.asked) == (self.server.rows, LIVE, [])

    @invariant()
    def operations_make_up_the_rows(self) -> None:
        assert self.told == self._shape().rows

    @invariant()
    def live_rows_were_the_servers(self) -> None:
        assert self._shape().status is not LIVE or self.told in self.history

    def _receive(self, each: dict[str, Any]) -> None:
        body = {name: value for name, value in each.items() if name != "type"}
        self._fold(self.played.receive(each["type"], **body))
        self.asked += self.played.sent()

    def _fold(self, events: list[ShapeEvent] | None = None) -> None:
        for event in self.played.events() if events is None else events:
            if isinstance(event, RowsChanged):
                self._fold_ops(event)

    def _fold_ops(self, event: RowsChanged) -> None:
        if event.is_reset:
            self.told.clear()
        for op in event.ops:
            assert self.told.get(op.key, UNDEFINED) == op.old_row
            if op.op == "delete":
                del self.told[op.key]
            else:
                assert (op.op == "insert") is (op.key not in self.told)
                self.told[op.key] = op.row

    @property
    def _is_unseeded(self) -> bool:
        return self._shape().checkpoint is None and not self._shape().lacks_seed

    def _shape(self) -> Any:
        return self.played.shapes.find(self.shape_id)


def _group(each: dict[str, Any]) -> tuple[str, Any]:
    return each["type"], each["pokeId"]


TestAnyPokes = AnyPokes.TestCase


def test_checkpoint_that_could_not_be_said_again_is_refused(seeded):
    """It would be told to the next socket; the shape keeps the one it has."""
    seeded.receive("pokeStart", pokeId=9)
    with pytest.raises(ProtocolError, match="checkpoint"):
        seeded.shapes.handlers["pokeEnd"](parse('{"type":"pokeEnd","pokeId":9,"checkpoint":"\\ud800"}'), False)
    assert all(frame["type"] == "shape_subscribe" for frame in seeded.reopen())


def test_malformed_part_of_an_unknown_shape_is_not_kept(played):
    """Whatever ids a server makes up, they take no room."""
    played.receive("pokeStart", pokeId=1)
    for number in range(5):
        with pytest.raises(ProtocolError):
            played.receive("pokePart", pokeId=1, shapeId=f"shape_{number + 7}", rowsPatch=5)
    assert [poke.slices for poke in played.shapes.pokes] == [{}]


def test_poke_that_is_too_large_fails_its_shapes_and_is_let_go(monkeypatch):
    """A poke without an end takes no more room than the limit; its end tells whose it is."""
    monkeypatch.setattr(shapes_module, "MAX_POKE_SIZE", 1_000)
    played = PlayedShapes(frame_size=lambda: 400)
    played.shapes.subscribe("rows")
    played.receive("pokeStart", pokeId=1)
    for _ in range(5):
        played.receive("pokePart", pokeId=1, shapeId="shape_1", rowsPatch=[put("a", A)])
    [poke] = played.shapes.pokes
    assert (poke.size, poke.slices["shape_1"].rows_patch) == (0, [None])
    [failed] = played.receive("pokeEnd", pokeId=1, checkpoint="c1")
    assert failed.error.code == "WIRE_DECODE_FAILED"
    assert "larger than a client holds" in failed.error.message
    assert played.rows() == {}


def test_pokes_are_weighed_together(monkeypatch):
    """Where there is no room for all, the largest goes, which may never end; a small one has its place."""
    monkeypatch.setattr(shapes_module, "MAX_POKE_SIZE", 1_000)
    sizes = iter([950, 60])
    played = PlayedShapes(frame_size=lambda: next(sizes))
    played.shapes.subscribe("rows")
    for poke_id in (1, 2):
        played.receive("pokeStart", pokeId=poke_id)
        played.receive("pokePart", pokeId=poke_id, shapeId="shape_1", rowsPatch=[put("a", A)])
    assert [poke.is_too_large for poke in played.shapes.pokes] == [True, False]
    assert [type(each) for each in played.receive("pokeEnd", pokeId=2)] == [RowsChanged]
