"""Paces the subscribe frames that follow the opening of a socket.

Source: ``docs/protocol.md``, section "Resubscribe pacing".
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

CONCURRENCY = 3
SLOT_TIMEOUT = 10.0


class Pacing:
    """Which subscriptions wait to be sent again, and which were sent and not heard of.

    With ``concurrency`` 1 it looks for a query whose value is too large for a frame: a
    slot is then freed by an answer only, not by a mere acknowledgement.
    """

    def __init__(self, ids: Iterable[str] = (), *, concurrency: int = CONCURRENCY) -> None:
        self.concurrency = concurrency
        self._waiting = dict.fromkeys(ids)
        self._slots: dict[str, float] = {}

    @property
    def is_searching(self) -> bool:
        """Whether subscriptions go out one at a time, to find the one that is too large."""
        return self.concurrency == 1

    @property
    def suspect(self) -> str | None:
        """The one subscription that is out while searching; ``None`` when there is none."""
        return next(iter(self._slots), None) if self.is_searching else None

    @property
    def deadline(self) -> float:
        """When a slot is freed for want of any answer."""
        return min(self._slots.values(), default=inf)

    def next_to_send(self, now: float) -> str | None:
        """Take the next subscription to send, if a slot is free; it occupies the slot."""
        if not self._waiting or len(self._slots) >= self.concurrency:
            return None
        subscription_id = next(iter(self._waiting))
        del self._waiting[subscription_id]
        self._slots[subscription_id] = now + SLOT_TIMEOUT
        return subscription_id

    def release(self, subscription_id: str) -> bool:
        """Free the slot of a subscription that was answered or removed; tell whether it held one."""
        self._waiting.pop(subscription_id, None)
        return self._slots.pop(subscription_id, None) is not None

    def add(self, subscription_id: str) -> None:
        """Let one more subscription wait, behind the others."""
        self._waiting[subscription_id] = None

    @property
    def is_done(self) -> bool:
        """Whether nothing waits and nothing is out."""
        return not self._waiting and not self._slots

    def handle_deadline(self, now: float) -> None:
        """Free the slots that were never answered."""
        self._slots = {each: deadline for each, deadline in self._slots.items() if deadline > now}
