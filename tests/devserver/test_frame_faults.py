"""Faults of shapes, streams and subscriptions."""

from __future__ import annotations

import json

import pytest

from lunora_rx.devserver import App
from lunora_rx.devserver.frame_faults import UNDECODABLE
from tests.devserver.peer import new_backend
from tests.devserver.views import Viewer, put, tasks_app


@pytest.fixture
def app():
    app = tasks_app()

    @app.stream("jobs:count")
    def count(ctx):
        yield from (1, 2)

    return app


@pytest.fixture
def backend(app):
    return new_backend(app)


@pytest.fixture
def viewer(backend):
    viewer = Viewer(backend)
    viewer.watch("shape_1", "tasks:open")
    return viewer


def raw(viewer: Viewer) -> list[dict]:
    """Take frames without applying them."""
    return [json.loads(text) for text in viewer.session.frames_to_send()]


def test_dropped_poke_leaves_a_gap_before_the_next(app, backend, viewer):
    """The server takes it for sent, so the next poke starts where the client is not."""
    app.faults.drop_pokes()
    put(backend, "a")
    assert viewer.drain() == []
    put(backend, "b")
    viewer.drain()
    view = viewer.views["shape_1"]
    assert (view.gaps, view.rows) == (1, {})
    viewer.watch("shape_1", "tasks:open")
    assert list(viewer.views["shape_1"].rows) == ["a", "b"]


def test_answer_to_a_subscription_is_never_dropped(app, backend):
    """A client that asks is answered; only what commits send is lost."""
    app.faults.drop_pokes(None)
    viewer = Viewer(backend)
    assert len(viewer.watch("shape_1", "tasks:open")) == 3
    put(backend, "a")
    assert viewer.drain() == []
    app.faults.release()
    put(backend, "b")
    assert len(viewer.drain()) == 3


@pytest.mark.parametrize(("after", "types"), [("start", ["pokeStart"]), ("part", ["pokeStart", "pokePart"])])
def test_cut_poke_ends_the_socket_in_the_middle(app, backend, viewer, after, types):
    """What was sent of it arrives, and then the socket is lost."""
    app.faults.cut_poke(after=after)
    put(backend, "a")
    assert [frame["type"] for frame in raw(viewer)] == types
    assert viewer.session.close_code == 1006
    back = Viewer(backend)
    back.watch("shape_1", "tasks:open", since=viewer.views["shape_1"])
    assert list(back.views["shape_1"].rows) == ["a"]


@pytest.mark.parametrize(("given", "sent"), [(None, UNDECODABLE), ("any", "any")])
def test_spoilt_row_stands_in_place_of_one_value(app, backend, viewer, given, sent):
    """The next poke is whole again; a poke of deletes alone has no value to spoil."""
    put(backend, "a")
    app.faults.spoil_rows(value=given)
    raw(viewer)
    put(backend, "a", done=True)
    put(backend, "b")
    put(backend, "c")
    values = [op.get("value") for frame in raw(viewer) for op in frame.get("rowsPatch", [])]
    assert values[:2] == [None, sent]
    assert values[2]["_id"] == "c"


def test_spoilt_chunk_stands_in_place_of_one(app, viewer):
    """The others are as they were."""
    app.faults.spoil_chunks()
    viewer.send({"type": "stream", "id": "stream_1", "query": {"functionPath": "jobs:count"}})
    assert [frame.get("data") for frame in raw(viewer)] == [UNDECODABLE, 2, None]


@pytest.mark.parametrize("on", [None, "query", "shape", "stream"])
def test_refused_subscription_gets_the_code(app, viewer, on):
    """Every frame that asks for something can be refused, once each or one kind alone."""
    app.faults.refuse_subscriptions(on=on)
    query = {"functionPath": "tasks:all", "args": {}, "table": "t"}
    viewer.send({"type": "subscribe", "id": "query", "query": query})
    viewer.watch("shape", "tasks:open")
    viewer.stream("stream", "jobs:count")
    refused = ["query", "shape", "stream"] if on is None else [on]
    assert viewer.errors == dict.fromkeys(refused, "SUBSCRIPTION_PERSIST_FAILED")


def test_refusal_chooses_its_code_and_ends(app, viewer):
    """Any code of the protocol can be had; what has struck is over."""
    app.faults.refuse_subscriptions(2, code="TOO_MANY_SUBSCRIPTIONS", on="stream")
    for _ in range(3):
        viewer.stream("stream_1", "jobs:count")
    assert (viewer.errors, viewer.chunks) == ({"stream_1": "TOO_MANY_SUBSCRIPTIONS"}, {"stream_1": [1, 2]})


def test_release_forgets_what_has_not_struck(app, backend, viewer):
    """Afterwards all is well."""
    app.faults.drop_pokes()
    app.faults.cut_poke()
    app.faults.spoil_rows()
    app.faults.spoil_chunks()
    app.faults.refuse_subscriptions()
    app.faults.release()
    put(backend, "a")
    viewer.drain()
    viewer.stream("stream_1", "jobs:count")
    assert (list(viewer.views["shape_1"].rows), viewer.chunks) == (["a"], {"stream_1": [1, 2]})


def test_cut_wants_a_place_that_there_is():
    """A typing error is an error at once."""
    with pytest.raises(KeyError):
        App().faults.cut_poke(after="end")
