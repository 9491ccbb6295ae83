"""What a writer says while it lives: one line an event, in a file that its death cannot take back.

Each line is one ``write`` of the operating system, so a killed process loses nothing that it said.
Lines are a kind and words:

- ``opening`` / ``opened`` / ``closing`` / ``closed``: one client of the process
- ``composed NAME SHARD``: before the write is handed to the client
- ``queued NAME`` / ``sent NAME`` / ``committed NAME`` / ``rejected NAME``: its phases
- ``settled NAME STATUS CODE``: an event of ``client.settled``, also of writes of earlier processes
- ``trouble TEXT``: what the client reported and should not have, or showed although it was read for somebody else
- ``shown SHARD NAME/AUTHOR ...``: what the live query of a shard showed when all was at rest, the latest write first
- ``drained``: nothing waits any more

A name is ``PROCESS-NUMBER``, which is the mutation id too. ``-`` stands for the default shard, and for no code.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

DEFAULT = "-"


class Line(NamedTuple):
    """One thing that a writer said."""

    kind: str
    words: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Which write it is about, in lines that are about one."""
        return self.words[0]


class Log:
    """The end that a writer speaks into."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def say(self, kind: str, *words: object) -> None:
        """Append a line."""
        text = " ".join([kind, *map(str, words)])
        os.write(self._file, text.replace("\n", " ").encode() + b"\n")


def parse_line(text: str) -> Line:
    """Return what a line says."""
    kind, *words = text.split(" ")
    return Line(kind, tuple(words))


def read_log(path: Path) -> list[Line]:
    """Return what a writer said; a process that never came to speak said nothing."""
    if not path.exists():
        return []
    return [parse_line(text) for text in path.read_text().split("\n")[:-1]]
