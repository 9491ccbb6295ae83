"""One world of clients, network and server under a virtual clock, moved step by step by a schedule.

Each public method is a step.  Its arguments are plain and always valid: a number names one of
what there is, modulo how many there are; a step that does not apply does nothing.  So a schedule
that failed can be pasted into a test.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from math import inf
from typing import Any, TypeAlias, TypeVar

import orjson

from lunora_rx.core.connection import Open
from lunora_rx.core.snapshot import SnapshotStatus, Status
from lunora_rx.devserver import Backend
from lunora_rx.protocol import dumps, encode_wire
from lunora_rx.protocol.rpc import RpcCall
from tests.model.app import QUERIES, model_app
from tests.model.client import Client, ClientSettings, View, Write
from tests.model.history import FAILED, History
from tests.model.network import Damaged, Direction, Link, Manner, Network, Witness

T = TypeVar("T")
Transaction: TypeAlias = Sequence[tuple[str, str, str, int]]

SHARDS = ("", "north", "south")
PATIENCE = 600.0
"""Virtual seconds in which everything must come to rest: half-open sockets, backoff and linger included."""

TAG = "$lunora.wire$"
BAD_VALUE = [TAG, "bigint", 5]
DAMAGES: dict[str, dict[str, Any]] = {
    "undecodable data": {"type": "data", "data": BAD_VALUE, "cursor": 9_999, "epoch": "never"},
    "undecodable delta": {
        "type": "delta",
        "delta": {"op": "update", "key": "r1", "table": "rows", "row": {"_id": "r1", "big": BAD_VALUE}},
        "cursor": 9_999,
    },
    "undecodable cursor": {"type": "data", "data": [], "cursor": "9999"},
    "nothing": {"type": "data"},
    "unmergeable": {"type": "delta", "delta": {"op": "insert", "key": "r1", "table": "rows"}, "cursor": 9_999},
    "error": {"type": "error", "message": "no", "error": {"code": "SHARD_ERROR", "message": "no"}},
    "settled nowhere": {"type": "settled", "cursor": None, "epoch": []},
    "ack": {"type": "ack"},
}
"""Frames that concern a subscription, by what is wrong with them; the id is added."""

NOISE: dict[str, str | bytes] = {
    "no JSON": "{",
    "no UTF-8": b"\xff\xfe",
    "no object": "[]",
    "null": "null",
    "no type": '{"id":"sub_1"}',
    "type is a number": '{"type":5,"id":"sub_1"}',
    "type is a list": '{"type":[],"id":"sub_1"}',
    "unknown type": '{"type":"chunks","id":"sub_1"}',
    "unknown id": '{"type":"data","id":"sub_999","data":[],"cursor":9999,"epoch":"never"}',
    "id is a number": '{"type":"data","id":1,"data":[]}',
    "no id": '{"type":"data","data":[]}',
    "error for nobody": '{"type":"error","message":"no"}',
    "bad identity": '{"type":"identity","subject":5}',
    "pong": "lunora-pong",
    "lone surrogate": '{"type":"whisper","topic":"\\ud800","data":1}',
    "deep": "[" * 2000,
}
"""Texts that concern nobody, by what is wrong with them."""

_ENVELOPE = 100
"""More than what a data frame holds besides its value."""
_UNREADABLE = ("undecodable data", "undecodable delta", "undecodable cursor", "nothing", "spoilt")
_UNTIL_NEXT_OPEN = ("error", "complete")


class World:
    """Clients, network, server, and the story of the server's values."""

    def __init__(
        self,
        clients: Sequence[ClientSettings] = (ClientSettings(),),
        *,
        change_retention: int = 1000,
        queued_bytes: int = 2**20,
        frame_limit: float = inf,
    ) -> None:
        numbers = itertools.count(1)
        self.now = 1.0
        self.traffic: Counter[str] = Counter()
        app = model_app(change_retention=change_retention, queued_bytes=queued_bytes)
        self.backend = Backend(app, clock=lambda: 1000.0 + self.now, new_id=lambda: f"id{next(numbers)}")
        self.history = History(app, self.backend)
        self.network = Network(self.backend, self.history, self.traffic, frame_limit)
        self.frame_limit = frame_limit
        self.settings = list(clients)
        self.clients = [self._new_client(number) for number in range(len(clients))]
        self.writes: list[Write] = []
        for shard in SHARDS:
            self.history.note(shard)

    # --- steps of the application

    def subscribe(self, client: int, query: str, shard: str = "") -> None:
        """A client asks for a query, perhaps once more."""
        _chosen(self.clients, client).subscribe(query, shard)

    def subscribe_all(self, client: int, shard: str = "") -> None:
        """A client asks for everything there is on a shard."""
        for query in QUERIES:
            self.subscribe(client, query, shard)

    def unsubscribe(self, client: int, which: int) -> None:
        """An observer leaves."""
        chosen = _chosen(self.clients, client)
        asked = [key for key, view in chosen.views.items() if view.count]
        if asked:
            chosen.unsubscribe(_chosen(asked, which))

    def refresh(self, client: int, which: int) -> None:
        """An observer wants the whole value again."""
        chosen = _chosen(self.clients, client)
        if chosen.views:
            chosen.refresh(_chosen(list(chosen.views), which))

    def write(self, client: int, shard: str = "", steps: Transaction = ()) -> None:
        """A client writes, and hears at once that it is done."""
        self.send_write(client, shard, steps)
        self.reply(-1)

    def write_and_flow(self, client: int, shard: str, writes: Sequence[Transaction]) -> None:
        """A client writes several times, and everybody sees it."""
        for steps in writes:
            self.write(client, shard, steps)
            self.flow()

    def write_and_deliver(self, client: int, writes: Sequence[Transaction]) -> None:
        """A client writes several times; after each write a little of what follows arrives somewhere."""
        for place, steps in enumerate(writes):
            self.write(client, "", steps)
            self.deliver(place, "down", 1 + len(steps))

    def go_live(self) -> None:
        """All clients ask for everything on the default shard, and there is something to see."""
        self.write(0, "", [("put", "r1", "a", 1), ("put", "r2", "b", 2), ("put", "r3", "a", 3)])
        for client in range(len(self.clients)):
            self.subscribe_all(client)
        self.flow()

    def send_write(self, client: int, shard: str = "", steps: Transaction = (), mutation: str = "rows:apply") -> None:
        """A client sends a write, which is on its way."""
        chosen, mark = _chosen(self.clients, client), len(self.writes)
        call = RpcCall(
            mutation,
            encode_wire({"steps": [list(step) for step in steps], "mark": mark}),
            shard,
            mutation_id=f"m{mark}",
            baseline=chosen.core.baseline(shard),
        )
        write = Write(mark, chosen, shard, call)
        self.writes.append(write)
        chosen.attempt(write)

    def write_nothing(self, client: int, shard: str = "") -> None:
        """A client's mutation leaves everything as it is."""
        self.send_write(client, shard, mutation="rows:nothing")
        self.reply(-1)

    def write_again(self, which: int) -> None:
        """The application repeats a write whose fate it does not know."""
        open_writes = [each for each in self.writes if not each.is_acknowledged and each.request is None]
        open_writes = [each for each in open_writes if not each.client.is_closed]
        if open_writes:
            write = _chosen(open_writes, which)
            write.client.attempt(write)

    def renew_credential(self, client: int) -> None:
        """A client gets a new token, so that its sockets are opened anew."""
        _chosen(self.clients, client).restart_sockets()

    def replace_client(self, client: int) -> None:
        """A client is closed, and another one takes its place."""
        number = client % len(self.clients)
        self.clients[number].close()
        self.clients[number] = self._new_client(number)

    # --- steps of the network

    def flow(self) -> None:
        """Everything moves that is not stalled."""
        for _ in range(1000):
            if not self.network.flow():
                return
        raise AssertionError("client and server never stop talking")

    def deliver(self, link: int, direction: Direction, count: int = 1) -> None:
        """A few texts arrive at one end of a socket."""
        self._on_link(link, lambda each: self.network.answer(each) or self.network.deliver(each, direction, count))

    def emit(self, link: int) -> None:
        """The server puts what it has to say on the way."""
        self._on_link(link, self.network.pump)

    def stall(self, link: int, direction: Direction) -> None:
        """Nothing moves in one direction of a socket until it is released."""
        self._on_link(link, lambda each: each.stalled.add(direction))

    def release(self, link: int) -> None:
        """A stalled socket moves again."""
        self._on_link(link, lambda each: each.stalled.clear())

    def cut(self, link: int, seen_by: Witness = "both") -> None:
        """A connection is lost with all that is on the way."""
        self._on_link(link, lambda each: self.network.cut(each, seen_by))

    def meet_connects(self, manner: Manner) -> None:
        """From now on, attempts to connect are met in this manner."""
        self.network.manner = manner

    def carry(self, request: int) -> None:
        """A call reaches the server; its reply is on the way."""
        if self.network.requests:
            self.network.carry(_chosen(self.network.requests, request))

    def reply(self, request: int) -> None:
        """A reply reaches its client."""
        if self.network.requests:
            self.network.reply(_chosen(self.network.requests, request))

    def give_up(self, request: int) -> None:
        """A client waits no longer for a reply; the call may still reach the server."""
        if self.network.requests:
            self.network.give_up(_chosen(self.network.requests, request))

    def make_noise(self, link: int, noise: str) -> None:
        """A text arrives that means nothing."""
        self._on_link(link, lambda each: self.network.damage(each, Damaged(NOISE[noise], noise)))

    def damage(self, link: int, which: int, damage: str) -> None:
        """A frame that is wrong arrives for one of a client's queries, and is the next to arrive."""
        self._on_link(link, lambda each: self._damage(each, which, damage))

    def spoil(self, link: int, which: int) -> None:
        """The value in a frame on its way turns into something that cannot be read."""
        self._on_link(link, lambda each: self._spoil(each, which))

    # --- steps of the server

    def end_socket(self, link: int, code: int) -> None:
        """The server closes a socket, after all that it has sent."""
        self._on_link(link, lambda each: each.session and each.is_open and each.session.end(code))

    def expire_token(self, link: int) -> None:
        """The server finds that the token of a socket is no longer good."""
        self._on_link(link, lambda each: each.session and each.is_open and each.session.expire())

    def cancel_queries(self, link: int) -> None:
        """The server ends all live queries of a socket."""
        self._on_link(link, self._cancel)

    def restart_server(self) -> None:
        """The server starts again with the same rows and a new epoch."""
        self.backend.begin_epoch()
        self._note()

    def erase_server(self) -> None:
        """The server starts again with nothing."""
        self.backend.erase()
        for write in self.writes:
            write.may_be_lost = True
        self._note()

    # --- steps of the clock

    def advance(self, seconds: float, *, flowing: bool = True) -> None:
        """Time passes, timers fire when they are due, and texts move or do not."""
        end = self.now + seconds
        while True:
            if flowing:
                self.flow()
            due = min(client.armed for client in self.clients)
            if due > end:
                break
            self._set_clock(max(self.now, due))
            self._fire()
        self._set_clock(end)

    def freeze(self, seconds: float, *, frames_first: bool = True) -> None:
        """Every client's loop is blocked for a time; then what has come meanwhile is handled, and timers are late."""
        self._set_clock(self.now + seconds)
        if frames_first:
            self.flow()
        self._fire()

    def settle(self) -> None:
        """All faults are healed and time passes until nothing moves; then everybody must show what is true."""
        self.network.heal()
        self._come_to_rest()
        if self._reopen_what_needs_it():
            self._come_to_rest()
        if self._refresh_what_was_left_out():
            self._come_to_rest()
        self._check()

    # --- the rest

    def close(self) -> None:
        """End the world."""
        for client in self.clients:
            client.close()
        self.backend.close()

    def _new_client(self, number: int) -> Client:
        name = f"client-{number}-{self.traffic['client']}"
        self.traffic["client"] += 1
        client = Client(name, self.settings[number], self.network, self.history, self.traffic)
        client.now = self.now
        return client

    def _on_link(self, link: int, step: Any) -> None:
        if self.network.links:
            step(_chosen(self.network.links, link))

    def _note(self) -> None:
        for shard in SHARDS:
            self.history.note(shard)

    def _set_clock(self, now: float) -> None:
        self.now = now
        for client in self.clients:
            client.now = now

    def _fire(self) -> None:
        for client in self.clients:
            if client.armed <= self.now:
                client.handle_deadline()

    def _damage(self, link: Link, which: int, damage: str) -> None:
        client = link.end
        assert isinstance(client, Client)
        self.network.deliver(link, "down")
        views = [key for key, view in client.views.items() if view.shard == link.shard]
        if not views or not link.is_open or not link.can_move("down"):
            return
        subscription = client.subscription(_chosen(views, which))
        if damage == "unmergeable" and subscription.result.snapshot.status is SnapshotStatus.PENDING:
            return  # by the protocol, a row change before any value is shown as it is
        if subscription.is_oversized:
            return  # left out of this socket, so that no server would speak of it
        text = orjson.dumps({**DAMAGES[damage], "id": subscription.id})
        self.network.damage(link, Damaged(text.decode(), damage, subscription.id))
        self.network.deliver(link, "down")

    def _spoil(self, link: Link, which: int) -> None:
        self.network.pump(link)
        places = [place for place, text in enumerate(link.down) if isinstance(text, str) and _has_payload(text)]
        if places:
            place = _chosen(places, which)
            frame = orjson.loads(str(link.down[place]))
            text = orjson.dumps({**frame, frame["type"]: BAD_VALUE})
            link.down[place] = Damaged(text.decode(), "spoilt", frame["id"])

    def _cancel(self, link: Link) -> None:
        if link.session is None or not link.is_open:
            return
        client = link.end
        assert isinstance(client, Client)
        if client.links.get(link.shard) is link:
            for subscription in client.core.sessions[link.shard].subscriptions:
                link.damage["complete", subscription.id] += 1
        link.session.cancel_subscriptions()

    # --- coming to rest

    def _come_to_rest(self) -> None:
        limit = self.now + PATIENCE
        while True:
            self.flow()
            for _ in range(len(self.writes)):
                self.write_again(0)
            self.flow()
            if self._is_at_rest():
                return
            due = min(client.armed for client in self.clients)
            assert due <= limit, f"no rest within {PATIENCE} s: {self._unrest()}"
            self._set_clock(max(self.now, due))
            self._fire()

    def _is_at_rest(self) -> bool:
        return not self._unrest()

    def _unrest(self) -> list[str]:
        """Tell what still has to happen."""
        unrest = [f"{len(self.network.requests)} requests"] if self.network.requests else []
        unrest += [f"half-open socket of {link.shard!r}" for link in self.network.links if not link.is_open]
        unrest += [f"half-open socket of {link.shard!r}" for link in self.network.links if link.is_half_open]
        for client in self.clients:
            for session in client.core.sessions.values():
                name = f"{client.name} {session.shard!r}"
                if not isinstance(session.connection.state, Open):
                    unrest.append(f"{name} is {session.connection.state}")
                elif not session._pacing.is_done:
                    unrest.append(f"{name} still paces")
                elif session.shard and not session.subscriptions:
                    unrest.append(f"{name} is idle")
            unrest += [f"{view.query} lingers" for view in client.views.values() if not view.count]
        return unrest

    def _reopen_what_needs_it(self) -> bool:
        """Cut the sockets on which a query was told something that only the next open mends."""
        links = [link for link in self.network.links if self._needs_open(link)]
        for link in links:
            self.network.cut(link, "both")
        return bool(links)

    def _needs_open(self, link: Link) -> bool:
        client = link.end
        assert isinstance(client, Client)
        ids = {client.subscription(key).id for key, view in client.views.items() if view.shard == link.shard}
        return any(_harm_to(link, each) for each in ids)

    def _refresh_what_was_left_out(self) -> bool:
        """Ask again for what was left out as too large, and would fit now."""
        left_out = [
            (client, key)
            for client in self.clients
            for key, view in client.views.items()
            if _is_too_large(view) and self._fits(view)
        ]
        for client, key in left_out:
            client.refresh(key)
        return bool(left_out)

    def _fits(self, view: View) -> bool:
        truth = self.history.now(view.shard, view.query)
        return truth is FAILED or len(dumps(truth)) + _ENVELOPE <= self.frame_limit

    # --- what must be true then

    def _check(self) -> None:
        for client in self.clients:
            expected = Status.CONNECTED if client.core.sessions else Status.IDLE
            assert client.core.status is expected, f"{client.name} is {client.core.status}"
            for key, view in client.views.items():
                self._check_view(client, key, view)
        for shard in SHARDS:
            self._check_sockets(shard)
            self._check_writes(shard)

    def _check_view(self, client: Client, key: str, view: View) -> None:
        name, truth = f"{client.name}: {view.query} of {view.shard!r}", self.history.now(view.shard, view.query)
        subscription = client.subscription(key)
        assert subscription.ref_count == view.count, f"{name} is counted {subscription.ref_count} times"
        if truth is FAILED:
            assert view.status is SnapshotStatus.FAILED, f"{name} fails at the server, here it is {view.status}"
            return
        if _is_too_large(view) and not self._fits(view):
            return
        assert view.status is SnapshotStatus.LIVE, f"{name} is {view.status}: {view.error!r}"
        assert view.value == truth, f"{name} shows {view.value!r}, a fresh query gives {truth!r}"
        assert subscription.is_acked, f"{name} is not acknowledged"
        assert view.ordinal >= client.commits.get(view.shard, -1), f"{name} misses our own write"

    def _check_sockets(self, shard: str) -> None:
        open_links = [link for link in self.network.links if link.shard == shard]
        members = list(self.backend.shard(shard).members)
        assert len(members) == len(open_links), f"{len(members)} sockets at the server, {len(open_links)} at clients"
        for link in open_links:
            assert isinstance(link.end, Client)
            assert link.session is not None
            session = link.end.core.sessions[shard]
            assert link.end.links[shard] is link
            assert session._unsubscribes == [], "an unsubscribe was never sent"
            subscriptions, there = list(session.subscriptions), link.session.subscription_count
            sent = sum(not each.is_oversized for each in subscriptions)
            assert sent <= there <= len(subscriptions), f"{link.end.name} sent {sent}, the server has {there}"

    def _check_writes(self, shard: str) -> None:
        found = Counter(
            row["mark"]
            for row in self.backend.shard(shard).store.scan("journal", low=-1e18, high=1e18, descending=False, equal={})
        )
        for write in self.writes:
            if write.shard != shard or write.call.function_path != "rows:apply":
                continue
            assert write.is_acknowledged or write.client.is_closed, f"write {write.mark} was never acknowledged"
            count = found[write.mark]
            assert count <= 1, f"write {write.mark} was applied {count} times"
            assert count == 1 or write.may_be_lost or not write.is_acknowledged, f"write {write.mark} is lost"


def _chosen(things: Sequence[T], which: int) -> T:
    return things[which % len(things)]


def _is_too_large(view: View) -> bool:
    return view.error is not None and view.error.code == "FRAME_TOO_LARGE"


def _has_payload(text: str) -> bool:
    return '"type":"data"' in text or '"type":"delta"' in text


def _harm_to(link: Link, subscription_id: str) -> bool:
    """Tell whether the damage done to a query is such that, by the protocol, only the next open mends it."""
    unreadable = sum(link.damage[kind, subscription_id] for kind in _UNREADABLE)
    return unreadable > 1 or any(link.damage[kind, subscription_id] for kind in _UNTIL_NEXT_OPEN)
