"""Several Observables as one dict that is never caught between two states."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any, Generic, NoReturn, TypeVar, cast

from reactivex import Observable, abc
from reactivex.disposable import Disposable

from lunora_rx.protocol.values import UNDEFINED
from lunora_rx.rx.combining import Combining, Plan, Requests
from lunora_rx.rx.interop import FirstValue, ObservableIterator, observable_to_aiter
from lunora_rx.rx.observers import Observers, OnError
from lunora_rx.rx.subject import once

__all__ = ["PATIENCE", "Combinations", "Combined"]

T = TypeVar("T")

# Well above what lies between two frames of one commit, and well below what anybody sees.
PATIENCE = 0.02


class Combinations:
    """All combinations that somebody watches.

    Args:
        requests: What they need of the client.
        report: Takes what observers raise.
    """

    def __init__(self, requests: Requests, report: OnError) -> None:
        self.requests = requests
        self.is_completed = False
        self._report = report
        self._runs: dict[Combining, None] = {}

    def __len__(self) -> int:
        return len(self._runs)

    def combine(self, members: Mapping[str, Observable[Any]], *, patience: float) -> Combined[Any]:
        """Return a combination; its first observer watches the members.

        Raises:
            TypeError: ``members`` is no mapping of names to Observables; the member is named.
            ValueError: It is empty.
        """
        checked = _checked(members)
        lags = [each.lag for each in checked.values() if isinstance(each, Combined)]
        return Combined(self, Plan(checked, patience, max(lags, default=1)))

    def revoke(self) -> None:
        """Forget what is shown, which may be somebody else's."""
        for run in tuple(self._runs):
            run.revoke()

    def complete(self) -> None:
        """Complete all who watch; later ones get the end at once."""
        self.is_completed = True
        runs, self._runs = self._runs, {}
        for run in runs:
            run.finish()

    def open(self, plan: Plan) -> Combining:
        """Begin a run."""
        run = Combining(plan, self.requests, self._report)
        self._runs[run] = None
        return run

    def release(self, run: Combining) -> None:
        """Let go of a run that nobody watches any more."""
        self._runs.pop(run, None)
        run.stop()

    def complete_late(self, observer: abc.ObserverBase[Any]) -> abc.DisposableBase:
        """Complete an observer that comes after the end."""
        Observers[Any](self._report).finish(observer)
        return Disposable()


class Combined(Observable[dict[str, T]], Generic[T]):
    """Several Observables as one consistent dict: hot, shared by its observers, latest dict first.

    The first dict comes when every member has a value, at once if all have one already. From then on there is one for
    all that changed in one turn of the loop, as it stands at the end: whatever one write of this client patches,
    confirms or rolls back, and whatever the frames changed that were read in one go. A commit whose frames do not
    come in one go is waited for: live queries of one shard are shown as they were before it until all of them have
    reached it, the next one has begun, or ``patience`` is over, because a query that a commit does not touch is not
    told of it. Each dict is a new one; it is shared with all observers, as the values within are: treat it as
    read-only.

    The members are watched once however many observers there are, by the first of them until the last one leaves.
    An error of a member ends the stream for the observers of that moment, without a dict for what else came in that
    turn; a new observer watches the members anew. A member that completes keeps its last value. The stream completes
    when all members have, when one does that never had a value, and with the client.

    When somebody else signs in everything is forgotten, and all members are subscribed to anew: no dict holds values
    of two users.

    Source: ``docs/protocol.md``, section "What a server must do", positions.
    """

    def __init__(self, combinations: Combinations, plan: Plan) -> None:
        super().__init__()
        self._combinations = combinations
        self._plan = plan
        self._run: Combining | None = None

    def __repr__(self) -> str:
        return f"<Combined {', '.join(self._plan.members)}>"

    @property
    def lag(self) -> int:
        """How many turns of the loop after the frames a dict is there at last, unless a commit is waited for."""
        return self._plan.lag

    @property
    def value(self) -> dict[str, T]:
        """The dict shown now; ``UNDEFINED`` before the first, and while nobody watches."""
        return cast("dict[str, T]", UNDEFINED if self._run is None else self._run.value)

    def first(self, predicate: Callable[[dict[str, T]], bool] | None = None) -> FirstValue[dict[str, T]]:
        """Return an Observable of the first dict (that satisfies ``predicate``), which can be awaited.

        Awaiting raises what a member fails with before, ``ClientClosedError`` when the client ends.
        """
        return FirstValue(self, predicate)

    def aiter(self, *, conflate: bool = True) -> ObservableIterator[dict[str, T]]:
        """Iterate over the dicts with ``async for``.

        Args:
            conflate: Whether a slow loop sees the newest dict only. Without it every dict is kept, up to 1,024;
                a loop that is further behind gets a ``StreamError`` with code ``STREAM_BACKPRESSURE``.
        """
        return observable_to_aiter(self, overflow="latest" if conflate else "error")

    def __aiter__(self) -> ObservableIterator[dict[str, T]]:
        return self.aiter()

    def __iter__(self) -> NoReturn:
        raise TypeError(
            "a combination changes for ever: iterate with `async for`, or take one value with `await first()`;"
            " programs with no event loop have lunora_rx.blocking"
        )

    def __await__(self) -> Generator[Any, None, NoReturn]:
        raise TypeError(
            "a combination has no last value to await; await combined.first(), or iterate over combined.aiter()"
        )

    def _subscribe_core(
        self, observer: abc.ObserverBase[dict[str, T]], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        combinations = self._combinations
        if combinations.is_completed:
            return combinations.complete_late(observer)
        combinations.requests.enter("subscribing to a combination")
        run = self._run
        is_first = run is None or run.is_over
        if run is None or run.is_over:
            run = self._run = combinations.open(self._plan)
        run.watchers += 1
        detach = run.attach(observer)
        if is_first:
            # The observer is there before the members are: it hears of one that fails at once.
            run.start()
        return self._disposable(run, detach)

    def _disposable(self, run: Combining, detach: Callable[[], None]) -> abc.DisposableBase:
        def leave() -> None:
            detach()
            run.watchers -= 1
            if run.watchers == 0:
                self._run = None if self._run is run else self._run
                self._combinations.release(run)

        leave_once = once(leave)
        return Disposable(lambda: self._combinations.requests.call_on_loop(leave_once))


def _checked(members: object) -> dict[str, Observable[Any]]:
    if not isinstance(members, Mapping):
        raise TypeError(f"combine() takes a mapping of names to Observables, not {type(members).__name__}")
    if not members:
        raise ValueError("combine() takes one member at least, and the mapping is empty")
    for name, member in members.items():
        if not isinstance(name, str):
            raise TypeError(f"combine(): a member's name is a string, not {name!r}")
        if not isinstance(member, Observable):
            raise TypeError(f"combine(): member {name!r} is an Observable, not {type(member).__name__}")
    return dict(members)
