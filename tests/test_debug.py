"""Debug mode: calls from the wrong thread are named, whatever is called."""

from __future__ import annotations

import threading

import pytest
import reactivex

from lunora_rx import UNDEFINED, LunoraClient, Preloaded
from lunora_rx.devserver import App
from lunora_rx.rx.observers import anatomy
from tests.support import Recorder, until

CALLS = {
    "query()": lambda client: client.query("a:b"),
    "action()": lambda client: client.action("a:b"),
    "mutation()": lambda client: client.mutation("a:b"),
    "batch()": lambda client: client.batch([]),
    "live()": lambda client: client.live("a:b"),
    "paginate()": lambda client: client.paginate("a:b"),
    "combine()": lambda client: client.combine({"status": client.status}),
    "shape()": lambda client: client.shape("a"),
    "stream()": lambda client: client.stream("a:b"),
    "http_stream()": lambda client: client.http_stream("/a"),
    "preload()": lambda client: client.preload("a:b"),
    "hydrate()": lambda client: client.hydrate(Preloaded("a:b", {}, None, 1)),
    "import_rows()": lambda client: client.import_rows("a:b", []),
    "whispers()": lambda client: client.whispers("a"),
    "whisper()": lambda client: client.whisper("a"),
    "presence()": lambda client: client.presence("a"),
    "set_auth_token()": lambda client: client.set_auth_token("t"),
    "set_ws_token()": lambda client: client.set_ws_token("t"),
    "current_user()": lambda client: client.current_user(),
    "debug()": lambda client: client.debug(),
    "cache.get()": lambda client: client.cache.get("a:b"),
    "iterating over client.cache": lambda client: list(client.cache),
    "aclose()": lambda client: client.aclose().send(None),
    "async with": lambda client: client.__aenter__().send(None),
}
# What the client returned on its own thread, used on another.
USES = {
    "live query": (lambda client: client.live("a:b"), "subscribing to a live query"),
    "snapshots": (lambda client: client.live("a:b").snapshots, "subscribing to a live query"),
    "following": (lambda client: client.live("a:b", reactivex.of({})), "subscribing to a live query"),
    "paginated": (lambda client: client.paginate("a:b"), "subscribing to a live query"),
    "combined": (lambda client: client.combine({"s": client.status}), "subscribing to a combination"),
    "shape": (lambda client: client.shape("a"), "subscribing to a shape"),
    "changes": (lambda client: client.shape("a").changes, "subscribing to a shape"),
    "stream": (lambda client: client.stream("a:b"), "subscribing to a stream"),
    "http stream": (lambda client: client.http_stream("/a"), "http_stream()"),
    "whispers": (lambda client: client.whispers("a"), "listening to whispers"),
    "status": (lambda client: client.status, "subscribe()"),
    "pending": (lambda client: client.pending, "subscribe()"),
    "settled": (lambda client: client.settled, "subscribe()"),
    "replay": (lambda client: client.replay, "subscribe()"),
    "token expired": (lambda client: client.token_expired, "subscribe()"),
    "identity changed": (lambda client: client.identity_changed, "subscribe()"),
    "auth token changed": (lambda client: client.auth_token_changed, "subscribe()"),
    "user": (lambda client: client.user, "client.user"),
    "phases": (lambda client: client.mutation("a:b").phases, "subscribe()"),
}


async def elsewhere(use):
    """What is raised by a use on a thread named elsewhere."""
    raised = []

    def run():
        try:
            use()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run, name="elsewhere")
    thread.start()
    await until(lambda: not thread.is_alive())
    return raised


async def debugged(server):
    """A client in debug mode that was used already."""
    client = server.client(debug=True)
    client.live("c:d").subscribe(Recorder()).dispose()
    return client


@pytest.mark.parametrize("name", CALLS)
async def test_client_in_debug_mode_names_a_call_of_another_thread(server, no_tasks_left, name):
    """The method, both threads, and what to do; nothing is done."""
    async with await debugged(server) as client:
        (error,) = await elsewhere(lambda: CALLS[name](client))
        assert isinstance(error, RuntimeError)
        whose = f"{name}: this is thread 'elsewhere', and the client belongs to thread 'MainThread', which"
        assert str(error).startswith(whose)
        assert "call_soon_threadsafe" in str(error)
        assert client.debug()["calls_in_flight"] == 0


@pytest.mark.parametrize("name", USES)
async def test_client_in_debug_mode_names_a_subscription_of_another_thread(server, no_tasks_left, name):
    """Of everything that can be subscribed to; nobody is attached."""
    get, what = USES[name]
    async with await debugged(server) as client:
        observable = get(client)
        (error,) = await elsewhere(lambda: observable.subscribe(Recorder().on_next))
        assert str(error).startswith(f"{what}: this is thread 'elsewhere', and")
        assert client.debug()["observers"] == 0


async def test_client_in_debug_mode_names_what_is_done_to_what_it_returned(server, no_tasks_left):
    """Refreshing, growing, cancelling and awaiting."""
    async with await debugged(server) as client:
        live, paged, call = client.live("a:b"), client.paginate("a:b"), client.query("a:b")
        write = client.import_rows("a:b", [1], import_id="import-1")
        uses = [live.refresh, paged.load_more, call.cancel, write.cancel, lambda: call.__await__().send(None)]
        errors = [str(error) for use in uses for error in await elsewhere(use)]
    assert [text.partition(": this is thread 'elsewhere'")[0] for text in errors] == [
        "refresh()",
        "load_more()",
        "cancel() of query 'a:b'",
        "cancel() of import 'import-1'",
        "await of query 'a:b'",
    ]


async def test_client_in_debug_mode_may_be_looked_at_and_let_go_of_anywhere(server, no_tasks_left):
    """What dashboards do on threads of their own: read values, take the scheduler, dispose."""
    async with await debugged(server) as client:
        live, seen = client.live("a:b"), Recorder()
        handle = live.subscribe(seen)
        for use in (
            lambda: (live.value, live.snapshot, client.status.value, client.scheduler, repr(client)),
            handle.dispose,
        ):
            assert await elsewhere(use) == []
        await until(lambda: client.debug()["observers"] == 0)


def test_client_in_debug_mode_belongs_to_no_thread_before_its_first_use():
    """It may be made, and things asked of it, anywhere."""
    client = LunoraClient("http://server.test", debug=True)
    client.status.subscribe(print).dispose()
    client.set_auth_token("t")
    assert client.live("a:b").value is UNDEFINED


def make_app():
    """A server with rows."""
    app = App()

    @app.shape("rows:all")
    def all_rows(ctx):
        return ctx.db.table("rows")

    @app.query("rows:list")
    def list_rows(ctx):
        return ctx.db.table("rows").collect()

    @app.query("rows:page")
    def page(ctx, paginationOpts: dict):
        return ctx.db.table("rows").paginate(None, 10)

    @app.mutation("rows:add")
    def add(ctx):
        ctx.db.insert("rows", tags=["a"])
        return ["added"]

    return app


def spoil(shown):
    """Change the first list or dict found, wherever it is."""
    for each in anatomy(shown):
        if type(each) is dict and "tags" in each:
            each["tags"] = []
            return
        if each == ["added"]:
            each.clear()
            return


SHARED = {
    "values": lambda client: client.live("rows:list"),
    "resilient values": lambda client: client.live("rows:list").resilient,
    "snapshots": lambda client: client.live("rows:list").snapshots,
    "following": lambda client: client.live("rows:list", reactivex.of({})),
    "paginated": lambda client: client.paginate("rows:page"),
    "shape": lambda client: client.shape("rows:all"),
    "shape changes": lambda client: client.shape("rows:all").changes,
    "shape snapshots": lambda client: client.shape("rows:all").snapshots,
    "combined": lambda client: client.combine({"rows": client.live("rows:list"), "status": client.status}),
    "call": lambda client: client.query("rows:list"),
    "mutation": lambda client: client.mutation("rows:add"),
}


@pytest.mark.parametrize("name", SHARED)
async def test_client_in_debug_mode_finds_whoever_changes_what_is_shared(no_tasks_left, name):
    """In whatever was observed, of a real server; who only looks is not named."""
    reported = []
    async with make_app().serve() as url, LunoraClient(url, debug=True, on_error=reported.append) as client:
        await client.mutation("rows:add")
        shared = SHARED[name](client)
        with shared.subscribe(anatomy), shared.subscribe(spoil):
            await until(lambda: reported)
    assert {type(each) for each in reported} == {RuntimeError}
    assert all("spoil changed a value" in str(each) for each in reported)


async def test_client_in_debug_mode_has_nothing_to_say_of_its_own_values(no_tasks_left):
    """Status, counts and users change by being replaced."""
    reported, seen = [], Recorder()
    async with make_app().serve() as url, LunoraClient(url, debug=True, on_error=reported.append) as client:
        for each in (client.status, client.pending, client.settled, client.replay, client.user):
            each.subscribe(seen)
        live = client.live("rows:list")
        live.snapshots.subscribe(seen)
        await client.mutation("rows:add")
        await live.first(bool)
    assert reported == []


def change_a_row(rows):
    """Do what no patch may: change a row that observers share."""
    rows[0]["text"] = "mine"
    return [*rows]


@pytest.mark.parametrize(
    "patch",
    [
        {"optimistic": change_a_row},
        {"optimistic_update": lambda store, _: store.set_query("a:b", {}, change_a_row(store.get_query("a:b", {})))},
        {"optimistic_update": lambda store, _: change_a_row(store.all_queries("a:b")[0].value)},
    ],
)
async def test_patch_that_changes_a_shared_row_is_found(patch):
    """What it did no rollback takes back; the report names the mutation."""
    faults = Recorder()
    app = App()
    app.query("a:b")(lambda ctx: [{"_id": "1", "text": "theirs"}])
    async with app.serve() as url, LunoraClient(url, debug=True, on_error=faults.on_next) as client:
        live = client.live("a:b")
        with live.subscribe(lambda rows: None):
            await live.first()
            client.mutation("a:b", **patch).subscribe(on_error=lambda error: None)
            (fault,) = faults.values
    assert "mutation 'a:b' changed a value that it was given" in str(fault)


async def test_patch_that_makes_new_rows_is_not_reported():
    """The list that the store shows is one's own."""
    faults = Recorder()
    app = App()
    app.query("a:b")(lambda ctx: [{"_id": "1", "text": "theirs"}])

    def add(store, args):
        rows = store.get_query("a:b", {})
        rows.append({"_id": "2", "text": "mine"})
        store.set_query("a:b", {}, rows)

    async with app.serve() as url, LunoraClient(url, debug=True, on_error=faults.on_next) as client:
        live = client.live("a:b")
        with live.subscribe(lambda rows: None):
            await live.first()
            client.mutation("a:b", optimistic_update=add).subscribe(on_error=lambda error: None)
            assert [row["text"] for row in live.value] == ["theirs", "mine"]
    assert faults.values == []
