"""A paginated query as an Observable of one growing list: every page of it is a live query of the shared cache.

Source: ``docs/protocol.md``, section "Pagination".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import Disposable, SingleAssignmentDisposable

from lunora_rx.core.events import QueryFailed, SnapshotChanged
from lunora_rx.core.pages import PAGE_OPTIONS, Page, Pages, PageStatus, PageValue
from lunora_rx.core.snapshot import Snapshot
from lunora_rx.errors import LunoraError
from lunora_rx.protocol.values import UNDEFINED
from lunora_rx.rx.cache import Query, SharedCache
from lunora_rx.rx.display import Health
from lunora_rx.rx.live_query import CachedSource, LiveQuery
from lunora_rx.rx.observers import OnError
from lunora_rx.rx.subject import Latest, once

__all__ = ["PAGE_OPTIONS", "PageStatus", "PageValue", "PagedSource", "PaginatedQuery"]

T = TypeVar("T")
CallSoon: TypeAlias = Callable[[Callable[[], None]], object]


class Watched(NamedTuple):
    """One page's live query, and our observer of it."""

    live: LiveQuery[Any]
    handle: abc.DisposableBase


class Paging:
    """One run over the pages, from the first observer to the last.

    It watches the queries that the pages want watched, and shows what they show together: once for all that is
    told between two turns of the loop. It does not know who watches.
    """

    def __init__(self, cache: SharedCache, query: Query, page_size: int, call_soon: CallSoon, report: OnError) -> None:
        self.subject = cache.new_subject()
        self.statuses = Latest(PageStatus.LOADING_FIRST_PAGE, report)
        self.observers = 0
        self.pages = Pages(page_size)
        self._cache = cache
        self._query = query
        self._page_size = page_size
        self._call_soon = call_soon
        self._watched: dict[Page, Watched] = {}
        self._shown: Snapshot[Any] = Snapshot()
        self._revocations = cache.revocations
        self._is_due = False
        self._is_over = False

    def start(self) -> None:
        """Watch the first page, and show at once what is known of it."""
        self._watch_current()
        self._publish()

    def stop(self) -> None:
        """Let go of all pages; what is due is shown to nobody."""
        self._is_over = True
        watched, self._watched = self._watched, {}
        for each in watched.values():
            each.handle.dispose()

    def load_more(self, num_items: int) -> None:
        """Ask for another page, if there is more."""
        self.pages.load_more(num_items)
        self._watch_current()
        self._settle_soon()

    def refresh(self) -> None:
        """Ask for every page again."""
        for page in self.pages.current:
            if page in self._watched:
                self._watched[page].live.refresh()

    def _hear(self, page: Page, snapshot: Snapshot[Any], former: LunoraError | None) -> None:
        is_revoked, self._revocations = self._revocations != self._cache.revocations, self._cache.revocations
        if self.pages.has_forgotten(page, snapshot) or (is_revoked and self.pages.has_replaced):
            self._start_over()
            return
        known = (None, former, page.error)
        self.pages.receive(page, snapshot)
        if page.error not in known and page in self.pages.current:
            self._fail(page.error)
        self._settle_soon()

    def _start_over(self) -> None:
        # What was shown may be somebody else's: it goes at once. The pages follow when all queries have forgotten
        # theirs, or one that others watch as well would still show what it has.
        self.pages = Pages(self._page_size)
        self._publish()
        self._settle_soon()

    def _settle_soon(self) -> None:
        if not self._is_due:
            self._is_due = True
            self._call_soon(self._settle)

    def _settle(self) -> None:
        self._is_due = False
        self.pages.rebalance()
        self._watch_current()
        self._publish()

    def _watch_current(self) -> None:
        current = self.pages.current
        for page in current:
            # A page that fails at once may have sent the last observer away.
            if page not in self._watched and not self._is_over:
                self._watch(page)
        # After the new ones are there: a shard that nobody needs closes its socket.
        for page in self._watched.keys() - set(current):
            self._watched.pop(page).handle.dispose()

    def _watch(self, page: Page) -> None:
        args = {**self._query.args, PAGE_OPTIONS: page.range.wire}
        query = Query(self._query.function_path, args, self._query.shard)
        # A failure from before is no news here, as it is none to any other new observer.
        former = self._cache.snapshot(query).error
        live = LiveQuery[Any](CachedSource(self._cache, query))
        handle = SingleAssignmentDisposable()
        self._watched[page] = Watched(live, handle)
        handle.disposable = live.snapshots.subscribe(
            lambda snapshot: self._hear(page, snapshot, former), on_completed=self._complete
        )

    def _publish(self) -> None:
        snapshot = self.pages.snapshot
        if _is_news(self._shown, snapshot):
            self._shown = snapshot
            self.subject.publish(SnapshotChanged("", snapshot))
        self.statuses.set(self.pages.status)

    def _fail(self, error: LunoraError | None) -> None:
        self._shown = self.pages.snapshot
        self.subject.publish(QueryFailed("", replace(self._shown, error=error)))

    def _complete(self) -> None:
        self._is_over = True
        self.subject.complete()
        self.statuses.complete()


class PagedSource:
    """Watches the pages of a query while somebody watches.

    The first observer, of whichever stream, asks for the first page; the last one to leave lets go of all.

    Args:
        cache: Where queries are watched.
        query: The function with the caller's arguments; those of a page say which page as well.
        page_size: How many rows the first page holds.
        call_soon: Runs a callback on the client's loop, in its next turn.
        report: Takes what observers raise.
    """

    def __init__(
        self, cache: SharedCache, query: Query, *, page_size: int, call_soon: CallSoon, report: OnError
    ) -> None:
        self.page_size = page_size
        self._cache = cache
        self._query = query
        self._call_soon = call_soon
        self._report = report
        self._paging: Paging | None = None

    @property
    def shard(self) -> str | None:
        """None: the position of a list is that of its oldest page, and a commit may have changed another."""
        return None

    @property
    def title(self) -> str:
        """How the query is written in a program."""
        return CachedSource(self._cache, self._query).title

    @property
    def snapshot(self) -> Snapshot[Any]:
        """What is shown now."""
        return Snapshot() if self._paging is None else self._paging.subject.snapshot

    @property
    def value(self) -> Any:
        """The list shown now."""
        return UNDEFINED if self._paging is None else self._paging.subject.value

    @property
    def row_merge(self) -> None:
        """The pages together are compared, row by row."""
        return

    @property
    def status(self) -> PageStatus:
        """Whether there is more to load."""
        return PageStatus.LOADING_FIRST_PAGE if self._paging is None else self._paging.pages.status

    def load_more(self, num_items: int) -> None:
        """Ask for another page, if there is more."""
        self._cache.check_thread("load_more()")
        if self._paging is not None and self.status is PageStatus.CAN_LOAD_MORE:
            self._cache.enter()
            self._paging.load_more(num_items)

    def refresh(self) -> None:
        """Ask for all pages again."""
        if self._paging is not None:
            self._paging.refresh()

    def attach_values(self, observer: abc.ObserverBase[Any], *, resilient: bool) -> abc.DisposableBase:
        """Let an observer watch the lists."""
        return self._attach(observer, lambda each: each.subject.attach_values(observer, resilient=resilient))

    def attach_snapshots(self, observer: abc.ObserverBase[Any]) -> abc.DisposableBase:
        """Let an observer watch the snapshots."""
        return self._attach(observer, lambda each: each.subject.attach_snapshots(observer))

    def attach_statuses(self, observer: abc.ObserverBase[PageStatus]) -> abc.DisposableBase:
        """Let an observer watch the status."""
        return self._attach(observer, lambda each: each.statuses.subscribe(observer).dispose)

    def _attach(
        self, observer: abc.ObserverBase[Any], attach: Callable[[Paging], Callable[[], None]]
    ) -> abc.DisposableBase:
        if self._cache.is_completed:
            return self._cache.complete_late(observer)
        self._cache.enter()
        paging, is_first = self._paging, self._paging is None
        if paging is None:
            paging = Paging(self._cache, self._query, self.page_size, self._call_soon, self._report)
            self._paging = paging
        paging.observers += 1
        detach = attach(paging)
        if is_first:
            paging.start()
        return self._disposable(paging, detach)

    def _disposable(self, paging: Paging, detach: Callable[[], None]) -> abc.DisposableBase:
        def leave() -> None:
            detach()
            paging.observers -= 1
            if paging.observers == 0:
                self._paging = None if self._paging is paging else self._paging
                paging.stop()

        leave_once = once(leave)
        return Disposable(lambda: self._cache.call_on_loop(leave_once))


class PaginatedQuery(LiveQuery[list[T]]):
    """The pages of a query as one list of rows, which grows with ``load_more`` and changes on the server.

    A live query in every other respect: hot, shared by its observers, latest list first. Each page is a live query
    of its own, with ``paginationOpts: {lower, upper, numItems}`` beside the caller's arguments: the rows after
    the cursor ``lower`` up to and including ``upper``, ``null`` for an end that is open. The query answers
    ``{page, isDone, continueCursor}``, and ``splitCursor`` where a page has grown too large.

    Pages are split and joined as rows come and go. Pages that are replaced keep showing their rows until the new
    ones are there, so no list has a gap for it, and a row is in no list twice. What the loop reads in one go makes
    one list. The server tells a commit page by page: where that is read in two goes, there is a list in between
    with the commit on the one page and not yet on the other, and a row that moved from the one to the other may
    be missing in it.

    When the last observer has left, or the user changes, the list begins anew with the first page.

    Source: ``docs/protocol.md``, section "Pagination".
    """

    def __init__(self, source: PagedSource, health: Health | None = None) -> None:
        super().__init__(source, health)
        self._paged = source

    def __repr__(self) -> str:
        snapshot = self.snapshot
        rows = f" rows={len(snapshot.value)}" if snapshot.has_value else ""
        return f"<PaginatedQuery {self._paged.title} {self.status}{rows}>"

    @property
    def status(self) -> PageStatus:
        """Whether there is more to load; ``LoadingFirstPage`` while nobody watches."""
        return self._paged.status

    @property
    def statuses(self) -> Observable[PageStatus]:
        """The status now, and each change of it, after the list that goes with it; watching it watches the pages."""
        return Observable(self._attach_statuses)

    def load_more(self, num_items: int | None = None) -> None:
        """Let the list grow by another page; does nothing unless the status is ``CanLoadMore``.

        Args:
            num_items: How many rows that page holds; as many as the first one by default.

        Raises:
            TypeError: ``num_items`` is no whole number.
            ValueError: It is less than 1.
            RuntimeError: There is more to load, and this is not the client's loop.
        """
        count = self._paged.page_size if num_items is None else num_items
        if isinstance(count, bool) or not isinstance(count, int):
            raise TypeError(f"num_items is a whole number of rows, not {type(count).__name__}")
        if count < 1:
            raise ValueError(f"num_items is at least 1, not {count}")
        self._paged.load_more(count)

    def _attach_statuses(
        self, observer: abc.ObserverBase[PageStatus], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        return self._paged.attach_statuses(observer)


def _is_news(old: Snapshot[Any], new: Snapshot[Any]) -> bool:
    # Two lists are never compared here: an equal one is the same object.
    if old.value is not new.value:
        return True
    before = (old.status, old.error, old.cursor, old.pending_layers)
    return before != (new.status, new.error, new.cursor, new.pending_layers)
