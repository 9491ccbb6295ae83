"""Operators from lists of rows to other rows, value by value."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, TypeVar, overload

from reactivex import Observable

from lunora_rx.operators.keys import Key, RowKey, fields_of, kind_of, rows_of

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


@overload
def by_id() -> Callable[[Observable[Sequence[T]]], Observable[dict[str, T]]]: ...
@overload
def by_id(key: str) -> Callable[[Observable[Sequence[T]]], Observable[dict[Any, T]]]: ...
@overload
def by_id(key: Callable[[T], K]) -> Callable[[Observable[Sequence[T]]], Observable[dict[K, T]]]: ...
def by_id(key: Key[T] = "_id") -> Callable[[Observable[Sequence[T]]], Observable[dict[Any, T]]]:
    """Turn each list of rows into a dict of them by key, in the order of the list.

    ::

        rows   --[a,b]-----[b]-----|
        by_id  --{a,b}-----{b}-----|

    Each dict is a new one.

    Args:
        key: The name of a field, or a function of a row.

    Raises:
        TypeError: ``key`` is neither; as an error of the stream, a value is no list of rows.
        ValueError: As an error of the stream, a row has no key, or two rows have the same.

    >>> import reactivex
    >>> from lunora_rx import operators as lops
    >>> rows = reactivex.of([{"_id": "a", "n": 1}, {"_id": "b", "n": 2}])
    >>> _ = rows.pipe(lops.by_id()).subscribe(lambda by_id: print(by_id["b"]))
    {'_id': 'b', 'n': 2}
    """
    row_key = RowKey("by_id", key)
    return lambda source: source.map(lambda value: row_key.index(rows_of("by_id", value)))


def select(*fields: str) -> Callable[[Observable[Sequence[Mapping[str, Any]]]], Observable[list[dict[str, Any]]]]:
    """Keep some fields of each row, in the order given; a field that a row has not stays missing.

    ::

        rows         --[{n:1,m:2}]---[{m:3}]---|
        select("n")  --[{n:1}]-------[{}]------|

    Raises:
        TypeError: There are no fields, or one is not a text; as an error of the stream, a value is no list of rows, or
            a row has no fields.

    >>> import reactivex
    >>> from lunora_rx import operators as lops
    >>> _ = reactivex.of([{"_id": "a", "n": 1, "text": "long"}]).pipe(lops.select("_id", "n")).subscribe(print)
    [{'_id': 'a', 'n': 1}]
    """
    if not fields or not all(isinstance(field, str) for field in fields):
        raise TypeError("select() takes the names of the fields to keep, at least one")

    def keep(value: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        rows = (fields_of("select", row) for row in rows_of("select", value))
        return [{field: row[field] for field in fields if field in row} for row in rows]

    return lambda source: source.map(keep)


def where(predicate: Callable[[T], bool]) -> Callable[[Observable[Sequence[T]]], Observable[list[T]]]:
    """Keep the rows for which a function is true.

    ::

        rows         --[1,2,3]---[3,4]---[]---|
        where(even)  --[2]-------[4]-----[]---|

    Raises:
        TypeError: ``predicate`` is no function; as an error of the stream, a value is no list of rows, or
            ``predicate`` fails on a row that has no fields. What it raises otherwise is the error of the stream.

    >>> import reactivex
    >>> from lunora_rx import operators as lops
    >>> rows = reactivex.of([{"_id": "a", "done": True}, {"_id": "b", "done": False}])
    >>> _ = rows.pipe(lops.where(lambda row: not row["done"])).subscribe(print)
    [{'_id': 'b', 'done': False}]
    """
    if not callable(predicate):
        raise TypeError(f"where() takes a function of a row, not {type(predicate).__name__}")
    return lambda source: source.map(lambda value: _kept(predicate, rows_of("where", value)))


def _kept(predicate: Callable[[T], bool], rows: Sequence[T]) -> list[T]:
    kept = []
    for row in rows:
        try:
            is_kept = predicate(row)
        except Exception as error:
            if isinstance(row, Mapping):
                raise
            # Rows may be of any type, but most predicates ask for a field.
            raise TypeError(
                f"where(): the predicate raised {type(error).__name__} for a row that is no object with fields,"
                f" but {kind_of(row)}: {error}"
            ) from error
        if is_kept:
            kept.append(row)
    return kept
