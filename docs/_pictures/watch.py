"""Makes ``docs/watch.svg`` again: ``python docs/_pictures/watch.py``. It needs the extra ``cli``."""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path
from typing import Any

from lunora_rx import LunoraClient
from lunora_rx.cli.watch.screen import View, WatchApp
from lunora_rx.cli.watch.table import Order
from lunora_rx.devserver import App

ROOMS = ("attic", "cellar", "kitchen", "study")
SIZE = (104, 24)
app = App()


@app.query("sensors:list")
def sensors(ctx: Any) -> list[dict[str, Any]]:
    """All sensors."""
    return ctx.db.table("sensors").collect()


@app.mutation("sensors:fill")
def fill(ctx: Any, count: int) -> None:
    """Put sensors up."""
    for n in range(count):
        celsius = round(random.gauss(19, 3), 2)
        ctx.db.insert("sensors", sensor=f"sensor {n:04}", room=ROOMS[n % 4], celsius=celsius, battery=n * 7 % 101)


@app.mutation("sensors:measure")
def measure(ctx: Any, count: int) -> None:
    """Let some of them measure."""
    for row in random.sample(ctx.db.table("sensors").collect(), count):
        ctx.db.update("sensors", row["_id"], celsius=round(row["celsius"] + random.gauss(0, 0.3), 2))


async def draw() -> str:
    """Watch until changes are marked, and return what the screen shows."""
    view = View("sensors:list  at http://127.0.0.1:8787", Order("celsius", is_descending=True), "room=attic", "celsius")
    async with app.serve() as url, LunoraClient(url) as client:
        await client.mutation("sensors:fill", {"count": 1200})
        watch = WatchApp(client, client.live("sensors:list"), view)
        async with watch.run_test(size=SIZE) as pilot:
            while not watch.table.keys:
                await pilot.pause(0.05)
            for _ in range(20):
                await client.mutation("sensors:measure", {"count": 40})
                await pilot.pause(0.1)
            return watch.export_screenshot(title="lunora-rx watch sensors:list")


if __name__ == "__main__":
    random.seed(4)
    path = Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parents[1] / "watch.svg"
    path.write_text(asyncio.run(draw()), encoding="utf-8")
