"""P3: parsing a plain frame."""

import orjson

from benchmarks.frame_server import frame, payload
from benchmarks.measure import Row, interleave
from lunora_rx.protocol import loads


async def measure(*, rounds: int, quick: bool) -> Row:
    """Measure the row."""
    text = frame("sub_1", 1, payload(100))
    count = 1_000 if quick else 5_000

    def ours() -> None:
        for _ in range(count):
            loads(text)

    def reference() -> None:
        for _ in range(count):
            orjson.loads(text)

    mine, theirs = await interleave(ours, reference, rounds=rounds)
    remark = f"{len(text)} bytes"
    return Row("P3", "`loads` of a plain frame", "`orjson.loads`", mine, theirs, ">= 0.95", remark=remark)
