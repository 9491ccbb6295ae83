"""Queued mutations in order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lunora_rx.core.offline_queue import OfflineQueue, Write
from lunora_rx.core.records import QueuedMutation


def write(mutation_id, shard="", *, stored=True):
    made = Write(QueuedMutation(mutation_id, "notes:add", {}, "client-1", shard))
    made.is_stored = stored
    return made


def ids(writes):
    return [each.mutation_id for each in writes]


def test_push_over_the_limit_makes_the_oldest_give_way():
    """The queue is bounded, and the newest write is the one kept."""
    queue = OfflineQueue(2)
    assert [ids(queue.push(write(name))) for name in "abc"] == [[], [], ["a"]]
    assert ids(queue) == ["b", "c"]


def test_requeue_puts_writes_back_in_front_and_none_gives_way():
    """What was taken for a pass returns in its order, even if the queue filled meanwhile."""
    queue = OfflineQueue(2)
    for name in "cd":
        queue.push(write(name))
    queue.requeue([write("a"), write("b")])
    assert ids(queue) == ["a", "b", "c", "d"]


def test_restore_puts_an_earlier_process_first_and_applies_the_limit():
    """Hydrated writes go ahead of what was composed since; the oldest gives way."""
    queue = OfflineQueue(2)
    queue.push(write("live"))
    assert ids(queue.restore([write("p1"), write("p3")])) == ["p1"]
    assert ids(queue) == ["p3", "live"]


def test_take_ready_stops_at_the_first_write_that_is_not_stored():
    """Order a shard: what is not on disk yet holds back what is behind it, in its own shard only."""
    queue = OfflineQueue(10)
    for each in (write("a"), write("other", "room"), write("b", stored=False), write("c")):
        queue.push(each)
    assert ids(queue.take_ready("")) == ["a"]
    assert ids(queue) == ["other", "b", "c"]
    assert ids(queue.take_ready("room")) == ["other"]


def test_withdraw_takes_a_waiting_write_once():
    """A write that is not there is not withdrawn."""
    queue = OfflineQueue(10)
    queue.push(write("a"))
    assert queue.withdraw("a") is not None
    assert queue.withdraw("a") is None
    assert queue.get("a") is None


def test_shards_of_a_queue_come_in_the_order_of_their_oldest_writes():
    """Which shards need a socket, and whether one does."""
    queue = OfflineQueue(10)
    for name, shard in (("a", "x"), ("b", ""), ("c", "x")):
        queue.push(write(name, shard))
    assert queue.shards() == ["x", ""]
    assert queue.has_shard("x")
    assert not queue.has_shard("y")
    assert queue.get("c").record.shard == "x"


@given(st.lists(st.tuples(st.sampled_from(["push", "take", "requeue", "withdraw"]), st.integers(0, 1))))
def test_queue_under_any_steps_keeps_one_order_a_shard(steps):
    """Numbers pushed in order come out in order within their shard, whatever was taken and put back."""
    queue, taken, number = OfflineQueue(1000), [], 0
    for step, shard_number in steps:
        shard = f"s{shard_number}"
        if step == "push":
            queue.push(write(f"{number:04}", shard))
            number += 1
        elif step == "take":
            taken += queue.take_ready(shard)
        elif step == "requeue":
            queue.requeue(sorted(taken, key=lambda each: each.mutation_id))
            taken = []
        elif len(queue):
            queue.withdraw(next(iter(queue)).mutation_id)
        if not taken:
            for name in queue.shards():
                order = [each.mutation_id for each in queue if each.record.shard == name]
                assert order == sorted(order)
