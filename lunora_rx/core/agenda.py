"""What the shards of a client together have ahead of them."""

from __future__ import annotations

from collections import Counter
from heapq import heapify, heappop, heappush
from math import inf
from typing import Final

_SLACK: Final = 64  # entries of a heap that are not worth tidying up


class Agenda:
    """Which shards have frames to send, which is due when, and how many sockets are in which state.

    Sessions and connections note what changes, so that no event of one shard passes over all of them.
    """

    def __init__(self) -> None:
        self._senders: dict[str, None] = {}
        self._deadlines: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []  # holds each deadline there is, and some that are none any more
        self._states: Counter[type] = Counter()
        self.has_more = False

    @property
    def deadline(self) -> float:
        """When the first shard is due, infinite when none is."""
        heap = self._heap
        while heap and self._deadlines.get(heap[0][1]) != heap[0][0]:
            heappop(heap)
        return heap[0][0] if heap else inf

    def expect(self, shard: str, deadline: float) -> None:
        """Note when a shard is due, infinite for never, in the place of what was noted before."""
        if self._deadlines.get(shard, inf) == deadline:
            return
        self._deadlines[shard] = deadline
        self.has_more = True
        if deadline == inf:
            return
        heappush(self._heap, (deadline, shard))
        if len(self._heap) > 2 * len(self._deadlines) + _SLACK:
            self._heap = [(each, name) for name, each in self._deadlines.items() if each != inf]
            heapify(self._heap)

    def due(self, now: float) -> list[str]:
        """Return the shards that are due by now, the first one first; they stay so until something else is noted."""
        found = []
        while self.deadline <= now:
            found.append(heappop(self._heap))
        for entry in found:
            heappush(self._heap, entry)
        return list(dict.fromkeys(shard for _, shard in found))

    @property
    def senders(self) -> list[str]:
        """The shards that have frames to send, in the order in which they came to have them."""
        return list(self._senders)

    def note_frames(self, shard: str, *, are_there: bool) -> None:
        """Note whether a shard has frames to send."""
        if are_there:
            self._senders[shard] = None
            self.has_more = True
        else:
            self._senders.pop(shard, None)

    def move(self, before: type, after: type) -> None:
        """Note that a socket has gone over from one state to another."""
        self._states[before] -= 1
        self._states[after] += 1

    def count(self, state: type) -> int:
        """Return how many sockets are in a state that they have moved to."""
        return self._states[state]

    def forget(self, shard: str) -> None:
        """Forget a shard that is closed."""
        self._deadlines.pop(shard, None)
        self._senders.pop(shard, None)
