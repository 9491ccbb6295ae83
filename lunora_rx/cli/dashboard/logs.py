"""The lower part of the page: calls made here, frames seen; and the line that says how the client stands."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any, Final

from lunora_rx.cli.dashboard.desk import Desk
from lunora_rx.cli.dashboard.toolkit import STYLES, badge, pd, pn

PACE: Final = 500  # milliseconds
_CALLS: Final = ("time", "kind", "function", "arguments", "state", "result")
_SMALL: Final = """
.tabulator { font-size: 13px; }
.tabulator .tabulator-header .tabulator-col { font-weight: 600; font-size: 12px; color: #4b5563; }
.tabulator-row .tabulator-cell { font-size: 13px; padding: 3px 6px; height: 24px; }
.tabulator-row { min-height: 24px; }
"""
_FRAMES: Final = ("time", "way", "type", "bytes", "text")


class Logs:
    """Shows calls and frames of the desk, as they were at the last look.

    Args:
        desk: What all pages share.

    Attributes:
        status: How the client stands, in a line.
        view: What the page shows.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._shown: dict[str, int] = {"calls": -1, "frames": -1}
        self.status = pn.pane.HTML("", stylesheets=[STYLES], margin=(0, 10), align="center")
        self._calls = _table(_CALLS, {"time": 90, "kind": 80, "function": 170, "arguments": 260, "state": 90})
        self._frames = _table(_FRAMES, {"time": 90, "way": 80, "type": 220, "bytes": 70})
        self.view = pn.Tabs(
            ("Calls", self._calls), ("Frames", self._frames), dynamic=True, sizing_mode="stretch_width", height=240
        )

    def look(self) -> None:
        """Show what there is now."""
        self._show_status()
        if self._shown["calls"] != self._desk.version:
            self._shown["calls"] = self._desk.version
            self._calls.value = _frame(_CALLS, self._call_rows())
        # A table that nobody sees need not be sent.
        if self.view.active == 1 and self._shown["frames"] != self._desk.frames.count:
            self._shown["frames"] = self._desk.frames.count
            self._frames.value = _frame(_FRAMES, self._frame_rows())

    def show_calls(self) -> None:
        """Bring the calls to the front."""
        self.view.active = 0

    def _show_status(self) -> None:
        client = self._desk.client
        parts = [badge(str(client.status.value))]
        if client.pending.value:
            parts.append(badge(f"{client.pending.value} queued", "waits"))
        parts.append(f"<span class='frames'>{self._desk.frames.count} frames</span>")
        line = f'<div class="line status">{" ".join(parts)}</div>'
        if self.status.object != line:
            self.status.object = line

    def _call_rows(self) -> list[Sequence[Any]]:
        return [
            (f"{each.at:%H:%M:%S}", each.kind, each.function, each.args, each.state, each.result)
            for each in reversed(self._desk.calls)
        ]

    def _frame_rows(self) -> list[Sequence[Any]]:
        return [
            (f"{each.at:%H:%M:%S}", each.way, each.what, each.size, each.text)
            for each in reversed(self._desk.frames.seen)
        ]


def headline(url: str) -> str:
    """Return the title of a page; the URL is fit to be shown."""
    return f"Lunora · {escape(url.partition('://')[2] or url)}"


def _table(columns: Sequence[str], widths: dict[str, int]) -> Any:
    return pn.widgets.Tabulator(
        _frame(columns, []),
        disabled=True,
        show_index=False,
        widths=widths,
        height=200,
        layout="fit_data_stretch",
        sizing_mode="stretch_width",
        theme="simple",
        # What a server says is text, whatever it looks like.
        formatters={name: {"type": "plaintext"} for name in columns},
        selectable=False,
        stylesheets=[_SMALL],
        margin=0,
    )


def _frame(columns: Sequence[str], rows: list[Sequence[Any]]) -> Any:
    return pd.DataFrame(rows, columns=list(columns))
