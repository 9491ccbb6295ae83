"""Snapshots unwrapped, and streams logged."""

from __future__ import annotations

import logging

from reactivex import of, throw

from lunora_rx import ServerError, Snapshot, SnapshotStatus
from lunora_rx import operators as lops
from tests.operators.sources import Counted
from tests.support import Recorder


def test_unwrap_tells_each_value_once():
    """A status is no value; None is one; after it was taken away, the next one is told."""
    value = [1]
    statuses = (SnapshotStatus.STALE, SnapshotStatus.LIVE, SnapshotStatus.FAILED)
    snapshots = [Snapshot(), *(Snapshot(status, value) for status in statuses), Snapshot()]
    seen = Recorder()
    of(*snapshots, Snapshot(SnapshotStatus.LIVE, value), Snapshot(value=None)).pipe(lops.unwrap()).subscribe(seen)
    assert seen.values == [value, value, None]


def test_unwrap_of_what_is_no_snapshot_fails():
    """Values of a live query are not wrapped."""
    seen = Recorder()
    of([1], Snapshot(value=1)).pipe(lops.unwrap()).subscribe(seen)
    (error,) = seen.errors
    assert str(error).startswith("unwrap() takes snapshots, not a value of type list; put it behind live.snapshots")
    assert seen.values == []


async def test_unwrap_of_a_live_query_goes_on_after_an_error(server, client):
    """As its resilient values do."""
    live, seen, resilient = client.live("a:b"), Recorder(), Recorder()
    live.snapshots.pipe(lops.unwrap()).subscribe(seen)
    live.resilient.subscribe(resilient)
    socket, sub = await server.subscribed()
    await socket.push("data", id=sub, data=[1])
    await socket.push("error", id=sub, error={"code": "BUSY", "message": "later"})
    await socket.push("data", id=sub, data=[2])
    assert seen.values == resilient.values == [[1], [2]]


def test_log_tells_what_a_stream_does(caplog):
    """Values are shortened, and passed on as they are."""
    value, seen = list(range(100)), Recorder()
    with caplog.at_level(logging.INFO, "lunora_rx.operators"):
        of(value).pipe(lops.log("x")).subscribe(seen)
        throw(ServerError("no", code="FORBIDDEN")).pipe(lops.log("y")).subscribe(seen)
    assert caplog.messages[:3] == ["x: subscribed", "x: next [0, 1, 2, ...]", "x: completed"]
    assert caplog.messages[4].startswith("y: error ServerError('no'")
    assert seen.values[0] is value


def test_log_tells_of_an_observer_that_leaves(caplog):
    """With the name, at the level asked for."""
    with caplog.at_level(logging.DEBUG, "lunora_rx.operators"):
        Counted().pipe(lops.log("x", level=logging.DEBUG)).subscribe().dispose()
    assert [(each.levelname, each.message) for each in caplog.records] == [
        ("DEBUG", "x: subscribed"),
        ("DEBUG", "x: disposed"),
    ]


def test_log_looks_at_no_value_that_is_not_logged():
    """A level that is off costs nothing."""

    class Secret:
        def __repr__(self):
            raise AssertionError("it was looked at")

    seen = Recorder()
    of(Secret()).pipe(lops.log("x", level=logging.DEBUG)).subscribe(seen)
    assert (len(seen.values), seen.errors) == (1, [])
