"""A session in any order of events: what always holds."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from lunora_rx.core.connection import Closed, Connecting, Timing
from lunora_rx.protocol.wire import TAG
from tests.core.play import PlayedSession

NAMES = st.sampled_from("abcde")
FRAMES: list[dict[str, Any]] = [
    {"type": "ack"},
    {"type": "data", "data": [], "cursor": 1},
    {"type": "data", "data": [TAG, "date"]},
    {"type": "data", "data": 5},
    {"type": "delta", "delta": {"op": "delete", "key": "a", "table": "t"}, "cursor": 2},
    {"type": "resume", "cursor": 3},
    {"type": "settled", "cursor": "x"},
    {"type": "error"},
    {"type": "complete"},
    {"type": "future"},
]


class AnyOrder(RuleBasedStateMachine):
    """Frames only while open, ``connect`` first, a deadline ahead, nothing left at the server that nobody asks for."""

    @initialize(shard=st.sampled_from(["", "room"]), linger=st.sampled_from([0.0, 2.0]))
    def begin(self, shard: str, linger: float) -> None:
        self.played = PlayedSession(shard, timing=Timing(heartbeat_interval=7.0), linger=linger)
        self.session = self.played.session
        self.known: set[str] = set()
        self.greeted = False

    @property
    def is_over(self) -> bool:
        return self.session.is_closed

    @rule(name=NAMES)
    def subscribe(self, name: str) -> None:
        if not self.is_over:
            self.played.subscribe(name)

    @rule(name=NAMES)
    def unsubscribe(self, name: str) -> None:
        self.played.unsubscribe(name)

    @rule(name=NAMES)
    def refresh(self, name: str) -> None:
        self.session.refresh(name, self.played.now)

    @precondition(lambda self: type(self.session.connection.state) is Connecting)
    @rule()
    def open(self) -> None:
        self.session.receive_opened(self.played.now)

    @rule(code=st.sampled_from([None, 1009, 4001]))
    def drop(self, code: int | None) -> None:
        self.played.drop(code)

    @rule(number=st.integers(1, 9), frame=st.sampled_from(FRAMES))
    def receive(self, number: int, frame: dict[str, Any]) -> None:
        body = {name: value for name, value in frame.items() if name != "type"}
        self.played.receive(frame["type"], id=f"sub_{number}", **body)

    @rule(seconds=st.sampled_from([0.5, 3.0, 11.0]))
    def wait(self, seconds: float) -> None:
        self.played.advance(seconds)

    @rule(seconds=st.sampled_from([4.0, 30.0, 1000.0]))
    def block(self, seconds: float) -> None:
        self.played.block(seconds)

    @invariant()
    def sends_only_what_fits_the_socket(self) -> None:
        is_open = self.session.connection.is_open
        assert is_open or not self.session.frames
        if not is_open:
            self.known, self.greeted = set(), False
        for sent in self.played.sent():
            assert self.greeted or sent["type"] == "connect"
            self.greeted = True
            if isinstance(sent, dict):
                {"subscribe": self.known.add, "unsubscribe": self.known.discard}.get(sent["type"], id)(sent["id"])
        assert self.known <= {each.id for each in self.session.subscriptions}

    @invariant()
    def looks_ahead(self) -> None:
        assert self.session.deadline > self.played.now or type(self.session.connection.state) is Closed


TestAnyOrder = AnyOrder.TestCase
