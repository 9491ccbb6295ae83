"""The hands: tokens before sockets, one warning a run of failures, and nothing left at the end."""

from __future__ import annotations

import asyncio
import logging
import threading
import time

import pytest

from lunora_rx import ClientClosedError, LunoraClient, RequestTimeout, Status, TransportError
from lunora_rx import driver as driver_module
from lunora_rx.devserver import App
from lunora_rx.transport.memory_transport import MemoryTransport
from tests.support import QUICK, Recorder, turn, until

CANARY = "canary-4711"


async def opened(server, client):
    """Watch something; return the socket."""
    client.live("a:b").subscribe(Recorder())
    return (await server.subscribed())[0]


async def async_token():
    """An async provider."""
    await asyncio.sleep(0)
    return "t"


@pytest.mark.parametrize(
    ("token", "query"), [("t", "?token=t"), (lambda: "t", "?token=t"), (async_token, "?token=t"), (lambda: None, "")]
)
async def test_ws_token_of_any_kind_goes_into_the_url(server, no_tasks_left, token, query):
    """A string, a sync provider, an async one; ``None`` is no token."""
    async with server.client(ws_token=token) as client:
        await opened(server, client)
    assert server.urls == [f"ws://server.test/_lunora/ws{query}"]


async def test_ws_token_is_asked_before_every_connect(server, no_tasks_left):
    """Each attempt gets a token of its own."""
    tokens = iter("abc")
    async with server.client(ws_token=lambda: next(tokens)) as client:
        (await opened(server, client)).cut()
        (await server.socket()).cut(4001)
        await server.socket()
    assert [url[-1] for url in server.urls] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("answer", "said"), [(ValueError(CANARY), "raised ValueError"), (5, "returned int, not a string or None")]
)
async def test_ws_token_provider_that_fails_is_logged_and_tried_again(server, no_tasks_left, caplog, answer, said):
    """A provider that raises, or gives nonsense, costs an attempt and no more; what it said stays with it."""
    answers = iter([answer, answer, "t"])

    def provider():
        token = next(answers)
        if isinstance(token, Exception):
            raise token
        return token

    async with server.client(ws_token=provider) as client:
        await opened(server, client)
    assert [each.levelno for each in caplog.records if said in each.getMessage()] == [logging.WARNING]
    assert CANARY not in caplog.text


async def test_set_ws_token_identical_changes_nothing(server, no_tasks_left):
    """The same token again keeps the sockets."""
    async with server.client(ws_token="t") as client:
        await opened(server, client)
        client.set_ws_token("t")
        await turn()
        assert len(server.urls) == 1


async def test_set_ws_token_different_reopens_with_it(server, no_tasks_left):
    """Another token retires the sockets, and the live queries follow."""
    async with server.client(ws_token="old") as client:
        socket = await opened(server, client)
        client.set_ws_token("new")
        assert await socket.closed() == 1000
        again = await server.socket()
        await again.expect("subscribe")
    assert [url.rpartition("=")[2] for url in server.urls] == ["old", "new"]


async def test_set_ws_token_by_an_observer_is_carried_out_in_order(server, client):
    """An observer may reopen the sockets while it is told of a value; it is told what comes of it afterwards."""
    seen = []

    def on_snapshot(snapshot):
        if snapshot.value == 1 and snapshot.status == "live":
            client.set_ws_token("new")
        seen.append(str(snapshot.status))

    client.live("a:b").snapshots.subscribe(on_snapshot)
    socket, sub = await server.subscribed()
    await socket.push("data", id=sub, data=1)
    assert seen == ["pending", "live", "stale"]


async def test_connect_refused_warns_once_a_run(server, no_tasks_left, caplog):
    """Repetitions of a failure are for those who look closer; a new run warns anew."""
    server.refusal = TransportError("nobody there", transient=True)
    async with server.client() as client:
        client.live("a:b").subscribe(Recorder())
        await until(lambda: len(server.urls) > 3)
        assert client.status.value in (Status.OFFLINE, Status.CONNECTING)
        assert client.debug()["last_error"] == "nobody there"
        assert warnings(caplog) == ["shard '': nobody there; will try again"]
        server.refusal = None
        socket = await server.socket()
        assert client.debug()["last_error"] is None
        server.refusal = TransportError("nobody there", transient=True)
        socket.cut()
        await until(lambda: len(warnings(caplog)) == 2)


async def test_status_offline_while_nobody_answers(server, no_tasks_left):
    """Between attempts the client is offline, and connected once one succeeds."""
    server.refusal = TransportError("nobody there")
    seen = Recorder()
    async with server.client() as client:
        client.status.subscribe(seen)
        client.live("a:b").subscribe(Recorder())
        await until(lambda: Status.OFFLINE in seen.values)
        server.refusal = None
        await server.socket()
        assert client.status.value is Status.CONNECTED
    assert seen.values[:3] == [Status.IDLE, Status.CONNECTING, Status.OFFLINE]
    assert (seen.last, seen.completions) == (Status.IDLE, 1)


async def test_frame_that_is_unusable_is_counted_and_logged_without_its_payload(server, client, caplog):
    """A bad frame harms nothing and shows nothing."""
    seen = Recorder()
    client.live("a:b").subscribe(seen)
    socket, sub = await server.subscribed()
    for text in (CANARY, f'["{CANARY}"]', f'{{"type":"{CANARY}"}}', f'{{"type":"data","id":5,"data":"{CANARY}"}}'):
        await socket.push_text(text)
    await socket.push("data", id=sub, data=1)
    assert seen.values == [1]
    assert client.debug()["frames_ignored"] == 4
    assert CANARY not in caplog.text


async def test_socket_that_fails_in_an_unforeseen_way_is_replaced(server, no_tasks_left, caplog):
    """Whatever a transport raises, the client opens another socket."""

    class Broken(MemoryTransport):
        async def connect(self, url, headers):
            socket = await super().connect(url, headers)
            if len(server.urls) == 1:
                socket.receive = self.fail
            return socket

        async def fail(self):
            raise LookupError(CANARY)

    async with server.client(transport=Broken(server._accept, server._respond)) as client:
        client.live("a:b").subscribe(Recorder())
        await until(lambda: len(server.urls) == 2)


@pytest.mark.parametrize("failure", [TransportError("gone"), ValueError(CANARY)])
async def test_socket_that_cannot_be_written_is_replaced(server, no_tasks_left, caplog, failure):
    """Without a writer a socket would look alive and say nothing: it is closed."""

    class Broken(MemoryTransport):
        async def connect(self, url, headers):
            socket = await super().connect(url, headers)
            if len(server.urls) == 1:
                socket.send = self.fail
            return socket

        async def fail(self, text):
            raise failure

    async with server.client(transport=Broken(server._accept, server._respond)) as client:
        client.live("a:b").subscribe(Recorder())
        await until(lambda: len(server.urls) == 2)
    assert CANARY not in caplog.text


async def test_request_that_fails_in_an_unforeseen_way_settles_its_call(server, no_tasks_left):
    """A call never hangs, whatever a transport raises."""

    class Broken(MemoryTransport):
        async def request(self, method, url, **options):
            raise LookupError(CANARY)

    async with server.client(transport=Broken(server._accept, server._respond)) as client:
        with pytest.raises(TransportError, match="LookupError") as caught:
            await client.query("a:b")
        assert CANARY not in str(caught.value)


async def test_request_unanswered_times_out(server, no_tasks_left):
    """Every call is bounded, by its own timeout or the client's."""
    async with server.client(request_timeout=0.02) as client:
        for call in (client.query("a:b"), client.mutation("a:b", timeout=0.01), client.batch([("a:b",)])):
            with pytest.raises(RequestTimeout):
                await call


async def test_heartbeat_pings_and_replaces_a_silent_peer(server, no_tasks_left):
    """A peer that answers nothing is left after two and a half intervals."""
    async with server.client(heartbeat_interval=0.02) as client:
        socket = await opened(server, client)
        assert await socket.next() == "lunora-ping"
        assert await socket.closed() == 4000
        await server.socket()


async def test_handshake_unanswered_is_abandoned_and_told_once(server, no_tasks_left, caplog):
    """An attempt that hangs is given up and tried again; the log says why, and so does ``debug()``."""

    class Hanging(MemoryTransport):
        async def connect(self, url, headers):
            await super().connect(url, headers)
            await asyncio.Event().wait()

    transport = Hanging(server._accept, server._respond)
    async with server.client(transport=transport, connect_timeout=0.01) as client:
        client.live("a:b").subscribe(Recorder())
        await until(lambda: len(server.urls) > 2)
        reason = "cannot connect to ws://server.test/_lunora/ws: no answer within 0.01 s"
        assert client.debug()["last_error"] == reason
    assert warnings_in(caplog) == [f"shard '': {reason}; will try again"]


async def test_provider_of_the_socket_token_that_never_answers_is_told_once(server, no_tasks_left, caplog):
    """Nobody shall look for the fault at the server, which was not asked."""
    asked = []

    async def provide():
        asked.append(1)
        await asyncio.Event().wait()

    async with server.client(ws_token=provide, connect_timeout=0.01) as client:
        client.live("a:b").subscribe(Recorder())
        await until(lambda: len(asked) > 2)
    assert warnings_in(caplog) == ["shard '': the ws_token provider gave no token within 0.01 s; will try again"]


def warnings_in(caplog):
    """What somebody should act on."""
    return [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]


async def test_loop_blocked_longer_than_the_liveness_limit_keeps_a_talking_peer(server, no_tasks_left):
    """What arrived while the loop was blocked counts before the timer that was late does."""
    async with server.client(heartbeat_interval=0.2) as client:
        socket = await opened(server, client)
        time.sleep(0.9)
        await socket.push("ack", id="sub_1")
        await turn(20)
        assert len(server.urls) == 1
        assert client.status.value is Status.CONNECTED


async def test_aclose_with_work_in_flight_leaves_nothing(server, no_tasks_left):
    """Live queries complete, calls fail, and no task or timer is left."""
    before = asyncio.all_tasks()
    client = server.client(heartbeat_interval=30)
    seen = Recorder()
    client.live("a:b").subscribe(seen)
    socket, _ = await server.subscribed()
    calls = [client.query("a:b"), client.mutation("a:b"), client.batch([("a:b",)])]
    await server.call()
    await client.aclose()
    assert asyncio.all_tasks() == before
    assert timers() == []
    assert await socket.closed() == 1000
    for call in calls:
        with pytest.raises(ClientClosedError):
            await call
    assert (seen.completions, client.status.value) == (1, Status.IDLE)


@pytest.mark.fault(58, 59)
@pytest.mark.parametrize("moment", ["unused", "token", "refused", "connected"])
async def test_aclose_at_any_moment_leaves_nothing(server, no_tasks_left, moment):
    """Closing is clean before the first use, while a token is awaited, between attempts and when connected."""
    before = asyncio.all_tasks()

    async def never():
        await asyncio.Event().wait()

    if moment == "refused":
        server.refusal = TransportError("nobody there")
    client = server.client(ws_token=never if moment == "token" else None)
    if moment != "unused":
        client.live("a:b").subscribe(Recorder())
        await (server.subscribed() if moment == "connected" else turn(20))
    await client.aclose()
    assert asyncio.all_tasks() == before
    assert timers() == []


async def test_aclose_twice_and_at_once_is_one_end(server, no_tasks_left):
    """Both wait for the same end; later ones have nothing to do."""
    client = server.client()
    await opened(server, client)
    await asyncio.gather(client.aclose(), client.aclose())
    await client.aclose()


async def test_aclose_cancelled_still_ends_everything(server, no_tasks_left):
    """Giving up waiting for the end does not keep it from coming."""
    released = asyncio.Event()

    class Slow(MemoryTransport):
        async def aclose(self):
            await asyncio.sleep(0.01)
            released.set()

    client = server.client(transport=Slow(server._accept, server._respond))
    await opened(server, client)
    closing = asyncio.create_task(client.aclose())
    await turn(1)
    closing.cancel()
    await asyncio.wait([closing])
    await asyncio.wait_for(released.wait(), 1)
    await client.aclose()


async def test_aclose_by_the_token_provider_ends(server, no_tasks_left):
    """A provider that ends the client does not wait for itself."""
    client = server.client(ws_token=lambda: client.aclose())
    client.live("a:b").subscribe(Recorder())
    await until(lambda: client.debug()["closed"])
    async with asyncio.timeout(1):
        await client.aclose()


def test_client_used_on_a_second_loop_says_what_to_do(server):
    """A client belongs to the loop of its first use."""
    client = LunoraClient("http://server.test", transport=server_transport(), reconnect=QUICK)

    async def use():
        client.live("a:b").subscribe(print)

    asyncio.run(use())
    with pytest.raises(RuntimeError, match="one client a loop"):
        asyncio.run(use())
    with pytest.raises(RuntimeError, match="another event loop"):
        asyncio.run(client.aclose())


def test_client_disposed_after_its_loop_ended_is_silent():
    """A handle outlives the loop and does nothing any more."""
    client = LunoraClient("http://server.test", transport=server_transport())

    async def use():
        return client.live("a:b").subscribe(Recorder())

    asyncio.run(use()).dispose()


async def test_client_used_without_a_loop_says_what_to_do(client):
    """A thread without a loop is told how to cross, by every method, and nothing is half done."""
    errors = []

    def elsewhere():
        uses = [
            lambda: client.query("a:b"),
            lambda: client.action("a:b"),
            lambda: client.mutation("a:b"),
            lambda: client.batch([("a:b",)]),
            lambda: client.live("a:b").subscribe(print),
            lambda: client.live("a:b").refresh(),
            lambda: client.set_ws_token("t"),
            lambda: client.scheduler,
        ]
        for use in uses:
            try:
                use()
            except RuntimeError as error:
                errors.append(str(error))

    client.set_ws_token(None)
    client.live("c:d").subscribe(Recorder()).dispose()
    thread = threading.Thread(target=elsewhere)
    thread.start()
    await until(lambda: not thread.is_alive())
    assert len(errors) == 7  # the scheduler of a client in use may be had anywhere
    assert all("call_soon_threadsafe" in each for each in errors)
    assert (client.debug()["observers"], client.debug()["calls_in_flight"]) == (0, 0)


def server_transport():
    """A transport whose sockets nobody serves."""

    async def respond(request):
        raise TransportError("nobody there")

    return MemoryTransport(lambda url, end: None, respond)


def warnings(caplog):
    """What was said at level WARNING."""
    return [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]


def timers():
    """The driver's timers that are still armed."""
    handles = asyncio.get_running_loop()._scheduled
    return [each for each in handles if not each.cancelled() and "Driver" in repr(each)]


async def test_late_timer_whose_deadline_moves_leaves_one_timer(server, no_tasks_left):
    """A blocked loop delays a timer by some turns; what arrives in them may arm another, and the first must go."""
    async with server.client(heartbeat_interval=0.2) as client:
        socket = await opened(server, client)
        time.sleep(0.9)
        socket.cut()
        await turn(20)
        assert len([timer for timer in timers() if not timer.cancelled()]) <= 1
    assert timers() == []


@pytest.mark.fault(58, 59)
@pytest.mark.parametrize("moment", ["unused", "loading", "loaded", "connected"])
async def test_aclose_with_a_storage_at_any_moment_leaves_nothing(server, no_tasks_left, tmp_path, moment):
    """No task, no timer, no thread, whatever the disk was doing."""
    before, threads = asyncio.all_tasks(), set(threading.enumerate())
    client = server.client(storage=tmp_path / "store")
    if moment != "unused":
        client.live("a:b").subscribe(Recorder())
        client.mutation("a:set")
    if moment == "loaded":
        await until(lambda: client.debug()["client_id"])
    if moment == "connected":
        await server.subscribed()
    await client.aclose()
    for thread in set(threading.enumerate()) - threads:
        thread.join(1)
    assert (asyncio.all_tasks() - before, set(threading.enumerate()) - threads) == (set(), set())
    assert timers() == []


async def test_aclose_of_a_client_with_a_storage_cancelled_still_ends_everything(server, no_tasks_left, tmp_path):
    """Giving up waiting while the disk is written keeps nothing from being written."""
    threads = set(threading.enumerate())
    client = server.client(storage=tmp_path / "store")
    await opened(server, client)
    closing = asyncio.create_task(client.aclose())
    await turn(1)
    closing.cancel()
    await asyncio.wait([closing])
    await client.aclose()
    for thread in set(threading.enumerate()) - threads:
        thread.join(1)
    assert set(threading.enumerate()) == threads


async def test_query_whose_value_an_observer_has_spoilt_is_asked_for_anew(no_tasks_left, caplog):
    """A change that cannot be applied to it is logged, and must not freeze the query."""
    app = App()
    app.query("rows:list")(lambda ctx: ctx.db.table("rows").order("desc").take(100))
    app.mutation("rows:add")(lambda ctx, n: ctx.db.insert("rows", n=n))
    async with app.serve() as url, LunoraClient(url) as client:
        live = client.live("rows:list")
        with live.subscribe(lambda rows: None):
            for n in range(20):
                await client.mutation("rows:add", {"n": n})
            rows = await live.first(lambda rows: len(rows) == 20)
            rows.insert(0, {"_id": "x"})
            await client.mutation("rows:add", {"n": 20})
            await live.first(lambda rows: [row.get("n") for row in rows] == [*range(20, -1, -1)])
            assert live.snapshot.status == "live"


async def test_socket_that_takes_nothing_is_closed_before_what_waits_takes_all_memory(monkeypatch, caplog):
    """A new socket is told what still counts; whispers that waited are lost, as they may be."""
    monkeypatch.setattr(driver_module, "MAX_UNSENT", 10_000)
    sockets, stuck = [], asyncio.Event()

    async def accept(url, end):
        sockets.append(end)
        if len(sockets) == 1:
            end.peer.send = lambda text: stuck.wait()

    async with LunoraClient(
        "http://server.test", transport=MemoryTransport(accept, respond=None), reconnect=QUICK, polling=None
    ) as client:
        client.live("a:b").subscribe(Recorder())
        await until(lambda: client.status.value is Status.CONNECTED)
        for _ in range(1_000):
            client.whisper("room", "x" * 100)
        link = client._driver._links[""]
        assert (link.is_full, link._unsent) == (True, [])
        await until(lambda: len(sockets) == 2)
        assert "subscribe" in await sockets[1].receive() + await sockets[1].receive()
    assert "more than 10000 characters wait to be sent" in caplog.text


async def test_opening_that_breaks_off_is_tried_again(server, monkeypatch, caplog, no_tasks_left):
    """A defect of ours must not leave a socket open that nobody reads."""
    async with server.client() as client:
        core = client._driver.core
        receive_opened = core.receive_opened
        failures = iter([ZeroDivisionError(CANARY)])

        def opens(shard, now, **options):
            if (failure := next(failures, None)) is not None:
                raise failure
            receive_opened(shard, now, **options)

        monkeypatch.setattr(core, "receive_opened", opens)
        client.live("a:b").subscribe(Recorder())
        with pytest.raises(AssertionError, match="closed the socket"):
            await server.socket()
        await server.subscribed()
        assert client.status.value is Status.CONNECTED
    assert "the socket failed" in caplog.text
    assert CANARY not in caplog.text
