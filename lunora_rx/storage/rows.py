"""One record as it lies on a disk: JSON behind a checksum.

The checksum covers the key too, so that a row found under another's key is noticed.
"""

from __future__ import annotations

import zlib
from typing import Any

from lunora_rx.core.records import (
    CachedRead,
    QueuedMutation,
    decode_cached,
    decode_queued,
    encode_cached,
    encode_queued,
)
from lunora_rx.errors import CodecError, StorageError
from lunora_rx.protocol.text import parse, serialize

Key = int | bytes

RECORD_LIMIT = 64 * 2**20
_HEAD = 9  # eight hexadecimal digits and a space


def seal(key: Key, payload: bytes) -> bytes:
    """Return a payload with its checksum before it."""
    return b"%08x %b" % (_checksum(key, payload), payload)


def unseal(key: Key, sealed: object) -> bytes:
    """Return the payload of a sealed row.

    Raises:
        ValueError: It is none, or was changed since.
    """
    if type(sealed) is not bytes or sealed[_HEAD - 1 : _HEAD] != b" ":
        raise ValueError("holds no checksum")
    payload = sealed[_HEAD:]
    if sealed[: _HEAD - 1] != b"%08x" % _checksum(key, payload):
        raise ValueError("does not match its checksum")
    return payload


def queued_to_payload(record: QueuedMutation) -> bytes:
    """Return a queued mutation as JSON.

    Raises:
        StorageError: It cannot be written as JSON, or is longer than a record may be; trying again will not help.
    """
    return _payload(f"the queued mutation {record.mutation_id!r}", encode_queued(record))


def queued_of_payload(payload: bytes) -> QueuedMutation:
    """Return the queued mutation of a payload; raises ``CodecError`` if it is none."""
    return decode_queued(parse(payload))


def cached_to_payload(entry: CachedRead) -> bytes:
    """Return a cached read as JSON; raises ``StorageError`` if that cannot be."""
    return _payload(f"the cached read {entry.key!r}", encode_cached(entry))


def cached_of_payload(payload: bytes) -> CachedRead:
    """Return the cached read of a payload; raises ``CodecError`` if it is none."""
    return decode_cached(parse(payload))


def _payload(name: str, tree: dict[str, Any]) -> bytes:
    try:
        payload = serialize(tree)
    except CodecError as error:
        raise StorageError(f"cannot store {name}: {error.message}") from error
    if len(payload) > RECORD_LIMIT:
        raise StorageError(f"cannot store {name}: its {len(payload)} bytes are more than the {RECORD_LIMIT} allowed")
    return payload


def _checksum(key: Key, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(key if isinstance(key, bytes) else b"%d" % key))
