"""What a process holds at a moment, and whether a run of such moments grows."""

from __future__ import annotations

import asyncio
import gc
import os
import statistics
import sys
import threading
import time
from array import array
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Sample:
    """What the process holds after a collection.

    Attributes:
        seconds: Since the run began.
        cycles: Turns of the work done.
        frames: Frames received.
        reconnects: Sockets opened after the first.
        rss: Resident bytes.
        blocks: Blocks of memory that Python has handed out.
        objects: Objects that the collector knows.
        tasks: Tasks of the loop that are not done.
        timers: Timers of the loop that were not cancelled.
        cancelled_timers: Those that were, and are in the loop's heap still.
        handles: File descriptors of the process.
        threads: Threads of the process.
    """

    seconds: float
    cycles: int
    frames: int
    reconnects: int
    rss: int
    blocks: int
    objects: int
    tasks: int
    timers: int
    cancelled_timers: int
    handles: int
    threads: int

    def as_json(self) -> dict[str, Any]:
        """The sample as plain values."""
        return asdict(self)


class Samples:
    """Samples, packed into room that was taken beforehand: what counts must not grow by what it has counted.

    Args:
        capacity: How many there may be.
    """

    def __init__(self, capacity: int) -> None:
        self._width = len(fields(Sample))
        self._values = array("d", bytes(8 * self._width * capacity))
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, sample: Sample) -> None:
        """Add one."""
        for place, each in enumerate(fields(Sample), self._count * self._width):
            self._values[place] = getattr(sample, each.name)
        self._count += 1

    @property
    def last(self) -> Sample:
        """The latest one."""
        return self._sample(self._count - 1)

    def unpacked(self) -> list[Sample]:
        """Return all of them."""
        return [self._sample(number) for number in range(self._count)]

    def _sample(self, number: int) -> Sample:
        seconds, *counts = self._values[number * self._width : (number + 1) * self._width]
        return Sample(seconds, *map(int, counts))


COUNTS = ("tasks", "timers", "handles", "threads")
"""What must stand at the end where it stood at the start."""

SIZES = ("rss", "blocks", "objects")
"""What may move, and must not climb."""


def take(began_at: float, *, cycles: int, frames: int, reconnects: int) -> Sample:
    """Collect, and count."""
    gc.collect()
    timers = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
    cancelled = sum(each.cancelled() for each in timers)
    return Sample(
        seconds=round(time.monotonic() - began_at, 3),
        cycles=cycles,
        frames=frames,
        reconnects=reconnects,
        rss=int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE,
        blocks=sys.getallocatedblocks(),
        objects=len(gc.get_objects()),
        tasks=len(asyncio.all_tasks()),
        timers=len(timers) - cancelled,
        cancelled_timers=cancelled,
        handles=len(os.listdir("/proc/self/fd")),
        threads=threading.active_count(),
    )


def growth(samples: Sequence[Sample]) -> dict[str, tuple[float, float]]:
    """Return each count at the start, after the first tenth, and at the end: in a quarter each.

    Of sizes it is the median, and of counts the least: pooled connections come and go, and one that is never closed
    raises the least there is.
    """
    settled = samples[len(samples) // 10 :]
    quarter = max(1, len(settled) // 4)
    names = [each.name for each in fields(Sample) if each.name in (*COUNTS, *SIZES)]
    return {
        name: tuple(
            (min if name in COUNTS else statistics.median)(getattr(each, name) for each in part)
            for part in (settled[:quarter], settled[-quarter:])
        )
        for name in names
    }


def grown(samples: Sequence[Sample], *, tolerance: float = 0.02) -> list[str]:
    """Return what has grown: any of the counts, or a size by more than a fiftieth."""
    found = []
    for name, (start, end) in growth(samples).items():
        allowed = start if name in COUNTS else start * (1 + tolerance)
        if end > allowed:
            found.append(f"{name}: {start:,.0f} at the start, {end:,.0f} at the end")
    return found
