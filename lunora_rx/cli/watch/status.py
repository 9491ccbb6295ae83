"""The status line of a watch: how far the shown value can be trusted, and how much is going on."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, Final

from rich.text import Text

from lunora_rx.cli.text import counted, printable
from lunora_rx.cli.watch.table import LiveTable
from lunora_rx.core.snapshot import Snapshot, SnapshotStatus, Status
from lunora_rx.errors import ServerError

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
        is_refused: Whether the server has refused the token since it last told a value.
        failure: What the last attempt to reach the server came to, if it failed.
    """

    snapshot: Snapshot[Any]
    status: Status
    pending: int = 0
    is_paused: bool = False
    updates: float = 0.0
    is_refused: bool = False
    failure: str | None = None

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


def refusal() -> ServerError:
    """Return what a watch ends with whose token is not good."""
    hint = "watch again with another one: --token, or better the variable LUNORA_TOKEN"
    return ServerError("the server refuses the token, or wants one", code="TOKEN_EXPIRED", hint=hint)


def status_line(standing: Standing, table: LiveTable) -> Text:
    """Return the line, in colour."""
    word = standing.word
    parts = [Text(f"● {word}", style=f"bold {_STYLES[word]}")]
    if standing.status is Status.POLLING:
        parts.append(Text("by polling", style="yellow"))
    if standing.is_refused:
        parts.append(Text("token refused", style="bold red"))
    if standing.is_paused:
        parts.append(Text("paused", style="bold black on yellow"))
    parts += [Text(_rows(table)), Text(f"{standing.updates:.1f} updates/s")]
    waiting = f"{counted(standing.pending, 'write')} pending"
    parts.append(Text(waiting, style="yellow" if standing.pending else ""))
    if table.order is not None:
        parts.append(Text(f"sorted by {printable(table.order.column)} {'▼' if table.order.is_descending else '▲'}"))
    if table.words:
        parts.append(Text(f"filter {printable(table.words)}", style="magenta"))
    if table.note:
        parts.append(Text(table.note, style="dim"))
    if standing.snapshot.error is not None:
        parts.append(Text(printable(str(standing.snapshot.error)), style="red"))
    elif standing.failure is not None and word != "live":
        # Before the first value there is nothing else to read; after it the reason matters less than what is shown.
        parts.insert(1 if word == "waiting" else len(parts), Text(printable(standing.failure), style="yellow"))
    line = Text("  ").join(parts)
    line.no_wrap, line.overflow = True, "ellipsis"
    return line


def _rows(table: LiveTable) -> str:
    shown, total = len(table.keys), len(table)
    return counted(total, "row") if shown == total else f"{shown:,} of {counted(total, 'row')}"
