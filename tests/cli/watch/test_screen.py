"""The screen of a watch, driven by keys against the embedded server, in a terminal in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from textual.widgets import Input

from lunora_rx import Backoff, LunoraClient, ServerError, Status
from lunora_rx.cli.watch.grid import Grid
from lunora_rx.cli.watch.screen import RowScreen, View, WatchApp
from lunora_rx.cli.watch.status import Standing, status_line
from lunora_rx.cli.watch.table import LiveTable, Order
from lunora_rx.core.snapshot import Snapshot, SnapshotStatus
from lunora_rx.devserver import App, AppError
from tests.cli.conftest import answering

ROWS = 500
SIZE = (90, 20)
_PLAIN = View()


class Watched:
    """A screen in memory, and the server behind it."""

    def __init__(self, server, client, app, pilot):
        self.server = server
        self.client = client
        self.app = app
        self.pilot = pilot
        self.grid = app.query_one(Grid)

    @property
    def text(self):
        """What the screen shows, line by line."""
        return ["".join(segment.text for segment in strip) for strip in self.app.screen._compositor.render_strips()]

    @property
    def status(self):
        return next(line for line in self.text if line.startswith("●"))

    def styles_of(self, text):
        """The styles of the first place that shows a text."""
        strips = self.app.screen._compositor.render_strips()
        return next(segment.style for strip in strips for segment in strip if segment.text.strip() == text)

    async def until(self, condition):
        """Let the screen go on until a condition holds."""
        for _ in range(1000):
            if condition():
                return
            await self.pilot.pause(0.01)
        raise AssertionError("\n".join(["the condition never came true", *self.text]))


def server_of_sensors():
    app = App()

    @app.query("sensors:list")
    def sensors(ctx):
        return ctx.db.table("sensors").collect()

    @app.query("sensors:gone")
    def gone(ctx):
        raise AppError("GONE", "no such sensors")

    @app.query("sensors:fragile")
    def fragile(ctx):
        rows = ctx.db.table("sensors").collect()
        if any(row["celsius"] < 0 for row in rows):
            raise AppError("FROZEN", "a sensor is frozen")
        return rows

    @app.query("sensors:pages")
    def pages(ctx, paginationOpts: dict):
        asked = paginationOpts
        return ctx.db.table("sensors").paginate(asked.get("lower"), asked["numItems"], upper=asked.get("upper"))

    @app.mutation("sensors:set")
    def set_celsius(ctx, n: int, celsius: float):
        row = next(row for row in ctx.db.table("sensors").collect() if row["n"] == n)
        ctx.db.update("sensors", row["_id"], celsius=celsius)

    @app.mutation("sensors:fill")
    def fill(ctx):
        for n in range(ROWS):
            ctx.db.insert("sensors", n=n, celsius=float(n * 7 % ROWS), room="attic" if n % 2 else "cellar")

    return app


@asynccontextmanager
async def watching(
    function="sensors:list", view=_PLAIN, *, page_size=None, clock=lambda: 0.0
) -> AsyncIterator[Watched]:
    """Watch a query of five hundred sensors."""
    server = server_of_sensors()
    brief = Backoff(initial=0.01, maximum=0.05)
    async with server.serve() as url, LunoraClient(url, reconnect=brief, polling=None) as client:
        await client.mutation("sensors:fill")
        live = client.paginate(function, page_size=page_size) if page_size else client.live(function)
        app = WatchApp(client, live, view, clock=clock)
        async with app.run_test(size=SIZE) as pilot:
            yield Watched(server, client, app, pilot)
        assert client.debug()["observers"] == 0


@asynccontextmanager
async def watched(*arguments, **options) -> AsyncIterator[Watched]:
    """The same, when the first value is there."""
    async with watching(*arguments, **options) as screen:
        await screen.until(lambda: screen.app.table.keys)
        await screen.pilot.pause()
        yield screen


async def test_screen_shows_rows_and_how_they_stand(no_tasks_left):
    """Columns, rows, the status line."""
    async with watched(view=View("sensors:list")) as screen:
        assert screen.text[0].startswith("sensors:list")
        assert screen.text[1].split() == ["n", "celsius", "room", "_id", "_creationTime"]
        assert screen.text[3].split()[:3] == ["1", "7", "attic"]
        assert screen.status.startswith("● live  500 rows  ")
        assert "0 writes pending" in screen.status


async def test_change_is_shown_and_marked():
    """The cell only, until the mark is over."""
    now = [0.0]
    async with watched(clock=lambda: now[0]) as screen:
        await screen.client.mutation("sensors:set", {"n": 1, "celsius": 1234.5})
        await screen.until(lambda: "1234.5" in screen.text[3])
        plain = screen.styles_of("attic").bgcolor
        assert screen.styles_of("1234.5").bgcolor != plain
        now[0] += 10
        await screen.until(lambda: screen.styles_of("1234.5").bgcolor == plain)


async def test_only_rows_that_are_seen_are_drawn(monkeypatch):
    """However many there are."""
    async with watched() as screen:
        drawn = []
        original = Grid.render_line
        monkeypatch.setattr(Grid, "render_line", lambda self, y: drawn.append(y) or original(self, y))
        await screen.client.mutation("sensors:set", {"n": 1, "celsius": 1234.5})
        await screen.until(lambda: "1234.5" in screen.text[3])
        assert drawn
        assert max(drawn) < SIZE[1]


async def test_sort_key_sorts_up_down_and_not():
    """By the column under the cursor; a click on a name does the same."""
    async with watched() as screen:
        await screen.pilot.press("right", "s")
        assert screen.text[2].split()[:2] == ["0", "0"]
        await screen.pilot.press("s")
        assert screen.text[2].split()[1] == "499"
        await screen.until(lambda: "sorted by celsius ▼" in screen.status)
        await screen.pilot.press("s")
        assert screen.app.table.order is None
        await screen.pilot.click(Grid, offset=(1, 0))
        assert screen.app.table.order == Order("n")


async def test_filter_holds_while_it_is_typed_and_escape_drops_it():
    """Enter goes back to the table."""
    async with watched() as screen:
        await screen.pilot.press("slash", *"room=attic", "space", *"n", "greater_than_sign", *"496")
        assert [screen.app.table.row(key)["n"] for key in screen.app.table.keys] == [497, 499]
        await screen.pilot.press("enter")
        assert screen.app.focused is screen.grid
        await screen.until(lambda: "2 of 500 rows" in screen.status)
        await screen.pilot.press("escape")
        await screen.until(lambda: len(screen.app.table.keys) == ROWS)
        assert not screen.app.query_one(Input).has_class("shown")


async def test_view_that_is_asked_for_is_shown_from_the_start():
    """Order, filter and graph of the command's options."""
    view = View("", Order("n", is_descending=True), "room=attic", "celsius")
    async with watched(view=view) as screen:
        assert screen.text[2].split()[0] == "499"
        assert screen.app.query_one(Input).value == "room=attic"
        await screen.until(lambda: any("celsius  250 numbers" in line for line in screen.text))


async def test_cursor_moves_through_all_rows():
    """To the last one and back, and the row under it is shown whole."""
    async with watched() as screen:
        await screen.pilot.press("end")
        await screen.pilot.pause()
        assert any(line.split()[:1] == ["499"] for line in screen.text)
        await screen.pilot.press("home", "pagedown", "down", "enter")
        await screen.pilot.pause()
        assert isinstance(screen.app.screen, RowScreen)
        assert screen.app.table.row(screen.grid.key)["n"] > 10
        await screen.client.mutation("sensors:set", {"n": 1, "celsius": 3.0})
        await screen.until(lambda: any('"room"' in line for line in screen.text))
        await screen.pilot.press("escape")
        assert not isinstance(screen.app.screen, RowScreen)


async def test_connection_that_is_cut_dims_the_values_and_comes_back_by_itself():
    """The last value stays, and what happened meanwhile is shown."""
    async with watched() as screen:
        bright = screen.styles_of("attic").color
        screen.server.faults.refuse_sockets()
        screen.server.faults.drop_sockets()
        await screen.until(lambda: screen.status.startswith("● offline  500 rows"))
        await screen.until(lambda: screen.styles_of("attic").color != bright)
        waiting = screen.client.mutation("sensors:set", {"n": 1, "celsius": 77.25})
        await screen.until(lambda: "1 write pending" in screen.status)
        screen.server.faults.release()
        await waiting
        await screen.until(lambda: screen.status.startswith("● live") and "77.25" in screen.text[3])
        assert screen.styles_of("attic").color == bright


async def test_token_that_is_refused_later_is_told_until_there_are_values_again():
    """What was shown stays."""
    async with watched() as screen:
        screen.server.faults.refuse_sockets()
        screen.server.faults.close_sockets(4001)
        await screen.until(lambda: "token refused" in screen.status)
        assert "500 rows" in screen.status
        screen.server.faults.release()
        await screen.until(lambda: screen.status.startswith("● live") and "token refused" not in screen.status)


async def test_token_that_is_refused_at_first_ends_it():
    """There is nothing to show."""
    server = server_of_sensors()
    server.authenticate(lambda token: None)
    async with server.serve() as url, LunoraClient(url, ws_token="no-good", polling=None) as client:
        app = WatchApp(client, client.live("sensors:list"))
        async with app.run_test(size=SIZE) as pilot:
            while app.return_code is None:
                await pilot.pause(0.01)
        assert (app.return_code, app.return_value.code) == (1, "TOKEN_EXPIRED")


async def test_server_that_cannot_be_reached_is_told_until_it_can():
    """As long as there is no value."""
    brief = Backoff(initial=0.01, maximum=0.05)
    async with LunoraClient("http://127.0.0.1:9", reconnect=brief, polling=None) as client:
        app = WatchApp(client, client.live("sensors:list"))
        async with app.run_test(size=SIZE) as pilot:
            screen = Watched(None, client, app, pilot)
            await screen.until(lambda: screen.status.startswith("● waiting  cannot connect to ws://127.0.0.1:9/"))
            assert app.return_code is None
        assert client.debug()["taps"] == 0


async def test_server_that_is_none_of_lunora_ends_it():
    """There will never be anything to show."""
    brief = Backoff(initial=0.01, maximum=0.05)
    with answering(404) as url:
        async with LunoraClient(url, reconnect=brief) as client:
            app = WatchApp(client, client.live("sensors:list"))
            async with app.run_test(size=SIZE) as pilot:
                await Watched(None, client, app, pilot).until(lambda: app.return_code is not None)
    assert app.return_code == 1
    assert f"what answers at {url} is no Lunora server" in str(app.return_value)


async def test_pause_stops_the_table_and_not_the_watch():
    """The newest value is there when it goes on."""
    async with watched() as screen:
        await screen.pilot.press("space")
        await screen.client.mutation("sensors:set", {"n": 1, "celsius": 55.5})
        await screen.until(lambda: screen.app.snapshot.value[1]["celsius"] == 55.5)
        await screen.until(lambda: "paused" in screen.status)
        assert "55.5" not in screen.text[3]
        await screen.pilot.press("space")
        await screen.until(lambda: "55.5" in screen.text[3])


async def test_graph_draws_the_column_under_the_cursor():
    """Pressing the key again ends it."""
    async with watched() as screen:
        await screen.pilot.press("right", "g")
        await screen.until(lambda: any("celsius  500 numbers" in line for line in screen.text))
        assert any("0 to 499, mean 249.5" in line for line in screen.text)
        assert any("▁" in line for line in screen.text)
        await screen.pilot.press("g")
        assert screen.app.spark is None


async def test_pages_are_loaded_by_a_key():
    """One more at a time."""
    async with watched("sensors:pages", page_size=50) as screen:
        assert len(screen.app.table) == 50
        await screen.pilot.press("m")
        await screen.until(lambda: len(screen.app.table) == 100)


async def test_query_that_fails_at_first_ends_the_screen_with_its_error():
    """There is nothing to show."""
    async with watching("sensors:gone") as screen:
        await screen.until(lambda: screen.app.return_value is not None)
        assert isinstance(screen.app.return_value, ServerError)
        assert screen.app.return_value.code == "GONE"


async def test_query_that_fails_later_is_shown_and_asked_again():
    """Its rows stay, dimmed, and it heals without a key."""
    async with watched("sensors:fragile") as screen:
        await screen.client.mutation("sensors:set", {"n": 1, "celsius": -5.0})
        await screen.until(lambda: screen.status.startswith("● failed  500 rows"))
        assert "FROZEN: a sensor is frozen" in screen.status
        await screen.client.mutation("sensors:set", {"n": 1, "celsius": 5.0})
        await screen.until(lambda: screen.status.startswith("● live"))


@pytest.mark.parametrize("key", ["q", "ctrl+c"])
async def test_key_that_leaves_ends_with_success(key):
    """There is no error, whatever the query is doing."""
    async with watched() as screen:
        assert screen.app.return_code is None
        await screen.pilot.press(key)
        await screen.until(lambda: not screen.app.is_running or screen.app.return_code == 0)
        assert screen.app.return_value is None


@pytest.mark.parametrize(
    ("snapshot", "status", "word"),
    [
        (SnapshotStatus.PENDING, Status.CONNECTING, "waiting"),
        (SnapshotStatus.LIVE, Status.CONNECTED, "live"),
        (SnapshotStatus.LIVE, Status.POLLING, "live"),
        (SnapshotStatus.STALE, Status.CONNECTED, "stale"),
        (SnapshotStatus.STALE, Status.OFFLINE, "offline"),
        (SnapshotStatus.STALE, Status.CONNECTING, "offline"),
        (SnapshotStatus.FAILED, Status.CONNECTED, "failed"),
    ],
)
def test_word_of_the_status_line(snapshot, status, word):
    """From what the query and the client say."""
    line = status_line(Standing(Snapshot(snapshot), status), LiveTable()).plain
    assert line.startswith(f"● {word}  ")
    assert ("by polling" in line) is (status is Status.POLLING)


@pytest.mark.parametrize("snapshot", [SnapshotStatus.PENDING, SnapshotStatus.STALE, SnapshotStatus.LIVE])
def test_failure_is_told_beside_a_value_that_is_not_live(snapshot):
    """What is live came in spite of it."""
    line = status_line(Standing(Snapshot(snapshot), Status.POLLING, failure="no way\x1b"), LiveTable()).plain
    assert ("  no way\\x1b" in line) is (snapshot is not SnapshotStatus.LIVE)
