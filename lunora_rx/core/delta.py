"""Merges one row change into the value of a live query.

The client merges with it, and the embedded server replays it before it chooses a
delta over the whole value: it must be one function.  Source: ``docs/protocol.md``,
section "Delta merge".
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final, TypeAlias

from lunora_rx.protocol.values import UNDEFINED

Row: TypeAlias = dict[str, Any]

OPERATIONS: Final = frozenset({"insert", "update", "delete"})


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


def merge_delta(base: Any, delta: Row) -> Any:
    """Return ``base`` with a row delta merged in, or ``UNMERGEABLE``.

    ``base`` is a list of rows, or an object whose ``page`` is one.  Neither argument is
    changed; the result is always a new container, its rows are shared with ``base``.
    """
    if isinstance(base, list):
        return _merge_rows(base, delta)
    if isinstance(base, dict) and isinstance(base.get("page"), list):
        page = _merge_rows(base["page"], delta)
        return page if page is UNMERGEABLE else {**base, "page": page}
    return UNMERGEABLE


def _merge_rows(rows: list[Any], delta: Row) -> list[Any] | Unmergeable:
    if not all(isinstance(row, dict) and isinstance(row.get("_id"), str) for row in rows):
        return UNMERGEABLE
    key = delta["key"]
    if delta["op"] == "delete":
        return [row for row in rows if row["_id"] != key]
    row = delta.get("row", UNDEFINED)
    return UNMERGEABLE if row is UNDEFINED else _upsert(rows, key, row)


def _upsert(rows: list[Row], key: str, row: Any) -> list[Any]:
    merged = rows.copy()
    places = [place for place, old in enumerate(rows) if old["_id"] == key]
    for place in places:
        merged[place] = row
    if not places:
        merged.insert(placement(rows, row), row)
    return merged


def placement(rows: list[Row], row: Any) -> int:
    """Return where a new row belongs among ``rows``: by ``_creationTime``, after its equals."""
    created = creation_time(row)
    if created is None:
        return len(rows)
    descending = _is_descending(rows)
    for place, old in enumerate(rows):
        time = creation_time(old)
        if time is not None and (time < created if descending else time > created):
            return place
    return len(rows)


def creation_time(row: Any) -> float | None:
    """Return the numeric ``_creationTime`` of a row, or ``None``; neither a bool nor a bigint is a number."""
    time = row.get("_creationTime") if isinstance(row, dict) else None
    return time if type(time) is float or type(time) is int else None


def _is_descending(rows: list[Row]) -> bool:
    times = [time for time in map(creation_time, rows) if time is not None]
    return next((earlier > later for earlier, later in pairwise(times) if earlier != later), False)
