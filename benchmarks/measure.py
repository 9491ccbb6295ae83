"""Interleaved rounds, medians and spread."""

from __future__ import annotations

import asyncio
import gc
import inspect
import json
import platform
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Work = Callable[[], Any | Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: seconds a round of ours and of the reference, and what the ratio should be."""

    name: str
    work: str
    reference: str
    ours: list[float]
    theirs: list[float]
    target: str
    is_speed: bool = True
    remark: str = ""
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def ratios(self) -> list[float]:
        """Our speed over the reference's, or our cost over its cost, round by round."""
        pairs = zip(self.ours, self.theirs, strict=True)
        return [theirs / ours if self.is_speed else ours / theirs for ours, theirs in pairs]

    @property
    def ratio(self) -> float:
        """The median ratio."""
        return statistics.median(self.ratios)

    def as_json(self) -> dict[str, Any]:
        """The row as plain values."""
        return {
            "row": self.name,
            "work": self.work,
            "reference": self.reference,
            "target": self.target,
            "ratio": round(self.ratio, 3),
            "ratios": [round(each, 3) for each in self.ratios],
            "ours_s": self.ours,
            "reference_s": self.theirs,
            "remark": self.remark,
            **self.extra,
        }

    def as_markdown(self) -> str:
        """The row of the table."""
        low, high = min(self.ratios), max(self.ratios)
        unit = "speed" if self.is_speed else "cost"
        return (
            f"| {self.name} | {self.work} | {self.reference} | {self.target} |"
            f" **{self.ratio:.2f}** ({unit}; {low:.2f} to {high:.2f}) | {self.remark} |"
        )


async def interleave(ours: Work, reference: Work, *, rounds: int) -> tuple[list[float], list[float]]:
    """Time two programs in turn, after one uncounted round of each."""
    mine: list[float] = []
    theirs: list[float] = []
    for number in range(rounds + 1):
        first, second = ((ours, mine), (reference, theirs))[:: 1 if number % 2 else -1]
        for work, times in (first, second):
            times.append(await _time(work))
    return mine[1:], theirs[1:]


def machine() -> str:
    """Name the machine, the Python and the libraries in one line."""
    import importlib.metadata as metadata
    import os

    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("aiohttp", "orjson", "reactivex"))
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{_processor()}, {os.cpu_count()} cores, {platform.system()}; {python}, {versions}"


def print_json(rows: list[Row]) -> None:
    """Print the rows as JSON, the machine first."""
    json.dump({"machine": machine(), "rows": [row.as_json() for row in rows]}, sys.stdout, indent=2)
    print()


def put_between(path: Path, begin: str, end: str, lines: Sequence[str]) -> None:
    """Put lines between the markers of a file, in place of what stands there."""
    before, begin, rest = path.read_text(encoding="utf-8").partition(begin)
    _, end, after = rest.partition(end)
    text = "\n".join(lines)
    path.write_text(f"{before}{begin}{text}\n{end}{after}", encoding="utf-8")


async def _time(work: Work) -> float:
    gc.collect()
    start = time.perf_counter()
    result = work()
    if inspect.isawaitable(result):
        result = await result
    # A program that waits for others says itself how long its own part took.
    return result if isinstance(result, float) else time.perf_counter() - start


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.machine()


def run(coroutine: Awaitable[Row]) -> Row:
    """Run one row's measurement."""

    async def main() -> Row:
        return await coroutine

    return asyncio.run(main())
