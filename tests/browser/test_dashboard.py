"""The dashboard in a browser: what it shows, what it asks for, and whom it answers."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import aiohttp
import pytest

from lunora_rx import LunoraClient
from lunora_rx.devserver import App
from tests.browser.chromium import CHROMIUM

playwright = pytest.importorskip("playwright.async_api", reason="playwright is not installed: tox run -e browser")
pytest.importorskip("panel", reason="the dashboard's extra is not installed")

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
CANARY = "canary-5d1c"
PATIENCE = 30_000  # milliseconds

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # of the browser's driver


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

    @app.mutation("songs:fill")
    def fill(ctx, count: int) -> str:
        """Add many songs, and tell the id of the last."""
        return [ctx.db.insert("songs", title=f"song {number}", year=1900) for number in range(count)][-1]

    @app.mutation("songs:rename")
    def rename(ctx, song: str, title: str) -> None:
        """Give a song another title."""
        ctx.db.update("songs", song, title=title)

    @app.query("songs:sizes")
    def sizes(ctx):
        """Tell the sizes of files, and how long that took."""
        return [{"bytes": 47_792_616_448, "share": 13.7, "whole": 5.0, **row} for row in measures(ctx)]

    def measures(ctx):
        return [{"seconds": row["seconds"]} for row in ctx.db.table("measures").collect()] or [{}]

    @app.mutation("songs:measure")
    def measure(ctx, seconds: float) -> None:
        """Measure once."""
        ctx.db.insert("measures", seconds=seconds)

    @app.shape("oldSongs")
    def old_songs(ctx, year: int):
        """Songs of a year."""
        return ctx.db.table("songs").where(year=year)

    @app.stream("songs:count")
    def count_songs(ctx, upto: int):
        """Count."""
        yield from ({"number": number} for number in range(upto))

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


async def watch(page: Any, rows: int = 1) -> None:
    """Watch the list of songs, and wait for its rows."""
    await pick(page, "songs:list")
    await page.get_by_role("button", name="Watch").click()
    await page.get_by_text(f"{rows} {'row' if rows == 1 else 'rows'}", exact=True).wait_for()


async def add(page: Any, title: str, year: str) -> None:
    """Run the mutation with what a person types."""
    await pick(page, "songs:add")
    await page.get_by_label("title", exact=True).fill(title)
    await page.get_by_label("year", exact=True).fill(year)
    await page.get_by_role("button", name="Run mutation").click()


async def gap(upper: Any, lower: Any) -> float:
    """Return how far something stands below something else, as soon as both stand still."""
    before: list[float] = []
    for _ in range(100):
        boxes = [await each.bounding_box() for each in (upper, lower)]
        now = [box["y"] for box in boxes if box]
        if len(now) == 2 and now == before:
            return now[1] - now[0]
        before = now
        await asyncio.sleep(0.2)
    raise AssertionError("nothing stands still")


async def test_page_shows_rows_as_they_change(opened):
    """A query is picked and watched; a mutation made on the page changes it."""
    page = opened.page
    await watch(page)
    await page.locator("perspective-viewer").get_by_text("1,959").wait_for()
    await add(page, "So What", "1960")
    await page.get_by_text("2 rows").wait_for()
    await page.locator("perspective-viewer").get_by_text("So What").wait_for()
    await page.get_by_text("committed").wait_for()


async def test_numbers_of_the_grid_have_the_digits_that_they_have(opened):
    """Its title is the function's name, and no column asks to be edited."""
    page = opened.page
    await pick(page, "songs:sizes")
    await page.get_by_role("button", name="Watch").click()
    viewer = page.locator("perspective-viewer")
    for number in ("47,792,616,448", "13.7", "5"):
        await viewer.get_by_text(number, exact=True).wait_for()
    assert await viewer.evaluate("async (viewer) => (await viewer.save()).title") == "songs:sizes"
    buttons = viewer.locator("#psp-column-edit-buttons")
    assert (await buttons.count(), await buttons.is_visible()) == (1, False)
    async with LunoraClient(opened.url) as client:
        await client.mutation("songs:measure", {"seconds": 1.25})
    await viewer.get_by_text("1.25", exact=True).wait_for()
    await viewer.get_by_text("47,792,616,448", exact=True).wait_for()


async def test_row_that_changes_is_sent_alone(opened):
    """Of many rows those that changed travel, and no others."""
    page = opened.page
    async with LunoraClient(opened.url) as client:
        last = await client.mutation("songs:fill", {"count": 90})
        await watch(page, rows=91)
        await page.locator("perspective-viewer").get_by_text("song 89").wait_for()
        heard = len(opened.heard)
        await client.mutation("songs:rename", {"song": last, "title": "All Blues, in another take"})
        await page.locator("perspective-viewer").get_by_text("All Blues, in another take").wait_for()
    told = opened.heard[heard:]
    assert "song 88" not in "".join(told)
    assert sum(map(len, told)) < 4_000


async def test_row_that_comes_at_the_end_is_sent_alone(opened):
    """Of many rows of a shape those that came travel, and no others."""
    page = opened.page
    async with LunoraClient(opened.url) as client:
        await client.mutation("songs:fill", {"count": 6})
        await pick(page, "oldSongs")
        await page.get_by_label("year", exact=True).fill("1900")
        await page.get_by_role("button", name="Watch shape").click()
        await page.get_by_text("6 rows").wait_for()
        await page.locator("perspective-viewer").get_by_text("song 5").wait_for()
        heard = len(opened.heard)
        await client.mutation("songs:add", {"title": "Maple Leaf Rag", "year": 1900})
        await page.get_by_text("7 rows").wait_for()
        await page.locator("perspective-viewer").get_by_text("Maple Leaf Rag").wait_for()
    assert "song 4" not in "".join(opened.heard[heard:])


async def test_rows_that_come_in_front_stand_in_front_and_are_sent_alone(opened):
    """The grid has the order of the query, which the newest song begins."""
    page = opened.page
    async with LunoraClient(opened.url) as client:
        await client.mutation("songs:fill", {"count": 5})
        await watch(page, rows=6)
        old = page.locator("perspective-viewer").get_by_text("song 4", exact=True)
        await old.wait_for()
        heard = len(opened.heard)
        await client.mutation("songs:add", {"title": "Giant Steps", "year": 1960})
        new = page.locator("perspective-viewer").get_by_text("Giant Steps", exact=True)
        await new.wait_for()
        assert await gap(new, old) > 0
    assert "song 4" not in "".join(opened.heard[heard:])


async def test_tab_that_is_seen_again_has_the_rows_of_now(opened):
    """While another tab is in front its rows change, and it is drawn anew."""
    page = opened.page
    await watch(page)
    await page.locator("perspective-viewer").get_by_text("1,959").wait_for()
    await pick(page, "songs:count")
    await page.get_by_label("upto", exact=True).fill("3")
    await page.get_by_role("button", name="Run stream").click()
    await page.get_by_text("ended", exact=True).wait_for()
    async with LunoraClient(opened.url) as client:
        await client.mutation("songs:add", {"title": "Naima", "year": 1960})
    await page.locator(".bk-tab", has_text="songs:list").click()
    await page.get_by_text("2 rows").wait_for()
    await page.locator("perspective-viewer").get_by_text("Naima").wait_for()


async def test_stream_shows_its_chunks_and_its_end(opened):
    """A run is watched as rows are, and says that it is over."""
    page = opened.page
    await pick(page, "songs:count")
    await page.get_by_label("upto", exact=True).fill("7")
    await page.get_by_role("button", name="Run stream").click()
    await page.get_by_text("7 rows").wait_for()
    await page.get_by_text("ended", exact=True).wait_for()
    await page.locator("perspective-viewer").wait_for()


async def test_write_that_waits_can_be_discarded(opened):
    """It stands in the queue until somebody drops it, and is never sent."""
    page = opened.page
    await watch(page)
    opened.app.faults.refuse_sockets()
    opened.app.faults.fail_calls(None)  # or it would go on by polling
    opened.app.faults.drop_sockets()
    await page.get_by_text("stale", exact=True).wait_for()
    await add(page, "Never Sent", "1971")
    await page.get_by_text("1 queued").wait_for()
    await page.get_by_text("Queue", exact=True).click()
    await page.get_by_text("queued", exact=True).wait_for()
    discard = page.locator(".tabulator-cell").get_by_text("discard", exact=True)
    await discard.click()
    await page.get_by_text("discard? again", exact=True).wait_for()  # rows may have moved under the click
    await page.get_by_text("1 queued").wait_for()
    await discard.click()
    await page.get_by_text("Calls", exact=True).click()
    await page.get_by_text("rejected", exact=True).wait_for()
    await page.get_by_text("1 queued").wait_for(state="detached")


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
    await page.get_by_text("1 row", exact=True).wait_for()
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


async def test_frames_stand_right_below_their_tab(opened):
    """Whatever was shown in the other tabs before leaves no gap."""
    page = opened.page
    await add(page, "So What", "1960")
    await page.get_by_text("committed").wait_for()
    tab = page.get_by_text("Frames", exact=True)
    await tab.click()
    sent = page.get_by_text("POST /_lunora/rpc").first
    await sent.wait_for()
    assert 0 < await gap(tab, sent) < 190


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
    await page.get_by_text("1 row", exact=True).wait_for()


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


def test_column_of_the_name_of_the_places_keeps_its_cells():
    """The grid's key is another column then, or rows with the same cell would be one."""
    from lunora_rx.cli.dashboard.columns import columns_of
    from lunora_rx.cli.dashboard.grid import Grid

    told = Grid(columns_of([{"#": 7, "a": 1}, {"#": 7, "a": 2}]))._whole()
    assert (told["place"], told["rows"]) == ("##", {"##": [0, 1], "#": [7, 7], "a": [1, 2]})
    assert told["schema"] == {"##": "integer", "#": "integer", "a": "integer"}
