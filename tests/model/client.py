"""A client core with its driver played by hand, and what its observers have seen.

It drives the core exactly as ``lunora_rx.driver`` does: events first, then frames, requests and
the timer, and those only when the core says that there may be some.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from math import inf
from typing import Any

import orjson

from lunora_rx.core.backoff import Backoff
from lunora_rx.core.connection import Timing
from lunora_rx.core.events import (
    CallSettled,
    CloseSocket,
    Event,
    OpenSocket,
    QueryFailed,
    SnapshotChanged,
    SubscriptionClosed,
    ValueChanged,
)
from lunora_rx.core.multiplexer import CoreOptions, Multiplexer
from lunora_rx.core.snapshot import SnapshotStatus
from lunora_rx.core.subscriptions import Subscription
from lunora_rx.errors import LunoraError, TransportError
from lunora_rx.protocol import UNDEFINED, encode_wire, subscription_key
from lunora_rx.protocol.rpc import Accepted, HttpReply, RpcCall
from tests.model.app import QUERIES
from tests.model.history import FAILED, History
from tests.model.network import Link, Network, Request, subscription_id_of

_CALL_TIMEOUT = 30.0


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """What varies between the clients of a schedule."""

    heartbeat_interval: float = 30.0
    jitter: str = "decorrelated"
    linger: float = 0.0
    seed: int = 0


@dataclass(eq=False)
class View:
    """What the observers of one query have been told.

    Attributes:
        query: Its name in the model.
        shard: Where it is asked.
        count: How many ask for it at present; none while it lingers.
        status: The latest status.
        value: The latest value.
        error: The latest error.
        ordinal: Place in the server's history that the value is known to have reached.
        is_mid_run: Whether the value is between two states of the server: more deltas of one commit must follow.
    """

    query: str
    shard: str
    count: int = 0
    status: SnapshotStatus = SnapshotStatus.PENDING
    value: Any = UNDEFINED
    error: LunoraError | None = None
    ordinal: int = -1
    is_mid_run: bool = False


@dataclass(eq=False)
class Write:
    """One mutation that the application wants carried out exactly once.

    Attributes:
        mark: What it leaves in the server's journal.
        request: The attempt that the client is waiting for.
        is_acknowledged: Whether the client was told that it is done.
        may_be_lost: Whether the server has lost its disk after it may have been carried out.
    """

    mark: int
    client: Client
    shard: str
    call: RpcCall
    request: Request | None = None
    is_acknowledged: bool = False
    may_be_lost: bool = False


class Client:
    """One client core, its sockets, its calls, its observers."""

    def __init__(
        self, name: str, settings: ClientSettings, network: Network, history: History, traffic: Counter[str]
    ) -> None:
        self.name = name
        self.now = 0.0
        self.armed = inf
        self.views: dict[str, View] = {}
        self.links: dict[str, Link] = {}
        self.writes: list[Write] = []
        self.commits: dict[str, int] = {}
        self.core = Multiplexer(
            CoreOptions(
                name,
                timing=Timing(heartbeat_interval=settings.heartbeat_interval),
                backoff=Backoff(jitter=settings.jitter),
                linger=settings.linger,
            ),
            random.Random(settings.seed).random,
        )
        self.is_closed = False
        self._linger = settings.linger
        self._network = network
        self._history = history
        self._traffic = traffic
        self._waiting: dict[int, Write] = {}

    # --- for the application

    def subscribe(self, query: str, shard: str) -> None:
        """Observe a query; a late observer is shown what there is at once."""
        path, args = QUERIES[query]
        key = subscription_key(path, args, shard)
        snapshot = self.core.subscribe(key, path, encode_wire(args), shard, self.now)
        view = self.views.setdefault(key, View(query, shard))
        assert (snapshot.status, snapshot.value) == (view.status, view.value), f"{query}: a late observer sees else"
        view.count += 1
        self.drain()

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

    def attempt(self, write: Write) -> None:
        """Send a write, for the first time or again."""
        request_id = self.core.call(write.call, timeout=_CALL_TIMEOUT)
        self._waiting[request_id] = write
        self.drain()

    def restart_sockets(self) -> None:
        """Use a new credential."""
        self.core.restart_sockets(self.now)
        self.drain()

    def close(self) -> None:
        """End the client; nothing may be left."""
        self.is_closed = True
        self.core.close()
        self.drain()
        assert not self.views, "observers of a closed client were not told"
        assert not self.links, "a closed client keeps a socket"
        assert self.armed == inf, "a closed client keeps a timer"
        assert not self._waiting, "a call of a closed client is not settled"

    # --- for the network

    def receive_opened(self, link: Link) -> None:
        self.core.receive_opened(link.shard, self.now)
        self.drain()

    def receive_closed(self, link: Link, code: int | None) -> None:
        assert self.links.pop(link.shard) is link
        self.core.receive_closed(link.shard, code, self.now)
        self.drain()

    def receive_text(self, link: Link, text: str | bytes) -> None:
        self.core.receive_text(link.shard, text, self.now)
        self.drain()
        self._check_frame(link.shard, text)

    def receive_reply(self, request_id: int, reply: HttpReply | TransportError) -> None:
        self.core.receive_reply(request_id, reply, self.now)
        self.drain()

    # --- for the clock

    def handle_deadline(self) -> None:
        """Let the timer fire."""
        self.armed = inf
        self.core.handle_deadline(self.now)
        self.drain()
        assert self.armed > self.now, "the timer would fire again at once"

    def drain(self) -> None:
        """Carry out what the core wants, in the driver's order."""
        core = self.core
        while core.events or core.has_more:
            for event in core.take_events():
                self._handle(event)
            if core.has_more:
                core.has_more = False
                self._send()
                self.armed = core.next_deadline()

    # --- what there is to see

    def subscription(self, key: str) -> Subscription:
        """Return the core's record of a query."""
        found = self.core.find(key, self.views[key].shard)
        assert found is not None, f"{self.views[key].query}: the core has forgotten it"
        return found

    def _send(self) -> None:
        for shard in self.core.shards_to_send():
            frames = self.core.take_frames(shard)
            assert shard in self.links, f"frames for {shard!r}, which has no socket"
            self.links[shard].up.extend(frames)
        for http in self.core.requests_to_send():
            write = self._waiting[http.request_id]
            write.request = self._network.request(self, write.shard, http)

    def _handle(self, event: Event) -> None:
        match event:
            case ValueChanged(key, value):
                self._show(key, SnapshotStatus.LIVE, value, None)
            case SnapshotChanged(key, snapshot) | QueryFailed(key, snapshot):
                self._show(key, snapshot.status, snapshot.value, snapshot.error)
            case SubscriptionClosed(key):
                view = self.views.pop(key)
                assert view.count == 0 or self.is_closed, f"{view.query}: closed under its observers"
            case OpenSocket(shard):
                assert shard not in self.links, f"a second socket for {shard!r}"
                self.links[shard] = self._network.open(self, shard)
            case CloseSocket(shard, code):
                self._traffic[f"client closes {code}"] += 1
                self._network.close(self.links.pop(shard))
            case CallSettled(request_id, outcome):
                self._settle(self._waiting.pop(request_id), outcome)

    def _show(self, key: str, status: SnapshotStatus, value: Any, error: LunoraError | None) -> None:
        assert key in self.views, f"an event for {key}, which nobody asks for"
        view = self.views[key]
        view.status, view.value, view.error = status, value, error
        assert status is not SnapshotStatus.LIVE or value is not UNDEFINED, f"{view.query}: live without a value"

    def _settle(self, write: Write, outcome: Any) -> None:
        request, write.request = write.request, None
        if not isinstance(outcome, Accepted):
            assert self.is_closed or isinstance(outcome.error, TransportError), f"refused: {outcome.error!r}"
            return
        assert outcome.value == write.mark
        write.is_acknowledged = True
        assert request is not None
        ordinal = self._history.find(write.shard, request.epoch, outcome.commit_cursor or 0)
        self.commits[write.shard] = max(self.commits.get(write.shard, -1), ordinal)

    def _check_frame(self, shard: str, text: str | bytes) -> None:
        frame = _parsed(text)
        subscription_id = subscription_id_of(frame)
        session = self.core.sessions.get(shard)
        subscription = session.subscriptions.find(subscription_id) if session and subscription_id else None
        self._traffic[f"frame: {frame.get('type') if isinstance(frame, dict) else '?'}"] += 1
        if subscription is not None:
            self._check_position(self.views[subscription.key], subscription, frame)

    def _check_position(self, view: View, subscription: Subscription, frame: dict[str, Any]) -> None:
        """Compare the value shown with the one that the server had at exactly this position."""
        result = subscription.result
        if result.is_behind or result.cursor is None or result.base is UNDEFINED:
            return
        view.is_mid_run = "cursor" not in frame and (frame.get("type") == "delta" or view.is_mid_run)
        if view.is_mid_run:
            return
        ordinal = self._history.ordinal(view.shard, result.epoch, result.cursor)
        assert ordinal >= view.ordinal, f"{view.query}: the value goes back in time"
        view.ordinal = ordinal
        expected = self._history.value(ordinal, view.query)
        at = f"{result.epoch}:{result.cursor}"
        assert expected is not FAILED, f"{view.query}: shows a value at {at}, where the server had none"
        assert view.value == expected, f"{view.query} at {at}: shows {view.value!r}, the server had {expected!r}"


def _parsed(text: str | bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
