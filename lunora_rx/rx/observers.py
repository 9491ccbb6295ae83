"""Delivers to many observers in order, and keeps them from harming each other.

An observer that raises is reported and the others go on; one that disposes itself, or
attaches another, during a delivery changes the next delivery and not this one.  Each is
called in the context (``contextvars``) in which it attached, so that what it prints in a
notebook lands in the cell that subscribed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from reactivex import abc

T = TypeVar("T")

OnError: TypeAlias = Callable[[Exception], None]


class Place(NamedTuple):
    """Where one observer stands."""

    run: Callable[..., Any]
    on_next: Callable[[Any], Any]
    observer: abc.ObserverBase[Any]
    context: Context


class Observers(Generic[T]):
    """The observers of one thing.

    Args:
        report: Takes what an observer raises.
        inspects: Whether to find observers that change the values they share, at the cost of a copy a delivery.
    """

    __slots__ = ("_inspects", "_order", "_places", "_report")

    def __init__(self, report: OnError, *, inspects: bool = False) -> None:
        self._report = report
        self._inspects = inspects
        self._places: dict[object, Place] = {}
        self._order: tuple[Place, ...] | None = ()

    def __len__(self) -> int:
        return len(self._places)

    def attach(self, observer: abc.ObserverBase[T]) -> Callable[[], None]:
        """Add an observer and return what removes it; removing it twice is silent."""
        context = copy_context()
        token = object()
        self._places[token] = Place(context.run, observer.on_next, observer, context)
        self._order = None

        def detach() -> None:
            if self._places.pop(token, None) is not None:
                self._order = None

        return detach

    def next(self, value: T) -> None:
        """Deliver a value to all who are attached now."""
        order = self._order
        if order is None:
            order = self._order = tuple(self._places.values())
        if self._inspects:
            self._next_inspected(order, value)
            return
        for run, on_next, _, _ in order:
            try:
                run(on_next, value)
            except Exception as error:
                self._report(error)

    def error(self, make_error: Callable[[], Exception]) -> None:
        """Fail all who are attached now, each with an exception of its own, and let go of them."""
        for place in self._take():
            self._deliver(place, place.observer.on_error, make_error())

    def complete(self) -> None:
        """Complete all who are attached now, and let go of them."""
        for place in self._take():
            self._deliver(place, place.observer.on_completed)

    def replay(self, observer: abc.ObserverBase[T], value: T) -> None:
        """Deliver a value that came before to one observer, in the caller's context."""
        try:
            observer.on_next(value)
        except Exception as error:
            self._report(error)

    def _take(self) -> tuple[Place, ...]:
        places = tuple(self._places.values())
        self._places, self._order = {}, ()
        return places

    def _deliver(self, place: Place, callback: Callable[..., Any], *args: Any) -> None:
        try:
            place.context.run(callback, *args)
        except Exception as error:
            self._report(error)

    def _next_inspected(self, order: tuple[Place, ...], value: T) -> None:
        original = copy.deepcopy(value)
        for place in order:
            self._deliver(place, place.on_next, value)
            if value != original:
                self._report(RuntimeError(f"{place.observer!r} changed a value that it shares with other observers"))
                original = copy.deepcopy(value)
