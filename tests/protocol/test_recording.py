"""The lines of a recording: there and back, and what never gets into them."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lunora_rx.errors import CodecError
from lunora_rx.protocol.recording import (
    Entry,
    Header,
    Kind,
    decode_entry,
    decode_header,
    encode_entry,
    encode_header,
    redact,
    redact_frame,
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
ENTRIES = st.builds(
    Entry,
    at=st.integers(0, 10**9).map(lambda micros: micros / 1000),
    kind=st.sampled_from(Kind),
    shard=TEXTS,
    text=TEXTS,
    code=st.none() | st.integers(0, 4999),
    request=st.integers(0, 10**6),
    path=TEXTS,
)


@given(ENTRIES)
def test_entry_comes_back_as_it_was(entry):
    """One line each, whatever it holds."""
    line = encode_entry(entry)
    assert line.count(b"\n") == 1
    assert decode_entry(line) == entry


def test_entry_leaves_out_what_it_has_not():
    """A line holds time and kind, and what else there is."""
    assert encode_entry(Entry(1.23456, Kind.OPENED)) == b'{"t":1.235,"kind":"opened"}\n'


def test_header_comes_back_as_it_was():
    """With the version that is known here."""
    header = Header("2026-01-02T03:04:05.678Z", "https://h")
    assert decode_header(encode_header(header)) == header
    assert orjson.loads(encode_header(header))["lunora_rx_recording"] == 1


@pytest.mark.parametrize("line", [b"", b"{}", b"[1]", b'{"lunora_rx_recording":"1"}', b"\xff"])
def test_header_of_something_else_is_refused(line):
    """Whatever it is."""
    with pytest.raises(CodecError):
        decode_header(line)


@pytest.mark.parametrize(
    ("entry", "is_seen"),
    [
        (Entry(0, Kind.OPENED), True),
        (Entry(0, Kind.LOST), True),
        (Entry(0, Kind.FAILED), True),
        (Entry(0, Kind.CONNECTING), False),
        (Entry(0, Kind.SENT, text='{"type":"subscribe"}'), False),
        (Entry(0, Kind.REPLY, text='{"result":1}'), False),
        (Entry(0, Kind.RECEIVED, text='{"type":"data","id":"sub_1","data":1}'), True),
        (Entry(0, Kind.RECEIVED, text='{"type":"ack","id":"sub_1"}'), False),
        (Entry(0, Kind.RECEIVED, text='{"type":"identity","subject":null}'), False),
        (Entry(0, Kind.RECEIVED, text="lunora-pong"), False),
        (Entry(0, Kind.RECEIVED, text="nonsense"), True),
    ],
)
def test_entry_knows_whether_an_observer_could_tell(entry, is_seen):
    """Values and connections are seen; what the two sides say to each other beside that is not."""
    assert entry.is_seen is is_seen


def test_redact_finds_a_secret_however_json_spells_it():
    """A quote in it is escaped, on the wire."""
    text = orjson.dumps({"plain": "s3cret", "quoted": 'a"b'}).decode()
    assert redact(text, ["s3cret", 'a"b']) == '{"plain":"[redacted]","quoted":"[redacted]"}'


def test_redact_finds_a_secret_however_a_url_spells_it():
    """A server's page of errors shows the URL that it was asked for."""
    assert (
        redact("GET /_lunora/ws?shard=a%2Fb&token=a%2Fb%2B", ["a/b+"]) == "GET /_lunora/ws?shard=a%2Fb&token=[redacted]"
    )


def test_redact_frame_leaves_a_context_out():
    """What the application says of itself may be anything; frames of other types stay as they are."""
    text = '{"type":"connect","id":"connect","context":{"key":"s3cret"},"clientId":"c"}'
    assert orjson.loads(redact_frame(text)) == {"type": "connect", "id": "connect", "clientId": "c"}
    other = '{"type":"whisper","topic":"t","data":{"type":"connect","context":1}}'
    assert redact_frame(other) == other
    assert redact_frame("lunora-ping") == "lunora-ping"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"[]", "not a JSON object"),
        (b'{"kind":"received"}', "'t' is not a number"),
        (b'{"t":true,"kind":"received"}', "'t' is not a number"),
        (b'{"t":1,"kind":"made up"}', "unknown kind 'made up'"),
        (b'{"t":1,"kind":7}', "unknown kind 7"),
        (b'{"t":1,"kind":"received","text":7}', "'text' is not a string"),
        (b'{"t":1,"kind":"received","code":"x"}', "'code' is not an integer"),
        (b'{"t":1,"kind":"received","text":"\\ud800"}', "'text' holds a lone surrogate"),
    ],
)
def test_line_that_is_no_entry_says_what_is_wrong(line, said):
    """A damaged file is told from another one."""
    with pytest.raises(CodecError, match=said):
        decode_entry(line)


def test_entry_shows_the_beginning_of_a_long_text():
    """A frame may be megabytes; what is not there is not shown."""
    assert repr(Entry(1.5, Kind.SENT, text="{}")) == "Entry(at=1.5, kind='sent', text='{}')"
    shown = repr(Entry(2, Kind.REPLY, "s", "x" * 1000, 200, 3))
    assert shown == f"Entry(at=2, kind='reply', shard='s', code=200, request=3, text='{'x' * 60}'... (1000 characters))"
