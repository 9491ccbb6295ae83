"""The screen of a watch: a Textual app around a live query."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from reactivex.disposable import CompositeDisposable
from rich.json import JSON
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Footer, Input, Sparkline, Static

from lunora_rx.cli.contact import Contact
from lunora_rx.cli.text import json_text, printable
from lunora_rx.cli.watch.grid import Grid
from lunora_rx.cli.watch.status import FRAMES_A_SECOND, Rate, Standing, refusal, status_line
from lunora_rx.cli.watch.table import LiveTable, Order
from lunora_rx.client import LunoraClient
from lunora_rx.core.snapshot import Snapshot, SnapshotStatus
from lunora_rx.errors import LunoraError
from lunora_rx.rx.live_query import LiveQuery
from lunora_rx.rx.paginated import PaginatedQuery

FIRST_RETRY: Final = 1.0
LAST_RETRY: Final = 30.0


@dataclass(frozen=True, slots=True)
class View:
    """How a table is shown at first.

    Attributes:
        title: What stands above it.
        order: The column that it is sorted by.
        filter: Which rows are shown.
        spark: The column that is drawn as a sparkline.
    """

    title: str = ""
    order: Order | None = None
    filter: str = ""
    spark: str | None = None


class WatchApp(App[LunoraError]):
    """Shows a live query until it is left.

    Its result is the error of a query that failed, of a token that was refused, or of a server that is none of Lunora,
    before the first value.
    Snapshots come as fast as they like; the table takes the newest one ten times a second, and stands still while
    there is none.

    Args:
        client: The client of the query, which says how the connection is.
        live: The query.
        view: How it is shown at first.
        contact: Hears what attempts to reach the server come to.
        clock: Tells the time, in seconds.
    """

    CSS = """
    #title { height: 1; color: $text-accent; text-style: bold; }
    Grid { height: 1fr; }
    #spark { height: 2; display: none; }
    #spark.shown { display: block; }
    #spark-label { width: 44; height: 2; }
    Sparkline { width: 1fr; height: 2; margin: 0; }
    #filter { display: none; height: 3; }
    #filter.shown { display: block; }
    #status { height: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "sort", "Sort"),
        Binding("slash", "filter", "Filter", key_display="/"),
        Binding("g", "spark", "Graph"),
        Binding("space", "pause", "Pause"),
        Binding("enter", "row", "Row"),
        Binding("m", "more", "More"),
        Binding("r", "ask", "Ask anew"),
        Binding("q", "quit", "Quit"),
        Binding("ctrl+c", "quit", "Quit", show=False, priority=True),
    ]
    ENABLE_COMMAND_PALETTE = False

    def __init__(
        self,
        client: LunoraClient,
        live: LiveQuery[Any],
        view: View = View(),
        *,
        contact: Contact | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.table = LiveTable()
        self.snapshot: Snapshot[Any] = Snapshot()
        self.is_paused = False
        self.is_refused = False
        self.spark = view.spark
        self._client = client
        self._live = live
        self._contact = Contact(client) if contact is None else contact
        self._title = view.title
        self._clock = clock
        self._rate = Rate()
        self._updates = 0
        self._shown: Snapshot[Any] = self.snapshot
        self._was_marked = False
        self._told = Text()
        self._retry_delay = FIRST_RETRY
        self._is_retrying = False
        self._handles = CompositeDisposable()
        self._grid = Grid(self.table)
        self._spark_label = Static(id="spark-label")
        self._spark_line = Sparkline(summary_function=_mean)
        self._spark_box = Horizontal(self._spark_label, self._spark_line, id="spark")
        self._filter_box = Input(placeholder="text  column=text  column>5", id="filter")
        self._status = Static(id="status")
        self.table.order, self.table.words = view.order, view.filter

    def compose(self) -> ComposeResult:
        """Place the parts."""
        yield Static(Text(printable(self._title), no_wrap=True, overflow="ellipsis"), id="title")
        self._filter_box.value = self.table.words  # an Input takes a value only within a running app
        yield from (self._grid, self._spark_box, self._filter_box, self._status)
        yield Footer()

    def on_mount(self) -> None:
        """Begin to watch."""
        self._grid.focus()
        self._handles.add(self._client.tap(self._contact))
        self._handles.add(self._contact.strangers.subscribe(self._leave_stranger))
        self._handles.add(self._client.token_expired.subscribe(self._refuse))
        self._handles.add(self._live.snapshots.subscribe(self._take))
        self.set_interval(1 / FRAMES_A_SECOND, self.draw)
        self.draw()

    def on_unmount(self) -> None:
        """Stop watching."""
        self._handles.dispose()

    def draw(self) -> None:
        """Show what has changed since the last frame; costs next to nothing where nothing has."""
        now = self._clock()
        self._rate.count(self._updates)
        self._updates = 0
        is_new = self.snapshot is not self._shown and not self.is_paused
        if is_new:
            self._shown = self.snapshot
            if self.snapshot.has_value:
                self.table.apply(self.snapshot.value, now)
            self._heal()
        is_marked = self.table.has_marks(now)
        if is_new or is_marked or self._was_marked:
            self._draw_table(now)
        self._was_marked = is_marked
        line = status_line(self.standing, self.table)
        if line != self._told:
            self._told = line
            self._status.update(line, layout=False)

    @property
    def standing(self) -> Standing:
        """What the status line tells."""
        return Standing(
            self.snapshot,
            self._client.status.value,
            self._client.pending.value,
            self.is_paused,
            self._rate.a_second,
            self.is_refused,
            self._contact.failure,
        )

    def action_sort(self) -> None:
        """Sort by the column under the cursor: up, down, as the value has it."""
        column = self._grid.column
        if column is not None:
            self._sort_by(column)

    def on_grid_header_clicked(self, event: Grid.HeaderClicked) -> None:
        """Sort by the column that was clicked."""
        self._sort_by(event.column)

    def action_filter(self) -> None:
        """Ask for a filter; it holds while it is typed, Enter keeps it, Escape drops it."""
        self._filter_box.add_class("shown")
        self._filter_box.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while it is typed."""
        self.table.words = event.value
        self._draw_table(self._clock())

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keep the filter."""
        self._leave_filter()

    def key_escape(self) -> None:
        """Drop the filter."""
        self._filter_box.value = ""
        self._leave_filter()

    def action_spark(self) -> None:
        """Draw the column under the cursor, or stop drawing it."""
        column = self._grid.column
        self.spark = None if column == self.spark else column
        self._draw_spark()

    def action_pause(self) -> None:
        """Let the table stand still, or go on with the newest value."""
        self.is_paused = not self.is_paused
        self.draw()

    def action_row(self) -> None:
        """Show the row under the cursor as a whole."""
        key = self._grid.key
        if key is not None:
            self.push_screen(RowScreen(json_text(self.table.row(key))))

    def action_more(self) -> None:
        """Load another page, of a query that is watched by pages."""
        if isinstance(self._live, PaginatedQuery):
            self._live.load_more()

    def action_ask(self) -> None:
        """Ask for the whole value again."""
        self._live.refresh()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer pages only where there are some."""
        return action != "more" or isinstance(self._live, PaginatedQuery)

    def _take(self, snapshot: Snapshot[Any]) -> None:
        self.snapshot = snapshot
        if snapshot.status is SnapshotStatus.LIVE:
            self._updates += 1
            self.is_refused = False
        if snapshot.status is SnapshotStatus.FAILED and not snapshot.has_value and not len(self.table):
            self.exit(snapshot.error, return_code=1)

    def _refuse(self, _: object) -> None:
        self.is_refused = True
        if not self.snapshot.has_value:
            self.exit(refusal(), return_code=1)

    def _leave_stranger(self, stranger: LunoraError) -> None:
        if not self.snapshot.has_value:
            self.exit(stranger, return_code=1)

    def _heal(self) -> None:
        # A query that has failed stays failed until it is asked again, by us or by somebody who presses the key.
        if self.snapshot.status is SnapshotStatus.LIVE:
            self._retry_delay = FIRST_RETRY
        elif self.snapshot.status is SnapshotStatus.FAILED and not self._is_retrying:
            self._is_retrying = True
            self.set_timer(self._retry_delay, self._retry)
            self._retry_delay = min(self._retry_delay * 2, LAST_RETRY)

    def _retry(self) -> None:
        self._is_retrying = False
        if self.snapshot.status is SnapshotStatus.FAILED:
            self._live.refresh()

    def _sort_by(self, column: str) -> None:
        order = self.table.order
        if order is None or order.column != column:
            self.table.sort(Order(column))
        else:
            self.table.sort(None if order.is_descending else Order(column, is_descending=True))
        self._draw_table(self._clock())

    def _leave_filter(self) -> None:
        self._filter_box.remove_class("shown")
        self._grid.focus()

    def _draw_table(self, now: float) -> None:
        self._grid.show(now, is_stale=self.standing.word in ("stale", "offline", "failed"))
        self._draw_spark()

    def _draw_spark(self) -> None:
        numbers = self.table.series(self.spark) if self.spark is not None else []
        self._spark_box.set_class(self.spark is not None, "shown")
        self._spark_line.data = numbers
        if self.spark is not None:
            self._spark_label.update(_spark_label(self.spark, numbers))


class RowScreen(ModalScreen[None]):
    """One row as JSON, as it was when it was asked for; any of a few keys closes it."""

    CSS = """
    RowScreen { align: center middle; }
    VerticalScroll { width: 80%; height: 80%; border: round $accent; padding: 0 1; background: $surface; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,enter,q", "dismiss", "Close")]

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def compose(self) -> ComposeResult:
        """Place the text."""
        with VerticalScroll():
            yield Static(JSON(self._text))


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)


def _spark_label(column: str, numbers: list[float]) -> Text:
    name = printable(column)
    if not numbers:
        return Text(f"{name}: no numbers", style="dim", no_wrap=True)
    low, high = min(numbers), max(numbers)
    return Text.assemble(
        (name, "bold"), f"  {len(numbers):,} numbers\n{low:.6g} to {high:.6g}, mean {_mean(numbers):.6g}"
    )
