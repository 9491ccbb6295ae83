"""Subjects that replay their latest state and survive what their observers do.

``reactivex.BehaviorSubject`` starves later observers when one raises, and shows them
values in the wrong order when one emits re-entrantly; these queue and drain instead.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from time import time
from typing import Any, Generic, TypeVar, cast

from reactivex import Observable, abc
from reactivex.disposable import Disposable

from lunora_rx.core.delta import RowMerge
from lunora_rx.core.events import QueryFailed, SnapshotChanged, ValueChanged
from lunora_rx.core.snapshot import Snapshot, SnapshotStatus
from lunora_rx.protocol.values import UNDEFINED
from lunora_rx.rx import display
from lunora_rx.rx.observers import Observers, OnError

T = TypeVar("T")
QueryEvent = ValueChanged | SnapshotChanged | QueryFailed


class Turns(Generic[T]):
    """Deals with one thing at a time: what comes meanwhile waits for its turn, in order.

    Args:
        deal: Does it.
    """

    __slots__ = ("_deal", "is_busy", "waiting")

    def __init__(self, deal: Callable[[T], None]) -> None:
        # A deque once something had to wait: an empty one takes more room than all else of a live query.
        self.waiting: deque[T] | tuple[()] = ()
        self._deal = deal
        self.is_busy = False

    def take(self, thing: T) -> None:
        """Deal with something, now or when its turn has come."""
        if self.is_busy:
            self.waiting = self.waiting or deque()
            self.waiting.append(thing)
            return
        self.is_busy = True
        try:
            self._deal(thing)
        finally:
            self.is_busy = False
        if self.waiting:
            self.go_on()

    def attach(self, observers: Observers[Any], observer: abc.ObserverBase[Any], present: Any) -> Callable[[], None]:
        """Add an observer, tell it what is shown unless that is ``UNDEFINED``, and return what removes it.

        What comes while it looks at the present state comes after it: neither lost nor before.
        """
        detach = observers.attach(observer)
        if present is UNDEFINED:
            return detach
        was_busy, self.is_busy = self.is_busy, True
        try:
            observers.replay(observer, present)
        finally:
            self.is_busy = was_busy
        if not was_busy:
            self.go_on()
        return detach

    def go_on(self) -> None:
        """Deal with what has waited meanwhile, in order."""
        self.is_busy = True
        try:
            while self.waiting:
                self._deal(self.waiting.popleft())
        finally:
            self.is_busy = False


class SnapshotSubject(Generic[T]):
    """What one live query shows, with all who watch it.

    It keeps the latest event and makes a ``Snapshot`` of it only when somebody looks.
    """

    def __init__(self, report: OnError) -> None:
        self.values: Observers[T] = Observers(report)
        self.resilient: Observers[T] = Observers(report)
        self.snapshots: Observers[Snapshot[T]] = Observers(report)
        self.value: Any = UNDEFINED
        self._latest: QueryEvent = SnapshotChanged("", Snapshot())
        self._changed_at: float | None = None
        self._turns: Turns[QueryEvent] = Turns(self._show)
        # Not a method of its own: a frame more a call would be one a frame.
        self.publish = self._turns.take

    @property
    def snapshot(self) -> Snapshot[T]:
        """What is shown now."""
        latest = self._latest
        at = self._changed_at
        updated_at = None if at is None else datetime.fromtimestamp(at, UTC)
        if isinstance(latest, ValueChanged):
            value = cast("T", latest.value)
            return Snapshot(SnapshotStatus.LIVE, value, None, latest.cursor, latest.pending_layers, updated_at)
        return replace(latest.snapshot, updated_at=updated_at)

    @property
    def row_merge(self) -> RowMerge | None:
        """How the value shown now was made of the one before, if by one row change."""
        latest = self._latest
        return latest.merge if isinstance(latest, ValueChanged) else None

    def attach_values(self, observer: abc.ObserverBase[T], *, resilient: bool = False) -> Callable[[], None]:
        """Let an observer watch the values, the present one first; return what removes it."""
        observers = self.resilient if resilient else self.values
        return self._turns.attach(observers, observer, self.value)

    def attach_snapshots(self, observer: abc.ObserverBase[Snapshot[T]]) -> Callable[[], None]:
        """Let an observer watch the snapshots, the present one first; return what removes it."""
        return self._turns.attach(self.snapshots, observer, self.snapshot)

    def complete(self) -> None:
        """Complete everybody."""
        for observers in (self.values, self.resilient, self.snapshots):
            observers.complete()

    def publish_value(self, event: ValueChanged) -> None:
        """Show a new value: ``publish`` without a detour, for what nearly every frame comes to."""
        turns = self._turns
        if turns.is_busy or self.snapshots.places or self.resilient.places:
            turns.take(event)
            return
        turns.is_busy = True
        try:
            self._latest, self._changed_at = event, time()
            self.value = value = event[1]
            self.values.next(value)
        finally:
            turns.is_busy = False
        if turns.waiting:
            turns.go_on()

    def _show(self, event: QueryEvent) -> None:
        self._latest, self._changed_at = event, time()
        shown = self.value
        self.value = value = event[1] if type(event) is ValueChanged else event.snapshot.value  # type: ignore[union-attr]
        # All who are told are known before the first is: whoever attaches meanwhile is shown the new state already.
        values, resilient, snapshots = self.values.present(), self.resilient.present(), self.snapshots.present()
        if type(event) is QueryFailed:
            self.values.take()
        if value is not UNDEFINED and value is not shown:
            self.values.next(value, values)
            if resilient:
                self.resilient.next(value, resilient)
        if snapshots:
            self.snapshots.next(self.snapshot, snapshots)
        if type(event) is QueryFailed:
            assert event.snapshot.error is not None, "a failed query says why"
            self.values.error(event.snapshot.error.copy, values)


class Latest(Observable[T]):
    """A value that changes: observers get it at once, then each real change; displays itself in a notebook.

    Args:
        value: What it is at first.
        report: Takes what an observer raises.
        title: How it is written in a program.
    """

    def __init__(self, value: T, report: OnError, *, title: str = "value") -> None:
        super().__init__()
        self.title = title
        self._health: display.Health | None = None
        self._value = value
        self._observers: Observers[T] = Observers(report)
        self._turns: Turns[T] = Turns(self._show)
        self._is_completed = False

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Any:
        return display.mimebundle(self)

    def _display_(self) -> Any:
        return display.view(self)

    @property
    def value(self) -> T:
        """The value now."""
        return self._value

    def set(self, value: T) -> None:
        """Change the value; an equal one is not published."""
        waiting = self._turns.waiting
        if value != (waiting[-1] if waiting else self._value):
            self._turns.take(value)

    def complete(self) -> None:
        """Let go of all observers; later ones get the last value and the end."""
        self._is_completed = True
        self._observers.complete()

    def _show(self, value: T) -> None:
        self._value = value
        self._observers.next(value)

    def _subscribe_core(
        self, observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        if self._is_completed:
            self._observers.replay(observer, self._value)
            self._observers.finish(observer)
            return Disposable()
        return Disposable(self._turns.attach(self._observers, observer, self._value))


class Signal(Observable[T]):
    """Things that happen: observers get what happens while they watch."""

    def __init__(self, report: OnError) -> None:
        super().__init__()
        self._observers: Observers[T] = Observers(report)
        self._is_completed = False

    @property
    def is_watched(self) -> bool:
        """Whether anybody would be told."""
        return bool(self._observers)

    def emit(self, value: T) -> None:
        """Tell all observers that it happened."""
        self._observers.next(value)

    def complete(self) -> None:
        """Let go of all observers; later ones get the end at once."""
        self._is_completed = True
        self._observers.complete()

    def _subscribe_core(
        self, observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        if self._is_completed:
            self._observers.finish(observer)
            return Disposable()
        return Disposable(self._observers.attach(observer))


def once(callback: Callable[[], None]) -> Callable[[], None]:
    """Return a callback that acts at its first call only."""
    called = False

    def call() -> None:
        nonlocal called
        if not called:
            called = True
            callback()

    return call
