"""P9: a frame arrives under a thousand pending layers."""

import time
from collections.abc import Callable
from typing import Any

from benchmarks.frame_server import frame, payload
from benchmarks.measure import Row, interleave
from lunora_rx.core.multiplexer import CoreOptions, Multiplexer
from lunora_rx.core.patches import Composition
from lunora_rx.protocol.keys import subscription_key

LAYERS, ROWS = 1_000, 100


async def measure(*, rounds: int, quick: bool) -> Row:
    """Measure the row."""
    count = 5 if quick else 30
    base = payload(ROWS)
    core, subscription_id = watched_under(LAYERS)
    transforms = [_appending(number) for number in range(LAYERS)]
    cursor = iter(range(1, 10**9))

    def ours() -> float:
        frames = [frame(subscription_id, next(cursor), base) for _ in range(count)]
        start = time.perf_counter()
        for text in frames:
            core.receive_text("", text, 0.0)
            core.events.clear()
        return time.perf_counter() - start

    def reference() -> float:
        start = time.perf_counter()
        for _ in range(count):
            rows: Any = base
            for transform in transforms:
                rows = transform(rows)
        return time.perf_counter() - start

    mine, theirs = await interleave(ours, reference, rounds=rounds)
    remark = f"{len(core.find(_KEY, '').result.layers)} layers, {min(mine) / count * 1e3:.2f} ms a frame"  # type: ignore[union-attr]
    return Row(
        "P9",
        f"a frame of {ROWS} rows under {LAYERS:,} pending layers, each appending a row",
        "calling their functions",
        mine,
        theirs,
        "<= 1.5",
        is_speed=False,
        remark=remark,
    )


_KEY = subscription_key("messages:list", {})


def watched_under(layers: int) -> tuple[Multiplexer, str]:
    """Return a core with one live query under pending layers, each of which appends a row, and the query's id."""
    core = Multiplexer(CoreOptions("client-1"), lambda: 0.5)
    core.subscribe(_KEY, "messages:list", {}, "", 0.0)
    core.receive_opened("", 0.0)
    subscription = core.find(_KEY, "")
    assert subscription is not None
    for number in range(layers):
        core.mutate(Composition(f"m{number}", "messages:list", {}, optimistic=_appending(number)), 0.0)
    return core, subscription.id


def _appending(number: int) -> Callable[[Any], Any]:
    row = {"_id": f"new:{number}", "text": "hello"}
    return lambda rows: [row] if not isinstance(rows, list) else [*rows, row]
