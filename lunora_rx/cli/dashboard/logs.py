"""The lower part of the page: calls made here, writes that wait, frames seen; and how the client stands, in a line."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape
from typing import Any, Final

from lunora_rx.cli.dashboard.desk import Desk, Made
from lunora_rx.cli.dashboard.toolkit import STYLES, badge, pd, pn
from lunora_rx.cli.text import counted

PACE: Final = 500  # milliseconds
_CALLS: Final = {"time": 90, "kind": 80, "function": 170, "arguments": 260, "state": 90, "result": 320}
_QUEUE: Final = {"waiting": 90, "function": 170, "arguments": 360, "state": 110}
_FRAMES: Final = {"time": 90, "way": 80, "type": 220, "bytes": 80, "text": 520}
_DISCARD: Final = "discard"
_CHOSEN: Final = "discard? again"
_CALLS_TAB, _QUEUE_TAB, _FRAMES_TAB = 0, 1, 2
_SMALL: Final = """
.tabulator { font-size: 13px; }
.tabulator .tabulator-header .tabulator-col { font-weight: 600; font-size: 12px; color: #4b5563; }
.tabulator-row .tabulator-cell { font-size: 13px; padding: 3px 6px; height: 24px; }
.tabulator-row { min-height: 24px; }
.tabulator-cell.discard { color: #b91c1c; cursor: pointer; }
"""
# A table that takes new rows forgets that it lies on those of the other tabs, and moves below them.
_STACKED: Final = ".bk-panel-models-tabulator-DataTabulator { grid-area: stack; }"


class Logs:
    """Shows what the desk knows, as it was at the last look.

    Args:
        desk: What all pages share.

    Attributes:
        status: How the client stands, in a line.
        view: What the page shows.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._calls_shown = self._frames_shown = -1
        self._queue_shown: list[Made] = []
        self._chosen: Made | None = None
        self.status = pn.pane.HTML("", stylesheets=[STYLES], margin=(0, 10), align="center")
        self._calls = _table(_CALLS)
        self._frames = _table(_FRAMES)
        self._queue = _table(_QUEUE, buttons={_DISCARD: "discard"})
        self._queue.on_click(self._discard, column=_DISCARD)
        self.view = pn.Tabs(
            ("Calls", self._calls),
            ("Queue", self._queue),
            ("Frames", self._frames),
            stylesheets=[_STACKED],
            sizing_mode="stretch_width",
            height=240,
        )

    def look(self) -> None:
        """Show what there is now; a table that nobody sees need not be sent."""
        self._show_status()
        active, desk = self.view.active, self._desk
        if active == _CALLS_TAB and self._calls_shown != desk.version:
            self._calls_shown = desk.version
            self._calls.value = _frame(_CALLS, _call_rows(desk))
        if active == _QUEUE_TAB:
            self._show_queue(list(desk.queue))
        if active == _FRAMES_TAB and self._frames_shown != desk.frames.count:
            self._frames_shown = desk.frames.count
            self._frames.value = _frame(_FRAMES, _frame_rows(desk))

    def show_calls(self) -> None:
        """Bring the calls to the front."""
        self.view.active = _CALLS_TAB

    def _show_queue(self, queue: list[Made]) -> None:
        if queue or self._queue_shown:
            self._queue_shown = queue
            self._queue.value = _frame(_QUEUE, _queue_rows(queue, self._chosen))

    def _discard(self, click: Any) -> None:
        # Rows move up while a click is on its way: only a write that is seen to be chosen is let go.
        clicked = self._queue_shown[click.row] if click.row < len(self._queue_shown) else None
        if clicked is self._chosen and clicked is not None:
            clicked.call.cancel()  # one that was sent meanwhile stays: its fate is the server's
        self._chosen = clicked if clicked is not self._chosen else None
        self.look()

    def _show_status(self) -> None:
        client = self._desk.client
        parts = [badge(str(client.status.value))]
        if client.pending.value:
            parts.append(badge(f"{client.pending.value} queued", "waits"))
        parts.append(f"<span class='frames'>{counted(self._desk.frames.count, 'frame')}</span>")
        line = f'<div class="line status">{" ".join(parts)}</div>'
        if self.status.object != line:
            self.status.object = line


def headline(url: str) -> str:
    """Return the title of a page; the URL is fit to be shown."""
    return f"Lunora · {escape(url.partition('://')[2] or url)}"


def _call_rows(desk: Desk) -> list[Sequence[Any]]:
    return [
        (f"{each.at:%H:%M:%S}", each.kind, each.function, each.args, each.state, each.result)
        for each in reversed(desk.calls)
    ]


def _queue_rows(queue: list[Made], chosen: Made | None) -> list[Sequence[Any]]:
    now = datetime.now().astimezone()
    return [
        (
            f"{(now - each.at).total_seconds():.0f} s",
            each.function,
            each.args,
            _CHOSEN if each is chosen else each.state,
        )
        for each in queue
    ]


def _frame_rows(desk: Desk) -> list[Sequence[Any]]:
    return [(f"{each.at:%H:%M:%S}", each.way, each.what, each.size, each.text) for each in reversed(desk.frames.seen)]


def _table(widths: dict[str, int], **options: Any) -> Any:
    return pn.widgets.Tabulator(
        _frame(widths, []),
        disabled=True,
        show_index=False,
        widths=widths,
        height=200,
        layout="fit_data_stretch",
        sizing_mode="stretch_width",
        theme="simple",
        # What a server says is text, whatever it looks like.
        formatters={name: {"type": "plaintext"} for name in widths},
        selectable=False,
        stylesheets=[_SMALL],
        margin=0,
        **options,
    )


def _frame(columns: dict[str, int], rows: list[Sequence[Any]]) -> Any:
    return pd.DataFrame(rows, columns=list(columns))
