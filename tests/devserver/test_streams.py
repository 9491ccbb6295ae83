"""Streams of one socket: chunks without a position, which end with the socket."""

from __future__ import annotations

import asyncio

import pytest

from lunora_rx.devserver import App, AppError, Limits
from lunora_rx.protocol import UNDEFINED
from tests.devserver.peer import Peer, call, new_backend
from tests.devserver.views import Viewer


class Jobs:
    """An app of streams, and what became of their generators."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.app = App(limits=limits)
        self.events: list[str] = []
        self.app.stream("jobs:count")(self.count)
        self.app.stream("jobs:forever")(self.forever)
        self.app.stream("jobs:fail")(self.fail)
        self.app.stream("jobs:asynchronous")(self.asynchronous)
        self.app.stream("jobs:sleepy")(self.sleepy)
        self.app.stream("jobs:odd")(self.odd)
        self.app.stream("jobs:writing")(self.writing)
        self.app.mutation("rows:add")(self.add)

    def count(self, ctx, to: int = 3):
        yield from range(1, to + 1)

    def forever(self, ctx, size: int = 1):
        try:
            while True:
                self.events.append("step")
                yield "x" * size
        finally:
            self.events.append("closed")

    def fail(self, ctx, code: str | None = None):
        yield "first"
        raise RuntimeError("broken") if code is None else AppError(code, "refused")

    async def asynchronous(self, ctx):
        yield 1
        await asyncio.sleep(0)
        yield 2

    async def sleepy(self, ctx):
        await asyncio.sleep(60)
        yield 1

    def odd(self, ctx):
        yield None
        yield UNDEFINED
        yield b"\x00"
        yield object()

    def writing(self, ctx):
        yield ctx.run_mutation("rows:add")
        yield [ctx.identity, ctx.shard]

    def add(self, ctx):
        return ctx.db.insert("rows", x=1)


@pytest.fixture
def jobs():
    return Jobs()


@pytest.fixture
def viewer(jobs):
    return Viewer(new_backend(jobs.app))


def test_stream_is_chunks_without_position_then_complete(viewer):
    """No ``seq`` and no ``generation``: there is nothing to go on from."""
    assert viewer.stream("stream_1", "jobs:count") == [
        {"type": "chunk", "id": "stream_1", "data": 1},
        {"type": "chunk", "id": "stream_1", "data": 2},
        {"type": "chunk", "id": "stream_1", "data": 3},
        {"type": "complete", "id": "stream_1"},
    ]


def test_async_generator_streams_as_well(viewer):
    """It may wait; with no event loop only for its turn."""
    viewer.stream("stream_1", "jobs:asynchronous")
    assert (viewer.chunks, viewer.completed) == ({"stream_1": [1, 2]}, ["stream_1"])


def test_generator_that_waits_without_event_loop_fails(viewer):
    """In memory nobody could wake it."""
    viewer.stream("stream_1", "jobs:sleepy")
    assert viewer.errors == {"stream_1": "INTERNAL"}


def test_arguments_are_bound_and_chunks_encoded(viewer):
    """The codec applies; a chunk without a wire form fails the stream after those before it."""
    viewer.stream("stream_1", "jobs:count", {"to": 1})
    viewer.stream("stream_2", "jobs:odd", {})
    assert viewer.chunks == {"stream_1": [1], "stream_2": [None, UNDEFINED, b"\x00"]}
    assert viewer.errors == {"stream_2": "INTERNAL"}


def test_stream_runs_functions_on_behalf_of_its_socket(viewer):
    """Its context is that of an action."""
    viewer.stream("stream_1", "jobs:writing")
    row_id, told = viewer.chunks["stream_1"]
    assert told == [None, "default"]
    assert viewer.backend.shard().store.get("rows", row_id)["x"] == 1


@pytest.mark.parametrize(("code", "told"), [(None, "INTERNAL"), ("ROOM_FULL", "ROOM_FULL")])
def test_handler_that_raises_is_an_error_with_its_code(viewer, code, told):
    """The chunks before it arrive."""
    viewer.stream("stream_1", "jobs:fail", {"code": code})
    assert (viewer.chunks, viewer.errors, viewer.completed) == ({"stream_1": ["first"]}, {"stream_1": told}, [])


@pytest.mark.parametrize(
    ("path", "args", "more", "code"),
    [
        ("jobs:nothing", None, {}, "NOT_FOUND"),
        ("rows:add", None, {}, "NOT_FOUND"),
        ("jobs:count", {"to": "x"}, {}, "VALIDATION_ERROR"),
        ("jobs:count", None, {"sinceChunk": 1, "generation": "g"}, "STREAM_INTERRUPTED"),
    ],
)
def test_stream_that_cannot_start_gets_error_of_its_id(viewer, path, args, more, code):
    """Unknown, no stream, wrongly asked, or a resume of what keeps nothing."""
    (frame,) = viewer.stream("stream_1", path, args, **more)
    assert (frame["type"], frame["id"], frame["error"]["code"]) == ("error", "stream_1", code)


def test_malformed_stream_frame_gets_bad_subscription_args(viewer):
    """What cannot be read is answered by its id."""
    viewer.send({"type": "stream", "id": "stream_1", "query": {"functionPath": "jobs:count", "args": 3}})
    viewer.drain()
    assert viewer.errors == {"stream_1": "BAD_SUBSCRIPTION_ARGS"}


@pytest.mark.parametrize(("named", "errors"), [("", {}), ("default", {}), ("other", {"stream_1": "FORBIDDEN_SHARD"})])
def test_stream_of_another_shard_than_its_socket_is_forbidden(viewer, named, errors):
    """The frame may name the shard, which is that of the socket."""
    viewer.send({"type": "stream", "id": "stream_1", "query": {"functionPath": "jobs:count", "shardKey": named}})
    viewer.drain()
    assert viewer.errors == errors


def test_stream_goes_no_further_than_its_socket_reads(jobs):
    """A peer that does not read holds the generator up, and is not given up for it."""
    jobs.app.limits = Limits(queued_bytes=8000)
    viewer = Viewer(new_backend(jobs.app))
    viewer.send({"type": "stream", "id": "stream_1", "query": {"functionPath": "jobs:forever", "args": {"size": 100}}})
    assert viewer.session.queued_bytes < 1200
    steps = len(jobs.events)
    assert len(viewer.take()) == steps
    assert len(jobs.events) == 2 * steps
    assert not viewer.session.is_overflowed
    assert not viewer.session.is_busy


def test_streams_do_not_keep_the_server_from_reading(jobs):
    """One huge chunk after the other waits, and the frame that ends them is read all the same."""
    jobs.app.limits = Limits(queued_bytes=8000)
    viewer = Viewer(new_backend(jobs.app))
    query = {"functionPath": "jobs:forever", "args": {"size": 7000}}
    viewer.send({"type": "stream", "id": "stream_1", "query": query})
    viewer.take()
    assert not viewer.session.is_busy


@pytest.mark.parametrize("how", ["unsubscribe", "close", "same id"])
def test_cancelled_stream_closes_its_generator(jobs, how):
    """``finally`` runs at once, once, and nobody is told any more."""
    jobs.app.limits = Limits(queued_bytes=8000)
    viewer = Viewer(new_backend(jobs.app))
    viewer.send({"type": "stream", "id": "stream_1", "query": {"functionPath": "jobs:forever"}})
    assert "closed" not in jobs.events
    if how == "unsubscribe":
        viewer.send({"type": "unsubscribe", "id": "stream_1"})
    elif how == "close":
        viewer.session.close()
    else:
        viewer.send({"type": "stream", "id": "stream_1", "query": {"functionPath": "jobs:count"}})
    assert jobs.events.count("closed") == 1
    viewer.drain()
    assert viewer.completed == (["stream_1"] if how == "same id" else [])


def test_ended_stream_is_forgotten(viewer):
    """Neither a cancel nor a close afterwards means anything."""
    viewer.stream("stream_1", "jobs:count")
    viewer.send({"type": "unsubscribe", "id": "stream_1"})
    assert viewer.drain() == []
    assert len(viewer.session._streams) == 0


def test_streams_count_against_the_limit_of_a_connection(jobs):
    """One that has ended counts no more."""
    jobs.app.limits = Limits(subscriptions=1, queued_bytes=8000)
    viewer = Viewer(new_backend(jobs.app))
    viewer.stream("stream_1", "jobs:count")
    viewer.send({"type": "stream", "id": "stream_2", "query": {"functionPath": "jobs:forever"}})
    viewer.take()
    viewer.send({"type": "stream", "id": "stream_3", "query": {"functionPath": "jobs:count"}})
    viewer.take()
    assert viewer.errors == {"stream_3": "TOO_MANY_SUBSCRIPTIONS"}


def test_stream_is_no_function_to_call(viewer):
    """Over HTTP there is no such function, and OpenRPC does not list it."""
    assert call(viewer.backend, "jobs:count")["error"]["code"] == "NOT_FOUND"


@pytest.mark.parametrize(
    ("decorate", "handler"),
    [
        (App.query, lambda ctx: (yield)),
        (lambda app, path: app.stream(path), lambda ctx: None),
        (lambda app, path: app.http_stream("/x"), lambda ctx: None),
        (lambda app, path: app.on_connect, lambda ctx: (yield)),
    ],
)
def test_function_of_the_wrong_sort_is_refused_at_registration(decorate, handler):
    """Streams yield, and nothing else does."""
    with pytest.raises(TypeError):
        decorate(App(), "a:b")(handler)


def test_path_of_a_stream_is_taken_for_functions_too(jobs):
    """Paths of functions and streams are one namespace."""
    for register in (jobs.app.stream, jobs.app.query):
        with pytest.raises(ValueError, match="already"):
            register("jobs:count")(jobs.count if register == jobs.app.stream else lambda ctx: None)
    assert [each["name"] for each in jobs.app.openrpc()["methods"]] == ["rows:add"]


def test_generator_that_writes_when_closed_does_so_after_the_commit_that_closed_it():
    """A commit that drops a slow socket is told to all others before what the generator of that socket writes."""
    jobs = Jobs(Limits(queued_bytes=4000))

    @jobs.app.stream("jobs:tidy")
    def tidy(ctx):
        try:
            while True:
                yield "x" * 100
        finally:
            ctx.run_mutation("rows:add")

    jobs.app.query("rows:count")(lambda ctx: ctx.db.table("rows").count())
    backend = new_backend(jobs.app)
    watchers = [Peer(backend, caps=()) for _ in range(3)]
    for watcher in watchers:
        watcher.subscribe("sub_1", "rows:count")
    query = {"functionPath": "jobs:tidy"}
    watchers[1].send({"type": "stream", "id": "stream_1", "query": query})
    watchers[1].session.send_text("x" * 4000)
    call(backend, "rows:add")
    assert watchers[1].session.is_overflowed
    for watcher in (watchers[0], watchers[2]):
        frames = [frame for frame in watcher.drain() if frame["type"] == "data"]
        assert [frame["data"] for frame in frames] == [1, 2]
