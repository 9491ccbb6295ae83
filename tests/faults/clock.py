"""The clock of a loop, to be put forward."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Clock:
    """The loop's clock, which can be put forward so that nobody has to wait for it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._time: Callable[[], float] = self._loop.time
        self._ahead = 0.0
        self._loop.time = lambda: self._time() + self._ahead  # type: ignore[method-assign]

    async def jump(self, seconds: float) -> None:
        """Put the clock forward, and let what is due by then happen."""
        self._ahead += seconds
        for _ in range(20):
            await asyncio.sleep(0)

    def close(self) -> None:
        """Give the loop its own clock back."""
        self._loop.time = self._time  # type: ignore[method-assign]
