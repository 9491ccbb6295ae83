"""Live queries, from the observer's side."""

from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar

import pytest
from reactivex import Observable
from reactivex import operators as ops

from lunora_rx import UNDEFINED, ClientClosedError, LiveQuery, ServerError, SnapshotStatus
from lunora_rx.protocol.wire import TAG
from tests.support import Recorder, turn, until

CELL: ContextVar[str] = ContextVar("cell")


async def watch(client, server, function="a:b", args=None):
    """Subscribe a recorder to a query and return it with the socket and the subscription's id."""
    seen = Recorder()
    client.live(function, args).subscribe(seen)
    socket, sub = await server.subscribed()
    return seen, socket, sub


async def test_live_two_observers_share_one_subscription(server, client):
    """However many watch, the server is asked once."""
    first, socket, sub = await watch(client, server)
    second = Recorder()
    client.live("a:b").subscribe(second)
    await socket.push("data", id=sub, data=[1])
    assert (first.values, second.values) == ([[1]], [[1]])
    assert socket.unread == 0


async def test_live_without_observer_sends_nothing(server, client):
    """Making a live query is free; the first observer opens it."""
    live = client.live("a:b")
    await turn()
    assert server.urls == []
    assert live.value is UNDEFINED
    assert not live.snapshot.has_value


async def test_live_last_observer_leaves_closes_the_subscription(server, client):
    """The subscription ends with its last observer, not before."""
    live = client.live("a:b")
    first, second = live.subscribe(print), live.subscribe(print)
    socket, sub = await server.subscribed()
    first.dispose()
    assert socket.unread == 0
    second.dispose()
    assert await socket.expect("unsubscribe") == {"type": "unsubscribe", "id": sub}
    assert len(client.cache) == 0


async def test_live_disposed_twice_counts_once(server, client):
    """A handle may be disposed any number of times and takes one observer away."""
    live = client.live("a:b")
    first = live.subscribe(print)
    live.subscribe(print)
    socket, _ = await server.subscribed()
    first.dispose()
    first.dispose()
    await turn()
    assert socket.unread == 0


async def test_live_late_observer_gets_the_value_at_once(server, client):
    """A late observer has the latest value before subscribe returns."""
    _, socket, sub = await watch(client, server)
    await socket.push("data", id=sub, data=[1])
    await socket.push("data", id=sub, data=[2])
    late = Recorder()
    client.live("a:b").subscribe(late)
    assert late.values == [[2]]


async def test_live_null_is_a_value(server, client):
    """``None`` is emitted and replayed like any other value."""
    seen, socket, sub = await watch(client, server)
    await socket.push("data", id=sub, data=None)
    late = Recorder()
    client.live("a:b").subscribe(late)
    assert (seen.values, late.values) == ([None], [None])
    assert client.live("a:b").value is None


async def test_live_before_the_first_value_emits_nothing(server, client):
    """An observer hears nothing until there is a value, not even when the server acknowledges."""
    seen, socket, sub = await watch(client, server)
    await socket.push("ack", id=sub)
    await socket.push("settled", id=sub, cursor=1)
    assert seen.values == []


async def test_live_equal_scalar_after_a_reconnect_is_not_emitted_again(server, client):
    """The same text sent again is no news, though it is another object."""
    seen, socket, sub = await watch(client, server)
    await socket.push("data", id=sub, data="a value of some length")
    socket.cut()
    socket = await server.socket()
    await socket.expect("subscribe")
    await socket.push("data", id=sub, data="a value of some length")
    assert seen.values == ["a value of some length"]
    assert client.live("a:b").snapshot.status is SnapshotStatus.LIVE


async def test_live_disconnect_keeps_the_value_and_goes_on(server, client):
    """A lost connection is no error: the value stays, the snapshots tell, the stream goes on."""
    seen, socket, sub = await watch(client, server)
    snapshots = Recorder()
    client.live("a:b").snapshots.subscribe(snapshots)
    await socket.push("data", id=sub, data=[1], cursor=7, epoch="e")
    socket.cut()
    socket = await server.socket()
    query = (await socket.expect("subscribe"))["query"]
    assert (query["sinceSeq"], query["sinceEpoch"]) == (7, "e")
    await socket.push("resume", id=sub)
    await socket.push("data", id=sub, data=[2])
    assert (seen.values, seen.errors) == ([[1], [2]], [])
    shown = [(str(each.status), each.value) for each in snapshots.values if each.has_value]
    assert shown == [("live", [1]), ("stale", [1]), ("live", [1]), ("live", [2])]


async def test_live_server_error_ends_the_values_of_that_moment(server, client):
    """Today's observers end with the error; snapshots carry it as data and go on."""
    seen, socket, sub = await watch(client, server)
    snapshots = Recorder()
    client.live("a:b").snapshots.subscribe(snapshots)
    await socket.push("data", id=sub, data=[1])
    await socket.push("error", id=sub, message="no such row", error={"code": "NOT_FOUND"})
    (error,) = seen.errors
    assert isinstance(error, ServerError)
    assert (error.code, error.message) == ("NOT_FOUND", "no such row")
    assert snapshots.last.status is SnapshotStatus.FAILED
    assert (snapshots.last.error.code, snapshots.last.value) == ("NOT_FOUND", [1])
    assert (snapshots.errors, snapshots.completions) == ([], 0)


async def test_live_server_error_gives_each_observer_its_own_exception(server, client):
    """Two observers never share an exception, whose traceback would grow with each."""
    first, socket, sub = await watch(client, server)
    second = Recorder()
    client.live("a:b").subscribe(second)
    await socket.push("error", id=sub, message="no")
    assert first.errors[0] is not second.errors[0]


async def test_live_new_observer_after_an_error_gets_the_value_not_the_error(server, client):
    """The registration outlives the error, and a new observer attaches to it."""
    _, socket, sub = await watch(client, server)
    client.live("a:b").snapshots.subscribe(Recorder())
    await socket.push("data", id=sub, data=[1])
    await socket.push("error", id=sub, message="no")
    late = Recorder()
    client.live("a:b").subscribe(late)
    assert (late.values, late.errors) == ([[1]], [])
    await socket.push("data", id=sub, data=[2])
    assert late.values == [[1], [2]]


async def test_live_observer_attaching_while_a_failure_is_told_is_spared(server, client):
    """A snapshot observer that subscribes anew on a failure does not get that same failure."""
    _, socket, sub = await watch(client, server)
    live, late = client.live("a:b"), Recorder()

    def on_snapshot(snapshot):
        if snapshot.status is SnapshotStatus.FAILED:
            live.subscribe(late)

    live.snapshots.subscribe(on_snapshot)
    await socket.push("data", id=sub, data=[1])
    await socket.push("error", id=sub, message="no")
    assert (late.values, late.errors) == ([[1]], [])
    await socket.push("data", id=sub, data=[2])
    assert late.values == [[1], [2]]


async def test_live_retry_on_an_error_goes_on_after_the_latest_value(server, client):
    """``ops.retry`` leaves and comes back in one step; it is shown the latest value and what follows."""
    seen = Recorder()
    client.live("a:b").pipe(ops.retry(2)).subscribe(seen)
    socket, sub = await server.subscribed()
    await socket.push("data", id=sub, data=[1])
    await socket.push("error", id=sub, message="no")
    assert client.live("a:b").snapshot.status is SnapshotStatus.STALE
    await socket.expect("unsubscribe")
    await socket.push("data", id=await socket.subscription(), data=[2])
    assert (seen.values, seen.errors, seen.completions) == ([[1], [1], [2]], [], 0)


async def test_live_resilient_goes_on_after_an_error(server, client):
    """``resilient`` shows values before and after a failure, and never ends with it."""
    seen = Recorder()
    client.live("a:b").resilient.subscribe(seen)
    socket, sub = await server.subscribed()
    await socket.push("data", id=sub, data=[1])
    await socket.push("error", id=sub, message="no")
    await socket.push("data", id=sub, data=[2])
    assert (seen.values, seen.errors, seen.completions) == ([[1], [2]], [], 0)


async def test_live_undecodable_value_fails_and_heals(server, client):
    """A value that cannot be decoded ends the values, and the next good one heals the query."""
    seen, socket, sub = await watch(client, server)
    resilient = Recorder()
    client.live("a:b").resilient.subscribe(resilient)
    await socket.push("data", id=sub, data=[TAG, "bigint", "nonsense"])
    assert seen.errors[0].code == "WIRE_DECODE_FAILED"
    await socket.push("data", id=sub, data=[2])
    assert resilient.values == [[2]]


async def test_live_client_closes_completes_all_streams(server, client):
    """Closing the client ends values, snapshots and resilient values, without an error."""
    live = client.live("a:b")
    seen = [Recorder(), Recorder(), Recorder()]
    for stream, recorder in zip((live, live.snapshots, live.resilient), seen, strict=True):
        stream.subscribe(recorder)
    await server.subscribed()
    await client.aclose()
    assert [(each.completions, each.errors) for each in seen] == [(1, [])] * 3


async def test_live_subscribed_after_the_end_completes_at_once(server, client):
    """An old live query of a closed client is an empty stream; asking for a value says why."""
    live = client.live("a:b")
    await client.aclose()
    seen = Recorder()
    live.subscribe(seen)
    assert seen.completions == 1
    with pytest.raises(ClientClosedError):
        await live.first()


async def test_live_awaited_itself_names_what_to_await():
    """A live query has no last value: awaiting it says what to await instead."""
    live = LiveQuery.__new__(LiveQuery)
    with pytest.raises(TypeError, match=r"live\.first\(\)"):
        await live


async def test_live_first_waits_for_a_value_and_leaves(server, client):
    """``first()`` gives the first value and lets go of the query."""
    task = asyncio.create_task(_first(client.live("a:b")))
    socket, sub = await server.subscribed()
    await socket.push("data", id=sub, data=[1])
    assert await task == [1]
    await socket.expect("unsubscribe")


async def test_live_first_predicate_waits_for_the_value_that_fits(server, client):
    """``first(predicate)`` passes over values that do not satisfy it."""
    task = asyncio.create_task(_first(client.live("a:b"), lambda rows: len(rows) > 1))
    socket, sub = await server.subscribed()
    await socket.push("data", id=sub, data=[1])
    await socket.push("data", id=sub, data=[1, 2])
    assert await task == [1, 2]


async def test_live_first_server_error_is_raised(server, client):
    """Awaiting ``first()`` raises the error of the query."""
    task = asyncio.create_task(_first(client.live("a:b")))
    socket, sub = await server.subscribed()
    await socket.push("error", id=sub, message="no", error={"code": "FORBIDDEN"})
    with pytest.raises(ServerError, match="FORBIDDEN"):
        await task


async def test_live_first_predicate_that_raises_is_raised_and_leaves(server, client):
    """A predicate that raises ends the wait with its exception, and the query is left."""
    task = asyncio.create_task(_first(client.live("a:b"), lambda rows: rows["x"]))
    socket, sub = await server.subscribed()
    await socket.push("data", id=sub, data=[1])
    with pytest.raises(TypeError):
        await task
    await socket.expect("unsubscribe")


async def test_live_first_cancelled_leaves(server, client):
    """Cancelling who awaits lets go of the query."""
    task = asyncio.create_task(_first(client.live("a:b")))
    socket, _ = await server.subscribed()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await socket.expect("unsubscribe")


async def test_live_first_client_closes_raises(server, client):
    """A client that ends before the first value says so."""
    task = asyncio.create_task(_first(client.live("a:b")))
    await server.subscribed()
    await client.aclose()
    with pytest.raises(ClientClosedError):
        await task


async def test_live_first_as_an_observable_emits_once_and_completes(server, client):
    """``first()`` composes like any Observable."""
    seen = Recorder()
    client.live("a:b").first().subscribe(seen)
    socket, sub = await server.subscribed()
    await socket.push("data", id=sub, data=[1])
    assert (seen.values, seen.completions) == ([[1]], 1)
    await socket.expect("unsubscribe")


async def test_live_aiter_slow_loop_sees_the_newest_value(server, client):
    """A loop that is slow sees the newest value and no backlog."""
    iterator = client.live("a:b").aiter()
    task = asyncio.create_task(anext(iterator))
    socket, sub = await server.subscribed()
    await socket.push("data", id=sub, data=1)
    assert await task == 1
    for number in (2, 3, 4):
        await socket.push("data", id=sub, data=number)
    assert await anext(iterator) == 4
    await iterator.aclose()


async def test_live_aiter_leaving_the_loop_disposes(server, client):
    """Breaking out of ``async for`` lets go of the query at once."""
    client.live("a:b").snapshots.subscribe(Recorder())
    socket, sub = await server.subscribed()
    await socket.push("data", id=sub, data=1)
    async for value in client.live("a:b").aiter():
        assert value == 1
        break
    assert client.debug()["observers"] == 1


async def test_live_aiter_without_conflation_keeps_every_value(server, client):
    """``conflate=False`` loses nothing up to its bound."""
    _, socket, sub = await watch(client, server)
    iterator = client.live("a:b").aiter(conflate=False)
    await socket.push("data", id=sub, data=0)
    assert await anext(iterator) == 0
    for number in (1, 2, 3):
        await socket.push("data", id=sub, data=number)
    assert [await anext(iterator) for _ in range(3)] == [1, 2, 3]
    await iterator.aclose()


async def test_live_aiter_client_closes_ends_the_loop(server, client):
    """The loop ends when the client does."""
    iterator = client.live("a:b").aiter()
    task = asyncio.create_task(anext(iterator, "over"))
    await server.subscribed()
    await client.aclose()
    assert await task == "over"


async def test_live_refresh_asks_for_the_whole_value(server, client):
    """``refresh`` asks anew, without a resume position."""
    _, socket, sub = await watch(client, server)
    await socket.push("data", id=sub, data=[1], cursor=5)
    client.live("a:b").refresh()
    assert "sinceSeq" not in (await socket.expect("subscribe"))["query"]


async def test_live_disposed_from_another_thread_leaves_on_the_loop(server, client):
    """A handle may be disposed anywhere; the leaving happens on the client's loop."""
    handle = client.live("a:b").subscribe(print)
    socket, _ = await server.subscribed()
    thread = threading.Thread(target=handle.dispose)
    thread.start()
    await socket.expect("unsubscribe")
    thread.join()


async def test_live_shards_are_separate_queries(server, client):
    """The same function on another shard is another query, on another socket."""
    client.live("a:b").subscribe(print)
    client.live("a:b", shard="s").subscribe(print)
    await server.subscribed()
    socket, _ = await server.subscribed()
    assert socket.url.endswith("?shard=s")


async def test_live_linger_keeps_the_subscription_for_a_while(server, no_tasks_left):
    """A query outlives its last observer by ``linger``, with its value."""
    async with server.client(linger=0.2) as client:
        handle = client.live("a:b").subscribe(print)
        socket, sub = await server.subscribed()
        await socket.push("data", id=sub, data=[1])
        handle.dispose()
        seen = Recorder()
        client.live("a:b").subscribe(seen).dispose()
        assert seen.values == [[1]]
        assert socket.unread == 0
        await socket.expect("unsubscribe")
        assert len(client.cache) == 0


async def test_live_arguments_changed_by_the_caller_change_nothing(server, client):
    """The arguments are taken when the query is made."""
    args = {"tags": ["x"]}
    live = client.live("a:b", args)
    args["tags"].append("y")
    live.subscribe(print)
    socket = await server.socket()
    assert (await socket.expect("subscribe"))["query"]["args"] == {"tags": ["x"]}


async def test_live_operators_compose(server, client):
    """A live query is an Observable like any other."""
    seen = Recorder()
    client.live("a:b").pipe(ops.map(len), ops.distinct_until_changed()).subscribe(seen)
    socket, sub = await server.subscribed()
    for rows in ([1], [2], [1, 2]):
        await socket.push("data", id=sub, data=rows)
    assert seen.values == [1, 2]


def test_live_names_override_observable_deliberately():
    """Of the many methods of an Observable, a live query replaces ``first`` and no other."""
    ours = {name for name in vars(LiveQuery) if not name.startswith("_")}
    assert ours & set(dir(Observable)) == {"first"}
    assert ours == {"aiter", "first", "refresh", "resilient", "snapshot", "snapshots", "title", "value"}


async def test_live_snapshot_tells_when_it_changed(server, client):
    """``updated_at`` is an aware time."""
    _, socket, sub = await watch(client, server)
    assert client.live("a:b").snapshot.updated_at is None
    await socket.push("data", id=sub, data=[1], cursor=3)
    snapshot = client.live("a:b").snapshot
    assert snapshot.updated_at.tzinfo is not None
    assert (snapshot.cursor, snapshot.pending_layers, snapshot.is_optimistic) == (3, 0, False)
    await until(lambda: snapshot.has_value)


async def test_live_observers_are_called_in_the_context_they_subscribed_in(server, client):
    """What an observer prints in a notebook lands in the cell that subscribed."""
    cells, live = [], client.live("a:b")

    async def cell(name):
        CELL.set(name)
        live.subscribe(lambda value: cells.append((CELL.get(), value)))

    await asyncio.create_task(cell("one"))
    socket, sub = await server.subscribed()
    await socket.push("data", id=sub, data=1)
    await asyncio.create_task(cell("two"))
    await socket.push("data", id=sub, data=2)
    assert cells == [("one", 1), ("two", 1), ("one", 2), ("two", 2)]


async def _first(live, predicate=None):
    return await live.first(predicate)


async def test_live_query_is_iterated_over_with_async_for(server):
    """As ``aiter()``: the newest value, and leaving lets go."""
    async with server.client() as client:
        live = client.live("a:b")
        with pytest.raises(TypeError, match="async for"):
            iter(live)
        assert type(aiter(live)) is type(live.aiter())
