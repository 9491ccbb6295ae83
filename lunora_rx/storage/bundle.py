"""The stores of one client, and the ways to get them."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lunora_rx.core.records import CachedRead, QueuedMutation
from lunora_rx.errors import StorageError
from lunora_rx.interfaces import BookmarkStore, CacheStore, QueueStore
from lunora_rx.storage.client_id import kept_client_id
from lunora_rx.storage.database import Report
from lunora_rx.storage.disk_reads import DiskBookmarks, DiskCache, SharedReads
from lunora_rx.storage.disk_store import DiskQueue
from lunora_rx.storage.files import is_open_to_others
from lunora_rx.storage.mapping_store import (
    KeyValueStore,
    MappingBookmarks,
    MappingCache,
    MappingQueue,
    Texts,
    client_id_in,
)

_log = logging.getLogger("lunora_rx.storage")


@dataclass(frozen=True, slots=True)
class Storage:
    """What a client keeps beyond its process; the stores belong to the client that takes it.

    Attributes:
        queue: Where queued mutations wait.
        cache: Where the last values of live queries are; ``None`` keeps none.
        bookmarks: Where the session's bookmark is; ``None`` keeps it in memory.
        name: How messages call it.
        keep_client_id: Returns the client id that is kept, or keeps the one that its argument makes; ``None`` keeps
            none. Called on the storage's thread.
    """

    queue: QueueStore[QueuedMutation]
    cache: CacheStore[CachedRead] | None = None
    bookmarks: BookmarkStore | None = None
    name: str = "the storage"
    keep_client_id: Callable[[Callable[[], str]], str] | None = None

    @classmethod
    def from_mapping(cls, kv: KeyValueStore, *, prefix: str = "lunora:", report: Report | None = None) -> Storage:
        """Keep everything in a key-value store.

        Its ``get(key)``, ``set(key, text)`` and ``delete(key)`` may be functions or coroutine functions, and are
        called on a thread of their own; coroutines run on an event loop of that thread. Only one client may use a
        prefix at a time: there are no lanes.

        Args:
            kv: The key-value store; a text that comes back as ``bytes`` is fine.
            prefix: Begins every key.
            report: Told of records that cannot be read; default: log.
        """
        texts = Texts(kv, prefix=prefix, report=report)
        name = f"the key-value store {type(kv).__name__}"
        return cls(
            MappingQueue(texts),
            MappingCache(texts),
            MappingBookmarks(texts),
            name=name,
            keep_client_id=partial(client_id_in, texts),
        )

    def close(self) -> None:
        """Close the stores that can be closed; on the thread that used them."""
        for store in (self.queue, self.cache, self.bookmarks):
            close = getattr(store, "close", None)
            if close is not None:
                with contextlib.suppress(StorageError):
                    close()


def open_directory(directory: str | Path, *, report: Report | None = None) -> Storage:
    """Return the durable stores of a directory; nothing is opened or made before the first use.

    Args:
        directory: The storage directory; other processes may use it too.
        report: Told what was found damaged, on the storage's thread; default: log.
    """
    path = Path(directory).expanduser().absolute()
    report = _log_report if report is None else report
    reads = SharedReads(path, report=report)
    return Storage(
        DiskQueue(path, report=report),
        DiskCache(reads),
        DiskBookmarks(reads),
        name=f"the storage {path}",
        keep_client_id=partial(_keep_client_id, path, report),
    )


def _keep_client_id(path: Path, report: Report, new_id: Callable[[], str]) -> str:
    found = kept_client_id(path, new_id=new_id)
    if is_open_to_others(path):
        report(StorageError(f"other users can change what is in {path}, and have writes sent: chmod 700 {path}"))
    return found


def _log_report(error: StorageError) -> None:
    _log.warning("the storage reports: %s", error)
