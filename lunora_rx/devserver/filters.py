"""Conditions on rows: what ``Table.where`` is given, as values that can be asked again later.

A field that a row does not have reads as ``None``.  Values are equal within their kind
only, as in ``docs/protocol.md``, section "Value codec": ``1`` and ``True`` differ, ``1`` and ``1.0`` do not.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from datetime import datetime
from typing import Any, Final, TypeAlias

from lunora_rx.protocol.keys import stable_wire_key
from lunora_rx.protocol.values import UNDEFINED, WireBigInt, WireUrl

Row: TypeAlias = dict[str, Any]

_COMPARISONS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True, slots=True)
class Equals:
    """The field has this value."""

    field: str
    key: Hashable
    value: Any = dataclass_field(compare=False)

    def matches(self, row: Row) -> bool:
        """Tell whether a row meets the condition."""
        return value_key(row.get(self.field)) == self.key


@dataclass(frozen=True, slots=True)
class Compares:
    """The field stands in this order to a value of the same kind; another kind never matches."""

    field: str
    sign: str
    value: Any

    def matches(self, row: Row) -> bool:
        """Tell whether a row meets the condition."""
        mine: Any = row.get(self.field)
        return order_kind(mine) == order_kind(self.value) and _COMPARISONS[self.sign](mine, self.value)


@dataclass(frozen=True, slots=True)
class IsOneOf:
    """The field has, or with ``negated`` has not, one of these values."""

    field: str
    keys: frozenset[Hashable]
    negated: bool

    def matches(self, row: Row) -> bool:
        """Tell whether a row meets the condition."""
        return (value_key(row.get(self.field)) in self.keys) is not self.negated


@dataclass(frozen=True, slots=True)
class Satisfies:
    """A function of the row says so; it must depend on nothing but the row."""

    predicate: Callable[[Row], object]

    def matches(self, row: Row) -> bool:
        """Tell whether a row meets the condition."""
        return bool(self.predicate(row))


Filter: TypeAlias = Equals | Compares | IsOneOf | Satisfies


def equals(field: str, value: object) -> Equals:
    """Return the condition that a field has a value."""
    return Equals(field, value_key(value), value)


def compares(field: str, sign: str, value: Any) -> Filter:
    """Return the condition ``field sign value``.

    Raises:
        ValueError: ``sign`` is none of ``== != < <= > >= in``.
        TypeError: The value has no order, or is no collection for ``in``.
    """
    if sign == "==":
        return equals(field, value)
    if sign == "!=":
        return IsOneOf(field, frozenset([value_key(value)]), negated=True)
    if sign == "in":
        return IsOneOf(field, frozenset(map(value_key, value)), negated=False)
    if sign not in _COMPARISONS:
        raise ValueError(f"where({field!r}, {sign!r}, ...): the comparison is one of == != < <= > >= in")
    if order_kind(value) is None:
        raise TypeError(f"where({field!r}, {sign!r}, ...): a {type(value).__name__} has no order")
    return Compares(field, sign, value)


def value_key(value: Any) -> Hashable:
    """Return what a value is told apart by: its kind and value."""
    if value is None or value is UNDEFINED:
        return None
    if isinstance(value, bool | WireBigInt):
        return (type(value).__name__, int(value))
    if isinstance(value, int | float):
        return (float, value) if value == value else (float, "nan")
    if isinstance(value, str) and not isinstance(value, WireUrl):
        return str.__str__(value)
    return ("wire", stable_wire_key(value))


def order_kind(value: object) -> str | None:
    """Return the name of the ordered kind a value belongs to, or ``None``."""
    if isinstance(value, bool) or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, WireBigInt):
        return "bigint"
    for kind, name in ((int | float, "number"), (str, "string"), (datetime, "date"), (bytes, "bytes")):
        if isinstance(value, kind):
            return name
    return None
