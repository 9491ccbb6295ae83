"""Which live views stand in which cell, so that a cell that runs again leaves none behind."""

from __future__ import annotations

import sys
from typing import NamedTuple, Protocol

__all__ = ["Place", "Places", "here"]


class Place(NamedTuple):
    """One run of one cell."""

    cell: str
    run: str


class Closable(Protocol):
    """A view."""

    def close(self) -> None:
        """Take it away."""
        ...


class Places:
    """The views of each cell, of its latest run."""

    def __init__(self) -> None:
        self._views: dict[str, tuple[str, list[Closable]]] = {}

    def put(self, view: Closable, place: Place | None) -> None:
        """Put a view into a cell, and close what an earlier run of that cell showed."""
        if place is None:
            return
        run, views = self._views.get(place.cell, ("", []))
        if run != place.run:
            for each in views:
                each.close()
            views = []
        self._views[place.cell] = (place.run, [*views, view])


def here() -> Place | None:
    """Return the run of a cell that this is called from; ``None`` where the notebook does not tell cells apart."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return None
    parent = kernel.get_parent("shell")
    cell = (parent.get("metadata") or {}).get("cellId")
    return None if cell is None else Place(str(cell), str(parent["header"]["msg_id"]))
