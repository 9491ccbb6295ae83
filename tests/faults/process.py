"""A shop whose server is a process of its own, to be stopped, killed and started again."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.faults.proxy import HOST, Proxy
from tests.faults.rows import rows_app
from tests.faults.shop import Shop

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def opened_apart(storage: Path | None = None) -> AsyncIterator[tuple[Shop, Process]]:
    """A shop whose server is a process of its own, to be stopped, killed and started again."""
    process = Process(storage)
    await process.start()
    try:
        async with Proxy(process.port) as calls, Proxy(process.port) as sockets:
            yield Shop(calls, sockets, f"http://127.0.0.1:{process.port}", rows_app()), process
    finally:
        await process.kill()


class Process:
    """A server in a process of its own, on one port.

    Args:
        storage: Where it keeps its rows; ``None`` for memory.
        host: The address it listens on.
        within: The beginning of a command that runs it elsewhere, as in another network.
    """

    def __init__(self, storage: Path | None, *, host: str = HOST, within: Sequence[str] = ()) -> None:
        self.port = 0
        self._storage = storage
        self._host = host
        self._within = within
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it and wait until it listens."""
        command = [*self._within, sys.executable, "-m", "tests.faults.server", self._host, str(self.port)]
        if self._storage is not None:
            command.append(str(self._storage))
        self._process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
        assert self._process.stdout is not None
        self.port = int(await self._process.stdout.readline())

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    async def kill(self) -> None:
        """Kill it, with no farewell."""
        if self._process is not None:
            self._process.kill()
            await self._process.communicate()
            self._process = None
