"""The embedded server as a process of its own: ``python -m tests.e2e.processes PORT DIRECTORY``."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from tests.e2e.offer import offered

ROOT = Path(__file__).parents[2]


class Embedded:
    """An embedded server in a process of its own, with what ``tests.workerd.runtime.Workerd`` has.

    Args:
        directory: Where it keeps its shards; it is there already, and outlives the process.

    Attributes:
        port: Where it listens, also after a new start.
    """

    def __init__(self, directory: Path) -> None:
        self.port = 0
        self._directory = directory
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.kill()

    @property
    def url(self) -> str:
        """Where the server is."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Start it and wait until it listens."""
        arguments = ["-m", "tests.e2e.processes", str(self.port), str(self._directory)]
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
        assert self._process.stdout is not None
        self.port = int(await self._process.stdout.readline())

    async def kill(self) -> None:
        """Kill it, with no farewell."""
        if self._process is not None:
            self._process.kill()
            await self._process.communicate()
            self._process = None


async def main(port: int, storage: str) -> None:
    """Serve until killed."""
    async with offered().serve(port=port, storage=storage) as url:
        sys.stdout.write(f"{urlsplit(url).port}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
