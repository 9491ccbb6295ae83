"""Live queries without a socket: when the server is asked, what its answers show, and what ends it."""

from __future__ import annotations

from math import inf, nan
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lunora_rx.core.calls import Calls
from lunora_rx.core.events import (
    Event,
    MutationSent,
    MutationSettled,
    QueryFailed,
    SnapshotChanged,
    StatusChanged,
    StoreReads,
)
from lunora_rx.core.identity import Identity
from lunora_rx.core.multiplexer import CoreOptions, Multiplexer
from lunora_rx.core.polling import PASS_TIMEOUT, Poller, Polling
from lunora_rx.core.snapshot import Snapshot, SnapshotStatus, Status
from lunora_rx.core.writes import WriteOptions
from lunora_rx.errors import CodecError, ServerError, TransportError
from lunora_rx.protocol.rpc import HttpReply
from lunora_rx.protocol.values import UNDEFINED
from lunora_rx.protocol.wire import TAG
from tests.core.play import STEADY
from tests.core.played_writes import NO_REPLY, PlayedWrites, of_kind, verdicts

KEY = "q:list::{}::"
BAD = {"result": [TAG, "bigint", "x"]}


class PlayedPolling(PlayedWrites):
    """A client that polls, whose passes the test answers."""

    def __init__(self, *, polling: Polling | None = Polling(), linger: float = 0.0, **options: Any) -> None:  # noqa: B008
        super().__init__(**options)
        core = CoreOptions("client-1", backoff=STEADY, linger=linger, polling=polling, writes=WriteOptions(**options))
        self.core = Multiplexer(core, lambda: 1.0)

    def ask(self, *names: str, shard: str = "") -> None:
        """Subscribe to queries, each named by its key, and forget what that took."""
        for name in names:
            self.core.subscribe(name, f"{name}:list", {}, shard, self.now)
        self.take()

    def fail(self, times: int = 3, shard: str = "") -> None:
        """Let attempts to open a socket fail, and what is due then begin."""
        for _ in range(times):
            self.attempt(shard)
            self.drop(shard)
        self.wait(0)

    def polls(self) -> list[Any]:
        """Return the requests of passes that were not answered yet."""
        return [each for each in self.requests() if _entries(each) is not None]

    def asked(self) -> list[list[str]]:
        """Return the queries in each of them."""
        return [[entry["functionPath"] for entry in _entries(each) or ()] for each in self.polls()]

    def answer_poll(self, *bodies: Any) -> list[Event]:
        """Let the server answer the oldest request of a pass, query by query; return what happened."""
        results = [{"id": number, "body": body} for number, body in enumerate(bodies)]
        return self.end_poll(HttpReply(200, {}, orjson.dumps({"results": results})))

    def end_poll(self, reply: Any = NO_REPLY) -> list[Event]:
        """Let the oldest request of a pass end, by default without a reply; return what happened."""
        request = self.polls()[0]
        self.requests().remove(request)
        self.core.receive_reply(request.request_id, reply, self.now)
        return self.take()

    def next_pass(self, *bodies: Any) -> list[Event]:
        """Wait for the next pass, and let the server answer it; return what that answer did."""
        self.wait(5.0)
        return self.answer_poll(*bodies)

    def ids_of(self, request: Any) -> list[str]:
        """Return the ids of the writes in a request."""
        single = request.headers.get("x-lunora-mutation-id")
        return [single] if single else [each["mutationId"] for each in orjson.loads(request.body)["calls"]]

    def status_of(self, key: str, shard: str = "") -> SnapshotStatus:
        """Return how far a query can be trusted."""
        subscription = self.core.find(key, shard)
        assert subscription is not None
        return subscription.result.status


def _entries(request: Any) -> list[Any] | None:
    entries = orjson.loads(request.body).get("calls")
    return None if entries is None or any("mutationId" in each for each in entries) else entries


def value(content: Any) -> dict[str, Any]:
    return {"result": content}


def news(events: list[Event]) -> list[tuple[str, Any]]:
    """Return which queries are live with which value, as events say."""
    snapshots = [(each.key, each.snapshot) for each in of_kind(events, SnapshotChanged)]
    return [(key, snapshot.value) for key, snapshot in snapshots if snapshot.status is SnapshotStatus.LIVE]


def statuses(events: list[Event]) -> list[Status]:
    return [each.status for each in of_kind(events, StatusChanged)]


@pytest.fixture
def played() -> PlayedPolling:
    """A client with one live query, q, that has no socket and can have none."""
    played = PlayedPolling()
    played.ask("q")
    return played


@pytest.fixture
def polling(played) -> PlayedPolling:
    """The same, polling, with a value."""
    played.fail()
    played.answer_poll(value([1]))
    return played


# --- when it begins, and when it ends


@pytest.mark.parametrize("interval", [0, -1, inf, nan])
def test_polling_interval_is_a_time_above_nothing(interval):
    """Without polling there is ``None``."""
    with pytest.raises(ValueError, match="interval is a finite number of seconds above 0"):
        Polling(interval=interval)


@pytest.mark.parametrize("after_failures", [0, -1])
def test_polling_begins_after_one_failure_at_the_earliest(after_failures):
    """Before the first there is nothing wrong."""
    with pytest.raises(ValueError, match="after_failures is a number of attempts above 0"):
        Polling(after_failures=after_failures)


def test_third_failure_in_a_row_begins_a_pass_at_once(played):
    """Two do not; the status waits for the answer."""
    played.fail(2)
    assert played.asked() == []
    played.fail(1)
    assert played.asked() == [["q:list"]]
    assert (played.polls()[0].timeout, played.core.status) == (PASS_TIMEOUT, Status.OFFLINE)


def test_failure_that_brings_polling_is_due_now_and_not_before(played):
    """The driver arms its timer for it: an instant that is over would make it spin."""
    played.fail(2)
    played.attempt()
    played.drop()
    assert (played.core.has_more, played.core.next_deadline()) == (True, played.now)
    played.core.handle_deadline(played.now)
    assert played.core.next_deadline() > played.now


def test_socket_that_opens_and_drops_is_no_failure(played):
    """It also forgets those before it."""
    played.fail(2)
    for _ in range(5):
        played.open()
        played.drop()
    played.fail(2)
    assert played.asked() == []
    played.fail(1)
    assert played.asked() == [["q:list"]]


def test_client_that_may_not_poll_never_does():
    """However often it fails."""
    played = PlayedPolling(polling=None)
    played.ask("q")
    played.fail(10)
    assert (played.polls(), played.core.status) == ([], Status.OFFLINE)


def test_failures_while_polling_begin_nothing_more(polling):
    """Neither between two passes, nor during one."""
    polling.fail(1)
    assert polling.polls() == []
    polling.wait(5.0)
    polling.fail(4)
    assert len(polling.polls()) == 1


def test_passes_begin_an_interval_after_the_last_answer(polling):
    """They never overlap, however long one takes."""
    assert polling.core.poller.deadline == polling.now + 5.0
    polling.wait(4.9)
    assert polling.polls() == []
    polling.wait(0.1)
    polling.wait(9.0)
    assert len(polling.polls()) == 1
    polling.answer_poll(value([2]))
    polling.wait(5.0)
    assert len(polling.polls()) == 1


def test_interval_and_failures_are_the_applications():
    """Other numbers than the usual ones."""
    played = PlayedPolling(polling=Polling(interval=0.5, after_failures=1))
    played.ask("q")
    played.fail(1)
    played.answer_poll(value([1]))
    assert played.core.poller.deadline == played.now + 0.5


def test_opening_ends_polling_and_the_pass_under_way(polling):
    """Its late answer must not put an older value over a newer one, and is nobody's."""
    polling.wait(5.0)
    (late,) = polling.polls()
    polling.attempt()
    assert statuses(polling.let_open()) == [Status.CONNECTED]
    polling.data("q", [9], 9)
    polling.core.receive_reply(late.request_id, HttpReply(200, {}, b'{"results":[{"id":0,"body":{"result":[2]}}]}'), 0)
    assert (polling.take(), polling.shown("q"), len(polling.core.calls)) == ([], [9], 0)
    assert polling.core.poller.deadline == inf


def test_opening_before_the_first_answer_ends_the_pass(played):
    """A pass that was composed and not sent is not sent any more."""
    played.fail(2)
    played.attempt()
    played.core.receive_closed("", None, played.now)
    played.core.handle_deadline(played.now)
    played.attempt()
    played.let_open()
    assert (played.polls(), len(played.core.calls)) == ([], 0)


def test_opening_that_was_not_asked_for_ends_no_polling(polling):
    """A socket that was abandoned may still say that it is open: there is none."""
    polling.core.receive_opened("", polling.now)
    assert (statuses(polling.take()), polling.core.status) == ([], Status.POLLING)
    assert polling.core.poller.deadline == polling.now + 5.0


def test_socket_that_comes_back_resumes_from_where_sockets_left_off():
    """Values that came by polling never move the position; what came and went meanwhile is gone."""
    played = PlayedPolling()
    played.watch("q", value=[1])
    played.drop()
    played.fail()
    assert news(played.answer_poll(value([1, 2]))) == [(KEY, [1, 2])]
    played.attempt()
    played.let_open()
    (asked,) = [each for each in played.frames() if each["type"] == "subscribe"]
    assert asked["query"]["sinceSeq"] == 1
    assert news(played.hear("resume", id=asked["id"], cursor=1)) == [(KEY, [1])]


def test_shard_that_is_given_up_is_polled_no_more():
    """The pass under way is forgotten; how often its socket failed still counts."""
    played = PlayedPolling()
    played.ask("q", shard="room")
    played.fail(3, "room")
    late = played.polls()[0]
    played.requests().clear()
    played.core.unsubscribe("q", "room", played.now)
    played.wait(5.0)
    assert (len(played.core.calls), played.core.next_deadline(), played.core.status) == (0, inf, Status.IDLE)
    played.core.receive_reply(late.request_id, NO_REPLY, played.now)
    assert (played.take(), played.core.next_deadline()) == ([], inf)
    played.ask("q", shard="room")
    played.fail(1, "room")
    assert played.asked() == [["q:list"]]
    assert orjson.loads(played.polls()[0].body)["calls"][0]["shardKey"] == "room"


def test_shard_that_never_failed_is_given_up_without_a_trace():
    """There is nothing of it to keep."""
    played = PlayedPolling()
    played.ask("q", shard="room")
    played.core.unsubscribe("q", "room", played.now)
    played.wait(5.0)
    assert (played.core.sessions, played.core.poller.is_live("room")) == ({}, False)


def test_poller_of_a_shard_that_is_gone_asks_nothing():
    """A pass that is due for nobody is over at once, and does not come again."""
    calls = Calls(origin=None, emit=pytest.fail)
    poller = Poller(
        Polling(), {}, calls, identity=Identity, acknowledged=lambda: 0, went_live=lambda shard, now: pytest.fail(shard)
    )
    for _ in range(3):
        poller.note_failure("room", 1.0)
    poller.handle_deadline(0.5)
    assert poller.deadline == 1.0
    poller.handle_deadline(1.0)
    assert (poller.deadline, len(calls)) == (inf, 0)


def test_client_that_ends_polls_no_more(polling):
    """No request and no deadline is left."""
    polling.wait(5.0)
    polling.core.close()
    assert (len(polling.core.calls), polling.core.next_deadline(), polling.core.status) == (0, inf, Status.IDLE)


def test_shards_are_polled_each_by_itself(polling):
    """One may have a socket, and another one none."""
    polling.core.subscribe("r", "r:list", {}, "room", polling.now)
    polling.open("room")
    polling.wait(5.0)
    assert (polling.asked(), polling.core.status) == ([["q:list"]], Status.CONNECTED)
    assert "shardKey" not in orjson.loads(polling.polls()[0].body)["calls"][0]


# --- what an answer does


def test_answer_is_a_live_value(played):
    """With the status that says how it was come by."""
    played.fail()
    live = SnapshotChanged("q", Snapshot(SnapshotStatus.LIVE, [1]))
    assert played.answer_poll(value([1])) == [live, StatusChanged(Status.POLLING)]


def test_value_that_a_drop_made_stale_is_live_again():
    """As on a socket."""
    played = PlayedPolling()
    key = played.watch("q", value=7)
    played.drop()
    played.fail()
    assert played.status_of(key) is SnapshotStatus.STALE
    live = SnapshotChanged(key, Snapshot(SnapshotStatus.LIVE, 7, None, 1))
    assert played.answer_poll(value(7)) == [live, StatusChanged(Status.POLLING)]


def test_attempts_that_fail_make_no_polled_value_stale(polling):
    """Values are live by polling, and do not flicker."""
    for _ in range(3):
        polling.attempt()
        polling.core.receive_closed("", None, polling.now)
        assert polling.take() == []
    assert (polling.status_of("q"), polling.core.status) == (SnapshotStatus.LIVE, Status.POLLING)


def test_answer_that_says_nothing_new_says_nothing(polling):
    """An equal scalar is not shown again."""
    polling.next_pass(value("x"))
    assert polling.next_pass(value("x")) == []


def test_pass_without_live_queries_is_an_empty_probe():
    """It tells whether the server can be reached."""
    played = PlayedPolling()
    played.fail()
    (probe,) = played.polls()
    assert orjson.loads(probe.body) == {"calls": []}
    assert played.answer_poll() == [StatusChanged(Status.POLLING)]


def test_slot_with_an_error_fails_its_query_alone(played):
    """The value stays, the next pass heals it."""
    played.ask("other")
    played.fail()
    played.answer_poll(value([1]), value([2]))
    failed, changed = played.next_pass({"error": {"code": "FORBIDDEN", "message": "no"}}, value([3]))
    assert isinstance(failed, QueryFailed)
    assert (failed.snapshot.status, failed.snapshot.value) == (SnapshotStatus.FAILED, [1])
    assert isinstance(failed.snapshot.error, ServerError)
    assert news([changed]) == [("other", [3])]
    played.next_pass(value([4]), value([5]))
    assert (played.status_of("q"), played.shown("q")) == (SnapshotStatus.LIVE, [4])


def test_slot_that_does_not_decode_fails_its_query_alone(polling):
    """It was made here, and says so."""
    (failed,) = polling.next_pass(BAD)
    assert isinstance(failed, QueryFailed)
    assert isinstance(failed.snapshot.error, CodecError)
    assert failed.snapshot.error.code == "WIRE_DECODE_FAILED"


def test_slot_that_is_missing_says_nothing(polling):
    """Neither that there is a value nor that there is none."""
    assert polling.next_pass() == []
    assert (polling.shown("q"), polling.status_of("q")) == ([1], SnapshotStatus.LIVE)


def test_answer_to_a_query_that_was_given_up_is_nobodys(played):
    """Also if somebody asks for the same again meanwhile: that is another question."""
    played.fail()
    played.core.unsubscribe("q", "", played.now)
    played.ask("q")
    assert news(played.answer_poll(value([1]))) == []
    assert played.status_of("q") is SnapshotStatus.PENDING


def test_query_that_is_too_large_for_a_frame_is_left_out(polling):
    """Until it is refreshed, as on a socket."""
    polling.ask("other")
    subscription = polling.core.find("q", "")
    assert subscription is not None
    subscription.is_oversized = True
    polling.wait(5.0)
    assert polling.asked() == [["other:list"]]
    polling.answer_poll(value([]))
    polling.core.refresh("q", "", polling.now)
    polling.wait(5.0)
    assert polling.asked() == [["q:list", "other:list"]]


def test_query_that_came_during_a_pass_is_in_the_next(polling):
    """Nobody else would ask for it."""
    polling.wait(5.0)
    polling.ask("new")
    polling.answer_poll(value([2]))
    polling.wait(5.0)
    assert polling.asked() == [["q:list", "new:list"]]


@pytest.mark.parametrize(
    "reply",
    [
        HttpReply(401, {}, b'{"error":{"code":"UNAUTHORIZED"}}'),
        HttpReply(500, {}, b"<html>"),
        HttpReply(200, {}, b"<html>"),
        HttpReply(429, {}, b""),
        HttpReply(200, {}, b"", is_cut=True),
        TransportError("no websocket", status=502),
        TransportError("no websocket", code="INTERNAL"),
    ],
    ids=["coded", "unreadable", "no batch", "limited", "too large", "status alone", "code alone"],
)
def test_any_answer_means_that_the_server_can_be_reached(played, reply):
    """Values come with the next; none is taken away."""
    played.fail()
    assert played.end_poll(reply) == [StatusChanged(Status.POLLING)]
    assert played.status_of("q") is SnapshotStatus.PENDING
    assert played.core.poller.deadline == played.now + 5.0


def test_pass_without_an_answer_makes_values_stale(polling):
    """The client is offline; the next answer brings both back."""
    polling.wait(5.0)
    stale = SnapshotChanged("q", Snapshot(SnapshotStatus.STALE, [1]))
    events = polling.end_poll()
    assert events[0] == stale
    assert len(statuses(events)) == 1
    assert statuses(events)[0] in (Status.OFFLINE, Status.CONNECTING)
    assert polling.next_pass(value([1]))[-1] == StatusChanged(Status.POLLING)
    assert polling.status_of("q") is SnapshotStatus.LIVE


def test_pass_that_times_out_is_one_without_an_answer(polling):
    """The error has no code, as any that never reached a server."""
    polling.wait(5.0)
    polling.end_poll(TransportError("timed out", transient=True))
    assert not polling.core.is_polled("")


def test_value_behind_a_frame_that_was_lost_stays_behind():
    """A polled value is shown, but the next socket asks for the whole: it has missed something."""
    played = PlayedPolling()
    key = played.watch("q", value=[1])
    played.data(key, [TAG, "bigint", "x"], 2)
    played.drop()
    played.fail()
    played.answer_poll(value([2]))
    assert (played.status_of(key), played.shown(key)) == (SnapshotStatus.LIVE, [2])
    played.attempt()
    played.let_open()
    (asked,) = [each for each in played.frames() if each["type"] == "subscribe"]
    assert "sinceSeq" not in asked["query"]


# --- more queries than one batch holds


@pytest.fixture
def crowd() -> PlayedPolling:
    """A client with 501 live queries in its first pass."""
    played = PlayedPolling()
    played.ask(*(f"q{number}" for number in range(501)))
    played.fail()
    return played


def test_more_queries_than_a_batch_holds_are_asked_in_several(crowd):
    """The next pass waits for the last answer."""
    assert [len(each) for each in crowd.asked()] == [500, 1]
    crowd.answer_poll(*(value(number) for number in range(500)))
    assert (crowd.shown("q499"), crowd.core.poller.deadline) == (499, inf)
    crowd.answer_poll(value(500))
    assert (crowd.shown("q500"), crowd.core.poller.deadline) == (500, crowd.now + 5.0)
    crowd.wait(5.0)
    assert [len(each) for each in crowd.asked()] == [500, 1]


def test_batch_of_a_pass_that_is_lost_harms_its_own_queries_only(crowd):
    """The others have just been answered: they are live, and the server can be reached."""
    crowd.answer_poll(*(value(number) for number in range(500)))
    assert statuses(crowd.end_poll()) == []
    assert (crowd.status_of("q0"), crowd.core.status) == (SnapshotStatus.LIVE, Status.POLLING)
    crowd.wait(5.0)
    crowd.end_poll()
    assert crowd.core.status is Status.POLLING
    assert of_kind(crowd.answer_poll(value(1)), StatusChanged) == []
    assert (crowd.status_of("q0"), crowd.status_of("q500")) == (SnapshotStatus.STALE, SnapshotStatus.LIVE)


def test_pass_whose_batches_are_all_lost_is_one_without_an_answer(crowd):
    """Only the last of them decides it."""
    crowd.answer_poll(*(value(number) for number in range(500)))
    crowd.answer_poll(value(500))
    crowd.wait(5.0)
    crowd.end_poll()
    crowd.end_poll()
    assert crowd.status_of("q500") is SnapshotStatus.STALE
    assert not crowd.core.is_polled("")


def test_opening_ends_all_batches_of_a_pass(crowd):
    """Also those after the one that was answered."""
    crowd.answer_poll(*(value(number) for number in range(500)))
    crowd.attempt()
    crowd.let_open()
    assert (len(crowd.core.calls), crowd.core.poller.deadline) == (0, inf)


# --- whose values they are


def test_pass_during_which_somebody_else_signed_in_is_thrown_away():
    """It was asked for the other; the next pass is theirs."""
    played = PlayedPolling()
    played.sign_in("one", "ana")
    played.ask("q")
    played.fail()
    assert played.polls()[0].headers["authorization"] == "Bearer one"
    played.sign_in("two", "bo")
    assert news(played.answer_poll(value(["ana's"]))) == []
    assert (played.status_of("q"), played.core.is_polled("")) == (SnapshotStatus.PENDING, True)
    assert news(played.next_pass(value(["bo's"]))) == [("q", ["bo's"])]


def test_values_of_somebody_else_are_gone_while_polling(polling):
    """At once, not with the next pass, which is under the new name."""
    polling.sign_in("two", "bo")
    polling.next_pass(value(["bo's"]))
    polling.sign_in("three", "cy")
    assert (polling.shown("q"), polling.status_of("q"))[1] is SnapshotStatus.PENDING
    polling.wait(5.0)
    assert polling.polls()[0].headers["authorization"] == "Bearer three"


def test_question_about_the_user_during_a_pass_throws_nothing_away():
    """Only an answer changes who it is."""
    played = PlayedPolling()
    played.sign_in("one", "ana")
    played.ask("q")
    played.fail()
    played.core.resolve_user(played.now)
    assert news(played.answer_poll(value([1]))) == [("q", [1])]


def test_polled_values_are_kept_for_the_next_start():
    """Under the name of the bearer that they were asked with."""
    played = PlayedPolling(is_durable=True)
    played.core.hydrate([], played.now)
    played.load()
    played.sign_in("one", "ana")
    played.ask("q")
    played.fail()
    played.answer_poll(value([1]))
    (stored,) = of_kind(played.wait(0.25), StoreReads)
    (read,) = stored.reads
    assert (read.key, read.identity) == ("q", "subj:ana")


def test_polled_value_is_kept_without_the_place_of_another():
    """The next process would resume from a value that the place does not belong to."""
    played = PlayedPolling(is_durable=True)
    played.core.hydrate([], played.now)
    played.load()
    played.sign_in("one", "ana")
    played.watch("q", value=["a"])
    played.drop()
    played.fail()
    played.answer_poll(value(["a", "b"]))
    (stored,) = of_kind(played.wait(0.25), StoreReads)
    (read,) = stored.reads
    assert (read.value, read.cursor, read.epoch) == (["a", "b"], None, None)


def test_user_who_could_not_be_found_out_is_asked_for_again(played):
    """The server is back, if only by HTTP."""
    played.sign_in("one")
    played.core.resolve_user(played.now)
    played.end_probe(NO_REPLY)
    assert played.questions() == 0
    played.fail()
    played.answer_poll(value([1]))
    assert played.questions() == 1


# --- our own writes


def patched(played: PlayedPolling, name: str, row: Any) -> list[Event]:
    """Compose a write that shows a row in q at once."""
    return played.mutate(name, optimistic_update=lambda store: store.set_query("q:list", {}, row))


@pytest.fixture
def writing() -> PlayedPolling:
    """A client that was connected once, polls now, and shows ["a"] at cursor 1."""
    played = PlayedPolling()
    played.watch("q", value=["a"])
    played.drop()
    played.fail()
    played.answer_poll(value(["a"]))
    return played


def test_write_while_polling_goes_out_at_once(writing):
    """Over HTTP, with no detour over the queue."""
    assert of_kind(patched(writing, "m1", ["a", "b"]), MutationSent) == [MutationSent("m1")]
    assert (writing.waiting(), writing.shown(KEY)) == ([], ["a", "b"])


def test_layer_goes_with_the_pass_that_began_after_its_acknowledgement(writing):
    """One that began before may not hold the write: nothing flickers."""
    patched(writing, "m1", ["a", "b"])
    writing.wait(5.0)
    (settled,) = of_kind(writing.reply({"result": 1, "commitCursor": 9}), MutationSettled)
    assert settled.was_queued is False
    writing.answer_poll(value(["a"]))
    assert (writing.shown(KEY), writing.core.find(KEY, "").result.snapshot.pending_layers) == (["a", "b"], 1)
    live = SnapshotChanged(KEY, Snapshot(SnapshotStatus.LIVE, ["a", "b"], None, 1))
    assert writing.next_pass(value(["a", "b"])) == [live]


def test_layer_that_was_not_acknowledged_outlives_passes(writing):
    """Whatever they hold."""
    patched(writing, "m1", ["mine"])
    writing.next_pass(value(["theirs"]))
    assert writing.shown(KEY) == ["mine"]


def test_layer_of_a_write_that_landed_by_polling_goes_with_a_resume(writing):
    """The socket came back before the pass that would have held it."""
    patched(writing, "m1", ["a", "b"])
    writing.reply({"result": 1, "commitCursor": 9})
    writing.attempt()
    writing.let_open()
    writing.data(KEY, ["a", "b"], 9)
    assert (writing.core.find(KEY, "").result.layers, writing.shown(KEY)) == ((), ["a", "b"])


def test_scalar_that_a_pass_confirms_is_no_longer_optimistic(writing):
    """The same number without its layer says so."""
    writing.next_pass(value(5))
    patched(writing, "m1", 6)
    writing.reply({"result": 1, "commitCursor": 9})
    assert writing.next_pass(value(6)) == [SnapshotChanged(KEY, Snapshot(SnapshotStatus.LIVE, 6, None, 1))]


def test_pass_after_a_write_asks_for_what_holds_it(writing):
    """A replica that lags would show the value without it."""
    patched(writing, "m1", ["a", "b"])
    writing.reply({"result": 1, "commitCursor": 9})
    writing.wait(5.0)
    assert writing.polls()[0].headers["x-lunora-min-seq"] == "9"


def offline() -> PlayedPolling:
    """Return a client that was connected once, is not, and does not poll yet."""
    played = PlayedPolling()
    played.open()
    played.drop()
    played.fail(2)
    return played


def test_queue_is_flushed_when_polling_becomes_live():
    """In order, before what is composed then."""
    played = offline()
    played.mutate("m1", "m2")
    played.fail(1)
    played.answer_poll()
    assert played.sent() == [["m1", "m2"]]
    played.mutate("m3")
    assert len(played.sent()) == 1
    played.reply_slots(value(1), value(2))
    assert played.sent() == [["m3"]]


def test_queue_is_not_flushed_by_a_pass_without_an_answer():
    """Nothing would come of it."""
    played = offline()
    played.mutate("m1")
    played.fail(1)
    played.end_poll()
    assert (played.sent(), played.waiting()) == ([], ["m1"])


def test_write_is_kept_back_once_polling_gets_no_answer():
    """It waits for the next answer, or for a socket."""
    played = offline()
    played.fail(1)
    played.answer_poll()
    played.wait(5.0)
    played.end_poll()
    played.mutate("m1")
    assert (played.sent(), played.waiting()) == ([], ["m1"])
    played.next_pass()
    assert played.sent() == [["m1"]]


def test_write_that_is_lost_while_polling_is_tried_again_by_itself():
    """The queue never stalls behind a server that answers polls."""
    played = offline()
    played.fail(1)
    played.answer_poll()
    played.mutate("m1")
    played.lose()
    assert (played.waiting(), played.retry_in()) == (["m1"], 1.0)
    played.retry()
    assert verdicts(played.reply()) == [("m1", None)]


def test_passes_do_not_cut_the_wait_of_a_write_short():
    """A server that is busy is given the time of the ramp, not of the polls."""
    played = offline()
    played.mutate("m1")
    played.fail(1)
    played.answer_poll()
    waits = []
    for _ in range(5):
        played.refuse("RATE_LIMITED", 429)
        waits.append(played.retry_in())
        end = played.now + played.retry_in()
        while played.now < end:
            assert played.sent() == []
            played.wait(min(5.0, end - played.now))
            if played.polls():
                played.answer_poll()
        assert len(played.sent()) == 1
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0]


def test_write_whose_bearer_was_refused_is_not_sent_with_every_pass():
    """Only another token helps."""
    played = offline()
    played.sign_in("one", "ana")
    played.mutate("m1")
    played.fail(1)
    played.answer_poll()
    played.refuse("UNAUTHORIZED", 401)
    for _ in range(3):
        played.next_pass()
        assert played.sent() == []
    played.sign_in("two", "ana")
    assert played.sent() == [["m1"]]


def test_write_that_waits_behind_one_that_waits_is_not_sent_while_polling():
    """The order of composing stays, by whatever way writes go."""
    played = offline()
    played.fail(1)
    played.answer_poll()
    played.mutate("m1")
    played.lose()
    played.mutate("m2")
    assert (played.sent(), played.waiting()) == ([], ["m1", "m2"])
    played.retry()
    assert played.sent() == [["m1", "m2"]]


def test_socket_that_opens_during_a_replay_does_not_double_it():
    """The pass goes on, and the next one finds nothing."""
    played = offline()
    played.mutate("m1", "m2")
    played.fail(1)
    played.answer_poll()
    played.attempt()
    played.let_open()
    assert played.sent() == [["m1", "m2"]]
    assert verdicts(played.reply_slots(value(1), value(2))) == [("m1", None), ("m2", None)]
    assert (played.sent(), played.waiting()) == ([], [])


def test_query_that_came_anew_during_a_lost_pass_stays_what_it_is(polling):
    """The one that was asked for is over."""
    polling.wait(5.0)
    polling.core.unsubscribe("q", "", polling.now)
    polling.ask("q")
    assert of_kind(polling.end_poll(), SnapshotChanged) == []
    assert polling.status_of("q") is SnapshotStatus.PENDING


# --- any schedule


class Shop:
    """A server that counts what it was told, and a client of it that comes to it as the schedule says.

    Attributes:
        rows: The ids of the writes that were carried out, in order.
    """

    def __init__(self) -> None:
        self.played = PlayedPolling(queues_before_first_connect=True)
        self.played.core.subscribe(KEY, "q:list", {}, "", 0.0)
        self.rows: list[str] = []
        self.composed: list[str] = []
        self._read: dict[int, list[str]] = {}

    def do(self, step: str) -> None:
        """Let something happen, and the server answer what it is asked over a socket."""
        getattr(self, f"_{step}")()
        for request in self.played.polls():
            self._read.setdefault(request.request_id, [*self.rows])
        self._serve_socket()
        assert self.played.core.next_deadline() >= self.played.now
        assert len(self.played.polls()) <= 1, "passes never overlap"

    def check_shown(self) -> None:
        """Our own writes never leave the screen, whoever answers."""
        shown = self.played.shown(KEY)
        if shown is not UNDEFINED:
            assert {*self.composed} <= {*shown}
            assert len(shown) == len({*shown})

    def heal(self) -> None:
        """Let everything be answered, until nothing is under way."""
        for _ in range(200):
            self.do("open")
            while self._writes():
                self.do("commit")
            if not self.played.waiting():
                return
            self.do("wait")
        pytest.fail("the queue never drained")

    def _fail(self) -> None:
        self.played.fail(1)

    def _open(self) -> None:
        self.played.attempt()
        self.played.let_open()

    def _wait(self) -> None:
        self.played.wait(5.0)

    def _wait_briefly(self) -> None:
        self.played.wait(0.7)

    def _answer(self) -> None:
        if self.played.polls():
            self.played.answer_poll(value([*self.rows]))

    def _answer_late(self) -> None:
        # It was read when it was asked for, and is told only now.
        if polls := self.played.polls():
            self.played.answer_poll(value([*self._read[polls[0].request_id]]))

    def _lose(self) -> None:
        if self.played.polls():
            self.played.end_poll()

    def _compose(self) -> None:
        name = f"m{len(self.composed)}"
        # The query's own name stands for the mutation's, so that its layer runs over every base.
        self.played.mutate(name, function_path="q:list", optimistic=lambda rows: _with(rows, name))
        self.composed.append(name)

    def _commit(self) -> None:
        self._end_write(is_carried_out=True, is_answered=True)

    def _lose_reply(self) -> None:
        self._end_write(is_carried_out=True, is_answered=False)

    def _lose_write(self) -> None:
        self._end_write(is_carried_out=False, is_answered=False)

    def _end_write(self, *, is_carried_out: bool, is_answered: bool) -> None:
        if not self._writes():
            return
        request = self._writes()[0]
        names = self.played.ids_of(request)
        self.rows += [name for name in names if is_carried_out and name not in self.rows]
        self.played.requests().remove(request)
        reply = self._reply(names) if is_answered else NO_REPLY
        self.played.core.receive_reply(request.request_id, reply, self.played.now)
        self.played.take()
        if is_carried_out and self.played.core.sessions[""].connection.is_open:
            self.played.data(KEY, [*self.rows], len(self.rows))

    def _reply(self, names: list[str]) -> HttpReply:
        bodies = [{"result": 1, "commitCursor": self.rows.index(name) + 1} for name in names]
        slots = [{"id": number, "body": body} for number, body in enumerate(bodies)]
        return HttpReply(200, {}, orjson.dumps(bodies[0] if len(names) == 1 else {"results": slots}))

    def _writes(self) -> list[Any]:
        return [each for each in self.played.requests() if _entries(each) is None]

    def _serve_socket(self) -> None:
        for each in self.played.frames():
            if isinstance(each, dict) and each["type"] == "subscribe":
                self.played.hear("data", id=each["id"], data=[*self.rows], cursor=len(self.rows), epoch="e")


def _with(rows: Any, name: str) -> Any:
    return rows if rows is UNDEFINED or name in rows else [*rows, name]


STEPS = ["fail", "open", "wait", "wait_briefly", "answer", "answer_late", "lose", "lose_reply", "lose_write"]


@given(st.lists(st.sampled_from([*STEPS, "compose", "compose", "commit", "commit"]), max_size=60))
def test_any_schedule_loses_doubles_and_hides_no_write(steps):
    """Sockets, passes and replies come and go as they like; in the end the screen is the server's."""
    shop = Shop()
    for step in ["fail", "fail", "fail", "answer", *steps]:
        shop.do(step)
        shop.check_shown()
    shop.heal()
    assert sorted(shop.rows) == sorted(shop.composed)
    result = shop.played.core.find(KEY, "").result
    assert (result.shown, result.layers, shop.played.waiting()) == (shop.rows, (), [])
