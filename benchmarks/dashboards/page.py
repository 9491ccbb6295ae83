"""A view in headless Chromium: when the marker is seen, how smoothly the page is drawn, how large its heap is."""

from contextlib import contextmanager

import psutil
from playwright.sync_api import sync_playwright

from tests.browser.chromium import CHROMIUM

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
PATIENCE = 60_000
# Looks for the marker 50 times a second, wherever on the page and in which shadow root it stands.
LOOK = r"""() => {
    const seen = window.__seen = [], pace = window.__pace = {frames: 0, longest: 0, last: performance.now()};
    let spot = null, newest = "";
    const find = (root) => {
        for (const each of root.querySelectorAll("*")) {
            const found = each.shadowRoot && find(each.shadowRoot);
            if (found) return found;
            if (!each.childElementCount && /tick \d{13}/.test(each.textContent)) return each;
        }
        return null;
    };
    setInterval(() => {
        let match = spot?.isConnected ? /tick (\d{13})/.exec(spot.textContent) : null;
        if (!match) {
            spot = find(document);
            match = spot && /tick (\d{13})/.exec(spot.textContent);
        }
        if (!match || match[1] === newest) return;
        newest = match[1];
        seen.push([Number(newest), Date.now() - Number(newest)]);
    }, 20);
    const draw = (now) => {
        pace.frames += 1;
        pace.longest = Math.max(pace.longest, now - pace.last);
        pace.last = now;
        requestAnimationFrame(draw);
    };
    requestAnimationFrame(draw);
}"""
# What was seen since it was asked last.
TAKE = """() => {
    const taken = {seen: window.__seen.splice(0), frames: window.__pace.frames, longest: window.__pace.longest};
    Object.assign(window.__pace, {frames: 0, longest: 0});
    return taken;
}"""


class Page:
    """An open page."""

    def __init__(self, browser, page):
        self._page = page
        self._devtools = page.context.new_cdp_session(page)
        self._browser_devtools = browser.new_browser_cdp_session()

    def take(self):
        """Return what was seen since it was asked last."""
        return self._page.evaluate(TAKE)

    def sizes(self):
        """Return the bytes of the page's heap once its garbage is gone, and of the processes that draw pages."""
        self._devtools.send("HeapProfiler.collectGarbage")
        heap = self._devtools.send("Runtime.getHeapUsage")["usedSize"]
        processes = self._browser_devtools.send("SystemInfo.getProcessInfo")["processInfo"]
        pages = [psutil.Process(each["id"]).memory_info().rss for each in processes if each["type"] == "renderer"]
        self._page.evaluate("() => Object.assign(window.__pace, {frames: 0, longest: 0, last: performance.now()})")
        return {"heap": heap, "page": sum(pages)}

    def wait(self, seconds):
        """Let time pass."""
        self._page.wait_for_timeout(seconds * 1000)


@contextmanager
def opened(view, url):
    """Open the page of a view, and wait until it shows the marker."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1360, "height": 860})
        page.set_default_timeout(PATIENCE)
        page.goto(url, wait_until="domcontentloaded")
        view.prepare(page)
        page.evaluate(LOOK)
        page.wait_for_function("() => window.__seen.length > 1")
        yield Page(browser, page)
        browser.close()
