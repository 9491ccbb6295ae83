"""Arguments as JSON text, checked against a schema."""

from __future__ import annotations

import pytest

from lunora_rx import WireBigInt
from lunora_rx.cli.dashboard.arguments import ArgumentsError, check_args, parse_args
from lunora_rx.protocol.wire import encode_wire

pytest.importorskip("jsonschema", reason="the dashboard's extra is not installed")

SCHEMA = {
    "type": "object",
    "properties": {"limit": {"type": "integer"}, "size": {"type": "string", "format": "int64"}},
    "required": ["limit"],
}


def test_text_that_is_empty_is_no_arguments():
    """Nothing written means nothing given."""
    assert parse_args("  ") == {}


@pytest.mark.parametrize(("text", "told"), [("{", "not valid JSON"), ("[1]", "a JSON object")])
def test_text_that_is_no_object_is_refused(text, told):
    """The message says what is wrong with the text."""
    with pytest.raises(ArgumentsError, match=told):
        parse_args(text)


@pytest.mark.parametrize(
    ("tree", "told"),
    [({}, "'limit' is a required property"), ({"limit": "x"}, "limit: 'x' is not of type 'integer'")],
)
def test_arguments_against_the_schema_are_refused_by_name(tree, told):
    """The argument is named, and what it must be."""
    with pytest.raises(ArgumentsError, match=told):
        check_args(tree, SCHEMA)


def test_bigint_that_the_schema_calls_a_string_is_taken():
    """Documents describe what the wire has as a tag; the tag is the value."""
    tree = {"limit": 1, "size": encode_wire(WireBigInt(2**70))}
    assert check_args(tree, SCHEMA) == {"limit": 1, "size": 2**70}


def test_reference_is_followed_into_the_components():
    """A named type of the document is checked too."""
    schema = {
        "type": "object",
        "properties": {"at": {"$ref": "#/components/schemas/Place"}},
        "components": {"schemas": {"Place": {"type": "object", "required": ["lat"]}}},
    }
    with pytest.raises(ArgumentsError, match="at: 'lat' is a required property"):
        check_args({"at": {}}, schema)


@pytest.mark.parametrize("schema", [{"type": 5}, {"$ref": "#/nowhere"}])
def test_schema_that_is_broken_lets_the_server_decide(schema):
    """A document's mistake keeps nobody from calling the function."""
    assert check_args({"a": 1}, schema) == {"a": 1}
