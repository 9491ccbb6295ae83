"""Views in JupyterLab, Jupyter Notebook and marimo, in headless Chromium: what somebody sees who works with them."""

from __future__ import annotations

import os
from contextlib import ExitStack
from functools import cache
from io import BytesIO
from pathlib import Path

import pytest

for each in ("anywidget", "jupyterlab", "marimo", "nbformat", "notebook", "perspective", "PIL", "playwright"):
    pytest.importorskip(each, reason="views are looked at in an environment of their own: tox run -e notebooks")

from PIL import Image  # noqa: E402 - where it is missing, all of this is skipped

from tests.adapters.jupyter import fronts  # noqa: E402
from tests.browser.chromium import CHROMIUM, MISSING  # noqa: E402

pytestmark = [
    pytest.mark.skipif(not CHROMIUM.is_file(), reason=MISSING),
    pytest.mark.timeout(300),
]

SERVER = """
import asyncio, math
from lunora_rx import LunoraClient, api
from lunora_rx.adapters.jupyter import show
from lunora_rx.devserver import App
app = App()
app.query("readings:list")(lambda ctx: ctx.db.table("readings").collect())
app.mutation("readings:add")(lambda ctx, row: ctx.db.insert("readings", **row))
server = app.serve()
client = LunoraClient(await server.__aenter__(), polling=None)
async def write():
    for step in range(1_000_000):
        for phase, sensor in enumerate(["cellar", "kitchen", "roof"]):
            celsius = round(18 + 4 * phase + 3 * math.sin(step / 9 + phase), 2)
            await client.mutation(api.readings.add, {"row": {"sensor": sensor, "step": step, "celsius": celsius}})
        await asyncio.sleep(0.2)
writing = asyncio.create_task(write())
readings = client.live(api.readings.list)
"""
CHART = 'show(readings, plugin="Y Line", group_by=["step"], split_by=["sensor"], columns=["celsius"])'
PLAIN = "show(readings, plain=True)"
OBSERVERS = "print(client._cache.observer_count)"
NO_PERSPECTIVE = 'import sys; sys.modules["perspective"] = None'  # as find_spec sees what is not installed
CUT = "app.faults.refuse_sockets(); app.faults.drop_sockets()"
ADD = 'adding = client.mutation(api.readings.add, {"row": {"sensor": "roof", "step": 0, "celsius": 20}})'
RELEASE = "app.faults.release()"
CLEAR = '() => jupyterapp.commands.execute("notebook:clear-all-cell-outputs")'
THEME = '(theme) => jupyterapp.commands.execute("apputils:change-theme", { theme })'
# A viewer changes, and what it then tells of itself arrives two seconds later, as on a busy page.
TELL_LATE = """viewer => {
    const save = Object.getPrototypeOf(viewer).save;
    viewer.save = async (...options) => {
        const saved = await save.apply(viewer, options);
        await new Promise((go) => setTimeout(go, 2000));
        return saved;
    };
    viewer.dispatchEvent(new CustomEvent("perspective-config-update"));
}"""
IS_CHART = """() => [...document.querySelectorAll("perspective-viewer-charts-y-line")].some((each) => each._renderer)"""
MARIMO = """
import marimo
app = marimo.App()

@app.cell
async def _():
{server}
    return client, readings

@app.cell
def _(readings):
    readings
    return

@app.cell
def _(client):
    client.pending
    return
"""


@pytest.fixture(scope="module")
def browser():
    """The browser of the system."""
    with fronts.chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """What serves notebooks in JupyterLab, and in Jupyter Notebook: each is started once."""
    with ExitStack() as stack:

        @cache
        def served(front):
            root = tmp_path_factory.mktemp(front)
            return root, stack.enter_context(fronts.jupyter(root, front))

        yield served


@pytest.fixture
def opened(served, browser, request, tmp_path):
    """What opens a notebook of cells; ``SHOTS`` keeps a picture of how each test ends."""
    pages = []

    def opened(*cells, front="lab"):
        root, address = served(front)
        name = request.node.originalname
        fronts.write(root, name, cells)
        pages.append(fronts.opened(browser, f"{address}{name}.ipynb"))
        return pages[-1]

    yield opened
    for each in pages:
        each.page.screenshot(path=Path(os.environ.get("SHOTS", tmp_path)) / f"{request.node.name}.png")
        each.shut_down()


@pytest.mark.parametrize("where", ["lab", "lab without perspective", "notebook"])
def test_view_follows_values_the_connection_and_writes(opened, where):
    """Values change; a cut shows, and the write that waits; all comes back."""
    front, _, without = where.partition(" ")
    notebook = opened(NO_PERSPECTIVE * bool(without) + SERVER, "readings", "client.pending", "", front=front)
    for number in range(3):
        notebook.run(number)
    notebook.badge(1, "live")
    notebook.changes(1, ".lunora-rx-at")
    notebook.until(lambda: notebook.cell(1).locator("perspective-viewer").count() == (not without))
    notebook.run(3, CUT)
    notebook.badge(1, "offline")
    notebook.run(3, ADD)
    notebook.badge(1, "offline, 2 writes pending")
    notebook.until(lambda: notebook.cell(2).locator(".lunora-rx-text").inner_text() == "2")
    notebook.run(3, RELEASE)
    notebook.badge(1, "live")
    notebook.changes(1, ".lunora-rx-at")


def test_view_that_is_paused_keeps_its_value_and_the_past_can_be_seen(opened):
    """Pause holds, the slider goes back to the first value, resume shows the newest."""
    notebook = opened(SERVER, "show(readings.map(len))")
    notebook.run(0)
    notebook.run(1)
    cell = notebook.cell(1)
    text, at = cell.locator(".lunora-rx-text"), cell.locator(".lunora-rx-at")
    notebook.until(lambda: int(text.inner_text() or 0) > 20)
    cell.locator(".lunora-rx-pause").click()
    at.filter(has_text="as of").wait_for()
    held, longest = int(text.inner_text()), cell.locator(".lunora-rx-history").get_attribute("max")
    notebook.until(lambda: cell.locator(".lunora-rx-history").get_attribute("max") != longest)
    assert int(text.inner_text()) == held
    cell.locator(".lunora-rx-history").fill("0")
    notebook.until(lambda: int(text.inner_text()) < held)
    cell.locator(".lunora-rx-pause").click()
    notebook.until(lambda: int(text.inner_text()) > held)


def test_cells_that_run_again_or_lose_their_output_leave_no_observer(opened):
    """One observer a cell however often it runs, and none when its output is gone, or the page is."""
    notebook = opened(SERVER, "readings", CHART, PLAIN, OBSERVERS)
    for number in (0, 1, 2, 3, 1, 2, 3, 1, 2, 3):
        notebook.run(number)
    for number in (1, 2, 3):
        notebook.badge(number, "live")
    # The browser tells of an output that is gone when it has taken it away: the kernel hears of it after the cell.
    notebook.until(lambda: int(notebook.run(4)) == 3)
    notebook.run(3, "None")
    notebook.until(lambda: int(notebook.run(4)) == 2)
    notebook.page.evaluate(CLEAR)
    notebook.until(lambda: int(notebook.run(4)) == 0)


def test_chart_is_drawn_and_moves(opened):
    """Perspective's line chart, not the grid that it shows until its renderer is there; a new field does not end it."""
    notebook = opened(SERVER, CHART, "")
    notebook.run(0)
    notebook.run(1)
    notebook.page.wait_for_function(IS_CHART)
    chart = notebook.cell(1).locator("perspective-viewer-charts-y-line")
    notebook.until(lambda: colours(chart) >= 3)
    before = chart.screenshot()
    notebook.until(lambda: chart.screenshot() != before)
    notebook.run(2, ADD.replace('"step"', '"is_dry": True, "step"'))
    notebook.page.wait_for_timeout(1000)
    notebook.page.wait_for_function(IS_CHART)
    notebook.until(lambda: colours(chart) >= 3)


def test_grid_is_dark_where_the_page_is(opened):
    """Also when that changes, at any moment of a viewer's life; a theme that was asked for stays."""
    notebook = opened(SERVER, "readings", 'show(readings, theme="Solarized")')
    for number in range(3):
        notebook.run(number)
    viewers = [notebook.cell(number).locator("perspective-viewer") for number in (1, 2)]
    for theme in ("Light", "Dark", "Light"):
        notebook.page.evaluate(THEME, f"JupyterLab {theme}")
        notebook.until(lambda theme=theme: viewers[0].get_attribute("theme") == f"Pro {theme}")
    assert viewers[1].get_attribute("theme") == "Solarized"


def test_grid_follows_a_page_that_changes_while_its_viewer_changes(opened):
    """What the viewer tells late, from before, does not bring the former theme back."""
    notebook = opened(SERVER, "readings")
    for number in range(2):
        notebook.run(number)
    viewer = notebook.cell(1).locator("perspective-viewer")
    for theme in ("Light", "Dark"):
        notebook.page.evaluate(THEME, f"JupyterLab {theme}")
        notebook.until(lambda theme=theme: viewer.get_attribute("theme") == f"Pro {theme}")
        viewer.evaluate(TELL_LATE)
    notebook.page.evaluate(THEME, "JupyterLab Light")
    notebook.page.wait_for_timeout(5000)
    assert viewer.get_attribute("theme") == "Pro Light"


def colours(chart):
    """Return how many strong colours, as those of lines, are in a picture of something."""
    with Image.open(BytesIO(chart.screenshot())) as picture:
        counted = picture.convert("RGB").getcolors(1 << 24)
    return len({colour for count, colour in counted if count > 50 and max(colour) - min(colour) > 100})


def test_view_in_marimo_is_live(browser, tmp_path):
    """The last expression of a cell is a live view there, too."""
    body = "".join(f"    {line}\n" for line in SERVER.splitlines())
    (tmp_path / "views.py").write_text(MARIMO.format(server=body), encoding="utf-8")
    command = ["marimo", "run", "views.py", "--headless", "--no-token", "--host", "127.0.0.1", "--port", "{port}"]
    with fronts.served(command, "/", tmp_path / "log") as address:
        page = browser.new_page()
        page.set_default_timeout(fronts.PATIENCE)
        page.goto(address)
        page.locator(".lunora-rx-badge", has_text="live").nth(1).wait_for()
        rows = page.locator(".lunora-rx-rows tr")
        seen = rows.count()
        rows.nth(seen + 3).wait_for()
        page.screenshot(path=Path(os.environ.get("SHOTS", tmp_path)) / "marimo.png")
        page.close()
