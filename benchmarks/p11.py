"""P11: the replay of many queued writes."""

import asyncio
import shutil
import statistics
import tempfile
import time
import uuid
from pathlib import Path

import aiohttp
import orjson

from benchmarks import app_server, frame_server
from benchmarks.measure import Row, interleave
from lunora_rx import LunoraClient
from lunora_rx.protocol.endpoints import BATCH_PATH
from lunora_rx.protocol.rpc import RpcCall, encode_batch
from lunora_rx.rx.mutations import ReplayProgress

ENTRIES = 500


async def measure(*, rounds: int, quick: bool) -> Row:
    """Measure the row."""
    count = 1_000 if quick else 10_000
    directory = Path(tempfile.mkdtemp(prefix="lunora-p11-"))
    try:
        with app_server.running() as url:
            mine, theirs = await _compare(url, directory, count, rounds)
        with frame_server.running() as url:
            idle, idle_theirs = await _compare(url, directory, count, rounds)
    finally:
        shutil.rmtree(directory)
    ratio = statistics.median(theirs / ours for ours, theirs in zip(idle, idle_theirs, strict=True))
    rate, idle_rate = count / statistics.median(mine), count / statistics.median(idle)
    return Row(
        "P11",
        f"replay of {count:,} queued writes from the disk to the embedded server",
        "the same batches posted by bare aiohttp",
        mine,
        theirs,
        ">= 0.7",
        remark=f"{rate:,.0f} writes/s; to a server that does nothing **{ratio:.2f}**, {idle_rate:,.0f} writes/s",
        extra={"to_an_idle_server": round(ratio, 3)},
    )


async def _compare(url: str, directory: Path, count: int, rounds: int) -> tuple[list[float], list[float]]:
    async def ours() -> float:
        storage = directory / uuid.uuid4().hex
        await _compose(storage, count)
        return await _replay(url, storage, count)

    return await interleave(ours, lambda: _post(url, count), rounds=rounds)


async def _compose(directory: Path, count: int) -> None:
    """Leave writes behind, as a client does that never reached its server."""
    async with LunoraClient("http://127.0.0.1:9", storage=directory, queue_limit=count) as client:
        writes = [client.mutation("readings:add", _args(number)) for number in range(count)]
        while writes[-1].phases.latest != "queued":
            await asyncio.sleep(0.01)


async def _replay(url: str, storage: Path, count: int) -> float:
    """Return the time from the opened socket to the last verdict."""
    async with LunoraClient(url, storage=storage, queue_limit=count) as client:
        done = asyncio.get_running_loop().create_future()
        began: list[float] = []
        client.replay.subscribe(lambda progress: _follow(progress, began, done))
        await done
        return time.perf_counter() - began[0]


def _follow(progress: ReplayProgress, began: list[float], done: "asyncio.Future[None]") -> None:
    if progress.is_running and not began:
        began.append(time.perf_counter())
    if progress.total and not progress.is_running and not done.done():
        done.set_result(None)


async def _post(url: str, count: int) -> float:
    run = uuid.uuid4().hex
    bodies = [
        encode_batch([_call(run, number) for number in range(first, min(first + ENTRIES, count))])
        for first in range(0, count, ENTRIES)
    ]
    async with aiohttp.ClientSession() as session:
        start = time.perf_counter()
        for body in bodies:
            async with session.post(url + BATCH_PATH, data=body, headers={"content-type": "application/json"}) as reply:
                orjson.loads(await reply.read())
        return time.perf_counter() - start


def _call(run: str, number: int) -> RpcCall:
    return RpcCall("readings:add", _args(number), "", mutation_id=f"{run}-{number}", client_id="client-1")


def _args(number: int) -> dict[str, object]:
    return {"sensor": "kitchen", "value": 21.5, "note": "x" * 150, "number": number}
