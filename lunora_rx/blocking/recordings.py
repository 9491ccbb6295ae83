"""A recording under way, as any thread may end it."""

from __future__ import annotations

from collections.abc import Callable

from lunora_rx.blocking.bridge import Bridge, Subscription
from lunora_rx.recorder import Recording as AsyncRecording


class Recording(Subscription):
    """A recording under way; a context manager. It ends by ``close()``, with the client, or when the disk refuses."""

    def __init__(self, bridge: Bridge, begin: Callable[[], AsyncRecording]) -> None:
        super().__init__(bridge, lambda: self._keep(begin()))

    def __repr__(self) -> str:
        return f"<blocking {repr(self._recording).removeprefix('<')}"

    @property
    def is_recording(self) -> bool:
        """Whether it is under way: neither closed, nor ended by the disk."""
        return self._bridge.call(lambda: self._recording.is_recording)

    def close(self) -> None:
        """End the recording and wait until all of it is in the file, a few milliseconds; twice is once."""
        self.dispose()

    def _keep(self, recording: AsyncRecording) -> AsyncRecording:
        self._recording = recording
        return recording
