"""The embedded server as a process of its own: ``python -m tests.e2e.processes PORT DIRECTORY``."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from urllib.parse import urlsplit

from tests.e2e.offer import offered
from tests.killable import Killable

ROOT = Path(__file__).parents[2]


class Embedded(Killable):
    """An embedded server."""

    async def start(self) -> None:
        """Start it and wait until it listens."""
        arguments = ["-m", "tests.e2e.processes", str(self.port), str(self._directory)]
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
        assert self._process.stdout is not None
        self.port = int(await self._process.stdout.readline())


async def main(port: int, storage: str) -> None:
    """Serve until killed."""
    async with offered().serve(port=port, storage=storage) as url:
        sys.stdout.write(f"{urlsplit(url).port}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
