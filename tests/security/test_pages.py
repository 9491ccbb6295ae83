"""SECURITY.md and docs/security.md: what they name is there, and each line of what is asked has a test."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lunora_rx import LunoraClient
from tests.test_docs import names_in, section, table

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def test_tests_that_the_page_names_exist():
    """Whoever looks for the proof of a line finds it."""
    named = _TEST.findall(PAGE)
    assert len(named) > 40
    assert [f"{path}::{name}" for path, name in named if name not in names_in(path)] == []


def test_every_row_of_what_is_defended_names_a_test():
    """A defence that nothing checks is not claimed."""
    rows = [
        row
        for part in re.findall(r"^### .*?(?=^##)", f"{PAGE}\n##", re.M | re.S)
        if "|---" in part
        for row in table(part)
    ]
    assert len(rows) > 30
    assert [row[0] for row in rows if "tests/" not in row[1] and "the same" not in row[1]] == []


@pytest.mark.parametrize("name", ["test_canary", "test_origins", "test_tls", "test_pickles", "test_permissions"])
def test_every_file_of_these_tests_is_named(name):
    """A line without a row on the page would be found by nobody."""
    assert f"tests/security/{name}.py" in PAGE


def test_limits_of_the_page_are_options_of_the_client():
    """What it says can be changed, can be."""
    options = LunoraClient.__init__.__kwdefaults__
    assert {"max_frame_size", "max_body_size", "session", "cookie_auth"} <= options.keys()
    assert "max_frame_size" in section("What a server sends is data", PAGE)
