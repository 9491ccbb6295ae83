"""The pages of the model: how the server answers a range of rows, and, said once more in other words, what it gives."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any, Final, NamedTuple, TypeAlias

from lunora_rx.devserver import App

Row: TypeAlias = dict[str, Any]

PAGES: Final = "rows:pages"
ORDERS: Final = ("asc", "desc")


class PageQuery(NamedTuple):
    """The rows after ``lower`` up to and including ``upper``; at most ``num_items`` where ``upper`` is open."""

    order: str
    lower: str | None
    upper: str | None
    num_items: int

    @property
    def args(self) -> dict[str, Any]:
        """What the function is asked with."""
        page = {"lower": self.lower, "upper": self.upper, "numItems": self.num_items}
        return {"order": self.order, "paginationOpts": page}

    def answer(self, rows: Sequence[Row]) -> dict[str, Any]:
        """Return what the server gives when the table holds these rows."""
        lower, upper = (place_of(self.order, each) for each in (self.lower, self.upper))
        after = [row for row in in_order(self.order, rows) if lower is None or place(self.order, row) > lower]
        if upper is None:
            held = after[: self.num_items]
            cursor = None if held == after else repr(held[-1]["_creationTime"])
            return {"page": held, "isDone": cursor is None, "continueCursor": cursor}
        held = [row for row in after if place(self.order, row) <= upper]
        answer: dict[str, Any] = {"page": held, "isDone": False, "continueCursor": self.upper}
        if len(held) > 2 * self.num_items:
            answer["splitCursor"] = repr(held[len(held) // 2 - 1]["_creationTime"])
        return answer


def page_query(args: dict[str, Any]) -> PageQuery:
    """Return which page a client asks for."""
    page = args["paginationOpts"]
    assert set(page) == {"lower", "upper", "numItems"}
    return PageQuery(args["order"], page["lower"], page["upper"], page["numItems"])


def place(order: str, row: Row) -> float:
    """Return where a row stands; the order of the list is that of its places."""
    time = float(row["_creationTime"])
    return time if order == "asc" else -time


def place_of(order: str, cursor: str | None) -> float | None:
    """Return where a cursor stands, ``None`` for an end that is open."""
    return None if cursor is None else place(order, {"_creationTime": cursor})


def end_of(order: str, cursor: str | None) -> float:
    """Return up to which place a list reaches that ends at a cursor."""
    found = place_of(order, cursor)
    return inf if found is None else found


def in_order(order: str, rows: Sequence[Row]) -> list[Row]:
    """Return the whole list."""
    return sorted(rows, key=lambda row: place(order, row))


def register_pages(app: App) -> None:
    """Define the paginated query at the server."""

    @app.query(PAGES)
    def pages(ctx, order: str, paginationOpts: dict):
        lower, upper, count = (paginationOpts[name] for name in ("lower", "upper", "numItems"))
        return ctx.db.table("rows").order(order).paginate(lower, count, upper=upper)
