"""Stores in memory: what every other store is compared with."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager

from lunora_rx.core.records import CachedRead, QueuedMutation

CACHE_LIMIT = 500


class MemoryQueue:
    """A queue store that forgets everything with the process."""

    def __init__(self) -> None:
        self._records: dict[str, QueuedMutation] = {}

    def append(self, record: QueuedMutation) -> None:
        """Keep a record behind all others; one whose id is there already is replaced in its place."""
        self._records[record.mutation_id] = record

    def load(self) -> list[QueuedMutation]:
        """Return all records, oldest first."""
        return list(self._records.values())

    def remove(self, ids: Collection[str]) -> None:
        """Forget records; unknown ids are ignored."""
        for mutation_id in ids:
            self._records.pop(mutation_id, None)

    def replace(self, record: QueuedMutation) -> None:
        """Put a record in the place of the one with its id; without one, do nothing."""
        if record.mutation_id in self._records:
            self._records[record.mutation_id] = record

    def clear(self) -> None:
        """Forget every record."""
        self._records.clear()

    @contextmanager
    def group(self) -> Iterator[None]:
        """Keep what is called inside, all of it or, if it raises, nothing."""
        before = dict(self._records)
        try:
            yield
        except BaseException:
            self._records = before
            raise


class MemoryCache:
    """A cache store that forgets everything with the process.

    Args:
        limit: How many entries it holds; the least recently stored go first.
    """

    def __init__(self, *, limit: int = CACHE_LIMIT) -> None:
        self._entries: dict[str, CachedRead] = {}
        self._limit = limit

    def get(self, key: str) -> CachedRead | None:
        """Return the entry of a subscription key, or ``None``."""
        return self._entries.get(key)

    def put(self, entries: Iterable[CachedRead]) -> None:
        """Keep entries, each in the place of an older one with its key."""
        self._entries.update({entry.key: entry for entry in entries})
        times = {key: entry.stored_at for key, entry in self._entries.items()}
        self.remove(least_recent(times, self._limit))

    def remove(self, keys: Collection[str]) -> None:
        """Forget entries; unknown keys are ignored."""
        for key in keys:
            self._entries.pop(key, None)

    def load(self) -> list[CachedRead]:
        """Return all entries, the least recently stored first."""
        return sorted(self._entries.values(), key=lambda entry: entry.stored_at)


class MemoryBookmarks:
    """A bookmark store that forgets everything with the process."""

    def __init__(self) -> None:
        self._value: str | None = None

    def get(self) -> str | None:
        """Return the bookmark, or ``None`` before the first."""
        return self._value

    def set(self, value: str) -> None:
        """Remember a newer bookmark."""
        self._value = value


def least_recent(times: dict[str, float], limit: int) -> list[str]:
    """Return the keys that have to go so that ``limit`` are left, the least recently stored first."""
    excess = len(times) - limit
    return sorted(times, key=times.__getitem__)[:excess] if excess > 0 else []
