"""The client's public methods: what goes over the wire, and what is refused at the call."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
import os
import threading
import traceback
from pathlib import Path

import aiohttp
import pytest
import reactivex
from aiohttp import web
from reactivex import operators as ops

import lunora_rx
from lunora_rx import (
    ActionRef,
    Backoff,
    ClientClosedError,
    CodecError,
    LunoraClient,
    LunoraError,
    MutationRef,
    Polling,
    QueryRef,
    ServerError,
    Status,
    StreamRef,
    TransportError,
    Whisper,
    WireBigInt,
    api,
)
from tests.support import Recorder, turn, until

CANARY = "canary-4711"


class Bookmarks:
    """A bookmark store in memory."""

    def __init__(self, value=None, error=None):
        self.value = value
        self.error = error

    def get(self):
        """Return the bookmark."""
        return self.value

    def set(self, value):
        """Remember a bookmark, or fail."""
        if self.error:
            raise self.error
        self.value = value


async def test_client_calls_go_to_their_place_with_their_headers(server, no_tasks_left):
    """A query carries the bearer and no key; a write carries its key and the client's id."""
    async with server.client(auth_token="bearer", client_id="me") as client:
        client.query(api.messages.list, {"n": 1}, shard="s")
        client.mutation(MutationRef("messages:send"), mutation_id="key")
        client.action(ActionRef("mail:send"))
        query, mutation, action = [await server.call() for _ in range(3)]
        for call in (query, mutation, action):
            call.reply({"result": 1})
    assert (query.request.method, query.request.url) == ("POST", "http://server.test/_lunora/rpc")
    assert query.body == {"args": {"n": 1}, "functionPath": "messages:list", "shardKey": "s"}
    assert query.headers == {"content-type": "application/json", "authorization": "Bearer bearer"}
    assert mutation.headers["x-lunora-mutation-id"] == "key"
    assert mutation.headers["x-lunora-client-id"] == "me"
    assert "x-lunora-mutation-id" not in action.headers


async def test_client_set_auth_token_is_used_from_then_on(server, no_tasks_left):
    """A new bearer goes with the next call; ``None`` sends none."""
    async with server.client(auth_token="old") as client:
        seen = []
        for token in ("new", None):
            client.set_auth_token(token)
            client.query("a:b")
            call = await server.call()
            seen.append(call.headers.get("authorization"))
            call.reply({"result": 1})
    assert seen == ["Bearer new", None]


async def test_client_cookie_auth_sends_the_origin(server, no_tasks_left):
    """The server's cross-site guard needs it."""
    async with server.client(cookie_auth=True) as client:
        client.query("a:b")
        call = await server.call()
        assert call.headers["origin"] == "http://server.test"
        call.reply({"result": 1})


async def test_client_commit_cursor_is_demanded_of_the_next_read(server, client):
    """After a write, reads of its shard ask for a replica that has seen it; other shards do not."""
    mutation = client.mutation("a:set", shard="s")
    (await server.call()).reply({"result": 1, "commitCursor": 7})
    await mutation
    for shard, expected in (("s", "7"), ("other", None), (None, None)):
        client.query("a:b", shard=shard)
        call = await server.call()
        assert call.headers.get("x-lunora-min-seq") == expected
        call.reply({"result": 1})


async def test_client_baseline_goes_with_a_write(server, client):
    """A write says how far the live queries of its shard have seen; without one it says nothing."""
    client.mutation("a:set")
    call = await server.call()
    assert "x-lunora-base-seq" not in call.headers
    call.reply({"result": 1})
    client.live("a:b").subscribe(Recorder())
    socket, sub = await server.subscribed()
    await socket.push("data", id=sub, data=1, cursor=12)
    client.mutation("a:set")
    call = await server.call()
    assert call.headers["x-lunora-base-seq"] == "12"
    call.reply({"result": 1})


async def test_client_bookmark_is_kept_and_sent(server, no_tasks_left):
    """The bookmark of a reply goes with the next request, also of a refusal, and into the store."""
    store = Bookmarks("b0")
    async with server.client(bookmarks=store) as client:
        for sent, received in (("b0", "b1"), ("b1", "b2")):
            client.query("a:b").subscribe(Recorder())
            call = await server.call()
            assert call.headers["x-d1-bookmark"] == sent
            call.reply({"error": {"code": "NO"}}, status=400, x_d1_bookmark=received)
            await until(lambda received=received: store.value == received)


async def test_client_bookmark_store_that_raises_harms_no_call(server, no_tasks_left, caplog):
    """The call gets its result, and the failure of the store is logged."""
    async with server.client(bookmarks=Bookmarks(error=OSError("disk"))) as client:
        call = client.query("a:b")
        (await server.call()).reply({"result": 1}, x_d1_bookmark="b1")
        assert await call == 1
    assert "the bookmark store raised OSError" in caplog.text


async def test_client_connection_context_goes_with_the_introduction(server, no_tasks_left):
    """The context is in every ``connect`` frame."""
    async with server.client(connection_context={"page": 1}, client_id="me") as client:
        client.live("a:b").subscribe(Recorder())
        async with asyncio.timeout(5):
            socket = await server._sockets.get()
        frame = await socket.expect("connect")
    assert (frame["clientId"], frame["context"], frame["caps"]) == ("me", {"page": 1}, ["pageDelta"])


async def test_client_token_expired_names_the_shard(server, client):
    """A socket closed with 4001 tells whoever listens."""
    seen = Recorder()
    client.token_expired.subscribe(seen)
    client.live("a:b", shard="s").subscribe(Recorder())
    socket, _ = await server.subscribed()
    socket.cut(4001)
    await server.socket()
    assert seen.values == ["s"]


async def test_client_status_follows_the_connection(server, client):
    """``status`` has the value now, and tells each change once."""
    seen = Recorder()
    client.status.subscribe(seen)
    assert client.status.value is Status.IDLE
    client.live("a:b").subscribe(Recorder())
    await server.subscribed()
    assert seen.values == [Status.IDLE, Status.CONNECTING, Status.CONNECTED]


async def test_client_closed_refuses_every_method(server):
    """Using a closed client says so, whatever is called."""
    client = server.client()
    await client.aclose()
    live = [
        lambda: client.live("a:b"),
        lambda: client.live("a:b", reactivex.of({})),
        lambda: client.query("a:b"),
        lambda: client.action("a:b"),
        lambda: client.mutation("a:b"),
        lambda: client.batch([]),
        lambda: client.current_user(),
        lambda: client.set_auth_token("t"),
        lambda: client.set_ws_token("t"),
        lambda: client.scheduler,
    ]
    for use in live:
        with pytest.raises(ClientClosedError) as caught:
            use()
        assert caught.value.code == "CLIENT_CLOSED"
    with pytest.raises(ClientClosedError):
        async with client:
            pass
    assert "closed" in repr(client)
    assert client.debug()["closed"] is True


async def test_client_closed_live_query_refuses_a_refresh(server):
    """A live query of a closed client cannot be refreshed."""
    client = server.client()
    live = client.live("a:b")
    await client.aclose()
    with pytest.raises(ClientClosedError):
        live.refresh()


@pytest.mark.parametrize(
    ("use", "kind", "said"),
    [
        (lambda c: c.live(MutationRef("a:b")), TypeError, r"live\(\) takes a query: use client.mutation\(\)"),
        (lambda c: c.query(ActionRef("a:b")), TypeError, r"query\(\) takes a query: use client.action\(\)"),
        (lambda c: c.mutation(QueryRef("a:b")), TypeError, r"mutation\(\) takes a mutation: use client.live\(\)"),
        (lambda c: c.action(StreamRef("a:b")), TypeError, r"action\(\) takes an action: use client.stream\(\)"),
        (lambda c: c.live(5), TypeError, "function is a string"),
        (lambda c: c.live("messages"), ValueError, "'messages' is not of the form 'file:function'"),
        (lambda c: c.live(api.messages), ValueError, "'messages' is not of the form"),
        (lambda c: c.live("a:b", [1]), TypeError, "args is a dict of arguments by name, not list"),
        (lambda c: c.live("a:b", {"x": [object()]}), CodecError, r"args.x\[0\].*live\('a:b'\)"),
        (lambda c: c.query("a:b", {"x": object()}), CodecError, r"args.x.*query\('a:b'\)"),
        (lambda c: c.mutation("a:b", {"x": object()}), CodecError, r"args.x.*mutation\('a:b'\)"),
        (lambda c: c.batch([("a:b", {"x": object()})]), CodecError, r"args.x.*call 0"),
        (lambda c: c.live("a:b", shard=5), TypeError, "shard is a string or None"),
        (lambda c: c.live("a:b", reactivex.of({}), shard=5), TypeError, "shard is a string or None"),
        (lambda c: c.live("a:b", shard="\ud800"), ValueError, "shard"),
        (lambda c: c.query("a:b", timeout=0), ValueError, "timeout"),
        (lambda c: c.query("a:b", timeout="1"), TypeError, "timeout"),
        (lambda c: c.mutation("a:b", timeout=float("nan")), ValueError, "timeout"),
        (lambda c: c.mutation("a:b", mutation_id="a\nb"), ValueError, "mutation_id"),
        (lambda c: c.mutation("a:b", mutation_id=5), TypeError, "mutation_id"),
        (lambda c: c.set_auth_token(f"{CANARY}\n"), ValueError, "token"),
        (lambda c: c.set_ws_token(5), TypeError, "token"),
    ],
)
async def test_client_bad_argument_is_refused_at_the_call(server, client, use, kind, said):
    """What cannot be is refused where it was written, with its name, and nothing is half done."""
    with pytest.raises(kind, match=said) as caught:
        use(client)
    await turn()
    assert CANARY not in str(caught.value)
    assert (server.urls, server.waiting_calls, client.debug()["calls_in_flight"]) == ([], 0, 0)
    assert "0 calls" in repr(client)


@pytest.mark.parametrize(
    ("options", "kind", "named"),
    [
        ({"url": 5}, TypeError, "url"),
        ({"url": "server.test"}, ValueError, "url"),
        ({"url": "ftp://server.test"}, ValueError, "url"),
        ({"url": f"server.test?token={CANARY}"}, ValueError, "url"),
        ({"ws_url": "http://server.test"}, ValueError, "ws_url"),
        ({"auth_token": f"{CANARY}\r\n"}, ValueError, "auth_token"),
        ({"auth_token": 5}, TypeError, "auth_token"),
        ({"ws_token": 5}, TypeError, "ws_token"),
        ({"client_id": ""}, ValueError, "client_id"),
        ({"reconnect": 5}, TypeError, "reconnect"),
        ({"heartbeat_interval": "30"}, TypeError, "heartbeat_interval"),
        ({"connect_timeout": float("inf")}, ValueError, "connect_timeout"),
        ({"request_timeout": 0}, ValueError, "request_timeout"),
        ({"linger": None}, TypeError, "linger"),
        ({"max_frame_size": 0}, ValueError, "max_frame_size"),
        ({"max_body_size": 1.5}, TypeError, "max_body_size"),
        ({"connection_context": object()}, CodecError, "connection_context"),
        ({"on_error": 5}, TypeError, "on_error"),
        ({"session": 5}, TypeError, "session"),
        ({"storage": 5}, TypeError, "storage"),
        ({"storage": ""}, TypeError, "storage"),
        ({"storage_version": 5}, TypeError, "storage_version"),
        ({"on_storage_error": 5}, TypeError, "on_storage_error"),
        ({"queue_limit": 0}, ValueError, "queue_limit"),
        ({"auth_subject": 5}, TypeError, "auth_subject"),
        ({"auth_subject": "\ud800"}, ValueError, "auth_subject"),
        ({"auth_base_path": "auth"}, ValueError, "auth_base_path"),
        ({"auth_base_path": "/auth?x"}, ValueError, "auth_base_path"),
    ],
)
def test_client_bad_option_is_named(options, kind, named):
    """An unusable option is refused when the client is made."""
    with pytest.raises(kind, match=named) as caught:
        LunoraClient(**{"url": "http://server.test", **options})
    assert CANARY not in str(caught.value)


def test_client_made_without_a_loop_does_nothing():
    """Constructing needs no loop and does no I/O."""
    client = LunoraClient("http://server.test")
    assert repr(client) == "<LunoraClient http://server.test idle, 0 live, 0 calls>"
    assert client.live("a:b").snapshot.status == "pending"


async def test_client_debug_is_plain_data_without_tokens(server, no_tasks_left):
    """What a bug report needs can be written as JSON, and holds no secret and no value."""
    async with server.client(auth_token=CANARY, ws_token=CANARY, bookmarks=Bookmarks(CANARY)) as client:
        client.live("a:b", {"n": 1}).subscribe(Recorder())
        socket, sub = await server.subscribed()
        await socket.push("data", id=sub, data=CANARY)
        report = json.dumps(client.debug())
        assert CANARY not in report + repr(client) + repr(vars(client))
        assert json.loads(report)["has_bearer"] is True
        assert "a:b" in report


async def test_client_on_error_that_raises_is_logged(server, no_tasks_left, caplog):
    """The hook for errors may fail too."""
    async with server.client(on_error=lambda error: 1 / 0) as client:
        client.live("a:b").subscribe(lambda value: [][0])
        socket, sub = await server.subscribed()
        await socket.push("data", id=sub, data=1)
        assert "on_error itself raised ZeroDivisionError" in caplog.text


async def test_client_observer_that_raises_is_logged_by_default(server, client, caplog):
    """Without a hook the log has it, with its traceback."""
    client.live("a:b").subscribe(lambda value: [][0])
    socket, sub = await server.subscribed()
    await socket.push("data", id=sub, data=1)
    assert "an observer raised IndexError" in caplog.text
    assert "Traceback" in caplog.text


async def test_client_scheduler_runs_time_operators_without_a_thread(server, client):
    """``debounce`` with the client's scheduler emits on the loop's thread, and starts none."""
    threads, seen = threading.active_count(), []
    live = client.live("a:b").pipe(ops.debounce(0.01, scheduler=client.scheduler))
    live.subscribe(lambda value: seen.append((value, threading.current_thread())))
    socket, sub = await server.subscribed()
    for number in (1, 2, 3):
        await socket.push("data", id=sub, data=number)
    assert threading.active_count() == threads
    await until(lambda: seen)
    assert seen == [(3, threading.main_thread())]


@pytest.mark.parametrize("is_given_at_the_end", [True, False])
@pytest.mark.parametrize(
    "operator",
    [
        lambda scheduler: ops.debounce(0.001, scheduler=scheduler),
        lambda scheduler: ops.sample(0.001, scheduler=scheduler),
        lambda scheduler: ops.delay(0.001, scheduler=scheduler),
        lambda scheduler: ops.throttle_with_timeout(0.001, scheduler=scheduler),
        lambda scheduler: ops.buffer_with_time(0.001, scheduler=scheduler),
        lambda scheduler: ops.timeout(60, scheduler=scheduler),
    ],
    ids=["debounce", "sample", "delay", "throttle_with_timeout", "buffer_with_time", "timeout"],
)
async def test_client_scheduler_keeps_time_operators_on_the_loop(server, client, operator, is_given_at_the_end):
    """Given to the operator, or once to ``subscribe`` for all of them; a disposal leaves no timer that emits."""
    threads, seen, scheduler = set(threading.enumerate()), [], client.scheduler
    live = client.live("a:b").pipe(operator(None if is_given_at_the_end else scheduler))
    options = {"scheduler": scheduler} if is_given_at_the_end else {}
    handle = live.subscribe(lambda value: seen.append((value, threading.current_thread())), **options)
    socket, sub = await server.subscribed()
    await socket.push("data", id=sub, data=1)
    await until(lambda: [value for value, _ in seen if value])
    handle.dispose()
    assert {thread for _, thread in seen} == {threading.main_thread()}
    assert set(threading.enumerate()) <= threads


async def test_client_reply_of_something_else_is_a_transport_error(server, client):
    """A page of HTML with status 200 is no result."""
    call = client.query("a:b")
    (await server.call()).reply(b"<html>")
    with pytest.raises(TransportError, match="is this a Lunora deployment") as caught:
        await call
    assert (caught.value.code, caught.value.transient) == ("INTERNAL", True)


async def test_client_redirect_of_a_call_is_not_followed(server, client):
    """A redirect is a reply that cannot be read; the bearer goes nowhere else."""
    call = client.query("a:b")
    (await server.call()).reply(b"", status=307, location="http://elsewhere.test/")
    with pytest.raises(LunoraError) as caught:
        await call
    assert caught.value.status == 307
    assert server.waiting_calls == 0


async def test_client_session_of_the_user_is_not_closed(no_tasks_left):
    """A session given to the client stays the user's."""
    async with aiohttp.ClientSession() as session:
        async with LunoraClient("http://127.0.0.1:9", session=session, reconnect=Backoff(5, 5)) as client:
            with pytest.raises(TransportError):
                await client.query("a:b")
        assert not session.closed


async def test_client_tokens_are_shown_nowhere(no_tasks_left, caplog):
    """Bearer and socket token stay out of logs, exceptions, tracebacks and reprs, also when nothing works."""
    caplog.set_level(logging.DEBUG)
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    output, url = io.StringIO(), f"http://127.0.0.1:{port}"
    async with (
        server,
        LunoraClient(url, auth_token=CANARY, ws_token=lambda: CANARY, reconnect=Backoff(0.01, 0.02)) as client,
    ):
        client.live("a:b").subscribe(print)
        for call in (client.query("a:b"), client.mutation("a:b"), client.batch([("a:b",)])):
            try:
                await call
            except TransportError as error:
                traceback.print_exception(error, file=output)
                print(repr(error), vars(error), error.__context__, repr(call), file=output)
        await until(lambda: client.debug()["last_error"])
        print(client, vars(client), client.debug(), asyncio.all_tasks(), file=output)
    assert "127.0.0.1" in output.getvalue()
    assert CANARY not in output.getvalue() + caplog.text


async def test_client_server_error_carries_what_the_server_said(server, client):
    """Code, message, data, hint and address of the documentation arrive."""
    call = client.query("a:b")
    envelope = {"code": "X", "message": "m", "data": {"n": 1}, "hint": "try", "docsUrl": "http://docs.test"}
    (await server.call()).reply({"error": envelope}, status=429, retry_after="2")
    with pytest.raises(ServerError) as caught:
        await call
    error = caught.value
    assert (error.code, error.message, error.hint, error.docs_url) == ("X", "m", "try", "http://docs.test")
    assert (error.data["n"], error.retry_after, error.status) == (1, 2.0, 429)


def test_package_names_what_it_exports():
    """Each name of ``__all__`` is there, once."""
    assert [name for name in lunora_rx.__all__ if not hasattr(lunora_rx, name)] == []
    assert len(set(lunora_rx.__all__)) == len(lunora_rx.__all__)


def test_client_shown_hides_a_password_in_its_url():
    """``repr`` and ``debug`` show where the deployment is, and no credentials."""
    client = LunoraClient(f"http://user:{CANARY}@server.test")
    assert "server.test" in repr(client)
    assert CANARY not in repr(client) + str(client.debug())


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="the system does not tell its open files")
async def test_client_over_real_sockets_closed_leaves_no_handle(no_tasks_left, no_garbage):
    """Sockets and pooled connections are closed, and nothing warns when the rest is collected."""
    before = len(os.listdir("/proc/self/fd"))
    async with serving() as url, LunoraClient(url) as client:
        client.live("a:b").subscribe(Recorder())
        await until(lambda: client.status.value is Status.CONNECTED)
        assert await client.query("a:b") == 1
        assert len(os.listdir("/proc/self/fd")) > before
    await until(lambda: len(os.listdir("/proc/self/fd")) == before)


@contextlib.asynccontextmanager
async def serving():
    """A server of aiohttp that accepts sockets, and answers each call with 1; yields its URL."""

    async def accept(request):
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        async for _ in websocket:
            pass
        return websocket

    async def answer(request):
        return web.json_response({"result": 1})

    app = web.Application()
    app.router.add_get("/_lunora/ws", accept)
    app.router.add_post("/_lunora/rpc", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_client_auth_base_path_is_where_the_probe_asks(server, no_tasks_left):
    """With or without a slash at its end."""
    for path in ("/accounts", "/accounts/"):
        async with server.client(auth_base_path=path) as client:
            call = client.current_user()
            request = await server.call()
            assert request.request.url == "http://server.test/accounts/get-session"
            request.reply(None)
            assert await call is None


@pytest.mark.parametrize("kind", [str, Path, os.fsencode])
async def test_client_storage_may_be_any_kind_of_path(server, no_tasks_left, tmp_path, kind, monkeypatch):
    """A relative one is meant from where the client was made."""
    monkeypatch.chdir(tmp_path)
    client = server.client(storage=_path_of(kind, "store"))
    monkeypatch.chdir("/")
    async with client:
        await until(lambda: client.debug()["client_id"])
    assert (tmp_path / "store" / "client_id").exists()


def _path_of(kind, name):
    class OfBytes:
        def __fspath__(self):
            return os.fsencode(name)

    return OfBytes() if kind is os.fsencode else kind(name)


async def test_client_whispers_go_over_the_socket_of_their_shard(server, client):
    """Joined with the first observer, told to all, left with the last."""
    seen = Recorder()
    handle = client.whispers("t", shard="room").subscribe(seen)
    socket = await server.socket()
    assert "shard=room" in socket.url
    assert (await socket.expect("whisper_subscribe"))["topic"] == "t"
    await socket.push("whisper", topic="t", data=["$lunora.wire$", "bigint", "7"], **{"from": "ana"})
    assert seen.values == [Whisper(7, "ana")]
    client.whisper("t", {"n": WireBigInt(7)}, shard="room")
    client.whisper("t", shard="room")
    assert (await socket.expect("whisper"))["data"] == {"n": ["$lunora.wire$", "bigint", "7"]}
    assert (await socket.expect("whisper"))["data"] is None
    handle.dispose()
    assert (await socket.expect("whisper_unsubscribe"))["topic"] == "t"


async def test_client_whisper_that_does_not_decode_is_logged(server, client, caplog):
    """With its topic, and nothing of what was said; the next one arrives."""
    seen = Recorder()
    client.whispers("t").subscribe(seen)
    socket = await server.socket()
    with caplog.at_level(logging.WARNING, "lunora_rx"):
        await socket.push("whisper", topic="t", data=["$lunora.wire$", "bigint", CANARY])
    assert "a whisper to 't' cannot be read" in caplog.text
    assert CANARY not in caplog.text
    await socket.push("whisper", topic="t", data=1)
    assert seen.values == [Whisper(1)]


async def test_client_whispers_that_cannot_be_sent_are_refused_at_the_call(client):
    """The error says what; nothing is opened."""
    with pytest.raises(CodecError) as caught:
        client.whisper("t", {"x": object()})
    assert caught.value.path == "data.x"
    for call in (client.whisper, client.whispers):
        with pytest.raises(ValueError, match="topic is a name"):
            call("")
    assert client.status.value is Status.IDLE


async def test_client_presence_is_held_nested_and_released(server, client):
    """Each change is said on the open socket; ``with`` releases, and releasing twice is silent."""
    client.live("a:b").subscribe(Recorder())
    socket, _ = await server.subscribed()
    outer = client.presence({"page": 1})
    assert (await socket.expect("connect"))["context"] == {"page": 1}
    with client.presence({"page": WireBigInt(2)}):
        assert (await socket.expect("connect"))["context"] == {"page": ["$lunora.wire$", "bigint", "2"]}
    assert (await socket.expect("connect"))["context"] == {"page": 1}
    outer.dispose()
    outer.dispose()
    assert "context" not in await socket.expect("connect")
    await turn()
    assert socket.unread == 0


async def test_client_presence_opens_no_socket_and_goes_with_the_next(server, client):
    """Over the connection's own context."""
    async with server.client(connection_context={"app": 1}) as client:
        handle = client.presence({"page": 1})
        await turn()
        assert server.urls == []
        client.live("a:b").subscribe(Recorder())
        await until(lambda: server.urls)
        handle.dispose()
    handle.dispose()


async def test_client_presence_released_from_another_thread_is_released_on_the_loop(server, client):
    """As with every disposable of the client."""
    client.live("a:b").subscribe(Recorder())
    socket, _ = await server.subscribed()
    handle = client.presence("here")
    assert (await socket.expect("connect"))["context"] == "here"
    thread = threading.Thread(target=handle.dispose)
    thread.start()
    thread.join()
    assert "context" not in await socket.expect("connect")


async def test_client_presence_that_cannot_be_encoded_is_refused(client):
    """The error says where; nothing is held."""
    with pytest.raises(CodecError) as caught:
        client.presence({"page": object()})
    assert caught.value.path == "context.page"


async def test_client_that_is_closed_neither_whispers_nor_holds(server, client):
    """Those who listened are completed, and what was held is let go in silence."""
    seen = Recorder()
    handle, held = client.whispers("t").subscribe(seen), client.presence(1)
    await client.aclose()
    assert seen.completions == 1
    for call in (lambda: client.whispers("t"), lambda: client.whisper("t"), lambda: client.presence(1)):
        with pytest.raises(ClientClosedError):
            call()
    handle.dispose()
    held.dispose()


@pytest.mark.parametrize("polling", [5, True, "yes", {"interval": 5}])
def test_client_polling_is_an_option_of_its_kind(polling):
    """Or ``None``; the message names the argument."""
    with pytest.raises(TypeError, match="polling"):
        LunoraClient("http://server.test", polling=polling)


async def test_client_without_sockets_polls_and_goes_back(server, no_tasks_left):
    """Values stay live, writes go out, and the socket ends it."""
    server.refusal = TransportError("no upgrade here", transient=True)
    async with server.client(polling=Polling(interval=0.01, after_failures=2)) as client:
        snapshots, seen = Recorder(), Recorder()
        client.live("a:b").snapshots.subscribe(snapshots)
        client.status.subscribe(seen)
        for number in range(2):
            poll = await server.call()
            assert poll.request.url == "http://server.test/_lunora/rpc-batch"
            poll.reply({"results": [{"id": 0, "body": {"result": number}}]})
        await until(lambda: snapshots.last.value == 1)
        assert (client.status.value, str(snapshots.last.status)) == (Status.POLLING, "live")
        server.refusal = None
        socket, _ = await server.subscribed()
        assert seen.last is Status.CONNECTED
        assert "stale" not in {str(each.status) for each in snapshots.values}
        socket.cut()
