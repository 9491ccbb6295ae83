"""A client whose server is a recording."""

from __future__ import annotations

import os
from collections.abc import Callable
from math import inf
from typing import NoReturn

from lunora_rx.client import LunoraClient
from lunora_rx.core.backoff import Backoff
from lunora_rx.protocol.recording import Header
from lunora_rx.recording.contents import Contents
from lunora_rx.recording.file import RecordingFile
from lunora_rx.recording.playback import Playback, check_speed
from lunora_rx.recording.player import ORIGIN, Player

# The recording says when the connection is back; the longest there is keeps the client from trying by itself.
_NEVER = Backoff(initial=1e9, maximum=1e9, jitter="none")


class ReplayClient(LunoraClient):
    """A client of a recording; made by ``replay``.

    Args:
        file: The recording.
        speed: How many seconds of it pass in one.
        is_paused: Whether it waits for ``playback.play()``.
        linger: As for any client.
        on_error: As for any client.
        debug: As for any client.
    """

    def __init__(
        self,
        file: RecordingFile,
        *,
        speed: float = 1.0,
        is_paused: bool = False,
        linger: float = 0.0,
        on_error: Callable[[Exception], None] | None = None,
        debug: bool = False,
    ) -> None:
        player = Player(file)
        super().__init__(
            ORIGIN,
            transport=player,
            reconnect=_NEVER,
            heartbeat_interval=0,
            connect_timeout=0,
            polling=None,
            linger=linger,
            on_error=on_error,
            debug=debug,
        )
        player.reconnect = self._driver.reconnect
        self._header = file.header
        self._contents = player.contents
        self._playback = Playback(player, self._driver.enter, speed=speed, is_paused=is_paused)

    def __enter__(self) -> NoReturn:
        raise TypeError(
            "this replay belongs to an event loop: use `async with replay(...)`, or lunora_rx.blocking.replay where"
            " there is none"
        )

    def __exit__(self, *exc_info: object) -> None:
        """Never called: ``with`` looks for it before it enters."""

    async def aclose(self) -> None:
        """End the client, and the replay with it."""
        if not self._driver.is_closed:
            await self._playback.aclose()
        await super().aclose()

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


def replay(
    path: str | os.PathLike[str],
    *,
    speed: float | None = 1.0,
    paused: bool = False,
    linger: float = 0.0,
    on_error: Callable[[Exception], None] | None = None,
    debug: bool = False,
) -> ReplayClient:
    """Return a client whose live queries, shapes, streams and calls are answered from a recording.

    It needs no server. The file is read once at the beginning, to find what it holds and whether it is whole, and
    again while it is played. The replay starts with the client's first use. Two replays give the same values in the
    same order.

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
    is_still = paused or speed == 0
    fast = inf if speed is None else check_speed(1.0 if speed == 0 else speed)
    return ReplayClient(
        RecordingFile(path), speed=fast, is_paused=is_still, linger=linger, on_error=on_error, debug=debug
    )
