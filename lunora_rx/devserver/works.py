"""Work that goes on beside calls and frames: tasks on the event loop, or, with no loop, done at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Final, TypeAlias

__all__ = ["Work", "Works"]

logger = logging.getLogger("lunora_rx.devserver")

Job: TypeAlias = Coroutine[Any, Any, None]

_FINISHING_TIMEOUT: Final = 2.0


class Work:
    """One piece of work that was started."""

    def __init__(self, task: asyncio.Task[None] | None = None) -> None:
        self._task = task

    def cancel(self) -> None:
        """Interrupt what it waits for; work that interrupts itself is to notice by itself."""
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()


class Works:
    """Starts work and knows what goes on, so that a server that stops leaves nothing behind."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, job: Job) -> Work:
        """Start a coroutine: as a task, or with no event loop here and now, to its end.

        With no loop it must not have to wait: what would wait gets a ``RuntimeError`` instead.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            _carry_out(job)
            return Work()
        task = loop.create_task(job, name="lunora devserver stream")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return Work(task)

    async def finish(self) -> None:
        """Wait for what was cancelled; what does not end in time is left alone."""
        if not self._tasks:
            return
        _, pending = await asyncio.wait(list(self._tasks), timeout=_FINISHING_TIMEOUT)
        for task in pending:
            task.cancel()
        if pending:
            logger.warning("%d streams do not end", len(pending))


def _carry_out(job: Job) -> None:
    try:
        while True:
            if job.send(None) is not None:
                job.throw(RuntimeError("this stream waits for something, which needs an event loop"))
    except StopIteration:
        return
