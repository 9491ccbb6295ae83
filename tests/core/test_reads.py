"""The durable read cache between live queries and the store: what is shown, asked for, written and forgotten."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest

from lunora_rx.core.events import ClearReads, ForgetReads, SnapshotChanged, StoreReads
from lunora_rx.core.identity import Identity
from lunora_rx.core.read_cache import WRITE_DELAY
from lunora_rx.core.records import CachedRead
from lunora_rx.core.snapshot import Snapshot, SnapshotStatus
from lunora_rx.protocol.keys import subscription_key
from lunora_rx.protocol.values import UNDEFINED
from lunora_rx.protocol.wire import TAG
from tests.core.played_writes import PlayedWrites, of_kind

NOTES = subscription_key("notes:list", {}, "")
CACHED = Snapshot(SnapshotStatus.STALE, ["cached"], None, 7)


def entry(key: str = NOTES, identity: str | None = None, **fields: Any) -> CachedRead:
    return CachedRead(**{"key": key, "value": ["cached"], "identity": identity, "cursor": 7, "epoch": "e", **fields})


@pytest.fixture
def played() -> PlayedWrites:
    """A client with storage whose queue was empty; its read cache was not read yet."""
    played = PlayedWrites(is_durable=True, queues_before_first_connect=True)
    played.core.hydrate((), 0.0)
    return played


def subscribe(played: PlayedWrites) -> Snapshot[Any]:
    """Ask for the notes; return what is known of them."""
    return played.core.subscribe(NOTES, "notes:list", {}, "", played.now)


def asked(played: PlayedWrites) -> list[tuple[Any, Any]]:
    """Take what was sent, and return where each subscribe frame resumes."""
    queries = [each["query"] for each in played.frames() if each["type"] == "subscribe"]
    return [(each.get("sinceSeq"), each.get("sinceEpoch")) for each in queries]


def stored(events: list[Any]) -> list[Any]:
    return [read for each in of_kind(events, StoreReads) for read in each.reads]


# --- seeds


def test_seed_is_shown_to_a_query_that_opens_after_the_load(played):
    """At once and as stale; the first frame resumes from where it stands."""
    assert played.load(entry()) == []
    assert subscribe(played) == CACHED
    played.open()
    assert asked(played) == [(7, "e")]


def test_seed_is_shown_to_a_query_that_opened_before_the_load(played):
    """The observers are told, and a socket that opens later resumes."""
    assert subscribe(played) == Snapshot()
    played.take()
    assert played.load(entry()) == [SnapshotChanged(NOTES, CACHED)]
    played.open()
    assert asked(played) == [(7, "e")]


def test_seed_comes_too_late_for_a_query_that_the_server_answered(played):
    """Live always wins."""
    played.watch("notes", value=["live"])
    assert played.load(entry()) == []
    assert played.shown(NOTES) == ["live"]


def test_seed_is_confirmed_by_a_resume(played):
    """The value stands, is live, and is nobody's to take away any more."""
    played.sign_in("one", "ana")
    played.load(entry(identity="subj:ana"))
    subscribe(played)
    played.open()
    played.hear("resume", id="sub_1", cursor=7)
    assert played.core.find(NOTES, "").result.status is SnapshotStatus.LIVE
    played.sign_in("two")
    assert played.shown(NOTES) == ["cached"]
    assert [(read.value, read.identity) for read in stored(played.wait(WRITE_DELAY))] == [(["cached"], "subj:ana")]


def test_seed_is_superseded_by_a_value(played):
    """It does not come back with the next observer."""
    played.load(entry())
    played.watch("notes", value=["live"])
    played.core.unsubscribe(NOTES, "", 0.0)
    assert subscribe(played) == Snapshot()


def test_seed_that_was_never_superseded_is_shown_again(played):
    """The last observer gives it back."""
    played.load(entry())
    for _ in range(2):
        assert subscribe(played) == CACHED
        played.core.unsubscribe(NOTES, "", 0.0)


def test_seed_that_lingered_is_given_back_when_it_has_outlived():
    """Until then its query still shows it."""
    played = PlayedWrites(is_durable=True, linger=2.0)
    played.load(entry())
    subscribe(played)
    played.core.unsubscribe(NOTES, "", 0.0)
    played.wait(3.0)
    assert played.core.find(NOTES, "") is None
    assert subscribe(played) == CACHED


def test_seed_shows_layers_over_it_and_drops_those_it_holds(played):
    """A write composed before the load is still optimistic."""
    subscribe(played)
    played.open()
    played.mutate("m1", function_path="notes:list", optimistic=lambda rows: ["mine"])
    played.load(entry())
    assert played.shown(NOTES) == ["mine"]
    played.refuse("CONFLICT", 409)
    assert played.shown(NOTES) == ["cached"]


@pytest.mark.parametrize("is_late", [False, True])
def test_seed_that_cannot_be_decoded_is_forgotten(played, is_late):
    """The query is asked for as if it had never been stored."""
    broken = entry(value=[TAG, "date"])
    if is_late:
        subscribe(played)
        assert ForgetReads((NOTES,)) in played.load(broken)
    else:
        played.load(broken)
        assert subscribe(played) == Snapshot()
        assert ForgetReads((NOTES,)) in played.take()
    played.open()
    assert asked(played) == [(None, None)]


def test_seed_of_another_version_is_purged_and_never_shown():
    """One without a version too, where the application has one."""
    played = PlayedWrites(is_durable=True, version="v2")
    events = played.load(entry(version="v1"), entry("other"), entry("third", version="v2"))
    assert events == [ForgetReads((NOTES, "other"))]
    assert subscribe(played) == Snapshot()


def test_seeds_are_loaded_once(played):
    """What comes later is older than what was shown meanwhile."""
    played.load()
    assert played.load(entry()) == []
    assert subscribe(played) == Snapshot()


def test_seeds_mean_nothing_to_a_client_without_storage():
    """Nothing is kept, so nothing is shown."""
    played = PlayedWrites()
    played.load(entry())
    assert subscribe(played) == Snapshot()


# --- whose they are


def test_seed_of_somebody_else_is_held_until_they_are_signed_in(played):
    """It is not destroyed by who looks at it in vain."""
    played.load(entry(identity="subj:ana"))
    subscribe(played)
    played.sign_in("token of unknown")
    assert played.shown(NOTES) is UNDEFINED
    played.sign_in("token of unknown", "ana")
    assert played.shown(NOTES) == ["cached"]


def test_seed_of_nobody_waits_while_nobody_may_turn_out_to_be_somebody(played):
    """It is shown as soon as the answer is that nobody is signed in."""
    played.core.resolve_user(0.0)
    played.load(entry())
    assert subscribe(played) == Snapshot()
    played.answer({"user": None})
    assert played.shown(NOTES) == ["cached"]


def test_seed_is_taken_off_the_screen_while_its_subject_awaits_confirmation(played):
    """A query without a socket is asked for whole, and shows it again once confirmed."""
    played.sign_in("one", "ana")
    played.load(entry(identity="subj:ana"))
    subscribe(played)
    (told,) = of_kind(played.sign_in("two"), SnapshotChanged)
    assert (told.snapshot.value, told.snapshot.status) == (UNDEFINED, SnapshotStatus.PENDING)
    assert SnapshotChanged(NOTES, CACHED) in played.sign_in("two", "ana")
    played.open()
    assert asked(played) == [(7, "e")]


def test_seed_that_the_new_token_itself_delivered_stays_on_the_screen(played):
    """The token is proof enough, whoever it belongs to."""
    played.sign_in("one", "ana")
    played.load(entry(identity="subj:ana", credential=Identity("two").credential))
    subscribe(played)
    played.sign_in("two")
    assert played.shown(NOTES) == ["cached"]


def test_seed_taken_off_the_screen_before_its_resume_is_asked_for_whole(played):
    """The server was told of a value that is gone: a bare position, or a delta, would be all there ever is."""
    played.sign_in("one", "ana")
    played.load(entry(identity="subj:ana"))
    subscribe(played)
    played.open()
    assert asked(played) == [(7, "e")]
    played.sign_in("two")
    assert asked(played) == [(None, None)]


def test_resume_for_a_seed_that_was_taken_off_the_screen_supersedes_nothing(played):
    """It confirmed a value that is not there; with the confirmation of its subject the seed is shown again."""
    played.sign_in("one", "ana")
    played.load(entry(identity="subj:ana"))
    subscribe(played)
    played.open()
    played.sign_in("two")
    played.hear("resume", id="sub_1", cursor=7)
    played.sign_in("two", "ana")
    assert played.shown(NOTES) == ["cached"]


def test_seed_goes_with_the_identity_it_belonged_to(played):
    """The store is emptied, and what lands from it later is ignored."""
    played.sign_in("one", "ana")
    assert ClearReads() in played.sign_in("two", "bob")
    played.load(entry(identity="subj:bob"), entry("other", "subj:ana"))
    assert subscribe(played) == Snapshot()


def test_seed_on_the_screen_goes_with_its_identity(played):
    """Also for whoever comes back: it is on no disk any more."""
    played.sign_in("one", "ana")
    played.load(entry(identity="subj:ana"))
    subscribe(played)
    played.sign_in(None)
    assert played.shown(NOTES) is UNDEFINED
    played.sign_in("one", "ana")
    assert played.shown(NOTES) is UNDEFINED


# --- writing


def test_value_is_written_once_for_all_that_came_within_the_delay(played):
    """The deadline is the first one's, the value the latest; the driver is told of the deadline."""
    played.watch("notes")
    played.frames()
    played.core.has_more = False
    played.now = 1.0
    played.data(NOTES, ["first"], 2)
    assert (played.core.has_more, played.core.next_deadline()) == (True, 1.0 + WRITE_DELAY)
    played.now, played.core.has_more = 1.1, False
    played.data(NOTES, ["second"], 3)
    assert not played.core.has_more
    assert [(read.value, read.cursor) for read in stored(played.wait(WRITE_DELAY))] == [(["second"], 3)]


def test_value_of_a_plain_frame_is_written_in_its_turn(played):
    """The short way of a frame is no way around the disk."""
    played.watch("notes")
    played.hear("data", id="sub_1", data=["first"], cursor=2, epoch="e")
    assert [read.value for read in stored(played.wait(WRITE_DELAY))] == [["first"]]
    played.core.has_more = False
    played.hear("data", id="sub_1", data=["second"], cursor=3, epoch="e")
    assert (played.core.has_more, played.core.next_deadline()) == (True, played.now + WRITE_DELAY)
    assert [(read.value, read.cursor, read.epoch) for read in stored(played.wait(WRITE_DELAY))] == [
        (["second"], 3, "e")
    ]


def test_value_is_written_without_the_layers_over_it(played):
    """What the server gave is all that is kept."""
    played.watch("notes", value=["live"])
    played.mutate("m1", function_path="notes:list", optimistic=lambda rows: [*rows, "mine"])
    assert [read.value for read in stored(played.wait(WRITE_DELAY))] == [["live"]]


def test_value_of_an_unresolved_nobody_is_written_once_that_is_settled(played):
    """No timer runs meanwhile; then it is due at once."""
    played.core.resolve_user(0.0)
    played.watch("notes", value=["live"])
    assert stored(played.wait(3.0)) == []
    assert played.core.reads.deadline == inf
    played.answer({"user": None})
    assert [read.identity for read in stored(played.wait(0.0))] == [None]


def test_value_is_written_at_close(played):
    """Before anything ends; a client that had nothing to write says nothing."""
    played.watch("notes", value=["live"])
    played.core.close()
    events = played.take()
    assert [read.value for read in stored(events[:1])] == [["live"]]
    played.core.close()
    assert played.take() == []


def test_value_that_cannot_be_read_is_not_written(played):
    """Neither what failed nor what was before it under a later position."""
    played.watch("notes")
    played.hear("data", id="sub_1", data=[TAG, "date"], cursor=2)
    assert stored(played.wait(1.0)) == []


def test_value_of_a_client_without_storage_is_not_written():
    """There is no deadline for it."""
    played = PlayedWrites()
    played.watch("notes", value=["live"])
    assert stored(played.wait(1.0)) == []
