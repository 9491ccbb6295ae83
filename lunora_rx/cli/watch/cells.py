"""Values as the cells of a table: their text, their order, the numbers among them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from lunora_rx.cli.text import json_text, printable
from lunora_rx.protocol.values import UNDEFINED

CREATED: Final = "_creationTime"
_TOO_LATE = 253_402_300_800_000  # the first millisecond that datetime does not know

# The order of a column that holds values of several sorts, as the ranks of these.
_NOTHING, _NUMBER, _TEXT, _OTHER = range(4)


def cell_text(value: Any, column: str = "") -> str:
    """Return the text of a cell, in one line, with nothing in it that steers a terminal."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, bool) or value is None:
        return {None: "null", True: "true", False: "false"}[value]
    if column == CREATED and isinstance(value, int | float) and 0 <= value < _TOO_LATE:
        return datetime.fromtimestamp(value / 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="milliseconds")
    return "" if value is UNDEFINED else printable(json_text(value))


def sort_key(value: Any) -> tuple[int, Any]:
    """Return what a column is sorted by: nothing first, then numbers, texts, and the rest by its text."""
    if value is UNDEFINED or value is None:
        return (_NOTHING, 0)
    number = as_number(value)
    if number is not None:
        return (_NUMBER, number)
    if isinstance(value, str):
        return (_TEXT, value.casefold())
    return (_OTHER, cell_text(value))


def as_number(value: Any) -> float | None:
    """Return a value as a number that can be drawn and compared, or ``None``."""
    if isinstance(value, int | float):
        try:
            number = float(value)
        except OverflowError:
            return None
        return number if number - number == 0 else None
    return value.timestamp() if isinstance(value, datetime) else None
