"""P4: parsing a frame with one bigint a row."""

import orjson

from benchmarks.frame_server import frame, payload
from benchmarks.measure import Row, interleave
from lunora_rx.protocol import loads


async def measure(*, rounds: int, quick: bool) -> Row:
    """Measure the row."""
    text = frame("sub_1", 1, payload(100, tagged=True))
    count = 1_000 if quick else 5_000

    def ours() -> None:
        for _ in range(count):
            loads(text)

    def reference() -> None:
        for _ in range(count):
            orjson.loads(text)

    mine, theirs = await interleave(ours, reference, rounds=rounds)
    work = "`loads` of a frame with one bigint a row"
    return Row("P4", work, "`orjson.loads`", mine, theirs, ">= 0.4", remark=f"{len(text)} bytes")
