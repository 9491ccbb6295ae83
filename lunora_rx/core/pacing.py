"""Paces the subscribe frames that follow the opening of a socket.

Source: ``docs/protocol.md``, section "Resubscribe pacing".
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from math import inf

CONCURRENCY = 3
SLOT_TIMEOUT = 10.0


class Pacing:
    """Which subscriptions wait to be sent again, and which were sent and not heard of.

    With ``concurrency`` 1 it looks for a query whose value is too large for a frame: a
    slot is then freed by an answer only, not by a mere acknowledgement, and one that is
    overdue stays under suspicion, because a large value takes its time.
    """

    def __init__(self, ids: Iterable[str] = (), *, concurrency: int = CONCURRENCY) -> None:
        self.concurrency = concurrency
        # Ordered dicts, because finding the first key of a plain one slows down with every one taken from its front.
        self._waiting = OrderedDict.fromkeys(ids)
        self._slots: dict[str, float] = {}
        self._overdue: OrderedDict[str, bool] = OrderedDict()
        self._note()

    @property
    def is_searching(self) -> bool:
        """Whether subscriptions go out one at a time, to find the one that is too large."""
        return self.concurrency == 1

    @property
    def suspect(self) -> str | None:
        """The first subscription that is out and unanswered while searching; ``None`` when there is none."""
        return next(iter((*self._overdue, *self._slots)), None) if self.is_searching else None

    @property
    def deadline(self) -> float:
        """When a slot is freed for want of any answer."""
        return min(self._slots.values(), default=inf)

    def next_to_send(self, now: float) -> str | None:
        """Take the next subscription to send, if a slot is free; it occupies the slot."""
        if not self._waiting or len(self._slots) >= self.concurrency:
            return None
        subscription_id, _ = self._waiting.popitem(last=False)
        self._slots[subscription_id] = now + SLOT_TIMEOUT
        return subscription_id

    def release(self, subscription_id: str) -> bool:
        """Strike out a subscription that was answered or removed; tell whether it was out."""
        self._waiting.pop(subscription_id, None)
        was_overdue = self._overdue.pop(subscription_id, False)
        was_out = self._slots.pop(subscription_id, None) is not None or was_overdue
        self._note()
        return was_out

    def add(self, subscription_id: str) -> None:
        """Let one more subscription wait, behind the others."""
        self._waiting[subscription_id] = None
        self._note()

    def acquit(self, ids: Iterable[str]) -> None:
        """Suspect these no more for want of an answer: they may have nothing to say."""
        for each in ids:
            self._overdue.pop(each, None)
        self._note()

    def handle_deadline(self, now: float) -> None:
        """Free the slots that were never answered."""
        for overdue in [each for each, deadline in self._slots.items() if deadline <= now]:
            del self._slots[overdue]
            if self.is_searching:
                self._overdue[overdue] = True
        self._note()

    def _note(self) -> None:
        # Whether nothing waits and nothing is out; an attribute, because it is asked once a frame.
        self.is_done = not self._waiting and not self._slots and not self._overdue
