"""The form of a function: its fields, and what their entries mean."""

from __future__ import annotations

import pytest

from lunora_rx.cli.dashboard.arguments import ArgumentsError
from lunora_rx.cli.dashboard.fields import Field, fields_of, tree_of
from lunora_rx.protocol.wire import decode_wire


def object_of(**properties):
    """Return a schema of arguments, none of them required."""
    return {"type": "object", "properties": properties}


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ({"type": "string"}, "text"),
        ({"type": "number"}, "number"),
        ({"type": "integer"}, "integer"),
        ({"type": "boolean"}, "boolean"),
        ({"type": "string", "format": "int64"}, "bigint"),
        ({"type": "string", "contentEncoding": "base64"}, "json"),
        ({"type": "array"}, "json"),
        ({"anyOf": [{"const": "a"}, {"const": "b"}]}, "choice"),
        ({"enum": ["a", "b"]}, "choice"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "integer"),
        ({"anyOf": [{"const": "a"}, {"const": "b"}, {"type": "null"}]}, "choice"),
        ({}, "json"),
    ],
)
def test_schema_of_an_argument_gives_its_field(schema, kind):
    """Each kind of schema that the protocol knows has a way to be entered."""
    (field,) = fields_of(object_of(x=schema))
    assert field.kind == kind


def test_fields_that_are_required_come_first():
    """What must be filled in stands on top."""
    schema = object_of(a={"type": "string"}, b={"type": "string"}) | {"required": ["b"]}
    assert [(each.name, each.is_required) for each in fields_of(schema)] == [("b", True), ("a", False)]


@pytest.mark.parametrize("schema", [{}, {"type": "object", "additionalProperties": {}}, {"$ref": "#/a", "a": {}}])
def test_schema_that_names_no_arguments_has_no_form(schema):
    """JSON text is what remains."""
    assert fields_of(schema) == ()


def test_reference_that_runs_in_a_circle_ends():
    """A broken document does not hang the page."""
    assert fields_of({"$ref": "#/a", "a": {"$ref": "#/a"}}) == ()


@pytest.mark.parametrize(
    ("kind", "entry", "value"),
    [
        ("text", "5", "5"),
        ("number", "1.5", 1.5),
        ("integer", "7", 7),
        ("bigint", str(2**70), 2**70),
        ("boolean", "false", False),
        ("choice", "2", 2),
        ("json", "[1]", [1]),
    ],
)
def test_entry_is_read_as_its_kind(kind, entry, value):
    """What is typed becomes a value of the wire."""
    fields = (Field("x", kind, True, choices=(1, 2)),)
    assert decode_wire(tree_of(fields, {"x": entry})) == {"x": value}


def test_entry_that_is_empty_is_absent_where_it_may_be():
    """An empty optional field is not sent; an empty required text is a text."""
    fields = (Field("a", "integer", False), Field("b", "text", False), Field("c", "text", True))
    assert tree_of(fields, {"a": " ", "b": ""}) == {"c": ""}


@pytest.mark.parametrize(
    ("kind", "entry", "told"),
    [
        ("integer", "", "x: a value is needed"),
        ("integer", "1.5", "x: '1.5' is no whole number"),
        ("number", "abc", "x: 'abc' is no number"),
        ("boolean", "maybe", "x: 'maybe' is no true or false"),
        ("json", "[", "x: not valid JSON"),
    ],
)
def test_entry_that_cannot_be_read_is_refused_by_name(kind, entry, told):
    """The field is named, and what was expected."""
    with pytest.raises(ArgumentsError, match=told):
        tree_of((Field("x", kind, True),), {"x": entry})
