"""What a user would get instead: our rows against programs made of other libraries.

The peers are in the dependency group ``benchmarks``, which ``tox run -e benchmarks`` installs.
"""

from __future__ import annotations

import json
import time
from typing import Any

import orjson

from benchmarks.frame_server import frame, payload, running
from benchmarks.frames import receive
from benchmarks.measure import Row, interleave
from lunora_rx.protocol import loads


async def small_frames(*, rounds: int, quick: bool) -> Row:
    """Small frames to one observer, against websockets and json."""
    return await _frames("PEER1", "200-byte `data` frames to one observer", 5_000 if quick else 50_000, 0, rounds)


async def large_frames(*, rounds: int, quick: bool) -> Row:
    """Large frames to one observer, against websockets and json."""
    return await _frames("PEER2", "20 KB `data` frames to one observer", 500 if quick else 5_000, 100, rounds)


async def tagged_values(*, rounds: int, quick: bool) -> Row:
    """Rows with a 64-bit integer each, against the codec of the convex client."""
    from convex import json_to_convex

    count = 200 if quick else 2_000
    text = frame("sub_1", 1, payload(100, tagged=True))
    # There a number of JSON is a float, and must look like one.
    rows = [{**row, "_creationTime": 1.7e12, "serial": {"$integer": "AAAAAAAAABA="}} for row in payload(100)]
    theirs_text = orjson.dumps({"type": "data", "data": rows})

    def ours() -> None:
        for _ in range(count):
            loads(text)

    def reference() -> None:
        for _ in range(count):
            json_to_convex(json.loads(theirs_text))

    mine, theirs = await interleave(ours, reference, rounds=rounds)
    work = "a text of 100 rows with one 64-bit integer each, to Python values"
    return Row("PEER3", work, "`json.loads` and `convex.json_to_convex`", mine, theirs, "none")


async def _frames(name: str, work: str, frames: int, rows: int, rounds: int) -> Row:
    with running() as url:
        mine, theirs = await interleave(
            lambda: receive(url, frames, rows), lambda: _plain(url, frames, rows), rounds=rounds
        )
    remark = f"{frames / min(mine) / 1000:.0f} k frames/s"
    return Row(name, work, "`websockets` and `json.loads` in a loop", mine, theirs, "none", remark=remark)


async def _plain(url: str, frames: int, rows: int) -> float:
    from websockets.asyncio.client import connect

    query: dict[str, Any] = {"functionPath": "bench:rows", "args": {"frames": frames, "rows": rows, "tagged": False}}
    address = f"{url.replace('http', 'ws', 1)}/_lunora/ws"
    async with connect(address, max_size=None, compression=None) as socket:
        await socket.send(json.dumps({"type": "subscribe", "id": "sub_1", "query": query}))
        json.loads(await socket.recv())
        start = time.perf_counter()
        for _ in range(frames - 1):
            json.loads(await socket.recv())
        return time.perf_counter() - start
