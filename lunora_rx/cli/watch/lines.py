"""A watch for pipes: each snapshot as one line of JSON."""

from __future__ import annotations

import asyncio
from typing import Any

from reactivex import Observable
from reactivex import operators as ops

from lunora_rx.cli.text import write_line
from lunora_rx.core.snapshot import Snapshot, SnapshotStatus
from lunora_rx.errors import LunoraError
from lunora_rx.rx.interop import observable_to_aiter
from lunora_rx.rx.live_query import LiveQuery


async def write_lines(live: LiveQuery[Any], ends: Observable[LunoraError], *, count: int | None) -> None:
    """Write the snapshots of a query, the newest only where the reader is slow.

    Args:
        live: The query.
        ends: Tells what the query cannot go on after: nobody can give another token, or another URL.
        count: How many live values to write before the end; ``None`` for no end.

    Raises:
        LunoraError: The query failed before its first value, or what ``ends`` told.
    """
    lives = written = 0
    snapshots = live.snapshots.pipe(ops.merge(ends.pipe(ops.map(_end))))
    async for snapshot in observable_to_aiter(snapshots, overflow="latest"):
        if snapshot.status is SnapshotStatus.FAILED and not written:
            assert snapshot.error is not None
            raise snapshot.error
        if not snapshot.has_value:
            continue
        # A pipe that nobody reads blocks the one who writes: the loop has to answer the server meanwhile.
        await asyncio.to_thread(write_line, line(snapshot))
        written += 1
        lives += snapshot.status is SnapshotStatus.LIVE
        if lives == count:
            return


def _end(error: LunoraError) -> Snapshot[Any]:
    raise error


def line(snapshot: Snapshot[Any]) -> dict[str, Any]:
    """Return what a line says of a snapshot."""
    return {
        "status": str(snapshot.status),
        "value": snapshot.value,
        "cursor": snapshot.cursor,
        "updated_at": None if snapshot.updated_at is None else snapshot.updated_at.isoformat(),
        "error": None if snapshot.error is None else {"code": snapshot.error.code, "message": snapshot.error.message},
    }
