"""Bokeh: rows in a ``ColumnDataSource``, streamed and patched under the lock of its document.

The client belongs to the loop of the Bokeh server, one for all sessions; what is made here lets go of it when the
session ends. Needs the extra ``bokeh``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

from reactivex import Observable, abc

from lunora_rx import LiveQuery, LunoraClient, Shape, bind
from lunora_rx.adapters import FRAME, Freshness, badge_html, freshness, in_frames, load

T = TypeVar("T")

Row: TypeAlias = Mapping[str, Any]
Columns: TypeAlias = Sequence[str] | Mapping[str, Callable[[Row], Any]]

__all__ = ["badge", "show", "source"]


def show(
    observable: Observable[T], setter: Callable[[T], object], *, document: Any = None, interval: float = FRAME
) -> abc.DisposableBase:
    """Call a setter with the newest value, under the document's lock, until its session ends.

    Args:
        observable: A live query, which survives its errors, a shape, or what operators make of them.
        setter: May change any model of the document. What it raises is logged.
        document: The ``bokeh.document.Document``; by default that of ``curdoc()``. In one that no server serves, as in
            a notebook, the setter is called on the loop, and what is returned ends it.
        interval: The shortest time between two calls, in seconds. Values between them are skipped, the last never is.

    Returns:
        What ends it before the session does.

    Raises:
        ImportError: Bokeh is not installed.
        TypeError, ValueError: An argument is of the wrong type, or no time; it is named.
        RuntimeError: No asyncio loop runs here, or the client belongs to another one.
    """
    document = load("bokeh.io", extra="bokeh").curdoc() if document is None else document
    frames = in_frames(observable, interval)
    if document.session_context is None:
        return bind(frames, setter)

    def until(end: Callable[[], None]) -> None:
        # Bokeh refuses what takes any arguments: it wants exactly this one.
        document.on_session_destroyed(lambda session_context: end())

    return bind(frames, setter, schedule=document.add_next_tick_callback, until=until)


def source(
    rows: Observable[Any], columns: Columns, *, key: str = "_id", document: Any = None, interval: float = FRAME
) -> Any:
    """Return a ``ColumnDataSource`` of rows that stays live, for as long as the session.

    Only what changed is sent: rows that come at the end and leave at the front are streamed, changed cells are
    patched. Rows in another order than before are sent as a whole.

    Args:
        rows: An Observable of lists of rows: a live query, a shape, or what operators make of them.
        columns: The fields to show; or, by the names of the columns, functions of a row, such as
            ``{"at": lambda row: row["at"] * 1000}``. A field that a row has not is ``None``.
        key: The field that tells one row from another.
        document: As for ``show``.
        interval: As for ``show``.

    Raises:
        ImportError, TypeError, ValueError, RuntimeError: As ``show``.
    """
    models = load("bokeh.models", extra="bokeh")
    functions = columns if isinstance(columns, Mapping) else {name: _field(name) for name in columns}
    table = models.ColumnDataSource({name: [] for name in functions})
    show(rows, Filling(table, functions, key).show, document=document, interval=interval)
    return table


def badge(
    client: LunoraClient, live: LiveQuery[Any] | Shape[Any], *, document: Any = None, interval: float = FRAME
) -> Any:
    """Return a ``Div`` that says whether a live query or a shape is live, stale, offline, pending or failed.

    Raises:
        ImportError, ValueError, RuntimeError: As ``show``.
    """
    div = load("bokeh.models", extra="bokeh").Div(text=badge_html("pending"))

    def paint(word: Freshness) -> None:
        div.text = badge_html(word)

    show(freshness(client, live), paint, document=document, interval=interval)
    return div


class Filling:
    """Brings a ``ColumnDataSource`` from the rows it shows to the next ones.

    Args:
        table: The source.
        functions: What makes each column's value of a row.
        key: The field that tells one row from another.
    """

    def __init__(self, table: Any, functions: Mapping[str, Callable[[Row], Any]], key: str) -> None:
        self._table = table
        self._functions = functions
        self._key = key
        self._keys: list[Any] = []
        self._rows: Sequence[Row] = ()

    def show(self, rows: Sequence[Row]) -> None:
        """Show these rows; they are not changed, nor may they be afterwards."""
        before, self._rows = self._rows, rows
        keys_before, self._keys = self._keys, [row[self._key] for row in rows]
        gone = _slid(keys_before, self._keys)
        if gone is None:
            self._table.data = self._columns(rows)
            return
        stay = len(before) - gone
        if stay < len(rows):
            self._table.stream(self._columns(rows[stay:]), rollover=len(rows))
        patches = self._patches(before[gone:], rows[:stay])
        if patches:
            self._table.patch(patches)

    def _columns(self, rows: Sequence[Row]) -> dict[str, list[Any]]:
        return {name: [value_of(row) for row in rows] for name, value_of in self._functions.items()}

    def _patches(self, before: Sequence[Row], rows: Sequence[Row]) -> dict[str, list[tuple[int, Any]]]:
        changed = [index for index, row in enumerate(rows) if row is not before[index] and row != before[index]]
        if not changed:
            return {}
        return {
            name: [(index, value_of(rows[index])) for index in changed] for name, value_of in self._functions.items()
        }


def _slid(before: list[Any], after: list[Any]) -> int | None:
    """Return how many keys left at the front, if that and additions at the end are all that happened."""
    if not before or not after or after[0] not in before:
        return None
    gone = before.index(after[0])
    stay = len(before) - gone
    # A stream drops rows only as it adds some.
    return gone if before[gone:] == after[:stay] and (not gone or stay < len(after)) else None


def _field(name: str) -> Callable[[Row], Any]:
    return lambda row: row.get(name)
