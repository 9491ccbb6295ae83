"""Every frame that the server sends: the embedded one sends it over a real socket, and the client deals with it."""

from __future__ import annotations

import aiohttp
import pytest

from lunora_rx import ServerError, Status, Whisper
from lunora_rx.protocol.endpoints import PONG
from lunora_rx.protocol.frames import SERVER_FRAMES
from tests.coverage_of_protocol.offer import ADD, LIST, SHAPE
from tests.coverage_of_protocol.wire import Wire
from tests.support import Recorder, until


def subscriptions(client):
    """Return what a client knows of its live queries on the default shard."""
    return list(client.debug()["shards"][""]["subscriptions"].values())


async def ack(scene, wire):
    """The query counts as registered."""
    client = await scene.watching(Recorder(), transport=wire)
    assert [each["acked"] for each in subscriptions(client)] == [True]


async def data(scene, wire):
    """Its value is shown."""
    seen = Recorder()
    await scene.watching(seen, "rows:large", {"size": 3}, transport=wire)
    assert seen.values == ["xxx"]


async def delta(scene, wire):
    """It is merged into the value; no second value was sent."""
    seen, other = Recorder(), await scene.client()
    for number in range(4):
        await other.mutation(ADD, {"n": number})
    await scene.watching(seen, transport=wire)
    await other.mutation(ADD, {"n": 4})  # one row is shorter than five: a delta is worth it
    await until(lambda: len(seen.last) == 5)
    assert [row["n"] for row in seen.last] == [*range(5)]
    assert wire.received["data"] == 1


async def resume(scene, wire):
    """The value is live again, and was not sent again."""
    client = await scene.watching(Recorder(), transport=wire)
    live = client.live(LIST)
    scene.faults.drop_sockets()
    await until(lambda: wire.received["resume"])
    assert [each["acked"] for each in subscriptions(client)] == [True]
    assert (live.value, wire.received["data"]) == ([], 1)


async def settled(scene, wire):
    """A write that leaves a query as it is moves its position, and lets go of the layer over it."""
    seen = Recorder()
    client = await scene.watching(seen, "rows:large", {"size": 1}, transport=wire, cookie_auth=True)
    live = client.live("rows:large", {"size": 1})
    before = live.snapshot.cursor
    await client.mutation(
        ADD, {"n": 1}, optimistic_update=lambda store, _: store.set_query("rows:large", {"size": 1}, "y")
    )
    await until(lambda: not live.snapshot.is_optimistic)
    assert seen.values == ["x", "y", "x"]
    assert live.snapshot.cursor > before


async def error(scene, wire):
    """The query fails, and no other."""
    errors, seen = Recorder(), Recorder()
    client = await scene.watching(seen, transport=wire)
    client.live("codes:raise", {"code": "ROOM_FULL"}).subscribe(errors)
    await until(lambda: errors.errors)
    assert isinstance(errors.errors[0], ServerError)
    assert (errors.errors[0].code, seen.errors) == ("ROOM_FULL", [])


async def complete(scene, wire):
    """A stream is at its end."""
    client, chunks = await scene.client(transport=wire), Recorder()
    client.stream("numbers:once", {"count": 2}).subscribe(chunks)
    await until(lambda: chunks.completions)
    assert (chunks.values, chunks.errors) == ([0, 1], [])


async def chunk(scene, wire):
    """Each is shown as it comes, before the stream is at its end."""
    client, chunks = await scene.client(transport=wire), Recorder()
    client.stream("numbers:kept").subscribe(chunks)
    await until(lambda: chunks.values == [0, 1])
    assert (wire.received["chunk"], chunks.completions) == (2, 0)


async def poke_start(scene, wire):
    """Alone it shows nothing; the socket is lost behind it, and the next one brings the row."""
    rows = await watch_shape(scene, wire)
    scene.faults.cut_poke("start")
    await change_rows(scene)
    await until(lambda: wire.received["pokeStart"] == 2)
    assert (rows.values, wire.received["pokePart"]) == ([[]], 1)
    await until(lambda: len(rows.last) == 1)


async def poke_part(scene, wire):
    """Without the end it shows nothing; the socket is lost behind it, and the next one brings the row."""
    rows = await watch_shape(scene, wire)
    scene.faults.cut_poke("part")
    await change_rows(scene)
    await until(lambda: wire.received["pokePart"] == 2)
    assert (rows.values, wire.received["pokeEnd"]) == ([[]], 1)
    await until(lambda: len(rows.last) == 1)


async def poke_end(scene, wire):
    """With it the rows are shown."""
    rows = await watch_shape(scene, wire)
    await change_rows(scene)
    await until(lambda: len(rows.values) == 2)
    assert [row["n"] for row in rows.last] == [1]
    assert wire.received["pokeEnd"] == 2


async def whisper(scene, wire):
    """It is shown with its sender."""
    listener, heard = await scene.client(transport=wire), Recorder()
    listener.whispers("lobby").subscribe(heard)
    speaker = await scene.watching(Recorder(), client_id="bo")
    await until(lambda: scene.topics == {"lobby"})
    speaker.whisper("lobby", 7)
    await until(lambda: heard.values)
    assert heard.values == [Whisper(7, "bo")]


async def identity(scene, wire):
    """A client with a cookie learns from it whose session this is."""
    scene.app.sessions["cookie-of-ana"] = "ana"
    client = await scene.watching(Recorder(), transport=wire, cookie_auth=True)
    assert client.debug()["shards"][""]["subject"] == "ana"


async def pong(scene, wire):
    """A client that hears nothing else stays connected; without it, it gives the socket up."""
    client = await scene.watching(Recorder(), transport=wire, heartbeat_interval=0.02)
    await until(lambda: wire.received[PONG] > 5)
    assert scene.heard.count("connect") == 1
    scene.faults.stall()
    await until(lambda: client.status.value is not Status.CONNECTED)


async def watch_shape(scene, wire):
    """Return what a client shows of a shape that is empty."""
    client, rows = await scene.client(transport=wire), Recorder()
    client.shape(SHAPE).subscribe(rows)
    await until(lambda: rows.values == [[]])
    return rows


async def change_rows(scene):
    """Let somebody else add a row."""
    other = await scene.client()
    await other.mutation(ADD, {"n": 1})


CASES = {
    "ack": ack,
    "data": data,
    "delta": delta,
    "resume": resume,
    "settled": settled,
    "error": error,
    "complete": complete,
    "chunk": chunk,
    "pokeStart": poke_start,
    "pokePart": poke_part,
    "pokeEnd": poke_end,
    "whisper": whisper,
    "identity": identity,
    PONG: pong,
}


def test_cases_are_the_server_frames_of_the_code():
    """A new frame needs a new case."""
    assert set(CASES) == {*SERVER_FRAMES, PONG}


@pytest.mark.parametrize("frame", CASES)
async def test_server_frame_is_sent_and_dealt_with(scene, frame):
    """Each by what the client shows, and the client did receive it."""
    async with aiohttp.ClientSession(cookies={"lunora_session": "cookie-of-ana"}) as session:
        wire = Wire(session)
        await CASES[frame](scene, wire)
        assert wire.received[frame] > 0
        await scene.clients.aclose()
