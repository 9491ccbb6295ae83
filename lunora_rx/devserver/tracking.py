"""What a query has read, and which queries a write could therefore have changed.

A query is a function of its reads: as long as no change touches one of them, running it
again would read the same, take the same path and give the same result.  So
``touched_by`` must never miss a change that could matter; it may name one that does not.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from lunora_rx.devserver.filters import Equals, Filter, value_key

Row: TypeAlias = dict[str, Any]
Owner = TypeVar("Owner", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Change:
    """One row before and after a commit; ``None`` where there was, or is, no row."""

    table: str
    id: str
    before: Row | None
    after: Row | None

    @property
    def images(self) -> Iterator[Row]:
        """The row as it was and as it is, as far as it exists."""
        return (image for image in (self.before, self.after) if image is not None)


@dataclass(frozen=True, slots=True)
class RowRead:
    """A row was looked up by its id, whether or not it was there."""

    table: str
    id: str

    def touched_by(self, change: Change) -> bool:
        """Tell whether the lookup could give something else after the change."""
        return change.id == self.id and change.table == self.table


@dataclass(frozen=True, slots=True)
class RangeRead:
    """The rows of a table that match all filters were read, within a span of creation times.

    Attributes:
        table: The table.
        filters: What the rows had to match.
        low: First creation time that could matter.
        high: Last creation time that could matter; a full ``take`` ends at its last row.
        counts_only: Whether only the number of rows was asked for.
    """

    table: str
    filters: tuple[Filter, ...] = ()
    low: float = -math.inf
    high: float = math.inf
    counts_only: bool = False

    def touched_by(self, change: Change) -> bool:
        """Tell whether the range could hold something else after the change."""
        if change.table != self.table:
            return False
        try:
            before, after = self.holds(change.before), self.holds(change.after)
        except Exception:  # a predicate of the application; what it cannot judge may matter
            return True
        return before is not after if self.counts_only else before or after

    @property
    def equality(self) -> Equals | None:
        """The equality filter under which an index finds this read, if it has one."""
        return next((each for each in self.filters if isinstance(each, Equals)), None)

    def holds(self, row: Row | None) -> bool:
        """Tell whether a row belongs to the range; what a predicate raises is the caller's."""
        if row is None or not self.low <= row["_creationTime"] <= self.high:
            return False
        return all(each.matches(row) for each in self.filters)


Read: TypeAlias = RowRead | RangeRead


class ReadIndex(Generic[Owner]):
    """Finds the owners whose reads a commit touches, without asking all of them.

    It knows reads by row, by the value of one equality filter, or else by table.
    """

    def __init__(self) -> None:
        self._reads: dict[Owner, tuple[Read, ...]] = {}
        self._owners: dict[Hashable, dict[Owner, None]] = {}
        self._fields: dict[str, dict[str, int]] = {}

    def replace(self, owner: Owner, reads: Sequence[Read]) -> None:
        """Note what an owner has read now, in place of what it had read before."""
        self.remove(owner)
        self._reads[owner] = unique = tuple(dict.fromkeys(reads))
        for read in unique:
            self._owners.setdefault(self._slot(read), {})[owner] = None
            self._count_field(read, +1)

    def remove(self, owner: Owner) -> None:
        """Forget an owner; an unknown one is no error."""
        for read in self._reads.pop(owner, ()):
            slot = self._slot(read)
            owners = self._owners.get(slot, {})
            owners.pop(owner, None)
            if not owners:
                self._owners.pop(slot, None)
            self._count_field(read, -1)

    def touched_by(self, changes: Iterable[Change]) -> list[Owner]:
        """Return the owners that have a read which one of the changes touches."""
        found: dict[Owner, None] = {}
        for change in changes:
            for owner in self._candidates(change):
                if owner not in found and any(read.touched_by(change) for read in self._reads[owner]):
                    found[owner] = None
        return list(found)

    def _candidates(self, change: Change) -> Iterator[Owner]:
        yield from self._owners.get((change.table, "id", change.id), ())
        yield from self._owners.get((change.table,), ())
        for field in self._fields.get(change.table, ()):
            for key in {value_key(image.get(field)) for image in change.images}:
                yield from self._owners.get((change.table, "field", field, key), ())

    def _slot(self, read: Read) -> Hashable:
        if isinstance(read, RowRead):
            return (read.table, "id", read.id)
        equality = read.equality
        return (read.table,) if equality is None else (read.table, "field", equality.field, equality.key)

    def _count_field(self, read: Read, by: int) -> None:
        equality = read.equality if isinstance(read, RangeRead) else None
        if equality is None:
            return
        fields = self._fields.setdefault(read.table, {})
        fields[equality.field] = fields.get(equality.field, 0) + by
        if not fields[equality.field]:
            del fields[equality.field]
