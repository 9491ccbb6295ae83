"""What a live query shows at one moment."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar, cast

from lunora_rx.errors import LunoraError
from lunora_rx.protocol.values import UNDEFINED

T = TypeVar("T")


class SnapshotStatus(enum.StrEnum):
    """How far a shown value can be trusted to be the server's current one."""

    PENDING = "pending"
    LIVE = "live"
    STALE = "stale"
    FAILED = "failed"


class Status(enum.StrEnum):
    """How a client stands with its server."""

    IDLE = "idle"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    POLLING = "polling"
    OFFLINE = "offline"


@dataclass(frozen=True, slots=True)
class Snapshot(Generic[T]):
    """The value of a live query with everything a dashboard wants to know about it.

    Attributes:
        status: ``pending`` before the first value, ``live``, ``stale`` while the connection is down or the value is
            known to be behind, ``failed`` after the server refused the query.
        value: The value shown, ``UNDEFINED`` before the first; shared, so read-only.
        error: Why the query failed, or ``None``.
        cursor: Position of the value in the shard's change log, or ``None``.
        pending_layers: How many of our own unconfirmed writes are folded into ``value``.
        updated_at: When the value or the status last changed here, an aware UTC datetime.
    """

    status: SnapshotStatus = SnapshotStatus.PENDING
    value: T = cast("T", UNDEFINED)  # noqa: RUF009
    error: LunoraError | None = None
    cursor: int | None = None
    pending_layers: int = 0
    updated_at: datetime | None = None

    @property
    def has_value(self) -> bool:
        """Whether there is a value; ``None`` is one."""
        return self.value is not UNDEFINED

    @property
    def is_optimistic(self) -> bool:
        """Whether the value holds writes of ours that the server has not confirmed."""
        return self.pending_layers > 0
