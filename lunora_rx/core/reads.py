"""The durable read cache as sessions use it: seeds live queries, and notes what the server gives them.

Knows which socket is whose. Does not know when sockets open.
Source: ``docs/protocol.md``, section "Durable read cache".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from lunora_rx.core.events import ClearReads, Event, ForgetReads, SnapshotChanged, StoreReads
from lunora_rx.core.identity import Identity
from lunora_rx.core.read_cache import FreshRead, ReadCache, Stamp
from lunora_rx.core.records import CachedRead
from lunora_rx.core.subscriptions import Subscription
from lunora_rx.errors import CodecError
from lunora_rx.protocol.values import UNDEFINED
from lunora_rx.protocol.wire import decode_wire

UNKNOWN = "unknown"
"""Stamp of a socket of somebody who is not known; no identity has it."""


class Reads:
    """What one client has read before, and reads now.

    Args:
        cache: Decides what is shown and what is written.
        identity: Returns who is signed in.
        emit: Takes each event.
    """

    def __init__(self, cache: ReadCache, identity: Callable[[], Identity], emit: Callable[[Event], None]) -> None:
        self._cache = cache
        self._identity = identity
        self._emit = emit

    @property
    def deadline(self) -> float:
        """When ``handle_deadline`` is due, infinite when never."""
        return self._cache.deadline

    def stamp(self, *, has_token: bool) -> Stamp:
        """Return whose socket one is that opens now.

        While nobody has confirmed whose the bearer is, it is the bearer's. One that opened with a token of its own
        while nobody is signed in is somebody's who is not known: what it delivers is not stored.
        """
        author = self._identity().author
        return Stamp(UNKNOWN if has_token and author is None else author)

    def load(self, entries: Iterable[CachedRead]) -> None:
        """Take what the store had; what is of another version goes. Comes once, before ``seed`` has any effect."""
        stale = self._cache.load(entries)
        if stale:
            self._emit(ForgetReads(tuple(stale)))

    def seed(self, subscription: Subscription) -> bool:
        """Show what was read before, where the server gave nothing yet; tell whether there was something."""
        result = subscription.result
        if result.base is not UNDEFINED:
            return False
        entry = self._cache.take_seed(subscription.key, self._identity())
        if entry is None:
            return False
        try:
            value = decode_wire(entry.value)
        except CodecError:
            # Nobody will ever read it: it is asked of the server as if it had never been stored.
            self._cache.drop(subscription.key)
            self._emit(ForgetReads((subscription.key,)))
            return False
        result.seed(value, entry.cursor, entry.epoch)
        return True

    def seed_all(self, subscriptions: Iterable[Subscription]) -> None:
        """Show what may be shown now in queries that show nothing yet."""
        for subscription in subscriptions:
            if self.seed(subscription):
                self._emit(SnapshotChanged(subscription.key, subscription.result.snapshot))

    def revoke(self, subscriptions: Iterable[Subscription]) -> set[str]:
        """Take values off the screen that were read before and that the present identity may not see.

        Returns:
            Their keys. The caller asks for them anew: the server may have been told that they are there.
        """
        revoked = set(self._cache.revoke_seeds(self._identity()))
        for subscription in subscriptions:
            if subscription.key in revoked:
                subscription.result.forget(subscription.result.layers)
            if subscription.result.base is UNDEFINED:
                self._emit(SnapshotChanged(subscription.key, subscription.result.snapshot))
        return revoked

    def note(self, subscription: Subscription, stamp: Stamp) -> None:
        """Note that the server gave a value, or confirmed it, over the socket of this stamp; ``arm`` comes next."""
        self._cache.note(subscription.key, subscription.result, stamp)

    def arm(self, now: float) -> bool:
        """Give what was noted its deadline; tell whether there is a new one."""
        was_unarmed = self._cache.is_unarmed
        self._cache.arm(now)
        return was_unarmed

    def release(self, key: str) -> None:
        """Keep a seed that was never superseded for whoever asks next."""
        self._cache.give_back(key)

    def settle(self, now: float) -> None:
        """Note that it is known who is signed in."""
        self._cache.identity_settled(now)

    def clear(self) -> None:
        """Forget everything, on the disk too: it belongs to somebody else."""
        self._cache.forget_all()
        self._emit(ClearReads())

    def handle_deadline(self, now: float) -> None:
        """Have written what is due."""
        self._store(self._cache.handle_deadline(now, self._identity()))

    def flush(self) -> None:
        """Have everything written, before the end."""
        self._store(self._cache.flush(self._identity()))

    def _store(self, reads: list[FreshRead]) -> None:
        if reads:
            self._emit(StoreReads(tuple(reads)))
