"""A client in another process, behind a proxy of its own: killed, stopped, or put where clocks and disks are others."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from tests.faults.customer import PATIENCE
from tests.faults.process import ROOT
from tests.faults.proxy import Proxy

# Seconds. Dozens of processes may be at work beside it.
START_PATIENCE = 90.0


class Neighbour:
    """A client in another process, behind a proxy of its own."""

    def __init__(self, process: asyncio.subprocess.Process, way: Proxy) -> None:
        self.way = way
        self._process = process

    async def next_line(self) -> str:
        """Return what it says next; a process that has just been started may be long in coming."""
        assert self._process.stdout is not None
        async with asyncio.timeout(START_PATIENCE):
            return (await self._process.stdout.readline()).decode().rstrip("\n")

    async def go_on(self) -> None:
        """Let it go on from where it waits."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        await self._process.stdin.drain()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    async def kill(self) -> None:
        """Kill it, with no farewell."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.communicate()

    async def close(self) -> None:
        """Tell it to close its client, and wait until it has."""
        async with asyncio.timeout(PATIENCE):
            await self._process.communicate(b"\n")
        assert self._process.returncode == 0


@asynccontextmanager
async def neighbour(
    shop,
    storage,
    *numbers: int,
    task: str = "nothing",
    within: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> AsyncIterator[Neighbour]:
    """A client in another process that has queued numbers and finds no server; killed at the end.

    Args:
        shop: Where the server is.
        storage: Where the client keeps its queue.
        numbers: What it queues.
        task: What it does then; see ``writer.py``.
        within: The beginning of a command that runs it elsewhere, as in other namespaces.
        environment: What is added to its environment.
    """
    port = urlsplit(shop.url).port
    assert port is not None
    async with Proxy(port) as way:
        way.refuse()
        arguments = [way.url, str(storage), task, *map(str, numbers)]
        process = await asyncio.create_subprocess_exec(
            *[*within, sys.executable, "-W", "ignore::DeprecationWarning", "-m", "tests.faults.writer", *arguments],
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
        )
        found = Neighbour(process, way)
        try:
            yield found
        finally:
            await found.kill()
