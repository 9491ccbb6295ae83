"""Subjects that replay their latest state and survive what their observers do.

``reactivex.BehaviorSubject`` starves later observers when one raises, and shows them
values in the wrong order when one emits re-entrantly; these queue and drain instead.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any, Generic, TypeVar, cast

from reactivex import Observable, abc
from reactivex.disposable import Disposable

from lunora_rx.core.events import QueryFailed, SnapshotChanged, ValueChanged
from lunora_rx.core.snapshot import Snapshot, SnapshotStatus
from lunora_rx.errors import LunoraError
from lunora_rx.protocol.values import UNDEFINED
from lunora_rx.rx.observers import Observers, OnError

T = TypeVar("T")
QueryEvent = ValueChanged | SnapshotChanged | QueryFailed


class SnapshotSubject(Generic[T]):
    """What one live query shows, with all who watch it.

    It keeps the latest event and makes a ``Snapshot`` of it only when somebody looks.
    """

    def __init__(self, report: OnError, *, inspects: bool = False) -> None:
        self.values: Observers[T] = Observers(report, inspects=inspects)
        self.resilient: Observers[T] = Observers(report, inspects=inspects)
        self.snapshots: Observers[Snapshot[T]] = Observers(report)
        self.value: Any = UNDEFINED
        self._latest: QueryEvent = SnapshotChanged("", Snapshot())
        self._changed_at: float | None = None
        self._queue: deque[QueryEvent] = deque()
        self._is_draining = False

    @property
    def snapshot(self) -> Snapshot[T]:
        """What is shown now."""
        latest = self._latest
        at = self._changed_at
        updated_at = None if at is None else datetime.fromtimestamp(at, timezone.utc)
        if isinstance(latest, ValueChanged):
            value = cast("T", latest.value)
            return Snapshot(SnapshotStatus.LIVE, value, None, latest.cursor, latest.pending_layers, updated_at)
        return replace(latest.snapshot, updated_at=updated_at)

    def publish(self, event: QueryEvent) -> None:
        """Show what an event tells; one that comes during a delivery waits for its turn."""
        if self._is_draining:
            self._queue.append(event)
            return
        self._is_draining = True
        try:
            self._show(event)
            while self._queue:
                self._show(self._queue.popleft())
        finally:
            self._is_draining = False

    def complete(self) -> None:
        """Complete everybody."""
        for observers in (self.values, self.resilient, self.snapshots):
            observers.complete()

    def _show(self, event: QueryEvent) -> None:
        self._latest, self._changed_at = event, time.time()
        shown = self.value
        self.value = value = event[1] if type(event) is ValueChanged else event.snapshot.value  # type: ignore[union-attr]
        if value is not UNDEFINED and value is not shown:
            self.values.next(value)
            if self.resilient:
                self.resilient.next(value)
        if self.snapshots:
            self.snapshots.next(self.snapshot)
        if isinstance(event, QueryFailed):
            self._fail(event.snapshot.error)

    def _fail(self, error: LunoraError | None) -> None:
        assert error is not None, "a failed query says why"
        self.values.error(error.copy)


class Latest(Observable[T]):
    """A value that changes: observers get it at once, then each real change."""

    def __init__(self, value: T, report: OnError) -> None:
        super().__init__()
        self._value = value
        self._observers: Observers[T] = Observers(report)
        self._queue: deque[T] = deque()
        self._is_completed = False

    @property
    def value(self) -> T:
        """The value now."""
        return self._value

    def set(self, value: T) -> None:
        """Change the value; an equal one is not published."""
        if value == (self._queue[-1] if self._queue else self._value):
            return
        self._queue.append(value)
        if len(self._queue) > 1:
            return
        while self._queue:
            self._value = self._queue[0]
            self._observers.next(self._value)
            self._queue.popleft()

    def complete(self) -> None:
        """Let go of all observers; later ones get the last value and the end."""
        self._is_completed = True
        self._observers.complete()

    def _subscribe_core(
        self, observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        self._observers.replay(observer, self._value)
        if self._is_completed:
            observer.on_completed()
            return Disposable()
        return Disposable(self._observers.attach(observer))


class Signal(Observable[T]):
    """Things that happen: observers get what happens while they watch."""

    def __init__(self, report: OnError) -> None:
        super().__init__()
        self._observers: Observers[T] = Observers(report)
        self._is_completed = False

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
            observer.on_completed()
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
