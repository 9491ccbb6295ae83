"""What a viewer must know of a value besides the value."""

from __future__ import annotations

from typing import Any, NamedTuple

from lunora_rx import Snapshot, SnapshotStatus, Status

_LABELS = {SnapshotStatus.PENDING: "loading", SnapshotStatus.LIVE: "live", SnapshotStatus.STALE: "stale"}


class Badge(NamedTuple):
    """How far a value can be trusted, and what of ours it waits for.

    Attributes:
        tone: What it is coloured by: ``loading``, ``live``, ``latest``, ``stale``, ``failed`` or ``ended``.
        label: What it says.
    """

    tone: str
    label: str


def badge_of(
    snapshot: Snapshot[Any],
    status: Status | None = None,
    pending: int = 0,
    *,
    is_known: bool = True,
    is_over: bool = False,
) -> Badge:
    """Return the badge of a snapshot, beside the status of its client and the number of writes that wait there.

    Args:
        snapshot: The value.
        status: How the client stands with its server.
        pending: How many writes wait.
        is_known: Whether it is known what the value comes from; else none is called live.
        is_over: Whether there will be no more values.
    """
    if is_over:
        return Badge("ended", "ended")
    tone = _LABELS.get(snapshot.status, "failed")
    if tone == "live" and not is_known:
        tone = "latest"
    label = tone if snapshot.error is None else f"failed: {snapshot.error.code or type(snapshot.error).__name__}"
    if status == Status.OFFLINE and tone != "failed":
        tone, label = "stale", "offline"
    if status == Status.POLLING:
        label += ", polling"
    writes = max(pending, snapshot.pending_layers)
    if writes:
        label += f", {writes} write{'s' * (writes > 1)} pending"
    return Badge(tone, label)
