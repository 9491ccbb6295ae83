"""The functions that can be picked."""

from __future__ import annotations

import pytest

from lunora_rx.cli.dashboard.catalog import read_catalog
from lunora_rx.codegen.document import DocumentError
from lunora_rx.devserver import App


def document():
    """Return the document of an app with one function of each kind."""
    app = App(title="Songs")

    @app.query("songs:list")
    def list_songs(ctx, limit: int = 5) -> list[dict[str, str]]:
        """Return songs."""
        return []

    app.mutation("songs:add")(lambda ctx, title: None)
    app.action("songs:play")(lambda ctx: None)
    return app.openrpc()


def test_functions_are_grouped_by_kind():
    """What is watched, what writes and what acts stand apart."""
    catalog = read_catalog(document())
    assert catalog.groups() == {"Queries": ["songs:list"], "Mutations": ["songs:add"], "Actions": ["songs:play"]}
    listed = catalog.functions["songs:list"]
    assert (catalog.title, listed.text) == ("Songs", "Return songs.")
    assert "limit" in listed.schema["properties"]


def test_shapes_and_streams_can_be_picked_where_the_server_tells_of_them():
    """They stand beside the methods; what cannot be read is left out, and a name that is taken says what it is."""
    told = document()
    args = {"name": "args", "schema": {"type": "object", "properties": {"upto": {"type": "integer"}}}}
    told["x-lunora-streams"] = [{"name": "songs:count", "description": "Count.", "params": [args]}, "broken"]
    told["x-lunora-shapes"] = [{"name": "songs:list"}, {"params": []}]
    catalog = read_catalog(told)
    assert (catalog.groups()["Streams"], catalog.groups()["Shapes"]) == (["songs:count"], ["songs:list (shape)"])
    stream, shape = catalog.functions["songs:count"], catalog.functions["songs:list (shape)"]
    assert (stream.kind, stream.text, [*stream.schema["properties"]]) == ("stream", "Count.", ["upto"])
    assert (shape.kind, shape.path, shape.schema) == ("shape", "songs:list", {})


def test_method_that_cannot_be_read_takes_no_other_with_it():
    """It is named, and the rest can be picked."""
    broken = document()
    broken["methods"].append({"name": "no path"})
    catalog = read_catalog(broken)
    assert "no path" in catalog.problem
    assert len(catalog.functions) == 3


def test_document_that_is_none_is_refused():
    """Anything else than a document says so."""
    with pytest.raises(DocumentError, match="no OpenRPC document"):
        read_catalog({"hello": 1})
