"""A client whose frames come out of memory, so that what is measured is the client and nothing else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from lunora_rx import LunoraClient, TransportError
from lunora_rx.protocol.rpc import HttpReply
from lunora_rx.transport.memory_transport import MemoryRequest, MemoryTransport


class Wire:
    """Where frames for a client are put; what the client sends is looked at by nobody.

    Args:
        client: The client, with its socket open.
    """

    def __init__(self, client: LunoraClient) -> None:
        self.client = client
        self._driver = client._driver

    def receive(self, frames: Sequence[bytes]) -> float:
        """Receive frames on the default shard as the reader of the socket does; return the seconds that it took."""
        receive_text, drain, now = self._driver.core.receive_text, self._driver._drain, self._driver._now
        start = time.perf_counter()
        for frame in frames:
            receive_text("", frame, now())
            drain()
        return time.perf_counter() - start


@asynccontextmanager
async def wired() -> AsyncIterator[Wire]:
    """Yield a client that has just been made, on a socket which will open as soon as it is needed."""
    transport = MemoryTransport(lambda url, far_end: far_end.listen(_ignore), _refuse)
    async with LunoraClient("http://memory.test", transport=transport, polling=None, heartbeat_interval=0) as client:
        yield Wire(client)


async def opened(client: LunoraClient) -> None:
    """Wait until a client's socket is open."""
    while client.status.value != "connected":
        await asyncio.sleep(0)


def _ignore(text: str) -> None:
    """Take what the client sends."""


async def _refuse(request: MemoryRequest) -> HttpReply:
    raise TransportError("no row asks over HTTP here")
