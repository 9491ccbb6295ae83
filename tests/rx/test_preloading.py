"""Preloaded values on the face of the client: how they are asked for, and how a live query shows them first."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from lunora_rx import UNDEFINED, ClientClosedError, LiveQuery, ServerError, SnapshotStatus
from lunora_rx.arguments import encode_args
from lunora_rx.core.events import SnapshotChanged
from lunora_rx.core.preloads import Preload, Preloads
from lunora_rx.protocol.preloaded import Preloaded
from lunora_rx.protocol.rpc import RpcCall
from lunora_rx.protocol.wire import decode_wire
from lunora_rx.rx.cache import Query
from lunora_rx.rx.preloading import PreloadCall, PreloadedSource
from tests.support import Recorder, turn

TOKEN = Preloaded("a:list", {"n": 1}, None, ["preloaded"])


def preload(client, function, args=None, *, shard=None):
    """Ask for a query's value once, to be shown by somebody else."""
    client._driver.enter("preload()")
    tree, request = encode_args(args, "preload()"), 0
    plain = decode_wire(tree)
    call = PreloadCall(
        f"preload {function!r}",
        client._report,
        lambda: client._cancel(request),
        lambda value: Preloaded(function, plain, shard, value),
    )
    request = client._driver.call(RpcCall(function, tree, shard or ""), timeout=5)
    client._calls[request] = call
    return call


def hydrate(client, token):
    """Return the live query of a preloaded value, which is shown first."""
    core, driver = client._driver.core, client._driver
    preloads = wired(core)
    query = Query(token.function_path, encode_args(token.args, "hydrate()"), token.shard or "")
    preload = Preload(query.key, token.value)

    def offer():
        preloads.offer(preload)
        subscription = core.find(query.key, query.shard)
        if subscription is not None and preloads.seed(subscription):
            core.events.append(SnapshotChanged(query.key, subscription.result.snapshot))
        driver._drain()

    return LiveQuery(PreloadedSource(client.cache, query, offer, lambda: preloads.look(preload)))


def wired(core):
    """Have each new subscription of a core show what is on offer for it; return the offers."""
    if not hasattr(core, "preloads"):
        core.preloads = Preloads(lambda: core.account.identity_epoch == 0)
    if "subscribe" not in vars(core):
        subscribe = core.subscribe

        def seeded(key, function_path, args, shard, now):
            subscribe(key, function_path, args, shard, now)
            subscription = core.find(key, shard)
            core.preloads.seed(subscription)
            return subscription.result.snapshot

        core.subscribe = seeded
    return core.preloads


def states(snapshots):
    """Return how snapshots stood, with their values."""
    return [(str(each.status), each.value) for each in snapshots.values]


async def test_preload_is_one_call_and_opens_no_socket(server, client):
    """The value comes back with what was asked for, to everybody who waits."""
    args = {"n": 1, "of": ("a", "b")}
    call = preload(client, "a:list", args, shard="eu")
    args["n"] = 2
    request = await server.call()
    assert request.body == {"functionPath": "a:list", "args": {"n": 1, "of": ["a", "b"]}, "shardKey": "eu"}
    request.reply({"result": [1]})
    token = await call
    assert token == Preloaded("a:list", {"n": 1, "of": ["a", "b"]}, "eu", [1])
    late = Recorder()
    call.subscribe(late)
    assert (late.values, late.completions) == ([token], 1)
    await turn()
    assert server.urls == []


async def test_preload_that_fails_raises_the_error_of_the_query(server, client):
    """As the query itself would."""
    call = preload(client, "a:list")
    (await server.call()).refuse("FORBIDDEN")
    with pytest.raises(ServerError, match="FORBIDDEN"):
        await call


async def test_preload_cancelled_gives_the_request_up(server, client):
    """It is a call like any other."""
    call = preload(client, "a:list")
    request = await server.call()
    assert call.cancel() is True
    await turn()
    assert request.was_given_up


async def test_hydrated_query_shows_its_value_at_once_until_the_server_answers(server, client):
    """Stale first, with no ``pending`` before it; then live, as any live query."""
    live, values, snapshots = hydrate(client, TOKEN), Recorder(), Recorder()
    live.snapshots.subscribe(snapshots)
    live.subscribe(values)
    assert (values.values, states(snapshots)) == ([["preloaded"]], [("stale", ["preloaded"])])
    socket = await server.socket()
    frame = await socket.expect("subscribe")
    assert "sinceSeq" not in frame["query"]
    await socket.push("data", id=frame["id"], data=["live"], cursor=3)
    assert values.values == [["preloaded"], ["live"]]
    assert states(snapshots) == [("stale", ["preloaded"]), ("live", ["live"])]


async def test_hydrated_query_shows_its_value_while_nobody_watches(client):
    """What is rendered first needs no observer."""
    live = hydrate(client, TOKEN)
    assert (live.value, live.snapshot.status) == (["preloaded"], SnapshotStatus.STALE)
    assert await live.first() == ["preloaded"]
    assert repr(live) == "<LiveQuery 'a:list' stale>"


async def test_hydrated_query_late_observer_gets_the_present_value(server, client):
    """The live one, where there is one."""
    live = hydrate(client, TOKEN)
    live.subscribe(Recorder())
    early = Recorder()
    live.resilient.subscribe(early)
    socket, subscription = await server.subscribed()
    await socket.push("data", id=subscription, data=["live"])
    late = Recorder()
    live.subscribe(late)
    assert (early.values, late.values) == ([["preloaded"], ["live"]], [["live"]])


async def test_hydrated_query_shares_the_subscription_of_the_plain_one(server, client):
    """One wire subscription; whoever waits for the first value sees the preloaded one, too."""
    plain, hydrated = Recorder(), Recorder()
    client.live("a:list", {"n": 1}).subscribe(plain)
    socket, subscription = await server.subscribed()
    hydrate(client, TOKEN).subscribe(hydrated)
    assert (plain.values, hydrated.values) == ([["preloaded"]], [["preloaded"]])
    await socket.push("data", id=subscription, data=["live"])
    assert plain.last == hydrated.last == ["live"]
    assert socket.unread == 0


async def test_hydrated_query_does_not_go_back_behind_the_server(server, client):
    """What was given already stays, while it is watched and for who comes again."""
    plain = client.live("a:list", {"n": 1}).subscribe(Recorder())
    socket, subscription = await server.subscribed()
    await socket.push("data", id=subscription, data=["live"])
    live, seen, again = hydrate(client, TOKEN), Recorder(), Recorder()
    handle = live.subscribe(seen)
    assert seen.values == [["live"]]
    plain.dispose()
    handle.dispose()
    live.subscribe(again)
    assert (again.values, live.value) == ([], UNDEFINED)


async def test_hydrated_query_that_failed_shows_its_error(server, client):
    """A refusal with no value is not painted over by a preloaded one."""
    plain = client.live("a:list", {"n": 1})
    plain.snapshots.subscribe(snapshots := Recorder())
    socket, subscription = await server.subscribed()
    await socket.push("error", id=subscription, message="no")
    live = hydrate(client, TOKEN)
    assert live.snapshot.status is SnapshotStatus.FAILED
    live.subscribe(seen := Recorder())
    assert (live.snapshot.status, live.value, seen.values) == (SnapshotStatus.FAILED, UNDEFINED, [])
    assert snapshots.last.status is SnapshotStatus.FAILED


async def test_hydrated_query_refreshes_as_any_other(server, client):
    """``refresh`` asks for the whole value."""
    live = hydrate(client, TOKEN)
    live.subscribe(Recorder())
    socket, subscription = await server.subscribed()
    live.refresh()
    assert await socket.subscription() == subscription


async def test_hydrated_query_of_a_closed_client_completes(server):
    """Nothing waits for a subscription that never comes."""
    client = server.client()
    live = hydrate(client, TOKEN)
    live.subscribe(early := Recorder())
    await client.aclose()
    live.subscribe(late := Recorder())
    assert (early.completions, late.completions, late.values) == (1, 1, [])
    with pytest.raises(ClientClosedError):
        await live.first()


async def test_hydrated_query_on_another_loop_is_refused(client):
    """Whoever tries is told, and the value is not left on offer."""
    live, seen = hydrate(client, TOKEN), Recorder()
    await live.first()
    await asyncio.to_thread(live.subscribe, seen)
    assert [type(error) for error in seen.errors] == [RuntimeError]
    plain = client.live("a:list", {"n": 1})
    plain.subscribe(late := Recorder())
    assert late.values == []


async def test_hydrated_query_that_nobody_holds_keeps_nothing(client):
    """What was never watched, or is watched no more, is not in memory."""

    class Value(list):
        pass

    value = Value()
    alive = weakref.ref(value)
    live = hydrate(client, Preloaded("a:list", {}, None, value))
    del value
    live.subscribe(Recorder()).dispose()
    await turn()
    del live
    gc.collect()
    assert alive() is None
