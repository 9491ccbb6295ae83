"""The hands: feeds the core, drains it in one place, and arms one timer.

Everything runs on the loop that the client was first used on. The driver decides
nothing: which socket to open and when, and what to send, is the core's to say.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from math import inf
from typing import Any, TypeAlias, TypeVar

from lunora_rx.core.events import CloseSocket, FrameIgnored, OpenSocket
from lunora_rx.core.identity import Keep
from lunora_rx.core.multiplexer import Multiplexer
from lunora_rx.core.patches import Composition
from lunora_rx.core.preloads import Preload
from lunora_rx.core.snapshot import Snapshot
from lunora_rx.errors import ClientClosedError, LunoraError, StorageError, TransportError
from lunora_rx.interfaces import Socket, Transport
from lunora_rx.persistence import CLOSE_TIMEOUT, OpenStorage, Persistence
from lunora_rx.protocol.endpoints import place_of, websocket_url
from lunora_rx.protocol.frame_text import FrameText
from lunora_rx.protocol.http_stream import stream_headers
from lunora_rx.protocol.rpc import HttpReply, HttpRequest, RpcCall
from lunora_rx.protocol.sse import StreamNews
from lunora_rx.streaming import DEFAULT_LIMITS, StreamLimits, read_stream
from lunora_rx.taps import Taps

R = TypeVar("R")

ReceiveMany: TypeAlias = Callable[[int], Awaitable[Sequence[str | bytes] | None]]
TokenProvider: TypeAlias = str | Callable[[], str | Awaitable[str | None] | None] | None

_log = logging.getLogger("lunora_rx.socket")
_frame_log = logging.getLogger("lunora_rx.frames")
_http_log = logging.getLogger("lunora_rx.http")

# A timer that fires this late (seconds) was held up by a blocked loop: what arrived meanwhile goes first.
_LATE = 0.5
_TURNS = 3

# Characters that may wait for a socket to take them. A new socket is told all that still counts, and no more.
MAX_UNSENT = 64 * 2**20

# Well below what may wait for an iteration (1,024 values).
_TURN_FRAMES = 256

# How many such pauses what comes after a batch of frames waits for its end: 4,096 frames.
_PAUSES = 16


class Link:
    """One attempt at a shard's socket, from the token to the last frame.

    ``lacks`` says what has not happened yet that must before the socket is open.
    """

    def __init__(self, shard: str) -> None:
        self.shard = shard
        self.task: asyncio.Task[None]
        self.socket: Socket | None = None
        self.token: str | None = None
        self.lacks = "the storage was not read"
        self.is_full = False
        self.is_current = True
        self._waiting = 0
        self._unsent: list[str] = []
        self._wake = asyncio.Event()

    def send(self, frames: Sequence[str]) -> None:
        """Queue frames for the socket, in order; once too much waits the link is full, and takes nothing more."""
        self._waiting += sum(map(len, frames))
        self.is_full = self.is_full or self._waiting > MAX_UNSENT
        if self.is_full:
            self._unsent.clear()
        else:
            self._unsent += frames
        self._wake.set()

    async def write(self) -> None:
        """Send what is queued until cancelled; a socket that takes nothing more is closed."""
        assert self.socket is not None
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                # Not held by a name here: while there is nothing to send, the last batch would live on.
                for text in self._take_unsent():
                    await self.socket.send(text)
                    self._waiting -= len(text)
        except Exception as error:
            # Without a writer the socket would look alive and say nothing: whatever went wrong, it goes.
            reason = _reason(error)
            _log.info("shard %r: a frame could not be sent: %s", self.shard, reason, extra={"shard": self.shard})
            await self.socket.close()

    def _take_unsent(self) -> list[str]:
        frames, self._unsent = self._unsent, []
        return frames


class Driver:
    """Carries out what the core wants.

    Args:
        core: The state of the client.
        transport: Sockets and HTTP.
        origin: Where calls go, without a trailing slash.
        ws_base: The WebSocket URL without parameters.
        ws_token: A token, or a sync or async provider that is asked before every connect.
        stream_limits: What HTTP streams may take.
        open_storage: Opens what outlives the process, if anything does.
        on_storage_error: Takes what the storage refuses.
        on_storage_works: Called when the queue's store took something.
        new_client_id: Makes a client id, where none is kept.
        checks_thread: Whether everything is refused on another thread than the loop's, in debug mode.
        on_tap_error: Takes what taps raise.

    Attributes:
        taps: Those who look on.
    """

    def __init__(
        self,
        core: Multiplexer,
        transport: Transport,
        *,
        origin: str,
        ws_base: str,
        ws_token: TokenProvider,
        stream_limits: StreamLimits = DEFAULT_LIMITS,
        open_storage: OpenStorage | None = None,
        on_storage_error: Callable[[StorageError], None] = lambda error: None,
        on_storage_works: Callable[[], None] = lambda: None,
        new_client_id: Callable[[], str] = str,
        checks_thread: bool = False,
        on_tap_error: Callable[[Exception], None] = lambda error: None,
    ) -> None:
        self.core = core
        self.taps = Taps(on_tap_error)
        self.frames_ignored = 0
        self.last_error: str | None = None
        self._transport = transport
        self._origin = origin
        self._ws_base = ws_base
        self._ws_token = ws_token
        self._stream_limits = stream_limits
        self._handlers: Mapping[type, Callable[[Any], None]] = {
            OpenSocket: self._open_socket,
            CloseSocket: self._close_socket,
            FrameIgnored: self._note_ignored,
        }
        self.persistence: Persistence | None = None
        if open_storage is not None:
            self.persistence = Persistence(
                core,
                open_storage,
                new_client_id=new_client_id,
                apply=self._apply,
                report=on_storage_error,
                works=on_storage_works,
            )
            self._handlers = {**self._handlers, **self.persistence.handlers}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = self._process = 0
        self._thread_name = ""
        self._checks_thread = checks_thread
        self._links: dict[str, Link] = {}
        self._requests: dict[int, asyncio.Task[None]] = {}
        self._streams: set[asyncio.Task[None]] = set()
        self._background: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.Handle | None = None
        self._armed = inf
        self._pausing = 0
        self._is_draining = False
        self._is_closed = False
        self._ending: asyncio.Task[None] | None = None

    @property
    def is_closed(self) -> bool:
        """Whether ``aclose`` has begun."""
        return self._is_closed

    @property
    def is_over(self) -> bool:
        """Whether ``aclose`` has ended and nothing is left."""
        return self._ending is not None and self._ending.done()

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop of the first use, ``None`` before it."""
        return self._loop

    @property
    def has_ws_token(self) -> bool:
        """Whether sockets have a token, or somebody to ask for one."""
        return self._ws_token is not None

    @property
    def handlers(self) -> Mapping[type, Callable[[Any], None]]:
        """Who deals with which event."""
        return self._handlers

    def publish_to(self, handlers: Mapping[type, Callable[[Any], None]]) -> None:
        """Hand each event that is not the driver's own to the handler of its type, from the next one on."""
        self._handlers = {**self._handlers, **handlers}

    def enter(self, what: str) -> None:
        """Make sure that ``what`` may be done here and now, and bind to the loop of the first use.

        Raises:
            ClientClosedError: The client is closed.
            RuntimeError: No loop is running in this thread, or another one than the client's.
        """
        self.check_open(what)
        loop = self.check_loop(what)
        if self._loop is None:
            self._loop, self._thread, self._process = loop, threading.get_ident(), os.getpid()
            self._thread_name = threading.current_thread().name
            if self.persistence is not None:
                self.persistence.start(loop)

    def check_loop(self, what: str) -> asyncio.AbstractEventLoop:
        """Return the running loop, which must be the client's if it has one; raises ``RuntimeError`` otherwise."""
        self.check_thread(what)
        # First of all: in a child that was forked under a running loop, asyncio says that none is running.
        if self._loop is not None and self._process != os.getpid():
            raise RuntimeError(
                f"{what}: the client belongs to process {self._process}, and this one was forked from it;"
                " make a client of its own after the fork"
            )
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise RuntimeError(
                f"{what} needs a running event loop, and this thread has none; call it from a coroutine"
                " (asyncio.run), or cross from a thread with loop.call_soon_threadsafe"
            ) from None
        if self._loop is not None and self._loop is not loop:
            raise RuntimeError(
                f"{what}: the client belongs to another event loop, that of its first use;"
                " make one client a loop, or cross with loop.call_soon_threadsafe"
            )
        return loop

    def check_open(self, what: str) -> None:
        """Raise ``ClientClosedError`` once the client is closed, and what ``check_thread`` does."""
        self.check_thread(what)
        if self._is_closed:
            raise ClientClosedError(f"{what}: the client is closed")

    def check_thread(self, what: str) -> None:
        """In debug mode raise ``RuntimeError`` on another thread than the loop's; before the first use any is right."""
        if self._checks_thread and self._loop is not None and self._thread != threading.get_ident():
            raise RuntimeError(
                f"{what}: this is thread {threading.current_thread().name!r}, and the client belongs to thread"
                f" {self._thread_name!r}, which runs its event loop; cross with loop.call_soon_threadsafe,"
                " or with asyncio.run_coroutine_threadsafe where there is something to wait for"
            )

    def call_on_loop(self, callback: Callable[[], None]) -> None:
        """Run a callback on the client's thread: now if this is it, else as soon as its loop can, if it still lives."""
        if self._loop is None:
            callback()
        elif self._loop.is_closed():
            return
        elif self._thread == threading.get_ident():
            callback()
        else:
            self._loop.call_soon_threadsafe(callback)

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Run a callback after all that is read in one go, which mostly is in the loop's next turn; on its thread."""
        assert self._loop is not None, "enter() comes first"
        self._loop.call_soon(self._call_when_read, callback, _PAUSES)

    def _call_when_read(self, callback: Callable[[], None], pauses: int) -> None:
        # What comes in one go may be longer than a turn may take: then the go ends later than the turn.
        if self._pausing and pauses and self._loop is not None:
            self._loop.call_soon(self._call_when_read, callback, pauses - 1)
            return
        callback()

    def call_later(self, delay: float, callback: Callable[[], None]) -> Callable[[], object]:
        """Run a callback on the client's thread after so many seconds; return what cancels that.

        What has arrived by then is read first, as after a time in which the loop was blocked.
        """
        assert self._loop is not None, "enter() comes first"
        loop = self._loop
        handle: asyncio.Handle

        def step(turns: int) -> None:
            nonlocal handle
            if turns:
                handle = loop.call_soon(step, turns - 1)
            else:
                callback()

        handle = loop.call_later(delay, step, _TURNS)
        return lambda: handle.cancel()

    def connect(self, shard: str) -> None:
        """Open the shard's socket unless it is open or opening."""
        self._apply(lambda now: self.core.connect(shard, now))

    def reconnect(self, shard: str) -> None:
        """Open the shard's socket now if it waits for its next attempt."""
        self._apply_unless_closed(lambda now: self.core.reconnect(shard, now))

    @property
    def secrets(self) -> set[str]:
        """The credentials in use, for whoever must keep them out of what it writes."""
        tokens = {self.core.calls.bearer, *(link.token for link in self._links.values())}
        return {token for token in tokens if token}

    def subscribe(self, key: str, function_path: str, args: Any, shard: str) -> Snapshot[Any]:
        """Ask for a live query."""
        return self._apply(lambda now: self.core.subscribe(key, function_path, args, shard, now))

    def show_preloaded(self, preload: Preload, shard: str) -> None:
        """Let a live query that shows nothing yet show a preloaded value."""
        self.core.show_preloaded(preload, shard)
        self._drain()

    def unsubscribe(self, key: str, shard: str) -> None:
        """Give one request for a live query up; nothing after the end of the client."""
        self._apply_unless_closed(lambda now: self.core.unsubscribe(key, shard, now))

    def refresh(self, key: str, shard: str) -> None:
        """Ask for a live query's whole value again."""
        self._apply(lambda now: self.core.refresh(key, shard, now))

    def join_topic(self, topic: str, shard: str) -> None:
        """Listen to whispers of a topic."""
        self._apply(lambda now: self.core.join_topic(topic, shard, now))

    def leave_topic(self, topic: str, shard: str) -> None:
        """Listen no more; nothing after the end of the client."""
        self._apply_unless_closed(lambda now: self.core.leave_topic(topic, shard, now))

    def whisper(self, topic: str, data: Any, shard: str) -> None:
        """Tell the others of a topic something, if the socket is open."""
        self._apply(lambda now: self.core.whisper(topic, data, shard, now))

    def subscribe_shape(self, name: str, args: Any, shard: str) -> str:
        """Ask for a shape; its events bear the id returned."""
        return self._apply(lambda now: self.core.subscribe_shape(name, args, shard, now))

    def unsubscribe_shape(self, shape_id: str, shard: str) -> None:
        """Give a shape up; nothing after the end of the client."""
        self._apply_unless_closed(lambda now: self.core.unsubscribe_shape(shape_id, shard, now))

    def start_stream(self, function_path: str, args: Any, shard: str, *, durable: bool) -> str:
        """Start a procedure; the stream's events bear the id returned."""
        return self._apply(lambda now: self.core.start_stream(function_path, args, shard, now, durable=durable))

    def cancel_stream(self, stream_id: str, shard: str) -> None:
        """Follow a stream no more; nothing after the end of the client."""
        self._apply_unless_closed(lambda now: self.core.cancel_stream(stream_id, shard, now))

    def hold_context(self, context: Any, shard: str) -> int:
        """Say this of ourselves until it is released; return its number."""
        return self._apply(lambda now: self.core.hold_context(context, shard, now))

    def release_context(self, number: int, shard: str) -> None:
        """Say it no more; nothing after the end of the client."""
        self._apply_unless_closed(lambda now: self.core.release_context(number, shard, now))

    def call(self, call: RpcCall, *, timeout: float) -> int:
        """Make a call; its outcome comes as an event with the number returned."""
        request_id = self.core.call(call, timeout=timeout)
        self._drain()
        return request_id

    def batch(self, calls: Sequence[RpcCall], *, timeout: float) -> int:
        """Make several calls in one request; the outcomes come as an event with the number returned."""
        request_id = self.core.batch(calls, timeout=timeout)
        self._drain()
        return request_id

    def open_stream(
        self, path: str, headers: Mapping[str, str], tell: Callable[[StreamNews], None]
    ) -> Callable[[], object]:
        """Make a request whose reply is a stream and tell what it brings; return what gives it up."""
        sent = stream_headers(self.core.calls.bearer, headers)
        task = self._spawn(read_stream(self._transport, self._origin + path, sent, self._stream_limits, tell))
        self._streams.add(task)
        task.add_done_callback(self._streams.discard)
        return task.cancel

    def mutate(self, composition: Composition) -> None:
        """Take on a write; what becomes of it comes as events with its ``mutation_id``."""
        self._apply(lambda now: self.core.mutate(composition, now))

    def cancel_mutation(self, mutation_id: str) -> bool:
        """Withdraw a write that was not sent yet; tells whether that was still possible."""
        if self._is_closed:  # the storage takes nothing more
            return False
        was_withdrawn = self.core.cancel_mutation(mutation_id)
        self._drain()
        return was_withdrawn

    def set_auth_token(self, token: str | None, subject: str | Keep | None) -> None:
        """Use another bearer for calls; queued writes that may go out under it do."""
        if self._loop is not None:
            self.enter("set_auth_token()")
        self.core.set_auth_token(token, subject, 0.0 if self._loop is None else self._now())
        self._drain()

    def resolve_user(self) -> None:
        """Find out who is signed in; an event tells."""
        self._apply(self.core.resolve_user)

    def cancel(self, request_id: int) -> bool:
        """Give a call up; tells whether it was under way."""
        task = self._requests.pop(request_id, None)
        if task is not None:
            task.cancel()
        return self.core.calls.forget(request_id)

    def set_ws_token(self, token: TokenProvider) -> None:
        """Use another token for sockets; an identical one changes nothing, another one reopens them."""
        if token == self._ws_token:
            return
        if self._loop is not None:
            self.enter("set_ws_token()")
        self._ws_token = token
        if self._loop is not None:
            self.core.restart_sockets(self._now())
            self._drain()

    async def aclose(self) -> None:
        """End everything: no task, socket or timer is left. Further calls wait for the same end.

        Raises:
            RuntimeError: The running loop is not the client's; nothing was ended.
        """
        self.check_loop("aclose()")
        if self._ending is None:
            self._is_closed = True
            is_loading = self.persistence is not None and self.persistence.is_loading
            if is_loading:
                self._cancel_network()
            else:
                self._close_core()
            self._ending = asyncio.create_task(self._end(is_loading=is_loading))
        # Who gives up waiting does not keep the rest from ending.
        await asyncio.shield(self._ending)

    def _close_core(self) -> None:
        self.core.close()
        self._drain()

    async def _end(self, *, is_loading: bool) -> None:
        if is_loading:
            # What was composed while the storage is read can only be stored after it.
            await self._wait_loaded()
            self._close_core()
        if self._timer is not None:
            self._timer.cancel()
        self._cancel_network()
        try:
            await asyncio.gather(*self._background, return_exceptions=True)
        finally:
            await self._transport.aclose()
            if self.persistence is not None and self._loop is not None:
                await self.persistence.finish()

    def _cancel_network(self) -> None:
        for task in (*self._requests.values(), *self._streams, *(link.task for link in self._links.values())):
            task.cancel()

    async def _wait_loaded(self) -> None:
        assert self.persistence is not None
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.persistence.has_loaded.wait(), CLOSE_TIMEOUT)

    def _apply(self, change: Callable[[float], R]) -> R:
        result = change(self._now())
        self._drain()
        return result

    def _apply_unless_closed(self, change: Callable[[float], object]) -> None:
        if not self._is_closed:
            self._apply(change)

    def _now(self) -> float:
        assert self._loop is not None, "enter() comes first"
        return self._loop.time()

    def _drain(self) -> None:
        # An observer may call back into the client: the call is carried out, and its effects follow in order.
        if self._is_draining:
            return
        self._is_draining = True
        events, agenda, handlers = self.core.events, self.core.agenda, self._handlers
        try:
            while events or agenda.has_more:
                # What a handler causes is appended, so this loop comes to it in its turn.
                while events:
                    event = events.popleft()
                    handlers[type(event)](event)
                if agenda.has_more:
                    self._send_and_arm()
        finally:
            self._is_draining = False

    def _send_and_arm(self) -> None:
        core = self.core
        core.has_more = False
        for shard in core.shards_to_send():
            self._send(shard)
        for request in core.requests_to_send() if self._has_started else ():
            self._requests[request.request_id] = self._spawn(self._fetch(request))
        self._arm(core.next_deadline())

    def _send(self, shard: str) -> None:
        frames = self.core.take_frames(shard)
        link = self._links.get(shard)
        if link is None:
            return
        self._note_sent(shard, frames)
        was_full = link.is_full
        link.send(frames)
        if link.is_full and not was_full and link.socket is not None:
            message = "shard %r: more than %d characters wait to be sent; closing the socket"
            _log.warning(message, shard, MAX_UNSENT, extra={"shard": shard})
            self._spawn(link.socket.close())

    def _arm(self, deadline: float) -> None:
        if deadline == self._armed:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._armed, self._timer = deadline, None
        if deadline != inf and self._loop is not None:
            self._timer = self._loop.call_at(deadline, self._handle_timer, _TURNS)

    def _handle_timer(self, turns: int) -> None:
        assert self._loop is not None
        if turns and self._now() > self._armed + _LATE:
            self._timer = self._loop.call_soon(self._handle_timer, turns - 1)
            return
        self._armed, self._timer = inf, None
        if not self._is_closed:
            self.core.handle_deadline(self._now())
            self._drain()

    def _open_socket(self, event: OpenSocket) -> None:
        if self._is_closed:  # what is loaded to be stored again opens nothing
            return
        former = self._links.get(event.shard)
        if former is not None:
            former.is_current = False
        link = Link(event.shard)
        self._links[event.shard] = link
        link.task = self._spawn(self._run(link))

    def _close_socket(self, event: CloseSocket) -> None:
        link = self._links.pop(event.shard, None)
        if link is None:
            return
        link.is_current = False
        if event.abandoned_after is None:
            _log.info("shard %r: closing the socket with %d", event.shard, event.code, extra={"shard": event.shard})
        else:
            message = f"{link.lacks} within {event.abandoned_after:g} s"
            self._note_failure(event.shard, TransportError(message, transient=True))
        if self.taps:
            self.taps.note_socket(event.shard, "closed", event.code)
        link.task.cancel()
        if link.socket is not None:
            self._spawn(link.socket.close(event.code))

    def _note_ignored(self, event: FrameIgnored) -> None:
        self.frames_ignored += 1
        _log.warning("shard %r: a frame was ignored: %s", event.shard, event.reason, extra={"shard": event.shard})

    async def _run(self, link: Link) -> None:
        if self.taps:
            self.taps.note_socket(link.shard, "connecting")
        try:
            link.socket = await self._connect(link)
        except Exception as error:
            self._note_failure(link.shard, error)
            self._lose(link, None)
            return
        self.last_error = None
        writer = self._spawn(link.write())
        try:
            # Whatever breaks off here must not leave a socket that nobody reads: it is lost, and another follows.
            self.core.receive_opened(link.shard, self._now(), has_token=link.token is not None)
            self._note_opened(link.shard)
            if self.persistence is not None:
                self.persistence.look_again()
            self._drain()
            await self._read(link, link.socket)
        except Exception as error:
            shard = link.shard
            _log.error("shard %r: the socket failed", shard, exc_info=_without_text(error), extra={"shard": shard})
        finally:
            writer.cancel()
        self._lose(link, link.socket.close_code)
        await link.socket.close()

    @property
    def _has_started(self) -> bool:
        """Whether everything is known that a request says of its client."""
        return not self._is_closed and (self.persistence is None or self.persistence.has_started.is_set())

    async def _connect(self, link: Link) -> Socket:
        if self.persistence is not None:
            await self.persistence.has_started.wait()
        link.lacks = "the ws_token provider gave no token"
        link.token = await self._resolve_ws_token()
        link.lacks = f"cannot connect to {place_of(self._ws_base)}: no answer"
        return await self._transport.connect(websocket_url(self._ws_base, shard=link.shard, token=link.token), {})

    async def _resolve_ws_token(self) -> str | None:
        if not callable(self._ws_token):
            return self._ws_token
        try:
            token = self._ws_token()
            if inspect.isawaitable(token):
                token = await token
        except Exception as error:
            # Its text and its traceback are the user's, and may hold the token: not even as a context do they go along.
            refusal = f"the ws_token provider raised {type(error).__name__}"
        else:
            if token is not None and not isinstance(token, str):
                raise LunoraError(f"the ws_token provider returned {type(token).__name__}, not a string or None")
            return token
        raise LunoraError(refusal)

    async def _read(self, link: Link, socket: Socket) -> None:
        assert self._loop is not None
        clock, shard, session = self._loop.time, link.shard, self.core.sessions[link.shard]
        receive_frame, drain, taps = session.receive_frame, self._drain, self.taps
        receive_many: ReceiveMany = getattr(socket, "receive_many", None) or _one_by_one(socket)
        frames = 0
        while (texts := await receive_many(_TURN_FRAMES)) is not None:
            frames += len(texts)
            if frames >= _TURN_FRAMES:
                # Frames that are there already are received without a wait: whoever takes values must have its turn.
                frames = 0
                await self._pause()
            if self._links.get(shard) is not link:
                return
            session.note_arrived(len(texts), clock())
            is_logged = _frame_log.isEnabledFor(logging.DEBUG)
            for text in texts:
                # A frame may be waiting when its socket is retired: it must not be applied any more.
                if not link.is_current:
                    return
                if taps or is_logged:
                    self._note_frame(shard, FrameText(text, is_inbound=True))
                try:
                    receive_frame(text)
                    drain()
                except Exception as error:
                    # What one frame does to us must not end the conversation.
                    failure = _without_text(error)
                    message = "shard %r: a frame could not be handled"
                    _log.error(message, shard, exc_info=failure, extra={"shard": shard})
                    self._distrust(shard, text)

    def _distrust(self, shard: str, text: str | bytes) -> None:
        self._apply(lambda now: self.core.distrust(shard, text, now))

    async def _pause(self) -> None:
        self._pausing += 1
        try:
            await asyncio.sleep(0)
        finally:
            self._pausing -= 1

    def _lose(self, link: Link, code: int | None) -> None:
        if self._links.get(link.shard) is not link:
            return
        del self._links[link.shard]
        link.is_current = False
        if link.socket is not None:
            _log.info("shard %r: the connection is lost (code %s)", link.shard, code, extra={"shard": link.shard})
        if self.taps:
            self.taps.note_socket(link.shard, "closed", code)
        self.core.receive_closed(link.shard, code, self._now())
        self._drain()

    def _note_failure(self, shard: str, error: Exception) -> None:
        text = _reason(error)
        # One clear line a run of failures; the repetitions are for those who look closer.
        level = logging.DEBUG if text == self.last_error else logging.WARNING
        self.last_error = text
        _log.log(level, "shard %r: %s; will try again", shard, text, extra={"shard": shard})

    def _note_opened(self, shard: str) -> None:
        if _log.isEnabledFor(logging.INFO):
            queries = [each.result.resume_position for each in self.core.sessions[shard].subscriptions]
            resumed = sum(position is not None for position in queries)
            message = "shard %r: connected; %d live queries, %d of them resume"
            _log.info(message, shard, len(queries), resumed, extra={"shard": shard})
        if self.taps:
            self.taps.note_socket(shard, "open")

    def _note_sent(self, shard: str, frames: Sequence[str]) -> None:
        # Before they are sent: an answer may be there before whoever sends comes to tell of it.
        if self.taps or _frame_log.isEnabledFor(logging.DEBUG):
            for text in frames:
                self._note_frame(shard, FrameText(text, is_inbound=False))

    def _note_frame(self, shard: str, frame: FrameText) -> None:
        if _frame_log.isEnabledFor(logging.DEBUG):
            verb = "received" if frame.is_inbound else "sent"
            named = {"shard": shard, "frame_type": frame.type, "frame_id": frame.id, "size": frame.size}
            message = "shard %r: %s %s %s, %d bytes"
            _frame_log.debug(message, shard, verb, frame.type, frame.id or "-", frame.size, extra=named)
        if self.taps:
            self.taps.note_frame(shard, frame)

    async def _fetch(self, request: HttpRequest) -> None:
        started_at = self._now()
        if self.taps:
            request = self.taps.note_request(request)
        reply = await self._exchange(request)
        _log_exchange(request, reply, self._now() - started_at)
        if self.taps:
            self.taps.note_reply(request, reply)
        self.core.receive_reply(request.request_id, reply, self._now())
        self._requests.pop(request.request_id, None)
        self._drain()

    async def _exchange(self, request: HttpRequest) -> HttpReply | LunoraError:
        try:
            return await self._transport.request(
                request.method,
                self._origin + request.path,
                headers=request.headers,
                body=request.body,
                timeout=request.timeout,
            )
        except LunoraError as error:
            return error.copy()  # its traceback leads through frames that hold the bearer
        except Exception as error:
            return TransportError(f"the transport failed: {_reason(error)}", transient=True)

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a coroutine of the client's; who gives it one cancels it before ``aclose``, which waits for it."""
        return self._spawn(coroutine)

    def _spawn(self, coroutine: Any) -> asyncio.Task[Any]:
        assert self._loop is not None
        task = self._loop.create_task(coroutine)
        self._background.add(task)
        task.add_done_callback(self._finish)
        return task

    def _finish(self, task: asyncio.Task[Any]) -> None:
        self._background.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a background task of the client failed", exc_info=_without_text(error))


def _one_by_one(socket: Socket) -> ReceiveMany:
    async def receive_many(limit: int) -> Sequence[str | bytes] | None:
        text = await socket.receive()
        return None if text is None else (text,)

    return receive_many


def _log_exchange(request: HttpRequest, reply: HttpReply | LunoraError, seconds: float) -> None:
    if not _http_log.isEnabledFor(logging.DEBUG):
        return
    status = reply.status if isinstance(reply, HttpReply) else None
    outcome = str(status) if isinstance(reply, HttpReply) else _reason(reply)
    named = {"function": request.calls[0].function_path if len(request.calls) == 1 else None, "status": status}
    message = "%s %s with %d calls: %s, %.0f ms"
    _http_log.debug(message, request.method, request.path, len(request.calls), outcome, seconds * 1000, extra=named)


def _without_text(error: BaseException) -> LunoraError:
    """Return an exception to log in the place of one whose text may hold a payload or a token: where, not what."""
    text = error.message if isinstance(error, LunoraError) else "its text is left out"
    return LunoraError(f"{type(error).__name__}: {text}").with_traceback(error.__traceback__)


def _reason(error: Exception) -> str:
    # Only messages of ours are known to hold no token.
    return str(error) if isinstance(error, LunoraError) else type(error).__name__
