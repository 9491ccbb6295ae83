"""Marbles: what an Observable tells and when, written, recorded and compared.

A text such as ``"a--b-|"`` is read as RxPY reads it (``reactivex.from_marbles``): each character is one ``timespan``
long, ``-`` is time in which nothing happens, ``(a,b)`` happens at once, ``|`` is the end, ``#`` an error, and anything
else is a name; names that follow each other stand in a group or have a ``-`` between them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, ClassVar, Generic, TypeVar, cast

from reactivex import Notification, Observable, abc
from reactivex.disposable import Disposable
from reactivex.notification import OnCompleted, OnError, OnNext
from reactivex.observable.marbles import parse
from reactivex.testing import Recorded

from lunora_rx.core.delta import RowMerge
from lunora_rx.core.events import QueryFailed, SnapshotChanged, ValueChanged
from lunora_rx.core.snapshot import Snapshot, SnapshotStatus
from lunora_rx.errors import LunoraError
from lunora_rx.protocol.values import UNDEFINED
from lunora_rx.rx.live_query import LiveQuery
from lunora_rx.rx.subject import SnapshotSubject
from lunora_rx.testing.places import place_of_caller

__all__ = ["Recording", "assert_marbles", "hot_live", "record"]

T = TypeVar("T")

_DIGITS = 6
_SHOWN = 6
_WIDTH = 200


class Recording(Generic[T]):
    """What an Observable has told since it is recorded, with the times."""

    kept: ClassVar[ContextVar[list[Recording[Any]] | None]] = ContextVar("kept", default=None)
    """Where the recordings of the test under way are kept, for the report of its failure."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._place = place_of_caller()
        self.messages: list[Recorded[T]] = []
        self._now = now
        self._began = now()
        self._subscription: abc.DisposableBase = Disposable()

    def __repr__(self) -> str:
        return f"<Recording {self.told or 'nothing'}>"

    @property
    def told(self) -> str:
        """The last of what it has told, in words, such as ``0 s: value [1]; 2 s: error ServerError('BOOM: no')``."""
        shown = [_in_words(float(each.time), each.value) for each in self.messages[-_SHOWN:]]
        return "; ".join(["..."] * (len(self.messages) > _SHOWN) + shown)

    @property
    def summary(self) -> str:
        """What it has told, and the line that began it."""
        return f"recorded {self.told or 'nothing'}\n  {self._place}"

    def start(self, observable: Observable[T], scheduler: abc.SchedulerBase | None) -> None:
        """Subscribe."""
        self._subscription = observable.subscribe(
            lambda value: self._keep(OnNext(value)),
            lambda error: self._keep(OnError(error)),
            lambda: self._keep(OnCompleted()),
            scheduler=scheduler,
        )

    def dispose(self) -> None:
        """Record no more."""
        self._subscription.dispose()

    @property
    def values(self) -> list[T]:
        """The values, without the times."""
        return [message.value.value for message in self.messages if isinstance(message.value, OnNext)]

    @property
    def error(self) -> Exception | None:
        """The error that it has ended with, or ``None``."""
        last = self.messages[-1].value if self.messages else None
        return last.exception if isinstance(last, OnError) else None

    @property
    def is_completed(self) -> bool:
        """Whether it has ended well."""
        return bool(self.messages) and isinstance(self.messages[-1].value, OnCompleted)

    def _keep(self, notification: Notification[T]) -> None:
        elapsed = round(self._now() - self._began, _DIGITS)
        # Whole seconds are ints as in RxPY's own tests; a fraction stays one.
        self.messages.append(Recorded(cast("int", int(elapsed) if elapsed.is_integer() else elapsed), notification))


def record(observable: Observable[T], scheduler: abc.SchedulerBase | None = None) -> Recording[T]:
    """Subscribe to an Observable, and keep what it tells and when: seconds from now on.

    Args:
        observable: Any; a live query, its ``snapshots``, what is piped from it.
        scheduler: Whose time it is: a ``TestScheduler``. Without one it is the running loop's, which is virtual where
            ``lunora_time`` is used.

    Raises:
        RuntimeError: There is neither a scheduler nor a running loop.
    """
    recording: Recording[T] = Recording(_clock_of(scheduler))
    kept = Recording.kept.get()
    if kept is not None:
        kept.append(recording)
    recording.start(observable, scheduler)
    return recording


def assert_marbles(
    recorded: Recording[Any],
    marbles: str,
    values: Mapping[str, Any] | None = None,
    *,
    error: Exception | None = None,
    timespan: float = 1.0,
) -> None:
    """Compare what was recorded with a marble text, time for time.

    Args:
        recorded: What ``record`` has returned.
        marbles: Such as ``"a--b"``. A text without an end says nothing of what has not happened.
        values: What the names stand for; a name without a value stands for itself, a number for the number.
        error: What ``#`` stands for; without it any error will do. Errors are compared by class and text.
        timespan: Seconds of one character.

    Raises:
        AssertionError: They differ; both are shown in full.
        TypeError: ``recorded`` is no recording.
    """
    __tracebackhide__ = True
    if not isinstance(recorded, Recording):
        raise TypeError(
            f"recorded is what record(...) has returned, not {recorded!r}: record it before what it is to tell happens"
        )
    expected = [
        (round(float(cast("float", at)), _DIGITS), _told(notification, is_any_error=error is None))
        for at, notification in parse(marbles, timespan=timespan, lookup=_names(values), error=error)
    ]
    found = [(float(each.time), _told(each.value, is_any_error=error is None)) for each in recorded.messages]
    if found != expected:
        raise AssertionError(f"marbles {marbles!r} expected\n{_listed(expected)}\nrecorded\n{_listed(found)}")


def hot_live(
    marbles: str,
    values: Mapping[str, Any] | None = None,
    *,
    scheduler: abc.SchedulerBase,
    error: LunoraError | None = None,
    timespan: float = 1.0,
) -> LiveQuery[Any]:
    """Return a live query that no server is behind: it shows what a marble text says, to test pipelines with.

    It behaves as one of a client: hot, the latest value first, an error ends today's observers and the next value
    heals it. Times count from the moment of this call. ``|`` completes it, as closing the client does.

    Args:
        marbles: Such as ``"a-b-#--c|"``.
        values: What the names stand for.
        scheduler: A ``TestScheduler``, or ``client.scheduler`` in virtual time.
        error: What ``#`` stands for; by default a ``LunoraError`` with code ``INTERNAL``.
        timespan: Seconds of one character.
    """
    source = _Scripted()
    failure = error or LunoraError("the marbles say so", code="INTERNAL")
    for at, notification in parse(marbles, timespan=timespan, lookup=_names(values), error=failure):
        scheduler.schedule_relative(at, source.action(notification))
    return LiveQuery(source)


class _Scripted:
    """The source of a live query that is shown what it says."""

    title = "hot_live"
    shard: str | None = None

    def __init__(self) -> None:
        self._subject: SnapshotSubject[Any] = SnapshotSubject(_raise)

    def action(self, notification: Notification[Any]) -> Callable[..., None]:
        return lambda *_: self._show(notification)

    def attach_values(self, observer: abc.ObserverBase[Any], *, resilient: bool) -> abc.DisposableBase:
        return Disposable(self._subject.attach_values(observer, resilient=resilient))

    def attach_snapshots(self, observer: abc.ObserverBase[Any]) -> abc.DisposableBase:
        return Disposable(self._subject.attach_snapshots(observer))

    @property
    def snapshot(self) -> Snapshot[Any]:
        return self._subject.snapshot

    @property
    def value(self) -> Any:
        return self._subject.value

    @property
    def row_merge(self) -> RowMerge | None:
        return self._subject.row_merge

    def refresh(self) -> None:
        if self._subject.value is not UNDEFINED:
            self._subject.publish(SnapshotChanged("", Snapshot(SnapshotStatus.LIVE, self._subject.value)))

    def _show(self, notification: Notification[Any]) -> None:
        if isinstance(notification, OnNext):
            self._subject.publish(ValueChanged("", notification.value, None, 0))
        elif isinstance(notification, OnError):
            error = cast("LunoraError", notification.exception)
            self._subject.publish(QueryFailed("", Snapshot(SnapshotStatus.FAILED, self._subject.value, error)))
        else:
            self._subject.complete()


def _raise(error: Exception) -> None:
    raise error


def _names(values: Mapping[str, Any] | None) -> dict[str | float, Any]:
    return {name: value for name, value in (values or {}).items()}  # noqa: C416 - the keys are of a wider type


def _clock_of(scheduler: abc.SchedulerBase | None) -> Callable[[], float]:
    if scheduler is None:
        return asyncio.get_running_loop().time
    return lambda: scheduler.to_seconds(scheduler.now)


def _told(notification: Any, *, is_any_error: bool) -> tuple[str, Any]:
    if isinstance(notification, OnNext):
        return "value", notification.value
    if isinstance(notification, OnError):
        error = notification.exception
        return "error", None if is_any_error else (type(error).__name__, str(error))
    return "end", None


def _in_words(at: float, notification: Any) -> str:
    kind, value = _told(notification, is_any_error=True)
    text = "" if kind == "end" else f" {notification.exception if kind == 'error' else value!r}"
    return f"{at:g} s: {kind}{text if len(text) <= _WIDTH else text[:_WIDTH] + '...'}"


def _listed(told: list[tuple[float, tuple[str, Any]]]) -> str:
    lines = [
        f"  {at:g} s: {kind}" + ("" if value is None and kind == "end" else f" {value!r}") for at, (kind, value) in told
    ]
    return "\n".join(lines) or "  nothing"
