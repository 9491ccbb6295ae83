"""Streams as Observables: each subscription is a run, and an iteration waits for no more than it can hold."""

from __future__ import annotations

import asyncio
import gc
import threading
from contextvars import ContextVar

import pytest
from reactivex import operators as ops

from lunora_rx.core.stream_events import StreamChunk, StreamEnded, StreamEvent, StreamFailed
from lunora_rx.core.streams import Streams
from lunora_rx.errors import ClientClosedError, ServerError, StreamError
from lunora_rx.rx.stream import MAX_BUFFER, MAX_BUFFER_SIZE, Procedure, Runs, Stream
from tests.core.play import parsed
from tests.support import Recorder, turn, until

CELL: ContextVar[str] = ContextVar("cell", default="none")
ANSWER = Procedure("ai:answer", {"n": 1})


class PlayedRuns:
    """Runs whose socket and server the test plays; it asks as a client does.

    Attributes:
        runs: The runs under test.
        sent: The types of the frames that went out, with the number of their stream.
        cancels: The threads on which runs were given up.
        reported: What observers raised.
    """

    def __init__(self):
        self.sent = []
        self.cancels = []
        self.reported = []
        self.is_closed = False
        self.frame_size = 10
        self.runs = Runs(self, self.reported.append)
        self._loop = None
        self._count = 0
        self._events: list[StreamEvent] = []
        self._streams = Streams("", self._new_id, self._events.append, self._send, lambda: self.frame_size)

    def stream(self, procedure=ANSWER, **options):
        """Return the stream of a procedure."""
        return Stream(self.runs, procedure, **options)

    def enter(self, what):
        """Refuse after the end, as a client does."""
        if self.is_closed:
            raise ClientClosedError(f"{what}: the client is closed")
        self._loop = asyncio.get_running_loop()

    def call_on_loop(self, callback):
        """Cross to the loop where need be."""
        try:
            is_here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            is_here = False
        if is_here:
            callback()
        else:
            self._loop.call_soon_threadsafe(callback)

    def start_stream(self, function_path, args, shard, *, durable):
        """Start a procedure."""
        self.asked = Procedure(function_path, args, shard, durable)
        return self._streams.start(function_path, args, durable=durable)

    def cancel_stream(self, stream_id, shard):
        """Cancel a run."""
        assert shard == self.asked.shard
        self.cancels.append(threading.get_ident())
        self._streams.cancel(stream_id)

    def give(self, *values, number=1):
        """Let the server send chunks."""
        for each in values:
            self._streams.handlers["chunk"]({"type": "chunk", "id": f"stream_{number}", "data": each}, False)
            self._drain()

    def complete(self, number=1):
        """Let the server complete a run."""
        self._streams.receive_complete(f"stream_{number}")
        self._drain()

    def refuse(self, code, number=1):
        """Let the server fail a run."""
        self._streams.receive_error(f"stream_{number}", ServerError("no", code=code))
        self._drain()

    def drop(self):
        """Cut the socket."""
        self._streams.forget_socket()
        self._drain()

    def close(self):
        """Close the client."""
        self.is_closed = True
        self._streams.close()
        self._drain()

    def _drain(self):
        events, self._events[:] = self._events.copy(), []
        tell = {StreamChunk: self.runs.publish, StreamEnded: self.runs.end, StreamFailed: self.runs.fail}
        for event in events:
            tell[type(event)](event)

    def _send(self, text):
        frame = parsed(text)
        self.sent.append((frame["type"], int(frame["id"].removeprefix("stream_"))))
        return True

    def _new_id(self):
        self._count += 1
        return f"stream_{self._count}"


@pytest.fixture
def played():
    """Runs on an open socket."""
    return PlayedRuns()


async def iterating(stream, **options):
    """Return an iteration that has begun, with the task that waits for its first chunk."""
    iterator = stream.aiter(**options)
    first = asyncio.create_task(iterator.__anext__())
    await turn()
    return iterator, first


async def test_stream_runs_once_for_each_subscription(played):
    """It is cold: nothing is sent before, and each observer has chunks of its own."""
    stream, first, second = played.stream(Procedure("ai:answer", {"n": 1}, "room", True)), Recorder(), Recorder()
    assert played.sent == []
    stream.subscribe(first)
    stream.subscribe(second)
    assert played.asked == Procedure("ai:answer", {"n": 1}, "room", True)
    assert (played.sent, len(played.runs)) == ([("stream", 1), ("stream", 2)], 2)
    played.give("be", None)
    played.give("cause", number=2)
    played.complete()
    assert (first.values, second.values) == (["be", None], ["cause"])
    assert (first.completions, second.completions, len(played.runs)) == (1, 0, 1)


async def test_stream_disposed_cancels_its_run_once(played):
    """Disposing twice, and chunks that are still on their way, are silent."""
    seen = Recorder()
    handle = played.stream().subscribe(seen)
    for _ in range(2):
        handle.dispose()
    played.give("be")
    assert (played.sent, len(played.runs)) == ([("stream", 1), ("unsubscribe", 1)], 0)
    assert len(played.cancels) == 1
    assert (seen.values, seen.errors, seen.completions) == ([], [], 0)


@pytest.mark.parametrize("end", ["complete", "drop", "close"])
async def test_stream_that_is_over_is_not_cancelled_when_disposed(played, end):
    """Whoever ended it knows already."""
    handle = played.stream().subscribe(Recorder())
    getattr(played, end)()
    handle.dispose()
    assert (played.sent, played.cancels) == ([("stream", 1)], [])


async def test_stream_operators_end_the_run(played):
    """What takes enough of it disposes, inside the delivery."""
    seen = Recorder()
    played.stream().pipe(ops.take(2)).subscribe(seen)
    played.give(1, 2, 3)
    assert (seen.values, seen.completions, played.sent[1:]) == ([1, 2], 1, [("unsubscribe", 1)])


@pytest.mark.parametrize(
    ("fail", "kind", "code"),
    [
        (PlayedRuns.drop, StreamError, "STREAM_DISCONNECTED"),
        (PlayedRuns.close, ClientClosedError, "CLIENT_CLOSED"),
        (lambda played: played.refuse("STREAM_INTERRUPTED"), StreamError, "STREAM_INTERRUPTED"),
        (lambda played: played.refuse("FORBIDDEN"), ServerError, "FORBIDDEN"),
    ],
)
async def test_stream_failure_reaches_the_observer(played, fail, kind, code):
    """Each kind of failure has its class; the run is forgotten."""
    seen = Recorder()
    played.stream().subscribe(seen)
    played.give("be")
    fail(played)
    ((error,), values) = seen.errors, seen.values
    assert (type(error), error.code, values, len(played.runs)) == (kind, code, ["be"], 0)


async def test_stream_failures_are_exceptions_of_their_own(played):
    """Two observers never share a traceback."""
    error, seen = ServerError("no"), [Recorder(), Recorder()]
    for each in seen:
        played.stream().subscribe(each)
    for number in (1, 2):
        played.runs.fail(StreamFailed(f"stream_{number}", error))
    errors = [each.errors[0] for each in seen]
    assert len({id(each) for each in [*errors, error]}) == 3


async def test_stream_event_of_nobody_is_silent(played):
    """What was on its way when a run was cancelled has no one to be told."""
    for tell, event in [
        (played.runs.publish, StreamChunk("stream_9", 1)),
        (played.runs.end, StreamEnded("stream_9")),
        (played.runs.fail, StreamFailed("stream_9", ServerError("no"))),
    ]:
        tell(event)
    assert played.reported == []


async def test_stream_of_a_closed_client_fails(played):
    """The observer is told; no run is started."""
    seen = Recorder()
    played.close()
    played.stream().subscribe(seen)
    assert [type(each) for each in seen.errors] == [ClientClosedError]
    assert played.sent == []


async def test_stream_observer_that_raises_is_reported(played):
    """The run goes on, and so do the others."""
    played.stream().subscribe(lambda value: 1 / value)
    played.give(0, 1, 0)
    assert [type(each) for each in played.reported] == [ZeroDivisionError] * 2


async def test_stream_observer_is_called_in_the_context_of_its_subscription(played):
    """What it prints in a notebook lands in its own cell."""
    cells = []
    token = CELL.set("first")
    played.stream().subscribe(lambda value: cells.append(CELL.get()))
    CELL.reset(token)
    played.give(1)
    assert cells == ["first"]


async def test_stream_disposed_on_another_thread_is_cancelled_on_the_loop(played):
    """Disposing crosses by itself."""
    handle = played.stream().subscribe(Recorder())
    thread = threading.Thread(target=handle.dispose)
    thread.start()
    await until(lambda: ("unsubscribe", 1) in played.sent)
    assert played.cancels == [threading.get_ident()]
    thread.join()


def test_stream_shows_what_it_runs(played):
    """The arguments are not shown."""
    assert repr(played.stream()) == "<Stream 'ai:answer'>"
    assert repr(played.stream(Procedure("ai:answer", {}, "room"))) == "<Stream 'ai:answer', shard='room'>"


async def test_aiter_gives_all_chunks_then_the_end(played):
    """``None`` is a chunk; a run that completes loses nothing that waits."""
    iterator, first = await iterating(played.stream())
    played.give(None, 1, None)
    played.complete()
    assert await first is None
    assert [each async for each in iterator] == [1, None]


async def test_aiter_error_drops_what_waits(played):
    """Whatever was not taken before is not taken any more."""
    iterator, first = await iterating(played.stream())
    played.give(0, 1, 2)
    assert await first == 0
    played.drop()
    with pytest.raises(StreamError) as caught:
        await iterator.__anext__()
    assert caught.value.code == "STREAM_DISCONNECTED"
    with pytest.raises(StopAsyncIteration):
        await iterator.__anext__()


@pytest.mark.parametrize(("made_with", "asked_for"), [({"max_buffer": 2}, {}), ({}, {"max_buffer": 2})])
async def test_aiter_too_far_behind_cancels_its_run_at_once(played, made_with, asked_for):
    """The server is told before the slow loop comes back to find out."""
    iterator, first = await iterating(played.stream(**made_with), **asked_for)
    played.give(0)
    assert await first == 0
    played.give(1, 2)
    assert played.sent == [("stream", 1)]
    played.give(3, 4)
    assert played.sent == [("stream", 1), ("unsubscribe", 1)]
    with pytest.raises(StreamError) as caught:
        await iterator.__anext__()
    assert (caught.value.code, len(played.runs)) == ("STREAM_BACKPRESSURE", 0)


async def test_aiter_too_many_characters_behind_cancels_its_run_at_once(played):
    """However few chunks there are: what waits is bounded by the size of its frames; what was taken counts no more."""
    played.frame_size = MAX_BUFFER_SIZE // 2
    iterator, first = await iterating(played.stream())
    played.give(0)
    assert await first == 0
    played.give(1, 2)
    assert await anext(iterator) == 1
    played.give(3)
    assert played.sent == [("stream", 1)]
    played.give(4)
    assert played.sent == [("stream", 1), ("unsubscribe", 1)]
    with pytest.raises(StreamError, match="67108864 characters behind") as caught:
        await anext(iterator)
    assert (caught.value.code, len(played.runs)) == ("STREAM_BACKPRESSURE", 0)


async def test_aiter_that_waits_is_told_that_it_is_too_many_characters_behind(played):
    """It may not have come to take even the first."""
    played.frame_size = MAX_BUFFER_SIZE
    _, first = await iterating(played.stream())
    played.give(0, 1)
    with pytest.raises(StreamError, match="characters behind"):
        await first


async def test_aiter_takes_one_chunk_of_any_size(played):
    """The limit of a frame may be set higher than what may wait."""
    played.frame_size = 4 * MAX_BUFFER_SIZE
    iterator, first = await iterating(played.stream())
    played.give(0)
    assert await first == 0
    played.give(1)
    assert await anext(iterator) == 1


async def test_aiter_holds_1024_chunks_by_default(played):
    """As the protocol has it."""
    iterator, first = await iterating(played.stream())
    played.give(*range(MAX_BUFFER))
    played.complete()
    assert [await first, *[each async for each in iterator]] == list(range(1024))


async def test_aiter_left_cancels_the_run(played):
    """At once, by ``break`` as by ``aclose``, and when nobody holds it any more."""
    asyncio.get_running_loop().call_soon(played.give, "be")
    async for _ in played.stream().aiter():
        break
    assert played.sent[1:] == [("unsubscribe", 1)]
    iterator, first = await iterating(played.stream())
    await iterator.aclose()
    with pytest.raises(StopAsyncIteration):
        await first
    assert played.sent[3:] == [("unsubscribe", 2)]
    iterator, first = await iterating(played.stream())
    first.cancel()
    del iterator, first
    await turn()
    gc.collect()
    assert played.sent[5:] == [("unsubscribe", 3)]


async def test_aiter_starts_nothing_before_it_is_asked(played):
    """Making it is free."""
    iterator = played.stream().aiter()
    await iterator.aclose()
    assert played.sent == []


async def test_aiter_after_the_end_of_the_client_raises(played):
    """The iteration is told as an observer is."""
    played.close()
    with pytest.raises(ClientClosedError):
        await played.stream().aiter().__anext__()


@pytest.mark.parametrize("max_buffer", [0, -1])
def test_aiter_without_a_buffer_is_refused(played, max_buffer):
    """At the call."""
    with pytest.raises(ValueError, match=f"max_buffer is at least 1, not {max_buffer}"):
        played.stream().aiter(max_buffer=max_buffer)


async def test_aiter_is_taken_from_another_thread(played):
    """A thread asks the loop for each chunk; what it does not ask for yet waits within the bound."""
    loop, taken = asyncio.get_running_loop(), []
    iterator = played.stream().aiter(max_buffer=2)

    def take():
        while len(taken) < 3:
            taken.append(asyncio.run_coroutine_threadsafe(iterator.__anext__(), loop).result(5))
        asyncio.run_coroutine_threadsafe(iterator.aclose(), loop).result(5)

    thread = threading.Thread(target=take)
    thread.start()
    await until(lambda: played.sent)
    for number in range(3):
        played.give(number)
        await until(lambda wanted=number: len(taken) > wanted)
    await until(lambda: not thread.is_alive())
    assert (taken, played.sent[1:]) == ([0, 1, 2], [("unsubscribe", 1)])
