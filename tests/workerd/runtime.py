"""The Worker of this directory on workerd, as a process of its own, to be killed and started again."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from tests.killable import Killable

HERE = Path(__file__).parent
# What `npm ci` unpacks for the platform that it runs on.
BINARIES = "node_modules/@cloudflare/workerd-*/bin/workerd*"
START_TIMEOUT = 20.0


def binary() -> Path:
    """Return the path of workerd; skip the test where it is not installed."""
    found = next(HERE.glob(BINARIES), None)
    if found is None:
        pytest.skip("workerd is not installed: npm ci --ignore-scripts --prefix tests/workerd")
    return found


class Workerd(Killable):
    """A server on workerd."""

    async def start(self) -> None:
        """Start it and wait until it listens."""
        options = [f"--directory-path=disk={self._directory}", f"--socket-addr=http=127.0.0.1:{self.port}"]
        reading, writing = os.pipe()
        self._process = await asyncio.create_subprocess_exec(
            binary(), "serve", HERE / "config.capnp", *options, f"--control-fd={writing}", pass_fds=[writing]
        )
        os.close(writing)
        with open(reading, "rb") as control:
            line = await asyncio.wait_for(asyncio.to_thread(control.readline), START_TIMEOUT)
        self.port = orjson.loads(line)["port"]

    async def control(self, action: str, **search: Any) -> Any:
        """Do something to a shard; see worker/controls.js."""
        url = f"{self.url}/_test/{action}"
        async with aiohttp.ClientSession() as session, session.get(url, params=search) as reply:
            return await reply.json()
