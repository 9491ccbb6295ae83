"""Shapes and streams as parts of a session: order of opening, errors by id, sockets that must stay."""

from __future__ import annotations

import pytest

from lunora_rx.core.events import (
    CloseSocket,
    OpenSocket,
    QueryFailed,
    RowsChanged,
    ShapeFailed,
    ShapeMoved,
    StatusChanged,
    StreamChunk,
    StreamEnded,
    StreamFailed,
)
from lunora_rx.core.multiplexer import CoreOptions, Multiplexer
from lunora_rx.core.pacing import SLOT_TIMEOUT
from lunora_rx.core.preloads import Preload
from lunora_rx.core.session import IDLE_CLOSE_AFTER
from lunora_rx.core.snapshot import SnapshotStatus, Status
from lunora_rx.errors import ClientClosedError
from lunora_rx.protocol.keys import subscription_key
from tests.core.play import PlayedSession, frame, parsed


@pytest.fixture
def played() -> PlayedSession:
    """A session of a shard that may be closed as idle."""
    return PlayedSession("room")


def poke(played: PlayedSession, *keys: str) -> list[object]:
    """Let the server seed the first shape with rows; return what happened."""
    patch = [{"op": "insert", "key": key, "table": "t", "value": {"_id": key}} for key in keys]
    played.receive("pokeStart", pokeId="1", epoch="e")
    played.receive("pokePart", pokeId="1", shapeId="shape_1", rowsPatch=patch, reset=True)
    return played.receive("pokeEnd", pokeId="1", checkpoint=3, epoch="e")


def test_open_sends_everything_in_the_order_of_the_protocol(played):
    """Greeting, live queries, shapes, what was given up, streams, topics."""
    played.session.subscribe_shape("tasks:open", {}, 0.0)
    played.session.start_stream("jobs:run", {}, 0.0, durable=False)
    played.session.join_topic("room", 0.0)
    played.subscribe("q")
    played.open()
    kinds = [each["type"] for each in played.sent()]
    assert kinds == ["connect", "subscribe", "shape_subscribe", "stream", "whisper_subscribe"]


def test_shape_asked_for_over_an_open_socket_is_sent_at_once_and_keeps_it(played):
    """Until it is given up: then the socket is idle."""
    played.open()
    played.sent()
    shape = played.session.subscribe_shape("tasks:open", {"n": 1}, 0.0)
    assert [each["id"] for each in played.sent()] == [shape]
    assert [type(each) for each in poke(played, "a")] == [RowsChanged]
    played.advance(4 * IDLE_CLOSE_AFTER)
    assert not played.session.is_closed
    played.session.unsubscribe_shape(shape, played.now)
    assert played.sent_ids("shape_unsubscribe") == [shape]
    played.advance(IDLE_CLOSE_AFTER)
    assert CloseSocket("room") in played.events()


def test_shape_goes_stale_with_its_socket_and_resumes_by_checkpoint(played):
    """As live queries do."""
    played.session.subscribe_shape("tasks:open", {}, 0.0)
    played.open()
    poke(played, "a")
    (moved,) = (each for each in played.drop() if isinstance(each, ShapeMoved))
    assert moved.status is SnapshotStatus.STALE
    (asked,) = (each for each in played.reopen() if each["type"] == "shape_subscribe")
    assert (asked["sinceCheckpoint"], asked["sinceEpoch"]) == (3, "e")


def test_rows_of_a_shape_go_with_the_user_they_belong_to(played):
    """Nothing of them is left on the screen."""
    played.session.subscribe_shape("tasks:open", {}, 0.0)
    played.open()
    poke(played, "a")
    played.events()
    played.session.forget_values(())
    (changed,) = played.events()
    assert (changed.ops, changed.is_reset, changed.status) == ((), True, SnapshotStatus.PENDING)


def test_error_frame_goes_to_whoever_has_its_id(played):
    """A shape, a stream, a live query; none of the others hears of it."""
    played.opened_with("q")
    played.session.subscribe_shape("tasks:open", {}, 0.0)
    played.session.start_stream("jobs:run", {}, 0.0, durable=False)
    kinds = [
        [type(each) for each in played.receive("error", id=each, message="no")]
        for each in ("shape_1", "stream_1", "sub_1", "sub_9")
    ]
    assert kinds == [[ShapeFailed], [StreamFailed], [QueryFailed], []]


def test_stream_ends_by_complete_and_lets_the_socket_go(played):
    """A live query of that id would be cancelled; a stream is done."""
    played.opened_with()
    stream = played.session.start_stream("jobs:run", {}, 0.0, durable=False)
    text = frame("chunk", id=stream, data=1)
    assert played.receive_text(text) == [StreamChunk(stream, 1, len(text))]
    played.advance(4 * IDLE_CLOSE_AFTER)
    assert played.receive("complete", id=stream) == [StreamEnded(stream)]
    played.advance(IDLE_CLOSE_AFTER)
    assert CloseSocket("room") in played.events()


@pytest.mark.parametrize("end", ["error", "undecodable", "cancel"])
def test_stream_that_is_over_some_other_way_lets_the_socket_go_too(played, end):
    """In time: the deadline follows."""
    played.open()
    stream = played.session.start_stream("jobs:run", {}, 0.0, durable=False)
    if end == "error":
        played.receive("error", id=stream, message="no")
    elif end == "undecodable":
        played.receive("chunk", id=stream, data=["$lunora.wire$", "bigint", "none"])
    else:
        played.session.cancel_stream(stream, 0.0)
    assert played.session.deadline == IDLE_CLOSE_AFTER
    played.advance(IDLE_CLOSE_AFTER)
    assert CloseSocket("room") in played.events()


def test_complete_without_an_id_is_about_nothing(played):
    """It harms nobody."""
    played.opened_with("q")
    assert played.receive("complete") == []


def test_stream_that_is_cut_fails_and_one_that_waits_starts_with_the_next_socket(played):
    """What had begun cannot be carried on without numbers."""
    played.open()
    stream = played.session.start_stream("jobs:run", {}, 0.0, durable=False)
    played.receive("chunk", id=stream, data=1)
    (failed,) = (each for each in played.drop() if isinstance(each, StreamFailed))
    assert failed.error.code == "STREAM_DISCONNECTED"
    waiting = played.session.start_stream("jobs:run", {}, played.now, durable=True)
    assert waiting in [each.get("id") for each in played.reopen()]


def test_close_fails_streams_and_forgets_shapes(played):
    """The client is closed; shapes complete with it."""
    played.open()
    played.session.subscribe_shape("tasks:open", {}, 0.0)
    played.session.start_stream("jobs:run", {}, 0.0, durable=False)
    played.session.close()
    failed = [each for each in played.events() if isinstance(each, StreamFailed)]
    assert [type(each.error) for each in failed] == [ClientClosedError]
    assert (played.session.describe()["shapes"], played.session.describe()["streams"]) == ({}, {})


# --- by way of the multiplexer


@pytest.fixture
def core() -> Multiplexer:
    """The core of a client."""
    return Multiplexer(CoreOptions("client-1"), lambda: 0.5)


def test_shapes_and_streams_open_the_socket_of_their_shard(core):
    """Each counts its own ids over all shards, and tells the driver that there is more to do."""
    ids = [core.subscribe_shape("tasks:open", {}, shard, 0.0) for shard in ("", "room")]
    ids += [core.start_stream("jobs:run", {}, shard, 0.0, durable=True) for shard in ("", "other")]
    assert ids == ["shape_1", "shape_2", "stream_1", "stream_2"]
    assert core.take_events() == [
        OpenSocket(""),
        StatusChanged(Status.CONNECTING),
        OpenSocket("room"),
        OpenSocket("other"),
    ]
    assert core.has_more


def test_shapes_and_streams_are_given_up_by_their_ids(core):
    """What is unknown, or of a shard that is gone, is silent."""
    core.subscribe_shape("tasks:open", {}, "", 0.0)
    core.start_stream("jobs:run", {}, "", 0.0, durable=True)
    core.receive_opened("", 0.0)
    core.take_frames("")
    for shard in ("", "nowhere"):
        core.unsubscribe_shape("shape_1", shard, 0.0)
        core.cancel_stream("stream_1", shard, 0.0)
    assert [parsed(text)["type"] for text in core.take_frames("")] == ["shape_unsubscribe", "unsubscribe"]


def test_same_poke_id_on_two_shards_is_two_pokes(core):
    """Buffers belong to a connection."""
    for shard in ("", "room"):
        core.subscribe_shape("tasks:open", {}, shard, 0.0)
        core.receive_opened(shard, 0.0)
    core.take_events()
    rows = '{"op":"insert","key":"%s","table":"t","value":{"_id":"%s"}}'
    for shard, shape, key in (("", "shape_1", "a"), ("room", "shape_2", "b")):
        core.receive_text(shard, '{"type":"pokeStart","pokeId":"1"}', 0.0)
        patch = rows % (key, key)
        text = f'{{"type":"pokePart","pokeId":"1","shapeId":"{shape}","reset":true,"rowsPatch":[{patch}]}}'
        core.receive_text(shard, text, 0.0)
    for shard in ("room", ""):
        core.receive_text(shard, '{"type":"pokeEnd","pokeId":"1","checkpoint":1}', 0.0)
    told = [(each.shape_id, each.ops[0].key) for each in core.take_events() if isinstance(each, RowsChanged)]
    assert told == [("shape_2", "b"), ("shape_1", "a")]


def test_preloaded_value_is_shown_at_once_in_a_query_that_is_watched_already(core):
    """And in one that is watched later; what the server gave stays."""
    key = subscription_key("notes:list", {})
    core.subscribe(key, "notes:list", {}, "", 0.0)
    core.take_events()
    core.show_preloaded(Preload(key, ["preloaded"]), "")
    (changed,) = core.take_events()
    assert (changed.snapshot.value, changed.snapshot.status) == (["preloaded"], SnapshotStatus.STALE)
    core.show_preloaded(Preload(key, ["again"]), "")
    core.show_preloaded(Preload(key, ["elsewhere"]), "room")
    assert core.take_events() == []


# --- what is too large for a frame


def searching() -> PlayedSession:
    """Return a session of a query, a shape and a durable stream whose socket was closed over a frame too large."""
    played = PlayedSession()
    played.opened_with("q")
    played.answer("sub_1")
    played.session.subscribe_shape("tasks:open", {}, 0.0)
    played.session.start_stream("jobs:run", {}, 0.0, durable=True)
    played.drop(1009)
    return played


def kinds(frames: list[dict[str, object]]) -> list[object]:
    return [each["type"] for each in frames]


def test_search_sends_queries_shapes_and_streams_one_at_a_time():
    """A shape is cleared by the end of a poke that it had a part in, a stream by a chunk."""
    played = searching()
    assert kinds(played.reopen()) == ["connect", "subscribe"]
    played.receive("data", id="sub_1", data=[], cursor=1)
    assert kinds(played.sent()) == ["shape_subscribe"]
    played.receive("pokeStart", pokeId="1")
    played.receive("pokePart", pokeId="1", shapeId="shape_1", rowsPatch=[], reset=True)
    assert played.sent() == []
    played.receive("pokeEnd", pokeId="1", checkpoint=1)
    assert kinds(played.sent()) == ["stream"]
    played.receive("chunk", id="stream_1", data=1, seq=1)
    played.drop()
    assert kinds(played.reopen()) == ["connect", "subscribe", "shape_subscribe", "stream"]


def test_search_blames_the_shape_that_is_out_and_leaves_it_out():
    """The live query and the stream go on; who signs in next may have fewer rows."""
    played = searching()
    played.reopen()
    played.receive("data", id="sub_1", data=[], cursor=1)
    (failed,) = (each for each in played.drop(1009) if isinstance(each, ShapeFailed))
    assert failed.error.code == "FRAME_TOO_LARGE"
    played.reopen()
    played.receive("data", id="sub_1", data=[], cursor=2)
    assert kinds(played.sent()) == ["stream"]
    played.session.forget_values(())
    assert played.session.shapes.ids == ["shape_1"]


def test_search_blames_the_stream_that_is_out():
    """It fails, and is not carried on."""
    played = searching()
    played.reopen()
    played.receive("data", id="sub_1", data=[], cursor=1)
    poke(played)
    (failed,) = (each for each in played.drop(1009) if isinstance(each, StreamFailed))
    assert failed.error.code == "FRAME_TOO_LARGE"
    assert kinds(played.reopen()) == ["connect", "subscribe"]


def test_search_acquits_a_stream_that_has_nothing_to_say():
    """Unlike a large value, it may be silent for long."""
    played = searching()
    played.reopen()
    played.receive("data", id="sub_1", data=[], cursor=1)
    poke(played)
    played.advance(SLOT_TIMEOUT)
    played.drop()
    assert kinds(played.reopen()) == ["connect", "subscribe", "shape_subscribe", "stream"]


def test_search_goes_on_when_what_is_out_is_given_up():
    """Its turn is the next one's."""
    played = searching()
    played.reopen()
    played.receive("data", id="sub_1", data=[], cursor=1)
    played.sent()
    played.session.unsubscribe_shape("shape_1", played.now)
    assert kinds(played.sent()) == ["shape_unsubscribe", "stream"]
    played.session.cancel_stream("stream_1", played.now)
    played.drop()
    assert kinds(played.reopen()) == ["connect", "subscribe"]


# --- whose socket it was


def test_socket_that_opens_as_somebody_else_asks_for_everything_anew():
    """Unchanged since then is unchanged for whoever it was; what is shown stays until the answer."""
    users = ["ana", "ana", "bob"]
    played = PlayedSession(fingerprint=lambda: users.pop(0))
    played.opened_with("q")
    played.answer("sub_1")
    played.session.subscribe_shape("tasks:open", {}, 0.0)
    poke(played, "a")
    played.drop()
    _, query, shape = played.reopen()
    assert (query["query"]["sinceSeq"], shape["sinceCheckpoint"]) == (1, 3)
    played.drop()
    _, query, shape = played.reopen()
    assert ("sinceSeq" in query["query"], "sinceCheckpoint" in shape) == (False, False)
    assert list(played.session.shapes.find("shape_1").rows) == ["a"]
    played.session.forget_positions()
    assert played.events() == []
