"""``lunora-rx dashboard`` as its user runs it, where it does not come to a page."""

from __future__ import annotations

import socket
import subprocess
import sys
from importlib import util

import pytest
import typer

from lunora_rx.cli.dashboard import command


def run(*arguments):
    """Run the command to its end."""
    whole = [sys.executable, "-m", "lunora_rx.cli", "dashboard", "--no-open", *arguments]
    return subprocess.run(whole, capture_output=True, text=True, timeout=60, check=False)


def test_command_without_the_extra_names_it(monkeypatch):
    """What is missing, and what to install."""
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    with pytest.raises(typer.BadParameter, match=r"needs panel, jsonschema: pip install 'lunora-rx\[dashboard\]'"):
        command.dashboard()


@pytest.mark.skipif(util.find_spec("panel") is None, reason="the dashboard's extra is not installed")
@pytest.mark.parametrize(
    ("arguments", "told"), [(("--url", "nowhere"), "--url"), (("--token", "two\nlines"), "--token")]
)
def test_option_that_cannot_be_used_is_named(arguments, told):
    """Before anything is served; and a token is not repeated."""
    done = run(*arguments)
    assert done.returncode == 2
    assert told in done.stderr
    assert "two" not in done.stderr


@pytest.mark.skipif(util.find_spec("panel") is None, reason="the dashboard's extra is not installed")
def test_port_that_is_taken_ends_the_command():
    """With a message, no traceback."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = run("--port", str(taken.getsockname()[1]))
    assert done.returncode == 1
    assert "cannot serve the dashboard on port" in done.stderr
    assert "Traceback" not in done.stderr
