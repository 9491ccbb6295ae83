"""Frames of the server, and what they tell the observers of a query."""

from __future__ import annotations

import pytest

from lunora_rx.core.delta import RowMerge
from lunora_rx.core.events import Event, FrameIgnored, QueryFailed, SnapshotChanged, TokenExpired, ValueChanged
from lunora_rx.core.live_queries import GENERIC_FAILURE
from lunora_rx.core.shape_events import RowOp
from lunora_rx.core.snapshot import Snapshot, SnapshotStatus
from lunora_rx.errors import CodecError, ServerError
from lunora_rx.protocol.rpc import Accepted, Outcome, Refused
from lunora_rx.protocol.values import UNDEFINED
from lunora_rx.protocol.wire import TAG
from tests.core.play import ROWS, PlayedSession

BAD = [TAG, "bigint", "x"]


@pytest.fixture
def played() -> PlayedSession:
    """A session with one live query, sub_1, sent and not answered."""
    played = PlayedSession()
    played.opened_with("q")
    return played


def test_data_gives_one_event_with_the_value(played):
    """The hot path: one frame in, one event out."""
    assert played.receive("data", id="sub_1", data=ROWS, cursor=4) == [ValueChanged("q", ROWS, 4, 0)]


def test_delta_gives_the_merged_value(played):
    """A new list each time; a run of deltas has its cursor on the last."""
    played.receive("data", id="sub_1", data=ROWS, cursor=4)
    deleted = {"op": "delete", "key": "a", "table": "t"}
    (first,) = played.receive("delta", id="sub_1", delta=deleted)
    assert first[:4] == ("q", ROWS[1:], 4, 0)
    deleted = {"op": "delete", "key": "b", "table": "t"}
    (second,) = played.receive("delta", id="sub_1", delta=deleted, cursor=6)
    assert second[:4] == ("q", [], 6, 0)
    assert second.merge == RowMerge(ROWS[1:], [], (RowOp("delete", "b", UNDEFINED, ROWS[1]),))
    assert second.merge.before is first.value
    assert second.merge.after is second.value


@pytest.mark.parametrize("kind", ["data", "delta", "resume", "settled", "ack", "complete", "error"])
@pytest.mark.parametrize("named", [{"id": "sub_99"}, {}, {"id": None}])
def test_frame_for_an_unknown_id_is_silently_ignored(played, kind, named):
    """A query that was just given up may still be spoken of: that is no fault, and nothing to report."""
    assert played.receive(kind, data=[], delta=1, cursor=1, **named) == []


@pytest.mark.parametrize("kind", ["data", "delta", "resume", "settled", "ack", "complete", "error"])
@pytest.mark.parametrize("unusable", [5, [], {}, True])
def test_frame_whose_id_is_no_string_is_reported(played, kind, unusable):
    """The report names the field and holds nothing of the payload."""
    (event,) = played.receive(kind, id=unusable, data="canary")
    assert event == FrameIgnored("", f"frame {kind!r}: 'id' is not a string")


def test_data_of_an_equal_scalar_says_nothing(played):
    """And after a reconnect only that the value is live again."""
    assert played.receive("data", id="sub_1", data=7, cursor=1) == [ValueChanged("q", 7, 1, 0)]
    assert played.receive("data", id="sub_1", data=7, cursor=2) == []
    played.drop()
    played.reopen()
    live = Snapshot(SnapshotStatus.LIVE, 7, None, 3)
    assert played.receive("data", id="sub_1", data=7, cursor=3) == [SnapshotChanged("q", live)]


def test_data_of_undefined_is_no_value(played):
    """Observers of values get nothing; the snapshot says that there is none."""
    for before in ("nothing", "a value"):
        (event,) = played.receive("data", id="sub_1", data=[TAG, "undefined"], cursor=1)
        assert event == SnapshotChanged("q", Snapshot(SnapshotStatus.LIVE, cursor=1)), before
        assert played.receive("data", id="sub_1", data=ROWS, cursor=1) == [ValueChanged("q", ROWS, 1, 0)]


@pytest.mark.parametrize("kind", ["resume", "settled"])
def test_position_frame_heals_what_a_drop_made_stale(played, kind):
    """Only then is there something to tell."""
    played.receive("data", id="sub_1", data=ROWS, cursor=4, epoch="e")
    assert played.receive(kind, id="sub_1", cursor=5) == []
    assert played.drop() == [SnapshotChanged("q", Snapshot(SnapshotStatus.STALE, ROWS, None, 5))]
    played.reopen()
    live = Snapshot(SnapshotStatus.LIVE, ROWS, None, 6)
    assert played.receive(kind, id="sub_1", cursor=6) == [SnapshotChanged("q", live)]


def test_resume_acknowledges_and_settled_does_not(played):
    """One who joins an acknowledged query need not ask again."""
    played.receive("settled", id="sub_1")
    played.subscribe("q")
    assert played.sent_ids() == ["sub_1"]
    played.receive("resume", id="sub_1")
    played.subscribe("q")
    assert played.sent_ids() == []


@pytest.mark.parametrize("kind", ["resume", "settled"])
def test_position_frame_of_the_wrong_type_is_reported_and_acknowledges_nothing(played, kind):
    """A later frame can still heal the query."""
    (event,) = played.receive(kind, id="sub_1", cursor="canary")
    assert event == FrameIgnored("", "'cursor' is not an integer")
    assert not played.session.subscriptions.get("q").is_acked


def test_value_that_does_not_decode_fails_its_query_and_is_asked_for_once(played):
    """A permanently bad value must not loop; the other queries live on."""
    played.subscribe("other")
    played.receive("data", id="sub_1", data=ROWS, cursor=4, epoch="e")
    played.sent()
    (event,) = played.receive("data", id="sub_1", data=BAD, cursor=5)
    assert isinstance(event, QueryFailed)
    assert (event.snapshot.status, event.snapshot.value, event.snapshot.cursor) == (SnapshotStatus.STALE, ROWS, 4)
    assert isinstance(event.snapshot.error, CodecError)
    (asked,) = played.sent()
    assert "sinceSeq" not in asked["query"]
    played.receive("ack", id="sub_1")
    assert len(played.receive("data", id="sub_1", data=BAD, cursor=5)) == 1
    assert played.sent() == []
    assert played.receive("data", id="sub_2", data=[]) == [ValueChanged("other", [], None, 0)]


def test_value_that_does_not_decode_is_asked_for_once_an_open(played):
    """The open itself asks cold, and what comes of that is asked about once."""
    for _ in range(2):
        for expected in (1, 0, 0):
            played.receive("data", id="sub_1", data=BAD)
            assert len(played.sent()) == expected
        played.drop()
        (connect, asked) = played.reopen()
        assert (connect["type"], "sinceSeq" in asked["query"]) == ("connect", False)


def test_value_that_was_healed_by_an_open_is_asked_for_when_it_fails_again(played):
    """A value that the open had to ask for cold must not be left stale by the next frame that cannot be read."""
    played.receive("data", id="sub_1", data=BAD)
    played.drop()
    played.reopen()
    played.receive("data", id="sub_1", data=ROWS)
    played.receive("data", id="sub_1", data=BAD)
    assert len(played.sent()) == 1


def test_value_that_decodes_again_heals_its_query(played):
    """Deltas are ignored until then."""
    played.receive("data", id="sub_1", data=BAD)
    assert played.receive("delta", id="sub_1", delta={"op": "delete", "key": "a", "table": "t"}) == []
    assert played.receive("data", id="sub_1", data=ROWS, cursor=9) == [ValueChanged("q", ROWS, 9, 0)]
    assert played.session.subscriptions.get("q").result.error is None


def test_delta_that_cannot_be_merged_is_asked_for_whole(played):
    """The value stays on screen as stale, without a position; more deltas ask no more."""
    played.receive("ack", id="sub_1")
    played.receive("data", id="sub_1", data=5, cursor=4, epoch="e")
    deleted = {"op": "delete", "key": "a", "table": "t"}
    stale = SnapshotChanged("q", Snapshot(SnapshotStatus.STALE, 5))
    assert played.receive("delta", id="sub_1", delta=deleted, cursor=5) == [stale]
    (asked,) = played.sent()
    assert (asked["id"], "sinceSeq" in asked["query"]) == ("sub_1", False)
    assert not played.session.subscriptions.get("q").is_acked
    assert played.receive("delta", id="sub_1", delta=deleted, cursor=6) == []
    assert played.sent() == []


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        ({"message": "no", "error": {"code": "FORBIDDEN", "message": "inner"}}, "no", "FORBIDDEN"),
        ({"error": {"code": "FORBIDDEN", "message": "inner"}}, "inner", "FORBIDDEN"),
        ({"error": {"code": "X"}}, GENERIC_FAILURE, "X"),
        ({"message": "no"}, "no", None),
        ({}, GENERIC_FAILURE, None),
        ({"error": "text"}, GENERIC_FAILURE, None),
        ({"error": None, "message": None}, GENERIC_FAILURE, None),
    ],
)
def test_error_fails_its_query_with_the_best_message_there_is(played, body, message, code):
    """The outer message, else the inner, else a general one; the value stays."""
    played.receive("data", id="sub_1", data=ROWS)
    (event,) = played.receive("error", id="sub_1", **body)
    assert (event.key, event.snapshot.status, event.snapshot.value) == ("q", SnapshotStatus.FAILED, ROWS)
    assert isinstance(event.snapshot.error, ServerError)
    assert (event.snapshot.error.message, event.snapshot.error.code) == (message, code)


def test_error_keeps_the_registration(played):
    """It is sent again on the next open."""
    played.receive("error", id="sub_1", error={"code": "FORBIDDEN"})
    played.drop()
    played.reopen()
    assert played.receive("data", id="sub_1", data=ROWS) == [ValueChanged("q", ROWS, None, 0)]


def test_error_that_says_token_expired_tells_the_token_listeners_only(played):
    """The query it may name is not failed."""
    expired = {"code": "TOKEN_EXPIRED", "message": "expired"}
    assert played.receive("error", id="sub_1", error=expired) == [TokenExpired("")]
    assert played.receive("error", error=expired) == [TokenExpired("")]


def test_complete_fails_its_query_and_is_not_revived_before_the_next_open(played):
    """The server cancelled it; asking at once would be cancelled again."""
    played.receive("ack", id="sub_1")
    (event,) = played.receive("complete", id="sub_1")
    assert isinstance(event, QueryFailed)
    assert event.snapshot.error.code == "SUBSCRIPTION_CANCELLED"
    assert not played.session.subscriptions.get("q").is_acked
    assert played.sent() == []
    played.drop()
    assert [each["type"] for each in played.reopen()] == ["connect", "subscribe"]


def test_socket_that_is_lost_makes_live_values_stale_and_nothing_else():
    """A failed query stays failed, a pending one pending; the values stay."""
    played = PlayedSession()
    played.opened_with("live", "failed", "pending")
    played.receive("data", id="sub_1", data=ROWS)
    played.receive("error", id="sub_2")
    assert played.drop() == [SnapshotChanged("live", Snapshot(SnapshotStatus.STALE, ROWS))]


def test_values_that_are_forgotten_leave_every_query_pending_and_registered(played):
    """Each observer is told at once; the next open asks for whole values, and failures are over."""
    played.subscribe("r")
    played.answer("sub_1", "sub_2")
    played.receive("error", id="sub_2", message="no")
    played.session.forget_values(())
    assert played.events() == [SnapshotChanged("q", Snapshot()), SnapshotChanged("r", Snapshot())]
    played.drop()
    _, *asked = played.reopen()
    assert [(each["id"], "sinceSeq" in each["query"]) for each in asked] == [("sub_1", False), ("sub_2", False)]


# --- polls


@pytest.fixture
def unconnected() -> PlayedSession:
    """A session with one live query and no socket."""
    played = PlayedSession()
    played.subscribe("q")
    played.events()
    return played


def poll(played: PlayedSession, outcome: Outcome | None) -> list[Event]:
    """Let the server answer the query over HTTP."""
    played.session.receive_poll(played.session.subscriptions.get("q"), outcome, 0)
    return played.events()


def test_poll_that_is_refused_fails_its_query(unconnected):
    """The next one heals it; the value stays meanwhile."""
    poll(unconnected, Accepted([1]))
    error = ServerError("no", code="FORBIDDEN")
    assert poll(unconnected, Refused(error)) == [
        QueryFailed("q", Snapshot(SnapshotStatus.FAILED, [1], error)),
    ]
    assert poll(unconnected, Accepted([1]))[0].snapshot.status is SnapshotStatus.LIVE


def test_poll_that_cannot_be_decoded_fails_its_query(unconnected):
    """With the reason that was found here."""
    error = CodecError("no", code="WIRE_DECODE_FAILED")
    assert poll(unconnected, Accepted(UNDEFINED, undecodable=error)) == [
        QueryFailed("q", Snapshot(SnapshotStatus.FAILED, error=error))
    ]


def test_poll_that_cannot_be_read_says_nothing(unconnected):
    """There is no outcome in it."""
    assert poll(unconnected, None) == []


def test_poll_of_undefined_is_no_value(unconnected):
    """As in a frame."""
    assert poll(unconnected, Accepted(UNDEFINED)) == [SnapshotChanged("q", Snapshot(SnapshotStatus.LIVE))]


def test_poll_of_a_query_that_is_over_is_ignored(unconnected):
    """Its key may be another's by now."""
    former = unconnected.session.subscriptions.get("q")
    unconnected.unsubscribe("q")
    unconnected.subscribe("q")
    unconnected.events()
    unconnected.session.receive_poll(former, Accepted([1]), 0)
    assert unconnected.events() == []
    assert unconnected.session.subscriptions.get("q").result.shown is UNDEFINED


def test_frame_whose_application_broke_off_has_the_whole_value_asked_for(played):
    """The query is stale until it comes, and is not asked for again before."""
    played.receive("data", id="sub_1", data=ROWS, cursor=4)
    text = '{"type":"delta","id":"sub_1"}'
    played.session.distrust(text, played.now)
    (event,) = played.events()
    assert (event.snapshot.status, event.snapshot.error) == (SnapshotStatus.STALE, None)
    (asked,) = played.sent()
    assert "sinceSeq" not in asked["query"]
    played.session.distrust(text, played.now)
    assert (played.events(), played.sent()) == ([], [])
    assert played.receive("data", id="sub_1", data=ROWS, cursor=5)[0].value == ROWS


@pytest.mark.parametrize("text", ['{"type":"delta","id":"sub_9"}', '{"type":"delta"}', "[]"])
def test_broken_off_frame_about_nothing_known_harms_nothing(played, text):
    """There is nobody to ask for."""
    played.session.distrust(text, played.now)
    assert (played.events(), played.sent()) == ([], [])


@pytest.mark.parametrize(
    "position", ['"cursor":1,"epoch":"\\ud800"', '"cursor":99999999999999999999,"epoch":"\\udfff"', '"cursor":1e30']
)
def test_position_that_could_not_be_said_again_fails_its_query(played, position):
    """The next socket is told where a value stands: a frame that cannot be written would hold up all of them."""
    (failed,) = played.receive_text(f'{{"type":"data","id":"sub_1","data":"\\ud800",{position}}}')
    assert failed.snapshot.error.code == "WIRE_DECODE_FAILED"
    assert played.sent_ids() == ["sub_1"]
    played.drop()
    assert [each["query"] for each in played.reopen() if each["type"] == "subscribe"] == [
        {"functionPath": "q:list", "args": {}, "table": "q:list"}
    ]
