"""NiceGUI: values set on the elements of a page, for as long as the page is open.

The client belongs to NiceGUI's own loop, one for all pages; what is made here lets go of it when the page is deleted, a
few seconds after the browser has left. Needs the extra ``nicegui``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from reactivex import Observable, abc

from lunora_rx import LiveQuery, LunoraClient, Shape, bind
from lunora_rx.adapters import COLOURS, FRAME, Freshness, freshness, in_frames, load

T = TypeVar("T")

__all__ = ["badge", "show"]


def show(observable: Observable[T], setter: Callable[[T], object], *, interval: float = FRAME) -> abc.DisposableBase:
    """Call a setter with the newest value, in the context of this page, until the page is deleted.

    Args:
        observable: A live query, which survives its errors, a shape, or what operators make of them.
        setter: Sets elements, such as ``label.set_text``; it may make some, too. What it raises is logged.
        interval: The shortest time between two calls, in seconds. Values between them are skipped, the last never is.

    Returns:
        What ends it before the page does.

    Raises:
        ImportError: NiceGUI is not installed.
        TypeError, ValueError: An argument is of the wrong type, or no time; it is named.
        RuntimeError: This is not the building of a page, or the client belongs to another loop.
    """
    page = load("nicegui", extra="nicegui").context.client

    def set_on_page(value: T) -> None:
        with page:
            setter(value)

    loop = asyncio.get_running_loop()
    if not callable(setter):
        raise TypeError(f"setter is a callable, not {type(setter).__name__}")
    frames = in_frames(observable, interval)
    return bind(frames, set_on_page, schedule=loop.call_soon_threadsafe, until=page.on_delete)


def badge(client: LunoraClient, live: LiveQuery[Any] | Shape[Any], *, interval: float = FRAME) -> Any:
    """Return a ``ui.badge`` that says whether a live query or a shape is live, stale, offline, pending or failed.

    Raises:
        ImportError, ValueError, RuntimeError: As ``show``.
    """
    shown = load("nicegui", extra="nicegui").ui.badge("pending", color=COLOURS["pending"]).props("rounded")

    def paint(word: Freshness) -> None:
        shown.set_text(word)
        shown.props(f'data-freshness="{word}"')
        shown.set_background_color(COLOURS[word])

    show(freshness(client, live), paint, interval=interval)
    return shown
