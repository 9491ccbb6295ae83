"""A value that a server-side program asked for, put into a page, and shown first by the client that reads it."""

from __future__ import annotations

from html.parser import HTMLParser

from lunora_rx import LunoraClient, SnapshotStatus
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


def client_of(gateway, **options):
    """A client of the server."""
    return LunoraClient(gateway.url, reconnect=QUICK, polling=None, **options)


async def test_page_shows_the_preloaded_value_then_the_live_one(no_tasks_left, gateway):
    """Through HTML with everything in it that could break a page; the live query goes on by itself."""
    async with client_of(gateway) as renderer:
        await renderer.mutation("notes:add", {"title": TITLE})
        html = f"<script type='application/json'>{(await preload(renderer, 'notes:list')).serialize()}</script>"
        assert renderer.status.value == "idle"
    page = Page(html)
    assert page.scripts == 1
    async with client_of(gateway) as client:
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


async def test_page_without_a_server_shows_the_preloaded_value(no_tasks_left, gateway):
    """As stale, until the server is back."""
    async with client_of(gateway) as renderer:
        token = await preload(renderer, "notes:list")
    async with client_of(gateway) as client:
        gateway.refuse_sockets()
        live = hydrate(client, token)
        live.subscribe(values := Recorder())
        assert (values.values, live.snapshot.status) == ([[]], SnapshotStatus.STALE)
        await client.mutation("notes:add", {"title": "new"})
        gateway.release()
        await until(lambda: values.last == ["new"])


async def test_page_of_one_user_is_not_shown_to_the_next(no_tasks_left, gateway):
    """Neither on the screen, nor for who comes later; what the server says of the new user is."""
    async with client_of(gateway, auth_token="token-ana", auth_subject="ana") as renderer:
        token = await preload(renderer, "rows:mine")
    assert token.value == "of ana"
    async with client_of(gateway, auth_token="token-ana", auth_subject="ana") as client:
        gateway.refuse_sockets()
        live, values, snapshots = hydrate(client, token), Recorder(), Recorder()
        handle = live.subscribe(values)
        live.snapshots.subscribe(snapshots)
        client.set_auth_token("token-bo", "bo")
        assert states(snapshots)[-1][0] == "pending"
        handle.dispose()
        live.subscribe(late := Recorder())
        other = hydrate(client, token)
        assert (values.values, late.values, other.snapshot.has_value) == (["of ana"], [], False)
