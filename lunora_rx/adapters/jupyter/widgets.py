"""The widget that draws pictures, in every notebook that knows anywidget."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from reactivex import Observable

from lunora_rx.adapters.jupyter.cells import NO_VALUE, rows_of, table_of, text_of, time_of
from lunora_rx.adapters.jupyter.rows import RowsTable
from lunora_rx.adapters.jupyter.rows_view import rows_view
from lunora_rx.adapters.jupyter.watch import Picture, Watch

__all__ = ["Panel", "has_perspective", "has_widgets"]

_HERE = Path(__file__).parent


def has_widgets() -> bool:
    """Whether there is what live views are made with."""
    return find_spec("anywidget") is not None


def has_perspective() -> bool:
    """Whether there is what rows are shown by."""
    return has_widgets() and find_spec("perspective") is not None


class Panel:
    """A live view of one Observable: a head with its badge, pause and history, and below it the value.

    It is made, and shows, on the running loop; what viewers do may arrive on any thread, and crosses over.

    Args:
        observable: What is shown.
        title: What stands above it.
        fps: How many values are shown in a second at most.
        history: How many values can be looked back at.
        config: How Perspective shows rows; ``None`` for a plain table.
        of: What its values are made of, which knows how good they are.

    Attributes:
        watch: What is shown while somebody looks.
        root: The widget to display.
    """

    def __init__(
        self,
        observable: Observable[Any],
        title: str,
        *,
        fps: float,
        history: int,
        config: dict[str, Any] | None,
        of: Observable[Any] | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._rows = None if config is None else RowsTable()
        self._config = None if config is None else {"title": title, **config}
        self._rows_view: Any = None
        self.watch = Watch(observable, self._draw, interval=1 / fps, history=history, of=of)
        self.head = _view_class()(title=title)
        self.head.on_msg(self._cross)
        self.root = self.head if config is None else _stack(self.head)

    def close(self) -> None:
        """Let go of the Observable, and of the widgets."""
        self.watch.close()
        if self._rows_view is not None:
            self._rows_view.end()
        self.root.close()
        self.head.close()

    def act(self, message: dict[str, Any]) -> None:
        """Do what a viewer asks for; what is unknown is passed over."""
        watch = self.watch
        actions: dict[str, Callable[[], object]] = {
            "enter": lambda: watch.enter(str(message.get("view"))),
            "leave": lambda: watch.leave(str(message.get("view"))),
            "pause": watch.pause,
            "resume": watch.resume,
            "look": lambda: watch.look_at(int(message.get("position", 0))),
        }
        action = actions.get(str(message.get("do")))
        if action is not None:
            action()

    def _cross(self, widget: Any, message: dict[str, Any], buffers: Any) -> None:
        # Messages of widgets may be handled on a thread of their own (a subshell), which the client must not see.
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.act, message)

    def _draw(self, picture: Picture) -> None:
        at = picture.snapshot.updated_at
        content = self._content(picture)
        with self.head.hold_sync():
            self.head.label, self.head.tone = picture.badge.label, picture.badge.tone
            self.head.history = {
                "count": picture.length,
                "position": picture.position,
                "is_paused": picture.is_paused,
                "at": "" if at is None else time_of(at),
            }
            self.head.content = content

    def _content(self, picture: Picture) -> dict[str, Any]:
        if not picture.snapshot.has_value:
            return {"rest": NO_VALUE}
        value = picture.snapshot.value
        rows = None if self._rows is None else rows_of(value)
        if rows and self._show_rows(rows):
            return {"rest": f"{len(rows):,} row{'s' * (len(rows) != 1)}"}
        self._stack_up()
        return _content_of(value)

    def _show_rows(self, rows: list[Any]) -> bool:
        assert self._rows is not None, "asked where there is a table only"
        if not self._rows.show(rows):
            return False
        before, table = self._rows_view, self._rows.table
        if before is None or before.table is not table:
            # A page asks for the table of a widget only once: another table needs another widget.
            config = self._config if before is None else before.chosen()
            self._rows_view = rows_view(table, self._rows.place, config or {})
        self._stack_up(self._rows_view)
        if before is not None and before is not self._rows_view:
            before.end()
        return True

    def _stack_up(self, *below: Any) -> None:
        children = (self.head, *below)
        if self.root is not self.head and self.root.children != children:
            self.root.children = children


def _content_of(value: Any) -> dict[str, Any]:
    table = table_of(value)
    if table is None:
        return {"text": text_of(value)}
    rest = "no rows" if not table.rows else f"and {table.more:,} more rows" if table.more else ""
    return {"columns": table.columns, "rows": table.rows, "rest": rest}


@cache
def _view_class() -> Any:
    import anywidget  # type: ignore[import-not-found, import-untyped, unused-ignore]
    import traitlets  # type: ignore[import-not-found, import-untyped, unused-ignore]

    class LiveView(anywidget.AnyWidget):  # type: ignore[misc, unused-ignore]
        _esm = _HERE / "view.js"
        _css = _HERE / "view.css"
        title = traitlets.Unicode("").tag(sync=True)
        label = traitlets.Unicode("loading").tag(sync=True)
        tone = traitlets.Unicode("loading").tag(sync=True)
        history = traitlets.Dict({"count": 0, "position": 0, "is_paused": False, "at": ""}).tag(sync=True)
        content = traitlets.Dict({"rest": NO_VALUE}).tag(sync=True)

    return LiveView


def _stack(head: Any) -> Any:
    import ipywidgets  # type: ignore[import-not-found, import-untyped, unused-ignore]

    return ipywidgets.VBox([head])
