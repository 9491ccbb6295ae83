"""The lanes of a storage directory, for whoever is no client of it.

Looking makes, mends and adopts nothing: it is safe beside a running client and on a disk that is read-only. Only
``drop`` changes something, in lanes that nobody holds, under their locks.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from diskcache.core import MODE_RAW

from lunora_rx.core.records import QueuedMutation
from lunora_rx.errors import CodecError, StorageError
from lunora_rx.storage.bytes_disk import BUSY_TIMEOUT, COUNT_NAME
from lunora_rx.storage.database import Report
from lunora_rx.storage.files import DISK_ERRORS, disk_errors, identity, numbered, storage_error
from lunora_rx.storage.inspection import DATABASE_NAME, is_damage
from lunora_rx.storage.lanes import _LOCK_NAME, ASIDE_NAME, LANES_NAME, Lane
from lunora_rx.storage.locks import FileLock
from lunora_rx.storage.mark import read_mark
from lunora_rx.storage.rows import queued_of_payload, unseal

_QUEUE_NAME = "queue"  # of the database in a lane
_ATTEMPTS = 20
_RETRY_INTERVAL = 0.05
_LOCKS = Path("/proc/locks")

if sys.platform == "win32":  # pragma: no cover
    import msvcrt

    def _try_lock(file: int) -> None:
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _try_lock(file: int) -> None:
        # Shared, so that two who look do not take each other for a client.
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)


@dataclass(frozen=True, slots=True)
class StoredWrite:
    """One record of a lane.

    Attributes:
        place: Its place in the lane; the first is 1.
        record: What it says, or ``None`` if it is damaged.
        stored: The bytes found: JSON or, if it is damaged, whatever is there.
        damage: What is wrong with it, or ``None``.
    """

    place: int
    record: QueuedMutation | None
    stored: bytes
    damage: str | None = None


@dataclass(frozen=True, slots=True)
class BrowsedLane:
    """A lane as it was at one moment.

    Attributes:
        name: Its number, as its directory is called.
        is_held: Whether a living process has it.
        holder: The id of that process, or ``None`` where the system does not tell.
        writes: Its records, in the order in which they will be sent.
        damage: What is wrong with the lane itself, one sentence each: records may be missing.
    """

    name: str
    is_held: bool
    holder: int | None = None
    writes: tuple[StoredWrite, ...] = ()
    damage: tuple[str, ...] = ()


def browse(root: Path) -> list[BrowsedLane]:
    """Return the lanes of a storage directory, oldest first.

    Raises:
        StorageError: There is no such directory, it holds no storage, or it cannot be read.
    """
    with disk_errors("look for lanes in", root):
        if not root.is_dir():
            raise StorageError(f"{root} is no directory" if root.exists() else f"there is no directory {root}")
        if not (root / LANES_NAME).is_dir():
            raise StorageError(f"the directory {root} holds no storage: there is no {LANES_NAME!r} in it")
        paths = numbered(root / LANES_NAME)
    return [lane for path in paths if (lane := _browse_lane(path)) is not None]


def set_aside_in(root: Path) -> list[Path]:
    """Return the damaged databases of lanes that clients have set aside; what they hold is in no lane."""
    with disk_errors("look for damaged lanes in", root):
        return sorted((root / ASIDE_NAME).glob(f"{_QUEUE_NAME}-*"))


def drop(root: Path, chosen: Mapping[str, Collection[str]], *, report: Report) -> Iterator[tuple[str, list[str]]]:
    """Remove records of lanes that nobody holds, and yield after each lane its name and the ids that were removed.

    All the lanes are taken before the first record goes. Taking a damaged one sets its database aside, as a client
    would; one that is empty at the end is deleted.

    Args:
        root: The storage directory.
        chosen: The mutation ids to remove, by lane; those that are there no more are ignored.
        report: Told what was found damaged.

    Raises:
        StorageError: A lane is held or gone (nothing was removed then), or the disk refuses.
    """
    with ExitStack() as stack:
        lanes = [stack.enter_context(_taken(root, name, report)) for name in sorted(chosen)]
        for lane in lanes:
            wanted = frozenset(chosen[lane.path.name])
            found = [mutation_id for mutation_id in lane.ids if mutation_id in wanted]
            with lane.group():
                for mutation_id in found:
                    lane.remove(mutation_id)
            if not lane.ids:
                lane.delete()
            yield lane.path.name, found


@contextmanager
def _taken(root: Path, name: str, report: Report) -> Iterator[Lane]:
    path = root / LANES_NAME / name
    lock = FileLock(path / _LOCK_NAME)
    with disk_errors("lock the lane", path):
        if not lock.acquire():
            raise StorageError(f"the lane {name} is held by a running process: end it first", transient=True)
    lane = Lane(lock, root=root, report=report)
    try:
        lane.open()
        yield lane
    finally:
        lane.close()


def _browse_lane(path: Path) -> BrowsedLane | None:
    """Look at a lane until the look was not disturbed; ``None`` for one that is gone by now."""
    is_held, holder, failure = False, None, ""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            is_held, holder = _held_by(path / _LOCK_NAME)
            contents = _read_newest(path / _QUEUE_NAME, is_held=is_held)
            if contents is not None:
                return BrowsedLane(path.name, is_held, holder, contents.writes(), tuple(contents.damage))
            failure = "it kept changing"
        except DISK_ERRORS as error:
            failure = storage_error(error, "read the lane", path).message
        if not path.exists():
            return None
        if attempt < _ATTEMPTS:
            time.sleep(_RETRY_INTERVAL)  # it is being opened, closed or adopted at this moment
    return BrowsedLane(path.name, is_held, holder, damage=(failure,))


def _held_by(lock: Path) -> tuple[bool, int | None]:
    """Tell whether a process holds a lock, and which; one that is held is not touched."""
    try:
        file = os.open(lock, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except FileNotFoundError:
        return False, None
    try:
        holder = _holder(os.fstat(file))
        if holder is None:
            # Who is not listed may still be there: in another container, or on a file system that numbers anew.
            _try_lock(file)
    except OSError:
        return True, None
    finally:
        os.close(file)
    return holder is not None, holder


def _holder(found: os.stat_result) -> int | None:
    """Return the process that Linux lists as holding a lock on a file."""
    if not _LOCKS.exists() or not hasattr(os, "makedev"):
        return None
    for line in _LOCKS.read_text().splitlines():
        words = line.split()
        if len(words) > 5 and words[1] == "FLOCK" and words[3] == "WRITE":
            major, minor, inode = words[5].split(":")
            if (os.makedev(int(major, 16), int(minor, 16)), int(inode)) == (found.st_dev, found.st_ino):
                return int(words[4])
    return None


class _Row(NamedTuple):
    rowid: int
    kind: bytes
    key: Any
    raw: Any
    mode: Any
    filename: Any
    expire_time: Any
    value: Any

    def payload(self) -> bytes:
        is_ours = self.raw and self.mode == MODE_RAW and self.filename is None and self.expire_time is None
        if not is_ours or self.kind != b"integer":
            raise ValueError("was not stored by this library")
        return unseal(self.key, self.value)

    def order(self) -> tuple[bool, int]:
        return (False, self.key) if self.kind == b"integer" else (True, self.rowid)


@dataclass(slots=True)
class _Contents:
    """What one database holds, gathered row by row."""

    rows: dict[int, _Row] = field(default_factory=dict)
    damage: list[str] = field(default_factory=list)
    commits: int = 0

    def note(self, damage: str) -> None:
        if damage not in self.damage:
            self.damage.append(damage)

    def writes(self) -> tuple[StoredWrite, ...]:
        rows = sorted(self.rows.values(), key=_Row.order)
        return tuple(_stored_write(place, row) for place, row in enumerate(rows, 1))


def _stored_write(place: int, row: _Row) -> StoredWrite:
    try:
        payload = row.payload()
        return StoredWrite(place, queued_of_payload(payload), payload)
    except ValueError as error:
        damage = error.message if isinstance(error, CodecError) else str(error)
        return StoredWrite(place, None, row.value if isinstance(row.value, bytes) else b"", damage)


def _read_newest(directory: Path, *, is_held: bool) -> _Contents | None:
    """Read the version in use; ``None`` if a writer came by meanwhile."""
    versions = numbered(directory) if directory.exists() else []
    if not versions:
        return _Contents()
    marked = read_mark(versions[-1])  # before the rows: a client that goes on committing is no damage
    contents = _read_database(versions[-1] / DATABASE_NAME, is_held=is_held)
    if contents is not None and contents.commits < marked:
        contents.note(f"its latest {marked - contents.commits} of {marked} commits are missing")
    return contents


def _read_database(path: Path, *, is_held: bool) -> _Contents | None:
    contents = _Contents()
    before = _fingerprint(path)
    if path.exists():
        with _opened(path) as (connection, is_guarded):
            for step in (_check_integrity, _count_commits, _gather_rows):
                _read_with(step, connection, contents)
        if is_held and is_guarded:  # SQLite's own locks keep writers off what is being read
            return contents
    return contents if _fingerprint(path) == before else None


@contextmanager
def _opened(path: Path) -> Iterator[tuple[sqlite3.Connection, bool]]:
    """Open a database in a way that leaves no trace beside it, and tell whether SQLite guards the reading."""
    log, index = _beside(path)
    with ExitStack() as stack:
        options = "mode=ro&immutable=1"  # or SQLite would make a log
        if log.exists() and index.exists():
            options = "mode=ro&readonly_shm=1"  # or SQLite would write the index of a log that a killed process left
        elif log.exists():
            # A log without its index, as a backup may bring it: SQLite cannot read it without making one.
            path = _copied(path, log, Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lunora-rx-"))))
            options = "mode=rw"
        uri = f"{path.absolute().as_uri()}?{options}"
        connection = stack.enter_context(
            closing(sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT, isolation_level=None))
        )
        connection.text_factory = bytes  # a text that is not UTF-8 must not stop the reading
        connection.execute("BEGIN")
        yield connection, "readonly_shm" in options


def _read_with(step: Any, connection: sqlite3.Connection, contents: _Contents) -> None:
    try:
        step(connection, contents)
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        contents.note(str(error))


def _check_integrity(connection: sqlite3.Connection, contents: _Contents) -> None:
    ((verdict,),) = connection.execute("PRAGMA integrity_check(1)").fetchall()
    if verdict != b"ok":
        contents.note(verdict.decode(errors="replace").replace("\n", " "))


def _count_commits(connection: sqlite3.Connection, contents: _Contents) -> None:
    if _has_table(connection, "Settings"):
        query = f"SELECT value FROM Settings WHERE key = '{COUNT_NAME}' AND typeof(value) = 'integer'"  # noqa: S608
        contents.commits = max((count for (count,) in connection.execute(query)), default=0)


def _gather_rows(connection: sqlite3.Connection, contents: _Contents) -> None:
    if not _has_table(connection, "Cache"):
        return
    for order in ("ASC", "DESC"):  # what lies behind a damaged page can be reached from the other end
        query = (
            "SELECT rowid, typeof(key), key, raw, mode, filename, expire_time, value"  # noqa: S608
            f" FROM Cache NOT INDEXED ORDER BY rowid {order}"
        )
        try:
            for row in map(_Row._make, connection.execute(query)):
                contents.rows.setdefault(row.rowid, row)
            return
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            contents.note(str(error))


def _has_table(connection: sqlite3.Connection, name: str) -> bool:
    query = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?"
    ((count,),) = connection.execute(query, (name,)).fetchall()
    return bool(count)


def _beside(path: Path) -> tuple[Path, Path]:
    return path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")


def _copied(path: Path, log: Path, directory: Path) -> Path:
    for each in (path, log):
        shutil.copyfile(each, directory / each.name)
    return directory / path.name


def _fingerprint(path: Path) -> list[tuple[object, ...]]:
    return [
        (identity(each), each.stat().st_size, each.stat().st_mtime_ns)
        for each in (path, _beside(path)[0])
        if each.exists()
    ]
