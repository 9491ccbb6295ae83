"""Merges one row change into the value of a live query.

The client merges with it, and the embedded server replays it before it chooses a
delta over the whole value: it must be one function.  Source: ``docs/protocol.md``,
section "Delta merge".
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, TypeAlias

from lunora_rx.core.placement import placement
from lunora_rx.core.row_places import RowPlaces, row_ids
from lunora_rx.core.shape_events import RowOp
from lunora_rx.protocol.values import UNDEFINED

Row: TypeAlias = dict[str, Any]

OPERATIONS: Final = frozenset({"insert", "update", "delete"})
_new: Final = tuple.__new__  # of a named tuple without its constructor, which takes as long again


class Unmergeable:
    """Says that a delta cannot be merged into a base: the whole value is needed."""

    def __repr__(self) -> str:
        return "UNMERGEABLE"


UNMERGEABLE: Final = Unmergeable()


def is_row_delta(delta: object) -> bool:
    """Tell whether ``delta`` describes a row change; anything else replaces the whole value."""
    if not isinstance(delta, dict):
        return False
    operation = delta.get("op")
    return (
        isinstance(operation, str)
        and operation in OPERATIONS
        and isinstance(delta.get("key"), str)
        and isinstance(delta.get("table"), str)
    )


class RowMerge(NamedTuple):
    """One row change that was merged.

    Attributes:
        before: The value into which it was merged.
        after: The value that came of it, always a new container; its rows are shared with ``before``.
        ops: What happened to the rows of ``before``; ``None`` if that is known by comparing them only, as where
            rows share an id.
    """

    before: Any
    after: Any
    ops: tuple[RowOp[Any], ...] | None


def merge_delta(base: Any, delta: Row) -> Any:
    """Return ``base`` with a row delta merged in, or ``UNMERGEABLE``.

    ``base`` is a list of rows, or an object whose ``page`` is one.  Neither argument is
    changed; the result is always a new container, its rows are shared with ``base``.
    """
    merge = Merger().merge(base, delta)
    return UNMERGEABLE if merge is None else merge.after


class Merger:
    """Merges one row change after another.

    It remembers where the rows of the latest result stand, so that merging into that costs little more than
    copying it. Any other base is looked through first.
    """

    __slots__ = ("_places",)

    def __init__(self) -> None:
        self._places: RowPlaces | None = None

    def merge(self, base: Any, delta: Row) -> RowMerge | None:
        """Merge a row delta into a base; ``None`` if it cannot be merged."""
        if isinstance(base, list):
            return self._merge_rows(base, delta)
        if not isinstance(base, dict) or not isinstance(base.get("page"), list):
            return None
        merge = self._merge_rows(base["page"], delta)
        return None if merge is None else RowMerge(base, {**base, "page": merge.after}, merge.ops)

    def _merge_rows(self, rows: list[Any], delta: Row) -> RowMerge | None:
        key = delta["key"]
        is_delete = delta["op"] == "delete"
        row = UNDEFINED if is_delete else delta.get("row", UNDEFINED)
        places, self._places = self._places, None
        if places is None or places.rows is not rows:
            ids = row_ids(rows)
            places = None if ids is None or len(set(ids)) < len(ids) else RowPlaces(rows, ids)
            if ids is None:
                return None
        if row is UNDEFINED and not is_delete:
            return None
        # What a row is is the server's to say: one that is none, or another one, is looked at before the next delta.
        if places is None or not (is_delete or (isinstance(row, dict) and row.get("_id") == key)):
            return RowMerge(rows, _merge_slowly(rows, key, row), None)
        self._places = places
        old = places.remove(key) if is_delete else places.put(key, row)
        return _new(RowMerge, (rows, places.rows, _ops(key, row, old)))


def _ops(key: str, row: Any, old: Any) -> tuple[RowOp[Any], ...]:
    if row is UNDEFINED:
        return () if old is UNDEFINED else (_new(RowOp, ("delete", key, row, old)),)
    return (_new(RowOp, ("insert" if old is UNDEFINED else "update", key, row, old)),)


def _merge_slowly(rows: list[Any], key: str, row: Any) -> list[Any]:
    if row is UNDEFINED:
        return [old for old in rows if old["_id"] != key]
    merged = [row if old["_id"] == key else old for old in rows]
    if not any(old["_id"] == key for old in rows):
        merged.insert(placement(rows, row), row)
    return merged
