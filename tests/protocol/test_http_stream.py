"""The request for a stream, and how its reply is read."""

from __future__ import annotations

import enum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lunora_rx.errors import CodecError, RequestTimeout, StreamError, TransportError
from lunora_rx.protocol.http_stream import ChunkReader, build_stream_path, check_stream_headers, stream_headers
from lunora_rx.protocol.sse import Chunk, StreamEnd
from lunora_rx.protocol.values import UNDEFINED, WireBigInt, WireUrl


class Colour(enum.StrEnum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        ("a/b ?&#:+é", "a%2Fb%20%3F%26%23%3A%2B%C3%A9"),
        (Colour.RED, "red"),
        (WireUrl("x:y"), "x%3Ay"),
        (True, "true"),
        (False, "false"),
        (None, "null"),
        (7, "7"),
        (WireBigInt(2**70), str(2**70)),
        (1.0, "1"),
        (-0.0, "0"),
        (0.5, "0.5"),
        (1e21, "1e%2B21"),
        ([1, "a"], "%5B1%2C%22a%22%5D"),
        ({"b": None, "a": 1}, "%7B%22b%22%3Anull%2C%22a%22%3A1%7D"),
    ],
)
def test_param_is_spelled_as_javascript_would(value, text):
    """The same in a segment of the path and in the search."""
    assert build_stream_path("/s/:it/end", {"it": value}) == f"/s/{text}/end"
    assert build_stream_path("/s", search={"it": value}) == f"/s?it={text}"


@pytest.mark.parametrize(
    ("path", "built"),
    [
        ("/", "/"),
        ("/a/:x", "/a/1"),
        ("/:x/:y/:x", "/1/2/1"),
        ("/a/:x?k=:x", "/a/1?k=:x"),
        ("/a:x/b", "/a:x/b"),
        ("/a/:", "/a/:"),
        ("/a/:user-id", "/a/3"),
    ],
)
def test_segments_are_filled_from_params(path, built):
    """Whole segments only; params that the path does not name are not used."""
    assert build_stream_path(path, {"x": 1, "y": 2, "user-id": 3, "unused": object()}) == built


def test_search_follows_what_the_path_has():
    """UNDEFINED is skipped, names are encoded, and a query that is there already goes on."""
    search = {"a b": 1, "none": UNDEFINED, "empty": ""}
    assert build_stream_path("/s", {}, search) == "/s?a%20b=1&empty="
    assert build_stream_path("/s?k=v", None, search) == "/s?k=v&a%20b=1&empty="
    assert build_stream_path("/s", None, {"none": UNDEFINED}) == "/s"


@pytest.mark.parametrize(
    ("params", "state"), [(None, "missing"), ({"y": 1}, "missing"), ({"x": UNDEFINED}, "missing"), ({"x": ""}, "empty")]
)
def test_missing_param_is_refused(params, state):
    """An empty segment would ask another route."""
    with pytest.raises(StreamError, match=f"path parameter 'x' is {state}") as caught:
        build_stream_path("/a/:x", params)
    assert caught.value.code == "HTTP_STREAM_MISSING_PARAM"


@pytest.mark.parametrize("value", [".", "..", float("nan"), float("inf"), "\ud800", {1, 2}, object(), [UNDEFINED]])
def test_param_that_cannot_be_written_is_named(value):
    """Neither a step out of the route nor something that is no JSON goes into a URL."""
    with pytest.raises(CodecError) as caught:
        build_stream_path("/a/:x", {"x": value})
    assert caught.value.path == "params.x"
    assert str(caught.value).count("params.x") == 1


def test_search_param_that_cannot_be_written_is_named():
    """The path says that it is of the search; dots are plain text there."""
    assert build_stream_path("/a", search={"x": ".."}) == "/a?x=.."
    with pytest.raises(CodecError) as caught:
        build_stream_path("/a", search={"x": float("nan")})
    assert caught.value.path == "search.x"


@pytest.mark.parametrize("path", ["", "a", "@elsewhere.test/", "/a#b", "/a b", "/a\\b", "/a\n", "/\ud800"])
def test_path_that_is_none_is_refused(path):
    """Nothing can be smuggled into the host or behind the path."""
    with pytest.raises(ValueError, match="path begins with a slash"):
        build_stream_path(path)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [((7,), "path"), (("/", [1]), "params"), (("/", None, "a=b"), "search"), (("/", {1: 2}), "params")],
)
def test_argument_of_the_wrong_type_is_named(arguments, name):
    """It is a ``TypeError``."""
    with pytest.raises(TypeError, match=f"^{name} is"):
        build_stream_path(*arguments)


@given(st.text(min_size=1), st.text())
def test_param_never_leaves_its_segment(value, text):
    """Whatever a caller passes on: one segment stays one segment, and the query is its own."""
    try:
        built = build_stream_path("/a/:x/b", {"x": value}, {"k": text})
    except CodecError:
        return
    path, _, query = built.partition("?")
    assert path.count("/") == 3
    assert built.count("?") == 1
    assert "&" not in query
    assert built.isascii()
    assert built.isprintable()


def test_headers_of_the_caller_win():
    """First what the protocol asks for, then the bearer, then the caller's, whatever their case."""
    assert stream_headers(None, {}) == {"accept": "text/event-stream"}
    assert stream_headers("t", check_stream_headers({"X-One": "1"})) == {
        "accept": "text/event-stream",
        "authorization": "Bearer t",
        "x-one": "1",
    }
    own = check_stream_headers({"Authorization": "Basic x", "ACCEPT": "*/*"})
    assert stream_headers("t", own) == {"authorization": "Basic x", "accept": "*/*"}
    assert check_stream_headers(None) == {}


@pytest.mark.parametrize("headers", [{"a b": "1"}, {"": "1"}, {"a": "canary\r\nx: 1"}, {"a": "canary\ud800"}])
def test_header_that_cannot_be_sent_is_refused(headers):
    """Nothing can be smuggled in, and no value is shown."""
    with pytest.raises(ValueError, match="headers") as caught:
        check_stream_headers(headers)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("headers", [{"a": 1}, {1: "a"}, [("a", "1")]])
def test_headers_that_are_no_strings_are_refused(headers):
    """It is a ``TypeError``."""
    with pytest.raises(TypeError, match=r"^headers"):
        check_stream_headers(headers)


def reader(status=200, **headers):
    """A reader that has the head of a reply."""
    it = ChunkReader(100)
    assert it.receive_head(status, headers) == []
    return it


def end_of(news):
    """Return the error of the one thing that is told."""
    (end,) = news
    assert isinstance(end, StreamEnd)
    return end.error


def test_reader_tells_the_chunks_and_the_end():
    """One for each event that means something; after the end there is nothing."""
    it = reader()
    assert it.receive_bytes(b": hello\n\ndata: 1\n\ndata: ") == [Chunk(1)]
    assert it.receive_bytes(b"2\n\nevent: other\n\nevent: complete\n\ndata: 3\n\n") == [Chunk(2), StreamEnd()]
    assert it.is_over
    assert it.receive_bytes(b"data: 4\n\n") + it.receive_end() + it.receive_failure(TransportError("late")) == []


def test_reader_tells_what_came_before_an_error():
    """Of the server or of ours: what stood before it counts."""
    for bad in (b"event: error\n\n", b"data: {\n\n", b"data: " + b"x" * 100):
        first, *rest = reader().receive_bytes(b"data: 1\n\n" + bad)
        assert first == Chunk(1)
        assert end_of(rest).code in ("HTTP_STREAM_ERROR", "HTTP_STREAM_BAD_CHUNK")


@pytest.mark.parametrize(("status", "transient"), [(101, False), (307, False), (404, False), (429, True), (503, True)])
def test_status_that_is_no_success_fails_the_stream(status, transient):
    """With the status attached, and whether to try again."""
    error = end_of(ChunkReader(100).receive_head(status, {}))
    assert (error.code, error.status, error.transient) == ("HTTP_STREAM_STATUS", status, transient)


@pytest.mark.parametrize("status", [204, 205])
def test_status_without_a_body_fails_the_stream(status):
    """There is nothing to wait for."""
    error = end_of(ChunkReader(100).receive_head(status, {}))
    assert (error.code, error.status) == ("HTTP_STREAM_NO_BODY", status)


def test_body_of_no_bytes_is_none():
    """A reply that ends before its first byte has no body."""
    it = reader()
    assert it.receive_bytes(b"") == []
    assert end_of(it.receive_end()).code == "HTTP_STREAM_NO_BODY"


def test_body_that_ends_first_is_interrupted():
    """Also in the middle of the event that would have been the last."""
    it = reader(**{"content-type": "text/event-stream; charset=utf-8"})
    assert it.receive_bytes(b"data: 1\n\nevent: complete\ndata: {}\n") == [Chunk(1)]
    error = end_of(it.receive_end())
    assert (error.code, error.transient) == ("HTTP_STREAM_INTERRUPTED", True)
    assert error.message == "the body ended before the stream did"


def test_body_of_another_type_says_so():
    """A page where a stream was expected is named as the reason."""
    it = reader(**{"content-type": "Text/HTML; charset=utf-8"})
    assert it.receive_bytes(b"<html>\n\n</html>") == []
    assert "it is 'text/html', not 'text/event-stream'" in end_of(it.receive_end()).message


def test_failure_of_the_transport_fails_the_stream():
    """The reason is kept, and it may help to try again."""
    cause = RequestTimeout("nothing came for 1 s", transient=True)
    error = end_of(reader().receive_failure(cause))
    assert (error.code, error.message, error.transient) == ("HTTP_STREAM_TRANSPORT", cause.message, True)
    assert error.__cause__ is cause


@given(st.lists(st.binary(max_size=30) | st.sampled_from([b"data: 1", b"\n", b"event: error", b"\r\n"]), max_size=30))
def test_reader_of_anything_tells_one_end(pieces):
    """No body makes it raise; there is one end, and it is the last thing told."""
    it, told = reader(), []
    for piece in pieces:
        told += it.receive_bytes(piece)
    told += it.receive_end()
    assert [type(each) for each in told] == [Chunk] * (len(told) - 1) + [StreamEnd]
