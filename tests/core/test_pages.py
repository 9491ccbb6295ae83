"""Live pages: which ranges are asked for, which rows they show, and that no row is missing or there twice."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from lunora_rx.core.pages import PageRange, Pages, PageStatus, read_page
from lunora_rx.core.snapshot import Snapshot, SnapshotStatus
from lunora_rx.errors import ProtocolError, ServerError
from lunora_rx.protocol.values import UNDEFINED


def row(number, **fields):
    """A row, ordered by its number."""
    return {"_id": f"r{number}", "at": number, **fields}


def page_of(*numbers, cursor=None, split=None):
    """What the server says of a page that holds rows of these numbers."""
    rows = [each if isinstance(each, dict) else row(each) for each in numbers]
    value = {"page": rows, "isDone": cursor is None, "continueCursor": cursor}
    return value if split is None else {**value, "splitCursor": split}


def live(value, status=SnapshotStatus.LIVE, **fields):
    """What a query shows."""
    return Snapshot(status, value, **fields)


def ranges(pages):
    """The ranges of the current pages."""
    return [(each.range.lower, each.range.upper, each.range.num_items) for each in pages.current]


def numbers(pages):
    """The numbers of the rows shown."""
    return pages.rows if pages.rows is UNDEFINED else [each["at"] for each in pages.rows]


def grown(*sizes, target=4):
    """Pages that are pinned and resolved, of these sizes, before an open one that holds one row."""
    pages, first = Pages(target), 0
    for size in sizes:
        held = range(first, first + size)
        first += size
        cursor = f"c{first}"
        pages.receive(pages.current[-1], live(page_of(*held, cursor=cursor)))
        assert pages.load_more(target)
        pages.receive(pages.current[-2], live(page_of(*held, cursor=cursor, split=f"c{first - size // 2}")))
    pages.receive(pages.current[-1], live(page_of(first)))
    return pages


def test_pages_begin_with_one_open_page():
    """Nothing is shown before its result."""
    pages = Pages(3)
    assert ranges(pages) == [(None, None, 3)]
    assert pages.current[0].range.wire == {"lower": None, "upper": None, "numItems": 3}
    assert (pages.status, pages.rows) == (PageStatus.LOADING_FIRST_PAGE, UNDEFINED)
    assert pages.snapshot == Snapshot()


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (page_of(1, cursor="c1"), PageStatus.CAN_LOAD_MORE),
        (page_of(1), PageStatus.EXHAUSTED),
        ({"page": [], "isDone": False, "continueCursor": None}, PageStatus.EXHAUSTED),
        ({"page": [], "isDone": True, "continueCursor": "c1"}, PageStatus.EXHAUSTED),
    ],
)
def test_status_follows_the_open_page(value, status):
    """Done, or without a cursor, is exhausted."""
    pages = Pages(1)
    pages.receive(pages.current[0], live(value))
    assert pages.status is status


def test_load_more_pins_the_open_page_and_opens_another_behind_it():
    """The pinned page shows its rows until its own answer is there."""
    pages = Pages(2)
    first = pages.current[0]
    pages.receive(first, live(page_of(1, 2, cursor="c2")))
    assert pages.load_more(5)
    assert ranges(pages) == [(None, "c2", 2), ("c2", None, 5)]
    assert (pages.status, numbers(pages)) == (PageStatus.LOADING_MORE, [1, 2])
    pages.receive(pages.current[1], live(page_of(3, cursor="c3")))
    assert (pages.status, numbers(pages)) == (PageStatus.CAN_LOAD_MORE, [1, 2, 3])
    pages.receive(first, live(page_of(9)))
    pages.receive(pages.current[0], live(page_of(1, cursor="c2")))
    assert numbers(pages) == [1, 3]


@pytest.mark.parametrize("value", [None, page_of(1)])
def test_load_more_does_nothing_unless_there_is_more(value):
    """Not before the first page, not while more is loading, not at the end."""
    pages = Pages(1)
    if value is not None:
        pages.receive(pages.current[0], live(value))
    assert not pages.load_more(1)
    assert len(pages.current) == 1


def test_load_more_while_more_is_loading_does_nothing():
    """One open page at a time."""
    pages = Pages(1)
    pages.receive(pages.current[0], live(page_of(1, cursor="c1")))
    assert pages.load_more(1)
    assert not pages.load_more(1)


def test_split_shows_the_old_page_until_both_halves_are_there():
    """At the cursor that the server names, with the target of the page."""
    pages = grown(9)
    shown = pages.rows
    assert pages.rebalance()
    assert ranges(pages) == [(None, "c5", 4), ("c5", "c9", 4), ("c9", None, 4)]
    assert pages.snapshot.status is SnapshotStatus.STALE
    pages.receive(pages.current[1], live(page_of(5, 7, 8, cursor="c9")))
    assert pages.rows is shown
    pages.receive(pages.current[0], live(page_of(0, 1, cursor="c5")))
    assert numbers(pages) == [0, 1, 5, 7, 8, 9]
    assert pages.snapshot.status is SnapshotStatus.LIVE


@pytest.mark.parametrize(("size", "splits"), [(8, False), (9, True)])
def test_split_is_for_more_than_twice_the_target(size, splits):
    """Exactly twice is not too large."""
    assert grown(size).rebalance() is splits


@pytest.mark.parametrize("cursor", [None, "c0", "c9"])
def test_split_without_a_cursor_within_the_page_is_none(cursor):
    """A split at either end would be joined again, for ever."""
    pages = Pages(4)
    pages.receive(pages.current[0], live(page_of(cursor="c0")))
    pages.load_more(4)
    pages.receive(pages.current[1], live(page_of(*range(1, 10), cursor="c9")))
    pages.load_more(4)
    pages.receive(pages.current[1], live(page_of(*range(1, 10), cursor="c9", split=cursor)))
    assert not pages.rebalance()


@pytest.mark.parametrize(("sizes", "joined"), [((2, 4), False), ((1, 4), True), ((4, 1), False)])
def test_join_is_for_less_than_half_the_target_with_a_bounded_page_behind(sizes, joined):
    """The open page is not joined: its rows would leave the list again."""
    pages = grown(*sizes)
    assert pages.rebalance() is joined
    expected = [(None, "c5", 4), ("c5", None, 4)] if joined else 3
    assert (ranges(pages) if joined else len(pages.current)) == expected
    assert numbers(pages) == list(range(sum(sizes) + 1))


def test_rebalance_makes_one_edit_a_pass_the_first_first():
    """The join before comes before the split behind, which the next pass makes."""
    pages = grown(4, 1, 3, 9)
    assert pages.rebalance()
    assert ranges(pages)[1:3] == [("c4", "c8", 4), ("c8", "c17", 4)]
    assert pages.rebalance()
    assert ranges(pages)[2:4] == [("c8", "c13", 4), ("c13", "c17", 4)]
    assert not pages.rebalance()


def test_rebalance_waits_for_pages_that_have_not_resolved():
    """A page that was replaced, or that is of an earlier process, is no measure."""
    pages = Pages(4)
    pages.receive(pages.current[0], live(page_of(1, cursor="c1")))
    pages.load_more(4)
    pages.receive(pages.current[1], live(page_of(2, cursor="c2")))
    pages.load_more(4)
    assert not pages.rebalance()
    pages.receive(pages.current[0], live(page_of(1, cursor="c1"), SnapshotStatus.STALE))
    pages.receive(pages.current[1], live(page_of(2, cursor="c2")))
    assert not pages.rebalance()
    pages.receive(pages.current[0], live(page_of(1, cursor="c1")))
    assert pages.rebalance()


def test_replaced_page_is_not_given_up_for_an_answer_of_an_earlier_process():
    """The rows shown are newer than what the disk holds; an unchanged value that is confirmed will do."""
    pages = Pages(2)
    pages.receive(pages.current[0], live(page_of(1, 2, cursor="c2")))
    pages.load_more(2)
    old = page_of(0, cursor="c2")
    pages.receive(pages.current[0], live(old, SnapshotStatus.STALE))
    assert numbers(pages) == [1, 2]
    pages.receive(pages.current[0], live(old))
    assert numbers(pages) == [0]


@pytest.mark.parametrize("first", [0, 1])
def test_row_that_moved_is_shown_where_the_server_said_last(first):
    """Two pages may hold it for as long as one of them has not been told."""
    pages = grown(2, 2)
    old, new = pages.current[first], pages.current[1 - first]
    moved = old.rows[0]
    pages.receive(new, live(page_of(*new.rows, {**moved, "moved": True}, cursor="c")))
    assert [each for each in pages.rows if each["_id"] == moved["_id"]] == [{**moved, "moved": True}]
    assert len(pages.rows) == 5


def test_rows_without_ids_are_all_shown():
    """What cannot be told apart is not taken for the same."""
    pages = grown(2)
    pages.receive(pages.current[1], live(page_of(row(0), {"at": 7}, {"_id": 5, "at": 8})))
    assert numbers(pages) == [1, 0, 7, 8]
    pages.receive(pages.current[1], live({"page": [7, 7, row(0)], "isDone": True, "continueCursor": None}))
    assert pages.rows == [row(1), 7, 7, row(0)]


def test_equal_rows_keep_the_list_and_rows_of_another_kind_do_not():
    """Python takes true for 1; an observer does not."""
    pages = Pages(2)
    pages.receive(pages.current[0], live(page_of(row(1, tags=["a"], done=1))))
    shown = pages.rows
    pages.receive(pages.current[0], live(page_of(row(1, tags=["a"], done=1))))
    assert pages.rows is shown
    for other in ({"tags": ["a", "b"], "done": 1}, {"tags": ["a"], "done": True}, {"tags": ["a"], "todo": 1}):
        shown = pages.rows
        pages.receive(pages.current[0], live(page_of(row(1, **other))))
        assert pages.rows is not shown


@pytest.mark.parametrize(
    "value",
    [
        None,
        [row(1)],
        {"page": {}},
        {"page": []},
        {"page": [], "isDone": 1},
        {"page": [], "isDone": False, "continueCursor": 5},
        {"page": [], "isDone": False, "continueCursor": "c", "splitCursor": []},
    ],
)
def test_value_that_is_no_page_fails_and_leaves_the_rows(value):
    """The error says what there was instead, stays with the value, and goes with the next page."""
    pages = Pages(2)
    (page,) = pages.current
    pages.receive(page, live(page_of(1)))
    for status in (SnapshotStatus.LIVE, SnapshotStatus.STALE):
        pages.receive(page, live(value, status))
        assert (pages.snapshot.status, numbers(pages)) == (SnapshotStatus.FAILED, [1])
        assert isinstance(pages.snapshot.error, ProtocolError)
    with pytest.raises(ProtocolError):
        read_page(value)
    pages.receive(page, live(page_of(2)))
    assert (pages.snapshot.error, numbers(pages)) == (None, [2])


def test_snapshot_is_that_of_the_page_that_is_worst_off():
    """Failed before stale before live; a page that has yet to come does not harm those that are there."""
    pages = grown(4, 4)
    for page, cursor in zip(pages.current, (7, 3, 9), strict=True):
        pages.receive(page, live(page.snapshot.value, cursor=cursor, pending_layers=cursor % 7))
    shown = pages.snapshot
    assert (shown.status, shown.cursor, shown.pending_layers) == (SnapshotStatus.LIVE, 3, 3)
    pages.receive(pages.current[1], live(pages.current[1].snapshot.value, SnapshotStatus.STALE, cursor=None))
    assert (pages.snapshot.status, pages.snapshot.cursor) == (SnapshotStatus.STALE, None)
    refused = ServerError("no")
    pages.receive(pages.current[2], live(UNDEFINED, SnapshotStatus.FAILED, error=refused))
    assert (pages.snapshot.status, pages.snapshot.error) == (SnapshotStatus.FAILED, refused)
    assert numbers(pages) == list(range(9))


def test_snapshot_of_a_first_page_that_is_only_pretended_is_pending():
    """What a write of ours shows over nothing is shown, and is no answer of the server."""
    pages = Pages(2)
    (page,) = pages.current
    pages.receive(page, live(page_of(1), SnapshotStatus.PENDING, pending_layers=1))
    assert (pages.snapshot.status, numbers(pages)) == (SnapshotStatus.PENDING, [1])
    assert not pages.has_forgotten(page, Snapshot())


def test_page_that_lost_what_the_server_gave_has_forgotten():
    """That is how an identity switch looks; a page that is not current any more says nothing."""
    pages = grown(2)
    pinned, tail = pages.current
    assert pages.has_forgotten(pinned, Snapshot())
    assert not pages.has_forgotten(pinned, live(UNDEFINED, SnapshotStatus.FAILED))
    pages.receive(tail, live(page_of(3, cursor="c3")))
    pages.load_more(2)
    assert not pages.has_forgotten(tail, Snapshot())
    assert pages.has_replaced


def test_page_range_is_compared_by_value():
    """So that two of the same range are the same query."""
    assert PageRange("a", "b", 5) == PageRange("a", "b", 5)


class Table:
    """A sorted table, which answers a range as the protocol says."""

    def __init__(self):
        self.rows = {}

    def sorted(self):
        """All rows, in order."""
        return sorted(self.rows.values(), key=lambda each: (each["at"], each["_id"]))

    def answer(self, page_range):
        """The page of a range."""
        rows = self.sorted()
        places = [(each["at"], each["_id"]) for each in rows]
        begin = 0 if page_range.lower is None else bisect_right(places, place_of(page_range.lower))
        if page_range.upper is None:
            held, rest = rows[begin:][: page_range.num_items], rows[begin + page_range.num_items :]
            return page_of(*held, cursor=cursor_of(held[-1]) if rest else None)
        held = rows[begin : bisect_right(places, place_of(page_range.upper))]
        split = cursor_of(held[len(held) // 2 - 1]) if len(held) > 1 else None
        return {**page_of(*held, cursor=page_range.upper, split=split), "isDone": False}


def cursor_of(each):
    """Where a page ends with this row."""
    return f"{each['at']:03}/{each['_id']}"


def place_of(cursor):
    """Where a cursor stands among the rows."""
    at, _, row_id = cursor.partition("/")
    return int(at), row_id


class AnyPages(RuleBasedStateMachine):
    """Rows come, go and move, answers come in any order: no double ever, no gap, and in the end the prefix."""

    @initialize(size=st.integers(1, 4), count=st.integers(0, 12))
    def begin(self, size, count):
        self.table, self.pages, self.made = Table(), Pages(size), 0
        self.inboxes, self.held = {}, {}
        for _ in range(count):
            self.insert(self.made * 3)
        self.watch()

    def watch(self):
        """Open what is to be watched and close the rest; what is on its way to a closed one still arrives."""
        for page in self.pages.current:
            if page not in self.inboxes:
                self.inboxes[page] = deque([self.table.answer(page.range)])

    def commit(self):
        """Let every page that is watched hear of the table as it is now."""
        for page in self.pages.current:
            if page in self.inboxes:
                self.inboxes[page].append(self.table.answer(page.range))

    def edit(self, change):
        """Change which pages there are: that by itself changes nothing that is shown."""
        before = list(self.shown)
        if change():
            assert self.shown == before
        self.watch()

    @property
    def shown(self):
        return [] if self.pages.rows is UNDEFINED else self.pages.rows

    @rule(at=st.integers(0, 40))
    def insert(self, at):
        self.made += 1
        self.table.rows[f"r{self.made}"] = {"_id": f"r{self.made}", "at": at}
        self.commit()

    @precondition(lambda self: self.table.rows)
    @rule(data=st.data(), at=st.one_of(st.none(), st.integers(0, 40)))
    def change(self, data, at):
        row_id = data.draw(st.sampled_from(sorted(self.table.rows)))
        old = self.table.rows[row_id]
        self.table.rows[row_id] = {**old, "at": old["at"] if at is None else at, "n": old.get("n", 0) + 1}
        if at is not None:
            self.held.pop(row_id, None)
        self.commit()

    @precondition(lambda self: self.table.rows)
    @rule(data=st.data(), many=st.integers(1, 5))
    def delete(self, data, many):
        for _ in range(min(many, len(self.table.rows))):
            row_id = data.draw(st.sampled_from(sorted(self.table.rows)))
            del self.table.rows[row_id]
            self.held.pop(row_id, None)
        self.commit()

    @precondition(lambda self: any(self.inboxes.values()))
    @rule(data=st.data(), balances=st.booleans())
    def deliver(self, data, balances):
        waiting = [index for index, inbox in enumerate(self.inboxes.values()) if inbox]
        page = list(self.inboxes)[data.draw(st.sampled_from(waiting))]
        self.pages.receive(page, live(self.inboxes[page].popleft()))
        if balances:
            self.edit(self.pages.rebalance)

    @rule(num_items=st.integers(1, 4))
    def load_more(self, num_items):
        self.edit(lambda: self.pages.load_more(num_items))

    @rule()
    def quiesce(self):
        busy, passes = True, 0
        while busy:
            passes += 1
            assert passes < 200, "the pages are never at rest"
            for page in list(self.inboxes):
                while self.inboxes[page]:
                    self.pages.receive(page, live(self.inboxes[page].popleft()))
            busy = self.pages.rebalance()
            self.watch()
        everything = self.table.sorted()
        assert self.shown == everything[: len(self.shown)]
        assert (self.pages.status is PageStatus.EXHAUSTED) == (len(self.shown) == len(everything))
        assert self.pages.snapshot.status is SnapshotStatus.LIVE
        bounded = [page for page in self.pages.current if page.range.upper is not None]
        assert all(len(page.rows) <= max(2 * page.range.num_items, 1) for page in bounded)
        assert all(2 * len(page.rows) >= page.range.num_items for page in bounded[:-1])

    @invariant()
    def no_row_is_there_twice(self):
        if hasattr(self, "pages"):
            ids = [each["_id"] for each in self.shown]
            assert len(ids) == len(set(ids))

    @invariant()
    def pages_lie_end_to_end(self):
        if hasattr(self, "pages"):
            uppers = [page.range.upper for page in self.pages.current]
            assert [page.range.lower for page in self.pages.current] == [None, *uppers[:-1]]
            assert uppers[-1] is None

    @invariant()
    def what_was_shown_in_a_pinned_range_stays_until_it_goes_or_moves(self):
        if not hasattr(self, "pages") or len(self.pages.current) < 2:
            return
        last = place_of(self.pages.current[-1].range.lower)
        shown = {each["_id"]: each for each in self.shown}
        assert self.held.keys() <= shown.keys()
        for row_id, each in shown.items():
            now = self.table.rows.get(row_id)
            if now is not None and now["at"] == each["at"] and (each["at"], row_id) <= last:
                self.held[row_id] = True


TestAnyPages = AnyPages.TestCase
