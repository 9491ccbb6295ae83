"""Subscribes again to what failed."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Final, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import SerialDisposable, SingleAssignmentDisposable

from lunora_rx.core.backoff import Backoff, Ramp, next_delay
from lunora_rx.errors import LunoraError, TransportError
from lunora_rx.operators.stepping import scheduler_of

T = TypeVar("T")

_PASSING: Final = frozenset(
    {
        "OFFLINE_QUEUE_OVERFLOW",
        "RATE_LIMITED",
        "REPLICA_NOT_READY",
        "REPLICA_READ_ONLY",
        "SHARD_ERROR",
        "SHARD_UNAVAILABLE",
        "STREAM_DISCONNECTED",
        "STREAM_INTERRUPTED",
        "STREAM_QUEUE_OVERFLOW",
        "SUBSCRIPTION_CANCELLED",
        "SUBSCRIPTION_PERSIST_FAILED",
        "TOKEN_EXPIRED",
        "TOO_MANY_REQUESTS",
    }
)
"""The codes after which trying again helps, by ``docs/protocol.md``, section "Error codes"; and an expired token, in
whose place the client puts a new one by itself."""

_MISTAKES: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NameError,
    NotImplementedError,
    TypeError,
    ValueError,
)


def may_pass(error: Exception) -> bool:
    """Tell whether trying again may help after an error, all else being as it was."""
    if not isinstance(error, LunoraError):
        return not isinstance(error, _MISTAKES)
    is_unanswered = isinstance(error, TransportError) and error.code is None
    return error.transient or is_unanswered or error.retry_after is not None or error.code in _PASSING


def retry_backoff(
    backoff: Backoff = Backoff(),  # noqa: B008 it is frozen
    *,
    retry_if: Callable[[Exception], bool] = may_pass,
    scheduler: abc.SchedulerBase | None = None,
) -> Callable[[Observable[T]], Observable[T]]:
    """Subscribe anew after an error, with a delay that grows from one failure to the next.

    ::

        first try        --a--X
        second, later         ...--a--b--X
        third, later                      ...--b--c---|
        retry_backoff()  --a---------a--b--------b--c--|

    The delays are those of the client's own reconnects. They start over when a value has come after a subscription was
    made: one that is replayed while it is made proves nothing. An error that bears a ``retry_after`` is given that
    long at least. A live query shows its latest value again with each subscription.

    What trying again cannot mend ends the stream at once: a function that does not exist, arguments that are refused,
    a credential that is, a handler that failed, a mistake in the code before. ``retry_if`` may say otherwise:
    ``lambda error: not isinstance(error, ClientClosedError)`` goes on after all of these.

    Args:
        backoff: How long to wait.
        retry_if: Which errors to try again after; the others end the stream. By default a ``LunoraError`` that is
            ``transient``, bears a ``retry_after``, or has a code of ``docs/protocol.md``, section "Error codes", that
            passes by itself; and every other exception that speaks of no mistake in the code, as ``OSError`` does not
            and ``TypeError``, ``ValueError`` and ``LookupError`` do.
        scheduler: Where it waits; else that of ``subscribe``, else the running asyncio loop's.

    Raises:
        TypeError: ``backoff`` is no ``Backoff``.
        RuntimeError: As an error of the stream, there is no scheduler.

    >>> import reactivex
    >>> from reactivex.scheduler import VirtualTimeScheduler
    >>> from lunora_rx import Backoff, operators as lops
    >>> clock, tries = VirtualTimeScheduler(), iter([reactivex.throw(OSError("busy")), reactivex.of("done")])
    >>> source = reactivex.defer(lambda _: next(tries))
    >>> _ = source.pipe(lops.retry_backoff(Backoff(initial=2.0, jitter="none"))).subscribe(print, scheduler=clock)
    >>> clock.start()
    done
    >>> clock.clock
    2.0
    """
    if not isinstance(backoff, Backoff):
        raise TypeError(f"retry_backoff() takes a Backoff, not {type(backoff).__name__}")

    def apply(source: Observable[T]) -> Observable[T]:
        def subscribe(observer: abc.ObserverBase[T], given: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            timer = scheduler_of("retry_backoff", scheduler, given)
            retrying = Retrying(source, observer, given, backoff, retry_if, timer)
            retrying.start()
            return retrying.handle

        return Observable(subscribe)

    return apply


class Retrying:
    """The tries of one subscription.

    Args:
        source: What is subscribed to, again and again.
        observer: Who hears of values, and of the error that ends them.
        given: The scheduler that each try is subscribed with.
        backoff: How long to wait between them.
        retry_if: Which errors to try again after.
        timer: Where it waits.
    """

    def __init__(
        self,
        source: Observable[Any],
        observer: abc.ObserverBase[Any],
        given: abc.SchedulerBase | None,
        backoff: Backoff,
        retry_if: Callable[[Exception], bool],
        timer: abc.SchedulerBase,
    ) -> None:
        self.handle = SerialDisposable()
        self._source = source
        self._observer = observer
        self._given = given
        self._backoff = backoff
        self._retry_if = retry_if
        self._timer = timer
        self._ramp = Ramp()
        self._is_starting = False

    def start(self, scheduler: abc.SchedulerBase | None = None, state: object = None) -> None:
        """Subscribe to the source."""
        # Known before the source is: one that fails at once is followed by a timer, which must not be replaced.
        subscription = SingleAssignmentDisposable()
        self.handle.disposable = subscription
        self._is_starting = True
        subscription.disposable = self._source.subscribe(
            self._on_next, self._on_error, self._observer.on_completed, scheduler=self._given
        )
        self._is_starting = False

    def _on_next(self, value: Any) -> None:
        if not self._is_starting:
            self._ramp = Ramp()
        self._observer.on_next(value)

    def _on_error(self, error: Exception) -> None:
        try:
            is_wanted = self._retry_if(error)
        except Exception as mistake:
            self._observer.on_error(mistake)
            return
        if not is_wanted:
            self._observer.on_error(error)
            return
        delay, self._ramp = next_delay(self._backoff, self._ramp, random.random())  # noqa: S311 no secret
        hint = error.retry_after if isinstance(error, LunoraError) else None
        self.handle.disposable = self._timer.schedule_relative(max(delay, hint or 0.0), self.start)
