"""One shard's conversation: what is sent when, and what a frame, a drop or a deadline changes."""

from __future__ import annotations

from math import inf

import pytest

from lunora_rx.core.connection import Closed, Connecting, Idle, Open
from lunora_rx.core.events import (
    CloseSocket,
    Event,
    FrameIgnored,
    OpenSocket,
    SnapshotChanged,
    SubscriptionClosed,
    ValueChanged,
    WhisperReceived,
)
from lunora_rx.protocol.frames import SERVER_FRAMES
from lunora_rx.protocol.rpc import Accepted
from lunora_rx.protocol.wire import TAG
from tests.core.play import ROWS, PlayedSession, frame

CONNECT = {"type": "connect", "id": "connect", "clientId": "client-1", "caps": ["pageDelta"]}
DELETE = {"op": "delete", "key": "a", "table": "t"}


@pytest.fixture
def played() -> PlayedSession:
    """The default shard, with nothing asked for yet."""
    return PlayedSession()


# --- opening


def test_first_subscription_opens_the_socket_and_waits_for_it(played):
    """Nothing can be sent before; more subscriptions open nothing more."""
    played.subscribe("a", "b")
    assert played.events() == [OpenSocket("")]
    assert (type(played.session.connection.state), played.sent()) == (Connecting, [])
    played.session.connect(played.now)
    assert played.events() == []


def test_opening_sends_connect_then_subscriptions_then_what_ended_meanwhile(played):
    """The order is the protocol's; queries come in the order of asking."""
    played.opened_with("a", "b")
    played.answer("sub_1", "sub_2")
    played.drop()
    played.unsubscribe("a")
    played.subscribe("c")
    connect, *rest = played.reopen()
    assert connect == CONNECT
    assert [(each["type"], each["id"]) for each in rest] == [
        ("subscribe", "sub_2"),
        ("subscribe", "sub_3"),
        ("unsubscribe", "sub_1"),
    ]


def test_opening_with_nothing_asked_for_sends_connect_only(played):
    """The default shard is kept open for what will come."""
    played.open()
    assert played.sent() == [CONNECT]


def test_opening_resumes_from_where_each_value_stands(played):
    """What has no value yet is asked for whole."""
    played.opened_with("a", "b")
    played.answer("sub_1")
    played.drop()
    _, first, second = played.reopen()
    assert (first["query"]["sinceSeq"], first["query"]["sinceEpoch"]) == (1, "e")
    assert "sinceSeq" not in second["query"]


def test_opening_that_was_not_asked_for_changes_nothing(played):
    """A socket that was abandoned may still say that it is open."""
    played.session.receive_opened(0.0)
    assert (played.session.connection.state, played.sent(), played.events()) == (Idle(), [], [])


def test_subscription_on_an_open_socket_is_sent_at_once(played):
    """It waits for no slot, and is not sent again once it is acknowledged."""
    played.opened_with("a", "b", "c", "d")
    played.subscribe("e")
    assert played.sent_ids() == ["sub_5"]
    played.subscribe("e")
    assert played.sent_ids() == ["sub_5"]
    played.receive("ack", id="sub_5")
    played.subscribe("e")
    assert played.sent_ids() == []


def test_subscription_while_a_retry_is_planned_waits_for_it(played):
    """Asking must not get round the backoff."""
    played.opened_with("a")
    played.drop()
    played.subscribe("b")
    assert (played.events(), played.session.deadline) == ([], 1.0)


# --- pacing


def test_reopening_sends_three_subscriptions_at_a_time(played):
    """Any frame with the id of one lets the next out."""
    played.subscribe(*"abcdef")
    played.open()
    assert played.sent_ids() == ["sub_1", "sub_2", "sub_3"]
    played.receive("ack", id="sub_2")
    assert played.sent_ids() == ["sub_4"]
    played.receive("data", id="sub_2", data=[])
    assert played.sent_ids() == []


@pytest.mark.parametrize("kind", [*SERVER_FRAMES, "future"])
def test_any_frame_with_the_id_of_a_subscription_frees_its_slot(played, kind):
    """Known here or not, readable or not, it shows that the server has dealt with the subscription."""
    played.subscribe(*"abcd")
    played.open()
    played.sent()
    played.receive(kind, id="sub_1", topic=5, cursor="x")
    assert "sub_4" in played.sent_ids()


@pytest.mark.parametrize("named", [{}, {"id": 5}, {"id": []}, {"id": "sub_9"}])
def test_frame_with_another_id_or_none_frees_no_slot(played, named):
    """Three stay out."""
    played.subscribe(*"abcd")
    played.open()
    played.sent()
    played.receive("data", data=[], **named)
    assert played.sent() == []


def test_slot_nobody_answers_is_freed_after_ten_seconds(played):
    """The rest of the queries must not wait for a silent one."""
    played.subscribe(*"abcde")
    played.open()
    played.sent()
    played.advance(9.9)
    assert played.sent() == []
    played.advance(0.1)
    assert played.sent_ids() == ["sub_4", "sub_5"]


def test_subscription_given_up_or_acknowledged_while_it_waits_is_not_sent(played):
    """It uses no slot, and the server never knew it, so its end needs no telling."""
    played.subscribe(*"abcdef")
    played.open()
    played.sent()
    played.unsubscribe("d")
    played.subscribe("e")
    assert played.sent_ids() == ["sub_5"]
    played.receive("ack", id="sub_5")
    played.answer("sub_1")
    assert played.sent_ids() == ["sub_6"]
    assert played.sent_ids("unsubscribe") == []


def test_frame_about_one_that_was_not_asked_for_yet_says_nothing(played):
    """It waits for its turn all the same; else it would never be asked for on this socket."""
    played.subscribe(*"abcd")
    played.open()
    played.sent()
    played.events()
    assert played.receive("ack", id="sub_4") == []
    assert played.receive("data", id="sub_4", data=["forged"]) == []
    played.answer("sub_1")
    assert played.sent_ids() == ["sub_4"]


def test_giving_up_one_that_is_out_lets_the_next_out(played):
    """Its slot is free at once."""
    played.subscribe(*"abcd")
    played.open()
    played.sent()
    played.unsubscribe("b")
    assert [(each["type"], each["id"]) for each in played.sent()] == [("subscribe", "sub_4"), ("unsubscribe", "sub_2")]


def test_drop_discards_queue_and_slots(played):
    """Each open starts over, with everything."""
    played.subscribe(*"abcd")
    played.open()
    played.drop()
    assert played.session.deadline == 1.0
    played.advance(1.0)
    played.drop()
    played.block(60.0)
    assert played.sent() == []
    played.session.receive_opened(played.now)
    assert [each["id"] for each in played.sent()] == ["connect", "sub_1", "sub_2", "sub_3"]


# --- giving up


def test_last_unsubscribe_tells_the_server(played):
    """The first of two does not; one too many is silent."""
    played.opened_with("a")
    played.subscribe("a")
    played.sent()
    played.unsubscribe("a")
    assert (played.sent(), played.events()) == ([], [])
    played.unsubscribe("a")
    assert (played.sent(), played.events()) == ([{"type": "unsubscribe", "id": "sub_1"}], [SubscriptionClosed("a")])
    played.unsubscribe("a")
    assert (played.sent(), played.events()) == ([], [])


def test_unsubscribe_of_what_no_socket_carried_is_never_told(played):
    """Offline, any number of queries may come and go without leaving anything behind."""
    for _ in range(100):
        played.subscribe("a")
        played.unsubscribe("a")
    played.open()
    assert played.sent() == [CONNECT]


def test_unsubscribe_while_offline_is_told_once(played):
    """At the next open, and not again at the one after."""
    played.opened_with("a")
    played.drop()
    played.unsubscribe("a")
    assert played.reopen() == [CONNECT, {"type": "unsubscribe", "id": "sub_1"}]
    played.drop()
    assert played.reopen() == [CONNECT]


def test_query_that_lingers_is_kept_for_who_comes_back():
    """Its frames go on being applied; after the time its end is told."""
    played = PlayedSession(linger=2.0)
    played.opened_with("a")
    played.answer("sub_1")
    played.unsubscribe("a")
    assert (played.session.deadline, played.events(), played.sent()) == (2.0, [], [])
    assert played.receive("data", id="sub_1", data=ROWS) == [ValueChanged("a", ROWS, 1, 0)]
    played.subscribe("a")
    played.advance(3.0)
    assert played.sent() == []
    played.unsubscribe("a")
    played.advance(2.0)
    assert (played.sent(), played.events()) == ([{"type": "unsubscribe", "id": "sub_1"}], [SubscriptionClosed("a")])


def test_queries_that_linger_while_they_wait_end_together():
    """Neither is sent on account of the other's end, and the server never knew them."""
    played = PlayedSession(linger=2.0)
    played.opened_with(*"abcdef")
    played.unsubscribe("a", "d", "e")
    played.advance(2.0)
    assert [(each["type"], each["id"]) for each in played.sent()] == [("subscribe", "sub_6"), ("unsubscribe", "sub_1")]
    assert played.events() == [SubscriptionClosed(key) for key in "ade"]


# --- frames


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "5", "null", '"data"', "{}", '{"type":[]}', '{"kind":"data"}', b"\xff\xfe", b"\x00", "[" * 2000],
)
def test_text_that_is_no_frame_is_ignored_and_reported(played, text):
    """The connection lives, and the report holds nothing of the text."""
    played.opened_with("a")
    assert played.receive_text(text) == [FrameIgnored("", "it is not a JSON object with a type")]
    assert played.receive("data", id="sub_1", data=[]) == [ValueChanged("a", [], None, 0)]


def test_frame_of_an_unknown_type_is_ignored_and_reported(played):
    """A newer server may send it."""
    played.opened_with("a")
    assert played.receive("future", id="sub_1", data="canary") == [FrameIgnored("", "its type is unknown")]


@pytest.mark.parametrize("kind", ["chunk", "pokeStart", "pokePart", "pokeEnd", "whisper"])
def test_frame_of_the_protocol_that_nobody_asked_for_is_ignored_without_a_word(played, kind):
    """Streams, shapes and topics may have been given up a moment ago."""
    played.opened_with("a")
    assert played.receive(kind, id="stream_1", data=1, topic="t", pokeId="1", shapeId="shape_1", rowsPatch=[]) == []


@pytest.mark.parametrize("text", [frame("data", id="sub_1", data=[]), frame("data", id="sub_1", data=[]).decode()])
def test_frame_counts_as_text_or_as_binary(played, text):
    """Binary frames are tried as UTF-8 JSON."""
    played.opened_with("a")
    assert played.receive_text(text) == [ValueChanged("a", [], None, 0)]
    assert played.session.frames_received == 1


def test_lone_surrogate_in_a_frame_is_legal(played):
    """The fast parser refuses it, the tolerant one takes it."""
    played.opened_with("a")
    (event,) = played.receive_text(b'{"type":"data","id":"sub_1","data":"\\ud800"}')
    assert event.value == "\ud800"


def test_tags_of_a_frame_are_decoded(played):
    """The text may hold one, so the tree is walked."""
    played.opened_with("a")
    (event,) = played.receive("data", id="sub_1", data=[TAG, "bytes", "AAE="])
    assert event.value == b"\x00\x01"


def test_identity_frame_says_whose_socket_it_is(played):
    """The next socket must say it anew; a malformed one is reported."""
    played.open()
    played.receive("identity", subject="user-1")
    assert played.session.subject == "user-1"
    malformed = FrameIgnored("", "frame 'identity': 'subject' is not a string or null")
    assert played.receive("identity", subject=5) == [malformed]
    played.drop()
    assert played.session.subject is None


@pytest.mark.parametrize("former", ["user-1", None])
def test_socket_that_turns_out_to_be_another_users_is_opened_anew_and_asks_for_whole_values(played, former):
    """Its own token or cookie may be: what has not changed since then says nothing of what this user sees."""
    played.opened_with("a")
    played.receive("identity", subject=former)
    played.answer("sub_1")
    played.drop()
    asked = played.reopen()[-1]
    assert asked["query"]["sinceSeq"] == 1
    assert CloseSocket("", 1000) in played.receive("identity", subject="user-2")
    asked = played.reopen()[-1]
    assert (asked["id"], "sinceSeq" in asked["query"]) == ("sub_1", False)
    assert played.receive("identity", subject="user-2") == []


def test_socket_of_whoever_has_signed_in_since_is_not_opened_twice():
    """Everything was asked for anew already."""
    users = iter(["subj:user-1", "subj:user-2"])
    played = PlayedSession(fingerprint=lambda: next(users))
    played.opened_with("a")
    played.receive("identity", subject="user-1")
    played.answer("sub_1")
    played.drop()
    assert "sinceSeq" not in played.reopen()[-1]["query"]
    assert played.receive("identity", subject="user-2") == []


def test_frame_of_a_dropped_socket_is_no_longer_applied(played):
    """Nothing is shown, sent or proved by it."""
    played.opened_with("a")
    played.receive("data", id="sub_1", data=ROWS)
    played.drop()
    assert played.receive("data", id="sub_1", data=[]) == []
    assert played.receive("delta", id="sub_1", delta={**DELETE, "op": "insert"}) == []
    assert (played.sent(), played.session.subscriptions.get("a").result.shown) == ([], ROWS)
    assert played.session.connection.state == Idle(1.0)


# --- refresh


def test_refresh_asks_for_the_whole_value(played):
    """Without a position, on the open socket or at the next."""
    played.opened_with("a")
    played.answer("sub_1")
    played.session.refresh("a", played.now)
    (asked,) = played.sent()
    assert (asked["id"], "sinceSeq" in asked["query"]) == ("sub_1", False)
    played.answer("sub_1")
    played.drop()
    played.session.refresh("a", played.now)
    (_, asked) = played.reopen()
    assert "sinceSeq" not in asked["query"]


def test_refresh_of_what_nobody_asks_for_does_nothing(played):
    """It may have been given up a moment ago."""
    played.open()
    played.sent()
    played.session.refresh("a", played.now)
    assert played.sent() == []


def test_query_that_cannot_be_read_is_asked_for_again_by_a_refresh(played):
    """With all that an open has: what comes of it is asked about once."""
    played.opened_with("a")
    for asked in ("by the open", "by the refresh"):
        for expected in (1, 0, 0):
            played.receive("data", id="sub_1", data=[TAG, "date"])
            assert len(played.sent()) == expected, asked
        played.session.refresh("a", played.now)
        assert len(played.sent()) == 1


def test_value_is_asked_for_once_an_open_even_if_it_could_be_read_meanwhile(played):
    """Whoever joins in between changes nothing about that."""
    played.opened_with("a")
    played.receive("data", id="sub_1", data=[TAG, "date"])
    played.receive("data", id="sub_1", data=[])
    played.subscribe("a")
    assert len(played.sent()) == 2
    played.receive("data", id="sub_1", data=[TAG, "date"])
    assert played.sent() == []


def test_query_that_is_refreshed_counts_as_unanswered(played):
    """Whoever joins before the answer asks once more."""
    played.opened_with("a")
    played.answer("sub_1")
    played.session.refresh("a", played.now)
    played.subscribe("a")
    assert played.sent_ids() == ["sub_1", "sub_1"]


def test_query_refreshed_before_it_was_its_turn_is_told_off(played):
    """It was sent, so the server must hear of its end."""
    played.opened_with("a", "b", "c", "d")
    played.session.refresh("d", played.now)
    played.unsubscribe("d")
    assert [(each["type"], each["id"]) for each in played.sent()] == [("subscribe", "sub_4"), ("unsubscribe", "sub_4")]


# --- closing


def test_default_shard_is_never_closed_for_being_idle(played):
    """It waits for what will come."""
    played.opened_with("a")
    played.unsubscribe("a")
    played.events()
    played.receive("identity", subject=None)
    played.advance(20.0)
    assert (type(played.session.connection.state), played.events()) == (Open, [])


def test_other_shard_is_closed_five_seconds_after_its_last_query():
    """Whoever comes back in time keeps it."""
    played = PlayedSession("room")
    played.opened_with("a")
    played.unsubscribe("a")
    played.advance(4.9)
    played.subscribe("a")
    played.advance(20.0)
    assert type(played.session.connection.state) is Open
    played.unsubscribe("a")
    played.events()
    played.advance(5.0)
    assert (played.events(), type(played.session.connection.state)) == ([CloseSocket("room", 1000)], Closed)
    assert played.session.deadline == inf


def test_other_shard_with_another_query_left_is_kept():
    """Each release looks whether anything is left."""
    played = PlayedSession("room")
    played.opened_with("a", "b")
    played.unsubscribe("a")
    played.advance(20.0)
    assert not played.session.is_closed


@pytest.mark.parametrize("is_connecting", [True, False])
def test_other_shard_that_is_not_open_is_closed_too(is_connecting):
    """Whatever the socket was doing, it is not needed."""
    played = PlayedSession("room")
    played.subscribe("a")
    if not is_connecting:
        played.drop()
        played.session.connection.state = Idle(100.0)
    played.unsubscribe("a")
    played.events()
    played.advance(5.0)
    assert played.events() == [CloseSocket("room", 1000)][: 1 if is_connecting else 0]
    assert played.session.is_closed


def test_idle_timer_is_not_put_off_by_sockets_that_open_and_drop():
    """A shard that nobody needs would otherwise be opened again for ever."""
    played = PlayedSession("room")
    played.opened_with("a")
    played.unsubscribe("a")
    for _ in range(3):
        played.drop()
        played.reopen()
        played.receive("identity", subject=None)
        assert played.now < 5.0
    played.advance(5.0 - played.now)
    assert played.session.is_closed


def test_other_shard_that_something_else_still_needs_is_kept_and_asked_about_again():
    """Whatever it is does not say when it ends; the other deadlines go on meanwhile."""
    needs = [True]
    played = PlayedSession("room", is_needed=lambda: needs[0])
    played.opened_with("a")
    played.unsubscribe("a")
    played.advance(40.0)
    assert (type(played.session.connection.state), played.sent()[1:]) == (Open, ["lunora-ping"])
    needs[0] = False
    played.advance(5.0)
    assert played.session.is_closed


def test_other_shard_that_never_opens_is_given_up_once_nothing_needs_it():
    """A failed attempt asks the question as well; there is no socket to close."""
    played = PlayedSession("room")
    played.session.connect(played.now)
    played.drop()
    played.advance(5.0)
    assert played.session.is_closed


def test_other_shard_opened_with_nothing_to_do_is_closed():
    """The check follows the delivery of what ended meanwhile."""
    played = PlayedSession("room")
    played.open()
    played.advance(5.0)
    assert played.session.is_closed


@pytest.mark.parametrize("state", ["idle", "connecting", "open"])
def test_close_ends_everything_in_any_state(played, state):
    """Each query is told once, a socket is closed if there is one, and closing again is silent."""
    played.subscribe("a", "b")
    if state == "open":
        played.open()
    if state == "idle":
        played.drop()
    played.events()
    played.session.close()
    closed = [SubscriptionClosed("a"), SubscriptionClosed("b")]
    assert played.events() == ([] if state == "idle" else [CloseSocket("", 1000)]) + closed
    assert (played.sent(), played.session.deadline, len(played.session.subscriptions)) == ([], inf, 0)
    played.session.close()
    played.unsubscribe("a")
    played.session.connect(played.now)
    assert played.events() == []


def test_description_names_states_and_no_values(played):
    """It goes into bug reports."""
    played.opened_with("a")
    played.receive("data", id="sub_1", data=["canary"])
    described = played.session.describe()
    assert (described["connection"], described["frames_received"], list(described["subscriptions"])) == (
        "open",
        1,
        ["a"],
    )
    assert "canary" not in str(described)


def test_connect_while_a_retry_is_planned_waits_for_it(played):
    """Whatever wants the socket, a server that refuses is not asked more often for it."""
    played.opened_with("a")
    played.drop()
    for _ in range(20):
        played.session.connect(played.now)
    assert played.events() == []
    played.advance(1.0)
    assert OpenSocket("") in played.events()


def test_socket_that_is_retired_gives_nothing_of_what_was_forgotten_back(played):
    """The values were somebody else's: neither a late frame nor the position of the next open shows them again."""
    played.opened_with("a")
    played.answer("sub_1")
    played.session.forget_values(())
    played.session.restart(played.now)
    played.events()
    assert played.receive("data", id="sub_1", data=ROWS, cursor=9) == []
    assert played.receive("resume", id="sub_1", cursor=9) == []
    (_, asked) = played.reopen()
    assert "sinceSeq" not in asked["query"]


# --- whispers


def test_topics_are_joined_after_everything_else_on_a_new_socket(played):
    """The order is the protocol's; what was left meanwhile is not joined."""
    played.opened_with("a", "b")
    for topic in ("s", "t"):
        played.session.join_topic(topic, played.now)
    assert [each["topic"] for each in played.sent()] == ["s", "t"]
    played.answer("sub_1", "sub_2")
    played.drop()
    played.unsubscribe("a")
    played.session.leave_topic("s", played.now)
    assert [each["type"] for each in played.reopen()] == ["connect", "subscribe", "unsubscribe", "whisper_subscribe"]


def test_topic_opens_the_socket_and_keeps_it():
    """Left, the shard is idle five seconds later, as after any release."""
    played = PlayedSession("room")
    played.session.join_topic("t", played.now)
    assert played.events() == [OpenSocket("room")]
    played.session.receive_opened(played.now)
    assert played.receive("whisper", topic="t", data=1) == [WhisperReceived("room", "t", 1, None)]
    played.advance(40.0)
    assert not played.session.is_closed
    played.session.leave_topic("t", played.now)
    assert played.sent()[-1] == {"type": "whisper_unsubscribe", "topic": "t"}
    played.advance(5.0)
    assert played.session.is_closed


def test_topic_joined_on_an_idle_shard_keeps_its_socket():
    """The timer that runs must not close it."""
    played = PlayedSession("room")
    played.opened_with("a")
    played.unsubscribe("a")
    played.advance(4.0)
    played.session.join_topic("t", played.now)
    played.advance(20.0)
    assert not played.session.is_closed


def test_whisper_without_a_socket_is_dropped_for_good(played):
    """It is not sent later either; the default shard opens and stays."""
    played.session.whisper("t", 1, played.now)
    assert (played.events(), played.sent()) == ([OpenSocket("")], [])
    played.session.receive_opened(played.now)
    assert played.sent() == [CONNECT]
    played.session.whisper("t", 2, played.now)
    assert played.sent() == [{"type": "whisper", "topic": "t", "data": 2}]


def test_whisper_now_and_then_keeps_the_socket_of_its_shard():
    """Five seconds after the last one it goes: nobody listens there."""
    played = PlayedSession("room")
    played.open()
    for _ in range(20):
        played.session.whisper("t", 1, played.now)
        played.advance(1.0)
    assert [type(played.session.connection.state), played.sent()[1:].count("lunora-ping")] == [Open, 0]
    played.advance(4.0)
    assert played.session.is_closed


def test_description_names_topics_and_how_many_listen(played):
    """As a bug report wants to know."""
    for topic in ("t", "t", "u"):
        played.session.join_topic(topic, played.now)
    assert played.session.describe()["topics"] == {"t": 2, "u": 1}


def test_whisper_of_the_wrong_form_is_reported(played):
    """The conversation goes on."""
    played.opened_with("a")
    (event,) = played.receive("whisper", topic=5)
    assert isinstance(event, FrameIgnored)
    assert played.receive("data", id="sub_1", data=1) == [ValueChanged("a", 1, None, 0)]


# --- polling


def polled(played: PlayedSession, value: object) -> list[Event]:
    """Let the server answer the first query over HTTP."""
    subscription = next(iter(played.session.subscriptions))
    played.session.receive_poll(subscription, Accepted(value), 0)
    return played.events()


def test_poll_is_shown_while_there_is_no_socket(played):
    """Also while one is being opened."""
    played.subscribe("a")
    played.events()
    assert [each.snapshot.value for each in polled(played, [1])] == [[1]]
    played.drop()
    assert [each.snapshot.value for each in polled(played, [2])] == [[2]]


def test_poll_that_comes_after_the_socket_opened_is_ignored(played):
    """What the socket says is newer, and has a position."""
    played.opened_with("a")
    played.answer("sub_1")
    assert polled(played, ["old"]) == []
    assert played.session.subscriptions.get("a").result.shown == []


def test_attempt_that_never_opened_counts_and_takes_nothing_away():
    """A socket that was open and dropped makes values stale, and counts nothing."""
    failures: list[float] = []
    played = PlayedSession()
    played.session._note_failure = failures.append
    played.opened_with("a")
    played.answer("sub_1")
    assert [type(each) for each in played.drop()] == [SnapshotChanged]
    assert failures == []
    polled(played, [1])
    played.advance(1.0)
    played.events()
    assert (played.drop(), failures) == ([], [1.0])
    assert (played.drop(), failures) == ([], [1.0])
    played.advance(2.0)
    played.events()
    played.advance(10.0)
    assert (played.events(), failures) == ([CloseSocket("", 1000, abandoned_after=10.0)], [1.0, 13.0])


def test_reconnect_opens_at_once_what_waits_for_its_time():
    """Somebody knows that the network is back."""
    play = PlayedSession()
    play.opened_with("a")
    play.drop()
    play.session.reconnect(play.now)
    assert play.events() == [OpenSocket("")]
    play.session.reconnect(play.now)
    assert play.events() == []


def test_reconnect_opens_nothing_that_nobody_asked_for():
    """Without a first attempt there is no next one; an open socket stays."""
    play = PlayedSession()
    play.session.reconnect(play.now)
    assert play.events() == []
    play.opened_with("a")
    play.session.reconnect(play.now)
    assert play.events() == []
