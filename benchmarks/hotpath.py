"""Where the time of a small frame goes, from its bytes to its observer: ``python -m benchmarks.hotpath``.

The table has what each part of the package takes by the profiler, which makes calls dearer than they are, and how often
Python is called in it. ``--instructions`` counts those of the processor, too, under valgrind, where there is no noise:
those of twice as many frames less those of as many, so that start and end are left out. ``--write docs/benchmarks.md``
puts all of it there.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import gc
import pstats
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import orjson

from benchmarks.frame_server import frame, payload
from benchmarks.inmemory import Wire, opened, wired
from benchmarks.measure import machine, put_between

FRAMES = 20_000
COUNTED = 4_000  # under valgrind, which is fifty times as slow
PARTS = {
    "lunora_rx/protocol": "`protocol/`: search for tags, frame",
    "lunora_rx/core": "`core/`: positions, value, layers, event",
    "lunora_rx/driver": "`driver.py`: events to their subjects",
    "lunora_rx/rx": "`rx/`: snapshot, observers' guards and contexts",
    "orjson": "`orjson.loads`",
}
OTHERS = "built-in functions and the rest"
WORKS = {"ours": "a frame to its observer", "orjson": "`orjson.loads` of it"}


def main() -> None:
    """Print or write the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hotpath", description=__doc__)
    parser.add_argument("--instructions", action="store_true", help="count instructions too, under valgrind")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the tables between the markers of this file")
    parser.add_argument("--work", choices=WORKS, help=argparse.SUPPRESS)  # what runs under valgrind
    parser.add_argument("--frames", type=int, default=FRAMES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        asyncio.run(_work(options.work, options.frames))
        return
    lines = [f"{machine()}\n", *asyncio.run(_profile(options.frames))]
    if options.instructions:
        lines += ["", *_instructions()]
    print(*lines, sep="\n")
    if options.write:
        put_between(options.write, "<!-- hot path -->\n", "<!-- end of hot path -->", lines)


async def _profile(count: int) -> list[str]:
    async with wired() as wire:
        texts = await _watched(wire, 7 * count)
        rounds = [(wire.receive(texts[at : at + count]), _parse(texts[:count])) for at in range(0, 6 * count, count)]
        profile = cProfile.Profile()
        profile.enable()
        wire.receive(texts[-count:])
        profile.disable()
    ours, parse = (min(times) / count * 1e6 for times in zip(*rounds, strict=True))
    seconds, calls = _shares(profile)
    whole = sum(seconds.values())
    rows = [(part, seconds[part] / whole, calls[part] / count) for part in (*PARTS.values(), OTHERS)]
    return [
        f"Unprofiled, {ours:.2f} us a frame, of which `orjson.loads` takes {parse:.2f} us. By the profiler:",
        "",
        "| Part | Share of the time | Calls a frame |",
        "|---|---|---|",
        *(f"| {part} | {share:.0%} | {each:.0f} |" for part, share, each in rows),
    ]


def _shares(profile: cProfile.Profile) -> tuple[dict[str, float], dict[str, float]]:
    seconds: dict[str, float] = defaultdict(float)
    calls: dict[str, float] = defaultdict(float)
    for (file, _, function), (_, count, own, _, _) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        part = next((words for key, words in PARTS.items() if key in (file if file != "~" else function)), OTHERS)
        seconds[part] += own
        calls[part] += count
    return seconds, calls


def _instructions() -> list[str]:
    if shutil.which("valgrind") is None:
        return ["Instructions were not counted: there is no valgrind."]
    ours, parse = (_counted(work) for work in WORKS)
    return [f"Instructions a frame: {ours:,.0f}, of which `orjson.loads` takes {parse:,.0f}."]


def _counted(work: str) -> float:
    _run_counted(work, 1)  # what is imported is compiled at the first time
    once, twice = (_run_counted(work, COUNTED * times) for times in (1, 2))
    return (twice - once) / COUNTED


def _run_counted(work: str, frames: int) -> int:
    with tempfile.NamedTemporaryFile() as out:
        valgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out.name}", "--quiet"]
        command = [sys.executable, "-m", "benchmarks.hotpath", "--work", work, "--frames", str(frames)]
        subprocess.run([*valgrind, *command], check=True, env={"PYTHONHASHSEED": "0", "PATH": "/usr/bin:/bin"})
        totals = [line for line in Path(out.name).read_text(encoding="utf-8").splitlines() if line[:6] == "totals"]
    return int(totals[-1].split()[1])


async def _work(work: str, frames: int) -> None:
    gc.disable()
    async with wired() as wire:
        texts = await _watched(wire, 2 * COUNTED)
        receive: Callable[[list[bytes]], float] = wire.receive if work == "ours" else _parse
        receive(texts[:frames])


async def _watched(wire: Wire, count: int) -> list[bytes]:
    """Let one observer watch a live query; return so many frames for it."""
    wire.client.live("bench:rows").subscribe(_observe)
    await opened(wire.client)
    return [frame("sub_1", cursor, payload(0)) for cursor in range(1, count + 1)]


def _parse(frames: list[bytes]) -> float:
    start = time.perf_counter()
    for each in frames:
        orjson.loads(each)
    return time.perf_counter() - start


def _observe(value: object) -> None:
    """Look at a value."""


if __name__ == "__main__":
    main()
