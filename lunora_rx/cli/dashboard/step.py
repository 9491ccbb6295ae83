"""What leads from the rows of one picture to those of the next: rows that changed, rows that are gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from lunora_rx.cli.dashboard.columns import Columns

_KEY: Final = "_id"


@dataclass(frozen=True, slots=True)
class Step:
    """What changed, in places: that of the first row is not always 0, so that rows may come and go at either end.

    Attributes:
        first: The place of the first row now.
        changed: The indices, in the columns of now, of the rows that are others than before in their places.
        removed: The places of rows that are gone.
    """

    first: int = 0
    changed: Sequence[int] = ()
    removed: Sequence[int] = ()


def step_between(before: Columns, after: Columns, first: int = 0) -> Step:
    """Return what leads from some columns to others of the same kinds.

    Args:
        before: The former columns.
        after: The columns of now.
        first: The place of their first row.
    """
    shift = _shift(before.cells.get(_KEY, ()), after.cells.get(_KEY, ()))
    begin = first + shift
    end, former_end = begin + after.count, first + before.count
    changed = [index for index in range(after.count) if not _is_same(before, index + shift, after, index)]
    removed = [*range(first, min(begin, former_end)), *range(max(end, first), former_end)]
    return Step(begin, changed, removed)


def _shift(before: Sequence[Any], after: Sequence[Any]) -> int:
    """Return how many rows have left in front, below 0 if some came there; 0 where the rest kept no order."""
    if not before or not after:
        return 0
    if after[0] in before:
        gone = before.index(after[0])
        stay = min(len(before) - gone, len(after))
        return gone if before[gone : gone + stay] == after[:stay] else 0
    if before[0] in after:
        came = after.index(before[0])
        stay = min(len(after) - came, len(before))
        return -came if after[came : came + stay] == before[:stay] else 0
    return 0


def _is_same(before: Columns, at: int, after: Columns, index: int) -> bool:
    if not 0 <= at < before.count:
        return False
    return all(before.cells[name][at] == cells[index] for name, cells in after.cells.items())
