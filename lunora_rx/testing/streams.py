"""Scripted streams: runs that chunks come from, of a script or by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable, Iterable
from typing import Any

from lunora_rx.errors import LunoraError
from lunora_rx.protocol.frames import Chunk, Complete, StreamStart
from lunora_rx.protocol.wire import encode_wire
from lunora_rx.testing.script import PENDING, Entry, Script, Target
from lunora_rx.testing.session import Session

__all__ = ["Producers", "Run"]


class Run:
    """One run of a stream: what it has said, and who listens.

    A durable run keeps its transcript, outlives sockets, and goes on where a client says that it was.
    """

    def __init__(self, target: Target, generation: str | None) -> None:
        self.target = target
        self.generation = generation
        self.is_over = False
        self.task: asyncio.Task[None] | None = None
        self._said: list[Any] = []
        self._error: LunoraError | None = None
        self._listeners: dict[tuple[Session, str], None] = {}

    def attach(self, session: Session, start: StreamStart) -> None:
        """Let a socket follow the run, from where it was."""
        since = start.since_chunk or 0
        for place, wire in enumerate(self._said[since:], since + 1):
            session.send(self._chunk(start.id, wire, place))
        if self.is_over:
            self._tell_end(session, start.id)
            return
        self._listeners[session, start.id] = None
        session.runs[start.id] = self

    def detach(self, session: Session, frame_id: str) -> None:
        """Let a socket follow it no more."""
        self._listeners.pop((session, frame_id), None)
        if self.generation is None and self.task is not None:
            self.task.cancel()

    def say(self, value: Any) -> None:
        """Send a chunk to all who listen."""
        wire = encode_wire(value, root="chunk")
        if self.generation is not None:
            self._said.append(wire)
        for session, frame_id in self._listeners:
            session.send(self._chunk(frame_id, wire, len(self._said)))

    def end(self, error: LunoraError | None = None) -> None:
        """End the run, well or with an error; ending it again does nothing."""
        if self.is_over:
            return
        self.is_over, self._error = True, error
        listeners, self._listeners = self._listeners, {}
        for session, frame_id in listeners:
            session.runs.pop(frame_id, None)
            self._tell_end(session, frame_id)

    def _chunk(self, frame_id: str, wire: Any, place: int) -> Chunk:
        if self.generation is None:
            return Chunk(frame_id, wire)
        return Chunk(frame_id, wire, place, self.generation)

    def _tell_end(self, session: Session, frame_id: str) -> None:
        if self._error is None:
            session.send(Complete(frame_id))
        else:
            session.send_error(frame_id, self._error)


class Producers:
    """Lets the scripts of streams speak; those that wait do so in tasks, which ``aclose`` ends."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._tasks: set[asyncio.Task[None]] = set()

    def start(
        self, entry: Entry, args: Any, say: Callable[[Any], None], end: Callable[..., None]
    ) -> asyncio.Task[None] | None:
        """Let an entry's answer speak, and return the task in which it does, if it has to wait.

        Raises:
            LunoraError: The script says so.
        """
        if isinstance(entry.answer, LunoraError):
            raise entry.answer.copy()
        if entry.answer is PENDING:
            return None
        chunks = self._chunks(entry, args)
        if isinstance(chunks, AsyncIterable):
            task = asyncio.create_task(self._speak(entry, chunks, say, end))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return task
        try:
            for chunk in chunks:
                say(chunk)
        except Exception as failure:
            end(self._script.failure_of(entry, failure))
        else:
            end()
        return None

    async def aclose(self) -> None:
        """End all that still speak."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _chunks(self, entry: Entry, args: Any) -> Iterable[Any] | AsyncIterable[Any]:
        chunks: Any = entry.answer
        try:
            return chunks(dict(args)) if callable(chunks) else chunks  # type: ignore[no-any-return]
        except Exception as error:
            raise self._script.failure_of(entry, error) from None

    async def _speak(
        self, entry: Entry, chunks: AsyncIterable[Any], say: Callable[[Any], None], end: Callable[..., None]
    ) -> None:
        try:
            async for chunk in chunks:
                say(chunk)
        except Exception as failure:
            end(self._script.failure_of(entry, failure))
        else:
            end()
