"""Our own mutations: when they are sent, when they wait, and what a reply does."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from hashlib import sha256
from math import inf

import orjson
import pytest

from lunora_rx.core.events import (
    AuthTokenChanged,
    CredentialRefused,
    MutationQueued,
    MutationSent,
    MutationSettled,
    OpenSocket,
    PendingChanged,
    RemoveRecords,
    ReplaceRecord,
    SnapshotChanged,
    StaleRecordsDropped,
    StatusChanged,
    StoreRecord,
)
from lunora_rx.core.records import QueuedMutation
from lunora_rx.core.snapshot import Status
from lunora_rx.errors import QueueError, StorageError
from lunora_rx.protocol.rpc import MAX_BATCH_BYTES
from lunora_rx.protocol.wire import TAG
from tests.core.played_writes import NO_REPLY, PlayedWrites, of_kind, verdicts

OK = {"result": 1}
LIMITED = {"error": {"code": "RATE_LIMITED"}}
REJECTED = {"error": {"code": "CONFLICT"}}


def digest(token: str) -> str:
    return f"tok:{sha256(token.encode()).hexdigest()[:32]}"


def record(mutation_id: str, *, shard: str = "", version: str | None = None, **fields) -> QueuedMutation:
    return QueuedMutation(
        mutation_id, "notes:add", fields.pop("args", {}), "client-0", shard, version=version, **fields
    )


def offline(*names: str, **options) -> PlayedWrites:
    """Return a client that was connected once and is not, with writes that wait."""
    played = PlayedWrites(**options)
    played.open()
    played.drop()
    for name in names:
        played.mutate(name)
    return played


@pytest.fixture
def played() -> PlayedWrites:
    """A client whose default shard is open."""
    played = PlayedWrites()
    played.open()
    return played


# --- does a mutation queue?


def test_write_over_an_open_socket_is_sent_at_once(played):
    """With its key, whose it is, and no detour over the queue."""
    assert played.mutate("m1") == [MutationSent("m1")]
    (request,) = played.requests()
    assert request.headers["x-lunora-client-id"] == "client-1"
    assert "x-lunora-expect-subject" not in request.headers
    assert request.timeout == 30.0
    (settled,) = played.reply()
    assert isinstance(settled, MutationSettled)
    assert (settled.was_queued, settled.had_awaiter, settled.outcome.value) == (False, True, 1)
    assert played.waiting() == []


def test_write_with_its_own_timeout_is_sent_with_it(played):
    """The client's own is the default only."""
    played.mutate("m1", timeout=2.0)
    assert played.requests()[0].timeout == 2.0


def test_write_over_an_attempt_after_a_drop_queues():
    """The first rule: connecting, and it was connected before."""
    played = offline()
    played.attempt()
    assert played.mutate("m1") == [MutationQueued("m1"), PendingChanged(1)]
    assert (played.sent(), played.waiting()) == ([], ["m1"])


def test_write_without_a_socket_queues():
    """The second rule: not open, and it was connected before. The next attempt has its time already."""
    played = offline()
    assert played.mutate("m1") == [MutationQueued("m1"), PendingChanged(1)]
    assert (played.sent(), played.core.next_deadline()) == ([], 1.0)


def test_write_that_queues_opens_the_socket_of_its_shard():
    """Nobody else may ask for one."""
    played = PlayedWrites(queues_before_first_connect=True)
    assert played.mutate("m1", shard="room")[2:] == [OpenSocket("room"), StatusChanged(Status.CONNECTING)]


@pytest.mark.parametrize("connects", [True, False])
def test_write_before_the_first_connect_is_sent_directly(connects):
    """Nobody knows yet whether there is such a server: the caller shall hear of it."""
    played = PlayedWrites()
    if connects:
        played.core.connect("", 0.0)
        played.take()
    assert played.mutate("m1") == [MutationSent("m1")]
    (settled,) = played.lose()
    assert (settled.outcome.error, settled.was_queued, played.waiting()) == (NO_REPLY, False, [])


def test_write_before_the_first_connect_queues_if_the_client_says_so():
    """As it does with durable storage."""
    played = PlayedWrites(queues_before_first_connect=True)
    played.mutate("m1")
    assert (played.sent(), played.waiting()) == ([], ["m1"])


def test_write_behind_one_that_waits_queues(played):
    """The third rule: a live write must not overtake a held one of its shard; another shard is free."""
    played.open("room")
    played.mutate("m1")
    played.lose()
    assert MutationQueued("m2") in played.mutate("m2")
    assert played.mutate("m3", shard="room") == [MutationSent("m3")]
    assert (played.sent(), played.waiting()) == ([["m3"]], ["m1", "m2"])


def test_write_to_a_shard_that_was_closed_as_idle_goes_over_http_first():
    """Only when that gets no reply does it wait, and opens the socket."""
    played = PlayedWrites()
    played.open("room")
    played.now = 5.0
    played.core.handle_deadline(5.0)
    played.take()
    assert played.mutate("m1", shard="room") == [MutationSent("m1")]
    assert played.lose()[:3] == [MutationQueued("m1"), PendingChanged(1), OpenSocket("room")]
    assert (played.waiting(), played.retry_in()) == (["m1"], inf)


def test_direct_write_without_a_reply_queues_under_its_id(played):
    """The socket looks open: a retry by the backoff follows, with the same key."""
    played.mutate("m1")
    assert played.lose() == [MutationQueued("m1"), PendingChanged(1)]
    assert played.retry_in() == 1.0
    assert played.retry() == [PendingChanged(0), MutationSent("m1")]
    assert played.sent() == [["m1"]]
    assert verdicts(played.reply()) == [("m1", None)]
    assert played.retry_in() == inf


def test_direct_writes_that_fail_together_climb_the_ramp_once(played):
    """One outage is one step, and they go out together in their order."""
    played.mutate("m1", "m2", "m3")
    for _ in range(3):
        played.lose()
    assert played.retry_in() == 1.0
    played.retry()
    assert played.sent() == [["m1", "m2", "m3"]]


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [(503, None, "INTERNAL"), (500, {"code": "OOPS"}, "OOPS"), (429, None, "TOO_MANY_REQUESTS")],
)
def test_direct_write_with_any_reply_is_settled(played, status, body, code):
    """Only silence queues: an answer, be it unreadable, is the caller's to judge."""
    played.mutate("m1")
    events = played.reply({} if body is None else {"error": body}, status)
    assert verdicts(events) == [("m1", code)]
    assert played.waiting() == []


# --- while a pass runs


def test_write_composed_while_a_pass_runs_waits_for_its_end():
    """Then it is judged anew: nothing waits any more, so it goes out at once."""
    played = offline("m1")
    played.open()
    assert played.sent() == [["m1"]]
    assert played.mutate("m2") == []
    events = played.reply()
    assert [type(each) for each in events] == [MutationSettled, MutationSent]
    assert played.sent() == [["m2"]]


def test_writes_composed_while_a_pass_runs_follow_it_together():
    """Sent side by side, one could overtake the other."""
    played = offline("m1")
    played.open()
    assert played.mutate("m2", "m3") == []
    assert verdicts(played.reply()) == [("m1", None)]
    assert played.sent() == [["m2", "m3"]]


def test_write_composed_while_a_pass_runs_queues_behind_what_it_kept():
    """In order, and the next pass takes all of it."""
    played = offline("m1")
    played.open()
    played.mutate("m2")
    assert played.refuse("RATE_LIMITED", 429) == [PendingChanged(1), MutationQueued("m2"), PendingChanged(2)]
    assert (played.waiting(), played.sent()) == (["m1", "m2"], [])
    played.retry()
    assert played.sent() == [["m1", "m2"]]


def test_write_composed_by_a_precondition_does_not_overtake():
    """The pass has begun before the user is asked."""
    played = offline()

    def compose_another() -> bool:
        played.mutate("m2")
        return True

    played.mutate("m1", precondition=compose_another)
    played.open()
    assert played.sent() == [["m1"]]
    played.reply()
    assert played.sent() == [["m2"]]


def test_write_composed_while_a_verdict_is_given_waits_for_the_pass():
    """A rollback runs the layers that are left; what they compose is no part of the pass."""
    played = PlayedWrites()
    key = played.watch("notes", value=["a"])
    played.drop()
    played.mutate("m1", function_path="notes:list", optimistic=lambda rows: ["b"])

    def compose_another(rows):
        if rows == ["a"]:
            played.mutate("m3")
        return [*rows, "x"]

    played.mutate("m2", function_path="notes:list", optimistic=compose_another)
    played.open()
    played.reply_slots(REJECTED, LIMITED)
    assert played.shown(key) == ["a", "x"]
    assert (played.sent(), played.waiting()) == ([], ["m2", "m3"])


# --- passes


def test_opening_the_socket_sends_what_waits_as_one_batch():
    """With the id of each write, who composed it, and none of it a second time."""
    played = offline("m1", "m2")
    played.attempt()
    events = played.let_open()
    assert events == [StatusChanged(Status.CONNECTED), PendingChanged(0), MutationSent("m1"), MutationSent("m2")]
    (request,) = played.requests()
    assert request.path == "/_lunora/rpc-batch"
    assert [entry["clientId"] for entry in orjson.loads(request.body)["calls"]] == ["client-1", "client-1"]
    assert verdicts(played.reply_slots(OK, REJECTED)) == [("m1", None), ("m2", "CONFLICT")]
    assert (played.waiting(), played.sent(), played.retry_in()) == ([], [], inf)


def test_opening_the_socket_with_nothing_waiting_sends_nothing(played):
    """And leaves no state behind."""
    assert (played.sent(), played.retry_in()) == ([], inf)
    played.core.writes.flush("", 0.0)
    assert played.take() == []


def test_batch_of_kept_and_settled_writes_keeps_the_order_of_what_is_left():
    """A slot that is missing is kept as one that is limited is; the pending count tells of both ends."""
    played = offline("m1", "m2", "m3", "m4")
    played.open()
    events = played.reply_slots(LIMITED, OK, None, REJECTED)
    assert verdicts(events) == [("m2", None), ("m4", "CONFLICT")]
    assert events[-1] == PendingChanged(2)
    assert played.waiting() == ["m1", "m3"]
    assert played.retry_in() == 1.0
    played.retry()
    assert played.sent() == [["m1", "m3"]]


def test_batch_answered_too_large_is_sent_in_halves():
    """The first half first; the pass is one."""
    played = offline("m1", "m2", "m3")
    played.open()
    assert played.refuse("PAYLOAD_TOO_LARGE", 413) == [MutationSent("m1"), MutationSent("m2")]
    assert played.sent() == [["m1", "m2"]]
    played.reply_slots(OK, OK)
    assert played.sent() == [["m3"]]
    assert verdicts(played.refuse("PAYLOAD_TOO_LARGE", 413)) == [("m3", "PAYLOAD_TOO_LARGE")]


def test_batch_over_the_byte_budget_is_halved_before_it_is_sent():
    """Nothing too large goes out."""
    played = offline()
    played.mutate("m1", "m2", args={"text": "x" * (MAX_BATCH_BYTES // 2)})
    played.open()
    assert played.sent() == [["m1"]]
    played.reply()
    assert played.sent() == [["m2"]]


def test_single_pass_that_keeps_its_write_leaves_what_follows_unsent():
    """A stop in one half leaves the other half unsent, in front of what was composed since."""
    played = offline()
    played.mutate("m1", "m2", args={"text": "x" * (MAX_BATCH_BYTES // 2)})
    played.open()
    played.mutate("m3")
    played.refuse("SHARD_UNAVAILABLE", 503)
    assert (played.sent(), played.waiting()) == ([], ["m1", "m2", "m3"])


def test_flushes_of_one_shard_are_chained():
    """What is asked for while a pass runs is another pass behind it; other shards are independent."""
    played = offline("m1")
    played.open("room")
    played.drop("room")
    played.mutate("r1", shard="room")
    played.open("", "room")
    played.core.writes.flush("", 0.0)
    assert played.sent() == [["m1"], ["r1"]]
    played.refuse("RATE_LIMITED", 429)
    assert played.sent() == [["r1"], ["m1"]]


def test_pass_sends_every_chunk_as_who_it_began_as():
    """A token that changes meanwhile is the next pass's."""
    played = offline(queues_before_first_connect=True)
    played.sign_in("one", "ana")
    played.mutate("m1", "m2", args={"text": "x" * (MAX_BATCH_BYTES // 2)})
    played.open()
    assert played.sign_in("two", "ana") == [AuthTokenChanged()]
    assert played.requests()[0].headers["authorization"] == "Bearer one"
    played.reply()
    assert played.requests()[0].headers["authorization"] == "Bearer one"
    played.refuse("TOKEN_EXPIRED", 401)
    assert played.requests()[0].headers["authorization"] == "Bearer two"


# --- preconditions


def test_write_whose_precondition_no_longer_holds_is_rejected():
    """Nothing of it is sent; the others go on, and other shards are not asked."""
    played = offline()
    played.open("room")
    played.drop("room")
    played.mutate("m1", precondition=lambda: False)
    played.mutate("m2", precondition=lambda: True)
    played.mutate("r1", shard="room", precondition=lambda: False)
    played.attempt()
    assert verdicts(played.let_open()) == [("m1", "OFFLINE_PRECONDITION_FAILED")]
    assert (played.sent(), played.waiting()) == ([["m2"]], ["r1"])


def test_write_whose_precondition_raises_is_rejected_with_the_cause():
    """It alone; and where nothing is left to send, the count of what waits is told all the same."""
    played, error = offline(), ValueError("no")

    def fail() -> bool:
        raise error

    played.mutate("m1", precondition=fail)
    played.attempt()
    _, settled, pending = played.let_open()
    assert isinstance(settled.outcome.error, QueueError)
    assert settled.outcome.error.code == "OFFLINE_PRECONDITION_FAILED"
    assert settled.outcome.error.__cause__ is error
    assert (pending, played.sent()) == (PendingChanged(0), [])


# --- identity


def test_write_of_another_user_is_rejected_and_never_sent():
    """Also one that was composed signed out."""
    played = offline("m0")
    assert verdicts(played.sign_in("one", "ana")) == [("m0", "OFFLINE_IDENTITY_CHANGED")]
    played.mutate("m1")
    assert verdicts(played.sign_in("two", "bob")) == [("m1", "OFFLINE_IDENTITY_CHANGED")]
    played.mutate("m2")
    played.open()
    assert played.sent() == [["m2"]]


def test_write_held_for_a_signed_out_user_goes_out_when_they_return():
    """It stays in front, nothing is retried meanwhile, and no flush runs in circles."""
    played = offline()
    played.sign_in("one", "ana")
    played.mutate("m1")
    played.sign_in(None)
    played.mutate("m2")
    played.open()
    assert (played.sent(), played.waiting()) == ([["m2"]], ["m1"])
    played.reply()
    assert (played.sent(), played.waiting(), played.retry_in()) == ([], ["m1"], inf)
    assert played.sign_in("two", "ana") == [AuthTokenChanged(), PendingChanged(0), MutationSent("m1")]


def test_write_is_held_until_the_subject_of_a_new_token_is_confirmed():
    """The subject that stayed belongs to the token it was asserted with."""
    played = offline()
    played.sign_in("one", "ana")
    played.mutate("m1")
    played.sign_in("two")
    played.open()
    assert played.sent() == []
    played.sign_in("two", "ana")
    assert played.sent() == [["m1"]]


@pytest.mark.parametrize("token", ["one", "two"])
def test_write_that_waits_for_a_pass_is_not_sent_as_somebody_else(token):
    """Who it was composed as is judged again when the pass is over, whether or not the token is another."""
    played = offline()
    played.sign_in("one", "ana")
    played.mutate("m1")
    played.open()
    played.mutate("m2")
    played.sign_in(token, "bob")
    played.mutate("m3")
    assert verdicts(played.reply()) == [("m1", None), ("m2", "OFFLINE_IDENTITY_CHANGED")]
    assert played.sent() == [["m3"]]


def test_token_that_does_not_change_flushes_nothing():
    """A held write is not asked about again."""
    played = offline()
    asked = []
    played.mutate("m1", precondition=lambda: asked.append(1) or True)
    played.sign_in("one", "ana")
    played.sign_in("one", "ana")
    played.sign_in(None)
    assert (asked, played.sent()) == ([], [])


@pytest.mark.parametrize("is_durable", [False, True])
def test_stamp_of_a_token_becomes_that_of_its_user_once_known(is_durable):
    """So that it outlives the token, on disk too; also of a write that waits for a pass or was kept by one."""
    played = offline(is_durable=is_durable)
    played.core.hydrate((), 0.0)
    played.sign_in("one")
    played.mutate("m1")
    played.store("m1")
    played.open()
    played.mutate("m2")
    assert played.sign_in("one", "ana") == []
    events = played.refuse("RATE_LIMITED", 429)
    replaced = [each.record.mutation_id for each in events if isinstance(each, ReplaceRecord)]
    assert replaced == (["m1"] if is_durable else [])
    played.refuse("RATE_LIMITED", 429)
    assert [write.record.identity for write in played.core.writes.queue] == ["subj:ana", "subj:ana"]


@pytest.mark.parametrize(
    ("stamps", "subject"),
    [(["subj:ana"], "ana"), ([None], None), ([digest("t"), "subj:ana"], "absent"), (["legacy", None], None)],
)
def test_replay_without_a_bearer_names_whose_session_it_needs(stamps, subject):
    """The first stamped write of the request says it; a bearer vouches for itself."""
    played = PlayedWrites(is_durable=True)
    played.sign_in(None, "ana" if "subj:ana" in stamps else None)
    records = [
        record(f"m{number}") if stamp == "legacy" else record(f"m{number}", identity=stamp)
        for number, stamp in enumerate(stamps)
    ]
    played.core.hydrate(records, 0.0)
    played.open()
    (request,) = played.requests()
    header = request.headers["x-lunora-expect-subject"]
    assert orjson.loads(urlsafe_b64decode(header + "==")) == {"subject": "ana" if subject == "absent" else subject}


def test_replay_of_writes_without_stamps_names_no_session():
    """They go out as whoever is there."""
    played = PlayedWrites(is_durable=True)
    played.core.hydrate([record("m1")], 0.0)
    played.open()
    assert "x-lunora-expect-subject" not in played.requests()[0].headers


def test_replay_with_a_bearer_names_no_session():
    """The token says who it is."""
    played = offline()
    played.sign_in("one", "ana")
    played.mutate("m1")
    played.open()
    (request,) = played.requests()
    assert request.headers["authorization"] == "Bearer one"
    assert "x-lunora-expect-subject" not in request.headers


# --- waiting


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("600", 60.0), ("0", 1.0)])
def test_wait_that_the_server_names_is_kept_up_to_a_minute(header, seconds):
    """Without one, the ramp counts."""
    played = offline("m1")
    played.open()
    played.refuse("RATE_LIMITED", 429, retry_after=header)
    assert played.retry_in() == seconds


def test_answered_failures_in_a_row_double_the_wait_up_to_a_minute():
    """Also those that cannot be read; a verdict starts anew."""
    played = offline("m1", "m2")
    played.open()
    waits = []
    for _ in range(8):
        played.reply({}, 503)
        waits.append(played.retry_in())
        played.retry()
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    played.reply_slots(OK, LIMITED)
    assert played.retry_in() == 1.0


def test_wait_after_an_answered_failure_is_drawn_from_its_upper_half():
    """Clients that were limited together spread out."""
    played = offline("m1", random=lambda: 0.0)
    played.open()
    played.refuse("TOO_MANY_REQUESTS", 429)
    assert played.retry_in() == 0.5


def test_lost_replays_over_an_open_socket_climb_the_backoff_until_a_verdict():
    """The queue never stalls behind a socket that looks open."""
    played = offline("m1", "m2")
    played.open()
    waits = []
    for _ in range(4):
        played.lose()
        waits.append(played.retry_in())
        played.retry()
    assert waits == [1.0, 2.0, 4.0, 8.0]
    played.reply_slots(OK, {})
    played.retry()
    played.lose()
    assert played.retry_in() == 1.0


def test_lost_replay_without_a_socket_waits_for_the_socket():
    """Reconnecting will flush."""
    played = offline("m1")
    played.open()
    played.drop()
    played.lose()
    assert (played.waiting(), played.retry_in()) == (["m1"], inf)
    played.open()
    assert played.sent() == [["m1"]]


def test_longest_wait_of_a_pass_wins():
    """Whatever slot named it."""
    played = offline("m1", "m2", "m3")
    played.open()
    limited = {"error": {"code": "RATE_LIMITED", "data": {"retryAfterMs": 9000}}}
    played.reply_slots(LIMITED, limited, None)
    assert played.retry_in() == 9.0


def test_retry_that_falls_due_while_a_pass_runs_is_over():
    """It asks for another pass, once."""
    played = offline("m1")
    played.open()
    played.drop()
    played.lose()
    played.open()
    played.core.writes.flush("", 0.0)
    assert played.sent() == [["m1"]]
    played.reply()
    assert (played.sent(), played.retry_in()) == ([], inf)


def test_direct_failure_while_a_pass_runs_leaves_no_deadline_behind(played):
    """Its retry comes due with the pass still under way: the deadline must not stay in the past."""
    played.mutate("m1", "m2")
    played.lose()
    played.retry()
    assert played.sent() == [["m2"], ["m1"]]
    played.lose()
    played.retry()
    assert (played.retry_in(), played.sent()) == (inf, [["m1"]])
    played.reply()
    assert played.sent() == [["m2"]]


def test_retry_of_writes_that_were_cancelled_is_no_longer_due(played):
    """Nothing left, nothing to wait for."""
    played.mutate("m1")
    played.lose()
    assert played.core.cancel_mutation("m1")
    assert played.retry_in() == inf


# --- credentials


def test_refused_bearer_is_reported_once_and_waits_for_another():
    """No retry is scheduled, and a replay under the next token is reported anew."""
    played = offline()
    played.sign_in("one", "ana")
    played.mutate("m1", "m2")
    played.open()
    unauthorized = {"error": {"code": "UNAUTHORIZED", "data": {"retryAfterMs": 5000}}}
    events = played.reply_slots(unauthorized, {"error": {"code": "TOKEN_EXPIRED"}})
    assert [type(each) for each in events] == [CredentialRefused, PendingChanged]
    assert (played.waiting(), played.retry_in()) == (["m1", "m2"], inf)
    played.drop()
    played.open()
    assert played.refuse("UNAUTHORIZED", 401) == [PendingChanged(2)]
    played.sign_in("two", "ana")
    assert type(played.refuse("UNAUTHORIZED", 401)[0]) is CredentialRefused


def test_refusal_of_a_token_that_was_replaced_meanwhile_is_not_reported():
    """The next pass tries the new one at once."""
    played = offline()
    played.sign_in("one", "ana")
    played.mutate("m1")
    played.open()
    played.sign_in("two", "ana")
    assert played.refuse("UNAUTHORIZED", 401) == [PendingChanged(1), PendingChanged(0), MutationSent("m1")]


def test_refusal_after_an_accepted_replay_is_reported_again():
    """The credential was good in between; a batch with a refused slot does not count as accepted."""
    played = offline("m1", "m2")
    unauthorized = {"error": {"code": "UNAUTHORIZED"}}
    reported = []
    for bodies in ([unauthorized] * 2, [OK, unauthorized]):
        played.open()
        reported.append(sum(type(each) is CredentialRefused for each in played.reply_slots(*bodies)))
        played.drop()
    played.open()
    played.reply()
    played.drop()
    played.mutate("m3")
    played.open()
    reported.append(sum(type(each) is CredentialRefused for each in played.reply(unauthorized, 401)))
    assert reported == [1, 0, 1]


def test_refused_cookie_session_is_retried_on_the_ramp():
    """It may come back by itself; a bearer would not."""
    played = offline("m1", is_cookie_session=True)
    played.open()
    assert type(played.refuse("UNAUTHENTICATED", 401)[0]) is CredentialRefused
    assert played.retry_in() == 1.0
    played.sign_in("one", "ana")
    played.core.cancel_mutation("m1")
    played.drop()
    played.mutate("m2")
    played.open()
    played.refuse("UNAUTHORIZED", 401)
    assert played.retry_in() == inf


def test_replay_that_finds_another_session_is_kept_and_retried():
    """Whose session it is may change back."""
    played = offline("m1")
    played.open()
    assert played.refuse("IDENTITY_MISMATCH", 409) == [PendingChanged(1)]
    assert played.retry_in() == 1.0


# --- bound and cancellation


def test_write_over_the_limit_makes_the_oldest_fail():
    """Its layers and its record go with it; the pending count does not move."""
    played = offline("m1", queue_limit=1)
    events = played.mutate("m2")
    assert verdicts(events) == [("m1", "OFFLINE_QUEUE_OVERFLOW")]
    assert PendingChanged(1) not in events
    assert (played.waiting(), played.core.writes.queue.get("m2").is_stored) == (["m2"], True)


def test_write_cancelled_while_it_waits_is_withdrawn_without_a_verdict():
    """In the queue as well as behind a pass."""
    played = offline("m1", "m2")
    assert played.core.cancel_mutation("m2")
    assert played.take() == [PendingChanged(1)]
    played.open()
    played.mutate("m3")
    played.mutate("m4")
    assert played.core.cancel_mutation("m4")
    played.reply()
    assert played.sent() == [["m3"]]


@pytest.mark.parametrize("is_queued", [True, False])
def test_write_cancelled_after_it_was_sent_goes_on(is_queued):
    """It is too late: the server may have carried it out."""
    played = offline("m1") if is_queued else PlayedWrites()
    played.open()
    if not is_queued:
        played.mutate("m1")
    assert not played.core.cancel_mutation("m1")
    assert verdicts(played.reply()) == [("m1", None)]


# --- durable storage


def durable(**options) -> PlayedWrites:
    """Return a client with storage that held nothing, over an open socket."""
    played = PlayedWrites(is_durable=True, queues_before_first_connect=True, **options)
    played.core.hydrate((), 0.0)
    return played


def test_durable_write_counts_as_queued_when_its_record_is_stored():
    """The record goes to the driver first; storing twice says nothing new."""
    played = durable()
    store, pending, *_ = played.mutate("m1")
    assert store == StoreRecord(played.core.writes.queue.get("m1").record)
    assert pending == PendingChanged(1)
    assert played.store("m1") == [MutationQueued("m1")]
    assert played.store("m1", "m9") == []


def test_durable_write_is_not_sent_before_it_is_stored():
    """What was stored goes first, the rest as soon as it is."""
    played = durable()
    played.mutate("m1", "m2", "m3")
    played.store("m1")
    played.open()
    assert played.sent() == [["m1"]]
    played.reply()
    assert played.sent() == []
    assert played.store("m2", "m3")[:2] == [MutationQueued("m2"), MutationQueued("m3")]
    assert played.sent() == [["m2", "m3"]]


def test_durable_write_that_is_stored_while_a_pass_runs_follows_it():
    """In another pass."""
    played = durable()
    played.mutate("m1", "m2")
    played.store("m1")
    played.open()
    played.store("m2")
    assert played.sent() == [["m1"]]
    played.reply()
    assert played.sent() == [["m2"]]


def test_durable_write_behind_one_that_waits_does_not_cut_its_wait_short():
    """A record on disk is no reason to ask a server again that has asked for time."""
    played = durable()
    played.mutate("m1")
    played.store("m1")
    played.open()
    played.refuse("RATE_LIMITED", 429, retry_after="30")
    played.mutate("m2")
    played.store("m2")
    assert (played.sent(), played.retry_in()) == ([], 30.0)
    played.retry()
    assert played.sent() == [["m1", "m2"]]


def test_durable_write_stored_without_a_socket_waits_for_one():
    """A flush that found it too early does not change that."""
    played = durable()
    played.mutate("m1")
    played.open()
    played.drop()
    played.store("m1")
    assert played.sent() == []
    played.open()
    assert played.sent() == [["m1"]]


def test_durable_write_that_gave_way_is_never_told_to_be_queued():
    """Its verdict is the last of it, though its record is stored a moment later; the record is removed."""
    played = durable(queue_limit=1)
    played.mutate("m1")
    assert RemoveRecords(("m1",)) in played.mutate("m2")
    assert played.store("m1") == []


def test_durable_write_that_is_cancelled_has_its_record_removed():
    """Also if it is not stored yet: the driver keeps the order."""
    played = durable()
    played.mutate("m1")
    assert played.core.cancel_mutation("m1")
    assert played.take() == [RemoveRecords(("m1",)), PendingChanged(0)]
    assert played.store("m1") == []


def test_durable_write_keeps_its_record_until_its_verdict():
    """Removed before the verdict is told, and not at all for what is kept; a direct write has none."""
    played = durable()
    played.mutate("m1", "m2")
    played.store("m1", "m2")
    played.open()
    removed, settled, _ = played.reply_slots(OK, LIMITED)
    assert (removed, type(settled)) == (RemoveRecords(("m1",)), MutationSettled)
    played.retry()
    played.reply()
    played.mutate("m3")
    assert [type(each) for each in played.reply()] == [MutationSettled]


def test_durable_write_that_was_lost_is_stored_before_it_is_sent_again(played):
    """The retry comes due too early, and finds nothing to send."""
    played = durable()
    played.open()
    played.mutate("m1")
    assert isinstance(played.lose()[0], StoreRecord)
    played.retry()
    assert played.sent() == []
    played.store("m1")
    assert played.sent() == [["m1"]]


# --- hydration


def test_hydrated_writes_go_ahead_of_what_was_composed_since():
    """The protocol's example: stale and double ones are dropped, the stale purged."""
    played = PlayedWrites(is_durable=True, queues_before_first_connect=True, version="v2")
    played.mutate("m1")
    records = [record("p1", version="v2"), record("p2", version="v1"), record("p3", version="v2")]
    played.core.hydrate([*records, records[0], record("m1", version="v2"), record("p4")], 0.0)
    assert played.waiting() == ["p1", "p3", "m1"]
    assert played.take() == [
        MutationQueued("m1"),
        ReplaceRecord(played.core.writes.queue.get("m1").record),
        RemoveRecords(("p2", "p4")),
        StaleRecordsDropped((record("p2", version="v1"), record("p4"))),
        PendingChanged(3),
        OpenSocket(""),
        StatusChanged(Status.CONNECTING),
    ]


def test_hydration_without_a_version_finds_nothing_stale():
    """Whatever version a record has."""
    played = PlayedWrites(is_durable=True)
    played.core.hydrate([record("p1", version="v1"), record("p2")], 0.0)
    assert played.waiting() == ["p1", "p2"]


def test_hydration_opens_sockets_only_for_survivors():
    """And what is open already sends at once."""
    played = PlayedWrites(is_durable=True, version="v1", queue_limit=2)
    played.open()
    records = [
        record("old", shard="first", version="v1"),
        record("p1", version="v1"),
        record("p2", shard="room", version="v1"),
        record("p3", shard="stale", version="v0"),
    ]
    played.core.hydrate(records, 0.0)
    events = played.take()
    assert verdicts(events) == [("old", "OFFLINE_QUEUE_OVERFLOW")]
    assert [each.shard for each in events if isinstance(each, OpenSocket)] == ["room"]
    assert played.sent() == [["p1"]]
    (settled,) = (each for each in played.reply() if isinstance(each, MutationSettled))
    assert (settled.had_awaiter, settled.was_queued) == (False, True)


@pytest.mark.parametrize("args", [{"when": [TAG, "date"]}, {"text": "\ud800"}])
def test_hydrated_write_whose_arguments_cannot_be_read_or_sent_is_rejected(args):
    """Never replayed with substitutes; its record goes."""
    played = PlayedWrites(is_durable=True)
    played.core.hydrate([record("p1", args=args), record("p2")], 0.0)
    events = played.take()
    assert events[0] == RemoveRecords(("p1",))
    assert verdicts(events) == [("p1", "OFFLINE_WRITE_UNENCODABLE")]
    assert played.waiting() == ["p2"]


def test_write_composed_while_storage_is_read_waits_for_it():
    """Over an open socket too: nothing overtakes what earlier processes left."""
    played = PlayedWrites(is_durable=True)
    played.open()
    played.mutate("m1")
    played.sign_in("one")
    played.sign_in(None)
    assert played.sent() == []
    played.core.hydrate([record("p1", identity=None)], 0.0)
    played.open()
    assert played.sent() == [["p1"]]
    played.store("m1")
    played.reply()
    assert played.sent() == [["m1"]]


# --- sockets and the end


def test_shard_with_writes_keeps_its_socket():
    """While something waits, runs, or waits behind what runs; then it is closed as idle."""
    played = PlayedWrites()
    played.open("room")
    played.mutate("m1", shard="room")
    played.lose()
    waits, runs = _is_kept(played), _is_kept(played)
    assert played.sent() == [["m1"]]
    played.reply()
    assert (waits, runs, _is_kept(played)) == (True, True, False)


def _is_kept(played: PlayedWrites) -> bool:
    """Let an idle check go by; tell whether the shard is still there."""
    played.now += 5.0
    played.core.handle_deadline(played.now)
    return "room" in played.core.sessions


def test_shard_that_never_opens_is_given_up_when_its_writes_are_cancelled():
    """Nothing needs it any more."""
    played = PlayedWrites(queues_before_first_connect=True)
    played.mutate("m1", shard="room")
    played.drop("room")
    played.now = 5.0
    played.core.handle_deadline(5.0)
    assert "room" in played.core.sessions
    played.core.cancel_mutation("m1")
    played.drop("room")
    played.now = 10.0
    played.core.handle_deadline(10.0)
    assert played.core.sessions == {}


def test_close_leaves_what_waits_and_sends_nothing_more():
    """No verdict and no visible rollback; a socket that opens late changes nothing."""
    played = PlayedWrites()
    key = played.watch("notes", value=["a"])
    played.mutate("m0")
    played.drop()
    played.mutate("m1", function_path="notes:list", optimistic=lambda rows: [*rows, "b"])
    assert played.shown(key) == ["a", "b"]
    played.core.close()
    events = played.take()
    assert not [each for each in events if isinstance(each, MutationSettled | SnapshotChanged | PendingChanged)]
    played.requests().clear()
    played.core.receive_opened("", 0.0)
    assert (played.sent(), played.core.next_deadline(), played.waiting()) == ([], inf, ["m1"])


def test_pending_counts_are_told_only_when_they_change():
    """Never the same twice in a row."""
    played = offline("m1")
    counts = []
    counts += [each.count for each in played.mutate("m2") if isinstance(each, PendingChanged)]
    played.attempt()
    counts += [each.count for each in played.let_open() if isinstance(each, PendingChanged)]
    counts += [each.count for each in played.lose() if isinstance(each, PendingChanged)]
    assert counts == [2, 0, 2]


# --- what is composed while storage is read, and records that cannot be stored


def loading(*names: str, **options) -> PlayedWrites:
    """Return a client whose storage is being read, over an open socket, with writes that wait for it."""
    played = PlayedWrites(is_durable=True, **options)
    played.core.client_id = ""
    played.open()
    played.mutate(*names)
    return played


def test_writes_composed_before_the_client_has_a_name_get_it_with_the_load():
    """Nothing was sent meanwhile; they follow what earlier processes left, in order, as one batch."""
    played = loading("m1", "m2")
    assert (played.sent(), played.waiting()) == ([], [])
    played.core.learn_client_id("client-9")
    played.core.hydrate([record("p1"), record("p1")], played.now)
    records = [each.record for each in played.take() if isinstance(each, StoreRecord)]
    assert [(each.mutation_id, each.client_id) for each in records] == [("m1", "client-9"), ("m2", "client-9")]
    assert played.sent() == [["p1"]]
    played.store("m1", "m2")
    played.reply()
    (request,) = played.requests()
    assert [(each["mutationId"], each["clientId"]) for each in orjson.loads(request.body)["calls"]] == [
        ("m1", "client-9"),
        ("m2", "client-9"),
    ]


def test_write_composed_before_the_load_keeps_the_name_it_has():
    """The client id may be known before the queue is read."""
    played = loading()
    played.core.learn_client_id("client-8")
    played.mutate("m1")
    played.core.hydrate((), played.now)
    assert played.requests()[0].headers["x-lunora-client-id"] == "client-8"


def test_writes_composed_before_the_load_where_none_may_queue_are_sent_side_by_side():
    """Nobody knows yet whether there is such a server: the caller shall hear of it."""
    played = PlayedWrites(is_durable=True)
    played.mutate("m1", "m2")
    played.core.hydrate((), 0.0)
    assert (played.sent(), played.waiting()) == ([["m1"], ["m2"]], [])


def test_write_composed_before_the_load_is_judged_by_who_is_signed_in_after_it():
    """It was composed as nobody; as somebody it is never sent."""
    played = loading("m1")
    played.sign_in("one", "ana")
    played.core.hydrate((), played.now)
    played.take()
    assert verdicts(played.store("m1")) == [("m1", "OFFLINE_IDENTITY_CHANGED")]
    assert played.sent() == []


def test_write_composed_before_the_load_can_be_cancelled():
    """It has no record yet."""
    played = loading("m1")
    assert played.core.cancel_mutation("m1")
    assert played.take() == []
    played.core.hydrate((), played.now)
    assert (played.sent(), played.waiting()) == ([], [])


def test_write_made_again_before_the_load_stands_for_its_record():
    """In its place, with what it holds now, under the name that the server may know it by; its verdict removes it."""
    played = loading("p2", "m1")
    played.core.learn_client_id("client-9")
    left = [record("p1", identity=None), record("p2", identity=None), record("p3", identity=None)]
    played.core.hydrate(left, played.now)
    events = played.take()
    assert (of_kind(events, MutationQueued), of_kind(events, ReplaceRecord)) == ([MutationQueued("p2")], [])
    assert [each.record.mutation_id for each in of_kind(events, StoreRecord)] == ["m1"]
    (request,) = played.requests()
    assert [(each["mutationId"], each["clientId"]) for each in orjson.loads(request.body)["calls"]] == [
        (name, "client-0") for name in ("p1", "p2", "p3")
    ]
    events = played.reply_slots(OK, REJECTED, OK)
    assert of_kind(events, RemoveRecords) == [RemoveRecords(("p1", "p2", "p3"))]
    assert [
        (each.record.mutation_id, each.was_queued, each.had_awaiter) for each in of_kind(events, MutationSettled)
    ] == [("p1", True, False), ("p2", True, True), ("p3", True, False)]


def test_write_made_again_with_other_arguments_has_its_record_replaced():
    """What is sent is what the disk holds; a version that is no longer understood is no reason to drop it."""
    played = loading(version="v2")
    played.mutate("p1", args={"n": 2})
    played.core.hydrate([record("p1", version="v1", args={"n": 1}, identity=None)], played.now)
    (replaced,) = of_kind(played.take(), ReplaceRecord)
    assert replaced.record == record("p1", version="v2", args={"n": 2}, identity=None)
    assert played.sent() == [["p1"]]


def test_write_cancelled_before_the_load_has_its_record_removed():
    """An earlier process left it, this one made it again and withdrew it."""
    played = loading("p1")
    assert played.core.cancel_mutation("p1")
    assert played.take() == []
    played.core.hydrate([record("p1"), record("p2")], played.now)
    assert of_kind(played.take(), RemoveRecords) == [RemoveRecords(("p1",))]
    assert played.sent() == [["p2"]]


@pytest.mark.parametrize("is_lost", [False, True])
def test_write_under_way_when_its_record_is_found_is_not_sent_beside_it(is_lost):
    """Another process had left it, too; the verdict removes the record, and without one it waits in it."""
    played = durable()
    played.open()
    played.mutate("p1")
    played.core.expect_records()
    played.core.hydrate([record("p1", identity=None)], played.now)
    assert [each.record.client_id for each in of_kind(played.take(), ReplaceRecord)] == ["client-1"]
    assert (played.sent(), played.waiting()) == ([["p1"]], [])
    if is_lost:
        events = played.lose()
        assert (of_kind(events, StoreRecord), of_kind(events, MutationQueued)) == ([], [MutationQueued("p1")])
        played.retry()
    events = played.refuse("CONFLICT")
    assert of_kind(events, RemoveRecords) == [RemoveRecords(("p1",))]
    assert verdicts(events) == [("p1", "CONFLICT")]


def test_write_settled_while_its_record_was_looked_for_has_it_removed():
    """Or it would be told rejected, and be carried out afterwards."""
    played = durable()
    played.open()
    played.mutate("p1")
    played.core.expect_records()
    played.refuse("CONFLICT")
    played.core.hydrate([record("p1")], played.now)
    assert played.take() == [RemoveRecords(("p1",))]
    assert (played.sent(), played.waiting()) == ([], [])


def test_write_settled_before_its_record_was_looked_for_is_sent_again():
    """Another process may have made it again since, and was told that it waits."""
    played = durable()
    played.open()
    played.mutate("p1")
    played.refuse("CONFLICT")
    played.core.expect_records()
    played.core.hydrate([record("p1")], played.now)
    assert played.sent() == [["p1"]]


def test_write_settled_before_the_storage_could_be_read_has_its_record_removed():
    """A load that failed has read nothing: the records come when the disk works again."""
    played = loading()
    played.core.hydrate((), played.now, is_whole=False)
    played.mutate("p1")
    played.refuse("CONFLICT")
    played.core.hydrate([record("p1"), record("p2")], played.now)
    assert of_kind(played.take(), RemoveRecords) == [RemoveRecords(("p1",))]
    assert played.sent() == [["p2"]]


def test_writes_settled_while_the_storage_cannot_be_read_are_remembered_up_to_a_bound(monkeypatch):
    """A disk that never works again takes no more and more memory."""
    monkeypatch.setattr("lunora_rx.core.writes.MAX_ENDED", 2)
    played = loading()
    played.core.hydrate((), played.now, is_whole=False)
    for name in ("p1", "p2", "p3"):
        played.mutate(name)
        played.refuse("CONFLICT")
    played.core.hydrate([record("p1"), record("p2"), record("p3")], played.now)
    assert of_kind(played.take(), RemoveRecords) == [RemoveRecords(("p2", "p3"))]
    assert played.sent() == [["p1"]]


def test_write_made_again_after_the_load_takes_the_place_of_what_waits():
    """Also where nothing may queue: it does already, and would be sent twice."""
    played = PlayedWrites(is_durable=True)
    played.core.hydrate([record("p1"), record("p2")], 0.0)
    played.mutate("p1")
    assert (played.sent(), played.waiting()) == ([], ["p1", "p2"])
    played.store("p1")
    played.open()
    played.requests()
    events = played.reply_slots(REJECTED, OK)
    assert of_kind(events, RemoveRecords) == [RemoveRecords(("p1", "p2"))]
    assert verdicts(events) == [("p1", "CONFLICT"), ("p2", None)]


def test_write_made_again_while_it_is_sent_keeps_the_name_it_is_sent_under():
    """The server tells retries apart by it, and gives the same answer twice."""
    played = PlayedWrites(is_durable=True)
    played.core.hydrate([record("p1", identity=None)], 0.0)
    played.open()
    assert played.sent() == [["p1"]]
    played.mutate("p1")
    assert verdicts(played.reply()) == [("p1", None)]
    (request,) = played.requests()
    assert request.headers["x-lunora-client-id"] == "client-0"
    assert verdicts(played.reply()) == [("p1", None)]


def test_hydration_that_comes_again_goes_ahead_and_skips_what_waits():
    """What another process left; nothing that is known comes twice."""
    played = durable()
    played.mutate("m1")
    played.store("m1")
    played.core.hydrate([record("p1"), record("m1")], 0.0)
    assert played.waiting() == ["p1", "m1"]
    played.open()
    assert played.sent() == [["p1", "m1"]]


def test_write_whose_record_can_never_be_stored_is_rejected_with_its_layers():
    """Its verdict names why; what waited behind its record goes out."""
    played = durable()
    key = played.watch("notes", value=["a"])
    played.drop()
    played.mutate("m1", function_path="notes:list", optimistic=lambda rows: ["b"])
    played.mutate("m2")
    played.open()
    played.store("m2")
    assert (played.sent(), played.shown(key)) == ([], ["b"])
    played.core.refuse_stored("m1", StorageError("too large"), played.now)
    events = played.take()
    assert verdicts(events) == [("m1", "OFFLINE_WRITE_UNENCODABLE")]
    assert "too large" in str(next(each for each in events if isinstance(each, MutationSettled)).outcome.error)
    assert (played.shown(key), played.sent()) == (["a"], [["m2"]])


def test_write_whose_record_is_refused_without_a_flush_waiting_for_it_cuts_no_wait_short():
    """A server that asked for time gets it; a write that is gone already is refused in silence."""
    played = durable()
    played.mutate("m1")
    played.store("m1")
    played.open()
    played.refuse("RATE_LIMITED", 429, retry_after="30")
    played.mutate("m2")
    played.core.refuse_stored("m2", StorageError("no"), played.now)
    played.core.refuse_stored("m2", StorageError("no"), played.now)
    assert verdicts(played.take()) == [("m2", "OFFLINE_WRITE_UNENCODABLE")]
    assert (played.sent(), played.retry_in()) == ([], 30.0)


# --- what is composed while a pass runs


@pytest.mark.parametrize(
    "fail", [lambda played: played.refuse("RATE_LIMITED", 429, retry_after="30"), PlayedWrites.lose]
)
def test_writes_composed_while_a_pass_runs_do_not_cut_the_wait_of_what_it_kept_short(fail):
    """One or many, they queue behind it, and go out with it."""
    played = offline("m1")
    played.open()
    played.mutate("m2", "m3")
    fail(played)
    assert (played.sent(), played.waiting()) == ([], ["m1", "m2", "m3"])
    played.retry()
    assert played.sent() == [["m1", "m2", "m3"]]


def test_writes_composed_while_a_pass_runs_whose_token_changes_follow_it_in_one_pass():
    """The pass that takes them on is the one that was asked for: none follows it to cut its wait short."""
    played = offline(queues_before_first_connect=True)
    played.sign_in("one", "ana")
    played.mutate("m1")
    played.open()
    played.sign_in("two", "ana")
    played.mutate("m2", "m3")
    played.reply()
    assert played.sent() == [["m2", "m3"]]
    played.refuse("RATE_LIMITED", 429, retry_after="30")
    assert (played.sent(), played.retry_in()) == ([], 30.0)


def test_several_durable_writes_composed_while_a_pass_runs_go_out_as_one_batch_once_stored():
    """In the order in which they were composed."""
    played = durable()
    played.mutate("m1")
    played.store("m1")
    played.open()
    played.mutate("m2", "m3", "m4")
    stored = [each.record.mutation_id for each in played.reply() if isinstance(each, StoreRecord)]
    assert (stored, played.sent()) == (["m2", "m3", "m4"], [])
    played.store("m2", "m3", "m4")
    assert played.sent() == [["m2", "m3", "m4"]]


def test_probe_that_ends_while_a_pass_runs_judges_what_it_held_anew():
    """It held a write because nobody could yet turn out to be somebody; nothing else would send it."""
    played = PlayedWrites(is_durable=True)
    played.core.resolve_user(0.0)
    played.core.hydrate([record("legacy"), record("p1", identity=None)], 0.0)
    played.open()
    assert played.sent() == [["legacy"]]
    played.answer({"user": None})
    played.reply()
    assert played.sent() == [["p1"]]


# --- the end of a durable client


def test_durable_writes_that_wait_for_a_pass_get_a_record_at_close():
    """They have none yet, and the next process shall send them."""
    played = durable()
    played.mutate("m1")
    played.store("m1")
    played.open()
    played.mutate("m2", "m3")
    played.core.close()
    stored = [each.record.mutation_id for each in played.take() if isinstance(each, StoreRecord)]
    assert stored == ["m2", "m3"]


@pytest.mark.parametrize(
    ("options", "client_id", "is_stored"),
    [
        ({"is_durable": True, "queues_before_first_connect": True}, "client-1", True),
        ({"is_durable": True}, "client-1", False),
        ({"is_durable": True, "queues_before_first_connect": True}, "", False),
    ],
)
def test_writes_that_wait_for_the_load_at_close_get_a_record_if_they_may_queue(options, client_id, is_stored):
    """One without a name could never be sent, and one that may not queue fails with the client."""
    played = PlayedWrites(**options)
    played.core.client_id = client_id
    played.mutate("m1")
    played.core.close()
    assert [type(each) for each in played.take()].count(StoreRecord) == is_stored


def test_writes_that_wait_for_a_pass_of_a_client_without_storage_get_no_record_at_close():
    """There is nowhere to put one."""
    played = offline("m1")
    played.open()
    played.mutate("m2")
    played.core.close()
    assert not [each for each in played.take() if isinstance(each, StoreRecord)]


def test_retry_that_is_not_due_yet_is_left_alone():
    """Each shard has its own time."""
    played = offline("m1")
    played.open()
    played.refuse("RATE_LIMITED", 429, retry_after="30")
    played.open("room")
    played.mutate("r1", shard="room")
    played.lose()
    played.retry()
    assert (played.sent(), played.retry_in()) == ([["r1"]], 29.0)


# --- what waits, and what may go out all the same


def test_time_that_a_server_asked_for_outlives_the_socket():
    """Reconnecting is no reason to ask it earlier."""
    played = offline("m1")
    played.open()
    played.refuse("RATE_LIMITED", 429, retry_after="30")
    played.drop()
    played.open()
    assert (played.sent(), played.waiting()) == ([], ["m1"])
    played.retry()
    assert played.sent() == [["m1"]]


@pytest.mark.parametrize("is_durable", [False, True])
def test_write_of_nobody_behind_one_that_is_held_for_a_user_goes_out(is_durable):
    """Nothing else would ever flush it; the held one stays in front."""
    played = offline(is_durable=is_durable)
    played.core.hydrate((), played.now)
    played.sign_in("one", "ana")
    played.mutate("m1")
    played.store("m1")
    played.sign_in(None)
    played.open()
    played.mutate("m2")
    assert played.sent() == ([] if is_durable else [["m2"]])
    played.store("m2")
    assert (played.sent(), played.waiting()) == ([["m2"]], ["m1"])


def test_records_that_had_to_give_way_open_no_socket():
    """A shard is opened for what survives of it."""
    played = PlayedWrites(is_durable=True, queue_limit=1)
    played.core.hydrate([], played.now)
    played.take()
    played.core.hydrate([record("m1", shard="room"), record("m2")], played.now)
    assert verdicts(played.take()) == [("m1", "OFFLINE_QUEUE_OVERFLOW")]
    assert (played.waiting(), list(played.core.sessions)) == (["m2"], [""])


def test_question_that_teaches_nothing_cuts_no_wait_short(played):
    """Nobody was signed in before, and nobody is: the server that is busy keeps its time."""
    played.core.resolve_user(played.now)
    played.answer(None)
    played.mutate("m1")
    played.lose()
    played.retry()
    played.refuse("RATE_LIMITED", 429)
    planned = played.retry_in()
    assert 0 < planned < inf
    played.core.resolve_user(played.now)
    played.answer(None)
    assert (played.sent(), played.retry_in()) == ([], planned)


def test_describe_counts_what_waits_and_why():
    """A bug report says of each shard what waits, what is held for somebody, and when it is tried again."""
    played = offline("a", "b")
    calm = played.core.writes.describe(played.now)
    assert (calm["waiting"], calm["unstored"], calm["is_loading"], calm["refused_credential"]) == (2, 0, False, False)
    assert calm["shards"] == {"": {"waiting": 2, "held": 0, "behind_replay": 0, "replaying": 0, "retry_in": None}}
    played.attempt()
    played.let_open()
    played.mutate("c")
    assert played.core.writes.describe(played.now)["shards"][""] == {
        "waiting": 0, "held": 0, "behind_replay": 1, "replaying": 2, "retry_in": None
    }  # fmt: skip
    played.lose()
    shard = played.core.writes.describe(played.now)["shards"][""]
    assert shard["waiting"] == 3
    assert shard["retry_in"] == played.retry_in() > 0
