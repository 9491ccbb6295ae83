"""What outlives a process: queued mutations and cached reads, as values.

Source: ``docs/protocol.md``, sections "Durable record" and "Durable read cache".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lunora_rx.errors import CodecError
from lunora_rx.protocol.frame_fields import is_epoch, is_position, is_sendable
from lunora_rx.protocol.values import UNDEFINED, Undefined

Tree = Any

_TEXT = "a string without lone surrogates"


@dataclass(frozen=True, slots=True)
class QueuedMutation:
    """A write waiting to be sent, as it was fixed when composed.

    Attributes:
        mutation_id: Its idempotency key.
        function_path: The mutation.
        args: Its arguments in wire form.
        client_id: Who composed it; a replay sends this id, whoever replays.
        shard: The shard key, empty for the default shard.
        identity: Fingerprint of who composed it, ``None`` if nobody was signed in, ``UNDEFINED`` if it has no stamp.
        baseline: Position that its author had seen, or ``None``.
        version: Version of the application that composed it, or ``None``.
    """

    mutation_id: str
    function_path: str
    args: Tree
    client_id: str
    shard: str = ""
    identity: str | Undefined | None = UNDEFINED
    baseline: int | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class CachedRead:
    """The last value of a live query, as the server gave it.

    Attributes:
        key: The subscription key.
        value: The base value in wire form.
        identity: Fingerprint of whose socket delivered it.
        credential: Digest of the token in force, where identity alone would not do.
        cursor: Position of the value.
        epoch: The history that the cursor counts in.
        stored_at: Wall clock when it was written, seconds; the least recent goes first.
        version: Version of the application that stored it.
    """

    key: str
    value: Tree
    identity: str | None
    credential: str | None = None
    cursor: int | None = None
    epoch: str | int | None = None
    stored_at: float = 0.0
    version: str | None = None


def encode_queued(record: QueuedMutation) -> dict[str, Tree]:
    """Return a queued mutation as a JSON object; what is absent there has no key."""
    tree: dict[str, Tree] = {
        "id": record.mutation_id,
        "functionPath": record.function_path,
        "args": record.args,
        "clientId": record.client_id,
    }
    optional = {"shardKey": record.shard or None, "baselineSeq": record.baseline, "version": record.version}
    tree.update({name: value for name, value in optional.items() if value is not None})
    if record.identity is not UNDEFINED:
        tree["identity"] = record.identity
    return tree


def decode_queued(tree: object) -> QueuedMutation:
    """Return the queued mutation that a JSON object holds.

    Raises:
        CodecError: It is none; the path names the field.
    """
    fields = _Fields(tree)
    return QueuedMutation(
        mutation_id=fields.text("id"),
        function_path=fields.text("functionPath"),
        args=fields.take("args", lambda value: type(value) is dict, "an object"),
        client_id=fields.text("clientId"),
        shard=fields.optional_text("shardKey") or "",
        identity=fields.optional_text("identity") if fields.has("identity") else UNDEFINED,
        baseline=fields.optional("baselineSeq", is_position, "an integer"),
        version=fields.optional_text("version"),
    )


def encode_cached(entry: CachedRead) -> dict[str, Tree]:
    """Return a cached read as a JSON object; what is absent there has no key."""
    tree: dict[str, Tree] = {
        "key": entry.key,
        "value": entry.value,
        "identity": entry.identity,
        "ts": round(entry.stored_at * 1000),
    }
    optional = {
        "credential": entry.credential,
        "serverCursor": entry.cursor,
        "serverEpoch": entry.epoch,
        "version": entry.version,
    }
    tree.update({name: value for name, value in optional.items() if value is not None})
    return tree


def decode_cached(tree: object) -> CachedRead:
    """Return the cached read that a JSON object holds.

    Raises:
        CodecError: It is none; the path names the field.
    """
    fields = _Fields(tree)
    return CachedRead(
        key=fields.text("key"),
        value=fields.take("value", lambda value: True, "a value"),
        identity=fields.optional_text("identity"),
        credential=fields.optional_text("credential"),
        cursor=fields.optional("serverCursor", is_position, "an integer"),
        epoch=fields.optional("serverEpoch", is_epoch, "a string or an integer"),
        stored_at=fields.take("ts", is_position, "an integer") / 1000,
        version=fields.optional_text("version"),
    )


class _Fields:
    """The fields of a stored JSON object, each checked as it is taken."""

    def __init__(self, tree: object) -> None:
        if not isinstance(tree, Mapping):
            raise CodecError(f"is a {type(tree).__name__}, not an object", path="record")
        self._tree = tree

    def has(self, name: str) -> bool:
        return name in self._tree

    def take(self, name: str, accepts: Any, expected: str) -> Any:
        value = self._tree.get(name, UNDEFINED)
        if value is UNDEFINED or not accepts(value):
            raise CodecError(f"is not {expected}", path=f"record.{name}")
        return value

    def optional(self, name: str, accepts: Any, expected: str) -> Any:
        return None if self._tree.get(name) is None else self.take(name, accepts, expected)

    def text(self, name: str) -> str:
        value: str = self.take(name, is_sendable, _TEXT)
        return value

    def optional_text(self, name: str) -> str | None:
        value: str | None = self.optional(name, is_sendable, f"{_TEXT} or null")
        return value
