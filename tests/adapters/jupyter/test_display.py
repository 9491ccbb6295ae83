"""What notebooks get when they display what a client gives; no browser here: a test takes the browser's part."""

from __future__ import annotations

import asyncio

import pytest
from reactivex import Subject

from lunora_rx import LunoraClient, api
from lunora_rx.adapters.jupyter import Shown, places, show
from lunora_rx.devserver import App
from tests.support import QUICK, until

WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def app():
    app = App()
    app.query("rows:list")(lambda ctx: ctx.db.table("rows").collect())
    app.mutation("rows:add")(lambda ctx, row: ctx.db.insert("rows", **row))
    app.mutation("rows:remove")(lambda ctx, row_id: ctx.db.delete("rows", row_id))
    app.shape("rows")(lambda ctx: ctx.db.table("rows"))
    return app


@pytest.fixture
async def client(app):
    async with app.serve() as url, LunoraClient(url, reconnect=QUICK, polling=None) as client:
        yield client


@pytest.fixture
def panel_of():
    """Make the live view that a notebook would show, and let it go at the end."""
    pytest.importorskip("anywidget", reason="live views need the extra jupyter")
    made = []

    def make(observable, **options):
        panel = show(observable, fps=1000, **options).panel()
        made.append(panel)
        return panel

    yield make
    for panel in made:
        panel.close()


async def test_bundle_of_each_thing_can_be_read_without_a_kernel(client):
    """Plain text and HTML are in each, beside the widget where there can be one."""
    for thing in (client.live(api.rows.list), client.shape("rows"), client.status, client.pending):
        data, _ = thing._repr_mimebundle_()
        assert {"text/plain", "text/html"} <= data.keys()
        assert data["text/plain"].startswith(("live('rows:list') (", "shape('rows') (", "client."))
    assert client._cache.observer_count == 0


async def test_bundle_shows_what_is_known_at_the_moment(client):
    """Whoever reads a stored notebook sees rows."""
    await client.mutation(api.rows.add, {"row": {"n": 41}})
    rows = client.live(api.rows.list)
    with rows.subscribe():
        await rows.first()
        data, _ = rows._repr_mimebundle_()
    assert "live('rows:list') (live)" in data["text/plain"]
    assert "<td>41</td>" in data["text/html"]


async def test_bundle_of_a_derived_value_shows_it_where_its_source_is_watched(client):
    """To look is no work then; where nobody watches, nothing is begun."""
    await client.mutation(api.rows.add, {"row": {"n": 41}})
    rows = client.live(api.rows.list)
    shown = show(rows.map(len), of=rows, title="count")
    assert shown._repr_mimebundle_()[0]["text/plain"] == "count (loading): no value yet"
    with rows.subscribe():
        await rows.first()
        assert shown._repr_mimebundle_()[0]["text/plain"] == "count (live): 1"
        failing = show(rows.map(lambda rows: rows[5]), of=rows, title="sixth")
        assert failing._repr_mimebundle_()[0]["text/plain"] == "sixth (loading): no value yet"
    assert client._cache.observer_count == 0


def test_bundle_where_no_loop_runs_is_static():
    """In a plain terminal nothing could ever change."""
    data, _ = LunoraClient("http://127.0.0.1:1").status._repr_mimebundle_()
    assert data.keys() == {"text/plain", "text/html"}
    assert data["text/plain"] == "client.status (live): idle"


async def test_view_follows_values_and_the_connection(app, client, panel_of):
    """Rows come, the cut shows, and so does the recovery."""
    panel = panel_of(client.live(api.rows.list), plain=True)
    panel.act({"do": "enter", "view": "a"})
    await client.mutation(api.rows.add, {"row": {"n": 41}})
    await until(lambda: panel.head.content.get("rows", [[""]])[0][:1] == ["41"])
    assert panel.head.label == "live"
    app.faults.refuse_sockets()
    app.faults.drop_sockets()
    await until(lambda: panel.head.label == "offline" and panel.head.tone == "stale")
    assert panel.head.content["rows"][0][0] == "41"
    app.faults.release()
    await until(lambda: panel.head.label == "live")


@pytest.mark.parametrize("name", ["live", "shape"])
async def test_view_that_is_closed_and_opened_again_stays_one_observer(client, panel_of, name):
    """What a cell does that runs again and again: the old output goes, the new one comes."""
    source = client.live(api.rows.list) if name == "live" else client.shape("rows")
    counts = set()
    count = (lambda: client._cache.observer_count) if name == "live" else (lambda: source._observer_count)
    for run in range(20):
        panel = panel_of(source, plain=True)
        panel.act({"do": "enter", "view": f"view {run}"})
        counts.add(count())
        panel.act({"do": "leave", "view": f"view {run}"})
    assert counts == {1}
    assert count() == 0


async def test_cell_that_runs_again_closes_what_it_showed(client, panel_of):
    """Also where the browser never said that the output is gone; other cells keep theirs."""
    cells, rows = places.Places(), client.live(api.rows.list)
    for cell, run in (("a", "1"), ("a", "1"), ("b", "2"), ("a", "3"), ("a", "4"), (None, "5")):
        panel = panel_of(rows, plain=True)
        cells.put(panel, None if cell is None else places.Place(cell, run))
        panel.act({"do": "enter", "view": "v"})
    assert client._cache.observer_count == 3


async def test_messages_of_another_thread_are_dealt_with_on_the_loop(client, panel_of):
    """Notebooks handle the messages of widgets on threads of their own; what is unknown is passed over."""
    panel = panel_of(client.live(api.rows.list), plain=True)
    for message in ({"do": "dance"}, {}, {"do": "enter", "view": "a"}):
        await asyncio.to_thread(panel._cross, panel.head, message, [])
    await until(lambda: client._cache.observer_count == 1)


async def test_view_of_a_client_that_is_closed_says_that_it_ended(app, panel_of):
    """The last value stays."""
    async with app.serve() as url, LunoraClient(url) as client:
        panel = panel_of(client.status)
        panel.act({"do": "enter", "view": "a"})
    assert (panel.head.label, panel.head.content["text"]) == ("ended", "idle")


async def test_rows_are_in_perspective_and_follow_row_by_row(client, panel_of):
    """Rows come, change their fields, and go; an empty list is a plain text."""
    pytest.importorskip("perspective", reason="rows are shown by Perspective with the extra jupyter")
    panel = panel_of(client.live(api.rows.list))
    panel.act({"do": "enter", "view": "a"})
    await until(lambda: panel.head.content == {"columns": [], "rows": [], "rest": "no rows"})
    first = await client.mutation(api.rows.add, {"row": {"n": 1}})
    await until(lambda: len(panel.root.children) == 2)
    table = panel._rows.table
    await client.mutation(api.rows.add, {"row": {"n": 2**40}})
    await until(lambda: panel._rows.table.size() == 2)
    assert panel._rows.table is table
    await client.mutation(api.rows.add, {"row": {"n": 3, "word": "new field"}})
    await until(lambda: panel._rows.table.size() == 3)
    assert panel._rows.table.schema()["word"] == "string"
    await client.mutation(api.rows.remove, {"row_id": first})
    await until(lambda: panel._rows.table.size() == 2)
    assert sorted(panel._rows.table.view().to_columns()["n"]) == [3, 2**40]


@pytest.fixture
async def shown(client, panel_of):
    """Lists that a test gives, and how Perspective sorts what is told of them."""
    pytest.importorskip("perspective", reason="rows are shown by Perspective with the extra jupyter")
    lists = Subject()
    panel = panel_of(lists)
    panel.act({"do": "enter", "view": "a"})

    async def shown(rows):
        before = panel.head.history["count"]
        lists.on_next(rows)
        await until(lambda: panel.head.history["count"] > before)
        view = panel._rows.table.view(sort=panel._rows_view.sort, columns=panel._rows_view.columns)
        columns = view.to_columns()
        view.delete()
        return columns

    return shown


async def test_rows_stand_in_the_order_of_their_list(shown):
    """Which is that of the query, and not of ids that go by chance; its column is not among those that are shown."""
    rows = [{"_id": key, "n": n} for n, key in enumerate("qbz")]
    assert await shown(rows) == {"n": [0, 1, 2], "_id": ["q", "b", "z"]}
    assert (await shown([{"_id": "k", "n": 9}, *rows]))["_id"] == ["k", "q", "b", "z"]
    assert (await shown(rows[::-1]))["_id"] == ["z", "b", "q"]
    assert (await shown([{**row, "#": 5} for row in rows]))["_id"] == ["q", "b", "z"]
    assert (await shown([{"_id": 2**60, "n": 1}, {"_id": 1.5, "n": 2}]))["_id"] == [str(2**60), "1.5"]


async def test_rows_that_share_a_key_are_told_apart(shown):
    """As are two writes that are shown under the same key before the server has given them one."""
    rows = [{"_id": "?", "n": 1}, {"_id": "a", "n": 2}, {"_id": "?", "n": 3}, {"_id": "?", "n": 4}]
    assert (await shown([*rows, {"_id": "? (2)", "n": 5}]))["_id"] == ["?", "a", "? (3)", "? (4)", "? (2)"]
    assert await shown(rows[1:3]) == {"n": [2, 3], "_id": ["a", "?"]}


async def test_view_of_a_derived_value_says_what_it_knows(app, client, panel_of):
    """No more than that it is the latest, unless it is told what the value is made of."""
    rows = client.live(api.rows.list)
    plain, judged = panel_of(rows.map(len)), panel_of(rows.map(len), of=rows)
    for each in (plain, judged):
        each.act({"do": "enter", "view": "a"})
    await until(lambda: (plain.head.label, judged.head.label) == ("latest", "live"))
    app.faults.refuse_sockets()
    app.faults.drop_sockets()
    await until(lambda: judged.head.label == "offline")
    client.mutation(api.rows.add, {"row": {"n": 1}})
    await until(lambda: judged.head.label == "offline, 1 write pending")
    assert plain.head.label == "latest"
    app.faults.release()
    await until(lambda: (judged.head.label, judged.head.content["text"]) == ("live", "1"))
    assert (plain.head.label, plain.head.content["text"]) == ("latest", "1")


async def test_chart_is_drawn_less_often_than_a_grid(client):
    """A browser takes longer for it; whoever says how often is obeyed."""
    rows = client.live(api.rows.list)
    assert [show(rows)._fps, show(rows, plugin="Y Line")._fps, show(rows, plugin="Y Line", fps=20)._fps] == [10, 4, 20]


async def test_marimo_says_which_options_it_cannot_follow(client):
    """Its table is a plain one."""
    with pytest.warns(UserWarning, match="plugin, columns is for JupyterLab"):
        show(client.live(api.rows.list), plugin="Y Line", columns=["n"])._display_()


async def test_rows_without_keys_are_a_plain_table(client, panel_of):
    """Perspective's rows have a key each; others are shown all the same."""
    pytest.importorskip("perspective", reason="rows are shown by Perspective with the extra jupyter")
    panel = panel_of(client.live(api.rows.list).map(lambda rows: [{"count": len(rows)}]))
    panel.act({"do": "enter", "view": "a"})
    await until(lambda: panel.head.content.get("rows") == [["0"]])
    assert panel.root.children == (panel.head,)


@pytest.mark.parametrize(
    ("options", "error", "named"),
    [
        ({"fps": 0}, ValueError, "fps"),
        ({"fps": "fast"}, TypeError, "fps"),
        ({"history": 0}, ValueError, "history"),
        ({"title": 5}, TypeError, "title"),
        ({"of": "tasks"}, TypeError, "of is a live query or a shape, not str"),
    ],
)
def test_wrong_option_is_named(options, error, named):
    """What was expected is said."""
    client = LunoraClient("http://127.0.0.1:1")
    with pytest.raises(error, match=named):
        show(client.status, **options)
    with pytest.raises(TypeError, match="observable is an Observable, not list"):
        show([])
    assert isinstance(show(client.status), Shown)
