"""``python -m benchmarks.soak [--hours H | --frames N --reconnects N] [--json FILE] [--plot FILE]``."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path

from benchmarks.measure import machine
from benchmarks.soak.plot import plot
from benchmarks.soak.run import soak
from benchmarks.soak.samples import Sample, grown, growth


def main() -> int:
    """Soak, print what was counted, and return 1 if anything has grown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--hours", type=float, default=0.0, help="go on for so long")
    parser.add_argument("--frames", type=int, default=0, help="go on until so many frames were received")
    parser.add_argument("--reconnects", type=int, default=0, help="go on until so many sockets were opened again")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the samples there")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw them there, as SVG (needs matplotlib)")
    options = parser.parse_args()
    if not (options.hours or options.frames or options.reconnects):
        options.frames, options.reconnects = 1_000_000, 10_000
    samples = asyncio.run(
        soak(frames=options.frames, reconnects=options.reconnects, seconds=options.hours * 3600, tell=_tell)
    )
    if options.json:
        options.json.write_text(json.dumps({"machine": machine(), "samples": [each.as_json() for each in samples]}))
    if options.plot:
        plot(samples, options.plot)
    for name, (start, end) in growth(samples).items():
        print(f"{name:10} {start:15,.0f} {end:15,.0f}")
    found = grown(samples)
    print("\n".join(f"grown: {each}" for each in found) or "nothing has grown")
    return int(bool(found))


def _tell(sample: Sample) -> None:
    print(
        f"{sample.seconds:8.0f} s {sample.frames:9,} frames {sample.reconnects:7,} reconnects"
        f" {sample.rss / 2**20:7.1f} MiB {sample.blocks:8,} blocks {sample.objects:8,} objects {sample.tasks:3} tasks"
        f" {sample.timers:3} timers {sample.handles:3} handles {sample.threads:2} threads",
        file=sys.stderr,
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
