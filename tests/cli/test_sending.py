"""``lunora-rx queue DIR send``: what waits in a directory, sent by whom it belongs to."""

from __future__ import annotations

import json

import pytest

from lunora_rx.protocol.values import UNDEFINED
from lunora_rx.storage.browse import browse
from tests.cli.conftest import TOKEN
from tests.storage.disk import opened, record


@pytest.fixture
def waiting(tmp_path):
    """Store writes in a directory."""

    def waiting(*texts, **fields):
        with opened(tmp_path / "data") as queue:
            for text in texts:
                given = {
                    "identity": None,
                    "shard": "",
                    "function_path": "notes:write",
                    "args": {"text": text},
                    **fields,
                }
                queue.append(record(f"id {text}".replace(" ", "-"), **given))
        return tmp_path / "data"

    return waiting


def left(directory):
    return [write.record.mutation_id for lane in browse(directory) for write in lane.writes]


def test_writes_that_wait_are_sent_in_order_and_told_one_by_one(served, waiting):
    """The directory is empty afterwards; to send again is no error."""
    directory = waiting("a", "b", "c")
    done = served.run("queue", directory, "send")
    assert done.exit_code == 0, done.stderr
    assert [row["text"] for row in served.rows] == ["a", "b", "c"]
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["mutation_id"], line["status"]) for line in lines] == [(f"id-{each}", "committed") for each in "abc"]
    assert left(directory) == []
    assert served.run("queue", directory, "send").exit_code == 0


def test_write_that_is_rejected_ends_with_1_and_the_others_are_carried_out(served, waiting):
    """It is told with its code."""
    directory = waiting("a", "no", "b")
    done = served.run("queue", directory, "send")
    assert done.exit_code == 1
    assert "1 of 3 writes were rejected" in done.stderr
    assert json.loads(done.stdout.splitlines()[1])["error"]["code"] == "REFUSED"
    assert [row["text"] for row in served.rows] == ["a", "b"]
    assert left(directory) == []


@pytest.mark.parametrize(
    ("identity", "options"),
    [
        ("subj:ada", []),
        ("subj:ada", ["--token", TOKEN]),
        ("subj:ada", ["--token", TOKEN, "--subject", "bo"]),
        (None, ["--token", TOKEN, "--subject", "ada"]),
    ],
)
def test_write_of_somebody_else_is_neither_sent_nor_given_up(served, waiting, identity, options):
    """A client would reject it, and it would be gone: nothing of the directory is touched."""
    directory = waiting("mine", identity=UNDEFINED)
    waiting("theirs", identity=identity)
    for command in (["queue", directory, "send"], ["watch", "notes:list", "--count", "1", "--storage", directory]):
        done = served.run(*command, *options)
        assert done.exit_code == 2
        assert "nothing was sent: " in done.stderr
    assert (served.rows, left(directory)) == ([], ["id-mine", "id-theirs"])


def test_write_of_a_user_is_sent_by_that_user(served, waiting):
    """Token and subject together say who it is."""
    directory = waiting("a", identity="subj:ada")
    assert served.run("queue", directory, "send", "--token", TOKEN, "--subject", "ada").exit_code == 0
    assert [row["text"] for row in served.rows] == ["a"]


def test_server_that_cannot_answer_now_leaves_the_writes_where_they_are(served, waiting):
    """After the patience that was asked for, exit code 3."""
    directory = waiting("a")
    served.do(lambda: served.app.faults.fail_calls(None, status=503))
    done = served.run("queue", directory, "send", "--timeout", "0.5")
    assert done.exit_code == 3
    assert "1 of 1 writes got no verdict and still wait" in done.stderr
    assert left(directory) == ["id-a"]


def test_directory_that_is_none_is_told(served, tmp_path):
    """And is not made."""
    done = served.run("queue", tmp_path / "none", "send")
    assert (done.exit_code, list(tmp_path.iterdir())) == (1, [])
    assert "there is no directory" in done.stderr


def test_watch_of_a_storage_sends_what_waits_there(served, waiting):
    """As any client of the directory does."""
    directory = waiting("a")
    done = served.run("watch", "notes:list", "--storage", directory, "--count", "2")
    assert done.exit_code == 0, done.stderr
    assert [row["text"] for row in served.rows] == ["a"]
