"""The command line as its user runs it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from lunora_rx.cli.demo.board import Board
from lunora_rx.cli.demo.run import audit

COMMAND = [sys.executable, "-m", "lunora_rx.cli"]


def run(*arguments, timeout=60):
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=timeout, check=False)


def test_demo_as_json_ends_with_a_summary_that_lost_nothing():
    """The demo writes through the cut, reconnects by itself, resumes, and shows every row that the server holds."""
    done = run("demo", "--seconds", "6", "--json")
    *lines, summary = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stderr
    assert summary["lost"] == summary["duplicated"] == 0
    assert summary["reconnects"] >= 1
    assert summary["resumed"] >= 1
    assert summary["committed"] == summary["rows"] == summary["composed"] > 15
    # The cut of two seconds spans about eight readings.
    assert 4 <= summary["queued"] < summary["composed"]
    assert summary["failed"] == 0
    assert max(line["pending"] for line in lines) >= 1
    assert summary["values"] <= summary["frames"]
    assert [line["second"] for line in lines[:4]] == [1, 2, 3, 4]
    assert "stale" in {line["freshness"] for line in lines}
    assert done.stderr == ""


def test_demo_in_a_terminal_saves_its_last_display(tmp_path):
    """The display is drawn with rich, and ends with a verdict a person can read."""
    done = run("demo", "--seconds", "4", "--svg", str(tmp_path / "demo.svg"))
    assert done.returncode == 0, done.stderr
    assert "nothing was lost" in " ".join(done.stdout.split())
    assert "CPU" in (tmp_path / "demo.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("seen", "committed", "table", "lost", "duplicated"),
    [
        ({"a", "b"}, ["a", "b"], [["a", 0], ["b", 1]], 0, 0),
        ({"a"}, ["a", "b"], [["a", 0], ["b", 1]], 1, 0),
        ({"a"}, ["a", "b"], [["a", 0]], 1, 0),
        ({"a", "b"}, ["a"], [["a", 0], ["b", 0]], 0, 1),
    ],
    ids=["complete", "never shown", "committed but not stored", "applied twice"],
)
def test_audit_of_what_was_shown_counts_lost_and_duplicated(seen, committed, table, lost, duplicated):
    """A row that was never shown, or reported and not stored, is lost; a tick stored twice is duplicated."""
    board = Board(seen=seen)
    result = audit(board, committed=committed, table=table)
    assert (result["lost"], result["duplicated"]) == (lost, duplicated)


def test_version_option_prints_the_version():
    """``--version`` prints one line."""
    import lunora_rx

    assert run("--version").stdout.strip() == lunora_rx.__version__


def test_serve_of_a_file_without_an_app_says_what_is_needed(tmp_path):
    """The error names the file and what it lacks."""
    file = tmp_path / "empty.py"
    file.write_text("x = 1\n", encoding="utf-8")
    done = run("serve", str(file))
    assert done.returncode == 2
    assert "0 objects of class App" in " ".join(done.stderr.split())


def test_serve_of_a_file_with_an_app_answers_its_functions(tmp_path):
    """A file that defines an app is served until interrupted."""
    import signal

    file = tmp_path / "served.py"
    file.write_text("from lunora_rx.devserver import App\napp = App()\n", encoding="utf-8")
    process = subprocess.Popen([*COMMAND, "serve", str(file), "--port", "0"], stdout=subprocess.PIPE, text=True)
    try:
        assert "http://127.0.0.1:" in process.stdout.readline()
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
        process.stdout.close()


def test_command_without_the_extras_says_what_to_install():
    """Where rich or typer are missing, the command names the extra."""
    blocked = (
        "import sys, importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'rich' else find(name, *a)\n"
        "from lunora_rx.cli.__main__ import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", blocked], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install 'lunora-rx[cli]'" in done.stderr


def test_serve_needs_no_psutil():
    """The extra of the command line is enough for every command but the demo."""
    blocked = (
        "import sys, importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'psutil' else find(name, *a)\n"
        "sys.modules['psutil'] = None\n"
        "sys.argv = ['lunora-rx', *{arguments}]\n"
        "from lunora_rx.cli.__main__ import main; main()"
    )
    command = [sys.executable, "-c", blocked.replace("{arguments}", "['serve', '--help']")]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    command = [sys.executable, "-c", blocked.replace("{arguments}", "['demo', '--seconds', '4']")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "lunora-rx[demo]" in " ".join(done.stderr.split())
