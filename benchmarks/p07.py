"""P7: one row of a list changes."""

import statistics
import time
from collections.abc import Callable
from operator import truediv
from typing import Any

import orjson

from benchmarks.frame_server import frame, payload
from benchmarks.measure import Row, interleave
from lunora_rx import operators as lops
from lunora_rx.core.multiplexer import CoreOptions, Multiplexer
from lunora_rx.protocol.keys import subscription_key
from lunora_rx.rx.live_query import LiveQuery
from lunora_rx.rx.subject import SnapshotSubject

OPERATIONS = ("update", "insert", "delete")
SIZES = (10_000, 100_000)
SMALL = 100
CHANGES = 40  # in a turn: enough for what an index pays now and then
# Turns in a round. What a large list costs is its copy; a small one is over before what a round begins with, a garbage
# collection of all lists, has left the processor's caches.
TURNS = {SMALL: 25}


async def measure(*, rounds: int, quick: bool) -> Row:
    """Measure the row."""
    lists = {size: Watched(size) for size in (SMALL, *SIZES[: 1 if quick else None])}
    measured = {
        (operation, size): await interleave(_changing(watched, operation), _copying(watched), rounds=rounds)
        for size, watched in lists.items()
        for operation in OPERATIONS
    }
    told = [_told(operation, size, *times) for (operation, size), times in measured.items()]
    told += [f"`changes` of {size:,}: {_operator(each) * 1e6:.1f} us" for size, each in lists.items()]
    mine, theirs = measured["update", SIZES[0]]
    return Row(
        "P7",
        f"a one-row update of a list of {SIZES[0]:,}, from frame to event",
        "copying the list once",
        mine,
        theirs,
        "update <= 3, insert and delete <= 25, at 100 rows <= 10 us",
        is_speed=False,
        remark="; ".join(told),
    )


class Watched:
    """A core with one live query of many rows, and frames for it."""

    def __init__(self, size: int) -> None:
        self.core = Multiplexer(CoreOptions("client-1"), lambda: 0.5)
        self.core.subscribe(_KEY, "messages:list", {}, "", 0.0)
        self.core.receive_opened("", 0.0)
        subscription = self.core.find(_KEY, "")
        assert subscription is not None
        self.subscription = subscription
        self.rows = [{**row, "_id": f"r{place}", "_creationTime": place} for place, row in enumerate(payload(size))]
        self.receive([frame(subscription.id, 1, self.rows)])
        self.receive([self.delta("update", self.rows[0])])  # the first one learns where the rows stand

    def delta(self, operation: str, row: dict[str, Any]) -> bytes:
        """Return the frame of one row change."""
        delta = {"op": operation, "table": "messages", "key": row["_id"]}
        delta |= {} if operation == "delete" else {"row": row}
        return orjson.dumps({"type": "delta", "id": self.subscription.id, "cursor": 2, "epoch": "e", "delta": delta})

    def receive(self, frames: list[bytes]) -> float:
        """Receive frames, and return the seconds that it took."""
        start = time.perf_counter()
        for text in frames:
            self.core.receive_text("", text, 0.0)
            self.core.events.clear()
        return time.perf_counter() - start


_KEY = subscription_key("messages:list", {})


def _told(operation: str, size: int, ours: list[float], theirs: list[float]) -> str:
    if size == SMALL:
        return f"{operation} of {size}: {statistics.median(ours) / CHANGES / TURNS[size] * 1e6:.1f} us in all"
    return f"{operation} of {size:,}: **{statistics.median(map(truediv, ours, theirs)):.1f}**"


def _changing(watched: Watched, operation: str) -> Callable[[], float]:
    rows = watched.rows
    places = [len(rows) * (each * 7 % CHANGES) // CHANGES for each in range(CHANGES)]
    there = [{**rows[place], "text": "changed"} for place in places]
    new = [{**row, "_id": f"new{row['_id']}", "_creationTime": row["_creationTime"] + 0.5} for row in there]

    def turn() -> float:
        if operation == "update":
            return watched.receive([watched.delta("update", row) for row in there])
        inserted = watched.receive([watched.delta("insert", row) for row in new])
        deleted = watched.receive([watched.delta("delete", row) for row in new])
        return inserted if operation == "insert" else deleted

    return lambda: sum(turn() for _ in range(TURNS.get(len(rows), 1)))


def _copying(watched: Watched) -> Callable[[], float]:
    def reference() -> float:
        rows = watched.subscription.result.shown
        start = time.perf_counter()
        for _ in range(CHANGES):
            list(rows)
        return time.perf_counter() - start

    return reference


def _operator(watched: Watched) -> float:
    """Return the seconds a change that ``changes`` adds to what an observer of the lists costs."""
    subject: SnapshotSubject[Any] = SnapshotSubject(print)
    live = LiveQuery[Any](_Shown(subject))
    costs = {"live": [], "changes": []}
    for number in range(40):
        name = ("live", "changes")[number % 2]
        handle = (live.pipe(lops.changes()) if name == "changes" else live).subscribe(lambda value: None)
        # Merged first: to copy a long list empties the processor's caches, which is not the operator's doing.
        events = [_updated(watched, row, number) for row in watched.rows[:8]]
        for event in events:
            start = time.perf_counter()
            subject.publish(event)
            costs[name].append(time.perf_counter() - start)
        handle.dispose()
    return statistics.median(costs["changes"]) - statistics.median(costs["live"])


def _updated(watched: Watched, row: dict[str, Any], number: int) -> Any:
    watched.core.receive_text("", watched.delta("update", {**row, "text": str(number)}), 0.0)
    (event,) = watched.core.take_events()
    return event


class _Shown:
    """Shows what a subject does."""

    title = "benchmark"

    def __init__(self, subject: SnapshotSubject[Any]) -> None:
        self._subject = subject

    def attach_values(self, observer: Any, *, resilient: bool) -> Any:
        return self._subject.attach_values(observer, resilient=resilient)

    def attach_snapshots(self, observer: Any) -> Any:
        return self._subject.attach_snapshots(observer)

    @property
    def snapshot(self) -> Any:
        return self._subject.snapshot

    @property
    def value(self) -> Any:
        return self._subject.value

    @property
    def row_merge(self) -> Any:
        return self._subject.row_merge

    def refresh(self) -> None: ...
