"""The programs of docs/dashboards.md, as far as that can be told without their libraries; tests/browser runs them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "dashboards.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
LIBRARIES = ("bokeh", "nicegui", "pandas", "panel", "streamlit", "tornado")


def check(directory, programs):
    """Run mypy on programs whose libraries need not be there; return what it finds wrong."""
    files = []
    for number, program in enumerate(programs):
        files.append(directory / f"program_{number}.py")
        files[-1].write_text(program, encoding="utf-8")
    followed = "\n".join(f"[mypy-{name}.*]\nfollow_imports = skip\nignore_missing_imports = true" for name in LIBRARIES)
    settings = directory / "mypy.ini"
    settings.write_text(f"[mypy]\ncheck_untyped_defs = true\n{followed}\n", encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--config-file", settings, "--cache-dir", directory / "cache", *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    return [line for line in done.stdout.splitlines() if "error:" in line] + done.stderr.splitlines()


@pytest.mark.timeout(400)
def test_programs_use_what_there_is(tmp_path):
    """Each name and each argument; and a name that is wrong is found."""
    assert len(PROGRAMS) == 4
    wrong = PROGRAMS[0].replace("panel.badge(client, tasks)", "panel.badge(client, task)")
    assert wrong != PROGRAMS[0]
    found = check(tmp_path, [*PROGRAMS, wrong, PROGRAMS[1].replace("bokeh.source(", "bokeh.sauce(")])
    assert sorted("sauc" in each for each in found) == [False, True], found
    assert all("program_4" in each or "program_5" in each for each in found), found
