"""One run of a streaming procedure: its generator, moved on while somebody wants more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator
from typing import Any, Literal, Protocol, TypeAlias

from lunora_rx.devserver.answers import Failure
from lunora_rx.devserver.refusals import refusal_of
from lunora_rx.devserver.works import Work, Works
from lunora_rx.protocol.text import dumps

__all__ = ["Chunks", "Producer", "Sink", "failure_of", "stepping"]

Chunks: TypeAlias = Generator[Any, Any, Any] | AsyncGenerator[Any, Any]
"""What a streaming procedure returns."""

State: TypeAlias = Literal["paused", "running", "over"]


class Sink(Protocol):
    """Whoever gets the chunks."""

    @property
    def wants_more(self) -> bool:
        """Whether the next chunk is wanted now; ``resume`` is called when it is again."""
        ...

    def receive_chunk(self, text: str) -> None:
        """Take the JSON text of a chunk."""

    def receive_end(self, failure: Failure | None) -> None:
        """Learn that no chunk follows, and why not if that is a failure."""


class Producer:
    """Moves a generator on, one chunk at a time, and closes it whatever happens.

    It does not know who gets the chunks.  ``resume`` starts it.
    """

    def __init__(self, path: str, open_chunks: Callable[[], Chunks], sink: Sink, works: Works) -> None:
        self._path = path
        self._chunks = stepping(open_chunks)
        self._sink = sink
        self._works = works
        self._state: State = "paused"
        self._work: Work | None = None
        self._is_waiting = False

    def resume(self) -> None:
        """Go on if it is paused and more is wanted."""
        if self._state == "paused" and self._sink.wants_more:
            self._state = "running"
            self._work = self._works.start(self._run())

    def cancel(self) -> None:
        """Close the generator, whose ``finally`` runs, and tell nobody; cancelling twice is silent."""
        was, self._state = self._state, "over"
        if was == "paused":
            self._works.start(self._close())
        elif self._is_waiting and self._work is not None:
            self._work.cancel()

    async def _run(self) -> None:
        # A cancel that comes before this task has begun, or while a chunk is handed over, is noticed
        # at the loop's head; only a generator that waits is interrupted.
        try:
            while not self._is_over() and self._sink.wants_more:
                await self._step()
        except asyncio.CancelledError:
            self._state = "over"
        if self._is_over():
            await self._close()
        else:
            self._state = "paused"

    async def _step(self) -> None:
        self._is_waiting = True
        try:
            text = dumps(await anext(self._chunks)).decode()
            if not self._is_over():
                self._sink.receive_chunk(text)
        except StopAsyncIteration:
            self._end(None)
        except Exception as error:  # of the generator, or of the disk that a chunk goes to
            self._end(failure_of(error, self._path))
        finally:
            self._is_waiting = False

    def _end(self, failure: Failure | None) -> None:
        if not self._is_over():
            self._state = "over"
            self._sink.receive_end(failure)

    def _is_over(self) -> bool:
        return self._state == "over"

    async def _close(self) -> None:
        try:
            await self._chunks.aclose()
        except Exception as error:  # of a finally of the application; nobody waits for it
            failure_of(error, self._path)


async def stepping(open_chunks: Callable[[], Chunks]) -> AsyncGenerator[Any, None]:
    """Iterate over a generator of either kind, which closes with this one; a plain one lets others run in between."""
    chunks = open_chunks()
    if isinstance(chunks, AsyncIterator):
        try:
            async for chunk in chunks:
                yield chunk
        finally:
            await chunks.aclose()
        return
    try:
        for chunk in chunks:
            yield chunk
            await asyncio.sleep(0)
    finally:
        chunks.close()


def failure_of(error: Exception, path: str) -> Failure:
    """Return what is told of an exception of a handler, which is logged unless it is a refusal."""
    refusal = refusal_of(error, path)
    return Failure(refusal.code or "INTERNAL", refusal.message, refusal)
