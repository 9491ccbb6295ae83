"""Operators that tell of single rows: what changed, and what one of them is."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar, overload

from reactivex import Observable
from reactivex import operators as ops

from lunora_rx.operators.keys import Key, RowKey
from lunora_rx.operators.row_diff import RowDiff
from lunora_rx.operators.stepping import Step, stepped
from lunora_rx.rx.live_query import row_merge_of
from lunora_rx.rx.row_changes import RowChanges
from lunora_rx.rx.shape import Shape

T = TypeVar("T")


@overload
def changes(key: str = "_id") -> Callable[[Observable[Sequence[T]]], Observable[RowChanges[T]]]: ...
@overload
def changes(key: Callable[[T], Hashable]) -> Callable[[Observable[Sequence[T]]], Observable[RowChanges[T]]]: ...
def changes(key: Key[T] = "_id") -> Callable[[Observable[Sequence[T]]], Observable[RowChanges[T]]]:
    """Tell which rows were added, changed and removed between one list and the next.

    ::

        rows     --[a]----[a,b]---[a,b]---[A,b]--------|
        changes  --(+a)---(+b)------------(a>A)--------|

    The first list is told as inserts with ``is_reset``, also where it is empty. After that something is told only if
    rows differ; their order is not told. Folded from the first on, the changes give the rows by key.

    On a live query, its ``resilient``, and a shape, a row that the server changed alone costs that row and not the
    list, if the operator stands first in the pipe. Elsewhere, and where a whole list arrives, lists are compared, row
    by row with ``==``, the same object being equal unseen.

    Args:
        key: What tells one row from another: the name of a field, or a function of a row. A shape's own keys stand
            for ``_id``.

    Raises:
        TypeError: ``key`` is neither; as an error of the stream, a value is no list of rows.
        ValueError: As an error of the stream, a row has no key, or two rows have the same.

    >>> import reactivex
    >>> from lunora_rx import operators as lops
    >>> lists = reactivex.of([{"_id": "a", "n": 1}], [{"_id": "a", "n": 2}, {"_id": "b", "n": 1}], [])
    >>> _ = lists.pipe(lops.changes()).subscribe(lambda told: print(told.added, told.changed, len(told.removed)))
    [{'_id': 'a', 'n': 1}] [] 0
    [{'_id': 'b', 'n': 1}] [{'_id': 'a', 'n': 2}] 0
    [] [] 2
    """
    return _told("changes", key)


@overload
def row(id: Hashable, *, key: str = "_id") -> Callable[[Observable[Sequence[T]]], Observable[T | None]]: ...
@overload
def row(
    id: Hashable,
    *,
    key: Callable[[T], Hashable],
) -> Callable[[Observable[Sequence[T]]], Observable[T | None]]: ...
def row(id: Hashable, *, key: Key[T] = "_id") -> Callable[[Observable[Sequence[T]]], Observable[T | None]]:  # noqa: A002
    """Follow one row: what it is now, then each change of it, ``None`` while it is not there.

    ::

        rows      --[a]---[a,b]---[A,b]---[b]----|
        row("a")  --a-------------A-------None---|

    It costs what ``changes`` does.

    Args:
        id: The key of the row.
        key: What tells one row from another, as in ``changes``.

    Raises:
        TypeError: As ``changes``.
        ValueError: As ``changes``.

    >>> import reactivex
    >>> from lunora_rx import operators as lops
    >>> lists = reactivex.of([{"_id": "a", "n": 1}, {"_id": "b", "n": 1}], [{"_id": "b", "n": 2}], [])
    >>> _ = lists.pipe(lops.row("b")).subscribe(print)
    {'_id': 'b', 'n': 1}
    {'_id': 'b', 'n': 2}
    None
    """
    told = _told("row", key)

    def follow(shown: T | None, changes: RowChanges[T]) -> T | None:
        shown = None if changes.is_reset else shown
        for op in changes.ops:
            if op.key == id:
                shown = None if op.op == "delete" else op.row
        return shown

    def apply(source: Observable[Sequence[T]]) -> Observable[T | None]:
        nothing: T | None = None
        return told(source).pipe(ops.scan(follow, nothing), ops.distinct_until_changed())

    return apply


def _told(operator: str, key: Key[T]) -> Callable[[Observable[Sequence[T]]], Observable[RowChanges[T]]]:
    row_key = RowKey(operator, key)

    def apply(source: Observable[Sequence[T]]) -> Observable[RowChanges[T]]:
        if isinstance(source, Shape):
            return source.changes if key == "_id" else _followed(source.changes, row_key)
        return _compared(source, row_key)

    return apply


def _compared(source: Observable[Sequence[T]], key: RowKey) -> Observable[RowChanges[T]]:
    merge = row_merge_of(source)

    def start(_: object) -> Step[Sequence[T], RowChanges[T]]:
        diff = RowDiff(key)
        return lambda value: diff.next(value, merge())

    return stepped(source, start)


def _followed(source: Observable[RowChanges[T]], key: RowKey) -> Observable[RowChanges[T]]:
    return stepped(source, lambda _: RowDiff(key).follow)
