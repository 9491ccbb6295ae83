"""What a socket is sent: the frames of one session, drained in memory."""

from __future__ import annotations

import json

import pytest

from lunora_rx.devserver import AppError, Backend, Limits
from tests.devserver.peer import Peer, call, chat_app, new_backend

LIST = "messages:list"
GENERAL = {"channelId": "general"}


def send(backend: Backend, text: str = "hi", channel: str = "general", **headers: str) -> str:
    """Send a message and return its id."""
    return call(backend, "messages:send", {"channelId": channel, "text": text}, **headers)["result"]


def test_connect_is_answered_with_identity(backend):
    """Each connect, a repeated one too, is answered by whose socket it is."""
    peer = Peer(backend)
    peer.send({"type": "connect", "id": "connect", "clientId": "c1", "caps": []})
    assert peer.drain() == [{"type": "identity", "subject": None}]


def test_subscribe_gets_ack_then_data_with_position(backend):
    """A cold subscription is registered, then given its value with cursor and epoch."""
    send(backend)
    ack, data = Peer(backend).subscribe("sub_1", LIST, GENERAL)
    shard = backend.shard()
    assert ack == {"type": "ack", "id": "sub_1"}
    assert (data["cursor"], data["epoch"]) == (shard.cursor, shard.epoch)
    assert [row["text"] for row in data["data"]] == ["hi"]


def test_insert_into_list_is_sent_as_one_delta(backend):
    """A row that the placement rule puts in its place is sent alone."""
    peer = Peer(backend)
    send(backend, "one")
    send(backend, "two")
    peer.subscribe("sub_1", LIST, GENERAL)
    row_id = send(backend, "three")
    (frame,) = peer.drain()
    assert frame["type"] == "delta"
    assert frame["delta"] | {"row": 0} == {"op": "insert", "key": row_id, "table": "messages", "row": 0}
    assert frame["cursor"] == backend.shard().cursor


def test_row_pushed_out_of_limit_is_sent_as_run_whose_last_carries_position(backend):
    """A full window that moves on is two deltas; only the last says where it got to."""
    peer = Peer(backend)
    for number in range(4):
        send(backend, f"a message long enough to make deltas worth while, number {number}")
    peer.subscribe("sub_1", LIST, GENERAL | {"limit": 4, "order": "desc"})
    send(backend, "another")
    first, last = peer.drain()
    assert ("cursor" in first, "cursor" in last) == (False, True)
    assert peer.values["sub_1"][0]["text"] == "another"
    assert len(peer.values["sub_1"]) == 4


def test_delta_is_not_sent_without_page_delta_cap(backend):
    """A client that did not announce the merge gets the whole value."""
    peer = Peer(backend, caps=())
    send(backend)
    send(backend)
    peer.subscribe("sub_1", LIST, GENERAL)
    send(backend)
    assert peer.types() == [("data", "sub_1")]


def test_insert_that_placement_rule_would_misplace_is_sent_as_data(backend):
    """With one row there is no direction to see: newest first cannot be told, so the value is sent."""
    peer = Peer(backend)
    send(backend)
    peer.subscribe("sub_1", LIST, GENERAL | {"order": "desc"})
    send(backend, "later")
    assert peer.types() == [("data", "sub_1")]
    assert peer.values["sub_1"][0]["text"] == "later"


def test_page_is_sent_as_delta_while_its_frame_is_unchanged(backend):
    """A page merges like a list as long as only its rows changed."""
    peer = Peer(backend)
    ids = [send(backend, f"message {number}") for number in range(3)]
    peer.subscribe("sub_1", "messages:page")
    call(backend, "messages:edit", {"id": ids[1], "text": "edited"})
    assert peer.types() == [("delta", "sub_1")]
    send(backend, "the page is not the last one any more")
    assert peer.types() == [("data", "sub_1")]
    assert peer.values["sub_1"]["isDone"] is False


def test_write_outside_reads_sends_nothing_to_others(backend):
    """Somebody else's write into another channel concerns nobody here."""
    peer = Peer(backend)
    peer.subscribe("sub_1", LIST, GENERAL)
    send(backend, channel="random")
    assert peer.drain() == []


def test_unchanged_result_of_touched_query_is_settled():
    """A predicate reads more than it shows: its query runs, and is settled."""
    app = chat_app()

    @app.query("messages:loud")
    def loud(ctx):
        return [row["text"] for row in ctx.db.table("messages").collect() if row["text"].isupper()]

    backend = new_backend(app)
    peer = Peer(backend)
    peer.subscribe("sub_1", "messages:loud")
    send(backend, "quiet")
    assert peer.drain() == [
        {"type": "settled", "id": "sub_1", "cursor": backend.shard().cursor, "epoch": backend.shard().epoch}
    ]


def test_writer_is_settled_on_all_its_queries(backend):
    """The writer may have patched any query, so each learns the cursor; nobody else hears of it."""
    writer, other = Peer(backend, client_id="w"), Peer(backend, client_id="o")
    for peer in (writer, other):
        peer.subscribe("sub_1", LIST, {"channelId": "quiet"})
    send(backend, x_lunora_client_id="w")
    send(backend, x_lunora_client_id="w")
    assert writer.types() == [("settled", "sub_1")]
    assert writer.positions["sub_1"][0] == backend.shard().cursor
    assert other.drain() == []


def test_writer_is_settled_by_mutation_that_writes_nothing(backend):
    """A mutation without effect still lets the layers over it go."""
    send(backend, channel="else")
    writer = Peer(backend, client_id="w")
    writer.subscribe("sub_1", LIST, GENERAL)
    send(backend, channel="else")
    reply = call(backend, "messages:remove", {"id": "nothing"}, x_lunora_client_id="w")
    writer.drain()
    assert writer.positions["sub_1"][0] >= reply["commitCursor"]


def test_resume_is_answered_when_nothing_relevant_changed(backend):
    """A position that still holds is confirmed without the value."""
    peer = Peer(backend)
    peer.subscribe("sub_1", LIST, GENERAL)
    position = peer.positions["sub_1"]
    send(backend, channel="random")
    ack, resume = Peer(backend).subscribe("sub_1", LIST, GENERAL, since=position)
    assert ack["type"] == "ack"
    assert resume == {
        "type": "resume", "id": "sub_1", "cursor": backend.shard().cursor, "epoch": backend.shard().epoch
    }  # fmt: skip


@pytest.mark.parametrize("what", ["changed", "other epoch", "from the future", "forgotten"])
def test_resume_is_refused_with_data_otherwise(what):
    """A position that does not hold, or cannot be judged, gets the value."""
    backend = new_backend(chat_app(Limits(change_retention=4)))
    peer = Peer(backend)
    peer.subscribe("sub_1", LIST, GENERAL)
    cursor, epoch = peer.positions["sub_1"]
    if what == "changed":
        send(backend)
    if what == "forgotten":
        for _ in range(20):
            send(backend, channel="random")
    since = {"other epoch": (cursor, "elsewhere"), "from the future": (cursor + 9, epoch)}.get(what, (cursor, epoch))
    assert [frame["type"] for frame in Peer(backend).subscribe("sub_1", LIST, GENERAL, since=since)] == ["ack", "data"]


@pytest.mark.parametrize(
    ("path", "args", "code"),
    [
        ("messages:nothing", {}, "NOT_FOUND"),
        ("messages:send", {}, "NOT_FOUND"),
        (LIST, {}, "VALIDATION_ERROR"),
        (LIST, {"channelId": 1}, "VALIDATION_ERROR"),
        (LIST, {"channelId": "general", "extra": 1}, "VALIDATION_ERROR"),
    ],
)
def test_unusable_subscription_gets_error_and_no_ack(backend, path, args, code):
    """What cannot be registered is refused, and leaves nothing behind."""
    peer = Peer(backend)
    (frame,) = peer.subscribe("sub_1", path, args)
    assert (frame["type"], frame["id"], frame["error"]["code"]) == ("error", "sub_1", code)
    assert peer.session.subscription_count == len(backend.shard().live) == 0


@pytest.mark.parametrize("args", [[], "text", {"when": ["$lunora.wire$", "date", "no"]}])
def test_undecodable_args_get_bad_subscription_args(backend, args):
    """Arguments that are no object of wire values are refused as such."""
    peer = Peer(backend)
    peer.send({"type": "subscribe", "id": "sub_1", "query": {"functionPath": LIST, "args": args, "table": "t"}})
    peer.drain()
    assert peer.errors == {"sub_1": "BAD_SUBSCRIPTION_ARGS"}


def test_failing_query_sends_its_code_then_data_once_it_heals(backend):
    """A refusal of the query is an error frame; the registration lives on and is shown when it heals."""
    peer = Peer(backend)
    row_id = send(backend, "bad")
    assert [frame["type"] for frame in peer.subscribe("sub_1", "messages:strict", GENERAL)] == ["ack", "error"]
    assert peer.errors["sub_1"] == "BAD_CHANNEL"
    send(backend, "bad")
    assert peer.drain() == []  # the same failure again is no news
    call(backend, "messages:remove", {"id": row_id})
    assert peer.drain() == []
    (other,) = call(backend, LIST, GENERAL)["result"]
    call(backend, "messages:remove", {"id": other["_id"]})
    assert peer.types() == [("data", "sub_1")]


def test_failed_query_runs_again_for_a_new_subscriber():
    """A failure with a cause outside the tables heals with the next one who asks, for all who watch."""
    app = chat_app()
    outside = {"is_up": False}

    @app.query("outside:state")
    def state(ctx):
        if not outside["is_up"]:
            raise AppError("DOWN")
        return ctx.db.table("messages").count()

    backend = new_backend(app)
    first, second = Peer(backend, client_id="a"), Peer(backend, client_id="b")
    assert [frame["type"] for frame in first.subscribe("sub_1", "outside:state")] == ["ack", "error"]
    outside["is_up"] = True
    assert [frame["type"] for frame in second.subscribe("sub_1", "outside:state")] == ["ack", "data"]
    assert first.types() == [("data", "sub_1")]


def test_failed_query_is_never_settled(backend):
    """A cursor would vouch for the value from before the failure."""
    peer = Peer(backend, client_id="w")
    peer.subscribe("sub_1", "messages:strict", GENERAL)
    send(backend, "bad", x_lunora_client_id="w")
    assert peer.types() == [("error", "sub_1")]
    send(backend, channel="random", x_lunora_client_id="w")
    assert peer.drain() == []


def test_unsubscribed_query_hears_nothing_more(backend):
    """The last one to leave ends the query; leaving twice is silent."""
    peer = Peer(backend)
    peer.subscribe("sub_1", LIST, GENERAL)
    for _ in range(2):
        peer.send({"type": "unsubscribe", "id": "sub_1"})
    send(backend)
    assert peer.drain() == []
    assert len(backend.shard().live) == 0


def test_same_id_again_is_answered_again_and_counted_once(backend):
    """A client that missed the ack may repeat the frame."""
    peer = Peer(backend)
    peer.subscribe("sub_1", LIST, GENERAL)
    assert [frame["type"] for frame in peer.subscribe("sub_1", LIST, GENERAL)] == ["ack", "data"]
    send(backend)
    assert peer.types() == [("data", "sub_1")]


def test_subscription_beyond_limit_is_refused():
    """The bound on one connection has a code of its own."""
    backend = new_backend(chat_app(Limits(subscriptions=1)))
    peer = Peer(backend)
    peer.subscribe("sub_1", LIST, GENERAL)
    peer.subscribe("sub_2", LIST, GENERAL)
    peer.subscribe("sub_1", LIST, GENERAL)
    assert peer.errors == {"sub_2": "TOO_MANY_SUBSCRIPTIONS"}


@pytest.mark.parametrize("text", ["", "nonsense", "[1]", "7", '{"type": 4}', '{"type":"new"}', '{"type":"whisper"}'])
def test_unreadable_text_is_ignored(backend, text):
    """One bad text harms nobody."""
    peer = Peer(backend)
    peer.send(text)
    assert peer.drain() == []
    assert [frame["type"] for frame in peer.subscribe("sub_1", LIST, GENERAL)] == ["ack", "data"]


def test_id_that_cannot_be_written_harms_nobody(backend):
    """Half a character as an id is answered by silence, and no write of anybody fails because of it."""
    peer, other = Peer(backend), Peer(backend)
    peer.subscribe("\ud800", LIST, GENERAL)
    other.subscribe("sub_1", LIST, GENERAL)
    assert send(backend)
    assert peer.drain() == []
    assert other.types() == [("data", "sub_1")]


@pytest.mark.parametrize("data", ["\ud800", "deep"])
def test_whisper_that_cannot_be_written_is_dropped(backend, data):
    """What cannot be sent on is lost, and the socket lives."""
    peers = [Peer(backend), Peer(backend)]
    nested = "[" * 500 + "]" * 500 if data == "deep" else json.dumps(data)
    peers[1].send({"type": "whisper_subscribe", "topic": "t"})
    peers[0].send(f'{{"type":"whisper","topic":"t","data":{nested}}}')
    peers[0].send({"type": "whisper", "topic": "t", "data": 1})
    assert [frame["data"] for frame in peers[1].drain()] == [1]


def test_ping_is_answered_with_pong(backend):
    """Keepalive is bare text."""
    peer = Peer(backend)
    peer.send("lunora-ping")
    assert peer.session.frames_to_send() == ["lunora-pong"]


def test_peer_that_does_not_read_is_given_up_with_bounded_memory():
    """What waits for one socket is bounded; a single value may exceed the bound."""
    backend = new_backend(chat_app(Limits(queued_bytes=1000)))
    peer = Peer(backend, caps=())
    peer.subscribe("sub_1", LIST, GENERAL)
    send(backend, "x" * 2000)
    assert peer.types() == [("data", "sub_1")]
    send(backend)
    send(backend)
    assert peer.session.is_overflowed
    assert peer.session.frames_to_send() == []
    assert len(backend.shard().live) == 0
    assert not backend.shard().members


def test_closed_session_leaves_the_shard(backend):
    """A socket that went away costs nothing any more."""
    peer = Peer(backend)
    peer.subscribe("sub_1", LIST, GENERAL)
    peer.session.close()
    peer.session.close()
    send(backend)
    assert peer.drain() == []
    assert len(backend.shard().live) == 0


def test_whisper_reaches_the_others_of_its_topic(backend):
    """The sender and those who left do not hear it."""
    peers = [Peer(backend, client_id=f"c{number}") for number in range(3)]
    for peer in peers:
        peer.send({"type": "whisper_subscribe", "topic": "typing"})
    peers[2].send({"type": "whisper_unsubscribe", "topic": "typing"})
    peers[0].send({"type": "whisper", "topic": "typing", "data": {"on": True}})
    assert peers[1].drain() == [{"type": "whisper", "topic": "typing", "data": {"on": True}, "from": "c0"}]
    assert peers[0].drain() == peers[2].drain() == []


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "shape_subscribe", "id": "shape_1", "shape": {"name": "rows"}},
        {"type": "stream", "id": "stream_1", "query": {"functionPath": "a:b"}},
    ],
)
def test_surface_not_offered_yet_says_so(backend, frame):
    """Shapes and streams are refused by a code, not by silence."""
    peer = Peer(backend)
    peer.send(frame)
    peer.drain()
    assert peer.errors == {frame["id"]: "NOT_IMPLEMENTED"}


def test_cancelled_subscription_is_completed(backend):
    """The server may end a live query."""
    peer = Peer(backend)
    peer.subscribe("sub_1", LIST, GENERAL)
    peer.session.cancel_subscriptions()
    assert peer.types() == [("complete", "sub_1")]
    send(backend)
    assert peer.drain() == []


def test_values_beyond_json_survive_the_way(backend):
    """What a mutation stores, a live query shows, tags and all."""
    app = chat_app()

    @app.query("things:all")
    def everything(ctx):
        return ctx.db.table("things").collect()

    @app.mutation("things:add")
    def add(ctx, value: object):
        ctx.db.insert("things", value=value)

    backend = new_backend(app)
    peer = Peer(backend)
    peer.subscribe("sub_1", "things:all")
    for value in (b"\x00\xff", float("inf"), ["$lunora.wire$", "x"], {"deep": [None, True]}):
        call(backend, "things:add", {"value": value})
        peer.drain()
        assert peer.values["sub_1"][-1]["value"] == value


def test_frames_are_single_json_texts(backend):
    """What is spliced together is still one well-formed frame."""
    peer = Peer(backend)
    for number in range(3):
        send(backend, 'quote " and \\ and \u2028 and é' * number)
    peer.send({"type": "subscribe", "id": 'odd "id"', "query": {"functionPath": LIST, "args": GENERAL, "table": "t"}})
    assert {json.loads(text)["id"] for text in peer.session.frames_to_send()} == {'odd "id"'}
