"""The form of a function's arguments: which fields it has, and the wire tree that their entries make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from lunora_rx.cli.dashboard.arguments import ArgumentsError
from lunora_rx.errors import CodecError
from lunora_rx.protocol.text import parse
from lunora_rx.protocol.values import UNDEFINED, WireBigInt
from lunora_rx.protocol.wire import encode_wire

FieldKind: TypeAlias = Literal["text", "number", "integer", "bigint", "boolean", "choice", "json"]

_KINDS: Final[Mapping[str, FieldKind]] = {
    "string": "text",
    "number": "number",
    "integer": "integer",
    "boolean": "boolean",
}
_WORDS: Final = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Field:
    """One argument, as it is entered.

    Attributes:
        name: Its name on the wire.
        kind: What is entered; ``json`` for whatever has parts.
        is_required: Whether it must be given.
        choices: What it may be, for a ``choice``.
        note: What the schema says of it.
    """

    name: str
    kind: FieldKind
    is_required: bool
    choices: tuple[Any, ...] = ()
    note: str = ""


def fields_of(schema: Mapping[str, Any]) -> tuple[Field, ...]:
    """Return the fields of a form, the required ones first; none where the schema names no arguments."""
    whole = _resolved(schema, schema)
    properties, required = whole.get("properties"), whole.get("required")
    if not isinstance(properties, Mapping):
        return ()
    needed = frozenset(required) if isinstance(required, list) else frozenset()
    fields = [_field(name, each, schema, name in needed) for name, each in properties.items()]
    return tuple(sorted(fields, key=lambda each: not each.is_required))


def tree_of(fields: tuple[Field, ...], entries: Mapping[str, str]) -> dict[str, Any]:
    """Return the arguments that were entered, as a wire tree; what was left empty and may be absent is absent.

    Raises:
        ArgumentsError: An entry cannot be read; the field is named.
    """
    read = {each.name: _read(each, entries.get(each.name, "")) for each in fields}
    return {name: value for name, value in read.items() if value is not UNDEFINED}


def _field(name: str, schema: object, root: Mapping[str, Any], is_required: bool) -> Field:
    described = _resolved(schema, root)
    note = described.get("description")
    kind, choices = _kind(_without_null(described, root))
    return Field(name, kind, is_required, choices, note if isinstance(note, str) else "")


def _kind(schema: Mapping[str, Any]) -> tuple[FieldKind, tuple[Any, ...]]:
    choices = _choices(schema)
    if choices:
        return "choice", choices
    if schema.get("format") == "int64":
        return "bigint", ()
    if "contentEncoding" in schema or not isinstance(schema.get("type"), str):
        return "json", ()
    return _KINDS.get(schema["type"], "json"), ()


def _choices(schema: Mapping[str, Any]) -> tuple[Any, ...]:
    members = schema.get("anyOf") or schema.get("oneOf")
    if isinstance(members, list) and all(isinstance(each, Mapping) and "const" in each for each in members):
        return tuple(each["const"] for each in members)
    if "const" in schema:
        return (schema["const"],)
    return tuple(schema["enum"]) if isinstance(schema.get("enum"), list) else ()


def _without_null(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the one schema beside ``null``, or the same again."""
    members = schema.get("anyOf")
    if not isinstance(members, list):
        return schema
    others = [each for each in members if each != {"type": "null"}]
    if len(others) == len(members):
        return schema
    return _resolved(others[0], root) if len(others) == 1 else {**schema, "anyOf": others}


def _resolved(schema: object, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a reference within the document points to; ``{}`` where that is nothing."""
    seen = set()
    while isinstance(schema, Mapping) and isinstance(schema.get("$ref"), str):
        reference = schema["$ref"]
        if reference in seen:
            return {}
        seen.add(reference)
        schema = _at(reference, root)
    return schema if isinstance(schema, Mapping) else {}


def _at(reference: str, root: object) -> object:
    for step in reference.removeprefix("#/").split("/"):
        root = root.get(step) if isinstance(root, Mapping) else None
    return root


def _read(field: Field, entry: str) -> Any:
    if not entry.strip() and (field.kind != "text" or not field.is_required):
        if field.is_required:
            raise ArgumentsError(f"{field.name}: a value is needed")
        return UNDEFINED
    try:
        return _value(field, entry)
    except ArgumentsError:
        raise
    except (ValueError, KeyError):
        raise ArgumentsError(f"{field.name}: {entry!r} is no {_NAMES.get(field.kind, field.kind)}") from None


def _value(field: Field, entry: str) -> Any:
    match field.kind:
        case "text":
            return entry
        case "integer":
            return int(entry)
        case "bigint":
            return encode_wire(WireBigInt(int(entry)))
        case "boolean":
            return _WORDS[entry.strip().lower()]
        case "choice":
            return {str(each): each for each in field.choices}[entry]
        case "number" | "json":
            return _parsed(field, entry)


def _parsed(field: Field, entry: str) -> Any:
    try:
        value = parse(entry)
    except CodecError as error:
        if field.kind == "number":
            raise ValueError from error
        raise ArgumentsError(f"{field.name}: {error.message.removeprefix('text: ')}") from None
    return value


_NAMES: Final = {"integer": "whole number", "bigint": "whole number", "boolean": "true or false"}
