"""P5: one frame to a thousand observers."""

import time
from collections.abc import Callable
from typing import Any

from benchmarks.frame_server import frame, payload
from benchmarks.inmemory import Wire, opened, wired
from benchmarks.measure import Row, interleave

OBSERVERS = 1_000


async def measure(*, rounds: int, quick: bool) -> Row:
    """Measure the row."""
    frames = 20 if quick else 200
    received: list[object] = []

    def observe(value: object) -> None:
        received.append(value)

    async with wired() as wire:
        live = wire.client.live("bench:rows")
        for _ in range(OBSERVERS):
            live.subscribe(observe)
        await opened(wire.client)
        texts = [frame("sub_1", cursor, payload(0)) for cursor in range(1, frames + 1)]
        mine, theirs = await interleave(_ours(wire, texts, received), _calls(observe, received, frames), rounds=rounds)
        wire.receive(texts[:1])
        decoded = len({id(value) for value in received})
    return Row(
        "P5",
        f"a frame to {OBSERVERS:,} observers of one live query",
        f"{OBSERVERS:,} bare calls",
        mine,
        theirs,
        "<= 5, one decode",
        is_speed=False,
        remark=f"{len(received):,} deliveries of {decoded} decoded value, {min(mine) / frames * 1e6:.0f} us a frame",
    )


def _ours(wire: Wire, texts: list[bytes], received: list[object]) -> Callable[[], float]:
    def ours() -> float:
        received.clear()
        took = wire.receive(texts)
        assert len(received) == OBSERVERS * len(texts)
        received.clear()
        return took

    return ours


def _calls(observe: Callable[[Any], None], received: list[object], frames: int) -> Callable[[], float]:
    callbacks = [observe] * OBSERVERS

    def reference() -> float:
        value = payload(0)
        start = time.perf_counter()
        for _ in range(frames):
            for callback in callbacks:
                callback(value)
        took = time.perf_counter() - start
        received.clear()
        return took

    return reference
