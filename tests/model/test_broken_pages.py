"""The model can fail where it watches lists that grow: each client with a known defect is caught by it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis.stateful import run_state_machine_as_test

from lunora_rx.core import pages
from lunora_rx.core.pages import Page, PageRange, Pages, Stretch
from lunora_rx.devserver.tables import Table
from lunora_rx.protocol.frozen import replace
from lunora_rx.rx.paginated import Paging
from tests.model.page_machine import PageSchedules
from tests.model.pages import PAGES
from tests.model.test_broken import Breaking, check_fails_with_it_only
from tests.model.test_broken_shapes import SAME_EVERY_TIME
from tests.model.world import World


def show_new_pages_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages that are replaced are gone before the new ones are there."""
    monkeypatch.setattr(Stretch, "shown", property(lambda stretch: stretch.pages))


def show_rows_of_both_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that two pages hold is shown by both."""
    monkeypatch.setattr(pages, "_merge", lambda shown: [row for page in shown for row in page.rows])


def never_rebalance(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages grow and shrink as they like."""
    monkeypatch.setattr(Pages, "rebalance", lambda core: False)


def join_only_the_range_of_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two pages are replaced by one that ends where the first did."""

    def replace_pages(
        core: Pages, index: int, replaced: tuple[Page, ...], *ranges: PageRange, original: Any = Pages._replace
    ) -> None:
        upper = replaced[0].range.upper
        kept = ranges if len(ranges) > 1 else tuple(replace(each, upper=upper) for each in ranges)
        original(core, index, replaced, *kept)

    monkeypatch.setattr(Pages, "_replace", replace_pages)


def keep_pages_of_another_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list does not begin anew when somebody else signs in."""
    monkeypatch.setattr(Paging, "_start_over", lambda paging: None)


def keep_watching_what_was_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """The queries of pages that are gone stay open."""

    def watch_current(paging: Paging) -> None:
        for page in paging.pages.current:
            if page not in paging._watched and not paging._is_over:
                paging._watch(page)

    monkeypatch.setattr(Paging, "_watch_current", watch_current)


def leave_out_the_last_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server takes the end of a range for exclusive."""

    def within(table: Table, after: float | None, until: float, original: Any = Table._within) -> list[Any]:
        return [row for row in original(table, after, until) if row["_creationTime"] != until]

    monkeypatch.setattr(Table, "_within", within)


def settle_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is put off to the next turn is done the first time only."""

    def settle_soon(paging: Paging, original: Any = Paging._settle_soon) -> None:
        original(paging)
        paging._is_due = True

    def settle(paging: Paging, original: Any = Paging._settle) -> None:
        original(paging)
        paging._is_due = True

    monkeypatch.setattr(Paging, "_settle_soon", settle_soon)
    monkeypatch.setattr(Paging, "_settle", settle)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("breaking", "complaint"),
    [
        (keep_pages_of_another_user, "of the former user"),
        (keep_watching_what_was_replaced, "watches other pages"),
        (leave_out_the_last_row, "the server had"),
        (never_rebalance, "is not (split|joined)"),
        (settle_once, "it has"),
    ],
)
def test_random_lists_with_a_broken_client_or_server_fail(
    breaking: Breaking, complaint: str, monkeypatch: pytest.MonkeyPatch
):
    """A few hundred random schedules are more than enough to find the defect, and to say what it is."""
    breaking(monkeypatch)
    with pytest.raises(AssertionError, match=complaint):
        run_state_machine_as_test(PageSchedules, settings=SAME_EVERY_TIME)


def grow(world: World) -> None:
    """A list has grown to three pages with an end, and an open one."""
    world.write(0, "", [("put", f"r{number}", "a", 1) for number in range(1, 10)])
    world.watch_list(0, "asc")
    world.grow_lists(0, 2, 3)
    world.flow()


def empty_a_page(world: World) -> None:
    """All rows of the page in the middle go, so that it is joined with the next."""
    grow(world)
    world.write(0, "", [("delete", "r3", "a", 1), ("delete", "r4", "a", 1)])
    world.flow()


def patch_all_pages(world: World) -> None:
    """A write of ours puts its row on every page until it is confirmed."""
    grow(world)
    world.send_write(0, "", [("put", "r99", "a", 1)], patches=[(PAGES, "patch")])


@pytest.mark.parametrize(
    ("breaking", "schedule"),
    [
        (join_only_the_range_of_the_first, empty_a_page),
        (keep_watching_what_was_replaced, grow),
        (leave_out_the_last_row, grow),
        (never_rebalance, empty_a_page),
        (show_new_pages_at_once, empty_a_page),
        (show_rows_of_both_pages, patch_all_pages),
    ],
)
def test_schedule_for_a_defect_of_lists_fails_with_it_only(breaking: Breaking, schedule: Callable[[World], None]):
    """A defect that chance finds late is found by a schedule made for it, which passes without the defect."""
    check_fails_with_it_only(breaking, schedule)
