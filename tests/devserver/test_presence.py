"""Hooks of sockets: who is connected, with which context, until when."""

from __future__ import annotations

import json

import pytest

from lunora_rx.devserver import Limits
from tests.devserver.peer import Peer, call, chat_app, new_backend


def presence_app(limits: Limits | None = None):
    """Return an app that keeps a table of who is connected."""
    app = chat_app(limits)
    app.authenticate(lambda token: token)

    @app.on_connect
    def joined(ctx):
        if ctx.context == "refuse":
            ctx.db.insert("presence", _id="never")
            raise RuntimeError("refused")
        fields = {"client": ctx.client_id, "who": ctx.identity, "shard": ctx.shard, "context": ctx.context}
        if ctx.db.get("presence", ctx.connection) is None:
            ctx.db.insert("presence", _id=ctx.connection, **fields)
        else:
            ctx.db.replace("presence", ctx.connection, **fields)
        ctx.db.insert("log", what="connect", context=ctx.context)

    @app.on_disconnect
    def left(ctx):
        ctx.db.delete("presence", ctx.connection)
        ctx.db.insert("log", what="disconnect", context=ctx.context)

    @app.query("presence:list")
    def list_presence(ctx):
        return ctx.db.table("presence").collect()

    @app.query("presence:log")
    def log(ctx):
        return [[row["what"], row["context"]] for row in ctx.db.table("log").collect()]

    return app


@pytest.fixture
def backend():
    return new_backend(presence_app())


def connect(peer: Peer, context: object, client_id: str = "c1") -> None:
    frame = {"type": "connect", "id": "connect", "clientId": client_id, "caps": []}
    peer.send(frame if context is None else frame | {"context": context})


def here(backend):
    return [[row["client"], row["who"], row["context"]] for row in call(backend, "presence:list")["result"]]


def log(backend):
    return call(backend, "presence:log")["result"]


def test_connect_and_disconnect_are_told_with_who_and_what(backend):
    """Client id, subject and context, and gone with the socket."""
    ada, bob = Peer(backend, token="ada", client_id="a"), Peer(backend, client_id="b")
    connect(ada, {"page": 1}, "a")
    assert here(backend) == [["a", "ada", {"page": 1}], ["b", None, None]]
    ada.session.close()
    assert here(backend) == [["b", None, None]]
    bob.session.close()
    assert here(backend) == []


def test_context_that_changes_is_told_again_and_one_that_does_not_is_not(backend):
    """The connection keeps its name; a repeated frame says nothing new."""
    peer = Peer(backend)
    for context in ({"page": 1}, {"page": 1}, {"page": True}, None):
        connect(peer, context)
    assert log(backend) == [["connect", each] for each in (None, {"page": 1}, {"page": True}, None)]
    assert len(here(backend)) == 1


@pytest.mark.parametrize("how", ["close", "end", "expire", "epoch", "overflow"])
def test_disconnect_is_told_once_however_a_socket_ends(how):
    """Once, with the last context, and not again by the close that follows."""
    backend = new_backend(presence_app(Limits(queued_bytes=100)))
    peer = Peer(backend)
    connect(peer, "last")
    if how == "close":
        peer.session.close()
    elif how == "end":
        peer.session.end(1012)
    elif how == "expire":
        peer.session.expire()
    elif how == "epoch":
        backend.begin_epoch()
    else:
        for _ in range(9):
            peer.session.send_text("x" * 50)
    peer.session.close()
    assert log(backend)[-1] == ["disconnect", "last"]
    assert [what for what, _ in log(backend)].count("disconnect") == 1


def test_socket_that_never_introduced_itself_is_not_told(backend):
    """There is nobody to speak of."""
    backend.open().close()
    assert log(backend) == []


def test_presence_is_seen_by_live_queries_of_others(backend):
    """What a hook writes is a write like any other."""
    watcher = Peer(backend)
    watcher.subscribe("sub_1", "presence:list")
    other = Peer(backend, client_id="other")
    watcher.drain()
    assert [row["client"] for row in watcher.values["sub_1"]] == ["c1", "other"]
    other.session.close()
    watcher.drain()
    assert [row["client"] for row in watcher.values["sub_1"]] == ["c1"]


def test_hook_that_raises_is_rolled_back_and_harms_nobody(backend, caplog):
    """The socket is greeted and lives; the failure is logged."""
    peer = Peer(backend)
    connect(peer, "refuse")
    assert peer.types() == [("identity", None)]
    assert "a hook failed" in caplog.text
    assert here(backend) == [["c1", None, None]]
    peer.session.close()
    assert here(backend) == []


def test_undecodable_context_is_none_and_the_socket_lives(backend):
    """What cannot be read is not passed on."""
    peer = Peer(backend)
    connect(peer, {"a": ["$lunora.wire$", "bigint", "x"]})
    peer.send('{"type":"connect","id":"connect","clientId":"c1","caps":[],"context":' + "[" * 900 + "]" * 900 + "}")
    assert peer.types() == [("identity", None), ("identity", None)]
    assert here(backend) == [["c1", None, None]]


def test_hooks_of_a_socket_given_up_during_a_commit_write_after_it():
    """A commit that drops a slow socket is told to all others before the hook's own: cursors never go back."""
    backend = new_backend(presence_app(Limits(queued_bytes=700)))
    watchers = [Peer(backend, client_id=f"w{number}", caps=()) for number in range(4)]
    for watcher in watchers:
        watcher.subscribe("sub_1", "messages:count", {"channelId": "general"})
        watcher.subscribe("sub_2", "presence:list")
    for watcher in watchers:
        watcher.drain()
    watchers[1].session.send_text("x" * 800)
    call(backend, "messages:send", {"channelId": "general", "text": "hi"})
    assert watchers[1].session.is_overflowed
    for watcher in (watchers[0], *watchers[2:]):
        cursors = [json.loads(text).get("cursor", 0) for text in watcher.session.frames_to_send()]
        assert cursors == sorted(cursors)
        assert len(cursors) == 2


def test_hooks_of_one_app_run_in_order():
    """Several hooks are each a transaction of their own."""
    app, order = chat_app(), []
    for name in ("one", "two"):
        app.on_connect(lambda ctx, name=name: order.append(name))
    Peer(new_backend(app)).session.close()
    assert order == ["one", "two"]


def test_app_without_hooks_spends_nothing_on_sockets():
    """No row id is drawn, and nothing is written."""
    backend = new_backend()
    cursor = backend.shard().cursor
    Peer(backend).session.close()
    assert backend.shard().cursor == cursor
    assert backend.shard().store.new_row_id() == "id2"
