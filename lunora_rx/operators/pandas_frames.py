"""Columns as frames of pandas."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pandas as pd

from lunora_rx.operators.columns import Columns, epoch_milliseconds, kinds_of
from lunora_rx.protocol.values import WireDate


def make_frame(columns: Columns, index: str | None) -> pd.DataFrame:
    """Return columns as a frame, one of them as its index if it is named."""
    frame = pd.DataFrame({name: _series(column) for name, column in columns.items()})
    return frame if index is None else frame.set_index(index)


def _series(column: list[Any]) -> Any:
    kinds = kinds_of(column)
    if WireDate in kinds and kinds <= {WireDate, datetime}:
        return pd.Series(pd.array(epoch_milliseconds(column), dtype="Int64")).astype("datetime64[ms, UTC]")
    if kinds == {bool} and None in column:
        return pd.Series(column, dtype="boolean")
    if kinds == {int} and None in column:
        return _integers(column)
    # What is there but of no kind that pandas knows a type for, as an empty column, is kept as it is.
    return pd.Series(column) if kinds else pd.Series(column, dtype="object")


def _integers(column: list[Any]) -> Any:
    try:
        return pd.Series(column, dtype="Int64")
    except OverflowError:
        return pd.Series(column, dtype="object")
