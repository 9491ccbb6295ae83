"""The server on a real socket, spoken to with plain aiohttp."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import socket as sockets
import sqlite3
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType

from lunora_rx.devserver import App, Limits
from lunora_rx.devserver.access import sign_ws_token
from tests.devserver.peer import chat_app

GENERAL = {"channelId": "general"}
SUBSCRIBE = {
    "type": "subscribe",
    "id": "sub_1",
    "query": {"functionPath": "messages:list", "args": GENERAL, "table": "t"},
}
CONNECT = {"type": "connect", "id": "connect", "clientId": "c1", "caps": ["pageDelta"]}


class Client:
    """A URL and an HTTP session."""

    def __init__(self, app: App, url: str, http: aiohttp.ClientSession) -> None:
        self.app = app
        self.url = url
        self.http = http

    async def call(self, path: str, args: dict[str, Any], **headers: str) -> Any:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        body = {"functionPath": path, "args": args}
        async with self.http.post(f"{self.url}/_lunora/rpc", json=body, headers=named) as reply:
            return await reply.json()

    async def send(self, text: str = "hi") -> Any:
        return await self.call("messages:send", GENERAL | {"text": text})

    def socket(self, query: str = "") -> Any:
        return self.http.ws_connect(f"{self.url}/_lunora/ws{query}")


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """A chat server on a free port, and somebody to talk to it."""
    app = chat_app(Limits(frame_size=10_000, body_size=10_000, queued_bytes=200_000), admin_token="admin")
    async with app.serve() as url, aiohttp.ClientSession() as http:
        yield Client(app, url, http)


async def receive(socket: Any, count: int = 1) -> list[dict[str, Any]]:
    return [json.loads(await socket.receive_str(timeout=5)) for _ in range(count)]


async def test_live_query_follows_writes_over_a_socket(client):
    """Connect, subscribe, write over HTTP, see the rows arrive."""
    async with client.socket() as socket:
        await socket.send_json(CONNECT)
        await socket.send_json(SUBSCRIBE)
        assert [frame["type"] for frame in await receive(socket, 3)] == ["identity", "ack", "data"]
        for text in ("one", "two"):
            await client.send(text)
        one, two = await receive(socket, 2)
        assert one["data"][0]["text"] == "one"
        assert (two["delta"]["row"]["text"], two["cursor"]) == ("two", client.app.backend.shard().cursor)


async def test_many_writes_arrive_in_order(client):
    """Nothing is lost or turned round between writes and frames."""
    async with client.socket() as socket:
        await socket.send_json(CONNECT)
        await socket.send_json(SUBSCRIBE)
        await receive(socket, 3)
        await asyncio.gather(*(client.send(str(number)) for number in range(40)))
        cursors = [frame["cursor"] for frame in await receive(socket, 40)]
    assert cursors == list(range(cursors[0], cursors[0] + 40))


async def test_ping_is_answered_and_binary_json_is_read(client):
    """Keepalive is text; a binary frame is tried as JSON, and ignored if it is none."""
    async with client.socket() as socket:
        await socket.send_bytes(b"\xff\xfe")
        await socket.send_bytes(json.dumps(CONNECT).encode())
        await socket.send_str("lunora-ping")
        assert json.loads(await socket.receive_str())["type"] == "identity"
        assert await socket.receive_str() == "lunora-pong"


async def test_socket_of_a_shard_sees_that_shard(client):
    """The shard stands in the URL."""
    async with client.socket("?shard=a%2Fb") as socket:
        await socket.send_json(SUBSCRIBE)
        await receive(socket, 2)
    assert set(client.app.backend.status()["shards"]) == {"a/b"}


async def test_oversized_frame_closes_with_1009(client):
    """A client that sends too much is told by the close code."""
    async with client.socket() as socket:
        await socket.send_str("x" * 20_000)
        message = await socket.receive(timeout=5)
        assert (message.type, socket.close_code) == (WSMsgType.CLOSE, 1009)


async def test_oversized_body_is_refused_with_413(client):
    """A body over the bound has a code of its own."""
    assert (await client.send("x" * 20_000))["error"]["code"] == "PAYLOAD_TOO_LARGE"


async def test_expired_token_gets_error_frame_and_close_4001(client):
    """The client learns twice: by the frame and by the code."""
    async with client.socket(f"?token={sign_ws_token('admin', 1)}") as socket:
        (frame,) = await receive(socket)
        assert frame["error"]["code"] == "TOKEN_EXPIRED"
        assert (await socket.receive(timeout=5)).type is WSMsgType.CLOSE
        assert socket.close_code == 4001


async def test_short_lived_token_ends_its_socket_when_it_expires():
    """A token made over HTTP opens a socket, which is closed at the token's end."""
    app = chat_app(Limits(ws_token_lifetime=0.2), admin_token="admin")
    async with app.serve() as url, aiohttp.ClientSession() as http:
        made = await http.post(f"{url}/_lunora/admin/ws-token", headers={"authorization": "Bearer admin"})
        token = (await made.json())["token"]
        async with http.ws_connect(f"{url}/_lunora/ws?token={token}") as socket:
            await socket.send_json(CONNECT)
            assert [frame["type"] for frame in await receive(socket, 2)] == ["identity", "error"]
            await socket.receive(timeout=5)
            assert socket.close_code == 4001


@pytest.mark.parametrize("bearer", [None, "Bearer wrong", "Basic admin"])
async def test_token_endpoint_wants_the_admin_token(client, bearer):
    """Nobody else makes tokens."""
    headers = {"authorization": bearer} if bearer else {}
    async with client.http.post(f"{client.url}/_lunora/admin/ws-token", headers=headers) as reply:
        assert reply.status == 401
        assert (await reply.json())["error"]["code"] == "UNAUTHORIZED"


async def test_session_probe_names_the_user():
    """A bearer is told who it is; without one there is nobody."""
    app = chat_app()
    app.authenticate(lambda token: token if token != "bad" else None)
    async with app.serve() as url, aiohttp.ClientSession() as http:
        answers = []
        for bearer in ("ada", None, "bad"):
            headers = {"authorization": f"Bearer {bearer}"} if bearer else {}
            async with http.get(f"{url}/api/auth/get-session", headers=headers) as reply:
                answers.append((reply.status, await reply.json()))
    assert answers[:2] == [(200, {"user": {"id": "ada"}}), (200, None)]
    assert answers[2][0] == 401


async def test_status_and_openrpc_are_served(client):
    """A person, or a code generator, finds out what is there."""
    await client.send()
    async with client.http.get(f"{client.url}/_lunora/status") as reply:
        assert (await reply.json())["shards"]["default"]["tables"] == {"messages": 1}
    async with client.http.get(f"{client.url}/_lunora/openrpc.json") as reply:
        assert await reply.json() == client.app.openrpc()


async def test_cookie_from_another_site_is_forbidden(client):
    """The guard knows the server's own origin from the request."""
    own = await client.call("messages:list", GENERAL, cookie="a=b", origin=client.url)
    foreign = await client.call("messages:list", GENERAL, cookie="a=b", origin="http://localhost:1")
    assert own == {"result": []}
    assert foreign["error"]["code"] == "FORBIDDEN"


async def test_async_action_does_not_hold_up_the_others():
    """While an action waits, other calls are answered."""
    app = chat_app()
    reached, may_go_on = asyncio.Event(), asyncio.Event()

    @app.action("work:wait")
    async def wait(ctx):
        reached.set()
        await may_go_on.wait()
        return "done"

    async with app.serve() as url, aiohttp.ClientSession() as http:
        client = Client(app, url, http)
        waiting = asyncio.create_task(client.call("work:wait", {}))
        await reached.wait()
        assert "result" in await client.send()
        may_go_on.set()
        assert await waiting == {"result": "done"}


async def test_client_that_does_not_read_is_dropped(client):
    """Memory for one socket is bounded; the others get everything."""
    async with client.socket() as lazy, client.socket() as eager:
        for socket in (lazy, eager):
            await socket.send_json(SUBSCRIBE)
        await receive(eager, 2)
        lazy._conn.transport.pause_reading()
        for _ in range(400):
            await client.send("x" * 5_000)
            await receive(eager)
            if client.app.faults.open_sockets == 1:
                break
        assert client.app.faults.open_sockets == 1
        assert len(client.app.backend.shard().members) == 1
        lazy._conn.transport.resume_reading()


async def test_burst_of_subscriptions_is_answered_in_full(client):
    """What a client asks for waits until it reads, and is not taken for a client that never does."""
    for _ in range(20):
        await client.send("x" * 4_000)
    async with client.socket() as socket:
        for number in range(60):  # 60 times 80 KB, over a bound of 200 KB
            await socket.send_json({**SUBSCRIBE, "id": f"sub_{number}"})
        frames = await receive(socket, 120)
    assert sum(frame["type"] == "data" for frame in frames) == 60


async def test_stopping_the_server_closes_sockets_and_leaves_nothing(client):
    """Sockets end with a code, and no task is left."""
    async with client.app.serve() as url:
        before = asyncio.all_tasks()
        socket = await client.http.ws_connect(f"{url}/_lunora/ws")
        await socket.send_json(SUBSCRIBE)
        await receive(socket, 2)
        reading = asyncio.create_task(socket.receive(timeout=5))
    assert (await reading).type is WSMsgType.CLOSE
    assert socket.close_code == 1001
    assert asyncio.all_tasks() <= before


async def test_port_in_use_is_the_callers_error(client):
    """A server that cannot listen says so, and leaves nothing running."""
    with sockets.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="address already in use"):
            async with App().serve(port=taken.getsockname()[1]):
                pass
    gc.collect()


@pytest.mark.parametrize(("name", "error"), [("file", OSError), ("directory", sqlite3.OperationalError)])
async def test_storage_that_cannot_be_used_is_an_error_at_the_start(tmp_path, name, error):
    """Neither a file in place of the directory, nor a directory in place of the database, waits for the first call."""
    app = App()
    (tmp_path / "file").touch()
    async with app.serve(storage=tmp_path / "directory"):
        (database,) = (tmp_path / "directory").glob("*.sqlite3")
    database.unlink()
    database.mkdir()
    with pytest.raises(error):
        async with app.serve(storage=tmp_path / name):
            pass
    with pytest.raises(RuntimeError, match="not being served"):
        _ = app.backend


async def test_backend_is_only_there_while_serving(client):
    """Looking at an app that is not served is an error, not an empty view."""
    app = App()
    with pytest.raises(RuntimeError, match="not being served"):
        _ = app.backend


async def test_no_token_is_logged(client, caplog):
    """Neither a bearer nor a socket's token shows up, at any level."""
    caplog.set_level(logging.DEBUG)
    await client.call("messages:list", GENERAL, authorization="Bearer canary-1")
    async with client.socket("?token=v1.canary-2") as socket:
        await socket.receive(timeout=5)
    assert "canary" not in caplog.text
