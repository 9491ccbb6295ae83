"""docs/limits.md against the code and the tests, and the limits that have no better place."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from lunora_rx import CodecError, LunoraClient, driver
from lunora_rx.core import retry, shapes, streams, writes
from lunora_rx.devserver import Limits
from lunora_rx.protocol import refusal, rpc, tags, text
from lunora_rx.protocol.wire import TAG, decode_wire
from lunora_rx.recording import file
from lunora_rx.rx import stream
from lunora_rx.storage import journal, memory_store, rows
from lunora_rx.transport import aiohttp_transport
from tests.support import Recorder
from tests.test_docs import names_in, section, table

PAGE = (Path(__file__).parents[1] / "docs" / "limits.md").read_text(encoding="utf-8")


def default(parameter: str) -> int:
    """Return the default of an argument of the client."""
    return inspect.signature(LunoraClient).parameters[parameter].default


NUMBERS = {
    "a frame of the server": default("max_frame_size"),
    "a reply to a call": default("max_body_size"),
    "an event of a stream over HTTP": default("max_frame_size"),
    "levels of JSON": 1_024,
    "levels of a value with tags, and of arguments": refusal.MAX_DEPTH,
    "a bigint": tags.BIGINT_CHARACTERS,
    "an integer of JSON": text._INTS.stop.bit_length() - 1,
    "pokes of a connection that have not ended": shapes.MAX_POKES,
    "text of those pokes together": shapes.MAX_POKE_SIZE,
    "frames that wait for a socket to take them": driver.MAX_UNSENT,
    "time for a socket to take one frame": aiohttp_transport.SEND_TIMEOUT,
    "streams that wait for a socket": streams.MAX_PENDING,
    "values that wait in an iteration over a stream": stream.MAX_BUFFER,
    "text of the frames whose values wait there": stream.MAX_BUFFER_SIZE,
    "values that wait in an iteration over a stream over HTTP": stream.MAX_BUFFER,
    "text of the events whose values wait there": stream.MAX_BUFFER_SIZE,
    "values that wait for another thread, or in `observable_to_aiter`": stream.MAX_BUFFER,
    "writes that wait": default("queue_limit"),
    "writes that had their verdict while the storage could not be read": writes.MAX_ENDED,
    "calls of one batch": rpc.MAX_BATCH_ENTRIES,
    "a body of a replay": rpc.MAX_BATCH_BYTES,
    "requests under way": aiohttp_transport.POOL_LIMIT,
    "time that a server may ask to wait": retry.RETRY_CAP,
    "entries of the read cache": memory_store.CACHE_LIMIT,
    "a stored record": rows.RECORD_LIMIT,
    "text of a recording that waits for the disk": journal.MAX_WAITING,
    "a line of a recording that is read": file.LINE_LIMIT,
    "live queries, shapes and streams of a socket": Limits().subscriptions,
    "text that waits for a socket": Limits().queued_bytes,
    "an inbound frame": Limits().frame_size,
    "a body": Limits().body_size,
}


def listed() -> list[list[str]]:
    """Return the rows of both tables."""
    return [*table(section("Of a client", PAGE)), *table(section("Of the embedded server", PAGE))]


def test_page_tells_the_numbers_of_the_code():
    """Each row has the number that is in force."""
    told = {row[0]: float(row[1].split()[0].replace(",", "")) for row in listed() if row[1] != "as asked for"}
    assert told == NUMBERS


def test_page_names_tests_that_there_are():
    """Every row is tested, at the place that it names."""
    for row in listed():
        tests = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row[-1])
        assert tests, row
        for path, name in tests:
            assert name in names_in(path), f"{path}::{name}"


def test_page_names_arguments_that_there_are():
    """What sets a limit is an argument of the client, or of one of its methods."""
    known = {
        *inspect.signature(LunoraClient).parameters,
        *inspect.signature(LunoraClient.stream).parameters,
        *("overflow", "n", "seconds"),
    }
    named = {name for row in table(section("Of a client", PAGE)) for name in re.findall(r"`(\w+)`", row[2])}
    assert named <= known


async def test_frame_deeper_than_the_parser_goes_is_ignored(server, client):
    """Its query keeps what it shows, and the connection lives."""
    seen = Recorder()
    client.live("a:b").subscribe(seen)
    socket, subscription = await server.subscribed()
    for levels in (1_025, 100_000):
        deep = "[" * levels + "]" * levels
        await socket.push_text(f'{{"type":"data","id":"{subscription}","data":{deep},"cursor":1,"epoch":"e"}}')
    await socket.push("data", id=subscription, data=5, cursor=2, epoch="e")
    assert (seen.values, seen.errors, client.debug()["frames_ignored"]) == ([5], [], 2)


async def test_frame_as_deep_as_the_parser_goes_is_shown(server, client):
    """Plain JSON needs no walk, and so no other limit holds."""
    seen = Recorder()
    client.live("a:b").subscribe(seen)
    socket, subscription = await server.subscribed()
    await socket.push_text(f'{{"type":"data","id":"{subscription}","data":{"[" * 1_000}{"]" * 1_000}}}')
    depth, value = 0, seen.last
    while value:
        depth, value = depth + 1, value[0]
    assert depth == 999


def test_bigint_beyond_the_limit_is_refused():
    """A conversion of more digits would take time that grows with their square."""
    assert decode_wire([TAG, "bigint", "1" * 1_024]) > 0
    with pytest.raises(CodecError, match="must not exceed 1024 characters"):
        decode_wire([TAG, "bigint", "1" * 1_025])


async def test_pool_of_connections_is_bounded():
    """A server that never answers holds so many connections, and no more."""
    transport = aiohttp_transport.AiohttpTransport(max_frame_size=1, max_body_size=1)
    try:
        assert transport._client().connector.limit == aiohttp_transport.POOL_LIMIT
    finally:
        await transport.aclose()
