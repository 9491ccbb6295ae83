"""A live chart of numbers: ten thousand rows on the server, of which each change costs the same few steps.

Run it with ``python examples/chart.py``, or longer with ``--seconds 30``.
"""

import argparse
import asyncio
import random
import sys

from lunora_rx import LunoraClient, api
from lunora_rx.devserver import App

ROWS, BINS, WIDTH = 10_000, 12, 50
app = App()


# A shape is rows that the client keeps in step: it is told of each row that changes, and of no other.
@app.shape("sensors:all")
def sensors(ctx):
    return ctx.db.table("sensors")


@app.query("sensors:count")
def count(ctx):
    """Count the same as the chart does, the long way."""
    temperatures = [bin_of(row) for row in ctx.db.table("sensors").collect()]
    return [temperatures.count(each) for each in range(BINS)]


@app.mutation("sensors:install")
def install(ctx, count: int):
    return [ctx.db.insert("sensors", celsius=random.gauss(15, 4)) for _ in range(count)]


@app.mutation("sensors:report")
def report(ctx, readings: dict[str, float]):
    for row_id, celsius in readings.items():
        ctx.db.update("sensors", row_id, celsius=celsius)


class Histogram:
    """How many sensors are how warm. It holds the counts and no rows."""

    def __init__(self):
        self.counts = [0] * BINS
        self.changes = 0

    def apply(self, changes):
        if changes.is_reset:
            self.counts = [0] * BINS
        for change in changes.ops:
            # An update says what the row was and what it is: one bar shrinks, another one grows.
            if change.op != "insert":
                self.counts[bin_of(change.old_row)] -= 1
            if change.op != "delete":
                self.counts[bin_of(change.row)] += 1
        self.changes += len(changes.ops)

    def draw(self):
        most = max(1, *self.counts)
        for each, count in enumerate(self.counts):
            print(f"{each * 3:3} °C {bar(count / most):{WIDTH}} {count:6,}")


def bin_of(row):
    return min(BINS - 1, max(0, int(row["celsius"] // 3)))


def bar(share):
    full, eighths = divmod(round(share * WIDTH * 8), 8)
    return "█" * full + ("", *"▏▎▍▌▋▊▉")[eighths]


async def get_warmer(client, ids, seconds):
    """Let fifty sensors report at a time."""
    clock = asyncio.get_running_loop().time
    start = clock()
    while (passed := clock() - start) < seconds:
        mean = 15 + 9 * passed / seconds
        readings = {row_id: random.gauss(mean, 4) for row_id in random.sample(ids, 50)}
        await client.mutation(api.sensors.report, {"readings": readings})
        await asyncio.sleep(0.02)


async def animate(histogram):
    """Draw ten pictures a second, where there is a terminal to see them."""
    while sys.stdout.isatty():
        histogram.draw()
        print(f"\x1b[{BINS}A", end="", flush=True)  # back up: the next picture covers this one
        await asyncio.sleep(0.1)


async def main(seconds):
    async with app.serve() as url, LunoraClient(url) as client:
        ids = await client.mutation(api.sensors.install, {"count": ROWS})
        shape, histogram = client.shape(api.sensors.all), Histogram()
        shape.changes.subscribe(histogram.apply)
        animation = asyncio.create_task(animate(histogram))
        await get_warmer(client, ids, seconds)
        animation.cancel()
        counted = await client.query(api.sensors.count)
        async with asyncio.timeout(5):  # the last change may still be on its way
            await shape.first(lambda rows: histogram.counts == counted)
        histogram.draw()
        print(f"\n{len(shape.rows):,} rows, {histogram.changes:,} changes, a step or two for each;", end=" ")
        print("the server counted all rows, and has the same chart.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3.0)
    asyncio.run(main(parser.parse_args().seconds))
