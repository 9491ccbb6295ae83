"""Takes docs/images/dashboard.png: real readings of this machine on the dashboard, in headless Chromium.

Run it with the extras ``dashboard`` and ``demo`` and with playwright: ``python docs/images/take_dashboard.py``.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from playwright.async_api import async_playwright

from lunora_rx import LunoraClient
from lunora_rx.cli.demo.readings import Feed
from lunora_rx.cli.demo.server import app

PICTURE = Path(__file__).with_name("dashboard.png")
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
SECONDS = 20
CHART = {
    "plugin": "Y Line",
    "group_by": ["_creationTime"],
    "columns": ["cpu", "memory"],
    "aggregates": {"cpu": "avg", "memory": "avg"},
}
# The viewer is inside the shadow roots of the page around it.
RESTORE = "(viewer, config) => viewer.restore(config)"


async def main() -> None:
    """Serve, feed, look."""
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(app.serve())
        client = await stack.enter_async_context(LunoraClient(url))
        feeding = asyncio.create_task(Feed(client).run(until=None))
        stack.callback(feeding.cancel)
        command = [sys.executable, "-m", "lunora_rx.cli", "dashboard", "--url", url, "--no-open"]
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        stack.callback(process.terminate)
        assert process.stdout is not None
        address = (await process.stdout.readline()).decode().strip()
        driver = await stack.enter_async_context(async_playwright())
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = await browser.new_page(viewport={"width": 1360, "height": 840})
        await page.goto(address)
        await show(page)
        await page.screenshot(path=PICTURE)
        await browser.close()


async def show(page: Any) -> None:
    """Watch the readings as a chart, cut its connection, and look at the frames."""
    functions = page.locator("select").first
    await page.locator("option", has_text="readings:recent").wait_for(state="attached")
    await functions.select_option(label="readings:recent")
    await page.get_by_role("button", name="Watch").click()
    viewer = page.locator("perspective-viewer")
    await viewer.wait_for()
    await asyncio.sleep(SECONDS)
    await viewer.evaluate(RESTORE, CHART)
    await functions.select_option(label="demo:cut")
    await page.get_by_label("seconds", exact=True).fill("0.5")
    await page.get_by_role("button", name="Run action").click()
    await page.get_by_text("Frames", exact=True).click()
    await asyncio.sleep(SECONDS / 4)


if __name__ == "__main__":
    asyncio.run(main())
