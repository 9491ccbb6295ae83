"""A live query as an Observable of values, with snapshots beside it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, NoReturn, Protocol, TypeVar

from reactivex import Observable, abc

from lunora_rx.core.delta import RowMerge
from lunora_rx.core.snapshot import Snapshot
from lunora_rx.rx import display
from lunora_rx.rx.cache import Query, SharedCache
from lunora_rx.rx.interop import FirstValue, ObservableIterator, observable_to_aiter

T = TypeVar("T")


class Source(Protocol):
    """Where a live query's values come from."""

    def attach_values(self, observer: abc.ObserverBase[Any], *, resilient: bool) -> abc.DisposableBase:
        """Let an observer watch the values."""
        ...

    def attach_snapshots(self, observer: abc.ObserverBase[Any]) -> abc.DisposableBase:
        """Let an observer watch the snapshots."""
        ...

    @property
    def snapshot(self) -> Snapshot[Any]:
        """What is shown now."""
        ...

    @property
    def value(self) -> Any:
        """The value shown now."""
        ...

    @property
    def row_merge(self) -> RowMerge | None:
        """How it was made of the value before, if by one row change."""
        ...

    def refresh(self) -> None:
        """Ask for the whole value again."""
        ...

    @property
    def shard(self) -> str | None:
        """The shard whose positions its snapshots have; ``None`` where a position does not say what a value holds."""
        ...

    @property
    def title(self) -> str:
        """How the query is written in a program."""
        ...


class CachedSource:
    """One query of the shared cache."""

    def __init__(self, cache: SharedCache, query: Query) -> None:
        self._cache = cache
        self._query = query

    def attach_values(self, observer: abc.ObserverBase[Any], *, resilient: bool) -> abc.DisposableBase:
        """Let an observer watch the values."""
        return self._cache.attach_values(self._query, observer, resilient=resilient)

    def attach_snapshots(self, observer: abc.ObserverBase[Any]) -> abc.DisposableBase:
        """Let an observer watch the snapshots."""
        return self._cache.attach_snapshots(self._query, observer)

    @property
    def snapshot(self) -> Snapshot[Any]:
        """What is shown now."""
        return self._cache.snapshot(self._query)

    @property
    def value(self) -> Any:
        """The value shown now."""
        return self._cache.value(self._query)

    @property
    def row_merge(self) -> RowMerge | None:
        """How it was made of the value before, if by one row change."""
        return self._cache.row_merge(self._query)

    def refresh(self) -> None:
        """Ask for the whole value again."""
        self._cache.refresh(self._query)

    @property
    def shard(self) -> str | None:
        """The shard whose positions its snapshots have."""
        return self._query.shard

    @property
    def title(self) -> str:
        """How the query is written in a program."""
        shard = f", shard={self._query.shard!r}" if self._query.shard else ""
        return f"{self._query.function_path!r}{shard}"


class LiveQuery(Observable[T]):
    """The values of a query, as they change on the server: hot, shared, latest value first.

    The first observer opens the subscription, the last one to leave closes it. A lost connection
    is no error: the last value stays, and the stream goes on after the resume. An error of the
    query itself ends the stream for the observers of that moment with ``ServerError``; a new
    observer attaches to the same query and gets its latest value. Values are shared with all
    other observers: treat them as read-only.

    In a notebook it displays itself, and stays live.

    Args:
        source: Where its values come from.
        health: What it is displayed beside, if its client can tell.

    Source: ``docs/protocol.md``, section "Live queries".
    """

    def __init__(self, source: Source, health: display.Health | None = None) -> None:
        super().__init__()
        self._source = source
        self._health = health

    def __repr__(self) -> str:
        return f"<LiveQuery {self._source.title} {self.snapshot.status}>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Any:
        return display.mimebundle(self)

    def _display_(self) -> Any:
        return display.view(self)

    @property
    def title(self) -> str:
        """How the query is written in a program, its arguments left out."""
        return self._source.title

    @property
    def value(self) -> T:
        """The value shown now; ``UNDEFINED`` before the first, and while nobody watches."""
        value: T = self._source.value
        return value

    @property
    def snapshot(self) -> Snapshot[T]:
        """What is shown now, with its status."""
        return self._source.snapshot

    @property
    def snapshots(self) -> Observable[Snapshot[T]]:
        """Every change of value or status, the present one first; never ends with an error."""
        return _Attached(self._source, self._source.attach_snapshots)

    @property
    def resilient(self) -> Observable[T]:
        """The values without the ending: errors show in ``snapshots``, and the values go on when the query heals."""
        return _Attached(self._source, lambda observer: self._source.attach_values(observer, resilient=True))

    def first(self, predicate: Callable[[T], bool] | None = None) -> FirstValue[T]:
        """Return an Observable of the first value (that satisfies ``predicate``), which can be awaited.

        Awaiting raises ``ServerError`` when the query fails before, ``ClientClosedError`` when the client ends.
        """
        return FirstValue(self, predicate)

    def aiter(self, *, conflate: bool = True) -> ObservableIterator[T]:
        """Iterate over the values with ``async for``.

        Args:
            conflate: Whether a slow loop sees the newest value only. Without it every value is kept, up to 1,024;
                a loop that is further behind gets a ``StreamError`` with code ``STREAM_BACKPRESSURE``.
        """
        return observable_to_aiter(self, overflow="latest" if conflate else "error")

    def refresh(self) -> None:
        """Ask the server for the whole value again, also after an error."""
        self._source.refresh()

    def __aiter__(self) -> ObservableIterator[T]:
        return self.aiter()

    def __iter__(self) -> NoReturn:
        raise TypeError(
            "a live query changes for ever: iterate with `async for`, or take one value with `await first()`;"
            " programs with no event loop have lunora_rx.blocking"
        )

    def __await__(self) -> Generator[Any, None, NoReturn]:
        raise TypeError("a live query has no last value to await; await live.first(), or iterate over live.aiter()")

    def _subscribe_core(
        self, observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        return self._source.attach_values(observer, resilient=False)


class _Attached(Observable[T]):
    """What else a source tells, made of a function that attaches an observer."""

    def __init__(self, source: Source, attach: Callable[[abc.ObserverBase[T]], abc.DisposableBase]) -> None:
        super().__init__()
        self._source = source
        self._attach = attach

    def _subscribe_core(
        self, observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        return self._attach(observer)


def position_of(observable: Observable[Any]) -> tuple[str, int] | None:
    """Return the shard of a live query or of its snapshots, and the position of what it shows, if it has one."""
    if not isinstance(observable, LiveQuery | _Attached):
        return None
    shard, cursor = observable._source.shard, observable._source.snapshot.cursor
    return None if shard is None or cursor is None else (shard, cursor)


def row_merge_of(source: Observable[Any]) -> Callable[[], RowMerge | None]:
    """Return what tells, of the value that a live query shows, how it was made of the one before.

    It tells ``None`` where that was not by one row change, and of any other source.
    """
    if not isinstance(source, LiveQuery | _Attached):
        return lambda: None
    shown = source._source
    return lambda: shown.row_merge
