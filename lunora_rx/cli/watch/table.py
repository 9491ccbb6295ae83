"""A table that follows a value: which rows are shown in which order, and which cells have just changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

from lunora_rx.cli.watch.cells import as_number, sort_key
from lunora_rx.cli.watch.filtering import parse_filter
from lunora_rx.cli.watch.reading import Form, Key, Reading, Row, read_value
from lunora_rx.protocol.values import UNDEFINED

MARK_SECONDS: Final = 1.5
SERIES_LENGTH: Final = 240


@dataclass(frozen=True, slots=True)
class Order:
    """A column to sort by."""

    column: str
    is_descending: bool = False


class LiveTable:
    """The rows of the latest value.

    It knows values and the time that it is told. It does not know how they are drawn.

    Attributes:
        columns: Names of the columns, in the order in which they came; those that begin with an underscore last.
        keys: The keys of the rows that are shown, in order.
        order: The column that they are sorted by; ``None`` leaves them as the value has them.
        note: What the value says beside its rows.
    """

    def __init__(self) -> None:
        self.columns: list[str] = []
        self.keys: list[Key] = []
        self.order: Order | None = None
        self.note = ""
        self._rows: dict[Key, Row] = {}
        self._words = ""
        self._marks: dict[Key, dict[str, float]] = {}
        self._history: list[Row] = []
        self._form: Form | None = None

    def __len__(self) -> int:
        return len(self._rows)

    def apply(self, value: Any, now: float) -> None:
        """Take the newest value, and mark what it changed for ``MARK_SECONDS``; the first one changes nothing."""
        reading, former, is_known = read_value(value), self._rows, True
        if reading.form is not self._form:
            self._begin(reading)
            former, is_known = {}, False
        self._rows, self.note = reading.rows, reading.note
        self._forget(now)
        for key, row in reading.rows.items():
            before = former.get(key)
            # A row that did not change is the same object: a delta leaves it in place.
            if before is not row and before != row:
                self._note(key, row, before, now if is_known else None)
        self._remember(reading)
        self.arrange()

    def row(self, key: Key) -> Row:
        """Return a row."""
        return self._rows[key]

    def is_marked(self, key: Key, column: str, now: float) -> bool:
        """Tell whether a cell changed a moment ago."""
        marks = self._marks.get(key)
        return marks is not None and marks.get(column, now) > now

    def has_marks(self, now: float) -> bool:
        """Tell whether something is marked, and forget what was."""
        self._forget(now)
        return bool(self._marks)

    def sort(self, order: Order | None) -> None:
        """Sort by a column, or leave the rows as the value has them."""
        self.order = order
        self.arrange()

    @property
    def words(self) -> str:
        """The filter, as it was written."""
        return self._words

    @words.setter
    def words(self, text: str) -> None:
        self._words = text
        self.arrange()

    def arrange(self) -> None:
        """Choose the rows that are shown, and their order."""
        rows, condition, order = self._rows, parse_filter(self._words), self.order
        keys = list(rows) if condition is None else [key for key, row in rows.items() if condition(row)]
        if order is not None:
            column = order.column
            keys.sort(key=lambda key: sort_key(rows[key].get(column, UNDEFINED)), reverse=order.is_descending)
        self.keys = keys

    def series(self, column: str) -> list[float]:
        """Return the numbers of a column: of the rows as they are shown or, if there is one only, of its past."""
        rows = self._history if len(self._rows) == 1 else (self._rows[key] for key in self.keys)
        numbers = (as_number(row.get(column)) for row in rows)
        return [number for number in numbers if number is not None]

    def _begin(self, reading: Reading) -> None:
        self._form = reading.form
        for each in (self.columns, self._marks, self._history):
            each.clear()

    def _note(self, key: Key, row: Row, before: Row | None, now: float | None) -> None:
        changed = row if before is None else _changed(before, row)
        for column in changed:
            if column not in self.columns:
                self._add_column(column)
        if now is not None and changed:
            self._marks.setdefault(key, {}).update(dict.fromkeys(changed, now + MARK_SECONDS))

    def _add_column(self, column: str) -> None:
        place = next((at for at, name in enumerate(self.columns) if name.startswith("_")), len(self.columns))
        self.columns.insert(len(self.columns) if column.startswith("_") else place, column)

    def _remember(self, reading: Reading) -> None:
        if len(reading.rows) != 1:
            self._history.clear()
            return
        self._history += reading.rows.values()
        del self._history[:-SERIES_LENGTH]

    def _forget(self, now: float) -> None:
        over = [key for key, marks in self._marks.items() if key not in self._rows or max(marks.values()) <= now]
        for key in over:
            del self._marks[key]


def _changed(before: Row, row: Row) -> list[str]:
    return [column for column in _columns(before, row) if before.get(column, UNDEFINED) != row.get(column, UNDEFINED)]


def _columns(before: Row, row: Row) -> Iterator[str]:
    return chain(row, (column for column in before if column not in row))
