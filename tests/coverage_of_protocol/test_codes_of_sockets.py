"""Codes that the client makes of live queries, shapes and streams over sockets: what each does, and to whom."""

from __future__ import annotations

import pytest

from lunora_rx import ClientClosedError, CodecError, ServerError, StreamError, TransportError
from lunora_rx.protocol.tags import TAG
from tests.coverage_of_protocol.offer import ADD, LIST, SHAPE
from tests.coverage_of_protocol.told import check_error, error_of, error_when_seen
from tests.coverage_of_protocol.wire import Wire
from tests.support import Recorder, until


async def large_frame(scene):
    """A value that no frame may hold; a query beside it gets its own."""
    client, seen = await scene.client(transport=Wire(max_frame_size=5_000)), Recorder()
    client.live(LIST).subscribe(seen)
    error = await error_when_seen(client.live("rows:large", {"size": 50_000}))
    await until(lambda: seen.values)
    assert seen.errors == []
    return error


async def undecodable_frame(scene):
    """The value of a live query, which stays as it was and is asked for again."""
    client, failed = await scene.watching(Recorder()), Recorder()
    live, snapshots = client.live(LIST), Recorder()
    live.snapshots.subscribe(snapshots)
    live.subscribe(failed)
    query = next(iter(client.debug()["shards"][""]["subscriptions"].values()))["id"]
    scene.faults.send_text(f'{{"type":"data","id":"{query}","data":["{TAG}","date"],"cursor":99}}')
    await until(lambda: failed.errors)
    await until(lambda: scene.heard.count("subscribe") == 2 and live.snapshot.error is None)
    assert [(each.value, each.error is None) for each in snapshots.values] == [([], True), ([], False), ([], True)]
    return failed.errors[0]


async def undecodable_chunk(scene):
    """A chunk ends its stream, and the server is told."""
    client = await scene.client()
    scene.faults.spoil_chunks()
    error = await error_when_seen(client.stream("numbers:once"))
    await until(lambda: "unsubscribe" in scene.heard)
    return error


async def undecodable_row(scene):
    """A row of a poke is refused with its poke: the rows stay as they were."""
    client, rows = await scene.client(), Recorder()
    shape = client.shape(SHAPE)
    shape.subscribe(rows)
    await until(lambda: rows.values)
    scene.faults.spoil_rows()
    await client.mutation(ADD, {"n": 1})
    await until(lambda: rows.errors)
    assert rows.values == [[]]
    return rows.errors[0]


async def lost_stream(scene):
    """A stream that nobody can carry on."""
    client, chunks = await scene.client(), Recorder()
    client.stream("numbers:once").subscribe(chunks)
    await until(lambda: chunks.values)
    scene.faults.drop_sockets()
    await until(lambda: chunks.errors)
    return chunks.errors[0]


async def overflown_starts(scene):
    """The oldest of more streams than may wait for a socket."""
    client, oldest = await scene.cut_off(), Recorder()
    client.stream("numbers:once").subscribe(oldest)
    for _ in range(64):
        client.stream("numbers:once").subscribe(Recorder())
    await until(lambda: oldest.errors)
    return oldest.errors[0]


async def slow_consumer(scene):
    """An iteration that does not take what comes; the server is told."""
    client = await scene.client()
    chunks = client.stream("numbers:once", {"count": 50}, max_buffer=4).aiter()
    assert await anext(chunks) == 0
    scene.gate.set()
    await until(lambda: "unsubscribe" in scene.heard)
    return await error_of(anext(chunks))


async def cancelled_subscription(scene):
    """A live query that the server ends; it is back at the next opening."""
    client, failed = await scene.watching(Recorder()), Recorder()
    live = client.live(LIST)
    live.snapshots.subscribe(Recorder())
    live.subscribe(failed)
    scene.faults.cancel_subscriptions()
    await until(lambda: failed.errors)
    assert live.snapshot.error.code == "SUBSCRIPTION_CANCELLED"
    scene.faults.drop_sockets()
    await until(lambda: live.snapshot.error is None)
    return failed.errors[0]


async def closed_stream(scene):
    """A stream that goes on."""
    client, chunks = await scene.client(), Recorder()
    client.stream("numbers:once").subscribe(chunks)
    await until(lambda: chunks.values)
    await client.aclose()
    return chunks.errors[0]


CASES = {
    "FRAME_TOO_LARGE": (large_frame, TransportError, False),
    "WIRE_DECODE_FAILED-frame": (undecodable_frame, CodecError, False),
    "WIRE_DECODE_FAILED-chunk": (undecodable_chunk, CodecError, False),
    "WIRE_DECODE_FAILED-row": (undecodable_row, CodecError, False),
    "STREAM_DISCONNECTED": (lost_stream, StreamError, True),
    "STREAM_QUEUE_OVERFLOW": (overflown_starts, StreamError, True),
    "STREAM_BACKPRESSURE": (slow_consumer, StreamError, False),
    "SUBSCRIPTION_CANCELLED": (cancelled_subscription, ServerError, False),
    "CLIENT_CLOSED-stream": (closed_stream, ClientClosedError, False),
}


@pytest.mark.parametrize("case", CASES)
async def test_code_of_a_socket_is_told_by_its_class_and_code(scene, case):
    """Its class, its code, and whether trying again may help."""
    make, kind, transient = CASES[case]
    check_error(await make(scene), case, kind, transient=transient)
