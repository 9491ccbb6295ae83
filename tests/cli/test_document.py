"""What is read from an OpenRPC document, whatever a server calls one."""

from __future__ import annotations

import pytest

from lunora_rx.cli.document import Document, Method, read_document
from lunora_rx.errors import ServerError
from tests.cli.conftest import notes_app


def test_document_of_the_embedded_server_is_read():
    """Paths, kinds and signatures."""
    methods = read_document(notes_app().openrpc()).methods
    assert methods["notes:add"].kind == "mutation"
    assert methods["notes:add"].signature == "{rows: array, book?: string}"
    assert methods["notes:first"].signature == "no arguments"


@pytest.mark.parametrize(
    "tree",
    [None, [], "page", {}, {"methods": None}, {"methods": [None, {}, {"name": 5}]}],
)
def test_document_that_is_none_is_empty(tree):
    """What cannot be read tells nothing."""
    assert read_document(tree).methods == {}


def test_method_with_unreadable_parts_keeps_what_can_be_read():
    """A later version may say more than is known today."""
    document = read_document(
        {"methods": [{"name": "a:b", "params": "many"}, {"name": "a:c", "params": [{"schema": 1}]}]}
    )
    assert document.methods == {"a:b": Method("a:b", "unknown"), "a:c": Method("a:c", "unknown")}
    document.check_kind("a:b", "query")
    document.check_kind("x:y", "query")


def test_many_functions_are_not_all_listed():
    """Ten, and how many more there are."""
    document = Document({f"m:f{number}": Method(f"m:f{number}", "query") for number in range(25)})
    told = document.explain(ServerError("none", code="NOT_FOUND"), "zzz:zzz", "query")
    assert told is not None
    assert told.endswith("m:f9, and 15 more")


def test_control_characters_of_a_server_are_spelled_out():
    """Names steer no terminal."""
    document = Document({"m:\x1b[2J": Method("m:\x1b[2J", "query")})
    told = document.explain(ServerError("none", code="NOT_FOUND"), "zz:zz", "query")
    assert told == "the server has: m:\\x1b[2J"


@pytest.mark.parametrize("methods", [5, "many", {"name": "a:b"}, True])
def test_document_whose_methods_are_no_list_tells_of_none(methods):
    """Whatever answers there, the command goes on without it."""
    assert read_document({"methods": methods}).methods == {}


def test_signature_of_an_endless_schema_ends():
    """What a server says is shown, and not followed to its end."""
    schema = {"type": "string"}
    for _ in range(1_000):
        schema = {"anyOf": [schema, {"type": ["integer", "null"]}]}
    endless = {"type": "object", "properties": {"x": schema, "y": {"const": [[]]}}}
    document = read_document({"methods": [{"name": "a:b", "params": [{"schema": endless}]}]})
    told = document.methods["a:b"].signature
    assert told.startswith("{x?: any or ")
    assert told.endswith("integer or null, y?: any}")
