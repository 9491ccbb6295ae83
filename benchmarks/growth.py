"""What one more costs when there are many already: ``python -m benchmarks.growth [--plot FILE] [--write FILE]``.

Each line is a cost of one against how many there are, so that what is flat is linear in all, and what climbs is not.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.frame_server import frame, payload
from benchmarks.inmemory import opened, wired
from benchmarks.measure import machine, put_between
from benchmarks.p07 import Watched
from benchmarks.p08 import pokes, seed
from benchmarks.p09 import watched_under
from lunora_rx.core.records import QueuedMutation
from lunora_rx.storage import open_directory

Measure = Callable[[int], Awaitable[float]]
REPEATS = 5


async def queries(count: int) -> float:
    """Return the seconds that a live query takes from its subscription to its first value."""
    async with wired() as wire:
        wire.client.live("bench:first").subscribe(_ignore)
        await opened(wire.client)
        start = time.perf_counter()
        for number in range(count):
            wire.client.live("bench:rows", {"number": number}).subscribe(_ignore)
        asked = time.perf_counter() - start
        value = payload(0)
        answered = wire.receive([frame(f"sub_{number + 2}", 1, value) for number in range(count)])
        return (asked + answered) / count


async def observers(count: int) -> float:
    """Return the seconds that a frame takes for each observer of its query."""
    async with wired() as wire:
        live = wire.client.live("bench:rows")
        for _ in range(count):
            live.subscribe(_ignore)
        await opened(wire.client)
        return wire.receive([frame("sub_1", cursor, payload(0)) for cursor in range(1, 11)]) / 10 / count


async def shards(count: int) -> float:
    """Return the seconds that a shard takes to open its socket and subscribe."""
    async with wired() as wire:
        start = time.perf_counter()
        for number in range(count):
            wire.client.live("bench:rows", shard=f"shard-{number}").subscribe(_ignore)
        await opened(wire.client)
        return (time.perf_counter() - start) / count


async def rows(count: int) -> float:
    """Return the seconds that a changed row takes for each row of the list: the list is copied."""
    watched = Watched(count)
    changed = [watched.delta("update", row) for row in watched.rows[:: max(1, count // 20)][:20]]
    return watched.receive(changed) / len(changed) / count


async def layers(count: int) -> float:
    """Return the seconds that a frame takes for each optimistic layer over its query."""
    core, subscription_id = watched_under(count)
    start = time.perf_counter()
    core.receive_text("", frame(subscription_id, 1, payload(1)), 0.0)
    return (time.perf_counter() - start) / count


async def queued(count: int) -> float:
    """Return the seconds that a write waiting on the disk takes to be kept and, at the next start, read."""
    with tempfile.TemporaryDirectory(prefix="lunora-growth-") as directory:
        storage = open_directory(directory)
        start = time.perf_counter()
        with storage.queue.group():  # type: ignore[attr-defined]
            for number in range(count):
                storage.queue.append(QueuedMutation(f"m{number}", "rows:add", {"n": number}, "client-1", identity=None))
        storage.close()
        storage = open_directory(directory)
        assert len(storage.queue.load()) == count
        taken = time.perf_counter() - start
        storage.close()
        return taken / count


async def shapes(count: int) -> float:
    """Return the seconds that a poke of one shape takes, whatever others are open."""
    async with wired() as wire:
        for number in range(count):
            wire.client.shape("rows", {"number": number}).changes.subscribe(_ignore)
        await opened(wire.client)
        wire.receive(seed(100))
        return wire.receive(pokes(50)) / 50


AXES: Mapping[str, tuple[Measure, Sequence[int]]] = {
    "live queries, to the first value": (queries, (100, 1_000, 10_000, 30_000)),
    "observers of one query, a frame": (observers, (100, 1_000, 10_000, 30_000)),
    "shards, to be subscribed": (shards, (10, 100, 1_000, 3_000)),
    "rows of a list, one of them changed": (rows, (100, 1_000, 10_000, 100_000)),
    "optimistic layers, a frame": (layers, (10, 100, 1_000, 3_000)),
    "queued writes, kept and read": (queued, (100, 1_000, 10_000, 100_000)),
    "open shapes, a poke of one": (shapes, (10, 100, 1_000, 10_000)),
}


async def curve(measure: Measure, sizes: Sequence[int]) -> list[float]:
    """Return the median cost of one at each size, in microseconds."""
    costs = []
    for size in sizes:
        taken = [await measure(size) for _ in range(REPEATS if size < 30_000 else 1)]
        costs.append(statistics.median(taken) * 1e6)
    return costs


def main() -> int:
    """Measure, print a table, and draw it if asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the curves there, as SVG (needs matplotlib)")
    parser.add_argument("--quick", action="store_true", help="leave the largest size out")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the table between the markers of this file")
    options = parser.parse_args()
    curves: dict[str, tuple[Sequence[int], list[float]]] = {}
    lines = [f"{machine()}\n", "| Of | Cost of one, at each number |", "|---|---|"]
    for name, (measure, all_sizes) in AXES.items():
        sizes = all_sizes[:-1] if options.quick else all_sizes
        curves[name] = sizes, asyncio.run(curve(measure, sizes))
        told = ", ".join(f"{size:,}: {cost:.3g} us" for size, cost in zip(*curves[name], strict=True))
        lines.append(f"| {name} | {told} |")
    print(*lines, sep="\n")
    if options.write:
        put_between(options.write, "<!-- growth -->\n", "<!-- end of growth -->", lines)
    if options.plot:
        _plot(curves, options.plot)
    return 0


def _plot(curves: Mapping[str, tuple[Sequence[int], list[float]]], path: Path) -> None:
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "growth", "font.size": 8})
    figure, axes = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    for name, (sizes, costs) in curves.items():
        axes.loglog(sizes, [cost / costs[0] for cost in costs], marker="o", markersize=3, label=name)
    axes.set(xlabel="how many", ylabel="cost of one, over that at the first point", ylim=(0.01, 100))
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left", frameon=False)
    figure.savefig(path, format="svg", metadata={"Date": None})


def _ignore(value: Any) -> None:
    """Watch."""


if __name__ == "__main__":
    sys.exit(main())
