"""All shards and calls of one client as one object."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest

from lunora_rx.core.backoff import Backoff
from lunora_rx.core.connection import Timing
from lunora_rx.core.events import (
    AuthTokenChanged,
    BatchSettled,
    CallSettled,
    CloseSocket,
    OpenSocket,
    StatusChanged,
    StoreReads,
    SubscriptionClosed,
    ValueChanged,
    WhisperReceived,
)
from lunora_rx.core.identity import KEEP, IdentityChange
from lunora_rx.core.multiplexer import CoreOptions, Multiplexer
from lunora_rx.core.patches import Composition
from lunora_rx.core.polling import Polling
from lunora_rx.core.records import QueuedMutation
from lunora_rx.core.snapshot import Snapshot, SnapshotStatus, Status
from lunora_rx.core.writes import WriteOptions
from lunora_rx.errors import ClientClosedError, TransportError
from lunora_rx.protocol.rpc import Accepted, HttpReply, Refused, RpcCall
from tests.core.play import frame, parsed


@pytest.fixture
def core() -> Multiplexer:
    """The core of a client whose delays are 1, 2, 4 … seconds."""
    return Multiplexer(CoreOptions("client-1", backoff=Backoff(1, 8, "none"), context={"tab": 1}), lambda: 0.5)


def subscribe(core: Multiplexer, name: str, shard: str = "", now: float = 0.0) -> Snapshot[Any]:
    return core.subscribe(f"{name}@{shard}", f"{name}:list", {}, shard, now)


def unsubscribe(core: Multiplexer, name: str, shard: str = "", now: float = 0.0) -> None:
    core.unsubscribe(f"{name}@{shard}", shard, now)


def opened(core: Multiplexer, *shards: str, now: float = 0.0) -> None:
    """Open the sockets of shards, and forget what that took."""
    for shard in shards:
        core.connect(shard, now)
        core.receive_opened(shard, now)
        core.take_frames(shard)
    core.take_events()


def statuses(core: Multiplexer) -> list[Status]:
    """Take the events, and return the statuses among them."""
    return [event.status for event in core.take_events() if isinstance(event, StatusChanged)]


def test_shards_are_independent_and_ids_are_the_clients(core):
    """Each has its own socket and frames; the ids count through."""
    subscribe(core, "a")
    subscribe(core, "b", "room")
    assert core.take_events() == [OpenSocket(""), StatusChanged(Status.CONNECTING), OpenSocket("room")]
    core.receive_opened("room", 0.0)
    assert core.shards_to_send() == ["room"]
    connect, asked = map(parsed, core.take_frames("room"))
    assert connect == {
        "type": "connect",
        "id": "connect",
        "clientId": "client-1",
        "caps": ["pageDelta"],
        "context": {"tab": 1},
    }
    assert asked["id"] == "sub_2"
    assert core.shards_to_send() == []


def test_subscribing_returns_what_is_known(core):
    """A second one sees the value of the first."""
    assert subscribe(core, "a") == Snapshot()
    opened(core, "")
    core.receive_text("", frame("data", id="sub_1", data=[1], cursor=3), 0.0)
    assert core.take_events() == [ValueChanged("a@", [1], 3, 0)]
    assert subscribe(core, "a") == Snapshot(SnapshotStatus.LIVE, [1], None, 3)
    assert core.find("a@", "").ref_count == 2
    assert core.find("a@", "room") is None


def test_status_follows_the_best_of_all_sockets(core):
    """Idle, connecting, connected while any is open, offline when all wait; only changes are told."""
    assert core.status is Status.IDLE
    subscribe(core, "a")
    subscribe(core, "b", "room")
    assert statuses(core) == [Status.CONNECTING]
    core.receive_opened("", 0.0)
    core.receive_opened("room", 0.0)
    assert statuses(core) == [Status.CONNECTED]
    core.receive_closed("", None, 0.0)
    assert statuses(core) == []
    core.receive_closed("room", None, 0.0)
    assert statuses(core) == [Status.OFFLINE]
    core.handle_deadline(1.0)
    assert statuses(core) == [Status.CONNECTING]
    core.close()
    assert statuses(core) == [Status.IDLE]


def test_deadline_is_the_first_of_all_shards(core):
    """Infinite without any; a shard that is not due is left alone."""
    assert core.next_deadline() == inf
    core.connect("", 0.0)
    core.connect("room", 3.0)
    assert core.next_deadline() == 10.0
    core.take_events()
    core.handle_deadline(10.0)
    assert core.take_events() == [CloseSocket("", abandoned_after=10.0)]
    assert core.next_deadline() == 11.0


def test_idle_shard_is_removed_and_remembered_as_connected(core):
    """Opened again it starts with that knowledge, and with nothing of what was."""
    opened(core, "room")
    subscribe(core, "a", "room")
    unsubscribe(core, "a", "room", now=1.0)
    core.take_events()
    core.handle_deadline(6.0)
    assert core.take_events() == [CloseSocket("room"), StatusChanged(Status.IDLE)]
    assert (core.sessions, core.next_deadline()) == ({}, inf)
    core.connect("room", 7.0)
    assert core.sessions["room"].connection.was_ever_connected
    core.connect("hall", 7.0)
    assert not core.sessions["hall"].connection.was_ever_connected


def test_shard_that_never_connected_is_not_remembered(core):
    """Whether its server exists is not known."""
    subscribe(core, "a", "room")
    unsubscribe(core, "a", "room")
    core.handle_deadline(5.0)
    core.connect("room", 6.0)
    assert not core.sessions["room"].connection.was_ever_connected


def test_shard_that_is_gone_takes_no_more(core):
    """What a late task still says of it is ignored, giving up twice is silent."""
    opened(core, "room")
    core.handle_deadline(5.0)
    core.take_events()
    core.receive_text("room", frame("data", id="sub_1"), 6.0)
    core.receive_opened("room", 6.0)
    core.receive_closed("room", 4001, 6.0)
    unsubscribe(core, "a", "room")
    core.refresh("a@room", "room", 6.0)
    assert (core.take_events(), core.sessions) == ([], {})


def test_linger_of_the_options_is_each_shards():
    """A query outlives its last observer by it."""
    core = Multiplexer(CoreOptions("client-1", timing=Timing(0, 0), linger=2.0), lambda: 0.5)
    subscribe(core, "a")
    unsubscribe(core, "a", now=1.0)
    assert core.next_deadline() == 3.0
    core.take_events()
    core.handle_deadline(3.0)
    assert core.take_events() == [SubscriptionClosed("a@")]


def test_refresh_reaches_the_shard(core):
    """The whole value is asked for again."""
    subscribe(core, "a")
    opened(core, "")
    core.refresh("a@", "", 0.0)
    assert [parsed(text)["id"] for text in core.take_frames("")] == ["sub_1"]


def test_restart_reopens_every_socket_by_the_backoff(core):
    """Each from its own run of attempts."""
    opened(core, "", "room")
    core.restart_sockets(0.0)
    assert core.take_events() == [CloseSocket(""), CloseSocket("room"), StatusChanged(Status.OFFLINE)]
    core.handle_deadline(1.0)
    assert core.take_events()[:2] == [OpenSocket(""), OpenSocket("room")]


def test_frames_are_counted_over_all_sockets_past_ones_too(core):
    """A number for bug reports."""
    opened(core, "", "room")
    for shard in ("", "room", "room"):
        core.receive_text(shard, "lunora-pong", 0.0)
    core.handle_deadline(5.0)
    assert (list(core.sessions), core.frames_received) == ([""], 3)


def test_frame_that_changes_nothing_for_the_driver_asks_for_no_drain(core):
    """The hot path: only frames to send or another deadline are worth a look."""
    subscribe(core, "a")
    opened(core, "")
    core.receive_text("", frame("ack", id="sub_1"), 1.0)
    core.has_more = False
    core.receive_text("", frame("data", id="sub_1", data=[1]), 2.0)
    assert not core.has_more
    core.receive_text("", frame("delta", id="sub_1", delta={"op": "delete", "key": "a", "table": "t"}), 2.0)
    assert (core.has_more, core.shards_to_send()) == (True, [""])


@pytest.mark.parametrize(
    "step",
    [
        lambda core: core.connect("room", 0.0),
        lambda core: subscribe(core, "b"),
        lambda core: unsubscribe(core, "a"),
        lambda core: core.refresh("a@", "", 0.0),
        lambda core: core.call(RpcCall("q:l"), timeout=1.0),
        lambda core: core.batch([RpcCall("q:l")], timeout=1.0),
        lambda core: core.restart_sockets(0.0),
        lambda core: core.receive_closed("", None, 0.0),
        lambda core: core.receive_reply(1, HttpReply(200, {}, b"{}"), 0.0),
        lambda core: core.handle_deadline(30.0),
        lambda core: core.close(),
    ],
)
def test_step_that_may_leave_something_to_do_asks_for_a_drain(core, step):
    """Every call but that of a frame; the driver resets it."""
    assert not core.has_more
    core.connect("", 0.0)
    core.has_more = False
    core.receive_opened("", 0.0)
    assert core.has_more
    subscribe(core, "a")
    core.has_more = False
    step(core)
    assert core.has_more


def test_frame_that_moves_the_deadline_asks_for_a_drain(core):
    """The first proof of health ends the trial period."""
    core.connect("", 0.0)
    core.receive_opened("", 0.0)
    core.take_frames("")
    core.has_more = False
    core.receive_text("", frame("identity", subject=None), 1.0)
    assert (core.has_more, core.next_deadline()) == (True, 30.0)


def test_baseline_is_the_highest_cursor_of_the_shard(core):
    """The default shard counts under both its names; without any position there is none."""
    assert core.baseline("") is None
    for number, (name, shard, cursor) in enumerate(
        [("a", "", 4), ("b", "", 9), ("c", "main", 7), ("d", "room", 20)], 1
    ):
        subscribe(core, name, shard)
        opened(core, shard)
        core.receive_text(shard, frame("data", id=f"sub_{number}", data=[], cursor=cursor), 0.0)
    assert [core.baseline(shard) for shard in ("", "main", "room", "hall")] == [9, 7, 20, None]
    core.calls.cursors.name_default("main")
    assert core.baseline("main") == 9


def test_baseline_of_zero_is_none(core):
    """The header is absent, never 0."""
    subscribe(core, "a")
    opened(core, "")
    core.receive_text("", frame("data", id="sub_1", data=[], cursor=0), 0.0)
    assert core.baseline("") is None


def test_calls_are_composed_and_settled(core):
    """Single ones and batches, by their numbers."""
    first, second = core.call(RpcCall("q:l"), timeout=1.0), core.batch([RpcCall("q:l")], timeout=1.0)
    assert [request.request_id for request in core.requests_to_send()] == [first, second]
    core.receive_reply(first, HttpReply(200, {}, b'{"result":1}'), 0.0)
    core.receive_reply(second, HttpReply(200, {}, b'{"results":[]}'), 0.0)
    assert core.take_events() == [CallSettled(first, Accepted(1)), BatchSettled(second, [None])]


def test_close_ends_shards_and_calls(core):
    """Sockets, queries and calls under way; nothing is due any more, and closing again is silent."""
    subscribe(core, "a")
    opened(core, "", "room")
    number = core.call(RpcCall("q:l"), timeout=1.0)
    core.close()
    *events, settled, status = core.take_events()
    assert events == [CloseSocket(""), SubscriptionClosed("a@"), CloseSocket("room")]
    assert (settled.request_id, type(settled.outcome)) == (number, Refused)
    assert isinstance(settled.outcome.error, ClientClosedError)
    assert status == StatusChanged(Status.IDLE)
    assert (core.next_deadline(), core.shards_to_send(), core.requests_to_send()) == (inf, [], [])
    core.close()
    assert core.take_events() == []


def test_mutate_fixes_everything_that_a_replay_needs(core):
    """Who composed it, as whom, over which version of the data, and where."""
    core.set_auth_token("one", "ana", 0.0)
    subscribe(core, "a", "room")
    opened(core, "room")
    core.receive_text("room", frame("data", id="sub_1", data=[], cursor=7), 0.0)
    core.receive_closed("room", None, 0.0)
    core.mutate(Composition("m1", "notes:add", {"n": 1}, "room"), 0.0)
    (write,) = core.writes.queue
    assert write.record == QueuedMutation("m1", "notes:add", {"n": 1}, "client-1", "room", "subj:ana", 7)


def test_cancel_of_a_mutation_tells_whether_it_was_still_possible(core):
    """Its patches go with it."""
    opened(core, "")
    core.receive_closed("", None, 0.0)
    core.mutate(Composition("m1", "notes:add", {}), 0.0)
    assert (core.cancel_mutation("m1"), core.cancel_mutation("m1")) == (True, False)
    assert (len(core.writes.queue), core.has_more) == (0, True)


def test_auth_token_is_that_of_calls_and_tells_what_its_change_meant(core):
    """Sockets are not touched."""
    assert core.set_auth_token("one", KEEP, 0.0) is IdentityChange.SIGNED_IN
    assert core.set_auth_token("one", KEEP, 0.0) is IdentityChange.NOTHING
    assert core.set_auth_token("one", "ana", 0.0) is IdentityChange.SUBJECT_LEARNED
    assert (core.calls.bearer, core.take_events()) == ("one", [AuthTokenChanged()])


def test_connection_of_a_shard_is_told_while_it_has_one(core):
    """Afterwards it is known that it was closed as idle."""
    assert (core.connection_of("room"), core.was_idle_closed("room")) == (None, False)
    opened(core, "room")
    assert core.connection_of("room") is core.sessions["room"].connection
    core.handle_deadline(5.0)
    assert (core.connection_of("room"), core.was_idle_closed("room")) == (None, True)


def test_retry_of_a_write_is_a_deadline_of_the_client(core):
    """The first of all deadlines, and due with the others."""
    opened(core, "")
    core.mutate(Composition("m1", "notes:add", {}), 0.0)
    (request,) = core.requests_to_send()
    core.receive_reply(request.request_id, TransportError("cut"), 0.0)
    assert core.next_deadline() == 1.0
    core.handle_deadline(1.0)
    assert len(core.requests_to_send()) == 1


def test_socket_that_opens_late_flushes_nothing(core):
    """A shard that lost the attempt meanwhile waits for the next one."""
    opened(core, "")
    core.receive_closed("", None, 0.0)
    core.mutate(Composition("m1", "notes:add", {}), 0.0)
    core.receive_opened("", 0.0)
    assert core.requests_to_send() == []


@pytest.mark.parametrize(
    "step",
    [
        lambda core: core.hydrate((), 0.0),
        lambda core: core.receive_stored(["m1"], 0.0),
        lambda core: core.refuse_stored("m1", TransportError("no"), 0.0),
        lambda core: core.set_auth_token("one", KEEP, 0.0),
        lambda core: core.resolve_user(0.0),
        lambda core: core.load_reads((), 0.0),
        lambda core: core.mutate(Composition("m1", "notes:add", {}), 0.0),
        lambda core: core.cancel_mutation("m1"),
        lambda core: core.receive_opened("", 0.0),
    ],
)
def test_step_of_storage_or_identity_asks_for_a_drain(core, step):
    """Each may leave requests to make, or another deadline."""
    core.has_more = False
    step(core)
    assert core.has_more


def test_client_id_that_is_learned_is_that_of_the_next_introduction_and_the_next_write(core):
    """It comes before anything is sent."""
    core.learn_client_id("client-2")
    core.connect("", 0.0)
    core.receive_opened("", 0.0)
    assert parsed(core.take_frames("")[0])["clientId"] == "client-2"
    core.mutate(Composition("m1", "notes:add", {}), 0.0)
    assert core.requests_to_send()[0].headers["x-lunora-client-id"] == "client-2"


def test_status_follows_an_identity_that_a_reply_has_changed(core):
    """Every socket was closed by it, and the next one waits for its time."""
    core.set_auth_token("one", "ana", 0.0)
    opened(core, "")
    core.resolve_user(0.0)
    (probe,) = core.requests_to_send()
    core.receive_reply(probe.request_id, HttpReply(200, {}, b'{"user":{"id":"bob"}}'), 0.0)
    assert (statuses(core), core.next_deadline()) == ([Status.OFFLINE], 1.0)


def test_deadline_of_the_read_cache_is_one_of_the_clients():
    """It is handled with the others, and is over then."""
    options = CoreOptions("client-1", timing=Timing(0, 0), writes=WriteOptions(is_durable=True))
    core = Multiplexer(options, lambda: 0.5)
    subscribe(core, "a")
    opened(core, "")
    core.receive_text("", frame("data", id="sub_1", data=[1]), 1.0)
    assert core.next_deadline() == 1.25
    core.take_events()
    core.handle_deadline(1.25)
    assert [type(event) for event in core.take_events()] == [StoreReads]
    assert core.next_deadline() == inf


# --- whispers and contexts


def sent(core: Multiplexer, shard: str = "") -> list[Any]:
    """Take what was sent over a shard's socket."""
    return [parsed(text) for text in core.take_frames(shard)]


def contexts(core: Multiplexer, shard: str = "") -> list[Any]:
    """Take what was sent over a shard's socket, and return the contexts in it."""
    return [each.get("context") for each in sent(core, shard) if each["type"] == "connect"]


def test_topic_opens_the_socket_of_its_shard(core):
    """It is joined there, and joined again on the next one."""
    core.join_topic("t", "room", 0.0)
    assert core.take_events() == [OpenSocket("room"), StatusChanged(Status.CONNECTING)]
    core.receive_opened("room", 0.0)
    assert sent(core, "room")[1:] == [{"type": "whisper_subscribe", "topic": "t"}]
    core.receive_text("room", frame("whisper", topic="t", data=1, **{"from": "ana"}), 0.0)
    assert core.take_events()[-1] == WhisperReceived("room", "t", 1, "ana")
    core.receive_closed("room", None, 0.0)
    core.handle_deadline(1.0)
    core.receive_opened("room", 1.0)
    assert sent(core, "room")[1:] == [{"type": "whisper_subscribe", "topic": "t"}]
    core.leave_topic("t", "room", 1.0)
    assert sent(core, "room") == [{"type": "whisper_unsubscribe", "topic": "t"}]


def test_topic_that_nobody_listens_to_is_left_in_silence(core):
    """Neither a shard that is not spoken to nor one that is takes note."""
    core.leave_topic("t", "room", 0.0)
    assert core.sessions == {}
    opened(core, "room")
    core.leave_topic("t", "room", 0.0)
    assert core.shards_to_send() == []
    core.handle_deadline(5.0)
    assert core.sessions == {}


def test_whisper_goes_out_and_lets_its_shard_go_idle(core):
    """Whoever only whispers keeps no socket."""
    opened(core, "room")
    core.whisper("t", {"x": 1}, "room", 0.0)
    assert sent(core, "room") == [{"type": "whisper", "topic": "t", "data": {"x": 1}}]
    core.handle_deadline(5.0)
    assert core.take_events()[0] == CloseSocket("room", 1000)


def test_whisper_to_a_shard_without_a_socket_opens_one(core):
    """It is dropped itself: the next may be heard."""
    core.whisper("t", 1, "room", 0.0)
    assert core.take_events() == [OpenSocket("room"), StatusChanged(Status.CONNECTING)]
    core.receive_opened("room", 0.0)
    assert [each["type"] for each in sent(core, "room")] == ["connect"]


def test_context_that_is_held_goes_with_connect(core):
    """It opens no socket by itself, and goes with every one that is opened while it is held."""
    core.hold_context({"page": 1}, "", 0.0)
    assert (core.sessions, core.take_events(), core.next_deadline()) == ({}, [], inf)
    core.connect("", 0.0)
    for now in (0.0, 1.0):
        core.receive_opened("", now)
        assert contexts(core) == [{"page": 1}]
        core.receive_closed("", None, now)
        core.handle_deadline(now + 1.0)


def test_context_that_changes_is_said_again_on_an_open_socket(core):
    """Nested holders are released in any order; only what counts otherwise is news."""
    opened(core, "", "room")
    outer = core.hold_context({"page": 1}, "", 0.0)
    inner = core.hold_context({"page": 2}, "", 0.0)
    assert contexts(core) == [{"page": 1}, {"page": 2}]
    core.release_context(outer, "", 0.0)
    assert contexts(core) == []
    core.release_context(inner, "", 0.0)
    assert contexts(core) == [{"tab": 1}]
    core.release_context(inner, "", 0.0)
    assert (contexts(core), contexts(core, "room")) == ([], [])


def test_context_of_a_client_without_one_falls_back_to_none():
    """The frame lacks it then."""
    core = Multiplexer(CoreOptions("client-1"), lambda: 0.5)
    opened(core, "")
    core.release_context(core.hold_context(None, "", 0.0), "", 0.0)
    first, second = sent(core)
    assert (first["context"], "context" in second) == (None, False)


def test_context_is_not_said_before_the_socket_is_open(core):
    """Opening says it."""
    core.connect("", 0.0)
    core.hold_context({"page": 1}, "", 0.0)
    assert core.shards_to_send() == []
    core.receive_opened("", 0.0)
    assert contexts(core) == [{"page": 1}]


def test_context_that_is_held_keeps_the_socket_of_its_shard(core):
    """Released, the shard is idle five seconds later."""
    opened(core, "room")
    held = core.hold_context({"page": 1}, "room", 0.0)
    for now in (5.0, 10.0, 15.0):
        core.handle_deadline(now)
    assert "room" in core.sessions
    core.release_context(held, "room", 16.0)
    core.handle_deadline(20.0)
    assert core.sessions == {}


def test_context_outlives_the_socket_of_its_shard(core):
    """A shard that is opened anew says what is still held."""
    opened(core, "room")
    core.release_context(core.hold_context({"page": 1}, "room", 0.0), "room", 0.0)
    core.handle_deadline(5.0)
    core.hold_context({"page": 2}, "room", 6.0)
    core.connect("room", 6.0)
    core.receive_opened("room", 6.0)
    assert contexts(core, "room") == [{"page": 2}]


def test_context_that_is_said_again_asks_whose_session_it_is():
    """The server answers each ``connect``: its answers must not be taken for those to other questions."""
    core = Multiplexer(CoreOptions("c", writes=WriteOptions(is_cookie_session=True)), lambda: 0.5)
    opened(core, "")
    core.hold_context({"page": 1}, "", 0.0)
    for subject in ("ana", "ana"):
        core.receive_text("", frame("identity", subject=subject), 0.0)
    assert core.writes.identity.subject == "ana"
    core.receive_text("", frame("identity", subject="one too many"), 0.0)
    assert core.writes.identity.subject == "ana"


# --- polling


def polled(core: Multiplexer) -> int:
    """Let three attempts fail, at 0, 1 and 3, and return the number of the request that follows."""
    core.connect("", 0.0)
    for now in (0.0, 1.0, 3.0):
        core.handle_deadline(now)
        core.receive_closed("", None, now)
    core.handle_deadline(3.0)
    core.take_events()
    (request,) = core.requests_to_send()
    return request.request_id


def test_status_is_polling_while_the_server_answers_polls():
    """Better than connecting, not as good as connected; a deadline of polling is one of the client's."""
    core = Multiplexer(CoreOptions(backoff=Backoff(1, 8, "none"), polling=Polling()), lambda: 0.5)
    number = polled(core)
    core.receive_reply(number, HttpReply(200, {}, b'{"results":[]}'), 3.5)
    assert (statuses(core), core.poller.deadline) == ([Status.POLLING], 8.5)
    assert core.next_deadline() == 7.0
    core.handle_deadline(7.0)
    assert (statuses(core), core.next_deadline()) == ([], 8.5)
    core.receive_opened("", 8.0)
    assert (statuses(core), core.poller.deadline) == ([Status.CONNECTED], inf)
    core.receive_closed("", None, 8.0)
    assert statuses(core) == [Status.OFFLINE]


def test_reconnect_shows_in_the_status_and_leaves_unknown_shards_alone(core):
    """The next attempt of one shard comes at once."""
    subscribe(core, "a", "room")
    opened(core, "room")
    core.receive_closed("room", None, 1.0)
    assert statuses(core) == [Status.OFFLINE]
    core.reconnect("other", 1.0)
    core.reconnect("room", 1.0)
    assert core.take_events() == [OpenSocket("room"), StatusChanged(Status.CONNECTING)]


def test_counts_of_sockets_and_layers_are_over_all_shards(core):
    """What a monitor watches is summed."""
    subscribe(core, "a")
    subscribe(core, "b", "room")
    opened(core, "", "room")
    assert (core.open_sockets, core.layer_count) == (2, 0)
    composition = Composition(
        "m1", "b:list", {}, "room", optimistic_update=lambda store: store.set_query("a:list", None, 1)
    )
    core.mutate(composition, 0.0)
    core.receive_closed("", None, 1.0)
    assert (core.open_sockets, core.layer_count) == (1, 0)


def test_distrust_asks_the_shard_for_the_query_anew(core):
    """A shard that was given up meanwhile asks for nothing."""
    subscribe(core, "a")
    opened(core, "")
    core.receive_text("", '{"type":"data","id":"sub_1","data":[],"cursor":1}', 1.0)
    core.take_frames("")
    core.distrust("", '{"type":"delta","id":"sub_1"}', 1.0)
    core.distrust("gone", '{"type":"delta","id":"sub_1"}', 1.0)
    (text,) = core.take_frames("")
    assert '"subscribe"' in text
