"""A session in virtual time whose server the test plays: call, drain, compare."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from lunora_rx.core.backoff import Backoff
from lunora_rx.core.connection import Connection, Timing
from lunora_rx.core.events import Event
from lunora_rx.core.session import Session
from lunora_rx.core.subscriptions import Subscriptions
from lunora_rx.protocol.frames import Connect

STEADY = Backoff(initial=1.0, maximum=8.0, jitter="none")
ROWS = [{"_id": "a", "_creationTime": 1}, {"_id": "b", "_creationTime": 2}]


def frame(kind: str, **body: Any) -> bytes:
    """Return the text of a frame as the server would send it."""
    return orjson.dumps({"type": kind, **body})


def parsed(text: str) -> Any:
    """Return what a text holds; a keepalive stands for itself."""
    return orjson.loads(text) if text.startswith("{") else text


class PlayedSession:
    """A session with the time and the drained outputs beside it.

    Attributes:
        now: The virtual time in seconds.
        session: The session under test.
    """

    def __init__(
        self,
        shard: str = "",
        *,
        timing: Timing | None = None,
        backoff: Backoff = STEADY,
        linger: float = 0.0,
        random: Callable[[], float] = lambda: 0.5,
        is_needed: Callable[[], bool] = lambda: False,
        fingerprint: Callable[[], str | None] = lambda: None,
    ) -> None:
        self.now = 0.0
        self._count = 0
        self._events: list[Event] = []
        self.session = Session(
            shard,
            Connection(timing or Timing(), backoff, random),
            Subscriptions(self._new_id, linger=linger),
            introduce=lambda context: Connect("client-1", context=context),
            emit=self._events.append,
            is_needed=is_needed,
            fingerprint=fingerprint,
        )

    def events(self) -> list[Event]:
        """Take what happened."""
        taken = self._events.copy()
        self._events.clear()
        return taken

    def sent(self) -> list[Any]:
        """Take what was sent, as JSON values."""
        taken = self.session.take_frames()
        return [parsed(text) for text in taken]

    def sent_ids(self, kind: str = "subscribe") -> list[str]:
        """Take what was sent, and return the ids of the frames of one type."""
        return [each["id"] for each in self.sent() if isinstance(each, dict) and each["type"] == kind]

    def subscribe(self, *names: str) -> None:
        """Subscribe to queries, each named by its key."""
        for name in names:
            self.session.subscribe(name, f"{name}:list", {}, self.now)

    def unsubscribe(self, *names: str) -> None:
        """Give queries up."""
        for name in names:
            self.session.unsubscribe(name, self.now)

    def open(self) -> None:
        """Let the socket be open, from whatever state."""
        self.session.connect(self.now)
        self.session.receive_opened(self.now)

    def opened_with(self, *names: str) -> None:
        """Subscribe to queries over a fresh socket, and forget what that took."""
        self.subscribe(*names)
        self.open()
        self.sent()
        self.events()

    def receive(self, kind: str, **body: Any) -> list[Event]:
        """Let the server send a frame; return what happened."""
        return self.receive_text(frame(kind, **body))

    def receive_text(self, text: str | bytes) -> list[Event]:
        """Let the server send a text; return what happened."""
        self.session.receive_text(text, self.now)
        return self.events()

    def answer(self, *ids: str) -> None:
        """Let the server acknowledge subscriptions and send each an empty list."""
        for each in ids:
            self.receive("ack", id=each)
            self.receive("data", id=each, data=[], cursor=1, epoch="e")

    def drop(self, code: int | None = None) -> list[Event]:
        """Cut the connection; return what happened."""
        self.session.receive_closed(code, self.now)
        return self.events()

    def reopen(self) -> list[Any]:
        """Wait for the next attempt and let it succeed; return what was sent."""
        self.advance(self.session.deadline - self.now)
        self.session.receive_opened(self.now)
        self.events()
        return self.sent()

    def advance(self, seconds: float) -> None:
        """Let time pass, with everything done when it is due."""
        end = self.now + seconds
        while self.session.deadline <= end:
            self.now = self.session.deadline
            self.session.handle_deadline(self.now)
            assert self.session.deadline > self.now, "a deadline that is over must not stay"
        self.now = end

    def block(self, seconds: float) -> None:
        """Let time pass with nobody at work, then do once what was due."""
        self.now += seconds
        if self.session.deadline <= self.now:
            self.session.handle_deadline(self.now)

    def _new_id(self) -> str:
        self._count += 1
        return f"sub_{self._count}"
