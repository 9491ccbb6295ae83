"""One shard's database on sqlite3: rows, the change log, recorded replies.

Rows are kept as wire JSON, so that every value of the protocol survives.  Nothing here
knows about queries, sockets or functions; ``tables.py`` is what functions see.
"""

from __future__ import annotations

import math
import os
import re
import sqlite3
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from lunora_rx.devserver.changelog import ChangeLog, Writes
from lunora_rx.devserver.tracking import Change
from lunora_rx.devserver.transcripts import Transcripts
from lunora_rx.protocol.text import dumps, loads

__all__ = ["Recorded", "Store", "open_store"]

Row: TypeAlias = dict[str, Any]

# A step that a double holds exactly at the size of today's milliseconds.
_TICK: Final = 1 / 1024
_FIRST_CURSOR: Final = 1
_INDEXABLE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rows (tbl TEXT NOT NULL, id TEXT NOT NULL, created REAL NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (tbl, id));
CREATE INDEX IF NOT EXISTS rows_by_time ON rows (tbl, created);
CREATE TABLE IF NOT EXISTS changes (cursor INTEGER NOT NULL, tbl TEXT NOT NULL, id TEXT NOT NULL,
    before TEXT, after TEXT);
CREATE INDEX IF NOT EXISTS changes_by_cursor ON changes (cursor);
CREATE TABLE IF NOT EXISTS replies (number INTEGER PRIMARY KEY, space TEXT NOT NULL, id TEXT NOT NULL,
    result TEXT NOT NULL, cursor INTEGER NOT NULL, base_seq INTEGER, UNIQUE (space, id));
"""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a mutation was answered: the JSON text of its result, and the cursor it was committed at."""

    result: str
    cursor: int
    base_seq: int | None = None


class Store:
    """Rows of one shard, in memory or in a file.

    Attributes:
        cursor: Position of the latest commit.
        epoch: Names the history that cursors belong to; random for each database.
        log: The latest changes.
        transcripts: What durable streams have said.
    """

    def __init__(
        self,
        database: sqlite3.Connection,
        *,
        name: str,
        clock: Callable[[], float],
        new_id: Callable[[], str],
        retention: int,
    ) -> None:
        self._database = database
        self._name = name
        self._clock = clock
        self._new_id = new_id
        self._retention = retention
        self._indexed: set[str] = set()
        self._last_created = -math.inf
        self._unpruned_replies = 0
        self.cursor = _FIRST_CURSOR
        self.epoch = ""
        self.log = ChangeLog(floor=_FIRST_CURSOR)
        self.transcripts = Transcripts(database)

    # --- transactions

    @contextmanager
    def transaction(self) -> Iterator[Writes]:
        """Run writes that are kept together at the end, or undone together by an exception."""
        writes = Writes()
        cursor = self.cursor
        with self._atomically():
            yield writes
            changes = writes.changes()
            floor = self._append_changes(cursor + 1, changes) if changes else self.log.floor
        if changes:
            self.cursor = cursor + 1
            self.log.append(self.cursor, changes)
            self.log.forget(floor)

    def next_cursor(self, writes: Writes) -> int:
        """Return the cursor at which the running transaction lands."""
        return self.cursor + 1 if writes.changes() else self.cursor

    # --- rows

    def get(self, table: str, row_id: str) -> Row | None:
        """Return a row by its id."""
        found = self._database.execute("SELECT id, created, body FROM rows WHERE tbl = ? AND id = ?", (table, row_id))
        row = found.fetchone()
        return None if row is None else _row_of(*row)

    def scan(
        self, table: str, *, low: float, high: float, descending: bool, equal: Mapping[str, str | int]
    ) -> Iterator[Row]:
        """Iterate over rows by creation time; ``equal`` may let through more than it names, never less."""
        sql = "SELECT id, created, body FROM rows WHERE tbl = ? AND created BETWEEN ? AND ?"
        values: list[Any] = [table, low, high]
        for field, value in equal.items():
            if _INDEXABLE.fullmatch(field):
                self._ensure_index(field)
                sql += f" AND {_field_sql(field)} = ?"
                values.append(value)
        sql += f" ORDER BY created {'DESC' if descending else 'ASC'}"
        return (_row_of(*row) for row in self._database.execute(sql, values))

    def put(self, table: str, row_id: str, created: float, fields: Row) -> Row:
        """Write a row, in place of the one with its id; return it as it will be read.

        Raises:
            CodecError: A field cannot be stored.
        """
        body = dumps(fields).decode()
        self._database.execute(
            "INSERT INTO rows (tbl, id, created, body) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (tbl, id) DO UPDATE SET created = excluded.created, body = excluded.body",
            (table, row_id, created, body),
        )
        return _row_of(row_id, created, body)

    def remove(self, table: str, row_id: str) -> None:
        """Delete a row; a missing one is no error."""
        self._database.execute("DELETE FROM rows WHERE tbl = ? AND id = ?", (table, row_id))

    def new_row_id(self) -> str:
        """Return an id that no row has."""
        return self._new_id()

    def next_created(self) -> float:
        """Return the creation time of a new row, in milliseconds: no two rows of a shard have the same."""
        self._last_created = max(float(math.floor(self._clock() * 1000)), self._last_created + _TICK)
        return self._last_created

    def counts(self) -> dict[str, int]:
        """Return the number of rows of each table."""
        return dict(self._database.execute("SELECT tbl, count(*) FROM rows GROUP BY tbl ORDER BY tbl"))

    # --- recorded replies

    def recorded(self, space: str, mutation_id: str) -> Recorded | None:
        """Return what a mutation was answered before, if this shard has carried it out."""
        found = self._database.execute(
            "SELECT result, cursor, base_seq FROM replies WHERE space = ? AND id = ?", (space, mutation_id)
        ).fetchone()
        return None if found is None else Recorded(*found)

    def record(self, space: str, mutation_id: str, reply: Recorded) -> None:
        """Record a reply, inside the transaction of its writes."""
        self._database.execute(
            "INSERT INTO replies (space, id, result, cursor, base_seq) VALUES (?, ?, ?, ?, ?)",
            (space, mutation_id, reply.result, reply.cursor, reply.base_seq),
        )

    def prune_replies(self, keep: int) -> None:
        """Forget all but the latest recorded replies."""
        self._unpruned_replies += 1
        if self._unpruned_replies >= max(1, keep // 10):
            self._unpruned_replies = 0
            self._database.execute("DELETE FROM replies WHERE number <= (SELECT max(number) FROM replies) - ?", (keep,))

    # --- the whole database

    def load(self) -> None:
        """Create what is missing, then read epoch, cursor and change log."""
        self._database.executescript(_SCHEMA)
        with self._atomically():
            self._read_meta()
        self.transcripts.load()

    def begin_epoch(self) -> None:
        """Start a new history over the same rows: no cursor given out before means anything any more."""
        epoch = self._new_id()
        with self._atomically():
            self._database.execute("DELETE FROM changes")
            self._set_meta(epoch=epoch, floor=self.cursor)
        self.epoch, self.log = epoch, ChangeLog(floor=self.cursor)

    def erase(self) -> None:
        """Forget everything, as a server that lost its disk."""
        with self._atomically():
            for table in ("rows", "changes", "replies", "meta"):
                self._database.execute(f"DELETE FROM {table}")  # noqa: S608 - one of the four names above
            self._read_meta()

    def close(self) -> None:
        """Close the database; closing twice is silent."""
        self._database.close()

    @contextmanager
    def _atomically(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._database.execute("COMMIT")
        except BaseException:
            self._indexed.clear()
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise

    def _read_meta(self) -> None:
        meta = dict(self._database.execute("SELECT name, value FROM meta"))
        self.epoch = meta.get("epoch") or self._new_id()
        self.cursor = meta.get("cursor", _FIRST_CURSOR)
        self._last_created = meta.get("created", -math.inf)
        self.log = ChangeLog(floor=meta.get("floor", _FIRST_CURSOR))
        for cursor, *change in self._database.execute("SELECT * FROM changes ORDER BY rowid"):
            self.log.append(cursor, [_change_of(*change)])
        self._set_meta(epoch=self.epoch, shard=self._name)

    def _append_changes(self, cursor: int, changes: list[Change]) -> int:
        self._database.executemany(
            "INSERT INTO changes (cursor, tbl, id, before, after) VALUES (?, ?, ?, ?, ?)",
            [(cursor, each.table, each.id, _text_of(each.before), _text_of(each.after)) for each in changes],
        )
        self._set_meta(cursor=cursor, created=self._last_created)
        # Rarely, and then a quarter at once: a delete for each commit would double its cost.
        return self._trim_changes() if len(self.log) + len(changes) > self._retention * 1.25 else self.log.floor

    def _trim_changes(self) -> int:
        newest_first = "SELECT cursor FROM changes ORDER BY rowid DESC LIMIT 1 OFFSET ?"
        floor: int = self._database.execute(newest_first, (self._retention,)).fetchone()[0]
        self._database.execute("DELETE FROM changes WHERE cursor <= ?", (floor,))
        self._set_meta(floor=floor)
        return floor

    def _ensure_index(self, field: str) -> None:
        if field in self._indexed:
            return
        self._database.execute(f'CREATE INDEX IF NOT EXISTS "by_{field}" ON rows (tbl, {_field_sql(field)}, created)')
        self._indexed.add(field)

    def _set_meta(self, **values: object) -> None:
        self._database.executemany("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", list(values.items()))


def open_store(
    path: Path | None, *, name: str, clock: Callable[[], float], new_id: Callable[[], str], retention: int
) -> Store:
    """Open the database of a shard, in a file or (``None``) in memory.

    Args:
        path: The file; it is created when missing.
        name: The shard's name, written into the file.
        clock: Wall clock in seconds.
        new_id: Makes ids and epochs.
        retention: About how many changes the log keeps.
    """
    if path is not None:
        with suppress(OSError):  # SQLite would make it, and its log, readable to others; what is wrong it says itself
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    database = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
    if path is not None:
        database.execute("PRAGMA journal_mode = WAL")
        # What was acknowledged is on the disk: a power cut may not take back what a client has stopped keeping.
        database.execute("PRAGMA synchronous = FULL")
    store = Store(database, name=name, clock=clock, new_id=new_id, retention=retention)
    # A backend that a test or a notebook drops without closing it takes its database along.
    weakref.finalize(store, database.close)
    store.load()
    return store


def _field_sql(field: str) -> str:
    return f"""json_extract(body, '$."{field}"')"""


def _row_of(row_id: str, created: float, body: str) -> Row:
    return {"_id": row_id, "_creationTime": created, **loads(body)}


def _text_of(row: Row | None) -> str | None:
    return None if row is None else dumps(row).decode()


def _change_of(table: str, row_id: str, before: str | None, after: str | None) -> Change:
    images = [None if text is None else loads(text) for text in (before, after)]
    return Change(table, row_id, images[0], images[1])
