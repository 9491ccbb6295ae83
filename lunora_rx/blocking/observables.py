"""Observables for programs with no event loop: iterated over, subscribed to and waited for on any thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from typing import Any, ClassVar, Generic, Self, TypeVar

from reactivex import Observable, abc
from reactivex import operators as ops
from reactivex.disposable import SerialDisposable
from reactivex.internal import SequenceContainsNoElementsError

from lunora_rx.arguments import check_count, check_seconds
from lunora_rx.blocking.bridge import Bridge, Subscription
from lunora_rx.blocking.mailbox import Mailbox
from lunora_rx.blocking.relay import Courier, Relay
from lunora_rx.errors import ClientClosedError
from lunora_rx.rx.interop import FirstValue
from lunora_rx.rx.stream import MAX_BUFFER
from lunora_rx.rx.subject import Latest as AsyncLatest

T = TypeVar("T")


class BlockingObservable(Generic[T]):
    """Values over time, for any thread.

    Iterating subscribes anew, so each ``for`` sees all that an observer would, and any number of threads may iterate
    at once. Values are shared with all other observers: treat them as read-only.

    Args:
        bridge: The way to the loop.
        source: What observers watch, on the loop.
        max_buffer: How many values may wait for an iteration that does not conflate.
        weigh: Returns the size of a value that is being given, on the loop.
    """

    conflates: ClassVar[bool] = False
    """Whether ``for`` gets the newest value only, unless it says otherwise."""

    def __init__(
        self, bridge: Bridge, source: Observable[T], *, max_buffer: int = MAX_BUFFER, weigh: Callable[[], int] = int
    ) -> None:
        self._bridge = bridge
        self._source = source
        self._weigh = weigh
        self._max_buffer = max_buffer

    def __repr__(self) -> str:
        return f"<blocking {self._source!r}>"

    @property
    def observable(self) -> Observable[T]:
        """The Observable itself, to be used on the client's own thread only, as where ``flat_map`` returns one."""
        return self._source

    def __iter__(self) -> ValueIterator[T]:
        return self.iter()

    def iter(
        self, *, timeout: float | None = None, conflate: bool | None = None, max_buffer: int | None = None
    ) -> ValueIterator[T]:
        """Subscribe, and return an iterator over the values.

        The subscription begins here, not with the first ``next``, and ends with the iterator.

        Args:
            timeout: Seconds that each ``next`` waits at most before it raises ``TimeoutError``; the iterator may be
                asked again.
            conflate: Whether a slow loop sees the newest value only. Without it every value is kept, up to
                ``max_buffer``; a loop that is further behind gets a ``StreamError`` with code
                ``STREAM_BACKPRESSURE``, and the subscription ends at once. By default what shows a state conflates,
                and what tells of events does not.
            max_buffer: How many values may wait; 1,024 by default.

        Raises:
            TypeError, ValueError: An argument is of the wrong type, or not above 0.
            RuntimeError: This process was forked from that of the client.
        """
        limit = self._max_buffer if max_buffer is None else check_count(max_buffer, "max_buffer", of="values")
        seconds = None if timeout is None else check_seconds(timeout, "timeout")
        conflates = self._conflation(conflate)
        return ValueIterator(self._bridge, self._source, limit, conflate=conflates, timeout=seconds, weigh=self._weigh)

    def subscribe(
        self,
        on_next: Callable[[T], object] | abc.ObserverBase[T] | None = None,
        on_error: Callable[[Exception], object] | None = None,
        on_completed: Callable[[], object] | None = None,
        *,
        executor: Executor | None = None,
        conflate: bool | None = None,
        scheduler: abc.SchedulerBase | None = None,
    ) -> Subscription:
        """Have functions called with the values, the error and the end.

        Args:
            on_next: Takes each value; or an observer, with its three methods.
            on_error: Takes the error that ends it; by default it is reported as an observer's.
            on_completed: Called at the end.
            executor: Calls them, one at a time and in order. Without one the client's own thread does, which must not
                be held up: no call of the client that waits is allowed there, and all else of it waits meanwhile.
            conflate: Whether an executor that is busy gets the newest value only; by default as ``iter``.
            scheduler: As RxPY's operators give it to their sources, of which this may be one.

        Returns:
            What ends it; a context manager too. Until then the functions keep the client alive.
        """
        if isinstance(on_next, abc.ObserverBase):
            observer: abc.ObserverBase[T] = on_next
            on_next, on_error, on_completed = observer.on_next, observer.on_error, observer.on_completed
        courier = None
        if executor is not None:
            courier = Courier(executor, self._bridge.report, conflate=self._conflation(conflate))
        relay = Relay(self._bridge, courier, on_next, on_error, on_completed)
        return Subscription(self._bridge, lambda: relay.watch(self._source, scheduler))

    def pipe(self, *operators: Callable[[Any], Any]) -> BlockingObservable[Any]:
        """Apply RxPY operators, which run on the client's own thread; time operators take ``client.scheduler``.

        What operators take as further sources may be of this client: ``tasks.pipe(join(users, on="_id"))``.
        """
        piped = self._bridge.call(lambda: self._source.pipe(*operators))
        result: BlockingObservable[Any] = BlockingObservable(self._bridge, piped, max_buffer=self._max_buffer)
        return result

    def map(self, mapper: Callable[[T], Any]) -> BlockingObservable[Any]:
        """Make another value of each, on the client's own thread: ``pipe(ops.map(mapper))``."""
        return self.pipe(ops.map(mapper))

    def filter(self, predicate: Callable[[T], bool]) -> BlockingObservable[T]:
        """Leave out values, as the client's own thread decides: ``pipe(ops.filter(predicate))``."""
        return self.pipe(ops.filter(predicate))

    def first(self, predicate: Callable[[T], bool] | None = None, *, timeout: float | None = None) -> T:
        """Wait for the first value (that satisfies ``predicate``, which the client's own thread calls).

        Raises:
            TimeoutError: There was none within ``timeout`` seconds; it says why there is no connection, if there is
                none.
            ServerError: The query failed before.
            ClientClosedError: The client was closed before.
            SequenceContainsNoElementsError: It ended before, as a stream may (``reactivex.internal``).
            TypeError: ``predicate`` is no function.
        """
        title = f"the first value of {self._source!r}"
        thread = self._bridge.thread

        def ended() -> Exception:
            if thread.is_ending:
                return ClientClosedError("the client was closed before the first value came")
            return SequenceContainsNoElementsError(f"{title}: it ended without one")

        value: T = self._bridge.ask(lambda: FirstValue(self._source, predicate, ended), what=title, timeout=timeout)
        return value

    def _conflation(self, conflate: bool | None) -> bool:
        return self.conflates if conflate is None else bool(conflate)


class ShownObservable(BlockingObservable[T]):
    """A state that is shown, latest value first: iterating gives the newest."""

    conflates = True


class Latest(ShownObservable[T]):
    """A value that changes, with the present one at hand."""

    def __init__(self, bridge: Bridge, latest: AsyncLatest[T]) -> None:
        super().__init__(bridge, latest)
        self._latest = latest

    @property
    def value(self) -> T:
        """The value now."""
        return self._bridge.call(lambda: self._latest.value)


class ValueIterator(Iterator[T]):
    """What ``for`` takes from an Observable: subscribed from its making to its end, ``close`` or last reference.

    Args:
        bridge: The way to the loop.
        source: What it watches.
        limit: How many values may wait.
        conflate: Whether the newest value takes the place of all that wait.
        timeout: Seconds that each ``next`` waits at most.
        weigh: Returns the size of a value that is being given, on the loop.
    """

    def __init__(
        self,
        bridge: Bridge,
        source: Observable[T],
        limit: int,
        *,
        conflate: bool,
        timeout: float | None,
        weigh: Callable[[], int],
    ) -> None:
        self._bridge = bridge
        self._timeout = timeout
        # What the source calls does not hold on to this object, whose end is the end of the subscription.
        self._handle = handle = SerialDisposable()
        self._mailbox = mailbox = Mailbox[T](
            limit, conflate=conflate, on_overflow=handle.dispose, weigh=weigh, reason=bridge.reason
        )

        def start() -> None:
            handle.disposable = source.subscribe(mailbox.put, mailbox.finish, mailbox.finish)

        bridge.call(start)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        self._bridge.thread.check_can_wait("iterating")
        return self._mailbox.take(self._timeout)

    def close(self) -> None:
        """Let go of the source; the iteration is over, also for a thread that waits."""
        self._bridge.thread.post(self._handle.dispose)
        self._mailbox.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __del__(self) -> None:
        bridge = getattr(self, "_bridge", None)
        if bridge is not None and not bridge.thread.is_foreign:
            bridge.thread.post(self._handle.dispose)
