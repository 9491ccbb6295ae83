"""The durable runs of one shard: producers that no socket owns, and the transcripts they leave.

Source: ``docs/protocol.md``, section "Procedure streams".
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from typing import Any, Final, Protocol

from lunora_rx.devserver.answers import Failure
from lunora_rx.devserver.producer import Chunks, Producer
from lunora_rx.devserver.refusals import AppError
from lunora_rx.devserver.transcripts import Ending, Transcript, Transcripts
from lunora_rx.devserver.works import Works

__all__ = ["INTERRUPTED", "Follower", "Run", "Runs", "interrupted"]

logger = logging.getLogger("lunora_rx.devserver")

INTERRUPTED: Final = "STREAM_INTERRUPTED"


class Follower(Protocol):
    """Somebody who reads a run's transcript as it grows."""

    def receive_progress(self) -> None:
        """Learn that there are more chunks, or that the run has ended."""


class Run:
    """One run, going on or finished.

    Attributes:
        generation: What clients know it by.
        last_seq: Number of its latest chunk.
        ending: How it ended; ``None`` while it goes on.
    """

    def __init__(self, transcripts: Transcripts, stored: Transcript, *, chunk_limit: int) -> None:
        self.generation = stored.generation
        self.last_seq = stored.last_seq
        self.ending = stored.ending
        self.producer: Producer | None = None
        self.on_end: Callable[[Ending], None] = lambda ending: None
        self._transcripts = transcripts
        self._number = stored.number
        self._chunk_limit = chunk_limit
        self._followers: dict[Follower, None] = {}

    @property
    def number(self) -> int:
        """Its number in the database."""
        return self._number

    @property
    def wants_more(self) -> bool:
        """Whether it goes on: nobody has to follow it."""
        return self.ending is None

    def receive_chunk(self, text: str) -> None:
        """Store a chunk, and tell those who follow."""
        if self.last_seq >= self._chunk_limit:
            self.end(Ending("PAYLOAD_TOO_LARGE", f"a run has at most {self._chunk_limit} chunks"))
            return
        self._transcripts.append(self._number, self.last_seq + 1, text)
        self.last_seq += 1
        self._tell()

    def receive_end(self, failure: Failure | None) -> None:
        """Store how the run ended, and tell those who follow."""
        self.end(Ending() if failure is None else Ending(failure.code, failure.message))

    def end(self, ending: Ending) -> None:
        """Bring the run to an end; one that has ended stays as it is."""
        if self.ending is not None:
            return
        self.ending = ending
        self.on_end(ending)
        self._tell()
        if self.producer is not None:
            self.producer.cancel()

    def read(self, after: int, limit: int) -> list[tuple[int, str]]:
        """Return chunks that follow on one; none where the transcript was forgotten."""
        return self._transcripts.read(self._number, after, limit)

    def follow(self, follower: Follower) -> None:
        """Tell somebody of progress from now on."""
        self._followers[follower] = None

    def leave(self, follower: Follower) -> None:
        """Tell somebody no more; the run goes on."""
        self._followers.pop(follower, None)

    def _tell(self) -> None:
        for follower in list(self._followers):
            follower.receive_progress()


class Runs:
    """Knows the run of each key: one at a time, shared by all who ask for it."""

    def __init__(
        self,
        transcripts: Transcripts,
        works: Works,
        *,
        new_generation: Callable[[], str],
        chunk_limit: int = 100_000,
        retention: int = 1000,
    ) -> None:
        self._transcripts = transcripts
        self._works = works
        self._new_generation = new_generation
        self._chunk_limit = chunk_limit
        self._retention = retention
        self._going: dict[str, Run] = {}

    def __len__(self) -> int:
        return len(self._going)

    def resume(self, key: str, generation: Any, since: int) -> Run:
        """Return the run that a client has read up to a chunk.

        Raises:
            AppError: It is gone or was replaced; code ``STREAM_INTERRUPTED``.
        """
        run = self._known(key)
        if run is None or run.generation != generation or not 0 <= since <= run.last_seq:
            raise interrupted()
        return run

    def join(self, key: str, path: str, open_chunks: Callable[[], Chunks]) -> Run:
        """Return the run of a key, which begins if there is none or if it failed."""
        run = self._known(key)
        if run is not None and (run.ending is None or run.ending.code is None):
            return run
        generation = self._new_generation()
        stored = Transcript(self._transcripts.begin(key, generation), generation, None, 0)
        run = self._going[key] = self._run_of(stored)
        run.on_end = lambda ending: self._finish(key, run, ending)
        run.producer = Producer(path, open_chunks, run, self._works)
        run.producer.resume()
        return run

    def interrupt(self) -> None:
        """End what goes on, as a restart does: no transcript of it is left."""
        going, self._going = self._going, {}
        for run in going.values():
            run.on_end = lambda ending: None
            run.end(Ending(INTERRUPTED, _MESSAGE))
        self._transcripts.forget_unfinished()

    def forget(self) -> None:
        """End what goes on, and forget every transcript."""
        self.interrupt()
        self._transcripts.forget_all()

    def _known(self, key: str) -> Run | None:
        if key in self._going:
            return self._going[key]
        stored = self._transcripts.find(key)
        # One without an ending that does not go on is what a full disk has left.
        return None if stored is None or stored.ending is None else self._run_of(stored)

    def _run_of(self, stored: Transcript) -> Run:
        return Run(self._transcripts, stored, chunk_limit=self._chunk_limit)

    def _finish(self, key: str, run: Run, ending: Ending) -> None:
        self._going.pop(key, None)
        try:
            self._transcripts.finish(run.number, ending, keep=self._retention)
        except sqlite3.Error as error:
            logger.error("the end of a durable run is not stored: %s", error)


_MESSAGE: Final = "the run of this stream is gone or was replaced; start it anew"


def interrupted() -> AppError:
    """Return the refusal of a run that cannot be followed any more."""
    return AppError(INTERRUPTED, _MESSAGE)
