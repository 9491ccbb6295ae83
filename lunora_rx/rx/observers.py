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
Part: TypeAlias = Callable[[Any], Any]


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
        inspects: Tells which part of what is delivered the observers share; then those that change it are
            found, at the cost of a copy a delivery. ``None`` to trust them.
    """

    __slots__ = ("_inspects", "_order", "_places", "_report")

    def __init__(self, report: OnError, *, inspects: Part | None = None) -> None:
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

    def present(self) -> tuple[Place, ...]:
        """Return all who are attached now, in the order in which they came."""
        order = self._order
        if order is None:
            order = self._order = tuple(self._places.values())
        return order

    def take(self) -> tuple[Place, ...]:
        """Let go of all who are attached now, and return them."""
        places = self.present()
        self._places, self._order = {}, ()
        return places

    def next(self, value: T, places: tuple[Place, ...] | None = None) -> None:
        """Deliver a value to all who are attached now, or to those given."""
        if places is None:
            places = self.present()
        if self._inspects is not None:
            for place in places:
                self._next_inspected(place, value, self._inspects)
            return
        for run, on_next, _, _ in places:
            try:
                run(on_next, value)
            except BaseException as error:
                self._report(containable(error))

    def error(self, make_error: Callable[[], Exception], places: tuple[Place, ...] | None = None) -> None:
        """Fail all who are attached now, or those taken before, each with an exception of its own."""
        for place in self.take() if places is None else places:
            self._deliver(place, place.observer.on_error, make_error())

    def complete(self) -> None:
        """Complete all who are attached now, and let go of them."""
        for place in self.take():
            self._deliver(place, place.observer.on_completed)

    def replay(self, observer: abc.ObserverBase[T], value: T) -> None:
        """Deliver a value that came before to one observer, in the caller's context."""
        if self._inspects is None:
            self._contain(observer.on_next, value)
        else:
            self._next_inspected(Place(_call, observer.on_next, observer, copy_context()), value, self._inspects)

    def finish(self, observer: abc.ObserverBase[T], error: Exception | None = None) -> None:
        """Tell one observer of an end that came before, in the caller's context."""
        if error is None:
            self._contain(observer.on_completed)
        else:
            self._contain(observer.on_error, error)

    def _deliver(self, place: Place, callback: Callable[..., Any], *args: Any) -> None:
        self._contain(place.run, callback, *args)

    def _contain(self, callback: Callable[..., Any], *args: Any) -> None:
        try:
            callback(*args)
        except BaseException as error:
            self._report(containable(error))

    def _next_inspected(self, place: Place, value: T, part: Part) -> None:
        try:
            original = copy.deepcopy(part(value))
        except Exception as error:
            # A value that cannot be copied cannot be compared either; it is delivered all the same.
            self._report(error)
            self._deliver(place, place.on_next, value)
            return
        self._deliver(place, place.on_next, value)
        if part(value) != original:
            culprit = getattr(place.observer, "_on_next", place.observer)
            self._report(RuntimeError(f"{culprit!r} changed a value that it shares with other observers"))


def containable(error: BaseException) -> Exception:
    """Return what an observer raised as an exception to report; what is meant to end the program is raised again.

    A ``CancelledError`` out of an observer is its own, as of a future that it asked: no task may die of it.
    """
    if isinstance(error, Exception):
        return error
    if isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit):
        raise error
    contained = RuntimeError(f"an observer raised {type(error).__name__}")
    contained.__cause__ = error
    return contained


def _call(callback: Callable[..., Any], *args: Any) -> Any:
    return callback(*args)
