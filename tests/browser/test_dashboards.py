"""Each dashboard of the examples, as somebody sees it who opens it in a browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import DASHBOARDS, foreign

PATIENCE = 30_000
# What the page's copy of the ColumnDataSource holds.
NEWEST = """() => {
    const models = [...Bokeh.documents.flatMap((each) => [...each._all_models.values()])];
    const at = models.find((each) => each.type === "ColumnDataSource").data.at;
    return `${at.length} ${at[at.length - 1]}`;
}"""
LEAST_SIZE, MOST_SIZE = 20_000, 150_000


class Screen:
    """What is to be seen on a page."""

    def __init__(self, page, dashboard):
        self.page = page
        self._selector = DASHBOARDS[dashboard].values

    def expect_badge(self, words):
        """Wait until the badge shows one of the words."""
        badge = self.page.get_by_text(re.compile(rf"^\W*({words})\W*$"))
        expect(badge.last).to_be_visible(timeout=PATIENCE)

    def values(self):
        """Return the values that are shown."""
        if self._selector:
            return " ".join(self.page.locator(self._selector).all_inner_texts())
        return self.page.evaluate(NEWEST)

    def expect_change(self):
        """Wait until other values are shown than now."""
        shown = self.values()
        for _ in range(PATIENCE // 100):
            self.page.wait_for_timeout(100)
            if self.values() != shown:
                return
        raise AssertionError(f"nothing but {shown!r} was shown")

    def expect_observers(self, count):
        """Wait until the page says that the client has so many observers, of all pages."""
        expect(self.page.get_by_text(re.compile(rf"\b{count} observers?$"))).to_be_visible(timeout=PATIENCE)


def test_dashboard_shows_values_a_cut_and_the_recovery(dashboard, open_page, tmp_path):
    """It is live and changes; cut off it says so and keeps its values; then it goes on by itself."""
    screen = Screen(open_page(), dashboard)
    screen.expect_badge("live")
    screen.expect_change()
    screen.page.get_by_text("Cut the connection").click()
    screen.expect_badge("stale|offline")
    assert re.search(r"[1-9]", screen.values())
    screen.expect_badge("live")
    screen.expect_change()
    picture = tmp_path / f"{dashboard}.png"
    screen.page.screenshot(path=picture)
    assert LEAST_SIZE < picture.stat().st_size < MOST_SIZE


def test_page_that_is_closed_leaves_no_observer(dashboard, open_page):
    """A second page has as many observers as the first one, on the same client, and takes them with it."""
    count = DASHBOARDS[dashboard].observers
    screen = Screen(open_page(), dashboard)
    screen.expect_observers(count)
    other = Screen(open_page(), dashboard)
    screen.expect_observers(2 * count)
    other.expect_badge("live")  # a page that never connected is kept longer, by NiceGUI for a minute
    other.page.close()
    screen.expect_observers(count)


def test_page_loads_nothing_from_elsewhere(chromium, dashboard, url):
    """It works with no internet: every script and style comes from an installed package."""
    requests = []
    with chromium.new_context() as context:
        page = context.new_page()
        page.on("request", lambda request: requests.append(request.url))
        page.goto(url)
        Screen(page, dashboard).expect_badge("live")
    assert requests
    assert foreign(requests) == []


pytestmark = pytest.mark.timeout(150)
