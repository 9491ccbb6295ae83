"""Text on its way to a terminal or a page."""

from __future__ import annotations

import pytest

from lunora_rx.cli.text import counted


@pytest.mark.parametrize(
    ("count", "nouns", "told"),
    [
        (0, ["row"], "0 rows"),
        (1, ["row"], "1 row"),
        (1_200, ["row"], "1,200 rows"),
        (1, ["live query", "live queries"], "1 live query"),
        (2, ["live query", "live queries"], "2 live queries"),
    ],
)
def test_number_of_things_has_the_noun_that_fits(count, nouns, told):
    """One of them is one."""
    assert counted(count, *nouns) == told
