"""Where the rows of a list stand, kept from one row change to the next.

To look for a row costs as much as several copies of its list; to know where it stands costs nothing.
"""

from __future__ import annotations

from typing import Any, Final

from lunora_rx.core.placement import creation_time, in_order, placement, placement_in_order
from lunora_rx.protocol.values import UNDEFINED

# Every insert and delete moves other rows by one, so a place is off by at most as many: that far it is looked for.
MOST_MOVES: Final = 16


class RowPlaces:
    """Finds rows by ``_id``, which no two of them share.

    It knows one list at a time, and changes copies of it only. It trusts that nobody changes the list, and finds
    a row all the same if somebody did.

    Args:
        rows: Objects with a string ``_id``.
        ids: Those, in the same order.
    """

    __slots__ = ("_hints", "_is_in_order", "_moves", "rows")

    def __init__(self, rows: list[Any], ids: list[str]) -> None:
        self.rows = rows
        self._hints = dict(zip(ids, range(len(ids)), strict=True))
        self._moves = 0
        self._is_in_order: bool | None = None

    def put(self, key: str, row: Any) -> Any:
        """Replace the row with that id, or insert it; return the row that was there, ``UNDEFINED`` for none."""
        place = self._find(key)
        rows = self.rows.copy()
        if place is None:
            self._insert(rows, key, row)
            return UNDEFINED
        old, rows[place] = rows[place], row
        if creation_time(old) != creation_time(row):
            self._is_in_order = None
        self.rows = rows
        return old

    def remove(self, key: str) -> Any:
        """Remove the row with that id; return it, ``UNDEFINED`` if there was none."""
        place = self._find(key)
        rows = self.rows.copy()
        old = UNDEFINED if place is None else rows.pop(place)
        self.rows = rows
        if place is not None:
            self._hints.pop(key, None)
            self._note_move()
        return old

    def _insert(self, rows: list[Any], key: str, row: Any) -> None:
        place = self._place_of_new(row)
        rows.insert(place, row)
        self.rows = rows
        self._hints[key] = place
        self._note_move()

    def _place_of_new(self, row: Any) -> int:
        created = creation_time(row)
        if created is None or created != created:
            self._is_in_order = None
            return placement(self.rows, row)
        if self._is_in_order is None:
            self._is_in_order = in_order(self.rows)
        return placement_in_order(self.rows, created) if self._is_in_order else placement(self.rows, row)

    def _find(self, key: str) -> int | None:
        hint = self._hints.get(key)
        if hint is None:
            return None
        rows, moves = self.rows, self._moves
        for place in range(max(0, hint - moves), min(len(rows), hint + moves + 1)):
            if rows[place]["_id"] == key:
                return place
        return next((place for place, row in enumerate(rows) if row["_id"] == key), None)

    def _note_move(self) -> None:
        self._moves += 1
        if self._moves == MOST_MOVES:
            self._hints = {row["_id"]: place for place, row in enumerate(self.rows)}
            self._moves = 0


def row_ids(rows: list[Any]) -> list[str] | None:
    """Return the ``_id`` of each row; ``None`` unless all are objects with a string there."""
    if not all(issubclass(kind, dict) for kind in set(map(type, rows))):
        return None
    ids = [row.get("_id") for row in rows]
    return ids if all(issubclass(kind, str) for kind in set(map(type, ids))) else None
