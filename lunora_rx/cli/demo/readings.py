"""Real readings of this machine, and the writing of them."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import psutil

from lunora_rx import LunoraClient, LunoraError, Phase, api

INTERVAL = 0.25


class Feed:
    """Writes a reading every quarter of a second, and remembers what became of each.

    Attributes:
        composed: How many readings were taken.
        queued: How many of the writes had to wait for the connection.
        committed: Ids of the rows that the server said it stored.
        failed: How many writes the server did not confirm.
    """

    def __init__(self, client: LunoraClient) -> None:
        self.composed = 0
        self.queued = 0
        self.committed: list[str] = []
        self.failed = 0
        self._client = client
        self._writes: set[asyncio.Task[None]] = set()
        psutil.cpu_percent()  # the first call has nothing to compare with and says 0

    async def run(self, *, until: float | None) -> None:
        """Write readings until the loop's clock says so."""
        loop = asyncio.get_running_loop()
        due = loop.time() + INTERVAL
        while until is None or due < until:
            await asyncio.sleep(max(0.0, due - loop.time()))
            write = loop.create_task(self._write(self.composed))
            self._writes.add(write)
            write.add_done_callback(self._writes.discard)
            self.composed += 1
            due += INTERVAL

    async def settle(self, patience: float) -> None:
        """Wait for the verdicts that are still out, so many seconds at most; what has none then has failed."""
        if self._writes:
            await asyncio.wait(self._writes, timeout=patience)
        self.failed += len(self._writes)

    async def _write(self, tick: int) -> None:
        mutation = self._client.mutation(api.readings.add, {"tick": tick, **take_reading()})
        mutation.phases.subscribe(self._count_queued)
        try:
            self.committed.append(await mutation)
        except LunoraError:
            self.failed += 1

    def _count_queued(self, phase: Phase) -> None:
        self.queued += phase is Phase.QUEUED


def take_reading() -> dict[str, Any]:
    """Return the load of the machine now: percentages, and bytes since it started."""
    disk, network = psutil.disk_io_counters(), psutil.net_io_counters()
    return {
        "at": time.time(),
        "cpu": psutil.cpu_percent(),
        "memory": psutil.virtual_memory().percent,
        "disk": float(disk.read_bytes + disk.write_bytes) if disk else 0.0,
        "network": float(network.bytes_sent + network.bytes_recv) if network else 0.0,
    }
