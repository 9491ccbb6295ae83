"""Streams of one shard: what is sent, what is told, and that nothing is lost or repeated on the way."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from lunora_rx.core.stream_events import StreamChunk, StreamEnded, StreamEvent, StreamFailed
from lunora_rx.core.streams import MAX_PENDING, Streams
from lunora_rx.errors import ClientClosedError, CodecError, LunoraError, ProtocolError, ServerError, StreamError
from lunora_rx.protocol.text import may_hold_tag, parse
from lunora_rx.protocol.values import UNDEFINED
from lunora_rx.protocol.wire import TAG
from tests.core.play import frame, parsed

BAD = [TAG, "bigint", "x"]


class PlayedStreams:
    """The streams of a shard, and a socket that the test opens and drops.

    Attributes:
        streams: The streams under test.
        is_open: Whether there is a socket.
    """

    def __init__(self, shard: str = "") -> None:
        self.is_open = False
        self._count = 0
        self._sent: list[str] = []
        self._events: list[StreamEvent] = []
        self.streams = Streams(shard, self._new_id, self._events.append, self._send)

    def start(self, path: str = "ai:answer", *, durable: bool = False) -> str:
        """Start a procedure."""
        return self.streams.start(path, {"n": 1}, durable=durable)

    def running(self, *, durable: bool = False) -> str:
        """Start a procedure on an open socket, and forget what that took."""
        self.open()
        stream_id = self.start(durable=durable)
        self.sent()
        return stream_id

    def open(self) -> list[Any]:
        """Let a socket be open; return what is sent on it."""
        self.is_open = True
        return [parsed(text) for text in self.streams.frames_on_open()]

    def drop(self) -> list[StreamEvent]:
        """Cut the socket; return what happened."""
        self.is_open = False
        self.streams.forget_socket()
        return self.events()

    def chunk(self, stream_id: Any, **body: Any) -> list[StreamEvent]:
        """Let the server send a chunk; return what happened."""
        text = frame("chunk", id=stream_id, **body)
        tree = parse(text)
        assert isinstance(tree, dict)
        self.streams.handlers["chunk"](tree, may_hold_tag(text))
        return self.events()

    def sent(self) -> list[Any]:
        """Take what was sent, as JSON values."""
        taken, self._sent[:] = self._sent.copy(), []
        return [parsed(text) for text in taken]

    def events(self) -> list[StreamEvent]:
        """Take what happened."""
        taken = self._events.copy()
        self._events.clear()
        return taken

    def _send(self, text: str) -> bool:
        if self.is_open:
            self._sent.append(text)
        return self.is_open

    def _new_id(self) -> str:
        self._count += 1
        return f"stream_{self._count}"


@pytest.fixture
def played() -> PlayedStreams:
    """The streams of the default shard, without a socket."""
    return PlayedStreams()


def code_of(events: list[StreamEvent], stream_id: str = "stream_1") -> str | None:
    """Return the code with which one stream failed, which must be all that happened."""
    (event,) = events
    assert isinstance(event, StreamFailed)
    assert event.stream_id == stream_id
    return event.error.code


@pytest.mark.parametrize(("shard", "named"), [("", {}), ("room", {"shardKey": "room"})])
def test_start_on_an_open_socket_is_sent_at_once(shard, named):
    """The default shard has no name on the wire."""
    played = PlayedStreams(shard)
    assert played.open() == []
    assert played.start() == "stream_1"
    query = {"functionPath": "ai:answer", "args": {"n": 1}, **named}
    assert played.sent() == [{"type": "stream", "id": "stream_1", "query": query}]


def test_start_without_a_socket_waits_for_one(played):
    """In the order of starting, and sent once."""
    for path in ("a:a", "b:b"):
        played.start(path)
    assert played.drop() == [], "an attempt that failed is no disconnect"
    assert [each["query"]["functionPath"] for each in played.open()] == ["a:a", "b:b"]
    assert (played.sent(), played.streams.frames_on_open()) == ([], [])


def test_start_beyond_the_bound_evicts_the_oldest(played):
    """The consumer of the one that gave way is told; the others start."""
    for _ in range(MAX_PENDING):
        played.start()
    assert played.events() == []
    played.start()
    assert code_of(played.events()) == "STREAM_QUEUE_OVERFLOW"
    assert [each["id"] for each in played.open()] == [f"stream_{number}" for number in range(2, MAX_PENDING + 2)]


def test_durable_streams_beyond_the_bound_give_way_after_a_drop(played):
    """Those that are to be carried on wait under the same bound."""
    played.open()
    for _ in range(MAX_PENDING + 1):
        played.start(durable=True)
    assert code_of(played.drop()) == "STREAM_QUEUE_OVERFLOW"
    assert len(played.open()) == MAX_PENDING


@pytest.mark.parametrize("tagged", [False, True])
@pytest.mark.parametrize(
    ("body", "value"),
    [
        ({"data": "be"}, "be"),
        ({"data": None}, None),
        ({"data": 0}, 0),
        ({"data": []}, []),
        ({}, UNDEFINED),
        ({"data": [TAG, "undefined"]}, UNDEFINED),
        ({"data": [{"at": [TAG, "date", 0]}]}, [{"at": datetime(1970, 1, 1, tzinfo=UTC)}]),
    ],
)
def test_chunk_is_told_whatever_its_value(played, body, value, tagged):
    """Nothing counts as no value, also where another part of the frame holds a tag."""
    stream_id = played.running()
    more = {"generation": TAG} if tagged else {}
    assert played.chunk(stream_id, **body, **more) == [StreamChunk("stream_1", value)]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"data": [BAD], "seq": 2}, "chunk[0]"),
        ({"data": [BAD], "seq": 1}, "chunk[0]"),
        ({"data": 1, "seq": "2"}, "seq"),
        ({"data": 1, "seq": True}, "seq"),
    ],
)
def test_chunk_that_cannot_be_read_fails_the_stream(played, body, path):
    """The server is told to stop, and the stream is over: it does not go on behind the gap."""
    stream_id = played.running(durable=True)
    played.chunk(stream_id, data="be", seq=1)
    events = played.chunk(stream_id, **body)
    assert code_of(events) == "WIRE_DECODE_FAILED"
    assert isinstance(events[0].error, CodecError)
    assert events[0].error.path == path
    assert played.sent() == [{"type": "unsubscribe", "id": stream_id}]
    assert played.chunk(stream_id, data=3, seq=3) == []
    assert (played.drop(), played.open()) == ([], [])


def test_chunk_that_was_seen_is_dropped(played):
    """Numbers need not be without gaps, but only greater ones are news; what is dropped moves nothing."""
    stream_id = played.running()
    told = []
    for seq, generation in [(0, "g"), (0, "h"), (2, "g"), (1, "h"), (2, "h"), (7, "g")]:
        told += played.chunk(stream_id, data=seq, seq=seq, generation=generation)
    assert told == [StreamChunk(stream_id, seq) for seq in (0, 2, 7)]
    played.chunk(stream_id, data=5, seq=5, generation="h")
    played.drop()
    (start,) = played.open()
    assert (start["sinceChunk"], start["generation"]) == (7, "g")


@pytest.mark.parametrize("echoed", [{}, {"generation": "g"}, {"generation": None}, {"generation": {"a": [TAG, 1]}}])
def test_durable_stream_is_carried_on_from_its_last_chunk(played, echoed):
    """The generation goes back as it came, whatever it is."""
    stream_id = played.running()
    played.chunk(stream_id, data="be", seq=0, **echoed)
    for _ in range(2):
        assert played.drop() == []
        (start,) = played.open()
        query = {"functionPath": "ai:answer", "args": {"n": 1}}
        assert start == {"type": "stream", "id": stream_id, "query": query, "sinceChunk": 0, **echoed}
    assert played.chunk(stream_id, data="cause", seq=1) == [StreamChunk(stream_id, "cause")]
    played.drop()
    assert {**echoed, "sinceChunk": 1}.items() <= played.open()[0].items()


@pytest.mark.parametrize(
    ("durable", "chunks", "resumes"),
    [
        (False, [], False),
        (True, [], True),
        (True, [{"data": 1}], False),
        (False, [{"data": 1, "seq": 1}], True),
        (False, [{"data": 1, "seq": 1}, {"data": 2}], True),
        (False, [{"data": 1}, {"data": 2, "seq": 1}], True),
    ],
)
def test_drop_fails_what_cannot_be_carried_on(played, durable, chunks, resumes):
    """The server's numbers decide; before the first chunk the caller does."""
    stream_id = played.running(durable=durable)
    for each in chunks:
        assert len(played.chunk(stream_id, **each)) == 1
    events = played.drop()
    assert played.streams.is_needed == resumes
    assert [each["id"] for each in played.open()] == [stream_id] * resumes
    assert events == [] if resumes else code_of(events) == "STREAM_DISCONNECTED"


@pytest.mark.parametrize(
    ("code", "kind"),
    [("STREAM_INTERRUPTED", StreamError), ("FORBIDDEN", ServerError), ("X_STREAM_", ServerError), (None, ServerError)],
)
def test_error_of_the_server_fails_the_stream(played, code, kind):
    """What became of the stream itself is a ``StreamError``, what the procedure says a ``ServerError``."""
    stream_id = played.running()
    assert played.streams.receive_error(stream_id, ServerError("no", code=code))
    (event,) = played.events()
    assert (type(event.error), event.error.code, event.error.message) == (kind, code, "no")
    assert not played.streams.is_needed


def test_complete_ends_the_stream(played):
    """And nothing is sent."""
    stream_id = played.running()
    assert played.streams.receive_complete(stream_id)
    assert (played.events(), played.sent()) == ([StreamEnded(stream_id)], [])
    assert not played.streams.is_needed


def test_frame_of_no_stream_is_silent(played):
    """One that was just given up may still be spoken of; another part's ids are its own."""
    played.streams.cancel(played.running())
    for stream_id in ("stream_1", "sub_1"):
        assert not played.streams.receive_error(stream_id, ServerError("no"))
        assert not played.streams.receive_complete(stream_id)
        assert played.chunk(stream_id, data=BAD) == []


@pytest.mark.parametrize("unusable", [None, 5, [], {}])
def test_chunk_whose_id_is_no_string_is_refused(played, unusable):
    """The session reports it."""
    with pytest.raises(ProtocolError, match="'id'"):
        played.chunk(unusable, data=1)


def test_cancel_of_a_running_stream_tells_the_server_once(played):
    """Cancelling again is silent."""
    stream_id = played.running()
    for _ in range(2):
        played.streams.cancel(stream_id)
    assert played.sent() == [{"type": "unsubscribe", "id": stream_id}]
    assert (played.drop(), played.open()) == ([], [])


def test_cancel_of_a_stream_that_waits_sends_nothing(played):
    """The server was never told of it, or not on the next socket."""
    cut = played.running(durable=True)
    played.drop()
    waits = played.start()
    for stream_id in (cut, waits):
        played.streams.cancel(stream_id)
    assert (played.open(), played.sent(), played.events()) == ([], [], [])


def test_close_fails_what_waits(played):
    """A start that was never sent, and a stream that was to be carried on; once."""
    played.running(durable=True)
    played.drop()
    played.start()
    played.streams.close()
    events = played.events()
    assert [(type(each.error), each.error.code) for each in events] == [(ClientClosedError, "CLIENT_CLOSED")] * 2
    played.streams.close()
    assert (played.open(), played.events()) == ([], [])


def test_close_fails_what_runs(played):
    """The socket goes with the client: nothing is sent."""
    stream_id = played.running()
    played.streams.close()
    assert code_of(played.events(), stream_id) == "CLIENT_CLOSED"
    assert played.sent() == []


def test_streams_describe_themselves_without_values(played):
    """Whether the socket is needed follows from the same."""
    assert (played.streams.is_needed, played.streams.describe()) == (False, {})
    played.start()
    description = {"state": "pending", "function": "ai:answer", "has_begun": False, "position": None}
    assert (played.streams.is_needed, played.streams.describe()) == (True, {"stream_1": description})
    played.open()
    played.chunk("stream_1", data="canary", seq=4, generation="g")
    description.update(state="running", has_begun=True, position=4)
    assert (played.streams.is_needed, played.streams.describe()) == (True, {"stream_1": description})


PATHS = st.sampled_from(["durable:a", "durable:b", "ephemeral:a"])


class NaiveServer:
    """Runs procedures whose chunks are ``[generation, number]``, and keeps all that the durable ones gave.

    Attributes:
        sent: What is on its way to the client.
        attached: The procedure of each stream on the present socket.
        logs: What each durable procedure gave; what an ephemeral one gave to each stream since it was started.
        over: The durable procedures that are complete.
        lost: The runs that the server forgot, as (path, generation).
    """

    def __init__(self) -> None:
        self.sent: deque[dict[str, Any]] = deque()
        self.attached: dict[str, str] = {}
        self.logs: defaultdict[str, list[Any]] = defaultdict(list)
        self.over: set[str] = set()
        self.lost: set[tuple[str, int]] = set()
        self.generations: defaultdict[str, int] = defaultdict(lambda: 1)

    def receive(self, sent: dict[str, Any]) -> None:
        """Do what a frame asks for."""
        if sent["type"] == "unsubscribe":
            self.attached.pop(sent["id"], None)
            return
        path, since = sent["query"]["functionPath"], sent.get("sinceChunk", 0)
        if since and sent["generation"] != self.generations[path]:
            self.push("error", sent["id"], code="STREAM_INTERRUPTED")
            return
        self.attached[sent["id"]] = path
        self.logs.pop(sent["id"], None)
        for number in range(since + 1, len(self.logs[path]) + 1):
            self.give(sent["id"], path, number)
        if path in self.over:
            self.end(path)

    def produce(self, path: str) -> None:
        """Let a procedure give one more chunk, to all who follow it."""
        if path in self.over:
            return
        if path.startswith("durable"):
            self.logs[path].append([self.generations[path], len(self.logs[path]) + 1])
        for each in self.followers(path):
            self.give(each, path, len(self.logs[path]))

    def give(self, stream_id: str, path: str, number: int) -> None:
        """Send one chunk of a procedure to a stream."""
        if path.startswith("durable"):
            chunk = self.logs[path][number - 1]
            self.push("chunk", stream_id, data=chunk, seq=number, generation=self.generations[path])
            return
        self.logs[stream_id].append([1, len(self.logs[stream_id]) + 1])
        self.push("chunk", stream_id, data=self.logs[stream_id][-1])

    def repeat(self, path: str, back: int) -> None:
        """Send a chunk again that went out before."""
        if len(self.logs[path]) > back:
            for each in self.followers(path):
                self.give(each, path, len(self.logs[path]) - back)

    def end(self, path: str) -> None:
        """Let a procedure complete."""
        if path.startswith("durable"):
            self.over.add(path)
        for each in self.followers(path):
            del self.attached[each]
            self.push("complete", each, log=list(self.logs[path if path.startswith("durable") else each]))

    def lose(self, path: str) -> None:
        """Forget a run; the next is another generation."""
        self.lost.add((path, self.generations[path]))
        self.generations[path] += 1
        self.logs[path] = []
        self.over.discard(path)
        for each in self.followers(path):
            del self.attached[each]
            self.push("error", each, code="STREAM_INTERRUPTED")

    def followers(self, path: str) -> list[str]:
        """Return the streams of a procedure."""
        return [each for each, followed in self.attached.items() if followed == path]

    def push(self, kind: str, stream_id: str, **body: Any) -> None:
        """Put a frame on its way."""
        self.sent.append({"type": kind, "id": stream_id, **body})


class AnyOrder(RuleBasedStateMachine):
    """A consumer sees each chunk of one run once and in order, and then the end, or why there is none."""

    def __init__(self) -> None:
        super().__init__()
        self.played = PlayedStreams()
        self.server = NaiveServer()
        self.on_its_way: deque[Any] = deque()
        self.asked: dict[str, tuple[str, bool]] = {}
        self.seen: defaultdict[str, list[Any]] = defaultdict(list)
        self.active: set[str] = set()

    @initialize(path=PATHS, durable=st.booleans())
    def begin(self, path: str, durable: bool) -> None:
        self.open()
        self.start(path, durable, 1)
        self.flow()

    @rule(path=PATHS, durable=st.booleans(), times=st.sampled_from([1, 1, 1, 1, 40]))
    def start(self, path: str, durable: bool, times: int) -> None:
        for _ in range(times):
            stream_id = self.played.start(path, durable=durable)
            self.asked[stream_id] = path, durable
            self.active.add(stream_id)
        self.look()

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        stream_id = data.draw(st.sampled_from(sorted(self.asked)))
        self.active.discard(stream_id)
        self.played.streams.cancel(stream_id)
        self.look()

    @precondition(lambda self: not self.played.is_open)
    @rule()
    def open(self) -> None:
        self.on_its_way += self.played.open()

    @rule(reopens=st.booleans())
    def drop(self, reopens: bool) -> None:
        self.look(self.played.drop())
        self.on_its_way.clear()
        self.server.sent.clear()
        self.server.attached.clear()
        if reopens:
            self.open()
            self.flow()

    @rule(times=st.integers(1, 5))
    def serve(self, times: int) -> None:
        for _ in range(min(times, len(self.on_its_way))):
            self.server.receive(self.on_its_way.popleft())

    @rule(times=st.integers(1, 20))
    def receive(self, times: int) -> None:
        for _ in range(min(times, len(self.server.sent))):
            self.look(self.take(**self.server.sent.popleft()))

    @rule()
    def flow(self) -> None:
        while self.played.is_open and (self.on_its_way or self.server.sent):
            self.serve(5)
            self.receive(20)

    @rule(path=PATHS, times=st.integers(1, 3), back=st.sampled_from([None, 0, 2]), is_received=st.booleans())
    def produce(self, path: str, times: int, back: int | None, is_received: bool) -> None:
        for _ in range(times):
            self.server.produce(path)
        if back is not None and path.startswith("durable"):
            self.server.repeat(path, back)
        if is_received:
            self.receive(20)

    @rule(path=PATHS, is_lost=st.booleans())
    def end(self, path: str, is_lost: bool) -> None:
        if is_lost and path.startswith("durable"):
            self.server.lose(path)
        else:
            self.server.end(path)

    def teardown(self) -> None:
        """Once both sides have told all, they agree on who is followed, and everybody has seen everything."""
        if not self.played.is_open:
            self.open()
        self.flow()
        assert self.active == set(self.server.attached) == set(self.played.streams.describe())
        for stream_id in self.active:
            path = self.asked[stream_id][0]
            log = self.server.logs[path if path.startswith("durable") else stream_id]
            assert self.seen[stream_id] == log

    def take(self, type: str, id: str, code: str | None = None, **body: Any) -> list[StreamEvent]:
        if type == "error":
            self.played.streams.receive_error(id, ServerError("no", code=code))
        elif type == "complete":
            assert id not in self.active or self.seen[id] == body["log"], "the end comes after everything else"
            self.played.streams.receive_complete(id)
        else:
            return self.played.chunk(id, **body)
        return self.played.events()

    def look(self, events: list[StreamEvent] | None = None) -> None:
        self.on_its_way += self.played.sent()
        for event in self.played.events() if events is None else events:
            assert event.stream_id in self.active, "nothing is told of a stream that is over"
            tell: Callable[[Any], None] = {
                StreamChunk: self.look_at_chunk,
                StreamEnded: self.look_at_end,
                StreamFailed: self.look_at_failure,
            }[type(event)]
            tell(event)

    def look_at_chunk(self, event: StreamChunk) -> None:
        seen = self.seen[event.stream_id]
        seen.append(event.value)
        assert seen == [[seen[0][0], number] for number in range(1, len(seen) + 1)]

    def look_at_end(self, event: StreamEnded) -> None:
        self.active.discard(event.stream_id)

    def look_at_failure(self, event: StreamFailed) -> None:
        self.active.discard(event.stream_id)
        error: LunoraError = event.error
        assert isinstance(error, StreamError)
        path, durable = self.asked[event.stream_id]
        seen = self.seen[event.stream_id]
        if error.code == "STREAM_INTERRUPTED":
            assert any(lost == path for lost, _ in self.server.lost)
            assert not seen or (path, seen[0][0]) in self.server.lost, "a run that is there can be carried on"
        elif error.code == "STREAM_DISCONNECTED":
            assert not path.startswith("durable") or not (seen or durable), "a durable stream survives its socket"
        else:
            assert error.code == "STREAM_QUEUE_OVERFLOW"
            assert len(self.asked) > MAX_PENDING


TestAnyOrder = AnyOrder.TestCase


@pytest.mark.parametrize("generation", ['"\\ud800"', "[" * 300 + "]" * 300])
def test_generation_that_could_not_be_said_again_fails_its_stream(played, generation):
    """It is echoed to the next socket, which a frame that cannot be written would hold up for ever."""
    stream_id = played.running(durable=True)
    tree = parse(f'{{"type":"chunk","id":"{stream_id}","data":1,"seq":1,"generation":{generation}}}')
    played.streams.handlers["chunk"](tree, False)
    [failed] = played.events()
    assert failed.error.code == "WIRE_DECODE_FAILED"
    assert failed.error.path == "generation"
    assert [each["type"] for each in played.sent()] == ["unsubscribe"]
    assert played.drop() == []
