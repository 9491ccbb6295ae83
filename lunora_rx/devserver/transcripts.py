"""Transcripts of durable streams, in the database beside the tables.

Only a finished run survives a restart: nobody can go on with the generator of an unfinished one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeAlias

__all__ = ["Ending", "Transcript", "Transcripts"]

Chunk: TypeAlias = tuple[int, str]
"""Its number, from 1 on, and its JSON text."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS runs (number INTEGER PRIMARY KEY AUTOINCREMENT, generation TEXT NOT NULL UNIQUE,
    key TEXT NOT NULL UNIQUE, is_finished INTEGER NOT NULL DEFAULT 0, code TEXT, message TEXT);
CREATE TABLE IF NOT EXISTS chunks (run INTEGER NOT NULL, seq INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (run, seq)) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended: well, or with a code and a message."""

    code: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Transcript:
    """What is stored of one run.

    Attributes:
        number: Its number in the database.
        generation: What clients know it by.
        ending: How it ended; ``None`` while it goes on.
        last_seq: Number of its last chunk; 0 before the first.
    """

    number: int
    generation: str
    ending: Ending | None
    last_seq: int


class Transcripts:
    """Stores the chunks of durable runs.  It does not know who produces or reads them."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def load(self) -> None:
        """Create what is missing, and forget the runs that a restart has cut off."""
        self._database.executescript(_SCHEMA)
        self._delete("is_finished = 0")

    def find(self, key: str) -> Transcript | None:
        """Return the run of a key, if it is stored."""
        row = self._database.execute(
            "SELECT number, generation, is_finished, code, message, (SELECT coalesce(max(seq), 0) FROM chunks"
            " WHERE run = number) FROM runs WHERE key = ?",
            (key,),
        ).fetchone()
        if row is None:
            return None
        number, generation, is_finished, code, message, last_seq = row
        return Transcript(number, generation, Ending(code, message) if is_finished else None, last_seq)

    def begin(self, key: str, generation: str) -> int:
        """Store a new run in place of an earlier one of its key; return its number."""
        with self._unflushed():
            self._delete("key = ?", key)
            added = self._database.execute("INSERT INTO runs (generation, key) VALUES (?, ?)", (generation, key))
        number = added.lastrowid
        assert number is not None
        return number

    def append(self, number: int, seq: int, text: str) -> None:
        """Store one chunk."""
        with self._unflushed():
            self._database.execute("INSERT INTO chunks (run, seq, body) VALUES (?, ?, ?)", (number, seq, text))

    def finish(self, number: int, ending: Ending, *, keep: int) -> None:
        """Store how a run ended, and forget all but the latest finished ones."""
        self._database.execute(
            "UPDATE runs SET is_finished = 1, code = ?, message = ? WHERE number = ?",
            (ending.code, ending.message, number),
        )
        newest = "SELECT number FROM runs WHERE is_finished = 1 ORDER BY number DESC LIMIT ?"
        self._delete(f"is_finished = 1 AND number NOT IN ({newest})", keep)

    def read(self, number: int, after: int, limit: int) -> list[Chunk]:
        """Return chunks that follow on one, in order."""
        return self._database.execute(
            "SELECT seq, body FROM chunks WHERE run = ? AND seq > ? ORDER BY seq LIMIT ?", (number, after, limit)
        ).fetchall()

    def forget_unfinished(self) -> None:
        """Forget the runs that go on."""
        self._delete("is_finished = 0")

    def forget_all(self) -> None:
        """Forget every run."""
        self._delete("1")

    def _delete(self, condition: str, *values: object) -> None:
        chosen = f"SELECT number FROM runs WHERE {condition}"  # noqa: S608 - conditions are those of this file
        self._database.execute(f"DELETE FROM chunks WHERE run IN ({chosen})", values)  # noqa: S608
        self._database.execute(f"DELETE FROM runs WHERE {condition}", values)  # noqa: S608

    @contextmanager
    def _unflushed(self) -> Iterator[None]:
        # A run that a restart cuts off is forgotten, so a flush of each chunk would buy nothing; the
        # ending is flushed, and with it all that stands before it in the log.
        (level,) = self._database.execute("PRAGMA synchronous").fetchone()
        self._database.execute("PRAGMA synchronous = NORMAL")
        try:
            yield
        finally:
            self._database.execute(f"PRAGMA synchronous = {level}")
