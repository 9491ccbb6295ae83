"""Directories and files that only their owner can read, and errors of the disk."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import diskcache

from lunora_rx.errors import StorageError

DISK_ERRORS = (sqlite3.Error, diskcache.Timeout, OSError)
_TEMPORARY_NAME = "half-made"


def make_root(path: Path) -> None:
    """Make the storage directory and what is missing above it, closed to others; what exists keeps its mode."""
    for each in (*reversed([above for above in path.parents if not above.exists()]), path):
        _make_directory(each)


def is_open_to_others(path: Path) -> bool:
    """Whether other users may change what is in a directory; false where the system has no such notion."""
    if os.name == "nt":
        return False
    found, user = path.stat(), os.geteuid()
    is_shared = found.st_mode & stat.S_IWOTH or (found.st_mode & stat.S_IWGRP and found.st_gid != os.getegid())
    return bool(is_shared) or (user != 0 and found.st_uid not in (user, 0))


def make_private_directory(path: Path) -> None:
    """Make a directory inside the storage directory, or close an existing one to others."""
    _make_directory(path)
    close_to_others(path)


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(mode=0o700)
    except OSError:
        if not path.is_dir():
            raise
        return
    # What is put into it is not there after a power loss if its own name is not.
    with suppress(PermissionError):  # a directory may be writable and not readable
        sync_directory(path.parent)


def close_to_others(path: Path) -> None:
    """Take from others what they may do with a directory or a file that exists."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077 and os.name != "nt":
        path.chmod(mode & ~0o077)


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
    for each in target.rglob("*"):
        if not each.is_symlink():  # what a planted one leads to is none of ours
            close_to_others(each)
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
