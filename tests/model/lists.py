"""What the observers of one client's growing lists are shown, compared at every step with what the server had.

The lists themselves are the client's own: its pages, over its shared cache of live queries, over the model's core.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from reactivex import abc

from lunora_rx.core.events import QueryFailed, SnapshotChanged, SubscriptionClosed, ValueChanged
from lunora_rx.core.pages import Page, PageStatus
from lunora_rx.core.snapshot import Snapshot, SnapshotStatus
from lunora_rx.protocol import encode_wire
from lunora_rx.rx.cache import Query, SharedCache
from lunora_rx.rx.paginated import PagedSource, PaginatedQuery
from tests.model.history import History
from tests.model.pages import PAGES, end_of, in_order, place

if TYPE_CHECKING:
    from tests.model.client import Client


@dataclass(eq=False)
class ListView:
    """What the observer of one list has been told.

    Attributes:
        order: Which way the rows run.
        shard: Where they are.
        source: The list.
        told: What it was told since somebody looked.
        shown: The latest of it.
        is_over: Whether it was told that nothing more comes.
        marks: Where the pages shown stand; ``None`` for one that holds something else than the server had there.
    """

    order: str
    shard: str
    source: PagedSource
    told: list[Snapshot[Any]] = field(default_factory=list)
    shown: Snapshot[Any] = field(default_factory=Snapshot)
    is_over: bool = False
    marks: dict[Page, int | None] = field(default_factory=dict)
    handle: abc.DisposableBase | None = None

    @property
    def pages(self) -> Any:
        """Its pages."""
        assert self.source._paging is not None
        return self.source._paging.pages

    @property
    def title(self) -> str:
        """How a complaint names it."""
        return f"list {self.order} of {self.shard!r}"

    def tell(self, snapshot: Snapshot[Any]) -> None:
        """Take what the list shows."""
        self.shown = snapshot
        self.told.append(snapshot)

    def end(self) -> None:
        """Take that it is over."""
        self.is_over = True


class Lists:
    """All growing lists that one client watches.

    Attributes:
        cache: The live queries that their pages share.
        views: What there is to see.
    """

    def __init__(self, client: Client, history: History, traffic: Counter[str]) -> None:
        self.cache = SharedCache(self, self._report)
        self.views: list[ListView] = []
        self._client = client
        self._history = history
        self._traffic = traffic
        self._due: deque[Callable[[], None]] = deque()
        self._errors: list[Exception] = []

    # --- for the application

    def watch(self, order: str, size: int, shard: str) -> None:
        """Watch a list from its first page."""
        query = Query(PAGES, encode_wire({"order": order}), shard)
        source = PagedSource(self.cache, query, page_size=size, call_soon=self._due.append, report=self._report)
        view = ListView(order, shard, source)
        self.views.append(view)
        live = PaginatedQuery[Any](source)
        view.handle = live.snapshots.subscribe(view.tell, on_completed=view.end)

    def leave(self, view: ListView) -> None:
        """Watch it no more."""
        self.views.remove(view)
        assert view.handle is not None
        view.handle.dispose()
        assert view.source._paging is None, f"{view.title}: nobody watches, yet it goes on"

    def load_more(self, view: ListView, num_items: int) -> None:
        """Let a list grow by a page, if there is more."""
        self._traffic["list grows"] += view.source.status is PageStatus.CAN_LOAD_MORE
        view.source.load_more(num_items)

    # --- for the shared cache, which asks the client's core

    def check_thread(self, what: str) -> None:
        """There is one thread."""

    def enter(self, what: str) -> None:
        """Raise unless requests can be made: never here."""

    def call_on_loop(self, callback: Callable[[], None]) -> None:
        """Run a callback on the client's thread."""
        callback()

    def subscribe(self, key: str, function_path: str, args: Any, shard: str) -> Snapshot[Any]:
        """Ask for a page."""
        return self._client.watch_page(key, function_path, args, shard)

    def unsubscribe(self, key: str, shard: str) -> None:
        """Ask for it no more."""
        self._client.unsubscribe(key)

    def refresh(self, key: str, shard: str) -> None:
        """Ask for it again."""
        self._client.refresh(key)

    # --- for the client

    def publish(self, event: ValueChanged | SnapshotChanged | QueryFailed) -> None:
        """Show what is told of a query, if it is a page."""
        self.cache.publish(event)

    def close(self, event: SubscriptionClosed) -> None:
        """Note that a query is over."""
        self.cache.close(event)

    def turn(self) -> bool:
        """Do what was put off to the next turn of the loop; tell whether there was anything."""
        due = [*self._due]
        self._due.clear()
        for callback in due:
            callback()
        return bool(due)

    def note_frame(self) -> None:
        """Note where every page stands, before anything comes of it."""
        for view in self._open_views:
            for page in view.pages.current:
                if page.result is not None:
                    view.marks[page] = self._client.exact_ordinal(self._key(view, page))

    def check(self) -> None:
        """Compare what was told, and what is shown, with what the server had."""
        assert not self._errors, f"an observer of a list fails: {self._errors}"
        for view in self.views:
            for snapshot in view.told:
                _check_told(view, snapshot)
            view.told.clear()
            self._check_pages(view)

    def check_emptied(self) -> None:
        """Check that nothing of the former user's is left: what has no place yet is our own."""
        for view in self._open_views:
            rows = view.shown.value if view.shown.has_value else []
            foreign = [row for row in rows if "_creationTime" in row]
            assert not foreign, f"{view.title} still shows {foreign} of the former user"
            self._traffic["list emptied"] += 1

    def check_at_rest(self) -> None:
        """Compare the lists with the whole query: they are its beginning, and nothing is on its way."""
        for view in self.views:
            rows = self._history.rows_now(view.shard)
            whole, shown = in_order(view.order, rows), view.shown.value
            assert view.shown.status is SnapshotStatus.LIVE, f"{view.title} is {view.shown}"
            assert not view.shown.pending_layers, f"{view.title} keeps {view.shown.pending_layers} layers"
            assert shown == whole[: len(shown)], f"{view.title} shows {shown}, the whole is {whole}"
            is_done = view.source.status is PageStatus.EXHAUSTED
            assert is_done is (shown == whole), f"{view.title} is {view.source.status} with {len(shown)} of {whole}"
            assert not view.pages.has_replaced, f"{view.title} keeps pages that were replaced"
            _check_sizes(view)

    def forget(self) -> None:
        """Go on without anybody being told: the process is gone."""
        self.views.clear()
        self._due.clear()

    @property
    def _open_views(self) -> list[ListView]:
        return [view for view in self.views if not view.is_over]

    def _report(self, error: Exception) -> None:
        self._errors.append(error)

    def _key(self, view: ListView, page: Page) -> str:
        return Query(PAGES, {"order": view.order, "paginationOpts": page.range.wire}, view.shard).key

    def _check_pages(self, view: ListView) -> None:
        paging = view.source._paging
        assert paging is not None
        current = view.pages.current
        uppers = [page.range.upper for page in current]
        assert [page.range.lower for page in current] == [None, *uppers[:-1]], f"{view.title} has a seam at {uppers}"
        assert uppers[-1] is None, f"{view.title} has no open end"
        assert set(paging._watched) == set(current), f"{view.title} watches other pages than it has"
        assert view.shown.value is view.pages.rows, f"{view.title} shows {view.shown.value}, it has {view.pages.rows}"
        shown = [page for page in view.pages._shown if page.result is not None]
        view.marks = {page: view.marks[page] for page in {*shown, *current} if page in view.marks}
        marks = [view.marks[page] for page in shown]
        if shown and None not in marks:
            self._check_gaps(view, shown[-1], [mark for mark in marks if mark is not None])

    def _check_gaps(self, view: ListView, last: Page, marks: list[int]) -> None:
        """Compare rows told at several places of the story: what was there all the while is shown, and nothing else."""
        tables = self._history.tables(view.shard, min(marks), max(marks))
        self._traffic[f"list of {min(len(view.pages.current), 4)} pages"] += 1
        result = last.result
        assert result is not None
        end = end_of(view.order, result.continue_cursor)
        lasting = set.intersection(*[{(each["_id"], place(view.order, each)) for each in rows} for rows in tables])
        expected = {row_id for row_id, at in lasting if at <= end}
        shown = {row["_id"]: row for row in view.shown.value}
        assert expected <= shown.keys(), f"{view.title} lacks {expected - shown.keys()}"
        for row in shown.values():
            assert any(row in rows for rows in tables), f"{view.title} shows {row}, which the server did not have"


def _check_told(view: ListView, snapshot: Snapshot[Any]) -> None:
    if not snapshot.has_value:
        return
    ids = [row["_id"] for row in snapshot.value]
    assert len(set(ids)) == len(ids), f"{view.title} shows a row twice: {ids}"
    # A row that a write of ours has put there has no place yet.
    places = [place(view.order, row) for row in snapshot.value if "_creationTime" in row]
    assert all(one < next_ for one, next_ in pairwise(places)), f"{view.title} is out of order: {snapshot.value}"


def _check_sizes(view: ListView) -> None:
    bounded = [page for page in view.pages.current if page.range.upper is not None]
    for page in bounded:
        assert len(page.rows) <= 2 * page.range.num_items, f"{view.title}: a page of {page.range} is not split"
    for page in bounded[:-1]:
        assert 2 * len(page.rows) >= page.range.num_items, f"{view.title}: a page of {page.range} is not joined"
