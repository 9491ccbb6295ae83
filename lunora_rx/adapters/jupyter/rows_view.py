"""The widget of Perspective that draws a table, and what it must give back in the end."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["rows_view"]

_ESM = Path(__file__).with_name("perspective.js")
_PAGE_THEMES = ("Pro Light", "Pro Dark")
# Perspective's own shows whole numbers with two digits after the point.
_NUMBERS = {"number_format": {"minimumFractionDigits": 0, "maximumFractionDigits": 6}}


def rows_view(table: Any, place: str, config: dict[str, Any]) -> Any:
    """Return a widget that draws a table of Perspective; its ``end()`` gives back the table, too.

    Args:
        table: The table, which belongs to the widget from here on.
        place: The column that rows are sorted by where ``config`` does not say how they are, and which is not shown.
        config: How it is drawn, as ``PerspectiveWidget`` takes it.
    """
    numbers = {name: _NUMBERS for name, kind in table.schema().items() if kind == "float"}
    columns_config = {**numbers, **config.get("columns_config", {})}
    shown = [name for name in table.columns() if name != place]
    chosen = {"settings": False, "columns": shown, **_in_order(place, config), **config}
    view = _class()(table, place, **{**chosen, "columns_config": columns_config})
    view.layout.height = view.layout.min_height = "26em"
    view.layout.flex = "0 0 auto"
    view.on_msg(view.send_module)
    return view


def _in_order(place: str, config: dict[str, Any]) -> dict[str, Any]:
    if config.get("group_by") or config.get("split_by"):
        return {}
    # Groups that a viewer makes stand in the order of their first rows.
    return {"sort": [[place, "asc"]], "aggregates": {place: "low"}}


@cache
def _class() -> Any:
    import traitlets  # type: ignore[import-not-found, import-untyped, unused-ignore]
    from perspective import PerspectiveError  # type: ignore[import-not-found, import-untyped, unused-ignore]
    from perspective.widget import PerspectiveWidget  # type: ignore[import-not-found, import-untyped, unused-ignore]

    # Each widget would bring the module (6 MB) along, and a page can run it only once: it is sent when asked for.
    module = str(PerspectiveWidget._esm).encode()

    class RowsView(PerspectiveWidget):  # type: ignore[misc, unused-ignore]
        _esm = _ESM
        follows_page = traitlets.Bool(True).tag(sync=True)  # light or dark: nobody has asked for a theme

        def __init__(self, table: Any, place: str, **config: Any) -> None:
            super().__init__(table, **config)
            self.follows_page = not config.get("theme")
            self._place = place

        def send_module(self, widget: Any, message: dict[str, Any], buffers: Any) -> None:
            if message.get("type") == "module":
                self.send({"type": "module"}, buffers=[module])

        def chosen(self) -> dict[str, Any]:
            """Return how rows are drawn by now, which viewers may have changed, for a table with other columns."""
            config = {**self.save(), "columns_config": self.columns_config}
            if set(config["columns"]) == set(self.table.columns()) - {self._place}:
                del config["columns"]  # all of them, which nobody chose
            if self.follows_page and config["theme"] in _PAGE_THEMES:
                del config["theme"]
            if config["sort"] == [[self._place, "asc"]]:
                del config["sort"], config["aggregates"]
            return config

        def end(self) -> None:
            """Close, and give back what Perspective keeps until it is told: its viewers' sessions, and the table."""
            table = self.table
            for session in self._sessions.values():
                session.close()
            self._sessions.clear()
            self.close()
            # A table is not collected as garbage, and cannot be deleted while there are views of it, which those of
            # a page that hung up go on being: then it is left behind without its rows.
            table.clear()
            with suppress(PerspectiveError):
                table.delete()

    return RowsView
