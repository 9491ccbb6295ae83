"""docs/blocking.md is one program, which prints what its comments say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "blocking.md"


def test_page_runs_as_it_stands(tmp_path):
    """Each printed line is promised in a comment beside it, and nothing else is said."""
    text = PAGE.read_text(encoding="utf-8")
    program = "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
    quiet = "import logging; logging.getLogger('lunora_rx').setLevel(logging.ERROR)\n"
    command = [sys.executable, "-W", "error", "-c", quiet + program]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    promised = re.findall(r"print\(.*\)\s+# (.+)$", program, re.MULTILINE)
    printed = done.stdout.splitlines()
    assert len(promised) > 9
    assert {part for line in promised for part in line.split(" ... ")} == set(printed)
