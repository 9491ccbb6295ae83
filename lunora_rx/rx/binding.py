"""Values where a user interface wants them: the newest one, on its own thread, for as long as it is there."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import Disposable, SingleAssignmentDisposable

from lunora_rx.rx.observers import OnError, reporter

__all__ = ["bind"]

T = TypeVar("T")

Schedule: TypeAlias = Callable[[Callable[[], None]], object]
Until: TypeAlias = Callable[[Callable[..., None]], object]


def bind(
    observable: Observable[T],
    setter: Callable[[T], object],
    *,
    schedule: Schedule | None = None,
    until: Until | None = None,
    on_error: Callable[[Exception], object] | None = None,
) -> abc.DisposableBase:
    """Call a setter with the values of an Observable, on the thread of whatever it sets.

    Args:
        observable: Subscribed to here and now: on the client's loop, if it is a client's.
        setter: Called with each value. What it raises reaches neither the source nor other observers, and the next
            value follows.
        schedule: Runs a callback where ``setter`` may be called, such as ``doc.add_next_tick_callback`` of Bokeh or
            ``loop.call_soon_threadsafe``. One crossing at most is under way, and takes the newest value: a setter that
            is slow misses values in between, and none waits for it. By default the setter is called at once, for
            every value.
        until: Called once with what ends the binding, to register it, such as ``client.on_delete`` of NiceGUI. It may
            be called on any thread, with any arguments, more than once. Panel and Bokeh want a function of exactly
            one: ``lambda end: doc.on_session_destroyed(lambda session: end())``.
        on_error: Takes what ``setter`` or ``schedule`` raises and what ``observable`` fails with; by default it is
            logged. A ``schedule`` that raises ends the binding: the place is gone.

    Returns:
        What ends the binding, on any thread; a context manager too. A value on its way is then set no more.

    Raises:
        TypeError: An argument is of the wrong type; it is named.
        Exception: Whatever ``until`` raises; nothing is bound then.
    """
    if not isinstance(observable, Observable):
        raise TypeError(f"observable is an Observable, not {type(observable).__name__}")
    for name, each in (("setter", setter), ("schedule", schedule), ("until", until), ("on_error", on_error)):
        if not callable(each) and (each is not None or name == "setter"):
            raise TypeError(f"{name} is a callable, not {type(each).__name__}")
    binding = Binding(setter, schedule, reporter(on_error, "a binding"))
    handle = Disposable(binding.stop)
    if until is not None:
        until(lambda *args, **kwargs: handle.dispose())
    binding.start(observable)
    return handle


class Binding:
    """What is on its way from an Observable to a setter."""

    def __init__(self, setter: Callable[[Any], object], schedule: Schedule | None, report: OnError) -> None:
        self._setter = setter
        self._schedule = schedule
        self._report = report
        self._newest: deque[Any] = deque(maxlen=1)
        self._lock = threading.Lock()
        self._is_crossing = False
        self._is_over = False
        self._source = SingleAssignmentDisposable()

    def start(self, observable: Observable[Any]) -> None:
        """Watch the values, unless it is over already."""
        if not self._is_over:
            take = self._set if self._schedule is None else self._take
            self._source.disposable = observable.subscribe(take, self._report)

    def stop(self) -> None:
        """Let go of the source; nothing is set any more."""
        self._is_over = True
        self._source.dispose()

    def _take(self, value: Any) -> None:
        assert self._schedule is not None, "without it values do not cross"
        with self._lock:
            self._newest.append(value)
            if self._is_crossing:
                return
            self._is_crossing = True
        try:
            self._schedule(self._arrive)
        except Exception as error:
            self.stop()
            self._report(error)

    def _arrive(self) -> None:
        with self._lock:
            self._is_crossing = False
            values = tuple(self._newest)
            self._newest.clear()
        for value in values:
            self._set(value)

    def _set(self, value: Any) -> None:
        if self._is_over:
            return
        try:
            self._setter(value)
        except Exception as error:
            self._report(error)
