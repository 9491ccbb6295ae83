"""Joins the rows of two streams."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias, TypeVar, overload

from reactivex import Observable
from reactivex import operators as ops

from lunora_rx.operators.keys import fields_of, rows_of
from lunora_rx.operators.stepping import Step, stepped

L = TypeVar("L", bound=Mapping[str, Any])
R = TypeVar("R", bound=Mapping[str, Any])
M = TypeVar("M")

How: TypeAlias = Literal["inner", "left"]


@overload
def join(
    other: Observable[Sequence[R]], *, on: str | tuple[str, str], how: How = "inner"
) -> Callable[[Observable[Sequence[Mapping[str, Any]]]], Observable[list[dict[str, Any]]]]: ...
@overload
def join(
    other: Observable[Sequence[R]],
    *,
    on: str | tuple[str, str],
    how: Literal["inner"] = "inner",
    into: Callable[[L, R], M],
) -> Callable[[Observable[Sequence[L]]], Observable[list[M]]]: ...
@overload
def join(
    other: Observable[Sequence[R]], *, on: str | tuple[str, str], how: How, into: Callable[[L, R | None], M]
) -> Callable[[Observable[Sequence[L]]], Observable[list[M]]]: ...
def join(
    other: Observable[Any],
    *,
    on: str | tuple[str, str],
    how: How = "inner",
    into: Callable[[Any, Any], Any] | None = None,
) -> Callable[[Observable[Any]], Observable[Any]]:
    """Join each row with those rows of another stream that agree with it in a field.

    ::

        messages                         --[m by u]----------------[m by u, n by v]---|
        users                            ----------[u]---[u,v]------------------------|
        join(users, on=("by", "_id"))    ----------[mu]--[mu]------[mu, nv]-----------|

    It starts when both have given a list, and is done anew whenever either gives another; a write that changes both is
    seen in between. Rows are in the order of this stream, then of the other. A row whose field is missing or ``None``
    agrees with none; if no row has the field, the name is taken for a mistake. The fluent ``live.join(...)`` is another
    operator, RxPY's.

    Args:
        other: The other stream.
        on: The name of the field in both, or its name here and its name there.
        how: ``"inner"`` leaves out rows that agree with none, ``"left"`` keeps those of this stream.
        into: Makes a row of two; with ``how="left"`` the second may be ``None``. By default it is a dict with the
            fields of both, in which a field of the other that is here as well is called ``<name>_right``; where ``on``
            is one name, it is there once.

    Raises:
        TypeError: ``on`` is no name and no pair of names, or ``into`` no function; as an error of the stream, a value
            is no list of rows.
        ValueError: ``how`` is another one; as an error of the stream, rows of one side have come and none has had its
            field. Where a field is there now and then only, give it as ``None`` otherwise.

    >>> import reactivex
    >>> from lunora_rx import operators as lops
    >>> messages = reactivex.of([{"_id": "m", "by": "u", "text": "hi"}])
    >>> users = reactivex.of([{"_id": "u", "name": "Ada"}])
    >>> _ = messages.pipe(lops.join(users, on=("by", "_id"))).subscribe(print)
    [{'_id': 'm', 'by': 'u', 'text': 'hi', '_id_right': 'u', 'name': 'Ada'}]
    """
    here, there = (on, on) if isinstance(on, str) else _pair(on)
    if how not in ("inner", "left"):
        raise ValueError(f"join(): how is 'inner' or 'left', not {how!r}")
    if into is not None and not callable(into):
        raise TypeError(f"join(): into is a function of two rows, not {type(into).__name__}")
    shared = here if here == there else None
    make = into or (lambda left, right: _merged(left, right, shared))

    nobody: list[Any] = [None] if how == "left" else []

    def start(_: object) -> Step[tuple[Any, Any], list[Any]]:
        sides = _Side("this stream", here), _Side("the other stream", there)

        def joined(both: tuple[Any, Any]) -> list[Any]:
            lefts, rights = (side.rows_of(value) for side, value in zip(sides, both, strict=True))
            matches = _by_field(rights, there)
            return [make(left, right) for left in lefts for right in matches.get(_key(left, here), nobody)]

        return joined

    return lambda source: stepped(source.pipe(ops.combine_latest(other)), start)


class _Side:
    """One of the two streams of a join; knows whether its field was ever seen."""

    def __init__(self, name: str, field: str) -> None:
        self._name = name
        self._field = field
        self._is_known = False

    def rows_of(self, value: Any) -> Sequence[Any]:
        rows = rows_of("join", value)
        if self._is_known or not rows:
            return rows
        self._is_known = any(self._field in fields_of("join", row) for row in rows)
        if self._is_known:
            return rows
        fields = dict.fromkeys(name for row in rows for name in row)
        raise ValueError(
            f"join(): no row of {self._name} has the field {self._field!r}; the fields are"
            f" {', '.join(map(repr, fields))}; one that is there now and then is to be None otherwise"
        )


def _pair(on: Any) -> tuple[str, str]:
    if isinstance(on, tuple) and len(on) == 2 and all(isinstance(each, str) for each in on):
        return on
    raise TypeError(f"join(): on is the name of a field, or a pair of the names here and there, not {on!r}")


def _by_field(rows: Sequence[Any], field: str) -> dict[Any, list[Any]]:
    matches: dict[Any, list[Any]] = {}
    for row in rows:
        matches.setdefault(_key(row, field), []).append(row)
    matches.pop(None, None)
    return matches


def _key(row: Any, field: str) -> Any:
    key = fields_of("join", row).get(field)
    try:
        hash(key)
    except TypeError:
        raise TypeError(f"join(): {field!r} is a text or a number, not {type(key).__name__}") from None
    return key


def _merged(left: Mapping[str, Any], right: Mapping[str, Any] | None, shared: str | None) -> dict[str, Any]:
    merged = dict(left)
    for name, value in (right or {}).items():
        if name != shared:
            merged[f"{name}_right" if name in left else name] = value
    return merged
