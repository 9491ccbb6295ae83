"""LOOP1 to LOOP3: a client on uvloop, which the extra ``fast`` brings, against the same on asyncio's loop.

The server of all three runs on asyncio's, in a process of its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

from benchmarks.frame_server import running
from benchmarks.frames import receive
from benchmarks.measure import Row, interleave
from lunora_rx import LunoraClient


async def small_frames(*, rounds: int, quick: bool) -> Row:
    """Small frames to one observer."""
    count = 5_000 if quick else 50_000
    return await _on_both("LOOP1", "200-byte `data` frames to one observer", rounds, lambda url: receive(url, count, 0))


async def large_frames(*, rounds: int, quick: bool) -> Row:
    """Large frames to one observer."""
    count = 500 if quick else 5_000
    return await _on_both("LOOP2", "20 KB `data` frames to one observer", rounds, lambda url: receive(url, count, 100))


async def calls(*, rounds: int, quick: bool) -> Row:
    """Calls, each made when the one before has come back."""
    count = 200 if quick else 2_000

    async def call(url: str) -> float:
        async with LunoraClient(url) as client:
            await client.query("bench:sleep")
            start = time.perf_counter()
            for _ in range(count):
                await client.query("bench:sleep")
            return time.perf_counter() - start

    return await _on_both("LOOP3", "queries over HTTP, one after another", rounds, call)


async def _on_both(name: str, work: str, rounds: int, program: Callable[[str], Coroutine[Any, Any, float]]) -> Row:
    import uvloop

    async def on(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> float:
        return await asyncio.to_thread(_run, loop_factory, program(url))

    with running() as url:
        mine, theirs = await interleave(
            lambda: on(uvloop.new_event_loop), lambda: on(asyncio.new_event_loop), rounds=max(rounds, 7)
        )
    return Row(name, f"{work}, on uvloop", "the same on asyncio's loop", mine, theirs, "none")


def _run(loop_factory: Callable[[], asyncio.AbstractEventLoop], program: Coroutine[Any, Any, float]) -> float:
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(program)
