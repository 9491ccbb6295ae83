"""Server-sent events: any cut of the bytes gives the same events, and nothing grows without bound."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lunora_rx.errors import ServerError, StreamError
from lunora_rx.protocol.sse import Chunk, EventParser, ServerEvent, StreamEnd, chunk_of

LIMIT = 1000


def parse(*pieces, limit=LIMIT):
    """Return the events of a body that comes in pieces, and the code of the error that ended it."""
    parser, events = EventParser(limit), []
    try:
        for piece in pieces:
            events.extend(parser.feed(piece))
    except StreamError as error:
        return events, error.code
    return events, None


def events_of(*pieces):
    """Return the names and the data of the events."""
    events, code = parse(*pieces)
    assert code is None
    return [(event.name, event.data) for event in events]


@pytest.mark.parametrize(
    ("body", "events"),
    [
        (b"data: 1\n\n", [(b"", b"1")]),
        (b"data:1\n\ndata: 2\n\n", [(b"", b"1"), (b"", b"2")]),
        (b"data:  1\n\n", [(b"", b" 1")]),
        (b"data: one\ndata: two\n\n", [(b"", b"one\ntwo")]),
        (b"data\ndata:\ndata: x\n\n", [(b"", b"\n\nx")]),
        (b"data:\n\n", [(b"", b"")]),
        (b"event: a\nevent: b\ndata: 1\n\n", [(b"b", b"1")]),
        (b"event: complete\n\n", [(b"complete", None)]),
        (b"event:\ndata: 1\n\n", [(b"", b"1")]),
        (b": note\nid: 7\nretry: 1\nnonsense\ndata: 1\n: note\n\n", [(b"", b"1")]),
        (b" data: 1\nData: 1\n\n", []),
        (b"\n\n: ping\n\nid: 7\n\n", []),
        (b"data: a: b\n\n", [(b"", b"a: b")]),
        (b"event: a\ndata: 1\n\ndata: 2\n\n", [(b"a", b"1"), (b"", b"2")]),
        (b"data: 1\r\rdata: 2\r\n\r\ndata: 3\r\n\n", [(b"", b"1"), (b"", b"2"), (b"", b"3")]),
        (b"\xef\xbb\xbfdata: 1\n\n", [(b"", b"1")]),
        (b"\xef\xbb\xbf\xef\xbb\xbfdata: 1\n\n", []),
        (b"data: 1\n\n\xef\xbb\xbfdata: 2\n\n", [(b"", b"1")]),
        ("data: é\u2028\u0085\x0b\x0c\n\n".encode(), [(b"", "é\u2028\u0085\x0b\x0c".encode())]),
        (b"data: 1\n", []),
        (b"data: 1\n\ndata: 2", [(b"", b"1")]),
        (b"", []),
    ],
)
def test_body_gives_its_events(body, events):
    """Fields, ends of lines, comments and the byte order mark, as the protocol has them; whole and byte by byte."""
    assert events_of(body) == events
    assert events_of(*(body[at : at + 1] for at in range(len(body)))) == events


def test_carriage_return_ends_a_line_at_once():
    """An event is not held back until it is known whether a line feed follows, which belongs to the same end."""
    parser = EventParser(LIMIT)
    assert [event.data for event in parser.feed(b"data: 1\r\r")] == [b"1"]
    assert [event.data for event in parser.feed(b"\ndata: 2\r")] == []
    assert [event.data for event in parser.feed(b"")] == []
    assert [event.data for event in parser.feed(b"\n")] == []
    assert [event.data for event in parser.feed(b"\n")] == [b"2"]


PIECES = st.sampled_from(
    [b"data", b"event", b":", b" ", b"\r", b"\n", b"\r\n", b"\n\n", b"1", "é€😀".encode(), b"\xef\xbb\xbf", b"\xff"]
)


@given(st.lists(PIECES | st.binary(max_size=4), max_size=40).map(b"".join), st.data(), st.integers(1, 40))
def test_body_cut_anywhere_gives_the_same_events(body, data, limit):
    """However the network cuts a body: the same events, then the same error or none."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=12)))
    pieces = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    assert parse(*pieces, limit=limit) == parse(body, limit=limit)


JSON = st.recursive(st.text(max_size=8) | st.integers(-99, 99) | st.none(), lambda each: st.lists(each, max_size=3))


@given(st.lists(st.tuples(st.sampled_from(["", "event: message\n"]), JSON), max_size=5))
def test_values_that_were_written_are_read(messages):
    """What a server writes by the rules comes out as it went in, in order."""
    body = "".join(f"{name}data: {json.dumps(value, ensure_ascii=False)}\n\n" for name, value in messages)
    events, code = parse(body.encode(), limit=1 << 20)
    assert code is None
    assert [chunk_of(event).value for event in events] == [value for _, value in messages]


@pytest.mark.parametrize(
    "flood",
    [
        b"x" * 10,
        b": " + b"x" * 10,
        b"data:\n",
        b"data: xyz\n",
        b"event: " + b"x" * 10,
        b"data: x\rid: 7\r",
    ],
)
def test_event_without_an_end_is_refused_before_it_is_large(flood):
    """No line and no event grows without bound, whatever it consists of."""
    events, code = parse(*[flood] * 100, limit=100)
    assert (events, code) == ([], "HTTP_STREAM_BAD_CHUNK")


def test_event_of_exactly_the_limit_is_taken():
    """The limit is the last size that passes, for each event anew; what stands before an error is told."""
    body = b"data: 4567\n\n"
    assert parse(b"event:4567\ndata:1\n\n", limit=10) == ([ServerEvent(b"4567", b"1")], None)
    assert parse(b"event:4567\ndata:12\n\n", limit=10) == ([], "HTTP_STREAM_BAD_CHUNK")
    assert parse(body * 3, limit=10) == ([ServerEvent(b"", b"4567")] * 3, None)
    assert parse(body + b"data: 45678\n\n", limit=10) == ([ServerEvent(b"", b"4567")], "HTTP_STREAM_BAD_CHUNK")


def test_comments_between_events_count_for_nothing():
    """A stream that is kept alive by comments lives for ever."""
    assert parse(*[b": ping\n\n"] * 100, *[b": ping\n"] * 100, b"data: 1\n\n", limit=10) == (
        [ServerEvent(b"", b"1")],
        None,
    )


@pytest.mark.parametrize("name", [b"", b"message"])
def test_message_is_a_chunk_of_plain_json(name):
    """The value codec does not apply: what looks like a tag is an array like any other."""
    event = ServerEvent(name, b'{"a":["$lunora.wire$","date",0]}')
    assert chunk_of(event) == Chunk({"a": ["$lunora.wire$", "date", 0]})


@pytest.mark.parametrize("data", [b"", b"{", b"NaN", b'"\xff"', b'"\xc3'])
def test_message_that_is_no_json_is_a_bad_chunk(data):
    """Bytes that are no UTF-8 are no JSON either; none of the data is in the message."""
    with pytest.raises(StreamError, match="an event is not valid JSON") as caught:
        chunk_of(ServerEvent(b"message", data))
    assert caught.value.code == "HTTP_STREAM_BAD_CHUNK"


@pytest.mark.parametrize(
    "event", [ServerEvent(b"message", None), ServerEvent(b"progress", b"{"), ServerEvent(b"a", None)]
)
def test_event_of_another_name_or_without_data_means_nothing(event):
    """What a later server may add does no harm."""
    assert chunk_of(event) is None


@pytest.mark.parametrize("data", [None, b"{}", b"no json"])
def test_complete_ends_the_stream(data):
    """Whatever its data is."""
    assert chunk_of(ServerEvent(b"complete", data)) == StreamEnd()


@pytest.mark.parametrize(
    ("data", "code", "message"),
    [
        (b'{"message":"not yours"}', "HTTP_STREAM_ERROR", "not yours"),
        (b'{"code":"","message":7}', "HTTP_STREAM_ERROR", "the server ended the stream with an error"),
        (b"[]", "HTTP_STREAM_ERROR", "the server ended the stream with an error"),
        (b"no json", "HTTP_STREAM_ERROR", "the server ended the stream with an error"),
        (None, "HTTP_STREAM_ERROR", "the server ended the stream with an error"),
    ],
)
def test_error_fails_the_stream(data, code, message):
    """With what the server says, as far as it says it."""
    end = chunk_of(ServerEvent(b"error", data))
    assert isinstance(end.error, StreamError)
    assert (end.error.code, end.error.message) == (code, message)


def test_error_with_a_code_is_the_servers():
    """As every code that a server gives, it is a ``ServerError``."""
    end = chunk_of(ServerEvent(b"error", b'{"code":"FORBIDDEN","message":"not yours"}'))
    assert isinstance(end.error, ServerError)
    assert (end.error.code, end.error.message) == ("FORBIDDEN", "not yours")


def test_event_shown_hides_its_data():
    """Values stay out of logs."""
    assert "canary" not in repr(ServerEvent(b"", b"canary"))
