"""Secrets are planted wherever a client takes one, and looked for in all that a program could show of it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp import web

from lunora_rx import Backoff, LunoraClient, LunoraError, Status
from lunora_rx.adapters.opentelemetry import instrument
from lunora_rx.interfaces import Tap
from tests.adapters.test_opentelemetry import Telemetry
from tests.security.canary import WORD, Eavesdropper, digests, leaks, planted
from tests.security.house import (
    BEARER,
    COOKIE,
    NEXT_BEARER,
    OTHERS_BEARER,
    SOCKET,
    USERS,
    empty,
    house,
    trap,
)
from tests.support import Recorder, until
from tests.transport.test_aiohttp_transport import free_port

BRIEF = Backoff(initial=0.01, maximum=0.02)


class Spy(Tap):
    """A tap that keeps all that it is told."""

    def __init__(self, ear):
        self._ear = ear

    def note_socket(self, shard, stage, code=None):
        self._ear.hear("tap", shard, stage, code)

    def note_frame(self, shard, frame):
        self._ear.hear("tap", frame, frame.text)

    def note_request(self, request):
        self._ear.hear("tap", request, request.headers, request.body)

    def note_reply(self, request, reply):
        self._ear.hear("tap", request.headers, reply, getattr(reply, "headers", None))

    def note_call(self, news):
        self._ear.hear("tap", news)


class Sockets:
    """Gives tokens of sockets: a string at first, then an exception that holds one, then by a coroutine."""

    def __init__(self):
        self.asked = 0

    def __call__(self):
        self.asked += 1
        if self.asked == 2:
            raise ValueError(f"the token {SOCKET} has expired")
        return SOCKET if self.asked == 1 else self._later()

    async def _later(self):
        return SOCKET


@contextlib.contextmanager
def slow_callbacks_shown():
    """Let asyncio show every callback and task, as in its debug mode."""
    loop = asyncio.get_running_loop()
    before = loop.get_debug(), loop.slow_callback_duration
    loop.set_debug(True)
    loop.slow_callback_duration = 0
    try:
        yield
    finally:
        loop.set_debug(before[0])
        loop.slow_callback_duration = before[1]


def raise_something(value):
    """What an observer may do."""
    raise RuntimeError("an observer raised")


async def outcome(ear, *calls):
    """Wait for calls, and keep what they raise."""
    for call in calls:
        try:
            ear.hear("result", await call)
        except LunoraError as error:
            ear.catch(error)


def use_everything(client, ear, seen):
    """Use all that a client offers; return the calls to wait for."""
    live, shape = client.live("notes:list"), client.shape("notes")
    paged, stream = client.paginate("notes:page"), client.stream("notes:read", durable=True)
    events, whispers = client.http_stream("/notes"), client.whispers("room")
    observed = [live, live.snapshots, shape, shape.changes, paged, stream, events, whispers, client.user]
    observed += [client.status, client.pending, client.settled, client.replay, client.token_expired]
    observed += [client.identity_changed, client.auth_token_changed]
    for each in observed:
        each.subscribe(seen.on_next, ear.catch)
    live.subscribe(raise_something)
    held = client.presence({"place": "here"})
    client.whisper("room", "hello")
    write = client.mutation("notes:add", {"text": "a"}, optimistic_update=lambda store, args: None)
    calls = [client.query("notes:list"), client.action("notes:act"), write, client.current_user()]
    calls += [client.batch([("notes:list",), ("notes:who",)]), client.preload("notes:list")]
    rows = client.import_rows("notes:add", [{"text": "b"}], to_args=lambda chunk: chunk[0])
    rows.subscribe(seen.on_next, ear.catch)
    ear.hear("public object", client, *observed, *calls, held, write.phases, rows, client.cache, client.debug())
    return calls


async def test_session_of_everything_shows_no_secret(no_tasks_left, tmp_path, capfd, recwarn):
    """Tokens by value, by callable and by coroutine, two users, every failure: heard nowhere, and in no file."""
    app, ear, seen, telemetry = house(), Eavesdropper(), Recorder(), Telemetry()
    options = {"auth_token": BEARER, "auth_subject": "ada", "ws_token": Sockets(), "reconnect": BRIEF}
    options |= {"storage": tmp_path / "storage", "debug": True, "on_error": ear.catch, "on_storage_error": ear.catch}
    with ear, slow_callbacks_shown():
        async with app.serve(storage=tmp_path / "server") as url, LunoraClient(url, polling=None, **options) as client:
            with client.tap(Spy(ear)), client.record(tmp_path / "session.jsonl"):
                instrument(client, tracer_provider=telemetry.tracers, meter_provider=telemetry.meters)
                await outcome(ear, *use_everything(client, ear, seen))
                await until(lambda: client.status.value is Status.CONNECTED)
                app.faults.close_sockets(4001)
                await until(lambda: options["ws_token"].asked > 2 and client.status.value is Status.CONNECTED)
                for code in ("UNAUTHORIZED", "TOKEN_EXPIRED"):
                    app.faults.refuse_credentials(code=code)
                    await outcome(ear, client.query("notes:list"))
                app.faults.spoil_replies(2)
                app.faults.lose_replies(1)
                await outcome(ear, *(client.query("notes:list") for _ in range(4)))
                app.faults.send_text("{")
                app.faults.spoil_chunks()
                app.faults.refuse_sockets()
                app.faults.drop_sockets()
                await until(lambda: client.status.value is not Status.CONNECTED)
                waiting = client.mutation("notes:add")
                await until(lambda: client.pending.value == 1)
                ear.look_around()
                ear.read(tmp_path)
                ear.hear("debug", client.debug())
                client.set_auth_token(NEXT_BEARER, "ada")
                client.set_ws_token(NEXT_BEARER)
                app.faults.release()
                await outcome(ear, waiting)
                client.set_auth_token(OTHERS_BEARER, "bob")
                client.set_ws_token(lambda: OTHERS_BEARER)
                await outcome(ear, *use_everything(client, ear, seen))
                client.set_auth_token(None)
                client.set_ws_token(None)
                await outcome(ear, client.query("notes:list"))
                ear.look_around()
            ear.hear("debug", client.debug(), client)
        ear.hear("debug", client.debug(), client)
    ear.hear("telemetry", telemetry.everything())
    telemetry.close()
    ear.hear("values", *seen.values)
    ear.hear("output", *capfd.readouterr(), *(str(each.message) for each in recwarn))
    ear.read(tmp_path)
    assert {"asyncio", "lunora_rx.http", "lunora_rx.frames", "lunora_rx.socket"} <= ear.loggers
    assert {type(error).__name__ for error in ear.errors} >= {"ServerError", "TransportError", "RuntimeError"}
    assert ear.leaks() == set()


async def test_secrets_of_urls_are_shown_nowhere(no_tasks_left, tmp_path):
    """A password before the host, a token among the parameters of the socket's URL."""
    ear = Eavesdropper()
    async with trap(empty) as server:
        host = server.url.removeprefix("http://")
        ws_url = f"ws://u:{WORD}@{host}/socket?token={WORD}&a=b"
        client = LunoraClient(f"http://user:{WORD}@{host}", ws_url=ws_url, reconnect=BRIEF, polling=None)
        with ear, client.record(tmp_path / "session.jsonl"):
            async with client:
                client.live("notes:list").subscribe(on_error=ear.catch)
                await outcome(ear, client.query("notes:list"), client.current_user())
                await until(lambda: client.debug()["last_error"])
                ear.hear("debug", client, client.debug())
                ear.look_around()
    ear.read(tmp_path)
    assert any(f"token={WORD}" in path for path, _ in server.requests)
    assert ear.leaks() == set()
    for wrong in (f"http://u:{WORD}@", f"ftp://u:{WORD}@h", f"http://h/?token={WORD}", f"http://u:{WORD}@h:x"):
        with pytest.raises(ValueError, match=r"is not an absolute|has a query") as raised:
            LunoraClient(wrong)
        ear.hear("refusal", raised.value)
    assert ear.leaks() == set()


async def test_cookie_session_is_shown_nowhere(no_tasks_left, tmp_path):
    """A session of the user's with a cookie, which the server replaces; and what the probe says of it."""
    ear, seen = Eavesdropper(), Recorder()

    async def answer(request):
        is_probe = request.path.endswith("/get-session")
        body = {"user": {"id": "ada"}, "session": {"token": COOKIE}} if is_probe else {"result": 1}
        return web.json_response(body, headers={"set-cookie": f"session={planted('fresh')}"})

    async with trap(answer) as server:
        jar = aiohttp.CookieJar(unsafe=True)
        jar.update_cookies({"session": COOKIE})
        async with aiohttp.ClientSession(cookie_jar=jar) as session:
            client = LunoraClient(server.url, session=session, cookie_auth=True, reconnect=BRIEF, polling=None)
            with ear, client.record(tmp_path / "session.jsonl"), client.tap(Spy(ear)):
                async with client:
                    client.user.subscribe(seen.on_next)
                    client.live("notes:list").subscribe(on_error=ear.catch)
                    await outcome(ear, client.current_user(), client.query("notes:list"), client.mutation("notes:add"))
                    await until(lambda: client.debug()["last_error"])
                    ear.look_around()
                    ear.hear("debug", client, client.debug(), *seen.values)
    ear.read(tmp_path)
    assert all(WORD in headers.get("Cookie", "") for _, headers in server.requests)
    assert ear.leaks() == set()


async def redirect(request):
    """Lead elsewhere."""
    return web.Response(status=307, headers={"location": f"http://127.0.0.1:9/?token={quote(planted('there'))}"})


async def page_of_errors(request):
    """Answer as a proxy does that shows the request."""
    return web.Response(status=502, text="an error page")


async def garbage(request):
    """Answer with something that is no HTTP."""
    request.transport.write(b"\0" * 100)
    request.transport.close()
    return web.Response()


async def hang_up(request):
    """Close the connection."""
    request.transport.abort()
    return web.Response()


@pytest.mark.parametrize("failure", ["refused", "unknown name", "no TLS", redirect, page_of_errors, garbage, hang_up])
async def test_failure_shows_no_secret(no_tasks_left, tmp_path, failure):
    """Whatever goes wrong below: no log, no exception and nothing behind it, no local variable of its frames."""
    ear, sockets = Eavesdropper(), Sockets()
    async with trap(failure if callable(failure) else empty) as server:
        url = {
            "refused": f"http://127.0.0.1:{await free_port()}",
            "unknown name": "http://nowhere.invalid",
            "no TLS": server.url.replace("http", "https"),
        }.get(failure, server.url)
        options = {"auth_token": BEARER, "ws_token": sockets, "storage": tmp_path / "storage", "on_error": ear.catch}
        with ear, slow_callbacks_shown():
            async with LunoraClient(url, reconnect=BRIEF, polling=None, debug=True, **options) as client:
                client.tap(Spy(ear))
                client.record(tmp_path / "session.jsonl.gz")
                client.live("notes:list").snapshots.subscribe(lambda each: ear.hear("snapshot", each, each.error))
                client.http_stream("/notes").subscribe(on_error=ear.catch)
                client.user.subscribe(on_error=ear.catch)
                await outcome(ear, client.query("notes:list"), client.current_user(), client.batch([("notes:list",)]))
                await until(lambda: sockets.asked > 3)
                ear.look_around()
                ear.hear("debug", client, client.debug())
    ear.read(tmp_path)
    assert len(ear.errors) >= 3
    assert ear.leaks() == set()


def test_eavesdropper_finds_what_is_planted(tmp_path):
    """In a log, an exception behind another, a local variable, a file, and in any spelling."""
    for spelt in (BEARER.encode().hex(), BEARER[::-1], "".join(f"%{each:02x}" for each in BEARER.encode())):
        assert leaks(f"before {spelt} after")
    for shift in range(3):
        assert leaks(base64.b64encode(b"x" * shift + BEARER.encode()).decode())
    ear = Eavesdropper()
    with ear:
        logging.getLogger("some.library").debug("the token is %s", BEARER)
    try:
        try:
            raise ValueError(BEARER)
        except ValueError:
            raise LunoraError("harmless") from None
    except LunoraError as error:
        ear.catch(error)
    (tmp_path / "file").write_text(BEARER)
    ear.read(tmp_path)
    places = {each.partition(":")[0] for each in ear.leaks()}
    assert places == {"log of some.library", "error LunoraError", "file file"}


def test_stored_digest_is_no_part_of_the_token():
    """Writes are stamped with a digest; it is none of the spellings, and the storage holds no other trace."""
    assert not any(leaks(each) for each in digests(USERS))
