"""The filter of a table: what a person writes, as a condition on rows."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from lunora_rx.cli.watch.cells import as_number, cell_text
from lunora_rx.protocol.values import UNDEFINED

Condition: TypeAlias = Callable[[Mapping[str, Any]], bool]

_TERM = re.compile(r"([^\s=<>!]+)(!=|>=|<=|=|>|<)(.*)", re.DOTALL)
_ORDERS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


def parse_filter(text: str) -> Condition | None:
    """Return the condition that a filter stands for, ``None`` for an empty one.

    Words are separated by spaces, and a row has to satisfy each: ``column=text`` holds where the cell has this text
    in it, ``column!=text`` where it has not, ``column>5`` (``>=``, ``<``, ``<=``) compares numbers, and a word
    alone is looked for in every cell. Upper and lower case are the same.
    """
    conditions = [_condition(word) for word in text.split()]
    if not conditions:
        return None
    return lambda row: all(condition(row) for condition in conditions)


def _condition(word: str) -> Condition:
    match = _TERM.fullmatch(word)
    if match is None:
        folded = word.casefold()
        return lambda row: any(folded in cell_text(value, column).casefold() for column, value in row.items())
    column, sign, wanted = match.groups()
    if sign in _ORDERS:
        return _comparison(column, _ORDERS[sign], wanted)
    folded, is_wanted = wanted.casefold(), sign == "="
    return lambda row: (folded in cell_text(row.get(column, UNDEFINED), column).casefold()) is is_wanted


def _comparison(column: str, compare: Callable[[Any, Any], bool], wanted: str) -> Condition:
    try:
        bound = float(wanted)
    except ValueError:
        bound = float("nan")  # half a condition, while it is typed: no row satisfies it yet

    def holds(row: Mapping[str, Any]) -> bool:
        number = as_number(row.get(column))
        return number is not None and compare(number, bound)

    return holds
