"""What happened to the rows of a value since the one before."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import Any

from lunora_rx.core.delta import RowMerge
from lunora_rx.core.shape_events import RowOp
from lunora_rx.operators.keys import RowKey
from lunora_rx.protocol.values import UNDEFINED, Undefined
from lunora_rx.rx.row_changes import RowChanges


class RowDiff:
    """The rows that one observer was told of, by key.

    Args:
        key: What tells one row from another.
    """

    __slots__ = ("_key", "_rows", "_value")

    def __init__(self, key: RowKey) -> None:
        self._key = key
        self._rows: dict[Hashable, Any] = {}
        self._value: Any = UNDEFINED

    def next(self, value: Any, merge: RowMerge | None) -> RowChanges[Any] | Undefined:
        """Return what a value changes, ``UNDEFINED`` if nothing.

        ``merge`` may tell how it was made. It is believed of no other two values than the one before and this one,
        which are compared otherwise: so it may be late, early, or about what this observer was never shown.
        """
        before, self._value = self._value, value
        if merge is not None and merge.ops is not None and merge.before is before and merge.after is value:
            ops = tuple(self._apply(merge.ops))
        elif before is UNDEFINED:
            self._rows = self._key.index(self._key.rows_of(value))
            return RowChanges(tuple(RowOp("insert", key, row, UNDEFINED) for key, row in self._rows.items()), True)
        else:
            ops = tuple(self._compare(value))
        return RowChanges(ops) if ops else UNDEFINED

    def follow(self, changes: RowChanges[Any]) -> RowChanges[Any] | Undefined:
        """Return changes by another key as changes by this one, ``UNDEFINED`` if nothing."""
        if changes.is_reset:
            self._rows = {}
        ops = tuple(self._apply(changes.ops))
        return RowChanges(ops, changes.is_reset) if ops or changes.is_reset else UNDEFINED

    def _compare(self, value: Any) -> Iterator[RowOp[Any]]:
        before, self._rows = self._rows, self._key.index(self._key.rows_of(value))
        for key, old in before.items():
            if key not in self._rows:
                yield RowOp("delete", key, UNDEFINED, old)
        for key, row in self._rows.items():
            old = before.get(key, UNDEFINED)
            if old is UNDEFINED:
                yield RowOp("insert", key, row, old)
            elif old is not row and old != row:
                yield RowOp("update", key, row, old)

    def _apply(self, ops: Iterable[RowOp[Any]]) -> Iterator[RowOp[Any]]:
        for _, _, row, old in ops:
            old_key = UNDEFINED if old is UNDEFINED else self._key.of(old)
            key = UNDEFINED if row is UNDEFINED else self._key.of(row)
            if old_key is not UNDEFINED and key != old_key:
                del self._rows[old_key]
                yield RowOp("delete", old_key, UNDEFINED, old)
                old = UNDEFINED
            if key is UNDEFINED:
                continue
            if old is UNDEFINED and key in self._rows:
                raise self._key.not_unique(key)
            self._rows[key] = row
            if old is UNDEFINED or old != row:
                yield RowOp("insert" if old is UNDEFINED else "update", key, row, old)
