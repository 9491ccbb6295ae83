"""Routes of server-sent events over real connections, and what faults do to them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from lunora_rx.devserver import App, AppError, Comment, Event, Raw
from lunora_rx.devserver.events import event_texts

COMPLETE = b"event: complete\ndata: {}\n\n"


class Routes:
    """A served app with a few routes."""

    def __init__(self) -> None:
        self.app = App()
        self.url = ""
        self.http: Any = None
        self.closed = asyncio.Event()
        self.started = asyncio.Event()
        self.app.authenticate({"good": "ada"}.get)
        self.app.http_stream("/jobs/:id/progress")(self.progress)
        self.app.http_stream("/odd")(self.odd)
        self.app.http_stream("/fail")(self.fail)
        self.app.http_stream("/wait", keepalive=0.1)(self.wait)
        self.app.http_stream("/silent", keepalive=None)(self.wait)
        self.app.http_stream("/me")(self.me)
        self.app.mutation("rows:add")(lambda ctx: ctx.db.insert("rows", _id="r"))

    def progress(self, ctx, id: str, steps: int = 2, tags: list[str] | None = None):
        for step in range(steps):
            yield {"job": id, "step": step, "tags": tags}

    def odd(self, ctx):
        yield "é€😀"
        yield Event("progress", 0.5)
        yield Comment("a\nb")
        yield Comment()
        yield Raw("id: 7\ndata: [1,\ndata: 2]\n\n")

    def fail(self, ctx, code: str | None = None):
        yield 1
        raise AppError(code, "refused") if code else RuntimeError("broken")

    async def wait(self, ctx):
        try:
            yield "first"
            self.started.set()
            await asyncio.sleep(60)
        finally:
            self.closed.set()

    async def me(self, ctx):
        yield [ctx.identity, ctx.headers["x-mine"], ctx.run_mutation("rows:add"), ctx.shard]

    def get(self, path: str, **headers: str) -> Any:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.get(f"{self.url}{path}", headers={"accept": "text/event-stream", **named})

    async def body(self, path: str, **headers: str) -> bytes:
        async with self.get(path, **headers) as reply:
            assert reply.status == 200
            return await reply.read()


@pytest.fixture
async def routes() -> AsyncIterator[Routes]:
    routes = Routes()
    async with routes.app.serve() as routes.url, aiohttp.ClientSession() as routes.http:
        yield routes


async def test_route_streams_plain_json_then_complete(routes):
    """One ``data:`` a chunk, and an event at the end."""
    async with routes.get("/jobs/a%2Fb%20c/progress?steps=1") as reply:
        assert reply.status == 200
        assert reply.headers["content-type"].startswith("text/event-stream")
        body = await reply.read()
    assert body == b'data: {"job":"a/b c","step":0,"tags":null}\n\n' + COMPLETE


async def test_parameters_are_texts_or_json_as_the_annotations_ask(routes):
    """A path parameter that looks like a number stays a text; a list comes as JSON."""
    body = await routes.body('/jobs/7/progress?steps=1&tags=["x"]')
    assert body.startswith(b'data: {"job":"7","step":0,"tags":["x"]}')


@pytest.mark.parametrize("search", ["steps=x", "other=1"])
async def test_parameters_that_do_not_fit_are_refused(routes, search):
    """With the envelope of a call, and no stream."""
    async with routes.get(f"/jobs/7/progress?{search}") as reply:
        assert (reply.status, (await reply.json())["error"]["code"]) == (400, "VALIDATION_ERROR")


async def test_events_comments_and_raw_texts_are_written_as_they_are(routes):
    """Everything the framing has to offer."""
    body = (await routes.body("/odd")).decode()
    assert body.split("\n\n")[:-1] == [
        'data: "é€😀"',
        "event: progress\ndata: 0.5",
        ": a\n: b",
        ": ",
        "id: 7\ndata: [1,\ndata: 2]",
        "event: complete\ndata: {}",
    ]


@pytest.mark.parametrize(("search", "code"), [("", "INTERNAL"), ("?code=ROOM_FULL", "ROOM_FULL")])
async def test_route_that_raises_ends_with_an_error_event(routes, search, code):
    """The chunks before it arrive, and no ``complete`` follows."""
    first, error, rest = (await routes.body(f"/fail{search}")).decode().split("\n\n")
    name, data = error.split("\n")
    assert (first, name, rest) == ("data: 1", "event: error", "")
    assert json.loads(data.removeprefix("data: "))["code"] == code


async def test_route_knows_who_asks(routes):
    """Bearer, headers, and functions of the default shard."""
    body = await routes.body("/me", authorization="Bearer good", x_mine="h")
    assert body.startswith(b'data: ["ada","h","r","default"]\n\n')


async def test_refused_bearer_is_401(routes):
    """Before anything runs."""
    async with routes.get("/me", authorization="Bearer bad") as reply:
        assert (reply.status, (await reply.json())["error"]["code"]) == (401, "UNAUTHORIZED")


async def test_cookie_from_another_site_is_forbidden(routes):
    """A page of another origin may not read with somebody's cookie."""
    async with routes.get("/odd", cookie="lunora_session=c", origin="http://localhost:1") as reply:
        assert (reply.status, (await reply.json())["error"]["code"]) == (403, "FORBIDDEN")


async def test_events_that_are_given_up_close_their_generator():
    """At once, and not when somebody collects it."""
    chunks = Routes().odd(None)
    texts = event_texts(lambda: chunks, "/odd")
    await anext(texts)
    await texts.aclose()
    assert chunks.gi_frame is None


async def test_silence_is_filled_with_comments(routes):
    """A client that measures silence hears that the stream lives."""
    async with routes.get("/wait") as reply:
        assert await reply.content.readuntil(b"\n\n") == b'data: "first"\n\n'
        for _ in range(2):
            assert await reply.content.readuntil(b"\n\n") == b": keepalive\n\n"


async def test_client_that_leaves_closes_the_generator(routes):
    """Also one that waits, and would write nothing for long."""
    async with routes.get("/silent") as reply:
        await reply.content.readuntil(b"\n\n")
        await routes.started.wait()
        reply.close()
        async with asyncio.timeout(5):
            await routes.closed.wait()


async def test_stopping_the_server_ends_streams_at_once():
    """A stream without an end does not hold the server up, and leaves no task."""
    routes = Routes()
    before = asyncio.all_tasks()
    async with aiohttp.ClientSession() as routes.http:
        async with routes.app.serve() as routes.url:
            reply = await routes.get("/wait")
            await routes.started.wait()
            started = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - started < 1.5
        assert routes.closed.is_set()
        reply.close()
    assert asyncio.all_tasks() <= before


async def test_cut_stream_ends_without_complete(routes):
    """After so many events the body is over, as if all was well."""
    routes.app.faults.cut_http_streams(after=1)
    assert (await routes.body("/jobs/7/progress")).count(b"data:") == 1
    assert (await routes.body("/jobs/7/progress")).count(b"data:") == 3


async def test_cut_stream_with_reset_breaks_the_connection(routes):
    """The client cannot take it for an end."""
    routes.app.faults.cut_http_streams(after=0, reset=True)
    with pytest.raises(aiohttp.ClientError):
        await routes.body("/jobs/7/progress")


async def test_spoilt_stream_starts_with_no_json(routes):
    """The first chunk only."""
    routes.app.faults.spoil_http_streams()
    body = await routes.body("/jobs/7/progress")
    assert body.startswith(b'data: {"cut":\n\ndata: {"job"')


@pytest.mark.parametrize("newline", ["\r\n", "\r"])
async def test_framed_stream_has_other_line_ends(routes, newline):
    """Both that the framing allows besides the usual one."""
    routes.app.faults.frame_http_streams(newline=newline)
    body = await routes.body("/odd")
    assert body.endswith(f"event: complete{newline}data: {{}}{newline}{newline}".encode())


async def test_framed_stream_is_written_in_pieces_that_split_characters(routes):
    """A character of several bytes arrives in several reads."""
    routes.app.faults.frame_http_streams(newline="\n", write_size=1)
    pieces = []
    async with routes.get("/odd") as reply:
        async for piece in reply.content.iter_any():
            pieces.append(piece)
    assert b"".join(pieces).startswith('data: "é€😀"\n\n'.encode())
    assert any(b"\xf0" in piece and b"\xf0\x9f\x98\x80" not in piece for piece in pieces)


@pytest.mark.parametrize(
    ("status", "body"), [(503, b""), (404, b'{"error":{"code":"NOT_FOUND"}}'), (204, b""), (200, b"")]
)
async def test_stream_can_be_refused_or_empty(routes, status, body):
    """Any status and body in place of the stream, by the switch that calls have."""
    routes.app.faults.fail_calls(status=status, body=body, on="http_stream")
    async with routes.get("/odd") as reply:
        assert (reply.status, await reply.read()) == (status, body)
    assert len(await routes.body("/odd")) > 0


async def test_stream_can_be_lost_before_its_headers(routes):
    """The connection is reset instead of a reply."""
    routes.app.faults.lose_replies(None, on="http_stream")
    with pytest.raises(aiohttp.ClientError):
        await routes.body("/odd")
    routes.app.faults.release()
    assert (await routes.body("/odd")).endswith(COMPLETE)


async def test_release_forgets_what_has_not_struck(routes):
    """Afterwards all is well."""
    routes.app.faults.cut_http_streams(after=0)
    routes.app.faults.spoil_http_streams()
    routes.app.faults.frame_http_streams()
    routes.app.faults.release()
    assert (await routes.body("/fail?code=X")).startswith(b"data: 1\n\nevent: error")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/_lunora/x", "server's own"),
        ("/api/auth/x", "server's own"),
        ("/jobs/:other/progress", "already"),
        ("jobs", "a path such as"),
        ("/a b", "a path such as"),
    ],
)
async def test_route_that_cannot_be_is_refused_at_registration(path, message):
    """Taken, reserved, or no path."""
    with pytest.raises(ValueError, match=message):
        Routes().app.http_stream(path)(Routes().odd)
