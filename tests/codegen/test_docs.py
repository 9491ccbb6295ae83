"""docs/codegen.md holds what it promises."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "codegen.md").read_text(encoding="utf-8")


def test_program_of_the_page_runs_as_it_stands(tmp_path):
    """The blocks together are one program."""
    program = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
    (tmp_path / "page.py").write_text(program, encoding="utf-8")
    done = subprocess.run([sys.executable, "page.py"], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "hi True 1\n", "")
    for promised in ("class Message(TypedDict)", "ChannelsId = NewType", "MessagesListArgs", "PagedQueryRef["):
        assert promised in (tmp_path / "chat_api.py").read_text(encoding="utf-8")
