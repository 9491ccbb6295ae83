"""Schemas as types: the table of ``docs/protocol.md``, section "OpenRPC document"."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from lunora_rx.codegen.definitions import Alias, Definition, Field, Fields
from lunora_rx.codegen.layout import quote
from lunora_rx.codegen.names import TypeNames, pascal
from lunora_rx.codegen.references import Place, References
from lunora_rx.codegen.types import ANY, NONE, Generic, Name, OneOf, Type, union

_DEPTH: Final = 64  # of the values of the wire: nothing deeper can be sent
_TYPING: Final = frozenset({"$ref", "allOf", "anyOf", "enum", "const", "items", "oneOf", "properties", "type"})
_INT64: Final = {"string", "integer"}
_PLAIN: Final[Mapping[str, Type]] = {
    "string": Name("str"),
    "number": Name("float"),
    "integer": Name("int"),
    "boolean": Name("bool"),
    "null": NONE,
}
# What the embedded server says of annotations that the wire has a tag for and the document has no schema for.
_TAGGED: Final = frozenset({"datetime", "WireBytes", "WireDate", "WireError", "WireMap", "WireSet", "WireUrl"})
TAGGED_KEYWORD: Final = "x-lunora-rx-type"


class Schemas:
    """Translates the schemas of one document, and gathers the types that they need a name for.

    It does not know which function a schema belongs to.

    Attributes:
        shared: What stands behind a ``$ref``, by its own name.
        inline: What has its name from where it stands, inner before outer.
        tables: The ids, by table.
    """

    def __init__(self, document: object, names: TypeNames) -> None:
        self.shared: list[Definition] = []
        self.inline: list[Definition] = []
        self.tables: dict[str, str] = {}
        self.references = References(document)
        self._names = names
        self._shared_names: dict[str, str] = {}
        self._waiting: deque[tuple[str, Any, Place]] = deque()

    def define(self, name: str, schema: Any, place: Place, *, text: str) -> None:
        """Define a type under exactly this name, and all that stands behind its references.

        Raises:
            DocumentError: The schema is none; the message says where.
        """
        self._shared_names.setdefault(f"{place.root_name}#", name)
        self.inline.append(self._definition(name, schema, place, text))
        while self._waiting:
            shared_name, target, there = self._waiting.popleft()
            self.shared.append(self._definition(shared_name, target, there, ""))

    def define_alias(self, name: str, kind: Type, *, text: str) -> None:
        """Define another name of a type."""
        self.inline.append(Alias(name, kind, text))

    def type_of(self, schema: Any, place: Place) -> Type:
        """Return the type of a schema; ``Any`` for one that says nothing, or what this table has no row for."""
        if isinstance(schema, bool) or place.depth > _DEPTH:
            return ANY
        if not isinstance(schema, Mapping):
            raise place.error("a schema")
        tagged = schema.get(TAGGED_KEYWORD)
        if isinstance(tagged, str) and tagged in _TAGGED and not _TYPING & schema.keys():
            return Name(tagged)
        if "$ref" in schema:
            return self._reference(schema["$ref"], place)
        if "const" in schema:
            return _literal(schema["const"])
        if "enum" in schema:
            return _enum(schema["enum"], place.inner("enum"))
        for keyword in ("anyOf", "oneOf"):
            if _is_typed_choice(schema.get(keyword)):
                return self._choice(schema[keyword], place.inner(keyword))
        if "allOf" in schema:
            return self._all_of(schema, place)
        return self._by_type(schema, place)

    def _definition(self, name: str, schema: Any, place: Place, text: str) -> Definition:
        described = schema.get("description") if isinstance(schema, Mapping) else None
        text = text or (described if isinstance(described, str) else "")
        if isinstance(schema, Mapping) and "allOf" in schema:
            merged = self.merged(schema, place)
            schema = merged if _is_object(merged) else schema
        if _is_object(schema) and (schema["properties"] or place.is_args):
            # Arrays may be any sequence only where they stand: a row that was got must fit where it is given back.
            return self._fields(name, schema, place, text)
        return Alias(name, self.type_of(schema, replace(place, hint=place.hint or name)), text)

    # --- one row of the table each

    def _reference(self, pointer: object, place: Place) -> Type:
        target = self.references.resolve(pointer, place)
        if isinstance(target.schema, bool):
            return ANY
        if target.key not in self._shared_names:
            name = self._names.take(pascal(target.name) or "Schema")
            self._shared_names[target.key] = name
            self._waiting.append((name, target.schema, replace(target.place, hint=name)))
        return Name(self._shared_names[target.key])

    def _choice(self, members: list[Any], place: Place) -> Type:
        nested = [each for each in members if isinstance(each, Mapping) and _is_nested(each)]
        hints = {id(each): f"{place.hint}{number}" for number, each in enumerate(nested, 1)} if len(nested) > 1 else {}
        return union(
            self.type_of(each, place.inner(f"[{index}]", hint=hints.get(id(each))))
            for index, each in enumerate(members)
        )

    def _all_of(self, schema: Mapping[str, Any], place: Place) -> Type:
        typed = [each for each in _list(schema, place, "allOf") if isinstance(each, Mapping) and _TYPING & each.keys()]
        if len(typed) == 1 and not (_TYPING - {"allOf"}) & schema.keys():
            return self.type_of(typed[0], place.inner("allOf"))
        merged = self.merged(schema, place)
        return ANY if isinstance(merged, bool) else self.type_of(merged, place)

    def merged(self, schema: Any, place: Place) -> Any:
        """Return one schema for all that must hold together: an object with the properties of all, or the only one.

        ``True`` if they are neither.
        """
        seen: list[Any] = []
        waiting = [schema]
        found: list[Mapping[str, Any]] = []
        while waiting:
            each = self.references.follow(waiting.pop(), place)
            if not isinstance(each, Mapping) or any(each is other for other in seen):
                continue
            seen.append(each)
            waiting += reversed(_list(each, place, "allOf"))
            if (_TYPING - {"allOf"}) & each.keys():
                found.append({key: value for key, value in each.items() if key != "allOf"})
        if len(found) == 1:
            return found[0]
        if not found or not all(_is_object(each) for each in found):
            return True
        properties = {key: each for part in found for key, each in part["properties"].items()}
        required = [key for part in found for key in _required(part, place)]
        return {"type": "object", "properties": properties, "required": required}

    def _by_type(self, schema: Mapping[str, Any], place: Place) -> Type:
        kind = schema.get("type")
        if isinstance(kind, list):
            # A list within the list is no type: to follow it would take a call for each level.
            kinds = [None if isinstance(each, list) else each for each in kind]
            return union(self._by_type({**schema, "type": each}, place) for each in kinds)
        if "properties" in schema and kind in (None, "object"):
            return self._object(schema, place)
        if kind == "object":
            return self._record(schema, place)
        if kind == "array" or (kind is None and "items" in schema):
            return self._array(schema, place)
        return self._scalar(schema, kind)

    def _scalar(self, schema: Mapping[str, Any], kind: Any) -> Type:
        if not isinstance(kind, str):
            return ANY
        if schema.get("format") == "int64" and kind in _INT64:
            return Name("WireBigInt")
        if kind == "string" and schema.get("contentEncoding") == "base64":
            return union([Name("bytes"), Name("WireBytes")])
        table = schema.get("x-lunora-table")
        if kind == "string" and isinstance(table, str) and pascal(table):
            return self._id(table)
        return _PLAIN.get(kind, ANY)

    def _id(self, table: str) -> Type:
        if table not in self.tables:
            self.tables[table] = self._names.take(f"{pascal(table)}Id")
        return Name(self.tables[table])

    def _array(self, schema: Mapping[str, Any], place: Place) -> Type:
        items = schema.get("items", True)
        if isinstance(items, list):
            items = True  # a type for each place, as older schemas have it: the wire has no tuples
        item = self.type_of(items, place.inner("items", hint=f"{place.hint}Item"))
        return Generic("Sequence" if place.is_args else "list", (item,))

    def _record(self, schema: Mapping[str, Any], place: Place) -> Type:
        inner = replace(place.inner("additionalProperties", hint=f"{place.hint}Value"), is_args=False)
        return Generic("dict", (Name("str"), self.type_of(schema.get("additionalProperties", True), inner)))

    def _object(self, schema: Mapping[str, Any], place: Place) -> Type:
        if not isinstance(schema["properties"], Mapping):
            raise place.inner("properties").error("an object of schemas by name")
        if not schema["properties"]:
            return self._record(schema, place)  # open, with nothing known of it
        name = self._names.take(place.hint)
        text = schema.get("description")
        inner = replace(place, is_args=False)
        self.inline.append(self._fields(name, schema, inner, text if isinstance(text, str) else ""))
        return Name(name)

    def _fields(self, name: str, schema: Mapping[str, Any], place: Place, text: str) -> Fields:
        required = _required(schema, place)
        return Fields(name, tuple(self._each_field(name, schema["properties"], required, place)), text)

    def _each_field(
        self, name: str, properties: Mapping[str, Any], required: frozenset[str], place: Place
    ) -> Iterator[Field]:
        for key, schema in [*properties.items(), *((key, True) for key in sorted(required - properties.keys()))]:
            if not key:
                continue  # pyright knows no typed dict with such a key
            kind = self.type_of(schema, place.inner(f"properties.{key}", hint=f"{name}{pascal(key)}"))
            text = schema.get("description") if isinstance(schema, Mapping) else None
            yield Field(key, kind, key in required, text if isinstance(text, str) else "")


def is_typed(schema: Any) -> bool:
    """Return whether a schema says anything about its values."""
    return isinstance(schema, Mapping) and bool(schema.keys() & {*_TYPING, TAGGED_KEYWORD})


def _list(schema: Mapping[str, Any], place: Place, keyword: str) -> list[Any]:
    members = schema.get(keyword, [])
    if not isinstance(members, list):
        raise place.inner(keyword).error("a list of schemas")
    return members


def _is_object(schema: Any) -> bool:
    """Whether a schema is that of an object with named properties, and of nothing else."""
    if not isinstance(schema, Mapping):
        return False
    others = schema.keys() & (_TYPING - {"type", "properties"})
    return isinstance(schema.get("properties"), Mapping) and schema.get("type", "object") == "object" and not others


def _is_nested(schema: Mapping[str, Any]) -> bool:
    return bool(schema.keys() & {"properties", "items", "anyOf", "oneOf", "allOf", "additionalProperties"})


def _is_typed_choice(members: Any) -> bool:
    """Whether there are members to choose from that say something: ``anyOf: [{"required": ["a"]}]`` chooses no type."""
    if not isinstance(members, list):
        return False
    return any(isinstance(each, Mapping) and _TYPING & each.keys() for each in members)


def _required(schema: Mapping[str, Any], place: Place) -> frozenset[str]:
    required = schema.get("required", [])
    if not isinstance(required, list) or not all(isinstance(each, str) for each in required):
        raise place.inner("required").error("a list of names")
    return frozenset(required)


def _enum(values: Any, place: Place) -> Type:
    if not isinstance(values, list):
        raise place.error("a list of values")
    return union(_literal(each) for each in values)


def _literal(value: Any) -> Type:
    match value:
        case None:
            return NONE
        case bool() | int():
            return OneOf((repr(value),))
        case str():
            return OneOf((quote(value),))
        case float():
            return Name("float")
        case list():
            return Generic("list", (ANY,))
        case _:
            return Generic("dict", (Name("str"), ANY))
