"""A storage directory to open, damage and look into."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from lunora_rx.core.records import QueuedMutation
from lunora_rx.errors import StorageError
from lunora_rx.storage.disk_store import DiskQueue
from lunora_rx.testing import a_queued_mutation

needs_root = pytest.mark.skipif(
    os.name == "nt" or os.geteuid() != 0, reason="mounting a small file system needs root on a POSIX system"
)
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


def record(mutation_id: str, **fields: object) -> QueuedMutation:
    return a_queued_mutation(mutation_id, **fields)


class Reports(list[StorageError]):
    """What a store reported."""

    def __call__(self, error: StorageError) -> None:
        self.append(error)

    @property
    def text(self) -> str:
        return "\n".join(map(str, self))


@contextmanager
def opened(directory: Path, reports: Reports | None = None) -> Iterator[DiskQueue]:
    """A queue of a directory; without ``reports``, a report fails the test."""
    queue = DiskQueue(directory, report=_fail if reports is None else reports)
    try:
        yield queue
    finally:
        queue.close()


def ids(queue: DiskQueue) -> list[str]:
    return [each.mutation_id for each in queue.load()]


def filled(directory: Path, *names: str) -> Path:
    """Store records, close, and return where the database is."""
    with opened(directory) as queue, queue.group():
        for name in names:
            queue.append(record(name))
    return database(directory)


def database(directory: Path) -> Path:
    """The one database of the one lane."""
    (found,) = directory.glob("lanes/*/queue/*/cache.db")
    return found


def damaged(directory: Path) -> list[str]:
    """The names of what was set aside."""
    aside = directory / "damaged"
    return sorted(os.listdir(aside)) if aside.exists() else []


def execute(path: Path, statement: str, *values: object) -> None:
    """Change a database behind the library's back."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement, values)


def _fail(error: StorageError) -> None:
    raise error


@contextmanager
def mounted(place: Path) -> Iterator[Path]:
    """Have a file system of three megabytes in a place; skips the test where that may not be."""
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a tmpfs: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def remount(place: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(place)], check=True)


def fill(place: Path) -> None:
    """Leave not a byte free."""
    with open(place / "ballast", "ab", buffering=0) as file:
        for size in (2**16, 2**12, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue
