"""Rows as columns of plain Python values, which data frames understand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from lunora_rx.operators.keys import fields_of
from lunora_rx.protocol.values import Undefined, WireBigInt, WireBytes, WireDate, WireUrl

Columns: TypeAlias = dict[str, list[Any]]

_PLAIN: Mapping[type, Callable[[Any], Any]] = {
    Undefined: lambda value: None,
    WireBigInt: int.__int__,
    WireBytes: bytes,
    WireUrl: str.__str__,
}


def columns_of(rows: Sequence[Any], names: Sequence[str] | None) -> Columns:
    """Return the fields of rows as columns; ``None`` where a row has not got one.

    Args:
        rows: The rows.
        names: Which fields; by default all, as they are first seen.

    Raises:
        TypeError: A row is no object.
    """
    for row in rows:
        fields_of("to_frame", row)
    names = list(dict.fromkeys(name for row in rows for name in row)) if names is None else names
    return {name: _plain([row.get(name) for row in rows]) for name in names}


def kinds_of(column: Sequence[Any]) -> set[type]:
    """Return the types of the values that are there."""
    return set(map(type, column)) - {type(None)}


def epoch_milliseconds(column: Sequence[Any]) -> list[int | None]:
    """Return dates as whole milliseconds since 1970; an invalid one is missing."""
    return [_milliseconds(each) for each in column]


def _plain(column: list[Any]) -> list[Any]:
    special = kinds_of(column) & _PLAIN.keys()
    if not special:
        return column
    return [_PLAIN[type(each)](each) if type(each) in special else each for each in column]


def _milliseconds(date: Any) -> int | None:
    if date is None or (isinstance(date, WireDate) and not date.is_valid):
        return None
    return int(date.epoch_ms) if isinstance(date, WireDate) else round(date.timestamp() * 1000)
