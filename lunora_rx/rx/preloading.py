"""Queries asked for in advance, and live queries that show such a value first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from reactivex import abc

from lunora_rx.core.delta import RowMerge
from lunora_rx.core.snapshot import Snapshot, SnapshotStatus
from lunora_rx.errors import LunoraError
from lunora_rx.protocol.preloaded import Preloaded
from lunora_rx.protocol.rpc import Accepted
from lunora_rx.protocol.values import UNDEFINED
from lunora_rx.rx.cache import Query, SharedCache
from lunora_rx.rx.calls import Call
from lunora_rx.rx.live_query import CachedSource
from lunora_rx.rx.observers import OnError

T = TypeVar("T")


class PreloadCall(Call[Preloaded[T]]):
    """A query's value on its way, told together with what was asked for.

    Args:
        title, report, cancel: As ``Call``.
        wrap: Makes the preloaded value of the query's result.
    """

    def __init__(
        self, title: str, report: OnError, cancel: Callable[[], bool], wrap: Callable[[T], Preloaded[T]]
    ) -> None:
        super().__init__(title, report, cancel)
        self._wrap = wrap

    def settle(self, outcome: Accepted | LunoraError) -> None:
        """Note the query's result or the error, once, and tell all who wait for it."""
        if isinstance(outcome, Accepted):
            outcome = Accepted(self._wrap(outcome.value))
        super().settle(outcome)


class PreloadedSource:
    """One query of the shared cache, with a value to show until it has one of its own.

    It knows nothing of whether that value may still be shown: it asks each time.

    Args:
        cache: Where the query is watched.
        query: The query.
        offer: Has the query's next subscription, or the present one, show the value if it may be shown.
        look: Returns the value if it may be shown now, else ``UNDEFINED``.
    """

    def __init__(self, cache: SharedCache, query: Query, offer: Callable[[], None], look: Callable[[], Any]) -> None:
        self._cache = cache
        self._cached = CachedSource(cache, query)
        self._offer = offer
        self._look = look

    def attach_values(self, observer: abc.ObserverBase[Any], *, resilient: bool) -> abc.DisposableBase:
        """Let an observer watch the values."""
        self._prepare()
        return self._cached.attach_values(observer, resilient=resilient)

    def attach_snapshots(self, observer: abc.ObserverBase[Any]) -> abc.DisposableBase:
        """Let an observer watch the snapshots."""
        self._prepare()
        return self._cached.attach_snapshots(observer)

    @property
    def snapshot(self) -> Snapshot[Any]:
        """What is shown now; the preloaded value also while nobody watches."""
        snapshot = self._cached.snapshot
        if snapshot.has_value or snapshot.status is not SnapshotStatus.PENDING:
            return snapshot
        value = self._look()
        return snapshot if value is UNDEFINED else Snapshot(SnapshotStatus.STALE, value)

    @property
    def value(self) -> Any:
        """The value shown now."""
        return self.snapshot.value

    @property
    def row_merge(self) -> RowMerge | None:
        """How it was made of the value before, if by one row change."""
        return self._cached.row_merge

    def refresh(self) -> None:
        """Ask for the whole value again."""
        self._cached.refresh()

    @property
    def shard(self) -> str | None:
        """The shard whose positions its snapshots have."""
        return self._cached.shard

    @property
    def title(self) -> str:
        """How the query is written in a program."""
        return self._cached.title

    def _prepare(self) -> None:
        if self._cache.is_completed:
            return
        # What is offered waits for a subscription: it must be certain that one follows.
        self._cache.enter()
        self._offer()
