"""The lifecycle of one socket, every transition of it."""

from __future__ import annotations

import itertools
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lunora_rx.core.backoff import Backoff
from lunora_rx.core.connection import (
    STABLE_AFTER,
    TRANSITIONS,
    Closed,
    Connecting,
    Connection,
    Due,
    Idle,
    Open,
    Timing,
    Trigger,
)

STATES = (Idle, Connecting, Open, Closed)
PATHS = {
    Idle: (),
    Connecting: (Trigger.CONNECT,),
    Open: (Trigger.CONNECT, Trigger.OPENED),
    Closed: (Trigger.CLOSE,),
}


def connection(state: type = Idle, *, timing: Timing | None = None, backoff: Backoff | None = None) -> Connection:
    """Return a connection led into a state at time 0."""
    made = Connection(timing or Timing(), backoff or Backoff(1, 64, "none"), lambda: 0.5)
    for trigger in PATHS[state]:
        fire(made, trigger)
    return made


def fire(subject: Connection, trigger: Trigger, now: float = 0.0) -> None:
    """Let something happen to a connection."""
    match trigger:
        case Trigger.CONNECT:
            subject.connect(now)
        case Trigger.OPENED:
            subject.opened(now)
        case Trigger.LOST:
            subject.lost(now)
        case Trigger.CLOSE:
            subject.close()


@pytest.mark.parametrize(("state", "trigger"), list(TRANSITIONS))
def test_trigger_that_the_table_names_leads_where_it_says(state, trigger):
    """Each legal transition ends in the state of the table."""
    subject = connection(state)
    assert subject.can(trigger)
    fire(subject, trigger)
    assert type(subject.state) is TRANSITIONS[state, trigger]


@pytest.mark.parametrize(
    ("state", "trigger"), [pair for pair in itertools.product(STATES, Trigger) if pair not in TRANSITIONS]
)
def test_trigger_that_the_table_lacks_is_refused_and_changes_nothing(state, trigger):
    """Each illegal transition is a defect of the owner, and leaves the connection as it was."""
    subject = connection(state)
    before = (subject.state, subject.was_ever_connected, subject.last_frame_at)
    assert not subject.can(trigger)
    with pytest.raises(AssertionError, match=trigger.name):
        fire(subject, trigger, 99.0)
    assert (subject.state, subject.was_ever_connected, subject.last_frame_at) == before


def test_table_of_transitions_is_the_protocols():
    """Idle, connecting, open and back, and closed for good from everywhere."""
    assert {(state.__name__, trigger.value, to.__name__) for (state, trigger), to in TRANSITIONS.items()} == {
        ("Idle", "connect", "Connecting"),
        ("Connecting", "opened", "Open"),
        ("Connecting", "lost", "Idle"),
        ("Open", "lost", "Idle"),
        ("Idle", "close", "Closed"),
        ("Connecting", "close", "Closed"),
        ("Open", "close", "Closed"),
    }


@pytest.mark.parametrize(("state", "expected"), [(Idle, inf), (Connecting, 10), (Open, 5), (Closed, inf)])
def test_deadline_of_each_state_is_what_it_waits_for(state, expected):
    """Nothing, the handshake, the end of the trial period, nothing."""
    assert connection(state).deadline == expected


@pytest.mark.parametrize("state", STATES)
def test_deadline_that_has_not_come_asks_for_nothing(state):
    """A call too early changes nothing."""
    subject = connection(state)
    assert subject.handle_deadline(0.0) is Due.NOTHING


def test_connection_that_connects_too_slowly_is_abandoned():
    """The handshake has ten seconds."""
    subject = connection(Connecting)
    assert subject.handle_deadline(9.99) is Due.NOTHING
    assert subject.handle_deadline(10.0) is Due.ABANDON


@pytest.mark.parametrize("timeout", [0, -1])
def test_handshake_timeout_of_zero_or_less_is_off(timeout):
    """An attempt may then take for ever."""
    assert connection(Connecting, timing=Timing(connect_timeout=timeout)).deadline == inf


@pytest.mark.parametrize("interval", [0, -1])
def test_heartbeat_of_zero_or_less_is_off(interval):
    """Neither pings nor a liveness check remain after the trial period."""
    subject = connection(Open, timing=Timing(heartbeat_interval=interval))
    assert subject.handle_deadline(STABLE_AFTER) is Due.NOTHING
    assert subject.deadline == inf


def test_connection_that_is_lost_retries_after_the_next_delay():
    """Each loss waits longer, from the first on."""
    subject = connection()
    for delay in (1, 2, 4, 8):
        subject.connect(0.0)
        subject.lost(100.0)
        assert subject.state == Idle(100.0 + delay)
        assert subject.handle_deadline(100.0 + delay) is Due.CONNECT


def test_opening_alone_does_not_reset_the_backoff():
    """A server that accepts and drops is met ever more rarely."""
    subject = connection()
    delays = []
    for _ in range(4):
        subject.connect(0.0)
        subject.opened(0.0)
        subject.lost(STABLE_AFTER - 0.1)
        delays.append(subject.deadline - (STABLE_AFTER - 0.1))
    assert delays == pytest.approx([1, 2, 4, 8])


def test_health_proved_by_a_frame_resets_the_backoff():
    """The next loss waits the first delay again, and the trial period is over."""
    subject = connection(Open)
    subject.lost(0.0)
    subject.connect(0.0)
    subject.opened(0.0)
    subject.prove_health()
    assert (subject.is_healthy, subject.deadline) == (True, 30)
    subject.lost(1.0)
    assert (subject.is_healthy, subject.deadline) == (False, 2)


def test_five_seconds_of_being_open_reset_the_backoff():
    """A socket that stays open has proved itself."""
    subject = connection(Open)
    subject.lost(0.0)
    subject.connect(0.0)
    subject.opened(0.0)
    assert subject.handle_deadline(STABLE_AFTER) is Due.NOTHING
    assert subject.is_healthy
    subject.lost(6.0)
    assert subject.deadline == 7


def test_ping_within_the_trial_period_proves_nothing():
    """A short heartbeat does not make a socket healthy before its five seconds."""
    subject = connection(Open, timing=Timing(heartbeat_interval=2.0))
    assert (subject.handle_deadline(2.0), subject.is_healthy, subject.deadline) == (Due.PING, False, 4.0)
    subject.last_frame_at = 3.0
    assert (subject.handle_deadline(4.0), subject.deadline) == (Due.PING, STABLE_AFTER)
    assert (subject.handle_deadline(STABLE_AFTER), subject.is_healthy) == (Due.NOTHING, True)


def ticks(subject: Connection, heard_at: list[float], until: float) -> list[tuple[float, Due]]:
    """Return what was due when, for a peer heard at certain times."""
    due = []
    while (now := subject.deadline) <= until:
        subject.last_frame_at = max([at for at in heard_at if at <= now], default=subject.last_frame_at)
        due.append((now, subject.handle_deadline(now)))
        if due[-1][1] is Due.DEAD:
            break
    return due


def test_peer_that_falls_silent_is_found_at_two_and_a_half_intervals():
    """Pings at one and two intervals, no ping any more at the end."""
    subject = connection(Open)
    assert ticks(subject, [], 1000)[1:] == [(30, Due.PING), (60, Due.PING), (75, Due.DEAD)]


def test_peer_that_answers_is_pinged_once_an_interval():
    """An idle client wakes for nothing else."""
    subject = connection(Open)
    heard_at = [at + 0.1 for at in range(0, 3000, 30)]
    assert ticks(subject, heard_at, 3000)[1:] == [(float(at), Due.PING) for at in range(30, 3001, 30)]


@given(heard_at=st.lists(st.floats(0, 400), max_size=30), interval=st.floats(0.1, 60))
def test_peer_is_declared_dead_only_after_two_and_a_half_silent_intervals(heard_at, interval):
    """Neither too early nor later than promised, whenever the last frame came."""
    subject = connection(Open, timing=Timing(heartbeat_interval=interval))
    heard_at = sorted(heard_at)
    *_, (now, due) = ticks(subject, heard_at, 1000)
    assert due is Due.DEAD
    assert now == pytest.approx(subject.last_frame_at + 2.5 * interval)


def test_tick_that_comes_late_pings_once():
    """After a blocked loop there is one ping, not one for each interval missed."""
    subject = connection(Open)
    subject.last_frame_at = 100.0
    assert subject.handle_deadline(130.0) is Due.PING
    assert subject.deadline == 160.0


def test_connection_reopened_after_an_idle_close_remembers_that_it_was_connected():
    """The fact outlives the record, for decisions about queueing."""
    subject = Connection(Timing(), Backoff(), lambda: 0.0, was_ever_connected=True)
    assert subject.was_ever_connected
    assert not connection(Connecting).was_ever_connected
    assert connection(Open).was_ever_connected
