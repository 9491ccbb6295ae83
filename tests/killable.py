"""A server in a process of its own, to be killed and started again."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Self


class Killable(ABC):
    """A server whose shards are kept in a directory; ``start`` says which.

    Args:
        directory: Where; it is there already, and outlives the process.

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

    @abstractmethod
    async def start(self) -> None:
        """Start it and wait until it listens."""

    async def kill(self) -> None:
        """Kill it, with no farewell: asked to end, it might wait until the last socket is closed."""
        if self._process is not None:
            self._process.kill()
            await self._process.communicate()
            self._process = None
