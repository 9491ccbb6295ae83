"""Queued mutations in order: bounded, one order a shard.

Knows who waits and in which order. Does not know when or how they are sent.
Source: ``docs/protocol.md``, section "Bound and order".
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator

from lunora_rx.core.optimistic import Layer
from lunora_rx.core.records import QueuedMutation
from lunora_rx.core.subscriptions import Subscription

Precondition = Callable[[], bool]


class Write:
    """One mutation of ours from composing to verdict.

    Attributes:
        record: What was fixed when it was composed.
        precondition: Asked right before a replay; ``None`` for none, and for a write of an earlier process.
        layers: The optimistic layers it put over live queries, in the order in which they were put.
        timeout: Seconds for a direct send, or ``None`` for the client's own.
        is_awaited: Whether somebody of this process holds its ``Mutation``.
        is_stored: Whether its record is where it should be, so that it may be sent.
        was_queued: Whether it ever waited in the queue, so that its verdict is an event.
    """

    __slots__ = ("is_awaited", "is_stored", "layers", "precondition", "record", "timeout", "was_queued")

    def __init__(
        self,
        record: QueuedMutation,
        *,
        precondition: Precondition | None = None,
        timeout: float | None = None,
        is_awaited: bool = True,
    ) -> None:
        self.record = record
        self.precondition = precondition
        self.timeout = timeout
        self.layers: list[tuple[Subscription, Layer]] = []
        self.is_awaited = is_awaited
        self.is_stored = False
        self.was_queued = False

    @property
    def mutation_id(self) -> str:
        """Its idempotency key."""
        return self.record.mutation_id


class OfflineQueue:
    """Writes that wait, oldest first.

    Args:
        limit: How many may wait; the oldest gives way.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._writes: OrderedDict[str, Write] = OrderedDict()

    def __len__(self) -> int:
        return len(self._writes)

    def __iter__(self) -> Iterator[Write]:
        return iter(self._writes.values())

    def has_shard(self, shard: str) -> bool:
        """Tell whether anything waits for a shard."""
        return any(write.record.shard == shard for write in self)

    def has_unstored(self, shard: str) -> bool:
        """Tell whether anything waits for a shard whose record is not stored yet."""
        return any(write.record.shard == shard and not write.is_stored for write in self)

    def shards(self) -> list[str]:
        """Return the shards that anything waits for, in the order of their oldest writes."""
        return list(dict.fromkeys(write.record.shard for write in self))

    def push(self, write: Write) -> list[Write]:
        """Put a write behind the others; return those that gave way to it."""
        self._writes[write.mutation_id] = write
        return self._overflow()

    def restore(self, writes: Iterable[Write]) -> list[Write]:
        """Put writes of an earlier process in front of all others, in their order; return those that gave way."""
        self.requeue(writes)
        return self._overflow()

    def requeue(self, writes: Iterable[Write]) -> None:
        """Put writes back in front, in their order; none gives way for them."""
        for write in reversed(list(writes)):
            self._writes[write.mutation_id] = write
            self._writes.move_to_end(write.mutation_id, last=False)

    def take_ready(self, shard: str) -> list[Write]:
        """Take the shard's writes, up to the first whose record is not stored yet."""
        ready: list[Write] = []
        for write in list(self):
            if write.record.shard != shard:
                continue
            if not write.is_stored:
                break
            ready.append(self._writes.pop(write.mutation_id))
        return ready

    def get(self, mutation_id: str) -> Write | None:
        """Return a waiting write."""
        return self._writes.get(mutation_id)

    def withdraw(self, mutation_id: str) -> Write | None:
        """Take one write out of the queue, if it waits."""
        return self._writes.pop(mutation_id, None)

    def _overflow(self) -> list[Write]:
        excess = len(self._writes) - self._limit
        return [self._writes.popitem(last=False)[1] for _ in range(excess)]
