"""How many commits a database has seen, kept beside it.

A database whose log was deleted opens as a healthy, older one. The mark is written after every commit and
never synchronised: after a crash of the process it says how far the database should be, and after a power
loss it says too little, never too much.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import BinaryIO

from lunora_rx.storage.files import open_private_file

MARK_NAME = "mark"
_WIDTH = 20


class Mark:
    """The commit count in the file beside one database."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / MARK_NAME
        self._file: BinaryIO | None = None

    def open(self, commits: int) -> None:
        """Open the file, made if need be, and write the count."""
        self.close()
        self._file = os.fdopen(open_private_file(self._path), "r+b", buffering=0)
        self.write(commits)

    def write(self, commits: int) -> None:
        """Write the count over the old one; its length never changes, so that a full disk takes it too."""
        assert self._file is not None, "a mark is written while open"
        with contextlib.suppress(OSError):  # a mark that lags behind only notices less
            self._file.seek(0)
            self._file.write(b"%0*d" % (_WIDTH, commits))

    def close(self) -> None:
        """Close the file; closing a closed one does nothing."""
        if self._file is not None:
            self._file.close()
            self._file = None


def read_mark(directory: Path) -> int:
    """Return the count beside a database; 0 where there is none that can be read."""
    try:
        text = (directory / MARK_NAME).read_bytes()
    except FileNotFoundError:
        return 0
    return int(text) if len(text) == _WIDTH and text.isdigit() else 0
