"""A shape as an Observable of its rows, with its row operations and snapshots beside it.

Source: ``docs/protocol.md``, section "Shapes and pokes".
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Generic, NoReturn, Protocol, TypeVar, cast

from reactivex import Observable, abc
from reactivex.disposable import Disposable

from lunora_rx.core.shape_events import RowOp, RowsChanged, ShapeEvent, ShapeFailed, ShapeMoved
from lunora_rx.core.snapshot import Snapshot, SnapshotStatus
from lunora_rx.errors import LunoraError
from lunora_rx.protocol.values import UNDEFINED
from lunora_rx.rx import display
from lunora_rx.rx.interop import FirstValue, ObservableIterator, observable_to_aiter
from lunora_rx.rx.observers import Observers, OnError
from lunora_rx.rx.row_changes import RowChanges
from lunora_rx.rx.subject import Turns

__all__ = ["Requests", "RowChanges", "RowOp", "Shape", "Shapes"]

T = TypeVar("T")


class Requests(Protocol):
    """What shapes ask of whoever holds the connection."""

    def enter(self, what: str) -> None:
        """Raise unless requests can be made here and now."""
        ...

    def call_on_loop(self, callback: Callable[[], None]) -> None:
        """Run a callback on the client's thread."""
        ...

    def subscribe_shape(self, name: str, args: Any, shard: str) -> str:
        """Ask for a shape; return its id, which its events bear."""
        ...

    def unsubscribe_shape(self, shape_id: str, shard: str) -> None:
        """Give a shape up."""
        ...


class RowsSubject(Generic[T]):
    """What one shape shows, with all who watch it.

    It keeps the rows as they were told, which the core may be ahead of, and makes a list of them
    only when somebody looks.
    """

    def __init__(self, report: OnError) -> None:
        self.lists: Observers[list[T]] = Observers(report)
        self.changes: Observers[RowChanges[T]] = Observers(report)
        self.snapshots: Observers[Snapshot[list[T]]] = Observers(report)
        self.rows: dict[str, T] = {}
        self.status = SnapshotStatus.PENDING
        self._error: LunoraError | None = None
        self._has_rows = False
        self._list: list[T] | None = None
        self._changed_at: float | None = None
        self._turns: Turns[ShapeEvent] = Turns(self._show)

    @property
    def value(self) -> Any:
        """The rows as a list, which stays as it is when they change; ``UNDEFINED`` before the first poke."""
        if not self._has_rows:
            return UNDEFINED
        if self._list is None:
            self._list = list(self.rows.values())
        return self._list

    @property
    def seed(self) -> Any:
        """What makes the rows out of nothing; ``UNDEFINED`` before the first poke."""
        if not self._has_rows:
            return UNDEFINED
        return RowChanges(tuple(RowOp("insert", key, row, UNDEFINED) for key, row in self.rows.items()), is_reset=True)

    @property
    def snapshot(self) -> Snapshot[list[T]]:
        """What is shown now."""
        at = self._changed_at
        updated_at = None if at is None else datetime.fromtimestamp(at, UTC)
        return Snapshot(self.status, self.value, self._error, None, 0, updated_at)

    def publish(self, event: ShapeEvent) -> None:
        """Show what an event tells; one that comes during a delivery waits for its turn."""
        self._turns.take(event)

    def attach(
        self, observers: Observers[Any], observer: abc.ObserverBase[Any], shown: Callable[[], Any]
    ) -> Callable[[], None]:
        """Let an observer watch, what is ``shown`` first unless that is ``UNDEFINED``; return what removes it."""
        return self._turns.attach(observers, observer, shown())

    def forget(self) -> None:
        """Forget what was shown, and what has yet to be: nobody watches any more."""
        self._turns.waiting = ()
        self.rows.clear()
        self.status, self._error = SnapshotStatus.PENDING, None
        self._has_rows, self._list, self._changed_at = False, None, None

    def complete(self) -> None:
        """Complete everybody."""
        for observers in (self.lists, self.changes, self.snapshots):
            observers.complete()

    def _show(self, event: ShapeEvent) -> None:
        # All who are told are known before the first is: whoever attaches meanwhile is shown the new state already.
        lists, changes, snapshots = self.lists.present(), self.changes.present(), self.snapshots.present()
        if isinstance(event, ShapeMoved) and event.status is self.status:
            return
        self.status, self._changed_at = event.status, time.time()
        self._error = event.error if isinstance(event, ShapeFailed) else None
        if isinstance(event, RowsChanged):
            self._apply(event)
            # Made now: an observer may cause the rows to be forgotten.
            rows = list(self.rows.values()) if lists else []
            self._list = rows if lists else None
            self.changes.next(RowChanges(event.ops, event.is_reset), changes)
            self.lists.next(rows, lists)
        if snapshots:
            self.snapshots.next(self.snapshot, snapshots)
        if isinstance(event, ShapeFailed):
            self.changes.error(event.error.copy, changes)
            self.lists.error(event.error.copy, lists)

    def _apply(self, event: RowsChanged) -> None:
        rows = self.rows
        if event.is_reset:
            rows.clear()
        for op, key, row, _ in event.ops:
            if op == "delete":
                del rows[key]
            else:
                rows[key] = row
        self._has_rows = event.status is not SnapshotStatus.PENDING


class Shapes:
    """All shapes that somebody watches, by the ids that their events bear.

    Args:
        requests: Where shapes are asked for.
        report: Takes what observers raise.
        health: What shapes are displayed beside, if their client can tell.
    """

    def __init__(self, requests: Requests, report: OnError, *, health: display.Health | None = None) -> None:
        self.requests = requests
        self.health = health
        self.is_completed = False
        self._report = report
        self._subjects: dict[str, RowsSubject[Any]] = {}

    def __len__(self) -> int:
        return len(self._subjects)

    def shape(self, name: str, args: Any, shard: str) -> Shape[Any]:
        """Return a shape, with arguments in wire form; its first observer asks the server for it."""
        return Shape(self, name, args, shard)

    def publish(self, event: ShapeEvent) -> None:
        """Show what an event tells of its shape."""
        subject = self._subjects.get(event.shape_id)
        if subject is not None:
            subject.publish(event)

    def complete(self) -> None:
        """Let go of all who watch; later ones get the end at once."""
        self.is_completed = True
        subjects, self._subjects = self._subjects, {}
        for subject in subjects.values():
            subject.complete()

    def new_subject(self) -> RowsSubject[Any]:
        """Return a subject that reports as all of these do."""
        return RowsSubject(self._report)

    def open(self, name: str, args: Any, shard: str, subject: RowsSubject[Any]) -> str:
        """Ask for a shape that a subject shows from now on; return its id."""
        shape_id = self.requests.subscribe_shape(name, args, shard)
        self._subjects[shape_id] = subject
        return shape_id

    def release(self, shape_id: str, shard: str) -> None:
        """Give a shape up that nobody watches any more; silent after the end."""
        if self._subjects.pop(shape_id, None) is not None:
            self.requests.unsubscribe_shape(shape_id, shard)


class Shape(Observable[list[T]]):
    """The rows of a shape, as they change on the server: hot, shared, latest rows first.

    The first observer, of whichever stream, asks for the shape; the last one to leave gives it up. Two
    shapes are two subscriptions, even with the same name and arguments. A lost connection is no error: the
    rows stay, and the stream goes on after the resume. An error of the shape itself ends lists and ``changes``
    for the observers of that moment with ``ServerError``, or with ``CodecError`` where rows cannot be read;
    a new observer gets the latest rows, not the error. A list is made only if somebody looks, and is
    shared: treat it as read-only. In a notebook a shape displays itself, and stays live.
    """

    def __init__(self, shapes: Shapes, name: str, args: Any, shard: str) -> None:
        super().__init__()
        self._shapes = shapes
        self._name = name
        self._args = args
        self._shard = shard
        self._subject: RowsSubject[T] = shapes.new_subject()
        self._rows = MappingProxyType(self._subject.rows)
        self._observer_count = 0
        self._health = shapes.health
        self._id = ""

    def __repr__(self) -> str:
        return f"<Shape {self.title} {self._subject.status} rows={len(self._rows)}>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Any:
        return display.mimebundle(self)

    def _display_(self) -> Any:
        return display.view(self)

    @property
    def title(self) -> str:
        """How the shape is written in a program, its arguments left out."""
        shard = f", shard={self._shard!r}" if self._shard else ""
        return f"{self._name!r}{shard}"

    @property
    def rows(self) -> Mapping[str, T]:
        """The rows by key, in the server's order: a read-only view that changes with them, empty while nobody watches.

        Within an observer of ``changes`` it already holds what the observer is told.
        """
        return self._rows

    @property
    def changes(self) -> Observable[RowChanges[T]]:
        """What each poke did to the rows, at a cost that does not grow with their number.

        Folded from the first on, they give ``rows``: an observer that comes when there are rows already first
        gets all of them as inserts with ``is_reset``, and so does everybody when the server starts over.
        """
        return Observable(self._attach_changes)

    @property
    def value(self) -> list[T]:
        """The rows shown now; ``UNDEFINED`` before the first poke, and while nobody watches."""
        return cast("list[T]", self._subject.value)

    @property
    def snapshot(self) -> Snapshot[list[T]]:
        """What is shown now, with its status; a shape's has no cursor."""
        return self._subject.snapshot

    @property
    def snapshots(self) -> Observable[Snapshot[list[T]]]:
        """Every change of rows or status, the present one first; never ends with an error."""
        return Observable(self._attach_snapshots)

    def first(self, predicate: Callable[[list[T]], bool] | None = None) -> FirstValue[list[T]]:
        """Return an Observable of the first list (that satisfies ``predicate``), which can be awaited.

        Awaiting raises what the shape fails with before, ``ClientClosedError`` when the client ends.
        """
        return FirstValue(self, predicate)

    def aiter(self, *, conflate: bool = True) -> ObservableIterator[list[T]]:
        """Iterate over the lists with ``async for``.

        Args:
            conflate: Whether a slow loop sees the newest list only. Without it every list is kept, up to 1,024;
                a loop that is further behind gets a ``StreamError`` with code ``STREAM_BACKPRESSURE``.
        """
        return observable_to_aiter(self, overflow="latest" if conflate else "error")

    def __aiter__(self) -> ObservableIterator[list[T]]:
        return self.aiter()

    def __iter__(self) -> NoReturn:
        raise TypeError(
            "a shape changes for ever: iterate with `async for`, or take one value with `await first()`;"
            " programs with no event loop have lunora_rx.blocking"
        )

    def __await__(self) -> Generator[Any, None, NoReturn]:
        raise TypeError("a shape has no last value to await; await shape.first(), or iterate over shape.aiter()")

    def _subscribe_core(
        self, observer: abc.ObserverBase[list[T]], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        return self._attach(self._subject.lists, observer, lambda: self._subject.value)

    def _attach_changes(
        self, observer: abc.ObserverBase[RowChanges[T]], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        return self._attach(self._subject.changes, observer, lambda: self._subject.seed)

    def _attach_snapshots(
        self, observer: abc.ObserverBase[Snapshot[list[T]]], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        return self._attach(self._subject.snapshots, observer, lambda: self._subject.snapshot)

    def _attach(
        self, observers: Observers[Any], observer: abc.ObserverBase[Any], shown: Callable[[], Any]
    ) -> abc.DisposableBase:
        shapes = self._shapes
        if shapes.is_completed:
            observers.finish(observer)
            return Disposable()
        shapes.requests.enter("subscribing to a shape")
        if self._observer_count == 0:
            self._id = shapes.open(self._name, self._args, self._shard, self._subject)
        self._observer_count += 1
        leave = self._leaver(self._subject.attach(observers, observer, shown))
        return Disposable(lambda: shapes.requests.call_on_loop(leave))

    def _leaver(self, detach: Callable[[], None]) -> Callable[[], None]:
        def leave() -> None:
            detach()
            self._observer_count -= 1
            if self._observer_count == 0:
                self._subject.forget()
                self._shapes.release(self._id, self._shard)

        return leave
