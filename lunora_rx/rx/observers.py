"""Delivers to many observers in order, and keeps them from harming each other.

An observer that raises is reported and the others go on; one that disposes itself, or
attaches another, during a delivery changes the next delivery and not this one.  Each is
called in the context (``contextvars``) in which it attached, so that what it prints in a
notebook lands in the cell that subscribed.  One that blocks delays everybody: it is named in a warning.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Collection
from contextvars import Context, copy_context
from dataclasses import fields, is_dataclass
from functools import partial
from operator import is_not
from time import monotonic
from types import BuiltinFunctionType, FunctionType, MappingProxyType, MethodType
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from reactivex import abc
from reactivex.observer import AutoDetachObserver

from lunora_rx.protocol.values import WireMap, WireSet

T = TypeVar("T")

OnError: TypeAlias = Callable[[Exception], None]

_log = logging.getLogger("lunora_rx.observers")

# Seconds. As long as that nothing else was read, sent or shown.
_TOO_LONG = 0.5
_NAMED = 3

_END = object()

# What nearly all parts are: they hold nothing.
_ATOMS = frozenset({str, int, float, bool, type(None), bytes})
_MAPPINGS = (dict, MappingProxyType, WireMap)
_SEQUENCES = (list, tuple, deque, set, frozenset, WireSet)


class Place(NamedTuple):
    """Where one observer stands."""

    run: Callable[..., Any]
    on_next: Callable[[Any], Any]
    observer: Any
    context: Context
    is_inner: bool = False


class DebugReport:
    """Takes what observers raise, in debug mode: whoever is given it finds faults of observers besides.

    Args:
        report: Takes what an observer raises, and the faults that are found.
        check_thread: Raises where what it is told is done on another thread than the client's.

    Attributes:
        changes_found: How many times an observer was found that changed what it shares.
    """

    def __init__(self, report: OnError, check_thread: Callable[[str], None]) -> None:
        self._report = report
        self.check_thread = check_thread
        self.changes_found = 0

    def __call__(self, error: Exception) -> None:
        """Report a fault."""
        self._report(error)


class Observers(Generic[T]):
    """The observers of one thing.

    Args:
        report: Takes what an observer raises. A ``DebugReport`` has observers attached on the client's thread only,
            and finds those that change what they share, at the cost of a walk over it before and after each.

    Attributes:
        places: Who is attached, in the order in which they came; asked whether it is empty once a frame.
    """

    __slots__ = ("_debug", "_order", "_report", "places")

    def __init__(self, report: OnError) -> None:
        self._report = report
        self._debug = report if isinstance(report, DebugReport) else None
        self.places: dict[object, Place] = {}
        self._order: tuple[Place, ...] | None = ()

    def __len__(self) -> int:
        return len(self.places)

    def attach(self, observer: abc.ObserverBase[T]) -> Callable[[], None]:
        """Add an observer and return what removes it; removing it twice is silent."""
        if self._debug is not None:
            self._debug.check_thread("subscribe()")
        context = copy_context()
        token = object()
        # Nearly every observer is reactivex's own around a function, which is called here as it would do it.
        is_inner = type(observer) is AutoDetachObserver and callable(getattr(observer, "_on_next", None))
        on_next = observer._on_next if is_inner else observer.on_next  # type: ignore[attr-defined]
        self.places[token] = Place(context.run, on_next, observer, context, is_inner)
        self._order = None

        def detach() -> None:
            if self.places.pop(token, None) is not None:
                self._order = None

        return detach

    def present(self) -> tuple[Place, ...]:
        """Return all who are attached now, in the order in which they came."""
        order = self._order
        if order is None:
            order = self._order = tuple(self.places.values())
        return order

    def take(self) -> tuple[Place, ...]:
        """Let go of all who are attached now, and return them."""
        places = self.present()
        self.places, self._order = {}, ()
        return places

    def next(self, value: T, places: tuple[Place, ...] | None = None) -> None:
        """Deliver a value to all who are attached now, or to those given."""
        if places is None:
            places = self._order
            if places is None:
                places = self.present()
        if self._debug is not None:
            for place in places:
                self._next_inspected(place, value, self._debug)
            return
        began = monotonic()
        for run, on_next, observer, _, is_inner in places:
            try:
                if is_inner and observer.is_stopped:
                    continue
                run(on_next, value)
            except BaseException as error:
                self._report(containable(error))
        if (seconds := monotonic() - began) > _TOO_LONG:
            _warn_of(places, seconds)

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
        if self._debug is None:
            self._contain(observer.on_next, value)
        else:
            self._next_inspected(Place(_call, observer.on_next, observer, copy_context()), value, self._debug)

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

    def _next_inspected(self, place: Place, value: T, debug: DebugReport) -> None:
        found, before, began = debug.changes_found, anatomy(value), monotonic()
        self._deliver(place, place.observer.on_next, value)
        if (seconds := monotonic() - began) > _TOO_LONG:
            _warn_of((place,), seconds)
        # Who passes a value on within its delivery is no culprit of whoever gets it.
        if found == debug.changes_found and is_another(before, anatomy(value)):
            debug.changes_found += 1
            self._report_change(place)

    def _report_change(self, place: Place) -> None:
        self._report(RuntimeError(f"{_name_of(place)} changed a value that it shares with other observers"))


def reporter(on_error: Callable[[Exception], object] | None, what: str) -> OnError:
    """Return what takes exceptions of ``what``: a hook, which may raise itself, or the log without one."""

    def report(error: Exception) -> None:
        if on_error is None:
            _log.error("%s raised %s", what, type(error).__name__, exc_info=error)
            return
        try:
            on_error(error)
        except Exception as second:
            _log.error("on_error itself raised %s", type(second).__name__, exc_info=second)

    return report


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


def _warn_of(places: tuple[Place, ...], seconds: float) -> None:
    names = ", ".join(_name_of(place) for place in places[:_NAMED])
    more = f" or {len(places) - _NAMED} more" if len(places) > _NAMED else ""
    _log.warning("the event loop stood still for %.1f s in %s", seconds, f"{names}{more}")


def _name_of(place: Place) -> str:
    """Name who observes without asking it: its ``repr`` may hold what no log may show, or raise."""
    callback = getattr(place.observer, "__dict__", {}).get("_on_next", place.observer)
    while isinstance(callback, partial):
        callback = callback.func
    function = callback.__func__ if isinstance(callback, MethodType) else callback
    named = function if isinstance(function, FunctionType | BuiltinFunctionType | type) else type(function)
    return f"{named.__module__}.{named.__qualname__}"


def _call(callback: Callable[..., Any], *args: Any) -> Any:
    return callback(*args)


def anatomy(value: object) -> list[object]:
    """Return a value and all that it holds, in order: once anything in it was changed, it has another anatomy.

    It looks into dicts, lists, tuples, sets, dataclasses and what the wire has of them; anything else is a part
    that has none. Nothing is copied or compared, so any value can be looked at.
    """
    found, waiting, seen = [value], [value], set[int]()
    while waiting:
        each = waiting.pop()
        if id(each) in seen or (parts := _parts(each)) is None:
            continue
        seen.add(id(each))
        # What ends here is told too, or a part could move into its neighbour unseen.
        found += [each, *parts, _END]
        waiting += [part for part in parts if type(part) not in _ATOMS]
    return found


def is_another(before: list[object], after: list[object]) -> bool:
    """Tell whether two anatomies differ."""
    return len(before) != len(after) or any(map(is_not, before, after))


def _parts(value: object) -> Collection[object] | None:
    if isinstance(value, _MAPPINGS):
        return [*value.keys(), *value.values()]
    if isinstance(value, _SEQUENCES):
        return tuple(value)
    if is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, field.name, None) for field in fields(value)]
    return None
