"""Shapes of one shard: rows that the server keeps in step by pokes, applied whole or not at all.

Source: ``docs/protocol.md``, section "Shapes and pokes".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from lunora_rx.core.shape_events import RowOp, RowsChanged, ShapeEvent, ShapeFailed, ShapeMoved
from lunora_rx.core.snapshot import SnapshotStatus
from lunora_rx.errors import CodecError, LunoraError, ProtocolError
from lunora_rx.protocol.frames import (
    Epoch,
    PokeEnd,
    PokePart,
    PokeStart,
    ShapeSubscribe,
    ShapeUnsubscribe,
    decode_server_frame,
    encode_frame,
    is_epoch,
)
from lunora_rx.protocol.values import UNDEFINED
from lunora_rx.protocol.wire import decode_parsed

Frame: TypeAlias = dict[str, Any]
ReadOp: TypeAlias = tuple[str, str, Any]
"""Operation, key, and value, decoded; ``UNDEFINED`` where it has none. A bare tuple, because a seed makes one a row."""

MAX_POKES: Final = 256
MAX_POKE_SIZE: Final = 256 * 2**20
"""Characters of text in the parts of all pokes that have not ended: four frames of the largest size."""

_OPS: Final = ("insert", "update", "delete")
_TOO_LARGE: Final = "the poke is larger than a client holds; narrow the shape"


class Slice:
    """One shape's share of a poke, as its parts come in.

    Attributes:
        bases: The checkpoints that it says it builds on; none if it does not say.
        is_reset: Whether its operations make up all rows there are.
        last_mutation_id: The highest of our mutations that it holds.
    """

    __slots__ = ("_patches", "_reason", "bases", "is_reset", "last_mutation_id")

    def __init__(self) -> None:
        self.bases: list[Epoch] = []
        self.is_reset = False
        self.last_mutation_id = 0
        self._patches: list[tuple[list[Any], bool]] = []
        self._reason: str | None = None

    def add(self, part: PokePart, base: Epoch | None, *, tagged: bool) -> None:
        """Take one part; ``tagged`` says whether its text can hold a wire tag."""
        if base is not None:
            self.bases.append(base)
        self.is_reset = self.is_reset or part.reset is True
        self.last_mutation_id = max(self.last_mutation_id, part.last_mutation_id or 0)
        self._patches.append((part.rows_patch, tagged))

    @property
    def rows_patch(self) -> list[Any]:
        """Its operations so far, as they came; where they were let go, one that cannot be read stands for them."""
        return [None] if self._reason is not None else [op for patch, _ in self._patches for op in patch]

    def spoil(self, reason: str) -> None:
        """Note why it cannot be read as a whole, and let go of its operations."""
        self._reason = self._reason or reason
        self._patches.clear()

    def read(self) -> list[ReadOp]:
        """Return the operations of all its parts, once: what is decoded is theirs.

        Raises:
            CodecError: One of them cannot be read; its code is ``WIRE_DECODE_FAILED``.
        """
        if self._reason is not None:
            raise _unreadable(self._reason, "pokePart")
        return [
            _read_op(op, f"rowsPatch[{index}]", tagged)
            for patch, tagged in self._patches
            for index, op in enumerate(patch)
        ]


class Poke:
    """A poke that has not ended.

    Attributes:
        start: How it began.
        slices: The slices so far by shape id.
        size: How much text its parts are.
        is_too_large: Whether it was given up: what else comes of it is let go, and its end tells those that it is for.
    """

    __slots__ = ("is_too_large", "size", "slices", "start")

    def __init__(self, start: PokeStart) -> None:
        self.start = start
        self.slices: dict[str, Slice] = {}
        self.size = 0
        self.is_too_large = False

    def give_up(self) -> None:
        """Let go of all that came of it."""
        self.is_too_large, self.size = True, 0
        for part in self.slices.values():
            part.spoil(_TOO_LARGE)


class Shape:
    """What the server said of one shape so far.

    Knows rows and checkpoint. Does not know over which socket, nor who watches.

    Attributes:
        id: What frames call it.
        rows: Its rows by key, in the order in which they came.
        checkpoint: Where ``rows`` stands, ``None`` if it is not known.
        epoch: The history that ``checkpoint`` is a position in.
        last_mutation_id: The highest of our mutations that ``rows`` holds.
        status: How far ``rows`` can be trusted; ``pending`` before the first poke.
        error: Why it failed, or ``None``.
        was_sent: Whether a server was ever asked for it.
        has_rows: Whether a poke was ever applied, be it of no rows.
        is_oversized: Whether a poke of it is too large for a frame; it is left out until somebody else signs in.
        lacks_seed: Whether rows were missed that only a reset can bring, so that what builds on them must wait.
    """

    def __init__(self, shape_id: str, name: str, args: Any) -> None:
        self.id = shape_id
        self.rows: dict[str, Any] = {}
        self.checkpoint: Epoch | None = None
        self.epoch: Epoch | None = None
        self.last_mutation_id = 0
        self.status = SnapshotStatus.PENDING
        self.error: LunoraError | None = None
        self.was_sent = self.has_rows = self.lacks_seed = self.is_oversized = False
        self._name = name
        self._args = args

    def describe(self) -> dict[str, Any]:
        """Return what a bug report needs of this shape, as plain values; the rows are not among them."""
        return {
            "name": self._name,
            "status": str(self.status),
            "error": self.error and str(self.error),
            "rows": len(self.rows),
            "checkpoint": self.checkpoint,
            "epoch": self.epoch,
        }

    def encode_subscribe(self) -> str:
        """Return the frame that asks for this shape: from its checkpoint, else for all rows."""
        return encode_frame(ShapeSubscribe(self.id, self._name, self._args, self.checkpoint, self.epoch))

    def apply(self, part: Slice, ops: Iterable[ReadOp], end: PokeEnd) -> ShapeEvent | None:
        """Apply a slice that fits; return what there is to tell, if anything."""
        before = (self.status, self.checkpoint, self.last_mutation_id)
        was_told, self.has_rows = self.has_rows, True
        if part.is_reset:
            self.rows.clear()
        applied = _apply_ops(self.rows, ops)
        self._advance(part, end)
        if applied or part.is_reset or not was_told:
            return self.tell_rows(applied, is_reset=part.is_reset)
        return self.tell_move() if before != (self.status, self.checkpoint, self.last_mutation_id) else None

    def is_cut_off(self, part: Slice, epoch: Epoch | None) -> bool:
        """Tell whether a slice belongs to another history, or builds on another checkpoint."""
        if _differ(epoch, self.epoch):
            return True
        return any(_differ(base, self.checkpoint) for base in part.bases)

    def fail(self, status: SnapshotStatus, error: LunoraError) -> ShapeFailed:
        """Note why it failed; the rows stay."""
        self.status, self.error = status, error
        return ShapeFailed(self.id, status, error)

    def empty(self, status: SnapshotStatus) -> RowsChanged:
        """Take all rows away, and forget where they stood."""
        self.rows.clear()
        self.checkpoint = self.epoch = self.error = None
        self.lacks_seed = True
        self.status = status
        return self.tell_rows((), is_reset=True)

    def forget(self) -> RowsChanged | None:
        """Forget what the server said, as if it had never answered; tell it only if there was anything shown."""
        had_rows, self.has_rows, self.last_mutation_id = self.has_rows, False, 0
        emptied = self.empty(SnapshotStatus.PENDING)
        return emptied if had_rows else None

    def tell_rows(self, ops: tuple[RowOp[Any], ...], *, is_reset: bool) -> RowsChanged:
        """Return the event that its rows changed."""
        return RowsChanged(self.id, ops, is_reset, self.status, self.checkpoint, self.last_mutation_id)

    def tell_move(self) -> ShapeMoved:
        """Return the event that something else about it changed."""
        return ShapeMoved(self.id, self.status, self.checkpoint, self.last_mutation_id)

    def _advance(self, part: Slice, end: PokeEnd) -> None:
        if end.checkpoint is not None:
            self.checkpoint = end.checkpoint
        if end.epoch is not None:
            self.epoch = end.epoch
        self.last_mutation_id = max(self.last_mutation_id, part.last_mutation_id)
        self.status, self.error, self.lacks_seed = SnapshotStatus.LIVE, None, False


class Shapes:
    """The shapes of one shard, each a subscription of its own, and the pokes that are coming in.

    Knows what was asked for and what came of it. Does not know when the socket opens or closes: its session does.

    Args:
        new_id: Makes an id that no other shape of the client has.
        emit: Takes each event.
        send: Puts a frame on the open socket, and tells whether there is one.
        frame_size: Tells how long the text of the frame is that is being applied.
    """

    def __init__(
        self,
        new_id: Callable[[], str],
        *,
        emit: Callable[[ShapeEvent], None],
        send: Callable[[str], bool],
        frame_size: Callable[[], int] = lambda: 0,
    ) -> None:
        self._new_id = new_id
        self._emit = emit
        self._send = send
        self._frame_size = frame_size
        self._shapes: dict[str, Shape] = {}
        self._pokes: dict[Epoch, Poke] = {}
        self._unsubscribes: list[str] = []
        self.find = self._shapes.get
        self.handlers: Mapping[str, Callable[[Frame, bool], None]] = {
            PokeStart.TYPE: self._receive_start,
            PokePart.TYPE: self._receive_part,
            PokeEnd.TYPE: self._receive_end,
        }

    @property
    def is_needed(self) -> bool:
        """Whether the socket must stay."""
        return bool(self._shapes)

    def __iter__(self) -> Iterator[Shape]:
        return iter(self._shapes.values())

    @property
    def pokes(self) -> tuple[Poke, ...]:
        """The pokes that have not ended."""
        return tuple(self._pokes.values())

    def describe(self) -> dict[str, Any]:
        """Return what a bug report needs of each shape, by its id."""
        return {shape.id: shape.describe() for shape in self._shapes.values()}

    def subscribe(self, name: str, args: Any = UNDEFINED) -> str:
        """Ask for a shape, with arguments in wire form; return its id."""
        shape = Shape(self._new_id(), name, args)
        self._ask(shape)  # first: arguments that no frame can hold leave nothing behind
        self._shapes[shape.id] = shape
        return shape.id

    def unsubscribe(self, shape_id: str) -> None:
        """Give a shape up; one that is unknown is given up already."""
        shape = self._shapes.pop(shape_id, None)
        if shape is None or not shape.was_sent:
            return
        text = encode_frame(ShapeUnsubscribe(shape_id))
        if not self._send(text):
            self._unsubscribes.append(text)

    def receive_error(self, frame_id: str, error: LunoraError) -> bool:
        """Note that the server refused one of the shapes; tells whether the id is that of one."""
        shape = self._shapes.get(frame_id)
        if shape is None:
            return False
        self._emit(shape.fail(SnapshotStatus.FAILED, error))
        return True

    @property
    def ids(self) -> list[str]:
        """The shapes to ask for on a new socket."""
        return [shape.id for shape in self._shapes.values() if not shape.is_oversized]

    def ask(self, shape_id: str) -> str | None:
        """Return what asks for one shape on a new socket; ``None`` if there is no such shape."""
        shape = self._shapes.get(shape_id)
        if shape is None:
            return None
        shape.was_sent, shape.lacks_seed = True, False
        return shape.encode_subscribe()

    def leave_out(self, shape_id: str, error: LunoraError) -> bool:
        """Fail a shape that is too large, and ask for it no more; tells whether the id is that of one."""
        if not self.receive_error(shape_id, error):
            return False
        self._shapes[shape_id].is_oversized = True
        return True

    def frames_on_open(self) -> list[str]:
        """Return what asks for all shapes on a new socket."""
        return [text for text in map(self.ask, self.ids) if text is not None]

    def take_unsubscribes(self) -> list[str]:
        """Take what gives up shapes that were released without a socket."""
        frames, self._unsubscribes = self._unsubscribes, []
        return frames

    def forget_socket(self) -> None:
        """Note that the socket is gone, and with it the pokes that had not ended; what is shown goes stale."""
        self._pokes.clear()
        for shape in self._shapes.values():
            if shape.status is SnapshotStatus.LIVE:
                shape.status = SnapshotStatus.STALE
                self._emit(shape.tell_move())

    def forget_positions(self) -> None:
        """Have the next socket send all rows; what is shown stays until then."""
        for shape in self._shapes.values():
            if shape.checkpoint is not None:
                shape.checkpoint = shape.epoch = None
                self._emit(shape.tell_move())

    def forget_values(self) -> None:
        """Take all rows off the screen: they belong to somebody else."""
        self._pokes.clear()
        for shape in self._shapes.values():
            status, shape.is_oversized = shape.status, False
            event = shape.forget() or (shape.tell_move() if status is not SnapshotStatus.PENDING else None)
            if event is not None:
                self._emit(event)

    def close(self) -> None:
        """End everything for good."""
        self._shapes.clear()
        self._pokes.clear()
        self._unsubscribes.clear()

    def _ask(self, shape: Shape) -> None:
        shape.was_sent = self._send(shape.encode_subscribe()) or shape.was_sent

    def _receive_start(self, frame: Frame, tagged: bool) -> None:
        start = decode_server_frame(frame)
        assert isinstance(start, PokeStart)
        self._pokes.pop(start.poke_id, None)
        self._pokes[start.poke_id] = Poke(start)
        if len(self._pokes) > MAX_POKES:
            del self._pokes[next(iter(self._pokes))]

    def _receive_part(self, frame: Frame, tagged: bool) -> None:
        try:
            part = decode_server_frame(frame)
        except ProtocolError:
            self._spoil(frame)
            raise
        assert isinstance(part, PokePart)
        poke = self._pokes.get(part.poke_id)
        if poke is None or part.shape_id not in self._shapes:
            return
        base = poke.start.base_checkpoint if part.base_checkpoint is None else part.base_checkpoint
        poke.slices.setdefault(part.shape_id, Slice()).add(part, base, tagged=tagged)
        self._weigh(poke)

    def _weigh(self, poke: Poke) -> None:
        # A server that never ends a poke, or ends one that no memory holds, must not take it all.
        poke.size += self._frame_size()
        if poke.is_too_large:
            poke.give_up()
        elif sum(each.size for each in self._pokes.values()) > MAX_POKE_SIZE:
            max(self._pokes.values(), key=lambda each: each.size).give_up()

    def _spoil(self, frame: Frame) -> None:
        # Without it the rest would be applied in part, and the checkpoint move past what is missing.
        poke_id, shape_id = frame.get("pokeId"), frame.get("shapeId")
        poke = self._pokes.get(poke_id) if is_epoch(poke_id) else None  # type: ignore[arg-type]
        if poke is None:
            return
        if type(shape_id) is str:
            if shape_id in self._shapes:
                poke.slices.setdefault(shape_id, Slice()).spoil("the part is malformed")
        else:
            del self._pokes[poke.start.poke_id]

    def _receive_end(self, frame: Frame, tagged: bool) -> None:
        end = decode_server_frame(frame)
        assert isinstance(end, PokeEnd)
        poke = self._pokes.pop(end.poke_id, None)
        if poke is None:
            return
        for shape_id, part in poke.slices.items():
            shape = self._shapes.get(shape_id)
            if shape is not None:
                self._apply(shape, part, poke.start, end)

    def _apply(self, shape: Shape, part: Slice, start: PokeStart, end: PokeEnd) -> None:
        try:
            ops = part.read()
        except CodecError as error:
            # A missed poke is found by its checkpoint; without one, what builds on it must not be taken for all.
            shape.lacks_seed = shape.lacks_seed or shape.checkpoint is None
            self._emit(shape.fail(SnapshotStatus.STALE, error))
            return
        if not part.is_reset and shape.is_cut_off(part, start.epoch):
            self._emit(shape.empty(SnapshotStatus.STALE))
            self._ask(shape)
            return
        if shape.lacks_seed and part.bases and not part.is_reset:
            return  # sent before the server knew that we start over
        event = shape.apply(part, ops, end)
        if event is not None:
            self._emit(event)


def _differ(one: Epoch | None, other: Epoch | None) -> bool:
    return one is not None and other is not None and one != other


def _apply_ops(rows: dict[str, Any], ops: Iterable[ReadOp]) -> tuple[RowOp[Any], ...]:
    """Apply operations in order, and return those that did something."""
    applied: list[RowOp[Any]] = []
    for op, key, value in ops:
        if op == "delete":
            old = rows.pop(key, UNDEFINED)
            if old is not UNDEFINED:
                applied.append(RowOp("delete", key, UNDEFINED, old))
        elif value is not UNDEFINED:
            old = rows.get(key, UNDEFINED)
            rows[key] = value
            applied.append(RowOp("insert" if old is UNDEFINED else "update", key, value, old))
    return tuple(applied)


def _read_op(op: Any, path: str, tagged: bool) -> ReadOp:
    if type(op) is not dict:
        raise _unreadable("a row operation must be an object", path)
    kind, key, value = op.get("op"), op.get("key"), op.get("value", UNDEFINED)
    if kind not in _OPS or type(key) is not str:
        raise _unreadable("a row operation must have a known op and a key that is a string", path)
    if tagged and value is not UNDEFINED:
        value = decode_parsed(value, root=f"{path}.value")
    return kind, key, value


def _unreadable(reason: str, path: str) -> CodecError:
    return CodecError(reason, path=path, code="WIRE_DECODE_FAILED")
