"""The dashboard in a browser: what it shows, what it asks for, and whom it answers."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import aiohttp
import pytest

from lunora_rx import LunoraClient
from lunora_rx.devserver import App

playwright = pytest.importorskip("playwright.async_api", reason="playwright is not installed: tox run -e browser")
pytest.importorskip("panel", reason="the dashboard's extra is not installed")

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
CANARY = "canary-5d1c"
PATIENCE = 30_000  # milliseconds

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: set CHROMIUM to its path"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # of the browser's driver
]


class Opened(NamedTuple):
    """A page of the dashboard, its server, and all that it asked for."""

    page: Any
    app: App
    url: str
    address: str
    requests: list[str]
    heard: list[str]


def songs() -> App:
    """Return an app whose functions a page can use."""
    app = App(title="Songs")
    app.authenticate(lambda token: "ada")

    @app.query("songs:list")
    def list_songs(ctx, limit: int = 100) -> list[dict[str, Any]]:
        """Return the newest songs."""
        return ctx.db.table("songs").order("desc").take(limit)

    @app.mutation("songs:add")
    def add_song(ctx, title: str, year: int) -> str:
        """Add a song."""
        return ctx.db.insert("songs", title=title, year=year)

    return app


@asynccontextmanager
async def dashboard(url: str) -> AsyncIterator[str]:
    """Run the command in a process of its own; yields the address of the page."""
    command = [sys.executable, "-m", "lunora_rx.cli", "dashboard", "--url", url, "--no-open"]
    environment = {**os.environ, "LUNORA_TOKEN": CANARY}
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, env=environment)
    try:
        yield (await asyncio.wait_for(process.stdout.readline(), 60)).decode().strip()
    finally:
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 30) == 0


@pytest.fixture
async def opened() -> AsyncIterator[Opened]:
    """A page of a server with one song, open in a browser."""
    app, requests, heard = songs(), [], []
    async with app.serve() as url, dashboard(url) as address, playwright.async_playwright() as driver:
        async with LunoraClient(url) as client:
            await client.mutation("songs:add", {"title": "<img src=x onerror=alert(1)>", "year": 1959})
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = await browser.new_page(viewport={"width": 1360, "height": 860})
        page.set_default_timeout(PATIENCE)
        page.on("request", lambda request: requests.append(request.url))
        page.on("websocket", lambda socket: _listen(socket, requests, heard))
        await page.goto(address)
        await page.locator("option", has_text="songs:list").first.wait_for(state="attached")
        yield Opened(page, app, url, address, requests, heard)
        await browser.close()


def _listen(socket: Any, requests: list[str], heard: list[str]) -> None:
    requests.append(socket.url)
    socket.on("framereceived", lambda payload: heard.append(str(payload)))


async def pick(page: Any, function: str) -> None:
    """Pick a function."""
    await page.locator("select").first.select_option(label=function)


async def watch(page: Any) -> None:
    """Watch the list of songs, and wait for its first row."""
    await pick(page, "songs:list")
    await page.get_by_role("button", name="Watch").click()
    await page.get_by_text("1 rows").wait_for()


async def add(page: Any, title: str, year: str) -> None:
    """Run the mutation with what a person types."""
    await pick(page, "songs:add")
    await page.get_by_label("title", exact=True).fill(title)
    await page.get_by_label("year", exact=True).fill(year)
    await page.get_by_role("button", name="Run mutation").click()


async def test_page_shows_rows_as_they_change(opened):
    """A query is picked and watched; a mutation made on the page changes it."""
    page = opened.page
    await watch(page)
    await page.locator("perspective-viewer").get_by_text("1,959").wait_for()
    await add(page, "So What", "1960")
    await page.get_by_text("2 rows").wait_for()
    await page.locator("perspective-viewer").get_by_text("So What").wait_for()
    await page.get_by_text("committed").wait_for()


async def test_arguments_that_are_wrong_are_refused_by_name(opened):
    """Nothing is sent, and the field is told."""
    page = opened.page
    await add(page, "So What", "soon")
    await page.get_by_text("year: 'soon' is no whole number").wait_for()
    await pick(page, "songs:list")
    # The form of the mutation has a tab of that name too, until it is replaced.
    await page.get_by_text("limit", exact=False).first.wait_for()
    await page.get_by_text("JSON", exact=True).click()
    await page.locator("textarea").fill('{"limit": "ten"}')
    await page.get_by_role("button", name="Watch").click()
    await page.get_by_text("limit: 'ten' is not of type 'integer'").wait_for()


async def test_connection_that_is_cut_shows_stale_rows_until_it_is_back(opened):
    """The last rows stay, and say that they are old; a write made meanwhile waits, then lands."""
    page = opened.page
    await watch(page)
    opened.app.faults.refuse_sockets(6)
    opened.app.faults.drop_sockets()
    await page.get_by_text("stale", exact=True).wait_for()
    await page.get_by_text("1 rows").wait_for()
    await page.get_by_text("live", exact=True).wait_for()
    await add(page, "Blue", "1971")
    await page.get_by_text("2 rows").wait_for()


async def test_page_asks_nobody_else_and_never_has_the_token(opened):
    """Every script comes from this machine; the token is in nothing that the browser is sent."""
    page = opened.page
    await watch(page)
    await page.get_by_text("Frames", exact=True).click()
    await page.get_by_text("subscribe", exact=True).wait_for()
    hosts = {urlsplit(each).hostname for each in opened.requests if not each.startswith(("data:", "blob:"))}
    assert hosts == {"127.0.0.1"}
    told = "".join(opened.heard)
    assert "songs:list" in told
    assert CANARY not in told + await page.content()


async def test_text_of_a_server_is_never_markup(opened):
    """A title that is an image stays a title."""
    dialogs: list[Any] = []
    opened.page.on("dialog", lambda dialog: dialogs.append(dialog))
    await watch(opened.page)
    await add(opened.page, "<img src=x onerror=alert(2)>", "1960")
    await opened.page.get_by_text("committed").wait_for()
    assert dialogs == []
    assert await opened.page.locator("img[src=x]").count() == 0


async def test_path_typed_by_hand_can_be_watched(opened):
    """A server need not have a document; a path that it does not have fails, and says so."""
    page = opened.page
    await pick(page, "another function…")
    await page.get_by_label("Function path").fill("songs:none")
    await page.get_by_role("button", name="Watch").click()
    await page.get_by_text("failed", exact=True).wait_for()
    await page.get_by_label("Function path").fill("songs:list")
    await page.get_by_role("button", name="Watch").click()
    await page.get_by_text("1 rows").wait_for()


async def test_tab_that_is_closed_lets_go_of_its_query(opened):
    """Nobody watches what nobody sees: the server is told."""
    page = opened.page
    await watch(page)
    await page.locator(".bk-close").first.click()
    await page.get_by_text("Frames", exact=True).click()
    await page.get_by_text("unsubscribe", exact=True).wait_for()


@pytest.mark.parametrize("origin", ["http://evil.example", "http://localhost:1", "null"])
async def test_socket_refuses_a_page_of_another_origin(origin):
    """Even one that knows the address."""
    async with songs().serve() as url, dashboard(url) as address, aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(f"{address}ws", headers={"Origin": origin}, protocols=["bokeh", "token"])
        assert refused.value.status == 403


async def test_address_without_its_secret_is_nowhere():
    """The page of this user is no page of whoever else can reach the port."""
    async with songs().serve() as url, dashboard(url) as address, aiohttp.ClientSession() as session:
        parts = urlsplit(address)
        for path in ("/", "/ws", "/x" * 8 + "/"):
            async with session.get(f"http://{parts.netloc}{path}") as reply:
                assert reply.status == 404
        async with session.get(address) as reply:
            assert reply.status == 200
            assert CANARY not in await reply.text()
