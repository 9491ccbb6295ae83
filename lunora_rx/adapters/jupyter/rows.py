"""Rows in a table of Perspective, fed with what is different from what it shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reactivex import Subject

from lunora_rx import RowChanges
from lunora_rx import operators as lops
from lunora_rx.adapters.jupyter.cells import columns_of, text_of

__all__ = ["RowsTable"]

KEY = "_id"

Row = Mapping[str, Any]
Kinds = dict[str, str]


class RowsTable:
    """A table of Perspective with a column for each field.

    It is made with the first row, and made anew when a field is new or holds another kind of value.

    Attributes:
        table: The table, or ``None`` before the first row.
    """

    def __init__(self) -> None:
        self.table: Any = None
        self._kinds: Kinds = {}
        self._lists: Subject[Sequence[Row]] = Subject()
        self._told: list[RowChanges[Row]] = []
        self._is_refused = False
        self._follow()

    def show(self, rows: list[Row]) -> bool:
        """Show rows; return whether they can be: each has a key of its own."""
        self._lists.on_next(rows)
        if self._is_refused:
            self._follow()
            return False
        told, self._told = self._told, []
        for changes in told:
            self._apply(changes, rows)
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
        removed = [str(op.key) for op in changes.ops if op.op == "delete"]
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
        self.table = perspective.table(self._kinds, index=KEY)
        self.table.update([self._cells(row) for row in rows])

    def _cells(self, row: Row) -> dict[str, Any]:
        return {name: cell_of(row.get(name), kind) for name, kind in self._kinds.items()}


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
