"""The codes that the embedded server refuses live queries, shapes and streams with by itself."""

from __future__ import annotations

import pytest

from lunora_rx import ServerError
from lunora_rx.devserver import App, Limits
from lunora_rx.protocol.tags import TAG
from tests.coverage_of_protocol.offer import LIST, SHAPE
from tests.coverage_of_protocol.scene import serving
from tests.coverage_of_protocol.told import check_told, error_when_seen
from tests.coverage_of_protocol.wire import Wire
from tests.support import Recorder, until


async def bad_subscription_args(scene):
    """Arguments of a live query that the server cannot decode."""
    wire = Wire()
    client = await scene.client(transport=wire)
    wire.change_frame = lambda text: text.replace('{"size":1}', f'{{"size":["{TAG}","date"]}}')
    return await error_when_seen(client.live("rows:large", {"size": 1}))


async def forbidden_shard(scene):
    """A stream of another shard than the socket's."""
    wire = Wire()
    client = await scene.client(transport=wire)
    wire.change_frame = lambda text: text.replace('"args":{}', '"args":{},"shardKey":"elsewhere"')
    return await error_when_seen(client.stream("numbers:once"))


async def too_many_subscriptions(scene):
    """One live query more than a socket may have; the first stays."""
    async with serving(App(limits=Limits(subscriptions=1)), scene.heard) as small:
        seen = Recorder()
        client = await small.watching(seen)
        error = await error_when_seen(client.live("rows:large", {"size": 1}))
        assert (seen.values, seen.errors) == ([[]], [])
    return error


async def subscription_persist_failed(scene):
    """A subscription that could not be stored is back with the next socket."""
    client = await scene.client()
    scene.faults.refuse_subscriptions(on="query")
    live = client.live(LIST)
    live.snapshots.subscribe(Recorder())
    error = await error_when_seen(live)
    scene.faults.drop_sockets()
    await until(lambda: live.snapshot.has_value and live.snapshot.error is None)
    return error


async def shape_requires_cdc(scene):
    """A server without a change log."""
    async with serving(App(change_log=False), scene.heard) as small:
        return await error_when_seen((await small.client()).shape(SHAPE))


async def stream_interrupted(scene):
    """A durable run that is gone; another one begins from its start."""
    client, chunks = await scene.client(), Recorder()
    client.stream("numbers:kept").subscribe(chunks)
    await until(lambda: len(chunks.values) == 2)
    scene.faults.forget_streams()
    await until(lambda: chunks.errors)
    again = Recorder()
    client.stream("numbers:kept").subscribe(again)
    await until(lambda: again.values == [0, 1])
    return chunks.errors[0]


async def not_implemented(scene):
    """A server without shapes, and without streams."""
    client = await scene.client()
    scene.app.shapes.clear()
    scene.app.streams.clear()
    shaped = await error_when_seen(client.shape(SHAPE))
    assert (type(shaped), shaped.code) == (ServerError, "NOT_IMPLEMENTED")
    return await error_when_seen(client.stream("numbers:once"))


async def own(scene):
    """A code of the application, in a stream over HTTP."""
    client = await scene.client()
    return await error_when_seen(client.http_stream("/refusal"))


CASES = {
    "BAD_SUBSCRIPTION_ARGS": bad_subscription_args,
    "FORBIDDEN_SHARD": forbidden_shard,
    "TOO_MANY_SUBSCRIPTIONS": too_many_subscriptions,
    "SUBSCRIPTION_PERSIST_FAILED": subscription_persist_failed,
    "SHAPE_REQUIRES_CDC": shape_requires_cdc,
    "STREAM_INTERRUPTED": stream_interrupted,
    "NOT_IMPLEMENTED": not_implemented,
    "ROOM_FULL": own,
}


@pytest.mark.parametrize("code", CASES)
async def test_subscription_that_the_server_refuses_by_itself_is_told(scene, code):
    """In the situation that the protocol names for the code."""
    check_told(await CASES[code](scene), code)
