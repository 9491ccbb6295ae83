"""One shard: its rows, its live queries, and the sockets that are connected to it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from lunora_rx.devserver.answers import Answer, Failure, answer_of
from lunora_rx.devserver.contexts import MutationContext, QueryContext
from lunora_rx.devserver.functions import Function
from lunora_rx.devserver.live import LiveQueries, LiveQuery, Ran
from lunora_rx.devserver.refusals import refusal_of
from lunora_rx.devserver.runs import Runs
from lunora_rx.devserver.settings import Limits
from lunora_rx.devserver.shapes import Defined, LiveShapes
from lunora_rx.devserver.store import Recorded, Store
from lunora_rx.devserver.tables import Reader, Table, Writer
from lunora_rx.devserver.tracking import Change, Read
from lunora_rx.devserver.works import Works
from lunora_rx.protocol.rpc import Accepted, Outcome, Refused
from lunora_rx.protocol.text import parse

__all__ = ["Caller", "Member", "Shard"]


@dataclass(frozen=True, slots=True)
class Caller:
    """On whose behalf a call runs, and how a repetition of it is known.

    Attributes:
        subject: The verified subject, or ``None``.
        client_id: What the client calls itself.
        mutation_id: Its idempotency key, on a mutation.
        base_seq: The cursor it had seen when it composed the call.
    """

    subject: str | None = None
    client_id: str | None = None
    mutation_id: str | None = None
    base_seq: int | None = None

    @property
    def namespace(self) -> str:
        """Within which mutation ids are unique: the subject's, else the client's."""
        return f"client:{self.client_id or ''}" if self.subject is None else f"subject:{self.subject}"


class Member(Protocol):
    """A socket that is connected to the shard."""

    client_id: str | None
    topics: set[str]

    def end(self, code: int) -> None:
        """Leave the shard and have the socket closed with this code."""

    def settle(self) -> None:
        """Let every subscription learn the cursor that was reached."""

    def receive_whisper(self, topic: str, data: Any, sender: str | None) -> None:
        """Take what another member told a topic."""


class Shard:
    """Carries out queries and mutations of one shard, and keeps its live queries and shapes current.

    Everything happens at once and in order: there is no moment at which a commit is done and
    a live query does not know.

    Attributes:
        name: The shard's name.
        store: Its database.
        live: Its live queries.
        shapes: Its shapes.
        runs: Its durable streams.
        members: The sockets connected to it.
    """

    def __init__(
        self, name: str, store: Store, *, version: str = "", limits: Limits | None = None, works: Works | None = None
    ) -> None:
        limits = limits or Limits()
        self.name = name
        self.store = store
        self.live = LiveQueries(self._run_live, lambda: (self.cursor, self.epoch))
        self.shapes = LiveShapes(self._define)
        self.runs = Runs(
            store.transcripts,
            works or Works(),
            new_generation=store.new_row_id,
            chunk_limit=limits.run_chunks,
            retention=limits.transcript_retention,
        )
        self.members: dict[Member, None] = {}
        self._version = version
        self._reply_retention = limits.reply_retention
        self._is_busy = False
        self._waiting: deque[Callable[[], None]] = deque()

    @property
    def cursor(self) -> int:
        """Position of the latest commit."""
        return self.store.cursor

    @property
    def epoch(self) -> str:
        """Names the history that cursors belong to; changes with the code of the functions as well."""
        return f"{self.store.epoch}{self._version}"

    def run_query(self, function: Function, args: Mapping[str, Any], identity: str | None) -> Ran:
        """Run a query once; a failure is part of what it gives."""
        reads: list[Read] = []
        context = QueryContext(Reader(self.store, reads.append), identity, self.name)
        try:
            answer: Answer | Failure = answer_of(function.handler(context, **args))
        except Exception as error:
            refusal = refusal_of(error, function.path)
            answer = Failure(refusal.code or "INTERNAL", refusal.message, refusal)
        return Ran(answer, tuple(reads))

    def query(self, function: Function, args: Mapping[str, Any], identity: str | None) -> Outcome:
        """Answer a one-shot query."""
        answer = self.run_query(function, args, identity).answer
        return Accepted(answer.tree) if isinstance(answer, Answer) else Refused(answer.error)

    def mutate(self, function: Function, args: Mapping[str, Any], caller: Caller) -> Outcome:
        """Carry a mutation out, once for each mutation id, and bring live queries and shapes up to date."""
        try:
            with self.uninterrupted():
                return self._recorded(caller) or self._commit(function, args, caller)
        except Exception as error:
            return Refused(refusal_of(error, function.path))

    def write(self, act: Callable[[Writer], object]) -> None:
        """Carry out writes that no call asked for, in one transaction."""
        with self.uninterrupted():
            with self.store.transaction() as writes:
                act(Writer(self.store, writes))
            self._tell(writes.changes())

    @contextmanager
    def uninterrupted(self) -> Iterator[None]:
        """Hold back what ``when_quiet`` is given: nobody may write while sockets are being told of a write."""
        was_busy, self._is_busy = self._is_busy, True
        try:
            yield
        finally:
            self._is_busy = was_busy
            self._carry_out_waiting()

    def when_quiet(self, act: Callable[[], None]) -> None:
        """Do something that writes: now, or as soon as the write that is going on is told to all."""
        self._waiting.append(act)
        self._carry_out_waiting()

    def is_unchanged(self, reads: tuple[Read, ...], since: int | None, epoch: object) -> bool:
        """Tell whether a query with these reads gives what it gave at a position that a client names."""
        if since is None or epoch != self.epoch or since > self.cursor:
            return False
        return self.store.log.is_unchanged(reads, since)

    def whisper(self, topic: str, data: Any, sender: Member, name: str | None) -> None:
        """Tell a topic's members something; the sender does not hear itself."""
        for member in list(self.members):
            if member is not sender and topic in member.topics:
                member.receive_whisper(topic, data, name)

    def _recorded(self, caller: Caller) -> Outcome | None:
        if caller.mutation_id is None:
            return None
        recorded = self.store.recorded(caller.namespace, caller.mutation_id)
        return None if recorded is None else Accepted(parse(recorded.result), recorded.cursor)

    def _commit(self, function: Function, args: Mapping[str, Any], caller: Caller) -> Outcome:
        with self.store.transaction() as writes:
            context = MutationContext(Writer(self.store, writes), caller.subject, self.name, caller.base_seq)
            answer = answer_of(function.handler(context, **args))
            cursor = self.store.next_cursor(writes)
            if caller.mutation_id is not None:
                reply = Recorded(answer.text, cursor, caller.base_seq)
                self.store.record(caller.namespace, caller.mutation_id, reply)
                self.store.prune_replies(self._reply_retention)
        self._tell(writes.changes())
        self._settle(caller.client_id)
        return Accepted(answer.tree, cursor)

    def _tell(self, changes: Sequence[Change]) -> None:
        self.live.apply(changes)
        self.shapes.apply(changes)

    def _carry_out_waiting(self) -> None:
        while self._waiting and not self._is_busy:
            self._waiting.popleft()()

    def _settle(self, client_id: str | None) -> None:
        # The writer may have patched any of its queries before it asked: all of them must reach the
        # cursor of the commit, or a patch over a query that the write did not touch would stay for ever.
        if client_id is None:
            return
        for member in self.members:
            if member.client_id == client_id:
                member.settle()

    def _run_live(self, query: LiveQuery) -> Ran:
        return self.run_query(query.function, query.args, query.identity)

    def _define(self, function: Function, args: Mapping[str, Any], identity: str | None) -> Defined:
        reads: list[Read] = []
        context = QueryContext(Reader(self.store, reads.append), identity, self.name)
        try:
            named = function.handler(context, **args)
            if not isinstance(named, Table):
                raise TypeError(f"a shape returns ctx.db.table(...), narrowed by where, not {type(named).__name__}")
        except Exception as error:
            refusal = refusal_of(error, function.path)
            return Defined(Failure(refusal.code or "INTERNAL", refusal.message, refusal), tuple(reads))
        return Defined(named, tuple(reads))
