"""Paginated queries: one growing list over live queries that are opened, replaced and closed."""

from __future__ import annotations

import asyncio
import logging
import threading

import orjson
import pytest

from lunora_rx import UNDEFINED, ProtocolError, ServerError, SnapshotStatus
from lunora_rx.core.pages import PageStatus
from lunora_rx.rx.cache import Query
from lunora_rx.rx.paginated import PagedSource, PaginatedQuery
from tests.support import Recorder, turn, until

REPORT = logging.getLogger("lunora_rx").error


def paginate(client, args=None, *, page_size=2, shard="", report=REPORT):
    """A paginated query of a client."""
    query = Query("rows:list", args or {}, shard)
    call_soon = asyncio.get_running_loop().call_soon
    return PaginatedQuery(PagedSource(client.cache, query, page_size=page_size, call_soon=call_soon, report=report))


def page_of(*numbers, cursor=None, split=None):
    """What the server says of a page."""
    rows = [{"_id": f"r{each}", "n": each} for each in numbers]
    value = {"page": rows, "isDone": cursor is None, "continueCursor": cursor}
    return value if split is None else {**value, "splitCursor": split}


def numbers(rows):
    """The rows of a list, in short."""
    return [each["n"] for each in rows]


async def asked(socket):
    """The id of the next subscription, acknowledged, and the page it asks for."""
    frame = await socket.expect("subscribe")
    await socket.push("ack", id=frame["id"])
    return frame["id"], tuple(frame["query"]["args"]["paginationOpts"].values())


async def give(socket, sub, value, cursor=None):
    """Answer a subscription, and let the list follow."""
    await socket.push("data", id=sub, data=value, **({} if cursor is None else {"cursor": cursor}))
    await turn()


async def watch(server, client, **options):
    """Watch a paginated query whose first page holds 1 and 2 and has more."""
    paged, seen = paginate(client, **options), Recorder()
    handle = paged.subscribe(seen)
    socket = await server.socket()
    first, _ = await asked(socket)
    await give(socket, first, page_of(1, 2, cursor="c2"))
    return paged, seen, handle, socket, first


async def grow(server, client, **options):
    """Watch one of two pages, of which the first is pinned and both are there."""
    paged, seen, handle, socket, first = await watch(server, client, **options)
    paged.load_more()
    (pinned, _), (tail, _) = await asked(socket), await asked(socket)
    assert (await socket.expect("unsubscribe"))["id"] == first
    await give(socket, pinned, page_of(1, 2, cursor="c2"))
    await give(socket, tail, page_of(3, 4, cursor="c4"))
    return paged, seen, handle, socket, (pinned, tail)


async def test_first_observer_asks_for_the_first_page(server, client):
    """Beside the caller's arguments stands which page it is; nothing is emitted before the answer."""
    paged, seen = paginate(client, {"channel": "general"}, page_size=7), Recorder()
    assert (paged.value, paged.status, repr(paged)) == (
        UNDEFINED,
        PageStatus.LOADING_FIRST_PAGE,
        "<PaginatedQuery 'rows:list' LoadingFirstPage>",
    )
    paged.subscribe(seen)
    socket = await server.socket()
    query = (await socket.expect("subscribe"))["query"]
    page = {"lower": None, "upper": None, "numItems": 7}
    assert (query["functionPath"], query["args"]) == ("rows:list", {"channel": "general", "paginationOpts": page})
    assert seen.values == []


async def test_late_observer_gets_the_list_at_once(server, client):
    """All observers share the pages and the list."""
    paged, seen, _, socket, _ = await watch(server, client)
    late = Recorder()
    paged.subscribe(late)
    assert late.values == seen.values == [paged.value]
    assert (socket.unread, repr(paged)) == (0, "<PaginatedQuery 'rows:list' CanLoadMore rows=2>")


async def test_load_more_grows_the_list_by_a_page(server, client):
    """The pages pinned and new are asked for before the old one is left; an unchanged list is not emitted again."""
    paged, seen, _, socket, first = await watch(server, client)
    paged.load_more(5)
    assert paged.status is PageStatus.LOADING_MORE
    pinned, tail = await asked(socket), await asked(socket)
    assert (pinned[1], tail[1]) == ((None, "c2", 2), ("c2", None, 5))
    assert (await socket.expect("unsubscribe"))["id"] == first
    await give(socket, pinned[0], page_of(1, 2, cursor="c2"))
    await give(socket, tail[0], page_of(3))
    assert [numbers(each) for each in seen.values] == [[1, 2], [1, 2, 3]]
    assert paged.status is PageStatus.EXHAUSTED


async def test_load_more_is_silent_unless_there_is_more(server, client):
    """Before the first page, while more is loading, at the end, and when nobody watches."""
    paged = paginate(client)
    paged.load_more()
    paged.subscribe(Recorder())
    paged.load_more()
    socket = await server.socket()
    first, _ = await asked(socket)
    await give(socket, first, page_of(1))
    paged.load_more()
    await turn()
    assert socket.unread == 0


@pytest.mark.parametrize(("count", "error"), [(0, ValueError), (True, TypeError), (1.5, TypeError)])
async def test_load_more_of_no_whole_number_is_refused(client, count, error):
    """At the call, whatever the status."""
    with pytest.raises(error, match="num_items"):
        paginate(client).load_more(count)


async def test_load_more_off_the_loop_says_what_to_do(server, client):
    """A thread crosses to the loop by itself."""
    paged, *_ = await watch(server, client)
    caught = []

    def call():
        try:
            paged.load_more()
        except RuntimeError as error:
            caught.append(str(error))

    thread = threading.Thread(target=call)
    thread.start()
    await until(lambda: not thread.is_alive())
    assert "call_soon_threadsafe" in caught[0]
    assert paged.status is PageStatus.CAN_LOAD_MORE


async def test_subscribing_off_the_loop_says_what_to_do_and_leaves_nothing(client):
    """As with any live query."""
    paged, seen = paginate(client), Recorder()
    thread = threading.Thread(target=lambda: paged.subscribe(seen))
    thread.start()
    await until(lambda: not thread.is_alive())
    assert "call_soon_threadsafe" in str(seen.errors[0])
    paged.subscribe(Recorder())
    assert len(client.cache) == 1


async def test_frames_that_are_read_in_one_go_make_one_list(server, client):
    """A row that moves from one page to another is in no list twice, and missing in none."""
    _, seen, _, socket, (pinned, tail) = await grow(server, client)
    told = len(seen.values)
    await socket._end.send(frame(pinned, page_of(1, cursor="c2")))
    await socket._end.send(frame(tail, page_of(3, 2, 4, cursor="c4")))
    await until(lambda: len(seen.values) > told)
    await turn()
    assert [numbers(each) for each in seen.values[told:]] == [[1, 3, 2, 4]]


def frame(sub, value):
    """A data frame, as text."""
    return orjson.dumps({"type": "data", "id": sub, "data": value})


async def test_answer_that_changes_nothing_is_not_told(server, client):
    """Neither to who watches the list nor to who watches the snapshots."""
    paged, seen, _, socket, first = await watch(server, client)
    snapshots = Recorder()
    paged.snapshots.subscribe(snapshots)
    await give(socket, first, page_of(1, 2, cursor="c2"))
    assert (len(seen.values), len(snapshots.values)) == (1, 1)
    await give(socket, first, page_of(1, 2, cursor="c2"), cursor=5)
    assert (len(seen.values), len(snapshots.values), snapshots.last.cursor) == (1, 2, 5)


async def test_row_that_two_pages_hold_is_shown_once(server, client):
    """Where frames are read apart, a row is where the server said last."""
    _, seen, _, socket, (_, tail) = await grow(server, client)
    await give(socket, tail, page_of(2, 3, 4, cursor="c4"))
    assert numbers(seen.last) == [1, 2, 3, 4]


async def test_page_that_grew_too_large_is_split_and_shown_until_both_halves_are_there(server, client):
    """The list stays as it is meanwhile, stale; then it is live."""
    paged, seen, _, socket, (pinned, _) = await grow(server, client)
    await give(socket, pinned, page_of(0, 1, 2, 5, 6, cursor="c2", split="c1"))
    lower, upper = await asked(socket), await asked(socket)
    assert (lower[1], upper[1]) == ((None, "c1", 2), ("c1", "c2", 2))
    assert (await socket.expect("unsubscribe"))["id"] == pinned
    await give(socket, lower[0], page_of(0, 1, cursor="c1"))
    assert (numbers(paged.value), paged.snapshot.status) == ([0, 1, 2, 5, 6, 3, 4], SnapshotStatus.STALE)
    told = len(seen.values)
    await give(socket, upper[0], page_of(2, 5, 6, cursor="c2"))
    assert (len(seen.values), paged.snapshot.status) == (told, SnapshotStatus.LIVE)


async def test_page_that_shrank_is_joined_with_the_next(server, client):
    """The list loses what the server took away, and nothing else."""
    paged, seen, _, socket, (pinned, tail) = await grow(server, client)
    paged.load_more()
    (second, _), (last, _) = await asked(socket), await asked(socket)
    assert (await socket.expect("unsubscribe"))["id"] == tail
    await give(socket, second, page_of(3, 4, cursor="c4"))
    await give(socket, last, page_of(5))
    await give(socket, pinned, page_of(cursor="c2"))
    joined, page = await asked(socket)
    assert page == (None, "c4", 2)
    assert {(await socket.expect("unsubscribe"))["id"] for _ in range(2)} == {pinned, second}
    await give(socket, joined, page_of(3, 4, cursor="c4"))
    assert numbers(seen.last) == [3, 4, 5]


async def test_statuses_tell_each_change_after_its_list(server, client):
    """Watching them watches the pages as well."""
    paged, told = paginate(client), []
    paged.statuses.subscribe(lambda status: told.append((str(status), paged.value is not UNDEFINED)))
    socket = await server.socket()
    first, _ = await asked(socket)
    await give(socket, first, page_of(1, cursor="c1"))
    paged.load_more()
    await turn()
    await asked(socket)
    tail, _ = await asked(socket)
    await give(socket, tail, page_of())
    expected = [("LoadingFirstPage", False), ("CanLoadMore", True), ("LoadingMore", True), ("Exhausted", True)]
    assert told == expected


async def test_last_observer_leaves_closes_every_page(server, client):
    """And who comes later begins with the first page."""
    paged, _, handle, socket, (pinned, tail) = await grow(server, client)
    other = paged.snapshots.subscribe(Recorder())
    handle.dispose()
    handle.dispose()
    assert len(client.cache) == 2
    other.dispose()
    assert {(await socket.expect("unsubscribe"))["id"] for _ in range(2)} == {pinned, tail}
    assert (paged.value, len(client.cache), client.debug()["observers"]) == (UNDEFINED, 0, 0)
    late = Recorder()
    paged.subscribe(late)
    assert late.values == []
    assert len(client.cache) == 1


async def test_observer_that_leaves_while_it_is_shown_the_list_leaves_nothing(server, client):
    """Also when that is due already."""
    _, _, handle, socket, first = await watch(server, client)
    await socket._end.send(frame(first, page_of(7)))
    while numbers(client.cache.get("rows:list", ARGS).value["page"]) != [7]:
        await asyncio.sleep(0)
    handle.dispose()
    await turn()
    assert client.debug()["observers"] == 0


ARGS = {"paginationOpts": {"lower": None, "upper": None, "numItems": 2}}


async def test_error_of_one_page_ends_the_lists_and_shows_in_the_snapshot(server, client):
    """A new observer gets the latest list, not the error; a page that is answered heals."""
    paged, seen, _, socket, (pinned, _) = await grow(server, client)
    snapshots, resilient, late = Recorder(), Recorder(), Recorder()
    paged.snapshots.subscribe(snapshots)
    paged.resilient.subscribe(resilient)
    await socket.push("error", id=pinned, message="no")
    (error,) = seen.errors
    assert isinstance(error, ServerError)
    assert (error.message, snapshots.last.status, numbers(paged.value)) == ("no", "failed", [1, 2, 3, 4])
    paged.subscribe(late)
    await give(socket, pinned, page_of(1, cursor="c2"))
    assert [numbers(each) for each in late.values] == [[1, 2, 3, 4], [1, 3, 4]]
    assert (late.errors, resilient.errors, paged.snapshot.status) == ([], [], SnapshotStatus.LIVE)


async def test_error_from_before_is_no_news(server, client):
    """A page that failed for somebody else does not end the lists of who comes later."""
    client.live("rows:list", ARGS).snapshots.subscribe(Recorder())
    socket, sub = await server.subscribed()
    await socket.push("error", id=sub, message="old")
    paged, seen = paginate(client), Recorder()
    paged.subscribe(seen)
    assert (seen.errors, paged.snapshot.status) == ([], SnapshotStatus.FAILED)
    await socket.push("error", id=sub, message="new")
    assert [each.message for each in seen.errors] == ["new"]


async def test_observer_that_leaves_because_a_page_fails_at_once_leaves_nothing(server, client):
    """Also when that is while the pages are still being opened."""
    paged, seen, _, socket, first = await watch(server, client)
    nonsense = client.live("rows:list", {"paginationOpts": {"lower": None, "upper": "c2", "numItems": 2}})
    handle = nonsense.subscribe(Recorder())
    held = await socket.subscription()
    await socket.push("data", id=held, data="no page")
    paged.load_more()
    assert (len(seen.errors), len(client.cache)) == (1, 1)
    handle.dispose()
    assert {(await socket.expect("unsubscribe"))["id"] for _ in range(2)} == {first, held}
    assert client.debug()["observers"] == 0


async def test_query_that_gives_no_page_says_so(server, client):
    """The most likely mistake: a query that is not paginated."""
    seen = Recorder()
    paginate(client).subscribe(seen)
    socket, sub = await server.subscribed()
    await give(socket, sub, [{"_id": "a"}])
    (error,) = seen.errors
    assert isinstance(error, ProtocolError)
    assert "isDone" in error.message


async def test_error_that_was_told_is_not_told_again(server, client):
    """A page that shows the same error once more, as when the connection is lost, fails nobody anew."""
    paged, _, _, socket, first = await watch(server, client)
    paged.snapshots.subscribe(Recorder())
    await give(socket, first, "no page")
    late = Recorder()
    paged.subscribe(late)
    socket.cut()
    await until(lambda: client.cache.get("rows:list", ARGS).status is SnapshotStatus.STALE)
    assert (late.errors, numbers(late.last)) == ([], [1, 2])


async def test_refresh_asks_for_every_page_again(server, client):
    """And does nothing while nobody watches."""
    paginate(client).refresh()
    paged, _, _, socket, (pinned, tail) = await grow(server, client)
    paged.refresh()
    assert [(await socket.expect("subscribe"))["id"] for _ in range(2)] == [pinned, tail]


@pytest.mark.parametrize("is_growing", [True, False])
async def test_list_of_a_former_user_goes_at_once_and_begins_anew(server, no_tasks_left, is_growing):
    """Not a row of theirs is shown to the next, although another watcher of the first page still has it."""
    async with server.client(auth_token="one", auth_subject="ana") as client:
        paged, seen, _, socket, _ = await grow(server, client)
        if is_growing:
            paged.load_more()
        other, others = paginate(client), Recorder()
        other.subscribe(others)
        await turn()
        client.set_auth_token("two", "bob")
        assert (paged.value, paged.status) == (UNDEFINED, PageStatus.LOADING_FIRST_PAGE)
        told = len(seen.values)
        paged.load_more()
        paged.refresh()
        await turn()
        assert len(client.cache) == 1
        socket = await server.socket()
        sub, page = await asked(socket)
        assert (page, len(seen.values)) == ((None, None, 2), told)
        await give(socket, sub, page_of(9))
        assert [numbers(each) for each in seen.values[told:]] == [[9]]


async def test_replaced_rows_of_a_former_user_go_when_no_page_has_an_answer(server, no_tasks_left):
    """The queries that gave them are watched no more, so that nothing else would take them away."""
    async with server.client(auth_token="one", auth_subject="ana") as client:
        paged, *_ = await watch(server, client)
        paged.load_more()
        assert numbers(paged.value) == [1, 2]
        client.set_auth_token("two", "bob")
        assert (paged.value, paged.snapshot.status) == (UNDEFINED, SnapshotStatus.PENDING)


async def test_lost_connection_keeps_the_list_stale(server, client):
    """Once for all pages; the stream goes on after the resume."""
    paged, seen, _, socket, _ = await grow(server, client)
    snapshots = Recorder()
    paged.snapshots.subscribe(snapshots)
    socket.cut()
    await until(lambda: paged.snapshot.status is SnapshotStatus.STALE)
    assert [str(each.status) for each in snapshots.values] == ["live", "stale"]
    socket = await server.socket()
    again = [await asked(socket) for _ in range(2)]
    for (sub, _), value in zip(again, (page_of(1, cursor="c2"), page_of(5)), strict=True):
        await give(socket, sub, value)
    assert (numbers(seen.last), paged.snapshot.status) == ([1, 5], SnapshotStatus.LIVE)
    assert seen.errors == []


async def test_load_more_from_within_an_observer_is_carried_out(server, client):
    """As an endless scroll does that is not filled yet."""
    paged, seen = paginate(client), []
    paged.subscribe(lambda rows: (seen.append(numbers(rows)), paged.load_more()))
    socket = await server.socket()
    first, _ = await asked(socket)
    await give(socket, first, page_of(1, cursor="c1"))
    pinned, tail = await asked(socket), await asked(socket)
    assert (pinned[1], tail[1]) == ((None, "c1", 2), ("c1", None, 2))
    await give(socket, tail[0], page_of(2))
    assert seen == [[1], [1, 2]]


async def test_client_closes_completes(server, client):
    """Lists, snapshots and statuses, also for who comes later; nothing more can be loaded."""
    paged, seen, *_ = await watch(server, client)
    snapshots, statuses, late = Recorder(), Recorder(), Recorder()
    paged.snapshots.subscribe(snapshots)
    paged.statuses.subscribe(statuses)
    await client.aclose()
    paged.subscribe(late)
    assert [each.completions for each in (seen, snapshots, statuses, late)] == [1, 1, 1, 1]
    paged.load_more()
    assert paged.status is PageStatus.LOADING_FIRST_PAGE


async def test_first_can_be_awaited_and_the_query_cannot(server, client):
    """A paginated query is a live query of lists."""
    paged = paginate(client)
    waiting = asyncio.ensure_future(paged.first(lambda rows: len(rows) == 2)._wait())
    socket = await server.socket()
    first, _ = await asked(socket)
    await give(socket, first, page_of(1, 2))
    assert numbers(await waiting) == [1, 2]
    with pytest.raises(TypeError, match="first"):
        await paged
