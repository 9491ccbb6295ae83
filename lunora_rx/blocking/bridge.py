"""What everything of one blocking client reaches its event loop through."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, InvalidStateError
from typing import Any, TypeVar
from weakref import finalize

from reactivex import Observable, abc, from_future
from reactivex.disposable import SerialDisposable

from lunora_rx.arguments import check_seconds
from lunora_rx.blocking.loop_thread import LoopThread
from lunora_rx.errors import ClientClosedError
from lunora_rx.rx.observers import OnError

R = TypeVar("R")
T = TypeVar("T")
S = TypeVar("S", bound=Observable[Any])


class Bridge:
    """Lets any thread use what lives on the loop of a client.

    The client, and all that it hands out, hold on to it: the loop comes to its end with the last of them, or with
    the program. Nothing on the loop holds on to it, but for observers of the user's.

    Args:
        thread: Runs the loop.
        report: Takes what observers raise.
        last_error: Returns why there is no connection, ``None`` if there is one; asked on any thread. It does not hold
            on to the bridge.
    """

    def __init__(self, thread: LoopThread, report: OnError, last_error: Callable[[], str | None]) -> None:
        self.thread = thread
        self.report = report
        self.reason: Callable[[], str] = lambda: f": {error}" if (error := last_error()) else ""
        # At the exit of the program the thread itself sees to that, in time for the storage.
        finalize(self, thread.stop).atexit = False

    def call(self, function: Callable[[], R]) -> R:
        """Run a function on the loop, which must not wait, and return what it returns, or raise what it raises."""
        return self.thread.call(function)

    def ask(
        self,
        make: Callable[[], S],
        *,
        what: str,
        timeout: float | None = None,
        give_up: Callable[[S], object] = lambda source: None,
    ) -> Any:
        """Wait for the last value of an Observable, and return it.

        Args:
            make: Returns the Observable; called on the loop.
            what: What is waited for, for the errors.
            timeout: Seconds; without one it takes what it takes.
            give_up: Called on the loop with the Observable if the wait is left early, by a timeout or Ctrl-C.

        Raises:
            TimeoutError: There was no end in time.
            RuntimeError: This is the client's own thread, or a forked process.
            Exception: What ``make`` raises, or the Observable fails with.
        """
        self.thread.check_can_wait(what)
        seconds = None if timeout is None else check_seconds(timeout, "timeout")
        answer: Future[Any] = Future()
        question = _Question(make, give_up, answer)
        self.thread.post(question.ask)
        try:
            return answer.result(seconds)
        except BaseException as error:
            is_late = isinstance(error, TimeoutError)
            if answer.cancel():
                self.thread.post(question.leave)
                if is_late:
                    raise TimeoutError(f"{what}: nothing within {timeout:g} s{self.reason()}") from None
            elif is_late and answer.exception() is not error:
                return answer.result()  # it came as the time was up
            raise
        finally:
            # A traceback keeps this frame.
            del answer, question

    def run(self, make: Callable[[], Coroutine[Any, Any, R]], *, what: str, timeout: float | None = None) -> R:
        """Run a coroutine on the loop, wait for its end, and return its result; a wait left early cancels it.

        Raises:
            TimeoutError: There was no end in time.
            ClientClosedError: The client was closed before.
            RuntimeError: This is the client's own thread, or a forked process.
            Exception: What the coroutine raises.
        """
        self.thread.check_can_wait(what)
        if self.thread.is_ending:
            raise ClientClosedError(f"{what}: the client is closed")
        try:
            result: R = self.ask(lambda: from_future(asyncio.ensure_future(make())), what=what, timeout=timeout)
        except asyncio.CancelledError:
            raise ClientClosedError(f"{what}: the client was closed before the end") from None
        return result


class _Question:
    """One wait for the last value of an Observable."""

    def __init__(self, make: Callable[[], Any], give_up: Callable[[Any], object], answer: Future[Any]) -> None:
        self._make = make
        self._give_up = give_up
        self._answer = answer
        self._source: Any = None
        self._watching = SerialDisposable()
        self._last: Any = None

    def ask(self) -> None:
        """Make the Observable and watch it."""
        if self._answer.cancelled():
            return
        try:
            self._source = self._make()
            self._watching.disposable = self._source.subscribe(self._keep, self._fail, self._settle)
        except BaseException as error:
            self._fail(error)

    def leave(self) -> None:
        """Let go of the Observable, and give it up."""
        self._watching.dispose()
        if self._source is not None:
            self._give_up(self._source)

    def _keep(self, value: Any) -> None:
        self._last = value

    def _settle(self) -> None:
        self._tell(self._answer.set_result, self._last)

    def _fail(self, error: BaseException) -> None:
        self._tell(self._answer.set_exception, error)

    def _tell(self, settle: Callable[[Any], None], outcome: Any) -> None:
        with contextlib.suppress(InvalidStateError):  # nobody waits any more
            settle(outcome)


class Subscription(abc.DisposableBase):
    """What one has subscribed to, from any thread; disposing ends it, and twice is once. A context manager too."""

    def __init__(self, bridge: Bridge, subscribe: Callable[[], abc.DisposableBase]) -> None:
        self._bridge = bridge
        self._handle = SerialDisposable()
        try:
            bridge.call(lambda: self._start(subscribe))
        except BaseException:
            # Ctrl-C may come when it has begun already.
            bridge.thread.post(self._handle.dispose)
            raise

    def dispose(self) -> None:
        """End it: nothing is told any more once this returns, but for a call that another thread is in."""
        self._bridge.call(self._handle.dispose)

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.dispose()

    def _start(self, subscribe: Callable[[], abc.DisposableBase]) -> None:
        self._handle.disposable = subscribe()
