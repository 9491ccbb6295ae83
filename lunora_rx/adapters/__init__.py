"""One optional library a module; each is imported when it is used.

What the dashboards among them share is here: the loading of their library, the pace, and the words of the badge.
"""

from __future__ import annotations

import importlib
from typing import Any, Final, Literal, TypeAlias

from reactivex import Observable

from lunora_rx import LiveQuery, LunoraClient, Shape, Snapshot, SnapshotStatus, Status
from lunora_rx import operators as lops

FRAME: Final = 0.1
"""Seconds between two pictures, unless it is said otherwise: as fast as an eye follows numbers."""

Freshness: TypeAlias = Literal["pending", "live", "stale", "offline", "failed"]

COLOURS: Final[dict[Freshness, str]] = {
    "pending": "#64748b",
    "live": "#15803d",
    "stale": "#b45309",
    "offline": "#b91c1c",
    "failed": "#7e22ce",
}
"""The colours of badges: white text on them is readable."""


def load(module: str, *, extra: str) -> Any:
    """Import a module of an optional library.

    Raises:
        ImportError: The library is not installed; the error says what to do.
    """
    library = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != library:
            raise
        hint = f"lunora_rx.adapters.{extra} needs {library}: pip install 'lunora-rx[{extra}]'"
        raise ImportError(hint, name=library) from error


def in_frames(observable: Observable[Any], seconds: float) -> Observable[Any]:
    """Return the newest value, at most one in that many seconds; that of a live query survives its errors."""
    values = observable.resilient if isinstance(observable, LiveQuery) else observable
    return values.pipe(lops.conflate(seconds))


def freshness(client: LunoraClient, live: LiveQuery[Any] | Shape[Any]) -> Observable[Freshness]:
    """Return in one word how far what is shown can be trusted, now and whenever that changes.

    ``offline`` is ``stale`` with no connection, or none in the making.
    """
    both = client.combine({"snapshot": live.snapshots, "status": client.status})
    return both.map(lambda shown: freshness_of(shown["snapshot"], shown["status"])).distinct_until_changed()


def freshness_of(snapshot: Snapshot[Any], status: Status) -> Freshness:
    """Return in one word how far a snapshot can be trusted, given how its client stands."""
    is_behind = snapshot.status in (SnapshotStatus.STALE, SnapshotStatus.PENDING)
    if is_behind and status is Status.OFFLINE:
        return "offline"
    return snapshot.status.value


def badge_html(word: Freshness) -> str:
    """Return a badge as HTML with a style of its own."""
    style = (
        f"background:{COLOURS[word]};color:#fff;border-radius:999px;padding:2px 10px;font:600 13px sans-serif;"
        "display:inline-block;white-space:nowrap"
    )
    return f'<span class="lunora-badge" data-freshness="{word}" style="{style}">&#9679; {word}</span>'
