"""Records that outlive a process, to JSON objects and back."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lunora_rx.core.records import (
    CachedRead,
    QueuedMutation,
    decode_cached,
    decode_queued,
    encode_cached,
    encode_queued,
)
from lunora_rx.errors import CodecError
from lunora_rx.protocol.values import UNDEFINED

TREES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=8,
)
TEXTS = st.text(st.characters(codec="utf-8"))
OPTIONAL_TEXTS = st.none() | TEXTS
QUEUED = st.builds(
    QueuedMutation,
    mutation_id=TEXTS,
    function_path=TEXTS,
    args=st.dictionaries(TEXTS, TREES),
    client_id=TEXTS,
    shard=TEXTS,
    identity=OPTIONAL_TEXTS | st.just(UNDEFINED),
    baseline=st.none() | st.integers(0, 2**53),
    version=OPTIONAL_TEXTS,
)
CACHED = st.builds(
    CachedRead,
    key=TEXTS,
    value=TREES,
    identity=OPTIONAL_TEXTS,
    credential=OPTIONAL_TEXTS,
    cursor=st.none() | st.integers(0, 2**53),
    epoch=st.none() | TEXTS | st.integers(0, 2**53),
    stored_at=st.integers(0, 2**40).map(lambda ms: ms / 1000),
    version=OPTIONAL_TEXTS,
)


@given(QUEUED)
def test_queued_mutation_survives_json(record):
    """Every field comes back as it was."""
    assert decode_queued(orjson.loads(orjson.dumps(encode_queued(record)))) == record


@given(CACHED)
def test_cached_read_survives_json(entry):
    """Every field comes back as it was."""
    assert decode_cached(orjson.loads(orjson.dumps(encode_cached(entry)))) == entry


def test_stamp_of_nobody_is_null_and_no_stamp_is_absent():
    """The two replay under different rules."""
    bare = QueuedMutation("m", "f:g", {}, "c")
    assert "identity" not in encode_queued(bare)
    assert encode_queued(QueuedMutation("m", "f:g", {}, "c", identity=None))["identity"] is None
    assert set(encode_queued(bare)) == {"id", "functionPath", "args", "clientId"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"id": 1}, "id"),
        ({"functionPath": None}, "functionPath"),
        ({"args": []}, "args"),
        ({"clientId": 5}, "clientId"),
        ({"shardKey": 5}, "shardKey"),
        ({"identity": 5}, "identity"),
        ({"baselineSeq": "1"}, "baselineSeq"),
        ({"version": 2}, "version"),
    ],
)
def test_queued_mutation_with_a_wrong_field_is_refused(change, field):
    """The path names the field."""
    tree = encode_queued(QueuedMutation("m", "f:g", {}, "c"))
    with pytest.raises(CodecError, match=f"record.{field}"):
        decode_queued(tree | change)


@pytest.mark.parametrize(
    ("change", "field"), [({"key": 1}, "key"), ({"ts": None}, "ts"), ({"serverEpoch": []}, "serverEpoch")]
)
def test_cached_read_with_a_wrong_field_is_refused(change, field):
    """The path names the field."""
    with pytest.raises(CodecError, match=f"record.{field}"):
        decode_cached(encode_cached(CachedRead("k", None, None)) | change)


@pytest.mark.parametrize("tree", [None, [], "text", 5])
def test_what_is_no_object_is_no_record(tree):
    """Whatever lay where a record should be."""
    with pytest.raises(CodecError, match="not an object"):
        decode_queued(tree)


def test_value_that_is_missing_is_refused():
    """A cached null is a value; nothing at all is none."""
    tree = encode_cached(CachedRead("k", None, None))
    assert decode_cached(tree).value is None
    del tree["value"]
    with pytest.raises(CodecError, match=r"record\.value"):
        decode_cached(tree)


@pytest.mark.parametrize("ms", [0, 1, 1001, 4035, 1_790_000_000_001])
def test_time_of_a_cached_read_keeps_its_milliseconds(ms):
    """A time that lost a millisecond at each storing would wander."""
    entry = CachedRead("k", None, None, stored_at=ms / 1000)
    assert encode_cached(entry)["ts"] == ms
    assert decode_cached(encode_cached(entry)) == entry


@pytest.mark.parametrize("name", ["id", "functionPath", "clientId", "shardKey", "version", "identity"])
def test_text_that_could_not_be_sent_is_refused(name):
    """A store of one's own may give anything: a replay would break off on it, and hold up all others."""
    tree = encode_queued(QueuedMutation("m1", "a:b", {}, "client-1"))
    with pytest.raises(CodecError, match=f"record.{name}: is not a string without lone surrogates"):
        decode_queued({**tree, name: "\ud800"})
