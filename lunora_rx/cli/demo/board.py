"""What the demo shows, composed of live queries with operators, as state that a display reads."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from reactivex import Observable
from reactivex.disposable import CompositeDisposable

from lunora_rx import LiveQuery, LunoraClient, Snapshot, SnapshotStatus, Status, api
from lunora_rx.cli.text import counted

HISTORY = 240
MEAN_OVER = 20
RATE_OVER = 8

Rows = list[dict[str, Any]]


@dataclass(slots=True)
class Board:
    """The state of the display, written by observers only."""

    started_at: float = field(default_factory=time.monotonic)
    rows: Rows = field(default_factory=list)
    cpu_mean: float = 0.0
    disk_rate: float = 0.0
    network_rate: float = 0.0
    memory: float = 0.0
    memory_changes: int = 0
    is_alert: bool = False
    alerts: int = 0
    status: Status = Status.IDLE
    freshness: SnapshotStatus = SnapshotStatus.PENDING
    values: int = 0
    connects: int = 0
    pending: int = 0
    most_pending: int = 0
    resumed: int = 0
    seen: set[str] = field(default_factory=set)
    log: deque[str] = field(default_factory=lambda: deque(maxlen=8))

    @property
    def reconnects(self) -> int:
        """How often the connection came back."""
        return max(0, self.connects - 1)

    def note(self, text: str) -> None:
        """Add a line to the log, with the seconds since the start."""
        self.log.append(f"{time.monotonic() - self.started_at:6.1f} s  {text}")


def compose(client: LunoraClient, board: Board, *, alert: float) -> CompositeDisposable:
    """Subscribe the board to everything it shows; the disposable lets go of it all."""
    readings: LiveQuery[Rows] = client.live(api.readings.recent, {"limit": HISTORY})

    cpu_mean = readings.map(lambda rows: mean(rows, "cpu"))
    over: Observable[bool] = cpu_mean.map(lambda value: value >= alert).distinct_until_changed()
    # Memory hardly moves: most readings repeat the one before, and only changes come through.
    memory: Observable[float] = readings.filter(bool).map(lambda rows: rows[0]["memory"]).distinct_until_changed()

    def show_rows(rows: Rows) -> None:
        board.rows = rows
        board.values += 1
        board.seen.update(row["_id"] for row in rows)

    def show_alert(is_alert: bool) -> None:
        if is_alert or board.is_alert:
            board.note(f"[red]alert[/]: mean CPU at {alert:g} % or more" if is_alert else "alert is over")
        board.is_alert = is_alert
        board.alerts += is_alert

    def show_memory(percent: float) -> None:
        board.memory = percent
        board.memory_changes += 1

    return CompositeDisposable(
        readings.subscribe(show_rows),
        cpu_mean.subscribe(partial(setattr, board, "cpu_mean")),
        _rate(readings, "disk").subscribe(partial(setattr, board, "disk_rate")),
        _rate(readings, "network").subscribe(partial(setattr, board, "network_rate")),
        over.subscribe(show_alert),
        memory.subscribe(show_memory),
        client.status.subscribe(lambda status: _show_status(board, status)),
        client.pending.subscribe(lambda pending: _show_pending(board, pending)),
        readings.snapshots.subscribe(lambda snapshot: _show_freshness(board, snapshot)),
    )


def mean(rows: Rows, column: str, *, over: int = MEAN_OVER) -> float:
    """Return the mean of a column over the newest rows."""
    newest = [row[column] for row in rows[:over]]
    return sum(newest) / len(newest) if newest else 0.0


def rate(rows: Rows, column: str, *, over: int = RATE_OVER) -> float:
    """Return how fast a counter grows, a second, over the newest rows."""
    newest = rows[:over]
    if len(newest) < 2:
        return 0.0
    seconds = newest[0]["at"] - newest[-1]["at"]
    growth: float = newest[0][column] - newest[-1][column]
    return growth / seconds if seconds > 0 else 0.0


def _rate(readings: Observable[Rows], column: str) -> Observable[float]:
    return readings.map(lambda rows: rate(rows, column))


def _show_status(board: Board, status: Status) -> None:
    was_connected, board.status = board.status is Status.CONNECTED, status
    board.connects += status is Status.CONNECTED
    # Attempts that fail alternate between connecting and offline: only the way down and up is news.
    if was_connected or status is Status.CONNECTED:
        board.note(f"connection [bold]{status}[/]")


def _show_pending(board: Board, pending: int) -> None:
    if board.pending and not pending:
        board.note(f"[green]{counted(board.most_pending, 'write')}[/] from the queue: on the way, in order")
    elif pending and not board.pending:
        board.most_pending = 0
        board.note("writes [yellow]wait[/] in the queue")
    board.pending = pending
    board.most_pending = max(board.most_pending, pending)


def _show_freshness(board: Board, snapshot: Snapshot[Rows]) -> None:
    if board.freshness is SnapshotStatus.STALE and snapshot.status is SnapshotStatus.LIVE:
        board.resumed += 1
        board.note(f"the query [green]resumed[/] at cursor {snapshot.cursor}")
    elif snapshot.status is SnapshotStatus.STALE and board.freshness is SnapshotStatus.LIVE:
        board.note("the query is [yellow]stale[/]: the last value stays")
    board.freshness = snapshot.status
