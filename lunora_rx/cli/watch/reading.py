"""What a value is to a table: lists of rows, pages, objects and single values all become rows and columns."""

from __future__ import annotations

import enum
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

Row: TypeAlias = Mapping[str, Any]
Key: TypeAlias = Hashable
ID: Final = "_id"
POSITION: Final = "#"
FIELD: Final = "field"
VALUE: Final = "value"


class Form(enum.Enum):
    """What a value is to a table."""

    ROWS = enum.auto()
    ITEMS = enum.auto()
    OBJECT = enum.auto()
    SINGLE = enum.auto()


@dataclass(frozen=True, slots=True)
class Reading:
    """The rows of a value.

    Attributes:
        rows: The rows by their keys, in the order of the value; those of the value itself, so read-only.
        form: What the value is; the columns of another form are others.
        note: What the value says beside its rows, such as that there are more; empty for most.
    """

    rows: dict[Key, Row]
    form: Form
    note: str = ""


def read_value(value: Any) -> Reading:
    """Return the rows of any value.

    A list of objects is a row an object, known by its ``_id`` or else its place; any other list a row an item. A page,
    ``{page, isDone, continueCursor}``, is its list. An object is a row a field. Anything else is one row.
    """
    if isinstance(value, Mapping):
        if isinstance(value.get("page"), list) and "isDone" in value:
            return _read_list(value["page"], "" if value["isDone"] else "more pages")
        return Reading({field: {FIELD: field, VALUE: each} for field, each in value.items()}, Form.OBJECT)
    if isinstance(value, list | tuple):
        return _read_list(value)
    return Reading({VALUE: {VALUE: value}}, Form.SINGLE)


def _read_list(items: list[Any] | tuple[Any, ...], note: str = "") -> Reading:
    if all(isinstance(item, Mapping) for item in items):
        return Reading(_by_key(items), Form.ROWS, note)
    return Reading({place: {POSITION: place, VALUE: item} for place, item in enumerate(items)}, Form.ITEMS, note)


def _by_key(items: list[Any] | tuple[Any, ...]) -> dict[Key, Row]:
    rows: dict[Key, Row] = {}
    for place, item in enumerate(items):
        key = item.get(ID, place)
        # A row that stands twice in a list is two rows of the table.
        rows[key if isinstance(key, str) and key not in rows else place] = item
    return rows
