"""Live queries, in frames and as a client sees them: positions, resuming, deltas, and what is told of one's writes."""

from __future__ import annotations

import pytest

from lunora_rx import LunoraClient, ServerError, SnapshotStatus
from lunora_rx.core.delta import merge_delta
from tests.e2e.peer import batch, call, connected
from tests.support import QUICK, Recorder, until

ADD = "rows:add"
LIST = "rows:list"
NUMBERS = "rows:numbers"


def position(frame):
    """Where a frame leads to."""
    return {"cursor": frame["cursor"], "epoch": frame["epoch"]}


async def test_subscription_is_acknowledged_then_answered_with_value_and_position(origin):
    """The position is that of the last commit."""
    _, written = await call(origin, ADD, {"n": 1})
    async with connected(origin) as peer:
        ack, data = await peer.subscribe(NUMBERS)
    assert ack == {"type": "ack", "id": "sub_1"}
    assert (data["type"], data["data"], data["cursor"]) == ("data", [1], written["commitCursor"])
    assert isinstance(data["epoch"], str | int)


async def test_position_after_which_nothing_was_read_is_resumed_at_the_present_one(origin):
    """Also past commits that did not touch what the query reads: a writer waits for the cursor of his commit."""
    async with connected(origin) as peer:
        _, data = await peer.subscribe(NUMBERS)
    _, written = await call(origin, "notes:add", {"title": "t"})
    async with connected(origin) as peer:
        _, resumed = await peer.subscribe(NUMBERS, since=position(data))
    assert resumed == {"type": "resume", "id": "sub_1", "cursor": written["commitCursor"], "epoch": data["epoch"]}


@pytest.mark.parametrize("lie", [{}, {"cursor": 10**6}, {"epoch": "none"}, {"epoch": None}], ids=str)
async def test_position_that_cannot_be_resumed_is_answered_with_the_value(origin, lie):
    """Something changed since, though it changed back: the client may hold what was between. Or it is no position."""
    _, written = await call(origin, ADD, {"n": 1})
    async with connected(origin) as peer:
        _, data = await peer.subscribe(NUMBERS)
    if not lie:
        for number in (2, 1):
            await call(origin, "rows:set", {"id": written["result"], "n": number})
    async with connected(origin) as peer:
        _, again = await peer.subscribe(NUMBERS, since=position(data) | lie)
    assert (again["type"], again["data"], again["epoch"]) == ("data", [1], data["epoch"])


async def test_subscription_that_is_sent_again_is_answered_again(origin):
    """On the same socket, under the same id: as if it were the first."""
    async with connected(origin) as peer:
        first = await peer.subscribe(NUMBERS)
        assert await peer.subscribe(NUMBERS) == first
        ack, resumed = await peer.subscribe(NUMBERS, since=position(first[1]))
        assert (ack["type"], resumed["type"]) == ("ack", "resume")


async def test_change_comes_as_deltas_that_merge_to_the_value(origin):
    """To who can merge them; the last frame of a run alone has the position. Others get the whole value."""
    ids = [(await call(origin, ADD, {"n": number}))[1]["result"] for number in range(5)]
    async with connected(origin) as peer, connected(origin, caps=()) as plain:
        for watcher in (peer, plain):
            _, data = await watcher.subscribe("rows:page")
        page = data["data"]
        for function, args in ((ADD, {"n": 9}), ("rows:set", {"id": ids[2], "n": 7}), ("rows:remove", {"id": ids[0]})):
            cursor = (await call(origin, function, args))[1]["commitCursor"]
            frame, whole = await peer.next(), await plain.next()
            assert (frame["type"], whole["type"]) == ("delta", "data")
            assert frame["cursor"] == whole["cursor"] == cursor
            page = merge_delta(page, frame["delta"])
            assert page == whole["data"]


async def test_writer_is_brought_to_his_commit_in_every_query(origin):
    """A query that it did not touch is settled, for the sockets of the client that wrote, and for no other."""
    async with connected(origin, client_id="writer") as writer, connected(origin, client_id="reader") as reader:
        for peer in (writer, reader):
            await peer.subscribe("notes:count", id="sub_1")
            await peer.subscribe(NUMBERS, id="sub_2")
        _, body = await call(origin, ADD, {"n": 1}, mutation_id="m1", client_id="writer")
        frames = [await writer.next(), await writer.next()]
        assert {each["id"]: each["type"] for each in frames} == {"sub_1": "settled", "sub_2": "data"}
        assert {each["cursor"] for each in frames} == {body["commitCursor"]}
        assert (await reader.next())["id"] == "sub_2"


async def test_write_of_a_batch_settles_the_queries_of_the_client_it_names(origin):
    """Each slot has a client of its own."""
    async with connected(origin, client_id="writer") as writer:
        await writer.subscribe("notes:count")
        entry = {"functionPath": ADD, "args": {"n": 1}, "mutationId": "m1", "clientId": "writer"}
        (slot,) = await batch(origin, entry)
        settled = await writer.next()
        assert (settled["type"], settled["cursor"]) == ("settled", slot["commitCursor"])


async def test_query_that_fails_is_told_without_a_position_and_heals(origin):
    """It runs again when what it has read changes."""
    _, written = await call(origin, ADD, {"n": 9})
    async with connected(origin) as peer:
        ack, error = await peer.subscribe("rows:none_over", args={"limit": 5})
        assert (ack["type"], error["type"], error["error"]["code"]) == ("ack", "error", "ROOM_FULL")
        assert not {"cursor", "epoch"} & error.keys()
        await call(origin, "rows:set", {"id": written["result"], "n": 1})
        healed = await peer.next()
        assert (healed["type"], healed["data"]) == ("data", 1)


async def test_subscription_that_ended_is_told_nothing_more(origin):
    """The one beside it is."""
    async with connected(origin) as peer:
        await peer.subscribe(NUMBERS, id="sub_1")
        await peer.subscribe(NUMBERS, id="sub_2")
        await peer.send("unsubscribe", id="sub_1")
        await peer.subscribe("notes:count", id="sub_3")
        await call(origin, ADD, {"n": 1})
        assert (await peer.next())["id"] == "sub_2"
        await call(origin, ADD, {"n": 2})
        assert (await peer.next())["id"] == "sub_2"


async def test_subscription_under_an_id_in_use_replaces_the_first(origin):
    """From then on its answers are the new one's."""
    async with connected(origin) as peer:
        await peer.subscribe(NUMBERS)
        await peer.subscribe("notes:list")
        await call(origin, ADD, {"n": 1})
        await call(origin, "notes:add", {"title": "t"})
        frame = await peer.next()
        assert (frame["id"], frame["data"]) == ("sub_1", ["t"])


@pytest.mark.parametrize("query", [None, {"functionPath": 1}, {"functionPath": NUMBERS, "args": 7}], ids=str)
async def test_subscription_that_is_malformed_is_refused_by_its_id(origin, query):
    """And nothing else is harmed."""
    async with connected(origin) as peer:
        await peer.send("subscribe", id="sub_9", query=query)
        error = await peer.next()
        assert (error["type"], error["id"], error["error"]["code"]) == ("error", "sub_9", "BAD_SUBSCRIPTION_ARGS")
        assert (await peer.subscribe(NUMBERS))[1]["data"] == []


async def test_optimistic_write_over_a_query_that_it_does_not_touch_is_let_go(no_tasks_left, origin):
    """Its frame is `settled`; the order of reply and frame does not matter."""
    async with LunoraClient(origin) as client:
        live, seen = client.live("notes:count"), Recorder()
        live.subscribe(seen)
        await until(lambda: seen.values)
        for number in range(5):
            await client.mutation(
                ADD, {"n": number}, optimistic_update=lambda store, _: store.set_query("notes:count", None, 99)
            )
        await until(lambda: not live.snapshot.is_optimistic)
        assert (seen.values[0], seen.last) == (0, 0)


async def test_error_ends_the_observers_of_values_and_the_query_heals(no_tasks_left, origin):
    """Who comes later gets the value."""
    async with LunoraClient(origin) as client:
        row = await client.mutation(ADD, {"n": 9})
        live, seen = client.live("rows:none_over", {"limit": 5}), Recorder()
        live.snapshots.subscribe(Recorder())
        live.subscribe(seen)
        await until(lambda: seen.errors)
        assert (type(seen.errors[0]), seen.errors[0].code) == (ServerError, "ROOM_FULL")
        await client.mutation("rows:set", {"id": row, "n": 1})
        assert await live.first() == 1


async def test_value_of_an_earlier_client_is_shown_stale_then_resumed(no_tasks_left, tmp_path, origin):
    """From the read cache: nothing new is confirmed in silence, something new is shown once."""
    await call(origin, ADD, {"n": 1})

    async def shown(*values):
        async with LunoraClient(origin, storage=tmp_path, reconnect=QUICK) as client:
            live, seen, snapshots = client.live(NUMBERS), Recorder(), Recorder()
            live.subscribe(seen)
            live.snapshots.subscribe(snapshots)
            await until(lambda: snapshots.last.status is SnapshotStatus.LIVE)
            assert seen.values == list(values)
            return [(str(each.status), each.value) for each in snapshots.values if each.has_value]

    await shown([1])
    assert await shown([1]) == [("stale", [1]), ("live", [1])]
    await call(origin, ADD, {"n": 2})
    await shown([1], [1, 2])


async def test_connection_cut_again_and_again_ends_at_the_servers_value(no_tasks_left, gateway):
    """Each time it resumes, or is told the value; nothing is shown twice."""
    async with LunoraClient(gateway.url, reconnect=QUICK) as client:
        live, seen = client.live(LIST), Recorder()
        live.subscribe(seen)
        await until(lambda: seen.values)
        for number in range(10):
            if number % 3 == 1:
                gateway.drop_sockets()
            await client.mutation(ADD, {"n": number})
        await until(lambda: len(seen.last) == 10 and live.snapshot.status is SnapshotStatus.LIVE)
        assert seen.last == await client.query(LIST)
        assert len(seen.values) == len({str(each) for each in seen.values})


@pytest.mark.parametrize("function", ["rows:remove", "rows:set"])
async def test_write_that_changes_nothing_brings_its_writer_to_its_cursor_too(no_tasks_left, origin, function):
    """It is acknowledged with one, so a layer may wait for it."""
    async with LunoraClient(origin) as client:
        live, seen = client.live(NUMBERS), Recorder()
        row = await client.mutation(ADD, {"n": 1})
        live.subscribe(seen)
        await until(lambda: seen.values)
        await call(origin, "notes:add", {"title": "t"})
        args = {"id": "none"} if function == "rows:remove" else {"id": row, "n": 1}
        await client.mutation(function, args, optimistic_update=lambda store, _: store.set_query(NUMBERS, None, [99]))
        await until(lambda: not live.snapshot.is_optimistic)
        assert seen.last == [1]
