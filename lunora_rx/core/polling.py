"""Live queries without a socket: asked again and again over HTTP, until a socket can be had.

Knows which shards are polled and whether their server answers. Does not know what a value means to its query.
Source: ``docs/protocol.md``, section "Polling fallback".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import inf

from lunora_rx.core.calls import Calls, Slots
from lunora_rx.core.identity import Identity
from lunora_rx.core.session import Session
from lunora_rx.core.subscriptions import Subscription
from lunora_rx.protocol.rpc import MAX_BATCH_ENTRIES, Refused, RpcCall

PASS_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class Polling:
    """How to do without WebSockets.

    Attributes:
        interval: Seconds from one pass to the next.
        after_failures: How many attempts in a row must fail to open a socket before polling begins.
    """

    interval: float = 5.0
    after_failures: int = 3

    def __post_init__(self) -> None:
        if not 0 < self.interval < inf:
            raise ValueError(f"interval is a finite number of seconds above 0, not {self.interval!r}")
        if self.after_failures < 1:
            raise ValueError(f"after_failures is a number of attempts above 0, not {self.after_failures!r}")


@dataclass(slots=True)
class _Shard:
    """One shard without a socket.

    Attributes:
        failures: How many attempts in a row never opened.
        next_at: When the next pass begins, infinite while there is no polling.
        requests: The requests of the pass under way.
        is_live: Whether the last pass got an answer.
        was_answered: Whether the pass under way got one.
    """

    failures: int = 0
    next_at: float = inf
    requests: set[int] = field(default_factory=set)
    is_live: bool = False
    was_answered: bool = False


class Poller:
    """The polling of one client.

    Args:
        options: How to poll; ``None`` never does.
        sessions: The shards that are spoken to, as they come and go.
        calls: Carries the requests.
        identity: Returns who is signed in.
        acknowledged: Returns how many of our writes the server has acknowledged so far.
        went_live: Called with a shard whose server answers now and did not before, and the time.
    """

    def __init__(
        self,
        options: Polling | None,
        sessions: Mapping[str, Session],
        calls: Calls,
        *,
        identity: Callable[[], Identity],
        acknowledged: Callable[[], int],
        went_live: Callable[[str, float], None],
    ) -> None:
        self._options = options
        self._sessions = sessions
        self._calls = calls
        self._identity = identity
        self._acknowledged = acknowledged
        self._went_live = went_live
        self._shards: dict[str, _Shard] = {}

    @property
    def deadline(self) -> float:
        """When ``handle_deadline`` is due, infinite when never."""
        return min((shard.next_at for shard in self._shards.values()), default=inf)

    @property
    def is_anything_live(self) -> bool:
        """Whether any shard is polled, and its server answers."""
        return any(shard.is_live for shard in self._shards.values())

    def is_live(self, shard: str) -> bool:
        """Tell whether the shard is polled, and its server answers."""
        state = self._shards.get(shard)
        return state is not None and state.is_live

    def note_failure(self, shard: str, now: float) -> None:
        """Note that an attempt to open the shard's socket failed."""
        if self._options is None:
            return
        state = self._shards.setdefault(shard, _Shard())
        state.failures += 1
        is_polled = state.next_at < inf or bool(state.requests)
        if state.failures >= self._options.after_failures and not is_polled:
            state.next_at = now

    def note_open(self, shard: str) -> None:
        """Note that the shard has a socket: it is polled no more."""
        state = self._shards.pop(shard, None)
        if state is not None:
            self._forget_requests(state)

    def stop(self, shard: str) -> None:
        """Poll a shard no more that is given up; how often its socket failed still counts."""
        state = self._shards.get(shard)
        if state is not None:
            self._forget_requests(state)
            self._shards[shard] = _Shard(state.failures)

    def handle_deadline(self, now: float) -> None:
        """Begin the passes that are due."""
        for shard, state in list(self._shards.items()):
            if state.next_at <= now:
                self._begin(shard, state)

    def _begin(self, shard: str, state: _Shard) -> None:
        state.next_at, state.was_answered = inf, False
        session = self._sessions.get(shard)
        if session is None:
            return
        subscriptions = [each for each in session.subscriptions if not each.is_oversized]
        chunks = [
            subscriptions[first : first + MAX_BATCH_ENTRIES]
            for first in range(0, len(subscriptions), MAX_BATCH_ENTRIES)
        ]
        for chunk in chunks or [[]]:
            self._ask(shard, state, session, chunk)

    def _ask(self, shard: str, state: _Shard, session: Session, subscriptions: Sequence[Subscription]) -> None:
        calls = [RpcCall(each.function_path, each.args, shard) for each in subscriptions]
        answered = partial(self._receive, shard, state, session, subscriptions, self._identity(), self._acknowledged())
        number = 0

        def settle(slots: Slots, now: float) -> None:
            state.requests.discard(number)
            answered(slots, now)

        number = self._calls.batch(calls, timeout=PASS_TIMEOUT, settle=settle)
        state.requests.add(number)

    def _receive(
        self,
        shard: str,
        state: _Shard,
        session: Session,
        subscriptions: Sequence[Subscription],
        identity: Identity,
        acknowledged: int,
        slots: Slots,
        now: float,
    ) -> None:
        assert self._options is not None
        if not state.requests:
            state.next_at = now + self._options.interval
        if isinstance(slots, Refused) and slots.error.code is None and slots.error.status is None:
            # One batch of several may be lost: only without any answer is there no server.
            state.is_live = state.is_live and (state.was_answered or bool(state.requests))
            session.go_stale(subscriptions)
            return
        was_live, state.is_live, state.was_answered = state.is_live, True, True
        # What was asked for somebody else is not shown to whoever is signed in now.
        if not isinstance(slots, Refused) and identity.is_like(self._identity()):
            for subscription, outcome in zip(subscriptions, slots, strict=True):
                session.receive_poll(subscription, outcome, acknowledged)
        # Only once: every further pass would cut short what waits for its time, or for another credential.
        if not was_live:
            self._went_live(shard, now)

    def _forget_requests(self, state: _Shard) -> None:
        for number in state.requests:
            self._calls.forget(number)
