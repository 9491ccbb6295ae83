"""One run over what is combined: which dict is shown when."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import is_not
from typing import Any, Protocol

from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable

from lunora_rx.errors import LunoraError
from lunora_rx.protocol.frozen import frozen
from lunora_rx.protocol.values import UNDEFINED
from lunora_rx.rx.commits import Values
from lunora_rx.rx.live_query import position_of
from lunora_rx.rx.observers import Observers, OnError
from lunora_rx.rx.subject import Turns

__all__ = ["Combining", "Plan", "Requests"]


class Requests(Protocol):
    """What combinations ask of whoever holds the connection."""

    def enter(self, what: str) -> None:
        """Raise unless requests can be made here and now."""
        ...

    def call_on_loop(self, callback: Callable[[], None]) -> None:
        """Run a callback on the client's thread."""
        ...

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Run a callback on the client's thread, after all that is read in one go."""
        ...

    def call_later(self, delay: float, callback: Callable[[], None]) -> Callable[[], object]:
        """Run a callback on the client's thread after so many seconds; return what cancels that."""
        ...


@frozen
class Plan:
    """What is combined, and how.

    Attributes:
        members: The Observables by name.
        patience: Seconds that a dict waits for the rest of a commit.
        member_lag: How many turns of the loop after the frames the last member tells what came in one go: a paginated
            query tells its list in the next one, and a combination when its own members have told.
    """

    members: Mapping[str, Observable[Any]]
    patience: float
    member_lag: int = 1

    @property
    def turns(self) -> int:
        """How many turns after the first member the dict is made: after the last one in any case."""
        return self.member_lag + 1

    @property
    def lag(self) -> int:
        """How many turns after the frames the dict is there at last."""
        return self.member_lag + self.turns


@dataclass(slots=True)
class Round:
    """The members as they are watched on behalf of one user: their values, and which of them are over."""

    values: Values = field(default_factory=Values)
    ended: set[str] = field(default_factory=set)
    handles: CompositeDisposable = field(default_factory=CompositeDisposable)


class Combining:
    """One run over the members, from the first observer to the last.

    It knows the members' latest values and shows them together, once for all that came in one turn of the loop, and
    with no commit in it that is perhaps not whole. It does not know who watches.
    """

    def __init__(self, plan: Plan, requests: Requests, report: OnError) -> None:
        self.value: Any = UNDEFINED
        self.watchers = 0
        self.is_over = False
        self.observers: Observers[dict[str, Any]] = Observers(report)
        self._plan = plan
        self._members = plan.members
        self._requests = requests
        self._turns: Turns[dict[str, Any]] = Turns(self._show)
        self._round = Round()
        self._former: Round | None = None
        # Apart from the dict, which an observer may have changed.
        self._told: list[Any] | None = None
        self._is_due = True  # until the members were watched for the first time
        self._stop_waiting: Callable[[], object] | None = None

    def attach(self, observer: abc.ObserverBase[Any]) -> Callable[[], None]:
        """Let an observer watch, the present dict first; return what removes it."""
        return self._turns.attach(self.observers, observer, self.value)

    def start(self) -> None:
        """Watch the members, and show at once what all of them have."""
        self._watch(self._round)
        self._settle()

    def stop(self) -> None:
        """Let go of all members; what is due is shown to nobody."""
        self.is_over = True
        self.value = UNDEFINED
        self._wait_no_more()
        self._round.handles.dispose()
        if self._former is not None:
            self._former.handles.dispose()

    def revoke(self) -> None:
        """Forget everything, which may be somebody else's, and watch the members anew when they have forgotten it."""
        if self.is_over:
            return
        self.value, self._told = UNDEFINED, None
        self._wait_no_more()
        self._former = self._former or self._round
        self._round = Round()
        self._settle_soon()

    def finish(self) -> None:
        """Show what is due, then complete everybody."""
        if self.is_over:
            return
        self._round.values.close()
        self._publish()
        self.stop()
        self.observers.complete()

    def _watch(self, watched: Round) -> None:
        call_on_loop = self._requests.call_on_loop

        def watch(name: str, member: Observable[Any]) -> abc.DisposableBase:
            return member.subscribe(
                lambda value: call_on_loop(lambda: self._take(watched, name, value)),
                lambda error: call_on_loop(lambda: self._fail(watched, error)),
                lambda: call_on_loop(lambda: self._end(watched, name)),
            )

        for name, member in self._members.items():
            # One that fails at once has ended the run.
            if not self.is_over:
                watched.handles.add(watch(name, member))
        # What is known already is how things stand: queries that no commit touched for long are where they were.
        watched.values.close()

    def _take(self, watched: Round, name: str, value: Any) -> None:
        if watched is not self._round or self.is_over:
            return
        position = position_of(self._members[name]) if self._plan.patience > 0 else None
        if watched.values.take(name, value, position):
            self._wait_no_more()
        self._settle_soon()

    def _fail(self, watched: Round, error: Exception) -> None:
        if watched is not self._round or self.is_over:
            return
        self.stop()
        self.observers.error(error.copy if isinstance(error, LunoraError) else lambda: error)

    def _end(self, watched: Round, name: str) -> None:
        if watched is self._round and not self.is_over:
            watched.ended.add(name)
            self._settle_soon()

    def _settle_soon(self) -> None:
        if not self._is_due:
            self._is_due = True
            self._call_in_turns(self._plan.turns)

    def _call_in_turns(self, turns: int) -> None:
        if turns:
            self._requests.call_soon(lambda: self._call_in_turns(turns - 1))
        else:
            self._settle()

    def _watch_anew(self) -> None:
        former, self._former = self._former, None
        if former is not None and not self.is_over:
            self._watch(self._round)
            # After the new ones are there: a query that somebody watches stays open.
            former.handles.dispose()

    def _settle(self) -> None:
        self._watch_anew()
        if self.is_over:
            return
        # Before the observers are told: what they cause is due again.
        self._is_due = False
        if not self._round.values.is_open:
            self._wait_no_more()
        elif self._stop_waiting is None:
            self._stop_waiting = self._requests.call_later(self._plan.patience, self._lose_patience)
        self._publish()
        if not self.is_over and self._can_not_go_on():
            self.finish()

    def _lose_patience(self) -> None:
        self._round.values.close()
        self._settle()

    def _wait_no_more(self) -> None:
        stop, self._stop_waiting = self._stop_waiting, None
        if stop is not None:
            stop()

    def _publish(self) -> None:
        values = self._round.values.whole
        if len(values) < len(self._members):
            return
        latest = [values[name] for name in self._members]
        if self._told is None or any(map(is_not, latest, self._told)):
            self._told = latest
            self._turns.take(dict(zip(self._members, latest, strict=True)))

    def _can_not_go_on(self) -> bool:
        ended = self._round.ended
        return len(ended) == len(self._members) or not ended <= self._round.values.latest.keys()

    def _show(self, value: dict[str, Any]) -> None:
        self.value = value
        self.observers.next(value)
