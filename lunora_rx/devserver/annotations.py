"""Annotations as checks: what a value must be, and how a schema says so.

One ``Kind`` for each sort of annotation; the schemas are those of
``docs/protocol.md``, section "OpenRPC document".
"""

from __future__ import annotations

import collections.abc
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, Protocol, TypeAlias

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

__all__ = ["Kind", "Mismatch", "kind_of"]

Schema: TypeAlias = dict[str, Any]


class Mismatch(Exception):
    """A value is not what was expected: where, and what was expected there."""

    def __init__(self, path: str, expected: str) -> None:
        super().__init__(f"{path} must be {expected}")
        self.path = path
        self.expected = expected


class Kind(Protocol):
    """What an annotation asks of a value."""

    @property
    def expected(self) -> str:
        """What a value must be, for a message."""
        ...

    @property
    def schema(self) -> Schema:
        """The same as a schema."""
        ...

    def check(self, value: Any, path: str) -> Any:
        """Return the value as the function gets it, or raise ``Mismatch``."""


@dataclass(frozen=True, slots=True)
class Anything:
    """``Any`` and ``object``."""

    expected: str = "any value"

    @property
    def schema(self) -> Schema:
        return {}

    def check(self, value: Any, path: str) -> Any:
        return value


@dataclass(frozen=True, slots=True)
class Scalar:
    """A type whose values have no parts: ``convert`` returns the value to use, or ``UNDEFINED`` to refuse."""

    expected: str
    schema: Schema
    convert: Callable[[Any], Any]

    def check(self, value: Any, path: str) -> Any:
        converted = self.convert(value)
        if converted is UNDEFINED:
            raise Mismatch(path, self.expected)
        return converted


@dataclass(frozen=True, slots=True)
class OneOf:
    """``Union``: the first member that accepts the value decides what the function gets."""

    members: tuple[Kind, ...]

    @property
    def expected(self) -> str:
        return " or ".join(each.expected for each in self.members)

    @property
    def schema(self) -> Schema:
        return {"anyOf": [each.schema for each in self.members]}

    def check(self, value: Any, path: str) -> Any:
        deeper: Mismatch | None = None
        for member in self.members:
            try:
                return member.check(value, path)
            except Mismatch as mismatch:
                deeper = mismatch if mismatch.path != path else deeper
        raise deeper or Mismatch(path, self.expected)


@dataclass(frozen=True, slots=True)
class Items:
    """``list[T]``."""

    item: Kind

    @property
    def expected(self) -> str:
        return f"a list, each item {self.item.expected}"

    @property
    def schema(self) -> Schema:
        return {"type": "array", "items": self.item.schema}

    def check(self, value: Any, path: str) -> Any:
        if not isinstance(value, list):
            raise Mismatch(path, self.expected)
        return [self.item.check(each, f"{path}[{index}]") for index, each in enumerate(value)]


@dataclass(frozen=True, slots=True)
class Record:
    """``dict[str, T]``."""

    value: Kind

    @property
    def expected(self) -> str:
        return f"an object, each value {self.value.expected}"

    @property
    def schema(self) -> Schema:
        return {"type": "object", "additionalProperties": self.value.schema}

    def check(self, value: Any, path: str) -> Any:
        if not isinstance(value, dict):
            raise Mismatch(path, self.expected)
        return {name: self.value.check(each, f"{path}.{name}") for name, each in value.items()}


@dataclass(frozen=True, slots=True)
class Fields:
    """A ``TypedDict``: fields beyond the declared ones are refused."""

    name: str
    kinds: Mapping[str, Kind]
    required: frozenset[str]

    @property
    def expected(self) -> str:
        return f"an object {self.name} with {', '.join(self.kinds) or 'no fields'}"

    @property
    def schema(self) -> Schema:
        return {
            "type": "object",
            "properties": {name: kind.schema for name, kind in self.kinds.items()},
            "required": [name for name in self.kinds if name in self.required],
        }

    def check(self, value: Any, path: str) -> Any:
        if not isinstance(value, dict):
            raise Mismatch(path, self.expected)
        present = {name: each for name, each in value.items() if each is not UNDEFINED}
        for name in present:
            if name not in self.kinds:
                raise Mismatch(f"{path}.{name}", f"left out: {path} takes {', '.join(self.kinds) or 'no fields'}")
        for name, kind in self.kinds.items():
            if name in self.required and name not in present:
                raise Mismatch(f"{path}.{name}", f"given: {kind.expected}")
        return {name: self.kinds[name].check(each, f"{path}.{name}") for name, each in present.items()}


def kind_of(annotation: Any) -> Kind:
    """Return the check for an annotation.

    Raises:
        TypeError: The annotation is none of those in ``docs/devserver.md``.
    """
    if isinstance(annotation, typing.NewType):
        return kind_of(annotation.__supertype__)
    if typing.is_typeddict(annotation):
        return _typed_dict(annotation)
    origin = typing.get_origin(annotation)
    if origin is not None:
        return _generic(annotation, origin, typing.get_args(annotation))
    try:
        return _PLAIN[annotation]
    except (KeyError, TypeError):
        raise TypeError(f"the annotation {annotation!r} is not supported") from None


def _generic(annotation: Any, origin: Any, args: tuple[Any, ...]) -> Kind:
    if origin in (typing.Annotated, typing.Required, typing.NotRequired):
        return kind_of(args[0])
    if origin is Literal:
        return _one_of(tuple(_literal(each) for each in args))
    if origin in (typing.Union, types.UnionType):
        return _one_of(tuple(kind_of(each) for each in args))
    if origin in (list, collections.abc.Sequence):
        return Items(kind_of(args[0]))
    if origin in (dict, collections.abc.Mapping) and args[0] is str:
        return Record(kind_of(args[1]))
    raise TypeError(f"the annotation {annotation!r} is not supported")


def _one_of(members: tuple[Kind, ...]) -> Kind:
    return members[0] if len(members) == 1 else OneOf(members)


def _typed_dict(annotation: Any) -> Kind:
    hints = typing.get_type_hints(annotation, include_extras=True)
    kinds = {name: kind_of(hint) for name, hint in hints.items()}
    return Fields(annotation.__name__, kinds, _required_of(annotation, hints))


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
    datetime: Scalar("a date", {}, _instance_of(datetime)),
    list: Scalar("a list", {"type": "array", "items": {}}, _instance_of(list)),
    dict: Scalar("an object", {"type": "object", "additionalProperties": {}}, _instance_of(dict)),
    **{
        kind: Scalar(f"a {kind.__name__}", {}, _instance_of(kind))
        for kind in (WireBytes, WireDate, WireError, WireMap, WireSet, WireUrl)
    },
}
