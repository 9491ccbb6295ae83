"""P14: what an idle client does."""

import asyncio
import selectors
import threading

from benchmarks.frame_server import running
from benchmarks.measure import Row
from benchmarks.p06 import _ask
from lunora_rx import LunoraClient

QUERIES = 1_000
HEARTBEAT = 5.0


class CountingSelector(selectors.DefaultSelector):
    """Counts how often the loop wakes up."""

    def __init__(self) -> None:
        super().__init__()
        self.wakes = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait, and count the end of the wait."""
        events: list[tuple[selectors.SelectorKey, int]] = super().select(timeout)
        self.wakes += timeout is None or timeout > 0  # else it only looks up between two callbacks
        return events


async def measure(*, rounds: int, quick: bool) -> Row:
    """Measure the row."""
    seconds = 10.0 if quick else 60.0
    with running() as url:
        wakes = await asyncio.to_thread(_count_wakes, url, seconds)
    heartbeats = seconds / HEARTBEAT
    return Row(
        "P14",
        f"wake-ups of an idle client with {QUERIES:,} live queries in {seconds:.0f} s",
        f"its heartbeats, one every {HEARTBEAT:.0f} s",
        [float(wakes)],
        [heartbeats],
        "no others",
        is_speed=False,
        remark=f"{wakes} wake-ups: a heartbeat is two, the timer and the answer",
    )


def _count_wakes(url: str, seconds: float) -> int:
    assert threading.current_thread() is not threading.main_thread()
    selector = CountingSelector()
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        return runner.run(_idle(url, seconds, selector))


async def _idle(url: str, seconds: float, selector: CountingSelector) -> int:
    async with LunoraClient(url, heartbeat_interval=HEARTBEAT) as client:
        await _ask(client, QUERIES)
        await asyncio.sleep(1)  # what follows the opening is over
        before = selector.wakes
        await asyncio.sleep(seconds)
        return selector.wakes - before - 1  # the last one is the benchmark's own
