"""Live views in JupyterLab, in headless Chromium: values change, a cut shows, nothing leaks, closing disposes."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import sys
from pathlib import Path

import pytest

pytest.importorskip("jupyterlab", reason="views are looked at in JupyterLab: tox run -e notebooks")
pytest.importorskip("perspective", reason="rows are shown by Perspective with the extra jupyter")
nbformat = pytest.importorskip("nbformat")
async_api = pytest.importorskip("playwright.async_api", reason="a browser is driven by Playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine"),
    pytest.mark.timeout(300),
]

SERVER = """
import asyncio, math
from lunora_rx import LunoraClient, api
from lunora_rx.adapters.jupyter import show
from lunora_rx.devserver import App
app = App()
app.query("readings:list")(lambda ctx: ctx.db.table("readings").collect())
app.mutation("readings:add")(lambda ctx, sensor, step, celsius:
    ctx.db.insert("readings", sensor=sensor, step=step, celsius=celsius))
server = app.serve()
client = LunoraClient(await server.__aenter__(), polling=None)
async def write():
    for step in range(1_000_000):
        for phase, sensor in enumerate(["cellar", "kitchen", "roof"]):
            celsius = round(18 + 4 * phase + 3 * math.sin(step / 9 + phase), 2)
            await client.mutation(api.readings.add, {"sensor": sensor, "step": step, "celsius": celsius})
        await asyncio.sleep(0.2)
writing = asyncio.create_task(write())
readings = client.live(api.readings.list)
"""
CHART = 'show(readings, plugin="Y Line", group_by=["step"], split_by=["sensor"], columns=["celsius"])'
OBSERVERS = 'print("observers:", client._cache.observer_count)'
CELLS = ["readings", CHART, "show(readings, plain=True)", "client.pending", OBSERVERS]
CUT = "app.faults.refuse_sockets(); app.faults.drop_sockets()"
FLAGS = ["--no-sandbox", "--disable-gpu", "--enable-unsafe-swiftshader", "--disable-background-networking"]
SECOND = 1000


class Lab:
    """A page of JupyterLab with one notebook."""

    def __init__(self, page):
        self.page = page
        self.badges = page.locator(".lunora-rx-badge")
        self.rows = page.locator(".lunora-rx-rest")

    def cell(self, number):
        return self.page.locator(".jp-CodeCell").nth(number)

    async def run(self, number, text=None):
        await self.cell(number).locator(".cm-content").click()
        if text is not None:
            await self.page.keyboard.press("Control+A")
            await self.page.keyboard.insert_text(text)
        await self.page.keyboard.press("Control+Enter")
        prompt = self.cell(number).locator(".jp-InputPrompt")
        for _ in range(600):
            await asyncio.sleep(0.1)
            if re.fullmatch(r"\[\d+\]:", await prompt.inner_text()):
                return
        raise AssertionError(f"cell {number} does not come to its end")

    async def wait(self, expression):
        await self.page.wait_for_function(expression, timeout=60 * SECOND)

    async def badge(self, number, word):
        shown = f"document.querySelectorAll('.lunora-rx-badge')[{number}]?.textContent"
        await self.wait(f"() => {shown}?.startsWith('{word}')")

    async def observers(self):
        """Run the cell that counts observers, in the end, until its output is that of this run."""
        prompt = await self.cell(5).locator(".jp-InputPrompt").inner_text()
        await self.run(5)
        output = self.cell(5).locator(".jp-OutputArea")
        for _ in range(100):
            await asyncio.sleep(0.1)
            shown = await self.cell(5).locator(".jp-InputPrompt").inner_text()
            if shown not in (prompt, "[*]:"):
                return int(re.findall(r"observers: (\d+)", await output.inner_text())[0])
        raise AssertionError("the kernel does not answer")


@pytest.fixture
async def lab(tmp_path):
    """Serve a notebook, open it, and end everything afterwards."""
    cells = [nbformat.v4.new_code_cell(text) for text in (SERVER, *CELLS)]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), tmp_path / "views.ipynb")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--no-browser", "--ip=127.0.0.1", f"--port={port}", "--IdentityProvider.token=t", "--allow-root"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "jupyterlab", *options, f"--ServerApp.root_dir={tmp_path}"),
        env={**os.environ, "JUPYTER_CONFIG_DIR": str(tmp_path / "config"), "JUPYTER_DATA_DIR": str(tmp_path / "data")},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with async_api.async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            page = await browser.new_page(viewport={"width": 1100, "height": 1750})
            for _ in range(300):
                try:
                    await page.goto(f"http://127.0.0.1:{port}/lab/tree/views.ipynb?token=t")
                    break
                except async_api.Error:  # it does not listen yet
                    await asyncio.sleep(0.2)
            await page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60 * SECOND)
            await page.wait_for_selector("[data-status=idle]", state="attached", timeout=60 * SECOND)
            yield Lab(page)
            await browser.close()
    finally:
        process.terminate()
        await process.wait()


async def test_views_in_jupyterlab_are_live_and_leave_nothing(lab, tmp_path):
    """One story: values, many runs of a cell, a cut, the recovery, the past, the end. ``SHOTS`` keeps the pictures."""
    shots = Path(os.environ.get("SHOTS", tmp_path))
    for number in range(5):
        await lab.run(number)
        await asyncio.sleep(1)
    await lab.badge(3, "live")
    await lab.wait("() => document.querySelectorAll('perspective-viewer').length === 2")
    before = await lab.rows.nth(0).inner_text()
    await lab.wait(f"() => document.querySelector('.lunora-rx-rest').textContent !== '{before}'")
    await asyncio.sleep(8)
    await lab.page.screenshot(path=shots / "jupyter_live.png")
    assert await lab.observers() == 3
    for _ in range(3):
        for number in (1, 2, 3):
            await lab.run(number)
            await asyncio.sleep(0.5)
    await lab.badge(2, "live")
    assert await lab.observers() == 3

    await lab.run(5, CUT)
    await lab.badge(0, "offline")
    await lab.badge(2, "offline")
    await lab.page.screenshot(path=shots / "jupyter_offline.png")
    await lab.run(5, "app.faults.release()")
    await lab.badge(0, "live")
    before = await lab.rows.nth(0).inner_text()
    await lab.wait(f"() => document.querySelector('.lunora-rx-rest').textContent !== '{before}'")

    await lab.page.locator(".lunora-rx-history").nth(0).fill("0")
    await lab.wait("() => document.querySelector('.lunora-rx-at').textContent.startsWith('as of ')")
    await lab.page.screenshot(path=shots / "jupyter_past.png")

    await lab.run(5, OBSERVERS)
    for number in (1, 2, 3):
        await lab.run(number, "None")
    await lab.wait("() => document.querySelectorAll('.lunora-rx-badge').length === 1")
    # The browser tells of a closed output when it has taken it away, and the kernel hears of it after the cell.
    counts = [await lab.observers() for _ in range(5)]
    assert counts[-1] == 0, counts
