"""P6: many live queries on one socket."""

import asyncio
import gc
import time
import tracemalloc

import orjson

from benchmarks.frame_server import frame, payload, running
from benchmarks.measure import Row, interleave
from lunora_rx import LunoraClient

QUERIES = 10_000


async def measure(*, rounds: int, quick: bool) -> Row:
    """Measure the row."""
    count = 2_000 if quick else QUERIES
    with running() as url:

        async def half() -> float:
            return 2 * await _answered(url, count // 2)

        mine, theirs = await interleave(lambda: _answered(url, count), half, rounds=min(rounds, 3))
        bytes_each = await _bytes_each(url, count)
    remark = f"**{bytes_each / 1024:.1f} KB** each beyond their values; all answered after {min(mine):.2f} s"
    return Row(
        "P6",
        f"{count:,} live queries on one socket, until all are answered",
        "half of them, twice",
        mine,
        theirs,
        "<= 4 KB each; nothing quadratic",
        is_speed=False,
        remark=remark,
        extra={"bytes_each": round(bytes_each)},
    )


async def _answered(url: str, count: int) -> float:
    async with LunoraClient(url) as client:
        start = time.perf_counter()
        await _ask(client, count)
        return time.perf_counter() - start


async def _ask(client: LunoraClient, count: int) -> list[object]:
    done = asyncio.get_running_loop().create_future()
    left = count

    def on_next(value: object) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            done.set_result(None)

    handles: list[object] = [
        client.live("bench:rows", {"frames": 1, "rows": 0, "tagged": False, "number": number}).subscribe(on_next)
        for number in range(count)
    ]
    await done
    return handles


async def _bytes_each(url: str, count: int) -> float:
    async with LunoraClient(url) as client:
        await _ask(client, 10)
        gc.collect()
        tracemalloc.start()
        try:
            handles = await _ask(client, count)
            gc.collect()
            ours = tracemalloc.get_traced_memory()[0]
            texts = frame("sub_1", 1, payload(0))
            values = [orjson.loads(texts)["data"] for _ in handles]
            gc.collect()
            total = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
        return (ours - (total - ours)) / len(values)
