"""A look at a database before diskcache opens it.

SQLite opens a file with a flipped byte, one cut short and one whose log was deleted as if nothing were
wrong, and diskcache obeys settings that somebody planted. So every row is read and compared with its checksum first.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import diskcache
from diskcache.core import MODE_RAW

from lunora_rx.errors import CodecError
from lunora_rx.storage.bytes_disk import BUSY_TIMEOUT, COUNT_NAME
from lunora_rx.storage.mark import read_mark
from lunora_rx.storage.rows import Key, unseal

DATABASE_NAME = "cache.db"
KEYS_A_COMMIT = 2**20
"""A key is the number of the commit that first stored it, times this, and its place therein: none is used again."""

_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_SETTINGS = {*diskcache.DEFAULT_SETTINGS, "count", "size", "hits", "misses"}
_ROW = "rowid, typeof(key), key, raw, mode, filename, expire_time, value"
Check = Callable[[Key, bytes], object]


@dataclass(slots=True)
class Inspection:
    """What a database holds.

    Attributes:
        rows: The payloads that are whole.
        damage: What is wrong, one sentence each.
        commits: How many commits it has seen.
    """

    rows: dict[Key, bytes] = field(default_factory=dict)
    damage: list[str] = field(default_factory=list)
    commits: int = 0


def inspect(directory: Path, check: Check, *, is_counted: bool) -> Inspection:
    """Read the database of a directory.

    Args:
        directory: Where it is.
        check: Raises ``ValueError`` for a key and payload that are none of its kind.
        is_counted: Whether a mark stands beside it.

    Raises:
        sqlite3.Error: The disk refuses to be read; damage of the database is no error but a finding.
        OSError: Likewise.
    """
    found = Inspection()
    path = directory / DATABASE_NAME
    if path.exists():
        uri = f"{path.absolute().as_uri()}?mode=rw"
        with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT, isolation_level=None)) as connection:
            connection.text_factory = bytes  # a text that is not UTF-8 must not stop the reading
            _Reading(connection, check, found).read()
    marked = read_mark(directory) if is_counted else 0
    if found.commits < marked:
        missing = marked - found.commits
        found.damage.append(f"its latest {missing} of {marked} commits are missing: it or its log was cut or deleted")
    keys = [key // KEYS_A_COMMIT for key in found.rows if isinstance(key, int)]
    found.commits = max(found.commits, marked, *keys[-1:])
    return found


def is_damage(error: sqlite3.Error) -> bool:
    """Tell whether an error means that the database is damaged, not that the disk refuses."""
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _DAMAGE


class _Reading:
    """One pass over a database, which notes what it finds."""

    def __init__(self, connection: sqlite3.Connection, check: Check, found: Inspection) -> None:
        self._connection = connection
        self._check = check
        self._found = found

    def read(self) -> None:
        for step in (self._check_integrity, self._check_settings, self._read_rows):
            try:
                step()
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
                self._note(str(error))

    def _check_integrity(self) -> None:
        ((verdict,),) = self._connection.execute("PRAGMA integrity_check(1)").fetchall()
        if verdict != b"ok":
            self._note(verdict.decode(errors="replace").replace("\n", " "))

    def _check_settings(self) -> None:
        if not self._has_table("Settings"):
            return
        found = {_text(key): value for key, value in self._connection.execute("SELECT key, value FROM Settings")}
        for key in sorted(found.keys() - _SETTINGS):
            self._note(f"it has a setting that is not diskcache's: {key!r}")
        commits = found.get(COUNT_NAME, 0)
        if type(commits) is not int or commits < 0:
            self._note("its count of commits is none")
            return
        self._found.commits = commits

    def _read_rows(self) -> None:
        if not self._has_table("Cache"):
            if self._found.commits:
                self._note("its table of records is missing")
            return
        seen: set[int] = set()
        try:
            self._read_in_order("ASC", seen)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            self._note(str(error))
            # What lies behind the damaged page can be reached from the other end.
            with contextlib.suppress(sqlite3.DatabaseError):
                self._read_in_order("DESC", seen)
        self._found.rows = dict(sorted(self._found.rows.items(), key=lambda row: (type(row[0]) is bytes, row[0])))

    def _read_in_order(self, order: str, seen: set[int]) -> None:
        for row in self._connection.execute(f"SELECT {_ROW} FROM Cache NOT INDEXED ORDER BY rowid {order}"):  # noqa: S608
            if row[0] not in seen:
                seen.add(row[0])
                self._take(*row)

    def _take(self, rowid: int, kind: bytes, key: Any, raw: Any, mode: Any, filename: Any, *rest: Any) -> None:
        expires, value = rest
        if not raw or mode != MODE_RAW or filename is not None or expires is not None:
            self._note(f"row {rowid} is a pickle, names a file or expires: it was not stored by this library")
            return
        if kind not in (b"integer", b"blob"):
            self._note(f"row {rowid} has a key of type {kind.decode()}")
            return
        try:
            payload = unseal(key, value)
            self._check(key, payload)
            self._found.rows[key] = payload
        except ValueError as error:
            self._note(f"row {rowid} {error.message if isinstance(error, CodecError) else error}")

    def _has_table(self, name: str) -> bool:
        query = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?"
        ((count,),) = self._connection.execute(query, (name,)).fetchall()
        return bool(count)

    def _note(self, damage: str) -> None:
        if damage not in self._found.damage:
            self._found.damage.append(damage)


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
