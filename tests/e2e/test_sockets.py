"""Sockets, in frames and as a client sees them: whose they are, tokens that are not good, keepalives, nonsense."""

from __future__ import annotations

import asyncio

import pytest

from lunora_rx import LunoraClient, Status
from tests.e2e.peer import call, connected, opened
from tests.support import QUICK, Recorder, until

NUMBERS = "rows:numbers"


@pytest.mark.parametrize(("token", "subject"), [(None, None), ("token-ana", "ana")])
async def test_connect_is_answered_with_the_subject_of_the_socket(origin, token, subject):
    """Each time; and its queries are run for that subject."""
    async with opened(origin, token=token) as peer:
        assert await peer.connect() == {"type": "identity", "subject": subject}
        assert await peer.connect() == {"type": "identity", "subject": subject}
        assert (await peer.subscribe("rows:mine"))[1]["data"] == f"of {subject or 'nobody'}"


async def test_socket_with_a_bad_token_is_opened_told_and_closed(origin):
    """A refused upgrade would say nothing to a client."""
    async with opened(origin, token="token-of-nobody") as peer:
        error = await peer.next()
        assert (error["type"], error["error"]["code"]) == ("error", "TOKEN_EXPIRED")
        assert await peer.next() is None
        assert peer.close_code == 4001


async def test_client_whose_socket_token_is_not_good_tells_it_and_recovers_with_another(no_tasks_left, origin):
    """Queries wait meanwhile, and fail nobody."""
    async with LunoraClient(origin, ws_token="token-of-old", reconnect=QUICK) as client:
        expired, seen = Recorder(), Recorder()
        client.token_expired.subscribe(expired)
        client.live("rows:mine").subscribe(seen)
        await until(lambda: len(expired.values) >= 2)
        client.set_ws_token("token-ana")
        await until(lambda: seen.values)
        assert (seen.values, seen.errors) == (["of ana"], [])


async def test_keepalive_is_answered_before_and_after_connect(origin):
    """It is a text of its own, no frame."""
    async with opened(origin) as peer:
        await peer.send_text("lunora-ping")
        assert await peer.next() == "lunora-pong"
        await peer.connect()
        await peer.send_text("lunora-ping")
        assert await peer.next() == "lunora-pong"


async def test_client_with_nothing_to_hear_but_pongs_stays_connected(no_tasks_left, origin):
    """For many times the limit of liveness."""
    async with LunoraClient(origin, heartbeat_interval=0.05, reconnect=QUICK) as client:
        statuses, seen = Recorder(), Recorder()
        client.live(NUMBERS).subscribe(seen)
        await until(lambda: seen.values)
        client.status.subscribe(statuses)
        await asyncio.sleep(1.0)  # the time that must pass is the subject
        assert statuses.values == [Status.CONNECTED]


@pytest.mark.parametrize("text", ["", "lunora-pong", "{", "[]", "null", "7", '{"type":"none"}', '{"type":7}', "{}"])
async def test_text_that_cannot_be_read_is_ignored(origin, text):
    """The socket goes on."""
    async with connected(origin) as peer:
        await peer.send_text(text)
        assert (await peer.subscribe(NUMBERS))[1]["data"] == []


async def test_stream_that_there_is_not_is_refused_by_its_id(origin):
    """Where a server has none at all, as here."""
    async with connected(origin) as peer:
        await peer.send("stream", id="stream_1", query={"functionPath": "none:none", "args": {}})
        error = await peer.next()
        assert (error["type"], error["id"], error["error"]["code"]) == ("error", "stream_1", "NOT_IMPLEMENTED")


async def test_sockets_of_shards_are_apart(no_tasks_left, origin):
    """A write is told on its own shard's socket."""
    async with LunoraClient(origin) as client:
        room, hall = Recorder(), Recorder()
        client.live(NUMBERS, shard="room").subscribe(room)
        client.live(NUMBERS, shard="hall").subscribe(hall)
        await until(lambda: room.values and hall.values)
        await client.mutation("rows:add", {"n": 1}, shard="room")
        await until(lambda: room.last == [1])
        assert hall.values == [[]]
    assert (await call(origin, NUMBERS))[1] == {"result": []}
