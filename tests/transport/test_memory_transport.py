"""The transport in memory, where it does more than the contract asks."""

from __future__ import annotations

import asyncio

import pytest

from lunora_rx.errors import TransportError
from lunora_rx.protocol.rpc import HttpReply
from lunora_rx.transport.memory_transport import MemoryReply, MemoryRequest, MemoryTransport, socket_pair


async def test_socket_unread_counts_what_the_peer_has_not_taken():
    """A test can tell when the other end has seen everything."""
    near, far = socket_pair()
    await near.send("one")
    await near.send("two")
    assert near.unread == 2
    await far.receive()
    assert near.unread == 1


async def test_socket_cut_with_a_code_shows_it_at_both_ends():
    """Both ends know why."""
    near, far = socket_pair()
    near.cut(4001)
    near.cut(1000)
    assert (near.close_code, far.close_code) == (4001, 4001)


def test_request_shown_hides_its_headers():
    """The bearer stays out of ``repr``."""
    request = MemoryRequest("POST", "http://server.test", {"authorization": "Bearer canary"}, None)
    assert "canary" not in repr(request)


@pytest.mark.parametrize("body", [b"", b"whole"])
async def test_stream_without_a_server_of_its_own_is_the_whole_reply(body):
    """What answers requests answers those for streams, too."""

    async def respond(request):
        return HttpReply(201, {"x-url": request.url}, body)

    transport = MemoryTransport(lambda url, end: None, respond)
    reply = await transport.stream("GET", "http://server.test/s", headers={}, timeout=1, read_timeout=1)
    assert (reply.status, reply.headers["x-url"]) == (201, "http://server.test/s")
    assert await reply.read() == (body or None)
    assert await reply.read() is None


async def test_reply_unread_counts_what_the_client_has_not_taken():
    """A test can tell when the client has seen everything."""
    reply = MemoryReply()
    reply.send(b"one")
    assert reply.unread == 1
    await reply.read()
    assert reply.unread == 0


async def test_listening_end_is_called_at_once_and_told_of_the_end_once():
    """A server that listens needs no task: frames arrive while they are sent, bytes as text."""
    near, far = socket_pair()
    heard = []
    far.listen(heard.append, lambda: heard.append("closed"))
    await near.send("text")
    near.put(b"bytes")
    assert heard == ["text", "bytes"]
    far.put("back")
    assert await near.receive() == "back"
    await near.close()
    near.cut()
    near.put("too late")
    assert heard == ["text", "bytes", "closed"]


async def test_accept_that_waits_delays_the_socket():
    """A server may have to ask somebody before it opens one, and may refuse then."""

    async def accept(url, end):
        await asyncio.sleep(0)
        if url == "ws://refused":
            raise TransportError("no")
        end.put("hello")

    transport = MemoryTransport(accept, respond=None)
    assert await (await transport.connect("ws://server", {})).receive() == "hello"
    with pytest.raises(TransportError, match="no"):
        await transport.connect("ws://refused", {})


async def test_close_after_a_cut_leaves_the_end_to_whoever_waits_for_it():
    """A writer closes the socket that failed it, while a reader is about to learn of the end."""
    near, far = socket_pair()
    reading = asyncio.ensure_future(near.receive())
    await asyncio.sleep(0)
    far.cut()
    await near.close()
    async with asyncio.timeout(1):
        assert await reading is None
        assert await near.receive() is None
