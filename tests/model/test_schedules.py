"""Schedules that once failed, or that show one promise alone, each as short as it could be made."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.model.client import ClientSettings
from tests.model.world import World

NewWorld = Callable[..., World]


@pytest.fixture
def new_world() -> Iterator[NewWorld]:
    """Makes worlds, and ends them."""
    worlds: list[World] = []

    def make(*clients: ClientSettings, **options: int) -> World:
        worlds.append(World(clients or (ClientSettings(),), **options))
        return worlds[-1]

    yield make
    for world in worlds:
        world.close()


def test_settled_frames_that_overflow_the_queue_end_the_socket_and_nothing_else(new_world: NewWorld):
    """A peer that does not read is dropped, also where the frames that are one too many are ``settled`` frames."""
    world = new_world(queued_bytes=3000)
    world.go_live()
    (link,) = world.network.links
    assert link.session is not None
    link.stalled.add("down")
    while link.session.queued_bytes < 2900:
        link.session.receive_text("lunora-ping")
    world.write(0)  # touches no query, so that every one of them is told the new cursor
    link.session.frames_to_send()
    assert link.session.is_overflowed
    world.settle()


def test_value_larger_than_the_queue_of_a_socket_is_sent(new_world: NewWorld):
    """The bound is for what a peer leaves unread: a large value alone does not cost it its socket for ever."""
    world = new_world(queued_bytes=1000)
    world.write(0, "", [("bloat", "r1", "a", 3)])
    world.subscribe(0, "asc")
    world.settle()


def test_value_larger_than_a_frame_fails_alone(new_world: NewWorld):
    """The query whose value does not fit is found and left out; the others go on."""
    world = new_world(frame_limit=2500)
    world.go_live()
    world.write(0, "", [("bloat", "r2", "b", 4)])
    world.settle()
    failed = {view.query for view in world.clients[0].views.values() if view.error is not None}
    assert failed == {"asc", "desc", "oldest two", "group b", "page", "page desc", "labelled", "by size", "newest two"}
    world.write(0, "", [("delete", "r2", "b", 0)])
    world.settle()
    assert all(view.error is None for view in world.clients[0].views.values())


def test_run_of_deltas_cut_in_the_middle_is_made_good_on_resume(new_world: NewWorld):
    """A base between two states of the server is not vouched for by the cursor of the state before."""
    world = new_world()
    world.write(0, "", [("put", f"r{number}", "a", number) for number in range(6)])
    world.subscribe(0, "asc")
    world.flow()
    world.write(0, "", [("put", "r1", "a", 7), ("put", "r2", "a", 7)])
    world.deliver(0, "down", 1)
    view = next(iter(world.clients[0].views.values()))
    assert view.is_mid_run
    world.cut(0)
    world.settle()


def test_half_open_socket_is_found_by_its_silence(new_world: NewWorld):
    """A write that happened behind a dead connection is shown after at most two and a half heartbeats and a retry."""
    world = new_world(ClientSettings(), ClientSettings(seed=1))
    world.go_live()
    world.cut(0, "nobody")
    world.write(1, "", [("put", "r4", "a", 4)])
    before = world.now
    world.settle()
    assert world.now - before <= 2.5 * 30 + 1


def test_silent_server_is_given_up_and_asked_again(new_world: NewWorld):
    """A handshake that is never answered ends after its timeout, and the next one may succeed."""
    world = new_world()
    world.meet_connects("silent")
    world.subscribe(0, "count")
    world.advance(10.0)
    assert world.traffic["client closes 1000"] == 1
    world.settle()


def test_resume_from_before_the_change_log_gets_the_value_anew(new_world: NewWorld):
    """A cursor that is older than what the server remembers is no position."""
    world = new_world(ClientSettings(), ClientSettings(seed=1), change_retention=3)
    world.go_live()
    world.meet_connects("refuse")
    world.cut(0)
    for size in range(8):
        world.write(1, "", [("put", "r1", "b", size)])
    world.settle()


def test_erased_server_takes_the_clients_back_in_time(new_world: NewWorld):
    """A new epoch may begin with a lower cursor: values and positions are replaced by it."""
    world = new_world()
    world.go_live()
    world.write_and_flow(0, "", [[("put", "r4", "a", 4)], [("put", "r5", "b", 0)]])
    world.erase_server()
    world.settle()


def test_reply_that_was_lost_leads_to_one_write(new_world: NewWorld):
    """A write that is repeated, while its first attempt is still on the way, is applied once."""
    world = new_world()
    world.send_write(0, "", [("put", "r1", "a", 1)])
    world.give_up(0)
    world.write_again(0)
    world.carry(1)
    world.carry(0)
    world.settle()


def test_late_unsubscribe_of_a_retired_socket_harms_no_later_one(new_world: NewWorld):
    """What arrives at the server on an old socket, after the new one is open, changes nothing there."""
    world = new_world()
    world.subscribe(0, "asc")
    world.flow()
    world.stall(0, "up")
    world.unsubscribe(0, 0)
    world.subscribe(0, "asc")
    world.renew_credential(0)
    world.advance(1.0)
    world.settle()


def test_idle_shard_is_closed_and_opens_again(new_world: NewWorld):
    """A shard without observers loses its socket after a while; a new observer is shown what is true."""
    world = new_world(ClientSettings(linger=3.0))
    world.subscribe(0, "count", "north")
    world.flow()
    world.unsubscribe(0, 0)
    world.settle()
    assert not world.network.links
    world.write(0, "north", [("put", "r1", "a", 1)])
    world.subscribe(0, "count", "north")
    world.settle()


def test_undecodable_value_harms_its_own_query_only_and_is_asked_for_once(new_world: NewWorld):
    """One frame that cannot be read is mended on the same socket, by one cold subscribe."""
    world = new_world()
    world.go_live()
    world.damage(0, 0, "undecodable data")
    (link,) = world.network.links
    world.settle()
    assert world.network.links == [link]
