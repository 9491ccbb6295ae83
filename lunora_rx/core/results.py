"""What the server said about one live query, and how its frames are applied.

Knows value, cursor and epoch. Does not know who asked, nor over which socket.
Source: ``docs/protocol.md``, sections "Applying data and delta" and "Other frames".
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Container, Mapping
from datetime import datetime
from typing import Any, Final

from lunora_rx.core.delta import Merger, RowMerge, is_row_delta
from lunora_rx.core.optimistic import Layer, fold, without_acknowledged, without_reached
from lunora_rx.core.snapshot import Snapshot, SnapshotStatus
from lunora_rx.errors import CodecError, LunoraError, ProtocolError
from lunora_rx.protocol.frames import is_epoch, is_position
from lunora_rx.protocol.values import UNDEFINED, WireBigInt, WireBytes, WireDate, WireUrl
from lunora_rx.protocol.wire import decode_parsed

# Named once: before Python 3.12 each mention of a member goes through a descriptor, and these come once a frame.
_LIVE: Final = SnapshotStatus.LIVE
_PLAIN_FIELDS: Final = len(("type", "id", "data", "cursor", "epoch"))

# Values that are equal when their kind and content are; every container is only equal to itself.
_SCALAR_KINDS: Mapping[type, type] = {
    str: str,
    bool: bool,
    int: float,
    float: float,
    bytes: bytes,
    datetime: datetime,
    WireBigInt: WireBigInt,
    WireBytes: WireBytes,
    WireDate: WireDate,
    WireUrl: WireUrl,
}


class Change(enum.Enum):
    """What applying a frame did."""

    NOTHING = "nothing"
    VALUE = "value"
    STATUS = "status"
    FAILED = "failed"
    BEHIND = "behind"


NOTHING: Final = Change.NOTHING
VALUE: Final = Change.VALUE


class Result:
    """The server's answer to one live query so far.

    Attributes:
        base: Last value the server gave; ``UNDEFINED`` before the first.
        shown: What observers see: the base under the layers over it.
        cursor: Position of ``base`` in the shard's history, overwritten by what frames say.
        epoch: The history that ``cursor`` counts in.
        last_mutation_id: Highest mutation the server says it has seen.
        status: How far ``shown`` can be trusted.
        error: Why the query failed, or ``None``.
        layers: Our own pending changes over the base, oldest first.
        is_behind: Whether a frame was missed, so that deltas must wait for a whole value.
        anchor: The value at ``cursor``, while ``base`` is a later one that came by polling, and so without a cursor
            of its own; ``UNDEFINED`` while they are one. What a socket resumes is the anchor: from there on the
            server counts, and a row that came and went meanwhile is in the polled value alone.
        merge: How the last value of the server was made of what was shown before; ``None`` unless it is exactly
            one row change.
    """

    __slots__ = (
        "_merger",
        "anchor",
        "base",
        "cursor",
        "epoch",
        "error",
        "is_behind",
        "last_mutation_id",
        "layers",
        "merge",
        "shown",
        "status",
    )

    def __init__(self) -> None:
        self.base: Any = UNDEFINED
        self.shown: Any = UNDEFINED
        self.cursor: int | None = None
        self.epoch: str | int | None = None
        self.last_mutation_id = 0
        self.status = SnapshotStatus.PENDING
        self.error: LunoraError | None = None
        self.is_behind = False
        self.anchor: Any = UNDEFINED
        self.layers: tuple[Layer, ...] = ()
        self.merge: RowMerge | None = None
        self._merger: Merger | None = None

    @property
    def snapshot(self) -> Snapshot[Any]:
        """The result as observers may see it."""
        return Snapshot(self.status, self.shown, self.error, self.cursor, len(self.layers))

    @property
    def resume_position(self) -> tuple[int, str | int | None] | None:
        """Cursor and epoch to resume from; none without a value, which a bare ``resume`` would leave missing."""
        if self.cursor is None or self.base is UNDEFINED or self.is_behind:
            return None
        return self.cursor, self.epoch

    def take_plain(self, frame: Mapping[str, Any]) -> bool:
        """Apply a ``data`` frame without tags if nothing has to be weighed, and tell whether that was so.

        That is a container, which is never the value shown before, in the same history, over a live value and under no
        layer. Of any other frame nothing is applied: ``apply_value`` comes next.
        """
        try:
            base, cursor, epoch = frame["data"], frame["cursor"], frame["epoch"]
        except KeyError:
            return False
        kind = type(base)
        if (
            len(frame) != _PLAIN_FIELDS
            or self.layers
            or self.status is not _LIVE
            or type(cursor) is not int
            or type(epoch) is not str
            or epoch != self.epoch
            or (kind is not list and kind is not dict)
        ):
            return False
        self.base = self.shown = base
        self.cursor, self.anchor, self.is_behind, self.merge, self._merger = cursor, UNDEFINED, False, None, None
        return True

    def apply_value(self, frame: Mapping[str, Any], *, tagged: bool) -> Change:
        """Apply a ``data`` or ``delta`` frame, given as the JSON object that arrived.

        The object is the caller's no longer: its payload becomes the base. ``tagged`` says whether the
        frame's text can hold a wire tag. On ``BEHIND`` or ``FAILED`` the caller asks for the whole value.
        """
        base = frame.get("data", UNDEFINED) if frame["type"] == "data" else UNDEFINED
        delta = UNDEFINED if base is not UNDEFINED else frame.get("delta", UNDEFINED)
        if base is UNDEFINED and self.is_behind:
            return NOTHING
        try:
            cursor, epoch, mutation = _position(frame)
            if base is UNDEFINED and delta is UNDEFINED:
                raise ProtocolError("the frame holds neither data nor delta")
            if tagged and delta is UNDEFINED:
                base = decode_parsed(base, root="data")
            elif tagged:
                delta = decode_parsed(delta, root="delta")
        except (CodecError, ProtocolError) as error:
            return self.fail_behind(_undecodable(error))
        if delta is UNDEFINED:
            return self._accept(base, cursor, epoch, mutation)
        return self._accept_delta(delta, cursor, epoch, mutation)

    def apply_position(self, frame: Mapping[str, Any]) -> Change:
        """Apply a ``resume`` or ``settled`` frame: the value stands, its position may move.

        Raises:
            ProtocolError: The position is of the wrong type.
        """
        cursor, epoch, mutation = _position(frame)
        if self.is_behind or self.base is UNDEFINED:
            return NOTHING
        if self.anchor is not UNDEFINED:
            return self._accept(self.anchor, cursor, epoch, mutation if frame["type"] == "settled" else None)
        self.cursor = self.cursor if cursor is None else cursor
        self.epoch = self.epoch if epoch is None else epoch
        if frame["type"] == "settled" and mutation is not None:
            self.last_mutation_id = max(self.last_mutation_id, mutation)
        healed = self._heal()
        swept = self._keep(without_reached(self.layers, self.cursor))
        return healed if swept is NOTHING else swept

    def fail(self, error: LunoraError) -> Change:
        """Note that the server refused the query; the value stays what it was."""
        self.status, self.error = SnapshotStatus.FAILED, error
        return Change.FAILED

    def fail_behind(self, error: LunoraError) -> Change:
        """Note that a frame cannot be read: nothing advances, and the value is behind."""
        self.status, self.error, self.is_behind = SnapshotStatus.STALE, error, True
        return Change.FAILED

    def forget_position(self) -> None:
        """Forget where the value stands, so that the next subscribe frame asks for the whole of it."""
        self.cursor = self.epoch = None
        self.anchor = UNDEFINED

    def go_stale(self) -> Change:
        """Note that the socket is gone; a shown value stays."""
        if self.status is not _LIVE:
            return NOTHING
        self.status = SnapshotStatus.STALE
        return Change.STATUS

    def seed(self, base: Any, cursor: int | None, epoch: str | int | None) -> None:
        """Show a value of an earlier process until the server gives one; the next subscribe resumes from it."""
        self.base, self.anchor, self.cursor, self.epoch = base, UNDEFINED, cursor, epoch
        self.status, self.error = SnapshotStatus.STALE, None
        self.layers = without_reached(self.layers, cursor)
        self._show(fold(base, self.layers))

    def forget(self, keeps: Container[Layer] = ()) -> None:
        """Forget what the server gave, as if it had never answered, and every layer but those to keep."""
        self.layers = tuple(layer for layer in self.layers if layer in keeps)
        self.base, self.is_behind, self.last_mutation_id = UNDEFINED, False, 0
        self.merge = self._merger = None
        self.status, self.error = SnapshotStatus.PENDING, None
        self.forget_position()
        self._show(fold(UNDEFINED, self.layers))

    def push(self, layer: Layer) -> Change:
        """Show a pending change of ours over what is shown; if its transform raises, nothing changes."""
        self._show(layer.transform(self.shown))
        self.layers = (*self.layers, layer)
        return Change.STATUS

    def apply_poll(self, base: Any, acknowledged: int) -> Change:
        """Apply a whole value that came over HTTP; the position to resume from stays where it is.

        ``acknowledged`` counts the acknowledgements before the poll began: it holds those writes.
        """
        is_behind, pending = self.is_behind, len(self.layers)
        has_anchor = self.cursor is not None and self.anchor is UNDEFINED
        anchor = self.base if has_anchor else self.anchor
        self.layers = without_acknowledged(self.layers, acknowledged)
        change = self._accept(base, None, None, None)
        self.is_behind, self.anchor = is_behind, anchor
        return Change.STATUS if change is NOTHING and len(self.layers) < pending else change

    def confirm(self, layer: Layer, cursor: int | None, mark: int = 0) -> Change:
        """Note where a layer's write landed: it goes when the base has reached that.

        Without a cursor it goes at once, and what it showed stays until the next frame.
        """
        if layer not in self.layers:
            return NOTHING
        if cursor is None:
            self.layers = tuple(each for each in self.layers if each is not layer)
            return Change.STATUS
        layer.commit_cursor, layer.ack_mark = cursor, mark
        return self._keep(without_reached(self.layers, self.cursor))

    def roll_back(self, layers: Collection[Layer]) -> Change:
        """Take layers away and show what is left without them, in one step."""
        self.layers = tuple(each for each in self.layers if each not in layers)
        return self._fold_again()

    def _keep(self, layers: tuple[Layer, ...]) -> Change:
        if len(layers) == len(self.layers):
            return NOTHING
        self.layers = layers
        return self._fold_again()

    def _fold_again(self) -> Change:
        self._show(fold(self.base, self.layers))
        return Change.STATUS

    def _show(self, shown: Any) -> None:
        # An equal scalar must stay the same object: that is how observers are spared a value they have seen.
        if not is_unchanged(self.shown, shown):
            self.shown = shown

    def _accept_delta(self, delta: Any, cursor: int | None, epoch: str | int | None, mutation: int | None) -> Change:
        if not is_row_delta(delta):
            return self._accept(delta, cursor, epoch, mutation)
        if self.base is UNDEFINED:
            # Servers that broadcast send a row change before any base: it is shown as it is, and is no place to resume.
            return self._accept(delta, None, None, mutation)
        anchor = self.anchor
        merger = self._merger or Merger()
        merge = merger.merge(self.base if anchor is UNDEFINED else anchor, delta)
        if merge is None:
            return self.fall_behind()
        if anchor is not UNDEFINED and cursor is None:
            # More of the run is to come: on its way from the anchor it would show what was long ago.
            self.anchor, self._merger = merge.after, merger
            return NOTHING
        shown = self.shown
        change = self._accept(merge.after, cursor, epoch, mutation)
        self._merger = merger
        if shown is merge.before and self.shown is merge.after:
            self.merge = merge
        return change

    def _accept(self, base: Any, cursor: int | None, epoch: str | int | None, mutation: int | None) -> Change:
        self.base, self.anchor, self.is_behind, self.merge, self._merger = base, UNDEFINED, False, None, None
        layers = self.layers
        if layers and epoch is not None and self.epoch is not None and epoch != self.epoch:
            # Positions of another history: what was committed there is in this base, or nowhere any more.
            self.layers = tuple(layer for layer in layers if layer.commit_cursor is None)
        if cursor is not None:
            self.cursor = cursor
        if epoch is not None:
            self.epoch = epoch
        if mutation is not None and mutation > self.last_mutation_id:
            self.last_mutation_id = mutation
        shown = base
        if self.layers:
            self.layers = without_reached(self.layers, self.cursor)
            shown = fold(base, self.layers)
        healed = NOTHING if self.status is _LIVE else self._heal()
        former = self.shown
        if former is shown or (type(former) in _SCALAR_KINDS and is_unchanged(former, shown)):
            # The same number without the layer that made it is no longer optimistic.
            return healed if len(layers) == len(self.layers) else Change.STATUS
        self.shown = shown
        return VALUE

    def _heal(self) -> Change:
        if self.status is _LIVE:
            return NOTHING
        self.status, self.error = _LIVE, None
        return Change.STATUS

    def fall_behind(self) -> Change:
        """Note that a change was missed: the value is stale until a whole one comes, and resumes from nowhere."""
        self.is_behind, self.status = True, SnapshotStatus.STALE
        self.forget_position()
        return Change.BEHIND


def is_unchanged(old: Any, new: Any) -> bool:
    """Tell whether publishing ``new`` after ``old`` would say nothing: the same object, or an equal scalar of its kind.

    A bool is no number, as on the wire; NaN equals NaN.
    """
    if old is new:
        return True
    kind = _SCALAR_KINDS.get(type(old))
    if kind is None or kind is not _SCALAR_KINDS.get(type(new)):
        return False
    return bool(old == new or (old != old and new != new))


def _position(frame: Mapping[str, Any]) -> tuple[int | None, str | int | None, int | None]:
    cursor, epoch, mutation = frame.get("cursor"), frame.get("epoch"), frame.get("lastMutationId")
    # What nearly every frame holds is let through at once; this runs for each of them.
    if type(cursor) is int and type(epoch) is str and epoch.isascii() and mutation is None:
        return cursor, epoch, None
    if cursor is not None and not is_position(cursor):
        raise ProtocolError("'cursor' is not an integer")
    if epoch is not None and not is_epoch(epoch):
        raise ProtocolError("'epoch' is not a string or an integer")
    if mutation is not None and not is_position(mutation):
        raise ProtocolError("'lastMutationId' is not an integer")
    return cursor, epoch, mutation


def _undecodable(error: LunoraError) -> CodecError:
    path = error.path if isinstance(error, CodecError) else "frame"
    reason = error.message.removeprefix(f"{path}: ")
    return CodecError(reason, path=path, code="WIRE_DECODE_FAILED")
