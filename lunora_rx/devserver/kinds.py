"""What a value must be: one ``Kind`` for each sort of annotation, which checks it and says so as a schema.

The schemas are those of ``docs/protocol.md``, section "OpenRPC document". A typed dict has
its schema among the components of the document, under its own name.
"""

from __future__ import annotations

import inspect
import itertools
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from lunora_rx.protocol.values import UNDEFINED

__all__ = ["Components", "Kind", "Mismatch", "Schema"]

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

    def schema(self, components: Components) -> Schema:
        """Return the same as a schema; what has a name goes to the components."""
        ...

    def check(self, value: Any, path: str) -> Any:
        """Return the value as the function gets it, or raise ``Mismatch``."""


class Components:
    """The schemas of a document that have names.

    Attributes:
        schemas: The schemas, by name.
    """

    def __init__(self) -> None:
        self.schemas: dict[str, Schema] = {}
        self._names: dict[Any, str] = {}

    def reference(self, fields: Fields) -> Schema:
        """Return a reference to the schema of a typed dict, which is added at its first use."""
        if fields.source not in self._names:
            name = self._free_name(fields.name)
            self._names[fields.source] = name
            self.schemas[name] = {}  # the place is taken before a field refers to it
            self.schemas[name] = fields.describe(self)
        return {"$ref": f"#/components/schemas/{self._names[fields.source]}"}

    def _free_name(self, wanted: str) -> str:
        names = itertools.chain([wanted], (f"{wanted}{number}" for number in itertools.count(2)))
        return next(name for name in names if name not in self.schemas)


@dataclass(frozen=True, slots=True)
class Anything:
    """``Any`` and ``object``."""

    expected: str = "any value"

    def schema(self, components: Components) -> Schema:
        return {}

    def check(self, value: Any, path: str) -> Any:
        return value


@dataclass(frozen=True, slots=True)
class Scalar:
    """A type whose values have no parts: ``convert`` returns the value to use, or ``UNDEFINED`` to refuse."""

    expected: str
    fixed_schema: Schema
    convert: Callable[[Any], Any]

    def schema(self, components: Components) -> Schema:
        return self.fixed_schema

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

    def schema(self, components: Components) -> Schema:
        return {"anyOf": [each.schema(components) for each in self.members]}

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

    def schema(self, components: Components) -> Schema:
        return {"type": "array", "items": self.item.schema(components)}

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

    def schema(self, components: Components) -> Schema:
        return {"type": "object", "additionalProperties": self.value.schema(components)}

    def check(self, value: Any, path: str) -> Any:
        if not isinstance(value, dict):
            raise Mismatch(path, self.expected)
        return {name: self.value.check(each, f"{path}.{name}") for name, each in value.items()}


@dataclass(frozen=True, slots=True)
class Fields:
    """A ``TypedDict``: fields beyond the declared ones are refused. One that holds itself holds its own ``Fields``."""

    source: Any
    required: frozenset[str]
    kinds: Mapping[str, Kind] = field(repr=False)

    @property
    def name(self) -> str:
        """Its name, with those of its type arguments."""
        parts = (self.source, *typing.get_args(self.source))
        return "".join(getattr(each, "__name__", "") for each in parts)

    @property
    def expected(self) -> str:
        return f"an object {self.name} with {', '.join(self.kinds) or 'no fields'}"

    def schema(self, components: Components) -> Schema:
        return components.reference(self)

    def describe(self, components: Components) -> Schema:
        """Return the schema itself."""
        text = (typing.get_origin(self.source) or self.source).__doc__
        return {
            "type": "object",
            **({"description": inspect.cleandoc(text)} if text else {}),
            "properties": {name: kind.schema(components) for name, kind in self.kinds.items()},
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
