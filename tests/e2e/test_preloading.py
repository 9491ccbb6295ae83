"""A value that a server-side program asked for, put into a page, and shown first by the client that reads it."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from lunora_rx import LunoraClient, SnapshotStatus
from lunora_rx.devserver import App
from lunora_rx.protocol.preloaded import Preloaded
from tests.rx.test_preloading import hydrate, preload, states
from tests.support import QUICK, Recorder, until

TITLE = "</script><script>alert('<!--')"


class Page(HTMLParser):
    """Reads the one script of a page."""

    def __init__(self, page):
        super().__init__()
        self.script = ""
        self.scripts = 0
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.scripts += tag == "script"

    def handle_data(self, data):
        self.script += data


@pytest.fixture
async def app(no_tasks_left):
    """A server with notes of everybody, and of whoever asks."""
    app = App()

    @app.query("notes:list")
    def notes(ctx):
        return [row["title"] for row in ctx.db.table("notes").collect()]

    @app.query("notes:mine")
    def mine(ctx):
        return f"of {ctx.identity}"

    @app.mutation("notes:add")
    def add(ctx, title: str):
        return ctx.db.insert("notes", title=title)

    @app.authenticate
    def authenticate(token):
        return {"ana-1": "ana", "bo-1": "bo"}.get(token)

    return app


def client_of(url, **options):
    """A client of a server."""
    return LunoraClient(url, reconnect=QUICK, polling=None, **options)


async def test_page_shows_the_preloaded_value_then_the_live_one(app):
    """Through HTML with everything in it that could break a page; the live query goes on by itself."""
    async with app.serve() as url:
        async with client_of(url) as renderer:
            await renderer.mutation("notes:add", {"title": TITLE})
            html = f"<script type='application/json'>{(await preload(renderer, 'notes:list')).serialize()}</script>"
            assert renderer.status.value == "idle"
        page = Page(html)
        assert page.scripts == 1
        async with client_of(url) as client:
            await client.mutation("notes:add", {"title": "later"})
            live, values, snapshots = hydrate(client, Preloaded.parse(page.script)), Recorder(), Recorder()
            live.subscribe(values)
            live.snapshots.subscribe(snapshots)
            await until(lambda: values.last == [TITLE, "later"])
            await client.mutation("notes:add", {"title": "even later"})
            await until(lambda: values.last == [TITLE, "later", "even later"])
            assert values.values[0] == [TITLE]
            assert states(snapshots)[0] == ("stale", [TITLE])
            assert snapshots.last.status is SnapshotStatus.LIVE


async def test_page_without_a_server_shows_the_preloaded_value(app):
    """As stale, until the server is back."""
    async with app.serve() as url:
        async with client_of(url) as renderer:
            token = await preload(renderer, "notes:list")
        async with client_of(url) as client:
            app.faults.refuse_sockets()
            live = hydrate(client, token)
            live.subscribe(values := Recorder())
            assert (values.values, live.snapshot.status) == ([[]], SnapshotStatus.STALE)
            await client.mutation("notes:add", {"title": "new"})
            app.faults.release()
            await until(lambda: values.last == ["new"])


async def test_page_of_one_user_is_not_shown_to_the_next(app):
    """Neither on the screen, nor for who comes later; what the server says of the new user is."""
    async with app.serve() as url:
        async with client_of(url, auth_token="ana-1", auth_subject="ana") as renderer:
            token = await preload(renderer, "notes:mine")
        assert token.value == "of ana"
        async with client_of(url, auth_token="ana-1", auth_subject="ana") as client:
            app.faults.refuse_sockets()
            live, values, snapshots = hydrate(client, token), Recorder(), Recorder()
            handle = live.subscribe(values)
            live.snapshots.subscribe(snapshots)
            client.set_auth_token("bo-1", "bo")
            assert states(snapshots)[-1][0] == "pending"
            handle.dispose()
            live.subscribe(late := Recorder())
            other = hydrate(client, token)
            assert (values.values, late.values, other.snapshot.has_value) == (["of ana"], [], False)
