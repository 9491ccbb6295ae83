"""What a change of identity does to queue, cached reads, sockets and values; in the end, any sequence of changes."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from lunora_rx.core.events import (
    AuthTokenChanged,
    ClearReads,
    CloseSocket,
    Event,
    IdentityChanged,
    IdentityDisputed,
    MutationSent,
    MutationSettled,
    RemoveRecords,
    ReplaceRecord,
    SnapshotChanged,
    StatusChanged,
    StoreReads,
    StoreRecord,
    UserHeard,
    UserStateChanged,
)
from lunora_rx.core.identity import KEEP, Identity
from lunora_rx.core.reads import UNKNOWN
from lunora_rx.core.records import CachedRead, QueuedMutation
from lunora_rx.core.snapshot import SnapshotStatus, Status
from lunora_rx.errors import ProtocolError
from lunora_rx.protocol.keys import subscription_key
from lunora_rx.protocol.session_probe import User, UserStatus
from lunora_rx.protocol.values import UNDEFINED
from tests.core.played_writes import NO_REPLY, PlayedWrites, of_kind, verdicts

ANA, BOB, NO_USER = {"user": {"id": "ana"}}, {"user": {"id": "bob"}}, {"user": None}
NOTES, TAGS = subscription_key("notes:list", {}, ""), subscription_key("tags:list", {}, "")
REJECTED = "OFFLINE_IDENTITY_CHANGED"


def digest(token: str) -> str | None:
    return Identity(token).credential


def entry(key: str, identity: str | None, **fields: Any) -> CachedRead:
    return CachedRead(key=key, value=["cached"], identity=identity, cursor=7, epoch="e", **fields)


def client(**options: Any) -> PlayedWrites:
    """Return a client whose storage held nothing."""
    played = PlayedWrites(is_durable=True, queues_before_first_connect=True, **options)
    played.core.hydrate((), 0.0)
    played.take()
    return played


def cookies(**options: Any) -> PlayedWrites:
    return client(is_cookie_session=True, **options)


def subscribe(played: PlayedWrites, name: str = "notes") -> str:
    """Ask for a query, whatever the socket does; return its key."""
    key = subscription_key(f"{name}:list", {}, "")
    played.core.subscribe(key, f"{name}:list", {}, "", played.now)
    played.take()
    return key


def queue(played: PlayedWrites, *names: str, **composition: Any) -> None:
    """Compose writes that wait, their records stored."""
    played.mutate(*names, **composition)
    played.store(*names)


def stamp(played: PlayedWrites, shard: str = "") -> str | None:
    return played.core.sessions[shard].stamp.fingerprint


def restarted(events: list[Any]) -> bool:
    return bool(of_kind(events, CloseSocket))


# --- the rows of the table


def test_subject_of_the_same_token_learned_moves_stamps_and_evicts_nothing():
    """Records are rewritten, what the socket delivered becomes the user's, seeds of the user are shown."""
    played = client()
    played.load(entry(TAGS, "subj:ana"))
    played.sign_in("one")
    played.watch("notes", value=["live"])
    subscribe(played, "tags")
    queue(played, "m0")
    played.lose()
    played.store("m0")
    events = played.sign_in("one", "ana")
    assert [each.record.identity for each in of_kind(events, ReplaceRecord)] == ["subj:ana"]
    assert (stamp(played), played.shown(NOTES), played.shown(TAGS)) == ("subj:ana", ["live"], ["cached"])
    assert not restarted(events)
    assert not of_kind(events, ClearReads | AuthTokenChanged)
    (stored,) = of_kind(played.wait(0.25), StoreReads)
    assert [(read.key, read.identity, read.credential) for read in stored.reads] == [(NOTES, "subj:ana", digest("one"))]


def test_cookie_session_named_for_the_first_time_moves_stamps_and_judges_null_stamps():
    """What was composed before it was known who is there is nobody's, and rejected."""
    played = cookies()
    played.load(entry(TAGS, "subj:ana"))
    queue(played, "m1")
    played.watch("notes")
    subscribe(played, "tags")
    played.lose()
    played.data(NOTES, ["live"], 3)
    events = played.hear("identity", subject="ana")
    assert verdicts(events) == [("m1", REJECTED)]
    assert (stamp(played), played.shown(NOTES), played.shown(TAGS)) == ("subj:ana", ["live"], ["cached"])
    assert not restarted(events)
    assert not of_kind(events, ReplaceRecord | ClearReads)
    assert [read.identity for read in of_kind(played.wait(0.25), StoreReads)[0].reads] == ["subj:ana"]


def test_same_subject_with_another_token_goes_on_as_it_was():
    """The queue is flushed under the new token; reads, sockets and values are untouched."""
    played = client()
    played.sign_in("one", "ana")
    played.watch("notes", value=["live"])
    played.mutate("m1")
    played.lose()
    played.store("m1")
    events = played.sign_in("two", "ana")
    assert events[0] == AuthTokenChanged()
    assert MutationSent("m1") in events
    assert played.requests()[0].headers["authorization"] == "Bearer two"
    assert (stamp(played), played.shown(NOTES), played.core.account.identity_epoch) == ("subj:ana", ["live"], 0)
    assert not restarted(events)
    assert not of_kind(events, ClearReads | IdentityChanged)


def test_same_subject_left_out_of_a_new_token_holds_writes_and_takes_seeds_off_the_screen():
    """Live values and sockets stay; what was taken off comes back with the confirmation."""
    played = client()
    played.sign_in("one", "ana")
    played.load(entry(TAGS, "subj:ana"))
    queue(played, "m1")
    subscribe(played, "tags")
    played.watch("notes", value=["live"])
    played.lose()
    events = played.sign_in("two")
    assert (played.waiting(), played.sent(), played.questions()) == (["m1"], [], 1)
    assert (played.shown(NOTES), played.shown(TAGS), stamp(played)) == (["live"], UNDEFINED, "subj:ana")
    assert not restarted(events)
    assert not of_kind(events, ClearReads | IdentityChanged)
    assert MutationSent("m1") in played.answer(ANA)
    assert (played.shown(TAGS), played.requests()[0].headers["authorization"]) == (["cached"], "Bearer two")


@pytest.mark.parametrize(("token", "subject"), [("two", "bob"), ("two", None), ("one", "bob"), (None, KEEP)])
def test_different_identity_evicts_everything_of_the_one_before(token, subject):
    """Values, positions, cached reads, sockets; then observers of the identity are told, and those of the token."""
    played = client()
    played.sign_in("one", "ana")
    played.watch("notes", value=["live"])
    played.frames()
    played.wait(0.2)
    events = played.sign_in(token, subject)
    told = [type(each) for each in events if not isinstance(each, StatusChanged)]
    assert told.index(ClearReads) < told.index(CloseSocket) < told.index(IdentityChanged)
    assert told[-1] is (AuthTokenChanged if token != "one" else IdentityChanged)
    assert of_kind(events, IdentityChanged) == [IdentityChanged("bob" if subject == "bob" else None, 1)]
    (emptied,) = of_kind(events, SnapshotChanged)
    assert (emptied.snapshot.value, emptied.snapshot.status) == (UNDEFINED, SnapshotStatus.PENDING)
    assert (played.core.status, of_kind(played.wait(0.5), StoreReads)) == (Status.OFFLINE, [])
    played.open()
    assert "sinceSeq" not in played.frames()[-1]["query"]


def test_different_identity_rejects_what_is_not_its_own_and_keeps_what_has_no_stamp():
    """A write of nobody in particular goes out as whoever is there."""
    played = PlayedWrites(is_durable=True)
    played.sign_in("one", "ana")
    stamps = {"ana": "subj:ana", "bob": "subj:bob", "token": digest("one"), "nobody": None, "legacy": UNDEFINED}
    records = [QueuedMutation(name, "notes:add", {}, "c", identity=each) for name, each in stamps.items()]
    played.core.hydrate(records, 0.0)
    played.take()
    events = played.sign_in("two", "bob")
    assert verdicts(events) == [("ana", REJECTED), ("token", REJECTED), ("nobody", REJECTED)]
    assert played.waiting() == ["bob", "legacy"]


def test_different_identity_shows_no_layer_of_the_one_before():
    """A write under way has its verdict all the same, which changes nothing that is shown."""
    played = client()
    played.sign_in("one", "ana")
    played.watch("notes", value=["live"])
    played.mutate("m1", function_path="notes:list", optimistic=lambda rows: "mine")
    played.drop()
    queue(played, "m2", function_path="notes:list", optimistic=lambda rows: "queued")
    events = played.sign_in("two", "bob")
    assert verdicts(events) == [("m2", REJECTED)]
    result = played.core.find(NOTES, "").result
    assert (result.shown, result.base, result.layers) == (UNDEFINED, UNDEFINED, ())
    assert verdicts(played.refuse("CONFLICT", 409)) == [("m1", "CONFLICT")]
    assert (result.shown, result.layers) == (UNDEFINED, ())


def test_different_identity_folds_the_layers_of_its_own_writes_over_nothing():
    """What was composed with its token, before anybody knew whose that is, is still on its way."""
    played = client()
    played.sign_in("one", "ana")
    played.watch("notes", value=["live"])
    played.drop()
    played.sign_in("two")
    queue(played, "m1", function_path="notes:list", optimistic=lambda rows: "mine")
    played.sign_in("two", "bob")
    result = played.core.find(NOTES, "").result
    assert (result.shown, result.base, len(result.layers)) == ("mine", UNDEFINED, 1)


def test_different_identity_reaches_a_query_that_lingers():
    """Nobody watches it, but whoever asks next must not see what it held."""
    played = client(linger=60.0)
    played.sign_in("one", "ana")
    played.watch("notes", value=["live"])
    played.core.unsubscribe(NOTES, "", 0.0)
    played.sign_in("two", "bob")
    assert played.core.subscribe(NOTES, "notes:list", {}, "", 0.0).value is UNDEFINED


def test_different_identity_asks_again_for_what_was_too_large_for_the_one_before():
    """Its own value may be small; a query that is pending must have been asked for."""
    played = client()
    played.sign_in("one", "ana")
    played.watch("notes")
    played.core.find(NOTES, "").is_oversized = True
    played.sign_in("two", "bob")
    played.open()
    assert [each["type"] for each in played.frames()] == ["connect", "subscribe"]


def test_late_frame_of_a_retired_socket_shows_nothing():
    """The driver drops it; should one slip through, it is about nothing any more, and nothing is stored."""
    played = client()
    played.sign_in("one", "ana")
    played.watch("notes")
    played.sign_in("two", "bob")
    events = played.hear("data", id="sub_1", data=["of ana"], cursor=2)
    assert (played.shown(NOTES), events) == (UNDEFINED, [])
    assert of_kind(played.wait(0.3), StoreReads) == []


def test_sign_in_from_signed_out_rejects_null_stamps_and_keeps_everything_else():
    """What nobody in particular saw may stay on the screen; the socket stays open."""
    played = client()
    played.load(entry(TAGS, None))
    subscribe(played, "tags")
    queue(played, "m1")
    played.watch("notes")
    played.lose()
    played.data(NOTES, ["live"], 2)
    events = played.sign_in("one", "ana")
    assert verdicts(events) == [("m1", REJECTED)]
    assert (played.shown(NOTES), played.shown(TAGS), played.core.account.identity_epoch) == (["live"], ["cached"], 0)
    assert not restarted(events)
    assert not of_kind(events, ClearReads | IdentityChanged)
    assert [read.identity for read in of_kind(played.wait(0.25), StoreReads)[0].reads] == [None]


@pytest.mark.parametrize(("subject", "restarts"), [(None, True), (UNDEFINED, False)])
def test_sign_in_reopens_the_sockets_of_a_cookie_session_known_to_be_nobodys(subject, restarts):
    """They were opened with a cookie of nobody; nothing is forgotten."""
    played = cookies()
    played.watch("notes", value=["live"])
    if subject is None:
        played.hear("identity", subject=None)
    events = played.sign_in("one", "ana")
    assert (restarted(events), played.core.account.identity_epoch) == (restarts, 0)
    assert (played.shown(NOTES), of_kind(events, ClearReads)) == (["live"], [])


def test_sign_in_that_reopens_the_sockets_of_nobody_asks_for_whole_values():
    """No change since then is no answer: what nobody saw may be less than what the user sees."""
    played = cookies()
    played.watch("notes", value=["of nobody"])
    played.hear("identity", subject=None)
    played.sign_in("one", "ana")
    played.frames()
    played.open()
    assert "sinceSeq" not in played.frames()[-1]["query"]


def test_client_without_storage_follows_a_change_all_the_same():
    """There is no cache to clear."""
    played = PlayedWrites()
    played.sign_in("one", "ana")
    played.watch("notes", value=["live"])
    events = played.sign_in("two", "bob")
    assert (restarted(events), played.shown(NOTES), of_kind(events, ClearReads)) == (True, UNDEFINED, [])


def test_token_that_is_set_again_changes_nothing():
    """No observer hears of it, and no question under way becomes stale."""
    played = client()
    played.sign_in("one", "ana")
    played.core.resolve_user(0.0)
    assert played.sign_in("one") == played.sign_in("one", "ana") == []
    assert UserHeard(User("ana", {"id": "ana"})) in played.answer(ANA)


# --- whose socket it is


def test_socket_opened_while_a_subject_awaits_confirmation_is_the_tokens():
    """Confirmed, it is the user's, with what it has delivered."""
    played = client()
    played.sign_in("one", "ana")
    played.sign_in("two")
    played.watch("notes", value=["live"])
    assert stamp(played) == digest("two")
    played.sign_in("two", "ana")
    assert stamp(played) == "subj:ana"
    assert [read.identity for read in of_kind(played.wait(0.25), StoreReads)[0].reads] == ["subj:ana"]


def test_socket_opened_while_a_subject_awaits_confirmation_is_stored_as_the_tokens():
    """It is not claimed for a subject that may be another's."""
    played = client()
    played.sign_in("one", "ana")
    played.sign_in("two")
    played.watch("notes", value=["live"])
    (read,) = of_kind(played.wait(0.25), StoreReads)[0].reads
    assert (read.identity, read.credential) == (digest("two"), None)


def test_socket_with_a_token_of_its_own_is_nobody_knows_whose():
    """What it delivers is not stored, also after somebody has signed in."""
    played = client()
    subscribe(played)
    played.core.receive_opened("", 0.0, has_token=True)
    assert stamp(played) == UNKNOWN
    played.data(NOTES, ["of somebody"], 2)
    played.sign_in("one", "ana")
    assert of_kind(played.wait(1.0), StoreReads) == []
    assert played.shown(NOTES) == ["of somebody"]


def test_socket_of_a_cookie_session_that_names_somebody_else_than_the_bearer_is_not_stored_as_nobodys():
    """It opened before anybody was known, and the server says whose it is: nobody may be seeded with it."""
    played = cookies()
    played.watch("notes")
    played.sign_in("one", "bob")
    played.hear("identity", subject="ana")
    played.data(NOTES, ["of ana"], 2)
    assert of_kind(played.wait(1.0), StoreReads) == []


# --- identity frames


def test_identity_frame_of_a_cookie_session_may_say_that_nobody_is_signed_in():
    """That settles what writes of nobody wait for, and nothing is evicted."""
    played = cookies()
    played.open()
    assert played.hear("identity", subject=None) == []
    assert (played.core.account.identity.subject, played.core.account.identity_epoch) == (None, 0)


def test_identity_frame_that_says_nobody_settles_nothing_while_the_session_is_asked_for():
    """The answer on its way may name somebody: what nobody left is not shown before, nor to whoever it names."""
    played = cookies()
    played.core.resolve_user(0.0)
    played.open()
    played.core.load_reads([entry(NOTES, None)], 0.0)
    subscribe(played)
    played.hear("identity", subject=None)
    assert played.core.account.identity.is_unresolved
    before = played.shown(NOTES)
    played.answer(ANA)
    assert (before, played.shown(NOTES)) == (UNDEFINED, UNDEFINED)


def test_identity_frame_of_an_older_question_is_ignored():
    """Sockets answer in any order; the one asked last knows the cookie best."""
    played = cookies()
    played.open("", "room")
    played.hear("identity", "room", subject="bob")
    assert played.hear("identity", subject="ana") == []
    assert played.core.account.identity.subject == "bob"


def test_identity_frame_of_a_later_question_about_somebody_else_evicts():
    """The cookie is another user's now; every socket is reopened, and the same answer again changes nothing."""
    played = cookies()
    played.open()
    played.hear("identity", subject="ana")
    played.open("room")
    events = played.hear("identity", "room", subject="bob")
    assert [each.shard for each in of_kind(events, CloseSocket)] == ["", "room"]
    assert of_kind(events, IdentityChanged) == [IdentityChanged("bob", 1)]
    assert of_kind(events, StatusChanged) == [StatusChanged(Status.OFFLINE)]
    played.open("", "room")
    assert played.hear("identity", subject="bob") == played.hear("identity", "room", subject="bob") == []


@pytest.mark.parametrize(("has_cookies", "token"), [(False, None), (False, "one"), (True, "one")])
def test_identity_frame_of_anything_but_a_cookie_session_says_nothing_of_us(has_cookies, token):
    """Without cookies, or with a bearer, the socket's credential is another one."""
    played = cookies() if has_cookies else client()
    played.sign_in(token)
    played.open()
    assert played.hear("identity", subject="ana") == []
    assert played.core.account.identity.subject is UNDEFINED


def test_identity_frame_of_a_socket_with_a_token_of_its_own_says_nothing_of_the_cookie():
    """Only sockets without a token parameter are the cookie session's, and number their questions."""
    played = cookies()
    subscribe(played)
    played.core.receive_opened("", 0.0, has_token=True)
    played.take()
    assert played.hear("identity", subject="somebody") == []
    assert played.core.account.identity.subject is UNDEFINED
    played.open("room")
    played.hear("identity", "room", subject="ana")
    assert played.core.account.identity.subject == "ana"


def test_identity_frame_asks_the_driver_for_a_drain():
    """What waited may go out now, though the frame has moved no deadline of its socket."""
    played = cookies()
    played.open()
    played.core.has_more = False
    played.hear("identity", subject="ana")
    assert played.core.has_more


# --- the session probe


def test_probe_goes_where_it_was_told_with_the_bearer():
    """It is a GET without a body."""
    played = client()
    played.sign_in("one")
    played.core.resolve_user(0.0)
    played.requests()
    (probe,) = played.probes
    assert (probe.method, probe.path, probe.timeout) == ("GET", "/api/auth/get-session", 30.0)
    assert probe.headers["authorization"] == "Bearer one"


def test_probe_under_way_is_enough_for_everybody_who_waits():
    """One question, one answer for all."""
    played = client()
    played.sign_in("one")
    played.core.resolve_user(0.0)
    played.core.resolve_user(0.0)
    assert played.questions() == 1
    events = played.answer(ANA)
    assert [each.result.id for each in of_kind(events, UserHeard)] == ["ana"]
    assert [each.state.status for each in of_kind(events, UserStateChanged)] == [UserStatus.AUTHENTICATED]


@pytest.mark.parametrize(
    ("reply", "status", "has_cookies", "subject"),
    [
        (ANA, 200, False, "ana"),
        (NO_USER, 200, False, None),
        (None, 200, False, None),
        ({}, 401, True, None),
        ({}, 401, False, UNDEFINED),
        ({}, 500, True, UNDEFINED),
        ({"user": {"id": 7}}, 200, True, UNDEFINED),
    ],
)
def test_probe_answer_is_adopted_as_the_protocol_says(reply, status, has_cookies, subject):
    """A refusal and a reply that cannot be read teach nothing."""
    played = client(is_cookie_session=has_cookies)
    played.core.resolve_user(0.0)
    played.answer(reply, status)
    assert played.core.account.identity == Identity(None, subject)


def test_probe_reply_that_cannot_be_read_is_what_everybody_who_waits_gets():
    """So is a request without a reply."""
    played = client()
    played.core.resolve_user(0.0)
    (heard,) = of_kind(played.answer("text"), UserHeard)
    assert isinstance(heard.result, ProtocolError)
    played.core.resolve_user(0.0)
    assert of_kind(played.end_probe(NO_REPLY), UserHeard) == [UserHeard(NO_REPLY)]


def test_probe_answer_for_a_token_that_was_replaced_is_ignored():
    """The question is put again under the new one, and only that answer counts."""
    played = client()
    played.sign_in("one")
    played.core.resolve_user(0.0)
    played.sign_in("two")
    assert played.questions() == 2
    assert played.answer(ANA) == []
    assert played.core.account.identity.subject is UNDEFINED
    assert [each.result.id for each in of_kind(played.answer(BOB), UserHeard)] == ["bob"]


def test_probe_newer_than_an_answer_makes_it_stale():
    """After a dispute, the answer that was on its way may be from before."""
    played = cookies()
    played.core.resolve_user(0.0)
    played.core.account.confirm(0.0, is_disputed=True)
    assert played.answer(BOB, number=1)
    assert played.answer(ANA) == []
    assert played.core.account.identity.subject == "bob"


def test_probe_of_a_session_that_ends_has_the_answer_that_nobody_is_signed_in():
    """Whoever waits is told, and the late answer of the server is ignored."""
    played = client()
    played.sign_in("one", "ana")
    played.core.resolve_user(0.0)
    events = played.sign_in(None)
    assert of_kind(events, UserHeard) == [UserHeard(None)]
    assert of_kind(events, UserStateChanged)[-1].state.status is UserStatus.UNAUTHENTICATED
    assert played.answer(ANA) == []


def test_probe_that_finds_somebody_else_evicts_like_any_other_change():
    """And the status follows, for every socket was closed."""
    played = client()
    played.sign_in("one", "ana")
    played.watch("notes", value=["live"])
    played.core.resolve_user(0.0)
    events = played.answer(BOB)
    assert (restarted(events), played.shown(NOTES)) == (True, UNDEFINED)
    assert of_kind(events, IdentityChanged) == [IdentityChanged("bob", 1)]
    assert of_kind(events, AuthTokenChanged) == []
    assert (of_kind(events, StatusChanged), played.core.status) == ([StatusChanged(Status.OFFLINE)], Status.OFFLINE)


def test_probe_of_a_null_identity_holds_writes_until_it_has_ended():
    """Nobody may yet turn out to be somebody; whatever the answer, what waits is judged by it."""
    played = cookies()
    queue(played, "m1")
    played.core.resolve_user(0.0)
    played.open()
    assert (played.sent(), played.waiting(), played.retry_in()) == ([], ["m1"], inf)
    assert MutationSent("m1") in played.end_probe(NO_REPLY)


def test_probe_that_failed_is_repeated_once_connected_and_before_writes_go_out():
    """The server is back: it is asked first, and what waits goes by the answer."""
    played = cookies()
    queue(played, "m1")
    played.core.resolve_user(0.0)
    played.end_probe(NO_REPLY)
    played.open()
    assert (played.questions(), played.sent()) == (1, [])
    assert verdicts(played.answer(ANA)) == [("m1", REJECTED)]
    played.drop()
    played.open()
    assert played.questions() == 0


def test_probe_that_teaches_nothing_new_leaves_a_refused_bearer_alone():
    """What waits for another token is not sent again under the same one."""
    played = client()
    played.sign_in("one", "ana")
    queue(played, "m1")
    played.open()
    played.refuse("UNAUTHORIZED", 401)
    played.core.resolve_user(0.0)
    played.answer(ANA)
    assert (played.sent(), played.waiting()) == ([], ["m1"])


# --- held writes


def test_held_writes_ask_on_the_ramp_without_end_and_drop_nothing():
    """Every pass puts one question, whether or not the last was answered."""
    played = client()
    played.sign_in("one", "ana")
    queue(played, "m1", "m2")
    played.open()
    played.lose()
    played.sign_in("two")
    waits = []
    for _ in range(9):
        waits.append(played.retry_in())
        assert (played.questions(), played.sent()) == (1, [])
        played.end_probe(NO_REPLY)
        played.retry()
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    played.answer(ANA)
    assert played.sent() == [["m1", "m2"]]


def test_held_writes_do_not_ask_while_an_answer_is_on_its_way():
    """The retry comes due before the answer."""
    played = client()
    played.sign_in("one", "ana")
    queue(played, "m1")
    played.open()
    played.lose()
    played.sign_in("two")
    played.retry()
    assert played.questions() == 1
    assert verdicts(played.answer(BOB)) == [("m1", REJECTED)]


def test_held_writes_of_a_subject_that_is_confirmed_go_out_at_once():
    """The planned retry is cut short by an answer that taught something."""
    played = client()
    played.sign_in("one", "ana")
    queue(played, "m1")
    played.open()
    played.lose()
    played.sign_in("two")
    assert played.retry_in() == 1.0
    played.answer(ANA)
    assert (played.sent(), played.retry_in()) == ([["m1"]], inf)


# --- disputes


def disputed(**options: Any) -> PlayedWrites:
    """Return a client of ana's cookie whose server has refused a write as somebody else's."""
    played = cookies(**options)
    played.sign_in(None, "ana")
    queue(played, "m1")
    played.open()
    played.refuse("IDENTITY_MISMATCH", 409)
    return played


def test_dispute_asks_once_a_pass_and_warns_once():
    """An answer that teaches nothing cuts no wait short."""
    played = disputed()
    waits, warned = [], []
    for _ in range(5):
        waits.append(played.retry_in())
        assert played.questions() == 1
        warned.append(len(of_kind(played.answer(ANA), IdentityDisputed)))
        assert played.sent() == []
        played.retry()
        played.refuse("IDENTITY_MISMATCH", 409)
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0]
    assert warned == [1, 0, 0, 0, 0]


def test_dispute_that_another_subject_solves_is_no_warning():
    """The answer says whose session it is, and writes of the one before are rejected."""
    played = disputed()
    events = played.answer(BOB)
    assert (of_kind(events, IdentityDisputed), verdicts(events)) == ([], [("m1", REJECTED)])


def test_dispute_that_nobody_answers_is_no_warning():
    """Nothing was said; the next answer that says something is the one to warn of."""
    played = disputed()
    assert of_kind(played.end_probe(NO_REPLY), IdentityDisputed) == []
    played.retry()
    played.refuse("IDENTITY_MISMATCH", 409)
    assert of_kind(played.answer(ANA), IdentityDisputed) == [IdentityDisputed("ana")]


def test_dispute_is_over_when_somebody_else_signs_in():
    """What the server refused was not theirs."""
    played = disputed()
    played.sign_in("two", "bob")
    played.core.resolve_user(0.0)
    assert of_kind(played.answer(BOB, number=1), IdentityDisputed) == []


def test_dispute_while_a_pass_runs_elsewhere_cuts_no_wait_short():
    """Answers that come while a pass runs must not make the next one begin at once: each would ask again."""
    played = cookies()
    played.sign_in(None, "ana")
    queue(played, "m1")
    queue(played, "r1", shard="room")
    played.open("", "room")
    assert played.sent() == [["m1"], ["r1"]]
    played.refuse("IDENTITY_MISMATCH", 409)
    played.answer(ANA)
    played.refuse("IDENTITY_MISMATCH", 409)
    assert (played.sent(), played.retry_in()) == ([], 1.0)


def test_dispute_answered_while_the_retry_runs_waits_for_the_next_on_the_ramp():
    """A slow question must not turn the ramp into a storm."""
    played = disputed()
    played.mutate("m2")
    played.retry()
    assert (played.sent(), played.waiting()) == ([["m1"]], ["m2"])
    played.answer(ANA)
    played.refuse("IDENTITY_MISMATCH", 409)
    assert (played.sent(), played.retry_in()) == ([], 2.0)


def test_dispute_of_nobodys_writes_holds_them_while_the_question_is_open():
    """Then they are judged by the answer, also those that a running pass has held."""
    played = cookies()
    played.sign_in(None, None)
    queue(played, "m1")
    played.open()
    played.refuse("IDENTITY_MISMATCH", 409)
    played.retry()
    assert played.sent() == []
    assert verdicts(played.answer(ANA)) == [("m1", REJECTED)]


# --- any sequence of changes, with a server that knows the truth

USERS = {None: "nobody", "a1": "ana", "a2": "ana", "b1": "bob"}
KEYS = {name: subscription_key(f"{name}:list", {}, "") for name in ("notes", "tags")}


class Disk:
    """What one process leaves to the next."""

    def __init__(self) -> None:
        self.records: dict[str, QueuedMutation] = {}
        self.reads: dict[str, CachedRead] = {}

    def keep(self, event: Event) -> None:
        """Do what an event asks of the storage."""
        if isinstance(event, StoreRecord):
            self.records[event.record.mutation_id] = event.record
        elif isinstance(event, ReplaceRecord):
            self.records |= {event.record.mutation_id: event.record} if event.record.mutation_id in self.records else {}
        elif isinstance(event, RemoveRecords):
            self.records = {name: each for name, each in self.records.items() if name not in event.mutation_ids}
        elif isinstance(event, StoreReads):
            self.reads |= {read.key: read.encoded(1.0) for read in event.reads}
        elif isinstance(event, ClearReads):
            self.reads.clear()


class Observed(PlayedWrites):
    """A client of which every event reaches the disk, and is remembered."""

    def __init__(self, disk: Disk) -> None:
        self.disk, self.settled = disk, list[str]()
        super().__init__(is_durable=True, queues_before_first_connect=True)

    def take(self) -> list[Event]:
        events = super().take()
        for event in events:
            self.disk.keep(event)
        self.settled += [each.record.mutation_id for each in of_kind(events, MutationSettled)]
        return events


class Identities(RuleBasedStateMachine):
    """Users come and go while sockets, replies and answers take their time.

    The server labels each value with whose socket carries it, and an honest probe tells whose token it was asked with.
    """

    def __init__(self) -> None:
        super().__init__()
        self.disk, self.token, self.count, self.cursor = Disk(), None, 0, 0
        self.authors: dict[str, str] = {}
        self.patching: set[str] = set()
        self.socket_of = "nobody"
        self.seen: set[int] = set()

    @initialize()
    def start(self) -> None:
        """Begin a process that reads what is there."""
        self.played = Observed(self.disk)
        self.seen, self.patching, self.deadline = set(), set(), inf
        self.played.core.hydrate(list(self.disk.records.values()), 0.0)
        self.played.load(*self.disk.reads.values())

    @precondition(lambda self: self.disk.reads or self.disk.records)
    @rule(token=st.sampled_from(list(USERS)), name=st.sampled_from(list(KEYS)))
    def restart(self, token: str | None, name: str) -> None:
        """End the process, and begin another, perhaps as somebody else, who sees what is on the disk."""
        self.played.core.close()
        self.played.take()
        self.token = None
        self.start()
        self.sign_in(token, is_named=True)
        self.subscribe(name)

    @rule(token=st.sampled_from(list(USERS)), is_named=st.booleans())
    def sign_in(self, token: str | None, is_named: bool) -> None:
        """Change the token, in a way that an application may: what it asserts is true, what it does not say is open."""
        if not self.identity.is_confirmed and not (is_named and token in (self.token, None)):
            return
        self.token = token
        self.played.sign_in(token, USERS[token] if is_named and token else KEEP)

    @rule()
    def resolve(self) -> None:
        """Let the application ask who is signed in."""
        self.played.core.resolve_user(self.played.now)

    @precondition(lambda self: self.played.questions())
    @rule(is_last=st.booleans(), is_lost=st.booleans())
    def answer(self, is_last: bool, is_lost: bool) -> None:
        """Let a question end, in any order."""
        number = -1 if is_last else 0
        if is_lost:
            self.played.end_probe(NO_REPLY, number=number)
            return
        bearer = self.played.probes[number].headers.get("authorization")
        user = USERS[bearer and bearer.removeprefix("Bearer ")]
        self.played.answer({"user": None if user == "nobody" else {"id": user}}, number=number)

    @rule()
    def open(self) -> None:
        """Open the socket with the token in force, if it is not open."""
        if self.is_open:
            return
        self.played.open()
        self.socket_of = USERS[self.token]

    @rule(name=st.sampled_from(list(KEYS)))
    def show(self, name: str) -> None:
        """Let a query be asked for and answered, whatever that takes."""
        self.open()
        self.subscribe(name)
        self.serve(name)

    @rule()
    def queue(self) -> None:
        """Compose a write offline, and let it be on its way."""
        self.drop()
        self.mutate(None)
        self.store()
        self.open()

    @rule()
    def drop(self) -> None:
        """Cut the connection."""
        self.played.drop()

    @rule(name=st.sampled_from(list(KEYS)))
    def subscribe(self, name: str) -> None:
        """Ask for a live query once."""
        if self.played.core.find(KEYS[name], "") is None:
            self.played.core.subscribe(KEYS[name], f"{name}:list", {}, "", self.played.now)

    @rule(name=st.sampled_from(list(KEYS)))
    def unsubscribe(self, name: str) -> None:
        """Give a live query up."""
        self.played.core.unsubscribe(KEYS[name], "", self.played.now)

    @rule(name=st.sampled_from(list(KEYS)))
    def serve(self, name: str) -> None:
        """Let the server send a value, also over a socket that was given up."""
        if self.played.core.find(KEYS[name], "") is not None:
            self.cursor += 1
            self.played.data(KEYS[name], [self.socket_of], self.cursor)

    @rule(name=st.sampled_from([None, *KEYS]))
    def mutate(self, name: str | None) -> None:
        """Compose a write, with a patch or without."""
        self.count += 1
        mutation_id = f"m{self.count}"
        self.authors[mutation_id] = USERS[self.token] if self.identity.is_confirmed else "unknown"
        if name is not None:
            self.patching.add(mutation_id)
        patch = {"function_path": f"{name}:list", "optimistic": lambda rows: [*rows, "patch"]} if name else {}
        self.played.mutate(mutation_id, **patch)

    @rule()
    def store(self) -> None:
        """Let every record be on the disk."""
        self.played.store(*self.disk.records)

    @precondition(lambda self: self.played.requests())
    @rule(how=st.sampled_from(["accept", "limit", "unauthorized", "lose"]))
    def reply(self, how: str) -> None:
        """Let the oldest request of a write end."""
        names = self.played.sent()[0]
        bodies = {"accept": {"result": 1}, "limit": {"error": {"code": "RATE_LIMITED"}}}
        if how == "lose":
            self.played.lose()
        elif how == "unauthorized":
            self.played.refuse("UNAUTHORIZED", 401)
        elif len(names) > 1:
            self.played.reply_slots(*[bodies[how]] * len(names))
        else:
            self.played.reply(bodies[how], 200 if how == "accept" else 429)

    @rule(seconds=st.sampled_from([0.0, 0.3, 5.0]))
    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.played.core.has_more = True
        self.played.wait(seconds)

    @property
    def identity(self) -> Identity:
        return self.played.core.account.identity

    @property
    def is_open(self) -> bool:
        connection = self.played.core.connection_of("")
        return connection is not None and connection.is_open

    @invariant()
    def driver_is_told_of_everything(self) -> None:
        """Frames, requests and deadlines are found only when the core says that there is more."""
        core = self.played.core
        self.played.take()
        if not core.has_more:
            assert (core.shards_to_send(), core.requests_to_send(), core.next_deadline()) == ([], [], self.deadline)
        for shard in core.shards_to_send():
            core.take_frames(shard)
        self.played.requests()
        core.has_more, self.deadline = False, core.next_deadline()

    @invariant()
    def no_write_goes_out_as_somebody_else(self) -> None:
        """Whoever composed it is who the bearer of its request belongs to."""
        for request, names in zip(self.played.requests(), self.played.sent(), strict=True):
            bearer = request.headers.get("authorization")
            sender = USERS[bearer and bearer.removeprefix("Bearer ")]
            if request.request_id not in self.seen:
                assert {self.authors[name] for name in names} <= {sender, "unknown"}
            self.seen.add(request.request_id)

    @invariant()
    def nobody_sees_what_is_somebody_elses(self) -> None:
        """Once it is certain who is signed in, all that is shown is theirs or was shown to nobody in particular."""
        for key in KEYS.values() if self.identity.is_confirmed else ():
            subscription = self.played.core.find(key, "")
            if subscription is not None and subscription.result.base is not UNDEFINED:
                assert subscription.result.base[0] in ("nobody", USERS[self.token])

    @invariant()
    def nothing_is_left_of_what_is_settled(self) -> None:
        """A write has one verdict, and its layers go with it."""
        assert len(self.played.settled) == len(set(self.played.settled))
        left = len(self.patching - set(self.played.settled))
        for key in KEYS.values():
            subscription = self.played.core.find(key, "")
            assert subscription is None or len(subscription.result.layers) <= left


TestIdentities = Identities.TestCase
TestIdentities.settings = settings(max_examples=250, stateful_step_count=30)
