"""Frames from a loopback server to one observer, against a bare loop over the same socket."""

from __future__ import annotations

import asyncio
import time

import aiohttp
import orjson

from benchmarks.frame_server import frame, payload, running
from benchmarks.measure import Row, interleave
from lunora_rx import LunoraClient


async def compare(name: str, work: str, target: str, *, frames: int, rows: int, rounds: int) -> Row:
    """Compare the client with a bare loop on bursts of frames."""
    with running() as url:
        mine, theirs = await interleave(
            lambda: receive(url, frames, rows), lambda: _bare(url, frames, rows), rounds=rounds
        )
    size = len(frame("sub_1", frames, payload(rows)))
    rate = frames / sorted(mine)[len(mine) // 2]
    remark = f"{size} bytes a frame, {rate / 1000:.0f} k frames/s"
    return Row(name, work, "`ws.receive()` and `orjson.loads`", mine, theirs, target, remark=remark)


async def receive(url: str, frames: int, rows: int) -> float:
    """Return the seconds that a client takes from the first value of a burst to its last."""
    done = asyncio.get_running_loop().create_future()
    left = frames
    start = 0.0

    def on_next(value: object) -> None:
        nonlocal left, start
        if left == frames:
            start = time.perf_counter()
        left -= 1
        if left == 0:
            done.set_result(time.perf_counter() - start)

    async with LunoraClient(url) as client:
        client.live("bench:rows", {"frames": frames, "rows": rows, "tagged": False}).subscribe(on_next)
        elapsed: float = await done
    return elapsed


async def _bare(url: str, frames: int, rows: int) -> float:
    query = {"functionPath": "bench:rows", "args": {"frames": frames, "rows": rows, "tagged": False}}
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{url}/_lunora/ws", max_msg_size=0) as socket:
        await socket.send_str(orjson.dumps({"type": "subscribe", "id": "sub_1", "query": query}).decode())
        orjson.loads((await socket.receive()).data)
        start = time.perf_counter()
        for _ in range(frames - 1):
            orjson.loads((await socket.receive()).data)
        return time.perf_counter() - start
