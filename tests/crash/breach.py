"""What the checker finds."""

from __future__ import annotations

from typing import NamedTuple


class Breach(NamedTuple):
    """One broken promise."""

    kind: str
    text: str
