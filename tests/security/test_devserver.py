"""The embedded server: who can reach it, what a web page can make of it, and what lies in its directory."""

from __future__ import annotations

import inspect
import os
import stat
from contextlib import asynccontextmanager

import aiohttp
import pytest

from lunora_rx import LunoraClient
from lunora_rx.cli.dashboard import serving as dashboard
from lunora_rx.cli.serving import HOST
from lunora_rx.devserver import App, access
from lunora_rx.devserver.pages import Pages, is_loopback
from tests.security.canary import leaks
from tests.security.house import ADMIN, house

ELSEWHERE = "https://evil.example"
PATHS = ["/_lunora/rpc", "/_lunora/rpc-batch", "/_lunora/ws", "/_lunora/status", "/_lunora/openrpc.json"]
PATHS += ["/_lunora/admin/ws-token", "/api/auth/get-session", "/notes"]


@asynccontextmanager
async def asking(app, **options):
    """Serve an app, and yield a function that asks for a path with some headers and returns status and text."""
    async with app.serve(**options) as url, aiohttp.ClientSession() as session:

        async def ask(path, **headers):
            method = "POST" if path.split("/")[-1] in ("rpc", "rpc-batch", "ws-token") else "GET"
            body = b'{"functionPath":"notes:list"}' if method == "POST" else None
            async with session.request(method, f"{url}{path}", data=body, headers=headers) as reply:
                return reply.status, await reply.text()

        ask.url = url
        yield ask


def test_servers_listen_on_this_machine_only_unless_told():
    """Whatever starts one: an app, its thread, the command line, the dashboard."""
    for start in (App.serve, App.serve_in_thread, App.run):
        assert inspect.signature(start).parameters["host"].default == "127.0.0.1"
    assert HOST == dashboard.HOST == "127.0.0.1"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("origin", [ELSEWHERE, "null", "http://127.0.0.1.evil.example", "http://[::1"])
async def test_page_from_elsewhere_is_refused_everything(path, origin):
    """A browser says whose page asks: it gets neither a socket nor a reply, and nothing is carried out."""
    app = house()
    async with asking(app) as ask:
        status, text = await ask(path, Origin=origin)
        assert (status, "FORBIDDEN" in text) == (403, True)
        assert app.faults.attempts == 0


@pytest.mark.parametrize("path", ["/_lunora/openrpc.json", "/_lunora/rpc"])
async def test_page_under_a_name_made_to_resolve_here_is_refused(path):
    """DNS rebinding: such a page is of the server's own origin, and its requests need not name one."""
    async with asking(house()) as ask:
        port = ask.url.rpartition(":")[2]
        for headers in ({}, {"Origin": f"http://evil.example:{port}"}):
            status, text = await ask(path, Host=f"evil.example:{port}", **headers)
            assert (status, "may not use this server" in text) == (403, True)


async def test_pages_of_this_machine_and_programs_are_served():
    """A front end under development on another port, and whoever sends no origin."""
    async with asking(house()) as ask:
        for headers in ({}, {"Origin": "http://localhost:5173"}, {"Origin": ask.url}, {"Host": "localhost"}):
            assert (await ask("/_lunora/rpc", **headers))[0] == 200


async def test_pages_that_are_named_are_served():
    """By origin, also as the host that a tunnel is asked by; ``*`` is any."""
    async with asking(App(origins=[ELSEWHERE, "https://Tunnel.example:443", "http://plain.example"])) as ask:
        assert (await ask("/_lunora/status", Origin=ELSEWHERE))[0] == 200
        for host in ("tunnel.example", "plain.example"):  # a tunnel ends TLS, and asks without
            assert (await ask("/_lunora/status", Host=host))[0] == 200
        assert (await ask("/_lunora/status", Host="tunnel.example", Origin="https://tunnel.example"))[0] == 200
        assert (await ask("/_lunora/status", Origin="https://other.example"))[0] == 403
    async with asking(App(origins=["*"])) as ask:
        assert (await ask("/_lunora/status", Origin=ELSEWHERE, Host="evil.example"))[0] == 200


async def test_browser_lets_pages_that_are_named_call_and_read():
    """It asks before a call with JSON or a token, and reads nothing without leave; cookies stay at home."""
    async with asking(App(origins=[ELSEWHERE])) as ask, aiohttp.ClientSession() as session:
        ask_first = {"Origin": ELSEWHERE, "Access-Control-Request-Method": "POST"}
        ask_first["Access-Control-Request-Headers"] = "authorization,content-type"
        async with session.options(f"{ask.url}/_lunora/rpc", headers=ask_first) as reply:
            assert reply.status == 204
            assert reply.headers["access-control-allow-headers"] == "authorization,content-type"
            assert reply.headers["access-control-allow-methods"] == "POST"
            assert reply.headers["access-control-allow-origin"] == ELSEWHERE
        async with session.get(f"{ask.url}/_lunora/status", headers={"Origin": ELSEWHERE}) as reply:
            assert (reply.headers["access-control-allow-origin"], reply.headers["vary"]) == (ELSEWHERE, "origin")
            assert "access-control-allow-credentials" not in reply.headers
        for method, headers in (("OPTIONS", {**ask_first, "Origin": "https://other.example"}), ("OPTIONS", {})):
            async with session.request(method, f"{ask.url}/_lunora/rpc", headers=headers) as reply:
                assert reply.status in (403, 405)
                assert not [name for name in reply.headers if name.lower().startswith("access-control")]


async def test_server_for_others_answers_to_any_name_and_to_its_own_pages():
    """Where it listens for other machines it cannot know its names; pages from elsewhere are refused all the same."""
    pages = Pages(frozenset(), "0.0.0.0")
    pages.check({}, "http://printer.lan")
    pages.check({"origin": "http://printer.lan"}, "http://printer.lan")
    pages.check({"origin": "https://printer.lan"}, "http://printer.lan")  # behind something that ends TLS
    with pytest.raises(Exception, match=r"pages of https://evil\.example may not use this server"):
        pages.check({"origin": ELSEWHERE}, "http://printer.lan")


@pytest.mark.parametrize(
    "origin",
    [
        *("evil.example", "https://a.example/", "https://a.example/path", "a,b"),
        *("", "://", "http://", "ftp://a.example", "https://a@b.example", "https://a.example:x", "http://[::1"),
    ],
)
def test_origin_that_is_none_is_refused(origin):
    """What could never match is a mistake."""
    with pytest.raises(ValueError, match="is no origin such as"):
        App(origins=[origin])
    with pytest.raises(TypeError, match="list of origins"):
        App(origins="https://a.example")


@pytest.mark.parametrize("origin", ["https://a.example", "HTTPS://A.example", "https://a.example:443"])
def test_origin_is_kept_as_browsers_spell_it(origin):
    """In lower case, without the port that goes without saying."""
    assert App(origins=[origin]).origins == {"https://a.example"}
    assert App(origins=["http://[::1]:8080"]).origins == {"http://[::1]:8080"}


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        *((host, True) for host in ("127.0.0.1", "127.8.8.8", "::1", "localhost", "app.localhost")),
        *((host, False) for host in ("0.0.0.0", "::", "10.0.0.1", "localhost.evil.example", "")),
    ],
)
def test_loopback_is_this_machine_alone(host, expected):
    """By address or by the name that is reserved for it."""
    assert is_loopback(host) is expected


def test_secrets_are_compared_in_constant_time(monkeypatch):
    """The admin token and the signature of socket tokens: how long a comparison takes tells nothing of them."""
    compared = []
    real = access.hmac.compare_digest
    monkeypatch.setattr(access.hmac, "compare_digest", lambda one, other: compared.append(one) or real(one, other))
    gate = access.Access(admin_token=ADMIN)
    token, _ = gate.make_ws_token({"authorization": f"Bearer {ADMIN}"}, 0.0, 60.0)
    assert access._ephemeral_expiry(ADMIN, token, 0.0) == 60.0
    assert len(compared) == 2
    assert not leaks(repr(gate))


async def test_files_of_the_server_are_its_owners_alone(tmp_path):
    """A directory that it makes, its databases and their logs, whatever the umask."""
    before = os.umask(0)
    try:
        async with house().serve(storage=tmp_path / "data") as url, LunoraClient(url) as client:
            await client.query("notes:list")
            paths = [tmp_path / "data", *(tmp_path / "data").rglob("*")]
            modes = {path: stat.S_IMODE(path.stat().st_mode) for path in paths}
    finally:
        os.umask(before)
    assert any(path.name.endswith("-wal") for path in modes)
    assert all(mode == (0o700 if path.is_dir() else 0o600) for path, mode in modes.items()), modes
