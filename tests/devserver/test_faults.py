"""Faults strike as they say, and end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import WSMsgType

from tests.devserver.peer import chat_app
from tests.devserver.test_server import CONNECT, GENERAL, SUBSCRIBE, Client, receive


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """A chat server on a free port, and somebody to talk to it."""
    app = chat_app()
    async with app.serve() as url, aiohttp.ClientSession() as http:
        yield Client(app, url, http)


async def test_drop_sockets_resets_those_of_a_shard(client):
    """The connection ends with no closing handshake; other shards keep theirs."""
    async with client.socket("?shard=a") as hit, client.socket("?shard=b") as spared:
        for socket in (hit, spared):
            await socket.send_json(CONNECT)
            await receive(socket)
        assert client.app.faults.drop_sockets("a") == 1
        assert (await hit.receive(timeout=5)).type in {WSMsgType.CLOSED, WSMsgType.ERROR}
        assert hit.close_code == 1006
        await spared.send_str("lunora-ping")
        assert await spared.receive_str() == "lunora-pong"
        assert client.app.faults.open_sockets == 1


async def test_close_sockets_uses_the_given_code(client):
    """Any code can be tried out."""
    async with client.socket() as socket:
        await socket.send_json(CONNECT)
        await receive(socket)
        assert client.app.faults.close_sockets(4001) == 1
        await socket.receive(timeout=5)
        assert socket.close_code == 4001


async def test_refused_sockets_do_not_open_until_released(client):
    """An attempt is counted and reset; calls are answered meanwhile."""
    faults = client.app.faults
    faults.refuse_sockets()
    with pytest.raises(aiohttp.ClientError):
        await client.socket()
    assert "result" in await client.send()
    faults.release()
    async with client.socket():
        assert faults.attempts > 1
        assert faults.open_sockets == 1


async def test_refusal_ends_by_itself_after_its_time(client):
    """A fault may be given a length."""
    client.app.faults.refuse_sockets(0.05)
    while True:
        try:
            async with client.socket():
                return
        except aiohttp.ClientError:
            await asyncio.sleep(0.01)


async def test_stalled_server_sends_nothing_but_carries_out(client):
    """Frames and replies wait; the write is there."""
    faults = client.app.faults
    async with client.socket() as socket:
        await socket.send_json(SUBSCRIBE)
        await receive(socket, 2)
        faults.stall()
        writing = asyncio.create_task(client.send())
        with pytest.raises(TimeoutError):
            await socket.receive(timeout=0.1)
        assert not writing.done()
        assert client.app.backend.shard().store.counts() == {"messages": 1}
        faults.release()
        assert "result" in await writing
        # aiohttp closes a socket whose receive was cancelled, so another one looks.
    async with client.socket() as socket:
        await socket.send_json(SUBSCRIBE)
        assert len((await receive(socket, 2))[1]["data"]) == 1


async def test_failed_calls_are_not_carried_out(client):
    """The next calls get the given reply, then all is well."""
    client.app.faults.fail_calls(2, status=429, body=b"<html>", headers={"retry-after": "3"})
    for _ in range(2):
        async with client.http.post(f"{client.url}/_lunora/rpc", json={}) as reply:
            assert (reply.status, await reply.read(), reply.headers["retry-after"]) == (429, b"<html>", "3")
    await client.send()
    assert client.app.backend.shard().store.counts() == {"messages": 1}


async def test_lost_reply_leaves_the_write_done(client):
    """The caller sees the connection end; its replay under the same id is answered from the record."""
    client.app.faults.lose_replies()
    ids = {"x_lunora_mutation_id": "m1", "x_lunora_client_id": "c"}
    body = GENERAL | {"text": "hi"}
    with pytest.raises(aiohttp.ClientError):
        await client.call("messages:send", body, **ids)
    assert "result" in await client.call("messages:send", body, **ids)
    assert client.app.backend.shard().store.counts() == {"messages": 1}


async def test_garbage_reaches_every_socket(client):
    """Any text can be sent where a frame is expected."""
    async with client.socket() as socket:
        await socket.send_json(CONNECT)
        await receive(socket)
        assert client.app.faults.send_text('{"type":"data"') == 1
        assert await socket.receive_str() == '{"type":"data"'


async def test_cancelled_subscriptions_are_completed(client):
    """Live queries end while their socket lives."""
    async with client.socket() as socket:
        await socket.send_json(SUBSCRIBE)
        await receive(socket, 2)
        client.app.faults.cancel_subscriptions()
        assert await receive(socket) == [{"type": "complete", "id": "sub_1"}]


@pytest.mark.parametrize(("restart", "rows"), [("new_epoch", 1), ("restart", 0)])
async def test_restart_drops_sockets_and_changes_the_epoch(client, restart, rows):
    """With or without its rows, the server is another one."""
    await client.send()
    epoch = client.app.backend.shard().epoch
    async with client.socket() as socket:
        await socket.send_json(SUBSCRIBE)
        await receive(socket, 2)
        getattr(client.app.faults, restart)()
        await socket.receive(timeout=5)
        assert socket.close_code == 1006
    assert client.app.backend.shard().epoch != epoch
    assert len((await client.call("messages:list", GENERAL))["result"]) == rows


async def test_action_of_the_app_may_pull_the_switches(client):
    """A demo cuts its own connection."""
    app = client.app

    @app.action("demo:cut")
    def cut(ctx):
        return app.faults.drop_sockets()

    async with client.socket() as socket:
        await socket.send_json(CONNECT)
        await receive(socket)
        assert await client.call("demo:cut", {}) == {"result": 1}
