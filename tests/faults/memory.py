"""How much memory this process takes, and has taken at most."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

MEGABYTE = 2**20

_CLEAR = Path("/proc/self/clear_refs")

needs_proc = pytest.mark.skipif(not os.access(_CLEAR, os.W_OK), reason="memory is read from /proc")


class Peak:
    """The most that the process takes beyond what it took when this was made."""

    def __init__(self) -> None:
        _CLEAR.write_text("5")  # from here on the high-water mark rises from what is resident now
        self._before = _most()

    @property
    def growth(self) -> int:
        """By how many bytes the process has been larger since, at its largest."""
        return _most() - self._before


def _most() -> int:
    status = Path("/proc/self/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024
