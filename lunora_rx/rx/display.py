"""How the Observables of a client come to show themselves in notebooks: whoever draws them is named here.

This ring draws nothing, and knows nobody who does: the package names a module, which is imported when the first
Observable is displayed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from lunora_rx.core.snapshot import Status

if TYPE_CHECKING:
    from lunora_rx.rx.subject import Latest

__all__ = ["Health", "display_by", "health_of", "mimebundle", "view"]


class Health(NamedTuple):
    """What a client's queries are shown beside.

    Attributes:
        status: How the client stands with its server.
        pending: How many writes wait to be sent.
    """

    status: Latest[Status]
    pending: Latest[int]

    def show_beside_itself(self) -> None:
        """Display status and writes beside each other, too."""
        self.status._health = self.pending._health = self


_drawn_by = ""


def display_by(module: str) -> None:
    """Have things drawn by a module with functions ``mimebundle(thing)`` and ``view(thing)``."""
    global _drawn_by
    _drawn_by = module


def health_of(thing: Any) -> Health | None:
    """Return what a thing of a client is shown beside; ``None`` where that is not known."""
    return getattr(thing, "_health", None)


def mimebundle(thing: Any) -> Any:
    """Return what Jupyter displays of a thing."""
    return import_module(_drawn_by).mimebundle(thing)


def view(thing: Any) -> Any:
    """Return what marimo displays in place of a thing."""
    return import_module(_drawn_by).view(thing)
