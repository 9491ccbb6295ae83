"""Whatever was recorded: who watches from the start is told the same, and who comes late soon shows the same."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from lunora_rx.core.events import QueryFailed, SnapshotChanged, ValueChanged
from lunora_rx.core.snapshot import Snapshot, SnapshotStatus
from lunora_rx.protocol.recording import Entry, Kind
from lunora_rx.recording.shard import ReplayShard
from lunora_rx.recording.state import Link
from tests.core.play import PlayedSession

NAMES = st.sampled_from("qr")
KEYS = st.sampled_from("abc")
ROWS = st.lists(KEYS, unique=True, max_size=3).map(lambda keys: [{"_id": key, "n": 0} for key in keys])
VALUES = st.one_of(ROWS, st.integers(0, 2), st.just({"$": ["$lunora.wire$", "date", "never"]}))
DELTAS = st.fixed_dictionaries(
    {
        "op": st.sampled_from(["insert", "update", "delete"]),
        "key": KEYS,
        "table": st.just("t"),
        "row": KEYS.map(lambda key: {"_id": key, "n": 1}),
    }
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("data"), NAMES, VALUES),
        st.tuples(st.just("delta"), NAMES, DELTAS),
        st.tuples(st.sampled_from(["resume", "settled", "ack", "complete", "error"]), NAMES, st.none()),
        st.tuples(st.just("cut"), NAMES, st.none()),
        st.tuples(st.sampled_from(["leave", "join"]), NAMES, st.none()),
    ),
    max_size=25,
)


class Contents:
    """A recording of two queries, and of nothing else."""

    def __init__(self) -> None:
        self.queries = dict.fromkeys(["q:list::{}::", "r:list::{}::"])
        self.shapes: dict[str, Any] = {}
        self.runs: dict[str, Any] = {}


class Recorded:
    """A client of a server that says anything at all, and the entries that a recording of it has."""

    def __init__(self) -> None:
        self.play = PlayedSession()
        self.entries: list[Entry] = []
        self.states: list[dict[str, Any]] = []
        self.told: list[Any] = []
        self.cursor = 0
        self.play.subscribe("q", "r")
        self.play.open()
        self.note(Kind.OPENED)

    def do(self, kind: str, name: str, body: Any) -> None:
        """Let something happen."""
        subscription = self.play.session.subscriptions.get(name)
        if kind == "cut":
            self.play.session.receive_closed(None, self.play.now)
            self.note(Kind.LOST)
            self.play.advance(self.play.session.deadline - self.play.now)
            self.play.session.receive_opened(self.play.now)
            self.note(Kind.OPENED)
        elif kind in ("leave", "join"):
            if (kind == "join") is (subscription is None):
                (self.play.subscribe if kind == "join" else self.play.unsubscribe)(name)
                self.note(None)
        elif subscription is not None:
            self.cursor += 1
            frame = {"type": kind, "id": subscription.id, "cursor": self.cursor, "epoch": "e"}
            frame |= {"message": "no"} if kind == "error" else {kind: body} if body is not None else {}
            text = orjson.dumps(frame).decode()
            self.play.session.receive_text(text, self.play.now)
            self.note(Kind.RECEIVED, text)

    def note(self, kind: Kind | None, text: str = "") -> None:
        """Write down what happened, what the client said to it, and what it shows."""
        self.told += map(shown, self.play.events())
        if kind is not None:
            self.add(Entry(0, kind, text=text))
        for sent in self.play.sent():
            self.add(Entry(0, Kind.SENT, text=orjson.dumps(sent).decode()))

    def add(self, entry: Entry) -> None:
        self.entries.append(entry)
        self.states.append({each.key: each.result.snapshot for each in self.play.session.subscriptions})


class Replayed:
    """A client of the replay."""

    def __init__(self) -> None:
        self.play = PlayedSession()
        self.shard = ReplayShard("", Contents(), None)  # type: ignore[arg-type]
        self.told: list[Any] = []

    def apply(self, entry: Entry) -> None:
        """Play an entry, and let the client react."""
        self.shard.play(entry)
        if entry.kind is Kind.LOST:
            self.play.session.receive_closed(None, self.play.now)
        elif entry.kind is Kind.OPENED:
            self.open()
        self.pump()

    def open(self) -> None:
        """Let the client have a socket."""
        self.shard.open()
        self.play.session.reconnect(self.play.now)
        self.play.session.receive_opened(self.play.now)

    def pump(self) -> None:
        """Carry frames in both directions until there are none."""
        while True:
            inbox = [] if self.shard.socket is None else self.shard.socket._inbox
            sent, self.play.session.frames[:] = self.play.session.frames.copy(), []
            if not inbox and not sent:
                break
            for text in sent:
                self.shard.receive(text)
            while inbox:
                self.play.session.receive_text(inbox.popleft(), self.play.now)
        self.told += map(shown, self.play.events())


def shown(event: Any) -> Any:
    """What an event means to an observer."""
    if isinstance(event, ValueChanged):
        return event.key, "live", event.value, event.cursor
    if isinstance(event, SnapshotChanged | QueryFailed):
        return event.key, str(event.snapshot.status), event.snapshot.value, str(event.snapshot.error)
    return None


def recorded(steps) -> Recorded:
    session = Recorded()
    for step in steps:
        session.do(*step)
    return session


@given(STEPS.filter(lambda steps: not any(kind in ("leave", "join") for kind, _, _ in steps)))
def test_client_that_watches_from_the_start_is_told_the_same(steps):
    """Every value, every status, every error, in the same order."""
    original, again = recorded(steps), Replayed()
    again.play.subscribe("q", "r")
    again.play.session.connect(0)
    for entry in original.entries:
        again.apply(entry)
    assert [each for each in again.told if each] == [each for each in original.told if each]


@given(STEPS, st.integers(0, 30))
def test_client_that_comes_late_soon_shows_the_same(steps, lateness):
    """As soon as what the recorded client shows is confirmed, so is what the late one does."""
    original, late = recorded(steps), Replayed()
    join_at = min(lateness, len(original.entries) - 1)
    for place, (entry, state) in enumerate(zip(original.entries, original.states, strict=True)):
        late.apply(entry) if place > join_at else late.shard.play(entry)
        if place == join_at:
            late.play.subscribe("q", "r")
            late.play.session.connect(0)
            if late.shard.state.link is Link.OPEN:
                late.open()
            late.pump()
        if place >= join_at:
            check(state, {each.key: each.result.snapshot for each in late.play.session.subscriptions})


def check(original: dict[str, Snapshot[Any]], late: dict[str, Snapshot[Any]]) -> None:
    for key, snapshot in original.items():
        if snapshot.status is SnapshotStatus.LIVE:
            assert (late[key].status, late[key].value) == (snapshot.status, snapshot.value)
