"""One world of clients, network and server under a virtual clock, moved step by step by a schedule.

Each public method is a step.  Its arguments are plain and always valid: a number names one of
what there is, modulo how many there are; a step that does not apply does nothing.  So a schedule
that failed can be pasted into a test.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from math import inf
from typing import Any, TypeAlias, TypeVar

import orjson

from lunora_rx.core.connection import Open
from lunora_rx.core.session import Session
from lunora_rx.core.snapshot import SnapshotStatus, Status
from lunora_rx.devserver import Backend
from lunora_rx.protocol import dumps
from lunora_rx.protocol.values import Undefined
from tests.model.app import OWN, QUERIES, TOUCH, USERS, Mood, model_app
from tests.model.client import Client, ClientSettings, View
from tests.model.damages import BAD_VALUE, DAMAGES, NOISE
from tests.model.disk import Disk
from tests.model.history import FAILED, History
from tests.model.ledger import Ledger
from tests.model.lists import ListView
from tests.model.network import Damaged, Direction, Garbling, Link, Manner, Network, Request, Witness
from tests.model.shape_steps import ShapeSteps
from tests.model.streams import FAILING
from tests.model.writes import Patch, Write

T = TypeVar("T")
Transaction: TypeAlias = Sequence[tuple[str, str, str, int]]

SHARDS = ("", "north", "south")
PATIENCE = 600.0
"""Virtual seconds in which everything must come to rest: half-open sockets, backoff and linger included."""

_ENVELOPE = 100
"""More than what a data frame holds besides its value."""
_UNREADABLE = ("undecodable data", "undecodable delta", "undecodable cursor", "nothing", "spoilt")
_UNTIL_NEXT_OPEN = ("error", "complete")


class World:
    """Clients, network, server, and the story of the server's values.

    Attributes:
        shapes: The steps that concern shapes.
    """

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
        self.mood = Mood()
        self.ledger = Ledger(self.mood)
        self.app = model_app(self.mood, change_retention=change_retention, queued_bytes=queued_bytes)
        self.backend = Backend(self.app, clock=lambda: 1000.0 + self.now, new_id=lambda: f"id{next(numbers)}")
        self.history = History(self.app, self.backend)
        self.network = Network(self.backend, self.mood, self.traffic, frame_limit)
        self.frame_limit = frame_limit
        self.queued_bytes = queued_bytes
        self.settings = list(clients)
        self.versions = [1] * len(clients)
        self.disks = [Disk() if each.is_durable else None for each in clients]
        self.clients = [self._new_client(number) for number in range(len(clients))]
        self.shapes = ShapeSteps(self)
        self._tokens = itertools.count(1)
        for shard in SHARDS:
            self.history.watch(shard)

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
        asked = [key for key, view in chosen.views.items() if view.count and isinstance(view.query, str)]
        if asked:
            chosen.unsubscribe(_chosen(asked, which))

    def refresh(self, client: int, which: int) -> None:
        """An observer wants the whole value again."""
        chosen = _chosen(self.clients, client)
        if chosen.views:
            chosen.refresh(_chosen(list(chosen.views), which))

    def write(self, client: int, shard: str = "", steps: Transaction = (), patches: Sequence[Patch] = ()) -> None:
        """A client writes, and hears at once that it is done, unless the write has to wait."""
        write = self.send_write(client, shard, steps, patches=patches)
        for request in [each for each in self.network.requests if write in each.writes]:
            self.network.reply(request)

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

    def go_live(self, queries: Iterable[str] = tuple(QUERIES)) -> None:
        """All clients ask for everything, or for some of it, on the default shard, and there is something to see."""
        self.write(0, "", [("put", "r1", "a", 1), ("put", "r2", "b", 2), ("put", "r3", "a", 3)])
        for client, query in itertools.product(range(len(self.clients)), queries):
            self.subscribe(client, query)
        self.flow()

    def send_write(
        self,
        client: int,
        shard: str = "",
        steps: Transaction = (),
        mutation: str = "rows:apply",
        patches: Sequence[Patch] = (),
        *,
        conditional: bool = False,
    ) -> Write:
        """A client writes: it shows what it expects to come of it, and sends the write or lets it wait."""
        chosen = _chosen(self.clients, client)
        if chosen.author.claimed != chosen.author.vouched:
            # Who writes with a token of somebody else than the client still believes has a schedule of its own.
            self.name_subject(client)
        return self.compose(client, shard, steps, mutation, patches, conditional=conditional)

    def compose(
        self,
        client: int,
        shard: str,
        steps: Transaction = (),
        mutation: str = "rows:apply",
        patches: Sequence[Patch] = (),
        *,
        conditional: bool = False,
    ) -> Write:
        """A client writes, whoever it believes to be."""
        number, mark = client % len(self.clients), len(self.ledger.writes)
        chosen = self.clients[number]
        args = {"id": "r1"} if mutation == TOUCH else {"steps": [list(step) for step in steps], "mark": mark}
        write = Write(
            mark, chosen, number, shard, mutation, args, list(steps), tuple(patches), has_precondition=conditional
        )
        write.author = chosen.author
        self.ledger.writes.append(write)
        chosen.compose(write)
        return write

    def write_offline(
        self,
        client: int,
        shard: str,
        writes: Sequence[Transaction],
        patches: Sequence[Patch] = (),
        broken: int | None = None,
    ) -> None:
        """A client without its sockets writes several times; one of the writes assumes what will not hold."""
        chosen = _chosen(self.clients, client)
        for link in [each for each in self.network.links if each.end is chosen]:
            self.network.cut(link, "both")
        for place, steps in enumerate(writes):
            write = self.send_write(client, shard, steps, patches=patches, conditional=broken is not None)
            write.holds = place != broken

    def come_back(self, client: int) -> None:
        """A client's sockets open, and what has waited is on its way to the server."""
        chosen = _chosen(self.clients, client)
        self.network.manner = "accept"
        for _ in range(8):
            for link in [each for each in self.network.links if each.end is chosen]:
                self.network.answer(link)
                self.network.deliver(link, "up")
                self.network.deliver(link, "down")
            self._use_disks()
            if any(request.end is chosen for request in self.network.requests) or chosen.armed == inf:
                return
            self._set_clock(max(self.now, chosen.armed))
            self._fire()

    def write_nothing(self, client: int, shard: str = "") -> None:
        """A client's mutation leaves everything as it is."""
        self.send_write(client, shard, mutation="rows:nothing")
        self.reply(-1)

    def write_again(self, which: int) -> None:
        """The application repeats a write whose fate it does not know."""
        writes = self.ledger.repeatable()
        if writes:
            write = _chosen(writes, which)
            self.ledger.begin_again(write)
            write.client.compose(write)

    def make_again(self, client: int, which: int) -> None:
        """The application makes again what it left when it ended; the storage is still being read."""
        chosen = _chosen(self.clients, client)
        writes = self.ledger.left_over(chosen)
        if writes:
            write = _chosen(writes, which)
            was_ordered, write.is_hydrated = write.is_ordered, False
            chosen.compose(write)
            # It keeps its place on the disk.
            write.is_ordered = write.is_ordered and was_ordered

    def cancel(self, client: int, which: int) -> None:
        """The application withdraws a write; it is too late for one that is on its way."""
        chosen = _chosen(self.clients, client)
        writes = self.ledger.open_writes(chosen)
        if writes:
            chosen.cancel(_chosen(writes, which))

    def change_assumption(self, which: int, holds: bool | None) -> None:
        """What a write that waits has assumed no longer holds, or holds again, or cannot be told (``None``)."""
        writes = [each for each in self.ledger.writes if each.is_open and each.has_precondition]
        if writes:
            _chosen(writes, which).holds = holds

    def sign_in(self, client: int, user: str, *, names_subject: bool = True) -> None:
        """A client gets a new token of a user; whose it is may be told later."""
        _chosen(self.clients, client).sign_in(f"{user}-{next(self._tokens)}", names_subject=names_subject)

    def name_subject(self, client: int) -> None:
        """A client learns whose its token is."""
        chosen = _chosen(self.clients, client)
        chosen.sign_in(chosen.token, names_subject=True)

    def sign_out(self, client: int, *, names_subject: bool = True) -> None:
        """A client drops its token."""
        _chosen(self.clients, client).sign_in(None, names_subject=names_subject)

    def renew_credential(self, client: int) -> None:
        """A client gets a new token, so that its sockets are opened anew."""
        _chosen(self.clients, client).restart_sockets()

    def use_socket_token(self, client: int, user: str | None) -> None:
        """A client's sockets open as somebody from now on, unless they open as whoever has signed in."""
        chosen = _chosen(self.clients, client)
        if not chosen.keeps_reads:
            chosen.use_socket_token(user)

    def watch_list(self, client: int, order: str, size: int = 2, shard: str = "") -> None:
        """A client watches a growing list."""
        _chosen(self.clients, client).watch_list(order, size, shard)

    def leave_list(self, client: int, which: int) -> None:
        """A client watches a list no more."""
        self._on_list(client, which, lambda chosen, view: chosen.leave_list(view))

    def load_more(self, client: int, which: int, num_items: int = 2) -> None:
        """A list grows, if there is more."""
        self._on_list(client, which, lambda chosen, view: chosen.load_more(view, num_items))

    def grow_lists(self, client: int, num_items: int, times: int) -> None:
        """All lists of a client grow several times, each time to what there is."""
        for _ in range(times):
            self.flow()
            for which in range(len(_chosen(self.clients, client).lists.views)):
                self.load_more(client, which, num_items)

    def refresh_list(self, client: int, which: int) -> None:
        """An observer wants a whole list again."""
        self._on_list(client, which, lambda chosen, view: chosen.refresh_list(view))

    def start_stream(self, client: int, path: str, count: int, shard: str = "") -> None:
        """A client follows a procedure."""
        _chosen(self.clients, client).start_stream(path, count, shard)
        self._excuse_replaced_runs(path, count, shard)

    def cancel_stream(self, client: int, which: int) -> None:
        """A client follows a procedure no more."""
        chosen = _chosen(self.clients, client)
        if chosen.streams.views:
            chosen.cancel_stream(_chosen(list(chosen.streams.views), which))

    def replace_client(self, client: int) -> None:
        """A client is closed, and another one takes its place, with the same disk."""
        number = client % len(self.clients)
        self.clients[number].close()
        self._succeed(number)

    def crash(self, client: int, stored: int = 0) -> None:
        """A process dies, of what its disk was asked for only the first bit is done; another one takes its place."""
        number = client % len(self.clients)
        disk = self.disks[number]
        if disk is not None:
            disk.crash(stored)
        self.clients[number].crash()
        self._succeed(number)

    def die_and_come_back(
        self,
        client: int,
        user: str,
        was: str | None = None,
        then: str | None = None,
        *,
        names_subject: bool = True,
        starts_first: bool = False,
        offline: bool = False,
    ) -> None:
        """A process dies with all on its disk; the next is a user's, and asks again for what may lie there.

        The one that dies may have been somebody's who has just signed in. The token of the next may be replaced by
        that of somebody else, of whom nothing is said.
        """
        if was is not None:
            self.meet_connects("accept")
            self.sign_in(client, was)
            self.hydrate(client)
            for query in OWN:
                self.subscribe(client, query)
        self.advance(5.0)
        self.crash(client, 1_000_000)
        if offline:
            self.meet_connects("refuse")
        if starts_first:
            self.start(client)
        self.sign_in(client, user, names_subject=names_subject)
        for query in ("asc", *OWN):
            self.subscribe(client, query)
        self.start(client)
        if then is not None:
            self.sign_in(client, then, names_subject=False)

    def upgrade(self, client: int) -> None:
        """The next process of a client is of another version, which does not understand what this one leaves."""
        self.versions[client % len(self.clients)] += 1

    def start(self, client: int) -> None:
        """A new process learns who it is; its sockets may open."""
        _chosen(self.clients, client).start()

    def hydrate(self, client: int) -> None:
        """A new process has read what its predecessors have left."""
        _chosen(self.clients, client).hydrate()

    def use_disk(self, client: int, count: int, *, is_full: bool = False) -> None:
        """A disk does a little of what it was asked for, or says that it cannot."""
        _chosen(self.clients, client).use_disk(count, is_full=is_full)

    def slow_disk(self, client: int) -> None:
        """From now on a disk does nothing by itself."""
        disk = _chosen(self.disks, client)
        if disk is not None:
            disk.is_slow = True

    # --- steps of the network

    def flow(self) -> None:
        """Everything moves that is not stalled."""
        for _ in range(1000):
            if not self.network.flow() | self._use_disks():
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
        self._on_request(request, self.network.carry)

    def reply(self, request: int) -> None:
        """A reply reaches its client."""
        self._on_request(request, self.network.reply)

    def give_up(self, request: int) -> None:
        """A client waits no longer for a reply; the call may still reach the server."""
        self._on_request(request, self.network.give_up)

    def lose_request(self, request: int) -> None:
        """A call never reaches the server, and the client waits no longer for a reply."""
        self._on_request(request, self.network.lose)

    def refuse(self, request: int, refusal: str) -> None:
        """Something between client and server answers a call; the call may still reach the server."""
        self._on_request(request, lambda each: self.network.refuse(each, refusal))

    def garble(self, request: int, garbling: Garbling, slot: int = 0) -> None:
        """A reply reaches its client with one result in it spoilt."""
        self._on_request(request, lambda each: self.network.garble(each, garbling, slot))

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
        self._excuse_streams("STREAM_INTERRUPTED")
        self.backend.begin_epoch()
        self._note()

    def erase_server(self) -> None:
        """The server starts again with nothing, unless a layer waits for a position in what would be lost."""
        if not any(write.was_carried and write.standing_layers for write in self.ledger.writes):
            self.lose_everything()

    def lose_everything(self) -> None:
        """The server starts again with nothing."""
        self._excuse_streams("STREAM_INTERRUPTED")
        self.backend.erase()
        self.ledger.forget()
        self._note()

    def forget_streams(self) -> None:
        """The server forgets what its procedures have given."""
        self._excuse_streams("STREAM_INTERRUPTED")
        self.backend.forget_streams()

    def spoil_chunks(self, count: int) -> None:
        """The next chunks of the server cannot be read."""
        self.app.faults.spoil_chunks(count)
        self.traffic["chunks to be spoilt"] += count

    def be_busy(self, count: int) -> None:
        """The server tells the next few mutations to come again."""
        self.mood.busy_for = count

    def revoke_token(self, client: int) -> None:
        """The server takes a client's bearer for no longer good."""
        token = _chosen(self.clients, client).token
        if token is not None:
            self.mood.revoked.add(token)

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

    def go_without_sockets(self, seconds: float, *, flowing: bool = True) -> None:
        """No socket can be had for a time: who polls, does."""
        self.network.manner = "refuse"
        for link in list(self.network.links):
            self.network.cut(link, "both")
        self.advance(seconds, flowing=flowing)

    def freeze(self, seconds: float, *, frames_first: bool = True) -> None:
        """Every client's loop is blocked for a time; then what has come meanwhile is handled, and timers are late."""
        self._set_clock(self.now + seconds)
        if frames_first:
            self.flow()
        self._fire()

    def settle(self) -> None:
        """All faults are healed and time passes until nothing moves; then everybody must show what is true."""
        self._heal()
        self._come_to_rest()
        for _ in range(4):
            if self._release_held_writes():
                self._come_to_rest()
        if self.shapes.nudge_what_was_harmed():
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
        disk = self.disks[number]
        name = f"client-{number}" if disk is not None else f"client-{number}-{self.traffic['client']}"
        self.traffic["client"] += 1
        client = Client(
            name, self.settings[number], self.network, self.history, self.traffic, disk, f"v{self.versions[number]}"
        )
        client.now = self.now
        return client

    def _succeed(self, number: int) -> None:
        old, disk = self.clients[number], self.disks[number]
        if disk is not None:
            disk.crash(len(disk.wishes))
        new = self.clients[number] = self._new_client(number)
        self.ledger.hand_over(old, new)

    def _use_disks(self) -> bool:
        moved = False
        for client in self.clients:
            if client.disk is not None and not client.disk.is_slow:
                moved |= client.use_disk()
        return moved

    def _excuse_streams(self, code: str) -> None:
        for client in self.clients:
            client.streams.excuse(code)

    def _excuse_replaced_runs(self, path: str, count: int, shard: str) -> None:
        # A run that has failed is begun anew for the next who asks; whoever was still to read the former cannot go on.
        followed = [
            view
            for client in self.clients
            for view in client.streams.views.values()
            if path == FAILING and (view.path, view.count, view.shard) == (path, count, shard)
        ]
        for view in followed if len(followed) > 1 else ():
            view.excuses.add("STREAM_INTERRUPTED")

    def _on_request(self, request: int, step: Callable[[Request], object]) -> None:
        if self.network.requests:
            step(_chosen(self.network.requests, request))

    def _on_list(self, client: int, which: int, step: Callable[[Client, ListView], object]) -> None:
        chosen = _chosen(self.clients, client)
        if chosen.lists.views:
            step(chosen, _chosen(chosen.lists.views, which))

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

    def _heal(self) -> None:
        self.network.heal()
        self.shapes.heal()
        self.mood.revoked.clear()
        self.mood.busy_for = 0
        for client in self.clients:
            if client.disk is not None:
                client.disk.is_slow = False
            client.hydrate()
        for write in self.ledger.writes:
            write.holds = True

    def _release_held_writes(self) -> bool:
        """Sign everybody in as the author of what they hold back; tell whether anybody holds anything."""
        holding = [client for client in self.clients if client.pending]
        for client in holding:
            assert not client.stalled_writes(), f"{client.name} does not send {client.stalled_writes()}"
            stamp = next(iter(client.core.writes.queue)).record.identity
            assert not isinstance(stamp, Undefined)
            if stamp is None:
                if client.cookie is not None:
                    client.use_socket_token(None)
                client.sign_in(None, names_subject=True)
            elif stamp.startswith("subj:"):
                client.sign_in(f"{stamp.removeprefix('subj:')}-{next(self._tokens)}", names_subject=True)
            else:
                client.sign_in(f"{USERS[0]}-{next(self._tokens)}", names_subject=True)
            client.restart_sockets()
        return bool(holding)

    def _come_to_rest(self) -> None:
        limit = self.now + PATIENCE
        while True:
            self.flow()
            for _ in self.ledger.repeatable():
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
                elif session.streams.is_needed:
                    unrest.append(f"{name} still streams")
                elif session.shard and not _is_used(client, session):
                    unrest.append(f"{name} is idle")
            if client.core.writes.deadline < inf:
                unrest.append(f"{client.name} will retry")
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
        if self.shapes.needs_open(link):
            return True
        ids = {client.subscription(key).id for key, view in client.views.items() if view.shard == link.shard}
        return any(_harm_to(link, each) for each in ids)

    def _refresh_what_was_left_out(self) -> bool:
        """Ask again for what was left out as too large, and would fit now."""
        left_out = [
            (client, key)
            for client in self.clients
            for key, view in client.views.items()
            if _is_too_large(view) and self._fits(client, view)
        ]
        for client, key in left_out:
            client.refresh(key)
        return bool(left_out)

    def _truth(self, client: Client, view: View) -> Any:
        """Return what a fresh query gives the user of the client's socket."""
        session = client.links[view.shard].session
        assert session is not None
        return self.history.now(view.shard, view.query, session.subject)

    def _fits(self, client: Client, view: View) -> bool:
        truth = self._truth(client, view)
        return truth is FAILED or len(dumps(truth)) + _ENVELOPE <= self.frame_limit

    # --- what must be true then

    def _check(self) -> None:
        for client in self.clients:
            expected = Status.CONNECTED if client.core.sessions else Status.IDLE
            assert client.core.status is expected, f"{client.name} is {client.core.status}"
            for key, view in client.views.items():
                self._check_view(client, key, view)
            assert not client.streams.views, f"{client.name} never hears of the end of {client.streams.views}"
            assert not client.pending, f"{client.name} still has {client.pending} writes"
            assert client.disk is None or not client.disk.records, f"{client.name} leaves {client.disk.records}"
            client.lists.check_at_rest()
        self.shapes.check()
        for shard in SHARDS:
            self._check_sockets(shard)
            self._check_writes(shard)

    def _check_view(self, client: Client, key: str, view: View) -> None:
        name, truth = f"{client.name}: {view.query} of {view.shard!r}", self._truth(client, view)
        subscription = client.subscription(key)
        assert subscription.ref_count == view.count, f"{name} is counted {subscription.ref_count} times"
        if truth is FAILED:
            assert view.status is SnapshotStatus.FAILED, f"{name} fails at the server, here it is {view.status}"
            return
        if _is_too_large(view) and not self._fits(client, view):
            return
        assert view.status is SnapshotStatus.LIVE, f"{name} is {view.status}: {view.error!r}"
        assert not view.pending_layers, f"{name} keeps {view.pending_layers} layers"
        assert not subscription.result.layers, f"{name} keeps layers: {subscription.result.layers}"
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
            assert not list(link.session._streams), "a stream goes on that nobody follows"
            subscriptions, there = list(session.subscriptions), link.session.subscription_count
            sent = sum(not each.is_oversized for each in subscriptions)
            assert sent <= there <= len(subscriptions), f"{link.end.name} sent {sent}, the server has {there}"

    def _check_writes(self, shard: str) -> None:
        store = self.backend.shard(shard).store
        self.ledger.check(shard, store.scan("journal", low=-1e18, high=1e18, descending=False, equal={}))


def _chosen(things: Sequence[T], which: int) -> T:
    return things[which % len(things)]


def _is_used(client: Client, session: Session) -> bool:
    return bool(session.subscriptions) or session.shapes.is_needed or client.core.writes.needs_shard(session.shard)


def _is_too_large(view: View) -> bool:
    return view.error is not None and view.error.code == "FRAME_TOO_LARGE"


def _has_payload(text: str) -> bool:
    return '"type":"data"' in text or '"type":"delta"' in text


def _harm_to(link: Link, subscription_id: str) -> bool:
    """Tell whether the damage done to a query is such that, by the protocol, only the next open mends it."""
    unreadable = sum(link.damage[kind, subscription_id] for kind in _UNREADABLE)
    return unreadable > 1 or any(link.damage[kind, subscription_id] for kind in _UNTIL_NEXT_OPEN)
