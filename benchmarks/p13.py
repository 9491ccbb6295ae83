"""P13: import time."""

import os
import subprocess
import sys

from benchmarks.measure import Row, interleave

_TIMED = "import time; start = time.perf_counter(); {}; print(time.perf_counter() - start)"


async def measure(*, rounds: int, quick: bool) -> Row:
    """Measure the row."""
    ours, reference = "import lunora_rx", "import aiohttp, reactivex, orjson, diskcache"
    mine, theirs = await interleave(lambda: _seconds(ours), lambda: _seconds(reference), rounds=max(rounds, 7))
    remark = f"{sorted(mine)[len(mine) // 2] * 1000:.0f} ms"
    return Row("P13", f"`{ours}`", f"`{reference}`", mine, theirs, "<= 1.25", is_speed=False, remark=remark)


def _seconds(statement: str) -> float:
    # As a program of a user's starts, from the second time on: from the bytecode that the first time left.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    output = subprocess.run(
        [sys.executable, "-c", _TIMED.format(statement)], check=True, capture_output=True, text=True, env=environment
    )
    return float(output.stdout)
