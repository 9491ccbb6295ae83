"""WebSockets and HTTP over aiohttp: limits, refusals, and what is never shown."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import traceback
from collections import deque

import aiohttp
import pytest
from aiohttp import web

from lunora_rx.errors import LunoraError, ProtocolError, RequestTimeout, TransportError
from lunora_rx.transport import aiohttp_transport
from lunora_rx.transport.aiohttp_transport import AiohttpSocket, AiohttpTransport
from tests.support import PATIENCE, until

CANARY = "canary-4711"


@contextlib.asynccontextmanager
async def serving(**handlers):
    """Serve each handler under its name, for GET and POST; yields ``127.0.0.1:port``."""
    app = web.Application()
    for name, handler in handlers.items():
        app.router.add_route("*", f"/{name}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def transporting(session=None, **options):
    """A transport that is closed at the end."""
    transport = AiohttpTransport(session, **{"max_frame_size": 1000, "max_body_size": 1000, **options})
    try:
        yield transport
    finally:
        await transport.aclose()


async def post(transport, url, **headers):
    """Post a small body."""
    return await transport.request("POST", url, headers=headers, body=b"{}", timeout=PATIENCE)


async def websocket(request):
    """Accept a socket and echo what comes, until it is closed."""
    socket = web.WebSocketResponse(max_msg_size=10)
    await socket.prepare(request)
    async for message in socket:
        await socket.send_str(message.data)
    return socket


async def send_for_ever(socket):
    """Send until that is refused."""
    while True:
        await socket.send("x" * 100_000)


async def free_port():
    """A port where nobody listens."""
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port


@pytest.mark.fault(24)
async def test_frame_above_the_limit_closes_with_1009_towards_the_peer():
    """A frame that is too large is refused, and both sides know why."""
    code = asyncio.get_running_loop().create_future()

    async def handler(request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str("x" * 2000)
        await socket.receive()
        code.set_result(socket.close_code)
        return socket

    async with serving(ws=handler) as place, transporting() as transport:
        socket = await transport.connect(f"ws://{place}/ws", {})
        assert await socket.receive() is None
        assert socket.close_code == 1009
        assert await code == 1009


@pytest.mark.fault(24)
async def test_frame_above_the_limit_of_the_peer_ends_with_1009():
    """A peer that refuses our frame says so by its code."""
    async with serving(ws=websocket) as place, transporting() as transport:
        socket = await transport.connect(f"ws://{place}/ws", {})
        await socket.send("x" * 2000)
        assert await socket.receive() is None
        assert socket.close_code == 1009


async def bursts(request):
    """Send three texts at once, a binary frame, one more text, and close."""
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    for text in ("1", "2", "3"):
        await socket.send_str(text)
    await socket.send_bytes(b"4")
    await socket.send_str("5")
    await socket.close()
    return socket


async def everything(socket, limit):
    """Read to the end, once all has arrived."""
    found = [await socket.receive_many(limit)]
    await asyncio.sleep(0.1)
    while found[-1] is not None:
        found.append(await socket.receive_many(limit))
    return [[text if type(text) is str else text.decode() for text in each] for each in found[:-1]]


@pytest.mark.parametrize("limit", [1, 2, 10])
async def test_frames_that_are_there_already_are_received_together(limit):
    """As many as are wanted, in order; what is no text comes alone."""
    async with serving(ws=bursts) as place, transporting() as transport:
        socket = await transport.connect(f"ws://{place}/ws", {})
        found = await everything(socket, limit)
        assert [text for each in found for text in each] == ["1", "2", "3", "4", "5"]
        assert (limit == 1) == (len(found) == 5)
        assert max(map(len, found)) <= limit
        assert found[-2:] == [["4"], ["5"]]


@pytest.mark.parametrize("part", ["_reader", "_buffer"])
async def test_frames_are_received_one_by_one_where_aiohttp_keeps_them_otherwise(part):
    """What is looked at is not promised by aiohttp; nothing is lost when it is something else."""

    class Without:
        """Something that lacks one part."""

        def __init__(self, whole):
            self._whole = whole

        def __getattr__(self, name):
            if name == part:
                raise AttributeError(name)
            found = getattr(self._whole, name)
            return Without(found) if name == "_reader" else found

    async with serving(ws=bursts) as place, transporting() as transport:
        socket = await transport.connect(f"ws://{place}/ws", {})
        assert await everything(AiohttpSocket(Without(socket._websocket)), 10) == [["1"], ["2"], ["3"], ["4"], ["5"]]


async def test_frames_that_aiohttp_keeps_in_another_form_are_received_one_by_one():
    """The same, where it shows only in what is kept."""
    async with serving(ws=bursts) as place, transporting() as transport:
        socket = await transport.connect(f"ws://{place}/ws", {})
        socket._arrived = deque(["a message of another form"])
        assert await everything(socket, 10) == [["1"], ["2"], ["3"], ["4"], ["5"]]


@pytest.mark.parametrize("compressed", [False, True])
async def test_body_above_the_limit_is_cut(compressed):
    """A large reply is not read to its end, also when it was small on the wire; the reply says so."""

    async def handler(request):
        body = b"x" * 100_000
        if compressed:
            return web.Response(body=gzip.compress(body), headers={"content-encoding": "gzip"})
        return web.Response(body=body)

    async with serving(rpc=handler) as place, transporting() as transport:
        reply = await post(transport, f"http://{place}/rpc")
    assert (reply.status, reply.body, reply.is_cut) == (200, b"", True)


async def test_websocket_redirect_is_refused_by_an_own_session():
    """A socket is opened where it was asked for, or not at all."""
    await assert_redirect_refused(None)


async def test_websocket_redirect_is_refused_by_a_session_of_the_user():
    """A session of the user's follows redirects by itself; sockets of ours do not."""
    async with aiohttp.ClientSession(headers={"x-secret": CANARY}) as session:
        await assert_redirect_refused(session)


async def assert_redirect_refused(session):
    """Try a server that sends sockets elsewhere, and see that nobody comes there."""
    arrived = []

    async def elsewhere(request):
        arrived.append(request.headers)
        return await websocket(request)

    async def redirect(request):
        raise web.HTTPTemporaryRedirect("/elsewhere?token=" + CANARY)

    async with serving(ws=redirect, elsewhere=elsewhere) as place, transporting(session) as transport:
        with pytest.raises(TransportError, match="answered 307, and redirects are not followed") as caught:
            await transport.connect(f"ws://{place}/ws?token={CANARY}", {})
        assert arrived == []
        assert CANARY not in shown(caught.value)


async def test_session_of_the_user_lends_its_headers_and_cookies_and_stays_open():
    """Headers, cookies and basic credentials go with both; the session is the user's to close."""
    seen = []

    async def handler(request):
        seen.append((request.headers.get("x-one"), request.cookies.get("c")))
        return await websocket(request) if "upgrade" in request.headers else web.Response(body=b"{}")

    async with serving(any=handler) as place:
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(headers={"x-one": "1"}, cookie_jar=jar) as session:
            jar.update_cookies({"c": "2"}, aiohttp.typedefs.URL(f"http://{place}"))
            async with transporting(session) as transport:
                await post(transport, f"http://{place}/any")
                await (await transport.connect(f"ws://{place}/any", {})).close()
            assert seen == [("1", "2")] * 2
            assert not session.closed


async def test_session_of_the_user_that_raises_for_status_still_gives_the_reply():
    """What a refusal says is read, whatever the session does with statuses by default."""

    async def handler(request):
        return web.Response(status=403, body=b"why")

    async with serving(rpc=handler) as place, aiohttp.ClientSession(raise_for_status=True) as session:
        async with transporting(session) as transport:
            reply = await post(transport, f"http://{place}/rpc")
        assert (reply.status, reply.body) == (403, b"why")


async def test_session_of_the_user_that_is_closed_says_so():
    """A closed session is a clear failure and not a ``RuntimeError``."""
    session = aiohttp.ClientSession()
    await session.close()
    async with transporting(session) as transport:
        for attempt in (post(transport, "http://127.0.0.1/rpc"), transport.connect("ws://127.0.0.1/ws", {})):
            with pytest.raises(TransportError, match="session is closed"):
                await attempt


@pytest.mark.parametrize(("status", "kind"), [(200, ProtocolError), (404, ProtocolError), (503, TransportError)])
async def test_connect_to_something_else_says_what_it_answered(status, kind):
    """A server that is not Lunora, or not up yet, is named with its answer, without the token."""

    async def handler(request):
        return web.Response(status=status, text="<html>")

    async with serving(ws=handler) as place, transporting() as transport:
        with pytest.raises(kind, match=f"answered {status}") as caught:
            await transport.connect(f"ws://{place}/ws?token={CANARY}", {})
        assert caught.value.status == status
        assert CANARY not in shown(caught.value)


async def test_connect_to_nobody_shows_no_token():
    """A refused connection is named by its place, without parameters, credentials or headers."""
    port = await free_port()
    async with transporting() as transport:
        with pytest.raises(TransportError, match=f"127.0.0.1:{port}/ws: Connect") as caught:
            await transport.connect(f"ws://user:{CANARY}@127.0.0.1:{port}/ws?shard=s&token={CANARY}", {})
        assert caught.value.transient
        with pytest.raises(TransportError) as refused:
            await post(transport, f"http://127.0.0.1:{port}/rpc?token={CANARY}", authorization=f"Bearer {CANARY}")
    assert CANARY not in shown(caught.value) + shown(refused.value)


async def test_connect_to_an_unknown_name_says_so():
    """A name that cannot be resolved is a reason of its own."""
    async with transporting() as transport:
        with pytest.raises(TransportError, match="its name cannot be resolved"):
            await transport.connect("ws://nobody.invalid/ws", {})


async def test_request_that_times_out_shows_no_token():
    """The timeout names place and time."""

    async def handler(request):
        await asyncio.sleep(PATIENCE)

    async with serving(rpc=handler) as place, transporting() as transport:
        with pytest.raises(RequestTimeout, match=r"within 0\.05 s") as caught:
            await transport.request(
                "POST",
                f"http://{place}/rpc?token={CANARY}",
                headers={"authorization": CANARY},
                body=b"",
                timeout=0.05,
            )
        assert CANARY not in shown(caught.value)


async def test_request_cut_off_is_a_transport_error():
    """A connection that breaks before the reply leaves the fate unknown."""

    async def handler(request):
        request.transport.abort()
        await asyncio.sleep(0)

    async with serving(rpc=handler) as place, transporting() as transport:
        with pytest.raises(TransportError) as caught:
            await post(transport, f"http://{place}/rpc", authorization=CANARY)
        assert (caught.value.transient, caught.value.code) == (True, None)
        assert CANARY not in shown(caught.value)


@pytest.mark.fault(4, 5)
async def test_send_to_a_peer_that_reads_nothing_gives_up(monkeypatch):
    """A frozen peer does not hold a send, or a close, for ever."""
    monkeypatch.setattr(aiohttp_transport, "SEND_TIMEOUT", 0.1)
    monkeypatch.setattr(aiohttp_transport, "CLOSE_TIMEOUT", 0.1)
    over = asyncio.Event()

    async def handler(request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        request.transport.pause_reading()
        await over.wait()
        request.transport.abort()
        return socket

    async with serving(ws=handler) as place, transporting() as transport:
        socket = await transport.connect(f"ws://{place}/ws", {})
        with pytest.raises(TransportError, match="took no frame"):
            await send_for_ever(socket)
        async with asyncio.timeout(2):
            await socket.close()
        over.set()


async def test_close_towards_a_peer_that_never_stops_talking_gives_up(monkeypatch):
    """A peer that sends frames instead of its close does not keep us."""
    monkeypatch.setattr(aiohttp_transport, "CLOSE_TIMEOUT", 0.1)

    async def handler(request):
        socket = web.WebSocketResponse(autoclose=False)
        await socket.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await socket.send_str("and another thing")
                await asyncio.sleep(0.01)
        return socket

    async with serving(ws=handler) as place, transporting() as transport:
        socket = await transport.connect(f"ws://{place}/ws", {})
        await socket.receive()
        async with asyncio.timeout(2):
            await socket.close()
        assert await socket.receive() is None


@pytest.mark.fault(12)
@pytest.mark.parametrize("has_session", [False, True], ids=["own session", "session of the user"])
async def test_connect_that_is_cut_off_is_attempted_once(has_session):
    """When to try again is the backoff's to say, and not aiohttp's, which would do so at once."""
    attempts = []

    def accept(reader, writer):
        attempts.append(writer)
        writer.transport.abort()

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server, aiohttp.ClientSession() as session:
        place = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with transporting(session if has_session else None) as transport:
            with pytest.raises(TransportError) as caught:
                await transport.connect(f"ws://{place}/ws?token={CANARY}", {})
    assert len(attempts) == 1
    assert caught.value.transient
    assert CANARY not in shown(caught.value)


async def test_connect_cancelled_leaves_no_connection():
    """Giving up a handshake closes its connection."""
    requests = asyncio.Queue()
    over = asyncio.Event()

    async def handler(request):
        requests.put_nowait(request)
        await over.wait()

    async with serving(ws=handler) as place, transporting() as transport:
        task = asyncio.create_task(transport.connect(f"ws://{place}/ws", {}))
        request = await requests.get()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: request.transport is None or request.transport.is_closing())
        over.set()


def get(transport, url, **headers):
    """Ask for a stream."""
    return transport.stream("GET", url, headers=headers, timeout=PATIENCE, read_timeout=PATIENCE)


async def read_all(reply):
    """Return the whole body."""
    pieces = []
    try:
        while (data := await reply.read()) is not None:
            pieces.append(data)
    finally:
        await reply.aclose()
    return b"".join(pieces)


async def test_stream_redirected_is_not_followed_and_keeps_its_credentials():
    """The bearer stays with the origin that it was meant for, also with a session of the user's."""
    arrived = []

    async def elsewhere(request):
        arrived.append(request.headers)
        return web.Response()

    async def redirect(request):
        raise web.HTTPTemporaryRedirect(f"http://localhost:{request.url.port}/elsewhere")

    async with serving(sse=redirect, elsewhere=elsewhere) as place, aiohttp.ClientSession() as session:
        for lent in (None, session):
            async with transporting(lent) as transport:
                reply = await get(transport, f"http://{place}/sse", authorization=f"Bearer {CANARY}")
                assert reply.status == 307
                await reply.aclose()
    assert arrived == []


async def test_stream_has_no_limit_of_size_and_lower_header_names():
    """The limit of a body is for what is kept whole."""

    async def handler(request):
        return web.Response(body=b"x" * 100_000, headers={"X-One": "1"})

    async with serving(sse=handler) as place, transporting(max_body_size=10) as transport:
        reply = await get(transport, f"http://{place}/sse")
        assert reply.headers["x-one"] == "1"
        assert len(await read_all(reply)) == 100_000


@pytest.mark.fault(56)
async def test_stream_nobody_reads_is_held_back():
    """What the server sends waits on its side: memory is bounded here."""
    sent, over = [0], asyncio.Event()

    async def handler(request):
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while not over.is_set():
                await response.write(b"x" * 100_000)
                sent[0] += 1
        return response

    async with serving(sse=handler) as place, transporting() as transport:
        reply = await get(transport, f"http://{place}/sse")
        await until(lambda: sent[0] > 0)
        before = -1
        while before != sent[0]:
            before = sent[0]
            await asyncio.sleep(0.1)
        assert sent[0] < 1000
        assert len(await reply.read()) < 1_000_000
        over.set()
        await reply.aclose()


async def test_stream_asks_for_no_compression_and_reads_it_all_the_same():
    """Some proxies compress whatever is asked; the session of the user's decides nothing of it."""
    asked = []

    async def handler(request):
        asked.append(request.headers["accept-encoding"])
        return web.Response(body=gzip.compress(b"data: 1"), headers={"content-encoding": "gzip"})

    session = aiohttp.ClientSession(auto_decompress=False)
    async with serving(sse=handler) as place, session, transporting(session) as transport:
        assert await read_all(await get(transport, f"http://{place}/sse")) == b"data: 1"
    assert asked == ["identity"]


async def test_stream_whose_compression_is_broken_is_a_transport_error():
    """A body that cannot be read has broken off."""

    async def handler(request):
        return web.Response(body=b"no gzip", headers={"content-encoding": "gzip"})

    async with serving(sse=handler) as place, transporting() as transport:
        reply = await get(transport, f"http://{place}/sse")
        with pytest.raises(TransportError, match="broke off"):
            await reply.read()
        await reply.aclose()


async def test_stream_of_a_session_that_raises_for_status_still_gives_the_reply():
    """What a refusal says is read, whatever the session does with statuses by default."""

    async def handler(request):
        return web.Response(status=403, body=b"why")

    session = aiohttp.ClientSession(raise_for_status=True)
    async with serving(sse=handler) as place, session, transporting(session) as transport:
        reply = await get(transport, f"http://{place}/sse")
        assert (reply.status, await read_all(reply)) == (403, b"why")


async def test_stream_that_fails_shows_no_token():
    """Neither before the headers nor in the body, neither cut off nor silent."""

    async def handler(request):
        if "begin" in request.query:
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(b"x")
            await asyncio.sleep(0)
        if "silent" in request.query:
            await asyncio.sleep(PATIENCE)
        request.transport.abort()
        await asyncio.sleep(0)

    texts = []
    async with serving(sse=handler) as place, transporting() as transport:
        for way in ("cut", "silent", "begin&cut", "begin&silent"):
            with pytest.raises(TransportError) as caught:
                await read_all(
                    await transport.stream(
                        "GET",
                        f"http://user:{CANARY}@{place}/sse?token={CANARY}&{way}",
                        headers={"x-secret": CANARY},
                        timeout=0.5,
                        read_timeout=0.05,
                    )
                )
            texts.append(shown(caught.value))
            assert isinstance(caught.value, RequestTimeout) == ("silent" in way)
    assert CANARY not in "".join(texts)
    assert all("/sse" in text for text in texts)


async def test_stream_to_nobody_is_a_transport_error():
    """As for any request, and a closed session says so."""
    session = aiohttp.ClientSession()
    await session.close()
    port = await free_port()
    async with transporting() as transport, transporting(session) as closed:
        for each, reason in ((transport, "Connect"), (closed, "session is closed")):
            with pytest.raises(TransportError, match=reason) as caught:
                await get(each, f"http://127.0.0.1:{port}/sse")
            assert caught.value.transient


async def test_stream_given_up_before_its_headers_leaves_no_connection():
    """Giving up the wait closes its connection, whether by cancelling or by the time allowed."""
    requests = asyncio.Queue()
    over = asyncio.Event()

    async def handler(request):
        requests.put_nowait(request)
        await over.wait()

    async with serving(sse=handler) as place, transporting() as transport:
        task = asyncio.create_task(get(transport, f"http://{place}/sse"))
        first = await requests.get()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(RequestTimeout):
            await transport.stream("GET", f"http://{place}/sse", headers={}, timeout=0.1, read_timeout=1)
        for request in (first, await requests.get()):
            await until(lambda request=request: request.transport is None or request.transport.is_closing())
        over.set()


async def test_stream_read_to_its_end_gives_its_connection_back():
    """The next request goes over the same connection."""
    peers = []

    async def handler(request):
        peers.append(request.transport.get_extra_info("peername"))
        return web.Response(body=b"x")

    async with serving(sse=handler) as place, transporting() as transport:
        for _ in range(2):
            assert await read_all(await get(transport, f"http://{place}/sse")) == b"x"
    assert peers[0] == peers[1]


def shown(error: LunoraError) -> str:
    """Everything that printing an exception, or looking at it, could show."""
    lines = traceback.format_exception(error)
    return "".join([*lines, repr(error), str(error), repr(vars(error))])
