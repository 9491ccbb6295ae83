"""Directories and files that only their owner can read, and errors of the disk."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import diskcache

from lunora_rx.errors import StorageError

DISK_ERRORS = (sqlite3.Error, diskcache.Timeout, OSError)
_TEMPORARY_NAME = "half-made"


def make_root(path: Path) -> None:
    """Make the storage directory, closed to others; one that exists keeps the mode its owner chose."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def make_private_directory(path: Path) -> None:
    """Make a directory inside the storage directory, or close an existing one to others."""
    path.mkdir(mode=0o700, exist_ok=True)
    if path.stat().st_mode & 0o077:
        path.chmod(0o700)


def open_private_file(path: Path, flags: int = os.O_RDWR) -> int:
    """Open a file, made if need be, that only its owner can read; never through a symbolic link."""
    file = os.open(path, flags | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        if os.fstat(file).st_mode & 0o077 and hasattr(os, "fchmod"):
            os.fchmod(file, 0o600)
    except BaseException:
        os.close(file)
        raise
    return file


def sync_directory(path: Path) -> None:
    """Make the names in a directory survive a power loss, where the system knows how."""
    if os.name == "nt":
        return
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from another that takes its name, or ``None`` where there is no file."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def numbered(directory: Path) -> list[Path]:
    """Return the entries of a directory whose names are numbers, the smallest first."""
    names = [name for name in os.listdir(directory) if name.isascii() and name.isdecimal()]
    return [directory / name for name in sorted(names, key=int)]


def half_made(directory: Path) -> Path:
    """Return where a new entry of a directory is made before it gets its name."""
    return directory / _TEMPORARY_NAME


def set_aside(path: Path, aside: Path, name: str) -> Path:
    """Move something under a name of its own into the directory for damaged things, and return where it is now."""
    make_private_directory(aside)
    number = 1
    while (target := aside / f"{name}-{number}").exists():
        number += 1
    path.rename(target)
    for directory in (path.parent, aside):
        sync_directory(directory)
    return target


@contextmanager
def disk_errors(operation: str, path: Path) -> Iterator[None]:
    """Turn what the disk or the database raises into a ``StorageError`` that repeating may mend."""
    try:
        yield
    except DISK_ERRORS as error:
        raise storage_error(error, operation, path) from error


def storage_error(error: Exception, operation: str, path: Path) -> StorageError:
    """Return what to raise for an error of the disk; its message names the operation, the path and the reason."""
    reason = str(error) or type(error).__name__
    if isinstance(error, OSError):
        reason = (error.strerror or reason).lower()
    return StorageError(f"cannot {operation} {path}: {reason}", transient=True)
