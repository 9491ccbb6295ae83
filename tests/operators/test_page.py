"""docs/operators.md: its program runs as it stands, and it leaves no operator out."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from lunora_rx import operators as lops
from tests.test_readme import run_blocks

PAGE = (Path(__file__).parents[2] / "docs" / "operators.md").read_text(encoding="utf-8")


def test_program_of_the_page_runs_as_it_stands(tmp_path):
    """The Python blocks together print what their comments say, and log nothing."""
    pytest.importorskip("pandas", reason="the page makes a frame of pandas")
    done = run_blocks("docs/operators.md", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[:11] == [
        *("0", "2", "1", "1"),
        *("conflated: 0", *["rate: 10.0"] * 2, "conflated: 2", "rate: 10.0", "conflated: 4", "rate: 10.0"),
    ]
    for promised in ("added: ['hello']", "the first one: hello!", "[('hello!', 'green')]", "['hello!']"):
        assert promised in done.stdout


@pytest.mark.parametrize("name", lops.__all__)
def test_table_of_the_page_names_the_arguments(name):
    """Those that the signature has; where a scheduler goes is told once for all."""
    rows = re.findall(rf"^\| .*`{name}\(([^)]*)\)`", PAGE, re.MULTILINE)
    assert rows, "it is not in the table"
    named = set(re.findall(r"\*?(\w+)(?==|,|$)", rows[0]))
    assert {each for each in named if not each.startswith("_")} - {"inner", "pandas", "None"} <= {
        *inspect.signature(getattr(lops, name)).parameters
    }


def test_links_of_the_page_lead_to_files():
    """A relative link arrives."""
    links = re.findall(r"\]\(([^)#]+)", PAGE)
    assert links
    assert [link for link in links if not (Path(__file__).parents[2] / "docs" / link).exists()] == []
