"""What the operators take for rows and for numbers, and what tells one row from another."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from numbers import Real
from operator import itemgetter
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")

Key: TypeAlias = str | Callable[[T], Hashable]


class RowKey:
    """Reads the key of a row.

    Args:
        operator: Whose key it is, for messages.
        key: The name of a field, or a function of a row.

    Raises:
        TypeError: ``key`` is neither.
    """

    __slots__ = ("_key", "_operator", "_read")

    def __init__(self, operator: str, key: Key[Any]) -> None:
        if not isinstance(key, str) and not callable(key):
            raise TypeError(f"{operator}(): key is the name of a field or a function of a row, not {kind_of(key)}")
        self._operator = operator
        self._key = key
        self._read: Callable[[Any], Hashable] = itemgetter(key) if isinstance(key, str) else key

    def rows_of(self, value: Any) -> Sequence[Any]:
        """Return the rows of a value, as ``rows_of`` does."""
        return rows_of(self._operator, value)

    def of(self, row: Any) -> Hashable:
        """Return the key of a row.

        Raises:
            ValueError: The row has no such field.
        """
        try:
            return self._read(row)
        except (KeyError, TypeError) as error:
            raise self._refusal(row) from error

    def index(self, rows: Sequence[T]) -> dict[Any, T]:
        """Return rows by key, in their order.

        Raises:
            ValueError: A row has no such field, or two rows have one key.
        """
        try:
            keyed = dict(zip(map(self._read, rows), rows, strict=True))
        except (KeyError, TypeError):
            keyed = {self._hashable(self.of(row)): row for row in rows}
        if len(keyed) < len(rows):
            raise self.not_unique(self._first_double(rows))
        return keyed

    def not_unique(self, key: Hashable) -> ValueError:
        """Return what to raise where two rows have one key."""
        return ValueError(f"{self}: two rows have the key {key!r}; give a key that no two rows share")

    def __str__(self) -> str:
        return f"{self._operator}(key={self._key!r})" if isinstance(self._key, str) else f"{self._operator}(key=...)"

    def _refusal(self, row: Any) -> ValueError:
        if isinstance(row, Mapping):
            return ValueError(f"{self}: a row has no such key; its fields are {', '.join(map(repr, row))}")
        return ValueError(f"{self}: a row is an object with fields, not {kind_of(row)}")

    def _hashable(self, key: Hashable) -> Hashable:
        try:
            hash(key)
        except TypeError:
            raise ValueError(f"{self}: a key is a value such as a text or a number, not {kind_of(key)}") from None
        return key

    def _first_double(self, rows: Sequence[Any]) -> Hashable:
        seen: set[Hashable] = set()
        return next(key for key in map(self._read, rows) if key in seen or seen.add(key))  # type: ignore[func-returns-value]


def rows_of(operator: str, value: Any) -> Sequence[Any]:
    """Return the rows of a value: a list of them, or an object whose ``page`` is one.

    Raises:
        TypeError: It is neither.
    """
    rows = value.get("page") if isinstance(value, dict) else value
    if isinstance(rows, list | tuple):
        return rows
    raise TypeError(f"{operator}() takes lists of rows, or objects whose 'page' is a list, not {kind_of(value)}")


def fields_of(operator: str, row: Any) -> Mapping[str, Any]:
    """Return a row that has fields.

    Raises:
        TypeError: It has none.
    """
    if isinstance(row, Mapping):
        return row
    raise TypeError(f"{operator}(): a row is an object with fields, not {kind_of(row)}")


def check_number(operator: str, value: Any) -> None:
    """Check a value that is measured.

    Raises:
        TypeError: It is no number.
    """
    if isinstance(value, Real):
        return
    what, how = ("the rows", "len") if isinstance(value, list | tuple) else ("each value", "lambda value: ...")
    raise TypeError(
        f"{operator}() takes numbers, not {kind_of(value)}; map {what} to a number first, such as .map({how})"
    )


def kind_of(value: object) -> str:
    """Return what a value is, for a message."""
    return "None" if value is None else f"a value of type {type(value).__name__}"
