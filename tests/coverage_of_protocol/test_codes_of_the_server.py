"""Every code that a server makes, refused by the embedded one: how the client tells it, and what becomes of a write."""

from __future__ import annotations

import pytest

from lunora_rx import Phase, ServerError, WireBigInt
from lunora_rx.devserver.refusals import status_of
from tests.coverage_of_protocol.scene import ANA
from tests.coverage_of_protocol.told import check_told, error_of, error_when_seen
from tests.coverage_of_protocol.wire import Wire
from tests.support import Recorder, until

RAISED = (
    "BAD_REQUEST",
    "VALIDATION_ERROR",
    "BAD_SUBSCRIPTION_ARGS",
    "UNPROCESSABLE",
    "WIRE_DECODE_FAILED",
    "NOT_FOUND",
    "FORBIDDEN",
    "FORBIDDEN_SHARD",
    "UNAUTHORIZED",
    "UNAUTHENTICATED",
    "TOKEN_EXPIRED",
    "IDENTITY_MISMATCH",
    "CONFLICT",
    "OUT_OF_ORDER",
    "RATE_LIMITED",
    "TOO_MANY_REQUESTS",
    "SHARD_ERROR",
    "SHARD_UNAVAILABLE",
    "TOO_MANY_SUBSCRIPTIONS",
    "SUBSCRIPTION_PERSIST_FAILED",
    "SHAPE_REQUIRES_CDC",
    "STREAM_INTERRUPTED",
    "PAYLOAD_TOO_LARGE",
    "REPLICA_READ_ONLY",
    "REPLICA_NOT_READY",
    "COUNT_RLS_UNSUPPORTED",
    "MASK_UNSUPPORTED",
    "RELATION_PREDICATE_UNSUPPORTED",
    "NOT_IMPLEMENTED",
    "INTERNAL",
    "INTERNAL_SERVER_ERROR",
    "ROOM_FULL",
)
"""Every code of the protocol's table, and one of an application."""

TRANSIENT = ("RATE_LIMITED", "TOO_MANY_REQUESTS", "SHARD_ERROR", "SHARD_UNAVAILABLE")
CREDENTIAL = ("UNAUTHORIZED", "UNAUTHENTICATED", "TOKEN_EXPIRED")
KEPT = (*TRANSIENT, *CREDENTIAL, "IDENTITY_MISMATCH")
REJECTED = tuple(code for code in RAISED if code not in KEPT)


@pytest.mark.parametrize("code", RAISED)
async def test_code_of_a_call_is_told_with_all_that_comes_with_it(scene, code):
    """Class, status, predicate, the decoded data, the hint, and the wait in seconds."""
    client = await scene.client()
    error = await error_of(client.query("codes:raise", {"code": code}))
    check_told(error, code)
    assert (error.status, error.message, error.hint) == (status_of(code), "no", "try it")
    assert (error.data, error.retry_after) == ({"retryAfterMs": 1500, "n": WireBigInt(7)}, 1.5)


@pytest.mark.parametrize("code", [each for each in RAISED if each != "TOKEN_EXPIRED"])
async def test_code_of_a_live_query_fails_it_and_leaves_it_registered(scene, code):
    """In an error frame it has no status, no data and no wait; another socket asks again."""
    client = await scene.client()
    live = client.live("codes:raise", {"code": code})
    live.snapshots.subscribe(Recorder())
    error = await error_when_seen(live)
    assert (type(error), error.code, error.message) == (ServerError, code, "no")
    assert (error.status, error.data, error.retry_after) == (None, None, None)
    scene.faults.drop_sockets()
    await until(lambda: scene.heard.count("subscribe") == 2)


@pytest.mark.parametrize("code", REJECTED)
async def test_queued_write_that_is_refused_with_a_verdict_is_settled(scene, code):
    """Once, with the code, and it is not sent again."""
    client, settled = await scene.cut_off(), Recorder()
    client.settled.subscribe(settled)
    write = await scene.queued(client)
    scene.faults.release()
    scene.faults.refuse_calls(code=code)
    check_told(await error_of(write), code)
    assert [(each.status, each.code) for each in settled.values] == [("rejected", code)]
    assert (client.pending.value, scene.runs, write.phases.latest) == (0, [], Phase.REJECTED)


async def replayed(scene, code):
    """Return a client whose queued write was refused once, the write, and the statuses of the replies so far."""
    scene.app.authenticate(lambda token: "ana")
    wire = Wire()
    client = await scene.cut_off(transport=wire, **ANA)
    write = await scene.queued(client)
    scene.faults.release()
    scene.faults.refuse_calls(code=code, data={"retryAfterMs": 20})
    await until(lambda: wire.statuses)
    return client, write, wire.statuses


@pytest.mark.parametrize("code", [*TRANSIENT, "IDENTITY_MISMATCH"])
async def test_queued_write_that_is_refused_for_now_is_kept_and_sent_again(scene, code):
    """When the server says; it is carried out once and settled once."""
    settled = Recorder()
    client, write, statuses = await replayed(scene, code)
    client.settled.subscribe(settled)
    await write
    assert (statuses[0], statuses[-1]) == (status_of(code), 200)
    assert [(each.status, each.code) for each in settled.values] == [("committed", None)]
    assert scene.runs == [1]


@pytest.mark.parametrize("code", CREDENTIAL)
async def test_queued_write_whose_credential_is_refused_is_held_for_another(scene, code):
    """Whoever watches is told once; with another token of the same user it goes out."""
    expired = Recorder()
    client, write, statuses = await replayed(scene, code)
    client.token_expired.subscribe(expired)
    await until(lambda: client.pending.value == 1)
    assert (statuses, write.is_settled, scene.runs) == ([401], False, [])
    client.set_auth_token("token-2", "ana")
    await write
    assert (statuses, scene.runs) == ([401, 200], [1])
