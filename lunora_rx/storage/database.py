"""One database of checked rows, set aside and made anew when it is damaged.

A directory holds numbered versions; the highest is in use. A damaged one is first copied, as far as it can
be read, into the next version and then moved away: killed in between, the next opening finishes the move.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from lunora_rx.errors import StorageError
from lunora_rx.storage.bytes_disk import FULL, UNREADABLE, ByteCache, check_expandable
from lunora_rx.storage.files import (
    DISK_ERRORS,
    disk_errors,
    half_made,
    identity,
    make_private_directory,
    numbered,
    open_private_file,
    set_aside,
    storage_error,
    sync_directory,
)
from lunora_rx.storage.inspection import DATABASE_NAME, KEYS_A_COMMIT, Check, Inspection, inspect
from lunora_rx.storage.mark import Mark
from lunora_rx.storage.rows import Key, seal, unseal

Report = Callable[[StorageError], None]

_COARSE: Final = 2_500_000_000
"""Nanoseconds within which a second change of a directory may leave its time as it is, on the coarsest file systems."""


class Database:
    """Rows of JSON on a disk, each behind a checksum, changed in transactions.

    It knows keys and payloads, not what they mean. Every failure closes it; ``open`` starts over and
    looks at everything again.

    Args:
        directory: Its own directory, where the versions are.
        aside: Where damaged versions go.
        check: Raises ``ValueError`` for a key and payload that are none of its kind.
        report: Told what was damaged.
        synchronous: ``FULL`` or ``NORMAL``.
        is_counted: Whether commits are counted, to notice a lost one; only where one process at a time writes.
    """

    def __init__(
        self,
        directory: Path,
        *,
        aside: Path,
        check: Check,
        report: Report,
        synchronous: int = FULL,
        is_counted: bool = True,
    ) -> None:
        self.directory = directory
        self._aside = aside
        self._check = check
        self._report = report
        self._synchronous = synchronous
        self._is_counted = is_counted
        self._cache: ByteCache | None = None
        self._version = directory
        self._mark: Mark | None = None
        self._commits = 0
        self._last_key = 0
        self._files: dict[Path, tuple[int, int] | None] = {}
        self._listing: tuple[int, int, int] | None = None
        self._is_in_group = False
        self._is_changed = False
        self._failure: StorageError | None = None

    @property
    def is_open(self) -> bool:
        """Whether rows can be read and written."""
        return self._cache is not None

    def open(self) -> dict[Key, bytes]:
        """Open the newest version, made if need be, and return its rows.

        Raises:
            StorageError: The disk refuses.
        """
        self.close()
        check_expandable(self.directory)
        try:
            with disk_errors("open the database in", self.directory):
                return self._open()
        except BaseException:
            self.close()
            raise

    def get(self, key: Key) -> bytes | None:
        """Return a payload, or ``None`` where there is none; one that is damaged is reported, and none."""
        try:
            with disk_errors("read from", self._version):
                sealed = self._opened().get(key)
        except StorageError:
            self.close()
            raise
        if sealed is None:
            return None
        try:
            return unseal(key, sealed)
        except ValueError as error:
            reason = "is not one of this library" if sealed is UNREADABLE else str(error)
            self._report(StorageError(f"skipped the record {key!r} in {self._version}: it {reason}"))
            return None

    def set(self, key: Key, payload: bytes) -> None:
        """Put a payload under a key; inside ``group`` only."""
        self._change(ByteCache.put_row, key, seal(key, payload))

    def delete(self, key: Key) -> None:
        """Take a key away; inside ``group`` only."""
        self._change(ByteCache.delete_row, key)

    def new_key(self) -> int:
        """Return a key larger than all that there ever were; inside ``group`` only."""
        self._last_key += 1
        return self._last_key

    @contextmanager
    def group(self) -> Iterator[None]:
        """Make one transaction of all that is changed inside: on disk when it ends, or undone.

        Raises:
            StorageError: The disk refuses; the database is closed.
        """
        if self._is_in_group:
            yield
            return
        self._is_in_group, self._is_changed, self._failure = True, False, None
        self._last_key = (self._commits + 1) * KEYS_A_COMMIT - 1
        try:
            self._opened().begin()
            yield
            self._commit()
        except BaseException as error:
            # Closing rolls back. A commit that failed would leave its transaction open, and the next one stuck.
            self.close()
            if isinstance(error, DISK_ERRORS):
                raise storage_error(error, "write to", self._version) from error
            raise
        finally:
            self._is_in_group = False

    def close(self) -> None:
        """Close the database; closing a closed one does nothing."""
        cache, self._cache = self._cache, None
        if cache is not None:
            with contextlib.suppress(sqlite3.Error):
                cache.close()
        if self._mark is not None:
            self._mark.close()
            self._mark = None

    def erase(self) -> None:
        """Close the database and delete its versions; for one that holds nothing any more."""
        self.close()
        gone = half_made(self.directory)
        with disk_errors("delete the empty database in", self.directory):
            shutil.rmtree(gone, ignore_errors=True)
            for version in numbered(self.directory):
                # First its name: whoever comes after a kill in mid-deletion must not take what is left for damage.
                version.rename(gone)
                shutil.rmtree(gone)

    def _open(self) -> dict[Key, bytes]:
        make_private_directory(self.directory)
        versions = numbered(self.directory)
        for stale in versions[:-1]:  # its rows were carried over before the process that did so was killed
            self._set_aside(stale, ["it was being replaced when a process ended"])
        self._version = versions[-1] if versions else self.directory / "1"
        make_private_directory(self._version)
        found = inspect(self._version, self._check, is_counted=self._is_counted)
        if found.damage:
            self._replace(found)
        self._cache = _open_cache(self._version, self._synchronous)
        self._commits = found.commits
        if self._is_counted:
            self._mark = Mark(self._version)
            self._mark.open(self._commits)
        log = self._version / f"{DATABASE_NAME}-wal"
        self._files = {path: identity(path) for path in (self._version / DATABASE_NAME, log)}
        self._listing = None
        for directory in (self._version, self.directory, self.directory.parent):
            sync_directory(directory)
        return found.rows

    def _replace(self, found: Inspection) -> None:
        """Carry what is whole over into a new version, and set the damaged one aside."""
        damaged, made = self._version, half_made(self.directory)
        shutil.rmtree(made, ignore_errors=True)
        make_private_directory(made)
        _fill(made, found, self._synchronous)
        self._version = self.directory / str(int(damaged.name) + 1)
        made.rename(self._version)
        sync_directory(self.directory)
        self._set_aside(damaged, found.damage)

    def _set_aside(self, version: Path, damage: list[str]) -> None:
        moved = set_aside(version, self._aside, f"{self.directory.name}-{version.name}")
        for each in damage:
            self._report(StorageError(f"found damage in {version}, now in {moved}: {each}"))

    def _change(self, change: Callable[..., None], *values: Key) -> None:
        self._is_changed = True
        try:
            change(self._opened(), *values)
        except DISK_ERRORS as error:
            self._failure = storage_error(error, "write to", self._version)
            raise self._failure from error

    def _commit(self) -> None:
        if self._failure is not None:  # whoever called inside caught it: half a group is not kept
            raise self._failure
        cache = self._opened()
        if self._is_changed and self._is_counted:
            self._commits = max(self._commits + 1, self._last_key // KEYS_A_COMMIT)
            cache.put_count(self._commits)
        cache.commit()
        self._check_files()
        if self._mark is not None:
            self._mark.write(self._commits)

    def _check_files(self) -> None:
        # Whoever asks for the times of a file that is written makes its next synchronisation longer, by a third from
        # Linux 6.13 on. Its directory tells just as well whether a file came or went.
        listing = _listing_of(self._version)
        if listing is not None and listing == self._listing:
            return
        for path, known in self._files.items():
            if identity(path) != known:
                raise FileNotFoundError(0, f"{path.name} was deleted or replaced while it was in use")
        self._listing = listing

    def _opened(self) -> ByteCache:
        if self._cache is None:
            raise StorageError(f"cannot use the database in {self.directory}: it is closed", transient=True)
        return self._cache


def _listing_of(directory: Path) -> tuple[int, int, int] | None:
    """Return what is another thing once an entry of a directory came or went; ``None`` where that may not show."""
    try:
        found = os.stat(directory)
    except OSError:
        return None
    is_fresh = time.time_ns() - found.st_mtime_ns < _COARSE
    return None if is_fresh or os.name == "nt" else (found.st_dev, found.st_ino, found.st_mtime_ns)


def _open_cache(directory: Path, synchronous: int) -> ByteCache:
    os.close(open_private_file(directory / DATABASE_NAME))
    return ByteCache(directory, synchronous=synchronous)


def _fill(directory: Path, found: Inspection, synchronous: int) -> None:
    cache = _open_cache(directory, synchronous)
    try:
        cache.begin()
        for key, payload in found.rows.items():
            cache.put_row(key, seal(key, payload))
        cache.put_count(found.commits)
        cache.commit()
    finally:
        cache.close()
