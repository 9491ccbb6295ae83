"""The latest changes of a shard, in memory, by table: what a resume is judged by."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from lunora_rx.devserver.tracking import Change, Read

__all__ = ["ChangeLog"]

_SCAN_LIMIT = 1000


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

    def _is_untouched(self, read: Read, since: int) -> bool:
        entries = self._by_table.get(read.table, ())
        for count, (cursor, change) in enumerate(reversed(entries)):
            if cursor <= since:
                return True
            if count >= _SCAN_LIMIT or read.touched_by(change):
                return False
        return True
