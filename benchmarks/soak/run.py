"""Runs the work for so many cycles or so long, and samples on the way."""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.soak import server
from benchmarks.soak.samples import Sample, Samples, take
from benchmarks.soak.work import Soak

SAMPLES = 200
_MOST = SAMPLES + 2

# Longer than values are gathered for the read cache: how many wait there is a matter of speed.
_QUIET = 0.3


async def soak(
    *,
    frames: int = 0,
    reconnects: int = 0,
    seconds: float = 0.0,
    tell: Callable[[Sample], None] = lambda sample: None,
) -> list[Sample]:
    """Work until there were so many frames and reconnects, and so many seconds have passed; return the samples.

    Samples are taken about two hundred times, evenly by what is furthest from its end.
    """
    logging.getLogger("lunora_rx").setLevel(logging.CRITICAL)
    directory = Path(tempfile.mkdtemp(prefix="lunora-soak-"))
    samples = Samples(_MOST)
    try:
        with server.running() as url:
            work = Soak(url, directory)
            await work.begin()
            began_at = time.monotonic()
            while True:
                done = min(
                    1.0 if not goal else have / goal
                    for have, goal in (
                        (work.frames, frames),
                        (work.reconnects, reconnects),
                        (time.monotonic() - began_at, seconds),
                    )
                )
                if done * SAMPLES >= len(samples) or done >= 1:
                    await asyncio.sleep(_QUIET)
                    counts = {"cycles": work.cycles, "frames": work.frames, "reconnects": work.reconnects}
                    samples.append(take(began_at, **counts))
                    tell(samples.last)
                if done >= 1:
                    break
                await work.cycle()
            await work.end()
    finally:
        shutil.rmtree(directory)
    return samples.unpacked()
