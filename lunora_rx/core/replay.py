"""One pass over a shard's queued mutations: what to send next, and what a reply means for each.

Knows chunks, halves and verdicts. Does not know the queue, nor when the next pass begins.
Source: ``docs/protocol.md``, sections "Batch" and "One pass".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from lunora_rx.core.offline_queue import Write
from lunora_rx.errors import LunoraError, ServerError, TransportError
from lunora_rx.protocol.rpc import (
    MAX_BATCH_BYTES,
    MAX_BATCH_ENTRIES,
    Accepted,
    Outcome,
    Refused,
    RpcCall,
    Verdict,
    encode_batch,
    verdict_of,
)


@dataclass(slots=True)
class Findings:
    """What a reply settled: verdicts in call order, what is kept, and why."""

    settled: list[tuple[Write, Outcome]] = field(default_factory=list)
    kept: list[Write] = field(default_factory=list)
    reasons: list[LunoraError | None] = field(default_factory=list)

    def add(self, write: Write, outcome: Outcome | None) -> None:
        """File one write under its outcome; ``None`` is an answer that cannot be read."""
        if outcome is None:
            self.kept.append(write)
            self.reasons.append(None)
        elif isinstance(outcome, Accepted) or verdict_of(outcome.error) is Verdict.REJECTED:
            self.settled.append((write, outcome))
        else:
            self.kept.append(write)
            self.reasons.append(outcome.error)


class ReplayPass:
    """The writes of one shard on their way, one request at a time.

    Args:
        writes: In order; each goes out once.

    Attributes:
        size: How many writes it took on.
        kept: Writes that were not settled, in order; they go back to the front of the queue.
        reasons: Why each was kept: an error, or ``None`` for an answer that cannot be read.
        has_verdict: Whether the server settled anything in this pass.
        batch: The calls of the chunk that was taken last, and the body that carries them; not of a single write.
    """

    def __init__(self, writes: Sequence[Write]) -> None:
        self.size = len(writes)
        self.kept: list[Write] = []
        self.reasons: list[LunoraError | None] = []
        self.has_verdict = False
        self._chunks = deque(_chunks_of(writes))
        self._current: list[Write] = []
        self.batch: tuple[list[RpcCall], bytes] = ([], b"")

    def next_chunk(self) -> list[Write]:
        """Take the writes of the next request; none when the pass is over. A body too large is halved first."""
        while self._chunks:
            chunk = self._chunks.popleft()
            if len(chunk) == 1 or self._fits(chunk):
                self._current = chunk
                return chunk
            self._chunks.extendleft(reversed(_halves(chunk)))
        return []

    def _fits(self, chunk: list[Write]) -> bool:
        calls = [call_of(write) for write in chunk]
        self.batch = calls, encode_batch(calls)
        return len(self.batch[1]) <= MAX_BATCH_BYTES

    def receive_single(self, outcome: Outcome) -> Findings:
        """File the reply to a single write; one that is kept stops the pass."""
        write, findings = self._current[0], Findings()
        if isinstance(outcome, Refused) and outcome.error.status == 413:
            message = f"{write.record.function_path!r} is too large for the server"
            outcome = Refused(ServerError(message, code="PAYLOAD_TOO_LARGE", status=413))
        findings.add(write, outcome)
        return self._file(findings)

    def receive_batch(self, slots: list[Outcome | None] | Refused) -> Findings:
        """File the reply to a batch: a body too large is halved, any other failure counts for every entry."""
        chunk, findings = self._current, Findings()
        if isinstance(slots, Refused) and slots.error.status == 413:
            self._chunks.extendleft(reversed(_halves(chunk)))
            return findings
        outcomes: Sequence[Outcome | None] = slots if isinstance(slots, list) else [_of_all(slots)] * len(chunk)
        for write, outcome in zip(chunk, outcomes, strict=True):
            findings.add(write, outcome)
        return self._file(findings)

    def _file(self, findings: Findings) -> Findings:
        self.has_verdict = self.has_verdict or bool(findings.settled)
        self.kept += findings.kept
        self.reasons += findings.reasons
        if findings.kept:
            self.kept += [write for chunk in self._chunks for write in chunk]
            self._chunks.clear()
        return findings


def call_of(write: Write) -> RpcCall:
    """Return the call that carries a queued mutation, as it was fixed when composed."""
    record = write.record
    return RpcCall(
        record.function_path,
        record.args,
        record.shard,
        mutation_id=record.mutation_id,
        client_id=record.client_id,
        baseline=record.baseline,
    )


def _of_all(refused: Refused) -> Refused:
    """Return what a refusal of a whole batch means for each entry: a mere HTTP status is no verdict on any."""
    if refused.is_readable or verdict_of(refused.error) is not Verdict.REJECTED:
        return refused
    error = refused.error
    return Refused(TransportError(error.message, code="INTERNAL", status=error.status, transient=True))


def _chunks_of(writes: Sequence[Write]) -> Iterator[list[Write]]:
    rest = iter(writes)
    while chunk := list(islice(rest, MAX_BATCH_ENTRIES)):
        yield chunk


def _halves(chunk: list[Write]) -> list[list[Write]]:
    middle = (len(chunk) + 1) // 2
    return [chunk[:middle], chunk[middle:]]
