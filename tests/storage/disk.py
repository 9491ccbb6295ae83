"""A storage directory to open, damage and look into."""

from __future__ import annotations

import os
import sqlite3
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
