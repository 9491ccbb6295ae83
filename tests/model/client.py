"""A client core with its driver played by hand, and what its observers have seen.

It drives the core exactly as ``lunora_rx.driver`` does: events first, then frames, requests and
the timer, and those only when the core says that there may be some.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from math import inf
from typing import Any, NamedTuple

import orjson

from lunora_rx.core.backoff import Backoff
from lunora_rx.core.calls import HttpRequest
from lunora_rx.core.connection import Timing
from lunora_rx.core.events import (
    ClearReads,
    CloseSocket,
    CredentialRefused,
    Event,
    ForgetReads,
    IdentityChanged,
    MutationQueued,
    MutationSettled,
    OpenSocket,
    PendingChanged,
    QueryFailed,
    RemoveRecords,
    ReplaceRecord,
    SnapshotChanged,
    StaleRecordsDropped,
    StoreReads,
    StoreRecord,
    SubscriptionClosed,
    ValueChanged,
    ValuesRevoked,
)
from lunora_rx.core.identity import KEEP, Gate, gate
from lunora_rx.core.multiplexer import CoreOptions, Multiplexer
from lunora_rx.core.optimistic import Layer, fold
from lunora_rx.core.patches import Composition
from lunora_rx.core.polling import Polling
from lunora_rx.core.records import QueuedMutation
from lunora_rx.core.shape_events import RowsChanged, ShapeFailed, ShapeMoved
from lunora_rx.core.snapshot import Snapshot, SnapshotStatus
from lunora_rx.core.stream_events import StreamChunk, StreamEnded, StreamFailed
from lunora_rx.core.subscriptions import Subscription
from lunora_rx.core.writes import WriteOptions
from lunora_rx.errors import LunoraError, TransportError
from lunora_rx.protocol import UNDEFINED, decode_wire, encode_wire, subscription_key
from lunora_rx.protocol.rpc import Accepted, HttpReply
from lunora_rx.protocol.values import Undefined
from tests.model.app import GOOD_TOKEN, ORIGIN, OWN, QUERIES, TOUCH, socket_token_of, user_of, who_is
from tests.model.disk import Disk, StoredRead, StoreOwned, Told, Wish
from tests.model.history import FAILED, History
from tests.model.lists import Lists, ListView
from tests.model.network import Link, Network, Request, calls_of, mutation_ids_of, shard_of, subscription_id_of
from tests.model.pages import PageQuery, page_query
from tests.model.shape_views import ShapeViews
from tests.model.streams import StreamViews
from tests.model.writes import Author, ModelLayer, Write

_MANY_TURNS = 100


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """What varies between the clients of a schedule."""

    heartbeat_interval: float = 30.0
    jitter: str = "decorrelated"
    linger: float = 0.0
    seed: int = 0
    is_durable: bool = False
    queue_limit: int = 1000
    has_cookies: bool = False
    polls: bool = False


@dataclass(eq=False)
class View:
    """What the observers of one query have been told.

    Attributes:
        query: Its name in the model, or which page of a list it is.
        shard: Where it is asked.
        count: How many ask for it at present; none while it lingers.
        status: The latest status.
        value: The latest value.
        error: The latest error.
        pending_layers: How many layers the latest value is said to hold.
        ordinal: Place in the server's history that the value is known to have reached.
        subject: Whom the server took for the user when it told the value.
        is_mid_run: Whether the value is between two states of the server: more deltas of one commit must follow.
        is_seed: Whether the value is what an earlier process has left, and the server has not said anything yet.
    """

    query: str | PageQuery
    shard: str
    count: int = 0
    status: SnapshotStatus = SnapshotStatus.PENDING
    value: Any = UNDEFINED
    error: LunoraError | None = None
    pending_layers: int = 0
    ordinal: int = -1
    subject: str | None = None
    is_mid_run: bool = False
    is_seed: bool = False


class Poll(NamedTuple):
    """A question over HTTP: what is asked, which writes were acknowledged before, and by whom."""

    shard: str
    subscriptions: list[Any]
    acknowledged: list[Write]
    identity: Any
    reader: str | None


class Client:
    """One client core, its sockets, its writes, its observers: one process.

    Args:
        name: What it calls itself.
        settings: What varies.
        network: Where its sockets and requests go.
        history: What the server's values have been.
        traffic: Counts what happens.
        disk: Where its queue is kept; ``None`` keeps it in memory.
        version: Which version of the application it is.

    Attributes:
        writes: Its writes, and those of earlier processes that it has found, by mutation id.
        shapes: The shapes that it holds.
        streams: The streams that it follows.
        lists: The growing lists that it watches.
        token: The bearer.
        socket_token: What its sockets open with, be it a cookie: another one as soon as somebody else is signed in.
        has_started: Whether it knows its client id; before, no socket opens and no request is made.
        left_over: The records it has found and not taken over yet; ``None`` once it has.
        left_reads: The values it has found.
        refused_tokens: Tokens of which it was told that the server refuses them.
        pending: How many writes wait, as it says.
    """

    def __init__(
        self,
        name: str,
        settings: ClientSettings,
        network: Network,
        history: History,
        traffic: Counter[str],
        disk: Disk | None = None,
        version: str | None = None,
    ) -> None:
        self.name = name
        self.now = 0.0
        self.armed = inf
        self.views: dict[str, View] = {}
        self.links: dict[str, Link] = {}
        self.writes: dict[str, Write] = {}
        self.commits: dict[str, int] = {}
        self.disk = disk
        self.left_over = None if disk is None else list(disk.records.values())
        self.has_started = disk is None
        self._has_cookies = settings.has_cookies
        self.left_reads: dict[str, StoredRead] = dict(disk.reads) if disk is not None and self.keeps_reads else {}
        self._told: dict[str, Told] = {}
        self.token: str | None = None
        self.socket_token = None if settings.has_cookies else GOOD_TOKEN
        self.refused_tokens: set[str | None] = set()
        self.pending = 0
        self.core = Multiplexer(
            CoreOptions(
                cookie_origin=ORIGIN if settings.has_cookies else None,
                client_id="" if disk is not None else name,
                timing=Timing(heartbeat_interval=settings.heartbeat_interval),
                backoff=Backoff(jitter=settings.jitter),
                linger=settings.linger,
                polling=Polling() if settings.polls else None,
                writes=WriteOptions(
                    queue_limit=settings.queue_limit,
                    is_durable=disk is not None,
                    queues_before_first_connect=disk is not None,
                    version=version,
                    is_cookie_session=settings.has_cookies,
                ),
            ),
            random.Random(settings.seed).random,
        )
        self.shapes = ShapeViews(self.core, history, traffic)
        self.streams = StreamViews(self.core, traffic)
        self.lists = Lists(self, history, traffic)
        self.is_closed = False
        self._is_at_work = False
        self.is_crashed = False
        self._linger = settings.linger
        self._version = version
        self._network = network
        self._history = history
        self._traffic = traffic
        self._requests: dict[int, Request] = {}
        self._polls: dict[int, Poll] = {}
        self._reply_epoch: Any = None
        self._patching: dict[str, Write] = {}

    # --- for the application

    def subscribe(self, query: str, shard: str) -> None:
        """Observe a query; a late observer is shown what there is at once."""
        path, args = QUERIES[query]
        self._observe(query, subscription_key(path, args, shard), path, encode_wire(args), shard)

    def watch_page(self, key: str, path: str, args: Any, shard: str) -> Snapshot[Any]:
        """Observe a page of a list."""
        return self._observe(page_query(decode_wire(args)), key, path, args, shard)

    def _observe(self, query: str | PageQuery, key: str, path: str, args: Any, shard: str) -> Snapshot[Any]:
        snapshot = self.core.subscribe(key, path, args, shard, self.now)
        view = self.views.get(key)
        if view is None:
            view = self.views[key] = View(query, shard)
            if snapshot.status is SnapshotStatus.STALE:
                self._show(key, snapshot.status, snapshot.value, snapshot.error, snapshot.pending_layers)
        assert (snapshot.status, snapshot.value) == (view.status, view.value), f"{query}: a late observer sees else"
        view.count += 1
        self.drain()
        return snapshot

    def unsubscribe(self, key: str) -> None:
        """Stop one observation."""
        view = self.views[key]
        view.count -= 1
        self.core.unsubscribe(key, view.shard, self.now)
        self.drain()
        assert view.count or self._linger or key not in self.views, f"{view.query}: nobody asks, yet it goes on"

    def refresh(self, key: str) -> None:
        """Ask for the whole value again."""
        self.core.refresh(key, self.views[key].shard, self.now)
        self.drain()

    def watch_list(self, order: str, size: int, shard: str) -> None:
        """Watch a growing list."""
        self._work(lambda: self.lists.watch(order, size, shard))

    def leave_list(self, view: ListView) -> None:
        """Watch it no more."""
        self._work(lambda: self.lists.leave(view))

    def load_more(self, view: ListView, num_items: int) -> None:
        """Let it grow."""
        self._work(lambda: self.lists.load_more(view, num_items))

    def refresh_list(self, view: ListView) -> None:
        """Ask for all of it again."""
        self._work(view.source.refresh)

    def subscribe_shape(self, name: str, shard: str) -> None:
        """Hold a shape."""
        self.shapes.subscribe(name, shard, self.now)
        self.drain()

    def release_shape(self, shape_id: str) -> None:
        """Hold it no more."""
        self.shapes.release(shape_id, self.now)
        self.drain()

    def start_stream(self, path: str, count: int, shard: str) -> None:
        """Follow a procedure."""
        self.streams.start(path, count, shard, self.now)
        self.drain()

    def cancel_stream(self, stream_id: str) -> None:
        """Follow it no more."""
        self.streams.cancel(stream_id, self.now)
        self.drain()

    def compose(self, write: Write) -> None:
        """Mutate, for the first time or again."""
        must_wait = self._has_writes_ahead(write.shard) or self.left_over is not None
        self.writes[write.mutation_id] = write
        self._patching.pop(write.mutation_id, None)
        self._patching[write.mutation_id] = write
        composition = Composition(
            write.mutation_id,
            write.mutation,
            encode_wire(write.args),
            write.shard,
            optimistic=write.transform_own(self._find(write)) if write.mutation == TOUCH else None,
            optimistic_update=(lambda store: write.update(store, lambda key: self.core.find(key, write.shard))),
            precondition=write.ask_precondition if write.has_precondition else None,
        )
        self.core.mutate(composition, self.now)
        self.drain()
        is_direct = self._is_under_way(write)
        assert not (must_wait and is_direct), f"write {write.mark} overtakes what waits already"
        write.is_ordered = write.is_open and not is_direct and not write.was_sent

    def _has_writes_ahead(self, shard: str) -> bool:
        # What is held for somebody who is not signed in may be overtaken: nobody knows for how long.
        writes, state = self.core.writes, self.core.writes._states.get(shard)
        is_busy = state is not None and (state.replay is not None or bool(state.waiting))
        return is_busy or (writes.queue.has_shard(shard) and not writes._holds_all(shard))

    def cancel(self, write: Write) -> None:
        """Withdraw a write; that succeeds exactly as long as it waits."""
        is_late = not write.is_open or self._is_under_way(write)
        was_withdrawn = self.core.cancel_mutation(write.mutation_id)
        assert was_withdrawn is not is_late, f"write {write.mark}: withdrawn is {was_withdrawn}, too late is {is_late}"
        if was_withdrawn:
            self._traffic["write cancelled"] += 1
            write.excuses.add("cancelled")
            write.is_open = False
        self.drain()

    def sign_in(self, token: str | None, *, names_subject: bool) -> None:
        """Use another token, or name the subject of the present one."""
        self.token = token
        is_for_sockets = self.keeps_reads or (not self.core.sessions and not self._has_cookies)
        former = self.socket_token
        if is_for_sockets:
            self.socket_token = socket_token_of(token)
        self.core.set_auth_token(token, self.user if names_subject else KEEP, self.now)
        self.drain()
        if self.keeps_reads and self.socket_token != former:
            self.restart_sockets()

    def use_socket_token(self, user: str | None) -> None:
        """Have the sockets be somebody's from now on: their token, or the cookie, is another one."""
        self.socket_token = None if self._has_cookies and user is None else socket_token_of(user)
        # A run is its user's own: nobody else can go on with it.
        self.streams.excuse("STREAM_INTERRUPTED")
        self.restart_sockets()

    @property
    def keeps_reads(self) -> bool:
        """Whether values outlive it.

        Then its sockets open as whoever has signed in, or nobody could tell whose values they are. That leaves out a
        cookie beside a bearer, which may be another user's.
        """
        return self.disk is not None and not self._has_cookies

    @property
    def cookie(self) -> str | None:
        """Whose cookie goes along with requests."""
        return user_of(self.socket_token) if self._has_cookies else None

    @property
    def user(self) -> str | None:
        """Whom the server takes for the user of a request that is made now."""
        return self.cookie if self.token is None else user_of(self.token)

    @property
    def author(self) -> Author:
        """Who composes what is composed now."""
        subject = self.core.writes.identity.subject
        return Author(self.user if isinstance(subject, Undefined) else subject, self.user)

    def start(self) -> None:
        """Learn who it is, if that is still to do."""
        if not self.has_started:
            self.has_started = True
            self.core.learn_client_id(self.name)
            self.core.load_reads((each.entry for each in self.left_reads.values()), self.now)
            self.core.has_more = True
            self.drain()

    def hydrate(self) -> None:
        """Take over what earlier processes have left, if that is still to do."""
        self.start()
        records, self.left_over = self.left_over, None
        if records is not None:
            self.core.hydrate(records, self.now)
            self.drain()

    def use_disk(self, count: int = 1_000_000, *, is_full: bool = False) -> bool:
        """Let the disk do what it was asked for; tell whether there was anything."""
        if self.disk is None or not self.disk.wishes:
            return False
        done = self.disk.work(count, is_full=is_full)
        for mutation_id in done:
            self.writes[mutation_id].is_stored = True
        self.core.receive_stored(done, self.now)
        self.drain()
        return True

    def restart_sockets(self) -> None:
        """Use a new credential."""
        self.core.restart_sockets(self.now)
        self.drain()

    def close(self) -> None:
        """End the client; nothing may be left, and nothing of what it composed is lost that a disk should hold."""
        self.hydrate()
        self.is_closed = True
        self.streams.excuse("CLIENT_CLOSED")
        lists, _ = self.lists.views.copy(), self.lists.cache.complete()
        self.core.close()
        self.drain()
        assert all(view.is_over for view in lists), "observers of lists of a closed client were not told"
        assert not self.streams.views, "streams of a closed client were not ended"
        self.shapes.views.clear()
        assert not self.views, "observers of a closed client were not told"
        assert not self.links, "a closed client keeps a socket"
        assert self.armed == inf, "a closed client keeps a timer"

    def crash(self) -> None:
        """Lose everything that is not on the disk; nobody is told."""
        self.is_closed = self.is_crashed = True
        self.armed = inf
        self.views.clear()
        self.shapes.views.clear()
        self.streams.views.clear()
        self.lists.forget()
        for link in self.links.values():
            self._network.lose_client(link)

    # --- for the network

    def receive_opened(self, link: Link) -> None:
        assert not self.is_crashed
        assert link.session is not None
        self.shapes.note_open(link.shard, link.session.subject)
        self.core.receive_opened(link.shard, self.now)
        self.drain()

    def receive_closed(self, link: Link, code: int | None) -> None:
        assert self.links.pop(link.shard) is link
        self.shapes.note_closed(link.shard)
        self.streams.excuse("STREAM_DISCONNECTED", link.shard)
        self.core.receive_closed(link.shard, code, self.now)
        self.drain()

    def receive_text(self, link: Link, text: str | bytes) -> None:
        self._work(lambda: self._receive_frame(link, text))

    def _receive_frame(self, link: Link, text: str | bytes) -> None:
        frame = _parsed(text)
        self.shapes.begin_frame(link.shard, frame)
        self.core.receive_text(link.shard, text, self.now)
        self.drain()
        self.shapes.end_frame()
        self._check_frame(link, frame)

    def receive_reply(self, request_id: int, reply: HttpReply | TransportError) -> None:
        request = self._requests.pop(request_id)
        self._reply_epoch = request.epoch
        if not isinstance(reply, HttpReply) or reply.status != HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            # Halves of a body that was too large belong to the same pass; another pass asks anew.
            for write in request.writes:
                write.answered = None
        if self.is_crashed:
            return
        http_poll = self._polls.pop(request_id, None)
        if http_poll is not None:
            self._take_poll(request_id, http_poll, reply)
        bases = [] if http_poll is None else self._bases_of(http_poll)
        self.core.receive_reply(request_id, reply, self.now)
        if http_poll is not None:
            self._check_poll(http_poll, bases)
        self.drain()

    # --- for the clock

    def handle_deadline(self) -> None:
        """Let the timer fire."""
        self.armed = inf
        self.core.handle_deadline(self.now)
        self.drain()
        assert self.armed > self.now, "the timer would fire again at once"

    def drain(self) -> None:
        """Carry out what the core wants, and what comes of it in the next turn of the loop."""
        self._drain()
        if not self._is_at_work:
            self._work(lambda: None)

    def _work(self, work: Callable[[], object]) -> None:
        """Do something in one turn of the loop, then what it has put off to the next ones."""
        self._is_at_work = True
        work()
        self._drain()
        for _ in range(_MANY_TURNS):
            self.lists.note_frame()
            if not self.lists.turn():
                break
            self._drain()
        else:
            raise AssertionError(f"the lists of {self.name} are never at rest")
        self._is_at_work = False
        if not self.is_closed:
            self.lists.check()

    def _drain(self) -> None:
        """Carry out what the core wants, in the driver's order."""
        core = self.core
        while core.events or core.has_more:
            for event in core.take_events():
                self._handle(event)
            if core.has_more:
                core.has_more = False
                self._send()
                self.armed = core.next_deadline()
        if not self.is_closed:
            self._check_views()
            self.shapes.check()
            queued = len(core.writes.queue)
            assert self.pending == queued, f"{self.name} says that {self.pending} writes wait, {queued} do"

    # --- what there is to see

    def subscription(self, key: str) -> Subscription:
        """Return the core's record of a query."""
        found = self.core.find(key, self.views[key].shard)
        assert found is not None, f"{self.views[key].query}: the core has forgotten it"
        return found

    def exact_ordinal(self, key: str) -> int | None:
        """Return the place in the story of what a query shows; ``None`` where it shows something else."""
        view, result = self.views[key], self.subscription(key).result
        is_exact = result.cursor is not None and not view.is_mid_run and result.shown is result.base
        return view.ordinal if is_exact else None

    def stalled_writes(self) -> list[QueuedMutation]:
        """Return what waits although nothing forbids that it is sent."""
        identity = self.core.writes.identity
        queued = [write.record for write in self.core.writes.queue]
        if self.token in self.refused_tokens:
            return []
        return [record for record in queued if gate(record.identity, identity) is not Gate.HOLD]

    def _send(self) -> None:
        for shard in self.core.shards_to_send():
            frames = self.core.take_frames(shard)
            assert shard in self.links, f"frames for {shard!r}, which has no socket"
            for text in frames:
                self.shapes.note_sent(shard, text)
            self.links[shard].up.extend(frames)
        for http in self.core.requests_to_send() if self.has_started else ():
            ids = mutation_ids_of(http)
            assert set(ids) <= set(self.writes), f"{ids} are sent, which nobody has composed"
            writes = [self.writes[mutation_id] for mutation_id in ids]
            for write in writes:
                self._note_sent(write)
            shard = shard_of(http)
            self._requests[http.request_id] = self._network.request(self, shard, http, writes)
            if not writes and http.body is not None:
                self._note_poll(shard, http)

    def _note_sent(self, write: Write) -> None:
        assert write.is_open, f"write {write.mark} is sent, which has its verdict"
        assert not self._is_under_way(write), f"write {write.mark} is on its way twice"
        if write.was_queued:
            assert write.is_stored or self.disk is None, f"write {write.mark} is replayed before it is stored"
            is_asked = not write.has_precondition or write.is_hydrated or write.answered is True
            assert is_asked, f"write {write.mark} is replayed, its precondition said {write.answered}"
        else:
            write.is_ordered = False
        write.was_sent = True

    def _note_poll(self, shard: str, http: HttpRequest) -> None:
        session = self.core.sessions.get(shard)
        if session is None:  # asked for before anything could be sent, and given up since
            return
        asked = {
            subscription_key(call["functionPath"], decode_wire(call["args"]), shard): None for call in calls_of(http)
        }
        subscriptions = [session.subscriptions.get(key) for key in asked]
        done = [write for write in self._patching.values() if _is_acknowledged(write)]
        self._polls[http.request_id] = Poll(shard, subscriptions, done, self.core.writes.identity, self.user)
        self._traffic["poll"] += 1

    def _take_poll(self, request_id: int, poll: Poll, reply: HttpReply | TransportError) -> None:
        """Note what a poll that is shown makes of the layers: it holds every write acknowledged before it began."""
        connection = self.core.connection_of(poll.shard)
        is_late = request_id not in self.core.calls._pending or connection is None or connection.is_open
        if is_late or not isinstance(reply, HttpReply) or not poll.identity.is_like(self.core.writes.identity):
            return
        slots = (_parsed(reply.body) or {}).get("results", [])
        shown = {poll.subscriptions[slot["id"]] for slot in slots if "result" in slot["body"]}
        self._traffic["poll shown"] += len(shown)
        for layer in (layer for write in poll.acknowledged for layer in write.layers):
            layer.is_reached |= layer.subscription in shown

    def _bases_of(self, poll: Poll) -> list[tuple[Subscription, Any]]:
        return [(each, each.result.base) for each in poll.subscriptions if each is not None]

    def _check_poll(self, poll: Poll, bases: list[tuple[Subscription, Any]]) -> None:
        """Check that a poll tells nobody what another user was answered."""
        for subscription, base in bases:
            polled = subscription.result.base
            view = self.views.get(subscription.key)
            if view is None or polled is base or polled is UNDEFINED:
                continue
            self._told[subscription.key] = Told(poll.reader)
            is_same_user = poll.identity.fingerprint == self.core.writes.identity.fingerprint
            assert is_same_user, f"{view.query} shows what was polled for {poll.identity}"
            if view.query == "who":
                assert polled == who_is(poll.reader), f"{poll.reader} polls, and is told of {polled}"

    def _is_under_way(self, write: Write) -> bool:
        return any(write in request.writes for request in self._requests.values())

    def _handle(self, event: Event) -> None:
        match event:
            case ValueChanged(key, value, _, pending_layers):
                self._show(key, SnapshotStatus.LIVE, value, None, pending_layers)
                self.lists.publish(event)
            case SnapshotChanged(key, snapshot) | QueryFailed(key, snapshot):
                self._show(key, snapshot.status, snapshot.value, snapshot.error, snapshot.pending_layers)
                self.lists.publish(event)
            case SubscriptionClosed(key):
                view = self.views.pop(key)
                assert view.count == 0 or self.is_closed, f"{view.query}: closed under its observers"
                self.lists.close(event)
            case ValuesRevoked():
                self.lists.cache.revoke()
            case OpenSocket(shard):
                assert shard not in self.links, f"a second socket for {shard!r}"
                self.links[shard] = self._network.open(self, shard)
            case CloseSocket(shard, code):
                self._traffic[f"client closes {code}"] += 1
                self.shapes.note_closed(shard)
                self.streams.excuse("STREAM_DISCONNECTED", shard)
                self._network.close(self.links.pop(shard))
            case RowsChanged() | ShapeMoved() | ShapeFailed():
                self.shapes.handle(event)
            case StreamChunk() | StreamEnded() | StreamFailed():
                self.streams.handle(event)
            case _:
                self._handle_write(event)

    def _handle_write(self, event: Event) -> None:
        match event:
            case StoreReads(reads):
                self._wish(StoreOwned(tuple((each, self._told[each.key]) for each in reads)))
            case StoreRecord() | RemoveRecords() | ReplaceRecord() | ForgetReads() | ClearReads():
                self._wish(event)
            case StaleRecordsDropped(records):
                for record in records:
                    self.writes[record.mutation_id].drop_stale(record.version, self._version)
            case MutationQueued(mutation_id):
                self._check_stored(mutation_id)
                self.writes[mutation_id].was_queued = True
            case PendingChanged(count):
                self.pending = count
            case MutationSettled():
                self._settle(event)
            case CredentialRefused():
                self.refused_tokens.add(self.token)
            case IdentityChanged():
                self._change_user()

    def _wish(self, wish: Wish) -> None:
        assert self.disk is not None, "a client without a disk wants to use it"
        self.disk.wishes.append(wish)
        if isinstance(wish, StoreRecord):
            self.writes[wish.record.mutation_id].was_queued = True

    def _check_stored(self, mutation_id: str) -> None:
        """Check that a write that is said to be queued is on the disk, or was refused by it."""
        if self.disk is not None:
            is_there = mutation_id in self.disk.records or mutation_id in self.disk.refused
            assert is_there, f"write {mutation_id} is said to be queued, and is not on the disk"

    def _change_user(self) -> None:
        if not self._has_cookies:
            self.socket_token = socket_token_of(self.token)
        self._check_emptied()
        self.shapes.check_emptied()
        self.lists.check_emptied()
        self.streams.excuse("STREAM_INTERRUPTED")
        self._drop_foreign_layers()

    def _check_emptied(self) -> None:
        """Check that no query shows anything of the former user's, but for layers of our own over nothing."""
        for key, view in self.views.items():
            is_empty = view.status is SnapshotStatus.PENDING and (view.value is UNDEFINED or view.pending_layers > 0)
            assert is_empty, f"{view.query} still shows {view.value!r} of the former user"
            result = self.subscription(key).result
            assert result.base is UNDEFINED, f"{view.query} still has {result.base!r} of the former user"
            assert result.resume_position is None, f"{view.query} resumes from where the former user was"
            self._traffic["value of a former user gone"] += view.query in OWN and view.ordinal >= 0

    def _drop_foreign_layers(self) -> None:
        # What is on its way for somebody else is not shown any more, whatever becomes of it.
        writes = self.core.writes
        own = {
            each.mutation_id for each in writes._unsent() if gate(each.record.identity, writes.identity) is Gate.SEND
        }
        for write in self._patching.values():
            if write.mutation_id not in own:
                for layer in write.layers:
                    layer.is_reached = True

    def _show(
        self, key: str, status: SnapshotStatus, value: Any, error: LunoraError | None, pending_layers: int
    ) -> None:
        assert key in self.views, f"an event for {key}, which nobody asks for"
        view = self.views[key]
        self._note_seed(key, view, status)
        view.status, view.value, view.error, view.pending_layers = status, value, error, pending_layers
        assert status is not SnapshotStatus.LIVE or value is not UNDEFINED, f"{view.query}: live without a value"

    def _note_seed(self, key: str, view: View, status: SnapshotStatus) -> None:
        """Note a value that is shown before the server has given any, or that it is shown no more."""
        is_seed = status is SnapshotStatus.STALE and (view.is_seed or view.status is SnapshotStatus.PENDING)
        if is_seed and not view.is_seed:
            result = self.subscription(key).result
            if result.is_behind or result.base is UNDEFINED:
                return
            assert key in self.left_reads, f"{view.query}: shows {result.base!r}, which nobody has stored"
            value = decode_wire(self.left_reads[key].entry.value)
            assert result.base == value, f"{view.query}: shows {result.base!r}, stored was {value!r}"
            told = self._told[key] = self.left_reads[key].told
            view.subject, view.is_mid_run = told.owner, told.is_mid_run
            if result.cursor is not None:
                view.ordinal = self._history.ordinal(view.shard, result.epoch, result.cursor)
            self._traffic["seed shown"] += 1
        self._traffic["seed taken back"] += view.is_seed and status is SnapshotStatus.PENDING
        view.is_seed = is_seed

    def _check_seed(self, key: str, view: View) -> None:
        owner = self.left_reads[key].told.owner
        assert owner == self.user, f"{view.query}: what {owner} has read before is shown to {self.user}"

    def _settle(self, event: MutationSettled) -> None:
        write, record, outcome = self.writes[event.record.mutation_id], event.record, event.outcome
        assert write.client is self
        assert not self.is_closed, f"write {write.mark} gets a verdict from a closed client"
        assert write.is_open, f"write {write.mark} gets a second verdict: {outcome}"
        assert (record.function_path, record.shard) == (write.mutation, write.shard)
        assert event.had_awaiter is not write.is_hydrated
        write.is_open, write.outcome = False, outcome
        if isinstance(outcome, Accepted):
            self._note_commit(write, outcome)
        else:
            check_refusal(write, outcome.error)
            self._traffic[f"refused: {outcome.error.code}"] += 1

    def _note_commit(self, write: Write, outcome: Accepted) -> None:
        assert write.was_sent, f"write {write.mark} is done, and was never sent"
        assert outcome.undecodable or outcome.value == write.mark
        write.was_committed = True
        ordinal = self._history.find(write.shard, self._reply_epoch, outcome.commit_cursor or 0)
        self.commits[write.shard] = max(self.commits.get(write.shard, -1), ordinal)

    def _find(self, write: Write) -> Subscription | None:
        return self.core.find(subscription_key(write.mutation, write.args, write.shard), write.shard)

    def _check_views(self) -> None:
        """Compare every view with the server's value under the layers of exactly those writes that must show."""
        standing: dict[Subscription, list[ModelLayer]] = {}
        for write in list(self._patching.values()):
            layers = write.standing_layers
            if not layers and not write.is_open:
                del self._patching[write.mutation_id]
            for layer in layers:
                standing.setdefault(layer.subscription, []).append(layer)
        for key, view in self.views.items():
            subscription = self.subscription(key)
            if view.is_seed:
                self._check_seed(key, view)
            self._check_fold(view, subscription, standing.get(subscription, []))

    def _check_fold(self, view: View, subscription: Subscription, standing: Iterable[ModelLayer]) -> None:
        result, expected = subscription.result, [layer.transform for layer in standing]
        assert view.value is result.shown or view.value == result.shown, f"{view.query}: its observers see else"
        assert view.pending_layers == len(result.layers), f"{view.query}: its observers count other layers"
        assert len(result.layers) == len(expected), f"{view.query} has {len(result.layers)} layers, not {len(expected)}"
        if result.shown is result.base and not expected:
            return
        shown = fold(result.base, [Layer(transform, _ignore) for transform in expected])
        assert result.shown == shown, f"{view.query} shows {result.shown!r}, its layers make it {shown!r}"

    def _check_frame(self, link: Link, frame: Any) -> None:
        subscription_id = subscription_id_of(frame)
        session = self.core.sessions.get(link.shard)
        subscription = session.subscriptions.find(subscription_id) if session and subscription_id else None
        self._traffic[f"frame: {frame.get('type') if isinstance(frame, dict) else '?'}"] += 1
        if subscription is not None:
            assert link.session is not None
            view = self.views[subscription.key]
            self._check_position(view, subscription, frame, link.session.subject)
            if frame.get("type") in ("data", "delta", "resume", "settled"):
                self._told[subscription.key] = Told(link.user, view.is_mid_run)

    def _check_position(
        self, view: View, subscription: Subscription, frame: dict[str, Any], subject: str | None
    ) -> None:
        """Compare the value shown with the one that the server had at exactly this position for this user."""
        result = subscription.result
        if result.is_behind or result.cursor is None or result.base is UNDEFINED:
            return
        base = result.base if result.anchor is UNDEFINED else result.anchor
        view.is_mid_run = "cursor" not in frame and (frame.get("type") == "delta" or view.is_mid_run)
        if view.is_mid_run:
            return
        ordinal = self._history.ordinal(view.shard, result.epoch, result.cursor)
        assert ordinal >= view.ordinal, f"{view.query}: the value goes back in time"
        view.ordinal = ordinal
        if isinstance(frame.get("cursor"), int):
            view.subject = subject
        expected = self._history.value(ordinal, view.query, view.subject)
        at = f"{result.epoch}:{result.cursor}"
        assert expected is not FAILED, f"{view.query}: shows a value at {at}, where the server had none"
        assert base == expected, f"{view.query} at {at}: has {base!r}, the server had {expected!r}"


def _is_acknowledged(write: Write) -> bool:
    return isinstance(write.outcome, Accepted) and write.outcome.commit_cursor is not None


def _parsed(text: str | bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def check_refusal(write: Write, error: LunoraError) -> None:
    """Check that a write is rejected only for a reason that it has."""
    reasons = {
        "NO": write.mutation == "rows:refuse",
        "OFFLINE_PRECONDITION_FAILED": write.has_precondition and write.answered is not True,
        "OFFLINE_QUEUE_OVERFLOW": write.was_queued or not write.was_sent,
        "OFFLINE_IDENTITY_CHANGED": write.was_queued or not write.was_sent,
    }
    has_reason = reasons.get(error.code or "", bool(write.excuses))
    assert has_reason, f"write {write.mark} is rejected for no reason: {error!r}"


def _ignore(error: Exception) -> None:
    """Take what a transform raises; the core reports it too."""
