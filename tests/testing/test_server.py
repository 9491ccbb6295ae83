"""The scripted server, through the real client: what it answers, what it makes go wrong, what it notes."""

from __future__ import annotations

import asyncio

import pytest

from lunora_rx import (
    LunoraClient,
    MutationRef,
    RequestTimeout,
    ServerError,
    StreamError,
    TransportError,
    WireBigInt,
    api,
)
from lunora_rx.testing import ANY, PENDING, ScriptedServer, record

ROWS = [{"_id": "1", "text": "a"}, {"_id": "2", "text": "b"}]


@pytest.fixture
def server(lunora_server):
    """The scripted server."""
    return lunora_server


@pytest.fixture
def client(lunora_client):
    """Its client."""
    return lunora_client


async def test_push_reaches_who_watches_and_who_asks(server, client, lunora_time):
    """A value is there for live queries, single queries and batches, with every wire type."""
    server.push(api.messages.list, [WireBigInt(2**70)])
    seen = record(client.live("messages:list"))
    await lunora_time.settle()
    server.push("messages:list", None)
    await lunora_time.settle()
    assert seen.values == [[WireBigInt(2**70)], None]
    assert await client.query("messages:list") is None
    assert [each.value for each in await client.batch([("messages:list",)])] == [None]


async def test_push_of_an_equal_value_is_sent_all_the_same(server, client, lunora_time):
    """A test that pushes twice sees two emissions."""
    server.push("a:b", [])
    seen = record(client.live("a:b"))
    for _ in range(2):
        await lunora_time.settle()
        server.push("a:b", [])
    await lunora_time.settle()
    assert seen.values == [[], [], []]


async def test_scripts_for_exact_arguments_go_before_those_for_any(server, client):
    """The most exact script answers, for arguments and shards."""
    server.push("a:b", "any")
    server.push("a:b", "exact", {"n": 1})
    server.push("a:b", "shard", shard="s")
    server.push("a:b", "default shard", {"n": 2}, shard=None)
    assert await client.query("a:b") == "any"
    assert await client.query("a:b", {"n": 1}, shard="s") == "exact"
    assert await client.query("a:b", {"n": 2}, shard="s") == "shard"
    assert await client.query("a:b", {"n": 2}) == "default shard"


async def test_row_that_is_not_there_cannot_be_changed(server):
    """A wrong key in a test is told, in lists and in pages."""
    server.push("messages:list", ROWS)
    server.push("messages:page", {"page": ROWS, "isDone": True})
    for function in ("messages:list", "messages:page"):
        with pytest.raises(ValueError, match=r"update\(\): the query .* has no row with _id '9', only \['1', '2'\]"):
            server.update(function, {"_id": "9"})
        with pytest.raises(ValueError, match=r"delete\(\): .* no row with _id '9'"):
            server.delete(function, "9")


async def test_row_changes_are_merged_as_the_client_merges(server, client, lunora_time):
    """Insert, update and delete go out as deltas; who comes later gets the whole value."""
    server.push("messages:list", ROWS, {"c": 1})
    seen = record(client.live("messages:list", {"c": 1}))
    await lunora_time.settle()
    server.insert("messages:list", {"_id": "3", "text": "c"}, {"c": 1})
    server.update("messages:list", {"_id": "1", "text": "A"}, {"c": 1})
    server.delete("messages:list", "2", {"c": 1})
    await lunora_time.settle()
    assert [[row["text"] for row in rows] for rows in seen.values] == [
        ["a", "b"],
        ["a", "b", "c"],
        ["A", "b", "c"],
        ["A", "c"],
    ]
    assert await client.query("messages:list", {"c": 1}) == seen.values[-1]


@pytest.mark.parametrize(
    ("pushed", "row", "message"),
    [
        ([1, 2], {"_id": "1"}, "not scripted as rows"),
        ("text", {"_id": "1"}, "not scripted as rows"),
        (ROWS, {"text": "no id"}, "a row is a dict whose '_id' is a string"),
        (UnicodeError, {"_id": "1"}, "there is no function 'messages:list' with any arguments; nothing is scripted"),
    ],
)
async def test_row_change_without_rows_is_refused(server, pushed, row, message):
    """What cannot be merged is said at the call, not by a client that asks anew."""
    if pushed is not UnicodeError:
        server.push("messages:list", pushed)
    with pytest.raises(ValueError, match=message):
        server.insert("messages:list", row)


async def test_fail_ends_observers_and_push_heals(server, client, lunora_time):
    """A live query hears its error at once; the next value is live again."""
    server.push("a:b", 1)
    live = client.live("a:b")
    values, snapshots = record(live), record(live.snapshots)
    await lunora_time.settle()
    server.fail("a:b", "FORBIDDEN", "not for you")
    await lunora_time.settle()
    assert (values.error.code, live.snapshot.status) == ("FORBIDDEN", "failed")
    server.push("a:b", 2)
    await lunora_time.settle()
    assert [str(each.status) for each in snapshots.values] == ["pending", "live", "failed", "live"]
    assert live.value == 2


async def test_fail_some_times_and_heal(server, client):
    """Failures are counted, come before any script, and can be taken back."""
    server.on_mutation("a:set", 1)
    server.fail("a:set", "CONFLICT", times=2, data={"n": 1})
    for _ in range(2):
        with pytest.raises(ServerError) as caught:
            await client.mutation("a:set")
        assert (caught.value.code, caught.value.data) == ("CONFLICT", {"n": 1})
    assert await client.mutation("a:set") == 1
    server.fail("a:set", "CONFLICT")
    server.heal("a:set")
    assert await client.mutation("a:set") == 1
    with pytest.raises(ValueError, match="times is a number from 1"):
        server.fail("a:set", "CONFLICT", times=0)


async def test_functions_answer_with_what_they_are_given(server, client):
    """A script may be a function of the arguments, async for calls, and may raise what the caller gets."""

    async def slow(args):
        await asyncio.sleep(20)
        return args["n"] * 2

    def refuse(args):
        raise ServerError("too many", code="RATE_LIMITED", data={"retryAfterMs": 1500})

    server.on_action("a:slow", slow)
    server.on_action("a:refuse", refuse)
    assert await client.action("a:slow", {"n": 4}) == 8
    with pytest.raises(ServerError) as caught:
        await client.action("a:refuse")
    assert (caught.value.code, caught.value.retry_after) == ("RATE_LIMITED", 1.5)


async def test_function_of_a_query_is_asked_anew_after_each_mutation(server, client, lunora_time):
    """A little program on the server's side drives live queries as a real one does."""
    rows = []
    server.on_query("a:list", lambda args: list(rows))
    server.on_mutation("a:add", lambda args: rows.append(args["n"]))
    seen = record(client.live("a:list"))
    await lunora_time.settle()
    await client.mutation("a:add", {"n": 1})
    await lunora_time.settle()
    rows.append(2)
    server.refresh()
    await lunora_time.settle()
    assert seen.values == [[], [1], [1, 2]]


async def test_rejected_mutation_rolls_its_patch_back(server, client, lunora_time):
    """The patch shows while the call is on its way, and is gone with the refusal."""
    server.push("a:list", [1])
    live = client.live("a:list")
    seen = record(live)
    await lunora_time.settle()
    server.latency = 2
    server.fail("a:add", "FORBIDDEN")
    write = client.mutation(
        "a:add",
        optimistic_update=lambda store, args: store.set_query("a:list", {}, [*store.get_query("a:list", {}), 2]),
    )
    assert live.value == [1, 2]
    with pytest.raises(ServerError):
        await write
    assert (seen.values, lunora_time.now) == ([[1], [1, 2], [1]], 2)


async def test_committed_mutation_confirms_its_patch(server, client, lunora_time):
    """The patch gives way to what the script pushes, with no flicker between."""
    server.push("a:list", [1])
    server.on_mutation("a:add", lambda args: server.push("a:list", [1, 2]))
    live = client.live("a:list")
    seen = record(live)
    await lunora_time.settle()
    await client.mutation("a:add", optimistic_update=lambda store, args: store.set_query("a:list", {}, [1, 2]))
    await lunora_time.settle()
    assert (seen.values, live.snapshot.is_optimistic) == ([[1], [1, 2], [1, 2]][: len(seen.values)], False)


async def test_mutation_waits_while_offline_and_is_sent_once(server, client, lunora_time):
    """A lost reply makes the client repeat; the script runs once, and the calls tell."""
    ran = []
    server.push("a:list", 0)
    server.on_mutation("a:add", lambda args: ran.append(args["n"]))
    record(client.live("a:list"))
    await lunora_time.settle()
    server.refuse()
    server.drop()
    await lunora_time.settle()
    write = client.mutation("a:add", {"n": 7})
    await lunora_time.settle()
    assert client.pending.value == 1
    server.lose_reply("a:add")
    server.accept()
    await write
    assert ran == [7]
    assert [(call.is_repeat, call.mutation_id == write.mutation_id) for call in server.calls_of("a:add")] == [
        (False, True),
        (True, True),
    ]


async def test_dropped_connection_shows_stale_and_resumes(server, client, lunora_time):
    """What did not change is resumed, what did is sent; the value stays meanwhile."""
    server.push("a:same", 1)
    server.push("a:other", 1)
    same, other = client.live("a:same"), client.live("a:other")
    values, changed = record(same), record(other)
    await lunora_time.settle()
    server.drop()
    await lunora_time.settle()
    assert (str(same.snapshot.status), same.value) == ("stale", 1)
    server.push("a:other", 2)
    await lunora_time.advance(30)
    assert (str(same.snapshot.status), values.values, changed.values) == ("live", [1], [1, 2])
    assert (len(server.openings), server.open_sockets) == (2, 1)


async def test_expired_token_is_told_and_the_next_one_is_used(server, lunora_time):
    """The client asks its provider again, and the server sees what it got."""
    tokens = iter(["first", "second"])
    client = server.client(ws_token=lambda: next(tokens))
    expired = record(client.token_expired)
    server.push("a:b", 1)
    record(client.live("a:b"))
    await lunora_time.settle()
    server.expire_token()
    await lunora_time.advance(5)
    assert expired.values[:1] == [""]
    assert [opening.token for opening in server.openings] == ["first", "second"]
    assert "first" not in repr(server.openings)


async def test_refused_sockets_alone_lead_to_polling(server, client, lunora_time):
    """A network without WebSockets still carries calls."""
    server.refuse(calls=False)
    server.push("a:b", 1)
    seen = record(client.live("a:b"))
    await lunora_time.advance(60)
    assert (seen.values, str(client.status.value)) == ([1], "polling")


async def test_pending_answers_do_not_come(server, client, lunora_time):
    """A live query shows nothing, a call runs into its timeout, a later push is shown."""
    server.on_query("a:b", PENDING)
    seen = record(client.live("a:b"))
    with pytest.raises(RequestTimeout):
        await client.query("a:b")
    assert (seen.messages, lunora_time.now) == ([], 30)
    server.push("a:b", 1)
    await lunora_time.settle()
    assert seen.values == [1]


async def test_transport_error_of_a_script_is_a_lost_request(server, client):
    """Nothing arrives, as the caller sees it."""
    server.on_action("a:b", TransportError("the cable is cut", transient=True))
    with pytest.raises(TransportError, match="cable"):
        await client.action("a:b")


async def test_calls_are_kept_with_everything_they_carry(server):
    """Arguments decoded, ids, shard, bearer; the bearer is not shown."""
    client = server.client(auth_token="secret", client_id="me")
    server.on_mutation(MutationRef("a:set"))
    server.push("a:get", 1)
    await client.mutation("a:set", {"n": WireBigInt(1)}, shard="s", mutation_id="m1")
    await client.query("a:get")
    write, read = server.calls
    assert (write.kind, write.args, write.shard, write.mutation_id, write.client_id, write.token) == (
        "mutation",
        {"n": WireBigInt(1)},
        "s",
        "m1",
        "me",
        "secret",
    )
    assert (read.kind, read.function, read.mutation_id) == ("query", "a:get", None)
    assert "secret" not in repr(server.calls)


async def test_shapes_are_set_and_poked(server, client, lunora_time):
    """All rows first, then batches of changes; after a drop nothing is sent twice."""
    server.set_shape("openTasks", [{"_id": "1", "n": 1}])
    shape = client.shape("openTasks")
    seen = record(shape)
    await lunora_time.settle()
    server.poke("openTasks", [{"_id": "2", "n": 2}, {"_id": "1", "n": 3}], ["9"])
    await lunora_time.settle()
    server.drop()
    await lunora_time.advance(5)
    server.poke("openTasks", delete=["1"])
    await lunora_time.settle()
    assert [[row["n"] for row in rows] for rows in seen.values] == [[1], [3, 2], [2]]
    server.fail("openTasks", "FORBIDDEN")
    await lunora_time.settle()
    assert seen.error.code == "FORBIDDEN"
    with pytest.raises(ValueError, match="there is no function 'other'"):
        server.poke("other")


async def test_streams_speak_in_virtual_time(server, client, lunora_time):
    """Chunks of a list, of an async generator that sleeps, and by hand."""

    async def words(args):
        for word in args["text"].split():
            await asyncio.sleep(1)
            yield word

    server.on_stream("ai:list", [1, 2])
    server.on_stream("ai:words", words)
    server.on_stream("ai:hand", PENDING)
    assert [each async for each in client.stream("ai:list").aiter()] == [1, 2]
    told = record(client.stream("ai:words", {"text": "why not"}))
    by_hand = record(client.stream("ai:hand"))
    await lunora_time.advance(2)
    assert ([each.time for each in told.messages], told.values, told.is_completed) == ([1, 2, 2], ["why", "not"], True)
    server.chunk("ai:hand", "x", "y")
    server.end_stream("ai:hand", ServerError("enough", code="STREAM_FAILED"))
    await lunora_time.settle()
    assert (by_hand.values, by_hand.error.code) == (["x", "y"], "STREAM_FAILED")


async def test_durable_stream_goes_on_after_a_drop_and_another_one_fails(server, client, lunora_time):
    """The transcript is replayed from where the client was."""
    for name, durable in (("ai:kept", True), ("ai:lost", False)):
        server.on_stream(name, PENDING, durable=durable)
    kept, lost = record(client.stream("ai:kept", durable=True)), record(client.stream("ai:lost"))
    await lunora_time.settle()
    server.chunk("ai:kept", 1)
    server.chunk("ai:lost", 1)
    await lunora_time.settle()
    server.drop()
    server.chunk("ai:kept", 2)
    await lunora_time.advance(5)
    server.end_stream("ai:kept")
    await lunora_time.settle()
    assert (kept.values, kept.is_completed) == ([1, 2], True)
    assert (lost.values, type(lost.error)) == ([1], StreamError)


async def test_http_streams_speak_and_end(server, client):
    """Server-sent events with the parameters of the request; an unscripted one is refused."""
    server.on_http_stream("/jobs/7", lambda args: [args["from"], {"n": 1}])
    assert [each async for each in client.http_stream("/jobs/7", search={"from": "a"}).aiter()] == ["a", {"n": 1}]


async def test_whispers_go_between_clients_and_come_from_the_test(server, client, lunora_time):
    """Other clients and the test are heard; what was said can be looked at."""
    other = server.client()
    heard = record(client.whispers("room"))
    await lunora_time.settle()
    other.whisper("room", "dropped, and a socket is opened")
    await lunora_time.settle()
    other.whisper("room", {"typing": True})
    await lunora_time.settle()
    server.whisper("room", "hello", sender="bo")
    await lunora_time.settle()
    assert [(each.data, each.sender) for each in heard.values] == [({"typing": True}, "client-2"), ("hello", "bo")]
    assert server.whispers == (("", "room", {"typing": True}),)


async def test_identity_and_presence_are_told(server, client, lunora_time):
    """The session probe and the sockets say who it is; contexts show what clients say of themselves."""
    server.sign_in("ada")
    server.push("a:b", 1)
    record(client.live("a:b"))
    with client.presence({"page": 1}):
        await lunora_time.settle()
        assert server.contexts == [{"page": 1}]
    assert (await client.current_user()).id == "ada"
    server.sign_in(None)
    assert await client.current_user() is None


async def test_watched_lists_what_clients_have_open(server, client, lunora_time):
    """A test can ask whether a program has let go."""
    server.push("a:b", 1)
    recording = record(client.live("a:b", {"n": 1}))
    await lunora_time.settle()
    assert [(each.function, each.args) for each in server.watched] == [("a:b", {"n": 1})]
    recording.dispose()
    await lunora_time.settle()
    assert server.watched == []


async def test_clients_of_the_program_itself_reach_the_server(server):
    """A program that makes its client gets the transport."""
    server.push("a:b", 1)
    async with LunoraClient("https://app.example", transport=server.transport) as client:
        assert await client.live("a:b").first() == 1


async def strict():
    """A server that no fixture checks, and a client of it."""
    server = ScriptedServer()
    return server, server.client(request_timeout=1)


async def test_unscripted_queries_fail_with_what_is_scripted(lunora_time):
    """Live queries, calls, mutations, shapes, streams and routes that nobody scripted say so, and fail the test."""
    server, client = await strict()
    server.push("messages:list", [], {"c": 1})
    for asked in (
        client.live("messages:list", {"c": 2}).first(),
        client.query("a:query"),
        client.mutation("messages:list"),
        client.stream("a:stream").aiter().__anext__(),
        client.shape("shape").first(),
        client.http_stream("/route").aiter().__anext__(),
    ):
        with pytest.raises((ServerError, StreamError), match="nobody scripted"):
            await asked
    await server.aclose()
    assert (
        "nobody scripted the live query 'messages:list' with {'c': 2};"
        " scripted: query 'messages:list' with {'c': 1}. Script it with server.push(...) or server.on_query(...);"
        " PENDING lets it wait"
    ) in server.problems
    assert len(server.problems) == 6
    with pytest.raises(AssertionError, match="nobody scripted the live query"):
        server.check()


async def test_script_that_raises_fails_the_test(lunora_time):
    """A mistake in the test is not taken for an answer of the server."""
    server, client = await strict()
    server.on_action("a:b", lambda args: args["missing"])
    with pytest.raises(ServerError) as caught:
        await client.action("a:b")
    assert caught.value.code == "INTERNAL"
    await server.aclose()
    with pytest.raises(AssertionError, match="the script of the action 'a:b' with any arguments raised KeyError"):
        server.check()


async def test_async_answer_to_a_live_query_fails_the_test(lunora_time):
    """A live query cannot wait; the message says which script."""

    async def answer(args):
        return 1

    server, client = await strict()
    server.on_query("a:b", answer)
    record(client.live("a:b"))
    await lunora_time.settle()
    await server.aclose()
    with pytest.raises(AssertionError, match="not async"):
        server.check()


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda server: server.push(MutationRef("a:b"), 1), TypeError),
        (lambda server: server.push("ab", 1), ValueError),
        (lambda server: server.push("a:b", object()), ValueError),
        (lambda server: server.push("a:b", 1, args=[1]), TypeError),
        (lambda server: server.push("a:b", 1, args={"a": object()}), ValueError),
        (lambda server: server.set_shape("a", [{"id": 1}]), ValueError),
    ],
)
def test_bad_scripts_are_refused_at_the_call(call, error):
    """A typing mistake in a script is an error where it stands."""
    with pytest.raises(error):
        call(ScriptedServer())


def test_words_of_scripts_show_their_names():
    """A message with one of them can be read."""
    assert (repr(ANY), repr(PENDING)) == ("ANY", "PENDING")


async def test_stream_that_nobody_follows_stops_its_script(server, client, lunora_time):
    """Leaving a stream closes the generator that feeds it."""
    closed = []

    async def endless(args):
        try:
            while True:
                await asyncio.sleep(1)
                yield 1
        finally:
            closed.append(lunora_time.now)

    server.on_stream("a:endless", endless)
    told = record(client.stream("a:endless"))
    await lunora_time.advance(2)
    told.dispose()
    await lunora_time.settle()
    assert (told.values, closed) == ([1, 1], [2])


async def test_stored_writes_outlive_a_client_in_virtual_time(server, lunora_time, tmp_path):
    """A client with a disk works as well: what one queued, the next one sends."""
    server.on_mutation("a:add", lambda args: args["n"])
    server.refuse()
    first = server.client(storage=tmp_path)
    first.mutation("a:add", {"n": 1}, mutation_id="m1")
    await lunora_time.advance(5)
    await first.aclose()
    assert server.calls == ()
    server.accept()
    settled = record(server.client(storage=tmp_path).settled)
    second = server.clients[-1]
    await second.mutation("a:add", {"n": 2}, mutation_id="m2")
    await lunora_time.advance(60)
    assert [call.mutation_id for call in server.calls] == ["m1", "m2"]
    assert settled.values[0].status == "committed"
