"""The controls of a replay: play, pause, step, run, seek."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from math import ceil, inf

from lunora_rx.protocol.recording import Entry
from lunora_rx.recording.player import Player

_ENTRIES_AT_ONCE = 512
_log = logging.getLogger("lunora_rx.recording")


class Playback:
    """Moves a replay on. Times are in seconds since the recording began.

    The coroutines return when the client has dealt with everything: what they play is shown by then. All must be
    called on the client's loop.

    Args:
        player: What is moved.
        enter: Makes sure that the client may be used here and now, and binds it to the loop.
        speed: How many seconds of the recording pass in one; ``inf`` for as fast as possible.
        is_paused: Whether it waits for ``play`` instead of starting with the client's first use.
    """

    def __init__(self, player: Player, enter: Callable[[str], None], *, speed: float, is_paused: bool) -> None:
        self._player = player
        self._enter = enter
        self._speed = speed
        self._is_paused = is_paused
        self._task: asyncio.Task[None] | None = None
        self._anchor: tuple[float, float] | None = None
        self._failure: BaseException | None = None
        self._has_ended = asyncio.Event()
        self._lock = asyncio.Lock()
        player.on_use = self._start

    def __repr__(self) -> str:
        state = "playing" if self.is_playing else "over" if self.is_over else "paused"
        return f"<Playback {state} at {self.position:.3f} of {self.duration:.3f} s>"

    @property
    def position(self) -> float:
        """Where it stands, rounded up to a millisecond: all that was played is before it."""
        return _seconds(self._reached())

    @property
    def duration(self) -> float:
        """How long the recording is, rounded up to a millisecond."""
        return _seconds(self._player.contents.duration)

    @property
    def steps(self) -> int:
        """How many steps the recording has: frames that came in, and news of connections."""
        return self._player.contents.steps

    @property
    def is_playing(self) -> bool:
        """Whether it moves by itself."""
        return self._task is not None and not self._task.done()

    @property
    def is_over(self) -> bool:
        """Whether everything was played."""
        return self._player.peek() is None

    @property
    def speed(self) -> float:
        """How many seconds of the recording pass in one; may be set at any time."""
        return self._speed

    @speed.setter
    def speed(self, speed: float) -> None:
        was_playing = self.is_playing
        self.pause()
        self._speed = check_speed(speed)
        if was_playing:
            self.play()

    def play(self) -> None:
        """Go on by itself, from where it stands."""
        self._enter("play()")
        self._is_paused = False
        if self.is_playing or self.is_over:
            return
        loop = asyncio.get_running_loop()
        self._anchor = (loop.time(), self._player.position)
        self._task = loop.create_task(self._play())
        self._task.add_done_callback(self._note_failure)

    def pause(self) -> None:
        """Stand still."""
        self._is_paused = True
        if self._task is not None:
            self._player.position = self._reached()
            self._task.cancel()
            self._task = self._anchor = None

    async def step(self, count: int = 1) -> Entry | None:
        """Pause, and play the next frame that came in, or news of a connection; with what else was before it.

        Args:
            count: How many of them.

        Returns:
            The last that was played: ``at`` in milliseconds, ``kind``, ``shard``, ``text``; ``None`` at the end.
        """
        self._stand_still("step()")
        entry: Entry | None = None
        async with self._lock:
            await self._player.settle(is_news=True)
            for _ in range(count):
                entry = await self._step()
        return entry

    async def run(self, seconds: float = inf) -> None:
        """Pause, and play the next seconds of the recording as fast as possible; all the rest without an argument."""
        self._stand_still("run()")
        async with self._lock:
            await self._player.settle(is_news=True)
            end = self._player.position + seconds * 1000
            while (upcoming := self._player.peek()) is not None and upcoming.at <= end:
                await self._play_next()
            self._player.position = min(end, self._player.contents.duration)
        self._note_end()

    async def seek(self, seconds: float) -> None:
        """Jump to a time, back or ahead, and show what was shown then; nothing in between is.

        Streams that are under way end with code ``STREAM_INTERRUPTED``. A query that had no value yet goes on showing
        the one it has.
        """
        was_playing = self.is_playing
        self._stand_still("seek()")
        async with self._lock:
            await self._player.settle(is_news=True)
            await self._player.jump(min(max(0.0, seconds * 1000), self._player.contents.duration))
            await self._player.settle()
        if was_playing:
            self.play()
        self._note_end()

    async def wait_end(self) -> None:
        """Wait until everything was played, be it by itself or by whoever moves it; raises what broke the replay."""
        self._enter("wait_end()")
        self._start()
        self._note_end()
        await self._has_ended.wait()
        if self._failure is not None:
            raise self._failure

    async def aclose(self) -> None:
        """End it for good."""
        task = self._task
        self.pause()
        if task is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def _reached(self) -> float:
        reached = self._player.position
        if self._anchor is not None and self._speed < inf:
            began_at, began_from = self._anchor
            elapsed = (asyncio.get_running_loop().time() - began_at) * 1000 * self._speed
            upcoming = self._player.peek()
            ceiling = self._player.contents.duration if upcoming is None else upcoming.at
            reached = max(reached, min(ceiling, began_from + elapsed))
        return reached

    def _start(self) -> None:
        if not self._is_paused:
            self.play()

    def _stand_still(self, what: str) -> None:
        self._enter(what)
        self.pause()

    async def _play(self) -> None:
        count = 0
        await self._player.settle(is_news=True)
        while (upcoming := self._player.peek()) is not None:
            if (wait := self._seconds_until(upcoming)) > 0:
                await asyncio.sleep(wait)
            await self._play_next()
            count += 1
            if count % _ENTRIES_AT_ONCE == 0:
                await asyncio.sleep(0)
        self._anchor = None
        self._note_end()

    async def _play_next(self) -> Entry | None:
        entry = self._player.play_next()
        await self._player.settle()
        return entry

    async def _step(self) -> Entry | None:
        while (entry := await self._play_next()) is not None:
            if entry.is_seen:
                break
        self._note_end()
        return entry

    def _seconds_until(self, entry: Entry) -> float:
        if self._anchor is None or self._speed == inf:
            return 0.0
        began_at, began_from = self._anchor
        due_at = began_at + (entry.at - began_from) / 1000 / self._speed
        return due_at - asyncio.get_running_loop().time()

    def _note_failure(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._failure = task.exception()
            self._has_ended.set()
            _log.error("the replay broke off", exc_info=self._failure)

    def _note_end(self) -> None:
        if self.is_over:
            self._has_ended.set()
        elif self._failure is None:
            self._has_ended.clear()


def _seconds(milliseconds: float) -> float:
    # What a float is wrong by at the end of its digits is no further millisecond.
    return ceil(round(milliseconds, 6)) / 1000


def check_speed(speed: object) -> float:
    """Return a speed: a number above zero, ``inf`` too."""
    if isinstance(speed, bool) or not isinstance(speed, int | float):
        raise TypeError(f"speed is a number above 0, or inf for as fast as possible, not {type(speed).__name__}")
    if not speed > 0:
        raise ValueError(f"speed is a number above 0, or inf for as fast as possible, not {speed!r}")
    return float(speed)
