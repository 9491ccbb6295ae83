"""What the core tells of shapes: one frozen value an event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, Literal, NamedTuple, TypeAlias, TypeVar

from lunora_rx.core.snapshot import SnapshotStatus
from lunora_rx.errors import LunoraError
from lunora_rx.protocol.frame_fields import Epoch
from lunora_rx.protocol.frozen import frozen

T = TypeVar("T")


class RowOp(NamedTuple, Generic[T]):
    """One row operation as it was applied.

    A tuple, because a seed makes one a row.

    Attributes:
        op: What happened to the row: an ``insert`` put it last, an ``update`` left it in its place.
        key: The key of the row: of a shape, and as ``_id``, a text.
        row: The row afterwards; ``UNDEFINED`` after a ``delete``.
        old_row: The row before; ``UNDEFINED`` before an ``insert``.
    """

    op: Literal["insert", "update", "delete"]
    key: Any
    row: T
    old_row: T


# Made once a chunk or a poke, where a dataclass is the quicker one.
@dataclass(frozen=True, slots=True)
class RowsChanged:
    """A poke was applied, or the rows were taken away.

    Attributes:
        shape_id: Whose rows they are.
        ops: What happened to them, in order; none for the first poke of a shape that has no rows.
        is_reset: Whether all rows from before are gone, ahead of ``ops``.
        status: ``live``; ``stale`` if the rows are missing and were asked for anew; ``pending`` if they were
            somebody else's, so that nothing is known any more.
        checkpoint: The position of the rows; ``None`` if it is not known.
        last_mutation_id: The highest of our mutations that the rows hold.
    """

    shape_id: str
    ops: tuple[RowOp[Any], ...]
    is_reset: bool
    status: SnapshotStatus
    checkpoint: Epoch | None
    last_mutation_id: int


@frozen
class ShapeMoved:
    """The status of a shape or its checkpoint changed, and no row did."""

    shape_id: str
    status: SnapshotStatus
    checkpoint: Epoch | None
    last_mutation_id: int


@frozen
class ShapeFailed:
    """The server refused a shape, or sent rows for it that cannot be read; rows and registration stay."""

    shape_id: str
    status: SnapshotStatus
    error: LunoraError


ShapeEvent: TypeAlias = RowsChanged | ShapeMoved | ShapeFailed
