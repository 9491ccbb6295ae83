"""The codes that the embedded server refuses calls with by itself, each where the protocol says."""

from __future__ import annotations

import aiohttp
import pytest

from lunora_rx import QueueError, ServerError
from lunora_rx.devserver import App, AppError, Limits
from lunora_rx.protocol.tags import TAG
from tests.coverage_of_protocol.offer import ADD, LIST
from tests.coverage_of_protocol.scene import serving
from tests.coverage_of_protocol.told import check_told, error_of, error_when_seen
from tests.coverage_of_protocol.wire import Wire
from tests.support import Recorder, until

COOKIE = {"lunora_session": "cookie-of-ana"}


async def bad_request(scene):
    """A body that is no call."""
    wire = Wire()
    client = await scene.client(transport=wire)
    wire.change_body = lambda body: b"[]"
    return await error_of(client.query(LIST))


async def validation_error(scene):
    """Arguments that do not fit; the error says which."""
    client = await scene.client()
    error = await error_of(client.query("rows:large", {"size": "big"}))
    assert error.data["argument"] == "size"
    return error


async def undecodable_call(scene):
    """Arguments that the server cannot decode: the call was not carried out, and it is no fault of the codec here."""
    wire = Wire()
    client = await scene.client(transport=wire)
    wire.change_body = lambda body: body.replace(b'{"n":1}', b'{"n":["%s","bigint","no"]}' % TAG.encode())
    error = await error_of(client.mutation(ADD, {"n": 1}))
    assert scene.runs == []
    return error


async def not_found(scene):
    """A function that there is not, called, watched and streamed."""
    client = await scene.client()
    watched = await error_when_seen(client.live("rows:none"))
    streamed = await error_when_seen(client.stream("rows:none"))
    shaped = await error_when_seen(client.shape("rows:none"))
    assert {type(each) for each in (watched, streamed, shaped)} == {ServerError}
    assert {each.code for each in (watched, streamed, shaped)} == {"NOT_FOUND"}
    return await error_of(client.query("rows:none"))


async def forbidden(scene):
    """A cookie without the server's own origin: the client was not told that it carries one."""
    async with aiohttp.ClientSession(cookies=COOKIE) as session:
        client = await scene.client(transport=Wire(session))
        error = await error_of(client.query(LIST))
        await client.aclose()
    return error


async def unauthorized(scene):
    """A token that nobody knows."""
    scene.app.authenticate(lambda token: None)
    client = await scene.client(auth_token="token-of-nobody")
    return await error_of(client.query(LIST))


async def unauthenticated(scene):
    """A check of tokens that chooses the code."""
    return await refused_by_authenticate(scene, "UNAUTHENTICATED")


async def token_expired(scene):
    """A socket with an expired token: whoever watches is told, and another token opens it; and a call with one."""
    scene.app.authenticate(lambda token: "ana" if token == "good" else None)
    client, expired, seen = await scene.client(ws_token="old"), Recorder(), Recorder()
    client.token_expired.subscribe(expired)
    client.live(LIST).subscribe(seen)
    await until(lambda: expired.values)
    client.set_ws_token("good")
    await until(lambda: seen.values)
    assert (expired.last, seen.values, seen.errors) == ("", [[]], [])
    return await refused_by_authenticate(scene, "TOKEN_EXPIRED")


async def conflict(scene):
    """An id that is taken."""
    client = await scene.client()
    await client.mutation(ADD, {"n": 1, "_id": "r1"})
    return await error_of(client.mutation(ADD, {"n": 2, "_id": "r1"}))


async def rate_limited(scene):
    """A limiter that says when to come back in the header alone."""
    client = await scene.client()
    scene.faults.limit_calls(retry_after=2, code="RATE_LIMITED")
    error = await error_of(client.query(LIST))
    assert error.retry_after == 2.0
    return error


async def too_many_requests(scene):
    """A limiter: the wait of the envelope counts, not the header's."""
    client = await scene.client()
    scene.faults.limit_calls(retry_after=9, retry_after_ms=250)
    error = await error_of(client.query(LIST))
    assert error.retry_after == 0.25
    return error


async def shard_error(scene):
    """A database that refuses."""
    client = await scene.client()
    return await error_of(client.query("codes:locked"))


async def shard_unavailable(scene):
    """A slot of a batch whose shard is away; the other slot has its value."""
    client = await scene.client()
    scene.faults.refuse_slots(0)
    refused, given = await client.batch([(LIST,), (LIST,)])
    assert given.value == []
    return refused.error


async def payload_too_large(scene):
    """A body above the server's limit."""
    async with serving(App(limits=Limits(body_size=2000)), scene.heard) as small:
        return await error_of((await small.client()).query("rows:large", {"size": 1, "more": "x" * 3000}))


async def internal(scene):
    """A function with a bug."""
    client = await scene.client()
    return await error_of(client.query("codes:fail"))


async def refused_by_authenticate(scene, code):
    """Return the error of a call whose token the app refuses with a code."""

    def authenticate(token):
        raise AppError(code, "no")

    scene.app.authenticate(authenticate)
    client = await scene.client(auth_token="token-of-old")
    return await error_of(client.query(LIST))


CASES = {
    "BAD_REQUEST": bad_request,
    "VALIDATION_ERROR": validation_error,
    "WIRE_DECODE_FAILED": undecodable_call,
    "NOT_FOUND": not_found,
    "FORBIDDEN": forbidden,
    "UNAUTHORIZED": unauthorized,
    "UNAUTHENTICATED": unauthenticated,
    "TOKEN_EXPIRED": token_expired,
    "CONFLICT": conflict,
    "RATE_LIMITED": rate_limited,
    "TOO_MANY_REQUESTS": too_many_requests,
    "SHARD_ERROR": shard_error,
    "SHARD_UNAVAILABLE": shard_unavailable,
    "PAYLOAD_TOO_LARGE": payload_too_large,
    "INTERNAL": internal,
}


@pytest.mark.parametrize("code", CASES)
async def test_call_that_the_server_refuses_by_itself_is_told(scene, code):
    """In the situation that the protocol names for the code."""
    check_told(await CASES[code](scene), code)


async def test_replay_into_the_session_of_somebody_else_is_not_carried_out(scene):
    """IDENTITY_MISMATCH: the cookie changes hands in the last moment; the client asks, and gives the write up."""
    sessions = scene.app.sessions
    sessions["cookie-of-ana"] = "ana"
    async with aiohttp.ClientSession(cookies=COOKIE) as session:
        wire = Wire(session)
        client = await scene.cut_off(transport=wire, cookie_auth=True)
        write = await scene.queued(client)
        wire.change_body = lambda body: sessions.update({"cookie-of-ana": "bo"}) or body
        scene.faults.release()
        error = await error_of(write)
        await client.aclose()
    assert (wire.statuses[0], scene.runs) == (409, [])
    assert (type(error), error.code) == (QueueError, "OFFLINE_IDENTITY_CHANGED")
