"""Row changes: those of a running transaction, and the latest ones of a shard, by which a resume is judged."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import takewhile
from typing import Any, TypeAlias

from lunora_rx.devserver.tracking import Change, Read
from lunora_rx.protocol.text import dumps

__all__ = ["ChangeLog", "Writes"]

Row: TypeAlias = dict[str, Any]

_SCAN_LIMIT = 1000


class Writes:
    """The row changes of one running transaction, first image and last image of each row."""

    def __init__(self) -> None:
        self._images: dict[tuple[str, str], tuple[Row | None, Row | None]] = {}
        self._changes: list[Change] | None = None

    def note(self, table: str, row_id: str, before: Row | None, after: Row | None) -> None:
        """Note one write; later ones of the same row keep the first ``before``."""
        first, _ = self._images.get((table, row_id), (before, None))
        self._images[table, row_id] = (first, after)
        self._changes = None

    def changes(self) -> list[Change]:
        """Return what differs in the end; a write that leaves its row as it was is none."""
        if self._changes is None:
            self._changes = [
                Change(table, row_id, before, after)
                for (table, row_id), (before, after) in self._images.items()
                if not _is_same(before, after)
            ]
        return self._changes


class ChangeLog:
    """Knows which rows changed after a cursor, as far back as it is kept.

    Attributes:
        floor: Cursor of the newest change that was forgotten: nothing can be said about earlier ones.
    """

    def __init__(self, *, floor: int) -> None:
        self.floor = floor
        self._by_table: dict[str, deque[tuple[int, Change]]] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def append(self, cursor: int, changes: Iterable[Change]) -> None:
        """Note the changes of one commit; cursors only ever grow."""
        for change in changes:
            self._by_table.setdefault(change.table, deque()).append((cursor, change))
            self._size += 1

    def forget(self, floor: int) -> None:
        """Drop every change at or before a cursor."""
        if floor <= self.floor:
            return
        self.floor = floor
        for entries in self._by_table.values():
            while entries and entries[0][0] <= floor:
                entries.popleft()
                self._size -= 1

    def is_unchanged(self, reads: Iterable[Read], since: int) -> bool:
        """Tell whether no change after ``since`` touches any of the reads.

        ``False`` also where the log does not reach back that far, or would take too long to search.
        """
        return since >= self.floor and all(self._is_untouched(read, since) for read in reads)

    def changes_since(self, table: str, since: int) -> list[Change] | None:
        """Return what became of each row of a table that was written after ``since``, in order of the first write.

        ``None`` where the log does not reach back that far.
        """
        if since < self.floor:
            return None
        later = list(takewhile(lambda entry: entry[0] > since, reversed(self._by_table.get(table, ()))))
        writes = Writes()
        for _, change in reversed(later):
            writes.note(table, change.id, change.before, change.after)
        return writes.changes()

    def _is_untouched(self, read: Read, since: int) -> bool:
        entries = self._by_table.get(read.table, ())
        for count, (cursor, change) in enumerate(reversed(entries)):
            if cursor <= since:
                return True
            if count >= _SCAN_LIMIT or read.touched_by(change):
                return False
        return True


def _is_same(before: Row | None, after: Row | None) -> bool:
    return before is after or (before is not None and after is not None and dumps(before) == dumps(after))
