"""A live query whose arguments are themselves an Observable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from reactivex import Observable, abc
from reactivex.disposable import Disposable, SerialDisposable

from lunora_rx.core.events import QueryFailed, SnapshotChanged
from lunora_rx.core.snapshot import Snapshot, SnapshotStatus
from lunora_rx.errors import LunoraError
from lunora_rx.protocol.values import UNDEFINED
from lunora_rx.rx.live_query import LiveQuery
from lunora_rx.rx.observers import OnError
from lunora_rx.rx.subject import SnapshotSubject, once


class FollowingSource:
    """Follows the latest arguments: watches the query that they make, and shows what it shows.

    The first observer subscribes to the arguments, the last one to leave lets go of them. Between two
    queries the last value stays, ``stale``.

    Args:
        title: The function, for ``repr``.
        arguments: The arguments, as they change.
        query_of: Makes the query of some arguments; raises where ``client.live`` would.
        report: Takes what observers raise.
        call_on_loop: Runs a callback on the client's thread.
    """

    def __init__(
        self,
        title: str,
        arguments: Observable[Any],
        query_of: Callable[[Any], LiveQuery[Any]],
        report: OnError,
        call_on_loop: Callable[[Callable[[], None]], None],
    ) -> None:
        self._title = title
        self._arguments = arguments
        self._query_of = query_of
        self._report = report
        self._call_on_loop = call_on_loop
        self._subject: SnapshotSubject[Any] = SnapshotSubject(report)
        self._observers = 0
        self._query: LiveQuery[Any] | None = None
        self._watching = SerialDisposable()
        self._following: abc.DisposableBase = Disposable()

    @property
    def title(self) -> str:
        """How the query is written in a program."""
        return self._title

    @property
    def snapshot(self) -> Snapshot[Any]:
        """What is shown now."""
        return self._subject.snapshot

    @property
    def value(self) -> Any:
        """The value shown now."""
        return self._subject.value

    def refresh(self) -> None:
        """Ask for the whole value of the query followed now."""
        if self._query is not None:
            self._query.refresh()

    def attach_values(self, observer: abc.ObserverBase[Any], *, resilient: bool) -> abc.DisposableBase:
        """Let an observer watch the values."""
        self._acquire()
        observers = self._subject.resilient if resilient else self._subject.values
        if self._subject.value is not UNDEFINED:
            observers.replay(observer, self._subject.value)
        return self._disposable(observers.attach(observer))

    def attach_snapshots(self, observer: abc.ObserverBase[Any]) -> abc.DisposableBase:
        """Let an observer watch the snapshots."""
        self._acquire()
        self._subject.snapshots.replay(observer, self._subject.snapshot)
        return self._disposable(self._subject.snapshots.attach(observer))

    def _acquire(self) -> None:
        self._observers += 1
        if self._observers == 1:
            self._watching = SerialDisposable()
            self._following = self._arguments.subscribe(self._follow, self._fail)

    def _disposable(self, detach: Callable[[], None]) -> abc.DisposableBase:
        def leave() -> None:
            detach()
            self._observers -= 1
            if self._observers == 0:
                self._release()

        leave_once = once(leave)
        return Disposable(lambda: self._call_on_loop(leave_once))

    def _release(self) -> None:
        self._following.dispose()
        self._watching.dispose()
        self._query = None
        self._subject = SnapshotSubject(self._report)

    def _follow(self, arguments: Any) -> None:
        try:
            query = self._query_of(arguments)
        except Exception as error:
            self._fail(error)
            return
        self._query = query
        # The new query is opened before the old one is left, so that equal arguments keep their subscription.
        self._watching.disposable = query.snapshots.subscribe(
            lambda snapshot: self._show(query, snapshot), None, lambda: self._end(query)
        )

    def _show(self, query: LiveQuery[Any], snapshot: Snapshot[Any]) -> None:
        if query is not self._query:
            return
        if not snapshot.has_value and self._subject.value is not UNDEFINED:
            status = SnapshotStatus.STALE if snapshot.error is None else snapshot.status
            snapshot = replace(snapshot, value=self._subject.value, status=status)
        is_news = snapshot.error is not None and snapshot.error is not self._subject.snapshot.error
        self._subject.publish(QueryFailed("", snapshot) if is_news else SnapshotChanged("", snapshot))

    def _end(self, query: LiveQuery[Any]) -> None:
        if query is self._query:
            self._subject.complete()

    def _fail(self, error: Exception) -> None:
        known = error if isinstance(error, LunoraError) else LunoraError(f"the arguments cannot be used: {error}")
        known.__cause__ = None if known is error else error
        shown = self._subject.snapshot
        self._subject.publish(QueryFailed("", replace(shown, status=SnapshotStatus.FAILED, error=known)))
