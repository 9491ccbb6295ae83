"""Where values wait between the loop that brings them and a thread that takes them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from lunora_rx.errors import StreamError
from lunora_rx.rx.stream import MAX_BUFFER_SIZE, too_far_behind

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Values in order, then the end; any number of threads put, and any number take.

    Args:
        limit: How many values may wait.
        conflate: Whether the newest value takes the place of all that wait. Otherwise one beyond ``limit`` ends it
            all with ``StreamError`` and code ``STREAM_BACKPRESSURE``.
        on_overflow: Called by the thread that put one too many.
        weigh: Returns the size of a value that is being put. Several that are larger than ``MAX_BUFFER_SIZE`` together
            are too many.
        reason: Returns what to add where no value came in time, such as ``": the server is away"``.
    """

    def __init__(
        self,
        limit: int,
        *,
        conflate: bool,
        on_overflow: Callable[[], object] = lambda: None,
        weigh: Callable[[], int] = int,
        reason: Callable[[], str] = lambda: "",
    ) -> None:
        self._values: deque[tuple[T, int]] = deque(maxlen=1 if conflate else None)
        self._size = 0
        self._weigh = weigh
        self._limit = limit
        self._is_conflating = conflate
        self._on_overflow = on_overflow
        self._reason = reason
        self._news = threading.Condition()
        self._is_over = False
        self._error: BaseException | None = None

    def put(self, value: T) -> None:
        """Add a value, or replace the one that waits; nothing after the end."""
        with self._news:
            if self._is_over:
                return
            size = self._weigh()
            error = None if self._is_conflating else self._refusal(size)
            if error is None:
                self._values.append((value, size))
                self._size += size
                self._news.notify()
                return
            self._values.clear()
            self._end(error)
        self._on_overflow()

    def finish(self, error: BaseException | None = None) -> None:
        """Add the end; what waits before it is still taken."""
        with self._news:
            if not self._is_over:
                self._end(error)

    def clear(self) -> None:
        """Drop what waits, and add the end."""
        with self._news:
            self._values.clear()
            self._end(None)

    def take(self, timeout: float | None = None) -> T:
        """Wait for the next value.

        Raises:
            StopIteration: There will be none.
            TimeoutError: There was none within that many seconds; there may yet be.
            Exception: What it ended with, once.
        """
        with self._news:
            if not self._news.wait_for(self._has_news, timeout):
                raise TimeoutError(f"no value within {timeout:g} s{self._reason()}")
            if self._values:
                value, size = self._values.popleft()
                self._size -= size
                return value
            error, self._error = self._error, None
        try:
            raise StopIteration if error is None else error
        finally:
            # A traceback keeps this frame.
            del error

    def _refusal(self, size: int) -> StreamError | None:
        message = None
        if len(self._values) >= self._limit:
            message = f"the thread is more than {self._limit} values behind"
        elif self._values and self._size + size > MAX_BUFFER_SIZE:
            message = too_far_behind("thread")
        return None if message is None else StreamError(message, code="STREAM_BACKPRESSURE")

    def _has_news(self) -> bool:
        return bool(self._values) or self._is_over

    def _end(self, error: BaseException | None) -> None:
        self._is_over, self._error = True, error
        self._news.notify_all()
