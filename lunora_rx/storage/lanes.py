"""Lanes: each process queues in one of its own, under a lock that dies with it.

Source: ``docs/protocol.md``, section "Durable record".  A lane is a directory with a number, a lock and a
database. Who finds one that nobody holds takes its lock and goes on with it where it is: no record moves, so a
process killed in mid-adoption leaves what it found. The numbers grow, so that the oldest has the smallest.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from lunora_rx.errors import StorageError
from lunora_rx.storage.database import Database, Report
from lunora_rx.storage.files import (
    close_to_others,
    disk_errors,
    make_private_directory,
    make_root,
    numbered,
    sync_directory,
)
from lunora_rx.storage.locks import FileLock
from lunora_rx.storage.rows import Key, queued_of_payload

LANES_NAME = "lanes"
ASIDE_NAME = "damaged"
_LOCK_NAME = "lock"
_ATTEMPTS = 100


class Lane:
    """One lane that this process holds: records in the order of their keys.

    Every failure closes its database; ``open`` starts over.
    """

    def __init__(self, lock: FileLock, *, root: Path, report: Report) -> None:
        self.path = lock.path.parent
        self._root = root
        self._lock = lock
        self._database = Database(self.path / "queue", aside=root / ASIDE_NAME, check=_check_row, report=report)
        self._keys: dict[str, int] = {}

    @property
    def is_held(self) -> bool:
        """Whether the lane is still ours; it is not once its directory was deleted."""
        return self._lock.is_held

    @property
    def ids(self) -> list[str]:
        """The mutation ids, oldest first."""
        return list(self._keys)

    def open(self) -> None:
        """Open the database if it is closed; raises ``StorageError`` when the disk refuses."""
        if not self._database.is_open:
            with disk_errors("open", self.path):
                close_to_others(self.path)
                # Each time: who made the lane may have been killed before its name was on the disk.
                for directory in (self.path.parent, self._root):
                    sync_directory(directory)
            rows = self._database.open()
            self._keys = {queued_of_payload(rows[key]).mutation_id: key for key in rows if isinstance(key, int)}

    def group(self) -> contextlib.AbstractContextManager[None]:
        """Make one transaction of what is changed inside."""
        return self._database.group()

    def payloads(self) -> list[bytes]:
        """Return all records, oldest first; one that is damaged is reported and left out."""
        found = [self._database.get(key) for key in self._keys.values()]
        return [payload for payload in found if payload is not None]

    def has(self, mutation_id: str) -> bool:
        """Tell whether a record is here."""
        return mutation_id in self._keys

    def put(self, mutation_id: str, payload: bytes) -> None:
        """Keep a record in its place, or behind all others; inside ``group`` only."""
        if mutation_id not in self._keys:
            self._keys[mutation_id] = self._database.new_key()
        self._database.set(self._keys[mutation_id], payload)

    def remove(self, mutation_id: str) -> None:
        """Forget a record; inside ``group`` only."""
        key = self._keys.pop(mutation_id, None)
        if key is not None:
            self._database.delete(key)

    def close(self) -> None:
        """Let the lane go, for whoever looks next."""
        self._database.close()
        self._lock.release()

    def delete(self) -> None:
        """Delete the lane, which is empty, and let it go."""
        with contextlib.suppress(StorageError):  # what cannot be deleted is adopted again, empty
            self._database.erase()
            self._lock.discard()
        self.close()
        for directory in (self._database.directory, self.path):
            with contextlib.suppress(OSError):
                directory.rmdir()


def free_lanes(root: Path, *, report: Report) -> list[Lane]:
    """Take all lanes that nobody holds and open them, oldest first.

    One that cannot be opened is reported and let go; an empty one is taken like any other.

    Raises:
        StorageError: The storage directory cannot be read.
    """
    with disk_errors("look for lanes in", root):
        locks = [FileLock(path / _LOCK_NAME) for path in numbered(_lanes_directory(root))]
    return [lane for lock in locks if (lane := _take(lock, root, report)) is not None]


def new_lane(root: Path, *, report: Report) -> Lane:
    """Make a lane of one's own and open it.

    Raises:
        StorageError: The disk refuses.
    """
    for _ in range(_ATTEMPTS):
        with disk_errors("make a lane in", root):
            lock = _new_lock(_lanes_directory(root))
        if lock is not None:
            lane = Lane(lock, root=root, report=report)
            try:
                lane.open()
            except BaseException:
                lane.delete()  # or every attempt on a full disk would leave one
                raise
            return lane
    raise StorageError(f"cannot make a lane in {root}: others take each one", transient=True)


def _check_row(key: Key, payload: bytes) -> None:
    if not isinstance(key, int):
        raise ValueError("has a key that is no number")
    queued_of_payload(payload)


def _lanes_directory(root: Path) -> Path:
    make_root(root)
    directory = root / LANES_NAME
    make_private_directory(directory)
    return directory


def _new_lock(directory: Path) -> FileLock | None:
    """Make a lane with the next number; ``None`` if somebody else was first, or took it as one nobody holds."""
    last = numbered(directory)[-1:]
    path = directory / f"{int(last[0].name) + 1 if last else 1:08d}"
    with contextlib.suppress(FileExistsError, FileNotFoundError):
        path.mkdir(mode=0o700)
        lock = FileLock(path / _LOCK_NAME)
        if lock.acquire():
            return lock
    return None


def _take(lock: FileLock, root: Path, report: Report) -> Lane | None:
    try:
        with disk_errors("lock the lane", lock.path.parent):
            if not lock.acquire():
                return None
        lane = Lane(lock, root=root, report=report)
        lane.open()
    except StorageError as error:
        lock.release()
        # A lane that was deleted under our eyes was empty: nothing to report.
        if lock.path.parent.exists():
            report(error)
        return None
    return lane
