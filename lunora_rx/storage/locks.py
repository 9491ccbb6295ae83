"""A file lock of the operating system: held by one open file, gone with its process.

``diskcache.Lock`` would not do: it is a stored key, and outlives a crash.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
import weakref
from pathlib import Path

from lunora_rx.errors import StorageError
from lunora_rx.storage.files import identity, open_private_file

_RETRY_INTERVAL = 0.01

if sys.platform == "win32":  # pragma: no cover
    import msvcrt

    def _lock(file: int) -> None:
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)

    def _unlock(file: int) -> None:
        """Closing the file does it: there are no forked copies of it."""
else:
    import fcntl

    def _lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(file: int) -> None:
        # Closing would not do while a child that was forked a moment ago still has its copy.
        fcntl.flock(file, fcntl.LOCK_UN)


class FileLock:
    """A lock on a path; two of them exclude each other, in one process too."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None
        self._identity: tuple[int, int] | None = None

    def acquire(self) -> bool:
        """Take the lock if nobody holds it, and tell whether that succeeded.

        Raises:
            OSError: The file cannot be made.
        """
        file = open_private_file(self.path)
        try:
            _lock(file)
        except OSError:
            os.close(file)
            return False
        found = os.fstat(file)
        self._file, self._identity = file, (found.st_dev, found.st_ino)
        _held.add(self)
        if not self.is_held:  # its last holder deleted the file between our opening and our locking it
            self.release()
            return False
        return True

    def wait(self, timeout: float) -> None:
        """Take the lock, waiting for whoever holds it.

        Raises:
            StorageError: It was held all the time.
            OSError: The file cannot be made.
        """
        deadline = time.monotonic() + timeout
        while not self.acquire():
            if time.monotonic() >= deadline:
                raise StorageError(f"cannot lock {self.path}: another process holds it", transient=True)
            time.sleep(_RETRY_INTERVAL)

    @property
    def is_held(self) -> bool:
        """Whether the lock is ours and its path still names the file that is locked."""
        return self._file is not None and identity(self.path) == self._identity

    def release(self) -> None:
        """Let the lock go."""
        if self._file is not None:
            _unlock(self._file)
        self.drop()

    def drop(self) -> None:
        """Close the file alone: the lock stays with the process that this one was forked from."""
        file, self._file = self._file, None
        _held.discard(self)
        if file is not None:
            os.close(file)

    def discard(self) -> None:
        """Delete the file and let the lock go, in an order in which nobody gets hold of a file without a name."""
        if self.is_held:
            with contextlib.suppress(OSError):  # Windows deletes no open file; it stays, empty and free
                self.path.unlink()
        self.release()


_held: weakref.WeakSet[FileLock] = weakref.WeakSet()


def _let_go_in_child() -> None:
    # The child's copy would keep the lock when the parent dies. Closing it leaves the parent's alone.
    for lock in list(_held):
        lock.drop()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go_in_child)
