"""Schedules of shapes and streams that once failed, or that show one promise alone, as short as they could be made."""

from __future__ import annotations

from collections.abc import Callable

from lunora_rx.core.snapshot import SnapshotStatus
from tests.model.client import ClientSettings
from tests.model.shape_views import ShapeView
from tests.model.streams import DURABLE, EPHEMERAL, FAILING
from tests.model.world import World

NewWorld = Callable[..., World]


def test_poke_cut_off_before_its_end_shows_nothing_and_is_made_good(new_world: NewWorld):
    """Each frame of a poke may be the last to arrive: the rows stay as they were, and resume from there."""
    for arrived in range(1, 9):
        world = new_world()
        world.shapes.go_live()
        before = dict(_view(world, "group a").rows)
        world.shapes.cut_poke(0, arrived)
        assert (world.traffic["poke cut off"], _view(world, "group a").rows) == (1, before)
        world.settle()
        assert world.traffic["shape starts over"] == 0


def test_poke_that_was_lost_is_found_by_the_next_and_asked_for_on_the_same_socket(new_world: NewWorld):
    """A gap takes the rows off the screen, and brings them back whole."""
    world = new_world()
    world.shapes.go_live()
    (link,) = world.network.links
    world.shapes.drop_pokes(1)
    world.shapes.nudge("")
    world.flow()
    assert world.traffic["shape starts over"] == 0
    world.shapes.nudge("")
    world.flow()
    assert world.traffic["shape starts over"] == 7
    world.settle()
    assert world.network.links == [link]


def test_halves_of_pokes_with_one_id_on_two_shards_stay_apart(new_world: NewWorld):
    """Poke ids are counters of a shard: what one socket began, another does not end."""
    world = new_world()
    for shard in ("north", "south"):
        world.shapes.subscribe(0, "group a", shard)
    world.flow()
    for shard in ("north", "south"):
        world.shapes.nudge(shard)
    world.deliver(0, "down", 2)
    world.deliver(1, "down", 1)
    begun = [set(session.shapes._pokes) for session in world.clients[0].core.sessions.values()]
    assert begun == [{2}, {2}]
    world.deliver(1, "down", 2)
    world.settle()


def test_rows_that_cannot_be_read_at_first_are_waited_for_until_the_next_open(new_world: NewWorld):
    """What builds on a membership that was missed is not taken for all there is."""
    world = new_world()
    world.go_live([])
    world.shapes.spoil_rows(1)
    world.shapes.subscribe(0, "group a")
    world.flow()
    world.shapes.nudge("")
    world.flow()
    view = _view(world, "group a")
    assert (view.rows, view.status) == ({}, SnapshotStatus.STALE)
    world.settle()
    assert (len(view.rows), view.status) == (3, SnapshotStatus.LIVE)


def test_poke_that_never_ends_goes_with_its_socket(new_world: NewWorld):
    """An end that cannot be read leaves a poke behind, which the next socket knows nothing of."""
    world = new_world()
    world.shapes.go_live()
    world.shapes.nudge("")
    world.shapes.spoil(0, 0, "end")
    world.flow()
    session = world.clients[0].core.sessions[""]
    assert len(session.shapes._pokes) == 1
    world.cut(0)
    assert not session.shapes._pokes
    world.settle()


def test_rows_of_a_user_are_gone_as_soon_as_somebody_else_signs_in(new_world: NewWorld):
    """Nothing is shown until the new user's rows are there."""
    world = new_world()
    world.sign_in(0, "alice")
    world.go_live([])
    world.shapes.go_live()
    view = _view(world, "mine")
    assert set(view.rows) == {"r1", "r3"}
    world.sign_in(0, "bob")
    assert not any(each.rows for each in world.clients[0].shapes.views.values())
    world.settle()
    assert set(view.rows) == {"r2"}


def test_shape_released_without_a_socket_is_given_up_at_the_server(new_world: NewWorld):
    """What the server was asked for before is not forgotten with the socket."""
    world = new_world()
    world.shapes.go_live()
    world.meet_connects("refuse")
    world.cut(0, "client")
    for _ in range(3):
        world.shapes.release(0, 0)
    world.settle()
    assert len(world.clients[0].shapes.views) == 4


def test_shape_alone_keeps_the_socket_of_its_shard(new_world: NewWorld):
    """Nothing is closed as idle while a shape is held, and is when it is not."""
    world = new_world()
    world.shapes.subscribe(0, "big", "north")
    world.advance(60.0)
    assert len(world.network.links) == 1
    world.shapes.release(0, 0)
    world.settle()
    assert not world.network.links


def test_checkpoint_that_the_server_does_not_know_any_more_brings_all_rows(new_world: NewWorld):
    """A new epoch, an empty server and a log that is too short are all answered by a reset."""
    world = new_world(change_retention=2)
    world.shapes.go_live()
    for lose in (world.restart_server, world.lose_everything, lambda: world.cut(0)):
        lose()
        for _ in range(3):
            world.shapes.nudge("")
        world.settle()
    assert world.traffic["shape starts over"] == 0


def test_refused_shape_is_asked_for_again_at_the_next_open(new_world: NewWorld):
    """An error of the server leaves the shape registered here."""
    world = new_world()
    world.shapes.refuse(1)
    world.shapes.subscribe(0, "group a")
    world.flow()
    assert _view(world, "group a").status is SnapshotStatus.FAILED
    world.settle()


def test_shape_whose_rows_cannot_be_told_comes_back_whole(new_world: NewWorld):
    """A filter that raises fails the shape; when it no longer does, all rows are sent."""
    world = new_world()
    world.go_live([])
    world.shapes.go_live()
    world.write_and_flow(0, "", [[("put", "r1", "a", 0)]])
    assert _view(world, "sound").status is SnapshotStatus.FAILED
    world.write_and_flow(0, "", [[("delete", "r1", "a", 0), ("put", "r4", "a", 4)]])
    world.settle()
    assert set(_view(world, "sound").rows) == {"r2", "r3", "r4"}


def test_durable_stream_is_carried_on_by_the_next_socket_and_another_one_fails(new_world: NewWorld):
    """Each chunk of a durable run comes once, whatever happens to sockets; the rest says that it was cut."""
    world = new_world()
    world.shapes.go_live()
    for path in (DURABLE, EPHEMERAL):
        world.start_stream(0, path, 3)
    world.deliver(0, "up", 2)
    world.deliver(0, "down", 2)
    views = list(world.clients[0].streams.views.values())
    assert [len(view.chunks) for view in views] == [2, 0]
    world.cut(0)
    world.settle()
    assert (world.traffic["stream ended"], world.traffic["stream fails: STREAM_DISCONNECTED"]) == (1, 1)


def test_shape_of_a_cookie_session_shows_the_rows_of_whoever_signs_in(new_world: NewWorld):
    """What nobody saw is no place to resume from, for rows as little as for values."""
    world = new_world(ClientSettings(has_cookies=True))
    world.go_live([])
    world.shapes.subscribe(0, "mine")
    world.flow()
    world.use_socket_token(0, "alice")
    world.settle()


def test_sockets_that_open_as_somebody_who_signed_in_resume_from_nowhere(new_world: NewWorld):
    """What another user's socket told is no place to resume from, for values and for rows."""
    world = new_world()
    world.go_live(["asc"])
    world.shapes.subscribe(0, "mine")
    world.flow()
    world.sign_in(0, "alice")
    world.use_socket_token(0, "alice")
    world.settle()


def test_socket_token_of_another_user_brings_that_users_rows(new_world: NewWorld):
    """Nobody signs in, yet the rows that the former socket told are another user's: no place to resume from."""
    world = new_world()
    world.go_live(["asc"])
    world.shapes.subscribe(0, "mine")
    world.flow()
    assert set(_view(world, "mine").rows) == {"r2"}
    world.use_socket_token(0, "alice")
    world.settle()
    assert set(_view(world, "mine").rows) == {"r1", "r3"}


def test_rows_of_nobody_are_stale_before_they_stand_nowhere(new_world: NewWorld):
    """Who signs in where a cookie was nobody's sees the old rows until the new ones come, and never as live ones."""
    world = new_world(ClientSettings(has_cookies=True))
    world.go_live([])
    world.shapes.go_live()
    world.sign_in(0, "alice")
    assert {view.status for view in world.clients[0].shapes.views.values()} == {SnapshotStatus.STALE}
    world.settle()


def test_probe_and_sockets_of_a_cookie_session_agree_on_whose_it_is(new_world: NewWorld):
    """A write that is held for its user asks whose session it is, and does not make that change to and fro."""
    world = new_world(ClientSettings(has_cookies=True))
    world.use_socket_token(0, "bob")
    world.go_live([])
    world.sign_in(0, "bob")
    world.meet_connects("refuse")
    world.write_offline(0, "", [[("put", "r5", "b", 2)]])
    world.sign_out(0, names_subject=False)
    world.settle()


def test_run_that_failed_is_begun_anew_under_whoever_was_still_to_read_it(new_world: NewWorld):
    """Somebody else asks for it before the one who lost its socket is back: the run is gone, and that is said."""
    world = new_world(ClientSettings(), ClientSettings())
    world.go_live(["count"])
    world.start_stream(0, FAILING, 4)
    world.deliver(0, "up")
    world.deliver(0, "down", 3)
    world.cut(0)
    world.start_stream(1, FAILING, 4)
    world.settle()
    assert world.traffic["stream fails: STREAM_INTERRUPTED"] == 1


def test_run_of_a_user_is_not_carried_on_by_the_socket_of_another(new_world: NewWorld):
    """What a procedure gives is for whoever asked for it."""
    world = new_world()
    world.go_live(["count"])
    world.start_stream(0, DURABLE, 4)
    world.deliver(0, "up")
    world.deliver(0, "down", 3)
    world.use_socket_token(0, "alice")
    world.settle()
    assert world.traffic["stream fails: STREAM_INTERRUPTED"] == 1


def _view(world: World, name: str) -> ShapeView:
    return next(view for view in world.clients[0].shapes.views.values() if view.name == name)
