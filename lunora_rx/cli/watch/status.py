"""The status line of a watch: how far the shown value can be trusted, and how much is going on."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, Final

from rich.text import Text

from lunora_rx.cli.text import printable
from lunora_rx.cli.watch.table import LiveTable
from lunora_rx.core.snapshot import Snapshot, SnapshotStatus, Status

FRAMES_A_SECOND: Final = 10
_RATE_OVER: Final = 3  # seconds


class Rate:
    """How many updates come a second, over the last three; told of each frame how many came since the last."""

    def __init__(self) -> None:
        self._counts: deque[int] = deque(maxlen=_RATE_OVER * FRAMES_A_SECOND)

    def count(self, updates: int) -> None:
        """Take the number of one frame."""
        self._counts.append(updates)

    @property
    def a_second(self) -> float:
        """The mean."""
        return sum(self._counts) * FRAMES_A_SECOND / len(self._counts) if self._counts else 0.0


@dataclass(frozen=True, slots=True)
class Standing:
    """What the status line tells.

    Attributes:
        snapshot: The newest snapshot.
        status: How the client stands with its server.
        pending: How many writes of this client wait.
        is_paused: Whether the table stands still.
        updates: Updates a second.
    """

    snapshot: Snapshot[Any]
    status: Status
    pending: int = 0
    is_paused: bool = False
    updates: float = 0.0

    @property
    def word(self) -> str:
        """``live``, ``stale``, ``offline``, ``failed``, or ``waiting`` before the first value."""
        match self.snapshot.status:
            case SnapshotStatus.FAILED:
                return "failed"
            case SnapshotStatus.PENDING:
                return "waiting"
            case SnapshotStatus.STALE:
                return "stale" if self.status in (Status.CONNECTED, Status.POLLING) else "offline"
            case SnapshotStatus.LIVE:
                return "live"


_STYLES: Final = {"live": "green", "stale": "yellow", "offline": "red", "failed": "red", "waiting": "cyan"}


def status_line(standing: Standing, table: LiveTable) -> Text:
    """Return the line, in colour."""
    word = standing.word
    parts = [Text(f"● {word}", style=f"bold {_STYLES[word]}")]
    if standing.status is Status.POLLING:
        parts.append(Text("by polling", style="yellow"))
    if standing.is_paused:
        parts.append(Text("paused", style="bold black on yellow"))
    parts += [Text(_rows(table)), Text(f"{standing.updates:.1f} updates/s")]
    waiting = f"{standing.pending} {'write' if standing.pending == 1 else 'writes'} pending"
    parts.append(Text(waiting, style="yellow" if standing.pending else ""))
    if table.order is not None:
        parts.append(Text(f"sorted by {printable(table.order.column)} {'▼' if table.order.is_descending else '▲'}"))
    if table.words:
        parts.append(Text(f"filter {printable(table.words)}", style="magenta"))
    if table.note:
        parts.append(Text(table.note, style="dim"))
    if standing.snapshot.error is not None:
        parts.append(Text(printable(str(standing.snapshot.error)), style="red"))
    line = Text("  ").join(parts)
    line.no_wrap, line.overflow = True, "ellipsis"
    return line


def _rows(table: LiveTable) -> str:
    shown, total = len(table.keys), len(table)
    noun = "row" if total == 1 else "rows"
    return f"{total:,} {noun}" if shown == total else f"{shown:,} of {total:,} {noun}"
