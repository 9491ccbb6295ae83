"""Turns the core's events into what taps are told of calls, while there are taps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from lunora_rx.core.events import (
    BatchSettled,
    CallSettled,
    MutationQueued,
    MutationSent,
    MutationSettled,
    SnapshotChanged,
    ValueChanged,
)
from lunora_rx.driver import Driver
from lunora_rx.errors import LunoraError
from lunora_rx.interfaces import CallNews, CallStage, Tap
from lunora_rx.protocol.rpc import Outcome, Refused, RpcCall
from lunora_rx.rx.cache import Query

EventHandler = Callable[[Any], None]


class TappedCalls:
    """The calls that taps were told of and that are not settled.

    A recording looks on at frames and requests by itself, and is no tap of these: it neither starts nor keeps the
    listening.

    Args:
        driver: Whose events are listened to, as long as there are taps.
        query_of: Returns the live query of a key, if somebody watches it.
    """

    def __init__(self, driver: Driver, query_of: Callable[[str], Query | None]) -> None:
        self._driver = driver
        self._taps = driver.taps
        self._query_of = query_of
        self._attached = 0
        self._open: dict[int | str, CallNews] = {}
        self._untapped: Mapping[type, EventHandler] = {}

    def attach(self, tap: Tap) -> Callable[[], None]:
        """Add a tap and return what removes it."""
        if not self._attached:
            self._listen()
        self._attached += 1
        self._taps.append(tap)

        def detach() -> None:
            self._taps.remove(tap)
            self._attached -= 1
            if not self._attached:
                self._driver.publish_to(self._untapped)
                self._open.clear()

        return detach

    def compose(self, call_id: int | str, kind: str, calls: Sequence[RpcCall]) -> None:
        """Tell of a new call, if there is anybody to tell."""
        if not self._attached:
            return
        shard = calls[0].shard if len(calls) == 1 and kind != "batch" else ""
        news = CallNews(call_id, kind, tuple(call.function_path for call in calls), shard, "composed")
        self._open[call_id] = news
        self._taps.note_call(news)

    def cancel(self, call_id: int | str) -> None:
        """Tell that a call was given up, if taps were told of it."""
        self._settle(call_id, error=LunoraError("the call was cancelled", code="CANCELLED"))

    def _listen(self) -> None:
        # Events are heard only while somebody listens: without a tap no handler stands between core and observer.
        handlers = self._driver.handlers
        first = {
            CallSettled: lambda event: self._settle(event.request_id, error=_error_of(event.outcome)),
            BatchSettled: self._settle_batch,
            MutationQueued: lambda event: self._move(event.mutation_id, "queued"),
            MutationSent: lambda event: self._move(event.mutation_id, "sent"),
            MutationSettled: self._settle_mutation,
        }
        afterwards = {
            ValueChanged: lambda event: self._show(event.key, event.cursor),
            SnapshotChanged: lambda event: self._show(event.key, event.snapshot.cursor),
        }
        self._untapped = {kind: handlers[kind] for kind in (*first, *afterwards)}
        self._driver.publish_to({kind: _one_after_the_other(note, handlers[kind]) for kind, note in first.items()})
        self._driver.publish_to({kind: _one_after_the_other(handlers[kind], note) for kind, note in afterwards.items()})

    def _move(self, mutation_id: str, stage: CallStage) -> None:
        composed = self._open.get(mutation_id)
        if composed is not None:
            self._taps.note_call(replace(composed, stage=stage))

    def _settle(self, call_id: int | str, **outcome: Any) -> None:
        composed = self._open.pop(call_id, None)
        if composed is not None:
            self._taps.note_call(replace(composed, stage="settled", **outcome))

    def _settle_batch(self, event: BatchSettled) -> None:
        slots = event.slots
        if isinstance(slots, Refused):
            self._settle(event.request_id, error=slots.error)
            return
        failed = sum(each is None or _error_of(each) is not None for each in slots)
        self._settle(event.request_id, failed_entries=failed)

    def _settle_mutation(self, event: MutationSettled) -> None:
        record, outcome = event.record, event.outcome
        # One of an earlier process, or composed before there was a tap, is told of all the same.
        news = CallNews(record.mutation_id, "mutation", (record.function_path,), record.shard, "composed")
        self._open.setdefault(record.mutation_id, news)
        cursor = None if isinstance(outcome, Refused) else outcome.commit_cursor
        error = outcome.error if isinstance(outcome, Refused) else None
        self._settle(record.mutation_id, error=error, commit_cursor=cursor, was_queued=event.was_queued)

    def _show(self, key: str, cursor: int | None) -> None:
        query = None if cursor is None else self._query_of(key)
        if query is not None and cursor is not None:
            self._taps.note_shown(query.shard, query.function_path, cursor)


def _error_of(outcome: Outcome) -> LunoraError | None:
    return outcome.error if isinstance(outcome, Refused) else outcome.undecodable


def _one_after_the_other(first: EventHandler, second: EventHandler) -> EventHandler:
    def handle(event: Any) -> None:
        first(event)
        second(event)

    return handle
