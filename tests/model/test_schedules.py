"""Schedules that once failed, or that show one promise alone, each as short as it could be made."""

from __future__ import annotations

from collections.abc import Callable

from tests.model.client import ClientSettings, View
from tests.model.world import World

NewWorld = Callable[..., World]


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
    whole = {"asc", "desc", "oldest two", "group b", "page", "page desc", "labelled", "by size", "newest two"}
    assert failed == {*whole, "mine"}
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


def test_layer_of_a_write_that_the_server_has_lost_goes_with_the_epoch_it_was_committed_in(new_world: NewWorld):
    """A commit position means nothing in a later epoch, which may take long to reach it, or never does."""
    world = new_world()
    world.go_live()
    world.write_and_flow(0, "", [[("put", "r4", "a", 1)], [("put", "r5", "a", 1)]])
    world.cut(0, "server")
    world.write(0, "", [("put", "r6", "a", 1)], [("asc", "patch")])
    world.lose_everything()
    world.settle()


def test_write_whose_author_was_not_confirmed_is_carried_out_for_one_user_only(new_world: NewWorld):
    """What went out under a token of somebody else is not sent again as whoever was signed in before."""
    world = new_world()
    world.sign_in(0, "alice")
    world.go_live()
    world.sign_in(0, "bob", names_subject=False)
    world.compose(0, "", [("put", "r4", "a", 4)])
    world.carry(-1)
    world.give_up(-1)
    world.sign_in(0, "alice")
    world.settle()


def test_layer_over_two_queries_goes_with_the_rejection(new_world: NewWorld):
    """A write that the server refuses leaves nothing on the screen, wherever it showed."""
    world = new_world()
    world.go_live()
    world.send_write(0, "", [("put", "r5", "a", 4)], "rows:refuse", [("asc", "patch"), ("count", "set")])
    assert [len(_view(world, query).value) for query in ("asc", "desc")] == [4, 3]
    world.flow()
    assert [len(_view(world, query).value) for query in ("asc", "desc")] == [3, 3]
    world.settle()


def test_writes_made_offline_show_at_once_and_are_applied_in_order(new_world: NewWorld):
    """Writes without a socket wait, and go out together when it is back."""
    world = new_world()
    world.go_live()
    world.write_offline(0, "", [[("put", "r4", "a", size)] for size in range(3)], [("asc", "patch")])
    assert (_view(world, "asc").pending_layers, world.clients[0].pending) == (3, 3)
    world.settle()
    assert all(write.was_committed and write.is_ordered for write in world.ledger.writes[1:])


def test_batch_with_one_slot_kept_is_sent_again_for_that_slot(new_world: NewWorld):
    """What the reply does not speak of goes back to the queue under its id; the server knows it again."""
    world = new_world()
    world.go_live()
    world.write_offline(0, "", [[("put", "r4", "a", 1)], [("put", "r5", "a", 2)]], [("asc", "patch")])
    world.come_back(0)
    world.garble(-1, "gone", 0)
    assert (world.clients[0].pending, _view(world, "asc").pending_layers) == (1, 2)
    world.settle()


def test_crash_after_the_verdict_and_before_its_removal_repeats_the_write_harmlessly(new_world: NewWorld):
    """A record that outlived its verdict is replayed by the next process, and the server knows the id."""
    world = new_world(ClientSettings(is_durable=True))
    world.hydrate(0)
    world.go_live()
    world.write_offline(0, "", [[("put", "r4", "a", 1)]])
    world.come_back(0)
    world.slow_disk(0)
    world.reply(-1)
    world.crash(0)
    assert list(world.clients[0].left_over or ()) != []
    world.settle()


def test_crash_before_a_record_is_stored_loses_the_write_and_nothing_else(new_world: NewWorld):
    """What the disk has not seen is gone with its process; what it has seen is carried out by the next one."""
    world = new_world(ClientSettings(is_durable=True))
    world.hydrate(0)
    world.go_live()
    world.slow_disk(0)
    world.write_offline(0, "", [[("put", "r4", "a", 1)], [("put", "r5", "a", 2)]])
    world.crash(0, stored=1)
    world.settle()
    assert [write.was_committed for write in world.ledger.writes] == [True, True, False]


def test_writes_of_a_new_process_wait_behind_what_the_last_one_left(new_world: NewWorld):
    """What is composed while the disk is read goes out after what is found there."""
    world = new_world(ClientSettings(is_durable=True))
    world.hydrate(0)
    world.go_live()
    world.write_offline(0, "", [[("put", "r4", "a", 1)]])
    world.replace_client(0)
    world.start(0)
    world.subscribe(0, "asc")
    world.send_write(0, "", [("put", "r4", "a", 2)], patches=[("asc", "patch")])
    world.flow()
    assert not world.ledger.writes[-1].was_sent
    world.hydrate(0)
    world.settle()
    assert all(write.was_committed for write in world.ledger.writes)


def test_writes_of_one_user_wait_while_nobody_is_signed_in_and_never_go_out_as_another(new_world: NewWorld):
    """Signing out holds them, somebody else's signing in rejects them."""
    world = new_world()
    world.sign_in(0, "alice")
    world.go_live()
    world.write_offline(0, "", [[("put", "r4", "a", 1)]])
    world.sign_out(0)
    world.advance(60.0)
    assert world.clients[0].pending == 1
    world.sign_in(0, "bob")
    world.settle()
    error = getattr(world.ledger.writes[-1].outcome, "error", None)
    assert error is not None
    assert error.code == "OFFLINE_IDENTITY_CHANGED"


def test_session_that_cannot_be_told_is_asked_for_again_in_good_time(new_world: NewWorld):
    """Writes that wait for their author to be confirmed do not make one question follow another at once."""
    world = new_world()
    world.sign_in(0, "alice")
    world.go_live()
    world.write_offline(0, "", [[("put", "r4", "a", 1)]])
    world.sign_in(0, "alice", names_subject=False)
    world.revoke_token(0)
    world.come_back(0)
    world.flow()
    world.settle()


def test_queue_that_overflows_reports_the_oldest(new_world: NewWorld):
    """A write that gives way is rejected, shows no more, and is never sent."""
    world = new_world(ClientSettings(queue_limit=2))
    world.go_live()
    world.write_offline(0, "", [[("put", f"r{number}", "a", 1)] for number in (4, 5, 6)], [("asc", "patch")])
    assert _view(world, "asc").pending_layers == 2
    world.settle()
    assert [write.was_committed for write in world.ledger.writes[1:]] == [False, True, True]


def test_mutation_patches_the_query_of_its_own_name(new_world: NewWorld):
    """A patch of its own needs no name of a query: path, arguments and shard are the mutation's."""
    world = new_world()
    world.go_live()
    world.write(0, "", [("delete", "r1", "a", 0)])
    world.flow()
    world.send_write(0, mutation="rows:touch")
    assert (_view(world, "touched").pending_layers, len(_view(world, "touched").value)) == (1, 1)
    world.settle()


def test_cancelled_write_whose_record_survives_a_crash_is_applied_at_most_once(new_world: NewWorld):
    """A removal that the disk has not done when the process dies brings the write back, in no promised order."""
    world = new_world(ClientSettings(is_durable=True))
    world.hydrate(0)
    world.go_live()
    world.write_offline(0, "", [[], []])
    world.flow()
    world.slow_disk(0)
    world.cancel(0, 0)
    world.advance(40.0)
    world.crash(0)
    world.settle()


def test_request_of_an_evicted_write_may_still_arrive_behind_the_others(new_world: NewWorld):
    """Order is promised for what is committed; a rejected write whose request is on its way is applied at most once."""
    world = new_world(ClientSettings(queue_limit=3))
    world.go_live()
    world.write_offline(0, "", [[], [], []])
    world.come_back(0)
    world.refuse(-1, "503")
    world.send_write(0)
    world.advance(5.0, flowing=False)
    world.reply(-1)
    world.settle()
    assert [write.was_committed for write in world.ledger.writes[1:]] == [False, True, True, True]


def _view(world: World, query: str) -> View:
    return next(view for view in world.clients[0].views.values() if view.query == query)


def test_values_that_a_user_has_read_are_shown_to_them_alone_in_the_next_process(new_world: NewWorld):
    """Offline, from the disk, and not to whom they do not belong; the socket goes on from where they stand."""
    world = new_world(ClientSettings(is_durable=True))
    world.sign_in(0, "alice")
    world.hydrate(0)
    world.go_live(["who", "mine"])
    world.advance(1.0)
    assert {stored.told.owner for stored in world.disks[0].reads.values()} == {"alice"}
    world.crash(0)
    world.meet_connects("refuse")
    world.hydrate(0)
    world.subscribe(0, "who")
    world.subscribe(0, "mine")
    assert world.traffic["seed shown"] == 0
    world.sign_in(0, "alice")
    assert world.traffic["seed shown"] == 2
    world.sign_in(0, "bob", names_subject=False)
    assert world.traffic["seed taken back"] == 2
    world.sign_in(0, "alice", names_subject=False)
    world.name_subject(0)
    assert world.traffic["seed shown"] == 4
    world.settle()
    assert world.traffic["frame: resume"] == 2
    world.sign_in(0, "bob")
    world.flow()
    assert not world.disks[0].reads
    world.settle()
