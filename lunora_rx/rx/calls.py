"""One-shot results as Observables that can be awaited."""

from __future__ import annotations

import asyncio
import enum
import logging
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import Disposable

from lunora_rx.errors import ClientClosedError, CodecError, LunoraError
from lunora_rx.protocol.rpc import Accepted, Outcome
from lunora_rx.rx.observers import DebugReport, Observers, OnError

T = TypeVar("T")

_log = logging.getLogger("lunora_rx.observers")


class Phase(enum.StrEnum):
    """How far a mutation has come."""

    COMPOSED = "composed"
    QUEUED = "queued"
    SENT = "sent"
    COMMITTED = "committed"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Ok(Generic[T]):
    """A call of a batch that has a result."""

    value: T


@dataclass(frozen=True, slots=True)
class Failed:
    """A call of a batch that has none."""

    error: LunoraError


Slot: TypeAlias = Ok[Any] | Failed


class Call(Observable[T]):
    """A result that is on its way.

    The call was made when this object was, and is made once, however many observers come. Each
    gets the result and the end, or the error; it can be awaited, any number of times. Disposing
    an observer, or cancelling a task that awaits, detaches that one only.
    """

    def __init__(self, title: str, report: OnError, cancel: Callable[[], bool]) -> None:
        super().__init__()
        self._title = title
        self._cancel = cancel
        self._report = report
        self._observers: Observers[T] = Observers(report)
        self._loop = asyncio.get_running_loop()
        self._waiting: set[asyncio.Future[None]] = set()
        self._outcome: Accepted | LunoraError | None = None
        self._was_seen = False
        self._was_detached = False

    def __repr__(self) -> str:
        outcome = self._outcome
        state = "pending" if outcome is None else "done" if isinstance(outcome, Accepted) else "failed"
        return f"<{type(self).__name__} {self._title} {state}>"

    @property
    def is_settled(self) -> bool:
        """Whether the result or the error is there."""
        return self._outcome is not None

    @property
    def is_detached(self) -> bool:
        """Whether all who awaited or observed it gave up before there was a result."""
        return self._was_detached if self.is_settled else self._was_seen and not self.is_watched

    @property
    def is_watched(self) -> bool:
        """Whether somebody awaits or observes it now."""
        return bool(self._observers) or not all(future.done() for future in self._waiting)

    def cancel(self) -> bool:
        """Give the call itself up, for everybody; tells whether that was still possible.

        Whoever awaits it gets a ``LunoraError`` with code ``CANCELLED``. What the server makes of a request that
        has left is the server's.
        """
        if self.is_settled:
            return False
        self._check_loop("cancel()")
        if not self._cancel():
            return False
        self._was_seen = True
        self.settle(LunoraError(f"{self._title} was cancelled", code="CANCELLED"))
        return True

    def settle(self, outcome: Accepted | LunoraError) -> None:
        """Note the result or the error, once, and tell all who wait for it."""
        if self.is_settled:
            return
        self._was_detached = self.is_detached
        if isinstance(outcome, LunoraError):
            # Its frames hold headers, and so the bearer; who awaits gets a copy.
            outcome = outcome.with_traceback(None)
        self._outcome = outcome
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
        if isinstance(outcome, Accepted):
            self._observers.next(outcome.value)
            self._observers.complete()
        else:
            self._observers.error(outcome.copy)

    def __await__(self) -> Generator[Any, None, T]:
        return self._wait().__await__()

    def __del__(self) -> None:
        # As asyncio does for its tasks: a failure that nobody ever looked at must not pass in silence.
        outcome = getattr(self, "_outcome", None)
        if isinstance(outcome, LunoraError) and not self._was_seen and not isinstance(outcome, ClientClosedError):
            _log.error("%s failed and nobody asked: %s", self._title, outcome)

    async def _wait(self) -> T:
        self._was_seen = True
        if self._outcome is None:
            self._check_loop("await")
            future: asyncio.Future[None] = self._loop.create_future()
            self._waiting.add(future)
            try:
                await future
            finally:
                self._waiting.discard(future)
        if isinstance(self._outcome, Accepted):
            value: T = self._outcome.value
            return value
        assert self._outcome is not None
        raise self._outcome.copy()

    def _subscribe_core(
        self, observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        outcome = self._outcome
        if outcome is None:
            self._check_loop("subscribe()")
            self._was_seen = True
            return Disposable(self._observers.attach(observer))
        self._was_seen = True
        if isinstance(outcome, Accepted):
            self._observers.replay(observer, outcome.value)
            self._observers.finish(observer)
        else:
            self._observers.finish(observer, outcome.copy())
        return Disposable()

    def _check_loop(self, what: str) -> None:
        if isinstance(self._report, DebugReport):
            self._report.check_thread(f"{what} of {self._title}")
        try:
            is_ours = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            is_ours = False
        if not is_ours:
            raise RuntimeError(
                f"{what} of a call that is under way works on its client's event loop only;"
                " cross with loop.call_soon_threadsafe, or asyncio.run_coroutine_threadsafe"
            )


class Phases(Observable[Phase]):
    """The phases of a mutation, those gone by first; ends with the verdict, or with the client."""

    def __init__(self, report: OnError) -> None:
        super().__init__()
        self._past: list[Phase] = []
        self._observers: Observers[Phase] = Observers(report)
        self._untold: deque[Phase] = deque()
        self._is_telling = False
        self._is_over = False

    @property
    def latest(self) -> Phase:
        """The phase that the mutation is in."""
        return self._untold[-1] if self._untold else self._past[-1]

    def has_entered(self, phase: Phase) -> bool:
        """Tell whether the mutation is or was in a phase."""
        return phase in self._past or phase in self._untold

    def enter(self, phase: Phase) -> None:
        """Note the next phase."""
        self._untold.append(phase)
        self._tell()

    def end(self) -> None:
        """Complete everybody."""
        self._is_over = True
        self._tell()

    def _tell(self) -> None:
        # An observer that cancels the write makes one more phase, which nobody is told before the present one.
        if self._is_telling:
            return
        self._is_telling = True
        try:
            while self._untold:
                self._past.append(self._untold.popleft())
                self._observers.next(self._past[-1])
        finally:
            self._is_telling = False
        if self._is_over:
            self._observers.complete()

    def _subscribe_core(
        self, observer: abc.ObserverBase[Phase], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        if self._is_over and not self._is_telling:
            self._replay_to(observer)
            self._observers.finish(observer)
            return Disposable()
        handle = Disposable(self._observers.attach(observer))
        was_telling, self._is_telling = self._is_telling, True
        try:
            self._replay_to(observer)
        finally:
            self._is_telling = was_telling
        self._tell()
        return handle

    def _replay_to(self, observer: abc.ObserverBase[Phase]) -> None:
        for phase in tuple(self._past):
            self._observers.replay(observer, phase)


class Mutation(Call[T]):
    """A write that is on its way, with the phases it goes through.

    Attributes:
        mutation_id: Its idempotency key: however often it is sent, the server carries it out once.
        phases: ``composed``, then ``queued`` while it waits and ``sent`` each time it goes out, then ``committed`` or
            ``rejected``.
    """

    def __init__(self, title: str, report: OnError, cancel: Callable[[], bool], *, mutation_id: str) -> None:
        super().__init__(title, report, cancel)
        self.mutation_id = mutation_id
        self.phases = Phases(report)
        self.phases.enter(Phase.COMPOSED)

    def cancel(self) -> bool:
        """Take the write back, with its patches, if it was not sent yet; tells whether it could.

        Once it is sent its fate is the server's, and nothing changes.
        """
        return super().cancel()

    def settle(self, outcome: Accepted | LunoraError) -> None:
        """Note the verdict, once, and tell all who wait for it."""
        if self.is_settled:
            return
        super().settle(outcome)
        # Closing the client is no verdict: the write may have been carried out, and an unsent one may yet be.
        if not isinstance(outcome, ClientClosedError):
            # A result that cannot be decoded here belongs to a write that was carried out.
            committed = isinstance(outcome, Accepted | CodecError)
            self.phases.enter(Phase.COMMITTED if committed else Phase.REJECTED)
        self.phases.end()


def result_of(outcome: Outcome) -> Accepted | LunoraError:
    """Return what a call's observers are told: the value, or the error to raise."""
    if isinstance(outcome, Accepted):
        return outcome.undecodable or outcome
    return outcome.error
