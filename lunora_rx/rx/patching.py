"""Finds optimistic updates that change what they are shown, in debug mode."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lunora_rx.rx.observers import OnError, anatomy, is_another

Transform = Callable[[Any], Any]


def inspected_transform(transform: Transform, report: OnError, title: str) -> Transform:
    """Return a transform that reports it if the one given changes the value that it is given."""

    def run(value: Any) -> Any:
        before = anatomy(value)
        result = transform(value)
        if is_another(before, anatomy(value)):
            report(_fault(title))
        return result

    return run


def inspected_update(update: Callable[[Any, Any], None], report: OnError, title: str) -> Callable[[Any, Any], None]:
    """Return an update of the local store that reports it if the one given changes a value that it has looked at."""

    def run(store: Any, args: Any) -> None:
        watched = WatchedStore(store)
        update(watched, args)
        if any(is_another(before, anatomy(value)) for value, before in watched.seen):
            report(_fault(title))

    return run


class WatchedStore:
    """A local store that remembers what it has shown, and how that looked."""

    def __init__(self, store: Any) -> None:
        self.seen: list[tuple[Any, Any]] = []
        self._store = store

    def get_query(self, function: Any, args: Mapping[str, Any] | None = None) -> Any:
        """Return what a live query shows."""
        return self._noted(self._store.get_query(function, args))

    def set_query(self, function: Any, args: Mapping[str, Any] | None, value: Any) -> None:
        """Show a value in a live query."""
        self._store.set_query(function, args, value)

    def all_queries(self, function: Any) -> Any:
        """Return every live query of a function."""
        found = self._store.all_queries(function)
        for each in found:
            self._noted(each.value)
        return found

    def _noted(self, value: Any) -> Any:
        # The container is a copy that may be changed; its rows are shared with whoever watches.
        rows = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else [value]
        self.seen += [(row, anatomy(row)) for row in rows]
        return value


def _fault(title: str) -> RuntimeError:
    return RuntimeError(
        f"the optimistic patch of {title} changed a value that it was given, which observers share and no rollback"
        " can take back; make new rows, such as {**row, ...}, then set or return them"
    )
