"""What the core tells the driver: one frozen value an event, joined in a union."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from lunora_rx.core.snapshot import Snapshot, Status
from lunora_rx.protocol.rpc import Outcome, Refused


class ValueChanged(NamedTuple):
    """The server gave a live query a new value, which is live.

    A tuple, because it is made once a frame: it costs a third of a frozen dataclass.
    """

    key: str
    value: Any
    cursor: int | None
    pending_layers: int


@dataclass(frozen=True, slots=True)
class SnapshotChanged:
    """Something else about a live query changed; the snapshot is whole."""

    key: str
    snapshot: Snapshot[Any]


@dataclass(frozen=True, slots=True)
class QueryFailed:
    """A live query failed with ``snapshot.error``; it stays registered."""

    key: str
    snapshot: Snapshot[Any]


@dataclass(frozen=True, slots=True)
class SubscriptionClosed:
    """Nobody asks for a live query any more; its value is forgotten."""

    key: str


@dataclass(frozen=True, slots=True)
class StatusChanged:
    """The status of the client as a whole changed."""

    status: Status


@dataclass(frozen=True, slots=True)
class TokenExpired:
    """The server refused the credential of a socket as expired."""

    shard: str


@dataclass(frozen=True, slots=True)
class OpenSocket:
    """The driver must open a socket for the shard, with a token resolved anew."""

    shard: str


@dataclass(frozen=True, slots=True)
class CloseSocket:
    """The driver must drop the shard's socket, or its attempt; nothing of it may be fed in any more."""

    shard: str
    code: int = 1000


@dataclass(frozen=True, slots=True)
class CallSettled:
    """A single call has its outcome."""

    request_id: int
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class BatchSettled:
    """A batch has the outcomes of its slots in call order, or failed as a whole.

    A slot is ``None`` where the server gave no readable answer for it.
    """

    request_id: int
    slots: list[Outcome | None] | Refused


@dataclass(frozen=True, slots=True)
class BookmarkChanged:
    """The session's bookmark moved and should be remembered."""

    bookmark: str


@dataclass(frozen=True, slots=True)
class FrameIgnored:
    """A frame was unusable; it harmed nothing. The reason holds none of its payload."""

    shard: str
    reason: str


Event: TypeAlias = (
    ValueChanged
    | SnapshotChanged
    | QueryFailed
    | SubscriptionClosed
    | StatusChanged
    | TokenExpired
    | OpenSocket
    | CloseSocket
    | CallSettled
    | BatchSettled
    | BookmarkChanged
    | FrameIgnored
)
