"""The demo's live display in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from lunora_rx import Status
from lunora_rx.cli.demo.board import Board, Rows
from lunora_rx.cli.text import counted

_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 40
_COLOURS = {Status.CONNECTED: "green", Status.CONNECTING: "yellow", Status.OFFLINE: "red"}


def render(board: Board) -> RenderableType:
    """Return the board as a rich renderable."""
    title = f"[bold]lunora-rx demo[/]  ·  live query [cyan]readings:recent[/]  ·  {_badge(board)}"
    return Panel(Group(_series(board), _counts(board), _log(board)), title=title, border_style=_colour(board))


def sparkline(numbers: Sequence[float], *, lowest: float | None = None, highest: float | None = None) -> str:
    """Return numbers as a row of bars, scaled to the bounds given or to their own."""
    if not numbers:
        return ""
    low = min(numbers) if lowest is None else lowest
    high = max(numbers) if highest is None else highest
    span = (high - low) or 1.0
    top = len(_BARS) - 1
    return "".join(_BARS[min(top, max(0, round((number - low) / span * top)))] for number in numbers)


def _series(board: Board) -> Table:
    table = Table.grid(padding=(0, 2), expand=False)
    table.add_column(style="bold")
    table.add_column(justify="right", min_width=12)
    table.add_column(no_wrap=True, min_width=_WIDTH)
    table.add_column(style="dim")
    rows = board.rows
    now = f"{rows[0]['cpu']:.1f} %" if rows else "-"
    cpu_style = "red bold" if board.is_alert else "green"
    table.add_row("CPU", now, Text(sparkline(_column(rows, "cpu"), lowest=0, highest=100), cpu_style), "each reading")
    table.add_row("CPU mean", f"{board.cpu_mean:.1f} %", Text(_bar(board.cpu_mean), cpu_style), "sliding, 5 s")
    memory = f"distinct_until_changed: {board.memory_changes} of {board.values} values"
    table.add_row("Memory", f"{board.memory:.1f} %", Text(_bar(board.memory), "blue"), memory)
    table.add_row("Disk", _bytes(board.disk_rate), Text(sparkline(_growth(rows, "disk")), "magenta"), "rate, 2 s")
    table.add_row("Network", _bytes(board.network_rate), Text(sparkline(_growth(rows, "network")), "cyan"), "rate, 2 s")
    return table


def _counts(board: Board) -> Text:
    counts = [
        counted(board.values, "value"),
        f"{counted(len(board.seen), 'row')} seen",
        counted(board.alerts, "alert"),
        counted(board.reconnects, "reconnect"),
        counted(board.resumed, "resume"),
        f"{counted(board.pending, 'write')} waiting",
    ]
    return Text(f"\n{' · '.join(counts)}\n", style="dim")


def _log(board: Board) -> Text:
    return Text.from_markup("\n".join(board.log))


def _badge(board: Board) -> str:
    return f"[{_colour(board)}]{board.status}, {board.freshness}[/]"


def _colour(board: Board) -> str:
    return _COLOURS.get(board.status, "white")


def _column(rows: Rows, column: str) -> list[float]:
    return [row[column] for row in reversed(rows[:_WIDTH])]


def _growth(rows: Rows, column: str) -> list[float]:
    oldest_first = rows[_WIDTH::-1]
    return [max(0.0, row[column] - before[column]) for before, row in pairwise(oldest_first)]


def _bar(percent: float) -> str:
    filled = round(percent / 100 * _WIDTH)
    return "━" * filled + "·" * (_WIDTH - filled)


def _bytes(rate: float) -> str:
    for unit in ("B/s", "kB/s", "MB/s"):
        if rate < 1000:
            return f"{rate:.0f} {unit}"
        rate /= 1000
    return f"{rate:.1f} GB/s"
