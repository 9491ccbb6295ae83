"""One live query on the page: how it stands, and its rows in Perspective."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any, Final

from lunora_rx import LiveQuery, Snapshot, bind
from lunora_rx import operators as lops
from lunora_rx.cli.dashboard.columns import ColumnKind, Columns, columns_of, shown
from lunora_rx.cli.dashboard.toolkit import STYLES, badge, np, pn
from lunora_rx.rx.binding import Schedule

# Seconds between two pictures: faster than this nobody reads numbers.
PACE: Final = 0.25
_KEPT: Final = ("plugin", "columns", "group_by", "split_by", "aggregates", "sort", "filters", "columns_config")


class QueryView:
    """Shows a live query until it is closed.

    Args:
        live: The query.
        title: How it is written, for the line above the rows.
        schedule: Runs a callback under the document's lock.

    Attributes:
        view: What the page shows.
    """

    def __init__(self, live: LiveQuery[Any], title: str, schedule: Schedule) -> None:
        self._title = title
        self._kinds: Mapping[str, ColumnKind] = {}
        self._value: object = None
        self._grid: Any = None
        self._head = pn.pane.HTML("", stylesheets=[STYLES], sizing_mode="stretch_width", margin=(8, 10, 4, 10))
        self._place = pn.Column(sizing_mode="stretch_both", min_height=380, margin=0)
        self.view = pn.Column(self._head, self._place, sizing_mode="stretch_both", margin=0)
        self._binding = bind(live.snapshots.pipe(lops.conflate(PACE)), self._show, schedule=schedule)

    def close(self) -> None:
        """Let go of the query."""
        self._binding.dispose()

    def _show(self, snapshot: Snapshot[Any]) -> None:
        is_new = snapshot.has_value and (snapshot.value is not self._value or not self._place.objects)
        columns = columns_of(snapshot.value, self._kinds) if is_new else None
        if is_new:
            self._value = snapshot.value
            self._show_value(columns)
        self._head.object = self._line(snapshot)

    def _show_value(self, columns: Columns | None) -> None:
        if columns is None or not columns.cells:
            self._grid, self._kinds = None, {}
            self._place.objects = [_plain(self._value)]
        elif self._grid is None or dict(columns.kinds) != dict(self._kinds):
            self._grid = _grid(columns, self._grid)
            self._kinds = columns.kinds
            self._place.objects = [self._grid]
        else:
            self._grid.object = _data(columns)

    def _line(self, snapshot: Snapshot[Any]) -> str:
        told = [badge(str(snapshot.status)), f"<code>{escape(self._title)}</code>"]
        if isinstance(snapshot.value, list):
            told.append(f"<span class='rows'>{len(snapshot.value)} rows</span>")
        if snapshot.updated_at is not None:
            told.append(f"<span>since {snapshot.updated_at.astimezone():%H:%M:%S}</span>")
        if snapshot.is_optimistic:
            told.append(badge(f"{snapshot.pending_layers} not confirmed", "waits"))
        line = f'<div class="line">{" ".join(told)}</div>'
        return line + (f'<div class="error">{escape(str(snapshot.error))}</div>' if snapshot.error else "")


def _plain(value: object) -> Any:
    if isinstance(value, list):
        return pn.pane.HTML('<div class="note">no rows</div>', stylesheets=[STYLES], margin=10)
    return pn.pane.Str(shown(value), sizing_mode="stretch_width", margin=10, styles={"font-size": "24px"})


def _grid(columns: Columns, former: Any) -> Any:
    """Return a new grid; what was chosen in the former one stays, as far as the columns are still there."""
    kept = {name: getattr(former, name) for name in _KEPT if _still_there(former, name, columns)} if former else {}
    return pn.pane.Perspective(
        _data(columns), sizing_mode="stretch_both", min_height=380, margin=0, editable=False, settings=True, **kept
    )


def _still_there(former: Any, name: str, columns: Columns) -> bool:
    chosen = getattr(former, name)
    if name in ("columns", "group_by", "split_by"):
        return all(each in columns.kinds for each in chosen or ())
    if name in ("sort", "filters"):
        return all(each[0] in columns.kinds for each in chosen or ())
    return all(each in columns.kinds for each in chosen or ()) if isinstance(chosen, Mapping) else True


def _data(columns: Columns) -> dict[str, Any]:
    return {name: _array(cells, columns.kinds[name]) for name, cells in columns.cells.items()}


def _array(cells: list[Any], kind: ColumnKind) -> Any:
    """Return a column as NumPy has it, which travels in binary; whole numbers with gaps become numbers with gaps."""
    if kind == "datetime":
        naive = [None if cell is None else cell.replace(tzinfo=None) for cell in cells]
        return np.array(naive, dtype="datetime64[ms]")
    if kind == "integer" and None not in cells:
        return np.array(cells, dtype=np.int32)
    if kind in ("integer", "float"):
        return np.array([np.nan if cell is None else cell for cell in cells], dtype=np.float64)
    return np.array(["" if cell is None else cell for cell in cells], dtype=np.str_)
