"""A query's value as columns: what Perspective takes, each column of one kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeAlias

from lunora_rx.cli.text import encodable, json_text
from lunora_rx.protocol.values import UNDEFINED, WireBigInt, WireDate

ColumnKind: TypeAlias = Literal["empty", "integer", "float", "datetime", "text"]

# What Perspective calls an integer has 32 bits.
_SMALLEST, _LARGEST = -(2**31), 2**31 - 1
_CREATION_TIME: Final = "_creationTime"
_WIDER: Final[Mapping[frozenset[ColumnKind], ColumnKind]] = {frozenset(("integer", "float")): "float"}


@dataclass(frozen=True, slots=True)
class Columns:
    """Rows, turned.

    Attributes:
        kinds: The kind of each column, by name, in the order of the rows' fields.
        cells: The cells of each column: text, numbers, or aware datetimes; ``None`` where there is nothing.
        count: How many rows there are.
    """

    kinds: Mapping[str, ColumnKind] = field(default_factory=dict)
    cells: Mapping[str, list[Any]] = field(default_factory=dict)
    count: int = 0


def columns_of(value: object, before: Mapping[str, ColumnKind] | None = None) -> Columns | None:
    """Return a value as columns, or ``None`` if it has no rows.

    Rows are a list of objects, of lists or of anything else; an object alone is one row.

    Args:
        value: What the query gives.
        before: The kinds of the columns shown so far: a column that has grown wide stays so, and one that is empty
            for now keeps its place, so that a chart made of it lasts.
    """
    rows = _rows(value)
    if rows is None:
        return None
    named: dict[str, list[Any]] = {name: [None] * len(rows) for name in before or ()}
    for index, row in enumerate(rows):
        for name, cell in row.items():
            named.setdefault(encodable(str(name)), [None] * len(rows))[index] = None if cell is UNDEFINED else cell
    kinds: dict[str, ColumnKind] = {}
    for name, cells in named.items():
        found = _widest(_kind(name, cell) for cell in cells)
        kinds[name] = _wider(found, (before or {}).get(name, "empty"))
    cells_of = {name: [_cell(cell, kinds[name]) for cell in cells] for name, cells in named.items()}
    return Columns(kinds, cells_of, len(rows))


def shown(value: object) -> str:
    """Return a value as one line of text: itself if it is one, else JSON as it goes over the wire."""
    if isinstance(value, str):
        return encodable(value)
    return str(int(value)) if isinstance(value, WireBigInt) else json_text(value)


def _rows(value: object) -> Sequence[Mapping[Any, Any]] | None:
    if isinstance(value, Mapping):
        return [value]
    if not isinstance(value, list | tuple):
        return None
    if all(isinstance(row, Mapping) for row in value):
        return value
    if all(isinstance(row, list | tuple) for row in value):
        return [dict(enumerate(row)) for row in value]
    return [{"value": each} for each in value]


def _kind(name: str, cell: object) -> ColumnKind:
    if cell is None:
        return "empty"
    if isinstance(cell, WireDate | datetime) or (name == _CREATION_TIME and _is_number(cell)):
        return "datetime"
    if isinstance(cell, int) and not isinstance(cell, bool):
        return "integer" if _SMALLEST <= cell <= _LARGEST else "float"
    return "float" if isinstance(cell, float) else "text"


def _is_number(cell: object) -> bool:
    return isinstance(cell, int | float) and not isinstance(cell, bool)


def _widest(kinds: Iterable[ColumnKind]) -> ColumnKind:
    widest: ColumnKind = "empty"
    for kind in dict.fromkeys(kinds):
        widest = _wider(widest, kind)
    return widest


def _wider(one: ColumnKind, other: ColumnKind) -> ColumnKind:
    if "empty" in (one, other) or one == other:
        return other if one == "empty" else one
    return _WIDER.get(frozenset((one, other)), "text")


def _cell(cell: Any, kind: ColumnKind) -> Any:
    if cell is None:
        return None
    if kind == "text" or kind == "empty":
        return shown(cell)
    if kind == "datetime":
        return _instant(cell)
    return float(cell) if kind == "float" else cell


def _instant(cell: Any) -> datetime | None:
    """Return an instant; ``None`` for one that a calendar from year 1 to 9999 does not have."""
    if isinstance(cell, datetime):
        return cell
    if isinstance(cell, WireDate):
        return None
    try:
        return datetime.fromtimestamp(cell / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return None
