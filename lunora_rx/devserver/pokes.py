"""Pokes as texts: the row operations of shapes, framed for one socket.

Source: ``docs/protocol.md``, section "Shapes and pokes".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, cast

from lunora_rx.devserver.answers import spliced
from lunora_rx.protocol.frames import PokeEnd, PokePart, PokeStart, encode_frame
from lunora_rx.protocol.text import dumps, serialize
from lunora_rx.protocol.values import UNDEFINED

__all__ = ["Part", "Patch", "Poke", "RowOp", "row_op"]

Row: TypeAlias = dict[str, Any]
Op: TypeAlias = Literal["insert", "update", "delete"]

# A frame stays readable by a client that takes less than a whole table at once.
_PART_ROWS: Final = 500


@dataclass(frozen=True, slots=True)
class RowOp:
    """One row operation.

    Attributes:
        head: JSON text of the operation without its value.
        value: JSON text of the row; ``None`` for a delete.
    """

    head: str
    value: str | None = None

    @property
    def text(self) -> str:
        """The JSON text of the whole operation."""
        return self.head if self.value is None else spliced(self.head, "value", self.value)


@dataclass(frozen=True, slots=True)
class Patch:
    """What leads from one membership of a shape to the next: the same for all who watch it.

    Attributes:
        ops: The row operations, in order.
        is_reset: Whether they are the complete membership.
    """

    ops: tuple[RowOp, ...] = ()
    is_reset: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """The share of one subscription in a poke.

    Attributes:
        shape_id: What the client calls the subscription.
        patch: The row operations.
        base: The checkpoint that they start from; ``None`` for a complete membership.
    """

    shape_id: str
    patch: Patch
    base: int | None = None


@dataclass(frozen=True, slots=True)
class Poke:
    """An atomic batch of row operations for one socket.

    Attributes:
        id: Its number on the shard.
        checkpoint: The position that it leads to.
        epoch: The history which that belongs to.
        parts: One for each subscription that it concerns.
    """

    id: int
    checkpoint: int
    epoch: str
    parts: tuple[Part, ...]

    def texts(self) -> list[str]:
        """Return the frames; only a base that differs from the first one stands in its part."""
        base = next((part.base for part in self.parts if part.base is not None), None)
        start = encode_frame(PokeStart(self.id, self.epoch, base))
        end = encode_frame(PokeEnd(self.id, self.checkpoint, self.epoch))
        return [start, *(text for part in self.parts for text in self._part_texts(part, base)), end]

    def _part_texts(self, part: Part, base: int | None) -> Iterator[str]:
        own_base = None if part.base == base else part.base
        ops, reset = part.patch.ops, True if part.patch.is_reset else None
        unwritten = cast("list[Any]", UNDEFINED)  # rows are encoded once, however many sockets they go to
        head = encode_frame(PokePart(self.id, part.shape_id, unwritten, own_base, reset=reset))
        for first in range(0, max(1, len(ops)), _PART_ROWS):
            texts = (op.text for op in ops[first : first + _PART_ROWS])
            yield spliced(head, "rowsPatch", f"[{','.join(texts)}]")


def row_op(op: Op, table: str, key: str, row: Row | None = None) -> RowOp:
    """Return the operation for one row."""
    head = serialize({"op": op, "key": key, "table": table}).decode()
    return RowOp(head, None if row is None else dumps(row).decode())
