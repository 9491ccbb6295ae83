"""Whispers as Observables: who joins what, who hears what, and what ends it."""

from __future__ import annotations

import pytest

from lunora_rx.core.events import WhisperReceived
from lunora_rx.errors import ClientClosedError
from lunora_rx.rx.whispers import Whisper, Whispers
from tests.support import Recorder


class Room:
    """Plays the connection, and keeps what whispers ask of it."""

    def __init__(self):
        self.asked = []
        self.reported = []
        self.refusal = None
        self.later = None
        self.whispers = Whispers(self, self.reported.append)

    def enter(self, what):
        """Refuse, or say yes."""
        if self.refusal is not None:
            raise self.refusal

    def call_on_loop(self, callback):
        """Do it now, or keep it for later."""
        if self.later is None:
            callback()
        else:
            self.later.append(callback)

    def join_topic(self, topic, shard):
        """Keep what was joined."""
        self.asked.append(("join", topic, shard))

    def leave_topic(self, topic, shard):
        """Keep what was left."""
        self.asked.append(("leave", topic, shard))

    def hear(self, data, topic="t", shard="", sender=None):
        """Let another member tell the topic something."""
        self.whispers.publish(WhisperReceived(shard, topic, data, sender))


@pytest.fixture
def room():
    """Whispers of a connection that the test plays."""
    return Room()


def test_whispers_are_cold_until_somebody_watches(room):
    """Each observer joins, and leaves when it is disposed; the connection counts."""
    topic = room.whispers.topic("t", "room")
    assert room.asked == []
    one, two = topic.subscribe(Recorder()), topic.subscribe(Recorder())
    assert room.asked == [("join", "t", "room")] * 2
    one.dispose()
    one.dispose()
    assert room.asked[2:] == [("leave", "t", "room")]
    two.dispose()
    assert room.asked[3:] == [("leave", "t", "room")]


def test_whispers_tell_each_observer_what_was_said_and_by_whom(room):
    """Nothing is replayed to one that comes later; ``None`` is something that can be said."""
    first, second = Recorder(), Recorder()
    room.whispers.topic("t", "").subscribe(first)
    room.hear({"x": 1}, sender="ana")
    room.whispers.topic("t", "").subscribe(second)
    room.hear(None)
    assert first.values == [Whisper({"x": 1}, "ana"), Whisper(None)]
    assert second.values == [Whisper(None)]


def test_whispers_of_other_topics_and_shards_are_theirs(room):
    """The same name on another shard is another topic; nobody may listen at all."""
    seen = Recorder()
    room.whispers.topic("t", "room").subscribe(seen)
    room.hear(1, shard="room")
    room.hear(2)
    room.hear(3, topic="other", shard="room")
    assert [each.data for each in seen.values] == [1]


def test_whispers_an_observer_that_left_hears_no_more(room):
    """The others do, also one that comes after all had left."""
    gone, later = Recorder(), Recorder()
    topic = room.whispers.topic("t", "")
    topic.subscribe(gone).dispose()
    room.hear(1)
    topic.subscribe(later)
    room.hear(2)
    assert (gone.values, [each.data for each in later.values]) == ([], [2])


def test_whispers_an_observer_that_raises_harms_nobody(room):
    """It is reported."""
    seen = Recorder()
    room.whispers.topic("t", "").subscribe(lambda whisper: 1 / 0)
    room.whispers.topic("t", "").subscribe(seen)
    room.hear(1)
    assert [type(each) for each in room.reported] == [ZeroDivisionError]
    assert len(seen.values) == 1


def test_whispers_an_observer_may_leave_while_it_hears(room):
    """The one beside it hears what is being told."""
    seen, handles = Recorder(), []
    handles.append(room.whispers.topic("t", "").subscribe(lambda whisper: handles[0].dispose()))
    room.whispers.topic("t", "").subscribe(seen)
    room.hear(1)
    room.hear(2)
    assert [each.data for each in seen.values] == [1, 2]
    assert room.asked.count(("leave", "t", "")) == 1


def test_whispers_disposed_from_another_thread_are_left_on_the_loop(room):
    """Twice is once, also when both wait there."""
    room.later = []
    handle = room.whispers.topic("t", "").subscribe(Recorder())
    handle.dispose()
    handle.dispose()
    assert room.asked == [("join", "t", "")]
    for callback in room.later:
        callback()
    assert room.asked[1:] == [("leave", "t", "")]


def test_whispers_complete_with_the_client(room):
    """Who listens is let go; later ones get the end at once, and nothing is asked any more."""
    present, late = Recorder(), Recorder()
    handle = room.whispers.topic("t", "").subscribe(present)
    room.whispers.complete()
    room.refusal = ClientClosedError("closed")
    room.whispers.topic("t", "").subscribe(late).dispose()
    handle.dispose()
    room.hear(1)
    assert (present.completions, late.completions, present.values) == (1, 1, [])
    assert room.asked == [("join", "t", "")]


def test_whispers_that_left_before_the_end_but_arrive_after_it_ask_nothing(room):
    """The client's end has left every topic already."""
    room.later = []
    handle = room.whispers.topic("t", "").subscribe(Recorder())
    handle.dispose()
    room.whispers.complete()
    for callback in room.later:
        callback()
    assert room.asked == [("join", "t", "")]


def test_whispers_refused_by_the_connection_join_nothing(room):
    """Whoever subscribes on the wrong thread is told, and leaves no listener behind."""
    room.refusal = RuntimeError("wrong thread")
    seen = Recorder()
    room.whispers.topic("t", "").subscribe(seen)
    room.hear(1)
    assert (room.asked, seen.values, seen.errors) == ([], [], [room.refusal])


@pytest.mark.parametrize(("shard", "shown"), [("", "<Whispers 't'>"), ("room", "<Whispers 't', shard='room'>")])
def test_whispers_shown_name_their_topic(room, shard, shown):
    """For whoever looks at it in a notebook."""
    assert repr(room.whispers.topic("t", shard)) == shown
