"""What the shards of a client have ahead of them, told without passing over all of them."""

from __future__ import annotations

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from lunora_rx.core.agenda import Agenda
from lunora_rx.core.backoff import Backoff
from lunora_rx.core.connection import Closed, Connecting, Connection, Idle, Open, Timing

SHARDS = ("", "a", "b", "c")
STEPS = st.one_of(
    st.tuples(st.just("expect"), st.sampled_from(SHARDS), st.sampled_from([1.0, 2.0, 3.0, 5.0, inf])),
    st.tuples(st.just("due"), st.just(""), st.sampled_from([0.0, 1.0, 2.5, 9.0])),
    st.tuples(st.just("forget"), st.sampled_from(SHARDS), st.none()),
)


@given(st.lists(STEPS, max_size=300))
def test_agenda_knows_who_is_due_as_if_it_had_asked_everybody(steps):
    """However deadlines come, move and go."""
    agenda, expected = Agenda(), {}
    for step, shard, at in steps:
        if step == "expect":
            agenda.expect(shard, at)
            expected[shard] = at
        elif step == "forget":
            agenda.forget(shard)
            expected.pop(shard, None)
        else:
            due = {name for name, deadline in expected.items() if deadline <= at}
            assert sorted(agenda.due(at)) == sorted(due)
        assert agenda.deadline == min(expected.values(), default=inf)


def test_shard_is_due_until_another_deadline_is_noted():
    """One whose turn broke off takes nobody else's away."""
    agenda = Agenda()
    for shard, at in (("a", 2.0), ("b", 1.0), ("b", 3.0), ("b", 1.0), ("c", 9.0)):
        agenda.expect(shard, at)
    assert agenda.due(2.0) == agenda.due(2.0) == ["b", "a"]
    agenda.expect("b", 5.0)
    assert (agenda.due(2.0), agenda.deadline) == (["a"], 2.0)


def test_deadline_that_moves_again_and_again_takes_no_room():
    """Each frame may put one off."""
    agenda = Agenda()
    agenda.expect("still", 1e9)
    for at in range(10_000):
        agenda.expect("", float(at))
    assert len(agenda._heap) < 100
    assert (agenda.deadline, agenda.due(1e10)) == (9_999.0, ["", "still"])


def test_shards_with_frames_are_named_in_order_until_they_have_none():
    """Each once, and none that was forgotten."""
    agenda = Agenda()
    for shard in ("b", "a", "b", "c"):
        agenda.note_frames(shard, are_there=True)
    assert agenda.senders == ["b", "a", "c"]
    agenda.note_frames("a", are_there=False)
    agenda.forget("c")
    assert agenda.senders == ["b"]


def test_sockets_are_counted_by_state():
    """As their connections move."""
    agenda = Agenda()
    one, other = (Connection(Timing(), Backoff(), lambda: 0.5, note_move=agenda.move) for _ in range(2))
    one.connect(0.0)
    other.connect(0.0)
    one.opened(1.0)
    assert (agenda.count(Open), agenda.count(Connecting)) == (1, 1)
    one.lost(2.0)
    other.close()
    assert [agenda.count(state) for state in (Open, Connecting, Closed)] == [0, 0, 1]
    assert type(one.state) is Idle
