"""``lunora-rx record`` and ``replay`` as their user runs them."""

from __future__ import annotations

import asyncio
import json
import re

import pytest

from lunora_rx import LunoraClient
from lunora_rx.devserver import App
from tests.cli.test_commands import COMMAND, run
from tests.cli.test_queue import in_terminal


@pytest.fixture
def app():
    app = App()

    @app.query("rows:list")
    def rows(ctx, limit: int = 5):
        return ctx.db.table("rows").take(limit)

    @app.mutation("rows:add")
    def add(ctx, name: str):
        return ctx.db.insert("rows", name=name)

    return app


async def run_async(*arguments):
    process = await asyncio.create_subprocess_exec(
        *COMMAND, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, out.decode(), err.decode()


async def test_session_that_was_recorded_is_replayed(app, tmp_path):
    """From the server into a file, and from there into the terminal, as JSON and as text."""
    path = str(tmp_path / "s.jsonl")
    async with app.serve() as url:
        code, out, err = await run_async(
            "record", "rows:list", '{"limit": 2}', "--url", url, "-o", path, "--seconds", "1"
        )
    assert code == 0, err
    assert "recorded" in out
    code, out, err = await run_async("replay", path, "--json", "--speed", "50")
    assert code == 0, err
    shown = [json.loads(line) for line in out.splitlines()]
    assert [(each["function"], each["args"]) for each in shown] == [("rows:list", {"limit": 2})] * len(shown)
    assert (shown[-1]["status"], shown[-1]["value"]) == ("live", [])
    code, out, err = await run_async("replay", path, "--speed", "inf")
    assert (code, err) == (0, "")
    assert "1 live query, 2 snapshots in " in out


async def test_replay_in_a_terminal_has_a_bar_of_its_progress(app, tmp_path):
    """How many seconds of the recording are played, and of how many."""
    path = str(tmp_path / "s.jsonl")
    async with app.serve() as url, LunoraClient(url) as client:
        client.record(path)
        await client.live("rows:list").first()
        await asyncio.sleep(1)
    text = in_terminal([*COMMAND, "replay", path], columns=100)
    lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text).split("\r\n")
    played = [re.search(r"playing [━╸╺ ]*━.* ([0-9.]+) of ([0-9.]+) s", line) for line in lines]
    seconds = [(float(each[1]), float(each[2])) for each in played if each]
    assert {duration for _, duration in seconds} == {seconds[0][1]}
    assert seconds[0][0] < 0.7 < seconds[-1][0] <= seconds[-1][1]


async def test_record_of_a_query_that_fails_exits_with_1(app, tmp_path):
    """And says why."""
    async with app.serve() as url:
        code, _, err = await run_async("record", "rows:none", "--url", url, "-o", str(tmp_path / "s"), "--seconds", "1")
    assert code == 1
    assert "rows:none" in err


async def test_record_without_a_server_exits_with_1(tmp_path):
    """There was no value."""
    code, _, err = await run_async(
        "record", "a:b", "--url", "http://127.0.0.1:9", "-o", str(tmp_path / "s"), "--seconds", "0.5"
    )
    assert code == 1
    assert "no value" in err


def test_record_over_a_file_exits_with_1(tmp_path):
    """It says what to do about it."""
    (tmp_path / "s").write_text("precious")
    done = run("record", "a:b", "-o", str(tmp_path / "s"), "--seconds", "1")
    assert done.returncode == 1
    assert "--overwrite" in done.stderr
    assert (tmp_path / "s").read_text() == "precious"


@pytest.mark.parametrize(
    "arguments", [("record", "a:b", "nonsense"), ("record", "a:b", "[]"), ("replay", "f", "--speed", "0")]
)
def test_arguments_that_cannot_be_used_exit_with_2(arguments):
    """As with every command."""
    assert run(*arguments).returncode == 2


def test_replay_of_no_recording_exits_with_1(tmp_path):
    """The file is named."""
    (tmp_path / "s").write_text("text")
    done = run("replay", str(tmp_path / "s"))
    assert done.returncode == 1
    assert "no recording" in done.stderr
    assert run("replay", str(tmp_path / "none")).returncode == 1


@pytest.mark.parametrize("command", ["record", "replay"])
def test_help_has_an_example(command):
    """One that can be copied."""
    assert f"Example: lunora-rx {command}" in run(command, "--help").stdout
