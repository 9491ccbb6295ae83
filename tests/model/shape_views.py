"""What the observers of one client's shapes have been told, compared at every step with what they should be told."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import orjson

from lunora_rx.core.multiplexer import Multiplexer
from lunora_rx.core.shape_events import RowsChanged, ShapeEvent, ShapeFailed, ShapeMoved
from lunora_rx.core.shapes import Shape
from lunora_rx.core.snapshot import SnapshotStatus
from lunora_rx.errors import CodecError, LunoraError
from lunora_rx.protocol import decode_wire, encode_wire
from lunora_rx.protocol.values import UNDEFINED
from tests.model.history import History
from tests.model.shapes import SHAPES

Frame: TypeAlias = dict[str, Any]
Rows: TypeAlias = dict[str, Any]

REFUSAL = "SUBSCRIPTION_PERSIST_FAILED"
"""With this code the server refuses a shape, so that it has to be asked for again."""


@dataclass(eq=False)
class ShapeView:
    """What the observers of one shape have been told.

    Attributes:
        name: Its name in the model.
        shard: Where it is asked.
        rows: What the operations told so far add up to.
        status: The latest status.
        error: The latest error.
        checkpoint: Where the rows stand.
        ordinal: Place in the server's history that the rows have reached.
        subject: Whom the server took for the user when it told the rows.
        may_be_asked: Whether there is a reason to ask for it on the present socket.
        needs_open: Whether it was told something that only the next open mends, by the protocol.
    """

    name: str
    shard: str
    rows: Rows = field(default_factory=dict)
    status: SnapshotStatus = SnapshotStatus.PENDING
    error: LunoraError | None = None
    checkpoint: Any = None
    ordinal: int = -1
    subject: str | None = None
    may_be_asked: bool = True
    needs_open: bool = False


class WirePokes:
    """The pokes of one socket as they came, read without the client.

    Attributes:
        ended: The parts of the poke that the latest frame has ended, by shape id; ``None`` if it ended none.
    """

    def __init__(self) -> None:
        self.ended: dict[str, list[Frame]] | None = None
        self._begun: dict[Any, dict[str, list[Frame]]] = {}

    def receive(self, frame: Any) -> None:
        """Take the next frame."""
        self.ended = None
        poke_id = frame.get("pokeId") if isinstance(frame, dict) else None
        if not isinstance(poke_id, int | str):
            return
        match frame["type"]:
            case "pokeStart":
                self._begun[poke_id] = {}
            case "pokePart" if poke_id in self._begun:
                self._begun[poke_id].setdefault(str(frame.get("shapeId")), []).append(frame)
            case "pokeEnd":
                self.ended = self._begun.pop(poke_id, None)


class ShapeViews:
    """All shapes that one client holds.

    Attributes:
        views: What there is to see, by shape id.
    """

    def __init__(self, core: Multiplexer, history: History, traffic: Counter[str]) -> None:
        self.views: dict[str, ShapeView] = {}
        self._core = core
        self._history = history
        self._traffic = traffic
        self._wire: dict[str, WirePokes] = {}
        self._subjects: dict[str, str | None] = {}
        self._ended: dict[str, list[Frame]] | None = None

    # --- for the application

    def subscribe(self, name: str, shard: str, now: float) -> None:
        """Hold a shape, perhaps once more: each is its own."""
        shape = SHAPES[name]
        shape_id = self._core.subscribe_shape(shape.path, encode_wire(shape.args), shard, now)
        assert shape_id not in self.views, f"{shape_id} is given twice"
        self.views[shape_id] = ShapeView(name, shard)

    def release(self, shape_id: str, now: float) -> None:
        """Hold it no more."""
        self._core.unsubscribe_shape(shape_id, self.views.pop(shape_id).shard, now)

    # --- for the network

    def note_open(self, shard: str, subject: str | None) -> None:
        """Note that a socket opens, and whom the server takes for its user."""
        self._wire[shard] = WirePokes()
        self._subjects[shard] = subject
        for view in self._views_of(shard):
            view.may_be_asked, view.needs_open = True, False

    def note_closed(self, shard: str) -> None:
        """Note that a socket is about to be gone."""
        if self._wire.pop(shard, None) is not None and shard in self._core.sessions:
            self._traffic["poke cut off"] += len(self._core.sessions[shard].shapes._pokes)

    def begin_frame(self, shard: str, frame: Any) -> None:
        """Note what is about to arrive: rows may change at the end of a poke only."""
        self._wire[shard].receive(frame)
        self._ended = self._wire[shard].ended

    def end_frame(self) -> None:
        """Note that it was dealt with."""
        self._ended = None

    def note_sent(self, shard: str, text: str) -> None:
        """Look at a frame that goes out: nothing is asked for twice, and from nowhere but where the rows stand."""
        if '"type":"shape_subscribe"' not in text:
            return
        frame = orjson.loads(text)
        assert frame["id"] in self.views, f"{frame['id']} is asked for, which nobody holds"
        view = self.views[frame["id"]]
        assert view.shard == shard
        assert view.may_be_asked, f"{view.name} is asked for twice on one socket"
        assert frame.get("sinceCheckpoint") == view.checkpoint, f"{view.name} is asked for from {frame}"
        view.may_be_asked = False

    # --- for the client's events

    def handle(self, event: ShapeEvent) -> None:
        """Show what is told."""
        assert event.shape_id in self.views, f"an event for {event.shape_id}, which nobody holds"
        view = self.views[event.shape_id]
        match event:
            case RowsChanged():
                self._show_rows(event.shape_id, view, event)
            case ShapeMoved(_, status, checkpoint, _):
                view.status, view.checkpoint = status, checkpoint
                view.error = None if status in (SnapshotStatus.LIVE, SnapshotStatus.PENDING) else view.error
            case ShapeFailed(_, status, error):
                view.status, view.error = status, error
                view.needs_open |= error.code == REFUSAL or (isinstance(error, CodecError) and view.checkpoint is None)
                self._traffic[f"shape fails: {error.code}"] += 1
        if view.status is SnapshotStatus.LIVE:
            view.subject = self._subjects[view.shard]
        self._check_truth(event.shape_id, view)

    def check_emptied(self) -> None:
        """Check that nothing of the former user's is left."""
        for view in self.views.values():
            is_empty = not view.rows and view.checkpoint is None and view.status is SnapshotStatus.PENDING
            assert is_empty, f"{view.name} still shows {view.rows} of the former user"
            view.ordinal, view.needs_open = -1, False
        self._traffic["shapes emptied"] += len(self.views)

    def check(self) -> None:
        """Compare what was told with what the core has, and see that no poke outlives its socket."""
        for session in self._core.sessions.values():
            assert session.connection.is_open or not session.shapes._pokes, "a poke has outlived its socket"
        for shape_id, view in self.views.items():
            shape = self.shape(shape_id)
            assert list(view.rows.items()) == list(shape.rows.items()), f"{view.name}: its observers see else"
            told, known = ((each.status, each.error, each.checkpoint) for each in (view, shape))
            assert told == known, f"{view.name}: its observers know {told}, the core {known}"

    def shape(self, shape_id: str) -> Shape:
        """Return the core's record of a shape."""
        session = self._core.sessions.get(self.views[shape_id].shard)
        found = None if session is None else session.shapes.find(shape_id)
        assert found is not None, f"{self.views[shape_id].name}: the core has forgotten it"
        return found

    def _views_of(self, shard: str) -> list[ShapeView]:
        return [view for view in self.views.values() if view.shard == shard]

    def _show_rows(self, shape_id: str, view: ShapeView, event: RowsChanged) -> None:
        expected = self._expected(shape_id, view, event)
        if event.is_reset:
            view.rows.clear()
        for op, key, row, old_row in event.ops:
            assert view.rows.get(key, UNDEFINED) == old_row, f"{view.name}: {op} of {key} says it was {old_row!r}"
            assert (op == "insert") is (old_row is UNDEFINED), f"{view.name}: {op} of {key}"
            if op == "delete":
                del view.rows[key]
            else:
                view.rows[key] = row
        assert list(view.rows.items()) == list(expected.items()), f"{view.name} shows {view.rows}, not {expected}"
        view.status, view.checkpoint, view.error = event.status, event.checkpoint, None
        view.needs_open = view.needs_open and event.status is not SnapshotStatus.LIVE
        if event.status is SnapshotStatus.STALE:
            self._traffic["shape starts over"] += 1
            view.may_be_asked = True

    def _expected(self, shape_id: str, view: ShapeView, event: RowsChanged) -> Rows:
        """Return the rows after a poke as the protocol has them, in order."""
        if event.status is not SnapshotStatus.LIVE:
            assert event.is_reset, f"{view.name} is {event.status}, and keeps its rows"
            assert not event.ops, f"{view.name} is {event.status}, and has rows"
            return {}
        assert self._ended is not None, f"{view.name} changes before its poke has ended"
        assert shape_id in self._ended, f"{view.name} changes by a poke that is not about it"
        self._traffic["poke applied"] += 1
        return _folded(view.rows, self._ended[shape_id])

    def _check_truth(self, shape_id: str, view: ShapeView) -> None:
        """Compare the rows with those that the server had at exactly this position."""
        if view.checkpoint is None:
            is_trusted = view.rows and view.status is SnapshotStatus.LIVE
            assert not is_trusted, f"{view.name} has rows, and stands nowhere"
            return
        if self.shape(shape_id).checkpoint != view.checkpoint:
            return  # the core has gone on, and will tell
        ordinal = self._history.ordinal(view.shard, self.shape(shape_id).epoch, view.checkpoint)
        assert ordinal >= view.ordinal, f"{view.name}: its rows go back in time"
        view.ordinal = ordinal
        truth = self._history.members(ordinal, view.name, view.subject)
        assert view.rows == truth, f"{view.name} at {view.checkpoint}: has {view.rows}, the server had {truth}"


def _folded(rows: Rows, parts: list[Frame]) -> Rows:
    folded = {} if any(part.get("reset") is True for part in parts) else dict(rows)
    for op in (op for part in parts for op in part["rowsPatch"]):
        if op["op"] == "delete":
            folded.pop(op["key"], None)
        elif "value" in op:
            folded[op["key"]] = decode_wire(op["value"])
    return folded
