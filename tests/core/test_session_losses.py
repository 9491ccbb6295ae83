"""What a session does about sockets that drop, peers that fall silent and values that are too large."""

from __future__ import annotations

from math import inf

import pytest

from lunora_rx.core.connection import Idle, Open
from lunora_rx.core.events import (
    CloseSocket,
    OpenSocket,
    QueryFailed,
    SnapshotChanged,
    TokenExpired,
)
from lunora_rx.core.snapshot import Snapshot, SnapshotStatus
from lunora_rx.errors import TransportError
from tests.core.play import PlayedSession, frame

DELETE = {"op": "delete", "key": "a", "table": "t"}


@pytest.fixture
def played() -> PlayedSession:
    """The default shard, with nothing asked for yet."""
    return PlayedSession()


# --- health and losses


@pytest.mark.fault(12, 47)
@pytest.mark.parametrize(
    ("texts", "delays"),
    [
        ([], [1, 2, 4]),
        ([frame("error", error={"code": "TOKEN_EXPIRED"})], [1, 2, 4]),
        (["lunora-pong", b"lunora-pong"], [1, 2, 4]),
        (["not json"], [1, 2, 4]),
        ([frame("identity", subject=None)], [1, 1, 1]),
        ([frame("ack", id="sub_9")], [1, 1, 1]),
        ([frame("future")], [1, 1, 1]),
    ],
    ids=["nothing", "error", "pongs", "noise", "identity", "ack", "unknown"],
)
def test_only_a_frame_that_is_no_error_resets_the_backoff(played, texts, delays):
    """An expired credential opens and is refused: resetting would come back at a fixed fast rate."""
    seen = []
    played.open()
    for _ in delays:
        for text in texts:
            played.receive_text(text)
        played.drop(4001)
        seen.append(played.session.deadline - played.now)
        played.reopen()
    assert seen == delays


@pytest.mark.fault(12)
def test_five_seconds_of_being_open_reset_the_backoff(played):
    """Even for a server that says nothing."""
    played.open()
    played.drop()
    played.reopen()
    played.advance(5.0)
    played.drop()
    assert played.session.deadline == played.now + 1.0


@pytest.mark.parametrize("code", [None, 1000, 1001, 1006, 1011, 4000, 4999])
def test_no_close_code_is_terminal(played, code):
    """The socket is opened again, even with nothing asked for."""
    played.opened_with()
    assert played.drop(code) == []
    played.advance(1.0)
    assert played.events() == [OpenSocket("")]


def test_close_code_4001_tells_that_the_token_expired_and_reconnects(played):
    """An error frame may have said so already: both may happen for one expiry."""
    played.opened_with()
    assert played.receive("error", error={"code": "TOKEN_EXPIRED"}) == [TokenExpired("")]
    assert played.drop(4001) == [TokenExpired("")]
    played.advance(1.0)
    assert played.events() == [OpenSocket("")]


def test_loss_that_is_told_twice_happens_once(played):
    """An error and a close are one disconnect."""
    played.opened_with("a")
    played.drop()
    deadline = played.session.deadline
    played.now = 0.5
    assert played.drop(4001) == []
    assert played.session.deadline == deadline


def test_attempt_that_fails_is_repeated_ever_more_rarely(played):
    """The server cannot be reached at all."""
    played.subscribe("a")
    waits = []
    for _ in range(5):
        played.drop()
        waits.append(played.session.deadline - played.now)
        played.advance(waits[-1])
    assert waits == [1, 2, 4, 8, 8]
    assert played.events() == [OpenSocket("")]


@pytest.mark.fault(45)
def test_handshake_that_is_never_answered_is_abandoned(played):
    """The driver drops the attempt, and is told why; what it still says is ignored."""
    played.subscribe("a")
    played.events()
    played.advance(10.0)
    assert played.events() == [CloseSocket("", 1000, abandoned_after=10.0)]
    assert played.session.connection.state == Idle(11.0)
    played.session.receive_opened(10.5)
    assert played.session.connection.state == Idle(11.0)


@pytest.mark.fault(3, 44)
def test_silent_peer_is_pinged_twice_and_dropped_after_two_and_a_half_intervals(played):
    """The disconnect path runs at once, and the values are stale."""
    played.opened_with("a")
    played.answer("sub_1")
    played.advance(74.9)
    assert played.sent() == ["lunora-ping", "lunora-ping"]
    played.advance(0.1)
    stale = Snapshot(SnapshotStatus.STALE, [], None, 1)
    assert played.events() == [CloseSocket("", 4000), SnapshotChanged("a", stale)]
    assert played.sent() == []


@pytest.mark.parametrize("text", ["lunora-pong", b"lunora-pong", "noise", frame("ack", id="sub_1")])
def test_any_inbound_frame_keeps_the_connection(played, text):
    """Even one that cannot be used shows that the peer is there."""
    played.opened_with()
    for _ in range(10):
        played.advance(30.0)
        assert not played.receive_text(text) or text == "noise"
    assert played.sent() == ["lunora-ping"] * 10


def test_restart_drops_the_socket_and_opens_another_by_the_backoff(played):
    """A new credential: registrations survive."""
    played.opened_with("a")
    played.session.restart(0.0)
    assert played.events() == [CloseSocket("", 1000)]
    assert [each["type"] for each in played.reopen()] == ["connect", "subscribe"]
    played.drop()
    played.session.restart(played.now)
    assert played.events() == []


# --- a loop that was blocked


@pytest.mark.parametrize("seconds", [6.0, 31.0, 74.0])
def test_deadlines_that_come_late_are_met_once(seconds):
    """One ping for however many were missed, and no reconnect while the peer may be alive."""
    played = PlayedSession()
    played.opened_with("a")
    played.block(seconds)
    assert played.sent().count("lunora-ping") == (seconds > 30)
    assert type(played.session.connection.state) is Open
    assert played.session.deadline > played.now


@pytest.mark.fault(31, 54)
def test_deadline_after_a_very_long_block_costs_one_reconnect(played):
    """A machine that slept for hours opens one socket, and greets it once."""
    played.opened_with("a")
    played.block(8 * 3600.0)
    assert played.events() == [CloseSocket("", 4000)]
    played.block(8 * 3600.0)
    assert played.events() == [OpenSocket("")]
    played.session.receive_opened(played.now)
    assert [each["type"] for each in played.sent()] == ["connect", "subscribe"]
    assert played.session.deadline > played.now


def test_idle_shard_whose_timers_all_come_late_is_closed_without_another_attempt():
    """A retry that is due too is not begun."""
    played = PlayedSession("room")
    played.opened_with("a")
    played.drop()
    played.unsubscribe("a")
    played.events()
    played.block(100.0)
    assert (played.events(), played.session.is_closed, played.session.deadline) == ([], True, inf)


# --- values too large for a frame


def large(played: PlayedSession, ids: set[str], *, rounds: int = 50) -> list[str]:
    """Play a server whose values of some queries close the socket; return the keys that failed."""
    failed: list[str] = []
    for _ in range(rounds):
        sent = played.sent_ids()
        if not sent:
            return failed
        for each in sent:
            played.receive("ack", id=each)
            if each in ids:
                failed += [event.key for event in played.drop(1009) if isinstance(event, QueryFailed)]
                played.advance(played.session.deadline - played.now)
                played.session.receive_opened(played.now)
                break
            played.receive("data", id=each, data=[])
    raise AssertionError("the search never ends")


@pytest.mark.parametrize("numbers", ["", "1", "3", "5", "24", "12345"])
def test_query_whose_value_is_too_large_is_found_and_fails_alone(played, numbers):
    """The others live, and the reconnects end."""
    ids = {f"sub_{number}" for number in numbers}
    played.subscribe(*"abcde")
    played.open()
    assert sorted(large(played, ids)) == sorted("abcde"[int(each[-1]) - 1] for each in ids)
    for subscription in played.session.subscriptions:
        error = subscription.result.error
        assert (error is not None) is (subscription.id in ids)
        assert error is None or (isinstance(error, TransportError) and error.code == "FRAME_TOO_LARGE")


def test_query_that_is_too_large_is_left_out_until_it_is_refreshed(played):
    """Neither a later open nor another observer asks for it."""
    played.subscribe(*"abc")
    played.open()
    large(played, {"sub_2"})
    played.drop()
    assert [each["id"] for each in played.reopen()[1:]] == ["sub_1", "sub_3"]
    played.subscribe("b")
    assert played.sent() == []
    played.session.refresh("b", played.now)
    assert played.sent_ids() == ["sub_2"]
    played.answer("sub_2")
    assert played.session.subscriptions.get("b").result.status is SnapshotStatus.LIVE
    played.drop()
    assert [each["id"] for each in played.reopen()[1:]] == ["sub_1", "sub_2", "sub_3"]


def test_search_asks_for_one_at_a_time_also_out_of_turn(played):
    """A query asked for meanwhile, or again, would otherwise take the blame for another."""
    played.opened_with("a", "b")
    played.drop(1009)
    assert [each["id"] for each in played.reopen()[1:]] == ["sub_1"]
    played.receive("data", id="sub_1", data=5)
    assert played.sent_ids() == ["sub_2"]
    played.subscribe("c")
    played.receive("delta", id="sub_1", delta=DELETE)
    played.session.refresh("b", played.now)
    assert played.sent() == []
    played.receive("data", id="sub_2", data=[])
    assert played.sent_ids() == ["sub_3"]
    played.receive("data", id="sub_3", data=[])
    assert played.sent_ids() == ["sub_1"]


def test_search_ignores_acknowledgements(played):
    """They come before the value that may be too large."""
    played.opened_with("a", "b")
    played.drop(1009)
    played.reopen()
    played.receive("ack", id="sub_1")
    assert played.sent() == []
    played.receive("resume", id="sub_1")
    assert played.sent_ids() == ["sub_2"]


def test_search_blames_the_first_unanswered_query_on_a_slow_line(played):
    """A large value may take longer than a slot is held."""
    played.opened_with("a", "b")
    played.drop(1009)
    played.reopen()
    played.advance(10.0)
    assert played.sent_ids() == ["sub_2"]
    played.receive("data", id="sub_2", data=[])
    assert [event.key for event in played.drop(1009) if isinstance(event, QueryFailed)] == ["a"]


@pytest.mark.parametrize("asks_by", ["subscribing", "refreshing"])
def test_search_whose_suspect_is_overdue_gives_the_next_its_own_time(played, asks_by):
    """It goes out at once, and its slot is freed ten seconds later."""
    played.opened_with("a", "b")
    played.drop(1009)
    played.reopen()
    played.advance(10.0)
    played.receive("data", id="sub_2", data=[])
    played.sent()
    if asks_by == "subscribing":
        played.subscribe("c")
    else:
        played.session.refresh("b", played.now)
    assert len(played.sent_ids()) == 1
    assert played.session.deadline == played.now + 10.0


def test_search_with_nothing_to_ask_for_is_over(played):
    """What is asked for next goes out at once."""
    played.open()
    played.drop(1009)
    played.reopen()
    played.subscribe("a", "b")
    assert played.sent_ids() == ["sub_1", "sub_2"]


def test_suspect_that_is_given_up_is_not_blamed(played):
    """The search goes on with the next."""
    played.opened_with("a", "b")
    played.drop(1009)
    played.reopen()
    played.unsubscribe("a")
    assert played.sent_ids() == ["sub_2"]
    assert [event.key for event in played.drop(1009) if isinstance(event, QueryFailed)] == ["b"]
