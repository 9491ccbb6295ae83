"""Calls in flight: their headers, and what their replies teach."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lunora_rx.core.calls import Calls, CommitCursors, Credential
from lunora_rx.core.events import BatchSettled, BookmarkChanged, CallSettled, Event
from lunora_rx.errors import ClientClosedError, ServerError, TransportError
from lunora_rx.protocol.rpc import Accepted, HttpReply, HttpRequest, Refused, RpcCall
from lunora_rx.protocol.values import UNDEFINED
from lunora_rx.protocol.wire import TAG

QUERY = RpcCall("messages:list", {"n": 1})
WRITE = RpcCall("messages:send", {}, client_id="client-1", mutation_id="m-1", baseline=7)


class PlayedCalls:
    """Calls whose server the test plays."""

    def __init__(self, *, origin: str | None = None) -> None:
        self._events: list[Event] = []
        self.calls = Calls(origin=origin, emit=self._events.append)

    def events(self) -> list[Event]:
        """Take what happened."""
        taken = self._events.copy()
        self._events.clear()
        return taken

    def request(self, *calls: RpcCall) -> HttpRequest:
        """Make a call, or a batch of several, and return its request."""
        make = self.calls.call if len(calls) == 1 else self.calls.batch
        make(calls[0] if len(calls) == 1 else calls, timeout=3.0)
        (request,) = self.calls.take_requests()
        return request

    def headers(self, *calls: RpcCall) -> dict[str, str]:
        """Return the headers that a call would have, without the one that all have."""
        headers = dict(self.request(*calls).headers)
        assert headers.pop("content-type") == "application/json"
        return headers

    def reply(self, request: HttpRequest, body: Any, status: int = 200, **headers: str) -> list[Event]:
        """Let the server answer; header names are written with underscores."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.calls.receive_reply(request.request_id, HttpReply(status, named, orjson.dumps(body)), 0.0)
        return self.events()

    def commit(self, shard: str, cursor: int, **headers: str) -> None:
        """Let a write land at a position."""
        self.reply(self.request(RpcCall("m:w", shard=shard)), {"result": 1, "commitCursor": cursor}, **headers)


@pytest.fixture
def played() -> PlayedCalls:
    """Calls with no credential and nothing learnt yet."""
    return PlayedCalls()


# --- requests


def test_call_becomes_one_request_that_is_taken_once(played):
    """Its number comes back in the event."""
    number = played.calls.call(QUERY, timeout=3.0)
    (request,) = played.calls.take_requests()
    assert (request.request_id, request.path, request.timeout) == (number, "/_lunora/rpc", 3.0)
    assert orjson.loads(request.body) == {"args": {"n": 1}, "functionPath": "messages:list"}
    assert (played.calls.take_requests(), len(played.calls)) == ([], 1)


def test_batch_becomes_one_request(played):
    """To its own path, with each call's keys inside."""
    request = played.request(QUERY, RpcCall("m:w", shard="room", mutation_id="m-1", client_id="c-1", baseline=2))
    assert request.path == "/_lunora/rpc-batch"
    assert orjson.loads(request.body)["calls"][1] == {
        "functionPath": "m:w",
        "args": {},
        "id": 1,
        "shardKey": "room",
        "mutationId": "m-1",
        "clientId": "c-1",
        "baselineSeq": 2,
    }


def test_request_shows_no_credential(played):
    """Nor its body, which may hold secrets of the application."""
    played.calls.bearer = "canary"
    assert "canary" not in repr(played.request(RpcCall("m:w", {"password": "canary"})))


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (QUERY, {}),
        (WRITE, {"x-lunora-mutation-id": "m-1", "x-lunora-client-id": "client-1", "x-lunora-base-seq": "7"}),
        (
            RpcCall("m:w", mutation_id="m-1", client_id="other"),
            {"x-lunora-mutation-id": "m-1", "x-lunora-client-id": "other"},
        ),
        (RpcCall("m:w", client_id="other"), {"x-lunora-client-id": "other"}),
    ],
    ids=["query", "write", "write-without-baseline", "explicit-client"],
)
def test_headers_of_a_call_name_what_a_write_needs(played, call, expected):
    """The key on writes only, the client id with it or where it is explicit, a baseline where there is one."""
    assert played.headers(call) == expected


def test_headers_carry_credential_bookmark_and_origin():
    """On single calls and on batches; a batch carries no key of its own."""
    played = PlayedCalls(origin="https://app.example")
    played.calls.bearer, played.calls.bookmark = "token", "b-1"
    expected = {"authorization": "Bearer token", "x-d1-bookmark": "b-1", "origin": "https://app.example"}
    assert played.headers(QUERY) == expected
    assert played.headers(WRITE, WRITE) == expected


# --- commit cursors


def test_commit_cursor_is_required_of_later_reads_of_its_shard(played):
    """Of all calls on it, and of no other."""
    played.commit("room", 5)
    assert played.headers(RpcCall("q:l", shard="room")) == {"x-lunora-min-seq": "5"}
    assert played.headers(RpcCall("q:l", shard="hall")) == {}
    assert played.headers(QUERY) == {}


def test_commit_cursor_only_grows(played):
    """Zero and below are no requirement."""
    for cursor in (0, -3):
        played.commit("room", cursor)
        assert played.calls.cursors.get("room") is None
    for cursor, expected in [(5, 5), (3, 5), (9, 9)]:
        played.commit("room", cursor)
        assert played.calls.cursors.get("room") == expected


@pytest.mark.parametrize(("before", "named", "after"), [(5, 9, 9), (9, 5, 9), (0, 5, 5), (5, 0, 5)])
def test_cursor_of_the_default_shard_is_folded_into_its_name(before, named, after):
    """The higher one counts, under both names, from then on."""
    cursors = CommitCursors()
    cursors.record("", before)
    cursors.record("main", named)
    cursors.name_default("main")
    assert (cursors.get(""), cursors.get("main"), cursors.resolve("")) == (after, after, "main")
    cursors.record("", 20)
    assert cursors.get("main") == 20


def test_name_of_the_default_shard_is_learnt_from_calls_that_name_none(played):
    """And the cursor of that very reply counts for it."""
    played.commit("room", 3, x_lunora_shard_key="elsewhere")
    played.commit("", 2)
    assert (played.calls.cursors.default_name, played.calls.cursors.get("")) == ("", 2)
    played.commit("", 8, x_lunora_shard_key="main")
    assert played.headers(RpcCall("q:l", shard="main")) == {"x-lunora-min-seq": "8"}


def test_refusal_teaches_no_cursor_and_no_name(played):
    """Nothing landed."""
    refusal = {"error": {"code": "CONFLICT"}, "commitCursor": 9}
    played.reply(played.request(WRITE), refusal, 409, x_lunora_shard_key="main")
    assert (played.calls.cursors.get(""), played.calls.cursors.default_name) == (None, "")


@pytest.mark.parametrize(
    ("shards", "expected"),
    [(["room", "room"], "5"), (["room", ""], None), (["room", "hall"], None), (["main", ""], "8"), (["", ""], "8")],
)
def test_batch_requires_a_cursor_only_of_one_shard(played, shards, expected):
    """The default shard counts as one with its name."""
    played.commit("room", 5)
    played.commit("", 8, x_lunora_shard_key="main")
    headers = played.headers(*(RpcCall("q:l", shard=shard) for shard in shards))
    assert headers.get("x-lunora-min-seq") == expected


def test_batch_records_each_slot_under_its_own_shard(played):
    """Refused and missing slots teach nothing."""
    request = played.request(*(RpcCall("m:w", shard=shard) for shard in ("a", "b", "c", "d")))
    results = [
        {"id": 1, "body": {"result": 1, "commitCursor": 6}},
        {"id": 0, "body": {"result": 1, "commitCursor": 5}},
        {"id": 2, "body": {"error": {"code": "X"}, "commitCursor": 7}},
    ]
    (event,) = played.reply(request, {"results": results})
    assert isinstance(event, BatchSettled)
    assert [played.calls.cursors.get(shard) for shard in "abcd"] == [5, 6, None, None]


# --- bookmarks


@pytest.mark.parametrize("status", [200, 409, 500])
def test_bookmark_is_learnt_from_every_reply(played, status):
    """Even from an error, and even before the call is settled."""
    first, *_ = played.reply(played.request(QUERY), {"error": {"code": "X"}}, status, x_d1_bookmark="b-1")
    assert first == BookmarkChanged("b-1")
    assert played.calls.bookmark == "b-1"


@pytest.mark.parametrize("headers", [{}, {"x_d1_bookmark": ""}, {"x_d1_bookmark": "b-0"}])
def test_reply_without_a_new_bookmark_tells_of_none(played, headers):
    """A store is not written to for what it holds."""
    played.calls.bookmark = "b-0"
    request = played.request(QUERY)
    assert played.reply(request, {"result": 1}, **headers) == [CallSettled(request.request_id, Accepted(1))]
    assert played.calls.bookmark == "b-0"


def test_bookmark_of_a_call_given_up_counts(played):
    """The server has moved, whoever still waits."""
    request = played.request(QUERY)
    played.calls.forget(request.request_id)
    assert played.reply(request, {"result": 1}, x_d1_bookmark="b-1") == [BookmarkChanged("b-1")]


@given(order=st.permutations(range(8)), silent=st.sets(st.integers(0, 7)))
def test_bookmark_never_goes_back_to_a_request_that_started_earlier(order, silent):
    """Whatever the order of the replies, it is that of the latest started request that was answered with one."""
    played = PlayedCalls()
    requests = [played.request(QUERY) for _ in range(8)]
    latest = -1
    for place in order:
        bookmark = {} if place in silent else {"x_d1_bookmark": f"b-{place}"}
        played.reply(requests[place], {"result": 1}, **bookmark)
        latest = latest if place in silent else max(latest, place)
        assert played.calls.bookmark == (f"b-{latest}" if latest >= 0 else None)


# --- settling


def test_reply_settles_its_call_once(played):
    """A second reply, and one to nobody, are ignored."""
    request = played.request(WRITE)
    assert played.reply(request, {"result": 1}) == [CallSettled(request.request_id, Accepted(1))]
    assert played.reply(request, {"result": 2}) == []
    assert len(played.calls) == 0


def test_result_that_does_not_decode_was_carried_out(played):
    """Its cursor is recorded all the same."""
    request = played.request(WRITE)
    (event,) = played.reply(request, {"result": [TAG, "date"], "commitCursor": 4})
    assert event.outcome.undecodable.code == "WIRE_DECODE_FAILED"
    assert (event.outcome.value, event.outcome.commit_cursor) == (UNDEFINED, 4)
    assert played.calls.cursors.get("") == 4


def test_call_without_a_reply_fails_with_the_reason(played):
    """Its fate is unknown; the same for a batch."""
    error = TransportError("reset", transient=True)
    single, batch = played.request(QUERY), played.request(QUERY, QUERY)
    for request, kind in [(single, CallSettled), (batch, BatchSettled)]:
        played.calls.receive_reply(request.request_id, error, 0.0)
        assert played.events() == [kind(request.request_id, Refused(error))]


def test_batch_that_is_refused_as_a_whole_fails_as_a_whole(played):
    """No slot has an answer of its own."""
    (event,) = played.reply(played.request(QUERY, QUERY), {"error": {"code": "UNAUTHORIZED"}}, 401)
    assert isinstance(event.slots, Refused)
    assert isinstance(event.slots.error, ServerError)
    assert event.slots.error.code == "UNAUTHORIZED"


def test_empty_batch_has_no_slots(played):
    """Whoever makes one gets an empty list."""
    number = played.calls.batch([], timeout=1.0)
    (request,) = played.calls.take_requests()
    assert request.headers == {"content-type": "application/json"}
    assert played.reply(request, {"results": []}) == [BatchSettled(number, [])]


def test_call_given_up_is_not_settled(played):
    """Nor is it sent, if it was not yet."""
    sent = played.request(QUERY)
    unsent = played.calls.call(WRITE, timeout=1.0)
    assert (played.calls.forget(sent.request_id), played.calls.forget(unsent)) == (True, True)
    assert (played.calls.take_requests(), len(played.calls)) == ([], 0)
    assert played.reply(sent, {"result": 1}) == []
    assert not played.calls.forget(sent.request_id)


def test_close_fails_whatever_is_under_way(played):
    """Late replies settle nothing, and what was not sent stays unsent."""
    single, batch = played.request(QUERY), played.request(QUERY, QUERY)
    played.calls.call(QUERY, timeout=1.0)
    played.calls.close()
    first, second, third = played.events()
    assert (type(first), type(second), type(third)) == (CallSettled, BatchSettled, CallSettled)
    assert isinstance(first.outcome.error, ClientClosedError)
    assert isinstance(second.slots.error, ClientClosedError)
    assert played.calls.take_requests() == []
    assert played.reply(single, {"result": 1}) == played.reply(batch, {"results": []}) == []


# --- who settles, and as whom


def test_call_with_a_settler_is_settled_by_it_and_by_no_event(played):
    """The outcome comes with its time; the same for a batch."""
    settled = []
    first = played.calls.call(QUERY, timeout=1.0, settle=lambda outcome, now: settled.append((outcome, now)))
    second = played.calls.batch([QUERY], timeout=1.0, settle=lambda slots, now: settled.append((slots, now)))
    played.calls.receive_reply(first, HttpReply(200, {}, b'{"result":1}'), 3.0)
    played.calls.receive_reply(second, HttpReply(200, {}, b'{"results":[]}'), 4.0)
    assert settled == [(Accepted(1), 3.0), ([None], 4.0)]
    assert played.events() == []


def test_close_leaves_calls_with_a_settler_to_whoever_that_is(played):
    """Neither an event nor an outcome: what is queued keeps its record."""
    number = played.calls.call(QUERY, timeout=1.0, settle=pytest.fail)
    played.calls.batch([QUERY], timeout=1.0, settle=pytest.fail)
    played.calls.close()
    assert (played.events(), played.calls.take_requests()) == ([], [])
    played.calls.receive_reply(number, HttpReply(200, {}, b'{"result":1}'), 3.0)


@pytest.mark.parametrize(
    ("credential", "expected"),
    [
        (Credential("pinned"), {"authorization": "Bearer pinned"}),
        (Credential(None), {}),
        (Credential(None, "c3ViamVjdA"), {"x-lunora-expect-subject": "c3ViamVjdA"}),
    ],
)
def test_call_with_a_credential_is_sent_with_it_and_not_with_the_bearer_in_force(played, credential, expected):
    """A replay goes out as who it was judged for, one or many."""
    played.calls.bearer = "in force"
    played.calls.call(QUERY, timeout=1.0, credential=credential)
    played.calls.batch([QUERY], timeout=1.0, credential=credential)
    for request in played.calls.take_requests():
        assert request.headers == {"content-type": "application/json", **expected}


# --- questions


def test_question_is_a_get_whose_reply_is_handed_over_as_it_is():
    """With the credential in force and the origin of a cookie session, and nothing that is a call's."""
    played, heard = PlayedCalls(origin="https://app"), []
    played.calls.bearer = "token"
    played.calls.bookmark = "b1"
    played.calls.ask("/auth/get-session", timeout=2.0, settle=lambda reply, now: heard.append((reply, now)))
    (request,) = played.calls.take_requests()
    assert (request.method, request.path, request.body, request.timeout) == ("GET", "/auth/get-session", None, 2.0)
    assert request.headers == {"authorization": "Bearer token", "origin": "https://app"}
    reply = HttpReply(503, {}, b"text")
    played.calls.receive_reply(request.request_id, reply, 4.0)
    played.calls.receive_reply(request.request_id, reply, 5.0)
    assert (heard, played.events()) == ([(reply, 4.0)], [])


def test_question_without_a_reply_is_told_why(played):
    """Whoever asked decides what that means."""
    heard, error = [], TransportError("cut")
    number = played.calls.ask("/x", timeout=1.0, settle=lambda reply, now: heard.append(reply))
    played.calls.receive_reply(number, error, 1.0)
    assert heard == [error]


def test_question_under_way_ends_silently_with_the_client(played):
    """Late replies are ignored."""
    number = played.calls.ask("/x", timeout=1.0, settle=pytest.fail)
    played.calls.close()
    played.calls.receive_reply(number, TransportError("cut"), 1.0)
    assert (played.events(), played.calls.take_requests(), len(played.calls)) == ([], [], 0)


def test_headers_say_what_is_known_when_the_request_is_taken_and_whose_it_was_when_composed(played):
    """What waits for the storage carries the bookmark that was in it; the bearer stays the author's."""
    played.calls.bearer = "author"
    played.calls.call(WRITE, timeout=1.0)
    played.calls.batch([QUERY], timeout=1.0)
    played.calls.ask("/x", timeout=1.0, settle=lambda reply, now: None)
    played.calls.bearer, played.calls.bookmark = "another", "b1"
    played.calls.cursors.record("", 9)
    requests = played.calls.take_requests()
    assert [each.headers["authorization"] for each in requests] == ["Bearer author"] * 3
    assert [each.headers.get("x-d1-bookmark") for each in requests] == ["b1", "b1", None]
    assert [each.headers.get("x-lunora-min-seq") for each in requests] == ["9", "9", None]


def test_request_says_which_calls_it_carries(played):
    """One, those of a batch, or none of a question; its text shows neither headers nor arguments."""
    other = RpcCall("messages:list", {"n": "canary"})
    assert played.request(QUERY).calls == (QUERY,)
    assert played.request(QUERY, other).calls == (QUERY, other)
    assert "canary" not in repr(played.request(other))
    played.calls.ask("/me", timeout=1.0, settle=lambda reply, now: None)
    (question,) = played.calls.take_requests()
    assert (question.calls, question.method) == ((), "GET")
