"""The shapes of one shard: which rows belong to each, and what a commit means for them.

A shape is a table and filters.  No row of it is kept here: whether a row belongs is asked of
its images before and after a commit, so a commit costs as much as it has changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol, TypeAlias

from lunora_rx.devserver.answers import Failure
from lunora_rx.devserver.changelog import ChangeLog
from lunora_rx.devserver.functions import Function
from lunora_rx.devserver.pokes import Patch, RowOp, row_op
from lunora_rx.devserver.refusals import refusal_of
from lunora_rx.devserver.tables import Table, rows_of, selection_of
from lunora_rx.devserver.tracking import Change, RangeRead, Read, ReadIndex

__all__ = ["Defined", "Key", "LiveShape", "LiveShapes", "News", "PokeOutlet", "ShapeSubscription"]

Key: TypeAlias = tuple[str, str, str | None]
"""Name, stable key of the arguments, identity."""

News: TypeAlias = Patch | Failure


class PokeOutlet(Protocol):
    """A socket, as far as pokes reach it."""

    def receive_news(self, poke_id: int, news: Sequence[tuple[ShapeSubscription, News]]) -> None:
        """Take what one commit means for the shapes of the socket."""


@dataclass(eq=False, slots=True)
class ShapeSubscription:
    """One shape on one socket.

    Attributes:
        id: What the client calls it.
        outlet: The socket.
        checkpoint: What the client was told last; ``None`` before that.
    """

    id: str
    outlet: PokeOutlet
    checkpoint: int | None = None


@dataclass(frozen=True, slots=True)
class Defined:
    """What one run of a shape function gave.

    Attributes:
        table: The rows it names, or why there are none.
        reads: What it has read to find that out.
    """

    table: Table | Failure
    reads: tuple[Read, ...] = ()


class LiveShape:
    """A shape that somebody watches.

    Attributes:
        function: The shape function.
        args: Its checked arguments.
        identity: On whose behalf it runs.
        definition: What it gave at its latest run.
        failure: Why nobody can be told its rows at present, if so.
    """

    def __init__(self, key: Key, function: Function, args: Mapping[str, Any], definition: Defined) -> None:
        self.key = key
        self.function = function
        self.args = args
        self.identity = key[2]
        self.definition = definition
        self.failure: Failure | None = None
        self.watchers: dict[ShapeSubscription, None] = {}

    @property
    def selection(self) -> RangeRead | None:
        """The rows that belong, as a condition that can be asked about one row."""
        table = self.definition.table
        return selection_of(table) if isinstance(table, Table) else None

    def membership(self) -> News:
        """Read all its rows; a predicate that raises fails the shape."""
        table = self.definition.table
        if isinstance(table, Failure):
            self.failure = table
            return table
        return self._judged(lambda: Patch(tuple(_inserts(table)), is_reset=True))

    def patch(self, changes: Sequence[Change]) -> News:
        """Tell what changes mean for its membership, one change a row."""
        selection = self.selection
        assert selection is not None
        return self._judged(lambda: Patch(tuple(_ops(selection, changes))))

    def _judged(self, judge: Callable[[], Patch]) -> News:
        try:
            patch = judge()
        except Exception as error:
            refusal = refusal_of(error, self.function.path)
            self.failure = Failure(refusal.code or "INTERNAL", refusal.message, refusal)
            return self.failure
        self.failure = None
        return patch


class LiveShapes:
    """Tells the sockets of a shard what a commit means for their shapes, in one poke for each socket.

    It does not know how a shape function is run (``define``), nor what a socket was told before.
    """

    def __init__(self, define: Callable[[Function, Mapping[str, Any], str | None], Defined]) -> None:
        self._define = define
        self._shapes: dict[Key, LiveShape] = {}
        self._definitions: ReadIndex[LiveShape] = ReadIndex()
        self._members: ReadIndex[LiveShape] = ReadIndex()
        self._poke_ids = count(1)

    def __len__(self) -> int:
        return len(self._shapes)

    def next_poke_id(self) -> int:
        """Return the number of a new poke."""
        return next(self._poke_ids)

    def watch(self, key: Key, function: Function, args: Mapping[str, Any], by: ShapeSubscription) -> LiveShape:
        """Join a shape; its function runs if nobody watches it yet, or if it failed last time."""
        shape = self._shapes.get(key)
        if shape is None:
            shape = self._shapes[key] = LiveShape(key, function, args, self._define(function, args, key[2]))
            self._note(shape)
        elif shape.failure is not None:
            self._redefine(shape)
            if not isinstance(told := shape.membership(), Failure):
                self._tell([(shape, told)])
        shape.watchers[by] = None
        return shape

    def unwatch(self, shape: LiveShape, by: ShapeSubscription) -> None:
        """Leave a shape; the last one to leave ends it."""
        shape.watchers.pop(by, None)
        if not shape.watchers and self._shapes.get(shape.key) is shape:
            del self._shapes[shape.key]
            self._definitions.remove(shape)
            self._members.remove(shape)

    def apply(self, changes: Sequence[Change]) -> None:
        """Tell every socket what a commit has changed in its shapes."""
        if self._shapes:
            self._tell(self._news(changes))

    def patch_since(self, shape: LiveShape, log: ChangeLog, since: int) -> Patch | None:
        """Return what changed in a shape after a checkpoint, or ``None`` where that cannot be told."""
        selection = shape.selection
        if selection is None:
            return None
        changes = log.changes_since(selection.table, since)
        if changes is None or not log.is_unchanged(shape.definition.reads, since):
            return None
        try:
            return Patch(tuple(_ops(selection, changes)))
        except Exception:  # a predicate of the application, asked about a row of the past
            return None

    def _tell(self, news: Iterable[tuple[LiveShape, News]]) -> None:
        by_outlet: dict[PokeOutlet, list[tuple[ShapeSubscription, News]]] = {}
        for shape, told in news:
            for watcher in shape.watchers:
                by_outlet.setdefault(watcher.outlet, []).append((watcher, told))
        if by_outlet:
            poke_id = self.next_poke_id()
            for outlet, its_news in by_outlet.items():
                outlet.receive_news(poke_id, its_news)

    def _news(self, changes: Sequence[Change]) -> Iterator[tuple[LiveShape, News]]:
        redefined = dict.fromkeys(self._definitions.touched_by(changes))
        for shape in redefined:
            if (told := self._redefined_news(shape, changes)) is not None:
                yield shape, told
        for shape in self._members.touched_by(changes):
            if shape not in redefined and (told := _members_news(shape, changes)) is not None:
                yield shape, told

    def _redefined_news(self, shape: LiveShape, changes: Sequence[Change]) -> News | None:
        old, failed = shape.selection, shape.failure
        self._redefine(shape)
        if old is not None and shape.selection == old:
            return _members_news(shape, changes)
        told = shape.membership()
        return None if told == failed else told

    def _redefine(self, shape: LiveShape) -> None:
        shape.definition = self._define(shape.function, shape.args, shape.identity)
        self._note(shape)

    def _note(self, shape: LiveShape) -> None:
        selection = shape.selection
        self._definitions.replace(shape, shape.definition.reads)
        self._members.replace(shape, () if selection is None else (selection,))


def _members_news(shape: LiveShape, changes: Sequence[Change]) -> News | None:
    """Return what changes mean for a shape; one that has failed is told whole as soon as it can be."""
    failed = shape.failure
    told = shape.patch(changes) if failed is None else shape.membership()
    if isinstance(told, Failure):
        return None if told == failed else told
    return told if told.ops or told.is_reset else None


def _inserts(table: Table) -> Iterator[RowOp]:
    name = selection_of(table).table
    return (row_op("insert", name, row["_id"], row) for row in rows_of(table))


def _ops(selection: RangeRead, changes: Sequence[Change]) -> Iterator[RowOp]:
    for change in changes:
        if change.table != selection.table:
            continue
        was, is_now = selection.holds(change.before), selection.holds(change.after)
        if is_now:
            yield row_op("update" if was else "insert", change.table, change.id, change.after)
        elif was:
            yield row_op("delete", change.table, change.id)
