"""Progress bars, where there is a terminal to draw them on."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


def progress_bar(noun: str) -> Progress:
    """Return a bar on the standard error of things that are done, such as rows; a note stands at its end."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(noun),
        TimeRemainingColumn(),
        TextColumn("[yellow]{task.fields[note]}"),
        console=console,
        transient=True,
        disable=not sys.stderr.isatty(),
    )


def playback_bar(console: Console) -> Progress:
    """Return a bar of seconds that are played; it draws nothing by itself, but is part of a display."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(None),
        TextColumn("{task.completed:.1f} of {task.total:.1f} s"),
        TimeRemainingColumn(),
        console=console,
        expand=True,
        auto_refresh=False,
    )
