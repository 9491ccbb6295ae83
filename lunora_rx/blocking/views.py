"""What a client shows, as any thread may look at it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from lunora_rx.blocking.bridge import Bridge
from lunora_rx.blocking.observables import BlockingObservable, ShownObservable
from lunora_rx.core.snapshot import Snapshot
from lunora_rx.protocol.session_probe import User, UserState, UserStatus
from lunora_rx.rx.cache import Query, SharedCache
from lunora_rx.rx.combined import Combined as AsyncCombined
from lunora_rx.rx.live_query import LiveQuery as AsyncLiveQuery
from lunora_rx.rx.paginated import PageStatus
from lunora_rx.rx.paginated import PaginatedQuery as AsyncPaginatedQuery
from lunora_rx.rx.shape import RowChanges
from lunora_rx.rx.shape import Shape as AsyncShape
from lunora_rx.rx.user import UserObservable as AsyncUser

T = TypeVar("T")


class LiveQuery(ShownObservable[T]):
    """The values of a query, as they change on the server: hot, shared, latest value first.

    Iterating gives the newest value, and raises ``ServerError`` when the query fails. The first observer opens the
    subscription, the last one to leave closes it; ``live.snapshots.subscribe()`` holds it open for whoever only looks
    at ``value``.
    """

    def __init__(self, bridge: Bridge, live: AsyncLiveQuery[T]) -> None:
        super().__init__(bridge, live)
        self._live = live

    @property
    def value(self) -> T:
        """The value shown now; ``UNDEFINED`` before the first, and while nobody watches."""
        return self._bridge.call(lambda: self._live.value)

    @property
    def snapshot(self) -> Snapshot[T]:
        """What is shown now, with its status."""
        return self._bridge.call(lambda: self._live.snapshot)

    @property
    def snapshots(self) -> ShownObservable[Snapshot[T]]:
        """Every change of value or status, the present one first; never ends with an error."""
        return ShownObservable(self._bridge, self._live.snapshots)

    @property
    def resilient(self) -> ShownObservable[T]:
        """The values without the ending: errors show in ``snapshots``, and the values go on when the query heals."""
        return ShownObservable(self._bridge, self._live.resilient)

    def refresh(self) -> None:
        """Ask the server for the whole value again, also after an error; does not wait for it."""
        self._bridge.call(self._live.refresh)


class Combined(ShownObservable[dict[str, T]]):
    """Several Observables as one consistent dict: hot, shared by its observers, latest dict first."""

    def __init__(self, bridge: Bridge, combined: AsyncCombined[T]) -> None:
        super().__init__(bridge, combined)
        self._combined = combined

    @property
    def value(self) -> dict[str, T]:
        """The dict shown now; ``UNDEFINED`` before the first, and while nobody watches."""
        return self._bridge.call(lambda: self._combined.value)


class PaginatedQuery(LiveQuery[list[T]]):
    """The pages of a query as one list of rows, which grows with ``load_more`` and changes on the server.

    When the last observer has left the list begins anew with the first page: keep iterating, or hold it with
    ``pages.snapshots.subscribe()``.
    """

    def __init__(self, bridge: Bridge, pages: AsyncPaginatedQuery[T]) -> None:
        super().__init__(bridge, pages)
        self._pages = pages

    @property
    def status(self) -> PageStatus:
        """Whether there is more to load; ``LoadingFirstPage`` while nobody watches."""
        return self._bridge.call(lambda: self._pages.status)

    @property
    def statuses(self) -> ShownObservable[PageStatus]:
        """The status now, and each change of it; watching it watches the pages."""
        return ShownObservable(self._bridge, self._pages.statuses)

    def load_more(self, num_items: int | None = None) -> None:
        """Let the list grow by another page; does nothing unless the status is ``CanLoadMore``, nor waits for it.

        Raises:
            TypeError, ValueError: ``num_items`` is no whole number above 0.
        """
        self._bridge.call(lambda: self._pages.load_more(num_items))


class Shape(ShownObservable[list[T]]):
    """The rows of a shape, as they change on the server: hot, shared, latest rows first."""

    def __init__(self, bridge: Bridge, shape: AsyncShape[T]) -> None:
        super().__init__(bridge, shape)
        self._shape = shape

    @property
    def rows(self) -> Mapping[str, T]:
        """The rows by key as they are now, in the server's order; empty while nobody watches."""
        return self._bridge.call(lambda: dict(self._shape.rows))

    @property
    def changes(self) -> BlockingObservable[RowChanges[T]]:
        """What each poke did to the rows, none left out; all rows first, with ``is_reset``, if there are some."""
        return BlockingObservable(self._bridge, self._shape.changes)

    @property
    def value(self) -> list[T]:
        """The rows shown now; ``UNDEFINED`` before the first poke, and while nobody watches."""
        return self._bridge.call(lambda: self._shape.value)

    @property
    def snapshot(self) -> Snapshot[list[T]]:
        """What is shown now, with its status; a shape's has no cursor."""
        return self._bridge.call(lambda: self._shape.snapshot)

    @property
    def snapshots(self) -> ShownObservable[Snapshot[list[T]]]:
        """Every change of rows or status, the present one first; never ends with an error."""
        return ShownObservable(self._bridge, self._shape.snapshots)


class UserObservable(ShownObservable[User | None]):
    """Who is signed in, ``None`` for nobody; the first who watches has the server asked."""

    def __init__(self, bridge: Bridge, user: AsyncUser) -> None:
        super().__init__(bridge, user)
        self._user = user

    @property
    def value(self) -> User | None:
        """The user now; ``None`` for nobody and while nothing is known."""
        return self._bridge.call(lambda: self._user.value)

    @property
    def status(self) -> UserStatus:
        """How far it is known now who is signed in."""
        return self._bridge.call(lambda: self._user.status)

    @property
    def states(self) -> ShownObservable[UserState]:
        """The states, ``loading`` and ``unreachable`` included."""
        return ShownObservable(self._bridge, self._user.states)


class Cache:
    """The live queries that somebody watches, for looking."""

    def __init__(self, bridge: Bridge, cache: SharedCache) -> None:
        self._bridge = bridge
        self._cache = cache

    def __len__(self) -> int:
        return self._bridge.call(lambda: len(self._cache))

    def __iter__(self) -> Iterator[tuple[Query, Snapshot[Any]]]:
        return iter(self._bridge.call(lambda: list(self._cache)))

    @property
    def observer_count(self) -> int:
        """How many observers all entries have together."""
        return self._bridge.call(lambda: self._cache.observer_count)

    def get(self, function: Any, args: Any = None, *, shard: str | None = None) -> Snapshot[Any]:
        """Return what a live query shows, the empty snapshot for one that nobody watches.

        Raises:
            TypeError: ``function`` is no query.
            CodecError: An argument cannot be encoded.
        """
        return self._bridge.call(lambda: self._cache.get(function, args, shard=shard))


__all__ = ["Cache", "LiveQuery", "PaginatedQuery", "Shape", "UserObservable"]
