"""Polling over real sockets, behind a proxy that passes HTTP on and refuses upgrades."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from aiohttp import web

from lunora_rx import Backoff, CodecError, LunoraClient, Polling, ServerError, Status
from tests.support import Recorder, until

BRIEF = Backoff(initial=0.01, maximum=0.03)
OFTEN = Polling(interval=0.03, after_failures=2)
ADD = "rows:add"
LIST = "rows:numbers"


class Scene:
    """A server, a proxy before it, and a client behind that."""

    def __init__(self, gateway, origin):
        self.gateway = gateway
        self.url = gateway.url
        self._origin = origin
        self.clients = contextlib.AsyncExitStack()

    async def client(self, **options):
        """Return a client that reconnects and polls often; it is closed at the end."""
        calm = {"reconnect": BRIEF, "polling": OFTEN, **options}
        return await self.clients.enter_async_context(LunoraClient(self.url, **calm))

    async def polling(self, **options):
        """Return a client that polls."""
        client = await self.client(**options)
        client.live(LIST).subscribe(Recorder())
        await until(lambda: client.status.value is Status.POLLING)
        return client

    async def table(self):
        """Return what the server keeps, each number as often as it was written."""
        async with LunoraClient(self._origin) as client:
            return await client.query(LIST)

    async def passes(self, count=2):
        """Wait until so many more passes were answered."""
        end = len(self.gateway.batches) + count
        await until(lambda: len(self.gateway.batches) >= end)


@pytest.fixture
async def scene(no_tasks_left, gateway, origin):
    """A server of rows behind a proxy that refuses upgrades."""
    gateway.refusal = web.HTTPForbidden
    scene = Scene(gateway, origin)
    async with scene.clients:
        yield scene


def append(n):
    """Return an optimistic update that shows a number once."""

    def update(store, args):
        rows = store.get_query(LIST, None)
        store.set_query(LIST, None, [*rows, n] if n not in rows else rows)

    return update


@pytest.mark.parametrize("refusal", [web.HTTPForbidden, web.HTTPUpgradeRequired, web.HTTPNotFound, web.HTTPOk])
async def test_polling_behind_a_proxy_that_refuses_upgrades_keeps_values_live(scene, refusal):
    """Whatever it answers; a value of somebody else's write comes with the next pass, and nothing is stale between."""
    scene.gateway.refusal = refusal
    client = await scene.client()
    statuses, snapshots = Recorder(), Recorder()
    client.status.subscribe(statuses)
    client.live(LIST).snapshots.subscribe(snapshots)
    await until(lambda: client.status.value is Status.POLLING)
    async with LunoraClient(scene.url, polling=None, reconnect=BRIEF) as other:
        await other.mutation(ADD, {"n": 1})
    await until(lambda: snapshots.last.has_value and snapshots.last.value == [1])
    attempts = scene.gateway.upgrades
    await until(lambda: scene.gateway.upgrades > attempts + 2)
    await scene.passes()
    assert [str(each.status) for each in snapshots.values[:1]] == ["pending"]
    assert {str(each.status) for each in snapshots.values[1:]} == {"live"}
    assert statuses.values[-1] is Status.POLLING
    assert statuses.values.count(Status.POLLING) == 1


async def test_polling_status_is_shown_to_observers_of_values_as_values_only(scene):
    """They see numbers once each: a pass that brings the same says nothing."""
    client = await scene.client()
    seen = Recorder()
    client.live("rows:echo", {"n": 7}).subscribe(seen)
    await until(lambda: seen.values)
    await scene.passes(5)
    assert (seen.values, seen.errors) == ([7], [])


async def test_write_while_polling_goes_over_http_and_its_layer_with_the_next_pass(scene):
    """Shown at once, carried out once, never queued; the value does not flicker."""
    client = await scene.polling()
    live, seen = client.live(LIST), Recorder()
    live.subscribe(seen)
    for number in range(5):
        mutation = client.mutation(ADD, {"n": number}, optimistic_update=append(number))
        assert seen.last == [*range(number + 1)]
        await mutation
        assert client.pending.value == 0
    await until(lambda: not live.snapshot.is_optimistic)
    await scene.passes()
    assert (seen.last, await scene.table()) == ([*range(5)], [*range(5)])
    lengths = [len(each) for each in seen.values]
    assert lengths == sorted(lengths)


async def test_write_acknowledged_during_a_pass_outlives_it(scene):
    """The pass was read before the write: what it brings is shown with the write over it."""
    client = await scene.polling()
    live, seen = client.live(LIST), Recorder()
    scene.gateway.hold = asyncio.Event()
    await scene.passes(1)
    live.subscribe(seen)
    await client.mutation(ADD, {"n": 1}, optimistic_update=append(1))
    hold, scene.gateway.hold = scene.gateway.hold, None
    hold.set()
    await scene.passes(2)
    await until(lambda: not live.snapshot.is_optimistic)
    assert [each for each in seen.values if each != []] == [[1]] * len([each for each in seen.values if each])
    assert seen.last == [1]


async def test_write_that_the_server_refuses_while_polling_is_taken_back(scene):
    """As over an open socket."""
    client = await scene.polling()
    live = client.live(LIST)
    mutation = client.mutation("rows:unknown", {"n": 1}, optimistic_update=append(1))
    assert live.value == [1]
    with pytest.raises(ServerError):
        await mutation
    assert live.value == []


async def test_writes_of_an_outage_go_out_once_polling_answers(scene):
    """In order, once, and before those that are made then."""
    client = await scene.client(queue_before_first_connect=True)
    scene.gateway.is_down = True
    client.live(LIST).subscribe(Recorder())
    await until(lambda: client.status.value is Status.OFFLINE)
    waiting = [client.mutation(ADD, {"n": number}) for number in range(10)]
    await until(lambda: client.pending.value == 10)
    scene.gateway.is_down = False
    await until(lambda: client.status.value is Status.POLLING)
    await client.mutation(ADD, {"n": 10})
    await asyncio.gather(*waiting)
    assert await scene.table() == [*range(11)]
    await until(lambda: client.live(LIST).value == [*range(11)])


async def test_query_that_fails_while_polling_harms_no_other(scene):
    """Each slot is for itself."""
    client = await scene.client()
    broken, good = client.live("rows:broken"), Recorder()
    errors = Recorder()
    broken.subscribe(errors)
    client.live("rows:echo", {"n": 1}).subscribe(good)
    await until(lambda: good.values and errors.errors)
    assert isinstance(errors.errors[0], ServerError)
    assert good.errors == []


async def test_server_that_cannot_be_reached_makes_polled_values_stale(scene):
    """Offline until it answers again; then they are live as if nothing had been."""
    client = await scene.polling()
    snapshots = Recorder()
    client.live(LIST).snapshots.subscribe(snapshots)
    scene.gateway.is_down = True
    await until(lambda: client.status.value in (Status.OFFLINE, Status.CONNECTING))
    assert str(snapshots.last.status) == "stale"
    assert snapshots.last.value == []
    scene.gateway.is_down = False
    await until(lambda: client.status.value is Status.POLLING)
    assert str(snapshots.last.status) == "live"


async def test_socket_that_can_be_had_again_ends_polling(scene):
    """It resumes where sockets left off, shows nothing twice, and no pass is made any more."""
    scene.gateway.refusal, refusal = None, scene.gateway.refusal
    client = await scene.client()
    statuses, seen = Recorder(), Recorder()
    client.status.subscribe(statuses)
    client.live("rows:echo", {"n": 7}).subscribe(seen)
    rows = Recorder()
    client.live(LIST).subscribe(rows)
    await until(lambda: client.status.value is Status.CONNECTED and rows.values and seen.values)
    scene.gateway.refusal = refusal
    await scene.gateway.cut()
    await until(lambda: client.status.value is Status.POLLING)
    await client.mutation(ADD, {"n": 1}, optimistic_update=append(1))
    scene.gateway.refusal = None
    await until(lambda: client.status.value is Status.CONNECTED)
    await until(lambda: not client.live(LIST).snapshot.is_optimistic)
    passes = len(scene.gateway.batches)
    for number in (2, 3, 4):
        await client.mutation(ADD, {"n": number})
        await asyncio.sleep(OFTEN.interval)
    await until(lambda: rows.last == [1, 2, 3, 4])
    # The pass that was under way when the socket opened may still have been carried out.
    assert len(scene.gateway.batches) <= passes + 1
    assert (seen.values, await scene.table()) == ([7], [1, 2, 3, 4])
    first = statuses.values.index(Status.CONNECTED)
    assert statuses.values[first + 1 :].count(Status.CONNECTED) == 1
    assert Status.POLLING in statuses.values[first:]


async def test_more_queries_than_a_batch_holds_are_all_polled(scene):
    """In batches of 500; each gets its own value."""
    client = await scene.client()
    queries = [client.live("rows:echo", {"n": number}) for number in range(1203)]
    for query in queries:
        query.subscribe(Recorder())
    await until(lambda: all(query.snapshot.has_value for query in queries), patience=20)
    assert [query.value for query in queries] == [*range(1203)]
    assert {str(query.snapshot.status) for query in queries} == {"live"}
    assert max(scene.gateway.batches) == 500


async def test_user_who_changes_during_a_pass_never_sees_the_other_ones_value(scene):
    """What was asked for the one is thrown away, though it comes after the other signed in."""
    client = await scene.polling(auth_token="token-ana", auth_subject="ana")
    seen = Recorder()
    client.live("rows:mine").snapshots.subscribe(seen)
    await until(lambda: seen.last.has_value)
    assert seen.last.value == "of ana"
    scene.gateway.hold = asyncio.Event()
    await scene.passes(1)
    client.set_auth_token("token-bo", "bo")
    assert not seen.last.has_value
    before = len(seen.values)
    hold, scene.gateway.hold = scene.gateway.hold, None
    hold.set()
    await until(lambda: seen.last.has_value)
    assert {each.value for each in seen.values[before:] if each.has_value} == {"of bo"}


async def test_args_that_cannot_be_sent_are_refused_before_any_pass(scene):
    """They are encoded at the call, and are the client's own from then on: what the caller does to them is his."""
    client = await scene.polling()
    with pytest.raises(CodecError):
        client.live("rows:echo", {"n": object()})
    with pytest.raises(CodecError):
        client.live("rows:echo", {"n": "\ud800"}).subscribe(Recorder())
    nested = {"n": [1]}
    args = {"n": nested["n"]}
    errors = Recorder()
    client.live("rows:echo", args).subscribe(errors)
    nested["n"].append(object())
    nested["n"].append("\ud800")
    await until(lambda: errors.errors)
    assert isinstance(errors.errors[0], ServerError)
    await scene.passes()
    assert client.status.value is Status.POLLING


async def test_client_that_is_closed_during_a_pass_leaves_nothing(scene):
    """The request is given up."""
    client = await scene.polling()
    scene.gateway.hold = asyncio.Event()
    await scene.passes(1)
    await client.aclose()
    passes = len(scene.gateway.batches)
    scene.gateway.hold.set()
    await asyncio.sleep(0.1)
    assert len(scene.gateway.batches) == passes


async def test_shard_without_a_socket_is_polled_beside_one_that_has_one(scene):
    """Each is for itself; the status is that of the better."""
    scene.gateway.refusal = None
    client = await scene.client()
    client.live(LIST).subscribe(Recorder())
    await until(lambda: client.status.value is Status.CONNECTED)
    scene.gateway.refusal = web.HTTPForbidden
    room = Recorder()
    client.live("rows:echo", {"n": 3}, shard="room").subscribe(room)
    await until(lambda: room.values)
    assert (room.values, client.status.value) == ([3], Status.CONNECTED)
