"""Observables in asyncio's terms: awaiting one value, iterating over many."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator
from typing import Any, Literal, TypeAlias, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import SerialDisposable

from lunora_rx.errors import ClientClosedError, StreamError

T = TypeVar("T")

Overflow: TypeAlias = Literal["latest", "oldest", "error"]
_OVERFLOWS = ("latest", "oldest", "error")


class FirstValue(Observable[T]):
    """The first value of a source that satisfies a predicate, then the end; it can be awaited."""

    def __init__(self, source: Observable[T], predicate: Callable[[T], bool] | None = None) -> None:
        super().__init__()
        self._source = source
        self._predicate = predicate

    def _subscribe_core(
        self, observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        handle = SerialDisposable()

        def on_next(value: T) -> None:
            try:
                wanted = self._predicate is None or self._predicate(value)
            except Exception as error:
                handle.dispose()
                observer.on_error(error)
                return
            if wanted:
                handle.dispose()
                observer.on_next(value)
                observer.on_completed()

        def on_completed() -> None:
            observer.on_error(ClientClosedError("the client was closed before the first value came"))

        handle.disposable = self._source.subscribe(on_next, observer.on_error, on_completed, scheduler=scheduler)
        return handle

    def __await__(self) -> Generator[Any, None, T]:
        return self._wait().__await__()

    async def _wait(self) -> T:
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def on_next(value: T) -> None:
            if not future.done():
                future.set_result(value)

        def on_error(error: Exception) -> None:
            if not future.done():
                future.set_exception(error)

        disposable = self.subscribe(on_next, on_error)
        try:
            return await future
        finally:
            disposable.dispose()


def observable_to_aiter(
    source: Observable[T], *, overflow: Overflow = "latest", max_buffer: int = 1024
) -> AsyncIterator[T]:
    """Iterate over an Observable with ``async for``; leaving the loop disposes.

    Args:
        source: Subscribed to when the iteration starts, on the loop that iterates.
        overflow: What happens to values that come faster than the loop takes them: ``"latest"`` keeps the newest
            one only, ``"oldest"`` drops the oldest beyond ``max_buffer``, ``"error"`` ends the iteration with
            ``StreamError`` and code ``STREAM_BACKPRESSURE``.
        max_buffer: How many values may wait; ``"latest"`` keeps one.

    Raises:
        ValueError: ``overflow`` is unknown, or ``max_buffer`` is below 1.
    """
    if overflow not in _OVERFLOWS:
        raise ValueError(f"overflow is one of {', '.join(_OVERFLOWS)}, not {overflow!r}")
    if max_buffer < 1:
        raise ValueError(f"max_buffer is at least 1, not {max_buffer}")
    return _iterate(source, overflow, 1 if overflow == "latest" else max_buffer)


async def _iterate(source: Observable[T], overflow: Overflow, limit: int) -> AsyncIterator[T]:
    buffer: deque[T] = deque()
    wake = asyncio.Event()
    ending: list[Exception | None] = []

    def on_next(value: T) -> None:
        if ending:
            return
        if len(buffer) == limit:
            if overflow == "error":
                buffer.clear()
                end(StreamError(f"the loop is more than {limit} values behind", code="STREAM_BACKPRESSURE"))
                return
            buffer.popleft()
        buffer.append(value)
        wake.set()

    def end(error: Exception | None = None) -> None:
        ending.append(error)
        wake.set()

    disposable = source.subscribe(on_next, end, end)
    try:
        while True:
            while buffer:
                yield buffer.popleft()
            if ending:
                break
            wake.clear()
            await wake.wait()
        if ending[0] is not None:
            raise ending[0]
    finally:
        disposable.dispose()
