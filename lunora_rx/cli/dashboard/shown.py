"""What a view shows of a query, a shape or a stream: the newest value, and how far it can be trusted."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from reactivex import Observable, abc
from reactivex.disposable import Disposable

from lunora_rx import UNDEFINED, LiveQuery, Shape, Snapshot, Stream

KEPT: Final = 1000
_RUNNING, _ENDED, _FAILED = "running", "ended", "failed"


@dataclass(frozen=True, slots=True)
class Shown:
    """What is shown at one moment.

    Attributes:
        word: ``pending``, ``live``, ``stale`` or ``failed``; of a stream ``running``, ``ended`` or ``failed``.
        value: The value, ``UNDEFINED`` before the first.
        error: Why it failed.
        updated_at: When the value last changed.
        pending_layers: How many unconfirmed writes are in it.
        note: What is to be said besides.
    """

    word: str
    value: Any = UNDEFINED
    error: Exception | None = None
    updated_at: datetime | None = None
    pending_layers: int = 0
    note: str = ""


def shown_of(watched: LiveQuery[Any] | Shape[Any] | Stream[Any]) -> Observable[Shown]:
    """Return what is to be shown, whenever it changes; never ends with an error."""
    if not isinstance(watched, Stream):
        return watched.snapshots.map(_of_snapshot)

    def start(observer: abc.ObserverBase[Shown], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        return Run(observer).follow(watched)

    return Observable(start)


def _of_snapshot(snapshot: Snapshot[Any]) -> Shown:
    return Shown(str(snapshot.status), snapshot.value, snapshot.error, snapshot.updated_at, snapshot.pending_layers)


class Run:
    """One run of a stream, as the list of its newest chunks."""

    def __init__(self, observer: abc.ObserverBase[Shown]) -> None:
        self._observer = observer
        self._chunks: deque[Any] = deque(maxlen=KEPT)
        self._count = 0

    def follow(self, stream: Stream[Any]) -> abc.DisposableBase:
        """Start the run; disposing cancels it."""
        self._tell(_RUNNING)
        running = stream.subscribe(self._take, lambda error: self._tell(_FAILED, error), lambda: self._tell(_ENDED))
        return Disposable(running.dispose)

    def _take(self, chunk: Any) -> None:
        self._chunks.append(chunk)
        self._count += 1
        self._tell(_RUNNING)

    def _tell(self, word: str, error: Exception | None = None) -> None:
        note = f"the newest {KEPT:,} of {self._count:,} chunks" if self._count > KEPT else ""
        self._observer.on_next(Shown(word, list(self._chunks), error, datetime.now(UTC), note=note))
