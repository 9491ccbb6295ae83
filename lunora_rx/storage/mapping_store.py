"""Stores over any key-value store that can get, set and delete texts.

A record is one key, and an index keeps their order: written after what it names and before what it no longer
names is deleted, so that a crash in between leaves a key that nobody looks for, and nothing else.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Any, Protocol

import orjson

from lunora_rx.core.records import CachedRead, QueuedMutation
from lunora_rx.errors import CodecError, LunoraError, StorageError
from lunora_rx.storage.database import Report
from lunora_rx.storage.memory_store import CACHE_LIMIT, least_recent
from lunora_rx.storage.rows import (
    cached_of_payload,
    cached_to_payload,
    queued_of_payload,
    queued_to_payload,
)

_log = logging.getLogger("lunora_rx.storage")


class KeyValueStore(Protocol):
    """What ``Storage.from_mapping`` adapts; each method may be a coroutine function."""

    def get(self, key: str, /) -> str | bytes | Awaitable[str | bytes | None] | None:
        """Return the text under a key, or ``None``."""

    def set(self, key: str, value: str, /) -> Any:
        """Put a text under a key."""

    def delete(self, key: str, /) -> Any:
        """Take a key away; an unknown one is ignored."""


class Texts:
    """A key-value store called from one thread, all of whose failures are ``StorageError``.

    Coroutines run on a loop of their own, on the calling thread, which has none.
    """

    def __init__(self, kv: KeyValueStore, *, prefix: str, report: Report | None = None) -> None:
        self.report = _log_report if report is None else report
        self._kv = kv
        self._prefix = prefix
        self._runner: asyncio.Runner | None = None

    def get(self, key: str) -> bytes | None:
        """Return the text under a key, or ``None``."""
        value = self._call("read", self._kv.get, key)
        return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value

    def set(self, key: str, value: bytes) -> None:
        """Put a text under a key."""
        self._call("write", self._kv.set, key, value.decode())

    def delete(self, key: str) -> None:
        """Take a key away."""
        self._call("delete", self._kv.delete, key)

    def close(self) -> None:
        """Close the loop, if there was need of one."""
        if self._runner is not None:
            self._runner.close()
            self._runner = None

    def _call(self, operation: str, method: Callable[..., Any], key: str, *rest: str) -> Any:
        try:
            result = method(self._prefix + key, *rest)
            if not inspect.isawaitable(result):
                return result
            if self._runner is None:
                self._runner = asyncio.Runner()
            return self._runner.run(_awaited(result))
        except Exception as error:
            name = type(self._kv).__name__
            raise StorageError(f"cannot {operation} {key!r} in {name}: {error!r}", transient=True) from error


class MappingQueue:
    """A queue store over texts."""

    def __init__(self, texts: Texts) -> None:
        self._texts = texts

    def append(self, record: QueuedMutation) -> None:
        """Keep a record behind all others; one whose id is there already is replaced in its place."""
        self._texts.set(_queue_key(record.mutation_id), queued_to_payload(record))
        ids = self._ids()
        if record.mutation_id not in ids:
            self._set_ids([*ids, record.mutation_id])

    def load(self) -> list[QueuedMutation]:
        """Return all records, oldest first; one that cannot be read is reported and left out."""
        found = [self._read(mutation_id) for mutation_id in self._ids()]
        return [record for record in found if record is not None]

    def remove(self, ids: Collection[str]) -> None:
        """Forget records; unknown ids are ignored."""
        present = self._ids()
        gone = [mutation_id for mutation_id in present if mutation_id in ids]
        if gone:
            self._set_ids([mutation_id for mutation_id in present if mutation_id not in ids])
        for mutation_id in gone:
            self._texts.delete(_queue_key(mutation_id))

    def replace(self, record: QueuedMutation) -> None:
        """Put a record in the place of the one with its id, at once; without one, do nothing."""
        if record.mutation_id in self._ids():
            self._texts.set(_queue_key(record.mutation_id), queued_to_payload(record))

    def clear(self) -> None:
        """Forget every record."""
        self.remove(self._ids())

    def close(self) -> None:
        """Close the loop that coroutines ran on."""
        self._texts.close()

    def _ids(self) -> list[str]:
        ids = _read_json(self._texts, "queue", list)
        return [mutation_id for mutation_id in ids or () if isinstance(mutation_id, str)]

    def _set_ids(self, ids: list[str]) -> None:
        self._texts.set("queue", orjson.dumps(ids))

    def _read(self, mutation_id: str) -> QueuedMutation | None:
        payload = self._texts.get(_queue_key(mutation_id))
        try:
            if payload is None:
                raise CodecError("is missing", path="record")
            return queued_of_payload(payload)
        except CodecError as error:
            self._texts.report(StorageError(f"skipped the queued mutation {mutation_id!r}: {error.message}"))
            return None


class MappingCache:
    """A cache store over texts.

    Args:
        texts: Where it lies.
        limit: How many entries it holds; the least recently stored go first.
    """

    def __init__(self, texts: Texts, *, limit: int = CACHE_LIMIT) -> None:
        self._texts = texts
        self._limit = limit

    def get(self, key: str) -> CachedRead | None:
        """Return the entry of a subscription key, or ``None``."""
        payload = self._texts.get(_read_key(key))
        try:
            return None if payload is None else cached_of_payload(payload)
        except CodecError as error:
            self._texts.report(StorageError(f"skipped the cached read {key!r}: {error.message}"))
            return None

    def put(self, entries: Iterable[CachedRead]) -> None:
        """Keep entries, each in the place of an older one with its key; one that has no JSON is reported."""
        times = self._times()
        for entry in entries:
            try:
                payload = cached_to_payload(entry)
            except StorageError as error:
                if error.transient:
                    raise
                self._texts.report(error)
                continue
            self._texts.set(_read_key(entry.key), payload)
            times[entry.key] = entry.stored_at
        self._shrink(times, least_recent(times, self._limit))

    def remove(self, keys: Collection[str]) -> None:
        """Forget entries; unknown keys are ignored."""
        times = self._times()
        self._shrink(times, [key for key in keys if key in times])

    def load(self) -> list[CachedRead]:
        """Return all entries, the least recently stored first."""
        found = [self.get(key) for key in self._times()]
        return sorted((entry for entry in found if entry is not None), key=lambda entry: entry.stored_at)

    def close(self) -> None:
        """Close the loop that coroutines ran on."""
        self._texts.close()

    def _times(self) -> dict[str, float]:
        times: dict[str, Any] = _read_json(self._texts, "reads", dict) or {}
        return {key: time for key, time in times.items() if isinstance(time, (int, float))}

    def _shrink(self, times: dict[str, float], keys: list[str]) -> None:
        for key in keys:
            del times[key]
        self._texts.set("reads", orjson.dumps(times))
        for key in keys:
            self._texts.delete(_read_key(key))


class MappingBookmarks:
    """A bookmark store over texts."""

    def __init__(self, texts: Texts) -> None:
        self._texts = texts

    def get(self) -> str | None:
        """Return the bookmark, or ``None`` before the first."""
        value = self._texts.get("bookmark")
        return None if value is None else value.decode(errors="replace")

    def set(self, value: str) -> None:
        """Remember a newer bookmark."""
        self._texts.set("bookmark", value.encode())


def client_id_in(texts: Texts, new_id: Callable[[], str]) -> str:
    """Return the client id that texts hold, or put a new one there."""
    kept = texts.get("client_id")
    if kept is not None and kept.isascii() and (text := kept.decode()).isprintable() and text:
        return text
    made = new_id()
    texts.set("client_id", made.encode())
    return made


def _queue_key(mutation_id: str) -> str:
    return f"queue:{mutation_id}"


def _read_key(key: str) -> str:
    return f"read:{key}"


def _read_json(texts: Texts, key: str, kind: type) -> Any:
    text = texts.get(key)
    if text is None:
        return None
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        value = None
    if isinstance(value, kind):
        return value
    texts.report(StorageError(f"skipped the index {key!r}: it is not a JSON {kind.__name__}"))
    return None


async def _awaited(result: Awaitable[Any]) -> Any:
    return await result


def _log_report(error: LunoraError) -> None:
    _log.warning("the storage reports: %s", error)
