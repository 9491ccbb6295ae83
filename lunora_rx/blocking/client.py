"""The client for programs with no event loop: the asyncio client on a thread of its own."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Mapping, Sized
from typing import Any, Self, TypeVar, overload

from reactivex import Observable
from reactivex.scheduler.eventloop import AsyncIOThreadSafeScheduler

from lunora_rx.blocking.bridge import Bridge, Subscription
from lunora_rx.blocking.calls import Import
from lunora_rx.blocking.loop_thread import LoopThread
from lunora_rx.blocking.observables import BlockingObservable, Latest
from lunora_rx.blocking.recordings import Recording
from lunora_rx.blocking.rows import ReadRows
from lunora_rx.blocking.signatures import shows_parameters_of, takes_what
from lunora_rx.blocking.start import Start
from lunora_rx.blocking.views import Cache, Combined, LiveQuery, PaginatedQuery, Shape, UserObservable
from lunora_rx.client import Args
from lunora_rx.client import LunoraClient as AsyncClient
from lunora_rx.core.events import IdentityChanged
from lunora_rx.core.local_store import LocalStore
from lunora_rx.core.snapshot import Status
from lunora_rx.environment import Counts
from lunora_rx.errors import ClientClosedError
from lunora_rx.functions import ActionRef, Given, MutationRef, PagedQueryRef, QueryRef, ShapeRef, StreamRef, Untyped
from lunora_rx.protocol.preloaded import Preloaded
from lunora_rx.protocol.session_probe import User
from lunora_rx.rx.calls import Call as AsyncCall
from lunora_rx.rx.calls import Slot
from lunora_rx.rx.combined import PATIENCE
from lunora_rx.rx.mutations import MutationSettled, ReplayProgress
from lunora_rx.rx.paginated import PageValue
from lunora_rx.rx.stream import MAX_BUFFER
from lunora_rx.rx.whispers import Whisper

A = TypeVar("A")
T = TypeVar("T")


class LunoraClient:
    """A client of one Lunora deployment, for scripts, threads and frameworks with no event loop.

    Each method takes what the method of ``lunora_rx.LunoraClient`` of the same name takes, and returns the result
    where that one is awaited; ``client.start`` has the calls that are not waited for. Any number of threads may use
    one client at once. Constructing does no I/O; the first use starts one daemon thread, on which everything
    happens, and on which the functions that it is given are called: observers, ``predicate``, ``optimistic``,
    ``optimistic_update``, ``precondition``, ``to_args``, ``ws_token``, ``on_error``. They must not block, and a call
    that waits raises ``RuntimeError`` there.

    Errors are those of the asyncio client, raised where the call stands. Ctrl-C ends a wait at once, gives up a query
    or an action that was waited for, lets a write go on, and leaves the client usable. A thread that runs an event
    loop of its own is held up while it waits, and its loop with it.

    End it with ``with`` or ``close()``. One that is forgotten ends with the last reference to what it gave out, or with
    the program: which does not hang, and keeps what was queued in ``storage``. In a process that was forked from its
    own it raises ``RuntimeError``; make another one there.

    Args:
        url, options: As ``lunora_rx.LunoraClient``, except that there can be no ``session``: an
            ``aiohttp.ClientSession`` belongs to the event loop that it was made on.

    Raises:
        TypeError: An argument is of the wrong type; it is named.
        ValueError: An argument has an unusable value; it is named.
        CodecError: ``connection_context`` cannot be encoded.
    """

    @takes_what(AsyncClient.__init__)
    def __init__(self, *args: Any, **options: Any) -> None:
        if options.get("session") is not None:
            raise ValueError(
                "session: an aiohttp.ClientSession belongs to the event loop that it was made on, and a blocking"
                " client has a loop of its own; leave it out, or use lunora_rx.LunoraClient"
            )
        self._wrap(AsyncClient(*args, **options))

    def _wrap(self, client: AsyncClient) -> None:
        driver = client._driver
        self._client = client
        self._bridge = Bridge(
            LoopThread(client.__aenter__, client.aclose), client._report, last_error=lambda: driver.last_error
        )
        self._start = Start(self._bridge, client)

    def __repr__(self) -> str:
        return f"<blocking {repr(self._client).removeprefix('<')}"

    def __enter__(self) -> Self:
        self._bridge.thread.check_process()
        if self._bridge.thread.is_over:
            raise ClientClosedError("with: the client is closed")
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """End the client: iterations end, calls under way fail, no thread, socket or timer is left.

        Waits for the end; calling it again does nothing.

        Raises:
            RuntimeError: This is the client's own thread, or a forked process.
        """
        self._bridge.thread.close()

    @property
    def start(self) -> Start:
        """The calls, made at once and not waited for: ``client.start.mutation(...)`` returns a handle."""
        return self._start

    @property
    def status(self) -> Latest[Status]:
        """How the client stands with its server, with ``.value``."""
        return Latest(self._bridge, self._client.status)

    @property
    def pending(self) -> Latest[int]:
        """How many writes wait to be sent, with ``.value``."""
        return Latest(self._bridge, self._client.pending)

    @property
    def settled(self) -> BlockingObservable[MutationSettled]:
        """What became of each write that had to wait, once for each."""
        return BlockingObservable(self._bridge, self._client.settled)

    @property
    def replay(self) -> Latest[ReplayProgress]:
        """How far the replay of queued writes has come, with ``.value``."""
        return Latest(self._bridge, self._client.replay)

    @property
    def token_expired(self) -> BlockingObservable[str | None]:
        """What had its credential refused: a shard key for a socket, ``None`` for the bearer of queued writes."""
        return BlockingObservable(self._bridge, self._client.token_expired)

    @property
    def identity_changed(self) -> BlockingObservable[IdentityChanged]:
        """That somebody was replaced by somebody else, or by nobody."""
        return BlockingObservable(self._bridge, self._client.identity_changed)

    @property
    def auth_token_changed(self) -> BlockingObservable[None]:
        """That the bearer of calls is another one; gives ``None``, never the token."""
        return BlockingObservable(self._bridge, self._client.auth_token_changed)

    @property
    def user(self) -> UserObservable:
        """Who is signed in, with ``.value`` and ``.status``; the first who watches has the server asked."""
        return UserObservable(self._bridge, self._client.user)

    @property
    def cache(self) -> Cache:
        """The live queries that somebody watches, for looking."""
        return Cache(self._bridge, self._client.cache)

    @property
    def scheduler(self) -> AsyncIOThreadSafeScheduler:
        """The scheduler for the time operators of ``pipe``, which then run on the client's own thread."""
        return self._bridge.call(lambda: self._client.scheduler)

    @overload
    def live(self, function: QueryRef[None, T], args: None = None, *, shard: str | None = None) -> LiveQuery[T]: ...
    @overload
    def live(
        self, function: QueryRef[A, T], args: Given[A] | Observable[A], *, shard: str | None = None
    ) -> LiveQuery[T]: ...
    @overload
    def live(
        self, function: Untyped, args: Args | Observable[Any] = None, *, shard: str | None = None
    ) -> LiveQuery[Any]: ...
    @shows_parameters_of(AsyncClient.live)
    def live(self, *args: Any, **options: Any) -> LiveQuery[Any]:
        """Return a query as values that change; nothing is sent before the first observer.

        An Observable of arguments may emit on any thread.
        """
        return LiveQuery(self._bridge, self._bridge.call(lambda: self._client.live(*args, **options)))

    @overload
    def query(
        self, function: QueryRef[None, T], args: None = None, *, shard: str | None = None, timeout: float | None = None
    ) -> T: ...
    @overload
    def query(
        self, function: QueryRef[A, T], args: Given[A], *, shard: str | None = None, timeout: float | None = None
    ) -> T: ...
    @overload
    def query(
        self, function: Untyped, args: Args = None, *, shard: str | None = None, timeout: float | None = None
    ) -> Any: ...
    @shows_parameters_of(AsyncClient.query)
    def query(self, *args: Any, **options: Any) -> Any:
        """Ask for a query's value once, over HTTP, and return it.

        Raises:
            RequestTimeout: There was no reply within ``timeout`` seconds, ``request_timeout`` of the client by default.
            LunoraError: The call failed.
        """
        return self._ask("query()", lambda: self._client.query(*args, **options))

    @overload
    def action(
        self, function: ActionRef[None, T], args: None = None, *, shard: str | None = None, timeout: float | None = None
    ) -> T: ...
    @overload
    def action(
        self, function: ActionRef[A, T], args: Given[A], *, shard: str | None = None, timeout: float | None = None
    ) -> T: ...
    @overload
    def action(
        self, function: Untyped, args: Args = None, *, shard: str | None = None, timeout: float | None = None
    ) -> Any: ...
    @shows_parameters_of(AsyncClient.action)
    def action(self, *args: Any, **options: Any) -> Any:
        """Run an action, over HTTP, and return its result; never queued, never repeated. Raises as ``query``."""
        return self._ask("action()", lambda: self._client.action(*args, **options))

    @overload
    def mutation(
        self,
        function: MutationRef[None, T],
        args: None = None,
        *,
        shard: str | None = None,
        mutation_id: str | None = None,
        optimistic: Callable[[Any], Any] | None = None,
        optimistic_update: Callable[[LocalStore, Any], None] | None = None,
        precondition: Callable[[], bool] | None = None,
        timeout: float | None = None,
    ) -> T: ...
    @overload
    def mutation(
        self,
        function: MutationRef[A, T],
        args: Given[A],
        *,
        shard: str | None = None,
        mutation_id: str | None = None,
        optimistic: Callable[[Any], Any] | None = None,
        optimistic_update: Callable[[LocalStore, A], None] | None = None,
        precondition: Callable[[], bool] | None = None,
        timeout: float | None = None,
    ) -> T: ...
    @overload
    def mutation(
        self,
        function: Untyped,
        args: Args = None,
        *,
        shard: str | None = None,
        mutation_id: str | None = None,
        optimistic: Callable[[Any], Any] | None = None,
        optimistic_update: Callable[[LocalStore, Any], None] | None = None,
        precondition: Callable[[], bool] | None = None,
        timeout: float | None = None,
    ) -> Any: ...
    @shows_parameters_of(AsyncClient.mutation)
    def mutation(self, *args: Any, **options: Any) -> Any:
        """Write, wait for the verdict, and return the result.

        While the connection is down the write is queued, and the wait ends after ``timeout`` seconds all the same,
        ``request_timeout`` of the client by default. ``client.start.mutation`` writes without waiting.

        Raises:
            RequestTimeout: There is no verdict yet, or no reply came to a direct send. A write that has no verdict goes
                on: ``data`` holds its ``mutation_id`` and ``phase``.
            LunoraError: The write was rejected.
        """
        self._bridge.thread.check_can_wait("mutation()")
        timeout = options.get("timeout")
        write = self._start.mutation(*args, **options)
        return write.verdict(self._client._request_timeout if timeout is None else timeout)

    @overload
    def combine(self, members: Mapping[str, LiveQuery[T]], *, patience: float = PATIENCE) -> Combined[T]: ...
    @overload
    def combine(
        self, members: Mapping[str, BlockingObservable[Any]], *, patience: float = PATIENCE
    ) -> Combined[Any]: ...
    def combine(self, members: Mapping[str, BlockingObservable[Any]], *, patience: float = PATIENCE) -> Combined[Any]:
        """Return several live queries, or whatever else of this client is observed, as one consistent dict.

        As ``lunora_rx.LunoraClient.combine``, of what this client gave.
        """
        inner: Mapping[str, Any] = {name: getattr(each, "observable", each) for name, each in members.items()}
        return Combined(self._bridge, self._bridge.call(lambda: self._client.combine(inner, patience=patience)))

    @takes_what(AsyncClient.batch)
    def batch(self, *args: Any, **options: Any) -> list[Slot]:
        """Make several calls in one round trip, and return one ``Ok`` or ``Failed`` for each, in order."""
        slots: list[Slot] = self._ask("batch()", lambda: self._client.batch(*args, **options))
        return slots

    @overload
    def paginate(
        self,
        function: PagedQueryRef[Any, PageValue[T], None],
        args: None = None,
        *,
        page_size: int = 50,
        shard: str | None = None,
    ) -> PaginatedQuery[T]: ...
    @overload
    def paginate(
        self,
        function: PagedQueryRef[Any, PageValue[T], A],
        args: Given[A],
        *,
        page_size: int = 50,
        shard: str | None = None,
    ) -> PaginatedQuery[T]: ...
    @overload
    def paginate(
        self, function: Untyped, args: Args = None, *, page_size: int = 50, shard: str | None = None
    ) -> PaginatedQuery[Any]: ...
    @shows_parameters_of(AsyncClient.paginate)
    def paginate(self, *args: Any, **options: Any) -> PaginatedQuery[Any]:
        """Return a paginated query as one growing list that changes; nothing is sent before the first observer."""
        return PaginatedQuery(self._bridge, self._bridge.call(lambda: self._client.paginate(*args, **options)))

    @overload
    def shape(self, name: ShapeRef[None, T], args: None = None, *, shard: str | None = None) -> Shape[T]: ...
    @overload
    def shape(self, name: ShapeRef[A, T], args: Given[A], *, shard: str | None = None) -> Shape[T]: ...
    @overload
    def shape(self, name: Untyped, args: Args = None, *, shard: str | None = None) -> Shape[Any]: ...
    @shows_parameters_of(AsyncClient.shape)
    def shape(self, *args: Any, **options: Any) -> Shape[Any]:
        """Return a shape as rows that change; nothing is sent before the first observer."""
        return Shape(self._bridge, self._bridge.call(lambda: self._client.shape(*args, **options)))

    @overload
    def stream(
        self,
        function: StreamRef[None, T],
        args: None = None,
        *,
        shard: str | None = None,
        durable: bool = False,
        max_buffer: int = MAX_BUFFER,
    ) -> BlockingObservable[T]: ...
    @overload
    def stream(
        self,
        function: StreamRef[A, T],
        args: Given[A],
        *,
        shard: str | None = None,
        durable: bool = False,
        max_buffer: int = MAX_BUFFER,
    ) -> BlockingObservable[T]: ...
    @overload
    def stream(
        self,
        function: Untyped,
        args: Args = None,
        *,
        shard: str | None = None,
        durable: bool = False,
        max_buffer: int = MAX_BUFFER,
    ) -> BlockingObservable[Any]: ...
    @shows_parameters_of(AsyncClient.stream)
    def stream(self, *args: Any, **options: Any) -> BlockingObservable[Any]:
        """Return a streaming procedure: each iteration is one run, and leaving it cancels the run.

        An iteration that falls more than ``max_buffer`` chunks behind, or several of more than 64 MiB together, fails
        with ``STREAM_BACKPRESSURE``.
        """
        source = self._bridge.call(lambda: self._client.stream(*args, **options))
        limit = options.get("max_buffer", MAX_BUFFER)
        return BlockingObservable(self._bridge, source, max_buffer=limit, weigh=source.weigh)

    @takes_what(AsyncClient.http_stream)
    def http_stream(self, *args: Any, **options: Any) -> BlockingObservable[Any]:
        """Return what a streaming route sends: each iteration is one request, and leaving it aborts the request."""
        source = self._bridge.call(lambda: self._client.http_stream(*args, **options))
        return BlockingObservable(self._bridge, source, weigh=source.weigh)

    @overload
    def preload(
        self, function: QueryRef[None, T], args: None = None, *, shard: str | None = None, timeout: float | None = None
    ) -> Preloaded[T]: ...
    @overload
    def preload(
        self, function: QueryRef[A, T], args: Given[A], *, shard: str | None = None, timeout: float | None = None
    ) -> Preloaded[T]: ...
    @overload
    def preload(
        self, function: Untyped, args: Args = None, *, shard: str | None = None, timeout: float | None = None
    ) -> Preloaded[Any]: ...
    @shows_parameters_of(AsyncClient.preload)
    def preload(self, *args: Any, **options: Any) -> Preloaded[Any]:
        """Ask for a query's value once, for somebody else to show first with ``hydrate``. Raises as ``query``."""
        preloaded: Preloaded[Any] = self._ask("preload()", lambda: self._client.preload(*args, **options))
        return preloaded

    @shows_parameters_of(AsyncClient.hydrate)
    def hydrate(self, preloaded: Preloaded[T] | str) -> LiveQuery[T]:
        """Return the live query of a preloaded value, which shows it, as ``stale``, until the server answers."""
        return LiveQuery(self._bridge, self._bridge.call(lambda: self._client.hydrate(preloaded)))

    @takes_what(AsyncClient.import_rows)
    def import_rows(self, function: Any, rows: Any, **options: Any) -> Import:
        """Write many rows, a chunk after another; it starts at once, and iterating shows how far it has come.

        ``result()`` waits for the end. An iterable that does not know its length, such as a generator, is read on a
        thread of its own, a chunk at a time, and may block.
        """
        if isinstance(rows, Iterable) and not isinstance(rows, Sized | AsyncIterable):
            size = options.get("chunk_size")
            rows = ReadRows(rows, size if isinstance(size, int) and size > 0 else 500)
        started = self._bridge.call(lambda: self._client.import_rows(function, rows, **options))
        return Import(self._bridge, started)

    @takes_what(AsyncClient.whispers)
    def whispers(self, *args: Any, **options: Any) -> BlockingObservable[Whisper]:
        """Return what other clients tell a topic while one iterates or is subscribed; best effort."""
        return BlockingObservable(self._bridge, self._bridge.call(lambda: self._client.whispers(*args, **options)))

    @takes_what(AsyncClient.whisper)
    def whisper(self, *args: Any, **options: Any) -> None:
        """Tell the other clients of a topic something; without an open socket it is dropped, and one is opened."""
        self._bridge.call(lambda: self._client.whisper(*args, **options))

    @takes_what(AsyncClient.presence)
    def presence(self, *args: Any, **options: Any) -> Subscription:
        """Say something of this client to the server for as long as it is held; a context manager too."""
        return Subscription(self._bridge, lambda: self._client.presence(*args, **options))

    @takes_what(AsyncClient.set_auth_token)
    def set_auth_token(self, *args: Any, **options: Any) -> None:
        """Use another bearer for HTTP calls from now on; sockets are not touched."""
        self._bridge.call(lambda: self._client.set_auth_token(*args, **options))

    @takes_what(AsyncClient.set_ws_token)
    def set_ws_token(self, *args: Any, **options: Any) -> None:
        """Use another token for sockets; an identical one changes nothing, another one reopens them."""
        self._bridge.call(lambda: self._client.set_ws_token(*args, **options))

    def current_user(self) -> User | None:
        """Ask the server who is signed in, and return the ``User``, or ``None`` for nobody and where it cannot say.

        Raises:
            TransportError: The server cannot be reached.
            ProtocolError: Its answer cannot be read.
        """
        user: User | None = self._ask("current_user()", self._client.current_user)
        return user

    @takes_what(AsyncClient.record)
    def record(self, *args: Any, **options: Any) -> Recording:
        """Write what passes between this client and its server to a file until it is closed; ``replay`` plays it.

        ``close()`` waits until all of it is in the file; so does the end of a ``with`` block. Raises as
        ``lunora_rx.LunoraClient.record``.
        """
        return Recording(self._bridge, lambda: self._client.record(*args, **options))

    @takes_what(AsyncClient.tap)
    def tap(self, *args: Any, **options: Any) -> Subscription:
        """Let somebody look on, whose methods the client's own thread calls; disposing ends it. See ``Tap``."""
        return Subscription(self._bridge, lambda: self._client.tap(*args, **options))

    def counts(self) -> Counts:
        """Return how much there is of what a client holds; cheap, and does not wait for the client's own thread."""
        return self._client.counts()

    def debug(self) -> dict[str, Any]:
        """Return what a bug report needs, as plain values; tokens are not among them."""
        return self._bridge.call(self._client.debug)

    def _ask(self, what: str, make: Callable[[], AsyncCall[Any]]) -> Any:
        return self._bridge.ask(make, what=what, give_up=AsyncCall.cancel)
