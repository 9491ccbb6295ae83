"""Codes that the client makes of calls: the situation that makes each, and what the caller is told."""

from __future__ import annotations

import pytest

from lunora_rx import (
    ClientClosedError,
    CodecError,
    Failed,
    LunoraError,
    Phase,
    RequestTimeout,
    ServerError,
    TransportError,
)
from lunora_rx.protocol.tags import TAG
from tests.coverage_of_protocol.offer import ADD, LIST
from tests.coverage_of_protocol.told import check_error, error_of

HTML = {"content-type": "text/html"}
UNDECODABLE = b'{"result":["%s","bigint","no"],"commitCursor":1}' % TAG.encode()


def answered(status, **headers):
    """Return the case of a call that is answered with a status and a page."""

    async def case(scene):
        client = await scene.client()
        scene.faults.fail_calls(status=status, body=b"<html>", headers={**HTML, **headers})
        error = await error_of(client.query(LIST))
        assert error.status == status
        return error

    return case


async def no_reply(scene):
    """A call whose connection breaks."""
    client = await scene.client()
    scene.faults.lose_replies()
    return await error_of(client.query(LIST))


async def late_reply(scene):
    """A call whose reply does not come in time."""
    client = await scene.client()
    scene.faults.delay_replies(5)
    return await error_of(client.query(LIST, timeout=0.05))


async def bad_args(scene):
    """A call that cannot be sent raises where it is made."""
    client = await scene.client()
    with pytest.raises(CodecError) as caught:
        client.query("rows:large", {"size": object()})
    assert caught.value.path == "args.size"
    return caught.value


async def cancelled_call(scene):
    """A call under way."""
    client = await scene.client()
    scene.faults.delay_replies(5)
    call = client.query(LIST)
    assert call.cancel()
    return await error_of(call)


async def large_batch(scene):
    """More calls than a batch holds are refused where it is made."""
    client = await scene.client()
    with pytest.raises(ServerError) as caught:
        client.batch([(LIST,)] * 501)
    return caught.value


async def undecodable_result(scene):
    """A query's result."""
    client = await scene.client()
    scene.faults.spoil_replies(body=UNDECODABLE)
    return await error_of(client.query(LIST))


async def undecodable_write(scene):
    """A write's result: it was carried out, and counts so."""
    client = await scene.client()
    scene.faults.spoil_replies(body=UNDECODABLE)
    write = client.mutation(ADD, {"n": 1})
    error = await error_of(write)
    assert (write.phases.latest, scene.runs) == (Phase.COMMITTED, [1])
    return error


async def undecodable_slot(scene):
    """A slot of a batch; the other has its value."""
    client = await scene.client()
    scene.faults.spoil_slots(0, body={"result": [TAG, "bigint", "no"]})
    bad, good = await client.batch([(LIST,), (LIST,)])
    assert isinstance(bad, Failed)
    assert good.value == []
    return bad.error


async def closed_use(scene):
    """Any use of a client that is closed."""
    client = await scene.client()
    await client.aclose()
    with pytest.raises(ClientClosedError) as caught:
        client.query(LIST)
    return caught.value


async def closed_call(scene):
    """A call under way."""
    client = await scene.client()
    scene.faults.delay_replies(5)
    call = client.query(LIST)
    await client.aclose()
    return await error_of(call)


CASES = {
    "INTERNAL": (answered(502), TransportError, True),
    "no code-network": (no_reply, TransportError, True),
    "no code-timeout": (late_reply, RequestTimeout, True),
    "no code-args": (bad_args, CodecError, False),
    "CANCELLED-call": (cancelled_call, LunoraError, False),
    "UNAUTHORIZED": (answered(401), ServerError, False),
    "FORBIDDEN": (answered(403), ServerError, False),
    "NOT_FOUND": (answered(404), ServerError, False),
    "BAD_REQUEST-status": (answered(418), ServerError, False),
    "BAD_REQUEST-batch": (large_batch, ServerError, False),
    "PAYLOAD_TOO_LARGE-call": (answered(413), ServerError, False),
    "TOO_MANY_REQUESTS": (answered(429), ServerError, False),
    "WIRE_DECODE_FAILED-result": (undecodable_result, CodecError, False),
    "WIRE_DECODE_FAILED-write": (undecodable_write, CodecError, False),
    "WIRE_DECODE_FAILED-slot": (undecodable_slot, CodecError, False),
    "CLIENT_CLOSED-use": (closed_use, ClientClosedError, False),
    "CLIENT_CLOSED-call": (closed_call, ClientClosedError, False),
}


@pytest.mark.parametrize("case", CASES)
async def test_code_of_a_call_is_told_by_its_class_and_code(scene, case):
    """Its class, its code, and whether trying again may help."""
    make, kind, transient = CASES[case]
    check_error(await make(scene), case, kind, transient=transient)


async def test_hint_of_an_unreadable_refusal_is_told_in_seconds(scene):
    """A limiter without an envelope says when to come back in a header."""
    error = await answered(429, **{"retry-after": "3"})(scene)
    assert (error.retry_after, error.is_rate_limited) == (3.0, True)
