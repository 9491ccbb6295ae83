"""The demo's composition of live queries."""

from __future__ import annotations

import pytest
from reactivex.subject import Subject

from lunora_rx import Snapshot, SnapshotStatus, Status
from lunora_rx.cli.demo import board as boards
from lunora_rx.cli.demo.board import Board, mean, rate
from lunora_rx.cli.demo.display import render, sparkline


def rows(*readings):
    return [{"_id": str(at), "at": at, "cpu": cpu, "disk": disk} for at, cpu, disk in readings]


def test_mean_of_more_rows_than_asked_for_takes_the_newest():
    """The sliding mean looks at the newest rows only."""
    assert mean(rows((3, 10, 0), (2, 20, 0), (1, 99, 0)), "cpu", over=2) == 15


def test_rate_of_a_counter_is_its_growth_a_second():
    """A counter that grew by 300 in two seconds has a rate of 150."""
    assert rate(rows((12, 0, 400), (11, 0, 250), (10, 0, 100)), "disk") == 150


@pytest.mark.parametrize("few", [[], rows((1, 2, 3)), rows((1, 2, 3), (1, 2, 9))])
def test_rate_without_two_moments_is_zero(few):
    """One reading, or two at the same time, have no rate."""
    assert rate(few, "disk") == 0


def test_sparkline_between_bounds_spans_all_bars():
    """The lowest number is the lowest bar, the highest the highest; what is outside is cut."""
    assert sparkline([0, 50, 100, 200, -5], lowest=0, highest=100) == "▁▅██▁"


def test_sparkline_of_equal_numbers_is_flat():
    """Numbers without a span make a flat line."""
    assert sparkline([4, 4, 4]) == "▁▁▁"


def test_freshness_from_stale_to_live_counts_a_resume():
    """A stale query that is live again resumed once; becoming live the first time is no resume."""
    board = Board()
    for status in (SnapshotStatus.PENDING, SnapshotStatus.LIVE, SnapshotStatus.STALE, SnapshotStatus.LIVE):
        boards._show_freshness(board, Snapshot(status, [], cursor=7))
    assert board.resumed == 1
    assert any("cursor 7" in line for line in board.log)


def test_status_of_repeated_attempts_is_logged_once():
    """Attempts that fail alternate between two states; the log tells the way down and the way up."""
    board = Board()
    for status in (Status.CONNECTED, Status.OFFLINE, Status.CONNECTING, Status.OFFLINE, Status.CONNECTED):
        boards._show_status(board, status)
    assert len(board.log) == 3
    assert board.reconnects == 1


def test_pending_writes_are_logged_when_they_begin_to_wait_and_when_they_go_out():
    """The log tells the way down and the way up, with how many waited at most."""
    board = Board()
    for pending in (0, 1, 2, 3, 0, 0, 1, 0):
        boards._show_pending(board, pending)
    assert ["3 writes" in line for line in board.log] == [False, True, False, False]
    assert "1 write[/]" in board.log[-1]
    assert board.pending == 0


def test_compose_drops_repeated_memory_and_raises_one_alert():
    """Equal memory readings come through once, and a mean above the threshold raises the alert once."""
    board, readings = Board(), FakeLiveQuery()
    with boards.compose(FakeClient(readings), board, alert=50):
        for number, cpu in enumerate((10, 90, 95)):
            readings.on_next(
                [{"_id": str(number), "at": number, "cpu": cpu, "memory": 40.0, "disk": 0.0, "network": 0.0}]
            )
    assert (board.values, board.memory_changes, board.alerts) == (3, 1, 1)
    assert board.seen == {"0", "1", "2"}
    assert render(board) is not None


class FakeLiveQuery(Subject):
    """Values pushed by a test, with a subject of snapshots beside."""

    def __init__(self):
        super().__init__()
        self.snapshots = Subject()


class FakeClient:
    """Hands out one live query."""

    def __init__(self, readings):
        self.status = Subject()
        self.pending = Subject()
        self._readings = readings

    def live(self, function, args):
        return self._readings
