"""Panel: values as ``pn.rx``, for panes, widgets, indicators and expressions.

The client belongs to the loop of the Panel server, one for all sessions (``pn.state.as_cached``); what is made here
lets go of it when the session ends. Needs the extra ``panel``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from reactivex import Observable, abc

from lunora_rx import LiveQuery, LunoraClient, Shape, bind
from lunora_rx.adapters import FRAME, Freshness, badge_html, freshness, in_frames, load

T = TypeVar("T")

__all__ = ["badge", "rx", "show"]


def show(observable: Observable[T], setter: Callable[[T], object], *, interval: float = FRAME) -> abc.DisposableBase:
    """Call a setter with the newest value, under the lock of this session's document, until the session ends.

    Args:
        observable: A live query, which survives its errors, a shape, or what operators make of them.
        setter: May change anything on the page. What it raises is logged.
        interval: The shortest time between two calls, in seconds. Values between them are skipped, the last never is.

    Returns:
        What ends it before the session does. Where there is no session, as in a notebook, nothing else ends it.

    Raises:
        ImportError: Panel is not installed.
        TypeError, ValueError: An argument is of the wrong type, or no time; it is named.
        RuntimeError: No asyncio loop runs here, or the client belongs to another one.
    """
    state = load("panel", extra="panel").state
    frames, document = in_frames(observable, interval), state.curdoc
    if document is None or document.session_context is None:
        return bind(frames, setter)

    def until(end: Callable[[], None]) -> None:
        # Bokeh, which keeps the session, refuses what takes any arguments: it wants exactly this one.
        document.on_session_destroyed(lambda session_context: end())

    return bind(frames, setter, schedule=document.add_next_tick_callback, until=until)


def rx(observable: Observable[T], initial: Any = None, *, interval: float = FRAME) -> Any:
    """Return the newest value as a ``pn.rx``: ``pn.indicators.Number(value=rx(live)["cpu"])``.

    Args:
        observable: As for ``show``.
        initial: What it is until the first value comes; expressions are made of it at once, so it has their shape.
        interval: As for ``show``.

    Raises:
        ImportError, TypeError, ValueError, RuntimeError: As ``show``.
    """
    value = load("panel", extra="panel").rx(initial)

    def assign(new: T) -> None:
        value.rx.value = new

    show(observable, assign, interval=interval)
    return value


def badge(client: LunoraClient, live: LiveQuery[Any] | Shape[Any], *, interval: float = FRAME) -> Any:
    """Return a ``pn.pane.HTML`` that says whether a live query or a shape is live, stale, offline, pending or failed.

    Raises:
        ImportError, ValueError, RuntimeError: As ``show``.
    """
    html = load("panel", extra="panel").pane.HTML(badge_html("pending"))

    def paint(word: Freshness) -> None:
        html.object = badge_html(word)

    show(freshness(client, live), paint, interval=interval)
    return html
