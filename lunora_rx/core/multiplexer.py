"""All shards and all calls of one client: the one object that the driver holds.

Call a method, then drain: handle ``events`` in order, also those that handling them appends,
and delete them; then, if ``has_more``, ``take_frames`` for each shard named by ``shards_to_send``,
``requests_to_send`` and ``next_deadline``.  Source:
``docs/protocol.md``, sections "WebSocket" and "Connection status".
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from math import inf
from typing import Any

from lunora_rx.core.account import Account
from lunora_rx.core.agenda import Agenda
from lunora_rx.core.backoff import Backoff
from lunora_rx.core.calls import Calls
from lunora_rx.core.connection import Connecting, Connection, Open, Timing, Trigger
from lunora_rx.core.contexts import Contexts
from lunora_rx.core.events import Event, SnapshotChanged, StatusChanged
from lunora_rx.core.identity import IdentityChange, Keep
from lunora_rx.core.offline_queue import Write
from lunora_rx.core.patches import Composition, Patches
from lunora_rx.core.polling import Poller, Polling
from lunora_rx.core.preloads import Preload, Preloads
from lunora_rx.core.read_cache import ReadCache
from lunora_rx.core.reads import Reads
from lunora_rx.core.records import CachedRead, QueuedMutation
from lunora_rx.core.session import Session
from lunora_rx.core.snapshot import Snapshot, Status
from lunora_rx.core.subscriptions import Subscription, Subscriptions
from lunora_rx.core.writes import WriteOptions, Writes
from lunora_rx.errors import LunoraError
from lunora_rx.protocol.frames import Connect
from lunora_rx.protocol.frozen import frozen
from lunora_rx.protocol.rpc import HttpReply, HttpRequest, RpcCall
from lunora_rx.protocol.session_probe import SESSION_PROBE_PATH
from lunora_rx.protocol.values import UNDEFINED


@frozen
class CoreOptions:
    """What the core must know about its client; durations in seconds."""

    client_id: str = ""
    timing: Timing = Timing()
    backoff: Backoff = Backoff()
    linger: float = 0.0
    context: Any = UNDEFINED
    cookie_origin: str | None = None
    writes: WriteOptions = WriteOptions()
    auth_base_path: str = "/api/auth"
    polling: Polling | None = None


class Multiplexer:
    """The core of one client.

    Args:
        options: Fixed for the client's life.
        random: Draws evenly from [0, 1); the only source of chance.

    Attributes:
        events: What happened and was not drained yet, in order.
        agenda: What the shards have ahead of them.
        status: How the client stands with its server.
        sessions: The shards that are spoken to.
        calls: The calls under way.
        writes: Our own mutations that have no verdict yet.
        client_id: Who composes writes here; empty until it is learned.
    """

    def __init__(self, options: CoreOptions, random: Callable[[], float]) -> None:
        self.status = Status.IDLE
        self.client_id = options.client_id
        self.sessions: dict[str, Session] = {}
        self._options = options
        self._random = random
        self.events: deque[Event] = deque()
        self.agenda = Agenda()
        self._counts: Counter[str] = Counter()
        self._contexts: dict[str, Contexts] = {}
        self._idle_closed: set[str] = set()
        self._frames_received = 0
        self.calls = Calls(origin=options.cookie_origin, emit=self.events.append)
        self.reads = self._open_reads() if options.writes.is_durable else None
        self.preloads = Preloads(lambda: self.account.identity_epoch == 0)
        self._patches = Patches(self.sessions, self.events.append)
        self.writes = Writes(
            options.writes,
            self.calls,
            self,
            backoff=options.backoff,
            random=random,
            emit=self.events.append,
            settle_layers=self._patches.settle,
            confirm=lambda now, *, is_disputed: self.account.confirm(now, is_disputed=is_disputed),
        )
        self.poller = Poller(
            options.polling,
            self.sessions,
            self.calls,
            identity=lambda: self.writes.identity,
            acknowledged=lambda: self._patches.acknowledged,
            went_live=self._note_polled,
        )
        self.account = Account(
            self.sessions,
            self.calls,
            self.writes,
            self.reads,
            self.events.append,
            probe_path=options.auth_base_path + SESSION_PROBE_PATH,
            has_cookies=options.writes.is_cookie_session,
            timeout=options.writes.timeout,
        )

    @property
    def has_more(self) -> bool:
        """Whether there may be frames or requests to send, or another deadline; the driver resets it."""
        return self.agenda.has_more

    @has_more.setter
    def has_more(self, has_more: bool) -> None:
        self.agenda.has_more = has_more

    @property
    def frames_received(self) -> int:
        """How many frames all sockets together have received."""
        return self._frames_received + sum(session.frames_received for session in self.sessions.values())

    @property
    def layer_count(self) -> int:
        """How many optimistic layers all live queries have together."""
        queries = [each for session in list(self.sessions.values()) for each in list(session.subscriptions)]
        return sum(len(each.result.layers) for each in queries)

    @property
    def open_sockets(self) -> int:
        """How many sockets are open."""
        return self.agenda.count(Open)

    def connect(self, shard: str, now: float) -> None:
        """Open the shard's socket unless it is open or opening."""
        self.has_more = True
        self._session(shard).connect(now)
        self._update_status(now)

    def reconnect(self, shard: str, now: float) -> None:
        """Do not let the shard's next attempt wait any longer, where one is planned."""
        self.has_more = True
        if shard in self.sessions:
            self.sessions[shard].reconnect(now)
        self._update_status(now)

    def subscribe(self, key: str, function_path: str, args: Any, shard: str, now: float) -> Snapshot[Any]:
        """Ask for a live query, with ``args`` in wire form, and return what is known of it."""
        self.has_more = True
        subscription = self._session(shard).subscribe(key, function_path, args, now)
        self.preloads.seed(subscription)
        self._update_status(now)
        return subscription.result.snapshot

    def show_preloaded(self, preload: Preload, shard: str) -> None:
        """Let a live query that shows nothing yet show a preloaded value; the caller subscribes to it next."""
        self.preloads.offer(preload)
        subscription = self.find(preload.key, shard)
        if subscription is not None and self.preloads.seed(subscription):
            self.events.append(SnapshotChanged(preload.key, subscription.result.snapshot))

    def unsubscribe(self, key: str, shard: str, now: float) -> None:
        """Give one ``subscribe`` of the key up; nothing where there is none."""
        self.has_more = True
        if shard in self.sessions:
            self.sessions[shard].unsubscribe(key, now)

    def refresh(self, key: str, shard: str, now: float) -> None:
        """Ask for a live query's whole value again."""
        self.has_more = True
        if shard in self.sessions:
            self.sessions[shard].refresh(key, now)

    def find(self, key: str, shard: str) -> Subscription | None:
        """Return a subscription that is asked for at present."""
        session = self.sessions.get(shard)
        return session.subscriptions.get(key) if session else None

    def join_topic(self, topic: str, shard: str, now: float) -> None:
        """Listen to whispers of a topic."""
        self.has_more = True
        self._session(shard).join_topic(topic, now)
        self._update_status(now)

    def leave_topic(self, topic: str, shard: str, now: float) -> None:
        """Listen to a topic no more; nothing where nobody did."""
        self.has_more = True
        if shard in self.sessions:
            self.sessions[shard].leave_topic(topic, now)

    def whisper(self, topic: str, data: Any, shard: str, now: float) -> None:
        """Tell the others of a topic something, in wire form; without an open socket it is dropped, and opens one."""
        self.has_more = True
        self._session(shard).whisper(topic, data, now)
        self._update_status(now)

    def subscribe_shape(self, name: str, args: Any, shard: str, now: float) -> str:
        """Ask for a shape, with ``args`` in wire form, and return its id; its events bear it."""
        self.has_more = True
        shape_id = self._session(shard).subscribe_shape(name, args, now)
        self._update_status(now)
        return shape_id

    def unsubscribe_shape(self, shape_id: str, shard: str, now: float) -> None:
        """Give a shape up; nothing where there is none."""
        self.has_more = True
        if shard in self.sessions:
            self.sessions[shard].unsubscribe_shape(shape_id, now)

    def start_stream(self, function_path: str, args: Any, shard: str, now: float, *, durable: bool) -> str:
        """Start a procedure, with ``args`` in wire form, and return the stream's id; its events bear it."""
        self.has_more = True
        stream_id = self._session(shard).start_stream(function_path, args, now, durable=durable)
        self._update_status(now)
        return stream_id

    def cancel_stream(self, stream_id: str, shard: str, now: float) -> None:
        """Follow a stream no more; nothing where there is none."""
        self.has_more = True
        if shard in self.sessions:
            self.sessions[shard].cancel_stream(stream_id, now)

    def hold_context(self, context: Any, shard: str, now: float) -> int:
        """Say this of ourselves until it is released, in wire form; return its number."""
        contexts = self._contexts_of(shard)
        before = contexts.effective
        number = contexts.hold(context)
        self._say_context(shard, before, now)
        return number

    def release_context(self, number: int, shard: str, now: float) -> None:
        """Say it no more."""
        contexts = self._contexts_of(shard)
        before = contexts.effective
        contexts.release(number)
        self._say_context(shard, before, now)

    def _contexts_of(self, shard: str) -> Contexts:
        return self._contexts.setdefault(shard, Contexts(self._options.context))

    def _say_context(self, shard: str, before: Any, now: float) -> None:
        session = self.sessions.get(shard)
        if session is not None:
            self.has_more = True
            session.say_context(now, is_news=self._contexts_of(shard).effective is not before)

    def call(self, call: RpcCall, *, timeout: float) -> int:
        """Compose a call; its number comes back with its outcome."""
        self.has_more = True
        return self.calls.call(call, timeout=timeout)

    def batch(self, calls: Sequence[RpcCall], *, timeout: float) -> int:
        """Compose a batch; its number comes back with its outcomes."""
        self.has_more = True
        return self.calls.batch(calls, timeout=timeout)

    def connection_of(self, shard: str) -> Connection | None:
        """Return the shard's connection, if it has one."""
        session = self.sessions.get(shard)
        return None if session is None else session.connection

    def is_polled(self, shard: str) -> bool:
        """Tell whether the shard is polled instead of having a socket, and its server answers."""
        return self.poller.is_live(shard)

    def was_idle_closed(self, shard: str) -> bool:
        """Tell whether the shard's socket was closed because nothing needed it."""
        return shard in self._idle_closed

    def mutate(self, composition: Composition, now: float) -> None:
        """Take on a write: patch what it patches, then send it or let it wait.

        Every phase it goes through is an event with its ``mutation_id``; ``MutationSettled`` is the last.
        """
        self.has_more = True
        shard = composition.shard
        record = QueuedMutation(
            mutation_id=composition.mutation_id,
            function_path=composition.function_path,
            args=composition.args,
            client_id=self.client_id,
            shard=shard,
            identity=self.writes.identity.author,
            baseline=self.baseline(shard),
            version=self._options.writes.version,
        )
        write = Write(record, precondition=composition.precondition, timeout=composition.timeout)
        write.layers = self._patches.apply(composition)
        self.writes.compose(write, now)

    def cancel_mutation(self, mutation_id: str) -> bool:
        """Withdraw a write that was not sent yet, with its patches; tells whether that was still possible."""
        self.has_more = True
        write = self.writes.cancel(mutation_id)
        if write is None:
            return False
        self._patches.roll_back(write)
        return True

    def learn_client_id(self, client_id: str) -> None:
        """Learn who composes writes here; comes before anything is sent, and before ``hydrate``."""
        self.client_id = client_id

    def expect_records(self) -> None:
        """Note that what earlier processes left is being looked for; ``hydrate`` follows, unless that fails."""
        self.writes.expect_records()

    def hydrate(self, records: Iterable[QueuedMutation], now: float, *, is_whole: bool = True) -> None:
        """Take over what earlier processes left, ahead of what was composed since; ``is_whole`` if all was read."""
        self.has_more = True
        self.writes.hydrate(records, self.client_id, now, is_whole=is_whole)
        self._update_status(now)

    def receive_stored(self, mutation_ids: Iterable[str], now: float) -> None:
        """Note that records are where they should be: on disk, or in memory if the disk refused."""
        self.has_more = True
        self.writes.receive_stored(mutation_ids, now)

    def refuse_stored(self, mutation_id: str, error: LunoraError, now: float) -> None:
        """Give a write up whose record can never be stored."""
        self.has_more = True
        self.writes.refuse_stored(mutation_id, error, now)

    def set_auth_token(self, token: str | None, subject: str | Keep | None, now: float) -> IdentityChange:
        """Be somebody else, or the same with another token; what may go out under it is sent."""
        self.has_more = True
        change = self.account.set_token(token, subject, now)
        self._update_status(now)
        return change

    def resolve_user(self, now: float) -> None:
        """Find out who is signed in; ``UserHeard`` tells."""
        self.has_more = True
        self.account.resolve(now)

    def load_reads(self, entries: Iterable[CachedRead], now: float) -> None:
        """Take what the read cache held, once; it is shown where the server has given nothing yet."""
        self.has_more = True
        if self.reads is not None:
            self.reads.load(entries)
            for session in self.sessions.values():
                self.reads.seed_all(session.subscriptions)

    def baseline(self, shard: str) -> int | None:
        """Return the highest position that any live query of the shard has reached; ``None`` without one."""
        name = self.calls.cursors.resolve(shard)
        cursors = (
            subscription.result.cursor or 0
            for session in self.sessions.values()
            if self.calls.cursors.resolve(session.shard) == name
            for subscription in session.subscriptions
        )
        return max(cursors, default=0) or None

    def restart_sockets(self, now: float) -> None:
        """Retire every socket, for a new credential; subscriptions survive."""
        self.has_more = True
        for session in self.sessions.values():
            session.restart(now)
        self._update_status(now)

    def receive_opened(self, shard: str, now: float, *, has_token: bool = False) -> None:
        """Note that the driver opened the shard's socket, and whether with a token of its own."""
        self.has_more = True
        session = self.sessions.get(shard)
        if session is not None:
            # A socket that was abandoned may still say that it is open: it ends no polling.
            if session.connection.can(Trigger.OPENED):
                self.poller.note_open(shard)
            session.receive_opened(now, has_token=has_token)
        # Whoever is to be found out first is asked for before anything goes out under their name.
        self._update_status(now)
        self.writes.flush_reachable(shard, now)

    def receive_text(self, shard: str, text: str | bytes, now: float) -> None:
        """Apply a frame that arrived on the shard's socket; one of a shard that was given up is ignored."""
        session = self.sessions.get(shard)
        if session is None:
            return
        session.receive_text(text, now)

    def distrust(self, shard: str, text: str | bytes, now: float) -> None:
        """Note that applying a frame has broken off: what it was about may be anything, and is asked for anew."""
        self.has_more = True
        if shard in self.sessions:
            self.sessions[shard].distrust(text, now)

    def receive_closed(self, shard: str, code: int | None, now: float) -> None:
        """Note that the shard's socket, or the attempt to open it, is gone."""
        self.has_more = True
        if shard in self.sessions:
            self.sessions[shard].receive_closed(code, now)
        self._update_status(now)

    def receive_reply(self, request_id: int, reply: HttpReply | LunoraError, now: float) -> None:
        """Settle a call with its reply, or with why there is none."""
        self.has_more = True
        self.calls.receive_reply(request_id, reply, now)
        if self.reads is not None:
            self.reads.arm(now)
        self._update_status(now)

    def handle_deadline(self, now: float) -> None:
        """Do what is due by now, in every shard."""
        self.has_more = True
        for shard in self.agenda.due(now):
            session = self.sessions[shard]
            session.handle_deadline(now)
            if session.is_closed:
                self._forget(session)
        self.poller.handle_deadline(now)
        self.writes.handle_deadline(now)
        if self.reads is not None:
            self.reads.handle_deadline(now)
        self._update_status(now)

    def close(self) -> None:
        """End everything for good."""
        self.has_more = True
        if self.reads is not None:
            self.reads.flush()
        for session in list(self.sessions.values()):
            session.close()
            self._forget(session)
        self.writes.close()
        self.calls.close()
        self._update_status(None)

    def next_deadline(self) -> float:
        """Return when ``handle_deadline`` is due, infinite when never."""
        reads = inf if self.reads is None else self.reads.deadline
        return min(self.writes.deadline, self.poller.deadline, reads, self.agenda.deadline)

    def take_events(self) -> list[Event]:
        """Take what happened since the last call, in order; for owners that handle nothing re-entrantly."""
        events = list(self.events)
        self.events.clear()
        return events

    def shards_to_send(self) -> list[str]:
        """Return the shards that have frames to send."""
        return self.agenda.senders

    def take_frames(self, shard: str) -> list[str]:
        """Take the frames to send on the shard's socket, in order."""
        return self.sessions[shard].take_frames()

    def requests_to_send(self) -> list[HttpRequest]:
        """Take the requests to make."""
        return self.calls.take_requests()

    def _session(self, shard: str) -> Session:
        session = self.sessions.get(shard)
        if session is None:
            session = self.sessions[shard] = self._open_session(shard)
        return session

    def _open_session(self, shard: str) -> Session:
        options = self._options
        was_ever_connected = shard in self._idle_closed
        self._idle_closed.discard(shard)
        return Session(
            shard,
            Connection(
                options.timing,
                options.backoff,
                self._random,
                was_ever_connected=was_ever_connected,
                note_move=self.agenda.move,
            ),
            Subscriptions(self._new_subscription_id, linger=options.linger),
            introduce=lambda context: Connect(self.client_id, context=context),
            contexts=self._contexts_of(shard),
            emit=self.events.append,
            is_needed=lambda: self.writes.needs_shard(shard),
            note_failure=lambda now: self.poller.note_failure(shard, now),
            ask_subject=self.account.ask_socket,
            receive_subject=self._receive_subject,
            fingerprint=lambda: self.writes.identity.fingerprint,
            agenda=self.agenda,
            reads=self.reads,
            new_shape_id=lambda: self._new_id("shape"),
            new_stream_id=lambda: self._new_id("stream"),
        )

    def _open_reads(self) -> Reads:
        cache = ReadCache(version=self._options.writes.version)
        return Reads(cache, lambda: self.writes.identity, self.events.append)

    def _note_polled(self, shard: str, now: float) -> None:
        self._update_status(now)
        self.writes.flush_reachable(shard, now)

    def _receive_subject(self, question: int, subject: str | None, now: float) -> None:
        self.has_more = True
        self.account.receive_subject(question, subject, now)
        self._update_status(now)

    def _forget(self, session: Session) -> None:
        del self.sessions[session.shard]
        self.agenda.forget(session.shard)
        self.poller.stop(session.shard)
        self._frames_received += session.frames_received
        if session.connection.was_ever_connected:
            self._idle_closed.add(session.shard)

    def _new_subscription_id(self) -> str:
        return self._new_id("sub")

    def _new_id(self, kind: str) -> str:
        self._counts[kind] += 1
        return f"{kind}_{self._counts[kind]}"

    def _update_status(self, now: float | None) -> None:
        status = self._evaluate_status()
        if status is self.status:
            return
        self.status = status
        self.events.append(StatusChanged(status))
        if status in (Status.CONNECTED, Status.POLLING) and now is not None:
            self.account.retry(now)

    def _evaluate_status(self) -> Status:
        if not self.sessions:
            return Status.IDLE
        if self.agenda.count(Open):
            return Status.CONNECTED
        if self.poller.is_anything_live:
            return Status.POLLING
        return Status.CONNECTING if self.agenda.count(Connecting) else Status.OFFLINE
