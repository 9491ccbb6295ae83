"""The durable read cache and the bookmark: one database that all processes of a directory share.

What it loses is asked of the server again, so it is not synchronised, and nothing is kept in memory for it
when the disk refuses.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lunora_rx.core.records import CachedRead
from lunora_rx.errors import StorageError
from lunora_rx.storage.bytes_disk import NORMAL
from lunora_rx.storage.database import Database, Report
from lunora_rx.storage.disk_store import one_process
from lunora_rx.storage.files import disk_errors, make_private_directory, make_root
from lunora_rx.storage.lanes import ASIDE_NAME
from lunora_rx.storage.locks import FileLock
from lunora_rx.storage.memory_store import CACHE_LIMIT, least_recent
from lunora_rx.storage.rows import Key, cached_of_payload, cached_to_payload

_READS_NAME = "reads"
_READ, _BOOKMARK = b"read:", b"bookmark"
_LOCK_TIMEOUT = 2.0


class SharedReads:
    """The database under ``DiskCache`` and ``DiskBookmarks``.

    Belongs to one thread. Opens with its first use; a use that fails closes it, and the next one opens it again.

    Args:
        directory: The storage directory.
        report: Told what was found damaged, on the thread that called.
    """

    def __init__(self, directory: Path, *, report: Report) -> None:
        self.report = report
        self.times: dict[str, float] = {}
        self._root = directory
        self._directory = directory / _READS_NAME
        self._database = Database(
            self._directory,
            aside=directory / ASIDE_NAME,
            check=_check_row,
            report=report,
            synchronous=NORMAL,
            is_counted=False,
        )
        self._check_process = one_process(directory)

    def opened(self) -> Database:
        """Return the database, open."""
        self._check_process()
        if not self._database.is_open:
            self._open()
        return self._database

    @contextmanager
    def group(self) -> Iterator[Database]:
        """Make one transaction of what is changed inside."""
        database = self.opened()
        with database.group():
            yield database

    def close(self) -> None:
        """Close the database; closing a closed one does nothing."""
        self._check_process()
        self._database.close()

    def _open(self) -> None:
        with disk_errors("open the read cache in", self._directory):
            make_root(self._root)
            make_private_directory(self._directory)
        # Another process may be about to set the same damaged version aside.
        lock = FileLock(self._directory / "lock")
        with disk_errors("lock", lock.path):
            lock.wait(_LOCK_TIMEOUT)
        try:
            rows = self._database.open()
        finally:
            lock.release()
        entries = [cached_of_payload(rows[key]) for key in rows if _is_read(key)]
        self.times = {entry.key: entry.stored_at for entry in entries}


class DiskCache:
    """A cache store in a directory that other processes may use too (``docs/protocol.md``, "Durable read cache").

    Args:
        reads: The database.
        limit: How many entries it holds; the least recently stored go first.
    """

    def __init__(self, reads: SharedReads, *, limit: int = CACHE_LIMIT) -> None:
        self._reads = reads
        self._limit = limit

    def get(self, key: str) -> CachedRead | None:
        """Return the entry of a subscription key, or ``None``."""
        payload = self._reads.opened().get(_key_of(key))
        return None if payload is None else cached_of_payload(payload)

    def put(self, entries: Iterable[CachedRead]) -> None:
        """Keep entries, each in the place of an older one with its key; one that has no JSON is reported."""
        with self._reads.group() as database:
            for entry in entries:
                try:
                    payload = cached_to_payload(entry)
                except StorageError as error:
                    self._reads.report(error)
                    continue
                database.set(_key_of(entry.key), payload)
                self._reads.times[entry.key] = entry.stored_at
            self._forget(least_recent(self._reads.times, self._limit))

    def remove(self, keys: Collection[str]) -> None:
        """Forget entries; unknown keys are ignored."""
        with self._reads.group():
            self._forget(keys)

    def load(self) -> list[CachedRead]:
        """Return all entries, the least recently stored first; a damaged one is reported and left out."""
        self._reads.opened()
        found = [self.get(key) for key in list(self._reads.times)]
        return sorted((entry for entry in found if entry is not None), key=lambda entry: entry.stored_at)

    def close(self) -> None:
        """Close the database."""
        self._reads.close()

    def _forget(self, keys: Collection[str]) -> None:
        for key in keys:
            self._reads.times.pop(key, None)
            self._reads.opened().delete(_key_of(key))


class DiskBookmarks:
    """A bookmark store beside the read cache."""

    def __init__(self, reads: SharedReads) -> None:
        self._reads = reads

    def get(self) -> str | None:
        """Return the bookmark, or ``None`` before the first."""
        payload = self._reads.opened().get(_BOOKMARK)
        return None if payload is None else payload.decode()

    def set(self, value: str) -> None:
        """Remember a newer bookmark."""
        with self._reads.group() as database:
            database.set(_BOOKMARK, value.encode())

    def close(self) -> None:
        """Close the database."""
        self._reads.close()


def _key_of(key: str) -> bytes:
    return _READ + key.encode("utf-8", "surrogatepass")


def _check_row(key: Key, payload: bytes) -> None:
    if key == _BOOKMARK:
        payload.decode()
    elif _is_read(key):
        cached_of_payload(payload)
    else:
        raise ValueError("has a key of no known kind")


def _is_read(key: object) -> bool:
    return isinstance(key, bytes) and key.startswith(_READ)
