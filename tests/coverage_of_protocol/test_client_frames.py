"""Every frame that the client sends: over a real socket the server receives it, and does what it asks for."""

from __future__ import annotations

import pytest

from lunora_rx import Status
from lunora_rx.protocol.endpoints import PING
from lunora_rx.protocol.frames import CLIENT_FRAMES
from tests.coverage_of_protocol.offer import ADD, LIST, SHAPE
from tests.support import Recorder, until


async def connect(scene):
    """The server's hook is told of the context that comes with it."""
    await scene.watching(Recorder(), connection_context={"page": "start"})
    assert scene.contexts == [{"page": "start"}]


async def subscribe(scene):
    """The server carries the live query."""
    await scene.watching(Recorder())
    assert scene.watched == (1, 0)


async def unsubscribe(scene):
    """The server carries the live query no more, and the stream no further."""
    client = await scene.client()
    handle, chunks = client.live(LIST).subscribe(Recorder()), Recorder()
    run = client.stream("numbers:once").subscribe(chunks)
    await until(lambda: scene.watched == (1, 0) and len(chunks.values) == 2)
    handle.dispose()
    await until(lambda: scene.watched == (0, 0))
    assert scene.ended == 0
    run.dispose()
    await until(lambda: scene.ended == 1)


async def shape_subscribe(scene):
    """The server carries the shape."""
    client = await scene.client()
    client.shape(SHAPE).subscribe(Recorder())
    await until(lambda: scene.watched == (0, 1))


async def shape_unsubscribe(scene):
    """The server carries the shape no more."""
    client = await scene.client()
    handle = client.shape(SHAPE).subscribe(Recorder())
    await until(lambda: scene.watched == (0, 1))
    handle.dispose()
    await until(lambda: scene.watched == (0, 0))


async def stream(scene):
    """The server runs the procedure; for a durable one, from where the client stands after a lost socket."""
    client, chunks = await scene.client(), Recorder()
    client.stream("numbers:kept").subscribe(chunks)
    await until(lambda: chunks.values == [0, 1])
    scene.faults.drop_sockets()
    await until(lambda: scene.heard.count("stream") == 2)
    scene.gate.set()
    await until(lambda: chunks.completions)
    assert chunks.values == [0, 1, 2]


async def whisper_subscribe(scene):
    """The socket has joined the topic: when it opens, and when it is open."""
    client = await scene.client()
    client.whispers("lobby").subscribe(Recorder())
    await until(lambda: scene.topics == {"lobby"})
    client.whispers("hall").subscribe(Recorder())
    await until(lambda: scene.topics == {"hall", "lobby"})


async def whisper_unsubscribe(scene):
    """The socket has left the topic, and the other one not."""
    client = await scene.client()
    client.whispers("hall").subscribe(Recorder())
    handle = client.whispers("lobby").subscribe(Recorder())
    await until(lambda: scene.topics == {"hall", "lobby"})
    handle.dispose()
    await until(lambda: scene.topics == {"hall"})


async def whisper(scene):
    """The server passes it on to another member."""
    listener, heard = await scene.client(), Recorder()
    listener.whispers("lobby").subscribe(heard)
    speaker = await scene.watching(Recorder())
    await until(lambda: scene.topics == {"lobby"})
    speaker.whisper("lobby", {"x": 1})
    await until(lambda: heard.values)
    assert heard.last.data == {"x": 1}


async def ping(scene):
    """A client whose server says nothing else asks again and again, and stays connected."""
    client = await scene.watching(Recorder(), heartbeat_interval=0.02)
    await until(lambda: scene.heard.count(PING) > 5)
    assert (client.status.value, scene.heard.count("connect")) == (Status.CONNECTED, 1)


CASES = {
    "connect": connect,
    "subscribe": subscribe,
    "unsubscribe": unsubscribe,
    "shape_subscribe": shape_subscribe,
    "shape_unsubscribe": shape_unsubscribe,
    "stream": stream,
    "whisper_subscribe": whisper_subscribe,
    "whisper_unsubscribe": whisper_unsubscribe,
    "whisper": whisper,
    PING: ping,
}


def test_cases_are_the_client_frames_of_the_code():
    """A new frame needs a new case."""
    assert set(CASES) == {*CLIENT_FRAMES, PING}


@pytest.mark.parametrize("frame", CASES)
async def test_client_frame_does_at_the_server_what_it_asks_for(scene, frame):
    """Each by its effect, and the server did receive it."""
    await CASES[frame](scene)
    assert frame in scene.heard


async def test_client_resumes_with_positions_that_the_server_knows(scene):
    """What a frame carries beside its type arrives as well: nothing is sent anew that did not change."""
    client, rows = await scene.client(), Recorder()
    shape = client.shape(SHAPE)
    shape.subscribe(rows)
    await client.mutation(ADD, {"n": 1})
    await until(lambda: rows.values and len(rows.last) == 1)
    changes = Recorder()
    shape.changes.subscribe(changes)
    before = len(changes.values)
    scene.faults.drop_sockets()
    await until(lambda: scene.heard.count("shape_subscribe") == 2)
    await client.mutation(ADD, {"n": 2})
    await until(lambda: len(rows.last) == 2)
    assert not any(each.is_reset for each in changes.values[before:])
