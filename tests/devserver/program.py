"""The embedded server as a process of its own, for tests that signal, kill and restart it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="signals as of POSIX")


@contextmanager
def running(script: str, directory: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a script that serves; yields the process and its URL, and kills what is left."""
    command = [sys.executable, "-c", script, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=directory) as process:
        try:
            assert process.stdout is not None
            urls = re.findall(r"http://\S+", process.stdout.readline())
            assert urls, "the server did not start"
            yield process, urls[0]
        finally:
            process.kill()
