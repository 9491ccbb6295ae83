"""The transport in memory, where it does more than the contract asks."""

from __future__ import annotations

from lunora_rx.transport.memory_transport import MemoryRequest, socket_pair


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
