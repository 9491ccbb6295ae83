"""Credentials go to the deployment they were given for, and nowhere else: redirects, proxies, cookies."""

from __future__ import annotations

import asyncio
import contextlib

import aiohttp
import pytest
from aiohttp import web

from lunora_rx import Backoff, LunoraClient, LunoraError
from lunora_rx.codegen import DocumentError
from lunora_rx.codegen.source import read_document
from tests.security.canary import WORD
from tests.security.house import BEARER, COOKIE, OTHERS_BEARER, SOCKET, empty, trap
from tests.support import Recorder, until

BRIEF = Backoff(initial=0.01, maximum=0.02)


def leading_to(place, status=307):
    """Return a handler that answers with a redirect."""

    async def lead(request):
        return web.Response(status=status, headers={"location": f"{place.url}{request.rel_url}"})

    return lead


async def knock(client):
    """Make a request of every kind, wait for what comes of it, and return the errors."""
    seen, errors = Recorder(), []
    client.live("a:b").subscribe(seen.on_next, lambda error: None)
    client.http_stream("/events").subscribe(on_error=errors.append)
    for call in (client.query("a:b"), client.action("a:b"), client.batch([("a:b",)]), client.current_user()):
        with contextlib.suppress(LunoraError):
            await call
    await until(lambda: errors and client.debug()["last_error"])
    return seen, errors


def kinds(server):
    """The paths that a trap was asked for."""
    return {path.partition("?")[0] for path, _ in server.requests}


EVERY_PATH = {"/_lunora/rpc", "/_lunora/rpc-batch", "/_lunora/ws", "/events", "/api/auth/get-session"}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("whose", ["own session", "session of the user"])
async def test_redirect_to_another_origin_is_never_followed(no_tasks_left, status, whose):
    """Calls, batches, the probe, streams and sockets: what they carry stays with who it was meant for."""
    async with contextlib.AsyncExitStack() as stack:
        thief = await stack.enter_async_context(trap(empty))
        server = await stack.enter_async_context(trap(leading_to(thief, status)))
        options = {"auth_token": BEARER, "ws_token": SOCKET, "reconnect": BRIEF, "polling": None}
        if whose == "session of the user":
            options["session"] = await stack.enter_async_context(aiohttp.ClientSession())
        client = await stack.enter_async_context(LunoraClient(server.url, **options))
        seen, _ = await knock(client)
        assert kinds(server) == EVERY_PATH
        assert thief.requests == []
        assert seen.values == []


async def test_redirected_write_is_kept_and_nothing_is_taken_for_its_reply(no_tasks_left):
    """A redirect is no verdict: the write fails as one whose fate is unknown, and went to nobody else."""
    async with trap(empty) as thief, trap(leading_to(thief)) as server:
        async with LunoraClient(server.url, auth_token=BEARER, polling=None) as client:
            with pytest.raises(LunoraError) as raised:
                await client.mutation("a:b")
        assert raised.value.transient
        assert thief.requests == []


async def test_redirected_document_is_not_fetched_elsewhere():
    """The code generator sends its bearer to the URL that it was given, and to no other."""
    async with trap(empty) as thief, trap(leading_to(thief)) as server:
        with pytest.raises(DocumentError, match="answered with 307"):
            await asyncio.to_thread(read_document, server.url, auth_token=BEARER)
        assert [headers["Authorization"] for _, headers in server.requests] == [f"Bearer {BEARER}"]
        assert thief.requests == []


# --- cookies


async def setting_a_cookie(request):
    """Set a cookie, whatever is asked."""
    return web.json_response({"result": 1}, headers={"set-cookie": f"session={COOKIE.encode().hex()}; Path=/"})


def cookies(server):
    """What a trap was sent as cookies."""
    return [headers["Cookie"] for _, headers in server.requests if "Cookie" in headers]


@pytest.fixture
def named_localhost(monkeypatch):
    """Cookies are kept for names only, not for addresses."""
    monkeypatch.setenv("NO_PROXY", "*")
    return lambda server: server.url.replace("127.0.0.1", "localhost")


async def test_cookie_of_one_user_is_not_sent_for_the_next(no_tasks_left, named_localhost):
    """What the server sets while Ada is signed in does not go along with Bob's bearer, nor with nobody's calls."""
    async with trap(setting_a_cookie) as server:
        async with LunoraClient(named_localhost(server), auth_token=BEARER, reconnect=BRIEF, polling=None) as client:
            await client.query("a:b")
            client.set_auth_token(OTHERS_BEARER, "bob")
            await client.query("a:b")
            client.set_auth_token(None)
            await knock(client)
        assert kinds(server) == EVERY_PATH
        assert cookies(server) == []


@pytest.mark.parametrize("is_given", [True, False])
async def test_cookie_goes_along_where_the_session_is_one_of_cookies(no_tasks_left, named_localhost, is_given):
    """``cookie_auth`` says that cookies are the credential: those that the server sets, in a session given or ours."""
    async with trap(setting_a_cookie) as server, aiohttp.ClientSession() as session:
        url = named_localhost(server)
        options = {"session": session} if is_given else {}
        async with LunoraClient(url, cookie_auth=True, polling=None, **options) as client:
            await client.query("a:b")
            await client.query("a:b")
        assert len(cookies(server)) == 1
        assert [headers.get("Origin") for _, headers in server.requests] == [url, url]


# --- proxies


@pytest.fixture
def through(monkeypatch):
    """Name a proxy in every variable there is for that."""

    def name(proxy):
        for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "WS_PROXY", "WSS_PROXY"):
            monkeypatch.setenv(variable, proxy.url)
            monkeypatch.setenv(variable.lower(), proxy.url)
        for variable in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(variable, raising=False)

    return name


async def test_proxy_of_the_environment_is_not_used(no_tasks_left, through):
    """Nobody sends tokens through a proxy without having said so."""
    async with trap(empty) as proxy, trap(empty) as server:
        through(proxy)
        async with LunoraClient(server.url, auth_token=BEARER, ws_token=SOCKET, polling=None) as client:
            await knock(client)
        assert kinds(server) == EVERY_PATH
        assert proxy.requests == []


async def test_proxy_of_the_users_session_sees_what_is_not_encrypted(no_tasks_left, through):
    """``trust_env=True`` says so: over http the proxy is shown bearer and socket token, as the page says."""
    async with trap(empty) as proxy:
        through(proxy)
        async with aiohttp.ClientSession(trust_env=True) as session:
            options = {"session": session, "auth_token": BEARER, "ws_token": SOCKET, "reconnect": BRIEF}
            async with LunoraClient("http://lunora.invalid", polling=None, **options) as client:
                await knock(client)
    shown = [(path, headers.get("Authorization", "")) for path, headers in proxy.requests]
    assert any(BEARER in bearer for _, bearer in shown)
    assert any(WORD in path for path, _ in shown)


async def test_proxy_of_the_users_session_sees_a_name_only_where_tls_is(no_tasks_left, through):
    """Over https it is asked to connect, and neither header nor URL is shown to it, nor sent when it refuses."""

    async def refuse(request):
        return web.Response(status=403)

    async with trap(refuse) as proxy:
        through(proxy)
        async with aiohttp.ClientSession(trust_env=True) as session:
            options = {"session": session, "auth_token": BEARER, "ws_token": SOCKET, "reconnect": BRIEF}
            async with LunoraClient("https://lunora.invalid", polling=None, **options) as client:
                await knock(client)
    assert {path for path, _ in proxy.requests} == {"lunora.invalid:443"}
    assert WORD not in repr(proxy.requests)
