"""The server as a program, and the page that describes it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "devserver.md"
SCRIPT = """
from lunora_rx.devserver import App
app = App()
app.mutation("a:b")(lambda ctx: ctx.db.insert("t", x=1))
app.run(port=0, storage="data")
"""


def serve_once(directory: Path) -> dict[str, int]:
    """Run the script, make one write, interrupt it; return the rows it then had."""
    with subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, text=True, cwd=directory) as process:
        assert process.stdout is not None
        (url,) = re.findall(r"http://\S+", process.stdout.readline())
        body = json.dumps({"functionPath": "a:b"}).encode()
        urllib.request.urlopen(f"{url}/_lunora/rpc", body).close()
        with urllib.request.urlopen(f"{url}/_lunora/status") as reply:
            tables: dict[str, int] = json.load(reply)["shards"]["default"]["tables"]
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 0
    return tables


def test_script_serves_until_interrupted_and_keeps_its_rows(tmp_path):
    """``app.run`` tells its URL, stores in the directory, and ends cleanly on Ctrl-C."""
    assert [serve_once(tmp_path) for _ in range(2)] == [{"t": 1}, {"t": 2}]


def test_program_of_the_page_runs_as_it_stands(tmp_path):
    """The Python blocks of docs/devserver.md are one program, which prints what they say."""
    program = "\n".join(re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL))
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "live: ['hi']" in done.stdout
    assert "refused: EMPTY_MESSAGE {'channelId': 'general'}" in done.stdout
