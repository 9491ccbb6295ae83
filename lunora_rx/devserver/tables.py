"""What functions see of the store: ``ctx.db`` and the query builder of its tables.

Everything read through here is noted, so that a later write re-runs exactly the
queries it could have changed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Literal, TypeAlias

from lunora_rx.devserver.changelog import Writes
from lunora_rx.devserver.filters import Equals, Filter, Satisfies, compares, equals
from lunora_rx.devserver.refusals import AppError
from lunora_rx.devserver.store import Store
from lunora_rx.devserver.tracking import RangeRead, Read, RowRead
from lunora_rx.protocol.values import UNDEFINED, WireBigInt

__all__ = ["Page", "Reader", "Row", "Table", "Writer", "rows_of", "selection_of"]

Row: TypeAlias = dict[str, Any]
Page: TypeAlias = dict[str, Any]
Note: TypeAlias = Callable[[Read], object]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of one table, narrowed step by step; each step gives a new object.

    Nothing is read before ``collect``, ``take``, ``first``, ``count`` or ``paginate``.
    Rows come by creation time, oldest first unless ``order("desc")`` says otherwise.
    """

    _store: Store
    _note: Note
    _name: str
    _filters: tuple[Filter, ...] = ()
    _descending: bool = False

    def where(
        self,
        condition: str | Callable[[Row], object] | None = None,
        sign: str = "==",
        value: Any = None,
        /,
        **fields: Any,
    ) -> Table:
        """Keep the rows that match.

        ``where(channelId="general")`` compares fields for equality, which is what re-runs are
        narrowed by best; ``where("likes", ">", 10)`` takes ``== != < <= > >= in``;
        ``where(lambda row: ...)`` takes any function that depends on the row alone.
        """
        filters = [equals(field, wanted) for field, wanted in fields.items()]
        if isinstance(condition, str):
            return self._narrowed(compares(condition, sign, value), *filters)
        if condition is not None:
            return self._narrowed(Satisfies(condition), *filters)
        return self._narrowed(*filters)

    def order(self, direction: Literal["asc", "desc"]) -> Table:
        """Order by creation time, ascending or descending."""
        if direction not in ("asc", "desc"):
            raise ValueError(f"order({direction!r}): the direction is 'asc' or 'desc'")
        return replace(self, _descending=direction == "desc")

    def collect(self) -> list[Row]:
        """Return all rows that match."""
        self._note(self._range())
        return list(self._scan())

    def take(self, limit: int) -> list[Row]:
        """Return the first ``limit`` rows that match."""
        return self._take(limit)

    def first(self) -> Row | None:
        """Return the first row that matches."""
        return next(iter(self._take(1)), None)

    def count(self) -> int:
        """Return how many rows match."""
        self._note(self._range(counts_only=True))
        return sum(1 for _ in self._scan())

    def paginate(self, cursor: str | None, num_items: int, *, upper: str | None = None) -> Page:
        """Return one page: ``page``, ``isDone``, ``continueCursor`` and, of an overfull page, ``splitCursor``.

        Args:
            cursor: Where the page begins, exclusive; ``None`` is the beginning.
            num_items: How many rows an open page holds at most.
            upper: Where the page ends, inclusive; ``None`` leaves it open.

        Raises:
            AppError: A cursor is none that a page has given; code ``VALIDATION_ERROR``.
        """
        _check_limit(num_items)
        after, until = _position(cursor), _position(upper)
        if until is None:
            return self._open_page(after, num_items)
        rows = self._within(after, until)
        page: Page = {"page": rows, "isDone": False, "continueCursor": upper}
        if len(rows) > 2 * num_items:
            page["splitCursor"] = _cursor_of(rows[len(rows) // 2 - 1])
        return page

    def _open_page(self, after: float | None, num_items: int) -> Page:
        found = self._take(num_items + 1, after)
        page, is_done = found[:num_items], len(found) <= num_items
        return {"page": page, "isDone": is_done, "continueCursor": None if is_done else _cursor_of(page[-1])}

    def _within(self, after: float | None, until: float) -> list[Row]:
        low, high = self._span(after)
        low, high = (max(low, until), high) if self._descending else (low, min(high, until))
        self._note(self._range(low, high))
        return list(self._scan(low, high))

    def _take(self, limit: int, after: float | None = None) -> list[Row]:
        _check_limit(limit)
        low, high = self._span(after)
        try:
            rows = list(islice(self._scan(low, high), limit))
            if len(rows) == limit:  # what lies beyond the last row cannot matter
                last = rows[-1]["_creationTime"]
                low, high = (last, high) if self._descending else (low, last)
        finally:  # a predicate that raises has read as well
            self._note(self._range(low, high))
        return rows

    def _span(self, after: float | None) -> tuple[float, float]:
        if after is None:
            return -math.inf, math.inf
        if self._descending:
            return -math.inf, math.nextafter(after, -math.inf)
        return math.nextafter(after, math.inf), math.inf

    def _scan(self, low: float = -math.inf, high: float = math.inf) -> Iterator[Row]:
        equal = {each.field: each.value for each in self._filters if isinstance(each, Equals) and _is_plain(each.value)}
        rows = self._store.scan(self._name, low=low, high=high, descending=self._descending, equal=equal)
        return (row for row in rows if all(each.matches(row) for each in self._filters))

    def _range(self, low: float = -math.inf, high: float = math.inf, *, counts_only: bool = False) -> RangeRead:
        return RangeRead(self._name, self._filters, low, high, counts_only)

    def _narrowed(self, *filters: Filter) -> Table:
        return replace(self, _filters=self._filters + filters)


class Reader:
    """``ctx.db`` of a query: reads, and notes what it has read."""

    def __init__(self, store: Store, note: Note) -> None:
        self._store = store
        self._note = note

    def table(self, name: str) -> Table:
        """Return the rows of a table; a table that nothing was written to is empty."""
        return Table(self._store, self._note, name)

    def get(self, table: str, row_id: str) -> Row | None:
        """Return a row by its ``_id``, or ``None``."""
        self._note(RowRead(table, row_id))
        return self._store.get(table, row_id)


class Writer(Reader):
    """``ctx.db`` of a mutation: reads and writes in one transaction."""

    def __init__(self, store: Store, writes: Writes) -> None:
        super().__init__(store, note=lambda read: None)
        self._writes = writes

    def insert(self, table: str, /, **fields: Any) -> str:
        """Add a row and return its ``_id``, which may be given; ``_creationTime`` is now.

        Raises:
            AppError: There is a row with this ``_id``; code ``CONFLICT``.
        """
        row_id = fields.pop("_id", None)
        row_id = self._store.new_row_id() if row_id is None else row_id
        if not isinstance(row_id, str):
            raise TypeError(f"table {table!r}: '_id' is a string, not {type(row_id).__name__}")
        if self._store.get(table, row_id) is not None:
            raise AppError("CONFLICT", f"table {table!r} already has a row {row_id!r}")
        self._put(table, row_id, None, self._store.next_created(), fields)
        return row_id

    def update(self, table: str, row_id: str, /, **fields: Any) -> None:
        """Change some fields of a row; a field given as ``UNDEFINED`` is removed.

        Raises:
            AppError: There is no such row; code ``NOT_FOUND``.
        """
        before = self._existing(table, row_id)
        kept = {name: value for name, value in before.items() if not name.startswith("_")}
        self._put(table, row_id, before, before["_creationTime"], {**kept, **fields})

    def replace(self, table: str, row_id: str, /, **fields: Any) -> None:
        """Put these fields in place of all fields of a row.

        Raises:
            AppError: There is no such row; code ``NOT_FOUND``.
        """
        before = self._existing(table, row_id)
        self._put(table, row_id, before, before["_creationTime"], fields)

    def delete(self, table: str, row_id: str, /) -> bool:
        """Remove a row; return whether there was one."""
        before = self._store.get(table, row_id)
        if before is None:
            return False
        self._store.remove(table, row_id)
        self._writes.note(table, row_id, before, None)
        return True

    def _existing(self, table: str, row_id: str) -> Row:
        row = self._store.get(table, row_id)
        if row is None:
            raise AppError("NOT_FOUND", f"table {table!r} has no row {row_id!r}")
        return row

    def _put(self, table: str, row_id: str, before: Row | None, created: float, fields: Row) -> None:
        reserved = [name for name in fields if name.startswith("_")]
        if reserved:
            raise ValueError(f"table {table!r}: field {reserved[0]!r} begins with an underscore, which is the server's")
        present = {name: value for name, value in fields.items() if value is not UNDEFINED}
        self._writes.note(table, row_id, before, self._store.put(table, row_id, created, present))


def selection_of(table: Table) -> RangeRead:
    """Return the rows that a table names, as a condition that can be asked about one row."""
    return table._range()


def rows_of(table: Table) -> Iterator[Row]:
    """Iterate over the rows that a table names, without noting that they were read."""
    return table._scan()


def _is_plain(value: object) -> bool:
    """Tell whether sqlite compares this value as Python does, or lets more through."""
    if isinstance(value, str):
        return type(value) is str and "\0" not in value and value.encode(errors="ignore").decode() == value
    return isinstance(value, int) and not isinstance(value, WireBigInt) and abs(value) < 2**53


def _check_limit(limit: int) -> None:
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise AppError("VALIDATION_ERROR", f"a limit is a positive whole number, not {limit!r}")


def _cursor_of(row: Row) -> str:
    return repr(row["_creationTime"])


def _position(cursor: str | None) -> float | None:
    if cursor is None:
        return None
    try:
        position = float(cursor)
    except (TypeError, ValueError):
        position = math.nan
    if math.isnan(position):
        raise AppError("VALIDATION_ERROR", f"{cursor!r} is not a cursor of a page")
    return position
