"""One open page: what it watches, each in a tab, until the browser goes."""

from __future__ import annotations

from typing import Any

from lunora_rx.cli.dashboard.catalog import Listed
from lunora_rx.cli.dashboard.columns import shown
from lunora_rx.cli.dashboard.desk import Desk
from lunora_rx.cli.dashboard.logs import PACE, Logs, headline
from lunora_rx.cli.dashboard.picker import Picker
from lunora_rx.cli.dashboard.toolkit import STYLES, Message, pn
from lunora_rx.cli.dashboard.view import View

_ACCENT = "#1f2a44"
# A moon, in the page itself: one request less, and none that the server logs.
_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Cpath fill='%231f2a44' d='M10 1a7 7 0 1 0 5 11A6 6 0 0 1 10 1z'/%3E%3C/svg%3E#.svg"
)


class Page:
    """A page, made anew for each browser tab.

    Args:
        desk: What all pages share.
    """

    def __init__(self, desk: Desk, title: str) -> None:
        self._desk = desk
        self._title = title
        self._document = pn.state.curdoc
        self._views: dict[int, View] = {}
        self._picker = Picker(self._start)
        self._logs = Logs(desk)
        self._tabs = pn.Tabs(closable=True, sizing_mode="stretch_both", min_height=440, dynamic=True)
        self._hint = Message("note")
        self._hint.show(
            "Pick a query on the left and watch it: its rows appear here, and change as they do on the server."
        )

    def show(self) -> Any:
        """Return the page, and begin to watch."""
        self._tabs.param.watch(lambda _: self._close_removed(), "objects")
        pn.state.add_periodic_callback(self._logs.look, period=PACE)
        pn.state.onload(self._fill)
        pn.state.on_session_destroyed(lambda _: self._close())
        self._logs.look()
        return pn.template.BootstrapTemplate(
            title=headline(self._title),
            header=[pn.Row(pn.HSpacer(), self._logs.status, sizing_mode="stretch_width", margin=0)],
            sidebar=[self._picker.view],
            main=[
                pn.Column(
                    self._hint.pane,
                    self._tabs,
                    self._logs.view,
                    sizing_mode="stretch_both",
                    styles={"height": "calc(100vh - 90px)", "min-height": "700px"},
                    margin=0,
                )
            ],
            favicon=_ICON,
            header_background=_ACCENT,
            sidebar_width=320,
            raw_css=[STYLES],
            busy_indicator=None,
        )

    async def _fill(self) -> None:
        self._picker.offer(await self._desk.read_catalog())

    def _start(self, function: Listed, args: dict[str, Any], shard: str | None) -> None:
        if function.kind in ("mutation", "action"):
            self._desk.run(function.kind, function.path, args, shard)
            self._logs.show_calls()
            self._logs.look()
            return
        watched = self._desk.watch(function.kind, function.path, args, shard)
        title = " ".join([function.path, *([shown(args)] if args else []), *([f"on {shard}"] if shard else [])])
        view = View(watched, function.path, title, self._document.add_next_tick_callback)
        self._views[id(view.view)] = view
        self._hint.show("")
        self._tabs.append((function.path, view.view))
        self._tabs.active = len(self._tabs) - 1

    def _close_removed(self) -> None:
        shown_now = {id(each) for each in self._tabs}
        for key in [key for key in self._views if key not in shown_now]:
            self._views.pop(key).close()

    def _close(self) -> None:
        while self._views:
            self._views.popitem()[1].close()
