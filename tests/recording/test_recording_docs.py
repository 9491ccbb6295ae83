"""docs/recording.md says what is so."""

from __future__ import annotations

import re
from dataclasses import fields

from lunora_rx.protocol.recording import VERSION, Entry, Kind
from tests.test_readme import ROOT, run_blocks

TEXT = (ROOT / "docs" / "recording.md").read_text(encoding="utf-8")


def test_program_of_the_page_runs_as_it_stands(tmp_path):
    """And prints the same values live and again."""
    done = run_blocks("docs/recording.md", tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    live, again = ([line.split()[1] for line in lines if line.startswith(word)] for word in ("live:", "again:"))
    assert live == again == ["0", "1", "2", "3"]
    assert {"shown: [20.5, 21.0]", "stepped to 21.0", "jumped to 21.5"} <= set(lines)
    assert lines[-1].startswith("NOT_RECORDED")
    assert done.stderr == ""


def test_format_names_every_kind_and_field():
    """The tables and the code are of one mind."""
    rows = set(re.findall(r"^\| `(\w+)` \|", TEXT.partition("## File format")[2], re.MULTILINE))
    names = {each.name for each in fields(Entry)} - {"at"} | {"t"}
    assert rows == {str(kind) for kind in Kind} | names | {"lunora_rx_recording", "started_at", "url"}
    assert f"The version of the format: `{VERSION}`" in TEXT
