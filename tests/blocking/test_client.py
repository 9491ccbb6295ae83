"""The blocking client against a served app: calls, views and streams from a program with no event loop."""

from __future__ import annotations

import asyncio
import gc
import signal
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

import aiohttp
import pytest
import reactivex
from reactivex import operators as ops

from lunora_rx import (
    UNDEFINED,
    ClientClosedError,
    Failed,
    LunoraError,
    Ok,
    PageStatus,
    Phase,
    RequestTimeout,
    ServerError,
    Status,
    StreamError,
    Whisper,
)
from lunora_rx.blocking import LunoraClient
from tests.blocking.conftest import NOWHERE, until


def numbers(rows):
    """Return the numbers of rows."""
    return [row["n"] for row in rows]


def test_calls_return_their_results(client):
    """Queries, writes, actions and batches are plain calls."""
    row = client.mutation("rows:add", {"n": 1})
    assert numbers(client.query("rows:list")) == [1]
    assert isinstance(row, str)
    assert client.action("math:square", {"n": 7}) == 49
    assert client.batch([("math:square", {"n": 3}), ("no:such",)])[0] == Ok(9)
    assert isinstance(client.batch([("no:such",)])[0], Failed)
    assert client.current_user() is None


def test_failed_call_shows_the_line_of_the_caller(client):
    """The exception is the asyncio client's, and its traceback begins where the call stands, once."""
    with pytest.raises(ServerError) as caught:
        client.query("no:such")  # this line
    frames = traceback.extract_tb(caught.value.__traceback__)
    assert caught.value.code == "NOT_FOUND"
    assert "# this line" in frames[0].line
    assert [frame.name for frame in frames].count("ask") == 1


def test_bad_argument_is_refused_at_the_call(client):
    """What cannot be is refused where it was written."""
    with pytest.raises(TypeError, match="args is a dict"):
        client.query("rows:list", 5)
    with pytest.raises(TypeError, match="unexpected keyword argument 'shards'"):
        client.query("rows:list", shards=1)
    with pytest.raises(ValueError, match="timeout is above 0"):
        client.live("rows:list").first(timeout=0)


def test_constructor_refuses_what_cannot_be():
    """A session belongs to another loop; the rest is checked as ever."""
    with pytest.raises(ValueError, match=r"session: an aiohttp\.ClientSession belongs"):
        LunoraClient(NOWHERE, session=object.__new__(aiohttp.ClientSession))
    with pytest.raises(TypeError, match="linger"):
        LunoraClient(NOWHERE, linger="long")


def test_constructor_starts_no_thread():
    """Nothing happens before the first use."""
    before = threading.active_count()
    client = LunoraClient(NOWHERE)
    assert threading.active_count() == before
    assert client.status.value is Status.IDLE
    client.close()
    assert threading.active_count() == before


def test_live_query_is_iterated_over_newest_first(client):
    """A ``for`` loop gets the present value and each newer one, and may be left at any time."""
    seen = []
    for rows in client.live("rows:list").iter(timeout=10):
        seen.append(numbers(rows))
        if len(rows) == 3:
            break
        client.mutation("rows:add", {"n": len(rows)})
    assert (seen[0], seen[-1]) == ([], [0, 1, 2])
    until(lambda: client.cache.observer_count == 0)


def test_live_query_shows_its_value_while_somebody_watches(client):
    """``value`` and ``snapshot`` are at hand for whoever polls."""
    live = client.live("rows:list")
    assert live.value is UNDEFINED
    with live.snapshots.subscribe():
        assert live.first(timeout=10) == []
        assert (live.value, live.snapshot.value, str(live.snapshot.status)) == ([], [], "live")
        assert client.cache.get("rows:list").value == []
        assert len(client.cache) == len(list(client.cache)) == 1
    until(lambda: live.value is UNDEFINED)


def test_first_waits_for_the_value_that_is_wanted(client):
    """The predicate sees every value; a wait that takes too long is given up."""
    live = client.live("rows:list")
    with pytest.raises(TimeoutError, match=r"rows:list.*nothing within 0.05 s"):
        live.first(lambda rows: len(rows) == 2, timeout=0.05)
    adding = threading.Thread(target=lambda: [client.mutation("rows:add", {"n": n}) for n in range(2)])
    adding.start()
    assert numbers(live.first(lambda rows: len(rows) == 2, timeout=10)) == [0, 1]
    adding.join()
    until(lambda: client.cache.observer_count == 0)


def test_iteration_that_times_out_may_go_on(client):
    """A ``TimeoutError`` ends the wait and not the iterator."""
    values = client.live("rows:list").iter(timeout=0.05)
    until(lambda: client.live("rows:list").value is not UNDEFINED)
    assert next(values) == []
    with pytest.raises(TimeoutError, match=r"no value within 0.05 s"):
        next(values)
    client.mutation("rows:add", {"n": 1})
    until(lambda: numbers(client.live("rows:list").value) == [1])
    assert numbers(next(values)) == [1]
    values.close()
    assert list(values) == []


def test_live_query_that_fails_raises_in_the_loop(client):
    """The iteration ends with the server's error; ``snapshots`` shows it and goes on."""
    with pytest.raises(ServerError, match="NOT_FOUND"):
        next(client.live("no:such").iter(timeout=10))
    snapshots = client.live("no:such").snapshots.iter(timeout=10, conflate=False)
    assert any(str(snapshot.status) == "failed" for snapshot in snapshots)


def test_arguments_that_change_are_followed_from_any_thread(client):
    """A subject that emits on this thread reaches the loop."""
    client.mutation("rows:add", {"n": 5, "channel": "b"})
    channels = reactivex.subject.BehaviorSubject({"channel": "a"})
    values = client.live("rows:list", channels).iter(timeout=10)
    assert next(values) == []
    channels.on_next({"channel": "b"})
    assert numbers(next(values)) == [5]


def test_operators_run_where_the_client_does(client):
    """RxPY's operators compose, and time operators take the client's scheduler."""
    counts = client.live("rows:list").pipe(ops.map(len), ops.delay(0.001, scheduler=client.scheduler))
    assert next(counts.iter(timeout=10)) == 0


def test_mutation_handle_tells_how_far_it_has_come(client):
    """A started write has an id and phases, and its result for whoever waits, any number of times."""
    write = client.start.mutation("rows:add", {"n": 1}, mutation_id="mine")
    assert write.result(10) == write.result()
    assert (write.mutation_id, write.is_settled, write.is_detached) == ("mine", True, False)
    assert list(write.phases) == [Phase.COMPOSED, Phase.SENT, Phase.COMMITTED]
    assert write.phases.latest is Phase.COMMITTED
    assert write.cancel() is False
    assert list(write) == [write.result()]


def test_mutation_without_a_verdict_times_out_and_goes_on(no_threads_left):
    """The error says what the write is at, and the write is still there."""
    with LunoraClient(NOWHERE, queue_before_first_connect=True) as client:
        with pytest.raises(RequestTimeout, match=r"no verdict within 0.2 s; the write is \w+ and goes on") as caught:
            client.mutation("rows:add", {"n": 1}, mutation_id="mine", timeout=0.2)
        assert (caught.value.transient, caught.value.data["mutation_id"]) == (True, "mine")
        assert client.pending.first(lambda count: count == 1, timeout=10) == 1


def test_queued_mutation_can_be_cancelled(no_threads_left):
    """A write that was not sent is taken back, and whoever waits is told."""
    with LunoraClient(NOWHERE, queue_before_first_connect=True) as client:
        write = client.start.mutation("rows:add", {"n": 1})
        until(lambda: write.phases.latest is Phase.QUEUED)
        assert write.cancel() is True
        with pytest.raises(LunoraError, match="CANCELLED"):
            write.result(10)
        assert client.pending.value == 0


def test_query_timeout_is_a_request_timeout_and_a_wait_is_not(client):
    """The call's own limit ends the call; a wait for its handle ends alone."""
    with pytest.raises(RequestTimeout):
        client.action("slow:forever", timeout=0.05)
    call = client.start.action("slow:forever")
    with pytest.raises(TimeoutError, match=r"result\(\) of .*slow:forever"):
        call.result(0.05)
    assert call.is_settled is False
    assert call.cancel() is True


def test_optimistic_patch_shows_by_the_time_the_write_is_started(client):
    """As in the asyncio client, patches are in the cache when ``mutation`` returns."""
    live = client.live("rows:list")
    with live.snapshots.subscribe():
        live.first(timeout=10)
        write = client.start.mutation(
            "rows:add", {"n": 1}, optimistic_update=lambda store, args: store.set_query("rows:list", {}, [args])
        )
        assert live.value == [{"n": 1}] or write.is_settled
        write.result(10)


def test_shape_shows_rows_and_changes(client):
    """Rows by key, and every change in order."""
    shape = client.shape("allRows")
    changes = shape.changes.iter(timeout=10)
    next(changes)
    for n in range(3):
        client.mutation("rows:add", {"n": n})
    assert [change.ops[0].row["n"] for change in (next(changes), next(changes), next(changes))] == [0, 1, 2]
    assert numbers(shape.rows.values()) == numbers(shape.value) == numbers(shape.first()) == [0, 1, 2]
    assert str(shape.snapshot.status) == "live"
    assert numbers(next(iter(shape.snapshots)).value) == [0, 1, 2]


def test_paginated_query_grows(client):
    """``load_more`` lets the list grow while one iterates."""
    client.import_rows("rows:add_all", [{"n": n} for n in range(5)]).result(10)
    pages, lengths = client.paginate("rows:page", page_size=2), []
    for rows in pages.iter(timeout=10):
        lengths.append(len(rows))
        if pages.status is PageStatus.EXHAUSTED and len(rows) == 5:
            break
        pages.load_more()
    assert (lengths[0], lengths[-1]) == (2, 5)


def test_stream_is_a_plain_iterator(client):
    """Each iteration is a run, with every chunk."""
    stream = client.stream("count:up", {"to": 5})
    assert list(stream) == list(stream) == [0, 1, 2, 3, 4]
    assert list(client.http_stream("/count/:to", params={"to": 3})) == [0, 1, 2]


def test_stream_that_is_left_is_cancelled(client, shop):
    """Leaving the loop ends the run on the server."""
    for number in client.stream("count:up", {"to": 10**9}, max_buffer=10**6):
        if number == 3:
            break
    until(lambda: shop.cancelled_runs == 1)


def test_stream_that_nobody_takes_from_fails_and_is_cancelled(client, shop):
    """What waits is bounded, and the run ends without delay."""
    chunks = client.stream("count:up", {"to": 10**9}, max_buffer=10).iter()
    until(lambda: shop.cancelled_runs == 1)
    with pytest.raises(StreamError, match="STREAM_BACKPRESSURE"):
        list(chunks)


def test_import_shows_its_progress(client):
    """A list has a total; a generator is read on a thread of its own, and may use the client."""
    steps = list(client.import_rows("rows:add_all", [{"n": n} for n in range(50)], chunk_size=10))
    assert (steps[-1].imported, steps[-1].total, steps[-1].is_done) == (50, 50, True)
    squares = ({"n": client.action("math:square", {"n": n})} for n in range(5))
    done = client.import_rows("rows:add_all", squares, chunk_size=2).result(10)
    assert (done.imported, done.chunks) == (5, 3)
    assert client.query("rows:count") == 55


def test_import_of_rows_that_raise_says_why(client):
    """The error of the generator is the cause."""

    def rows():
        yield {"n": 1}
        raise OSError("no such file")

    with pytest.raises(LunoraError, match="reading the rows raised OSError: no such file"):
        client.import_rows("rows:add_all", rows()).result(10)


def test_whispers_and_presence_cross(client, shop):
    """What one client says another one hears; presence is a context manager."""
    with LunoraClient(shop.url) as other, client.presence({"page": 1}):
        heard = client.whispers("typing").iter(timeout=0.1)
        client.status.first(lambda status: status is Status.CONNECTED, timeout=10)
        whispers = []
        while not whispers:
            other.whisper("typing", "hello")
            whispers = _taken(heard)
    assert whispers == [Whisper("hello", whispers[0].sender)]


def _taken(iterator):
    try:
        return [next(iterator)]
    except TimeoutError:
        return []


def test_preloaded_value_is_shown_first(client):
    """``preload`` waits, ``hydrate`` shows."""
    client.mutation("rows:add", {"n": 1})
    live = client.hydrate(client.preload("rows:list").serialize())
    assert numbers(live.value) == [1]
    assert numbers(live.first(timeout=10)) == [1]


def test_tokens_and_user_are_those_of_the_client(client):
    """Setters return when it is done, and the user can be watched."""
    tokens = client.auth_token_changed.iter(timeout=10)
    client.set_auth_token("token", "ada")
    assert next(tokens) is None
    client.set_ws_token("token")
    assert client.debug()["has_bearer"] is True
    states = client.user.states.iter(timeout=10)
    assert next(states)
    assert client.user.value is None
    assert client.user.status
    assert "token" not in repr(client)


def test_observer_is_called_on_the_clients_thread(client):
    """Without an executor; a call that waits there says so at once, and one that does not wait works."""
    told, live = [], client.live("rows:list")

    def on_next(rows):
        told.append(threading.current_thread().name)
        with pytest.raises(RuntimeError, match=r"query\(\) waits, and this is the client's own thread"):
            client.query("rows:list")
        with pytest.raises(RuntimeError, match="iterating waits"):
            next(live.iter())
        with pytest.raises(RuntimeError, match=r"close\(\) waits"):
            client.close()
        told.append(client.start.action("math:square", {"n": 2}))
        told.append(live.value)

    with live.subscribe(on_next):
        until(lambda: len(told) == 3)
    assert told[0] == "lunora-blocking"
    assert (told[1].result(10), told[2]) == (4, [])


def test_observer_on_an_executor_may_wait(client):
    """There it is a thread like any other; values come in order, one at a time."""
    told = []
    with ThreadPoolExecutor(4) as pool:
        with client.live("rows:list").subscribe(
            lambda rows: told.append((len(rows), client.query("rows:count"))), executor=pool, conflate=False
        ):
            for n in range(5):
                client.mutation("rows:add", {"n": n})
            until(lambda: told and told[-1][0] == 5)
        client.mutation("rows:add", {"n": 5})
    lengths = [length for length, _ in told]
    assert lengths == sorted(set(lengths))


def test_observer_that_raises_is_reported(shop, no_threads_left):
    """On the loop or an executor, also what is meant to end a program."""
    reported = []
    with LunoraClient(shop.url, on_error=reported.append) as client, ThreadPoolExecutor(1) as pool:
        for error in (ValueError("mine"), SystemExit(3)):
            for executor in (None, pool):
                client.start.action("math:square", {"n": 2}).subscribe(_raiser(error), executor=executor)
        until(lambda: len(reported) == 4)
        assert client.action("math:square", {"n": 2}) == 4
    assert sorted(type(each).__name__ for each in reported) == ["RuntimeError"] * 2 + ["ValueError"] * 2


def _raiser(error):
    def on_next(value):
        raise error

    return on_next


def test_interrupt_ends_a_wait_at_once_and_leaves_the_client_usable(client):
    """Ctrl-C in a wait for a reply, a value or an iteration."""
    waits = [
        lambda: client.action("slow:forever"),
        lambda: client.live("rows:list").first(lambda rows: False),
        lambda: list(client.live("rows:list")),
    ]
    main = threading.get_ident()
    for wait in waits:
        timer = threading.Timer(0.1, lambda: signal.pthread_kill(main, signal.SIGINT))
        started = time.monotonic()
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            wait()
        assert time.monotonic() - started < 5
        timer.join()
    gc.collect()
    assert client.action("math:square", {"n": 3}) == 9
    until(lambda: client.debug()["calls_in_flight"] == client.cache.observer_count == 0)


async def test_client_works_beside_a_running_loop(shop, no_threads_left):
    """It holds that loop up, and works."""
    with LunoraClient(shop.url) as client:
        assert client.action("math:square", {"n": 2}) == 4
        assert await asyncio.to_thread(client.action, "math:square", {"n": 3}) == 9


def test_closed_client_says_so(shop, no_threads_left):
    """Calls raise, iterations end, values stay; closing again does nothing."""
    with LunoraClient(shop.url) as client:
        live = client.live("rows:list")
        values, write = live.iter(), client.start.mutation("rows:add", {"n": 1})
        write.result(10)
        status = client.status.iter(conflate=False)
    client.close()
    list(values)
    assert Status.IDLE in list(status)
    assert list(live) == []
    assert write.result() == write.result()
    for use in (
        lambda: client.query("rows:list"),
        lambda: client.live("rows:list"),
        client.__enter__,
        lambda: client.start.mutation("rows:add"),
        client.current_user,
        lambda: live.first(timeout=1),
    ):
        with pytest.raises(ClientClosedError):
            use()
    assert "closed" in repr(client)
    assert client.debug()["closed"] is True


def test_close_ends_the_waits_of_other_threads(shop, no_threads_left):
    """Nobody waits for a client that is gone."""
    client = LunoraClient(shop.url)
    ends = []

    def wait(use):
        try:
            ends.append(use())
        except ClientClosedError as error:
            ends.append(error.code)

    uses = [
        lambda: client.action("slow:forever"),
        lambda: list(client.whispers("quiet")),
        lambda: len(list(client.live("rows:list"))),
    ]
    threads = [threading.Thread(target=wait, args=(use,)) for use in uses]
    for thread in threads:
        thread.start()
    until(lambda: client.debug()["calls_in_flight"] and client.cache.observer_count)
    client.close()
    for thread in threads:
        thread.join(10)
    assert sorted(map(str, ends)) in (["1", "CLIENT_CLOSED", "[]"], ["0", "CLIENT_CLOSED", "[]"])


def test_combined_queries_show_one_dict_for_both(client):
    """What one write changes is there in one dict, of members that are this client's."""
    combined = client.combine({"rows": client.live("rows:list"), "count": client.live("rows:count")})
    client.mutation("rows:add", {"n": 1})
    shown = combined.first(lambda each: each["count"] == 1, timeout=10)
    assert [row["n"] for row in shown["rows"]] == [1]


def test_combining_what_is_no_observable_is_refused(client):
    """The member is named."""
    with pytest.raises(TypeError, match="member 'rows' is an Observable, not list"):
        client.combine({"rows": []})
