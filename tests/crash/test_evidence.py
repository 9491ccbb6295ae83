"""What the checker is shown is really read: a layout that changed must not look like an empty queue."""

from __future__ import annotations

import random
from contextlib import closing

import orjson

from lunora_rx.devserver.backend import Backend
from lunora_rx.devserver.calls import HttpRequest
from lunora_rx.protocol.endpoints import RPC_PATH
from lunora_rx.storage import open_directory
from lunora_rx.testing import a_queued_mutation
from tests.crash.evidence import COMPLAINTS, gather
from tests.crash.log import DEFAULT, Log, parse_line
from tests.crash.server import Doom, journal


def test_record_in_a_lane_on_disk_is_left(tmp_path):
    """The names of all records, whatever lane they are in."""
    for name in ("0-0", "1-0"):
        with closing(open_directory(tmp_path / "storage").queue) as queue:
            queue.append(a_queued_mutation(name))
    assert gather(tmp_path, ()).left == ["0-0", "1-0"]


def test_rows_of_each_shard_are_read_in_the_order_of_their_commits(tmp_path):
    """By shard key, with the default shard under its own sign."""
    with closing(Backend(journal(Doom(0, random.Random(1))), storage=tmp_path / "server")) as backend:
        for number, shard in ((2, None), (1, None), (3, "left")):
            args = {"writer": 0, "number": number, "text": ""}
            body = {"functionPath": "journal:write", "args": args} | ({"shardKey": shard} if shard else {})
            assert backend.call(HttpRequest(RPC_PATH, body=orjson.dumps(body))).status == 200
    assert gather(tmp_path, ()).tables == {DEFAULT: ["0-2", "0-1"], "left": ["0-3"]}


def test_log_is_read_up_to_its_last_whole_line(tmp_path):
    """Newlines in what is said make no lines."""
    (tmp_path / "logs").mkdir()
    path = tmp_path / "logs" / "0004.log"
    Log(path).say("trouble", "two\nlines")
    path.write_text(path.read_text() + "queued 4-")
    assert gather(tmp_path, ()).logs == {4: [parse_line("trouble two lines")]}


def test_tracebacks_of_writers_are_found(tmp_path):
    """Each with what follows it; warnings are none."""
    complaints = tmp_path / COMPLAINTS
    complaints.mkdir()
    (complaints / "writer.txt").write_text("a warning\nTraceback (most recent call last):\nKeyError: 1\n")
    (crash,) = gather(tmp_path, ()).crashes
    assert "KeyError: 1" in crash
