"""Calls over HTTP, in bodies and as a client sees them: results, refusals, batches, and writes that come twice."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest

from lunora_rx import LunoraClient, ServerError, WireBigInt
from lunora_rx.protocol import decode_wire, encode_wire
from lunora_rx.protocol.tags import TAG
from lunora_rx.protocol.values import UNDEFINED, WireBytes, WireDate, WireError, WireMap, WireSet, WireUrl
from tests.coverage_of_protocol.told import error_of
from tests.e2e.peer import batch, call, post

ANA = {"authorization": "Bearer token-ana"}
ADD = "rows:add"
NUMBERS = "rows:numbers"

VALUES = {
    "plain": {"a": [None, True, 1.5, "é\u2028", {}], "__proto__": 1},
    "bigint": [WireBigInt(0), WireBigInt(-(10**30))],
    "floats": [float("inf"), float("-inf")],
    "undefined": [UNDEFINED, 1],
    "date": [datetime(2026, 1, 2, 3, 4, 5, 6000, UTC), WireDate(float("nan")), WireDate(8.64e15)],
    "url": WireUrl("HTTP://Example.test/%7e/../x"),
    "map": WireMap([("1", 1), (1, 2), (True, 3), (WireBigInt(1), 4), (None, 5), ({"k": 1}, 6)]),
    "set": WireSet([1, "1", WireBigInt(1), float("nan"), [1], [1]]),
    "bytes": [b"", b"\x00\xff\x10", WireBytes(b"\x00" * 8, "Float64Array"), WireBytes(b"abc", "ArrayBuffer")],
    "error": WireError("TypeError", "no such row", {"row": "r1", "n": WireBigInt(3)}, WireError("E", "why", {})),
    "tagged": [TAG, "future", [TAG]],
}
UNREADABLE = {
    "bigint": [TAG, "bigint", "1.5"],
    "bigint of a number": [TAG, "bigint", 7],
    "date of a text": [TAG, "date", "2026"],
    "date of a bigint": [TAG, "date", [TAG, "bigint", "1"]],
    "url without a scheme": [TAG, "url", "/x"],
    "map of triples": [TAG, "map", [[1, 2, 3]]],
    "set of nothing": [TAG, "set"],
    "base64 with loose bits": [TAG, "bytes", "AB=="],
    "base64 without padding": [TAG, "bytes", "AAE"],
    "bytes of a wrong length": [TAG, "bytes", "AAAA", "Float32Array"],
    "error without props": [TAG, "error", "E", "m"],
}


@pytest.mark.parametrize("kind", VALUES)
async def test_value_of_each_kind_goes_through_the_server_unchanged(origin, kind):
    """As an argument, as a field of a row, and as a result."""
    wire = encode_wire(VALUES[kind])
    assert (await call(origin, "values:echo", {"value": wire}))[1] == {"result": wire}
    await call(origin, "values:keep", {"value": wire})
    assert (await call(origin, "values:list"))[1] == {"result": [wire]}


@pytest.mark.parametrize("kind", UNREADABLE)
async def test_argument_that_cannot_be_decoded_refuses_the_call(origin, kind):
    """With a verdict: it was not carried out."""
    status, body = await call(origin, "values:keep", {"value": UNREADABLE[kind]})
    assert (status, body["error"]["code"]) == (400, "WIRE_DECODE_FAILED")
    assert (await call(origin, "values:list"))[1] == {"result": []}


@pytest.mark.parametrize("wire", [[TAG], [TAG, "undefined "], [TAG, ["nan"], 1], [TAG, None]], ids=str)
async def test_array_with_an_unknown_tag_goes_out_under_arr(origin, wire):
    """It is an ordinary array, of whatever it holds."""
    assert (await call(origin, "values:echo", {"value": wire}))[1] == {"result": [TAG, "arr", encode_inner(wire)]}


async def test_value_nested_to_the_limit_passes_and_one_deeper_is_refused(origin):
    """The arguments are at depth 0, the value at depth 1."""
    deepest = [TAG, "nan"]
    for _ in range(63):
        deepest = [deepest]
    assert (await call(origin, "values:echo", {"value": deepest}))[1] == {"result": deepest}
    _, body = await call(origin, "values:echo", {"value": [deepest]})
    assert body["error"]["code"] == "WIRE_DECODE_FAILED"


async def test_write_has_a_commit_cursor_that_grows_and_a_read_has_none(origin):
    """It is an integer."""
    cursors = [(await call(origin, ADD, {"n": number}))[1]["commitCursor"] for number in range(3)]
    assert cursors == sorted(set(cursors))
    assert (await call(origin, NUMBERS)) == (200, {"result": [0, 1, 2]})


async def test_action_carries_writes_out_and_has_their_results(origin):
    """One after the other."""
    _, body = await call(origin, "rows:add_two")
    ids = [row["_id"] for row in (await call(origin, "rows:list"))[1]["result"]]
    assert body == {"result": ids}


async def test_write_that_is_refused_leaves_nothing_and_tells_code_and_data(origin):
    """What it had written before is rolled back."""
    async with LunoraClient(origin) as client:
        error = await error_of(client.mutation("codes:refuse", {"code": "ROOM_FULL"}))
        assert await client.query(NUMBERS) == []
    assert (type(error), error.code, error.data, error.status) == (ServerError, "ROOM_FULL", {"n": WireBigInt(7)}, 400)


@pytest.mark.parametrize(
    ("function", "args", "status", "code"),
    [
        ("rows:none", {}, 404, "NOT_FOUND"),
        ("rows:all", {}, 404, "NOT_FOUND"),
        ("rows:echo", {"n": "one"}, 400, "VALIDATION_ERROR"),
        ("rows:broken", {}, 500, "INTERNAL"),
        ("codes:raise", {"code": "CONFLICT"}, 409, "CONFLICT"),
        ("codes:raise", {"code": "UNAUTHENTICATED"}, 401, "UNAUTHENTICATED"),
        ("codes:raise", {"code": "RATE_LIMITED"}, 429, "RATE_LIMITED"),
        ("codes:raise", {"code": "SHARD_UNAVAILABLE"}, 503, "SHARD_UNAVAILABLE"),
    ],
    ids=str,
)
async def test_call_that_is_refused_has_the_status_of_its_code(origin, function, args, status, code):
    """For whoever cannot read the envelope."""
    answered, body = await call(origin, function, args)
    assert (answered, body["error"]["code"]) == (status, code)


@pytest.mark.parametrize("path", ["/_lunora/rpc", "/_lunora/rpc-batch"])
@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "WIRE_DECODE_FAILED"),
        (b"{", "WIRE_DECODE_FAILED"),
        (b"[]", "BAD_REQUEST"),
        (b"null", "BAD_REQUEST"),
        (b'{"functionPath": 1, "calls": 1}', "BAD_REQUEST"),
    ],
)
async def test_body_that_is_no_call_is_refused(origin, path, body, code):
    """With an envelope: what is no JSON is not the same as JSON that is no call."""
    status, answer, _ = await post(origin, path, body)
    assert (status, answer["error"]["code"]) == (400, code)


async def test_body_of_a_mebibyte_is_taken(origin):
    """Every server takes as much."""
    value = "x" * (2**20 - 200)
    assert (await call(origin, "values:echo", {"value": value}))[1] == {"result": value}


async def test_bearer_says_who_calls_and_a_bad_one_is_refused(origin):
    """No bearer is nobody."""
    assert (await call(origin, "rows:mine", **ANA))[1] == {"result": "of ana"}
    status, body = await call(origin, "rows:mine", authorization="Bearer token-of-nobody")
    assert (status, body["error"]["code"]) == (401, "UNAUTHORIZED")


async def test_replay_for_another_subject_is_not_carried_out(origin):
    """The header of a replay names whose write it is."""
    expected = base64.urlsafe_b64encode(b'{"subject":"ana"}').decode().rstrip("=")
    status, body = await call(origin, ADD, {"n": 1}, mutation_id="m", x_lunora_expect_subject=expected)
    assert (status, body["error"]["code"]) == (409, "IDENTITY_MISMATCH")
    assert (await call(origin, NUMBERS))[1] == {"result": []}


async def test_write_that_comes_twice_is_carried_out_once_and_answered_the_same(origin):
    """Singly, and again in a batch."""
    first = await call(origin, ADD, {"n": 1}, mutation_id="m1")
    assert await call(origin, ADD, {"n": 1}, mutation_id="m1") == first
    again = {"functionPath": ADD, "args": {"n": 1}, "mutationId": "m1", "clientId": "peer"}
    assert await batch(origin, again, again) == [first[1]] * 2
    assert (await call(origin, NUMBERS))[1] == {"result": [1]}


async def test_mutation_id_of_another_client_or_user_is_another_write(origin):
    """Ids live within the user's namespace, the client's where nobody is signed in."""
    for headers in ({}, {"client_id": "other"}, ANA, {**ANA, "client_id": "other"}):
        await call(origin, ADD, {"n": 1}, mutation_id="m1", **headers)
    assert (await call(origin, NUMBERS))[1] == {"result": [1, 1, 1]}


async def test_write_that_was_refused_may_be_tried_again_under_its_id(origin):
    """Nothing was written, so nothing is remembered."""
    status, body = await call(origin, "rows:set", {"id": "none", "n": 1}, mutation_id="m1")
    assert (status, body["error"]["code"]) == (404, "NOT_FOUND")
    assert (await call(origin, ADD, {"n": 1}, mutation_id="m1"))[0] == 200


async def test_batch_carries_its_calls_out_in_order_each_for_itself(origin):
    """Reads see the writes before them; a bad slot harms no other, and every slot has a result or an error."""
    slots = await batch(
        origin,
        {"functionPath": ADD, "args": {"n": 1}},
        {"functionPath": NUMBERS},
        {"functionPath": "rows:none"},
        {"functionPath": ADD, "args": 7},
        {"functionPath": "values:echo"},
        {"functionPath": ADD, "args": {"n": 2}},
        {"functionPath": NUMBERS},
    )
    assert [slots[1], slots[6]] == [{"result": [1]}, {"result": [1, 2]}]
    assert slots[0]["commitCursor"] < slots[5]["commitCursor"]
    assert [slots[2]["error"]["code"], slots[3]["error"]["code"]] == ["NOT_FOUND", "BAD_REQUEST"]


async def test_shards_are_apart_and_the_default_one_tells_its_name(origin):
    """The name leads to the same shard."""
    async with LunoraClient(origin) as client:
        await client.mutation(ADD, {"n": 1})
        await client.mutation(ADD, {"n": 2}, shard="room")
        _, _, headers = await post(origin, "/_lunora/rpc", {"functionPath": NUMBERS})
        shards = [None, "", headers["x-lunora-shard-key"], "room"]
        assert [await client.query(NUMBERS, shard=shard) for shard in shards] == [[1], [1], [1], [2]]


@pytest.mark.parametrize(("shards", "is_told"), [(["room"], False), (["room", ""], True), ([None], True)], ids=str)
async def test_batch_with_a_call_of_the_default_shard_tells_its_name(origin, shards, is_told):
    """As a single call does."""
    calls = [{"functionPath": NUMBERS, "args": {}, "id": 0} | ({"shardKey": each} if each else {}) for each in shards]
    _, _, headers = await post(origin, "/_lunora/rpc-batch", {"calls": calls})
    assert ("x-lunora-shard-key" in headers) is is_told


async def test_session_of_a_bearer_is_told(origin):
    """For clients that ask who is signed in."""
    async with LunoraClient(origin, auth_token="token-ana") as client:
        assert (await client.current_user()).id == "ana"
    async with LunoraClient(origin) as client:
        assert await client.current_user() is None


def encode_inner(wire):
    """What an array with an unknown tag holds, written again."""
    decoded = decode_wire(wire)
    return encode_wire(decoded)[2]
