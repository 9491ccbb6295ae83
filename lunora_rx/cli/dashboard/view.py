"""What is watched, on the page: how far it can be trusted, and its rows in Perspective."""

from __future__ import annotations

from html import escape
from typing import Any, Final

from reactivex import Observable

from lunora_rx import UNDEFINED, bind
from lunora_rx import operators as lops
from lunora_rx.cli.dashboard.columns import Columns, columns_of, shown
from lunora_rx.cli.dashboard.grid import Grid
from lunora_rx.cli.dashboard.shown import Shown
from lunora_rx.cli.dashboard.toolkit import STYLES, badge, pn
from lunora_rx.cli.text import counted, encodable
from lunora_rx.rx.binding import Schedule

# Seconds between two pictures: faster than this nobody reads numbers.
PACE: Final = 0.25


class View:
    """Shows a query, a shape or a stream until it is closed.

    Args:
        watched: What is to be shown, whenever it changes.
        function: Its path.
        title: How it is written, for the line above the rows.
        schedule: Runs a callback under the document's lock.

    Attributes:
        view: What the page shows.
    """

    def __init__(self, watched: Observable[Shown], function: str, title: str, schedule: Schedule) -> None:
        self._function = function
        self._title = title
        self._value: object = UNDEFINED
        self._grid: Grid | None = None
        self._columns = Columns()
        self._head = pn.pane.HTML("", stylesheets=[STYLES], sizing_mode="stretch_width", margin=(8, 10, 4, 10))
        self._place = pn.Column(sizing_mode="stretch_both", min_height=380, margin=0)
        self.view = pn.Column(self._head, self._place, sizing_mode="stretch_both", margin=0)
        self._binding = bind(watched.pipe(lops.conflate(PACE)), self._show, schedule=schedule)

    def close(self) -> None:
        """Let go of what is watched."""
        self._binding.dispose()

    def _show(self, newest: Shown) -> None:
        if newest.value is not UNDEFINED and newest.value is not self._value:
            self._value = newest.value
            self._show_value(columns_of(newest.value, self._columns.kinds))
        self._head.object = self._line(newest)

    def _show_value(self, columns: Columns | None) -> None:
        if columns is None or not columns.cells:
            self._grid, self._columns = None, Columns()
            self._place.objects = [_plain(self._value)]
            return
        self._columns = columns
        if self._grid is not None:
            self._grid.show(columns)
            return
        self._grid = Grid(columns, self._function)
        self._place.objects = [self._grid.pane]

    def _line(self, newest: Shown) -> str:
        told = [badge(newest.word), f"<code>{escape(self._title)}</code>"]
        if isinstance(newest.value, list):
            told.append(f"<span class='rows'>{counted(len(newest.value), 'row')}</span>")
        if newest.updated_at is not None:
            told.append(f"<span>since {newest.updated_at.astimezone():%H:%M:%S}</span>")
        if newest.pending_layers:
            told.append(badge(f"{newest.pending_layers} not confirmed", "waits"))
        told += [f"<span>{escape(newest.note)}</span>"] if newest.note else []
        line = f'<div class="line">{" ".join(told)}</div>'
        return line + (f'<div class="error">{escape(encodable(str(newest.error)))}</div>' if newest.error else "")


def _plain(value: object) -> Any:
    if isinstance(value, list):
        return pn.pane.HTML('<div class="note">no rows</div>', stylesheets=[STYLES], margin=10)
    return pn.pane.Str(shown(value), sizing_mode="stretch_width", margin=10, styles={"font-size": "24px"})
