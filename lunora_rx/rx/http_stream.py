"""Streams over HTTP (server-sent events) as cold Observables.

Source: ``docs/protocol.md``, section "Server-sent events".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import Disposable

from lunora_rx.errors import ClientClosedError, LunoraError
from lunora_rx.protocol.endpoints import redact_url
from lunora_rx.protocol.sse import Chunk, StreamNews
from lunora_rx.rx.observers import Observers, OnError
from lunora_rx.rx.stream import MAX_BUFFER, StreamIterator

T = TypeVar("T")


class Requests(Protocol):
    """What HTTP streams ask of whoever makes requests."""

    def enter(self, what: str) -> None:
        """Raise unless requests can be made here and now."""
        ...

    def call_on_loop(self, callback: Callable[[], None]) -> None:
        """Run a callback on the client's thread."""
        ...

    def open_stream(
        self, path: str, headers: Mapping[str, str], tell: Callable[[StreamNews], None]
    ) -> Callable[[], object]:
        """Make a request and tell what its reply brings, up to a ``StreamEnd``; return what gives it up before."""
        ...


class HttpStreams:
    """Whose requests for streams are open.

    Args:
        requests: Where requests are made.
        report: Takes what observers raise.

    Attributes:
        size: How many bytes the value came in that is being given.
    """

    def __init__(self, requests: Requests, report: OnError) -> None:
        self.size = 0
        self._requests = requests
        self._report = report
        self._runs: set[_Run] = set()
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._runs)

    def stream(self, path: str, headers: Mapping[str, str]) -> HttpStream[Any]:
        """Return a stream; nothing is requested before somebody subscribes.

        Args:
            path: The path with its parameters, as ``build_stream_path`` makes it.
            headers: The caller's own, as ``check_stream_headers`` returns them.
        """
        return HttpStream(self, path, headers)

    def close(self) -> None:
        """Fail all who observe a stream, and all who will."""
        self._is_closed = True
        for run in tuple(self._runs):
            run.fail(ClientClosedError("the client was closed before the stream ended"))

    def run(self, path: str, headers: Mapping[str, str], observer: abc.ObserverBase[Any]) -> abc.DisposableBase:
        """Make one request for one observer; disposing gives it up."""
        if self._is_closed:
            Observers[Any](self._report).finish(observer, ClientClosedError("http_stream(): the client is closed"))
            return Disposable()
        self._requests.enter("http_stream()")
        run = _Run(observer, self._report, self._runs.discard, self._note_size)
        self._runs.add(run)
        run.give_up = self._requests.open_stream(path, headers, run.tell)
        return Disposable(lambda: self._requests.call_on_loop(run.leave))

    def _note_size(self, size: int) -> None:
        self.size = size


class HttpStream(Observable[T]):
    """What a server sends as events, in plain JSON.

    Cold: each subscription is one request, and disposing aborts it, from any thread. It is not made again when it
    breaks: the stream then fails with ``StreamError``, and subscribing again starts it from the beginning. An error
    that the server gives a code is a ``ServerError``; the end of the client is a ``ClientClosedError``.

    Observers are called on the client's event loop, each value as it comes; where values must wait, ``aiter`` bounds
    how many.
    """

    def __init__(self, streams: HttpStreams, path: str, headers: Mapping[str, str]) -> None:
        super().__init__()
        self._streams = streams
        self._path = path
        self._headers = dict(headers)

    def __repr__(self) -> str:
        return f"<HttpStream {redact_url(self._path.partition('?')[0])}>"

    def aiter(self, *, max_buffer: int = MAX_BUFFER) -> StreamIterator[T]:
        """Iterate over the stream with ``async for``: one request, and leaving the loop aborts it.

        Args:
            max_buffer: How many values may wait for the loop. With more, or with several of more than 64 MiB together,
                the iteration ends with ``StreamError`` and code ``STREAM_BACKPRESSURE``, and the request is aborted.

        Raises:
            ValueError: ``max_buffer`` is below 1.
        """
        if max_buffer < 1:
            raise ValueError(f"max_buffer is at least 1, not {max_buffer}")
        return StreamIterator(self, max_buffer, self.weigh)

    def weigh(self) -> int:
        """Return how many bytes the value came in that is being given."""
        return self._streams.size

    def _subscribe_core(
        self, observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        return self._streams.run(self._path, self._headers, observer)


class _Run:
    """One request with the one observer that it is made for.

    Attributes:
        give_up: Ends the request before its time.
    """

    def __init__(
        self,
        observer: abc.ObserverBase[Any],
        report: OnError,
        forget: Callable[[_Run], object],
        note_size: Callable[[int], None],
    ) -> None:
        self._note_size = note_size
        self.give_up: Callable[[], object] = lambda: None
        self._observers: Observers[Any] = Observers(report)
        self._observers.attach(observer)
        self._forget = forget
        self._is_over = False

    def tell(self, news: StreamNews) -> None:
        """Tell the observer what came; nobody once it is over."""
        if isinstance(news, Chunk):
            self._note_size(news.size)
            self._observers.next(news.value)
            return
        self._end()
        if news.error is None:
            self._observers.complete()
        else:
            self._observers.error(news.error.copy)

    def fail(self, error: LunoraError) -> None:
        """Give the request up, and tell the observer why."""
        self._end()
        self.give_up()
        self._observers.error(error.copy)

    def leave(self) -> None:
        """Let go of the observer, and give the request up unless it is over."""
        self._observers.take()
        if not self._is_over:
            self._end()
            self.give_up()

    def _end(self) -> None:
        self._is_over = True
        self._forget(self)
