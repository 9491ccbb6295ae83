"""Writes that are shown before their verdict, and wait while the connection is down."""

from __future__ import annotations

import asyncio

import pytest
import reactivex

from lunora_rx import (
    UNDEFINED,
    ClientClosedError,
    LunoraError,
    MutationSettled,
    Phase,
    ReplayProgress,
    ServerError,
    Status,
)
from lunora_rx.errors import QueueError, TransportError
from lunora_rx.storage.browse import browse
from tests.support import QUICK, Recorder, turn, until

DIRECT = [Phase.COMPOSED, Phase.SENT, Phase.COMMITTED]
QUEUED = [Phase.COMPOSED, Phase.QUEUED, Phase.SENT, Phase.COMMITTED]


@pytest.fixture(autouse=True)
def quiet(recwarn):
    """No test of this file leaves a warning, also none that is ignored elsewhere."""
    yield
    assert [str(each.message) for each in recwarn] == []


async def shown(server, client, *functions, value=()):
    """Watch queries, answer each with a list, and return the socket with one recorder and id for each."""
    seen, ids = [Recorder() for _ in functions], []
    for function, each in zip(functions, seen, strict=True):
        client.live(function).subscribe(each)
    socket = await server.socket()
    for _ in functions:
        ids.append(await socket.subscription())
    for each in ids:
        await socket.push("data", id=each, data=list(value), cursor=1, epoch="e")
    return socket, seen, ids


async def go_offline(server, client, socket):
    """Cut the connection and refuse new ones."""
    server.refusal = TransportError("nobody there", transient=True)
    socket.cut()
    await until(lambda: client.status.value is not Status.CONNECTED)


async def come_back(server):
    """Accept connections again; return the next one."""
    server.refusal = None
    return await server.socket()


async def offline(server, client):
    """Connect once, then go offline."""
    client.live("x:keep").subscribe(Recorder())
    socket = await server.socket()
    await go_offline(server, client, socket)


def adding(item):
    """Return a transform that appends an item unless it is there."""
    return lambda rows: rows if item in rows else [*rows, item]


def answer_batch(call, *results):
    """Answer a batch, one result a slot; an exception's text is an error code."""
    slots = [
        {"error": {"code": str(each), "message": "no"}} if isinstance(each, Exception) else {"result": each}
        for each in results
    ]
    call.reply({"results": [{"id": index, "body": body} for index, body in enumerate(slots)]})


async def _await(call):
    return await call


# --- phases and awaiting


async def test_mutation_queued_goes_through_its_phases_and_returns_after_the_replay(server, client):
    """A queued write is composed, queued, sent and committed; its await returns the server's value."""
    await offline(server, client)
    mutation, early, late = client.mutation("a:set", {"n": 1}), Recorder(), Recorder()
    mutation.phases.subscribe(early)
    waiting = asyncio.create_task(_await(mutation))
    await turn()
    assert (early.values, waiting.done(), server.waiting_calls) == (QUEUED[:2], False, 0)
    await come_back(server)
    call = await server.call()
    assert call.headers["x-lunora-mutation-id"] == mutation.mutation_id
    assert call.body == {"functionPath": "a:set", "args": {"n": 1}}
    call.reply({"result": 7})
    assert await waiting == 7
    mutation.phases.subscribe(late)
    assert (early.values, early.completions, late.values, late.completions) == (QUEUED, 1, QUEUED, 1)


async def test_mutations_queued_are_replayed_in_order_in_one_batch(server, client):
    """Two or more writes go out as one batch, in the order of composing, each under its own id."""
    await offline(server, client)
    mutations = [client.mutation("a:set", {"n": n}) for n in range(3)]
    await come_back(server)
    call = await server.call()
    assert [each["args"]["n"] for each in call.body["calls"]] == [0, 1, 2]
    assert [each["mutationId"] for each in call.body["calls"]] == [each.mutation_id for each in mutations]
    answer_batch(call, "r0", "r1", "r2")
    assert [await each for each in mutations] == ["r0", "r1", "r2"]
    assert server.waiting_calls == 0


async def test_mutation_direct_that_loses_its_reply_is_sent_again_under_its_id(server, client):
    """Nothing came back: the write waits, and goes out again under the same id, though the socket stayed open."""
    await shown(server, client, "x:keep")
    mutation, seen, settled = client.mutation("a:set"), Recorder(), Recorder()
    mutation.phases.subscribe(seen)
    client.settled.subscribe(settled)
    first = await server.call()
    first.break_off()
    second = await server.call()
    assert second.headers["x-lunora-mutation-id"] == first.headers["x-lunora-mutation-id"]
    second.reply({"result": 1})
    assert await mutation == 1
    assert seen.values == [Phase.COMPOSED, Phase.SENT, Phase.QUEUED, Phase.SENT, Phase.COMMITTED]
    assert [each.status for each in settled.values] == ["committed"]


async def test_mutation_before_the_first_connect_is_direct_unless_asked_for(server, client):
    """Without ``queue_before_first_connect`` a write goes out over HTTP though no socket ever was open."""
    server.refusal = TransportError("nobody there", transient=True)
    client.live("x:keep").subscribe(Recorder())
    mutation, seen = client.mutation("a:set"), Recorder()
    mutation.phases.subscribe(seen)
    (await server.call()).break_off()
    with pytest.raises(TransportError):
        await mutation
    assert seen.values == [Phase.COMPOSED, Phase.SENT, Phase.REJECTED]


async def test_mutation_with_queue_before_first_connect_waits_for_it(server, no_tasks_left):
    """The write opens the socket by itself, waits for it, and is settled as a queued one."""
    async with server.client(queue_before_first_connect=True) as client:
        settled = Recorder()
        client.settled.subscribe(settled)
        mutation = client.mutation("a:set")
        assert (mutation.phases.latest, client.pending.value) == (Phase.QUEUED, 1)
        await server.socket()
        (await server.call()).reply({"result": 1})
        assert await mutation == 1
        assert len(settled.values) == 1


async def test_query_and_action_never_queue(server, client):
    """Only writes wait; reads and actions go out at once, or fail."""
    await offline(server, client)
    calls = [client.query("a:b"), client.action("a:c")]
    for each in calls:
        (await server.call()).break_off()
        with pytest.raises(TransportError):
            await each
    assert client.pending.value == 0


async def test_mutation_composed_during_a_replay_goes_out_after_it(server, client):
    """A new write does not overtake older ones that are on their way."""
    await offline(server, client)
    first = client.mutation("a:set", {"n": 1})
    await come_back(server)
    replay = await server.call()
    second = client.mutation("a:set", {"n": 2})
    await turn()
    assert server.waiting_calls == 0
    replay.reply({"result": 1})
    call = await server.call()
    assert call.body["args"] == {"n": 2}
    call.reply({"result": 2})
    assert [await first, await second] == [1, 2]


# --- cancelling


async def test_mutation_cancelled_while_queued_withdraws_write_and_patch(server, client):
    """``cancel`` before the write is sent leaves nothing: no request, no patch, no settled event."""
    socket, (seen,), _ = await shown(server, client, "a:list", value=["x"])
    settled, phases = Recorder(), Recorder()
    client.settled.subscribe(settled)
    await go_offline(server, client, socket)
    mutation = client.mutation("a:list", optimistic=adding("new"))
    mutation.phases.subscribe(phases)
    waiting = asyncio.create_task(_await(mutation))
    await turn()
    assert seen.last == ["x", "new"]
    assert mutation.cancel() is True
    assert (seen.last, client.pending.value) == (["x"], 0)
    assert (phases.values, phases.completions) == ([Phase.COMPOSED, Phase.QUEUED, Phase.REJECTED], 1)
    with pytest.raises(LunoraError) as caught:
        await waiting
    assert (type(caught.value), caught.value.code) == (LunoraError, "CANCELLED")
    await come_back(server)
    await turn(20)
    assert (server.waiting_calls, settled.values, mutation.cancel()) == (0, [], False)


async def test_mutation_cancelled_after_it_was_sent_is_too_late(server, client):
    """During the replay the fate of the write is the server's, and its patch stays."""
    socket, (seen,), _ = await shown(server, client, "a:list", value=["x"])
    await go_offline(server, client, socket)
    mutation = client.mutation("a:list", optimistic=adding("new"))
    await come_back(server)
    call = await server.call()
    assert mutation.cancel() is False
    assert seen.last == ["x", "new"]
    call.reply({"result": 1, "commitCursor": 2})
    assert await mutation == 1


async def test_mutation_cancelled_behind_a_replay_withdraws_it(server, client):
    """A write that waits for a replay to end was not sent yet either."""
    await offline(server, client)
    first = client.mutation("a:set", {"n": 1})
    await come_back(server)
    replay = await server.call()
    second = client.mutation("a:set", {"n": 2})
    assert second.cancel() is True
    replay.reply({"result": 1})
    assert await first == 1
    await turn(20)
    assert server.waiting_calls == 0


async def test_mutation_cancelled_inside_a_phase_shows_every_observer_the_same_order(server, client):
    """An observer that cancels at ``queued`` does not make a later one see ``rejected`` before it, or miss it."""
    await shown(server, client, "x:keep")
    mutation, early, late = client.mutation("a:set"), Recorder(), Recorder()
    mutation.phases.subscribe(early)
    mutation.phases.subscribe(lambda phase: mutation.cancel() if phase is Phase.QUEUED else None)
    mutation.phases.subscribe(late)
    (await server.call()).break_off()
    await until(lambda: late.completions)
    expected = [Phase.COMPOSED, Phase.SENT, Phase.QUEUED, Phase.REJECTED]
    assert (early.values, early.completions) == (late.values, late.completions) == (expected, 1)


async def test_mutation_watched_from_inside_a_phase_shows_each_phase_once(server, client):
    """An observer that comes during a delivery gets what is over, then what follows: nothing twice."""
    await offline(server, client)
    mutation, late = client.mutation("a:set"), Recorder()

    def watch(phase):
        if phase is Phase.QUEUED:
            mutation.cancel()
            assert mutation.phases.latest is Phase.REJECTED
            mutation.phases.subscribe(late)

    mutation.phases.subscribe(watch)
    assert (late.values, late.completions) == ([Phase.COMPOSED, Phase.QUEUED, Phase.REJECTED], 1)


async def test_mutation_rejected_with_code_of_the_server_is_rejected(server, client):
    """A server that could not decode our arguments carried nothing out, whatever its code is called."""
    mutation, seen = client.mutation("a:set"), Recorder()
    mutation.phases.subscribe(seen)
    (await server.call()).refuse("WIRE_DECODE_FAILED")
    with pytest.raises(ServerError):
        await mutation
    assert seen.values == [Phase.COMPOSED, Phase.SENT, Phase.REJECTED]


# --- settled


@pytest.mark.parametrize("code", [None, "FORBIDDEN"])
async def test_settled_reports_each_verdict_of_a_queued_write_once(server, client, code):
    """What became of a write that waited is told once, with all that identifies it."""
    await offline(server, client)
    settled = Recorder()
    client.settled.subscribe(settled)
    mutation = client.mutation("a:set", {"n": 1}, mutation_id="mine")
    waiting = asyncio.create_task(_await(mutation))
    await come_back(server)
    call = await server.call()
    if code is None:
        call.reply({"result": 1})
    else:
        call.refuse(code)
    await asyncio.wait([waiting])
    (event,) = settled.values
    assert isinstance(event, MutationSettled)
    assert (event.mutation_id, event.function, event.args, event.shard) == ("mine", "a:set", {"n": 1}, None)
    assert (event.status, event.code) == ("committed" if code is None else "rejected", code)
    assert event.had_awaiter is True
    assert isinstance(event.error, ServerError) is (code is not None)
    assert (waiting.exception() is None) is (code is None)


async def test_settled_says_nothing_of_direct_writes(server, client):
    """Only writes that waited are reported there."""
    settled = Recorder()
    client.settled.subscribe(settled)
    mutation, other = client.mutation("a:set"), client.mutation("a:set")
    (await server.call()).reply({"result": 1})
    (await server.call()).refuse("FORBIDDEN")
    assert await mutation == 1
    with pytest.raises(ServerError):
        await other
    assert settled.values == []


@pytest.mark.parametrize("how", ["cancelled task", "timeout", "disposed"])
async def test_settled_of_a_detached_write_had_no_awaiter(server, client, how):
    """Who gives up waiting leaves the write on its way; its verdict says that nobody waited."""
    await offline(server, client)
    settled = Recorder()
    client.settled.subscribe(settled)
    mutation = client.mutation("a:set")
    if how == "cancelled task":
        waiting = asyncio.create_task(_await(mutation))
        await turn()
        waiting.cancel()
        await asyncio.wait([waiting])
    elif how == "timeout":
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(_await(mutation), 0.001)
    else:
        mutation.subscribe(Recorder()).dispose()
    assert mutation.is_detached
    await come_back(server)
    (await server.call()).reply({"result": 1})
    await until(lambda: settled.values)
    assert [each.had_awaiter for each in settled.values] == [False]
    assert mutation.is_detached


async def test_settled_of_a_write_that_is_awaited_again_had_an_awaiter(server, client):
    """A second await makes up for the first one that was given up."""
    await offline(server, client)
    settled = Recorder()
    client.settled.subscribe(settled)
    mutation = client.mutation("a:set")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(_await(mutation), 0.001)
    waiting = asyncio.create_task(_await(mutation))
    await come_back(server)
    (await server.call()).reply({"result": 1})
    assert await waiting == 1
    assert [each.had_awaiter for each in settled.values] == [True]


async def test_settled_with_a_result_that_cannot_be_read_is_committed(server, client):
    """The write was carried out: it is never sent again, and the await says what is wrong with the result."""
    await offline(server, client)
    settled, phases = Recorder(), Recorder()
    client.settled.subscribe(settled)
    mutation = client.mutation("a:set")
    mutation.phases.subscribe(phases)
    await come_back(server)
    (await server.call()).reply({"result": ["$lunora.wire$", "bigint", "nonsense"]})
    with pytest.raises(LunoraError) as caught:
        await mutation
    assert caught.value.code == "WIRE_DECODE_FAILED"
    assert [(each.status, each.code) for each in settled.values] == [("committed", "WIRE_DECODE_FAILED")]
    assert phases.values == QUEUED
    await turn(20)
    assert server.waiting_calls == 0


async def test_queue_overflow_rejects_the_oldest(server, no_tasks_left):
    """More writes than the queue holds: the oldest gives way, and is told so."""
    async with server.client(queue_limit=2) as client:
        await offline(server, client)
        settled = Recorder()
        client.settled.subscribe(settled)
        mutations = [client.mutation("a:set", {"n": n}) for n in range(3)]
        with pytest.raises(QueueError) as caught:
            await mutations[0]
        assert caught.value.code == "OFFLINE_QUEUE_OVERFLOW"
        assert [(each.args, each.code) for each in settled.values] == [({"n": 0}, "OFFLINE_QUEUE_OVERFLOW")]
        assert client.pending.value == 2


@pytest.mark.parametrize("precondition", [lambda: False, lambda: 1 // 0])
async def test_precondition_that_no_longer_holds_gives_the_write_up(server, client, precondition):
    """It is asked right before the replay; its patch is rolled back and the other writes go on."""
    socket, (seen,), _ = await shown(server, client, "a:list", value=["x"])
    await go_offline(server, client, socket)
    refused = client.mutation("a:list", optimistic=adding("new"), precondition=precondition)
    passed = client.mutation("a:set", precondition=lambda: True)
    await come_back(server)
    (await server.call()).reply({"result": 1})
    with pytest.raises(QueueError) as caught:
        await refused
    assert caught.value.code == "OFFLINE_PRECONDITION_FAILED"
    assert await passed == 1
    assert seen.last == ["x"]


# --- pending


async def test_pending_replays_its_value_and_its_changes(server, client):
    """A new observer gets the count at once, then each change; what is on its way does not count."""
    early, late = Recorder(), Recorder()
    client.pending.subscribe(early)
    await offline(server, client)
    mutations = [client.mutation("a:set"), client.mutation("a:set")]
    client.pending.subscribe(late)
    await come_back(server)
    call = await server.call()
    assert client.pending.value == 0
    answer_batch(call, 1, 2)
    assert [await each for each in mutations] == [1, 2]
    assert (early.values, late.values) == ([0, 1, 2, 0], [2, 0])


# --- optimistic values


async def test_optimistic_value_is_there_before_mutation_returns(server, client):
    """Observers, ``value`` and the cache show the patch at once, as a snapshot that says so."""
    _, (seen,), _ = await shown(server, client, "a:list", value=["x"])
    live, snapshots = client.live("a:list"), Recorder()
    live.snapshots.subscribe(snapshots)
    mutation = client.mutation("a:list", optimistic=adding("new"))
    assert seen.values == [["x"], ["x", "new"]]
    assert live.value == ["x", "new"]
    assert (live.snapshot.is_optimistic, live.snapshot.pending_layers) == (True, 1)
    assert client.cache.get("a:list").value == ["x", "new"]
    assert [(each.is_optimistic, each.pending_layers) for each in snapshots.values] == [(False, 0), (True, 1)]
    (await server.call()).refuse("FORBIDDEN")
    with pytest.raises(ServerError):
        await mutation
    assert (seen.last, live.snapshot.is_optimistic, snapshots.last.pending_layers) == (["x"], False, 0)


async def test_optimistic_of_a_query_nobody_watches_changes_nothing(server, client):
    """A patch targets the live query with the mutation's own function, arguments and shard, and no other."""
    _, (seen,), _ = await shown(server, client, "a:list", value=["x"])
    client.mutation("a:list", {"other": 1}, optimistic=adding("new"))
    client.mutation("a:list", shard="other", optimistic=adding("new"))
    client.mutation("b:list", optimistic=adding("new"))
    assert seen.values == [["x"]]


async def test_optimistic_update_patches_several_queries_and_reads_its_own_writes(server, client):
    """The store reads what is shown, patches included; queries that nobody watches read as ``UNDEFINED``."""
    _, (one, two), _ = await shown(server, client, "a:list", "b:list", value=["x"])
    read = []

    def update(store, args):
        store.set_query("a:list", {}, [*store.get_query("a:list", {}), args["text"]])
        store.set_query("b:list", None, store.get_query("a:list"))
        store.set_query("c:list", {}, ["nobody"])
        read.append(store.get_query("c:list"))
        read.append([(each.args, each.value) for each in store.all_queries("a:list")])

    client.mutation("a:add", {"text": "new"}, optimistic_update=update)
    assert read == [UNDEFINED, [({}, ["x", "new"])]]
    assert (one.values, two.values) == ([["x"], ["x", "new"]],) * 2


async def test_rejection_rolls_all_patches_of_a_mutation_back_in_one_publication(server, client):
    """Two patches of one query and one of another vanish at once: each observer is told once."""
    _, (one, two), _ = await shown(server, client, "a:list", "b:list", value=["x"])

    def update(store, _):
        store.set_query("a:list", {}, [*store.get_query("a:list"), "second"])
        store.set_query("b:list", {}, ["other"])

    mutation = client.mutation("a:list", optimistic=adding("first"), optimistic_update=update)
    assert one.values == [["x"], ["x", "first", "second"]]
    (await server.call()).refuse("FORBIDDEN")
    with pytest.raises(ServerError):
        await mutation
    assert one.values == [["x"], ["x", "first", "second"], ["x"]]
    assert two.values == [["x"], ["other"], ["x"]]
    assert client.live("a:list").snapshot.pending_layers == client.live("b:list").snapshot.pending_layers == 0


async def test_rejection_of_one_write_leaves_the_patches_of_another(server, client):
    """Layers are folded again without the one that went."""
    _, (seen,), _ = await shown(server, client, "a:list", value=["x"])
    first = client.mutation("a:list", optimistic=adding("one"))
    client.mutation("a:list", optimistic=adding("two"))
    (await server.call()).refuse("FORBIDDEN")
    with pytest.raises(ServerError):
        await first
    assert seen.values == [["x"], ["x", "one"], ["x", "one", "two"], ["x", "two"]]


async def test_optimistic_survives_the_outage_and_the_replay_without_a_flicker(server, client):
    """Offline, resumed, replayed and confirmed: the value shown never takes a step back."""
    socket, (seen,), _ = await shown(server, client, "a:list", value=["x"])
    await go_offline(server, client, socket)
    mutation = client.mutation("a:list", optimistic=adding("new"))
    socket = await come_back(server)
    subscription = await socket.subscription()
    await socket.push("resume", id=subscription, cursor=1, epoch="e")
    (await server.call()).reply({"result": 1, "commitCursor": 2})
    assert await mutation == 1
    await socket.push("data", id=subscription, data=["x", "new"], cursor=2, epoch="e")
    assert [each for index, each in enumerate(seen.values) if each not in seen.values[:index]] == [["x"], ["x", "new"]]
    assert client.live("a:list").snapshot.is_optimistic is False


@pytest.mark.fault(9)
@pytest.mark.parametrize("first", ["reply", "frame"])
async def test_optimistic_does_not_flicker_in_either_order_of_reply_and_frame(server, client, first):
    """Compose, unrelated delta, reply, confirming frame: each intended value, and no other."""
    socket, (seen,), (subscription,) = await shown(server, client, "a:list", value=["x"])
    snapshots = Recorder()
    client.live("a:list").snapshots.subscribe(snapshots)
    mutation = client.mutation("a:list", optimistic=adding("new"))
    call = await server.call()
    await socket.push("data", id=subscription, data=["x", "y"], cursor=4, epoch="e")
    if first == "reply":
        call.reply({"result": 1, "commitCursor": 5})
        await mutation
    await socket.push("data", id=subscription, data=["x", "y", "new"], cursor=5, epoch="e")
    if first == "frame":
        call.reply({"result": 1, "commitCursor": 5})
        await mutation
    distinct = [seen.values[0]]
    distinct += [each for before, each in zip(seen.values, seen.values[1:], strict=False) if each != before]
    assert distinct == [["x"], ["x", "new"], ["x", "y", "new"]]
    assert [each.pending_layers for each in snapshots.values][-1] == 0
    assert len(seen.values) <= 4


@pytest.mark.parametrize("first", ["reply", "frame"])
async def test_optimistic_scalar_is_shown_once_and_loses_its_layer(server, client, first):
    """A number that the server confirms is not shown twice, and its snapshot is no longer optimistic."""
    seen, snapshots = Recorder(), Recorder()
    live = client.live("a:count")
    live.subscribe(seen)
    live.snapshots.subscribe(snapshots)
    socket, subscription = await server.subscribed()
    await socket.push("data", id=subscription, data=1000, cursor=1, epoch="e")
    mutation = client.mutation("a:count", optimistic=lambda count: max(count, 1001))
    call = await server.call()
    if first == "reply":
        call.reply({"result": 1, "commitCursor": 5})
        await mutation
    await socket.push("data", id=subscription, data=1001, cursor=5, epoch="e")
    if first == "frame":
        call.reply({"result": 1, "commitCursor": 5})
        await mutation
    assert seen.values == [1000, 1001]
    assert (live.snapshot.is_optimistic, snapshots.last.pending_layers, live.snapshot.cursor) == (False, 0, 5)


async def test_optimistic_without_a_commit_cursor_stays_until_the_next_frame(server, client):
    """A server with no change log confirms without a position: what is shown stays, then the frame is the truth."""
    socket, (seen,), (subscription,) = await shown(server, client, "a:list", value=["x"])
    mutation = client.mutation("a:list", optimistic=adding("new"))
    (await server.call()).reply({"result": 1})
    await mutation
    assert (seen.last, client.live("a:list").snapshot.is_optimistic) == (["x", "new"], False)
    await socket.push("data", id=subscription, data=["x", "NEW"])
    assert seen.values == [["x"], ["x", "new"], ["x", "NEW"]]


async def test_optimistic_that_raises_is_reported_and_leaves_nothing(server, no_tasks_left):
    """The error goes to ``on_error``, no layer is left, and the write goes on."""
    errors = []
    async with server.client(on_error=errors.append) as client:
        _, (seen,), _ = await shown(server, client, "a:list", value=["x"])
        mutation = client.mutation("a:list", optimistic=lambda rows: rows[9])
        assert [type(each) for each in errors] == [IndexError]
        assert (seen.values, client.live("a:list").snapshot.pending_layers) == ([["x"]], 0)
        (await server.call()).reply({"result": 1})
        assert await mutation == 1


async def test_optimistic_that_raises_later_is_reported_and_skipped(server, no_tasks_left):
    """A transform that cannot cope with another base shows that base, and the next one again."""
    errors = []
    async with server.client(on_error=errors.append) as client:
        socket, (seen,), (subscription,) = await shown(server, client, "a:list", value=["x"])
        client.mutation("a:list", optimistic=lambda rows: [rows[0], "new"])
        await socket.push("data", id=subscription, data=[], cursor=2, epoch="e")
        assert (seen.last, [type(each) for each in errors]) == ([], [IndexError])
        await socket.push("data", id=subscription, data=["y"], cursor=3, epoch="e")
        assert (seen.last, len(errors)) == (["y", "new"], 1)


async def test_transform_that_raises_is_logged_as_what_it_is(server, client, caplog):
    """Without ``on_error`` the log names a transform, not an observer."""
    await shown(server, client, "a:list", value=["x"])
    client.mutation("a:list", optimistic=lambda rows: rows[9])
    assert "an optimistic transform raised IndexError" in caplog.text


async def test_optimistic_update_that_raises_rolls_back_only_itself(server, no_tasks_left):
    """Its own patches vanish before anybody sees them; those of ``optimistic`` and the write stay."""
    errors = []
    async with server.client(on_error=errors.append) as client:
        _, (one, two), _ = await shown(server, client, "a:list", "b:list", value=["x"])

        def update(store, _):
            store.set_query("a:list", {}, ["gone"])
            store.set_query("b:list", {}, ["gone"])
            raise ValueError("no")

        mutation = client.mutation("a:list", optimistic=adding("new"), optimistic_update=update)
        assert (one.values, two.values) == ([["x"], ["x", "new"]], [["x"]])
        assert [type(each) for each in errors] == [ValueError]
        (await server.call()).reply({"result": 1})
        assert await mutation == 1


async def test_mutation_inside_on_next_is_carried_out_in_its_turn(server, client):
    """An observer may write: its patch follows the value it was told of, for every observer in the same order."""
    live, late = client.live("a:list"), Recorder()
    mutations = []

    def answer(rows):
        if rows == ["question"]:
            mutations.append(client.mutation("a:list", optimistic=adding("answer")))

    live.subscribe(answer)
    live.subscribe(late)
    socket, subscription = await server.subscribed()
    await socket.push("data", id=subscription, data=["question"], cursor=1, epoch="e")
    assert late.values == [["question"], ["question", "answer"]]
    assert len(mutations) == 1
    (await server.call()).reply({"result": 1, "commitCursor": 2})
    assert await mutations[0] == 1


async def test_mutation_inside_the_settled_observer_is_carried_out(server, client):
    """A verdict may cause another write."""
    await offline(server, client)
    more = []
    client.settled.subscribe(lambda event: more.append(client.mutation("a:next")))
    mutation = client.mutation("a:set")
    await come_back(server)
    (await server.call()).reply({"result": 1})
    assert await mutation == 1
    (await server.call()).reply({"result": 2})
    assert await more[0] == 2
    assert len(more) == 1


async def test_mutation_id_in_flight_cannot_be_used_again(server, client):
    """While a write has no verdict its id is taken, without harm to it; afterwards it is free."""
    mutation = client.mutation("a:set", mutation_id="one")
    with pytest.raises(ValueError, match="'one'"):
        client.mutation("a:set", mutation_id="one")
    (await server.call()).reply({"result": 1})
    assert await mutation == 1
    again = client.mutation("a:set", mutation_id="one")
    (await server.call()).reply({"result": 1})
    assert await again == 1
    assert server.waiting_calls == 0


@pytest.mark.parametrize("name", ["optimistic", "optimistic_update", "precondition"])
async def test_mutation_with_something_that_cannot_be_called_names_it(server, client, name):
    """The argument is named, and nothing was composed."""
    with pytest.raises(TypeError, match=name):
        client.mutation("a:set", **{name: 5})
    assert client.debug()["open_mutations"] == 0


# --- the end


async def test_aclose_fails_queued_writes_without_a_verdict(server, client, caplog):
    """Writes that wait fail with the client; phases, ``pending`` and ``settled`` complete; nothing is rolled back."""
    socket, (seen,), _ = await shown(server, client, "a:list", value=["x"])
    settled, pending, phases = Recorder(), Recorder(), Recorder()
    client.settled.subscribe(settled)
    await go_offline(server, client, socket)
    mutation = client.mutation("a:list", optimistic=adding("new"))
    forgotten = client.mutation("a:set")
    client.pending.subscribe(pending)
    mutation.phases.subscribe(phases)
    waiting = asyncio.create_task(_await(mutation))
    await turn()
    await client.aclose()
    with pytest.raises(ClientClosedError):
        await waiting
    assert (phases.values, phases.completions) == ([Phase.COMPOSED, Phase.QUEUED], 1)
    assert (settled.values, settled.completions) == ([], 1)
    assert (pending.values, pending.completions) == ([2], 1)
    assert seen.values == [["x"], ["x", "new"]]
    assert (mutation.cancel(), server.waiting_calls) == (False, 0)
    del forgotten
    assert [each for each in caplog.messages if "nobody asked" in each] == []
    with pytest.raises(ClientClosedError):
        client.mutation("a:set")


# --- identity


async def test_write_queued_as_one_user_is_not_sent_as_another(server, no_tasks_left):
    """It is rejected and reported, its patch is rolled back, and the new user's writes go out."""
    async with server.client(auth_token="token-a", auth_subject="alice") as client:
        socket, (seen,), _ = await shown(server, client, "a:list", value=["x"])
        settled = Recorder()
        client.settled.subscribe(settled)
        await go_offline(server, client, socket)
        mutation = client.mutation("a:list", optimistic=adding("hers"))
        client.set_auth_token("token-b", "bob")
        other = client.mutation("a:set")
        await come_back(server)
        call = await server.call()
        assert (call.body["functionPath"], call.headers["authorization"]) == ("a:set", "Bearer token-b")
        call.reply({"result": 1})
        with pytest.raises(QueueError) as caught:
            await mutation
        assert caught.value.code == "OFFLINE_IDENTITY_CHANGED"
        assert await other == 1
        assert [(each.function, each.code) for each in settled.values] == [
            ("a:list", "OFFLINE_IDENTITY_CHANGED"),
            ("a:set", None),
        ]
        assert seen.last == ["x"]


async def test_write_queued_under_a_rotated_token_is_held_until_its_subject_is_confirmed(server, no_tasks_left):
    """A new token of nobody knows whom sends nothing; once the same user is named, the write goes out under it."""
    async with server.client(auth_token="token-1", auth_subject="alice") as client:
        await offline(server, client)
        mutation = client.mutation("a:set")
        client.set_auth_token("token-2")
        await come_back(server)
        probe = await server.call()
        assert (probe.request.url, probe.headers["authorization"]) == (
            "http://server.test/api/auth/get-session",
            "Bearer token-2",
        )
        probe.reply({}, status=404)
        await turn(50)
        assert (server.waiting_calls, client.pending.value, mutation.phases.latest) == (0, 1, Phase.QUEUED)
        client.set_auth_token("token-2", "alice")
        call = await server.call()
        assert call.headers["authorization"] == "Bearer token-2"
        call.reply({"result": 1})
        assert await mutation == 1


async def test_write_composed_during_a_replay_is_not_sent_as_another(server, no_tasks_left):
    """One that waits for a replay to end, while the user changes, belongs to the one who composed it."""
    async with server.client(auth_token="token-a", auth_subject="alice") as client:
        await offline(server, client)
        first = client.mutation("a:set", {"n": 1})
        await come_back(server)
        replay = await server.call()
        second = client.mutation("a:set", {"n": 2})
        client.set_auth_token("token-b", "bob")
        assert replay.headers["authorization"] == "Bearer token-a"
        replay.reply({"result": 1})
        assert await first == 1
        with pytest.raises(QueueError) as caught:
            await asyncio.wait_for(_await(second), 1)
        assert caught.value.code == "OFFLINE_IDENTITY_CHANGED"
        assert server.waiting_calls == 0


async def test_write_queued_signed_out_is_not_sent_once_somebody_signed_in(server, client):
    """A write of nobody is nobody's."""
    await offline(server, client)
    mutation = client.mutation("a:set")
    client.set_auth_token("token-a", "alice")
    await come_back(server)
    with pytest.raises(QueueError) as caught:
        await mutation
    assert caught.value.code == "OFFLINE_IDENTITY_CHANGED"


async def test_write_refused_for_its_credential_waits_for_another_token(server, no_tasks_left):
    """The refusal is told to ``token_expired``, and a new token of the same user sends the write."""
    async with server.client(auth_token="token-1", auth_subject="alice") as client:
        expired = Recorder()
        client.token_expired.subscribe(expired)
        await offline(server, client)
        mutation = client.mutation("a:set")
        await come_back(server)
        (await server.call()).refuse("TOKEN_EXPIRED")
        await until(lambda: expired.values)
        assert (expired.values, client.pending.value) == ([None], 1)
        client.set_auth_token("token-2", "alice")
        call = await server.call()
        assert call.headers["authorization"] == "Bearer token-2"
        call.reply({"result": 1})
        assert await mutation == 1


# --- at the edges


@pytest.mark.parametrize(("status", "body", "code"), [(503, b"<html>", "INTERNAL"), (429, b"", "TOO_MANY_REQUESTS")])
async def test_direct_write_that_was_answered_is_rejected_and_rolled_back(server, client, status, body, code):
    """Any answer to a direct write settles it; only silence makes it wait."""
    _, (seen,), _ = await shown(server, client, "a:list", value=["x"])
    mutation = client.mutation("a:list", optimistic=adding("new"))
    (await server.call()).reply(body, status=status)
    with pytest.raises(LunoraError) as caught:
        await mutation
    assert (caught.value.code, client.pending.value) == (code, 0)
    assert seen.values == [["x"], ["x", "new"], ["x"]]


async def test_write_kept_by_a_rate_limit_keeps_its_place_and_its_patch(server, client):
    """A kept write goes back to the front, its patch stays, and a later one waits behind it."""
    socket, (seen,), _ = await shown(server, client, "a:list", value=["x"])
    await go_offline(server, client, socket)
    first = client.mutation("a:list", {}, optimistic=adding("new"))
    await come_back(server)
    (await server.call()).reply({"error": {"code": "RATE_LIMITED", "message": "slow", "data": {"retryAfterMs": 30}}})
    await until(lambda: client.pending.value == 1)
    second = client.mutation("a:set")
    assert (second.phases.latest, client.pending.value, seen.last) == (Phase.QUEUED, 2, ["x", "new"])
    call = await server.call()
    assert [each["mutationId"] for each in call.body["calls"]] == [first.mutation_id, second.mutation_id]
    answer_batch(call, 1, 2)
    assert [await first, await second] == [1, 2]
    assert first.phases.latest is Phase.COMMITTED


async def test_verdicts_of_a_batch_are_each_its_own(server, client):
    """One write of a replay may be rejected while its neighbours are committed."""
    await offline(server, client)
    settled = Recorder()
    client.settled.subscribe(settled)
    mutations = [client.mutation("a:set", {"n": n}) for n in range(3)]
    await come_back(server)
    answer_batch(await server.call(), "r0", Exception("FORBIDDEN"), "r2")
    assert [await mutations[0], await mutations[2]] == ["r0", "r2"]
    with pytest.raises(ServerError, match="FORBIDDEN"):
        await mutations[1]
    assert [each.status for each in settled.values] == ["committed", "rejected", "committed"]


async def test_writes_of_another_shard_do_not_wait(server, client):
    """A shard that is down holds up its own writes only, and they name it when they are settled."""
    client.live("x:keep").subscribe(Recorder())
    await server.socket()
    client.live("x:keep", shard="other").subscribe(Recorder())
    socket = await server.socket()
    settled = Recorder()
    client.settled.subscribe(settled)
    server.refusal = TransportError("nobody there", transient=True)
    socket.cut()
    await turn(10)
    waiting, direct = client.mutation("a:set", shard="other"), client.mutation("a:set")
    assert (waiting.phases.latest, direct.phases.latest) == (Phase.QUEUED, Phase.SENT)
    (await server.call()).reply({"result": 1})
    assert await direct == 1
    await come_back(server)
    call = await server.call()
    assert call.body["shardKey"] == "other"
    call.reply({"result": 2})
    assert await waiting == 2
    assert [each.shard for each in settled.values] == ["other"]


async def test_patch_of_a_query_that_was_left_meanwhile_harms_nobody(server, client):
    """The verdict of a write whose live query is gone, or was asked for anew, changes nothing there."""
    live, seen, again = client.live("a:list"), Recorder(), Recorder()
    handle = live.subscribe(seen)
    socket, subscription = await server.subscribed()
    await socket.push("data", id=subscription, data=["x"], cursor=1, epoch="e")
    mutation = client.mutation("a:list", optimistic=adding("new"))
    handle.dispose()
    live.subscribe(again)
    await socket.expect("unsubscribe")
    await socket.push("data", id=await socket.subscription(), data=["y"], cursor=2, epoch="e")
    (await server.call()).refuse("FORBIDDEN")
    with pytest.raises(ServerError):
        await mutation
    assert (seen.values, again.values) == ([["x"], ["x", "new"]], [["y"]])


async def test_optimistic_value_reaches_a_query_that_follows_its_arguments(server, client):
    """A live query over an Observable of arguments shows patches of the one it follows."""
    live, seen = client.live("a:list", reactivex.just({"c": 1})), Recorder()
    live.subscribe(seen)
    socket, subscription = await server.subscribed()
    await socket.push("data", id=subscription, data=["x"], cursor=1, epoch="e")
    mutation = client.mutation("a:list", {"c": 1}, optimistic=adding("new"))
    assert (seen.values, live.value) == ([["x"], ["x", "new"]], ["x", "new"])
    assert live.snapshot.is_optimistic
    (await server.call()).refuse("FORBIDDEN")
    with pytest.raises(ServerError):
        await mutation
    assert (seen.last, live.snapshot.is_optimistic) == (["x"], False)


async def test_aclose_during_a_replay_fails_the_write_without_a_verdict(server, client):
    """Whether a write on its way was carried out is unknown: no phase and no settled event says so."""
    await offline(server, client)
    settled, phases, mutation = Recorder(), Recorder(), client.mutation("a:set")
    client.settled.subscribe(settled)
    mutation.phases.subscribe(phases)
    await come_back(server)
    call = await server.call()
    behind = client.mutation("a:set")
    await client.aclose()
    for each in (mutation, behind):
        with pytest.raises(ClientClosedError):
            await each
    assert call.was_given_up
    assert (phases.values, phases.completions) == ([Phase.COMPOSED, Phase.QUEUED, Phase.SENT], 1)
    assert (settled.values, settled.completions) == ([], 1)


async def test_debug_and_repr_count_writes(server, client):
    """A bug report shows how many writes wait and how many have no verdict."""
    await offline(server, client)
    client.mutation("a:set")
    assert (client.debug()["pending_writes"], client.debug()["open_mutations"]) == (1, 1)
    assert "1 writes" in repr(client)


# --- how far the replay has come


async def test_replay_progress_counts_what_is_taken_on_and_settled(server, client):
    """From the first write of a pass to the last verdict; late observers get where it stands."""
    seen = Recorder()
    client.replay.subscribe(seen)
    await offline(server, client)
    mutations = [client.mutation("a:set") for _ in range(2)]
    assert client.replay.value == ReplayProgress()
    await come_back(server)
    call = await server.call()
    assert client.replay.value == ReplayProgress(total=2, is_running=True)
    answer_batch(call, 1, 2)
    assert [await each for each in mutations] == [1, 2]
    assert seen.values[-1] == client.replay.value == ReplayProgress(total=2, settled=2)
    assert [each.settled for each in seen.values] == sorted(each.settled for each in seen.values)


async def test_replay_progress_says_what_was_kept(server, client):
    """A pass that the server puts off is over, and its writes wait again; ``aclose`` completes it."""
    await offline(server, client)
    client.mutation("a:set")
    await come_back(server)
    (await server.call()).reply({"error": {"code": "RATE_LIMITED", "data": {"retryAfterMs": 60_000}}}, status=429)
    await until(lambda: client.pending.value == 1)
    assert client.replay.value == ReplayProgress(total=1, kept=1)
    seen = Recorder()
    client.replay.subscribe(seen)
    await client.aclose()
    assert (seen.values, seen.completions) == ([ReplayProgress(total=1, kept=1)], 1)


# --- with a storage


async def test_mutation_with_a_storage_shows_its_patch_before_it_is_queued(server, no_tasks_left, tmp_path):
    """The screen does not wait for the disk; the phase does."""
    server.refusal = TransportError("nobody there", transient=True)
    async with server.client(storage=tmp_path, polling=None) as client:
        seen = Recorder()
        client.live("a:list").subscribe(seen)
        mutation = client.mutation(
            "a:set", optimistic_update=lambda store, _: store.set_query("a:list", None, ["mine"])
        )
        assert (seen.values, mutation.phases.latest, client.pending.value) == ([["mine"]], Phase.COMPOSED, 0)
        await until(lambda: mutation.phases.latest is Phase.QUEUED)
        assert (seen.values, client.pending.value) == ([["mine"]], 1)


async def test_mutation_with_a_storage_and_an_open_socket_goes_out_at_once(server, no_tasks_left, tmp_path):
    """Nothing is written for a write that does not wait."""
    async with server.client(storage=tmp_path) as client:
        await shown(server, client, "x:keep")
        mutation, seen = client.mutation("a:set"), Recorder()
        mutation.phases.subscribe(seen)
        (await server.call()).reply({"result": 1})
        assert await mutation == 1
    assert seen.values == DIRECT


async def test_mutation_direct_that_loses_its_reply_is_stored_before_it_is_sent_again(server, no_tasks_left, tmp_path):
    """With a storage as without: the same id, and the record goes with the verdict."""
    async with server.client(storage=tmp_path) as client:
        await shown(server, client, "x:keep")
        mutation, seen = client.mutation("a:set"), Recorder()
        mutation.phases.subscribe(seen)
        first = await server.call()
        first.break_off()
        second = await server.call()
        assert second.headers["x-lunora-mutation-id"] == first.headers["x-lunora-mutation-id"]
        assert [write.record.mutation_id for lane in browse(tmp_path) for write in lane.writes] == [
            mutation.mutation_id
        ]
        second.reply({"result": 1})
        assert await mutation == 1
    assert seen.values == [Phase.COMPOSED, Phase.SENT, Phase.QUEUED, Phase.SENT, Phase.COMMITTED]
    assert [write for lane in browse(tmp_path) for write in lane.writes] == []


async def test_write_under_way_at_the_end_of_the_client_is_told_of(server, caplog):
    """Nobody asks for it, and nobody else knows; one that waits on the disk is carried out by the next process."""
    async with server.client() as client:
        client.mutation("x:add", {"n": 1})
        await server.call()
    (record,) = caplog.records
    assert "closed with 1 writes under way" in record.getMessage()
    assert "'x:add'" in record.getMessage()


async def test_write_on_the_disk_at_the_end_of_the_client_is_not_told_of(server, caplog, tmp_path):
    """It is not lost."""
    server.refusal = TransportError("nobody there", transient=True)
    async with server.client(storage=tmp_path, reconnect=QUICK) as client:
        mutation = client.mutation("x:add", {"n": 1})
        await until(lambda: mutation.phases.latest is Phase.QUEUED)
    assert [each for each in caplog.records if "under way" in each.getMessage()] == []
