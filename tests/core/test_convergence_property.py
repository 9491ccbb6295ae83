"""Live queries over a network that drops, delays and refuses: in the end each shows what the server holds.

The server is a small one of the test's own: tables in memory, a change log with cursor and epoch, and sockets as
pipes that lose what was under way when they are cut.
"""

from __future__ import annotations

import itertools
from collections import deque
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from lunora_rx.core.connection import Timing, Trigger
from lunora_rx.core.delta import UNMERGEABLE, merge_delta
from lunora_rx.core.events import (
    CloseSocket,
    OpenSocket,
    QueryFailed,
    SnapshotChanged,
    SubscriptionClosed,
    ValueChanged,
)
from lunora_rx.core.snapshot import SnapshotStatus
from lunora_rx.protocol.values import UNDEFINED
from lunora_rx.protocol.wire import TAG
from tests.core.play import PlayedSession, frame, parsed

NAMES = st.sampled_from(["oldest", "newest", "page", "count", "other"])
KEYS = st.sampled_from("abcd")
COUNTS = st.sampled_from([0, 1, 2, 1000])


class Pipe:
    """One socket, both ways; the server's half of its subscriptions."""

    def __init__(self) -> None:
        self.to_server: deque[str] = deque()
        self.to_client: deque[bytes] = deque()
        self.subscriptions: dict[str, str] = {}
        self.was_bad = False


class Server:
    """Two tables, five queries over them, and a change log."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[str, Any]] = {"rows": {}, "other": {}}
        self.changed_at = {"rows": 0, "other": 0}
        self.cursor = 0
        self.epochs = (f"epoch-{number}" for number in itertools.count())
        self.epoch = next(self.epochs)
        self.clock = itertools.count(1)
        self.pipe = Pipe()

    def query(self, name: str) -> Any:
        """Run a query."""
        rows = [dict(row) for row in self.tables["other" if name == "other" else "rows"].values()]
        match name:
            case "newest":
                return rows[::-1]
            case "page":
                return {"page": rows, "isDone": True}
            case "count":
                return len(rows)
        return rows

    def write(self, table: str, changes: list[tuple[str, str, int]]) -> None:
        """Commit changes together, and push what they mean to every subscription."""
        before = {name: self.query(name) for name in set(self.pipe.subscriptions.values())}
        deltas = [delta for change in changes if (delta := self._apply(table, *change))]
        self.cursor += 1
        self.changed_at[table] = self.cursor
        position = {"cursor": self.cursor, "epoch": self.epoch}
        for sub_id, name in self.pipe.subscriptions.items():
            if self.query(name) == before[name]:
                self.push("settled", id=sub_id, **position)
            elif self._replays(before[name], deltas, self.query(name)):
                for place, delta in enumerate(deltas, 1):
                    self.push("delta", id=sub_id, delta=delta, **(position if place == len(deltas) else {}))
            else:
                self.push("data", id=sub_id, data=self.query(name), **position)

    def receive(self, sent: Any) -> None:
        """Handle a frame of the client."""
        if sent == "lunora-ping":
            self.pipe.to_client.append(b"lunora-pong")
        elif sent["type"] == "connect":
            self.push("identity", subject=None)
        elif sent["type"] == "unsubscribe":
            self.pipe.subscriptions.pop(sent["id"], None)
        else:
            self._subscribe(sent["id"], sent["query"])

    def push(self, kind: str, **body: Any) -> None:
        """Put a frame on its way."""
        self.pipe.to_client.append(frame(kind, **body))

    def restart(self) -> None:
        """Lose the history, and the socket with it."""
        self.cursor, self.epoch, self.pipe = 0, next(self.epochs), Pipe()
        self.changed_at = {"rows": 0, "other": 0}

    def _subscribe(self, sub_id: str, query: Any) -> None:
        name = query["functionPath"].removesuffix(":list")
        self.pipe.subscriptions[sub_id] = name
        self.push("ack", id=sub_id)
        position = {"cursor": self.cursor, "epoch": self.epoch}
        is_known = query.get("sinceEpoch") == self.epoch
        if is_known and query["sinceSeq"] >= self.changed_at["other" if name == "other" else "rows"]:
            self.push("resume", id=sub_id, **position)
        else:
            self.push("data", id=sub_id, data=self.query(name), **position)

    def _apply(self, table: str, op: str, key: str, n: int) -> dict[str, Any] | None:
        rows = self.tables[table]
        if op == "delete":
            return {"op": op, "key": key, "table": table} if rows.pop(key, None) else None
        old = rows.get(key)
        time = old["_creationTime"] if old else next(self.clock)
        rows[key] = {"_id": key, "_creationTime": time, "n": n}
        return {"op": "update" if old else "insert", "key": key, "table": table, "row": rows[key]}

    def _replays(self, value: Any, deltas: list[Any], goal: Any) -> bool:
        for delta in deltas:
            value = merge_delta(value, delta)
            if value is UNMERGEABLE:
                return False
        return bool(value == goal)


class Convergence(RuleBasedStateMachine):
    """After quiescence every observer was last shown what a fresh query returns."""

    @initialize(linger=st.sampled_from([0.0, 3.0]), names=st.sets(NAMES, min_size=1))
    def begin(self, linger: float, names: set[str]) -> None:
        self.server = Server()
        self.played = PlayedSession(timing=Timing(heartbeat_interval=6.0), linger=linger)
        self.seen: dict[str, Any] = {}
        self.asked: dict[str, int] = {}
        for name in sorted(names):
            self.subscribe(name)
        self.reconnect(well=True)

    @rule(name=NAMES)
    def subscribe(self, name: str) -> None:
        self.played.subscribe(name)
        self.asked[name] = self.asked.get(name, 0) + 1
        self.seen[name] = self.played.session.subscriptions.get(name).result.shown
        self.drain()

    @rule(name=NAMES)
    def unsubscribe(self, name: str) -> None:
        self.asked[name] = max(self.asked.get(name, 0) - 1, 0)
        self.played.unsubscribe(name)
        self.drain()

    @rule(name=NAMES)
    def refresh(self, name: str) -> None:
        self.played.session.refresh(name, self.played.now)
        self.drain()

    @rule(
        table=st.sampled_from(["rows", "rows", "other"]),
        changes=st.lists(st.tuples(st.sampled_from(["put", "put", "delete"]), KEYS, st.integers(0, 9)), max_size=3),
    )
    def write(self, table: str, changes: list[tuple[str, str, int]]) -> None:
        self.server.write(table, changes)

    @rule(up=COUNTS, down=COUNTS)
    def carry(self, up: int, down: int) -> None:
        """Let some of what is under way arrive, each way."""
        pipe = self.server.pipe
        for _ in range(min(up, len(pipe.to_server))):
            self.server.receive(parsed(pipe.to_server.popleft()))
        for _ in range(min(down, len(pipe.to_client))):
            self.played.session.receive_text(pipe.to_client.popleft(), self.played.now)
            self.drain()

    @rule(well=st.booleans())
    def reconnect(self, well: bool) -> None:
        """Let the next attempt succeed, and perhaps let everything arrive."""
        if self.played.session.connection.is_open:
            self.drop(1006)
        session = self.played.session
        session.connect(self.played.now)
        if session.connection.can(Trigger.CONNECT):
            self.played.now = max(self.played.now, session.connection.deadline)
            session.handle_deadline(self.played.now)
        self.drain()
        self.server.pipe = Pipe()
        self.played.session.receive_opened(self.played.now)
        self.drain()
        for _ in range(8 if well else 0):
            self.carry(1000, 1000)

    @rule(code=st.sampled_from([None, 1006, 1012, 4001]), restarts=st.booleans())
    def drop(self, code: int | None, restarts: bool = False) -> None:
        """Cut the socket, or let an attempt fail; perhaps because the server starts anew."""
        self.server.pipe = Pipe()
        if restarts:
            self.server.restart()
        self.played.session.receive_closed(code, self.played.now)
        self.drain()

    @rule(seconds=st.sampled_from([0.1, 1.0, 7.0, 20.0]))
    def wait(self, seconds: float) -> None:
        end = self.played.now + seconds
        while self.played.session.deadline <= end:
            self.played.advance(self.played.session.deadline - self.played.now)
            self.drain()
        self.played.now = end

    @rule(place=st.integers(0, 4), what=st.sampled_from(["value", "delta", "type"]))
    def send_nonsense(self, place: int, what: str) -> None:
        """Once a socket, because a whole value is asked for once an open."""
        pipe = self.server.pipe
        ids = list(pipe.subscriptions)
        if pipe.was_bad or not ids:
            return
        pipe.was_bad = True
        bad = {
            "value": {"type": "data", "data": [TAG, "date"], "cursor": 999},
            "delta": {"type": "delta", "delta": {"op": "insert", "key": "a", "table": "t"}, "cursor": 999},
            "type": {"type": "data", "data": [], "cursor": "999"},
        }[what]
        self.server.push(bad.pop("type"), id=ids[place % len(ids)], **bad)

    def drain(self) -> None:
        """Put what the client sends on its way, and show its observers what happened."""
        self.server.pipe.to_server.extend(self.played.session.frames)
        self.played.session.frames.clear()
        for event in self.played.events():
            match event:
                case ValueChanged(key, value):
                    self.seen[key] = value
                case SnapshotChanged(key, snapshot) | QueryFailed(key, snapshot):
                    self.seen[key] = snapshot.value
                case SubscriptionClosed(key):
                    self.seen.pop(key)
                case CloseSocket():
                    self.server.pipe = Pipe()
                case _:
                    assert isinstance(event, OpenSocket) or event.shard == ""

    def teardown(self) -> None:
        """Let the network be well for long enough, then compare."""
        if not hasattr(self, "server"):
            return
        if not self.played.session.connection.is_open:
            self.reconnect(well=True)
        for _ in range(8):
            self.carry(1000, 1000)
        assert not self.server.pipe.to_server
        assert set(self.seen) >= {name for name, count in self.asked.items() if count}
        for subscription in self.played.session.subscriptions:
            name = subscription.key
            assert subscription.result.status is SnapshotStatus.LIVE
            assert self.seen[name] is not UNDEFINED
            assert self.seen[name] == subscription.result.base == self.server.query(name)
        known = set(self.server.pipe.subscriptions)
        assert known == {subscription.id for subscription in self.played.session.subscriptions}


TestConvergence = Convergence.TestCase
TestConvergence.settings = settings(max_examples=250)
