"""Shards in memory and in a directory, and what restarts do."""

from __future__ import annotations

import importlib.util
import textwrap
from pathlib import Path

import pytest

from lunora_rx.devserver import App, AppError, Backend
from tests.devserver.peer import Peer, call, chat_app, new_backend, reply_to

GENERAL = {"channelId": "general"}
HI = {"channelId": "general", "text": "hi"}


def test_shards_are_apart(backend):
    """A write into one shard is not seen in another, nor by its sockets."""
    here, there = Peer(backend, shard="here"), Peer(backend, shard="there")
    for peer in (here, there):
        peer.subscribe("sub_1", "messages:list", GENERAL)
    reply_to(backend, "messages:send", HI, shard="here")
    assert here.types() == [("data", "sub_1")]
    assert there.drain() == []
    assert backend.shard("here").epoch != backend.shard("there").epoch


NAMES = ["", "a", "A", "a/b", "../../etc/passwd", "room:1", "é", "x" * 5000, ".", "con"]


def test_any_key_names_a_file_of_its_own(tmp_path):
    """Keys that look like paths, differ by case only, or are very long never meet or escape."""
    backend = new_backend(storage=tmp_path / "data")
    for name in NAMES:
        reply_to(backend, "messages:send", HI | {"text": name}, shard=name)
    for name in NAMES:
        rows = reply_to(backend, "messages:list", GENERAL, shard=name)[1]["result"]
        assert [row["text"] for row in rows] == [name]
    backend.close()
    files = {path.name.lower() for path in (tmp_path / "data").iterdir() if path.suffix == ".sqlite3"}
    assert len(files) == len(NAMES)
    assert {path.name for path in tmp_path.iterdir()} == {"data"}


def test_key_that_no_file_can_have_is_refused(backend):
    """Half a character names no shard."""
    with pytest.raises(AppError, match="lone surrogate"):
        backend.shard("\ud800")


def test_directory_keeps_everything_across_a_restart(tmp_path):
    """Rows, positions and recorded replies survive; a client resumes."""
    app = chat_app()
    ids = {"x_lunora_mutation_id": "m1", "x_lunora_client_id": "c"}
    first = new_backend(app, storage=tmp_path)
    reply = call(first, "messages:send", HI, **ids)
    peer = Peer(first)
    peer.subscribe("sub_1", "messages:list", GENERAL)
    first.close()
    second = Backend(app, storage=tmp_path)
    assert call(second, "messages:send", HI, **ids) == reply
    frames = Peer(second).subscribe("sub_1", "messages:list", GENERAL, since=peer.positions["sub_1"])
    assert [frame["type"] for frame in frames] == ["ack", "resume"]
    second.close()


def app_from(path: Path, result: int) -> App:
    """Return the app of a file that is written anew."""
    path.write_text(
        textwrap.dedent(f"""
        from lunora_rx.devserver import App
        app = App()
        @app.query("a:b")
        def fn(ctx):
            return {result}
        """)
    )
    spec = importlib.util.spec_from_file_location("edited_app", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    exec(compile(path.read_text(), str(path), "exec"), module.__dict__)  # not the byte code of the file before
    app = module.app
    assert isinstance(app, App)
    return app


def test_edited_function_is_not_resumed(tmp_path):
    """A value that an older version of the code gave is not confirmed by the new one."""
    position = None
    for result, expected in ((1, "data"), (2, "data"), (2, "resume")):
        backend = new_backend(app_from(tmp_path / "edited_app.py", result), storage=tmp_path / "data")
        peer = Peer(backend)
        frames = peer.subscribe("sub_1", "a:b", since=position)
        position = peer.positions["sub_1"]
        backend.close()
        assert frames[-1]["type"] == expected


@pytest.mark.parametrize("restart", ["begin_epoch", "erase"])
def test_restart_ends_sessions_and_changes_the_epoch(backend, restart):
    """Sockets end with 1012, and no position from before is confirmed."""
    call(backend, "messages:send", HI)
    peer = Peer(backend)
    peer.subscribe("sub_1", "messages:list", GENERAL)
    getattr(backend, restart)()
    assert peer.session.close_code == 1012
    back = Peer(backend)
    frames = back.subscribe("sub_1", "messages:list", GENERAL, since=peer.positions["sub_1"])
    assert frames[-1]["type"] == "data"
    assert len(back.values["sub_1"]) == (1 if restart == "begin_epoch" else 0)
    assert back.positions["sub_1"][1] != peer.positions["sub_1"][1]


def test_status_counts_what_is_there(backend):
    """The status names every open shard, its rows, sockets and live queries."""
    reply_to(backend, "messages:send", HI, shard="room")
    Peer(backend, shard="room").subscribe("sub_1", "messages:list", GENERAL)
    assert backend.status()["shards"]["room"] == {
        "cursor": backend.shard("room").cursor,
        "epoch": backend.shard("room").epoch,
        "sockets": 1,
        "liveQueries": 1,
        "shapes": 0,
        "runs": 0,
        "tables": {"messages": 1},
    }
