"""What a run left behind, read without the library that is under test."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from tests.crash.log import DEFAULT, Line, read_log
from tests.crash.plan import WriterLife

Row: TypeAlias = dict[str, Any]

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
        authors: For whom the server carried out each write.
        handed_over: The names of the writes that were in the queue on disk when the directory passed to another user.
    """

    logs: dict[int, list[Line]]
    lives: dict[int, WriterLife]
    tables: dict[str, list[str]]
    left: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)
    authors: dict[str, str | None] = field(default_factory=dict)
    handed_over: set[str] = field(default_factory=set)


def gather(directory: Path, lives: Iterable[WriterLife]) -> Evidence:
    """Read the logs, the server's databases and the storage directory of a run."""
    logs = {int(path.stem): read_log(path) for path in sorted((directory / "logs").glob("*.log"))}
    storage = directory / "storage"
    tables = dict(_read_table(path) for path in (directory / "server").glob("*.sqlite3"))
    return Evidence(
        logs,
        {life.process: life for life in lives},
        tables={shard: list(map(_name_of, rows)) for shard, rows in tables.items()},
        authors={_name_of(row): row["author"] for rows in tables.values() for row in rows},
        left=read_queues(storage),
        damaged=[str(path.relative_to(storage)) for path in storage.rglob("damaged/*")],
        crashes=_read_crashes(directory / COMPLAINTS / "writer.txt"),
    )


def read_queues(storage: Path) -> list[str]:
    """Return the names of the writes that are in the queue of any lane; nobody may have it open."""
    return [name for path in sorted(storage.rglob("lanes/*/queue/*/cache.db")) for name in _read_queue(path)]


def _read_table(path: Path) -> tuple[str, list[Row]]:
    with closing(_open(path)) as database:
        ((shard,),) = database.execute("SELECT value FROM meta WHERE name = 'shard'").fetchall()
        found = database.execute("SELECT body FROM rows WHERE tbl = 'journal' ORDER BY created").fetchall()
    rows = [json.loads(body) for (body,) in found]
    return DEFAULT if shard == "default" else shard, rows


def _name_of(row: Row) -> str:
    return f"{row['writer']}-{row['number']}"


def _read_queue(path: Path) -> list[str]:
    # Of a copy: reading what was not closed changes it, and the next client is to find it as it was left.
    with tempfile.TemporaryDirectory() as place:
        for part in path.parent.glob(f"{path.name}*"):
            shutil.copy(part, place)
        with closing(sqlite3.connect(Path(place) / path.name)) as database:
            try:
                found = database.execute("SELECT value FROM Cache WHERE raw = 1 ORDER BY key").fetchall()
            except sqlite3.OperationalError:  # killed before it had made the table
                found = []
    return [json.loads(sealed[_HEAD:])["id"] for (sealed,) in found]


def _read_crashes(path: Path) -> list[str]:
    complaints = path.read_text() if path.exists() else ""
    return [text[:2000] for text in complaints.split("Traceback (most recent call last)")[1:]]


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
