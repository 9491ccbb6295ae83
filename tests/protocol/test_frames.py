"""Every frame: how it is spelled, what it must hold, and what is refused."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lunora_rx.errors import CodecError, ProtocolError
from lunora_rx.protocol import frames
from lunora_rx.protocol.frames import (
    Ack,
    Chunk,
    ClientFrame,
    Complete,
    Connect,
    Data,
    Delta,
    ErrorFrame,
    Identity,
    PokeEnd,
    PokePart,
    PokeStart,
    Resume,
    ServerFrame,
    Settled,
    ShapeSubscribe,
    ShapeUnsubscribe,
    StreamStart,
    Subscribe,
    Unsubscribe,
    WhisperFrame,
    WhisperSend,
    WhisperSubscribe,
    WhisperUnsubscribe,
    decode_client_frame,
    decode_server_frame,
    encode_frame,
    frame_to_tree,
)
from lunora_rx.protocol.values import UNDEFINED

CLIENT: list[tuple[ClientFrame, dict[str, Any]]] = [
    (Connect("c"), {"type": "connect", "id": "connect", "clientId": "c", "caps": ["pageDelta"]}),
    (
        Connect("c", context={"tab": 1}),
        {"type": "connect", "id": "connect", "clientId": "c", "caps": ["pageDelta"], "context": {"tab": 1}},
    ),
    (
        Connect("c", (), None),
        {"type": "connect", "id": "connect", "clientId": "c", "caps": [], "context": None},
    ),
    (
        Subscribe("sub_1", "m:list", {"n": 1}, "m:list"),
        {"type": "subscribe", "id": "sub_1", "query": {"functionPath": "m:list", "args": {"n": 1}, "table": "m:list"}},
    ),
    (
        Subscribe("sub_1", "m:list", {}, "t", 0, "e"),
        {
            "type": "subscribe",
            "id": "sub_1",
            "query": {"functionPath": "m:list", "args": {}, "table": "t", "sinceSeq": 0, "sinceEpoch": "e"},
        },
    ),
    (Unsubscribe("sub_1"), {"type": "unsubscribe", "id": "sub_1"}),
    (ShapeSubscribe("shape_1", "rows"), {"type": "shape_subscribe", "id": "shape_1", "shape": {"name": "rows"}}),
    (
        ShapeSubscribe("shape_1", "rows", {"a": 1}, 5, "e"),
        {
            "type": "shape_subscribe",
            "id": "shape_1",
            "shape": {"name": "rows", "args": {"a": 1}},
            "sinceCheckpoint": 5,
            "sinceEpoch": "e",
        },
    ),
    (ShapeUnsubscribe("shape_1"), {"type": "shape_unsubscribe", "id": "shape_1"}),
    (StreamStart("stream_1", "m:run"), {"type": "stream", "id": "stream_1", "query": {"functionPath": "m:run"}}),
    (
        StreamStart("stream_1", "m:run", {"a": 1}, "room", 7, ["g"]),
        {
            "type": "stream",
            "id": "stream_1",
            "query": {"functionPath": "m:run", "args": {"a": 1}, "shardKey": "room"},
            "sinceChunk": 7,
            "generation": ["g"],
        },
    ),
    (WhisperSubscribe("t"), {"type": "whisper_subscribe", "topic": "t"}),
    (WhisperUnsubscribe("t"), {"type": "whisper_unsubscribe", "topic": "t"}),
    (WhisperSend("t"), {"type": "whisper", "topic": "t", "data": None}),
    (WhisperSend("t", [1]), {"type": "whisper", "topic": "t", "data": [1]}),
]
POSITION = {"cursor": 5, "epoch": "e", "lastMutationId": 2}
SERVER: list[tuple[ServerFrame, dict[str, Any]]] = [
    (Ack("sub_1"), {"type": "ack", "id": "sub_1"}),
    (Data("sub_1", []), {"type": "data", "id": "sub_1", "data": []}),
    (Data("sub_1", None), {"type": "data", "id": "sub_1", "data": None}),
    (Data("sub_1", delta={"op": "x"}), {"type": "data", "id": "sub_1", "delta": {"op": "x"}}),
    (
        Data("sub_1", 1, cursor=5, epoch="e", last_mutation_id=2),
        {"type": "data", "id": "sub_1", "data": 1, **POSITION},
    ),
    (Delta("sub_1", {"op": "x"}), {"type": "delta", "id": "sub_1", "delta": {"op": "x"}}),
    (Delta("sub_1", None, 5, "e", 2), {"type": "delta", "id": "sub_1", "delta": None, **POSITION}),
    (Resume("sub_1"), {"type": "resume", "id": "sub_1"}),
    (Resume("sub_1", 5, "e", 2), {"type": "resume", "id": "sub_1", **POSITION}),
    (Settled("sub_1", 5, 3), {"type": "settled", "id": "sub_1", "cursor": 5, "epoch": 3}),
    (ErrorFrame(), {"type": "error"}),
    (
        ErrorFrame("sub_1", "no", "X", "inner"),
        {"type": "error", "id": "sub_1", "message": "no", "error": {"code": "X", "message": "inner"}},
    ),
    (Complete("sub_1"), {"type": "complete", "id": "sub_1"}),
    (Chunk("stream_1", None), {"type": "chunk", "id": "stream_1", "data": None}),
    (Chunk("stream_1", 1, 3, "g"), {"type": "chunk", "id": "stream_1", "data": 1, "seq": 3, "generation": "g"}),
    (PokeStart(1), {"type": "pokeStart", "pokeId": 1}),
    (PokeStart("p", "e", 4), {"type": "pokeStart", "pokeId": "p", "epoch": "e", "baseCheckpoint": 4}),
    (PokePart(1, "shape_1", []), {"type": "pokePart", "pokeId": 1, "shapeId": "shape_1", "rowsPatch": []}),
    (
        PokePart(1, "shape_1", [{"op": "delete"}], 4, 2, reset=True),
        {
            "type": "pokePart",
            "pokeId": 1,
            "shapeId": "shape_1",
            "rowsPatch": [{"op": "delete"}],
            "baseCheckpoint": 4,
            "lastMutationId": 2,
            "reset": True,
        },
    ),
    (PokeEnd(1), {"type": "pokeEnd", "pokeId": 1}),
    (PokeEnd(1, 5, "e"), {"type": "pokeEnd", "pokeId": 1, "checkpoint": 5, "epoch": "e"}),
    (WhisperFrame("t"), {"type": "whisper", "topic": "t", "data": None}),
    (WhisperFrame("t", 1, "user-1"), {"type": "whisper", "topic": "t", "data": 1, "from": "user-1"}),
    (Identity(None), {"type": "identity", "subject": None}),
    (Identity("user-1"), {"type": "identity", "subject": "user-1"}),
]
TEXT, INTEGER, EITHER, OBJECT = "a string", "an integer", "a string or an integer", "an object"
NO_TEXT, NO_INTEGER = [5, True, [], {}, 1.5], ["5", True, 1.0, [], {}]
NO_EPOCH, NO_OBJECT, NO_ARRAY = [True, 1.5, [], {}], ["a", 5, []], ["a", 5, {}]

CLIENT_FIELDS = [
    ("connect", "id", TEXT, NO_TEXT),
    ("connect", "clientId", TEXT, NO_TEXT),
    ("connect", "caps", "an array of strings", [*NO_ARRAY, [1], [None]]),
    ("subscribe", "id", TEXT, NO_TEXT),
    ("subscribe", "query.functionPath", TEXT, NO_TEXT),
    ("subscribe", "query.args", OBJECT, NO_OBJECT),
    ("subscribe", "query.table", TEXT, NO_TEXT),
    ("subscribe", "query.sinceSeq", INTEGER, NO_INTEGER),
    ("subscribe", "query.sinceEpoch", EITHER, NO_EPOCH),
    ("unsubscribe", "id", TEXT, NO_TEXT),
    ("shape_subscribe", "id", TEXT, NO_TEXT),
    ("shape_subscribe", "shape.name", TEXT, NO_TEXT),
    ("shape_subscribe", "shape.args", OBJECT, NO_OBJECT),
    ("shape_subscribe", "sinceCheckpoint", EITHER, NO_EPOCH),
    ("shape_subscribe", "sinceEpoch", EITHER, NO_EPOCH),
    ("shape_unsubscribe", "id", TEXT, NO_TEXT),
    ("stream", "id", TEXT, NO_TEXT),
    ("stream", "query.functionPath", TEXT, NO_TEXT),
    ("stream", "query.args", OBJECT, NO_OBJECT),
    ("stream", "query.shardKey", TEXT, NO_TEXT),
    ("stream", "sinceChunk", INTEGER, NO_INTEGER),
    ("whisper_subscribe", "topic", TEXT, NO_TEXT),
    ("whisper_unsubscribe", "topic", TEXT, NO_TEXT),
    ("whisper", "topic", TEXT, NO_TEXT),
]
SERVER_FIELDS = [
    ("ack", "id", TEXT, NO_TEXT),
    *[
        (kind, name, expected, wrong)
        for kind in ("data", "delta", "resume", "settled")
        for name, expected, wrong in [
            ("id", TEXT, NO_TEXT),
            ("cursor", INTEGER, NO_INTEGER),
            ("epoch", EITHER, NO_EPOCH),
            ("lastMutationId", INTEGER, NO_INTEGER),
        ]
    ],
    ("error", "id", TEXT, NO_TEXT),
    ("error", "message", TEXT, NO_TEXT),
    ("error", "error.code", TEXT, NO_TEXT),
    ("error", "error.message", TEXT, NO_TEXT),
    ("complete", "id", TEXT, NO_TEXT),
    ("chunk", "id", TEXT, NO_TEXT),
    ("chunk", "seq", INTEGER, NO_INTEGER),
    ("pokeStart", "pokeId", EITHER, NO_EPOCH),
    ("pokeStart", "epoch", EITHER, NO_EPOCH),
    ("pokeStart", "baseCheckpoint", EITHER, NO_EPOCH),
    ("pokePart", "pokeId", EITHER, NO_EPOCH),
    ("pokePart", "shapeId", TEXT, NO_TEXT),
    ("pokePart", "rowsPatch", "an array", NO_ARRAY),
    ("pokePart", "baseCheckpoint", EITHER, NO_EPOCH),
    ("pokePart", "lastMutationId", INTEGER, NO_INTEGER),
    ("pokePart", "reset", "a boolean", [0, 1, "true", []]),
    ("pokeEnd", "pokeId", EITHER, NO_EPOCH),
    ("pokeEnd", "checkpoint", EITHER, NO_EPOCH),
    ("pokeEnd", "epoch", EITHER, NO_EPOCH),
    ("whisper", "topic", TEXT, NO_TEXT),
    ("whisper", "from", TEXT, NO_TEXT),
    ("identity", "subject", "a string or null", [5, True, [], {}]),
]
REQUIRED = {
    "connect": ["clientId"],
    "subscribe": ["id", "query.functionPath", "query.args", "query.table"],
    "unsubscribe": ["id"],
    "shape_subscribe": ["id", "shape.name"],
    "shape_unsubscribe": ["id"],
    "stream": ["id", "query.functionPath"],
    "whisper_subscribe": ["topic"],
    "whisper_unsubscribe": ["topic"],
    "whisper": ["topic"],
    **{kind: ["id"] for kind in ("ack", "data", "delta", "resume", "settled", "complete", "chunk")},
    "error": [],
    "pokeStart": ["pokeId"],
    "pokePart": ["pokeId", "shapeId", "rowsPatch"],
    "pokeEnd": ["pokeId"],
    "identity": ["subject"],
}
FULLEST = {
    side: {tree["type"]: tree for _, tree in sorted(examples, key=lambda each: len(str(each[1])))}
    for side, examples in [("client", CLIENT), ("server", SERVER)]
}
DECODE = {"client": decode_client_frame, "server": decode_server_frame}


def changed(tree: dict[str, Any], path: str, value: Any = UNDEFINED) -> dict[str, Any]:
    """Return a copy of a frame with one field set, or taken out."""
    copy = orjson.loads(orjson.dumps(tree))
    *owners, name = path.split(".")
    owner = copy
    for each in owners:
        owner = owner.setdefault(each, {})
    owner.pop(name, None)
    if value is not UNDEFINED:
        owner[name] = value
    return copy


@pytest.mark.parametrize(("frame", "tree"), [*CLIENT, *SERVER], ids=lambda each: getattr(each, "TYPE", ""))
def test_frame_is_spelled_as_the_protocol_says(frame, tree):
    """Optional fields without a value are absent; null is written only where it is a value."""
    assert orjson.loads(encode_frame(frame)) == tree
    assert list(frame_to_tree(frame)) == list(tree)


@pytest.mark.parametrize(("frame", "tree"), CLIENT, ids=lambda each: getattr(each, "TYPE", ""))
def test_frame_of_a_client_is_understood(frame, tree):
    """Decoding is the inverse of encoding; unknown fields are ignored."""
    assert decode_client_frame(orjson.loads(orjson.dumps(tree))) == frame
    assert decode_client_frame({**tree, "future": 1}) == frame


@pytest.mark.parametrize(("frame", "tree"), SERVER, ids=lambda each: getattr(each, "TYPE", ""))
def test_frame_of_a_server_is_understood(frame, tree):
    """Decoding is the inverse of encoding; unknown fields are ignored."""
    assert decode_server_frame(orjson.loads(orjson.dumps(tree))) == frame
    assert decode_server_frame({**tree, "future": 1}) == frame


@pytest.mark.parametrize(("side", "fields"), [("client", CLIENT_FIELDS), ("server", SERVER_FIELDS)])
def test_field_of_the_wrong_type_is_refused_by_name(side, fields):
    """Nothing is coerced, and the message holds nothing of the value."""
    for kind, path, expected, wrong in fields:
        for value in wrong:
            with pytest.raises(ProtocolError) as refused:
                DECODE[side](changed(FULLEST[side][kind], path, value))
            assert refused.value.message == f"frame {kind!r}: {path!r} is not {expected}"


@pytest.mark.parametrize("side", ["client", "server"])
def test_field_that_is_required_must_be_there(side):
    """Absent and null are the same, except where null is a value."""
    for kind, tree in FULLEST[side].items():
        for path in REQUIRED[kind]:
            for missing in (UNDEFINED, *([] if path == "subject" else [None])):
                with pytest.raises(ProtocolError) as refused:
                    DECODE[side](changed(tree, path, missing))
                assert refused.value.message == f"frame {kind!r} lacks {path!r}"


@pytest.mark.parametrize("side", ["client", "server"])
def test_field_that_is_optional_may_be_null_or_absent(side):
    """Either way it has no value."""
    for kind, path, _, _ in CLIENT_FIELDS if side == "client" else SERVER_FIELDS:
        if path not in REQUIRED[kind]:
            tree = FULLEST[side][kind]
            assert DECODE[side](changed(tree, path)) == DECODE[side](changed(tree, path, None))


@pytest.mark.parametrize("owner", ["text", 5, None, [], True])
def test_field_whose_owner_is_no_object_is_absent(owner):
    """An error of a server that sends a text is still an error; a subscription without a query is refused."""
    assert decode_server_frame({"type": "error", "error": owner}) == ErrorFrame()
    with pytest.raises(ProtocolError, match=r"lacks 'query\.functionPath'"):
        decode_client_frame({"type": "subscribe", "id": "sub_1", "query": owner})


@pytest.mark.parametrize(
    "tree", [None, 5, "ack", [], {}, {"type": None}, {"type": 5}, {"type": []}, {"type": "future"}, {"kind": "ack"}]
)
def test_tree_that_is_no_frame_of_a_known_type_is_none(tree):
    """A newer peer may send it."""
    assert decode_client_frame(tree) is None
    assert decode_server_frame(tree) is None


def test_frame_of_one_side_is_unknown_to_the_other():
    """A server does not subscribe, a client does not acknowledge."""
    assert decode_server_frame(CLIENT[3][1]) is None
    assert decode_client_frame(SERVER[0][1]) is None


def test_frames_of_both_sides_are_those_of_the_protocol():
    """None is missing, none is invented."""
    assert set(frames.CLIENT_FRAMES) == set(FULLEST["client"])
    assert set(frames.SERVER_FRAMES) == set(FULLEST["server"])
    assert set(REQUIRED) == set(frames.CLIENT_FRAMES) | set(frames.SERVER_FRAMES)


def test_frame_that_cannot_be_written_is_refused():
    """JSON has no lone surrogates."""
    with pytest.raises(CodecError):
        encode_frame(Subscribe("sub_1", "\ud800:list", {}, "t"))


def test_names_of_the_module_are_all_there():
    """Whoever imports from it finds what its list promises."""
    assert all(hasattr(frames, name) for name in frames.__all__)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
PATHS = [path for fields in (CLIENT_FIELDS, SERVER_FIELDS) for _, path, _, _ in fields]
KINDS = [*FULLEST["client"], *FULLEST["server"]]


@given(kind=st.sampled_from(KINDS), fields=st.dictionaries(st.sampled_from(PATHS), JSON), tree=JSON)
def test_any_json_is_a_frame_or_refused(kind, fields, tree):
    """Nothing but a ``ProtocolError`` comes of it, and what is understood survives being written again."""
    sent: dict[str, Any] = {"type": kind}
    for path, value in fields.items():
        owner, _, name = path.rpartition(".")
        target = sent.setdefault(owner, {}) if owner else sent
        if isinstance(target, dict):
            target[name] = value
    for decode in DECODE.values():
        for each in (sent, tree):
            try:
                frame = decode(each)
            except ProtocolError:
                continue
            assert frame is None or decode(frame_to_tree(frame)) == frame
