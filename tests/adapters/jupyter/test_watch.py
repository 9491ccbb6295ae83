"""What a live view shows, when, and that it holds on to nothing: no widgets here, and no clock."""

from __future__ import annotations

import pytest
from reactivex import Subject
from reactivex.testing import TestScheduler

from lunora_rx import ServerError, Snapshot, SnapshotStatus, Status
from lunora_rx.adapters.jupyter.badges import badge_of
from lunora_rx.adapters.jupyter.watch import Watch


class Counted(Subject):
    """A source that counts who watches it."""

    @property
    def observer_count(self):
        return len(self.observers)


class View:
    """A watch of a source, and the pictures that it draws, in virtual time."""

    def __init__(self, *, history=3):
        self.clock, self.source, self.pictures = TestScheduler(), Counted(), []
        self.watch = Watch(self.source, self.pictures.append, interval=1.0, history=history, scheduler=self.clock)

    def tell(self, *values, seconds=10):
        """Let the source tell values, with a pause of so many seconds after each."""
        for value in values:
            self.source.on_next(value)
            self.clock.advance_by(seconds)

    @property
    def shown(self):
        return self.pictures[-1].snapshot.value

    @property
    def position(self):
        return (self.pictures[-1].position, self.pictures[-1].length)


def test_watch_subscribes_with_the_first_viewer_and_disposes_with_the_last():
    """Two who see the same output are one observer; a viewer that leaves twice is no trouble."""
    view = View()
    assert view.source.observer_count == 0
    counts = []
    for act, viewer in (("enter", "a"), ("enter", "b"), ("leave", "a"), ("leave", "a"), ("leave", "b"), ("enter", "c")):
        getattr(view.watch, act)(viewer)
        counts.append(view.source.observer_count)
    assert counts == [1, 1, 1, 1, 0, 1]
    view.watch.close()
    assert view.source.observer_count == 0
    assert not view.watch.is_watching


def test_watch_shows_the_newest_value_of_each_interval():
    """Values that come faster than the eye are skipped, the last one never."""
    view = View()
    view.watch.enter("a")
    view.tell(*range(10), seconds=0.25)
    view.clock.advance_by(5)
    shown = [picture.snapshot.value for picture in view.pictures if picture.length]
    assert shown == [0, 3, 7, 9]


def test_pause_keeps_what_is_shown_and_remembers_what_comes():
    """Also when what is shown has left the history meanwhile."""
    view = View()
    view.watch.enter("a")
    view.tell("one")
    view.watch.pause()
    view.tell("two", "three", "four", "five")
    assert (view.shown, view.position, view.pictures[-1].is_paused) == ("one", (0, 3), True)
    view.watch.resume()
    assert (view.shown, view.position, view.pictures[-1].is_paused) == ("five", (2, 3), False)


@pytest.mark.parametrize(("position", "value"), [(0, "two"), (1, "three"), (2, "four"), (99, "four"), (-1, "two")])
def test_look_at_shows_a_value_of_the_past(position, value):
    """The slider's ends are the oldest and the newest value that are remembered."""
    view = View()
    view.watch.enter("a")
    view.tell("one", "two", "three", "four")
    view.watch.look_at(position)
    assert view.shown == value


def test_watch_before_the_first_value_has_nothing_to_pause():
    """Buttons that are pressed too early do nothing."""
    view = View()
    view.watch.enter("a")
    view.watch.pause()
    view.watch.look_at(3)
    view.tell("one")
    assert (view.shown, view.pictures[-1].is_paused) == ("one", False)


def test_watch_whose_source_fails_or_ends_says_so_and_keeps_the_value():
    """A plain Observable's error is its last snapshot; an end is no failure."""
    failed, ended = View(), View()
    for view in (failed, ended):
        view.watch.enter("a")
        view.tell("one")
    failed.source.on_error(ValueError("no such thing"))
    ended.source.on_completed()
    assert failed.pictures[-1].badge.label == "failed: ValueError"
    assert (ended.pictures[-1].badge.label, failed.shown, ended.shown) == ("ended", "one", "one")


@pytest.mark.parametrize(
    ("snapshot", "status", "pending", "label"),
    [
        (Snapshot(), Status.CONNECTING, 0, "loading"),
        (Snapshot(SnapshotStatus.LIVE, 1), Status.CONNECTED, 0, "live"),
        (Snapshot(SnapshotStatus.LIVE, 1), Status.POLLING, 0, "live, polling"),
        (Snapshot(SnapshotStatus.STALE, 1), Status.CONNECTING, 0, "stale"),
        (Snapshot(SnapshotStatus.STALE, 1), Status.OFFLINE, 2, "offline, 2 writes pending"),
        (Snapshot(SnapshotStatus.LIVE, 1, pending_layers=1), Status.CONNECTED, 0, "live, 1 write pending"),
        (Snapshot(SnapshotStatus.FAILED, 1, ServerError("no", code="DENIED")), Status.OFFLINE, 0, "failed: DENIED"),
        (Snapshot(SnapshotStatus.LIVE, 1), None, 0, "live"),
    ],
)
def test_badge_tells_how_far_a_value_can_be_trusted(snapshot, status, pending, label):
    """The query's state, the connection where it is down, and what of ours is not told yet."""
    assert badge_of(snapshot, status, pending).label == label
