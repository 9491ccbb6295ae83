"""What the core tells the driver: one frozen value an event, joined in a union."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from lunora_rx.core.delta import RowMerge
from lunora_rx.core.read_cache import FreshRead
from lunora_rx.core.records import QueuedMutation
from lunora_rx.core.shape_events import RowsChanged, ShapeFailed, ShapeMoved
from lunora_rx.core.snapshot import Snapshot, Status
from lunora_rx.core.stream_events import StreamChunk, StreamEnded, StreamFailed
from lunora_rx.errors import LunoraError
from lunora_rx.protocol.frozen import frozen
from lunora_rx.protocol.rpc import Outcome, Refused
from lunora_rx.protocol.session_probe import User, UserState


class ValueChanged(NamedTuple):
    """The server gave a live query a new value, which is live.

    A tuple, because it is made once a frame: it costs a third of a frozen dataclass.

    Attributes:
        key: Which live query.
        value: The value shown now.
        cursor: Its position in the shard's history.
        pending_layers: How many of our own unconfirmed writes are folded into it.
        merge: How it was made of the value shown before, if by one row change.
    """

    key: str
    value: Any
    cursor: int | None
    pending_layers: int
    merge: RowMerge | None = None


@frozen
class SnapshotChanged:
    """Something else about a live query changed; the snapshot is whole."""

    key: str
    snapshot: Snapshot[Any]


@frozen
class QueryFailed:
    """A live query failed with ``snapshot.error``; it stays registered."""

    key: str
    snapshot: Snapshot[Any]


@frozen
class SubscriptionClosed:
    """Nobody asks for a live query any more; its value is forgotten."""

    key: str


@frozen
class StatusChanged:
    """The status of the client as a whole changed."""

    status: Status


@frozen
class TokenExpired:
    """The server refused the credential of a socket as expired."""

    shard: str


@frozen
class OpenSocket:
    """The driver must open a socket for the shard, with a token resolved anew."""

    shard: str


@frozen
class CloseSocket:
    """The driver must drop the shard's socket, or its attempt; nothing of it may be fed in any more.

    ``abandoned_after`` is for an attempt that did not come to its end in time: after how many seconds.
    """

    shard: str
    code: int = 1000
    abandoned_after: float | None = None


@frozen
class CallSettled:
    """A single call has its outcome."""

    request_id: int
    outcome: Outcome


@frozen
class BatchSettled:
    """A batch has the outcomes of its slots in call order, or failed as a whole.

    A slot is ``None`` where the server gave no readable answer for it.
    """

    request_id: int
    slots: list[Outcome | None] | Refused


@frozen
class BookmarkChanged:
    """The session's bookmark moved and should be remembered."""

    bookmark: str


@frozen
class MutationQueued:
    """A write waits in the queue, and its record is where it should be."""

    mutation_id: str


@frozen
class MutationSent:
    """A write is on its way to the server."""

    mutation_id: str


@frozen
class MutationSettled:
    """A write has its verdict: the only one it ever gets.

    Attributes:
        record: The write as it was composed.
        outcome: What became of it.
        was_queued: Whether it ever waited in the queue.
        had_awaiter: Whether somebody of this process still holds its ``Mutation``.
    """

    record: QueuedMutation
    outcome: Outcome
    was_queued: bool
    had_awaiter: bool


@frozen
class PendingChanged:
    """Another number of writes waits in the queue."""

    count: int


@frozen
class StoreRecord:
    """The driver must store a record, then call ``receive_stored``; nothing of it is sent before."""

    record: QueuedMutation


@frozen
class RemoveRecords:
    """The driver must remove records: their writes have a verdict."""

    mutation_ids: tuple[str, ...]


@frozen
class ReplaceRecord:
    """The driver must replace a stored record in its place."""

    record: QueuedMutation


@frozen
class StoreReads:
    """The driver must encode values of live queries, and put them into the read cache."""

    reads: tuple[FreshRead, ...]


@frozen
class ForgetReads:
    """The driver must take entries out of the read cache."""

    keys: tuple[str, ...]


@frozen
class ClearReads:
    """The driver must empty the read cache: it belongs to somebody else."""


@frozen
class StaleRecordsDropped:
    """Writes that another version of the application had queued were dropped; their records go too."""

    records: tuple[QueuedMutation, ...]


@frozen
class ReplayProgressed:
    """The replay of queued writes moved on; counts are over all passes since the last time none ran.

    Attributes:
        total: How many writes the passes took on.
        settled: How many of them have a verdict.
        kept: How many went back to the queue.
        is_running: Whether a pass runs.
    """

    total: int
    settled: int
    kept: int
    is_running: bool


@frozen
class TransformFailed:
    """A transform of an optimistic layer raised; the layer is skipped."""

    error: Exception


@frozen
class CredentialRefused:
    """The server refused the credential of a replay; queued writes are held for another one."""

    error: LunoraError


@frozen
class AuthTokenChanged:
    """The bearer of calls is another one now."""


@frozen
class ValuesRevoked:
    """Values shown so far may be somebody else's; what each live query shows instead follows."""


@dataclass(frozen=True, slots=True)
class IdentityChanged:
    """Somebody else is signed in than before, or nobody; nothing of theirs is shown any more.

    Attributes:
        subject: The new user's id; ``None`` for nobody, or if it is not known.
        identity_epoch: How often that has happened.
    """

    subject: str | None
    identity_epoch: int


@frozen
class IdentityDisputed:
    """The server refuses writes as somebody else's, and says that the session is this subject's all the same."""

    subject: str | None


@frozen
class UserHeard:
    """Whoever asks for the user has the answer: the user, ``None`` for nobody, or an error to raise a copy of."""

    result: User | LunoraError | None


@frozen
class UserStateChanged:
    """Something else is known of who is signed in."""

    state: UserState


@frozen
class WhisperReceived:
    """Another member told a topic something."""

    shard: str
    topic: str
    data: Any
    sender: str | None


@frozen
class WhisperDropped:
    """What another member told a topic cannot be read. The reason holds none of it."""

    shard: str
    topic: str
    reason: str


@frozen
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
    | MutationQueued
    | MutationSent
    | MutationSettled
    | PendingChanged
    | StoreRecord
    | RemoveRecords
    | ReplaceRecord
    | StaleRecordsDropped
    | StoreReads
    | ForgetReads
    | ClearReads
    | ReplayProgressed
    | TransformFailed
    | CredentialRefused
    | AuthTokenChanged
    | ValuesRevoked
    | IdentityChanged
    | IdentityDisputed
    | UserHeard
    | UserStateChanged
    | WhisperReceived
    | WhisperDropped
    | RowsChanged
    | ShapeMoved
    | ShapeFailed
    | StreamChunk
    | StreamEnded
    | StreamFailed
    | FrameIgnored
)
