"""The live queries of one shard: who watches what, and what each was last told.

One ``LiveQuery`` stands for one function, one set of arguments and one identity, however
many sockets ask for it: it runs once and is encoded once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from lunora_rx.devserver.answers import Answer, Failure, deltas_between
from lunora_rx.devserver.functions import Function
from lunora_rx.devserver.tracking import Change, Read, ReadIndex

__all__ = ["Key", "LiveQueries", "LiveQuery", "Ran", "Subscriber", "Update"]

Key: TypeAlias = tuple[str, str, str | None]
"""Function path, stable key of the arguments, identity."""


@dataclass(frozen=True, slots=True)
class Update:
    """What a commit means for a live query: the same for all who watch it.

    Attributes:
        cursor: Position of the commit.
        epoch: The history it belongs to.
        answer: The value or failure from now on.
        is_same: Whether that is what it was before.
        deltas: JSON texts of the row changes that lead to it, if there are exact ones.
    """

    cursor: int
    epoch: str
    answer: Answer | Failure
    is_same: bool = False
    deltas: tuple[str, ...] = ()


class Subscriber(Protocol):
    """Somebody who is told what becomes of a live query."""

    def receive_update(self, update: Update) -> None:
        """Take note of a commit that touched the query."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What one run of a query gave, and what it has read."""

    answer: Answer | Failure
    reads: tuple[Read, ...]


class LiveQuery:
    """A query that somebody watches.

    Attributes:
        function: The query function.
        args: Its checked arguments.
        identity: On whose behalf it runs.
        answer: What its subscribers have; ``None`` before the first run.
        reads: What the latest run has read.
        runs: How many times it ran.
    """

    def __init__(self, key: Key, function: Function, args: Mapping[str, Any]) -> None:
        self.key = key
        self.function = function
        self.args = args
        self.identity = key[2]
        self.answer: Answer | Failure | None = None
        self.reads: tuple[Read, ...] = ()
        self.runs = 0
        self.subscribers: dict[Subscriber, None] = {}


class LiveQueries:
    """Runs a shard's live queries when, and only when, a commit touches what they have read.

    It does not know how a query is run (``run``), what cursor and epoch are reached (``position``),
    or how a frame looks.
    """

    def __init__(self, run: Callable[[LiveQuery], Ran], position: Callable[[], tuple[int, str]]) -> None:
        self._run = run
        self._position = position
        self._queries: dict[Key, LiveQuery] = {}
        self._index: ReadIndex[LiveQuery] = ReadIndex()

    def __len__(self) -> int:
        return len(self._queries)

    def __iter__(self) -> Iterator[LiveQuery]:
        return iter(self._queries.values())

    def watch(self, key: Key, function: Function, args: Mapping[str, Any], by: Subscriber) -> LiveQuery:
        """Join a live query; it runs if nobody watches it yet, or if it failed last time."""
        query = self._queries.setdefault(key, LiveQuery(key, function, args))
        if not isinstance(query.answer, Answer):
            self._run_again(query, {})
        query.subscribers[by] = None
        return query

    def unwatch(self, query: LiveQuery, by: Subscriber) -> None:
        """Leave a live query; the last one to leave ends it."""
        query.subscribers.pop(by, None)
        if not query.subscribers and self._queries.get(query.key) is query:
            del self._queries[query.key]
            self._index.remove(query)

    def apply(self, changes: Sequence[Change]) -> None:
        """Run what a commit has touched, and tell the subscribers."""
        tables = {each.id: each.table for each in changes}
        for query in self._index.touched_by(changes):
            if query.subscribers:  # an update before may have ended the last socket that watched it
                self._run_again(query, tables)

    def _run_again(self, query: LiveQuery, tables: Mapping[str, str]) -> None:
        old = query.answer
        self._refresh(query)
        if query.subscribers:
            update = self._update(query, old, tables)
            for subscriber in list(query.subscribers):
                subscriber.receive_update(update)

    def _update(self, query: LiveQuery, old: Answer | Failure | None, tables: Mapping[str, str]) -> Update:
        new = query.answer
        assert new is not None
        position = self._position()
        if not isinstance(old, Answer) or not isinstance(new, Answer):
            return Update(*position, new, is_same=old == new)
        if old.text == new.text:
            return Update(*position, new, is_same=True)
        return Update(*position, new, deltas=tuple(deltas_between(old, new, tables, query.function.path)))

    def _refresh(self, query: LiveQuery) -> None:
        ran = self._run(query)
        query.answer, query.reads = ran.answer, ran.reads
        query.runs += 1
        self._index.replace(query, ran.reads)
