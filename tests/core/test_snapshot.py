"""What a live query shows at one moment."""

from __future__ import annotations

from lunora_rx.core.snapshot import Snapshot, SnapshotStatus
from lunora_rx.protocol.values import UNDEFINED


def test_snapshot_before_the_first_value_is_pending_and_empty():
    """``None`` is a value, ``UNDEFINED`` is none."""
    assert Snapshot().status is SnapshotStatus.PENDING
    assert not Snapshot().has_value
    assert not Snapshot(value=UNDEFINED).has_value
    assert Snapshot(value=None).has_value


def test_snapshot_with_layers_is_optimistic():
    """It holds writes that the server has not confirmed."""
    assert Snapshot(pending_layers=1).is_optimistic
    assert not Snapshot().is_optimistic


def test_status_reads_as_its_word():
    """It can be shown and compared as a plain string."""
    assert f"{SnapshotStatus.STALE}" == "stale"
    assert SnapshotStatus.LIVE == "live"
