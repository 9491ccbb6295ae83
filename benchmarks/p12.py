"""P12: many queries at once."""

import asyncio
import time

from benchmarks.frame_server import running
from benchmarks.measure import Row, interleave
from lunora_rx import LunoraClient

QUERIES = 100
SECONDS = 0.2


async def measure(*, rounds: int, quick: bool) -> Row:
    """Measure the row."""
    slowest: list[float] = []
    with running() as url:

        async def ours() -> float:
            took: list[float] = []
            async with LunoraClient(url) as client:
                start = time.perf_counter()
                await asyncio.gather(*(one(client, took) for _ in range(QUERIES)))
                elapsed = time.perf_counter() - start
            slowest.append(max(took))
            return elapsed

        async def one(client: LunoraClient, took: list[float]) -> None:
            start = time.perf_counter()
            await client.query("bench:sleep", {"seconds": SECONDS})
            took.append(time.perf_counter() - start)

        mine, theirs = await interleave(ours, lambda: asyncio.sleep(SECONDS), rounds=rounds)
    work = f"{QUERIES} concurrent queries of {SECONDS * 1000:.0f} ms, all of them"
    remark = f"the slowest single one took {max(slowest):.3f} s"
    return Row("P12", work, "one such wait", mine, theirs, "<= 1.5", is_speed=False, remark=remark)
