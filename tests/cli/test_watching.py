"""``lunora-rx watch`` in a pipe."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

COMMAND = [sys.executable, "-m", "lunora_rx.cli", "watch"]


@pytest.fixture
def watching(served):
    """A watch of all notes, in a pipe; killed at the end if it still runs."""
    process = subprocess.Popen(
        [*COMMAND, "notes:list", "--url", served.url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    yield process
    process.kill()
    process.communicate()


def next_line(process, wanted):
    """Return the next line that satisfies a condition."""
    return next(line for text in process.stdout if wanted(line := json.loads(text)))


def test_each_change_is_a_line_until_ctrl_c(served, watching):
    """Flushed at once, with nothing on the standard error, and ended with success."""
    assert next_line(watching, lambda line: True)["value"] == []
    served.run("mutate", "notes:write", '{"text": "hi"}')
    line = next_line(watching, lambda line: line["value"])
    assert [row["text"] for row in line["value"]] == ["hi"]
    assert set(line) == {"status", "value", "cursor", "updated_at", "error"}
    watching.send_signal(signal.SIGINT)
    assert watching.communicate(timeout=10)[1] == ""
    assert watching.returncode == 0


def test_connection_that_is_cut_shows_as_stale_and_comes_back(served, watching):
    """The last value stays in the lines."""
    next_line(watching, lambda line: line["status"] == "live")
    served.do(served.app.faults.drop_sockets)
    assert next_line(watching, lambda line: line["status"] == "stale")["value"] == []
    assert next_line(watching, lambda line: line["status"] == "live")["error"] is None


def test_reader_that_leaves_ends_it_quietly(served, watching):
    """As with ``head``."""
    next_line(watching, lambda line: True)
    watching.stdout.close()
    served.run("mutate", "notes:write", '{"text": "hi"}')
    assert watching.wait(10) == 0
    assert watching.stderr.read() == ""


def test_count_ends_it(served):
    """For scripts that want the value now."""
    done = served.run("watch", "notes:list", "--count", 1)
    assert (done.exit_code, json.loads(done.stdout)["status"]) == (0, "live")


def test_pages_are_watched_as_one_list(served):
    """Where the query takes ``paginationOpts``."""

    @served.app.query("notes:pages")
    def pages(ctx, paginationOpts: dict):
        return ctx.db.table("notes").paginate(
            paginationOpts.get("lower"), paginationOpts["numItems"], upper=paginationOpts.get("upper")
        )

    for text in "abc":
        served.run("mutate", "notes:write", json.dumps({"text": text}))
    done = served.run("watch", "notes:pages", "--page-size", 2, "--count", 1)
    assert done.exit_code == 0, done.stderr
    assert [row["text"] for row in json.loads(done.stdout)["value"]] == ["a", "b"]


@pytest.mark.parametrize(
    ("function", "code", "reason"),
    [
        ("notes:first", 1, "EMPTY: there is no note yet"),
        ("notes:lst", 1, "did you mean notes:list"),
        ("notes:write", 2, "use lunora-rx mutate"),
    ],
)
def test_query_that_is_refused_at_first_ends_it(served, function, code, reason):
    """There is nothing to watch."""
    done = served.run("watch", function)
    assert (done.exit_code, done.stdout) == (code, "")
    assert reason in done.stderr


def test_token_that_is_refused_ends_it(served):
    """Nobody can give it another one; the token itself is not told."""
    done = served.run("watch", "notes:list", "--token", "no-good-91")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "refuses the token" in done.stderr
    assert "no value yet" not in done.stderr
    assert "LUNORA_TOKEN" in done.stderr
    assert "no-good-91" not in done.stderr


def test_token_that_is_refused_later_ends_it_after_the_last_value(served, watching):
    """The reader learns why there is no more."""
    next_line(watching, lambda line: line["status"] == "live")
    served.do(lambda: served.app.faults.close_sockets(4001))
    assert watching.wait(10) == 1
    assert "TOKEN_EXPIRED" in watching.stderr.read()
