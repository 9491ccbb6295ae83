"""Observables in asyncio's terms: awaiting one value, iterating over many."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from typing import Any, Literal, Self, TypeAlias, TypeVar
from weakref import ref

from reactivex import Observable, abc
from reactivex.disposable import Disposable, SerialDisposable
from reactivex.scheduler.eventloop import AsyncIOThreadSafeScheduler

from lunora_rx.errors import ClientClosedError, StreamError

T = TypeVar("T")

Overflow: TypeAlias = Literal["latest", "oldest", "error"]
_OVERFLOWS = ("latest", "oldest", "error")


def _closed() -> Exception:
    return ClientClosedError("the client was closed before the first value came")


class FirstValue(Observable[T]):
    """The first value of a source that satisfies a predicate, then the end; it can be awaited.

    Args:
        source: What is watched.
        predicate: Takes a value, and tells whether it is wanted.
        ended: Makes the error for a source that ends before.

    Raises:
        TypeError: ``predicate`` is no function.
    """

    def __init__(
        self,
        source: Observable[T],
        predicate: Callable[[T], bool] | None = None,
        ended: Callable[[], Exception] = _closed,
    ) -> None:
        super().__init__()
        if predicate is not None and not callable(predicate):
            raise TypeError(
                f"first(): predicate is a function that takes a value, not {predicate!r:.50}; a limit of time is"
                " first(timeout=...) of a blocking client, and asyncio.timeout(...) around the await of another"
            )
        self._source = source
        self._predicate = predicate
        self._ended = ended

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
            observer.on_error(self._ended())

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
) -> ObservableIterator[T]:
    """Iterate over an Observable with ``async for``; leaving the loop disposes.

    A wait that is cancelled, as by ``asyncio.wait_for(anext(iterator), 1)``, may be repeated. The source may emit
    on any thread.

    Args:
        source: Subscribed to when the iteration starts, on the loop that iterates.
        overflow: What happens to values that come faster than the loop takes them: ``"latest"`` keeps the newest
            one only, ``"oldest"`` drops the oldest beyond ``max_buffer``, ``"error"`` ends the iteration with
            ``StreamError`` and code ``STREAM_BACKPRESSURE``.
        max_buffer: How many values may wait; ``"latest"`` keeps one.

    Raises:
        ValueError: ``overflow`` is unknown, or ``max_buffer`` is below 1.
    """
    return ObservableIterator(source, overflow, limit_of(overflow, max_buffer))


def limit_of(overflow: Overflow, max_buffer: int) -> int:
    """Return how many values may wait; raises ``ValueError`` for an option that cannot be used."""
    if overflow not in _OVERFLOWS:
        raise ValueError(f"overflow is one of {', '.join(_OVERFLOWS)}, not {overflow!r}")
    if max_buffer < 1:
        raise ValueError(f"max_buffer is at least 1, not {max_buffer}")
    return 1 if overflow == "latest" else max_buffer


class ObservableIterator(AsyncIterator[T]):
    """What ``async for`` takes from an Observable.

    Not an async generator: one that is left by ``break`` disposes only when the loop comes to it, and one
    whose ``anext`` timed out is over.

    Args:
        source: Subscribed to by the first ``anext``; let go of at the end, by ``aclose``, and with this object.
        overflow: What happens to values beyond ``limit``, as in ``observable_to_aiter``.
        limit: How many values may wait.
    """

    def __init__(self, source: Observable[T], overflow: Overflow, limit: int) -> None:
        self._source = source
        self._overflow = overflow
        self._limit = limit
        # A full deque drops its oldest by itself, in one step, whichever thread appends.
        self._buffer: deque[T] = deque(maxlen=limit)
        self._ending: list[Exception | None] = []
        self._news = asyncio.Event()
        self._wake: Callable[[], object] = self._news.set
        self._disposable: abc.DisposableBase | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        try:
            if self._disposable is None and not self._ending:
                self._start()
            while not self._buffer:
                if self._ending:
                    raise self._end()
                await self._next_news()
            return self._buffer.popleft()
        finally:
            # A traceback keeps this frame, and must not keep the subscription.
            del self

    async def aclose(self) -> None:
        """Let go of the source; the iteration is over."""
        self._buffer.clear()
        self._finish(None)
        self._dispose()
        self._wake()

    def __del__(self) -> None:
        if getattr(self, "_disposable", None) is not None:
            self._dispose()

    def _start(self) -> None:
        self._wake = _waker(self._news)
        # The source holds on to what it calls: not to this object, whose end is the end of the subscription.
        itself = ref(self)

        def on_next(value: T) -> None:
            if (iterator := itself()) is not None:
                iterator._take(value)

        def on_end(error: Exception | None = None) -> None:
            if (iterator := itself()) is not None:
                iterator._finish(error)
                iterator._wake()

        self._disposable = Disposable()
        self._disposable = self._source.subscribe(on_next, on_end, on_end)

    def _take(self, value: T) -> None:
        if self._ending:
            return
        if self._overflow == "error" and len(self._buffer) == self._limit:
            self._buffer.clear()
            self._finish(StreamError(f"the loop is more than {self._limit} values behind", code="STREAM_BACKPRESSURE"))
        else:
            self._buffer.append(value)
        self._wake()

    def _finish(self, error: Exception | None) -> None:
        if not self._ending:
            self._ending.append(error)

    def _end(self) -> Exception:
        self._dispose()
        error, self._ending[0] = self._ending[0], None
        return StopAsyncIteration() if error is None else error

    def _next_news(self) -> Awaitable[object]:
        self._news.clear()
        # What another thread gave before it could wake anybody is seen here.
        if self._buffer or self._ending:
            self._news.set()
        return self._news.wait()

    def _dispose(self) -> None:
        disposable, self._disposable = self._disposable, None
        if disposable is not None:
            disposable.dispose()


def _waker(news: asyncio.Event) -> Callable[[], object]:
    loop, thread = asyncio.get_running_loop(), threading.get_ident()

    def wake() -> None:
        if thread == threading.get_ident():
            news.set()
        elif not loop.is_closed():
            loop.call_soon_threadsafe(news.set)

    return wake


def running_scheduler() -> AsyncIOThreadSafeScheduler | None:
    """Return a scheduler of the asyncio loop that runs here, ``None`` where none does."""
    try:
        return AsyncIOThreadSafeScheduler(asyncio.get_running_loop())
    except RuntimeError:
        return None
