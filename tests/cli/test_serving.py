"""``lunora-rx serve --reload``, as its user runs it."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

COMMAND = [sys.executable, "-m", "lunora_rx.cli", "serve"]
_APP = """
from lunora_rx.devserver import App
from neighbour import NAME
app = App(title=NAME)
"""


@contextmanager
def serving(*arguments):
    """Run the command, until it is interrupted; it ends with success."""
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        yield process.stdout
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        process.stdout.close()


def line_with(text, lines):
    """Return the next line that has a text in it."""
    return next(line for line in lines if text in line)


@pytest.fixture
def file(tmp_path):
    """An app that imports its neighbour."""
    (tmp_path / "neighbour.py").write_text("NAME = 'first'\n")
    (tmp_path / "app.py").write_text(_APP)
    return tmp_path / "app.py"


def test_server_runs_on_uvloop_where_that_is_installed(file, tmp_path, monkeypatch):
    """Here it is another module of that name, which says that it was used."""
    (tmp_path / "elsewhere").mkdir()
    program = "import asyncio\ndef run(main):\n    print('on uvloop', flush=True)\n    asyncio.run(main)\n"
    (tmp_path / "elsewhere" / "uvloop.py").write_text(program)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "elsewhere"))
    with serving(file, "--port", "0") as lines:
        assert line_with("on uvloop", lines)
        assert line_with("http://127.0.0.1:", lines)


def test_file_finds_its_neighbours(file):
    """As it does when Python runs it."""
    with serving(file, "--port", "0") as lines:
        assert line_with("http://127.0.0.1:", lines)


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is no signal there")
def test_file_that_changes_is_served_anew_on_the_same_port(file):
    """Also when it was broken meanwhile; Ctrl-C ends both processes with success."""
    with serving(file, "--port", "0", "--reload") as lines:
        url = line_with("http://", lines)
        (file.parent / "neighbour.py").write_text("NAME = \n")
        assert "neighbour.py" in line_with("changed: serving anew", lines)
        (file.parent / "neighbour.py").write_text("NAME = 'second'\n")
        assert line_with("http://", lines) == url


def test_port_that_is_taken_is_told_in_one_line(file):
    """Which file, which port, and why."""
    with serving(file, "--port", "0") as lines:
        port = line_with("http://", lines).split("127.0.0.1:")[1].split()[0]
        done = subprocess.run([*COMMAND, str(file), "--port", port], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"app.py on port {port}: " in done.stderr
    assert len(done.stderr.splitlines()) == 1
