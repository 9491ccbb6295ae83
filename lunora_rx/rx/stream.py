"""Procedure streams as cold Observables: each subscription is a run of its own.

Source: ``docs/protocol.md``, section "Procedure streams".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import Disposable

from lunora_rx.core.stream_events import StreamChunk, StreamEnded, StreamFailed
from lunora_rx.errors import StreamError
from lunora_rx.protocol.frozen import frozen
from lunora_rx.rx.interop import ObservableIterator
from lunora_rx.rx.observers import Observers, OnError

T = TypeVar("T")

MAX_BUFFER = 1024
MAX_BUFFER_SIZE = 64 * 2**20
"""Characters of the frames whose chunks may wait; a single one may be larger."""


class Requests(Protocol):
    """What streams ask of whoever holds the connection."""

    def enter(self, what: str) -> None:
        """Raise unless requests can be made here and now."""
        ...

    def call_on_loop(self, callback: Callable[[], None]) -> None:
        """Run a callback on the client's thread."""
        ...

    def start_stream(self, function_path: str, args: Any, shard: str, *, durable: bool) -> str:
        """Start a procedure, opening a socket if need be; return the stream's id before any event of it is told."""
        ...

    def cancel_stream(self, stream_id: str, shard: str) -> None:
        """Follow a stream no more."""
        ...


@frozen
class Procedure:
    """What a stream runs.

    Attributes:
        function_path: The procedure.
        args: Its arguments in wire form.
        shard: The shard key, empty for the default shard.
        is_durable: Whether the run is expected to outlive a socket that is lost before the first chunk.
    """

    function_path: str
    args: Any
    shard: str = ""
    is_durable: bool = False


class Runs:
    """Who follows which stream. Does not know how far a stream has come, nor whether there is a socket.

    Args:
        requests: Where streams are started.
        report: Takes what observers raise.

    Attributes:
        size: How many characters the frame has whose chunk is being given.
    """

    def __init__(self, requests: Requests, report: OnError) -> None:
        self.size = 0
        self._requests = requests
        self._report = report
        self._observers: dict[str, Observers[Any]] = {}

    def __len__(self) -> int:
        return len(self._observers)

    def start(self, procedure: Procedure, observer: abc.ObserverBase[Any]) -> abc.DisposableBase:
        """Start a run for an observer; disposing cancels it, from any thread."""
        self._requests.enter("subscribing to a stream")
        observers: Observers[Any] = Observers(self._report)
        observers.attach(observer)
        shard = procedure.shard
        stream_id = self._requests.start_stream(
            procedure.function_path, procedure.args, shard, durable=procedure.is_durable
        )
        self._observers[stream_id] = observers

        def leave() -> None:
            if self._observers.pop(stream_id, None) is not None:
                self._requests.cancel_stream(stream_id, shard)

        return Disposable(lambda: self._requests.call_on_loop(leave))

    def publish(self, event: StreamChunk) -> None:
        """Give a chunk to whoever follows the stream."""
        observers = self._observers.get(event.stream_id)
        if observers is not None:
            self.size = event.size
            observers.next(event.value)

    def end(self, event: StreamEnded) -> None:
        """Complete whoever follows the stream."""
        observers = self._observers.pop(event.stream_id, None)
        if observers is not None:
            observers.complete()

    def fail(self, event: StreamFailed) -> None:
        """Fail whoever follows the stream."""
        observers = self._observers.pop(event.stream_id, None)
        if observers is not None:
            observers.error(event.error.copy)


class Stream(Observable[T]):
    """The chunks of a streaming procedure: cold, each subscription is one run, and disposing cancels it.

    A durable stream goes on after a lost connection, with no chunk missing or repeated; disposing detaches this
    observer, and the run goes on. Any other fails with ``StreamError`` and code ``STREAM_DISCONNECTED``. What the
    procedure itself raises is a ``ServerError``; the end of the client is a ``ClientClosedError``.

    Observers are called on the client's event loop, each chunk as it comes: nothing waits here, so a slow observer
    holds up its client. Where values must wait, ``aiter`` bounds how many. To take chunks on another thread, let it
    run ``aiter().__anext__()`` by ``asyncio.run_coroutine_threadsafe`` on the client's loop; the stream may be
    disposed of on any thread.

    Args:
        runs: Where runs are started.
        procedure: What each subscription runs.
        max_buffer: How many chunks may wait for an iteration.
    """

    def __init__(self, runs: Runs, procedure: Procedure, *, max_buffer: int = MAX_BUFFER) -> None:
        super().__init__()
        self._runs = runs
        self._procedure = procedure
        self._max_buffer = max_buffer

    def __repr__(self) -> str:
        shard = f", shard={self._procedure.shard!r}" if self._procedure.shard else ""
        return f"<Stream {self._procedure.function_path!r}{shard}>"

    def aiter(self, *, max_buffer: int | None = None) -> StreamIterator[T]:
        """Run the procedure, and iterate over its chunks with ``async for``; leaving the loop cancels the run.

        An iteration that falls more than ``max_buffer`` chunks behind, or several whose frames are larger than 64 MiB
        together, ends with ``StreamError`` and code ``STREAM_BACKPRESSURE``; its run is cancelled at once. Chunks that
        were not taken are dropped by an error, and come before the end of a run that completes.

        Args:
            max_buffer: How many chunks may wait; by default as many as the stream was made with.

        Raises:
            ValueError: ``max_buffer`` is below 1.
        """
        limit = self._max_buffer if max_buffer is None else max_buffer
        if limit < 1:
            raise ValueError(f"max_buffer is at least 1, not {limit}")
        return StreamIterator(self, limit, self.weigh)

    def weigh(self) -> int:
        """Return how many characters the frame has whose chunk is being given."""
        return self._runs.size

    def _subscribe_core(
        self, observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        return self._runs.start(self._procedure, observer)


class StreamIterator(ObservableIterator[T]):
    """What ``async for`` takes from a stream: an early end drops what waits, and ends the run without delay.

    Args:
        source: As for any iterator.
        limit: Likewise.
        weigh: Returns the size of what is being given.
    """

    def __init__(self, source: Observable[T], limit: int, weigh: Callable[[], int]) -> None:
        super().__init__(source, "error", limit)
        self._weigh = weigh
        self._sizes: deque[int] = deque()
        self._size = 0

    def _take(self, value: T) -> None:
        while len(self._sizes) > len(self._buffer):
            self._size -= self._sizes.popleft()
        size = self._weigh()
        if self._buffer and self._size + size > MAX_BUFFER_SIZE:
            self._finish(StreamError(too_far_behind("loop"), code="STREAM_BACKPRESSURE"))
            self._wake()
        self._sizes.append(size)
        self._size += size
        super()._take(value)
        if self._ending:
            # It fell too far behind. Its loop may not come back for long, and the server need not go on until then.
            self._dispose()

    def _finish(self, error: Exception | None) -> None:
        if error is not None:
            self._buffer.clear()
        super()._finish(error)


def too_far_behind(who: str) -> str:
    """Return what to say of one that is behind by too much to be kept."""
    return f"the {who} is more than {MAX_BUFFER_SIZE} characters behind"
