"""What a run left behind, read without the library that is under test."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash.log import DEFAULT, Line, read_log
from tests.crash.plan import WriterLife

COMPLAINTS = "complaints"

_HEAD = 9  # a checksum and a space before the JSON of a stored record


@dataclass(slots=True)
class Evidence:
    """Everything that the checker may know.

    Attributes:
        logs: What each writer process said, in the order in which they were started, by their numbers.
        lives: What the plan had for the processes; one that is not planned lived alone, after all others.
        tables: The names of the rows of each shard, in the order of their commits.
        left: The names of the writes that are still in the queue on disk.
        damaged: What the client set aside as damaged.
        crashes: The tracebacks that the writers printed, one text each.
    """

    logs: dict[int, list[Line]]
    lives: dict[int, WriterLife]
    tables: dict[str, list[str]]
    left: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)


def gather(directory: Path, lives: Iterable[WriterLife]) -> Evidence:
    """Read the logs, the server's databases and the storage directory of a run."""
    logs = {int(path.stem): read_log(path) for path in sorted((directory / "logs").glob("*.log"))}
    storage = directory / "storage"
    return Evidence(
        logs,
        {life.process: life for life in lives},
        tables=dict(_read_table(path) for path in (directory / "server").glob("*.sqlite3")),
        left=[name for path in sorted(storage.rglob("lanes/*/queue/*/cache.db")) for name in _read_queue(path)],
        damaged=[str(path.relative_to(storage)) for path in storage.rglob("damaged/*")],
        crashes=_read_crashes(directory / COMPLAINTS / "writer.txt"),
    )


def _read_table(path: Path) -> tuple[str, list[str]]:
    with closing(_open(path)) as database:
        ((shard,),) = database.execute("SELECT value FROM meta WHERE name = 'shard'").fetchall()
        found = database.execute("SELECT body FROM rows WHERE tbl = 'journal' ORDER BY created").fetchall()
    rows = [json.loads(body) for (body,) in found]
    return DEFAULT if shard == "default" else shard, [f"{row['writer']}-{row['number']}" for row in rows]


def _read_queue(path: Path) -> list[str]:
    with closing(_open(path)) as database:
        found = database.execute("SELECT value FROM Cache WHERE raw = 1 ORDER BY key").fetchall()
    return [json.loads(sealed[_HEAD:])["id"] for (sealed,) in found]


def _read_crashes(path: Path) -> list[str]:
    complaints = path.read_text() if path.exists() else ""
    return [text[:2000] for text in complaints.split("Traceback (most recent call last)")[1:]]


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
