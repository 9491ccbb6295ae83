"""What outlives the process of live queries: which entry may be shown now, and which values are to be written.

Source: ``docs/protocol.md``, section "Durable read cache".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from heapq import nlargest
from math import inf
from typing import Any, Final

from lunora_rx.core.identity import Identity
from lunora_rx.core.records import CachedRead
from lunora_rx.core.results import Result
from lunora_rx.protocol.frozen import frozen
from lunora_rx.protocol.values import UNDEFINED
from lunora_rx.protocol.wire import encode_wire

WRITE_DELAY: Final = 0.25
ENTRY_LIMIT: Final = 500


@dataclass(slots=True, eq=False)
class Stamp:
    """Whose socket one socket is: made when it opens, gone with it.

    An object, because values are written later than they arrive: when the subject of the same token
    is learned, moving the stamp moves what its socket has delivered and is not written yet. One a
    socket and not one a shard, because a later socket must not claim what an earlier one delivered.

    Attributes:
        fingerprint: Who was signed in when the socket opened; ``None`` for nobody.
    """

    fingerprint: str | None


@frozen
class FreshRead:
    """A value that is to be written, as the loop leaves it: decoded, and without a time.

    ``encoded`` is for the thread of the store, so that neither the codec nor the wall clock is
    the loop's work. The value is nobody's to change, so reading it there needs no lock.

    Attributes:
        key: The subscription key.
        value: The base value, decoded.
        identity: Fingerprint of whose socket delivered it.
        credential: Digest of the token in force, or ``None``.
        cursor: Position of the value.
        epoch: The history that the cursor counts in.
        version: Version of the application.
    """

    key: str
    value: Any
    identity: str | None
    credential: str | None = None
    cursor: int | None = None
    epoch: str | int | None = None
    version: str | None = None

    def encoded(self, stored_at: float) -> CachedRead:
        """Return the entry to store, with the wall clock's seconds.

        Raises:
            CodecError: The value has no wire form; nothing of this key can be stored.
        """
        return CachedRead(
            key=self.key,
            value=encode_wire(self.value),
            identity=self.identity,
            credential=self.credential,
            cursor=self.cursor,
            epoch=self.epoch,
            stored_at=stored_at,
            version=self.version,
        )


class ReadCache:
    """The durable read cache of one client.

    Knows the entries that wait to be shown, those that are shown and were not superseded, and the keys
    whose values are to be written. Does not know the store, the time, nor who is signed in: its caller
    says so, and does what the methods return.

    Args:
        version: Version of the application; entries of another one are stale. ``None`` lets all be.
        delay: Seconds for which writes are gathered, from the first one on.
        limit: How many entries are held, and how many values wait to be written.

    Attributes:
        deadline: When ``handle_deadline`` is due, infinite when never.
        is_unarmed: Whether something was noted that has no deadline yet, so that ``arm`` must be called.
    """

    def __init__(self, *, version: str | None = None, delay: float = WRITE_DELAY, limit: int = ENTRY_LIMIT) -> None:
        self.deadline = inf
        self.is_unarmed = False
        self._version = version
        self._delay = delay
        self._limit = limit
        # A key is in one of these three at most: that is why noting a dirty one again is a single store.
        self._held: dict[str, CachedRead] = {}
        self._lent: dict[str, CachedRead] = {}
        self._dirty: dict[str, tuple[Result, Stamp]] = {}
        # What the server gave before the store was read; nothing once it was.
        self._delivered_early: set[str] | None = set()

    def load(self, entries: Iterable[CachedRead]) -> list[str]:
        """Hold what the store had, and return the keys that the store must forget: those of a stale version.

        The first call counts, and none after ``forget_all``, which empties the store. If the store cannot
        be read, call it with nothing. What the server has delivered meanwhile is neither held nor
        returned: its entry may have been written over already.
        """
        delivered, self._delivered_early = self._delivered_early, None
        if delivered is None:
            return []
        loaded = [entry for entry in entries if entry.key not in delivered]
        usable = [entry for entry in loaded if not self._is_stale(entry)]
        self._held = {entry.key: entry for entry in nlargest(self._limit, usable, key=_stored_at)}
        return [entry.key for entry in loaded if self._is_stale(entry)]

    def take_seed(self, key: str, identity: Identity) -> CachedRead | None:
        """Lend the key's entry if it may be shown as this identity; one that may not stays held."""
        entry = self._held.get(key)
        if entry is None or not matches(entry, identity):
            return None
        self._lent[key] = self._held.pop(key)
        return entry

    def give_back(self, key: str) -> None:
        """Hold a seed again: nobody asks for its query any more. One that was superseded is gone."""
        entry = self._lent.pop(key, None)
        if entry is not None:
            self._held[key] = entry

    def drop(self, key: str) -> None:
        """Forget a seed that cannot be read; the caller must take it out of the store."""
        self._lent.pop(key, None)

    def revoke_seeds(self, identity: Identity) -> list[str]:
        """Hold again the seeds that this identity may not see; the caller must take the values off the screen."""
        revoked = [key for key, entry in self._lent.items() if not matches(entry, identity)]
        for key in revoked:
            self.give_back(key)
        return revoked

    def note(self, key: str, result: Result, stamp: Stamp) -> None:
        """Note that the server gave the key's base, or confirmed it; what was held or lent is superseded.

        Runs once a frame: the time is not asked for, and the result is read when it is written.
        Then, if ``is_unarmed``, call ``arm``.
        """
        if key not in self._dirty:
            self._supersede(key)
        self._dirty[key] = (result, stamp)

    def arm(self, now: float) -> None:
        """Give what was noted first its deadline; what is noted until then is written with it."""
        if self.is_unarmed:
            self.deadline, self.is_unarmed = now + self._delay, False

    def identity_settled(self, now: float) -> None:
        """Note that it is known who is signed in: what waited for that is due."""
        if self._dirty and self.deadline == inf:
            self.deadline, self.is_unarmed = now, False

    def handle_deadline(self, now: float, identity: Identity) -> list[FreshRead]:
        """Return what is to be written by now."""
        return self.flush(identity) if now >= self.deadline else []

    def flush(self, identity: Identity) -> list[FreshRead]:
        """Return everything that is to be written, at once.

        While the identity is null and unresolved that is nothing: it waits for ``identity_settled``,
        without a deadline.
        """
        self.deadline, self.is_unarmed = inf, False
        if identity.is_unresolved:
            return []
        noted, self._dirty = self._dirty, {}
        fingerprint, digest = identity.fingerprint, identity.credential
        # A stamp of somebody else is of a socket that was retired. One of nobody may well be of an open
        # socket: signing in does not close it.
        accepted = (None, fingerprint, digest)
        proofs = {fingerprint: digest} if _has_subject(identity) else {}
        return [
            self._fresh(key, result, stamp.fingerprint, proofs.get(stamp.fingerprint))
            for key, (result, stamp) in noted.items()
            if result.base is not UNDEFINED and stamp.fingerprint in accepted
        ]

    def forget_all(self) -> None:
        """Forget every entry and every value: somebody else is signed in now. The caller must empty the store."""
        self.deadline, self.is_unarmed = inf, False
        self._held.clear()
        self._lent.clear()
        self._dirty.clear()
        self._delivered_early = None

    def _supersede(self, key: str) -> None:
        dirty = self._dirty
        if not dirty:
            self.is_unarmed = True
        self._held.pop(key, None)
        self._lent.pop(key, None)
        if self._delivered_early is not None:
            self._delivered_early.add(key)
        # The store would drop the excess as well, and nobody knows for how long an identity stays unresolved.
        if len(dirty) >= self._limit:
            del dirty[next(iter(dirty))]

    def _fresh(self, key: str, result: Result, fingerprint: str | None, credential: str | None) -> FreshRead:
        # A polled value has no place in the history: the next process asks for the whole of it.
        position = (result.cursor, result.epoch) if result.anchor is UNDEFINED else (None, None)
        return FreshRead(key, result.base, fingerprint, credential, *position, self._version)

    def _is_stale(self, entry: CachedRead) -> bool:
        return self._version is not None and entry.version != self._version


def matches(entry: CachedRead, identity: Identity) -> bool:
    """Tell whether an entry may be shown as this identity.

    It may if it is stamped with the identity's fingerprint, whose subject must not await confirmation,
    or if the token in force delivered it: as stamp, or as credential. Nobody who may yet turn out to be
    somebody sees nothing.
    """
    if identity.is_unresolved:
        return False
    if identity.is_confirmed and entry.identity == identity.fingerprint:
        return True
    credential = identity.credential
    return credential is not None and credential in (entry.identity, entry.credential)


def _has_subject(identity: Identity) -> bool:
    """Tell whether it is settled which subject the token belongs to; without one, a stamp says all there is."""
    return identity.is_confirmed and isinstance(identity.subject, str)


def _stored_at(entry: CachedRead) -> float:
    return entry.stored_at
