"""The programs of tests/typing are what mypy and pyright say they are: right, but for what is marked as wrong."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run_checker(*command):
    """Run a type checker, and return what it finds."""
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.timeout(400)
def test_mypy_agrees_with_the_programs(tmp_path):
    """Strict, with every mark that is not needed an error."""
    code, found = run_checker("mypy", "--cache-dir", str(tmp_path), "tests/typing")
    assert code == 0, found


@pytest.mark.timeout(400)
@pytest.mark.skipif(shutil.which("node") is None, reason="pyright needs Node.js")
def test_pyright_agrees_with_the_programs():
    """With marks of its own."""
    code, found = run_checker("pyright", "--pythonpath", sys.executable, "tests/typing")
    assert code == 0, found


@pytest.mark.timeout(400)
def test_checker_reports_what_is_wrong(tmp_path):
    """The programs are checked at all: a wrong one is found."""
    program = tmp_path / "wrong.py"
    program.write_text("from lunora_rx import LunoraClient\n\nLunoraClient(7)\n")
    code, found = run_checker("mypy", "--cache-dir", str(tmp_path), str(program))
    assert code == 1
    assert 'Argument 1 to "LunoraClient" has incompatible type "int"; expected "str"' in found
