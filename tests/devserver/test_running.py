"""The server as a program, and the page that describes it."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import aiohttp

from tests.devserver.program import posix_only, running

PAGE = Path(__file__).parents[2] / "docs" / "devserver.md"
SCRIPT = """
import asyncio, sys
from lunora_rx.devserver import App
app = App()
app.mutation("a:b")(lambda ctx: ctx.db.insert("t", x=1))
app.mutation("a:note")(lambda ctx: ctx.db.insert("waits", x=1))
@app.action("a:wait")
async def wait(ctx):
    ctx.run_mutation("a:note")
    await asyncio.sleep(0.3)
    return "done"
app.run(port=int(sys.argv[1]), storage="data")
"""


def call(url: str, function_path: str) -> None:
    urllib.request.urlopen(f"{url}/_lunora/rpc", json.dumps({"functionPath": function_path}).encode()).close()


def tables_of(url: str) -> dict[str, int]:
    with urllib.request.urlopen(f"{url}/_lunora/status") as reply:
        shards = json.load(reply)["shards"]
    tables: dict[str, int] = shards["default"]["tables"] if shards else {}
    return tables


def serve_once(directory: Path, number: signal.Signals) -> dict[str, int]:
    """Run the script, make one write, end it with a signal; return the rows it then had."""
    with running(SCRIPT, directory, "0") as (process, url):
        call(url, "a:b")
        tables = tables_of(url)
        process.send_signal(number)
        assert process.wait(timeout=10) == 0
    return tables


@posix_only
def test_script_serves_until_signalled_and_keeps_its_rows(tmp_path):
    """``app.run`` tells its URL, stores in the directory, and ends cleanly on Ctrl-C and on SIGTERM."""
    signals = [signal.SIGINT, signal.SIGTERM, signal.SIGINT]
    assert [serve_once(tmp_path, each) for each in signals] == [{"t": 1}, {"t": 2}, {"t": 3}]


@posix_only
async def test_signalled_server_says_that_it_goes_away_and_its_port_is_free_at_once(tmp_path):
    """Sockets end with 1001, and the next server listens on the same port while they may linger."""
    port = "0"
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
        with running(SCRIPT, tmp_path, port) as (process, url):
            port = url.rpartition(":")[2]
            async with aiohttp.ClientSession() as http, http.ws_connect(f"{url}/_lunora/ws") as socket:
                process.send_signal(number)
                await socket.receive(timeout=10)
                assert socket.close_code == 1001
            assert process.wait(timeout=10) == 0


@posix_only
async def test_signalled_server_answers_what_it_has_begun(tmp_path):
    """A call that is being carried out gets its reply before the process ends."""
    with running(SCRIPT, tmp_path, "0") as (process, url):
        async with aiohttp.ClientSession() as http:
            calling = asyncio.create_task(http.post(f"{url}/_lunora/rpc", json={"functionPath": "a:wait"}))
            while "waits" not in await asyncio.to_thread(tables_of, url):
                await asyncio.sleep(0.01)
            process.send_signal(signal.SIGTERM)
            async with await calling as reply:
                assert await reply.json() == {"result": "done"}
        assert process.wait(timeout=10) == 0


def test_script_on_a_taken_port_fails_and_names_it(tmp_path):
    """The exit code is not 0, and the last line says which address is in use."""
    with running(SCRIPT, tmp_path, "0") as (_, url):
        command = [sys.executable, "-c", SCRIPT, url.rpartition(":")[2]]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=30, check=False)
    assert done.returncode != 0
    assert "address already in use" in done.stderr.splitlines()[-1]


def test_program_of_the_page_runs_as_it_stands(tmp_path):
    """The Python blocks of docs/devserver.md are one program, which prints what they say."""
    program = "\n".join(re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL))
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "live: ['hi']" in done.stdout
    assert "refused: EMPTY_MESSAGE {'channelId': 'general'}" in done.stdout
