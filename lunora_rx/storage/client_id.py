"""The client id of a storage directory: made once, kept for ever.

Whoever replays a write sends the id of who composed it, and the server tells retries apart by it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from lunora_rx.errors import StorageError
from lunora_rx.storage.files import close_to_others, disk_errors, make_root, sync_directory
from lunora_rx.storage.locks import FileLock

_NAME = "client_id"
_LONGEST = 200
_LOCK_TIMEOUT = 10.0


def kept_client_id(directory: Path, *, new_id: Callable[[], str]) -> str:
    """Return the client id kept in a storage directory, or keep a new one there.

    Processes that start at once agree on one id. A file that holds none is set aside.

    Args:
        directory: The storage directory.
        new_id: Makes an id of 1 to 200 printable ASCII characters.

    Raises:
        StorageError: The disk refuses.
    """
    path = directory / _NAME
    with disk_errors("keep the client id in", path):
        make_root(directory)
        found = _read(path) or _make(path, new_id)
        if found is not None:
            close_to_others(path)
    if found is None:
        raise StorageError(f"cannot keep the client id in {path}: it does not read as written", transient=True)
    return found


def _make(path: Path, new_id: Callable[[], str]) -> str | None:
    # One at a time decides that there is none: what another has just written must not be taken for damaged.
    lock = FileLock(path.with_name(f"{_NAME}.lock"))
    lock.wait(_LOCK_TIMEOUT)
    try:
        if (found := _read(path)) is not None:
            return found
        if path.exists():
            path.rename(path.with_name(f"{_NAME}-damaged-{os.getpid()}"))
        _write_once(path, new_id())
        return _read(path)
    finally:
        lock.discard()


def _read(path: Path) -> str | None:
    try:
        text = path.read_bytes().decode("ascii", "replace")
    except FileNotFoundError:
        return None
    is_whole = text.endswith("\n") and 1 < len(text) <= _LONGEST + 1 and text[:-1].isprintable()
    return text[:-1] if is_whole and text.isascii() else None


def _write_once(path: Path, client_id: str) -> None:
    draft = path.with_name(f"{_NAME}-{os.getpid()}-{client_id[:36]}")
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(file, f"{client_id}\n".encode("ascii"))
        os.fsync(file)
    finally:
        os.close(file)
    try:
        # A link, not a rename: whoever comes second must not replace the id that the first already uses.
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
    sync_directory(path.parent)
