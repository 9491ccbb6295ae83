"""The shared cache: one entry a query, opened by its first observer and closed by its last."""

from __future__ import annotations

import pytest

from lunora_rx import CodecError, MutationRef, QueryRef, SnapshotStatus, api
from tests.support import Recorder


async def test_cache_shows_what_is_watched(server, client):
    """Looking by string, by ``api`` path and by typed reference finds the same entry."""
    client.live("messages:list", {"n": 1}).subscribe(Recorder())
    socket, sub = await server.subscribed()
    await socket.push("data", id=sub, data=[1])
    for function in ("messages:list", api.messages.list, QueryRef("messages:list")):
        snapshot = client.cache.get(function, {"n": 1})
        assert (snapshot.value, snapshot.status) == ([1], SnapshotStatus.LIVE)
    assert not client.cache.get("messages:list").has_value
    assert client.cache.get("messages:list", {"n": 1}, shard="other").status is SnapshotStatus.PENDING


async def test_cache_iterates_over_snapshots(server, client):
    """Iteration gives each query with what it shows."""
    client.live("a:b", shard="s").subscribe(Recorder())
    ((query, snapshot),) = client.cache
    assert (query.function_path, query.args, query.shard) == ("a:b", {}, "s")
    assert repr(query) == "<Query 'a:b', shard='s'>"
    assert snapshot.status is SnapshotStatus.PENDING


@pytest.mark.parametrize("function", [MutationRef("a:b"), 5])
def test_cache_get_of_no_query_is_refused(server, function):
    """Looking for something that is no query is the caller's mistake."""
    with pytest.raises(TypeError, match=r"cache\.get\(\)"):
        server.client().cache.get(function)


def test_cache_get_of_bad_arguments_names_them(server):
    """Arguments that cannot be encoded are named."""
    with pytest.raises(CodecError, match=r"args\.n"):
        server.client().cache.get("a:b", {"n": object()})


async def test_cache_observer_that_leaves_and_comes_back_in_one_turn_stays(server, client):
    """Leaving and attaching again inside ``on_next`` does not end the new observer with the old subscription."""
    live, again = client.live("a:b"), Recorder()

    def on_next(value):
        if not again.values:
            handle.dispose()
            live.subscribe(again)

    handle = live.subscribe(on_next)
    socket, sub = await server.subscribed()
    await socket.push("data", id=sub, data=1)
    await socket.expect("unsubscribe")
    await socket.push("data", id=await socket.subscription(), data=2)
    assert (again.values, again.completions) == ([1, 2], 0)


async def test_cache_observer_that_comes_and_goes_in_one_turn_leaves_nothing(server, client):
    """However often observers change within one delivery, the last to leave closes."""
    live = client.live("a:b")

    def on_next(value):
        handle.dispose()
        for _ in range(3):
            live.subscribe(Recorder()).dispose()

    handle = live.subscribe(on_next)
    socket, sub = await server.subscribed()
    await socket.push("data", id=sub, data=1)
    assert (len(client.cache), client.debug()["observers"]) == (0, 0)


@pytest.mark.fault(29, 55)
async def test_cache_observer_raises_the_others_and_the_socket_live(server, no_tasks_left):
    """An exception out of an observer goes to ``on_error`` and harms nothing."""
    reported, seen = [], Recorder()
    async with server.client(on_error=reported.append) as client:
        client.live("a:b").subscribe(lambda value: 1 / 0)
        client.live("a:b").subscribe(seen)
        socket, sub = await server.subscribed()
        await socket.push("data", id=sub, data=1)
        await socket.push("data", id=sub, data=2)
        assert seen.values == [1, 2]
        assert [type(each) for each in reported] == [ZeroDivisionError] * 2
        assert len(server.urls) == 1


@pytest.mark.fault(30, 55)
async def test_cache_observer_calls_back_into_the_client_order_is_kept(server, client):
    """An observer may subscribe, query and write; all of it is done, and others see their values in order."""
    seen, nested = Recorder(), Recorder()

    def on_next(value):
        if value == 1:
            client.live("c:d").subscribe(nested)
            client.query("e:f")
            client.mutation("g:h")

    client.live("a:b").subscribe(on_next)
    client.live("a:b").subscribe(seen)
    socket, sub = await server.subscribed()
    await socket.push("data", id=sub, data=1)
    other = await socket.subscription()
    await socket.push("data", id=sub, data=2)
    await socket.push("data", id=other, data="nested")
    for _ in range(2):
        (await server.call()).reply({"result": 1})
    assert (seen.values, nested.values) == ([1, 2], ["nested"])


async def test_cache_in_debug_mode_finds_observers_that_change_values(server, no_tasks_left):
    """``debug=True`` names the observer, for values, replays and snapshots."""
    reported = []

    def culprit(rows):
        (rows.value if hasattr(rows, "value") else rows).append(0)

    async with server.client(debug=True, on_error=reported.append) as client:
        live = client.live("a:b")
        live.subscribe(culprit)
        socket, sub = await server.subscribed()
        await socket.push("data", id=sub, data=[])
        live.subscribe(culprit)
        live.snapshots.subscribe(culprit)
        assert ["culprit" in str(each) for each in reported] == [True] * 3
