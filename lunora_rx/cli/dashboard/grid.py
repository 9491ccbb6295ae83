"""Rows in a Perspective grid, which is sent the rows that changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from lunora_rx.cli.dashboard.columns import ColumnKind, Columns
from lunora_rx.cli.dashboard.step import step_between
from lunora_rx.cli.dashboard.toolkit import param, perspective_styles, pn

_PLACE: Final = "#"  # or more of it, where a column has that name
_TYPES: Final[Mapping[ColumnKind, str]] = {
    "empty": "string",
    "text": "string",
    "integer": "integer",
    "float": "float",
    "datetime": "datetime",
}
# Perspective's own shows whole numbers with two digits after the point.
_NUMBERS: Final = {"number_format": {"minimumFractionDigits": 0, "maximumFractionDigits": 6}}


class Grid:
    """A grid, which keeps what somebody chose in it while its rows and columns change.

    Args:
        columns: What it shows at first.
        title: What stands above it, until somebody writes something else there.

    Attributes:
        pane: What the page shows.
    """

    def __init__(self, columns: Columns, title: str = "") -> None:
        self._columns = columns
        self._title = title
        self._first = 0
        self._place = _PLACE
        self.pane = Viewer(
            self._whole, sizing_mode="stretch_both", min_height=380, margin=0, stylesheets=perspective_styles()
        )

    def show(self, columns: Columns) -> None:
        """Show other rows."""
        before, self._columns = self._columns, columns
        if dict(before.kinds) != dict(columns.kinds):
            self.pane.tell(self._whole())
            return
        step = step_between(before, columns, self._first)
        self._first = step.first
        if step.changed or step.removed:
            self.pane.tell({"rows": self._rows(step.changed), "removed": [*step.removed]})

    def _whole(self) -> dict[str, Any]:
        self._first, self._place = 0, _PLACE
        while self._place in self._columns.kinds:
            self._place += _PLACE
        schema = {self._place: "integer", **{name: _TYPES[kind] for name, kind in self._columns.kinds.items()}}
        return {
            "title": self._title,
            "schema": schema,
            "looks": {name: _NUMBERS for name, kind in schema.items() if kind == "float"},
            "place": self._place,
            "rows": self._rows(range(self._columns.count)),
            "removed": [],
        }

    def _rows(self, indices: Iterable[int]) -> dict[str, list[Any]]:
        chosen, kinds = [*indices], self._columns.kinds
        rows: dict[str, list[Any]] = {self._place: [self._first + index for index in chosen]}
        for name, cells in self._columns.cells.items():
            rows[name] = [_plain(kinds[name], cells[index]) for index in chosen]
        return rows


class Viewer(pn.custom.JSComponent):  # type: ignore[misc] # Panel has no types here
    """The viewer in the browser; whenever one is drawn it asks for everything, and is told what changes from then on.

    Args:
        whole: Makes what a new viewer is told.
        options: As those of any component of Panel.
    """

    drawn = param.Integer(default=0)  # how often a viewer was drawn and asked for everything
    _esm = Path(__file__).with_name("grid.js").read_text(encoding="utf-8")

    def __init__(self, whole: Any, **options: Any) -> None:
        self._whole = whole
        super().__init__(**options)
        self.param.watch(self._begin, "drawn")

    def tell(self, change: dict[str, Any]) -> None:
        """Tell the viewer of a change; where none is drawn nothing happens."""
        self._send_msg(change)

    def _begin(self, _: object) -> None:
        self._send_msg(self._whole())


def _plain(kind: ColumnKind, cell: Any) -> Any:
    if cell is None:
        return None
    return cell.timestamp() * 1000 if kind == "datetime" else cell
