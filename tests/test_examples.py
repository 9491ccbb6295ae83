"""Every example runs by one command, ends by itself, and shows what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAST_LINES = {
    "chart.py": r"10,000 rows, [\d,]{6,} changes, .*; the server counted all rows, and has the same chart\.",
    "chat.py": r"3 messages, 2 times somebody else was typing, only Ada is left\.",
    "endless_list.py": r"all \d{3} rows are there; \d+ lists were shown, 0 with a flaw\.",
    "importing.py": r"20,000 rows imported, and the server has 20,000: 0 too many\.",
    "rates.py": r"\d\d rates; at last \d+\.\d a second",
    "script.py": r"3 words, written by threads and watched by a for loop\.",
    "tokens.py": r"62 words through 1 cut: no word is missing or twice\.",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Run an example, once for all tests, as a newcomer does: from any directory, into a pipe."""
    directory = tmp_path_factory.mktemp("elsewhere")
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8", "PYTHONWARNINGS": "error"}

    @cache
    def run(example):
        done = subprocess.run(
            [sys.executable, ROOT / "examples" / example],
            capture_output=True,
            encoding="utf-8",
            cwd=directory,
            env=environment,
            timeout=60,
            check=False,
        )
        assert list(directory.iterdir()) == []
        return done

    return run


def test_every_example_is_tested():
    """None can be added without saying what it must show."""
    assert {path.name for path in (ROOT / "examples").glob("*.py")} == set(LAST_LINES)


def test_every_example_is_in_the_readme():
    """Whoever looks for one finds it there."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\(examples/(\w+\.py)\)", readme)) == set(LAST_LINES)


@pytest.mark.parametrize("example", LAST_LINES)
def test_example_shows_what_it_says(example, run):
    """Its last line is the one that counts what happened; nothing is logged, and nothing is left behind."""
    done = run(example)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(LAST_LINES[example], done.stdout.splitlines()[-1])


def test_chat_shows_who_comes_and_goes(run):
    """Presence follows the sockets, typing is seen by the other one only, and messages by both."""
    lines = run("chat.py").stdout.splitlines()
    together = lines.index("[here: Ada (at the desk), Bo (on the train)]")
    typing = lines.index("     Bo is typing ...")
    assert together < lines.index(" Ada: Bo! Are you there?") < typing < lines.index("  Bo: Almost. One more stop.")
    assert "[here: Ada (at the desk), Bo (at the door)]" in lines
    assert lines[-3] == "[here: Ada (at the desk)]"


def test_tokens_go_on_after_the_cut(run):
    """The connection was lost in the middle of the text, and what follows is shown after it came back."""
    shown = run("tokens.py").stdout
    before, cut, after = shown.partition("[offline]")
    assert cut == "[offline]"
    assert before.startswith("[idle] [connecting] [connected] The moon")
    assert re.search(r"\[connected\].* once a day\.", after)


def test_import_was_cut_in_the_middle(run):
    """The first run stops short of the end, and the second one makes it whole."""
    shown = run("importing.py").stdout
    held = re.search(r"the server has ([\d,]+) rows; once more", shown)
    assert "CLIENT_CLOSED" in shown
    assert 8_000 <= int(held[1].replace(",", "")) < 20_000


def test_chart_draws_its_bars(run):
    """One for each span of temperatures, as wide as its share, and together they are all rows."""
    lines = run("chart.py").stdout.splitlines()[:12]
    assert sum(int(line.split()[-1].replace(",", "")) for line in lines) == 10_000
    assert max(line.count("█") for line in lines) == 50


def test_rates_are_told_in_twenty_lines():
    """So little joins two queries, measures and makes frames, the server included."""
    lines = (ROOT / "examples" / "rates.py").read_text(encoding="utf-8").splitlines()
    assert len([line for line in lines[1:] if line.strip()]) <= 20
