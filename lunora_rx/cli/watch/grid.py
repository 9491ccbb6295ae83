"""The grid of a watch: draws the cells that can be seen, and no others, however many rows there are."""

from __future__ import annotations

from typing import ClassVar, Final

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.events import Click, Resize
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from lunora_rx.cli.text import printable
from lunora_rx.cli.watch.cells import as_number, cell_text
from lunora_rx.cli.watch.reading import Key, Row
from lunora_rx.cli.watch.table import LiveTable
from lunora_rx.protocol.values import UNDEFINED

MAX_WIDTH: Final = 48
_GAP = 2
_HEADER = Style(bold=True, underline=True)
_MARKED = Style(color="black", bgcolor="yellow", bold=True)
_DIM = Style(dim=True)
_AT_CURSOR = Style(reverse=True)
_CURSOR_ROW = Style(bgcolor="grey23")
_NOTHING = Style(color="bright_black")


class Grid(ScrollView, can_focus=True, inherit_bindings=False):
    """Shows a ``LiveTable``; the first line names the columns and stays in place.

    It knows where the cursor is and how wide the columns are. It does not know where the rows come from: whoever
    changes the table calls ``show``.

    Attributes:
        table: What it shows.
        cursor_row: Place of the cursor among the shown rows.
        cursor_column: Place of the cursor among the columns.
        is_stale: Whether the values are dimmed.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1, 0)", "Up", show=False),
        Binding("down,j", "move(1, 0)", "Down", show=False),
        Binding("left,h", "move(0, -1)", "Left", show=False),
        Binding("right,l", "move(0, 1)", "Right", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home", "end(-1)", "First row", show=False),
        Binding("end", "end(1)", "Last row", show=False),
    ]

    class HeaderClicked(Message):
        """The name of a column was clicked."""

        def __init__(self, column: str) -> None:
            super().__init__()
            self.column = column

    def __init__(self, table: LiveTable) -> None:
        super().__init__()
        self.table = table
        self.cursor_row = 0
        self.cursor_column = 0
        self.is_stale = False
        self._now = 0.0
        self._widths: dict[str, int] = {}

    @property
    def column(self) -> str | None:
        """The column under the cursor, or ``None`` where there is none."""
        columns = self.table.columns
        return columns[min(self.cursor_column, len(columns) - 1)] if columns else None

    @property
    def key(self) -> Key | None:
        """The key of the row under the cursor, or ``None`` where there is none."""
        keys = self.table.keys
        return keys[min(self.cursor_row, len(keys) - 1)] if keys else None

    def show(self, now: float, *, is_stale: bool) -> None:
        """Draw the table as it is now."""
        self._now, self.is_stale = now, is_stale
        self.cursor_row = max(0, min(self.cursor_row, len(self.table.keys) - 1))
        self.cursor_column = max(0, min(self.cursor_column, len(self.table.columns) - 1))
        self._measure()
        self.refresh()

    def action_move(self, rows: int, columns: int) -> None:
        """Move the cursor."""
        self.cursor_row = max(0, min(self.cursor_row + rows, len(self.table.keys) - 1))
        self.cursor_column = max(0, min(self.cursor_column + columns, len(self.table.columns) - 1))
        self._follow_cursor()

    def action_page(self, pages: int) -> None:
        """Move the cursor by what fits on the screen."""
        self.action_move(pages * max(1, self.size.height - 2), 0)

    def action_end(self, direction: int) -> None:
        """Move the cursor to the first or the last row."""
        self.action_move(direction * len(self.table.keys), 0)

    def on_click(self, event: Click) -> None:
        """Move the cursor to a cell, or tell which column's name was meant."""
        column = self._column_at(event.x + int(self.scroll_offset.x))
        if column is None:
            return
        self.cursor_column = self.table.columns.index(column)
        if event.y == 0:
            self.post_message(self.HeaderClicked(column))
            return
        self.cursor_row = int(self.scroll_offset.y) + event.y - 1
        self.action_move(0, 0)

    def on_resize(self, event: Resize) -> None:
        """Measure the rows that came into view."""
        self._measure()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Measure the rows that came into view."""
        super().watch_scroll_y(old_value, new_value)
        self._measure()

    def render_line(self, y: int) -> Strip:
        """Draw one line of the screen."""
        left, width = int(self.scroll_offset.x), self.size.width
        if y == 0:
            segments = [self._heading(place, column) for place, column in enumerate(self.table.columns)]
            return self._strip(segments, left, width, self.rich_style)
        at = int(self.scroll_offset.y) + y - 1
        if at >= len(self.table.keys):
            return Strip.blank(width, self.rich_style)
        base = self.rich_style + (_CURSOR_ROW if at == self.cursor_row else Style())
        return self._strip(self._row(at, base), left, width, base)

    def _strip(self, segments: list[Segment], left: int, width: int, base: Style) -> Strip:
        gap = Segment(" " * _GAP, base)
        line = [part for segment in segments for part in (segment, gap)]
        return Strip(line).crop(left, left + width).extend_cell_length(width, base)

    def _heading(self, place: int, column: str) -> Segment:
        order = self.table.order
        arrow = "" if order is None or order.column != column else ("▼" if order.is_descending else "▲")
        style = self.rich_style + _HEADER + (_AT_CURSOR if place == self.cursor_column else Style())
        return Segment(set_cell_size(f"{printable(column)}{arrow}", self._widths.get(column, 0)), style)

    def _row(self, at: int, base: Style) -> list[Segment]:
        key = self.table.keys[at]
        row = self.table.row(key)
        if self.is_stale:
            base += _DIM
        return [self._cell(key, row, column, base) for column in self.table.columns]

    def _cell(self, key: Key, row: Row, column: str, base: Style) -> Segment:
        value = row.get(column, UNDEFINED)
        text, width = cell_text(value, column), self._widths.get(column, 0)
        length = cell_len(text)
        if length > width > 0:
            text = f"{set_cell_size(text, width - 1)}…"
        elif as_number(value) is not None and not isinstance(value, bool):
            text = f"{' ' * (width - length)}{text}"
        else:
            text = set_cell_size(text, width)
        if self.table.is_marked(key, column, self._now):
            return Segment(text, base + _MARKED)
        return Segment(text, base + _NOTHING if value is None else base)

    def _measure(self) -> None:
        # Columns grow with what is seen and never shrink: a table whose columns jump cannot be read.
        table, top = self.table, int(self.scroll_offset.y)
        columns = table.columns
        self._widths = {column: self._widths.get(column, cell_len(printable(column)) + 1) for column in columns}
        for key in table.keys[top : top + max(self.size.height, 1)]:
            row = table.row(key)
            for column in columns:
                length = cell_len(cell_text(row.get(column, UNDEFINED), column))
                if length > self._widths[column]:
                    self._widths[column] = min(length, max(MAX_WIDTH, self._widths[column]))
        width = sum(self._widths.values()) + _GAP * len(columns)
        self.virtual_size = Size(width, len(table.keys) + 1)

    def _follow_cursor(self) -> None:
        column = self.column
        if column is not None:
            # The line of the names covers the one above the first row that is seen.
            region = Region(self._left_of(column), self.cursor_row, self._widths.get(column, 0) + _GAP, 2)
            self.scroll_to_region(region, animate=False)
        self.refresh()

    def _left_of(self, column: str) -> int:
        before = self.table.columns[: self.table.columns.index(column)]
        return sum(self._widths.get(each, 0) + _GAP for each in before)

    def _column_at(self, x: int) -> str | None:
        for column in self.table.columns:
            x -= self._widths.get(column, 0) + _GAP
            if x < 0:
                return column
        return None
