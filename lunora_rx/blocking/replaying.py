"""Replays for programs with no event loop."""

from __future__ import annotations

import os
from collections.abc import Callable
from math import inf

from lunora_rx.blocking.bridge import Bridge
from lunora_rx.blocking.client import LunoraClient
from lunora_rx.protocol.recording import Entry, Header
from lunora_rx.recording.contents import Contents
from lunora_rx.recording.playback import Playback as AsyncPlayback
from lunora_rx.recording.replaying import ReplayClient as AsyncReplayClient
from lunora_rx.recording.replaying import replay as async_replay


class ReplayClient(LunoraClient):
    """A client of a recording, for any thread; made by ``replay``."""

    def __init__(self, client: AsyncReplayClient) -> None:
        self._wrap(client)
        self._header, self._contents = client.header, client.contents
        self._playback = Playback(self._bridge, client.playback)

    @property
    def playback(self) -> Playback:
        """The controls: play, pause, step, run, seek, speed, position."""
        return self._playback

    @property
    def header(self) -> Header:
        """When the recording was made, and of which server."""
        return self._header

    @property
    def contents(self) -> Contents:
        """What the recording holds: its live queries, shapes, streams and calls."""
        return self._contents


class Playback:
    """Moves a replay on. Times are in seconds since the recording began.

    What plays something returns when the client has dealt with it: it is shown by then. Such a call waits, and so
    raises ``RuntimeError`` on the client's own thread, and ``ClientClosedError`` once the client is closed.
    """

    def __init__(self, bridge: Bridge, playback: AsyncPlayback) -> None:
        self._bridge = bridge
        self._playback = playback

    def __repr__(self) -> str:
        return f"<blocking {self._bridge.call(lambda: repr(self._playback)).removeprefix('<')}"

    @property
    def position(self) -> float:
        """Where it stands, rounded up to a millisecond: all that was played is before it."""
        return self._bridge.call(lambda: self._playback.position)

    @property
    def duration(self) -> float:
        """How long the recording is, rounded up to a millisecond."""
        return self._playback.duration

    @property
    def steps(self) -> int:
        """How many steps the recording has: frames that came in, and news of connections."""
        return self._playback.steps

    @property
    def is_playing(self) -> bool:
        """Whether it moves by itself."""
        return self._bridge.call(lambda: self._playback.is_playing)

    @property
    def is_over(self) -> bool:
        """Whether everything was played."""
        return self._bridge.call(lambda: self._playback.is_over)

    @property
    def speed(self) -> float:
        """How many seconds of the recording pass in one; may be set at any time."""
        return self._bridge.call(lambda: self._playback.speed)

    @speed.setter
    def speed(self, speed: float) -> None:
        self._bridge.call(lambda: setattr(self._playback, "speed", speed))

    def play(self) -> None:
        """Go on by itself, from where it stands; does not wait."""
        self._bridge.call(self._playback.play)

    def pause(self) -> None:
        """Stand still."""
        self._bridge.call(self._playback.pause)

    def step(self, count: int = 1) -> Entry | None:
        """Pause, and play the next frame that came in, or news of a connection; with what else was before it.

        Args:
            count: How many of them.

        Returns:
            The last that was played: ``at`` in milliseconds, ``kind``, ``shard``, ``text``; ``None`` at the end.
        """
        return self._bridge.run(lambda: self._playback.step(count), what="step()")

    def run(self, seconds: float = inf) -> None:
        """Pause, and play the next seconds of the recording as fast as possible; all the rest without an argument."""
        self._bridge.run(lambda: self._playback.run(seconds), what="run()")

    def seek(self, seconds: float) -> None:
        """Jump to a time, back or ahead, and show what was shown then; nothing in between is.

        Streams that are under way end with code ``STREAM_INTERRUPTED``. A query that had no value yet goes on showing
        the one it has.
        """
        self._bridge.run(lambda: self._playback.seek(seconds), what="seek()")

    def wait_end(self, timeout: float | None = None) -> None:
        """Wait until everything was played, be it by itself or by whoever moves it; raises what broke the replay.

        Raises:
            TimeoutError: There was no end within ``timeout`` seconds; the replay goes on.
        """
        self._bridge.run(self._playback.wait_end, what="wait_end()", timeout=timeout)


def replay(
    path: str | os.PathLike[str],
    *,
    speed: float | None = 1.0,
    paused: bool = False,
    linger: float = 0.0,
    on_error: Callable[[Exception], None] | None = None,
    debug: bool = False,
) -> ReplayClient:
    """Return a blocking client whose live queries, shapes, streams and calls are answered from a recording.

    Use it as ``with replay(path) as client:``. It needs no server, and starts with its first use.

    Args:
        path: What ``client.record`` wrote.
        speed: How many seconds of the recording pass in one; ``None`` or ``inf`` for as fast as possible, 0 for
            ``paused``.
        paused: Whether to wait for ``client.playback``: ``play()``, ``step()``, ``run()``, ``seek()``.
        linger: Seconds that a live query outlives its last observer.
        on_error: Takes exceptions that observers raise; by default they are logged.
        debug: Whether to find observers that change values they share.

    Raises:
        OSError: The file cannot be read.
        CodecError: It is no recording, one of an unknown format version, or damaged; the line is named.
        TypeError, ValueError: An argument is unusable; it is named.
    """
    return ReplayClient(async_replay(path, speed=speed, paused=paused, linger=linger, on_error=on_error, debug=debug))
