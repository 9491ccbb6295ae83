"""The README and the files around it hold what they promise."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
WRITES = ("queued 1", "settled: messages:send committed", "at once True", "ended: FORBIDDEN", "committed")
STORED = ("shown: stale", "from before: tomorrow committed", "replay: 1 of 1", "shown: live")
USERS = ("User(id='ada') authenticated", "now: bo", "user: User(id='bo')", "None unauthenticated")
SHAPES = ("a shape of 5 rows, 32 letters", "entries: 20 CanLoadMore", "entries: 51 Exhausted")
STREAMS = ("the answer: because the sky is deep", "job: nightly 0.25", "job: nightly 1.0")
TOGETHER = ("typing: bo {'channel': 'general'}", "bo has left: True")
COMPOSED = ("{'cash': -10, 'bank': 10}", "connected -10", "calm: -10", "charts_0 -11", "page: {'cash': -11}")
MOVED = ("hydrated: stale", "hydrated: live", "chunk 4: 1000 of 1000 rows", "True 1051", "without a socket: polling")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def run_blocks(document, directory):
    text = (ROOT / document).read_text(encoding="utf-8")
    program = "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=directory, check=False)


def test_readme_program_runs_as_it_stands(tmp_path):
    """The Python blocks together are one program, which prints what the text says."""
    done = run_blocks("README.md", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "1 messages" in done.stdout
    assert "'text': 'hi'" in done.stdout
    assert done.stderr == ""


def test_guide_program_runs_as_it_stands(tmp_path):
    """The blocks of the guide together are one program, which prints what its comments say."""
    done = run_blocks("docs/guide.md", tmp_path)
    assert done.returncode == 0, done.stderr
    parts = (*WRITES, *SHAPES, *STREAMS, *TOGETHER, *MOVED, *STORED, *USERS)
    for promised in ("['hello']", "FORBIDDEN not for you", "args.channel", *parts):
        assert promised in done.stdout
    assert "storage:" not in done.stdout


def test_composing_program_runs_as_it_stands(tmp_path):
    """The blocks of the page together are one program, which shows no money in between and names both faults."""
    done = run_blocks("docs/composing.md", tmp_path)
    assert done.returncode == 0, done.stderr
    faults = (
        "changed a value that it shares",
        "query(): this is thread 'worker', and the client belongs to thread 'Main",
    )
    for promised in (*COMPOSED, *faults):
        assert promised in done.stdout
    assert set(re.findall(r"^total: (.*)$", done.stdout, re.MULTILINE)) == {"0"}
    assert done.stderr == ""


def test_readme_test_command_is_what_ci_runs():
    """CI calls the README's second command, piece by piece, before anything slower."""
    commands = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for piece in commands[1].strip().split(" && "):
        assert piece in script


def test_readme_links_lead_to_files():
    """Every relative link leads to a file of the project."""
    links = [link for link in re.findall(r"\]\(([^)#]+)", README) if not link.startswith("http")]
    assert [link for link in links if not (ROOT / link).exists()] == []
    assert len(links) > 5
