"""What every transport promises, tried on the one over aiohttp and on the one in memory."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from lunora_rx.errors import RequestTimeout, TransportError
from lunora_rx.protocol.rpc import HttpReply
from lunora_rx.transport.aiohttp_transport import AiohttpTransport
from lunora_rx.transport.memory_transport import MemoryReply, MemoryTransport
from tests.support import PATIENCE, turn, until


@dataclass
class Far:
    """The other end of a socket, whatever it is made of."""

    send: Any
    receive: Any
    close: Any
    cut: Any


@dataclass
class FarReply:
    """The server's end of a reply that is sent bit by bit."""

    send: Any
    end: Any
    cut: Any
    is_left: Any


@dataclass
class World:
    """A transport with the server that it reaches."""

    transport: Any
    ws_url: str
    http_url: str
    sockets: asyncio.Queue[Far] = field(default_factory=asyncio.Queue)
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    reply: HttpReply | None = field(default_factory=lambda: HttpReply(200, {}, b"{}"))
    refuses: bool = False
    streams: asyncio.Queue[FarReply] = field(default_factory=asyncio.Queue)

    async def connect(self):
        """Return both ends of a new socket."""
        near = await self.transport.connect(self.ws_url, {})
        async with asyncio.timeout(PATIENCE):
            return near, await self.sockets.get()

    async def request(self, *, headers=None, body=b"{}", timeout=PATIENCE):
        """Make a request."""
        return await self.transport.request("POST", self.http_url, headers=headers or {}, body=body, timeout=timeout)

    async def stream(self, *, headers=None, timeout=PATIENCE, read_timeout=PATIENCE):
        """Return the reply to a request for a stream."""
        return await self.transport.stream(
            "GET", self.http_url, headers=headers or {}, timeout=timeout, read_timeout=read_timeout
        )

    async def streaming(self, **options):
        """Return both ends of a reply."""
        near = await self.stream(**options)
        async with asyncio.timeout(PATIENCE):
            return near, await self.streams.get()


async def memory_world():
    """A world of queues."""

    def accept(url, end):
        if world.refuses:
            raise TransportError("refused", transient=True)
        world.sockets.put_nowait(Far(end.send, end.receive, end.close, end.cut))

    async def respond(request):
        world.requests.append((request.method, dict(request.headers), request.body))
        if world.reply is None:
            await asyncio.Event().wait()
        return world.reply

    async def respond_bit_by_bit(request):
        whole = await respond(request)
        reply = MemoryReply(whole.status, whole.headers)

        async def send(data):
            reply.send(data)

        async def end():
            reply.end()

        world.streams.put_nowait(FarReply(send, end, reply.cut, lambda: reply.is_closed))
        return reply

    world = World(MemoryTransport(accept, respond, respond_bit_by_bit), "ws://server.test/ws", "http://server.test/rpc")
    yield world
    await world.transport.aclose()


async def aiohttp_world():
    """A world of sockets."""
    over = asyncio.Event()

    async def receive(websocket):
        message = await websocket.receive()
        return message.data if message.type is aiohttp.WSMsgType.TEXT else None

    async def serve_ws(request):
        if world.refuses:
            return web.Response(status=503)
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)

        far = Far(
            websocket.send_str,
            lambda: receive(websocket),
            lambda code: websocket.close(code=code),
            lambda: request.transport.abort(),
        )
        world.sockets.put_nowait(far)
        await over.wait()
        return websocket

    async def serve_rpc(request):
        world.requests.append((request.method, dict(request.headers), await request.read()))
        if world.reply is None:
            await over.wait()
            return web.Response()
        return web.Response(status=world.reply.status, headers=world.reply.headers, body=world.reply.body)

    async def serve_stream(request):
        world.requests.append((request.method, dict(request.headers), await request.read()))
        if world.reply is None:
            await over.wait()
            return web.Response()
        response = web.StreamResponse(status=world.reply.status, headers=world.reply.headers)
        await response.prepare(request)
        is_ended = asyncio.Event()

        async def end():
            is_ended.set()

        transport = request.transport
        world.streams.put_nowait(FarReply(response.write, end, transport.abort, transport.is_closing))
        await asyncio.wait([ending := asyncio.create_task(is_ended.wait()), stop], return_when="FIRST_COMPLETED")
        ending.cancel()
        return response

    stop = asyncio.create_task(over.wait())
    app = web.Application()
    app.router.add_get("/ws", serve_ws)
    app.router.add_get("/rpc", serve_stream)
    app.router.add_post("/rpc", serve_rpc)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    place = f"127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
    transport = AiohttpTransport(max_frame_size=1 << 20, max_body_size=1 << 20)
    world = World(transport, f"ws://{place}/ws", f"http://{place}/rpc")
    yield world
    await transport.aclose()
    over.set()
    await stop
    await runner.cleanup()


@pytest.fixture(params=[memory_world, aiohttp_world], ids=["memory", "aiohttp"])
async def world(request):
    """One world a transport."""
    generator = request.param()
    yield await anext(generator)
    await anext(generator, None)


async def receive(end):
    """Return the next frame as text, ``None`` for the end."""
    async with asyncio.timeout(PATIENCE):
        frame = await end.receive()
    return frame.decode() if isinstance(frame, bytes) else frame


async def test_socket_frames_arrive_in_order_both_ways(world):
    """What one end sends the other receives, as text, in order."""
    near, far = await world.connect()
    for text in ("one", "two é", ""):
        await near.send(text)
        await far.send(text)
    assert [await receive(far) for _ in range(3)] == ["one", "two é", ""]
    assert [await receive(near) for _ in range(3)] == ["one", "two é", ""]


async def test_socket_open_has_no_close_code(world):
    """There is no reason for what has not happened."""
    near, _ = await world.connect()
    assert near.close_code is None


@pytest.mark.parametrize("code", [1000, 1009, 4001])
async def test_socket_closed_by_the_peer_ends_after_its_frames(world, code):
    """Frames that were sent before the close are received; then there is the end, again and again, and the code."""
    near, far = await world.connect()
    await far.send("last words")
    closing = asyncio.create_task(far.close(code))
    assert await receive(near) == "last words"
    assert await receive(near) is None
    assert await receive(near) is None
    assert near.close_code == code
    await closing


async def test_socket_cut_ends_without_a_code(world):
    """A lost connection is an end like any other, without a code."""
    near, far = await world.connect()
    far.cut()
    assert await receive(near) is None
    assert near.close_code is None


async def test_socket_closed_here_tells_the_peer(world):
    """Closing ends both directions; closing again does nothing."""
    near, far = await world.connect()
    closing = asyncio.create_task(near.close(1000))
    assert await receive(far) is None
    await closing
    assert await receive(near) is None
    await near.close()


async def test_socket_closed_while_receiving_wakes_the_receiver(world):
    """A task that waits for a frame learns of the end."""
    near, far = await world.connect()
    waiting = asyncio.create_task(receive(near))
    await turn()
    closing = asyncio.create_task(near.close())
    await receive(far)
    await closing
    assert await waiting is None


async def test_socket_closed_here_drops_what_was_not_received(world):
    """After closing, nothing of the old conversation comes."""
    near, far = await world.connect()
    await far.send("too late")
    closing = asyncio.create_task(near.close())
    await receive(far)
    await closing
    assert await receive(near) is None


async def test_socket_send_after_the_end_raises(world):
    """Sending on a closed socket is a ``TransportError``."""
    near, far = await world.connect()
    far.cut()
    assert await receive(near) is None
    with pytest.raises(TransportError):
        await near.send("hello")


async def test_connect_refused_raises(world):
    """A socket that cannot be had is an error of ours."""
    world.refuses = True
    with pytest.raises(TransportError):
        await world.transport.connect(world.ws_url, {})


async def test_request_carries_method_headers_and_body(world):
    """What is asked arrives as it was put."""
    await world.request(headers={"x-one": "1"}, body=b'{"a":1}')
    ((method, headers, body),) = world.requests
    lower = {name.lower(): value for name, value in headers.items()}
    assert (method, lower["x-one"], body) == ("POST", "1", b'{"a":1}')


@pytest.mark.parametrize("status", [200, 302, 404, 500])
async def test_request_any_status_is_a_reply(world, status):
    """A refusal or a redirect is a reply; header names come in lower case, and nothing is followed."""
    world.reply = HttpReply(status, {"x-d1-bookmark": "b", "location": "/elsewhere"}, b"text")
    reply = await world.request()
    assert (reply.status, reply.headers["x-d1-bookmark"], reply.body) == (status, "b", b"text")
    assert len(world.requests) == 1


async def test_request_unanswered_times_out(world):
    """The time allowed bounds the whole exchange."""
    world.reply = None
    with pytest.raises(RequestTimeout) as caught:
        await world.request(timeout=0.05)
    assert caught.value.transient
    assert caught.value.code is None


async def test_request_cancelled_is_cancelled(world):
    """Cancelling a request raises ``CancelledError``, and the transport goes on."""
    world.reply = None
    task = asyncio.create_task(world.request())
    await turn()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    world.reply = HttpReply(200, {}, b"again")
    assert (await world.request()).body == b"again"


async def read(reply):
    """Return the next bytes of a body, ``None`` for the end."""
    async with asyncio.timeout(PATIENCE):
        return await reply.read()


async def read_all(reply):
    """Return what is left of a body."""
    pieces = []
    while (data := await read(reply)) is not None:
        pieces.append(data)
    return b"".join(pieces)


async def test_stream_is_read_as_it_comes(world):
    """What the server sends is there before the end is, which is the end for good."""
    near, far = await world.streaming()
    for piece in (b"one", b"two"):
        await far.send(piece)
        assert await read(near) == piece
    await far.send(b"three")
    await far.end()
    assert await read_all(near) == b"three"
    assert await read(near) is None
    await near.aclose()


async def test_stream_carries_method_and_headers(world):
    """What is asked arrives as it was put, with no body."""
    near, _ = await world.streaming(headers={"x-one": "1", "accept": "text/event-stream"})
    ((method, headers, body),) = world.requests
    lower = {name.lower(): value for name, value in headers.items()}
    assert (method, lower["x-one"], lower["accept"], body or b"") == ("GET", "1", "text/event-stream", b"")
    await near.aclose()


@pytest.mark.parametrize("status", [200, 302, 404, 500])
async def test_stream_of_any_status_is_a_reply(world, status):
    """A refusal or a redirect is a reply; header names come in lower case, and nothing is followed."""
    world.reply = HttpReply(status, {"x-one": "1", "location": "/elsewhere"})
    near, far = await world.streaming()
    assert (near.status, near.headers["x-one"]) == (status, "1")
    assert len(world.requests) == 1
    await far.send(b"why")
    await far.end()
    assert await read_all(near) == b"why"
    await near.aclose()


async def test_stream_without_a_body_ends_at_once(world):
    """A reply of 204 has nothing to read."""
    world.reply = HttpReply(204)
    near, far = await world.streaming()
    await far.end()
    assert await read(near) is None
    await near.aclose()


async def test_stream_cut_raises(world):
    """A body that breaks off is not at its end."""
    near, far = await world.streaming()
    await far.send(b"one")
    assert await read(near) == b"one"
    far.cut()
    for _ in range(2):
        with pytest.raises(TransportError) as caught:
            await read(near)
        assert caught.value.transient
    await near.aclose()


async def test_stream_unanswered_times_out(world):
    """The time allowed bounds the wait for the headers."""
    world.reply = None
    with pytest.raises(RequestTimeout) as caught:
        await world.stream(timeout=0.05)
    assert (caught.value.transient, caught.value.code) == (True, None)


async def test_stream_that_keeps_still_times_out(world):
    """Each wait for more has its own time, however long the whole takes."""
    near, far = await world.streaming(timeout=0.2, read_timeout=0.2)
    for _ in range(6):
        await asyncio.sleep(0.05)
        await far.send(b"x")
        assert await read(near) == b"x"
    with pytest.raises(RequestTimeout, match=r"for 0\.2 s") as caught:
        await read(near)
    assert caught.value.transient
    await near.aclose()


async def test_stream_closed_here_tells_the_server_and_ends(world):
    """Giving a body up ends the connection; what it held is not read any more, and closing again does nothing."""
    near, far = await world.streaming()
    await far.send(b"unread")
    await near.aclose()
    await until(far.is_left)
    assert await read(near) is None
    await near.aclose()


async def test_stream_cancelled_while_waiting_is_cancelled(world):
    """Whether for the headers or for the body; the transport goes on."""
    near, _ = await world.streaming()
    world.reply = None
    for waiting in (near.read(), world.stream()):
        task = asyncio.create_task(waiting)
        await turn()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await near.aclose()
    world.reply = HttpReply(200, {}, b"again")
    assert (await world.request()).body == b"again"


async def test_transport_closed_twice_is_silent(world):
    """Closing what is closed does nothing."""
    await world.transport.aclose()
    await world.transport.aclose()
