"""Annotations as checks: which ``Kind`` an annotation is."""

from __future__ import annotations

import collections.abc
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal

from lunora_rx.devserver.kinds import Anything, Fields, Items, Kind, OneOf, Record, Scalar, Schema
from lunora_rx.protocol.values import (
    UNDEFINED,
    WireBigInt,
    WireBytes,
    WireDate,
    WireError,
    WireMap,
    WireSet,
    WireUrl,
)

__all__ = ["TableId", "kind_of"]


@dataclass(frozen=True, slots=True)
class TableId:
    """Marks a string as the id of a row: ``Annotated[str, TableId("messages")]``.

    It goes into the OpenRPC document; the string is not looked up.
    """

    table: str


def kind_of(annotation: Any) -> Kind:
    """Return the check for an annotation.

    Raises:
        TypeError: The annotation is none of those in ``docs/devserver.md``.
    """
    return _Reading().kind_of(annotation)


class _Reading:
    """Reads one annotation; remembers the typed dicts around, which may hold themselves."""

    def __init__(self) -> None:
        self._typed_dicts: dict[Any, Fields] = {}

    def kind_of(self, annotation: Any) -> Kind:
        if isinstance(annotation, typing.NewType):
            return self.kind_of(annotation.__supertype__)
        if isinstance(annotation, typing.TypeVar):
            return Anything()
        origin = typing.get_origin(annotation)
        if typing.is_typeddict(origin or annotation):
            return self._typed_dict(annotation, origin or annotation)
        if origin is not None:
            return self._generic(annotation, origin, typing.get_args(annotation))
        try:
            return _PLAIN[annotation]
        except (KeyError, TypeError):
            raise TypeError(f"the annotation {annotation!r} is not supported") from None

    def _generic(self, annotation: Any, origin: Any, args: tuple[Any, ...]) -> Kind:
        if origin is typing.Annotated:
            return _marked(self.kind_of(args[0]), args[1:])
        if origin in (typing.Required, typing.NotRequired):
            return self.kind_of(args[0])
        if origin is Literal:
            return _one_of(tuple(_literal(each) for each in args))
        if origin in (typing.Union, types.UnionType):
            return _one_of(tuple(self.kind_of(each) for each in args))
        if origin in (list, collections.abc.Sequence):
            return Items(self.kind_of(args[0]))
        if origin in (dict, collections.abc.Mapping) and args[0] is str:
            return Record(self.kind_of(args[1]))
        raise TypeError(f"the annotation {annotation!r} is not supported")

    def _typed_dict(self, annotation: Any, declared: Any) -> Kind:
        if annotation not in self._typed_dicts:
            hints = _hints_of(declared)
            kinds: dict[str, Kind] = {}
            self._typed_dicts[annotation] = Fields(annotation, _required_of(declared, hints), kinds)
            given = dict(zip(getattr(declared, "__parameters__", ()), typing.get_args(annotation), strict=False))
            kinds.update({name: self.kind_of(_filled(hint, given)) for name, hint in hints.items()})
        return self._typed_dicts[annotation]


def _hints_of(declared: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(declared, include_extras=True)
    except NameError as error:
        raise TypeError(f"{declared.__name__} names {error.name!r}, which is not defined in its module") from error


def _filled(hint: Any, given: Mapping[Any, Any]) -> Any:
    """Return a hint with the type arguments of its typed dict in place of the parameters."""
    if isinstance(hint, typing.TypeVar):
        return given.get(hint, Any)
    parameters = getattr(hint, "__parameters__", ())
    return hint[tuple(given.get(each, Any) for each in parameters)] if parameters else hint


def _one_of(members: tuple[Kind, ...]) -> Kind:
    return members[0] if len(members) == 1 else OneOf(members)


def _marked(kind: Kind, marks: tuple[Any, ...]) -> Kind:
    tables = [mark.table for mark in marks if isinstance(mark, TableId)]
    if not tables:
        return kind
    if not isinstance(kind, Scalar) or kind.fixed_schema != {"type": "string"}:
        raise TypeError(f"TableId({tables[0]!r}) marks a string, and this is {kind.expected}")
    return replace(
        kind, expected=f"the id of a row of {tables[0]}", fixed_schema={"type": "string", "x-lunora-table": tables[0]}
    )


def _required_of(annotation: Any, hints: Mapping[str, Any]) -> frozenset[str]:
    # __required_keys__ alone is wrong where annotations are strings: NotRequired is not seen in them.
    marks = {name: typing.get_origin(hint) for name, hint in hints.items()}
    default = annotation.__required_keys__
    return frozenset(
        name
        for name, mark in marks.items()
        if mark is typing.Required or (name in default and mark is not typing.NotRequired)
    )


def _literal(wanted: Any) -> Kind:
    def convert(value: Any) -> Any:
        return wanted if type(value) is type(wanted) and value == wanted else UNDEFINED

    return Scalar(repr(wanted), {"const": wanted}, convert)


def _instance_of(*kinds: type, but_not: tuple[type, ...] = ()) -> Callable[[Any], Any]:
    return lambda value: value if isinstance(value, kinds) and not isinstance(value, but_not) else UNDEFINED


def _whole(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)  # JSON does not tell 1.0 from 1
    return value if type(value) is int else UNDEFINED


def _number(value: Any) -> Any:
    return float(value) if type(value) in (int, float) else UNDEFINED


def _binary(value: Any) -> Any:
    return value.data if isinstance(value, WireBytes) else value if type(value) is bytes else UNDEFINED


def _tagged(name: str) -> Schema:
    # The wire has a tag for these, and the document no schema: whoever does not know the keyword takes anything.
    return {"x-lunora-rx-type": name}


_PLAIN: Final[Mapping[Any, Kind]] = {
    Any: Anything(),
    object: Anything(),
    str: Scalar("a string", {"type": "string"}, _instance_of(str, but_not=(WireUrl,))),
    bool: Scalar("a boolean", {"type": "boolean"}, _instance_of(bool)),
    int: Scalar("a whole number", {"type": "integer"}, _whole),
    float: Scalar("a number", {"type": "number"}, _number),
    None: Scalar("null", {"type": "null"}, _instance_of(type(None))),
    type(None): Scalar("null", {"type": "null"}, _instance_of(type(None))),
    bytes: Scalar("bytes", {"type": "string", "contentEncoding": "base64"}, _binary),
    WireBigInt: Scalar("a bigint", {"type": "string", "format": "int64"}, _instance_of(WireBigInt)),
    datetime: Scalar("a date", _tagged("datetime"), _instance_of(datetime)),
    list: Scalar("a list", {"type": "array", "items": {}}, _instance_of(list)),
    dict: Scalar("an object", {"type": "object", "additionalProperties": {}}, _instance_of(dict)),
    **{
        kind: Scalar(f"a {kind.__name__}", _tagged(kind.__name__), _instance_of(kind))
        for kind in (WireBytes, WireDate, WireError, WireMap, WireSet, WireUrl)
    },
}
