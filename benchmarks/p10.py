"""P10: a durable enqueue, one at a time and a thousand at once."""

import asyncio
import itertools
import os
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.measure import Row, interleave
from lunora_rx.core.records import QueuedMutation
from lunora_rx.protocol.text import serialize
from lunora_rx.storage import StorageWorker, open_directory
from lunora_rx.storage.bytes_disk import FULL, ByteCache
from lunora_rx.storage.disk_store import DiskQueue

_ids = itertools.count()
_SETTLING = 3.0  # seconds after which a directory is known not to have changed


async def measure(*, rounds: int, quick: bool) -> Row:
    """Measure the row."""
    directory = Path(tempfile.mkdtemp(prefix="lunora-p10-"))
    loop = asyncio.get_running_loop()
    worker = StorageWorker(open_directory(directory / "ours"), deliver=loop.call_soon_threadsafe)
    raw = _open_raw(directory / "raw.db")
    count = 200 if quick else 1_000

    async def singly() -> None:
        for _ in range(count):
            await _enqueue(worker, 1)

    async def together() -> None:
        await _enqueue(worker, count)

    def reference() -> None:
        for _ in range(count):
            raw.execute("INSERT INTO queue(record) VALUES (?)", (serialize(_args()),))

    try:
        await _enqueue(worker, 1)
        await asyncio.sleep(_SETTLING)
        mine, theirs = await interleave(_emptied(worker, singly), reference, rounds=rounds)
        grouped, theirs_again = await interleave(_emptied(worker, together), reference, rounds=rounds)
        parts = {"fsync": _fsync_time(directory), "hop": await _hop_time(worker), **_parts(directory, count)}
        row = _row(mine, theirs, grouped, theirs_again, parts=parts, count=count)
    finally:
        await asyncio.to_thread(worker.close)
        raw.close()
        shutil.rmtree(directory)
    return row


def _row(
    mine: list[float],
    theirs: list[float],
    grouped: list[float],
    theirs_again: list[float],
    *,
    parts: dict[str, float],
    count: int,
) -> Row:
    group = statistics.median(reference / ours for ours, reference in zip(grouped, theirs_again, strict=True))
    micros = {name: f"{seconds * 1e6:.0f} us" for name, seconds in parts.items()}
    raw = f"raw {statistics.median(theirs) / count * 1e6:.0f} us, of which fsync {micros['fsync']}"
    steps = (
        f"into diskcache's table {micros['table']}, with our record {micros['append']}, thread and back {micros['hop']}"
    )
    remark = f"{count} at once: **{group:.1f}**; {raw}; {steps}"
    return Row(
        "P10",
        "a durable enqueue through the worker",
        "raw `sqlite3`, WAL, FULL, one insert a transaction",
        mine,
        theirs,
        ">= 0.7; at once >= 4",
        remark=remark,
        extra={"at_once": round(group, 2), "at_once_s": grouped, "parts_s": parts},
    )


async def _enqueue(worker: StorageWorker, count: int) -> None:
    done = asyncio.get_running_loop().create_future()
    left = count

    def on_done(_: object, error: Exception | None) -> None:
        nonlocal left
        left -= 1
        if error is not None:
            done.set_exception(error)
        elif left == 0:
            done.set_result(None)

    for _ in range(count):
        record = _record()
        worker.submit_write(lambda record=record: worker.queue.append(record), on_done)
    await done


def _emptied(worker: StorageWorker, work: Callable[[], Any]) -> Callable[[], Any]:
    """Time the work alone, and empty the queue behind it."""

    async def run() -> float:
        start = time.perf_counter()
        await work()
        took = time.perf_counter() - start
        loop = asyncio.get_running_loop()
        cleared = loop.create_future()
        worker.submit_write(worker.queue.clear, lambda _, error: cleared.set_result(error))
        assert await cleared is None
        return took

    return run


def _record() -> QueuedMutation:
    return QueuedMutation(f"mutation-{next(_ids)}", "readings:add", _args(), "client-1", identity=None)


def _args() -> dict[str, Any]:
    return {"sensor": "kitchen", "value": 21.5, "note": "x" * 150, "number": next(_ids)}


def _open_raw(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=wal")
    connection.execute("PRAGMA synchronous=full")
    connection.execute("CREATE TABLE queue (number INTEGER PRIMARY KEY, record BLOB)")
    return connection


async def _hop_time(worker: StorageWorker) -> float:
    """How long an operation takes that does nothing."""
    loop, times = asyncio.get_running_loop(), []
    for _ in range(200):
        done = loop.create_future()
        start = time.perf_counter()
        worker.submit(int, lambda _, error, done=done: done.set_result(error))
        await done
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _parts(directory: Path, count: int) -> dict[str, float]:
    """How long a write takes that this thread commits: as a row of diskcache alone, and as a record of ours."""
    cache = ByteCache(directory / "table", synchronous=FULL)
    queue = DiskQueue(directory / "queue", report=print)

    def put() -> None:
        cache.begin()
        cache.put_row(next(_ids), serialize(_args()))
        cache.commit()

    queue.append(_record())
    time.sleep(_SETTLING)
    times = {"table": _median(put, count), "append": _median(lambda: queue.append(_record()), count)}
    cache.close()
    queue.close()
    return times


def _median(work: Callable[[], object], count: int) -> float:
    times = []
    for _ in range(count):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _fsync_time(directory: Path) -> float:
    """How long the disk takes for a page of a file that does not grow, as a log is that was used before."""
    synchronise = getattr(os, "fdatasync", os.fsync)  # as SQLite does
    with open(directory / "fsync", "wb", buffering=0) as file:
        return _median(lambda: (file.seek(0), file.write(b"x" * 4096), synchronise(file.fileno())), 200)
