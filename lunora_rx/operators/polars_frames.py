"""Columns as frames of polars."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import polars as pl

from lunora_rx.operators.columns import Columns, epoch_milliseconds, kinds_of
from lunora_rx.protocol.values import Undefined, WireBigInt, WireBytes, WireDate, WireError, WireMap, WireSet, WireUrl

_WIDEST: Final = 2**127
_FOREIGN: Final = frozenset({WireBigInt, WireBytes, WireDate, WireError, WireMap, WireSet, WireUrl, Undefined})


def make_frame(columns: Columns, index: str | None) -> pl.DataFrame:
    """Return columns as a frame; there is no index."""
    return pl.DataFrame([_series(name, column) for name, column in columns.items()])


def _series(name: str, column: list[Any]) -> pl.Series:
    kinds = kinds_of(column)
    if WireDate in kinds and kinds <= {WireDate, datetime}:
        return pl.Series(name, epoch_milliseconds(column), dtype=pl.Int64).cast(pl.Datetime("ms", "UTC"))
    if _is_known(kinds, column):
        return pl.Series(name, column, strict=False)
    return pl.Series(name, column, dtype=pl.Object)


def _is_known(kinds: set[type], column: list[Any]) -> bool:
    """Tell whether polars keeps every value: it turns what it finds no common type for into texts or nothing."""
    if kinds == {int}:
        return all(-_WIDEST <= each < _WIDEST for each in column if each is not None)
    if kinds & {dict, list}:
        return len(kinds) == 1 and not any(map(_holds_foreign, column))
    return len(kinds) <= 1 - bool(kinds & _FOREIGN) or kinds == {int, float}


def _holds_foreign(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_holds_foreign, value.values()))
    if isinstance(value, list):
        return any(map(_holds_foreign, value))
    return type(value) in _FOREIGN
