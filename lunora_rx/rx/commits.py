"""Values of several live queries, and which of the server's commits they hold whole.

Source: ``docs/protocol.md``, section "What a server must do".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any


class Shard:
    """How far the members of one shard have come, and what they were before a commit that is perhaps not whole.

    A server tells the commits of a shard one after another, each to all queries that it touches: once a member has
    reached the next one, those before are whole; and the last one is, once all members have reached it.
    """

    def __init__(self) -> None:
        self.is_open = False
        self._newest: int | None = None
        self._cursors: dict[str, int] = {}
        self._before: dict[str, Any] = {}

    def advance(self, name: str, cursor: int, values: Mapping[str, Any]) -> bool:
        """Note the position of a member whose value is still the former one; tells whether another commit begins."""
        if cursor == self._cursors.get(name):
            return False
        begins = cursor != self._newest
        if begins:
            self._newest, self.is_open = cursor, True
            self._before = {each: values[each] for each in self._cursors if each in values}
        self._cursors[name] = cursor
        if all(each == cursor for each in self._cursors.values()):
            self.is_open = False
        return begins

    def without_open(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return the values as they were before a commit that is open."""
        if not self.is_open:
            return values
        others = {name: value for name, value in values.items() if name not in self._cursors}
        return {**others, **self._before}


class Values:
    """The latest values of some members, by name."""

    def __init__(self) -> None:
        self.latest: dict[str, Any] = {}
        self._shards: defaultdict[str, Shard] = defaultdict(Shard)

    @property
    def is_open(self) -> bool:
        """Whether a commit is perhaps not whole."""
        return any(shard.is_open for shard in self._shards.values())

    @property
    def whole(self) -> dict[str, Any]:
        """The values without commits that are open."""
        values = self.latest
        for shard in self._shards.values():
            values = shard.without_open(values)
        return values

    def take(self, name: str, value: Any, position: tuple[str, int] | None) -> bool:
        """Note a member's value; tells whether it begins another commit."""
        begins = position is not None and self._shards[position[0]].advance(name, position[1], self.latest)
        self.latest[name] = value
        return begins

    def close(self) -> None:
        """Take every commit for whole."""
        for shard in self._shards.values():
            shard.is_open = False
