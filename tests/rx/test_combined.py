"""Several live queries as one dict, which is never caught between two states."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
import reactivex
from reactivex import operators as ops
from reactivex.subject import BehaviorSubject, Subject

from lunora_rx import UNDEFINED, ClientClosedError, LunoraClient, ServerError, Status
from lunora_rx.driver import _TURN_FRAMES
from tests.support import Recorder, turn, until


def data(sub, value, cursor=None):
    """A frame with a whole value."""
    return {"type": "data", "id": sub, "data": value, **({} if cursor is None else {"cursor": cursor, "epoch": "e"})}


async def opened(server, count=2):
    """The next socket, and the ids of so many subscriptions on it, acknowledged."""
    socket = await server.socket()
    subs = []
    for _ in range(count):
        subs.append(await socket.subscription())
        await socket.push("ack", id=subs[-1])
    return socket, subs


async def watch(server, client, *, patience=0.02):
    """A combination of two live queries that show numbers, and beside it what ``combine_latest`` makes of them."""
    members = {"a": client.live("a:b"), "c": client.live("c:d")}
    combined, seen, latest = client.combine(members, patience=patience), Recorder(), Recorder()
    handle = combined.subscribe(seen)
    reactivex.combine_latest(*members.values()).subscribe(latest)
    socket, subs = await opened(server)
    await socket.push_all(data(subs[0], 1, 1), data(subs[1], 1, 1))
    return combined, seen, latest, handle, socket, subs


def add_to_both(store, args):
    """A patch of both queries."""
    for function in ("a:b", "c:d"):
        store.set_query(function, None, store.get_query(function, None) + 10)


def totals(told):
    """What two numbers are, which are equal unless a state in between is shown."""
    return [tuple(each.values()) if isinstance(each, dict) else each for each in told]


async def test_combination_starts_when_all_members_have_a_value(server, client):
    """Nothing is shown before; then the dict has the members' order."""
    combined, seen = client.combine({"c": client.live("c:d"), "a": client.live("a:b")}), Recorder()
    combined.subscribe(seen)
    socket, (second, first) = await opened(server)
    await socket.push("data", id=first, data=1)
    await turn()
    assert (seen.values, combined.value) == ([], UNDEFINED)
    await socket.push("data", id=second, data=None)
    await turn()
    assert seen.values == [{"c": None, "a": 1}]
    assert list(combined.value) == ["c", "a"]


async def test_optimistic_write_of_two_queries_makes_one_dict(server, client):
    """``combine_latest`` shows the patch of one query without that of the other, and so it does at the rollback."""
    _, seen, latest, *_ = await watch(server, client)
    write = client.mutation("e:f", optimistic_update=add_to_both)
    await turn()
    (await server.call()).refuse("FORBIDDEN")
    with pytest.raises(ServerError):
        await write
    await turn()
    assert totals(seen.values) == [(1, 1), (11, 11), (1, 1)]
    assert [a == c for a, c in latest.values] == [True, False, True, False, True]


async def test_verdict_and_frames_of_an_optimistic_write_make_one_dict(server, client):
    """The patches go when the server's values are there, of both queries at once."""
    _, seen, latest, _, socket, subs = await watch(server, client)
    write = client.mutation("e:f", optimistic_update=add_to_both)
    await turn()
    (await server.call()).reply({"result": None, "commitCursor": 2})
    await write
    await socket.push_all(data(subs[0], 12, 2), data(subs[1], 12, 2))
    assert totals(seen.values) == [(1, 1), (11, 11), (12, 12)]
    assert (12, 11) in latest.values


async def test_frames_that_are_read_in_one_go_make_one_dict(server, client):
    """What the server tells of one write in two frames is one change."""
    _, seen, latest, _, socket, subs = await watch(server, client)
    await socket.push_all(data(subs[0], 2, 2), data(subs[1], 2, 2))
    assert totals(seen.values) == [(1, 1), (2, 2)]
    assert latest.values == [(1, 1), (2, 1), (2, 2)]


async def test_commit_that_is_read_in_two_goes_makes_one_dict(server, client):
    """Positions tell that the other frame may follow, and that it has come."""
    _, seen, latest, _, socket, subs = await watch(server, client, patience=60)
    await socket.push_all(data(subs[0], 2, 2))
    await socket.push_all(data(subs[1], 2, 2))
    assert totals(seen.values) == [(1, 1), (2, 2)]
    assert (2, 1) in latest.values


async def test_next_commit_shows_the_one_before(server, client):
    """The server tells commits one after another: a query that has not moved was not touched."""
    _, seen, _, _, socket, subs = await watch(server, client, patience=60)
    await socket.push_all(data(subs[0], 2, 2))
    await socket.push_all(data(subs[0], 3, 3))
    assert totals(seen.values) == [(1, 1), (2, 1)]
    await socket.push_all(data(subs[1], 3, 3))
    assert totals(seen.values) == [(1, 1), (2, 1), (3, 3)]


async def test_query_that_a_commit_does_not_touch_is_waited_for_a_moment(server, client):
    """Nobody tells it, so patience has an end; the next change of our own is not held up by it."""
    _, seen, _, _, socket, subs = await watch(server, client, patience=0.01)
    await socket.push_all(data(subs[0], 2, 2))
    await until(lambda: totals(seen.values) == [(1, 1), (2, 1)])
    client.mutation("e:f", optimistic_update=add_to_both)
    await turn()
    assert totals(seen.values)[2:] == [(12, 11)]


async def test_loop_that_was_blocked_reads_first_what_has_arrived(server, client):
    """Patience that ended meanwhile does not show half of what is there already."""
    _, seen, _, _, socket, subs = await watch(server, client, patience=0.01)
    await socket.push_all(data(subs[0], 2, 2))
    time.sleep(0.02)
    arrive = socket.push_all(data(subs[1], 2, 2))
    await asyncio.create_task(arrive)
    assert totals(seen.values) == [(1, 1), (2, 2)]


async def test_member_that_fails_when_it_is_watched_anew_ends_it(server, no_tasks_left):
    """After a change of user, as at the start; nothing is shown then, and nothing waits."""
    sources = iter([BehaviorSubject("ana's"), reactivex.throw(ValueError("no"))])
    async with server.client(auth_token="one", auth_subject="ana") as client:
        seen, source = Recorder(), BehaviorSubject(1)
        members = {"one": source, "bad": reactivex.defer(lambda _: next(sources))}
        client.live("a:b").subscribe(Recorder())
        client.combine(members).subscribe(seen)
        client.set_auth_token("two", "bo")
        await turn()
        assert ([type(each) for each in seen.errors], source.observers) == ([ValueError], [])
        assert seen.values == [{"one": 1, "bad": "ana's"}]


async def test_combination_without_patience_waits_for_nothing(server, client):
    """What came is not held back for what may come."""
    _, seen, _, _, socket, subs = await watch(server, client, patience=0)
    await socket.push_all(data(subs[0], 2, 2))
    await socket.push_all(data(subs[1], 2, 2))
    assert totals(seen.values) == [(1, 1), (2, 1), (2, 2)]


async def test_positions_of_another_history_are_waited_for_as_well(server, client):
    """They may count from below."""
    _, seen, _, _, socket, subs = await watch(server, client, patience=60)
    await socket.push_all({**data(subs[0], 5, 0), "epoch": "f"})
    await socket.push_all({**data(subs[1], 5, 0), "epoch": "f"})
    assert totals(seen.values) == [(1, 1), (5, 5)]


async def test_queries_that_stand_at_different_positions_are_shown_at_once(server, client):
    """What is known when the first observer comes is how things stand."""
    members = {"a": client.live("a:b"), "c": client.live("c:d")}
    for each in members.values():
        each.subscribe(Recorder())
    socket, subs = await opened(server)
    await socket.push_all(data(subs[0], 1, 1), data(subs[1], 1, 7))
    seen = Recorder()
    client.combine(members, patience=60).subscribe(seen)
    assert totals(seen.values) == [(1, 1)]


async def test_paginated_query_is_a_member_like_others(server, client):
    """It tells its list a turn later than what came in the same go, and still there is one dict."""
    seen = Recorder()
    client.combine({"a": client.live("a:b"), "rows": client.paginate("p:q")}).subscribe(seen)
    socket, (live, page) = await opened(server)
    for n in (1, 2):
        rows = {"page": [{"_id": "r", "n": n}], "isDone": True, "continueCursor": None}
        await socket.push_all(data(live, n), data(page, rows))
        await turn()
    assert [(each["a"], each["rows"][0]["n"]) for each in seen.values] == [(1, 1), (2, 2)]


async def test_combination_is_a_member_like_others(server, client):
    """The outer one waits for the inner one."""
    seen, inner = Recorder(), client.combine({"a": client.live("a:b")})
    client.combine({"a": client.live("a:b"), "inner": client.combine({"inner": inner})}).subscribe(seen)
    socket, (sub,) = await opened(server, 1)
    for n in (1, 2):
        await socket.push_all(data(sub, n))
        await turn(10)
    assert [(each["a"], each["inner"]["inner"]["a"]) for each in seen.values] == [(1, 1), (2, 2)]


async def test_go_that_is_longer_than_a_turn_makes_no_dict_within(server, client):
    """The client pauses in a long go, perhaps between two frames of one write; the dict waits for the end."""
    _, seen, _, _, socket, subs = await watch(server, client)
    odd = [{"type": "ack", "id": subs[0]}] * (1 - _TURN_FRAMES % 2)
    pairs = [data(sub, n, n) for n in range(2, 2 + _TURN_FRAMES) for sub in subs]
    await socket.push_all(*odd, *pairs)
    await until(lambda: seen.last["c"] == 1 + _TURN_FRAMES)
    assert [a == c for a, c in totals(seen.values)] == [True] * len(seen.values)
    assert len(seen.values) == 2


async def test_endless_go_shows_a_dict_all_the_same(server, client, monkeypatch):
    """A stream of frames that never stops does not keep observers waiting for ever."""
    monkeypatch.setattr("lunora_rx.driver._PAUSES", 1)
    _, seen, _, _, socket, subs = await watch(server, client)
    await socket.push_all(*[data(subs[0], n) for n in range(2, 2 + 4 * _TURN_FRAMES)])
    await until(lambda: seen.last["a"] == 1 + 4 * _TURN_FRAMES)
    assert len(seen.values) > 2


async def test_several_writes_of_one_turn_make_one_dict(server, client):
    """It shows how things stand at the end of the turn."""
    _, seen, *_ = await watch(server, client)
    writes = [client.mutation("e:f", optimistic_update=add_to_both) for _ in range(3)]
    await turn()
    assert totals(seen.values) == [(1, 1), (31, 31)]
    for write in writes:
        assert not write.is_settled


async def test_late_observer_gets_the_latest_dict_at_once(server, client):
    """Before ``subscribe`` returns, and the same object; the members are watched once."""
    combined, seen, *_ = await watch(server, client)
    late = Recorder()
    combined.subscribe(late)
    assert late.last is seen.last
    assert client.debug()["observers"] == 4  # two of the combination, two of combine_latest


async def test_combination_of_what_is_known_is_told_at_once(server, client):
    """A second combination of the same members needs no turn for its first dict."""
    await watch(server, client)
    seen = Recorder()
    client.combine({"a": client.live("a:b"), "status": client.status}).subscribe(seen)
    assert seen.values == [{"a": 1, "status": Status.CONNECTED}]


async def test_last_observer_leaves_lets_go_of_the_members(server, client):
    """Leaving twice does nothing; whoever comes then watches the members anew."""
    source = BehaviorSubject(1)
    combined, seen = client.combine({"one": source, "two": source}), Recorder()
    handles = [combined.subscribe(seen) for _ in range(2)]
    assert len(source.observers) == 2
    handles[0].dispose()
    handles[0].dispose()
    assert (len(source.observers), combined.value) == (2, {"one": 1, "two": 1})
    handles[1].dispose()
    assert (source.observers, combined.value) == ([], UNDEFINED)
    source.on_next(2)
    combined.subscribe(seen)
    assert seen.last == {"one": 2, "two": 2}


async def test_observer_that_leaves_while_it_is_shown_the_first_dict_leaves_nothing(client):
    """``first()`` lets go of everything, although ``subscribe`` has not returned."""
    source = BehaviorSubject(1)
    combined = client.combine({"one": source})
    assert await combined.first() == {"one": 1}
    assert source.observers == []


async def test_dict_that_is_due_when_the_last_observer_leaves_is_shown_to_nobody(client):
    """A handle that was disposed of hears nothing more."""
    source, seen = BehaviorSubject(1), Recorder()
    handle = client.combine({"one": source}).subscribe(seen)
    source.on_next(2)
    handle.dispose()
    await turn()
    assert seen.values == [{"one": 1}]


async def test_error_of_a_member_ends_the_dicts_of_that_moment(server, client):
    """With nothing in between; a new observer watches the members anew and gets no old error."""
    combined, seen, _, _, socket, subs = await watch(server, client)
    for function in ("a:b", "c:d"):
        client.live(function).snapshots.subscribe(Recorder())
    refusal = {"type": "error", "id": subs[1], "message": "no", "error": {"code": "FORBIDDEN"}}
    await socket.push_all(data(subs[0], 2, 2), refusal)
    assert totals(seen.values) == [(1, 1)]
    assert (seen.errors[0].code, combined.value) == ("FORBIDDEN", UNDEFINED)
    again = Recorder()
    combined.subscribe(again)
    await turn()
    assert (totals(again.values), again.errors) == ([(2, 1)], [])


async def test_member_that_fails_at_once_ends_it_before_the_others_are_watched(client):
    """The observer is there to hear of it."""
    source, seen = BehaviorSubject(1), Recorder()
    client.combine({"bad": reactivex.throw(ValueError("no")), "one": source}).subscribe(seen)
    await turn()
    assert [type(each) for each in seen.errors] == [ValueError]
    assert source.observers == []


async def test_snapshots_of_members_show_their_errors_and_positions(server, client):
    """A combination of snapshots goes on when a query fails."""
    members = {"a": client.live("a:b").snapshots, "c": client.live("c:d").snapshots}
    seen = Recorder()
    client.combine(members).subscribe(seen)
    socket, subs = await opened(server)
    await socket.push_all(data(subs[0], 1, 7), data(subs[1], 1, 7))
    assert [each.cursor for each in seen.last.values()] == [7, 7]
    await socket.push_all({"type": "error", "id": subs[1], "code": "FORBIDDEN", "message": "no"})
    assert [each.status for each in seen.last.values()] == ["live", "failed"]
    assert seen.errors == []


async def test_member_that_completes_keeps_its_last_value(client):
    """The combination goes on with the others, and completes with the last of them, after what is due."""
    one, two, seen = BehaviorSubject(1), BehaviorSubject(2), Recorder()
    client.combine({"one": one, "two": two}).subscribe(seen)
    one.on_completed()
    two.on_next(3)
    await turn()
    assert (seen.last, seen.completions) == ({"one": 1, "two": 3}, 0)
    two.on_next(4)
    two.on_completed()
    await turn()
    assert (seen.last, seen.completions) == ({"one": 1, "two": 4}, 1)


async def test_member_that_completes_without_a_value_completes_it(client):
    """No dict can come any more."""
    source, seen = BehaviorSubject(1), Recorder()
    client.combine({"none": reactivex.empty(), "one": source}).subscribe(seen)
    await turn()
    assert (seen.values, seen.completions, source.observers) == ([], 1, [])


async def test_cold_members_that_end_at_once_are_shown(client):
    """What has emitted and completed before it is watched is no special case."""
    seen = Recorder()
    client.combine({"one": reactivex.of(1, 2), "two": reactivex.of("x")}).subscribe(seen)
    await turn()
    assert (seen.values, seen.completions) == ([{"one": 2, "two": "x"}], 1)


async def test_arguments_that_change_are_followed(server, client):
    """The last value stays until the next one is there, as in the live query itself."""
    channel = BehaviorSubject({"n": 1})
    seen = Recorder()
    client.combine({"rows": client.live("a:b", channel), "channel": channel}).subscribe(seen)
    socket, (sub,) = await opened(server, 1)
    await socket.push_all(data(sub, "of one"))
    channel.on_next({"n": 2})
    await turn()
    assert seen.last == {"rows": "of one", "channel": {"n": 2}}
    sub = await socket.subscription()
    await socket.push_all(data(sub, "of two"))
    assert seen.last == {"rows": "of two", "channel": {"n": 2}}


@pytest.mark.parametrize("is_first", [True, False])
async def test_observer_that_writes_while_it_is_shown_a_dict_causes_the_next(client, is_first):
    """What it causes comes after, to all observers, in order."""
    source, seen = BehaviorSubject(0 if is_first else -1), Recorder()
    combined = client.combine({"n": source})
    combined.subscribe(lambda shown: source.on_next(shown["n"] + 1) if 0 <= shown["n"] < 2 else None)
    combined.subscribe(seen)
    if not is_first:
        source.on_next(0)
    await turn(10)
    assert [each["n"] for each in seen.values][-3:] == [0, 1, 2]


async def test_observer_that_raises_is_reported_and_harms_no_other(server, no_tasks_left):
    """As with all that the client shows."""
    reported, seen = [], Recorder()
    async with server.client(on_error=reported.append) as client:
        combined = client.combine({"one": BehaviorSubject(1)})
        combined.subscribe(lambda shown: 1 / 0)
        combined.subscribe(seen)
    assert (len(reported), seen.values) == (1, [{"one": 1}])


async def test_values_of_a_former_user_are_in_no_dict_of_the_next(server, no_tasks_left):
    """Also where they are hidden in an Observable that was made of a live query, and where a member keeps silent."""
    async with server.client(auth_token="one", auth_subject="ana") as client:
        derived = client.live("c:d").pipe(ops.map(lambda value: f"derived {value}"))
        source = BehaviorSubject("filter")
        combined, seen, late = (
            client.combine({"a": client.live("a:b"), "c": derived, "f": source}),
            Recorder(),
            Recorder(),
        )
        combined.subscribe(seen)
        socket, subs = await opened(server)
        await socket.push_all(data(subs[0], "ana's"), data(subs[1], "ana's"))
        assert len(seen.values) == 1
        client.set_auth_token("two", "bo")
        combined.subscribe(late)
        assert (combined.value, late.values) == (UNDEFINED, [])
        socket, subs = await opened(server)
        await socket.push_all(data(subs[0], "bo's"))
        source.on_next("other filter")
        await turn()
        assert len(seen.values) == 1
        await socket.push_all(data(subs[1], "bo's"))
        assert seen.values[1:] == late.values == [{"a": "bo's", "c": "derived bo's", "f": "other filter"}]
        assert (len(source.observers), client.debug()["observers"]) == (1, 2)


async def test_change_of_user_that_is_due_at_the_end_leaves_nothing(server, no_tasks_left):
    """Whoever leaves between the change and the next dict leaves all members."""
    source = BehaviorSubject(1)
    async with server.client(auth_token="one", auth_subject="ana") as client:
        handle = client.combine({"a": client.live("a:b"), "one": source}).subscribe(Recorder())
        await opened(server, 1)
        client.set_auth_token("two", "bo")
        handle.dispose()
        await turn()
        assert (source.observers, client.debug()["observers"]) == ([], 0)


async def test_queries_of_several_shards_are_combined(server, client):
    """Each shard has its socket; what both tell in one turn makes one dict."""
    seen = Recorder()
    client.combine({name: client.live("a:b", shard=name) for name in ("x", "y")}).subscribe(seen)
    sockets = [await opened(server, 1) for _ in range(2)]
    for number in (1, 2):
        for socket, (sub,) in sockets:
            await socket._end.send(b'{"type":"data","id":"%s","data":%d}' % (sub.encode(), number))
        await until(lambda: all(socket._end.unread == 0 for socket, _ in sockets))
        await turn()
    assert totals(seen.values) == [(1, 1), (2, 2)]


async def test_members_of_another_thread_are_shown_on_the_loops_thread(client):
    """A member may emit anywhere."""
    source, threads = Subject(), []
    client.combine({"one": source}).subscribe(lambda shown: threads.append(threading.current_thread()))
    emitting = threading.Thread(target=lambda: source.on_next(1))
    emitting.start()
    await until(lambda: threads)
    emitting.join()
    assert threads == [threading.main_thread()]


async def test_client_closes_completes_what_is_due_first(server):
    """Also a combination whose members do not complete; later observers get the end at once."""
    client, source, seen, late = server.client(), BehaviorSubject(1), Recorder(), Recorder()
    combined = client.combine({"one": source, "status": client.status})
    combined.subscribe(seen)
    source.on_next(2)
    await client.aclose()
    combined.subscribe(late)
    assert (seen.last["one"], seen.completions, source.observers) == (2, 1, [])
    assert (late.values, late.completions) == ([], 1)
    with pytest.raises(ClientClosedError):
        client.combine({"one": source})
    with pytest.raises(ClientClosedError):
        await combined.first()


async def test_combination_can_be_iterated_over_and_not_awaited(client):
    """As a live query, it has no last value."""
    source = BehaviorSubject(1)
    combined = client.combine({"one": source})
    async for shown in combined.aiter():
        assert shown == {"one": 1}
        break
    assert source.observers == []
    with pytest.raises(TypeError, match="first"):
        await combined
    assert repr(combined) == "<Combined one>"


@pytest.mark.parametrize(
    ("members", "error", "named"),
    [
        ([1], TypeError, "mapping of names"),
        ({}, ValueError, "one member at least"),
        ({1: reactivex.empty()}, TypeError, "name is a string, not 1"),
        ({"rows": [1]}, TypeError, "member 'rows' is an Observable, not list"),
    ],
)
def test_members_that_cannot_be_combined_are_named(members, error, named):
    """At the call, and without a loop."""
    with pytest.raises(error, match=named):
        LunoraClient("http://server.test").combine(members)


async def test_combination_in_debug_mode_finds_observers_that_change_it(server, no_tasks_left):
    """The dict itself, and what is in it, snapshots included."""
    reported, rows = [], BehaviorSubject([{"n": 1}])
    async with server.client(debug=True, on_error=reported.append) as client:
        combined = client.combine({"rows": rows, "snapshot": client.live("a:b").snapshots})
        combined.subscribe(lambda shown: shown["rows"][0].update(n=2))
        combined.subscribe(lambda shown: shown.pop("snapshot"))
        combined.subscribe(lambda shown: None)
    assert len(reported) == 2
