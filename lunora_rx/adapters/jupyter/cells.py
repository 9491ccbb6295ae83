"""Values as tables and texts for people, whatever they are shown by."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, NamedTuple

from lunora_rx import UNDEFINED

MAX_ROWS = 100
MAX_TEXT = 200

NO_VALUE = "no value yet"


class Table(NamedTuple):
    """The first rows of a list, as texts.

    Attributes:
        columns: The names of the fields, in the order in which they come.
        rows: A text for each column of each row.
        more: How many rows are not among them.
    """

    columns: list[str]
    rows: list[list[str]]
    more: int


def rows_of(value: Any) -> list[Mapping[str, Any]] | None:
    """Return the rows of a list of mappings, or of a frame of pandas or polars; ``None`` for anything else."""
    if hasattr(value, "to_dicts"):
        value = value.to_dicts()
    elif type(value).__name__ == "DataFrame" and hasattr(value, "to_dict"):
        value = value.to_dict("records")
    if isinstance(value, list | tuple) and all(isinstance(row, Mapping) for row in value):
        return list(value)
    return None


def table_of(value: Any, max_rows: int = MAX_ROWS) -> Table | None:
    """Return a value as a table, if it is one: rows, or a mapping with its keys beside its values."""
    if isinstance(value, Mapping):
        value = [{"key": key, "value": each} for key, each in value.items()]
    rows = rows_of(value)
    if rows is None:
        return None
    first = rows[:max_rows]
    columns = columns_of(first)
    texts = [[text_of(row.get(column, UNDEFINED), column) for column in columns] for row in first]
    return Table([str(column) for column in columns], texts, len(rows) - len(first))


def columns_of(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the fields of rows: what the server added comes last."""
    names = dict.fromkeys(name for row in rows for name in row)
    return sorted(names, key=lambda name: str(name).startswith("_"))


def text_of(value: Any, column: str = "") -> str:
    """Return a value as one line of text; numbers short, times of the server as times."""
    if value is UNDEFINED or value is None:
        return ""
    if isinstance(value, str):
        return _shortened(value)
    if column == "_creationTime" and isinstance(value, int | float):
        return time_of(datetime.fromtimestamp(value / 1000, UTC))
    if isinstance(value, float):
        return f"{value:.6g}"
    return _shortened(_json(value))


def time_of(moment: datetime) -> str:
    """Return the time of day, in UTC, to the second."""
    return f"{moment.astimezone(UTC):%H:%M:%S}"


def _json(value: Any) -> str:
    try:
        return json.dumps(value, default=str, ensure_ascii=False)
    except (TypeError, ValueError):  # keys that are no strings, a value within itself
        return str(value)


def _shortened(text: str) -> str:
    text = "".join(islice(text, MAX_TEXT + 1))
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"
