"""The lifecycle of one shard's socket: states, transition table, deadlines.

Knows when to open, to give up, to ping and to retry. Knows nothing of what is
said over the socket.  Source: ``docs/protocol.md``, sections "Connection states",
"Keepalive and liveness", "Handshake timeout" and "Backoff".
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from math import inf
from typing import TypeAlias

from lunora_rx.core.backoff import Backoff, Ramp, next_delay
from lunora_rx.protocol.frozen import frozen

STABLE_AFTER = 5.0
LIVENESS_INTERVALS = 2.5


@frozen
class Idle:
    """No socket; ``retry_at`` says when to open one again, if ever."""

    retry_at: float = inf


@frozen
class Connecting:
    """The driver is opening a socket; at ``abandon_at`` the attempt is given up."""

    abandon_at: float = inf


@frozen
class Open:
    """A socket is open; ``tick_at`` is the next ping or liveness check, ``stable_at`` the end of the trial period."""

    tick_at: float = inf
    stable_at: float = inf


@frozen
class Closed:
    """Terminal."""


State: TypeAlias = Idle | Connecting | Open | Closed


class Trigger(enum.Enum):
    """What can happen to a connection."""

    CONNECT = "connect"
    OPENED = "opened"
    LOST = "lost"
    CLOSE = "close"


TRANSITIONS: Mapping[tuple[type[State], Trigger], type[State]] = {
    (Idle, Trigger.CONNECT): Connecting,
    (Connecting, Trigger.OPENED): Open,
    (Connecting, Trigger.LOST): Idle,
    (Open, Trigger.LOST): Idle,
    (Idle, Trigger.CLOSE): Closed,
    (Connecting, Trigger.CLOSE): Closed,
    (Open, Trigger.CLOSE): Closed,
}


class Due(enum.Enum):
    """What the owner of a connection must do when a deadline came."""

    NOTHING = "nothing"
    CONNECT = "connect"
    ABANDON = "abandon"
    PING = "ping"
    DEAD = "dead"


@frozen
class Timing:
    """Seconds; a value of 0 or less switches its check off."""

    connect_timeout: float = 10.0
    heartbeat_interval: float = 30.0


class Connection:
    """One shard's socket as the client sees it.

    Attributes:
        state: Where the connection stands.
        last_frame_at: When the peer was last heard; the owner stamps it with every inbound frame.
        was_ever_connected: Whether a socket of this shard has ever been open.
        is_healthy: Whether a socket is open that proved itself since it opened.
    """

    def __init__(
        self,
        timing: Timing,
        backoff: Backoff,
        random: Callable[[], float],
        *,
        was_ever_connected: bool = False,
        note_move: Callable[[type[State], type[State]], None] = lambda before, after: None,
    ) -> None:
        self.state: State = Idle()
        self.last_frame_at = -inf
        self.was_ever_connected = was_ever_connected
        self.is_healthy = False
        self._timing = timing
        self._backoff = backoff
        self._random = random
        self._note_move = note_move
        self._ramp = Ramp()

    @property
    def is_open(self) -> bool:
        """Whether frames can be sent."""
        return type(self.state) is Open

    @property
    def deadline(self) -> float:
        """When ``handle_deadline`` must be called; infinite when never."""
        match self.state:
            case Idle(retry_at):
                return retry_at
            case Connecting(abandon_at):
                return abandon_at
            case Open(tick_at, stable_at):
                return min(tick_at, stable_at)
        return inf

    @property
    def connect_timeout(self) -> float:
        """Seconds that an attempt may take."""
        return self._timing.connect_timeout

    def can(self, trigger: Trigger) -> bool:
        """Tell whether the trigger means something in the present state."""
        return (type(self.state), trigger) in TRANSITIONS

    def connect(self, now: float) -> None:
        """Begin an attempt; the driver must open a socket next."""
        timeout = self._timing.connect_timeout
        self._move(Trigger.CONNECT, Connecting(now + timeout if timeout > 0 else inf))

    def opened(self, now: float) -> None:
        """Note that the attempt succeeded, which proves nothing about the server's health yet."""
        interval = self._timing.heartbeat_interval
        self._move(Trigger.OPENED, Open(now + interval if interval > 0 else inf, now + STABLE_AFTER))
        self.last_frame_at = now
        self.was_ever_connected = True

    def prove_health(self) -> None:
        """Start the backoff anew: the peer sent a frame that is no error, or the socket stayed open."""
        assert isinstance(self.state, Open)
        self.is_healthy = True
        self._ramp = Ramp()
        self.state = Open(self.state.tick_at)

    def lost(self, now: float) -> None:
        """Note that the socket or the attempt is gone; a new attempt follows after the next delay."""
        delay, self._ramp = next_delay(self._backoff, self._ramp, self._random())
        self._move(Trigger.LOST, Idle(now + delay))

    def close(self) -> None:
        """End the connection for good."""
        self._move(Trigger.CLOSE, Closed())

    def handle_deadline(self, now: float) -> Due:
        """Return what is due; ``CONNECT``, ``ABANDON`` and ``DEAD`` are the owner's to carry out."""
        match self.state:
            case Idle(retry_at) if now >= retry_at:
                return Due.CONNECT
            case Connecting(abandon_at) if now >= abandon_at:
                return Due.ABANDON
            case Open(tick_at, stable_at) if now >= min(tick_at, stable_at):
                return self._tick(now)
        return Due.NOTHING

    def _tick(self, now: float) -> Due:
        assert isinstance(self.state, Open)
        if now >= self.state.stable_at:
            self.prove_health()
        if now < self.state.tick_at:
            return Due.NOTHING
        interval = self._timing.heartbeat_interval
        silent_at = self.last_frame_at + LIVENESS_INTERVALS * interval
        if now >= silent_at:
            return Due.DEAD
        # A silent peer is found at 2.5 intervals and not at the third tick; one that answers is never woken for it.
        self.state = Open(min(now + interval, silent_at), self.state.stable_at)
        return Due.PING

    def _move(self, trigger: Trigger, state: State) -> None:
        expected = TRANSITIONS.get((type(self.state), trigger))
        assert expected is type(state), f"{trigger} in {self.state} cannot lead to {state}"
        self._note_move(type(self.state), type(state))
        self.state = state
        self.is_healthy = False
