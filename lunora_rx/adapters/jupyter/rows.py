"""Rows in a table of Perspective, fed with what is different from what it shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reactivex import Subject

from lunora_rx import RowChanges
from lunora_rx import operators as lops
from lunora_rx.adapters.jupyter.cells import columns_of, text_of
from lunora_rx.adapters.jupyter.order import Order

__all__ = ["RowsTable"]

KEY = "_id"
PLACE = "#"

Row = Mapping[str, Any]
Kinds = dict[str, str]


class RowsTable:
    """A table of Perspective with a column for each field, and one by which its rows sort into their order.

    It is made with the first row, and made anew when a field is new or holds another kind of value. Perspective itself
    would sort rows by their keys.

    Attributes:
        table: The table, or ``None`` before the first row.
        place: The name of the column of the order: ``#``, or more of it where a field has that name.
    """

    def __init__(self) -> None:
        self.table: Any = None
        self.place = PLACE
        self._kinds: Kinds = {}
        self._order = Order()
        self._lists: Subject[Sequence[Row]] = Subject()
        self._told: list[RowChanges[Row]] = []
        self._is_refused = False
        self._follow()

    def show(self, rows: list[Row]) -> bool:
        """Show rows; return whether they can be: each has a key.  Rows with the same one are told apart by number."""
        if not self._take(rows):
            rows = distinct(rows)
            if not self._take(rows):
                return False
        moved = self._order.follow([key_of(row) for row in rows])
        told, self._told = self._told, []
        for changes in told:
            self._apply(changes, rows)
        if moved and self.table is not None:
            self.table.update([{KEY: key, self.place: self._order[key]} for key in moved])
        return True

    def _take(self, rows: list[Row]) -> bool:
        self._lists.on_next(rows)
        if self._is_refused:
            self._follow()
            return False
        return True

    def _follow(self) -> None:
        self._lists, self._told, self._is_refused = Subject(), [], False
        self._lists.pipe(lops.changes(KEY)).subscribe(self._told_of, self._refuse)

    def _told_of(self, changes: RowChanges[Row]) -> None:
        self._told.append(changes)

    def _refuse(self, error: Exception) -> None:
        self._is_refused = True

    def _apply(self, changes: RowChanges[Row], rows: list[Row]) -> None:
        kinds = kinds_of(op.row for op in changes.ops if op.op != "delete")
        if self.table is None or not kinds.items() <= self._kinds.items():
            self._rebuild(rows)
            return
        if changes.is_reset:
            self.table.clear()
        removed = [text_of_key(op.key) for op in changes.ops if op.op == "delete"]
        if removed:
            self.table.remove(removed)
        changed = [self._cells(op.row) for op in changes.ops if op.op != "delete"]
        if changed:
            self.table.update(changed)

    def _rebuild(self, rows: list[Row]) -> None:
        import perspective  # type: ignore[import-not-found, import-untyped, unused-ignore]

        if not rows:
            return
        # What looks at the table before sees it until it is told of this one.
        known = kinds_of(rows)
        self._kinds = {name: known[name] for name in map(str, columns_of(rows)) if name in known}
        self.place = PLACE
        while self.place in self._kinds:
            self.place += PLACE
        self.table = perspective.table({**self._kinds, self.place: "float"}, index=KEY)
        self.table.update([self._cells(row) for row in rows])

    def _cells(self, row: Row) -> dict[str, Any]:
        key = key_of(row)
        cells = {name: cell_of(row.get(name), kind) for name, kind in self._kinds.items()}
        return {**cells, KEY: key, self.place: self._order[key]}


def key_of(row: Row) -> str:
    """Return the key of a row as the table knows it."""
    return text_of_key(row[KEY])


def text_of_key(key: Any) -> str:
    """Return a key as text, whole: what is shown of a long one would stand for several."""
    return key if isinstance(key, str) else str(key)


def distinct(rows: list[Row]) -> list[Row]:
    """Return rows with keys of their own: of those that share one, the second gets ``(2)`` after it, and so on.

    So are writes that are shown before the server has given them a key. Rows without a key stay without.
    """
    taken = Counter(str(row.get(KEY)) for row in rows)
    told: Counter[str] = Counter()
    made: list[Row] = []
    for row in rows:
        key = str(row.get(KEY))
        told[key] += 1
        if told[key] == 1 or KEY not in row:
            made.append(row)
            continue
        while (name := f"{key} ({told[key]})") in taken:
            told[key] += 1
        taken[name] += 1
        made.append({**row, KEY: name})
    return made


def kinds_of(rows: Iterable[Row]) -> Kinds:
    """Return what kind of column each field needs: what is no number, truth or time is text, as is what is mixed."""
    kinds: Kinds = {}
    for row in rows:
        for name, value in row.items():
            if value is None:
                continue
            kind = _kind_of(str(name), value)
            if kinds.setdefault(str(name), kind) != kind:
                kinds[str(name)] = "string"
    return kinds


def cell_of(value: Any, kind: str) -> Any:
    """Return a value as a column of a kind takes it."""
    if value is None:
        return None
    if kind == "string":
        return text_of(value)
    return int(value) if kind == "datetime" else value


def _kind_of(name: str, value: Any) -> str:
    if name == KEY:
        return "string"
    if isinstance(value, bool):
        return "boolean"
    if not isinstance(value, int | float):
        return "string"
    # Whole numbers are floats, too: Perspective's integers have 32 bits.
    return "datetime" if name == "_creationTime" else "float"
