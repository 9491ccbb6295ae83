"""Live queries, shapes, and the status of a client as live views in JupyterLab, VS Code and marimo.

A ``LiveQuery``, a ``Shape``, ``client.status`` and ``client.pending`` display themselves: make one the last line of a
cell. ``show`` does the same for every other Observable, and takes options. A view subscribes when it is first seen,
and lets go when its output is closed, or its cell runs again.

The extra ``jupyter`` brings what views are made with; without it, and where nothing is live, what is known at the
moment is shown as text and as a plain table.
"""

from __future__ import annotations

import asyncio
import warnings
from dataclasses import replace
from typing import Any

from reactivex import Observable

from lunora_rx import LiveQuery, Shape, Snapshot, SnapshotStatus
from lunora_rx.adapters.jupyter.badges import badge_of
from lunora_rx.adapters.jupyter.places import Places, here
from lunora_rx.adapters.jupyter.static import as_html, as_text
from lunora_rx.adapters.jupyter.widgets import Panel, has_perspective, has_widgets
from lunora_rx.rx.display import health_of
from lunora_rx.rx.subject import Latest

__all__ = ["Shown", "mimebundle", "show", "view"]

FPS = 10.0
CHART_FPS = 4.0
HISTORY = 100
GRID = "Datagrid"

_places = Places()


def show(
    observable: Observable[Any],
    *,
    of: LiveQuery[Any] | Shape[Any] | None = None,
    title: str | None = None,
    fps: float | None = None,
    history: int = HISTORY,
    plain: bool = False,
    **perspective: Any,
) -> Shown:
    """Return what displays itself as a live view of an Observable: make it the last line of a cell, or ``display`` it.

    Args:
        observable: What is shown: a live query, a shape, what operators made of them, or any other. It is subscribed to
            when the view is first seen, and once for all who see it.
        of: What the values are made of: ``show(tasks.map(len), of=tasks)`` says ``live`` and ``offline`` when ``tasks``
            is. Without it nothing is known of another Observable than that its value is the latest.
        title: What stands above it; how it is written in a program, by default.
        fps: How many values are shown in a second at most; the newest one always is. By default 10, and 4 of a chart,
            which a browser takes longer to draw.
        history: How many values can be looked back at with the slider.
        plain: Whether rows are a plain table also where Perspective is installed.
        perspective: How Perspective shows rows, such as ``plugin="Y Line"``, ``columns=["value"]``,
            ``group_by=["sensor"]``, ``sort=[["value", "desc"]]``.

    Raises:
        TypeError: ``observable`` is no Observable, ``of`` no live query or shape, or a number is none.
        ValueError: ``fps`` is not positive, or ``history`` is below 1.
    """
    if not isinstance(observable, Observable):
        raise TypeError(f"observable is an Observable, not {type(observable).__name__}")
    if of is not None and not isinstance(of, LiveQuery | Shape):
        raise TypeError(f"of is a live query or a shape, not {type(of).__name__}")
    if title is not None and not isinstance(title, str):
        raise TypeError(f"title is a string, not {type(title).__name__}")
    if fps is None:
        fps = FPS if perspective.get("plugin", GRID) == GRID else CHART_FPS
    for name, number in (("fps", fps), ("history", history)):
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise TypeError(f"{name} is a number, not {type(number).__name__}")
    if not fps > 0:
        raise ValueError(f"fps is the number of values a second, so more than 0, not {fps!r}")
    if history < 1:
        raise ValueError(f"history is how many values are kept, so 1 or more, not {history!r}")
    config = None if plain or isinstance(observable, Latest) else perspective
    return Shown(observable, _title_of(observable) if title is None else title, fps, int(history), config, of)


class Shown:
    """What ``show`` returns: displays an Observable, each time anew.

    Args:
        observable: What is shown.
        title: What stands above it.
        fps: How many values are shown in a second at most.
        history: How many values can be looked back at.
        config: How Perspective shows rows; ``None`` for a plain table.
        of: What its values are made of.
    """

    def __init__(
        self,
        observable: Observable[Any],
        title: str,
        fps: float,
        history: int,
        config: dict[str, Any] | None,
        of: LiveQuery[Any] | Shape[Any] | None = None,
    ) -> None:
        self._observable = observable
        self._title = title
        self._fps = fps
        self._history = history
        self._config = config
        self._of = of

    def __repr__(self) -> str:
        return f"<Shown {self._title}>"

    def panel(self) -> Panel | None:
        """Return a new live view; ``None`` where there can be none: nothing to draw with, or no running loop."""
        if not has_widgets() or not _is_loop_running():
            return None
        config = self._config if has_perspective() else None
        return Panel(self._observable, self._title, fps=self._fps, history=self._history, config=config, of=self._of)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Any:
        static = self._static()
        panel = self.panel()
        if panel is None:
            return static, {}
        _places.put(panel, here())
        drawn = panel.root._repr_mimebundle_()
        live, metadata = drawn if isinstance(drawn, tuple) else (drawn or {}, {})
        return {**live, **static}, metadata

    def _display_(self) -> Any:
        """What marimo displays: it wraps a widget by itself, and knows no boxes of widgets."""
        if self._config:
            warnings.warn(f"marimo shows a plain table: {', '.join(self._config)} is for JupyterLab", stacklevel=2)
        panel = Shown(self._observable, self._title, self._fps, self._history, None, self._of).panel()
        return _Static(self._static()) if panel is None else panel.root

    def _static(self) -> dict[str, str]:
        snapshot = _snapshot_of(self._observable, self._of)
        health = health_of(self._of or self._observable)
        status, pending = (None, 0) if health is None else (health.status.value, health.pending.value)
        badge = badge_of(snapshot, status, pending, is_known=health is not None)
        shown = (self._title, badge, snapshot.value)
        return {
            "text/plain": as_text(*shown, has_value=snapshot.has_value),
            "text/html": as_html(*shown, has_value=snapshot.has_value),
        }


class _Static:
    """What is known at one moment."""

    def __init__(self, bundle: dict[str, str]) -> None:
        self._bundle = bundle

    def _repr_html_(self) -> str:
        return self._bundle["text/html"]


def mimebundle(thing: Observable[Any]) -> Any:
    """Return what Jupyter displays of a live query, a shape, or a value of the client."""
    return show(thing)._repr_mimebundle_()


def view(thing: Observable[Any]) -> Any:
    """Return what marimo displays in place of them."""
    return show(thing)._display_()


def _snapshot_of(observable: Observable[Any], of: LiveQuery[Any] | Shape[Any] | None) -> Snapshot[Any]:
    if isinstance(observable, LiveQuery | Shape):
        return observable.snapshot
    if isinstance(observable, Latest):
        return Snapshot(SnapshotStatus.LIVE, observable.value)
    if of is None or not of.snapshot.has_value:
        return Snapshot()  # to look at what it comes from could be the beginning of some work
    values: list[Any] = []
    observable.subscribe(values.append, lambda error: None).dispose()
    return replace(of.snapshot, value=values[-1]) if values else Snapshot()


def _title_of(observable: Observable[Any]) -> str:
    if isinstance(observable, LiveQuery):
        return f"live({observable.title})"
    if isinstance(observable, Shape):
        return f"shape({observable.title})"
    return observable.title if isinstance(observable, Latest) else type(observable).__name__


def _is_loop_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
