"""How far the replay of queued writes has come, over all shards.

Knows counts. Does not know which writes they are.
"""

from __future__ import annotations

from collections.abc import Callable

from lunora_rx.core.events import Event, ReplayProgressed


class Progress:
    """Counts over all passes since the last time none ran.

    Args:
        emit: Takes an event for every change.
    """

    def __init__(self, emit: Callable[[Event], None]) -> None:
        self._emit = emit
        self._running = 0
        self._total = self._settled = self._kept = 0

    def begin(self, writes: int) -> None:
        """Note that a pass takes writes on."""
        if not self._running:
            self._total = self._settled = self._kept = 0
        self._running += 1
        self._total += writes
        if writes:
            self._tell()

    def settle(self, writes: int) -> None:
        """Note that writes of a pass have their verdicts."""
        self._settled += writes
        if writes:
            self._tell()

    def end(self, kept: int) -> None:
        """Note that a pass is over, and how many of its writes went back to the queue."""
        self._running -= 1
        self._kept += kept
        if self._total and not self._running:
            self._tell()

    def _tell(self) -> None:
        self._emit(ReplayProgressed(self._total, self._settled, self._kept, self._running > 0))
