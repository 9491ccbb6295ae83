"""HTTP streams of a whole client: over memory and over a real server."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from aiohttp import web
from reactivex import operators as ops

from lunora_rx import LunoraClient
from lunora_rx.errors import ClientClosedError, StreamError, TransportError
from lunora_rx.transport.memory_transport import MemoryReply, MemoryTransport
from tests.support import Recorder, until


class StreamServer:
    """A server of streams that a test plays by hand."""

    def __init__(self):
        self.requests, self.replies = [], []
        self.failure = None
        self.head = (200, {"content-type": "text/event-stream"})
        self.transport = MemoryTransport(lambda url, end: None, None, self._respond)

    async def _respond(self, request):
        self.requests.append(request)
        if self.failure is not None:
            raise self.failure
        self.replies.append(MemoryReply(*self.head))
        return self.replies[-1]

    def client(self, **options):
        """Return a client of this server."""
        return LunoraClient("http://server.test/", transport=self.transport, **options)

    async def reply(self, count=1):
        """Return the reply number ``count``."""
        await until(lambda: len(self.replies) >= count)
        return self.replies[count - 1]


@pytest.fixture
def server():
    """A server in memory."""
    return StreamServer()


async def test_stream_asks_with_the_bearer_of_the_moment(server):
    """Cold: path, parameters and headers are as given, the bearer as it is when somebody subscribes."""
    async with server.client() as client:
        stream = client.http_stream("/a/:b", params={"b": "c d"}, search={"e": 1}, headers={"X-One": "1"})
        own = client.http_stream("/a", headers={"Authorization": "own"})
        client.set_auth_token("canary")
        assert server.requests == []
        for each in (stream, own):
            each.subscribe(Recorder())
        await server.reply(2)
        first, second = server.requests
        assert (first.method, first.url, first.body) == ("GET", "http://server.test/a/c%20d?e=1", None)
        assert first.headers == {"accept": "text/event-stream", "authorization": "Bearer canary", "x-one": "1"}
        assert second.headers["authorization"] == "own"
        assert "canary" not in repr(stream) + repr(client) + repr(client.debug())


async def test_stream_missing_param_fails_before_any_request(server):
    """At the call, not at the subscription."""
    async with server.client() as client:
        with pytest.raises(StreamError) as caught:
            client.http_stream("/a/:b")
    assert (caught.value.code, server.requests) == ("HTTP_STREAM_MISSING_PARAM", [])


async def test_stream_is_delivered_and_closed(server):
    """Values as they come, the end, and a connection that is let go."""
    async with server.client() as client:
        seen = Recorder()
        client.http_stream("/s").subscribe(seen)
        reply = await server.reply()
        reply.send(b"data: 1\n\n")
        await until(lambda: seen.values == [1])
        reply.send(b"data: 2\n\nevent: complete\n\n")
        await until(lambda: reply.is_closed)
        assert (seen.values, seen.completions, client.debug()["open_http_streams"]) == ([1, 2], 1, 0)


@pytest.mark.parametrize(
    ("play", "code"),
    [
        (lambda reply: (reply.send(b"data: 1\n\n"), reply.end()), "HTTP_STREAM_INTERRUPTED"),
        (lambda reply: (reply.send(b"data: 1\n\n"), reply.cut()), "HTTP_STREAM_TRANSPORT"),
        (lambda reply: reply.send(b"data: 1\n\n"), "HTTP_STREAM_TRANSPORT"),
        (lambda reply: reply.send(b"data: 1\n\ndata: {\n\n"), "HTTP_STREAM_BAD_CHUNK"),
        (lambda reply: reply.send(b"data: 1\n\ndata: " + b"x" * 100), "HTTP_STREAM_BAD_CHUNK"),
        (lambda reply: reply.send(b'data: 1\n\nevent: error\ndata: {"code":"MINE"}\n\n'), "MINE"),
    ],
)
async def test_stream_that_breaks_fails_with_its_code(server, play, code):
    """After the values before it; the connection is let go, and nothing is asked again."""
    async with server.client(stream_read_timeout=0.1, max_frame_size=50) as client:
        seen = Recorder()
        client.http_stream("/s").subscribe(seen)
        reply = await server.reply()
        play(reply)
        await until(lambda: seen.errors and reply.is_closed)
        assert ([error.code for error in seen.errors], seen.values, len(server.requests)) == ([code], [1], 1)


@pytest.mark.parametrize(("status", "code"), [(500, "HTTP_STREAM_STATUS"), (204, "HTTP_STREAM_NO_BODY")])
async def test_stream_refused_fails_with_the_status(server, status, code):
    """It is attached."""
    server.head = (status, {})
    async with server.client() as client:
        seen = Recorder()
        client.http_stream("/s").subscribe(seen)
        reply = await server.reply()
        await until(lambda: seen.errors and reply.is_closed)
        assert (seen.errors[0].code, seen.errors[0].status) == (code, status)


@pytest.mark.parametrize("failure", [TransportError("no way"), ZeroDivisionError("canary")])
async def test_stream_that_cannot_be_had_fails(server, failure):
    """Whatever a transport raises."""
    server.failure = failure
    async with server.client() as client:
        seen = Recorder()
        client.http_stream("/s").subscribe(seen)
        await until(lambda: seen.errors)
        assert (seen.errors[0].code, seen.errors[0].transient) == ("HTTP_STREAM_TRANSPORT", True)
        assert "canary" not in str(seen.errors[0])


async def test_stream_disposed_closes_its_connection(server):
    """During a delivery, from another thread, or before the headers are there."""
    async with server.client() as client:
        seen = Recorder()
        client.http_stream("/s").pipe(ops.take(1)).subscribe(seen)
        (await server.reply()).send(b"data: 1\n\ndata: 2\n\nevent: complete\n\n")
        await until(lambda: server.replies[0].is_closed)
        disposable = client.http_stream("/s").subscribe(seen)
        await server.reply(2)
        await asyncio.to_thread(disposable.dispose)
        await until(lambda: server.replies[1].is_closed)
        client.http_stream("/s").subscribe(seen).dispose()
        await asyncio.sleep(0.01)
        assert (len(server.replies), seen.values, seen.errors) == (2, [1], [])


async def test_stream_at_the_end_of_the_client_fails(server):
    """With ``CLIENT_CLOSED``, for those who observe, await, or come later; no task is left."""
    client = server.client()
    seen = Recorder()
    stream = client.http_stream("/s")
    stream.subscribe(seen)
    reply = await server.reply()
    await client.aclose()
    stream.subscribe(seen)
    assert [type(error) for error in seen.errors] == [ClientClosedError] * 2
    with pytest.raises(ClientClosedError):
        client.http_stream("/s")
    assert reply.is_closed
    assert len(asyncio.all_tasks()) == 1


async def test_driver_at_its_end_leaves_no_request(server):
    """Also one that nobody gave up."""
    client = server.client()
    client._driver.enter("a stream")
    client._driver.open_stream("/s", {}, print)
    reply = await server.reply()
    async with asyncio.timeout(2):
        await client._driver.aclose()
    assert reply.is_closed


async def test_stream_burst_does_not_overrun_a_loop_that_keeps_up(server):
    """A thousand values in one piece of the body, through a smaller buffer."""
    async with server.client() as client:
        values = client.http_stream("/s").aiter(max_buffer=256)
        first = asyncio.create_task(anext(values))
        (await server.reply()).send(b"data: 1\n\n" * 1000 + b"event: complete\n\n")
        assert [await first] + [value async for value in values] == [1] * 1000


async def test_stream_of_a_real_server(server):
    """Over aiohttp: events as they come, and an abort that the server sees."""
    gone = asyncio.Event()

    async def handler(request):
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        try:
            for number in range(10_000):
                await response.write(f"data: {number}\n\n".encode())
                await asyncio.sleep(0)
        except ConnectionError:
            gone.set()
            raise
        return response

    app = web.Application()
    app.router.add_get("/s", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
    async with LunoraClient(url) as client:
        async with contextlib.aclosing(client.http_stream("/s").aiter()) as values:
            async for value in values:
                if value == 5:
                    break
        seen = Recorder()
        client.http_stream("/s").subscribe(seen)
        await until(lambda: len(seen.values) > 100)
    await runner.cleanup()
    assert isinstance(seen.errors[0], ClientClosedError)
