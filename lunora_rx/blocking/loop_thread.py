"""One thread with an event loop of its own, and the way in from other threads."""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from functools import partial
from typing import TypeVar

R = TypeVar("R")

EXIT_TIMEOUT = 10.0
"""Seconds that a program which forgot to close its client waits for it as it exits."""

_log = logging.getLogger("lunora_rx.blocking")


class LoopThread:
    """Runs an event loop from the first use to ``close``.

    It knows whether the loop runs, and in which process. It does not know what runs on it. Once it is over there is
    nothing left to protect from: what is asked of it then runs where it was asked.

    Args:
        begin: Runs on the loop before anything else.
        end: Runs on it last.
    """

    def __init__(self, begin: Callable[[], Awaitable[object]], end: Callable[[], Awaitable[object]]) -> None:
        self._begin = begin
        self._end = end
        # A finalizer may run in the middle of anything, also while this thread holds the lock.
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._process: int | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._ready = threading.Event()
        self._ended: Future[None] = Future()
        self._is_over = False

    @property
    def is_over(self) -> bool:
        """Whether the loop has run for the last time."""
        return self._is_over

    @property
    def is_ending(self) -> bool:
        """Whether the end has begun."""
        return self._is_over or self._stopping.is_set()

    @property
    def is_current(self) -> bool:
        """Whether the caller runs on this very thread."""
        return self._thread is threading.current_thread()

    @property
    def is_foreign(self) -> bool:
        """Whether this process was forked from the one that the thread runs in."""
        return self._process is not None and self._process != os.getpid()

    def check_process(self) -> None:
        """Raise ``RuntimeError`` in a process that was forked from the one that the thread runs in."""
        if self.is_foreign:
            raise RuntimeError(
                f"the client belongs to process {self._process}, and this one was forked from it, without its thread;"
                " make a client of its own after the fork"
            )

    def check_can_wait(self, what: str) -> None:
        """Raise ``RuntimeError`` where waiting would never end: on the thread that brings what is waited for."""
        self.check_process()
        if self.is_current:
            raise RuntimeError(
                f"{what} waits, and this is the client's own thread, on which observers and patches run: it would wait"
                " for ever; subscribe with executor=, or hand the work to another thread"
            )

    def post(self, callback: Callable[[], object]) -> None:
        """Run a callback on the loop, after all that was posted before; nobody waits for it.

        Raises:
            RuntimeError: This process was forked from the one that the thread runs in.
        """
        self.check_process()
        if self.is_current:
            callback()
            return
        with self._lock:
            loop = self._running_loop()
            if loop is not None:
                loop.call_soon_threadsafe(callback)
                return
        # Raises what it ended with before its time, such as a storage that cannot be opened.
        self._ended.result()
        with self._lock:
            callback()

    def call(self, function: Callable[[], R]) -> R:
        """Run a function on the loop, and return what it returns, or raise what it raises; it must not wait itself."""
        self.check_process()
        if self.is_current:
            return function()
        done: Future[R] = Future()
        self.post(partial(_settle, done, function))
        return done.result()

    def stop(self) -> None:
        """Let the loop come to its end, and do not wait for it; nothing if it never began, or in a forked process."""
        if self._loop is not None and not self.is_foreign:
            self.post(self._stopping.set)

    def close(self) -> None:
        """Bring the loop to its end and wait for it; once is enough.

        Raises:
            RuntimeError: The caller runs on the loop itself, or in a forked process.
        """
        self.check_can_wait("close()")
        with self._lock:
            if self._loop is None:
                self._stopping.set()
            self._running_loop()
        self.stop()
        self._ended.result()
        self._join()

    def _running_loop(self) -> asyncio.AbstractEventLoop | None:
        if self._loop is None:
            self._process = os.getpid()
            self._loop = asyncio.new_event_loop()
            # Not made any earlier: a fork ends every thread that there is by then, one that never ran too.
            self._thread = threading.Thread(target=self._run, name="lunora-blocking", daemon=True)
            self._thread.start()
        # Whoever exits right after the first call must find the hook below in place.
        self._ready.wait()
        return None if self._is_over else self._loop

    def _run(self) -> None:
        loop = self._loop
        assert loop is not None
        try:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                _run_to_end(runner.get_loop(), self._main())
        except BaseException as error:
            self._is_over = True
            self._ended.set_exception(error)
            self._ready.set()
        else:
            self._ended.set_result(None)
        finally:
            atexit.unregister(self._close_at_exit)

    async def _main(self) -> None:
        if not self._stopping.is_set():
            await self._begin()
            # After the storage's own hook was registered, and so called before it.
            atexit.register(self._close_at_exit)
        self._ready.set()
        await self._stopping.wait()
        try:
            await self._end()
        finally:
            # What was posted until now runs in the turns that the runner yet takes, what comes later where it is asked.
            with self._lock:
                self._is_over = True

    def _close_at_exit(self) -> None:
        if self.is_foreign:
            return
        self.stop()
        if not self._join(EXIT_TIMEOUT):
            _log.warning("a client that was not closed is still busy %g s after the program ended", EXIT_TIMEOUT)

    def _join(self, timeout: float | None = None) -> bool:
        assert self._thread is not None, "a loop that runs has a thread"
        self._thread.join(timeout)
        return not self._thread.is_alive()


def _run_to_end(loop: asyncio.AbstractEventLoop, main: Awaitable[None]) -> None:
    task = asyncio.ensure_future(main, loop=loop)
    while not task.done():
        try:
            loop.run_until_complete(task)
        except (SystemExit, KeyboardInterrupt) as error:
            # Of a callback: others still wait for this loop.
            _log.error("a callback raised %s on the client's own thread, where it ends nothing", type(error).__name__)
    task.result()


def _settle(done: Future[R], function: Callable[[], R]) -> None:
    try:
        result = function()
    except BaseException as error:
        done.set_exception(error)
    else:
        done.set_result(result)
    # A traceback keeps this frame.
    del done
