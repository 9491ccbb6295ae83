"""Live pages as one growing list: which ranges are asked for, and which rows they show together.

Source: ``docs/protocol.md``, section "Pagination".
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from typing import Any, Final, Generic, TypedDict, TypeVar

from lunora_rx.core.results import is_unchanged
from lunora_rx.core.snapshot import Snapshot, SnapshotStatus
from lunora_rx.errors import LunoraError, ProtocolError
from lunora_rx.protocol.frozen import frozen, replace
from lunora_rx.protocol.values import UNDEFINED

T = TypeVar("T")

PAGE_OPTIONS: Final = "paginationOpts"
"""The argument of a page's query that says which page: ``{lower, upper, numItems}``."""


class PageValue(TypedDict, Generic[T]):
    """What a paginated query answers, for typed references; ``splitCursor: str`` may come as well."""

    page: list[T]
    isDone: bool
    continueCursor: str | None


class PageStatus(enum.StrEnum):
    """Whether there is more to load."""

    LOADING_FIRST_PAGE = "LoadingFirstPage"
    LOADING_MORE = "LoadingMore"
    CAN_LOAD_MORE = "CanLoadMore"
    EXHAUSTED = "Exhausted"


@frozen
class PageRange:
    """Which rows a page holds: those after ``lower`` up to and including ``upper``.

    Attributes:
        lower: The cursor before its first row; ``None`` is the beginning.
        upper: The cursor of its last row; ``None`` leaves it open, then it holds ``num_items`` rows at most.
        num_items: How many rows it should hold.
    """

    lower: str | None
    upper: str | None
    num_items: int

    @property
    def wire(self) -> dict[str, Any]:
        """The range as the server is asked for it, in wire form."""
        return {"lower": self.lower, "upper": self.upper, "numItems": self.num_items}


@frozen
class PageResult:
    """What the server says that a page holds.

    Attributes:
        rows: Its rows; shared, so read-only.
        continue_cursor: Where the next page begins; ``None`` where there is none.
        split_cursor: Where the page would be split in two, if the server says so.
    """

    rows: list[Any]
    continue_cursor: str | None
    split_cursor: str | None


class Page:
    """One live query of the list. It knows its range and what came of it, and not where it stands.

    Attributes:
        range: Which rows it holds.
        snapshot: What its query shows.
        result: The page that the latest readable value was, or ``None``.
        has_base: Whether the server, now or in an earlier process, gave a value.
        told_at: Orders the results of all pages by when the server gave them; 0 for one of an earlier process.
    """

    __slots__ = ("_unreadable", "has_base", "range", "result", "snapshot", "told_at")

    def __init__(self, page_range: PageRange) -> None:
        self.range = page_range
        self.snapshot: Snapshot[Any] = Snapshot()
        self.result: PageResult | None = None
        self.has_base = False
        self.told_at = 0
        self._unreadable: ProtocolError | None = None

    @property
    def rows(self) -> list[Any]:
        """Its rows, none before the first result."""
        return [] if self.result is None else self.result.rows

    @property
    def error(self) -> LunoraError | None:
        """Why the query failed, or why its value is no page."""
        return self.snapshot.error or self._unreadable

    @property
    def status(self) -> SnapshotStatus:
        """How far the rows can be trusted; ``failed`` also where the value is no page."""
        return self.snapshot.status if self._unreadable is None else SnapshotStatus.FAILED

    def receive(self, snapshot: Snapshot[Any], now: int) -> None:
        """Take what the query shows; what is no page leaves the rows as they were."""
        is_new = snapshot.value is not self.snapshot.value
        self.snapshot = snapshot
        self.has_base = self.has_base or (snapshot.has_value and snapshot.status is not SnapshotStatus.PENDING)
        if is_new and snapshot.has_value:
            self._read(snapshot.value)
        if snapshot.status is SnapshotStatus.LIVE and (is_new or not self.told_at):
            self.told_at = now

    def _read(self, value: Any) -> None:
        try:
            self.result, self._unreadable = read_page(value), None
        except ProtocolError as error:
            self._unreadable = error


@frozen
class Stretch:
    """A part of the list: its pages, and those that they replace, which are shown until all of them have resolved."""

    pages: tuple[Page, ...]
    replaced: tuple[Page, ...] = ()

    @property
    def is_resolved(self) -> bool:
        """Whether the server has answered for every page, in this process: an older answer is behind what is shown."""
        return all(page.told_at and page.result is not None for page in self.pages)

    @property
    def shown(self) -> tuple[Page, ...]:
        """The pages whose rows are shown."""
        return self.replaced or self.pages


class Pages:
    """The pages of one list, end to end: each begins where the one before ends, and the last one is open.

    After every method the caller watches the queries of ``current``, and no others. It knows which pages there
    are and what each has shown, and does not know who watches, nor when anything happens.

    Args:
        page_size: How many rows the first page holds.
    """

    def __init__(self, page_size: int) -> None:
        self._stretches = [Stretch((Page(PageRange(None, None, page_size)),))]
        self._rows: Any = UNDEFINED
        self._has_news = False
        self._told = 0

    @property
    def current(self) -> tuple[Page, ...]:
        """The pages whose queries are to be watched, in order."""
        return tuple(page for stretch in self._stretches for page in stretch.pages)

    @property
    def status(self) -> PageStatus:
        """Whether there is more to load."""
        if self._shown[0].result is None:
            return PageStatus.LOADING_FIRST_PAGE
        result = self._tail.result
        if result is None:
            return PageStatus.LOADING_MORE
        return PageStatus.EXHAUSTED if result.continue_cursor is None else PageStatus.CAN_LOAD_MORE

    @property
    def rows(self) -> Any:
        """The rows of all pages as one list, the same object until they change; ``UNDEFINED`` before the first page.

        A row is there once: one that moved, and that two pages hold as long as one of them has not been told, is
        where the server said last.
        """
        shown = self._shown
        if self._has_news and shown[0].result is not None:
            rows = _merge(shown)
            self._rows = self._rows if _is_same(self._rows, rows) else rows
            self._has_news = False
        return self._rows

    @property
    def snapshot(self) -> Snapshot[Any]:
        """The list with its status: that of the page that is worst off, ``stale`` while replaced pages are shown."""
        pages = self.current
        cursors = [page.snapshot.cursor for page in self._shown if page.result is not None]
        known = [cursor for cursor in cursors if cursor is not None]
        return Snapshot(
            self._snapshot_status,
            self.rows,
            next((page.error for page in pages if page.error is not None), None),
            min(known, default=None) if len(known) == len(cursors) else None,
            max(page.snapshot.pending_layers for page in pages),
        )

    @property
    def has_replaced(self) -> bool:
        """Whether rows are shown whose queries are watched no more."""
        return any(stretch.replaced for stretch in self._stretches)

    def has_forgotten(self, page: Page, snapshot: Snapshot[Any]) -> bool:
        """Tell whether a page has lost what the server gave: the list is somebody else's now, and begins anew."""
        return page in self.current and page.has_base and snapshot.status is SnapshotStatus.PENDING

    def receive(self, page: Page, snapshot: Snapshot[Any]) -> None:
        """Take what the query of a page shows; one that is not current any more says nothing."""
        if page not in self.current:
            return
        self._told += 1
        page.receive(snapshot, self._told)
        self._has_news = True
        self._stretches = [each for stretch in self._stretches for each in _settled(stretch)]

    def load_more(self, num_items: int) -> bool:
        """Pin the open page where it ends now and begin another one there; does nothing unless there is more."""
        tail = self._tail
        if self.status is not PageStatus.CAN_LOAD_MORE or tail.result is None:
            return False
        cursor = tail.result.continue_cursor
        pinned = Stretch((Page(replace(tail.range, upper=cursor)),), replaced=(tail,))
        self._stretches[-1:] = [pinned, Stretch((Page(PageRange(cursor, None, num_items)),))]
        return True

    def rebalance(self) -> bool:
        """Split the first page that is too large, or join the first that is too small with the next: one edit a call.

        Only pages that are bounded and have resolved are touched.
        """
        for index in range(len(self._stretches)):
            page, after = self._bounded(index), self._bounded(index + 1)
            if page is None:
                continue
            size, target = len(page.rows), page.range.num_items
            cursor = _split_cursor(page)
            if size > 2 * target and cursor is not None:
                self._replace(index, (page,), replace(page.range, upper=cursor), replace(page.range, lower=cursor))
                return True
            if 2 * size < target and after is not None:
                self._replace(index, (page, after), replace(page.range, upper=after.range.upper))
                return True
        return False

    @property
    def _tail(self) -> Page:
        return self._stretches[-1].pages[-1]

    @property
    def _shown(self) -> list[Page]:
        return [page for stretch in self._stretches for page in stretch.shown]

    @property
    def _snapshot_status(self) -> SnapshotStatus:
        statuses = {page.status for page in self.current}
        if SnapshotStatus.FAILED in statuses:
            return SnapshotStatus.FAILED
        first = self._shown[0]
        if first.result is None or first.status is SnapshotStatus.PENDING:
            return SnapshotStatus.PENDING
        return SnapshotStatus.STALE if self.has_replaced or SnapshotStatus.STALE in statuses else SnapshotStatus.LIVE

    def _bounded(self, index: int) -> Page | None:
        stretch = self._stretches[index] if index < len(self._stretches) else None
        if stretch is None or stretch.replaced:
            return None
        (page,) = stretch.pages
        return None if page.range.upper is None else page

    def _replace(self, index: int, replaced: tuple[Page, ...], *ranges: PageRange) -> None:
        pages = tuple(Page(each) for each in ranges)
        self._stretches[index : index + len(replaced)] = [Stretch(pages, replaced)]


def read_page(value: Any) -> PageResult:
    """Return what a query gave as a page.

    Raises:
        ProtocolError: It is no ``{page, isDone, continueCursor}``.
    """
    if not isinstance(value, dict) or not isinstance(value.get("page"), list):
        raise ProtocolError(
            f"the query gave no page but {_describe(value)}: a page is {{page, isDone, continueCursor}}"
        )
    is_done, cursor, split = value.get("isDone"), value.get("continueCursor"), value.get("splitCursor")
    if not isinstance(is_done, bool):
        raise ProtocolError(f"a page's 'isDone' is true or false, not {_describe(is_done)}")
    for name, each in (("continueCursor", cursor), ("splitCursor", split)):
        if each is not None and not isinstance(each, str):
            raise ProtocolError(f"a page's {name!r} is a string or null, not {_describe(each)}")
    return PageResult(value["page"], None if is_done else cursor, split)


def _describe(value: Any) -> str:
    return "null" if value is None else f"a value of type {type(value).__name__}"


def _settled(stretch: Stretch) -> list[Stretch]:
    return [Stretch((page,)) for page in stretch.pages] if stretch.is_resolved else [stretch]


def _split_cursor(page: Page) -> str | None:
    # At either end it would split nothing off, and be joined again, for ever.
    cursor = None if page.result is None else page.result.split_cursor
    return None if cursor in (page.range.lower, page.range.upper) else cursor


def _merge(pages: Sequence[Page]) -> list[Any]:
    rows = [row for page in pages for row in page.rows]
    ids = [each for each in map(_id_of, rows) if each is not None]
    if len(set(ids)) == len(ids):
        return rows
    holders: dict[str, Page] = {}
    for page in sorted(pages, key=lambda each: each.told_at):
        holders.update((row_id, page) for row_id in map(_id_of, page.rows) if row_id is not None)
    return [row for page in pages for row in _held(page, holders)]


def _held(page: Page, holders: dict[str, Page]) -> Iterator[Any]:
    return (row for row in page.rows if (row_id := _id_of(row)) is None or holders[row_id] is page)


def _id_of(row: Any) -> str | None:
    row_id = row.get("_id") if isinstance(row, dict) else None
    return row_id if isinstance(row_id, str) else None


def _is_same(old: Any, new: Any) -> bool:
    """Tell whether two values are equal to the last kind: Python's ``==`` takes true for 1."""
    if old is new:
        return True
    if type(old) is not type(new):
        return False
    if isinstance(old, list):
        return len(old) == len(new) and all(map(_is_same, old, new))
    if isinstance(old, dict):
        return old.keys() == new.keys() and all(_is_same(value, new[name]) for name, value in old.items())
    return is_unchanged(old, new)
