"""A live query whose arguments are themselves an Observable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from reactivex import Observable, abc
from reactivex.disposable import Disposable, SingleAssignmentDisposable

from lunora_rx.core.delta import RowMerge
from lunora_rx.core.events import QueryFailed, SnapshotChanged
from lunora_rx.core.snapshot import Snapshot, SnapshotStatus
from lunora_rx.errors import LunoraError
from lunora_rx.protocol.values import UNDEFINED
from lunora_rx.rx.cache import Query, SharedCache
from lunora_rx.rx.live_query import CachedSource, LiveQuery
from lunora_rx.rx.subject import once


class Following:
    """One run after the arguments, from the first observer to the last.

    It knows which query the latest arguments make, and shows what that one shows. Between two queries the last
    value stays, ``stale``, unless it became somebody else's meanwhile. It does not know who watches.
    """

    def __init__(self, cache: SharedCache, query_of: Callable[[Any], Query]) -> None:
        self.subject = cache.new_subject()
        self.observers = 0
        self.query: Query | None = None
        self._cache = cache
        self._query_of = query_of
        self._arguments = SingleAssignmentDisposable()
        self._watching: abc.DisposableBase = Disposable()
        self._known_error: LunoraError | None = None
        self._shown_at = cache.revocations
        self._is_over = False
        self.is_ended = False

    def start(self, arguments: Observable[Any]) -> None:
        """Follow the arguments, which may come from any thread."""
        call_on_loop = self._cache.call_on_loop
        self._arguments.disposable = arguments.subscribe(
            lambda each: call_on_loop(lambda: self._follow(each)),
            lambda error: call_on_loop(lambda: self._end_arguments(error)),
        )

    def stop(self) -> None:
        """Let go of the arguments and of the query; arguments on their way are ignored."""
        self._is_over = True
        self._arguments.dispose()
        self._leave()

    def _end_arguments(self, error: Exception) -> None:
        # No other arguments will come: who attaches from now on starts afresh.
        self.is_ended = True
        self._fail(error)

    def _follow(self, arguments: Any) -> None:
        if self._is_over:
            return
        try:
            query = self._query_of(arguments)
        except Exception as error:
            self._fail(error)
            return
        if self.query is None or query.key != self.query.key:
            self._watch(query)

    def _watch(self, query: Query) -> None:
        self.query = query
        # A failure from before is no news here, as it is none to any other new observer.
        self._known_error = self._cache.snapshot(query).error
        # An observer may send the next arguments while it is shown this query: then this one is over before it began.
        watching = SingleAssignmentDisposable()
        before, self._watching = self._watching, watching
        watching.disposable = LiveQuery[Any](CachedSource(self._cache, query)).snapshots.subscribe(
            lambda snapshot: self._show(query, snapshot), self._fail, lambda: self._end(query)
        )
        before.dispose()

    def _show(self, query: Query, snapshot: Snapshot[Any]) -> None:
        if query is not self.query:
            return
        is_news = snapshot.error is not None and snapshot.error is not self._known_error
        self._known_error = snapshot.error
        if snapshot.has_value:
            self._shown_at = self._cache.revocations
        elif self.subject.value is not UNDEFINED and self._shown_at == self._cache.revocations:
            status = SnapshotStatus.STALE if snapshot.error is None else snapshot.status
            snapshot = replace(snapshot, value=self.subject.value, status=status)
        self.subject.publish(QueryFailed("", snapshot) if is_news else SnapshotChanged("", snapshot))

    def _fail(self, error: Exception) -> None:
        if self._is_over:
            return
        self._leave()
        failure = error
        if not isinstance(failure, LunoraError):
            failure = LunoraError(f"the arguments of the live query cannot be used: {error}")
            failure.__cause__ = error
        shown = replace(self.subject.snapshot, status=SnapshotStatus.FAILED, error=failure)
        self.subject.publish(QueryFailed("", shown))

    def _end(self, query: Query) -> None:
        if query is self.query:
            self.subject.complete()

    def _leave(self) -> None:
        self.query = None
        self._watching.dispose()


class FollowingSource:
    """Follows the latest arguments while somebody watches.

    The first observer subscribes to the arguments, the last one to leave lets go of everything.

    Args:
        cache: Where queries are watched.
        title: The function, for ``repr``.
        arguments: The arguments, as they change.
        query_of: Makes the query of some arguments; raises where ``client.live`` would.
    """

    def __init__(
        self, cache: SharedCache, title: str, arguments: Observable[Any], query_of: Callable[[Any], Query]
    ) -> None:
        self._cache = cache
        self._title = title
        self._arguments = arguments
        self._query_of = query_of
        self._following: Following | None = None

    @property
    def shard(self) -> str | None:
        """The shard of the query followed now."""
        query = None if self._following is None else self._following.query
        return None if query is None else query.shard

    @property
    def title(self) -> str:
        """How the query is written in a program."""
        return self._title

    @property
    def snapshot(self) -> Snapshot[Any]:
        """What is shown now."""
        return Snapshot() if self._following is None else self._following.subject.snapshot

    @property
    def value(self) -> Any:
        """The value shown now."""
        return UNDEFINED if self._following is None else self._following.subject.value

    @property
    def row_merge(self) -> RowMerge | None:
        """How the value of the query followed now was made of the one before, if by one row change."""
        following = self._following
        return None if following is None or following.query is None else self._cache.row_merge(following.query)

    def refresh(self) -> None:
        """Ask for the whole value of the query followed now."""
        if self._following is not None and self._following.query is not None:
            self._cache.refresh(self._following.query)

    def attach_values(self, observer: abc.ObserverBase[Any], *, resilient: bool) -> abc.DisposableBase:
        """Let an observer watch the values."""
        return self._attach(observer, lambda each: each.subject.attach_values(observer, resilient=resilient))

    def attach_snapshots(self, observer: abc.ObserverBase[Any]) -> abc.DisposableBase:
        """Let an observer watch the snapshots."""
        return self._attach(observer, lambda each: each.subject.attach_snapshots(observer))

    def _attach(
        self, observer: abc.ObserverBase[Any], attach: Callable[[Following], Callable[[], None]]
    ) -> abc.DisposableBase:
        if self._cache.is_completed:
            return self._cache.complete_late(observer)
        self._cache.enter()
        following = self._following
        is_first = following is None or following.is_ended
        if following is None or following.is_ended:
            following = self._following = Following(self._cache, self._query_of)
        following.observers += 1
        detach = attach(following)
        if is_first:
            # The observer is there before the arguments are: it hears of some that fail at once.
            following.start(self._arguments)
        return self._disposable(following, detach)

    def _disposable(self, following: Following, detach: Callable[[], None]) -> abc.DisposableBase:
        def leave() -> None:
            detach()
            following.observers -= 1
            if following.observers == 0:
                self._following = None if self._following is following else self._following
                following.stop()

        leave_once = once(leave)
        return Disposable(lambda: self._cache.call_on_loop(leave_once))
