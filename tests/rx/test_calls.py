"""One-shot results: made once, shown to all, awaited any number of times."""

from __future__ import annotations

import asyncio
import gc
import threading

import pytest
from reactivex import Observable

from lunora_rx import Call, ClientClosedError, Failed, LunoraError, Mutation, Ok, Phase, ServerError
from lunora_rx.rx.calls import Phases
from lunora_rx.rx.subject import Latest, Signal
from tests.support import Recorder, turn, until


async def test_call_runs_once_however_many_observers_come(server, client):
    """The call is made when its object is, once, and each observer gets the result and the end."""
    call = client.query("a:b", {"n": 1})
    seen = [Recorder(), Recorder()]
    for each in seen:
        call.subscribe(each)
    request = await server.call()
    request.reply({"result": 5})
    assert await call == 5
    assert [(each.values, each.completions) for each in seen] == [([5], 1)] * 2
    assert server.waiting_calls == 0
    assert request.body == {"functionPath": "a:b", "args": {"n": 1}}


async def test_call_late_observer_gets_result_and_end(server, client):
    """The result is replayed, synchronously."""
    call = client.query("a:b")
    (await server.call()).reply({"result": None})
    await call
    late = Recorder()
    call.subscribe(late)
    assert (late.values, late.completions) == ([None], 1)


async def test_call_awaited_many_times_gives_the_same_result(server, client):
    """Awaiting is repeatable, at once and again later."""
    call = client.query("a:b")
    waiting = [asyncio.create_task(_await(call)) for _ in range(3)]
    (await server.call()).reply({"result": [1]})
    assert await asyncio.gather(*waiting) == [[1]] * 3
    assert await call == [1]


async def test_call_failed_raises_a_new_exception_each_time(server, client):
    """Exceptions are not shared: their tracebacks and causes would mix."""
    call = client.query("a:b")
    (await server.call()).refuse("FORBIDDEN", "not you")
    errors = []
    for _ in range(2):
        with pytest.raises(ServerError) as caught:
            await call
        errors.append(caught.value)
    late = Recorder()
    call.subscribe(late)
    errors += late.errors
    assert len({id(each) for each in errors}) == 3
    assert {(each.code, each.message, each.status) for each in errors} == {("FORBIDDEN", "not you", 400)}
    assert late.errors[0].__traceback__ is None


async def test_call_cancelled_task_detaches_that_awaiter_only(server, client):
    """Cancelling who awaits leaves the call and the others."""
    call = client.query("a:b")
    gone, stays = asyncio.create_task(_await(call)), asyncio.create_task(_await(call))
    request = await server.call()
    gone.cancel()
    await asyncio.wait([gone])
    assert not request.was_given_up
    request.reply({"result": 1})
    assert await stays == 1


async def test_call_disposed_observer_detaches_that_one_only(server, client):
    """Disposing an observer does not give the call up."""
    call, gone, stays = client.query("a:b"), Recorder(), Recorder()
    handle = call.subscribe(gone)
    call.subscribe(stays)
    handle.dispose()
    (await server.call()).reply({"result": 1})
    await call
    assert (gone.values, stays.values) == ([], [1])


async def test_call_cancel_gives_it_up_for_everybody(server, client):
    """``cancel`` ends the request, and whoever waits learns why; a second time there is nothing to cancel."""
    call = client.query("a:b")
    waiting, seen = asyncio.create_task(_await(call)), Recorder()
    call.subscribe(seen)
    request = await server.call()
    assert call.cancel() is True
    with pytest.raises(LunoraError) as caught:
        await waiting
    assert type(caught.value) is LunoraError
    assert caught.value.code == seen.errors[0].code == "CANCELLED"
    await until(lambda: request.was_given_up)
    assert call.cancel() is False


async def test_call_cancel_after_the_result_changes_nothing(server, client):
    """A settled call stays what it is."""
    call = client.query("a:b")
    (await server.call()).reply({"result": 1})
    assert await call == 1
    assert call.cancel() is False
    assert await call == 1


async def test_call_failed_unobserved_is_logged(server, client, caplog):
    """A failure that nobody ever asks for does not pass in silence."""
    client.query("a:b")
    (await server.call()).refuse("FORBIDDEN")
    await until(lambda: caplog.messages)
    assert caplog.messages == ["query 'a:b' failed and nobody asked: FORBIDDEN: no"]


@pytest.mark.parametrize("look", ["await", "subscribe", "cancel", "close"])
async def test_call_failed_and_seen_is_not_logged(server, client, caplog, look):
    """A failure that somebody saw, caused or could expect is not logged."""
    call = client.query("a:b")
    request = await server.call()
    if look == "subscribe":
        call.subscribe(Recorder())
    if look == "cancel":
        call.cancel()
    elif look == "close":
        await client.aclose()
    else:
        request.refuse("FORBIDDEN")
        await until(lambda: call.is_settled)
    if look == "await":
        with pytest.raises(ServerError):
            await call
    call = None
    await turn()
    gc.collect()
    assert caplog.messages == []


async def test_call_client_closes_fails_it(server, client):
    """A call under way fails with the client, and its request is given up."""
    call = client.query("a:b")
    request = await server.call()
    await client.aclose()
    with pytest.raises(ClientClosedError):
        await call
    assert request.was_given_up
    assert call.cancel() is False


async def test_call_under_way_on_another_loop_says_what_to_do(server, client):
    """Awaiting, watching or cancelling from another thread is refused instead of hanging."""
    call, errors = client.query("a:b"), []

    def elsewhere():
        for attempt in (lambda: asyncio.run(_await(call)), call.cancel, lambda: call.subscribe(print)):
            try:
                attempt()
            except RuntimeError as error:
                errors.append(str(error))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    await until(lambda: not thread.is_alive())
    assert [("call_soon_threadsafe" in each) for each in errors] == [True] * 3
    (await server.call()).reply({"result": 1})
    assert await call == 1


async def test_call_is_shown_without_its_arguments(server, client):
    """``repr`` names the function and the state."""
    call = client.action("a:b", {"secret": "canary"})
    assert repr(call) == "<Call action 'a:b' pending>"
    (await server.call()).reply({"result": 1})
    await call
    assert repr(call) == "<Call action 'a:b' done>"


async def test_call_result_that_cannot_be_decoded_is_a_codec_error(server, client):
    """A reply that the server gave and we cannot read says so."""
    call = client.query("a:b")
    (await server.call()).reply({"result": ["$lunora.wire$", "bigint", "nonsense"]})
    with pytest.raises(LunoraError) as caught:
        await call
    assert caught.value.code == "WIRE_DECODE_FAILED"


async def test_mutation_goes_through_its_phases(server, client):
    """Composed and sent when made, committed with the reply; late observers see all of it."""
    mutation = client.mutation("a:set", {"n": 1})
    early, late = Recorder(), Recorder()
    mutation.phases.subscribe(early)
    request = await server.call()
    request.reply({"result": "ok", "commitCursor": 4})
    assert await mutation == "ok"
    mutation.phases.subscribe(late)
    expected = [Phase.COMPOSED, Phase.SENT, Phase.COMMITTED]
    assert (early.values, early.completions, late.values, late.completions) == (expected, 1, expected, 1)
    assert request.headers["x-lunora-mutation-id"] == mutation.mutation_id


async def test_mutation_refused_ends_rejected(server, client):
    """A refusal is the last phase."""
    mutation, seen = client.mutation("a:set"), Recorder()
    mutation.phases.subscribe(seen)
    (await server.call()).refuse("CONFLICT")
    with pytest.raises(ServerError):
        await mutation
    assert (seen.values[-1], seen.completions) == (Phase.REJECTED, 1)


async def test_mutation_client_closes_has_no_verdict(server, client):
    """Whether a write in flight was carried out is unknown: its phases end where they were."""
    mutation, seen = client.mutation("a:set"), Recorder()
    mutation.phases.subscribe(seen)
    await server.call()
    await client.aclose()
    with pytest.raises(ClientClosedError):
        await mutation
    assert (seen.values, seen.completions) == ([Phase.COMPOSED, Phase.SENT], 1)


async def test_mutation_cancel_once_sent_is_too_late(server, client):
    """The fate of a write that was sent is the server's."""
    mutation = client.mutation("a:set")
    request = await server.call()
    assert mutation.cancel() is False
    request.reply({"result": 1})
    assert await mutation == 1


async def test_mutation_id_of_the_caller_is_sent(server, client):
    """One's own idempotency key goes out as it is."""
    mutation = client.mutation("a:set", mutation_id="my-key")
    request = await server.call()
    assert (mutation.mutation_id, request.headers["x-lunora-mutation-id"]) == ("my-key", "my-key")
    request.reply({"result": 1})
    await mutation


async def test_mutation_timeout_around_the_await_leaves_it_on_its_way(server, client):
    """A caller that gives up waiting does not give the write up."""
    mutation = client.mutation("a:set")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(_await(mutation), 0.01)
    (await server.call()).reply({"result": 1})
    assert await mutation == 1


async def test_batch_gives_each_call_its_slot_in_order(server, client):
    """Slots come back in any order and are given in that of the calls; a missing one is an error."""
    batch = client.batch([("a:one", {"n": 1}), ("a:two",), ("a:three", None, "shard")])
    request = await server.call()
    assert [each["functionPath"] for each in request.body["calls"]] == ["a:one", "a:two", "a:three"]
    assert request.body["calls"][2]["shardKey"] == "shard"
    slots = [
        {"id": 1, "body": {"error": {"code": "FORBIDDEN", "message": "no"}}},
        {"id": 0, "body": {"result": "first"}},
    ]
    request.reply({"results": slots})
    first, second, third = await batch
    assert first == Ok("first")
    assert isinstance(second, Failed)
    assert (second.error.code, third.error.code, third.error.transient) == ("FORBIDDEN", None, True)


async def test_batch_empty_needs_no_request(server, client):
    """No calls, no request."""
    assert await client.batch([]) == []
    assert server.waiting_calls == 0


async def test_batch_of_too_many_is_refused_at_once(server, client):
    """501 calls are one too many, and nothing is sent."""
    with pytest.raises(ServerError, match="500") as caught:
        client.batch([("a:b",)] * 501)
    assert caught.value.code == "BAD_REQUEST"
    await turn()
    assert server.waiting_calls == 0


@pytest.mark.parametrize("path", ["__lunora_relation__:load", "__lunora_admin__:tables"])
async def test_batch_of_what_cannot_be_batched_is_refused_at_the_call(server, client, path):
    """The error names the call, and nothing is sent."""
    with pytest.raises(ServerError, match=r"call 1.*cannot be batched") as refused:
        client.batch([("a:b",), (path,)])
    assert refused.value.code == "BAD_REQUEST"
    assert client.debug()["calls_in_flight"] == 0


async def test_batch_failed_as_a_whole_raises(server, client):
    """A reply that is no batch fails all of it."""
    batch = client.batch([("a:b",)])
    (await server.call()).refuse("UNAUTHORIZED")
    with pytest.raises(ServerError, match="UNAUTHORIZED"):
        await batch


@pytest.mark.parametrize("calls", [["a:b"], [("a:b", {}, None, 1)], [()], "a:b", 5])
async def test_batch_of_something_else_names_the_entry(server, client, calls):
    """What is no call says which and what is expected, and nothing is sent."""
    with pytest.raises(TypeError, match=r"batch\(\)"):
        client.batch(calls)
    assert server.waiting_calls == 0


def test_call_and_its_like_override_no_method_of_observable():
    """None of our names hides one of an Observable's many."""
    for kind in (Call, Mutation, Phases, Latest, Signal):
        ours = {name for name in vars(kind) if not name.startswith("_")}
        assert ours & set(dir(Observable)) == set()


async def _await(call):
    return await call
