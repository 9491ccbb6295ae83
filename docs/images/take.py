"""Makes the pictures of the documentation again: ``python docs/images/take.py [NAME ...]``, by default all of them.

``panel``, ``bokeh``, ``streamlit`` and ``nicegui`` are the dashboards of ``examples/dashboards``, ``dashboard`` is the
page of ``lunora-rx dashboard``, all in headless Chromium with real readings of this machine; ``jupyter`` and
``jupyter_chart`` are the cells of ``docs/jupyter.md`` in JupyterLab, ``notebook_chart`` is one of ``notebooks/``;
``watch`` and ``demo`` are what a terminal shows. It needs what ``tox -e browser`` needs, the three of Jupyter what
``tox -e notebooks`` needs; CHROMIUM may hold the browser's path.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect, sync_playwright

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from lunora_rx import LunoraClient  # noqa: E402
from lunora_rx.cli.text import without_fonts  # noqa: E402
from lunora_rx.cli.watch.screen import View, WatchApp  # noqa: E402
from lunora_rx.devserver import App  # noqa: E402
from tests.adapters.jupyter import fronts  # noqa: E402
from tests.browser.chromium import CHROMIUM  # noqa: E402
from tests.browser.conftest import DASHBOARDS, EXAMPLES, FLAGS, free_port, outside, wait_for  # noqa: E402

IMAGES = Path(__file__).parent
HIDE_FILES = '() => jupyterapp.commands.execute("application:toggle-left-area")'
SECONDS = 20  # until a chart is worth looking at
CHART = {
    "plugin": "Y Line",
    "group_by": ["_creationTime"],
    "columns": ["cpu", "memory"],
    "aggregates": {"cpu": "avg", "memory": "avg"},
}
ROOMS = ("attic", "cellar", "kitchen", "study")
TERMINAL = (104, 24)
HEIGHTS = {"streamlit": 720}  # pixels, of examples that have more to show
sensors = App()


@sensors.query("sensors:list")
def list_sensors(ctx: Any) -> list[dict[str, Any]]:
    """All sensors."""
    return ctx.db.table("sensors").collect()


@sensors.mutation("sensors:fill")
def fill(ctx: Any, count: int) -> None:
    """Put sensors up."""
    for n in range(count):
        celsius = round(random.gauss(19, 3), 2)
        ctx.db.insert("sensors", sensor=f"sensor {n:04}", room=ROOMS[n % 4], celsius=celsius, battery=n * 7 % 101)


@sensors.mutation("sensors:measure")
def measure(ctx: Any, count: int) -> None:
    """Let some of them measure."""
    for row in random.sample(ctx.db.table("sensors").collect(), count):
        ctx.db.update("sensors", row["_id"], celsius=round(row["celsius"] + random.gauss(0, 0.3), 2))


def take_example(name: str) -> None:
    """Take the picture of an example once it has shown readings for a while."""
    port, example = free_port(), DASHBOARDS[name]
    words = example.command.format(app=EXAMPLES / f"{name}_app.py", port=port).split()
    words = words if words[0].endswith(".py") else ["-m", *words]
    process = subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL, env=outside())
    with ending(process):
        wait_for(port, process)
        with opened(f"http://localhost:{port}{example.path}", 1120, HEIGHTS.get(name, 660)) as page:
            page.get_by_text("live").last.wait_for()
            page.locator("canvas:visible, svg.marks:visible").nth(1).wait_for()  # a chart comes late on a busy machine
            page.wait_for_timeout(SECONDS * 1000)
            expect(page.locator("[data-stale=true]")).to_have_count(0)  # Streamlit fades what it draws anew
            page.screenshot(path=IMAGES / f"{name}.png")


def take_dashboard() -> None:
    """Watch the readings as a chart, cut its connection, and look at the frames."""
    feed = [sys.executable, str(EXAMPLES / "machine.py")]
    with ending(subprocess.Popen(feed, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)) as server:
        command = [sys.executable, "-m", "lunora_rx.cli", "dashboard", "--url", line_of(server), "--no-open"]
        with (
            ending(subprocess.Popen(command, stdout=subprocess.PIPE, text=True)) as process,
            opened(line_of(process), 1360, 840) as page,
        ):
            show_readings(page)
            page.screenshot(path=IMAGES / "dashboard.png")


def show_readings(page: Page) -> None:
    """Do what a person does on the page."""
    functions = page.locator("select").first
    page.locator("option", has_text="readings:recent").wait_for(state="attached")
    functions.select_option(label="readings:recent")
    page.get_by_role("button", name="Watch").click()
    viewer = page.locator("perspective-viewer")
    viewer.wait_for()
    page.wait_for_timeout(SECONDS * 1000)
    viewer.evaluate("(viewer, config) => viewer.restore(config)", CHART)
    functions.select_option(label="demo:cut")
    page.get_by_label("seconds", exact=True).fill("0.5")
    page.get_by_role("button", name="Run action").click()
    page.get_by_text("Frames", exact=True).click()
    page.wait_for_timeout(SECONDS * 250)
    frame = page.locator(".tabulator-row:visible", has_text="received").first
    expect(frame, "no frame is in the picture").to_be_in_viewport(ratio=1)


def take_cells(name: str, cells: list[str], part: str, height: int, *, is_output: bool = False) -> None:
    """Run cells in JupyterLab, and look at the window once the last one has shown its view for a while.

    Args:
        name: That of the picture.
        cells: The cells.
        part: What is drawn when the view is.
        height: That of the window, in pixels.
        is_output: Whether the picture is that of the last output alone.
    """
    with tempfile.TemporaryDirectory() as directory, fronts.chromium() as browser:
        root = Path(directory)
        with fronts.jupyter(root) as address:
            shutil.copy(EXAMPLES / "machine.py", root / "files")
            fronts.write(root, "live", cells)
            notebook = fronts.opened(browser, f"{address}live.ipynb", width=1120, height=height)
            notebook.page.evaluate(HIDE_FILES)
            for number in range(len(cells)):
                notebook.run(number)
            notebook.badge(len(cells) - 1, "live")
            notebook.cell(len(cells) - 1).locator(part).first.wait_for()
            notebook.page.wait_for_timeout(SECONDS * 1000)
            seen = notebook.cell(len(cells) - 1).locator(".jp-OutputArea-output").last if is_output else notebook.page
            seen.screenshot(path=IMAGES / f"{name}.png")
            notebook.shut_down()


def cells_of(page: str) -> list[str]:
    """Return the first block of Python of a page, as cells."""
    found = re.search(r"```python\n(.*?)```", (IMAGES.parent / page).read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None, f"{page} has no block of Python"
    *before, last = found[1].strip().splitlines()
    return ["\n".join(before), last]


def take_jupyter() -> None:
    """Show readings of this machine as a grid."""
    before = """
from machine import READINGS, start
from lunora_rx import LunoraClient, api
from lunora_rx.adapters.jupyter import show
client = LunoraClient(start())
"""
    columns = '["_creationTime", "cpu", "memory", "_id"]'
    cells = [before, f"show(client.live(api.readings.recent, READINGS), columns={columns})"]
    take_cells("jupyter", cells, "perspective-viewer regular-table td", 660)


def take_jupyter_chart() -> None:
    """Run the ten lines of the page."""
    take_cells("jupyter_chart", cells_of("jupyter.md"), "perspective-viewer-charts-y-line", 800)


def take_notebook_chart() -> None:
    """Run the notebook on charts up to Perspective's."""
    import jupytext  # which what the dashboards need does not bring

    cells = jupytext.read(ROOT / "notebooks" / "4_live_charts.py", fmt="py:percent").cells
    sources = [cell.source for cell in cells if cell.cell_type == "code"]
    last = next(number for number, source in enumerate(sources) if 'plugin="Y Line"' in source)
    take_cells("notebook_chart", sources[: last + 1], "perspective-viewer-charts-y-line", 1600, is_output=True)


async def draw_watch() -> str:
    """Watch until changes are marked, and return what the screen shows."""
    random.seed(4)
    # In the query's own order: the numbers of a column that is sorted by are only a ramp.
    view = View("sensors:list  at http://127.0.0.1:8787", None, "room=attic", "celsius")
    async with sensors.serve() as url, LunoraClient(url) as client:
        await client.mutation("sensors:fill", {"count": 1200})
        watch = WatchApp(client, client.live("sensors:list"), view)
        async with watch.run_test(size=TERMINAL) as pilot:
            while not watch.table.keys:
                await pilot.pause(0.05)
            for _ in range(20):
                await client.mutation("sensors:measure", {"count": 120})
                await pilot.pause(0.1)
            return watch.export_screenshot(title="lunora-rx watch sensors:list")


def take_watch() -> None:
    """Draw the screen of ``lunora-rx watch``."""
    (IMAGES.parent / "watch.svg").write_text(without_fonts(asyncio.run(draw_watch())), encoding="utf-8")


def take_demo() -> None:
    """Run ``lunora-rx demo``, and keep what it shows at its end."""
    command = [sys.executable, "-m", "lunora_rx.cli", "demo", "--seconds", "30"]
    subprocess.run([*command, "--svg", str(IMAGES.parent / "demo.svg")], check=True, stdout=subprocess.DEVNULL)


PICTURES: dict[str, Callable[[], None]] = {
    **{name: partial(take_example, name) for name in DASHBOARDS},
    "dashboard": take_dashboard,
    "jupyter": take_jupyter,
    "jupyter_chart": take_jupyter_chart,
    "notebook_chart": take_notebook_chart,
    "watch": take_watch,
    "demo": take_demo,
}


@contextmanager
def opened(url: str, width: int, height: int) -> Iterator[Page]:
    """Open a page in headless Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": width, "height": height})
        page.goto(url, wait_until="domcontentloaded")
        yield page
        browser.close()


@contextmanager
def ending(process: subprocess.Popen[Any]) -> Iterator[subprocess.Popen[Any]]:
    """End a process, whatever happens."""
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


def line_of(process: subprocess.Popen[str]) -> str:
    """Return the first line that a process prints: where it serves."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def main() -> None:
    """Take the pictures asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(PICTURES)} (default: all)")
    names = parser.parse_args().names or list(PICTURES)
    unknown = [name for name in names if name not in PICTURES]
    if unknown:
        parser.error(f"there is no picture {', '.join(unknown)}; there are {', '.join(PICTURES)}")
    for name in names:
        PICTURES[name]()
        print(name, flush=True)


if __name__ == "__main__":
    main()
