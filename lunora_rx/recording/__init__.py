"""Replays what ``client.record`` wrote, without a server."""

from lunora_rx.protocol.recording import Entry, Kind
from lunora_rx.recording.playback import Playback
from lunora_rx.recording.replaying import ReplayClient, replay

__all__ = ["Entry", "Kind", "Playback", "ReplayClient", "replay"]
