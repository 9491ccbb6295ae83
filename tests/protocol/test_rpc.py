"""Bodies, replies and verdicts of calls, by the tables of the protocol."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lunora_rx.errors import ClientClosedError, CodecError, LunoraError, ProtocolError, ServerError, TransportError
from lunora_rx.protocol.rpc import (
    MAX_BATCH_ENTRIES,
    Accepted,
    HttpReply,
    Outcome,
    Refused,
    RpcCall,
    Verdict,
    decode_batch,
    decode_batch_reply,
    decode_call,
    decode_reply,
    encode_batch,
    encode_call,
    encode_outcome,
    verdict_of,
)
from lunora_rx.protocol.values import UNDEFINED, WireBigInt
from lunora_rx.protocol.wire import TAG

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
UNREADABLE = [b"", b"<html>busy</html>", b"null", b"[]", b'"text"', b"5", b"\xff"]


def reply(body: Any = None, status: int = 200, **headers: str) -> HttpReply:
    """Return what came back; a body that is no bytes is written as JSON."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    return HttpReply(status, named, content, NOW.timestamp())


def error_of(outcome: Outcome | None) -> LunoraError:
    """Return why an outcome is a failure."""
    assert isinstance(outcome, Refused)
    return outcome.error


# --- requests


@pytest.mark.parametrize(
    ("call", "body"),
    [
        (RpcCall("m:list"), {"args": {}, "functionPath": "m:list"}),
        (RpcCall("m:list", {"n": 1}, ""), {"args": {"n": 1}, "functionPath": "m:list"}),
        (RpcCall("m:list", {}, "room"), {"args": {}, "functionPath": "m:list", "shardKey": "room"}),
    ],
)
def test_call_is_written_and_read_back(call, body):
    """The default shard is never named; keys of a write travel in headers."""
    assert orjson.loads(encode_call(call)) == body
    assert decode_call(encode_call(call)) == call
    assert orjson.loads(encode_call(RpcCall("m:w", mutation_id="m", client_id="c", baseline=1))) == {
        "args": {},
        "functionPath": "m:w",
    }


@pytest.mark.parametrize("args", [{}, {"args": None}, {"args": {}}])
def test_call_without_arguments_has_none(args):
    """Missing, null and empty are the same."""
    assert decode_call(orjson.dumps({"functionPath": "m:list", **args})) == RpcCall("m:list")


@pytest.mark.parametrize(
    ("body", "error", "named"),
    [
        (b"", CodecError, "JSON"),
        (b"[]", ProtocolError, "object"),
        (b"{}", ProtocolError, "functionPath"),
        (b'{"functionPath":5}', ProtocolError, "functionPath"),
        (b'{"functionPath":"m:l","args":[]}', ProtocolError, "args"),
        (b'{"functionPath":"m:l","shardKey":5}', ProtocolError, "shardKey"),
        (b'{"functionPath":"m:l","mutationId":5}', ProtocolError, "mutationId"),
        (b'{"functionPath":"m:l","clientId":[]}', ProtocolError, "clientId"),
        (b'{"functionPath":"m:l","baselineSeq":"1"}', ProtocolError, "baselineSeq"),
        (b'{"functionPath":"m:l","baselineSeq":true}', ProtocolError, "baselineSeq"),
    ],
)
def test_body_that_is_no_call_is_refused_by_the_field(body, error, named):
    """Nothing is coerced."""
    with pytest.raises(error, match=named):
        decode_call(body)


def test_batch_is_written_with_the_place_of_each_call():
    """Optional keys without a value are absent."""
    calls = [RpcCall("m:list", {"n": 1}), RpcCall("m:w", {}, "room", "m-1", "c-1", 3)]
    assert orjson.loads(encode_batch(calls)) == {
        "calls": [
            {"functionPath": "m:list", "args": {"n": 1}, "id": 0},
            {
                "functionPath": "m:w",
                "args": {},
                "id": 1,
                "mutationId": "m-1",
                "clientId": "c-1",
                "shardKey": "room",
                "baselineSeq": 3,
            },
        ]
    }
    assert decode_batch(encode_batch(calls)) == list(enumerate(calls))


def test_batch_gives_each_slot_its_id_and_bad_ones_their_reason():
    """One unusable call harms no other; an unusable id is the place."""
    calls = [
        {"functionPath": "m:a", "id": 7},
        {"functionPath": "m:b"},
        {"functionPath": "m:c", "id": "x"},
        {"id": 9},
        "text",
        {"functionPath": "__lunora_admin__:drop", "id": 5},
        {"functionPath": "__lunora_relation__:x"},
    ]
    slots = decode_batch(orjson.dumps({"calls": calls}))
    assert slots[:3] == [(7, RpcCall("m:a")), (1, RpcCall("m:b")), (2, RpcCall("m:c"))]
    assert [(slot, type(call), call.code) for slot, call in slots[3:]] == [
        (slot, ProtocolError, "BAD_REQUEST") for slot in (9, 4, 5, 6)
    ]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", CodecError),
        (b"[]", ProtocolError),
        (b"{}", ProtocolError),
        (b'{"calls":{}}', ProtocolError),
        (orjson.dumps({"calls": [{}] * (MAX_BATCH_ENTRIES + 1)}), ProtocolError),
    ],
)
def test_body_that_is_no_batch_is_refused(body, error):
    """A batch is an array of 500 calls at most."""
    with pytest.raises(error):
        decode_batch(body)


def test_batch_of_the_largest_size_is_taken():
    """500 is not too many."""
    assert len(decode_batch(orjson.dumps({"calls": [{}] * MAX_BATCH_ENTRIES}))) == MAX_BATCH_ENTRIES


# --- replies


@pytest.mark.parametrize("status", [200, 201, 299])
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"result": 1}, Accepted(1)),
        ({"result": None}, Accepted(None)),
        ({"result": [TAG, "bigint", "7"]}, Accepted(WireBigInt(7))),
        ({"result": [TAG, "undefined"]}, Accepted(UNDEFINED)),
        ({}, Accepted(UNDEFINED)),
        ({"error": None}, Accepted(UNDEFINED)),
        ({"error": "text"}, Accepted(UNDEFINED)),
        ({"error": None, "result": 1}, Accepted(1)),
        ({"result": 1, "commitCursor": 5, "lastMutationId": 2}, Accepted(1, 5, 2)),
        ({"result": 1, "commitCursor": "5", "lastMutationId": 2.0}, Accepted(1)),
        ({"result": 1, "commitCursor": True}, Accepted(1)),
        ({"note": TAG}, Accepted(UNDEFINED)),
    ],
)
def test_reply_with_an_object_and_a_good_status_is_accepted(body, status, expected):
    """Neither a result nor an error object is a result of undefined; positions of the wrong type are none."""
    assert decode_reply(reply(body, status)) == expected


def test_result_that_does_not_decode_is_accepted_all_the_same():
    """The call did commit; its cursor counts."""
    outcome = decode_reply(reply({"result": {"when": [TAG, "date"]}, "commitCursor": 5}))
    assert isinstance(outcome, Accepted)
    assert (outcome.value, outcome.commit_cursor) == (UNDEFINED, 5)
    assert (outcome.undecodable.code, outcome.undecodable.path) == ("WIRE_DECODE_FAILED", "result.when")


@pytest.mark.parametrize("status", [200, 302, 400, 404, 409, 500, 503])
def test_error_object_is_raised_whatever_the_status(status):
    """It is the server's word; a result beside it does not count."""
    error = error_of(decode_reply(reply({"error": {"code": "X", "message": "no"}, "result": 1}, status)))
    assert (type(error), error.code, error.message, error.status) == (ServerError, "X", "no", status)
    assert not error.transient


@pytest.mark.parametrize(
    ("envelope", "expected"),
    [
        ({}, {"code": "INTERNAL", "message": "request failed"}),
        ({"code": 5, "message": []}, {"code": "INTERNAL", "message": "request failed"}),
        ({"code": "X", "hint": "h"}, {"hint": "h"}),
        ({"code": "X", "hint": ["a", "b"]}, {"hint": ["a", "b"]}),
        ({"code": "X", "hint": ["a", 5]}, {"hint": None}),
        ({"code": "X", "hint": 5}, {"hint": None}),
        ({"code": "X", "docsUrl": "https://d"}, {"docs_url": "https://d"}),
        ({"code": "X", "docsUrl": 5}, {"docs_url": None}),
        ({"code": "X", "data": {"n": 1}}, {"data": {"n": 1}}),
        ({"code": "X", "data": [TAG, "bigint", "7"]}, {"data": WireBigInt(7)}),
        ({"code": "X", "data": [TAG, "date"]}, {"data": None, "code": "X", "message": "request failed"}),
    ],
)
def test_error_envelope_has_defaults_for_what_cannot_be_used(envelope, expected):
    """Data that does not decode is dropped, and the rest stands."""
    error = error_of(decode_reply(reply({"error": envelope}, 400)))
    assert {name: getattr(error, name) for name in expected} == expected


@pytest.mark.parametrize("body", UNREADABLE)
@pytest.mark.parametrize(
    ("status", "code", "is_coded"),
    [
        (401, "UNAUTHORIZED", True),
        (403, "FORBIDDEN", True),
        (404, "NOT_FOUND", True),
        (413, "PAYLOAD_TOO_LARGE", True),
        (429, "TOO_MANY_REQUESTS", True),
        (400, "BAD_REQUEST", True),
        (402, "BAD_REQUEST", True),
        (409, "BAD_REQUEST", True),
        (499, "BAD_REQUEST", True),
        (408, "INTERNAL", False),
        (101, "INTERNAL", False),
        (200, "INTERNAL", False),
        (204, "INTERNAL", False),
        (301, "INTERNAL", False),
        (399, "INTERNAL", False),
        (500, "INTERNAL", False),
        (503, "INTERNAL", False),
        (599, "INTERNAL", False),
    ],
)
def test_reply_without_a_readable_envelope_is_classified_by_its_status(body, status, code, is_coded):
    """A 4xx is the server's word, all else leaves the fate of the call unknown; HTML is never data."""
    for error in (error_of(decode_reply(reply(body, status))), error_of(decode_batch_reply(reply(body, status), 1))):
        assert (type(error), error.code) == (ServerError if is_coded else TransportError, code)
        assert (error.transient, error.status) == (not is_coded, status)


@pytest.mark.parametrize("body", [{}, {"result": 1}, {"error": None}, {"error": "no"}])
def test_object_without_an_error_and_with_a_bad_status_is_classified_by_it(body):
    """A result that came with a 500 is none."""
    assert error_of(decode_reply(reply(body, 403))).code == "FORBIDDEN"
    assert error_of(decode_reply(reply(body, 500))).transient


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (TransportError("reset"), Verdict.TRANSPORT),
        (TransportError("html", code="INTERNAL", transient=True), Verdict.TRANSPORT),
        (LunoraError("no code"), Verdict.TRANSPORT),
        *[
            (ServerError("x", code=code), Verdict.TRANSIENT)
            for code in ("RATE_LIMITED", "TOO_MANY_REQUESTS", "SHARD_ERROR", "SHARD_UNAVAILABLE")
        ],
        *[
            (ServerError("x", code=code), Verdict.CREDENTIAL)
            for code in ("UNAUTHORIZED", "UNAUTHENTICATED", "TOKEN_EXPIRED")
        ],
        (ServerError("x", code="IDENTITY_MISMATCH"), Verdict.IDENTITY),
        *[
            (ServerError("x", code=code, status=500), Verdict.REJECTED)
            for code in ("INTERNAL", "CONFLICT", "VALIDATION_ERROR", "PAYLOAD_TOO_LARGE", "WIRE_DECODE_FAILED", "MINE")
        ],
        (ClientClosedError(), Verdict.REJECTED),
    ],
    ids=str,
)
def test_verdict_on_a_failure_follows_from_its_class_and_code(error, verdict):
    """Whatever the status: a coded 500 is a verdict."""
    assert verdict_of(error) is verdict


# --- waiting


@pytest.mark.parametrize(
    ("header", "milliseconds"),
    [
        ("0", 0),
        ("2", 2000),
        (" 120 ", 120_000),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90_000),
        ("Mon, 23 Nov 2026 13:01:00 +0100", 60_000),
        ("Mon, 23 Nov 2026 12:00:05 -0000", 5_000),
        (format_datetime(NOW, usegmt=True), None),
        (format_datetime(NOW - timedelta(seconds=1), usegmt=True), None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("9" * 12, None),
        ("9" * 5000, None),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("Mon, 01 Jan 2026 00:00:00 +9999999999999999999", None),
    ],
)
def test_retry_after_becomes_a_wait_where_it_can_be_used(header, milliseconds):
    """Delta seconds, or a date in the future; anything else is no hint."""
    expected = None if milliseconds is None else {"retryAfterMs": milliseconds}
    for body in (b"busy", {"error": {"code": "RATE_LIMITED"}}):
        error = error_of(decode_reply(reply(body, 429, retry_after=header)))
        assert error.data == expected
        assert error.retry_after == (None if milliseconds is None else milliseconds / 1000)


@pytest.mark.parametrize(
    ("data", "expected", "seconds"),
    [
        (None, {"retryAfterMs": 2000}, 2.0),
        ({}, {"retryAfterMs": 2000}, 2.0),
        ({"n": 1}, {"retryAfterMs": 2000, "n": 1}, 2.0),
        ({"retryAfterMs": 500}, {"retryAfterMs": 500}, 0.5),
        ({"retryAfterMs": 1.5}, {"retryAfterMs": 1.5}, 0.0015),
        ({"retryAfterMs": "x"}, {"retryAfterMs": "x"}, None),
        ({"retryAfterMs": True}, {"retryAfterMs": True}, None),
        ({"retryAfterMs": [TAG, "inf"]}, {"retryAfterMs": float("inf")}, None),
        ({"retryAfterMs": [TAG, "bigint", "9" * 400]}, {"retryAfterMs": WireBigInt("9" * 400)}, None),
        ([1], [1], None),
        ("text", "text", None),
        (0, 0, None),
    ],
)
def test_wait_of_the_envelope_stands_before_that_of_the_header(data, expected, seconds):
    """Data that is no object is left alone, and a wait that is no finite number is none."""
    body = {"error": {"code": "RATE_LIMITED", "data": data}}
    error = error_of(decode_reply(reply(body, 429, retry_after="2")))
    assert (error.data, error.retry_after) == (expected, seconds)


@given(header=st.text(max_size=40))
def test_any_retry_after_is_a_wait_or_none(header):
    """Whatever a server sends, the call is settled."""
    error = error_of(decode_reply(reply(b"", 503, retry_after=header)))
    assert error.retry_after is None or error.retry_after >= 0


# --- batches


def slots_of(body: Any, count: int, status: int = 200) -> list[Outcome | None]:
    """Return the slots of a batch's reply."""
    slots = decode_batch_reply(reply(body, status), count)
    assert isinstance(slots, list)
    return slots


def test_slots_come_in_call_order_whatever_the_order_of_the_reply():
    """They are matched by id; ids that were never sent are ignored."""
    results = [
        {"id": 2, "body": {"result": "c"}},
        {"id": 0, "body": {"result": "a", "commitCursor": 5}},
        {"id": 9, "body": {"result": "x"}},
        {"id": -1, "body": {"result": "x"}},
        {"id": True, "body": {"result": "x"}},
        {"id": "1", "body": {"result": "x"}},
        "text",
    ]
    assert slots_of({"results": results}, 3) == [Accepted("a", 5), None, Accepted("c")]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"result": None}, Accepted(None)),
        ({"result": 1, "error": None}, Accepted(1)),
        ({"result": 1, "error": {"code": "X"}}, Accepted(1)),
        ({}, None),
        ({"commitCursor": 5}, None),
        ({"error": None}, None),
        ({"error": "text"}, None),
        (None, None),
        ([], None),
        ("text", None),
    ],
)
def test_slot_is_committed_with_a_result_and_unknown_without_either(body, expected):
    """A result means committed; an error that is no object is no readable answer."""
    assert slots_of({"results": [{"id": 0, "body": body}]}, 1) == [expected]


def test_slot_with_an_error_object_is_refused_with_its_code():
    """The others are unaffected."""
    results = [{"id": 0, "body": {"error": {"code": "CONFLICT"}}}, {"id": 1, "body": {"result": 1}}]
    refused, accepted = slots_of({"results": results}, 2)
    assert (error_of(refused).code, accepted) == ("CONFLICT", Accepted(1))


def test_slot_that_does_not_decode_harms_no_other():
    """It counts as committed all the same."""
    results = [{"id": 0, "body": {"result": [TAG, "date"]}}, {"id": 1, "body": {"result": [TAG, "bigint", "7"]}}]
    bad, good = slots_of({"results": results}, 2)
    assert isinstance(bad, Accepted)
    assert bad.undecodable.code == "WIRE_DECODE_FAILED"
    assert good == Accepted(WireBigInt(7))


@pytest.mark.parametrize("status", [200, 401, 429, 500])
def test_batch_with_an_error_object_is_refused_as_a_whole(status):
    """Its class is that of every call in it."""
    outcome = decode_batch_reply(reply({"error": {"code": "UNAUTHORIZED"}}, status), 2)
    assert (error_of(outcome).code, verdict_of(error_of(outcome))) == ("UNAUTHORIZED", Verdict.CREDENTIAL)


@pytest.mark.parametrize("body", [{}, {"results": {}}, {"results": None}, {"error": "x"}])
def test_batch_without_results_leaves_the_fate_of_its_calls_unknown(body):
    """A good status alone says nothing."""
    error = error_of(decode_batch_reply(reply(body), 2))
    assert (verdict_of(error), error.transient) == (Verdict.TRANSPORT, True)


@pytest.mark.parametrize("status", [413, 500])
def test_batch_with_results_and_a_bad_status_is_refused_as_a_whole(status):
    """The status decides: 413 splits, 500 is unknown."""
    error = error_of(decode_batch_reply(reply({"results": []}, status), 0))
    assert error.code == ("PAYLOAD_TOO_LARGE" if status == 413 else "INTERNAL")


# --- the server's half


@pytest.mark.parametrize(
    "outcome", [Accepted(1), Accepted(None, 5, 2), Accepted(UNDEFINED), Accepted([TAG, "bigint", "7"], 0)]
)
def test_accepted_outcome_is_written_as_it_is_read(outcome):
    """A value that is undefined is no key."""
    read = decode_reply(reply(encode_outcome(outcome)))
    value = WireBigInt(7) if outcome.commit_cursor == 0 else outcome.value
    assert read == Accepted(value, outcome.commit_cursor, outcome.last_mutation_id)


def test_refused_outcome_is_written_as_it_is_read():
    """With everything that the server says about it."""
    said = ServerError("no", code="X", data={"n": 1}, hint=["a"], docs_url="https://d")
    read = error_of(decode_reply(reply(encode_outcome(Refused(said)), 400)))
    for name in ("message", "code", "data", "hint", "docs_url"):
        assert getattr(read, name) == getattr(said, name)
    assert encode_outcome(Refused(ServerError("no"))) == {"error": {"code": "INTERNAL", "message": "no"}}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 500) | st.text(max_size=5) | st.just(TAG),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["error", "result", "results", "id", "body", "code", "data", "hint"]), inner)
    ),
    max_leaves=10,
)


@given(body=JSON, status=st.integers(100, 599))
def test_any_reply_has_an_outcome(body, status):
    """No reply of any server raises: a call is always settled."""
    assert isinstance(decode_reply(reply(body, status)), Accepted | Refused)
    slots = decode_batch_reply(reply(body, status), 2)
    assert isinstance(slots, Refused) or len(slots) == 2


@given(body=JSON)
def test_any_body_is_a_call_or_refused(body):
    """A server meets nothing but these errors."""
    for decode in (decode_call, decode_batch):
        with contextlib.suppress(CodecError, ProtocolError):
            decode(orjson.dumps(body))


def test_reply_that_was_cut_is_of_a_call_that_was_carried_out():
    """Sending it again would bring the same reply: the result is undecodable, and the call counts."""
    outcome = decode_reply(HttpReply(200, is_cut=True))
    assert isinstance(outcome, Accepted)
    assert outcome.undecodable.code == "WIRE_DECODE_FAILED"
    assert "max_body_size" in outcome.undecodable.message


def test_error_page_that_was_cut_counts_by_its_status():
    """Its size says nothing about the call."""
    outcome = decode_reply(HttpReply(503, is_cut=True))
    assert (outcome.error.code, outcome.error.transient) == ("INTERNAL", True)


def test_batch_whose_reply_was_cut_counts_as_too_large():
    """Smaller batches have smaller replies, so the halving rule applies."""
    outcome = decode_batch_reply(HttpReply(200, is_cut=True), 2)
    assert (outcome.error.code, outcome.error.status) == ("PAYLOAD_TOO_LARGE", 413)
