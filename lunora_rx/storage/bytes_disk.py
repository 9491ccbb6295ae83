"""diskcache without pickle: rows of bytes in the database, and nothing else.

diskcache pickles what it does not know, keys too, and whoever can write its
directory runs code in whoever reads it (CVE-2025-69872). Here neither is ever
written, and one that was planted reads as ``UNREADABLE``: no code run, no file opened.
"""

from __future__ import annotations

import contextlib
import os.path
import sqlite3
from pathlib import Path
from typing import Any, Final

import diskcache
from diskcache.core import MODE_RAW

from lunora_rx.errors import StorageError
from lunora_rx.storage.rows import RECORD_LIMIT

FULL: Final = 2
NORMAL: Final = 1
BUSY_TIMEOUT: Final = 1.0
COUNT_NAME: Final = "hits"

_PUT = """
INSERT INTO Cache(key, raw, store_time, access_time, mode, value) VALUES (?, 1, 0, 0, 1, ?)
ON CONFLICT(key, raw) DO UPDATE SET mode = 1, filename = NULL, expire_time = NULL, value = excluded.value
"""
_SETTINGS: Final[dict[str, Any]] = {
    "timeout": BUSY_TIMEOUT,
    "eviction_policy": "none",
    "cull_limit": 0,  # besides: whoever opens the database can change its policy
    "statistics": 0,
    "tag_index": 0,
    "sqlite_auto_vacuum": 0,
    "sqlite_cache_size": 2**11,
    "sqlite_journal_mode": "wal",
    "sqlite_mmap_size": 0,
    "sqlite_synchronous": NORMAL,
    "disk_min_file_size": RECORD_LIMIT * 2,
}


class _Unreadable:
    """Stands for a key or a value that is not ours."""

    def __repr__(self) -> str:
        return "UNREADABLE"


UNREADABLE: Final = _Unreadable()


class BytesDisk(diskcache.Disk):  # type: ignore[misc]
    """Takes keys that are ``int`` or ``bytes`` and values that are ``bytes``; refuses everything else."""

    def put(self, key: Any) -> Any:
        """Return a key as the database takes it."""
        if type(key) is int:
            return key, True
        if type(key) is bytes:
            return sqlite3.Binary(key), True
        raise TypeError(f"a key is int or bytes, not {type(key).__name__}")

    def get(self, key: Any, raw: Any) -> Any:
        """Return a key of the database; a pickled one is not looked into."""
        if raw and type(key) in (int, bytes):
            return key
        return UNREADABLE

    def store(self, value: Any, read: Any, key: Any = None) -> Any:
        """Return a value as the database takes it; there are no value files."""
        if read or type(value) is not bytes:
            raise TypeError(f"a value is bytes, not {type(value).__name__}")
        return 0, MODE_RAW, None, sqlite3.Binary(value)

    def fetch(self, mode: Any, filename: Any, value: Any, read: Any) -> Any:
        """Return a value of the database; a pickle is not loaded, and a file that it names is not opened."""
        if mode == MODE_RAW and filename is None and not read and type(value) is bytes:
            return value
        return UNREADABLE

    def remove(self, file_path: Any) -> None:
        """Leave a file that a row names where it is: none of them is ours."""


class ByteCache(diskcache.Cache):  # type: ignore[misc]
    """A diskcache that never evicts, never pickles and closes what it opened when opening fails.

    Args:
        directory: Where its database is.
        synchronous: ``FULL`` to survive a power loss, ``NORMAL`` to survive a crash of the process.
    """

    def __init__(self, directory: Path, *, synchronous: int) -> None:
        try:
            super().__init__(str(directory), disk=BytesDisk, **_SETTINGS)
            # Only now: writing the settings takes forty commits, and the next one synchronises them too.
            durability: Any = synchronous
            self.reset("sqlite_synchronous", durability)
            self._sql("DROP INDEX IF EXISTS Cache_expire_time")  # nothing expires, and each write would pay for it
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self.close()
            raise

    def begin(self) -> None:
        """Begin a transaction; closing rolls it back."""
        self._sql("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """End the transaction."""
        self._sql("COMMIT")

    def put_row(self, key: int | bytes, value: bytes) -> None:
        """Put a row as ``set`` does, in one statement instead of two and a search."""
        self._sql(_PUT, (key, value))

    def delete_row(self, key: int | bytes) -> None:
        """Delete a row, if there is one; the file that a planted one may name is left alone."""
        self._sql("DELETE FROM Cache WHERE key = ? AND raw = 1", (key,))

    def put_count(self, count: int) -> None:
        """Keep a number in the count of hits, which is not kept itself: a page that every write changes anyway."""
        self._sql(f"UPDATE Settings SET value = ? WHERE key = '{COUNT_NAME}'", (count,))  # noqa: S608


def check_expandable(directory: Path) -> None:
    """Refuse a path that diskcache would read as another one.

    Raises:
        StorageError: The path holds the name of an environment variable, which diskcache replaces.
    """
    if os.path.expandvars(os.path.expanduser(str(directory))) != str(directory):
        raise StorageError(f"cannot store in {directory}: its name holds an environment variable")
