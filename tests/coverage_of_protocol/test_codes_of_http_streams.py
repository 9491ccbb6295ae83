"""Codes that the client makes of streams over HTTP: every end of one that is not the stream's own."""

from __future__ import annotations

import pytest

from lunora_rx import ClientClosedError, StreamError
from tests.coverage_of_protocol.told import check_error, error_when_seen
from tests.support import Recorder

EVENTS = {"content-type": "text/event-stream"}


async def missing_param(scene):
    """A path that is not filled raises where the stream is made."""
    client = await scene.client()
    with pytest.raises(StreamError) as caught:
        client.http_stream("/numbers/:count")
    return caught.value


def streamed(break_it, path="/numbers/3"):
    """Return the case of a stream over HTTP that a fault strikes."""

    async def case(scene):
        client = await scene.client()
        break_it(scene.faults)
        return await error_when_seen(client.http_stream(path))

    return case


def event_body(body):
    """Return a fault: a reply with this body instead of a stream's own."""
    return lambda faults: faults.fail_calls(status=200, body=body, headers=EVENTS, on="http_stream")


async def closed_http_stream(scene):
    """A stream over HTTP that goes on."""
    client, chunks = await scene.client(), Recorder()
    scene.faults.delay_replies(5, on="http_stream")
    client.http_stream("/numbers/1").subscribe(chunks)
    await client.aclose()
    return chunks.errors[0]


CASES = {
    "HTTP_STREAM_MISSING_PARAM": (missing_param, StreamError, False),
    "HTTP_STREAM_STATUS-404": (streamed(lambda faults: None, "/nowhere"), StreamError, False),
    "HTTP_STREAM_STATUS-503": (streamed(lambda faults: faults.fail_calls(on="http_stream")), StreamError, True),
    "HTTP_STREAM_NO_BODY": (streamed(event_body(b"")), StreamError, False),
    "HTTP_STREAM_BAD_CHUNK": (streamed(lambda faults: faults.spoil_http_streams()), StreamError, False),
    "HTTP_STREAM_ERROR": (streamed(event_body(b"event: error\ndata: {}\n\n")), StreamError, False),
    "HTTP_STREAM_INTERRUPTED": (streamed(lambda faults: faults.cut_http_streams()), StreamError, True),
    "HTTP_STREAM_TRANSPORT": (streamed(lambda faults: faults.cut_http_streams(reset=True)), StreamError, True),
    "CLIENT_CLOSED-http_stream": (closed_http_stream, ClientClosedError, False),
}


@pytest.mark.parametrize("case", CASES)
async def test_code_of_an_http_stream_is_told_by_its_class_and_code(scene, case):
    """Its class, its code, and whether trying again may help."""
    make, kind, transient = CASES[case]
    check_error(await make(scene), case, kind, transient=transient)
