"""Streams over HTTP as cold Observables: each subscription is one request, with one end."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from contextvars import ContextVar

import pytest
from aiohttp import web
from reactivex import operators as ops

from lunora_rx.errors import ClientClosedError, StreamError
from lunora_rx.protocol.http_stream import ChunkReader, build_stream_path, stream_headers
from lunora_rx.protocol.sse import Chunk, StreamEnd
from lunora_rx.rx.http_stream import HttpStreams
from lunora_rx.rx.stream import MAX_BUFFER_SIZE
from lunora_rx.transport.aiohttp_transport import AiohttpTransport
from tests.support import PATIENCE, Recorder, turn, until

CELL: ContextVar[str] = ContextVar("cell", default="none")


class PlayedRequest:
    """A request that a test answers by hand."""

    def __init__(self, path, headers, tell):
        self.path, self.headers, self.tell = path, headers, tell
        self.was_given_up = 0

    def give_up(self):
        """Count that nobody wants it any more."""
        self.was_given_up += 1

    def chunks(self, *values, size=0):
        """Tell several values."""
        for value in values:
            self.tell(Chunk(value, size))


class PlayedRequests:
    """Requests for streams that go nowhere."""

    def __init__(self):
        self.made = []
        self.crossed = []
        self.refusal = None

    def enter(self, what):
        """Refuse, if a test wants that."""
        if self.refusal is not None:
            raise self.refusal

    def call_on_loop(self, callback):
        """Note which thread crosses."""
        self.crossed.append(threading.get_ident())
        callback()

    def open_stream(self, path, headers, tell):
        """Keep the request for the test."""
        self.made.append(PlayedRequest(path, headers, tell))
        return self.made[-1].give_up


@pytest.fixture
def requests():
    """Where requests are made."""
    return PlayedRequests()


@pytest.fixture
def reported():
    """What observers raised."""
    return []


@pytest.fixture
def streams(requests, reported):
    """The streams of one client."""
    return HttpStreams(requests, reported.append)


def test_stream_unobserved_makes_no_request(streams, requests):
    """It is cold; a description of it shows no parameters."""
    stream = streams.stream("/s?token=canary", {"authorization": "canary"})
    assert requests.made == []
    assert repr(stream) == "<HttpStream /s>"


def test_stream_each_subscription_is_one_request(streams, requests):
    """Observers share nothing, neither values nor the end."""
    one, two = Recorder(), Recorder()
    stream = streams.stream("/s", {"x-one": "1"})
    stream.subscribe(one)
    stream.subscribe(two)
    first, second = requests.made
    assert (first.path, first.headers) == (second.path, second.headers) == ("/s", {"x-one": "1"})
    first.chunks(1, None)
    first.tell(StreamEnd())
    second.chunks(2)
    assert (one.values, one.completions, two.values, two.completions) == ([1, None], 1, [2], 0)
    assert len(streams) == 1


def test_stream_at_its_end_gives_nothing_up(streams, requests):
    """A request that is over is not aborted, neither by the end nor by disposing after it."""
    seen = Recorder()
    disposable = streams.stream("/s", {}).subscribe(seen)
    requests.made[0].tell(StreamEnd())
    disposable.dispose()
    assert (seen.completions, requests.made[0].was_given_up, len(streams)) == (1, 0, 0)


def test_stream_that_fails_tells_the_error(streams, requests):
    """Once, with code and status; subscribing again is a new request."""
    seen = Recorder()
    stream = streams.stream("/s", {})
    stream.subscribe(seen)
    requests.made[0].tell(StreamEnd(StreamError("no", code="HTTP_STREAM_STATUS", status=503)))
    (error,) = seen.errors
    assert (error.code, error.status, requests.made[0].was_given_up, len(streams)) == ("HTTP_STREAM_STATUS", 503, 0, 0)
    stream.subscribe(seen)
    assert len(requests.made) == 2


def test_stream_disposed_gives_its_request_up_once(streams, requests):
    """Quietly: what still comes is told to nobody."""
    seen = Recorder()
    disposable = streams.stream("/s", {}).subscribe(seen)
    disposable.dispose()
    disposable.dispose()
    requests.made[0].chunks(1)
    requests.made[0].tell(StreamEnd())
    assert (seen.values, seen.completions, requests.made[0].was_given_up, len(streams)) == ([], 0, 1, 0)
    assert requests.crossed == [threading.get_ident()]


def test_stream_disposed_during_a_delivery_gets_nothing_more(streams, requests):
    """What came in the same piece of the body goes nowhere."""
    seen = Recorder()
    streams.stream("/s", {}).pipe(ops.take(2)).subscribe(seen)
    requests.made[0].chunks(1, 2, 3)
    assert (seen.values, seen.completions, requests.made[0].was_given_up) == ([1, 2], 1, 1)


def test_stream_observer_that_raises_is_reported_and_goes_on(streams, requests, reported):
    """Neither the request nor other observers notice."""
    seen, values = Recorder(), []

    def on_next(value):
        values.append(value)
        raise ZeroDivisionError

    streams.stream("/s", {}).subscribe(on_next)
    streams.stream("/s", {}).subscribe(seen)
    for request in requests.made:
        request.chunks(1, 2)
    assert (values, seen.values, [type(error) for error in reported]) == ([1, 2], [1, 2], [ZeroDivisionError] * 2)


def test_stream_observer_is_called_in_its_own_context(streams, requests):
    """What it prints lands in the cell that subscribed."""
    cells = []
    token = CELL.set("one")
    streams.stream("/s", {}).subscribe(lambda value: cells.append(CELL.get()))
    CELL.reset(token)
    requests.made[0].chunks(1)
    assert cells == ["one"]


def test_streams_closed_fail_those_who_observe_and_those_who_will(streams, requests):
    """With ``CLIENT_CLOSED``; requests are given up, and none is made any more."""
    seen = Recorder()
    stream = streams.stream("/s", {})
    stream.subscribe(seen)
    stream.subscribe(on_error=lambda error: stream.subscribe(seen))
    streams.close()
    streams.close()
    assert [(type(error), error.code) for error in seen.errors] == [(ClientClosedError, "CLIENT_CLOSED")] * 2
    assert [request.was_given_up for request in requests.made] == [1, 1]
    requests.made[0].chunks(1)
    assert (seen.values, len(streams)) == ([], 0)


def test_stream_subscribed_where_no_request_can_be_made_fails(streams, requests):
    """As in a thread without a loop: the observer is told why."""
    seen = Recorder()
    requests.refusal = RuntimeError("no running event loop")
    streams.stream("/s", {}).subscribe(seen)
    assert (seen.errors, requests.made, len(streams)) == ([requests.refusal], [], 0)


async def test_aiter_takes_every_value_then_the_end(streams, requests):
    """Values wait for the loop; leaving it early gives the request up."""
    values = streams.stream("/s", {}).aiter()
    first = asyncio.create_task(anext(values))
    await turn()
    requests.made[0].chunks(1, 2, 3)
    requests.made[0].tell(StreamEnd())
    assert [await first] + [value async for value in values] == [1, 2, 3]
    async with contextlib.aclosing(streams.stream("/s", {}).aiter()) as left:
        asyncio.get_running_loop().call_soon(lambda: requests.made[1].chunks(1))
        assert await anext(left) == 1
    assert requests.made[1].was_given_up == 1


async def test_aiter_that_is_too_slow_fails(streams, requests):
    """Memory is bounded: what waits is dropped, and the request given up at once."""
    values = streams.stream("/s", {}).aiter(max_buffer=2)
    first = asyncio.create_task(anext(values))
    await turn()
    requests.made[0].chunks(1, 2, 3)
    assert requests.made[0].was_given_up == 1
    with pytest.raises(StreamError) as caught:
        await first
    assert caught.value.code == "STREAM_BACKPRESSURE"


async def test_aiter_that_is_too_many_bytes_behind_fails(streams, requests):
    """Few events may be large."""
    values = streams.stream("/s", {}).aiter()
    first = asyncio.create_task(anext(values))
    await turn()
    requests.made[0].chunks(1, 2, size=MAX_BUFFER_SIZE // 2)
    assert await first == 1
    requests.made[0].chunks(3, 4, size=MAX_BUFFER_SIZE // 2)
    assert requests.made[0].was_given_up == 1
    with pytest.raises(StreamError, match="characters behind"):
        await anext(values)


@pytest.mark.parametrize("max_buffer", [0, -1])
def test_aiter_without_a_buffer_is_refused(streams, max_buffer):
    """Something must be able to wait."""
    with pytest.raises(ValueError, match="max_buffer"):
        streams.stream("/s", {}).aiter(max_buffer=max_buffer)


class Hands(PlayedRequests):
    """What makes real requests, one task each."""

    def __init__(self, origin, transport):
        super().__init__()
        self.origin, self.transport, self.tasks = origin, transport, []

    def open_stream(self, path, headers, tell):
        """Make the request."""
        self.tasks.append(asyncio.create_task(self._read(path, stream_headers("canary", headers), tell)))
        return self.tasks[-1].cancel

    async def _read(self, path, headers, tell):
        reader = ChunkReader(1000)
        reply = await self.transport.stream(
            "GET", self.origin + path, headers=headers, timeout=PATIENCE, read_timeout=PATIENCE
        )
        try:
            news = reader.receive_head(reply.status, reply.headers)
            while not reader.is_over:
                data = await reply.read()
                news = reader.receive_end() if data is None else reader.receive_bytes(data)
                for each in news:
                    tell(each)
        finally:
            await reply.aclose()


async def test_stream_of_a_real_server_is_read_and_aborted(reported):
    """From the path to the last event, and a server that sees who leaves."""
    requests = []

    async def handler(request):
        requests.append(request)
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for text in (": hello\n\n", 'data: {"pro', 'gress": "é"}\r', "\n\r\n", "event: other\ndata: {\n\n"):
            await response.write(text.encode())
        if request.query["until"] == "end":
            await response.write(b"event: complete\ndata: {}\n\n")
        with contextlib.suppress(ConnectionError):
            while request.query["until"] == "left":
                await response.write(b"data: 1\n\n")
                await asyncio.sleep(0.01)
        return response

    app = web.Application()
    app.router.add_get("/rooms/{room}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    transport = AiohttpTransport(max_frame_size=1000, max_body_size=10)
    hands = Hands(f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}", transport)
    streams = HttpStreams(hands, reported.append)

    def stream(until):
        return streams.stream(build_stream_path("/rooms/:room", {"room": "a/b c"}, {"until": until}), {})

    try:
        assert [value async for value in stream("end").aiter()] == [{"progress": "é"}]
        with pytest.raises(StreamError, match="the body ended before") as caught:
            _ = [value async for value in stream("cut").aiter()]
        assert caught.value.code == "HTTP_STREAM_INTERRUPTED"
        seen = Recorder()
        stream("left").pipe(ops.take(3)).subscribe(seen)
        await until(lambda: seen.completions)
        await until(lambda: requests[2].transport is None or requests[2].transport.is_closing())
        assert seen.values == [{"progress": "é"}, 1, 1]
        assert requests[0].match_info["room"] == "a/b c"
        assert requests[0].headers["authorization"] == "Bearer canary"
        await asyncio.gather(*hands.tasks, return_exceptions=True)
    finally:
        await transport.aclose()
        await runner.cleanup()
