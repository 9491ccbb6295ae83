"""What is shown of one Observable, while somebody looks."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

import reactivex
from reactivex import Observable, abc
from reactivex import operators as ops

from lunora_rx import LunoraError, Snapshot, SnapshotStatus, Status
from lunora_rx import operators as lops
from lunora_rx.adapters.jupyter.badges import Badge, badge_of
from lunora_rx.rx.display import health_of

__all__ = ["Picture", "Watch", "snapshots_of"]

Report = tuple[Snapshot[Any], Status | None, int]


class Picture(NamedTuple):
    """What a viewer sees at one moment.

    Attributes:
        badge: How the newest value is.
        snapshot: The value shown, which is an older one where somebody looks back.
        length: How many values there are to look at.
        position: Which of them this is; the newest is ``length - 1``.
        is_paused: Whether it stays as it is when new values come.
    """

    badge: Badge
    snapshot: Snapshot[Any]
    length: int
    position: int
    is_paused: bool


class Moment(NamedTuple):
    """One value of the past; ``number`` counts all there were."""

    number: int
    snapshot: Snapshot[Any]


class Watch:
    """Follows an Observable from the first viewer that comes to the last that leaves, and remembers recent values.

    It knows what is shown, and not how it is drawn. Its methods are called on the loop of the client.

    Args:
        observable: What is watched; a live query or a shape with all that is known of it.
        draw: Takes each picture.
        of: What its values are made of, which knows how good they are.
        interval: The shortest time between two values that are shown, in seconds.
        history: How many values are remembered.
        scheduler: What that time is told by; the running loop by default.
    """

    def __init__(
        self,
        observable: Observable[Any],
        draw: Callable[[Picture], object],
        *,
        interval: float,
        history: int,
        of: Observable[Any] | None = None,
        scheduler: abc.SchedulerBase | None = None,
    ) -> None:
        self._is_known = health_of(observable if of is None else of) is not None
        self._reports = reports_of(observable, of).pipe(lops.conflate(interval, scheduler=scheduler))
        self._draw = draw
        self._viewers: set[str] = set()
        self._watching: abc.DisposableBase | None = None
        self._moments: deque[Moment] = deque(maxlen=history)
        self._held: Moment | None = None
        self._badge = badge_of(Snapshot())

    @property
    def is_watching(self) -> bool:
        """Whether the Observable is subscribed to."""
        return self._watching is not None

    def enter(self, viewer: str) -> None:
        """Let a viewer look; the first one subscribes."""
        self._viewers.add(viewer)
        if self._watching is None:
            self._watching = self._reports.subscribe(self._take, self._fail, self._end)
        self._show()

    def leave(self, viewer: str) -> None:
        """A viewer is gone; the last one disposes of the subscription."""
        self._viewers.discard(viewer)
        if not self._viewers and self._watching is not None:
            self._watching.dispose()
            self._watching = None

    def close(self) -> None:
        """Nobody looks any more, and what was seen is forgotten."""
        for viewer in tuple(self._viewers):
            self.leave(viewer)
        self._moments.clear()
        self._held = None

    def pause(self) -> None:
        """Keep what is shown; values go on being remembered."""
        if self._moments and self._held is None:
            self._hold(self._moments[-1])

    def resume(self) -> None:
        """Show the newest value again, and each that follows."""
        self._hold(None)

    def look_at(self, position: int) -> None:
        """Show one of the remembered values, and keep it; the oldest has position 0."""
        if self._moments:
            self._hold(self._moments[min(max(position, 0), len(self._moments) - 1)])

    def _hold(self, moment: Moment | None) -> None:
        self._held = moment
        self._show()

    def _take(self, report: Report) -> None:
        snapshot, status, pending = report
        self._badge = badge_of(snapshot, status, pending, is_known=self._is_known)
        if snapshot.has_value:
            self._remember(snapshot)
        self._show()

    def _remember(self, snapshot: Snapshot[Any]) -> None:
        newest = self._moments[-1] if self._moments else None
        if newest is None or newest.snapshot.value is not snapshot.value:
            self._moments.append(Moment(0 if newest is None else newest.number + 1, snapshot))

    def _fail(self, error: Exception) -> None:
        self._badge = Badge("failed", f"failed: {error}")
        self._show()

    def _end(self) -> None:
        if self._badge.tone != "failed":
            self._badge = badge_of(Snapshot(), is_over=True)
        self._show()

    def _show(self) -> None:
        if not self._moments:
            self._draw(Picture(self._badge, Snapshot(), 0, 0, is_paused=False))
            return
        shown = self._held or self._moments[-1]
        position = max(shown.number - self._moments[0].number, 0)
        self._draw(Picture(self._badge, shown.snapshot, len(self._moments), position, self._held is not None))


def reports_of(observable: Observable[Any], of: Observable[Any] | None = None) -> Observable[Report]:
    """Return the snapshots of an Observable, with the status of its client and the writes that wait there."""
    nothing: Observable[Any] = reactivex.just(None)
    status, pending = health_of(observable if of is None else of) or (nothing, reactivex.just(0))
    snapshots = snapshots_of(observable)
    if of is not None:
        snapshots = reactivex.combine_latest(snapshots, snapshots_of(of)).pipe(ops.starmap(_judged))
    # The client's status has its last word before the snapshots have theirs, which is the end that counts.
    return reactivex.combine_latest(snapshots, status, pending)


def _judged(made: Snapshot[Any], source: Snapshot[Any]) -> Snapshot[Any]:
    """Return what was made of a source, as good as the source is."""
    if made.status is SnapshotStatus.FAILED:
        return made
    return replace(made, status=source.status, error=source.error, pending_layers=source.pending_layers)


def snapshots_of(observable: Observable[Any]) -> Observable[Snapshot[Any]]:
    """Return what tells each value and how good it is; of a plain Observable, that it is live until it fails."""
    snapshots: Observable[Snapshot[Any]] | None = getattr(observable, "snapshots", None)
    if snapshots is not None:
        return snapshots
    return observable.pipe(
        ops.map(lambda value: Snapshot(SnapshotStatus.LIVE, value, updated_at=datetime.now(UTC))),
        ops.catch(lambda error, _: reactivex.just(Snapshot(SnapshotStatus.FAILED, error=_told(error)))),
    )


def _told(error: Exception) -> LunoraError:
    return error if isinstance(error, LunoraError) else LunoraError(str(error), code=type(error).__name__)
