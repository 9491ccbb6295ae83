"""Operators that look at a stream, and at snapshots."""

from __future__ import annotations

import logging
from collections.abc import Callable
from reprlib import Repr
from typing import Final, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import Disposable

from lunora_rx.core.snapshot import Snapshot
from lunora_rx.operators.keys import kind_of
from lunora_rx.operators.stepping import Step, stepped
from lunora_rx.protocol.values import UNDEFINED, Undefined

T = TypeVar("T")

LOGGER: Final = logging.getLogger("lunora_rx.operators")

_SHORT = Repr()
_SHORT.maxlist = _SHORT.maxdict = _SHORT.maxtuple = 3
_SHORT.maxstring = _SHORT.maxother = 60


def unwrap() -> Callable[[Observable[Snapshot[T]]], Observable[T]]:
    """Turn snapshots into their values.

    ::

        snapshots  --pending---a---a stale---a live---b failed---|
        unwrap()   ------------a----------------------b----------|

    A snapshot without a value, or with the value of the one before, tells nothing. Errors of the query are in the
    snapshots, and so none of this stream.

    Raises:
        TypeError: As an error of the stream, a value is no snapshot.

    >>> import reactivex
    >>> from lunora_rx import Snapshot, SnapshotStatus, operators as lops
    >>> stale = Snapshot(SnapshotStatus.STALE, 1)
    >>> _ = reactivex.of(Snapshot(), Snapshot(SnapshotStatus.LIVE, 1), stale).pipe(lops.unwrap()).subscribe(print)
    1
    """
    return lambda source: stepped(source, lambda _: _news())


def log(
    name: str, *, level: int = logging.INFO, logger: logging.Logger = LOGGER
) -> Callable[[Observable[T]], Observable[T]]:
    """Log what a stream does, and pass it on as it is.

    ::

        values    --a-----b-----|
        log("x")  --a-----b-----|    x: subscribed, x: next a, x: next b, x: completed

    Each line begins with the name. Long values are shortened, and not looked at further. A subscription that is let
    go of before its end is logged as ``disposed``.

    Args:
        name: Which stream it is.
        level: The level of each line.
        logger: Where the lines go; by default to ``lunora_rx.operators``.

    >>> import logging, reactivex, sys
    >>> from lunora_rx import operators as lops
    >>> logger = logging.Logger("example")
    >>> logger.addHandler(logging.StreamHandler(sys.stdout))
    >>> _ = reactivex.of([1, 2, 3, 4]).pipe(lops.log("numbers", logger=logger)).subscribe()
    numbers: subscribed
    numbers: next [1, 2, 3, ...]
    numbers: completed
    """

    def say(what: str, *args: object) -> None:
        if logger.isEnabledFor(level):
            logger.log(level, "%s: " + what, name, *(_SHORT.repr(each) for each in args))

    return lambda source: Observable(lambda observer, scheduler: _watched(source, observer, scheduler, say))


def _news() -> Step[Snapshot[T], T]:
    shown: T | Undefined = UNDEFINED

    def step(snapshot: Snapshot[T]) -> T | Undefined:
        nonlocal shown
        if not isinstance(snapshot, Snapshot):
            raise TypeError(
                f"unwrap() takes snapshots, not {kind_of(snapshot)}; put it behind live.snapshots, the values of live"
                " itself need no unwrapping"
            )
        before, shown = shown, snapshot.value
        return UNDEFINED if shown is before else shown

    return step


def _watched(
    source: Observable[T],
    observer: abc.ObserverBase[T],
    scheduler: abc.SchedulerBase | None,
    say: Callable[..., None],
) -> abc.DisposableBase:
    is_over = False

    def on_next(value: T) -> None:
        say("next %s", value)
        observer.on_next(value)

    def on_error(error: Exception) -> None:
        nonlocal is_over
        is_over = True
        say("error %s", error)
        observer.on_error(error)

    def on_completed() -> None:
        nonlocal is_over
        is_over = True
        say("completed")
        observer.on_completed()

    def dispose() -> None:
        if not is_over:
            say("disposed")
        subscription.dispose()

    say("subscribed")
    subscription = source.subscribe(on_next, on_error, on_completed, scheduler=scheduler)
    return Disposable(dispose)
