"""The page on testing: its blocks are programs that pass, and its example is the one that stands in the examples."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
EXAMPLE = ROOT / "examples" / "dashboard_logic"


def files():
    """Return the files that the blocks make, by name: each block says which one it goes on with."""
    made = {}
    for name, block in re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE, re.DOTALL):
        made[name] = f"{made[name]}\n\n{block}" if name in made else block
    return made


def test_every_block_says_its_file():
    """No block is left out of what is run."""
    assert PAGE.count("```python\n") == len(re.findall(r"```python\n# \w+\.py\n", PAGE)) > 5


def test_blocks_of_the_page_pass_as_they_stand(pytester):
    """Together they are a project whose tests pass, with warnings as errors."""
    for name, text in files().items():
        (pytester.path / name).write_text(text, encoding="utf-8")
    options = ("-W", "error", "-p", "no:cacheprovider", "-p", "no:asyncio")
    pytester.runpytest_subprocess(*options, timeout=100).assert_outcomes(passed=PAGE.count("def test_"))


@pytest.mark.parametrize("name", ["dashboard.py", "test_dashboard.py"])
def test_example_is_that_of_the_page(name):
    """Whoever copies the directory has what the page explains."""
    assert (EXAMPLE / name).read_text(encoding="utf-8") == files()[name]


def test_table_of_the_page_names_what_there_is():
    """Each fixture and each call that the page tells of exists, and no fixture is left out."""
    import _lunora_rx_pytest
    from lunora_rx.testing import ScriptedServer

    fixtures = {name for name in vars(_lunora_rx_pytest) if name.startswith("lunora_")}
    assert fixtures == {name for name in re.findall(r"`(lunora_\w+)`", PAGE) if name != "lunora_rx"}
    calls = set(re.findall(r"`server\.(\w+)", PAGE))
    assert len(calls) > 20
    assert {name for name in calls if not hasattr(ScriptedServer, name)} == set()
