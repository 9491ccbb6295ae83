"""What happened to rows at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from lunora_rx.core.shape_events import RowOp

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RowChanges(Generic[T]):
    """What happened to the rows of a shape by one poke, or to those of a list between two values.

    Attributes:
        ops: The operations as they were applied, in order.
        is_reset: Whether all rows from before are gone: forget them, then apply ``ops``.
    """

    ops: tuple[RowOp[T], ...]
    is_reset: bool = False

    @property
    def added(self) -> list[T]:
        """The rows that came, as they are now."""
        return [row for op, _, row, _ in self.ops if op == "insert"]

    @property
    def changed(self) -> list[T]:
        """The rows that were there and are others now, as they are now; each op has its ``old_row`` besides."""
        return [row for op, _, row, _ in self.ops if op == "update"]

    @property
    def removed(self) -> list[T]:
        """The rows that went, as they last were; those that ``is_reset`` takes away are not listed."""
        return [old_row for op, _, _, old_row in self.ops if op == "delete"]
