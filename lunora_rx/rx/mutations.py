"""The mutations of a client that have no verdict yet, as their callers hold them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from lunora_rx.core.events import MutationQueued, MutationSent, PendingChanged, ReplayProgressed, TransformFailed
from lunora_rx.core.events import MutationSettled as Verdict
from lunora_rx.errors import ClientClosedError, CodecError, LunoraError
from lunora_rx.protocol.rpc import Accepted
from lunora_rx.protocol.wire import decode_wire
from lunora_rx.rx.calls import Mutation, Phase, result_of
from lunora_rx.rx.observers import OnError
from lunora_rx.rx.subject import Latest, Signal

_log = logging.getLogger("lunora_rx.queue")


@dataclass(frozen=True, slots=True)
class MutationSettled:
    """What became of a write that had to wait in the queue.

    Attributes:
        mutation_id: Its idempotency key.
        function: The mutation, as ``"file:function"``.
        args: Its arguments.
        shard: The shard key, ``None`` for the default shard.
        status: ``"committed"`` or ``"rejected"``.
        code: Why it was rejected, or ``None``.
        error: The exception that its ``Mutation`` raises, or ``None``.
        had_awaiter: Whether somebody of this process was waiting for it.
    """

    mutation_id: str
    function: str
    args: Any
    shard: str | None
    status: Literal["committed", "rejected"]
    code: str | None = None
    error: LunoraError | None = None
    had_awaiter: bool = True


@dataclass(frozen=True, slots=True)
class ReplayProgress:
    """How far the replay of queued writes has come, over all shards, since it last began.

    Attributes:
        total: How many writes it took on.
        settled: How many of them have a verdict.
        kept: How many went back to the queue, to be tried again.
        is_running: Whether it goes on.
    """

    total: int = 0
    settled: int = 0
    kept: int = 0
    is_running: bool = False


class Mutations:
    """The face of the core's writes.

    Args:
        report: Takes what observers raise.
        report_transform: Takes what patches raise.
        is_durable: Whether writes that wait outlive the client.

    Attributes:
        pending: How many writes wait in the queue.
        settled: What became of each that waited.
        progress: How far their replay has come.
    """

    def __init__(self, report: OnError, report_transform: OnError, *, is_durable: bool = False) -> None:
        self._is_durable = is_durable
        self.pending: Latest[int] = Latest(0, report, title="client.pending")
        self.settled: Signal[MutationSettled] = Signal(report)
        self.progress: Latest[ReplayProgress] = Latest(ReplayProgress(), report, title="client.replay")
        self._report = report
        self._report_transform = report_transform
        self._open: dict[str, Mutation[Any]] = {}

    def __len__(self) -> int:
        return len(self._open)

    def add(self, title: str, mutation_id: str, cancel: Callable[[str], bool]) -> Mutation[Any]:
        """Return the ``Mutation`` of a write that is about to be composed.

        Raises:
            ValueError: One with this id has no verdict yet.
        """
        if mutation_id in self._open:
            raise ValueError(f"mutation_id {mutation_id!r} is that of a mutation that has no verdict yet")
        mutation: Mutation[Any] = Mutation(
            title, self._report, lambda: self._withdraw(mutation_id, cancel), mutation_id=mutation_id
        )
        self._open[mutation_id] = mutation
        return mutation

    def show_queued(self, event: MutationQueued) -> None:
        """Tell that a write waits."""
        self._enter(event.mutation_id, Phase.QUEUED)

    def show_sent(self, event: MutationSent) -> None:
        """Tell that a write goes out."""
        self._enter(event.mutation_id, Phase.SENT)

    def show_pending(self, event: PendingChanged) -> None:
        """Tell how many writes wait."""
        self.pending.set(event.count)

    def show_progress(self, event: ReplayProgressed) -> None:
        """Tell how far the replay has come."""
        self.progress.set(ReplayProgress(event.total, event.settled, event.kept, event.is_running))

    def forget(self, mutation_id: str) -> None:
        """Let go of a write that was never taken on."""
        self._open.pop(mutation_id, None)

    def show_failed_transform(self, event: TransformFailed) -> None:
        """Report a patch that raised."""
        self._report_transform(event.error)

    def settle(self, event: Verdict) -> None:
        """Give a write its verdict."""
        mutation = self._open.pop(event.record.mutation_id, None)
        result = result_of(event.outcome)
        if mutation is not None:
            mutation.settle(result)
        had_awaiter = event.had_awaiter and mutation is not None and not mutation.is_detached
        if event.was_queued and self.settled.is_watched:
            self.settled.emit(_settled(event, result, had_awaiter=had_awaiter))

    def close(self) -> None:
        """Fail what has no verdict; that is no verdict either."""
        mutations, self._open = self._open, {}
        # What is on the disk is carried out by the next process, and whoever watches is told; of the rest nobody tells.
        unwatched = [each for each in mutations.values() if not each.is_watched]
        lost = [each for each in unwatched if not (self._is_durable and self._is_stored(each))]
        if lost:
            message = "the client was closed with %d writes under way that nobody waited for, such as %r"
            _log.warning(message, len(lost), lost[0])
        for mutation in mutations.values():
            mutation.settle(ClientClosedError("the client was closed before the write had a verdict"))
        self.pending.complete()
        self.settled.complete()
        self.progress.complete()

    def _is_stored(self, mutation: Mutation[Any]) -> bool:
        phases = mutation.phases
        return phases.has_entered(Phase.QUEUED) or not phases.has_entered(Phase.SENT)

    def _withdraw(self, mutation_id: str, cancel: Callable[[str], bool]) -> bool:
        if not cancel(mutation_id):
            return False
        self._open.pop(mutation_id, None)
        return True

    def _enter(self, mutation_id: str, phase: Phase) -> None:
        mutation = self._open.get(mutation_id)
        if mutation is not None:
            mutation.phases.enter(phase)


def _settled(event: Verdict, result: Accepted | LunoraError, *, had_awaiter: bool) -> MutationSettled:
    record = event.record
    error = None if isinstance(result, Accepted) else result
    # A result that cannot be decoded here belongs to a write that was carried out.
    is_committed = isinstance(event.outcome, Accepted)
    return MutationSettled(
        record.mutation_id,
        record.function_path,
        _decoded(record.args),
        record.shard or None,
        "committed" if is_committed else "rejected",
        None if error is None else error.code,
        error,
        had_awaiter,
    )


def _decoded(args: Any) -> Any:
    try:
        return decode_wire(args, root="args")
    except CodecError:
        return args
