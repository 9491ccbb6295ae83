"""Panel and what comes with it, by the extra ``dashboard``: import this only once a page is asked for."""

from __future__ import annotations

from html import escape
from importlib import import_module
from typing import Any, Final

__all__ = ["STYLES", "Message", "badge", "param", "pd", "perspective_styles", "pn"]

# Any, so that the types are checked the same with and without the extra.
pn: Any = import_module("panel")
param: Any = import_module("param")
pd: Any = import_module("pandas")
# What a page may hold has to be named before the first page is made.
pn.extension("perspective", "tabulator")

STYLES: Final = """
:host, :root, body { font-family: system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif; }
.badge { display: inline-block; padding: 1px 9px; border-radius: 9px; font-size: 12px; font-weight: 600;
  line-height: 18px; background: #e5e7eb; color: #374151; white-space: nowrap; }
.line .live, .line .connected { background: #d1fae5; color: #065f46; }
.line .stale, .line .polling, .line .connecting, .line .waits { background: #fef3c7; color: #92400e; }
.line .failed, .line .offline { background: #fee2e2; color: #991b1b; }
.line { display: flex; gap: 10px; align-items: center; font-size: 13px; color: #4b5563; min-height: 24px; }
.line code { color: #111827; background: none; font-size: 13px; overflow-wrap: anywhere; }
.error { color: #991b1b; background: #fef2f2; border-left: 3px solid #dc2626; padding: 6px 10px; font-size: 13px;
  white-space: pre-wrap; overflow-wrap: anywhere; }
.status .frames { color: #cbd5e1; }
.note { color: #4b5563; font-size: 13px; white-space: pre-wrap; overflow-wrap: anywhere; }
"""


def badge(word: str, look: str = "") -> str:
    """Return a word as a coloured badge, in HTML."""
    return f'<span class="badge {escape(look or word)}">{escape(word)}</span>'


def perspective_styles() -> list[str]:
    """Return the style sheets of a Perspective viewer, which Panel's server has."""
    return list(dict.fromkeys(import_module("panel.models.perspective").Perspective.__css__))


class Message:
    """A place for a message, which is not there while there is none."""

    def __init__(self, look: str) -> None:
        self.pane = pn.pane.HTML("", stylesheets=[STYLES], visible=False, sizing_mode="stretch_width", margin=(4, 10))
        self._look = look

    def show(self, text: str) -> None:
        """Show a text, as it stands; an empty one takes the message away."""
        self.pane.object = f'<div class="{self._look}">{escape(text)}</div>' if text else ""
        self.pane.visible = bool(text)
