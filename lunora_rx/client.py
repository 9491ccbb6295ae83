"""The client: wiring and public methods, no decisions."""

from __future__ import annotations

import logging
import os
import random
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeAlias, TypeVar, overload
from weakref import WeakSet

import aiohttp
from reactivex import Observable
from reactivex.abc import DisposableBase
from reactivex.disposable import Disposable
from reactivex.scheduler.eventloop import AsyncIOThreadSafeScheduler

from lunora_rx.arguments import (
    check_bookmarks,
    check_callable,
    check_count,
    check_header_text,
    check_instance,
    check_number,
    check_path,
    check_seconds,
    check_shard,
    check_subject,
    check_tap,
    check_text,
    check_token,
    check_token_provider,
    check_topic,
    encode_args,
    encode_context,
    show_url,
)
from lunora_rx.core.backoff import Backoff
from lunora_rx.core.connection import Timing
from lunora_rx.core.events import (
    AuthTokenChanged,
    BatchSettled,
    BookmarkChanged,
    CallSettled,
    CredentialRefused,
    IdentityChanged,
    IdentityDisputed,
    MutationQueued,
    MutationSent,
    PendingChanged,
    QueryFailed,
    ReplayProgressed,
    SnapshotChanged,
    StatusChanged,
    SubscriptionClosed,
    TokenExpired,
    TransformFailed,
    UserHeard,
    UserStateChanged,
    ValueChanged,
    ValuesRevoked,
    WhisperDropped,
    WhisperReceived,
)
from lunora_rx.core.events import MutationSettled as MutationSettledEvent
from lunora_rx.core.identity import KEEP, Keep
from lunora_rx.core.local_store import LocalStore
from lunora_rx.core.multiplexer import CoreOptions, Multiplexer
from lunora_rx.core.patches import Composition
from lunora_rx.core.polling import Polling
from lunora_rx.core.preloads import Preload
from lunora_rx.core.shape_events import RowsChanged, ShapeFailed, ShapeMoved
from lunora_rx.core.snapshot import Status
from lunora_rx.core.stream_events import StreamChunk, StreamEnded, StreamFailed
from lunora_rx.core.writes import WriteOptions
from lunora_rx.driver import Driver, TokenProvider
from lunora_rx.environment import Counts, describe_environment
from lunora_rx.errors import ClientClosedError, LunoraError, ServerError, StorageError
from lunora_rx.functions import (
    ActionRef,
    Function,
    Given,
    MutationRef,
    PagedQueryRef,
    QueryRef,
    ShapeRef,
    StreamRef,
    Untyped,
    any_path,
    function_path,
)
from lunora_rx.interfaces import BookmarkStore, Tap, Transport
from lunora_rx.logs import with_logs
from lunora_rx.protocol.endpoints import check_origin, check_ws_url, websocket_base
from lunora_rx.protocol.http_stream import build_stream_path, check_stream_headers
from lunora_rx.protocol.preloaded import Preloaded
from lunora_rx.protocol.rpc import MAX_BATCH_ENTRIES, UNBATCHABLE_PREFIXES, Accepted, Outcome, Refused, RpcCall
from lunora_rx.protocol.session_probe import User
from lunora_rx.protocol.values import UNDEFINED
from lunora_rx.protocol.wire import decode_wire, encode_wire
from lunora_rx.rx.cache import Query, SharedCache
from lunora_rx.rx.calls import Call, Failed, Mutation, Ok, Slot, result_of
from lunora_rx.rx.combined import PATIENCE, Combinations, Combined
from lunora_rx.rx.display import Health
from lunora_rx.rx.following import FollowingSource
from lunora_rx.rx.http_stream import HttpStream, HttpStreams
from lunora_rx.rx.importing import QUEUED_CHUNKS, Import, Rows
from lunora_rx.rx.live_query import CachedSource, LiveQuery
from lunora_rx.rx.mutations import Mutations, MutationSettled, ReplayProgress
from lunora_rx.rx.observers import DebugReport, reporter
from lunora_rx.rx.paginated import PAGE_OPTIONS, PagedSource, PageValue, PaginatedQuery
from lunora_rx.rx.patching import inspected_transform, inspected_update
from lunora_rx.rx.preloading import PreloadCall, PreloadedSource
from lunora_rx.rx.shape import Shape, Shapes
from lunora_rx.rx.stream import MAX_BUFFER, Procedure, Runs, Stream
from lunora_rx.rx.subject import Latest, Signal, once
from lunora_rx.rx.user import UserObservable
from lunora_rx.rx.whispers import Whisper, Whispers
from lunora_rx.streaming import StreamLimits
from lunora_rx.tapped_calls import TappedCalls
from lunora_rx.transport.aiohttp_transport import AiohttpTransport

if TYPE_CHECKING:
    from lunora_rx.recorder import Recording
    from lunora_rx.storage import Storage, StorageWorker

A = TypeVar("A")
T = TypeVar("T")
Args: TypeAlias = Mapping[str, Any] | None

_storage_log = logging.getLogger("lunora_rx.storage")
_observer_log = logging.getLogger("lunora_rx.observers")
_MAX_SIZE = 64 * 2**20
_BACKOFF = Backoff()
_POLLING = Polling()


class LunoraClient:
    """A client of one Lunora deployment.

    Constructing does no I/O of its own and needs no running loop; the client binds to the loop of its first
    use. End it with ``async with`` or ``await client.aclose()``.

    Args:
        url: Where the deployment is, such as ``"https://app.example.workers.dev"``.
        ws_url: The WebSocket URL, where it does not follow from ``url``.
        auth_token: Bearer for HTTP calls.
        auth_subject: The stable, non-secret id of the user behind it, ``None`` for nobody.
        auth_base_path: Where on the server the session probe asks, for ``user`` and ``current_user``.
        cookie_auth: Whether ``session`` carries a cookie that authenticates instead of a bearer. Without it, and
            without a ``session``, cookies that the server sets are not kept.
        ws_token: Token for sockets: a string, or a sync or async callable asked before every connect.
        client_id: Who this client is, for idempotent writes; random by default, and kept in ``storage``.
        reconnect: Delays between attempts to connect.
        heartbeat_interval: Seconds between pings; 0 or less switches pings and the liveness check off.
        connect_timeout: Seconds for a WebSocket to open; 0 or less for no limit.
        request_timeout: Seconds for a call, unless the call says otherwise.
        bookmarks: Where the session's database bookmark is kept; in memory by default. It is read here, at once.
        queue_limit: How many writes may wait while the connection is down; the oldest gives way.
        queue_before_first_connect: Whether writes wait also before the first connection ever was open; by default
            they do if there is ``storage``.
        storage: Where queued writes and last values outlive the process: a directory, made if need be, or a
            ``Storage`` of one's own. Several processes may share a directory.
        on_storage_error: Takes each ``StorageError``; by default they are logged. What cannot be stored goes on in
            memory.
        storage_version: Version of the application; what another one has stored is dropped, and reported.
        polling: How to do without WebSockets, where none can be had; ``None`` never does.
        max_frame_size: Bytes of the largest frame taken, and of the largest event of an HTTP stream.
        max_body_size: Bytes of the largest reply taken.
        stream_read_timeout: Seconds that the body of an HTTP stream may keep still.
        linger: Seconds that a live query outlives its last observer.
        connection_context: Sent with every ``connect`` frame; any value that the wire can carry.
        on_error: Takes exceptions that observers and optimistic transforms raise; by default they are logged.
        session: An ``aiohttp.ClientSession`` to use and not to close.
        transport: Reaches the server instead of aiohttp, for tests.
        debug: Whether to find observers that change values they share, and calls from another thread than the
            loop's, at the cost of two walks over each value an observer.

    Raises:
        TypeError: An argument is of the wrong type; it is named.
        ValueError: An argument has an unusable value; it is named.
        CodecError: ``connection_context`` cannot be encoded.
    """

    def __init__(
        self,
        url: str,
        *,
        ws_url: str | None = None,
        auth_token: str | None = None,
        auth_subject: str | Keep | None = KEEP,
        auth_base_path: str = "/api/auth",
        cookie_auth: bool = False,
        ws_token: TokenProvider = None,
        client_id: str | None = None,
        reconnect: Backoff = _BACKOFF,
        heartbeat_interval: float = 30.0,
        connect_timeout: float = 10.0,
        request_timeout: float = 30.0,
        bookmarks: BookmarkStore | None = None,
        queue_limit: int = 1000,
        queue_before_first_connect: bool | None = None,
        storage: str | os.PathLike[str] | Storage | None = None,
        on_storage_error: Callable[[StorageError], None] | None = None,
        storage_version: str | None = None,
        polling: Polling | None = _POLLING,
        max_frame_size: int = _MAX_SIZE,
        max_body_size: int = _MAX_SIZE,
        stream_read_timeout: float = 120.0,
        linger: float = 0.0,
        connection_context: Any = UNDEFINED,
        on_error: Callable[[Exception], None] | None = None,
        session: aiohttp.ClientSession | None = None,
        transport: Transport | None = None,
        debug: bool = False,
    ) -> None:
        origin = check_origin(url)
        self._origin = origin
        self._last_storage_error = ""
        self._last_failure: str | None = None
        self._request_timeout = check_seconds(request_timeout, "request_timeout")
        on_error = check_callable(on_error, "on_error")
        self._on_storage_error = check_callable(on_storage_error, "on_storage_error")
        stores = _storage_of(storage, self._tell_storage_error)
        has_storage = stores is not None
        given_id = None if client_id is None else check_header_text(client_id, "client_id")
        core = Multiplexer(
            CoreOptions(
                client_id=given_id or ("" if has_storage else _new_client_id()),
                timing=Timing(
                    check_number(connect_timeout, "connect_timeout"),
                    check_number(heartbeat_interval, "heartbeat_interval"),
                ),
                backoff=check_instance(reconnect, Backoff, "reconnect"),
                linger=check_number(linger, "linger"),
                context=encode_context(connection_context),
                polling=None if polling is None else check_instance(polling, Polling, "polling"),
                auth_base_path=check_path(auth_base_path, "auth_base_path"),
                cookie_origin=origin if cookie_auth else None,
                writes=WriteOptions(
                    queue_limit=check_count(queue_limit, "queue_limit", of="writes"),
                    queues_before_first_connect=(
                        has_storage if queue_before_first_connect is None else bool(queue_before_first_connect)
                    ),
                    is_durable=has_storage,
                    version=None if storage_version is None else check_text(storage_version, "storage_version"),
                    is_cookie_session=cookie_auth,
                    timeout=self._request_timeout,
                ),
            ),
            random.random,
        )
        core.set_auth_token(check_token(auth_token, "auth_token"), check_subject(auth_subject, "auth_subject"), 0.0)
        core.events.clear()  # who it is from the start is no change
        self._bookmarks = bookmarks
        if bookmarks is not None:
            core.calls.bookmark = check_bookmarks(bookmarks, "bookmarks").get()
        self._driver = Driver(
            core,
            transport
            or AiohttpTransport(
                None if session is None else check_instance(session, aiohttp.ClientSession, "session"),
                max_frame_size=check_count(max_frame_size, "max_frame_size", of="bytes"),
                max_body_size=check_count(max_body_size, "max_body_size", of="bytes"),
                keeps_cookies=cookie_auth,
            ),
            origin=origin,
            ws_base=websocket_base(origin) if ws_url is None else check_ws_url(ws_url),
            ws_token=check_token_provider(ws_token, "ws_token"),
            stream_limits=StreamLimits(
                self._request_timeout,
                check_seconds(stream_read_timeout, "stream_read_timeout"),
                check_count(max_frame_size, "max_frame_size", of="bytes"),
            ),
            open_storage=None if stores is None else partial(_open_worker, stores),
            on_storage_error=self._report_storage_error,
            on_storage_works=self._note_storage_works,
            new_client_id=_new_client_id,
            checks_thread=debug,
            on_tap_error=reporter(on_error, "a tap"),
        )
        report = reporter(on_error, "an observer")
        if debug:
            report = DebugReport(report, self._driver.check_thread)
        self._report = report
        self._cache = SharedCache(
            self._driver,
            report,
            path_of=partial(function_path, kind="query", method="cache.get()"),
        )
        self._status = Latest(Status.IDLE, report, title="client.status")
        self._mutations = Mutations(report, reporter(on_error, "an optimistic transform"), is_durable=has_storage)
        self._health = Health(self._status, self._mutations.pending)
        self._health.show_beside_itself()
        self._shapes = Shapes(self._driver, report, health=self._health)
        self._whispers = Whispers(self._driver, report)
        self._http_streams = HttpStreams(self._driver, report)
        self._combinations = Combinations(self._driver, report)
        self._runs = Runs(self._driver, report)
        self._token_expired: Signal[str | None] = Signal(report)
        self._identity_changed: Signal[IdentityChanged] = Signal(report)
        self._auth_token_changed: Signal[None] = Signal(report)
        self._user = UserObservable(self._resolve_user, report)
        self._user_calls: list[Call[User | None]] = []
        self._calls: dict[int, Call[Any]] = {}
        self._imports: WeakSet[Import] = WeakSet()
        self._recording: Recording | None = None
        self._queue_limit = queue_limit
        self._inspects = debug
        self._driver.publish_to(with_logs(self._handlers()))
        self._tapped = TappedCalls(self._driver, self._cache.find)

    def __repr__(self) -> str:
        closed = "closed" if self._driver.is_closed else str(self._status.value)
        counts = f"{len(self._cache)} live, {len(self._calls)} calls"
        if self._mutations:
            counts += f", {len(self._mutations)} writes"
        return f"<LunoraClient {show_url(self._origin)} {closed}, {counts}>"

    async def __aenter__(self) -> Self:
        self._driver.enter("async with")
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the client: observables complete, calls under way fail, no task, socket or timer is left.

        Calling it again waits for the same end, and does nothing after it.

        Raises:
            RuntimeError: The running loop is not the client's; nothing was ended.
        """
        if self._driver.is_over:
            return
        self._driver.check_loop("aclose()")
        if self._recording is not None:
            self._recording.end()
        for each in tuple(self._imports):
            each.close()
        self._cache.complete()
        self._whispers.complete()
        self._http_streams.close()
        self._shapes.complete()
        try:
            await self._driver.aclose()
        finally:
            if self._recording is not None:
                await self._recording.aclose()
            self._mutations.close()
            calls, self._user_calls = self._user_calls, []
            for call in calls:
                call.settle(ClientClosedError("the client was closed while the call was under way"))
            self._combinations.complete()
            self._status.complete()
            for signal in (self._token_expired, self._identity_changed, self._auth_token_changed, self._user):
                signal.complete()

    @property
    def status(self) -> Latest[Status]:
        """How the client stands with its server, as an Observable with ``.value``."""
        return self._status

    @property
    def pending(self) -> Latest[int]:
        """How many writes wait to be sent, as an Observable with ``.value``."""
        return self._mutations.pending

    @property
    def settled(self) -> Observable[MutationSettled]:
        """What became of each write that had to wait, once for each."""
        return self._mutations.settled

    @property
    def replay(self) -> Latest[ReplayProgress]:
        """How far the replay of queued writes has come, as an Observable with ``.value``, for a progress bar."""
        return self._mutations.progress

    @property
    def token_expired(self) -> Observable[str | None]:
        """What had its credential refused: a shard key for a socket, ``None`` for the bearer of queued writes."""
        return self._token_expired

    @property
    def identity_changed(self) -> Observable[IdentityChanged]:
        """That somebody was replaced by somebody else, or by nobody: with the new ``subject``, if it is known.

        Values of live queries are gone by then, and come anew; writes of the former user are rejected, or held
        while nobody is signed in.
        """
        return self._identity_changed

    @property
    def auth_token_changed(self) -> Observable[None]:
        """That the bearer of calls is another one; emits ``None``, never the token."""
        return self._auth_token_changed

    @property
    def user(self) -> UserObservable:
        """Who is signed in, as an Observable with ``.value`` and ``.status``; its first observer asks the server.

        All observers share one answer. It is asked for anew when the token changes, and when the server is back
        after it could not be reached.
        """
        return self._user

    @property
    def cache(self) -> SharedCache:
        """The live queries that somebody watches, for looking."""
        return self._cache

    @property
    def scheduler(self) -> AsyncIOThreadSafeScheduler:
        """The scheduler to pass to time operators, so that they run on the client's loop and start no thread."""
        if self._driver.loop is None:
            self._driver.enter("client.scheduler")
        assert self._driver.loop is not None
        return AsyncIOThreadSafeScheduler(self._driver.loop)

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
    def live(self, function: Function, args: Any = None, *, shard: str | None = None) -> LiveQuery[Any]:
        """Return a query as a hot Observable of its values; nothing is sent before the first observer.

        Args:
            function: The query.
            args: Its arguments, or an Observable of them: then the query follows the latest, and the last value
                stays until the next arrives.
            shard: The shard key; the default shard without one.

        Raises:
            TypeError: ``function`` is no query, or ``args`` no dict.
            CodecError: An argument cannot be encoded; ``path`` says where.
            ClientClosedError: The client is closed.
        """
        self._driver.check_open("live()")
        path = function_path(function, kind="query", method="live()")
        name = check_shard(shard)

        def query_of(each: Any) -> Query:
            return Query(path, encode_args(each, f"live({path!r})"), name)

        if isinstance(args, Observable):
            return LiveQuery(FollowingSource(self._cache, repr(path), args, query_of), self._health)
        return LiveQuery(CachedSource(self._cache, query_of(args)), self._health)

    @overload
    def query(
        self, function: QueryRef[None, T], args: None = None, *, shard: str | None = None, timeout: float | None = None
    ) -> Call[T]: ...
    @overload
    def query(
        self, function: QueryRef[A, T], args: Given[A], *, shard: str | None = None, timeout: float | None = None
    ) -> Call[T]: ...
    @overload
    def query(
        self, function: Untyped, args: Args = None, *, shard: str | None = None, timeout: float | None = None
    ) -> Call[Any]: ...
    def query(
        self, function: Function, args: Any = None, *, shard: str | None = None, timeout: float | None = None
    ) -> Call[Any]:
        """Ask for a query's value once, over HTTP; the call is made at once.

        Args:
            function: The query.
            args: Its arguments.
            shard: The shard key; the default shard without one.
            timeout: Seconds; ``request_timeout`` of the client without one.

        Raises:
            TypeError, CodecError, ClientClosedError: As ``live``.
        """
        return self._call("query", function, args, shard, timeout)

    @overload
    def action(
        self, function: ActionRef[None, T], args: None = None, *, shard: str | None = None, timeout: float | None = None
    ) -> Call[T]: ...
    @overload
    def action(
        self, function: ActionRef[A, T], args: Given[A], *, shard: str | None = None, timeout: float | None = None
    ) -> Call[T]: ...
    @overload
    def action(
        self, function: Untyped, args: Args = None, *, shard: str | None = None, timeout: float | None = None
    ) -> Call[Any]: ...
    def action(
        self, function: Function, args: Any = None, *, shard: str | None = None, timeout: float | None = None
    ) -> Call[Any]:
        """Run an action, over HTTP, at once; an action is never queued and never repeated. Arguments as ``query``."""
        return self._call("action", function, args, shard, timeout)

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
    ) -> Mutation[T]: ...
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
    ) -> Mutation[T]: ...
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
    ) -> Mutation[Any]: ...
    def mutation(
        self,
        function: Function,
        args: Any = None,
        *,
        shard: str | None = None,
        mutation_id: str | None = None,
        optimistic: Callable[[Any], Any] | None = None,
        optimistic_update: Callable[[LocalStore, Any], None] | None = None,
        precondition: Callable[[], bool] | None = None,
        timeout: float | None = None,
    ) -> Mutation[Any]:
        """Write: at once, or as soon as the connection is back.

        Args:
            function: The mutation.
            args: Its arguments.
            shard: The shard key; the default shard without one.
            mutation_id: Its idempotency key; random by default. The server carries one key out once.
            optimistic: A pure function from the value of the live query with the same function, arguments and shard
                to what it shows until the verdict. It runs again over every new value, so it should be idempotent.
            optimistic_update: Called with a store over the shard's live queries and ``args``; what it sets there is
                shown until the verdict.
            precondition: Asked right before a queued write is sent; ``False`` gives the write up.
            timeout: Seconds for a direct send; ``request_timeout`` of the client without one.

        Raises:
            TypeError, CodecError, ClientClosedError: As ``live``.
            ValueError: A mutation with this ``mutation_id`` has no verdict yet.
        """
        self._driver.enter("mutation()")
        path = function_path(function, kind="mutation", method="mutation()")
        key = str(uuid.uuid4()) if mutation_id is None else check_header_text(mutation_id, "mutation_id")
        update = check_callable(optimistic_update, "optimistic_update")
        transform = check_callable(optimistic, "optimistic")
        if self._inspects:
            update = update and inspected_update(update, self._report, f"mutation {path!r}")
            transform = transform and inspected_transform(transform, self._report, f"mutation {path!r}")
        composition = Composition(
            key,
            path,
            encode_args(args, f"mutation({path!r})"),
            check_shard(shard),
            transform,
            None if update is None else lambda store: update(store, args),
            check_callable(precondition, "precondition"),
            self._timeout(timeout),
            partial(function_path, kind="query", method="the store of optimistic_update"),
        )
        mutation = self._mutations.add(f"mutation {path!r}", key, self._cancel_mutation)
        self._tapped.compose(key, "mutation", (RpcCall(path, shard=composition.shard),))
        try:
            self._driver.mutate(composition)
        except BaseException:
            # A patch was interrupted, before the write was taken on.
            self._mutations.forget(key)
            self._tapped.cancel(key)
            raise
        return mutation

    def batch(self, calls: Iterable[tuple[Any, ...]]) -> Call[list[Slot]]:
        """Make several calls in one round trip; each succeeds or fails by itself.

        Args:
            calls: Tuples ``(function, args)`` or ``(function, args, shard)``; 500 at most. They carry no
                idempotency keys and are never queued.

        Returns:
            A call whose result is one ``Ok`` or ``Failed`` for each, in order.

        Raises:
            ServerError: More than 500 calls, or one that cannot be batched; code ``BAD_REQUEST``.
            TypeError, CodecError, ClientClosedError: As ``live``.
        """
        self._driver.enter("batch()")
        if not isinstance(calls, Iterable):
            raise TypeError(f"batch() takes an iterable of calls, not {type(calls).__name__}")
        encoded = [_batch_entry(index, each) for index, each in enumerate(calls)]
        if len(encoded) > MAX_BATCH_ENTRIES:
            message = f"batch() takes at most {MAX_BATCH_ENTRIES} calls, not {len(encoded)}"
            raise ServerError(message, code="BAD_REQUEST")
        request_id = 0
        call: Call[list[Slot]] = Call(f"batch of {len(encoded)}", self._report, lambda: self._cancel(request_id))
        if not encoded:
            call.settle(Accepted([]))
            return call
        request_id = self._driver.batch(encoded, timeout=self._request_timeout)
        self._calls[request_id] = call
        self._tapped.compose(request_id, "batch", encoded)
        return call

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
    def paginate(
        self, function: Function, args: Any = None, *, page_size: int = 50, shard: str | None = None
    ) -> PaginatedQuery[Any]:
        """Return a paginated query as a hot Observable of one growing list; nothing is sent before the first observer.

        Args:
            function: The query; it takes ``paginationOpts: {lower, upper, numItems}`` beside ``args``, and answers
                ``{page, isDone, continueCursor}``.
            args: Its arguments, without ``paginationOpts``.
            page_size: How many rows the first page holds, and by how many ``load_more`` grows the list.
            shard: The shard key; the default shard without one.

        Raises:
            TypeError, CodecError, ClientClosedError: As ``live``; ``page_size`` is no whole number.
            ValueError: ``page_size`` is less than 1, or ``args`` holds ``paginationOpts``.
        """
        self._driver.check_open("paginate()")
        path = function_path(function, kind="query", method="paginate()")
        encoded = encode_args(args, f"paginate({path!r})")
        if PAGE_OPTIONS in encoded:
            raise ValueError(f"paginate({path!r}): {PAGE_OPTIONS!r} is set for each page; leave it out of args")
        source = PagedSource(
            self._cache,
            Query(path, encoded, check_shard(shard)),
            page_size=check_count(page_size, "page_size", of="rows"),
            call_soon=self._driver.call_soon,
            report=self._report,
        )
        return PaginatedQuery(source, self._health)

    @overload
    def combine(self, members: Mapping[str, LiveQuery[T]], *, patience: float = PATIENCE) -> Combined[T]: ...
    @overload
    def combine(self, members: Mapping[str, Observable[Any]], *, patience: float = PATIENCE) -> Combined[Any]: ...
    def combine(self, members: Mapping[str, Observable[Any]], *, patience: float = PATIENCE) -> Combined[Any]:
        """Return several live queries, or any Observables, as a hot Observable of one consistent dict.

        One dict for all that one write or one batch of frames changed, with no state in between, which
        ``reactivex.combine_latest`` shows. Nothing is subscribed to before the first observer.

        Args:
            members: What to combine, by the names that the dicts have: live queries, their ``snapshots``, paginated
                queries, shapes, ``client.status``, or Observables made of them. They may emit on any thread.
            patience: Seconds that a dict waits for the rest of a commit that the server tells piece by piece. Only
                live queries and their ``snapshots`` say which commit a value belongs to. With 0 or less nothing waits.

        Raises:
            TypeError: ``members`` is no mapping of names to Observables, or ``patience`` no number; it is named.
            ValueError: ``members`` is empty.
            ClientClosedError: The client is closed.
        """
        self._driver.check_open("combine()")
        return self._combinations.combine(members, patience=check_number(patience, "patience"))

    @overload
    def shape(self, name: ShapeRef[None, T], args: None = None, *, shard: str | None = None) -> Shape[T]: ...
    @overload
    def shape(self, name: ShapeRef[A, T], args: Given[A], *, shard: str | None = None) -> Shape[T]: ...
    @overload
    def shape(self, name: Untyped, args: Args = None, *, shard: str | None = None) -> Shape[Any]: ...
    def shape(self, name: Function, args: Any = None, *, shard: str | None = None) -> Shape[Any]:
        """Return a shape as a hot Observable of its rows, kept up to date row by row.

        Each object is one subscription of its own on the wire, shared by its observers: those of the rows, of
        ``changes`` and of ``snapshots``. Nothing is sent before the first.

        Args:
            name: The shape.
            args: Its arguments.
            shard: The shard key; the default shard without one.

        Raises:
            TypeError, CodecError, ClientClosedError: As ``live``.
        """
        self._driver.check_open("shape()")
        path = function_path(name, kind="shape", method="shape()")
        return self._shapes.shape(path, encode_args(args, f"shape({path!r})"), check_shard(shard))

    @overload
    def stream(
        self,
        function: StreamRef[None, T],
        args: None = None,
        *,
        shard: str | None = None,
        durable: bool = False,
        max_buffer: int = MAX_BUFFER,
    ) -> Stream[T]: ...
    @overload
    def stream(
        self,
        function: StreamRef[A, T],
        args: Given[A],
        *,
        shard: str | None = None,
        durable: bool = False,
        max_buffer: int = MAX_BUFFER,
    ) -> Stream[T]: ...
    @overload
    def stream(
        self,
        function: Untyped,
        args: Args = None,
        *,
        shard: str | None = None,
        durable: bool = False,
        max_buffer: int = MAX_BUFFER,
    ) -> Stream[Any]: ...
    def stream(
        self,
        function: Function,
        args: Any = None,
        *,
        shard: str | None = None,
        durable: bool = False,
        max_buffer: int = MAX_BUFFER,
    ) -> Stream[Any]:
        """Return a streaming procedure as a cold Observable: each subscription is one run, disposing cancels it.

        Args:
            function: The procedure.
            args: Its arguments.
            shard: The shard key; the default shard without one.
            durable: Whether the run is expected to outlive a socket that is lost before the first chunk; after
                that the server says what it is.
            max_buffer: How many chunks may wait in ``aiter()``; one more fails it with ``STREAM_BACKPRESSURE``.

        Raises:
            TypeError, CodecError, ClientClosedError: As ``live``.
        """
        self._driver.check_open("stream()")
        path = function_path(function, kind="stream", method="stream()")
        procedure = Procedure(path, encode_args(args, f"stream({path!r})"), check_shard(shard), durable)
        return Stream(self._runs, procedure, max_buffer=check_count(max_buffer, "max_buffer", of="chunks"))

    def http_stream(
        self,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        search: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> HttpStream[Any]:
        """Return what a streaming route of the deployment sends (server-sent events), in plain JSON.

        Cold: each subscription makes one request, disposing aborts it, and a stream that breaks is not asked for again.

        Args:
            path: The path of the route; a segment ``:name`` is filled from ``params``.
            params: What fills the path. Values that are no strings stand as JSON would have them.
            search: What goes behind the ``?``; ``UNDEFINED`` values are left out.
            headers: Sent with the request; they win over the bearer.

        Raises:
            StreamError: A path parameter is missing; code ``HTTP_STREAM_MISSING_PARAM``. Observers get it for every
                other end that is not the stream's, with the codes ``HTTP_STREAM_STATUS`` (``status`` says which),
                ``HTTP_STREAM_NO_BODY``, ``HTTP_STREAM_BAD_CHUNK``, ``HTTP_STREAM_INTERRUPTED``,
                ``HTTP_STREAM_TRANSPORT``, and the server's own or ``HTTP_STREAM_ERROR``.
            CodecError: A parameter cannot be written; ``path`` says which.
            TypeError, ValueError: ``path`` is no path, or a header cannot be sent.
            ClientClosedError: The client is closed.
        """
        self._driver.check_open("http_stream()")
        return self._http_streams.stream(build_stream_path(path, params, search), check_stream_headers(headers))

    @overload
    def preload(
        self, function: QueryRef[None, T], args: None = None, *, shard: str | None = None, timeout: float | None = None
    ) -> Call[Preloaded[T]]: ...
    @overload
    def preload(
        self, function: QueryRef[A, T], args: Given[A], *, shard: str | None = None, timeout: float | None = None
    ) -> Call[Preloaded[T]]: ...
    @overload
    def preload(
        self, function: Untyped, args: Args = None, *, shard: str | None = None, timeout: float | None = None
    ) -> Call[Preloaded[Any]]: ...
    def preload(
        self, function: Function, args: Any = None, *, shard: str | None = None, timeout: float | None = None
    ) -> Call[Preloaded[Any]]:
        """Ask for a query's value once, over HTTP, for somebody else to show first with ``hydrate``.

        Arguments as ``query``. It opens no socket. ``serialize()`` of the result can stand in HTML.
        """
        self._driver.enter("preload()")
        path = function_path(function, kind="query", method="preload()")
        rpc = RpcCall(path, encode_args(args, f"preload({path!r})"), check_shard(shard))
        plain, request_id = decode_wire(rpc.args), 0
        call: PreloadCall[Any] = PreloadCall(
            f"preload {path!r}",
            self._report,
            lambda: self._cancel(request_id),
            lambda value: Preloaded(path, plain, rpc.shard or None, value),
        )
        request_id = self._driver.call(rpc, timeout=self._timeout(timeout))
        self._calls[request_id] = call
        self._tapped.compose(request_id, "query", (rpc,))
        return call

    def hydrate(self, preloaded: Preloaded[T] | str) -> LiveQuery[T]:
        """Return the live query of a preloaded value, which shows it, as ``stale``, until the server answers.

        Args:
            preloaded: What ``preload`` gave, or its text. It is ignored where the query shows something already, and
                once somebody was replaced by somebody else: it may be theirs.

        Raises:
            CodecError: The text is no preloaded value.
            TypeError, ClientClosedError: As ``live``.
        """
        self._driver.check_open("hydrate()")
        token = Preloaded.parse(preloaded) if isinstance(preloaded, str) else preloaded
        token = check_instance(token, Preloaded, "preloaded")
        path = function_path(token.function_path, kind="query", method="hydrate()")
        query = Query(path, encode_args(token.args, f"hydrate({path!r})"), check_shard(token.shard))
        preload, driver = Preload(query.key, token.value), self._driver
        return LiveQuery(
            PreloadedSource(
                self._cache,
                query,
                offer=lambda: driver.show_preloaded(preload, query.shard),
                look=lambda: driver.core.preloads.look(preload),
            ),
            self._health,
        )

    def import_rows(
        self,
        function: MutationRef[Any, Any] | Untyped,
        rows: Rows,
        *,
        shard: str | None = None,
        chunk_size: int = 500,
        to_args: Callable[[list[Any]], Mapping[str, Any]] | None = None,
        import_id: str | None = None,
    ) -> Import:
        """Write many rows, a chunk after another, and tell how far it has come; it starts at once.

        Args:
            function: The mutation that takes a chunk.
            rows: An iterable or async iterable of rows, read a chunk at a time; an iterable must not block.
            shard: The shard key; the default shard without one.
            chunk_size: How many rows a chunk holds.
            to_args: Makes the mutation's arguments from the rows of a chunk; by default ``{"rows": rows}``.
            import_id: Names the import; random by default. An import that was cut off is resumed by the same rows,
                chunk size and id, as the same user, or with the same ``client_id`` if nobody is signed in: chunks
                that were committed are not written again.

        Raises:
            TypeError: ``function`` is no mutation, or ``rows`` are no rows.
            ValueError, ClientClosedError: As ``mutation``.
        """
        self._driver.enter("import_rows()")
        path = function_path(function, kind="mutation", method="import_rows()")
        name = check_shard(shard)
        started = Import(
            str(uuid.uuid4()) if import_id is None else check_header_text(import_id, "import_id"),
            rows,
            lambda args, mutation_id: self.mutation(path, args, shard=name, mutation_id=mutation_id),
            self._report,
            spawn=self._driver.spawn,
            chunk_size=check_count(chunk_size, "chunk_size", of="rows"),
            to_args=check_callable(to_args, "to_args"),
            limit=max(1, min(QUEUED_CHUNKS, self._queue_limit // 2)),
        )
        self._imports.add(started)
        started.start()
        return started

    def whispers(self, topic: str, *, shard: str | None = None) -> Observable[Whisper]:
        """Return what other clients tell a topic: ``Whisper`` values, while somebody watches.

        Best effort: nothing is stored, replayed or acknowledged, and one's own whispers are not among them.
        """
        self._driver.check_open("whispers()")
        return self._whispers.topic(check_topic(topic), check_shard(shard))

    def whisper(self, topic: str, data: Any = None, *, shard: str | None = None) -> None:
        """Tell the other clients of a topic something; without an open socket it is dropped, and one is opened.

        Raises:
            CodecError: ``data`` cannot be encoded; ``path`` says where.
            ClientClosedError: The client is closed.
        """
        self._driver.enter("whisper()")
        self._driver.whisper(check_topic(topic), encode_wire(data, root="data"), check_shard(shard))

    def presence(self, context: Any, *, shard: str | None = None) -> DisposableBase:
        """Say something of this client to the server for as long as it is held, such as the page that it shows.

        It goes with the ``connect`` frame; the newest that is held counts, else ``connection_context``. It opens
        no socket by itself.

        Returns:
            What releases it; a context manager too. Releasing twice does nothing.

        Raises:
            CodecError: ``context`` cannot be encoded; ``path`` says where.
            ClientClosedError: The client is closed.
        """
        self._driver.enter("presence()")
        name, driver = check_shard(shard), self._driver
        number = driver.hold_context(encode_wire(context, root="context"), name)
        release = once(lambda: driver.release_context(number, name))
        return Disposable(lambda: driver.call_on_loop(release))

    def set_auth_token(self, token: str | None, subject: str | Keep | None = KEEP) -> None:
        """Use another bearer for HTTP calls from now on; sockets are not touched.

        Args:
            token: The bearer, ``None`` for none.
            subject: The stable, non-secret id of the user behind it, ``None`` for nobody. A subject that is not given
                stays, but queued writes are then held until one is given for the new token.
        """
        self._driver.check_open("set_auth_token()")
        self._driver.set_auth_token(check_token(token, "token"), check_subject(subject, "subject"))

    def current_user(self) -> Call[User | None]:
        """Ask the server who is signed in: the ``User``, or ``None`` for nobody and where it cannot say.

        The answer is shared with ``user``, and confirms whose token it is, so that held writes may go out.

        Raises:
            ClientClosedError: The client is closed. Awaiting raises ``TransportError`` if the server cannot be
                reached, and ``ProtocolError`` if its answer cannot be read.
        """
        self._driver.enter("current_user()")
        call: Call[User | None] = Call("current_user()", self._report, lambda: self._leave(call))
        self._user_calls.append(call)
        self._resolve_user()
        return call

    def set_ws_token(self, token: TokenProvider) -> None:
        """Use another token for sockets; an identical one changes nothing, another one reopens them."""
        self._driver.check_open("set_ws_token()")
        self._driver.set_ws_token(check_token_provider(token, "token"))

    def record(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Recording:
        """Write what passes between this client and its server to a file, until it is closed; ``replay`` plays it.

        It may begin at any time: what the client shows already is written first. Tokens are left out; arguments
        and values are not. Format: ``docs/recording.md``.

        Args:
            path: The file, readable only for its owner; compressed if the name ends in ``.gz``.
            overwrite: Whether a file that exists gives way.

        Returns:
            What ends it: a context manager, also an asynchronous one, with ``close()``. It ends with the client, too,
            and when the disk refuses, which ``on_storage_error`` is told.

        Raises:
            FileExistsError: The file exists already.
            StorageError: It cannot be made.
            RuntimeError: A recording is under way, or the client belongs to another loop.
            ClientClosedError: The client is closed.
        """
        self._driver.check_open("record()")
        if self._driver.loop is not None:
            self._driver.enter("record()")
        if self._recording is not None and self._recording.is_recording:
            raise RuntimeError(f"record(): {self._recording!r}; close it first")
        from lunora_rx.recorder import Recording
        from lunora_rx.storage.journal import Journal

        journal = Journal(Path(path), overwrite=overwrite, on_error=self._end_recording)
        self._recording = Recording(self._driver, journal, url=show_url(self._origin))
        self._recording.begin()
        return self._recording

    def tap(self, tap: Tap) -> DisposableBase:
        """Let somebody look on: at sockets, frames, requests, and how far calls have come, for metrics or a recording.

        Without a tap nothing of it costs anything. See ``Tap``.

        Returns:
            What ends it; ending it twice does nothing.

        Raises:
            TypeError: ``tap`` lacks a method of a tap.
            ClientClosedError: The client is closed.
        """
        self._driver.check_open("tap()")
        remove = once(self._tapped.attach(check_tap(tap)))
        return Disposable(lambda: self._driver.call_on_loop(remove))

    def counts(self) -> Counts:
        """Return how much there is of what a client holds; cheap, and may be asked from any thread."""
        core = self._driver.core
        return Counts(
            live_queries=len(self._cache),
            observers=self._cache.observer_count,
            pending_writes=len(core.writes.queue),
            open_mutations=len(self._mutations),
            optimistic_layers=core.layer_count,
            calls_in_flight=len(core.calls),
            open_sockets=core.open_sockets,
            frames_received=core.frames_received,
            frames_ignored=self._driver.frames_ignored,
        )

    def debug(self) -> dict[str, Any]:
        """Return what a bug report needs, as plain values that JSON can carry; tokens and values are not among them.

        The keys of live queries hold their arguments.
        """
        self._driver.check_thread("debug()")
        core, loop = self._driver.core, self._driver.loop
        persistence = self._driver.persistence
        return {
            **describe_environment(None if loop is None else type(loop)),
            "url": show_url(self._origin),
            "client_id": core.client_id,
            "status": str(self._status.value),
            "closed": self._driver.is_closed,
            "last_error": self._driver.last_error,
            **asdict(self.counts()),
            "open_http_streams": len(self._http_streams),
            "taps": len(self._driver.taps),
            "has_bearer": core.calls.bearer is not None,
            "has_ws_token": self._driver.has_ws_token,
            "has_bookmark": core.calls.bookmark is not None,
            "identity_epoch": core.account.identity_epoch,
            "queue": {"limit": self._queue_limit, **core.writes.describe(0.0 if loop is None else loop.time())},
            "storage": None if persistence is None else {**persistence.describe(), "last_error": self._last_failure},
            "polled": [shard for shard in core.sessions if core.is_polled(shard)],
            "shards": {shard: session.describe() for shard, session in core.sessions.items()},
        }

    def _call(self, kind: str, function: Function, args: Args, shard: str | None, timeout: float | None) -> Call[Any]:
        self._driver.enter(f"{kind}()")
        path = function_path(function, kind=kind, method=f"{kind}()")
        rpc = RpcCall(path, encode_args(args, f"{kind}({path!r})"), check_shard(shard))
        request_id = 0
        call: Call[Any] = Call(f"{kind} {path!r}", self._report, lambda: self._cancel(request_id))
        request_id = self._driver.call(rpc, timeout=self._timeout(timeout))
        self._calls[request_id] = call
        self._tapped.compose(request_id, kind, (rpc,))
        return call

    def _cancel(self, request_id: int) -> bool:
        self._calls.pop(request_id, None)
        was_under_way = self._driver.cancel(request_id)
        self._tapped.cancel(request_id)
        return was_under_way

    def _cancel_mutation(self, mutation_id: str) -> bool:
        was_withdrawn = self._driver.cancel_mutation(mutation_id)
        if was_withdrawn:
            self._tapped.cancel(mutation_id)
        return was_withdrawn

    def _timeout(self, timeout: float | None) -> float:
        return self._request_timeout if timeout is None else check_seconds(timeout, "timeout")

    def _handlers(self) -> Mapping[type, Callable[[Any], None]]:
        return {
            ValueChanged: self._cache.publish_value,
            SnapshotChanged: self._cache.publish,
            QueryFailed: self._cache.publish,
            SubscriptionClosed: self._cache.close,
            StatusChanged: lambda event: self._status.set(event.status),
            TokenExpired: lambda event: self._token_expired.emit(event.shard),
            CallSettled: self._settle_call,
            BatchSettled: self._settle_batch,
            BookmarkChanged: self._keep_bookmark,
            MutationQueued: self._mutations.show_queued,
            MutationSent: self._mutations.show_sent,
            MutationSettledEvent: self._mutations.settle,
            PendingChanged: self._mutations.show_pending,
            TransformFailed: self._mutations.show_failed_transform,
            CredentialRefused: lambda event: self._token_expired.emit(None),
            RowsChanged: self._shapes.publish,
            ShapeMoved: self._shapes.publish,
            ShapeFailed: self._shapes.publish,
            StreamChunk: self._runs.publish,
            StreamEnded: self._runs.end,
            StreamFailed: self._runs.fail,
            WhisperReceived: self._whispers.publish,
            WhisperDropped: lambda event: None,
            ReplayProgressed: self._mutations.show_progress,
            AuthTokenChanged: lambda event: self._auth_token_changed.emit(None),
            ValuesRevoked: lambda event: self._revoke_values(),
            IdentityChanged: self._identity_changed.emit,
            IdentityDisputed: lambda event: None,
            UserStateChanged: lambda event: self._user.set(event.state),
            UserHeard: self._settle_user,
        }

    def _revoke_values(self) -> None:
        self._cache.revoke()
        self._combinations.revoke()

    def _settle_call(self, event: CallSettled) -> None:
        call = self._calls.pop(event.request_id, None)
        if call is not None:
            call.settle(result_of(event.outcome))

    def _settle_batch(self, event: BatchSettled) -> None:
        call = self._calls.pop(event.request_id, None)
        if call is None:
            return
        slots = event.slots
        call.settle(slots.error if isinstance(slots, Refused) else Accepted([_slot(each) for each in slots]))

    def _resolve_user(self) -> None:
        self._driver.enter("client.user")
        self._driver.resolve_user()

    def _leave(self, call: Call[User | None]) -> bool:
        self._user_calls.remove(call)
        return True

    def _settle_user(self, event: UserHeard) -> None:
        calls, self._user_calls = self._user_calls, []
        for call in calls:
            call.settle(event.result if isinstance(event.result, LunoraError) else Accepted(event.result))

    def _keep_bookmark(self, event: BookmarkChanged) -> None:
        if self._bookmarks is None:
            if self._driver.persistence is not None:
                self._driver.persistence.keep_bookmark(event)
            return
        try:
            self._bookmarks.set(event.bookmark)
        except Exception as error:
            _storage_log.error("the bookmark store raised %s", type(error).__name__, exc_info=error)

    def _tell_storage_error(self, error: StorageError) -> None:
        # Said on the storage's thread, of what was found damaged.
        error.data = error.data or {"operation": "load", "mutation_id": None}
        self._driver.call_on_loop(lambda: self._report_storage_error(error))

    def _end_recording(self, error: StorageError) -> None:
        def end() -> None:
            if self._recording is not None:
                self._recording.end()
            self._report_storage_error(error)

        # Said on the journal's thread, as a rule.
        self._driver.call_on_loop(end)

    def _note_storage_works(self) -> None:
        self._last_storage_error, self._last_failure = "", None

    def _report_storage_error(self, error: StorageError) -> None:
        self._last_failure = str(error)
        if self._on_storage_error is None:
            # One clear line a run of failures; the repetitions are for those who look closer.
            level = logging.DEBUG if str(error) == self._last_storage_error else logging.WARNING
            self._last_storage_error = str(error)
            _storage_log.log(level, "the storage reports: %s", error)
            return
        try:
            self._on_storage_error(error)
        except Exception as second:
            _observer_log.error("on_storage_error itself raised %s", type(second).__name__, exc_info=second)


def _new_client_id() -> str:
    return f"client-{uuid.uuid4()}"


def _storage_of(storage: object, report: Callable[[StorageError], None]) -> Storage | None:
    if storage is None:
        return None
    # The databases of the standard library and diskcache are imported where something is kept.
    from lunora_rx.storage import Storage, open_directory

    if isinstance(storage, Storage):
        return storage
    if not isinstance(storage, str | os.PathLike) or not (path := os.fsdecode(storage)):
        raise TypeError(f"storage is the path of a directory, a Storage or None, not {storage!r}")
    return open_directory(path, report=report)


def _open_worker(stores: Storage, deliver: Callable[..., object], on_recovered: Callable[[], object]) -> StorageWorker:
    from lunora_rx.storage import StorageWorker

    return StorageWorker(stores, deliver=deliver, on_recovered=on_recovered)


def _batch_entry(index: int, call: Any) -> RpcCall:
    where = f"batch() call {index}"
    if not isinstance(call, tuple) or not 1 <= len(call) <= 3:
        raise TypeError(f"{where} is a tuple (function, args) or (function, args, shard), not {type(call).__name__}")
    function, args, shard = (*call, None, None)[:3]
    path = any_path(function, method=where)
    if path.startswith(UNBATCHABLE_PREFIXES):
        raise ServerError(f"{where}: {path!r} cannot be batched; call it by itself", code="BAD_REQUEST")
    return RpcCall(path, encode_args(args, f"{where}, {path!r}"), check_shard(shard))


def _slot(outcome: Outcome | None) -> Slot:
    if outcome is None:
        return Failed(LunoraError("the server gave no answer for this call of the batch", transient=True))
    result = result_of(outcome)
    return Ok(result.value) if isinstance(result, Accepted) else Failed(result)
