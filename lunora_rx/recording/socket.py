"""The client's end of a socket on which a recording is played."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable


class ReplaySocket:
    """One socket of a replay.

    Args:
        on_text: Takes each frame that the client sends.

    Attributes:
        moves: How often either end did something; unchanged means that both wait.
    """

    def __init__(self, on_text: Callable[[str], None]) -> None:
        self.moves = 0
        self._on_text = on_text
        self._inbox: deque[str] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._is_closed = False
        self._close_code: int | None = None

    @property
    def is_closed(self) -> bool:
        """Whether either end closed it."""
        return self._is_closed

    @property
    def is_idle(self) -> bool:
        """Whether the client has dealt with everything and waits for more."""
        return self._is_closed or (not self._inbox and self._waiter is not None)

    @property
    def close_code(self) -> int | None:
        """The code that either end closed it with; ``None`` while it is open or was cut."""
        return self._close_code

    async def receive(self) -> str | None:
        """Wait for the next frame; ``None`` once it is closed."""
        while not self._inbox and not self._is_closed:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        self.moves += 1
        return None if self._is_closed else self._inbox.popleft()

    async def send(self, text: str) -> None:
        """Take a frame of the client; one on a closed socket is lost."""
        self.moves += 1
        if not self._is_closed:
            self._on_text(text)

    async def close(self, code: int = 1000) -> None:
        """Close it; what was not received yet is dropped."""
        self.cut(code)

    def push(self, text: str) -> None:
        """Hand the client a frame."""
        self._inbox.append(text)
        self._wake()

    def cut(self, code: int | None = None) -> None:
        """Break the connection."""
        if self._is_closed:
            return
        self.moves += 1
        self._is_closed, self._close_code = True, code
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
