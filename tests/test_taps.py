"""Those who look on: told everything in order, without credentials, and unable to do harm."""

from __future__ import annotations

import json

import pytest

from lunora_rx import ClientClosedError, Tap, TransportError
from tests.support import Recorder, turn, until

CANARY = "canary-4711"


class Notes(Tap):
    """A tap that keeps all that it is told."""

    def __init__(self):
        self.sockets = []
        self.frames = []
        self.requests = []
        self.replies = []
        self.calls = []
        self.shown = []

    def note_socket(self, shard, stage, code):
        self.sockets.append((shard, stage, code))

    def note_frame(self, shard, frame):
        self.frames.append((shard, "in" if frame.is_inbound else "out", frame.type))

    def note_request(self, request):
        self.requests.append(request)
        return {"TraceParent": "00-1", "Authorization": "mine"}

    def note_reply(self, request, reply):
        self.replies.append((request.request_id, reply))

    def note_call(self, news):
        self.calls.append(news)

    def note_shown(self, shard, function_path, cursor):
        self.shown.append((shard, function_path, cursor))

    @property
    def stages(self):
        """What was told of calls, in short."""
        return [(each.kind, each.functions, each.stage, each.error and each.error.code) for each in self.calls]


@pytest.fixture
def notes(client):
    """A tap of the client."""
    notes = Notes()
    client.tap(notes)
    return notes


async def test_tap_is_told_of_socket_and_frames_in_order(server, client, notes):
    """Both directions, and the end of the socket with its code."""
    client.live("a:b").subscribe(Recorder())
    socket, sub = await server.subscribed()
    await socket.push("data", id=sub, data=1, cursor=7, epoch="e")
    socket.cut(4001)
    await until(lambda: ("", "closed", 4001) in notes.sockets)
    await server.socket()
    await until(lambda: len(notes.sockets) == 5)
    assert notes.sockets == [
        ("", "connecting", None), ("", "open", None), ("", "closed", 4001), ("", "connecting", None), ("", "open", None)
    ]  # fmt: skip
    assert notes.frames[:4] == [("", "out", "connect"), ("", "out", "subscribe"), ("", "in", "ack"), ("", "in", "data")]


async def test_tap_is_told_of_an_attempt_that_fails(server, client, notes):
    """It is closed without having been open."""
    server.refusal = TransportError("nobody there", transient=True)
    client.live("a:b").subscribe(Recorder())
    await until(lambda: len(notes.sockets) >= 2)
    assert notes.sockets[:2] == [("", "connecting", None), ("", "closed", None)]


async def test_tap_is_told_what_is_shown_after_all_observers_were(server, client, notes):
    """By then whoever watches has the value."""
    seen = Recorder()
    client.live("a:b").subscribe(lambda value: seen.on_next((value, list(notes.shown))))
    socket, sub = await server.subscribed()
    await socket.push("data", id=sub, data=1, cursor=7, epoch="e")
    await socket.push("data", id=sub, data=2)
    assert seen.values == [(1, []), (2, [("", "a:b", 7)])]
    assert notes.shown == [("", "a:b", 7)] * 2


async def test_tap_is_told_of_a_call_and_its_request_without_the_bearer(server, client, notes):
    """What it adds to the headers goes out, but for what is there already."""
    client.set_auth_token(CANARY)
    call = client.query("a:b", {"n": 1})
    request = await server.call()
    request.reply({"result": 1}, set_cookie=CANARY)
    await call
    assert (request.headers["authorization"], request.headers["traceparent"]) == (f"Bearer {CANARY}", "00-1")
    ((request_id, reply),) = notes.replies
    assert (request_id, reply.status, reply.headers) == (notes.requests[0].request_id, 200, {})
    assert CANARY not in str([each.headers for each in notes.requests])
    assert notes.stages == [("query", ("a:b",), "composed", None), ("query", ("a:b",), "settled", None)]


async def test_tap_is_told_why_a_call_failed(server, client, notes):
    """The server refuses an action, the network a query, and the caller gives one up."""
    action, query, given_up = client.action("a:c"), client.query("a:d"), client.query("a:e")
    (await server.call()).refuse("FORBIDDEN")
    (await server.call()).break_off()
    given_up.cancel()
    for call in (action, query, given_up):
        with pytest.raises(Exception, match=r"no|broke|cancelled"):
            await call
    settled = [each for each in notes.stages if each[2] == "settled"]
    assert sorted(settled, key=lambda each: each[1]) == [
        ("action", ("a:c",), "settled", "FORBIDDEN"),
        ("query", ("a:d",), "settled", None),
        ("query", ("a:e",), "settled", "CANCELLED"),
    ]
    assert [str(reply) for _, reply in notes.replies][1:] == ["the connection broke"]


async def test_tap_is_told_how_a_batch_went(server, client, notes):
    """As a whole, with how many of its calls have no result."""
    batch = client.batch([("a:b",), ("a:c", {}, "room")])
    slots = [{"id": 0, "body": {"result": 1}}, {"id": 1, "body": {"error": {"code": "X"}}}]
    (await server.call()).reply({"results": slots})
    await batch
    failed = client.batch([("a:b",)])
    (await server.call()).refuse("FORBIDDEN")
    with pytest.raises(Exception, match="FORBIDDEN"):
        await failed
    assert notes.stages[1] == ("batch", ("a:b", "a:c"), "settled", None)
    assert [each.failed_entries for each in notes.calls] == [0, 1, 0, 0]
    assert notes.stages[3] == ("batch", ("a:b",), "settled", "FORBIDDEN")


async def test_tap_follows_a_mutation_to_its_verdict(server, client, notes):
    """Composed before it is sent; the verdict says where it landed."""
    mutation = client.mutation("a:w", mutation_id="m1")
    (await server.call()).reply({"result": 1, "commitCursor": 9})
    await mutation
    assert [each.stage for each in notes.calls] == ["composed", "sent", "settled"]
    assert {each.call_id for each in notes.calls} == {"m1"}
    assert (notes.calls[-1].commit_cursor, notes.calls[-1].was_queued) == (9, False)


async def test_tap_follows_a_queued_mutation_that_is_withdrawn(server, client, notes):
    """It waits, and is taken back."""
    client.live("a:b").subscribe(Recorder())
    socket, _ = await server.subscribed()
    server.refusal = TransportError("nobody there", transient=True)
    socket.cut()
    await until(lambda: client.status.value != "connected")
    mutation = client.mutation("a:w", mutation_id="m1")
    assert mutation.cancel()
    assert [each.stage for each in notes.calls] == ["composed", "queued", "settled"]
    assert notes.calls[-1].error.code == "CANCELLED"


async def test_mutation_that_is_interrupted_while_composed_is_told_to_end(client, notes):
    """A tap that was told of its start is told of its end."""

    def interrupt(store, args):
        raise KeyboardInterrupt

    client.live("a:b").subscribe(Recorder())
    with pytest.raises(KeyboardInterrupt):
        client.mutation("a:w", optimistic_update=interrupt)
    assert [each.stage for each in notes.calls] == ["composed", "settled"]


async def test_tap_that_comes_late_is_told_of_verdicts_only(server, client):
    """A mutation that was composed before it is not news, but what became of it is."""
    mutation, query = client.mutation("a:w"), client.query("a:b")
    notes = Notes()
    client.tap(notes)
    (await server.call()).reply({"result": 1})
    (await server.call()).reply({"result": 1})
    await mutation
    await query
    assert notes.stages == [("mutation", ("a:w",), "settled", None)]


async def test_tap_that_raises_is_reported_and_harms_nobody(server, no_tasks_left):
    """The others are told, the value arrives, and the error goes where those of observers go."""

    class Bad(Tap):
        def note_frame(self, shard, frame):
            raise IndexError(frame.type)

    errors, notes, seen = [], Notes(), Recorder()
    async with server.client(on_error=errors.append) as client:
        client.tap(Bad())
        client.tap(notes)
        client.live("a:b").subscribe(seen)
        socket, sub = await server.subscribed()
        await socket.push("data", id=sub, data=1)
    assert [str(each) for each in errors] == ["connect", "subscribe", "ack", "data"]
    assert (len(notes.frames), seen.values) == (4, [1])


async def test_tap_that_is_disposed_is_told_nothing_more(server, client):
    """The last one to go takes everything with it that stood between core and observer."""
    handlers, first, second = dict(client._driver.handlers), Notes(), Notes()
    one, two = client.tap(first), client.tap(second)
    assert dict(client._driver.handlers) != handlers
    one.dispose()
    one.dispose()
    client.live("a:b").subscribe(Recorder())
    await server.subscribed()
    two.dispose()
    assert dict(client._driver.handlers) == handlers
    call = client.query("a:b")
    (await server.call()).reply({"result": 1})
    await call
    await turn()
    assert (first.frames, len(second.frames), second.calls) == ([], 3, [])


async def test_tap_of_a_closed_client_or_of_the_wrong_kind_is_refused(server):
    """What is missing is named."""
    client = server.client()
    with pytest.raises(TypeError, match=r"tap\(\) takes a subclass of lunora_rx.Tap, and object lacks note_socket\(\)"):
        client.tap(object())
    await client.aclose()
    with pytest.raises(ClientClosedError):
        client.tap(Notes())


async def test_tap_is_told_of_the_end_of_all_that_is_open(server, no_tasks_left):
    """Closing the client closes sockets and settles calls."""
    notes = Notes()
    async with server.client() as client:
        client.tap(notes)
        client.live("a:b").subscribe(Recorder())
        await server.subscribed()
        call = client.query("a:c")
        await server.call()
    assert notes.sockets[-1] == ("", "closed", 1000)
    assert notes.stages[-1] == ("query", ("a:c",), "settled", "CLIENT_CLOSED")
    assert call.is_settled


async def test_counts_say_how_much_there_is(server, client):
    """What a monitor watches."""
    client.live("a:b").subscribe(Recorder())
    client.live("a:b").subscribe(Recorder())
    socket, sub = await server.subscribed()
    await socket.push("data", id=sub, data=[], cursor=1)
    client.mutation("a:w", optimistic_update=lambda store, args: store.set_query("a:b", None, [1]))
    counts = client.counts()
    assert (counts.live_queries, counts.observers, counts.open_sockets, counts.frames_received) == (1, 2, 1, 2)
    assert (counts.open_mutations, counts.optimistic_layers, counts.calls_in_flight) == (1, 1, 1)
    assert (counts.pending_writes, counts.frames_ignored) == (0, 0)


async def test_debug_says_what_a_bug_report_needs(server, client):
    """Versions, platform, loop, queue and storage, as plain data."""
    client.live("a:b").subscribe(Recorder())
    await server.subscribed()
    report = json.loads(json.dumps(client.debug()))
    assert set(report["versions"]) == {"lunora-rx", "aiohttp", "diskcache", "orjson", "reactivex"}
    assert all(report["versions"].values())
    assert report["python"].startswith(("CPython 3.", "PyPy 3."))
    assert "EventLoop" in report["loop"] or "Loop" in report["loop"]
    assert (report["storage"], report["polled"], report["taps"], report["has_ws_token"]) == (None, [], 0, False)
    assert (report["queue"]["limit"], report["queue"]["waiting"]) == (1000, 0)


async def test_debug_tells_the_state_of_the_storage(server, no_tasks_left, tmp_path):
    """Whether it is read, and what it refused last; before the first use nothing is."""
    client = server.client(storage=tmp_path / "s")
    assert client.debug()["storage"] == {
        "is_started": False,
        "is_loaded": False,
        "is_closed": False,
        "last_error": None,
    }
    async with client:
        await until(lambda: client.debug()["storage"]["is_loaded"])
        assert client.debug()["queue"]["is_loading"] is False
    assert client.debug()["storage"]["is_closed"] is True


async def test_recording_keeps_no_call_and_hides_none_from_a_tap(server, client, tmp_path):
    """A recording looks on at frames and requests; calls are followed for taps alone, whichever came first."""
    async with client.record(tmp_path / "session.jsonl"):
        for number in range(3):
            call = client.query("a:b", {"n": number})
            (await server.call()).reply({"result": number})
            assert await call == number
        assert not client._tapped._open, "a call that is settled must be forgotten"
        notes = Notes()
        with client.tap(notes):
            call = client.query("a:b")
            (await server.call()).reply({"result": 1})
            await call
        assert [each[2] for each in notes.stages] == ["composed", "settled"]
        client.query("a:b")
        await server.call()
        assert not client._tapped._open
    assert len(notes.calls) == 2
