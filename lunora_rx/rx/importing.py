"""Imports: many rows as writes, one chunk after another, with progress.

Source: ``docs/protocol.md``, section "Import".
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Protocol, TypeAlias

from reactivex import abc

from lunora_rx.errors import ClientClosedError, CodecError, LunoraError
from lunora_rx.protocol.rpc import Accepted
from lunora_rx.rx.calls import Call, Mutation, Phase
from lunora_rx.rx.observers import OnError

QUEUED_CHUNKS: Final = 10
"""How many chunks of one import wait in the offline queue at most; the next is made when one of them is settled."""

Rows: TypeAlias = Iterable[Any] | AsyncIterable[Any]
Send: TypeAlias = Callable[[Mapping[str, Any], str], Mutation[Any]]

_log = logging.getLogger("lunora_rx.queue")


@dataclass(frozen=True, slots=True)
class ImportProgress:
    """How far an import has come.

    Attributes:
        chunks: How many chunks were made so far.
        imported: How many rows the server has committed.
        queued: How many rows wait for the connection, or are on their way after they did.
        total: How many rows there are, ``None`` where that is not known before the end.
        is_done: Whether every row is committed.
    """

    chunks: int = 0
    imported: int = 0
    queued: int = 0
    total: int | None = None
    is_done: bool = False


class Task(Protocol):
    """Something that runs and can be given up."""

    def cancel(self) -> object:
        """Give it up."""
        ...


class Chunk:
    """Rows that were sent and have no verdict yet."""

    __slots__ = ("index", "mutation", "rows", "was_queued")

    def __init__(self, index: int, rows: int, mutation: Mutation[Any]) -> None:
        self.index = index
        self.rows = rows
        self.mutation = mutation
        self.was_queued = False


class Import(Call[ImportProgress]):
    """Rows on their way to the server.

    Each observer gets the latest progress at once, then each that follows, and the end; awaiting gives the last one.
    A chunk is made when the one before is committed. While the connection is down chunks wait in the offline queue,
    a few at once. A chunk that is rejected ends the import with its error, whose ``data`` says how far it came; chunks
    behind it that were not sent yet are taken back.

    It knows the chunks under way. It does not know how they are sent, nor keeps rows that were.

    Args:
        import_id: What the ids of its mutations begin with; the same rows under the same id are written once.
        rows: An iterable or async iterable of rows, read a chunk at a time.
        send: Writes the arguments of one chunk under a mutation id.
        report: Takes what observers raise.
        spawn: Runs a coroutine; asked only for an async iterable.
        chunk_size: How many rows a chunk holds.
        to_args: Makes the arguments of the mutation from the rows of a chunk.
        limit: How many chunks may wait in the offline queue.

    Raises:
        TypeError: ``rows`` are no rows: a data frame, or, without ``to_args``, an open file or a list of texts.
    """

    def __init__(
        self,
        import_id: str,
        rows: Rows,
        send: Send,
        report: OnError,
        *,
        spawn: Callable[[Coroutine[Any, Any, None]], Task],
        chunk_size: int = 500,
        to_args: Callable[[list[Any]], Mapping[str, Any]] | None = None,
        limit: int = QUEUED_CHUNKS,
    ) -> None:
        super().__init__(f"import {import_id!r}", report, lambda: False)
        self.import_id = import_id
        self._rows = _iterator(rows)
        if to_args is None:
            _refuse_lines(rows)
        self._send = send
        self._spawn = spawn
        self._size = chunk_size
        self._to_args = to_args or _as_rows
        self._limit = limit
        self._total = len(rows) if isinstance(rows, Sized) else None
        self._chunks = self._imported = 0
        self._open: list[Chunk] = []
        self._pulling: Task | None = None
        self._is_exhausted = self._is_advancing = self._is_telling = False
        self._failure: LunoraError | None = None
        self._failed_at: int | None = None
        self._ending: Accepted | LunoraError | None = None
        self._shown = ImportProgress(total=self._total)
        self._untold: deque[ImportProgress] = deque()

    def start(self) -> None:
        """Send what can be sent now; the rest follows by itself."""
        self._advance()

    def cancel(self) -> bool:
        """Stop after the chunk under way, for everybody; tells whether that was still possible.

        Chunks that were not sent yet are taken back. Whoever awaits gets a ``LunoraError`` with code ``CANCELLED``,
        whose ``data`` says how far it came, once the chunk under way has its verdict.
        """
        if self._ending is not None or self._failure is not None:
            return False
        self._check_loop("cancel()")
        self._was_seen = True
        self._stop(LunoraError("it was cancelled", code="CANCELLED"))
        return True

    def close(self) -> None:
        """End it with the client; what waits in the queue stays there. If nobody is there to be told, the log is."""
        if self._ending is None and self._failure is None and not self.is_watched:
            rows = "rows" if self._total is None else f"of {self._total} rows"
            message = "the import %s ended at %d %s, with its client: nobody waited for it"
            _log.warning(message, self.import_id, self._imported, rows, extra={"import_id": self.import_id})
        self._failure = self._failure or ClientClosedError("the client was closed")
        self._stop_pulling()
        self._finish()

    def _advance(self) -> None:
        # What is sent may be queued, and told so, before the call that sends it returns.
        if self._is_advancing or self._ending is not None:
            return
        self._is_advancing = True
        try:
            while self._has_room:
                self._pull()
        finally:
            self._is_advancing = False
        if not self._open and (self._failure or self._is_exhausted):
            self._finish()

    @property
    def _has_room(self) -> bool:
        if self._failure or self._is_exhausted or self._pulling:
            return False
        return len(self._open) < self._limit and all(chunk.was_queued for chunk in self._open)

    def _pull(self) -> None:
        if isinstance(self._rows, AsyncIterator):
            self._pulling = self._spawn(self._pull_async(self._rows))
            return
        try:
            rows = list(islice(self._rows, self._size))
        except Exception as error:
            self._stop(_failure_of("reading the rows", error))
        else:
            self._take(rows)

    async def _pull_async(self, source: AsyncIterator[Any]) -> None:
        rows: list[Any] = []
        failure: LunoraError | None = None
        try:
            while len(rows) < self._size:
                rows.append(await anext(source))
        except StopAsyncIteration:
            pass  # what came before the end is the last chunk
        except Exception as error:
            failure = _failure_of("reading the rows", error)
        self._pulling = None
        if failure is None:
            self._take(rows)
            self._advance()
        else:
            self._stop(failure)

    def _take(self, rows: list[Any]) -> None:
        self._is_exhausted = len(rows) < self._size
        if not rows or self._failure:
            return
        try:
            args = self._to_args(rows)
        except Exception as error:
            self._stop(_failure_of("to_args", error), self._chunks)
            return
        try:
            mutation = self._send(args, f"{self.import_id}:{self._chunks}")
        except Exception as error:
            self._stop(_failure_of("the mutation", error), self._chunks)
            return
        self._follow(Chunk(self._chunks, len(rows), mutation))

    def _follow(self, chunk: Chunk) -> None:
        self._chunks += 1
        self._open.append(chunk)
        chunk.mutation.phases.subscribe(lambda phase: self._note_phase(chunk, phase))
        chunk.mutation.subscribe(lambda _: self._commit(chunk), lambda error: self._receive_error(chunk, error))
        self._tell()

    def _note_phase(self, chunk: Chunk, phase: Phase) -> None:
        if phase is not Phase.QUEUED:
            return
        chunk.was_queued = True
        if self._failure:
            # It came back from the way while the import ends: it is not waited for until the connection is back.
            chunk.mutation.cancel()
            return
        self._tell()
        self._advance()

    def _commit(self, chunk: Chunk) -> None:
        if self._ending is not None:
            return
        self._open.remove(chunk)
        self._imported += chunk.rows
        # The last progress is told with the end.
        if self._open or not self._is_exhausted:
            self._tell()
        self._advance()

    def _receive_error(self, chunk: Chunk, error: Exception) -> None:
        if self._ending is not None:
            return
        if isinstance(error, CodecError):
            # Its result cannot be read here: it was carried out.
            self._commit(chunk)
            return
        assert isinstance(error, LunoraError)
        self._open.remove(chunk)
        self._stop(error, chunk.index)

    def _stop(self, failure: LunoraError, index: int | None = None) -> None:
        if self._failure is None:
            self._failure, self._failed_at = failure, index
            self._stop_pulling()
            for chunk in reversed(self._open.copy()):
                chunk.mutation.cancel()
        self._advance()

    def _stop_pulling(self) -> None:
        pulling, self._pulling = self._pulling, None
        if pulling is not None:
            pulling.cancel()

    def _finish(self) -> None:
        if self._ending is not None:
            return
        if self._failure is None:
            self._ending = Accepted(self._progress(is_done=True))
        else:
            self._ending = self._located(self._failure)
        # A generator that was left in the middle lets go of what it holds.
        self._rows = iter(())
        self._deliver()

    def _progress(self, *, is_done: bool = False) -> ImportProgress:
        queued = sum(chunk.rows for chunk in self._open if chunk.was_queued)
        return ImportProgress(self._chunks, self._imported, queued, self._total, is_done)

    def _located(self, failure: LunoraError) -> LunoraError:
        progress, located = self._progress(), failure.copy()
        where = "" if self._failed_at is None else f" at chunk {self._failed_at}"
        located.message = f"{self._title} stopped{where}, {progress.imported} rows imported: {failure.message}"
        located.args = (located.message,)
        located.data = {
            "import_id": self.import_id,
            "chunk": self._failed_at,
            "chunks": progress.chunks,
            "imported": progress.imported,
            "queued": progress.queued,
            "cause": failure.data,
        }
        return located

    def _tell(self) -> None:
        progress = self._progress()
        if progress != (self._untold[-1] if self._untold else self._shown):
            self._untold.append(progress)
            self._deliver()

    def _deliver(self) -> None:
        # An observer that cancels the import ends it for those who are not told yet, too: each in its turn.
        if self._is_telling:
            return
        self._is_telling = True
        try:
            while self._untold:
                self._shown = self._untold.popleft()
                self._observers.next(self._shown)
        finally:
            self._is_telling = False
        if self._ending is not None:
            self.settle(self._ending)

    def _subscribe_core(
        self, observer: abc.ObserverBase[ImportProgress], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        handle = super()._subscribe_core(observer, scheduler)
        if self.is_settled:
            return handle
        was_telling, self._is_telling = self._is_telling, True
        try:
            self._observers.replay(observer, self._shown)
        finally:
            self._is_telling = was_telling
        self._deliver()
        return handle


def _refuse_lines(rows: Any) -> None:
    # Lines are rows for who makes arguments of them, and for nobody else.
    if hasattr(rows, "readline"):
        raise TypeError(
            f"rows is an iterable of rows, not an open file ({type(rows).__name__}), whose lines are texts; read rows"
            " from it first, such as with csv.DictReader(file), or give to_args, which makes them of lines"
        )
    if isinstance(rows, list | tuple) and rows and isinstance(rows[0], str | bytes):
        raise TypeError(_no_row(rows[0]))


def _no_row(line: object) -> str:
    return (
        f"a row is an object with fields, not a text ({type(line).__name__}); make rows first, such as with"
        " csv.DictReader(lines) or map(json.loads, lines), or give to_args, which makes them of lines"
    )


def _records_of(frame: Any) -> str:
    if hasattr(frame, "to_dicts"):
        return "df.to_dicts()"
    return 'df.to_dict("records")'


def _iterator(rows: Any) -> Iterator[Any] | AsyncIterator[Any]:
    kind = type(rows).__name__
    # A frame iterates over the names of its columns, a mapping over its keys: neither is what was meant.
    if isinstance(rows, str | bytes | bytearray | Mapping):
        raise TypeError(f"rows is an iterable of rows, not {kind}")
    if hasattr(rows, "to_dict"):
        raise TypeError(f"rows is an iterable of rows, not {kind}; of a data frame pass {_records_of(rows)}")
    if isinstance(rows, Iterable):
        return iter(rows)
    if isinstance(rows, AsyncIterable):
        return aiter(rows)
    raise TypeError(f"rows is an iterable or async iterable of rows, not {kind}")


def _as_rows(rows: list[Any]) -> Mapping[str, Any]:
    line = next((row for row in rows if isinstance(row, str | bytes)), None)
    if line is not None:
        raise LunoraError(_no_row(line))
    return {"rows": rows}


def _failure_of(what: str, error: Exception) -> LunoraError:
    if isinstance(error, LunoraError):
        return error
    failure = LunoraError(f"{what} raised {type(error).__name__}: {error}")
    failure.__cause__ = error
    return failure
