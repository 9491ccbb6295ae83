"""A file that grows by a line at a time, written on a thread of its own."""

from __future__ import annotations

import contextlib
import gzip
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final, cast

from lunora_rx.errors import LunoraError, StorageError
from lunora_rx.storage.files import open_private_file, storage_error

MAX_WAITING: Final = 64 * 2**20
"""Characters that may wait to be written."""

_GATHERING: Final = 0.05
"""Seconds from the first line that waits until it is written, with those that came meanwhile."""


class Journal:
    """Appends lines to a new file that only its owner can read.

    ``put`` returns at once; lines are on their way to the disk within 50 ms. After a failure nothing more is written.

    Args:
        path: The file; compressed if its name ends in ``.gz``.
        overwrite: Whether a file that exists gives way.
        on_error: Takes the failure that ended it, once, on the journal's thread or that of ``put``.

    Raises:
        FileExistsError: The file exists already.
        StorageError: It cannot be made.
    """

    def __init__(self, path: Path, *, overwrite: bool, on_error: Callable[[StorageError], object]) -> None:
        self.path = path
        self._on_error = on_error
        self._lines: deque[tuple[Callable[[], bytes], int]] = deque()
        self._waiting = 0
        self._is_ending = self._is_awake = False
        self._failure: StorageError | None = None
        self._wake = threading.Event()
        self._file = _open(path, overwrite=overwrite)
        self._thread = threading.Thread(target=self._write_all, name=f"journal {path.name}", daemon=True)
        self._thread.start()

    @property
    def is_over(self) -> bool:
        """Whether it takes nothing more."""
        return self._is_ending or self._failure is not None

    def put(self, make: Callable[[], bytes], size: int) -> None:
        """Append a line; it is made on the journal's thread, and ``size`` says about how long it is."""
        if self.is_over:
            return
        if self._waiting + size > MAX_WAITING:
            self._fail(StorageError(f"cannot write {self.path}: the disk is slower than what comes in", transient=True))
            return
        self._waiting += size
        self._lines.append((make, size))
        if not self._is_awake:
            self._is_awake = True
            self._wake.set()

    def finish(self) -> None:
        """Take nothing more, and let what waits be written; does not wait for it."""
        self._is_ending = True
        self._wake.set()

    def close(self) -> None:
        """Finish, and wait until everything is written."""
        self.finish()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _write_all(self) -> None:
        try:
            while not self.is_over:
                self._wake.wait()
                if not self._is_ending:
                    time.sleep(_GATHERING)
                self._wake.clear()
                self._is_awake = False
                self._write_waiting()
            self._write_waiting()
            self._file.close()
        except (OSError, LunoraError) as error:
            self._fail(storage_error(error, "write", self.path))
            with contextlib.suppress(OSError):  # it is lost already, and said to be
                self._file.close()

    def _write_waiting(self) -> None:
        while self._lines and self._failure is None:
            make, size = self._lines.popleft()
            self._file.write(make())
            self._waiting -= size
        self._file.flush()

    def _fail(self, error: StorageError) -> None:
        if self._failure is not None:
            return
        self._failure = error
        self._lines.clear()
        self._wake.set()
        self._on_error(error)


def _open(path: Path, *, overwrite: bool) -> BinaryIO:
    flags = os.O_WRONLY | (os.O_TRUNC if overwrite else os.O_EXCL)
    try:
        file = os.fdopen(open_private_file(path, flags), "wb")
    except FileExistsError:
        raise FileExistsError(f"{path} exists already; to replace it: overwrite=True") from None
    except OSError as error:
        raise storage_error(error, "write", path) from error
    if path.suffix != ".gz":
        return file
    return cast("BinaryIO", _Compressed(file))


class _Compressed(gzip.GzipFile):
    """A compressed file that closes the file below it, too."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(filename="", mode="wb", fileobj=file)
        self._below = file

    def close(self) -> None:
        try:
            super().close()
        finally:
            self._below.close()
