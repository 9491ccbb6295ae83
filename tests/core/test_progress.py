"""How far the replay has come, over all shards."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lunora_rx.core.events import ReplayProgressed
from lunora_rx.core.progress import Progress
from tests.core.played_writes import PlayedWrites

OK, LIMITED = {"result": 1}, {"error": {"code": "RATE_LIMITED"}}


@pytest.fixture
def told() -> list[ReplayProgressed]:
    """What was told so far."""
    return []


def test_progress_of_one_pass_counts_up_to_its_end(told):
    """Taken on, settled, kept; the end is told."""
    progress = Progress(told.append)
    progress.begin(3)
    progress.settle(2)
    progress.end(1)
    assert told == [
        ReplayProgressed(3, 0, 0, True),
        ReplayProgressed(3, 2, 0, True),
        ReplayProgressed(3, 2, 1, False),
    ]


def test_progress_of_passes_side_by_side_is_one(told):
    """The counts go on while any runs, and only the last end is told."""
    progress = Progress(told.append)
    progress.begin(1)
    progress.begin(2)
    progress.end(1)
    progress.settle(2)
    progress.end(0)
    assert told[-1] == ReplayProgressed(3, 2, 1, False)
    assert [each.is_running for each in told] == [True, True, True, False]


def test_progress_starts_anew_when_none_ran(told):
    """What an earlier replay did is over."""
    progress = Progress(told.append)
    for _ in range(2):
        progress.begin(1)
        progress.settle(1)
        progress.end(0)
    assert told[:3] == told[3:]


def test_progress_of_nothing_says_nothing(told):
    """A pass that held everything, or found nothing stored, is no replay; beside another it changes nothing."""
    progress = Progress(told.append)
    progress.begin(0)
    progress.settle(0)
    progress.end(0)
    assert told == []
    progress.begin(1)
    progress.begin(0)
    progress.end(0)
    assert told == [ReplayProgressed(1, 0, 0, True)]


def test_progress_of_a_replay_is_told_chunk_by_chunk():
    """A write that is refused by a precondition was never taken on."""
    played = PlayedWrites(queues_before_first_connect=True)
    played.mutate("m1", "m2", "m3")
    played.mutate("m4", precondition=lambda: False)
    played.open()
    played.refuse("PAYLOAD_TOO_LARGE", 413)
    played.reply_slots(OK, OK)
    played.refuse("RATE_LIMITED", 429)
    counts = [(each.total, each.settled, each.kept, each.is_running) for each in played.progress]
    assert counts == [(3, 0, 0, True), (3, 2, 0, True), (3, 2, 1, False)]


def test_progress_of_several_shards_is_over_with_the_last():
    """Each shard replays by itself; what waits behind a pass is another replay."""
    played = PlayedWrites(queues_before_first_connect=True)
    played.mutate("m1")
    played.mutate("r1", shard="room")
    played.open("", "room")
    played.reply()
    played.lose()
    assert played.progress[-2:] == [ReplayProgressed(2, 1, 0, True), ReplayProgressed(2, 1, 1, False)]
    played.retry()
    assert played.progress[-1] == ReplayProgressed(1, 0, 0, True)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=6), st.randoms(use_true_random=False))
def test_progress_in_any_interleaving_ends_with_every_write_accounted_for(passes, random):
    """What was taken on is settled or kept when the last pass is over."""
    told: list[ReplayProgressed] = []
    progress = Progress(told.append)
    for settled, kept in passes:
        progress.begin(settled + kept)
    for settled, kept in random.sample(passes, len(passes)):
        progress.settle(settled)
        progress.end(kept)
    assert all(each.settled + each.kept <= each.total for each in told)
    if any(settled + kept for settled, kept in passes):
        assert not told[-1].is_running
        assert told[-1].settled + told[-1].kept == told[-1].total
