"""Live queries whose arguments are an Observable."""

from __future__ import annotations

import threading

import reactivex
from reactivex.subject import BehaviorSubject, Subject

from lunora_rx import UNDEFINED, CodecError, ServerError, SnapshotStatus
from tests.support import Recorder, turn, until


async def follow(server, client, args):
    """Watch a query that follows ``args``; return the recorder, the socket and the first subscription."""
    seen = Recorder()
    live = client.live("a:b", args)
    live.subscribe(seen)
    socket, sub = await server.subscribed()
    return live, seen, socket, sub


async def next_subscription(socket):
    """Return the next subscription's id and arguments, acknowledged."""
    frame = await socket.expect("subscribe")
    await socket.push("ack", id=frame["id"])
    return frame["id"], frame["query"]["args"]


async def test_following_latest_arguments_win(server, client):
    """New arguments open the new query, then leave the old one."""
    args = BehaviorSubject({"n": 1})
    _, seen, socket, first = await follow(server, client, args)
    await socket.push("data", id=first, data="one")
    args.on_next({"n": 2})
    second, arguments = await next_subscription(socket)
    assert arguments == {"n": 2}
    assert (await socket.expect("unsubscribe"))["id"] == first
    await socket.push("data", id=first, data="too late")
    await socket.push("data", id=second, data="two")
    assert seen.values == ["one", "two"]


async def test_following_last_value_stays_until_the_next(server, client):
    """Between two queries the last value is shown, stale."""
    args = BehaviorSubject({"n": 1})
    live, _, socket, first = await follow(server, client, args)
    await socket.push("data", id=first, data="one")
    args.on_next({"n": 2})
    assert (live.value, live.snapshot.status) == ("one", SnapshotStatus.STALE)
    second, _ = await next_subscription(socket)
    await socket.push("data", id=second, data="two")
    assert (live.value, live.snapshot.status) == ("two", SnapshotStatus.LIVE)


async def test_following_value_of_a_former_user_does_not_stay(server, no_tasks_left):
    """What is kept until the next arguments have a value is taken away with everything else of theirs."""
    args = BehaviorSubject({"n": 1})
    async with server.client(auth_token="one", auth_subject="ana") as client:
        live, _, socket, first = await follow(server, client, args)
        await socket.push("data", id=first, data="ana's")
        args.on_next({"n": 2})
        assert live.value == "ana's"
        client.set_auth_token("two", "bob")
        assert (live.value, live.snapshot.status) == (UNDEFINED, SnapshotStatus.PENDING)


async def test_following_equal_arguments_keep_the_subscription(server, client):
    """Equal arguments change nothing: no frame, no snapshot."""
    args = BehaviorSubject({"n": 1})
    live, _, socket, sub = await follow(server, client, args)
    snapshots = Recorder()
    live.snapshots.subscribe(snapshots)
    await socket.push("data", id=sub, data="one")
    told = len(snapshots.values)
    args.on_next({"n": 1})
    await turn()
    assert (socket.unread, len(snapshots.values)) == (0, told)


async def test_following_bad_arguments_fail_the_observers(server, client):
    """Arguments that cannot be encoded end the values; the snapshot shows why and keeps the value."""
    args = BehaviorSubject({"n": 1})
    live, seen, socket, sub = await follow(server, client, args)
    live.snapshots.subscribe(Recorder())
    await socket.push("data", id=sub, data="one")
    args.on_next({"n": object()})
    (error,) = seen.errors
    assert isinstance(error, CodecError)
    assert error.path == "args.n"
    assert (live.snapshot.status, live.value) == (SnapshotStatus.FAILED, "one")
    assert (await socket.expect("unsubscribe"))["id"] == sub


async def test_following_arguments_bad_from_the_start_fail_the_first_observer(client):
    """An observer is there before the arguments are, so that it hears of bad ones."""
    seen = Recorder()
    client.live("a:b", BehaviorSubject(5)).subscribe(seen)
    (error,) = seen.errors
    assert "args is a dict" in str(error)
    assert isinstance(error.__cause__, TypeError)


async def test_following_good_arguments_after_bad_ones_heal(server, client):
    """The same arguments as before the bad ones open the query again."""
    args = BehaviorSubject({"n": 1})
    live, _, socket, sub = await follow(server, client, args)
    resilient = Recorder()
    live.resilient.subscribe(resilient)
    await socket.push("data", id=sub, data="one")
    args.on_next(5)
    args.on_next({"n": 1})
    await socket.expect("unsubscribe")
    again, _ = await next_subscription(socket)
    await socket.push("data", id=again, data="anew")
    assert resilient.values == ["one", "anew"]
    assert live.snapshot.status is SnapshotStatus.LIVE


async def test_following_failing_arguments_fail_the_observers(server, client):
    """An error of the arguments' Observable is one of the query."""
    args = BehaviorSubject({"n": 1})
    _, seen, *_ = await follow(server, client, args)
    args.on_error(ValueError("the slider broke"))
    assert "the slider broke" in str(seen.errors[0])


async def test_following_completed_arguments_keep_the_last_query(server, client):
    """When the arguments end, the query of the last ones goes on."""
    _, seen, socket, sub = await follow(server, client, reactivex.of({"n": 1}))
    await socket.push("data", id=sub, data="one")
    assert (seen.values, seen.completions) == (["one"], 0)


async def test_following_server_error_ends_values_and_an_old_one_does_not(server, client):
    """An error of the query followed ends the values; one from before the arguments came is no news."""
    client.live("a:b", {"n": 1}).snapshots.subscribe(Recorder())
    socket, sub = await server.subscribed()
    await socket.push("error", id=sub, message="old")
    seen = Recorder()
    live = client.live("a:b", reactivex.of({"n": 1}))
    live.subscribe(seen)
    assert (seen.errors, live.snapshot.status) == ([], SnapshotStatus.FAILED)
    await socket.push("error", id=sub, message="new")
    assert [each.message for each in seen.errors if isinstance(each, ServerError)] == ["new"]


async def test_following_last_observer_leaves_releases_everything(server, client):
    """Arguments, query and value are let go of; a new observer starts from nothing."""
    args = BehaviorSubject({"n": 1})
    live, _, socket, sub = await follow(server, client, args)
    handle = live.subscribe(Recorder())
    await socket.push("data", id=sub, data="one")
    late = Recorder()
    other = live.subscribe(late)
    assert late.values == ["one"]
    for each in (handle, other):
        each.dispose()
    assert len(args.observers) == 1
    seen_handle = live.snapshots.subscribe(Recorder())
    seen_handle.dispose()
    assert client.debug()["observers"] == 1


async def test_following_released_leaks_no_value(server, client):
    """After the last observer the value is gone, so that nobody is shown an old one later."""
    args = BehaviorSubject({"n": 1})
    live = client.live("a:b", args)
    handle = live.subscribe(Recorder())
    socket, sub = await server.subscribed()
    await socket.push("data", id=sub, data="one")
    handle.dispose()
    assert (live.value, args.observers, len(client.cache)) == (UNDEFINED, [], 0)
    late = Recorder()
    live.subscribe(late)
    assert late.values == []


async def test_following_arguments_sent_by_an_observer_win(server, client):
    """An observer that sends the next arguments from ``on_next`` is followed, not lost."""
    args, seen = Subject(), []
    client.live("a:b", {"n": 1}).subscribe(Recorder())
    socket, first = await server.subscribed()
    await socket.push("data", id=first, data="one")

    def on_next(value):
        seen.append(value)
        if value == "one":
            args.on_next({"n": 2})

    client.live("a:b", args).subscribe(on_next)
    args.on_next({"n": 1})
    second, arguments = await next_subscription(socket)
    assert arguments == {"n": 2}
    await socket.push("data", id=second, data="two")
    await socket.push("data", id=first, data="one again")
    assert seen == ["one", "two"]
    assert client.debug()["observers"] == 2


async def test_following_arguments_from_another_thread_cross_to_the_loop(server, client):
    """Arguments may come from any thread, as those of a widget do."""
    args, seen = Subject(), Recorder()
    client.live("a:b", args).subscribe(seen)
    thread = threading.Thread(target=args.on_next, args=({"n": 1},))
    thread.start()
    socket, sub = await server.subscribed()
    thread.join()
    await socket.push("data", id=sub, data="one")
    assert (seen.values, seen.errors) == (["one"], [])


async def test_following_client_closes_completes(server, client):
    """The end of the client is the end of the stream, also for who comes later."""
    live, seen, *_ = await follow(server, client, BehaviorSubject({"n": 1}))
    await client.aclose()
    late = Recorder()
    live.subscribe(late)
    assert (seen.completions, seen.errors, late.completions) == (1, [], 1)


async def test_following_outside_a_loop_says_what_to_do(server, client):
    """Subscribing in a thread without a loop is an error at once, and leaves nothing."""
    live, seen = client.live("a:b", reactivex.of({"n": 1})), Recorder()
    thread = threading.Thread(target=lambda: live.subscribe(seen))
    thread.start()
    await until(lambda: not thread.is_alive())
    assert "call_soon_threadsafe" in str(seen.errors[0])
    assert client.debug()["observers"] == 0


async def test_following_refresh_asks_for_the_query_of_the_latest_arguments(server, client):
    """``refresh`` means the query followed now; before there is one it does nothing."""
    args = Subject()
    live = client.live("a:b", args)
    live.refresh()
    live.subscribe(Recorder())
    live.refresh()
    args.on_next({"n": 1})
    socket, _ = await server.subscribed()
    live.refresh()
    assert (await socket.expect("subscribe"))["query"]["args"] == {"n": 1}


async def test_following_in_debug_mode_finds_observers_that_change_values(server, no_tasks_left):
    """``debug=True`` watches following queries too."""
    reported = []
    async with server.client(debug=True, on_error=reported.append) as client:
        client.live("a:b", reactivex.of({})).subscribe(lambda rows: rows.append(1))
        socket, sub = await server.subscribed()
        await socket.push("data", id=sub, data=[])
        assert "changed a value" in str(reported[0])


async def test_following_arguments_that_ended_begin_anew_for_who_comes_later(server, client):
    """An observer that is still there keeps what it has; a new one subscribes to the arguments again."""
    sources = [Subject(), Subject()]
    fresh = iter(sources)
    args = reactivex.defer(lambda _: next(fresh))
    live = client.live("a:b", args)
    stays, retried = Recorder(), Recorder()
    live.snapshots.subscribe(stays)
    sources[0].on_error(ValueError("the slider broke"))
    live.subscribe(retried)
    sources[1].on_next({"n": 1})
    socket, sub = await server.subscribed()
    await socket.push("data", id=sub, data="new")
    assert retried.values == ["new"]
    assert stays.values[-1].status is SnapshotStatus.FAILED
