"""Our own mutations: send now or queue, when to replay, what a verdict does.

Knows every write from composing to verdict. Asks ``Shards`` how the sockets stand, and ``Calls`` to carry
requests.  Source: ``docs/protocol.md``, section "Offline queue".
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from math import inf
from typing import Any, Final, Protocol

from lunora_rx.core.backoff import Backoff
from lunora_rx.core.calls import Calls, Credential, Slots
from lunora_rx.core.connection import Connection
from lunora_rx.core.events import (
    CredentialRefused,
    Event,
    MutationQueued,
    MutationSent,
    MutationSettled,
    PendingChanged,
    RemoveRecords,
    ReplaceRecord,
    StaleRecordsDropped,
    StoreRecord,
)
from lunora_rx.core.identity import Gate, Identity, gate
from lunora_rx.core.offline_queue import OfflineQueue, Write
from lunora_rx.core.optimistic import Layer
from lunora_rx.core.progress import Progress
from lunora_rx.core.records import QueuedMutation
from lunora_rx.core.replay import Findings, ReplayPass, call_of
from lunora_rx.core.retry import Reason, Retry, Waits, is_credential_refusal
from lunora_rx.errors import CodecError, LunoraError, QueueError
from lunora_rx.protocol.frozen import frozen
from lunora_rx.protocol.rpc import Accepted, Outcome, Refused
from lunora_rx.protocol.text import serialize
from lunora_rx.protocol.values import UNDEFINED, Undefined
from lunora_rx.protocol.wire import decode_wire

MAX_ENDED: Final = 10_000

_PRECONDITION = "OFFLINE_PRECONDITION_FAILED"
_UNENCODABLE = "OFFLINE_WRITE_UNENCODABLE"


class Shards(Protocol):
    """How the sockets stand, as far as writes must know."""

    def connection_of(self, shard: str) -> Connection | None:
        """Return the shard's connection, if it has one."""
        ...

    def is_polled(self, shard: str) -> bool:
        """Tell whether the shard is polled instead of having a socket, and its server answers."""
        ...

    def was_idle_closed(self, shard: str) -> bool:
        """Tell whether the shard's socket was closed because nothing needed it."""
        ...

    def connect(self, shard: str, now: float) -> None:
        """Open the shard's socket unless it is open or opening."""
        ...


@frozen
class WriteOptions:
    """What is fixed for a client's life."""

    queue_limit: int = 1000
    queues_before_first_connect: bool = False
    is_durable: bool = False
    version: str | None = None
    is_cookie_session: bool = False
    timeout: float = 30.0


@dataclass(slots=True)
class ShardWrites:
    """Where one shard's replay stands.

    Attributes:
        replay: The pass that runs.
        identity: Who the pass is sent as: pinned when it begins.
        waiting: What was composed while the pass runs, in order.
        wants_another: Whether a flush was asked for while the pass runs.
        is_held: Whether the pass left out writes because nobody has confirmed whose the token is.
        awaits_records: Whether a flush left out writes whose records are not stored yet.
        retry: When to flush again.
    """

    replay: ReplayPass | None = None
    identity: Identity = field(default_factory=Identity)
    waiting: list[Write] = field(default_factory=list)
    wants_another: bool = False
    is_held: bool = False
    awaits_records: bool = False
    retry: Retry = field(default_factory=Retry)


class Writes:
    """All mutations of one client that have no verdict yet."""

    def __init__(
        self,
        options: WriteOptions,
        calls: Calls,
        shards: Shards,
        *,
        backoff: Backoff,
        random: Callable[[], float],
        emit: Callable[[Event], None],
        settle_layers: Callable[[Write, Outcome], None],
        confirm: Callable[..., None],
    ) -> None:
        self.queue = OfflineQueue(options.queue_limit)
        self.identity = Identity()
        self.is_hydrating = options.is_durable
        self._options = options
        self._calls = calls
        self._shards = shards
        self._waits = Waits(backoff, random)
        self._emit = emit
        self._settle_layers = settle_layers
        self._confirm = confirm
        self._states: dict[str, ShardWrites] = {}
        self._open: dict[str, Write] = {}
        self._ended: dict[str, None] = {}
        self._is_looking = options.is_durable
        self._progress = Progress(emit)
        self._refused_token: str | Undefined | None = UNDEFINED
        self._announced = 0

    @property
    def deadline(self) -> float:
        """When the next retry is due."""
        return min((state.retry.at for state in self._states.values()), default=inf)

    def needs_shard(self, shard: str) -> bool:
        """Tell whether the shard's socket must stay for the sake of a write."""
        state = self._states.get(shard)
        return self.queue.has_shard(shard) or (state is not None and (state.replay is not None or bool(state.waiting)))

    def describe(self, now: float) -> dict[str, Any]:
        """Return what a bug report needs of the writes, as plain values; no arguments are among them."""
        waiting = Counter(write.record.shard for write in self.queue)
        held = Counter(
            each.record.shard for each in self.queue if gate(each.record.identity, self.identity) is Gate.HOLD
        )
        shards = dict.fromkeys([*waiting, *self._states])
        return {
            "is_loading": self.is_hydrating,
            "waiting": len(self.queue),
            "unstored": sum(not write.is_stored for write in self.queue),
            "refused_credential": self._refused_token is not UNDEFINED,
            "shards": {shard: self._describe_shard(shard, waiting[shard], held[shard], now) for shard in shards},
        }

    def _describe_shard(self, shard: str, waiting: int, held: int, now: float) -> dict[str, Any]:
        state = self._states.get(shard) or ShardWrites()
        return {
            "waiting": waiting,
            "held": held,
            "behind_replay": len(state.waiting),
            "replaying": 0 if state.replay is None else state.replay.size,
            "retry_in": None if state.retry.at == inf else max(0.0, state.retry.at - now),
        }

    def compose(self, write: Write, now: float) -> None:
        """Take a new write on: it goes out, or waits behind what waits already.

        One that an earlier process left, and that is made again, keeps the name it may have reached the server under.
        """
        left = self._open.get(write.mutation_id)
        if left is not None:
            write.record = replace(write.record, client_id=left.record.client_id)
        self._open[write.mutation_id] = write
        state = self._states.get(write.record.shard)
        if self.is_hydrating or (state is not None and state.replay is not None):
            self._state(write.record.shard).waiting.append(write)
            return
        self._send_or_queue(write, now)

    def cancel(self, mutation_id: str) -> Write | None:
        """Withdraw a write that was not sent yet; return it, or ``None`` if it is too late."""
        write = self.queue.withdraw(mutation_id) or self._take_waiting(mutation_id)
        if write is None:
            return None
        if write.was_queued:
            self._remove([write.record])
        self._note_end(write)
        self._announce()
        self._forget_done(write.record.shard)
        return write

    def adopt(self, identity: Identity) -> None:
        """Note who is signed in; queued writes that can never go out as them are rejected.

        Then, unless nothing changed, ``flush_all`` sends what may go out now.
        """
        self.identity = identity
        self._restamp(self._unsent())
        for write in list(self.queue):
            if gate(write.record.identity, identity) is Gate.REJECT:
                self.queue.withdraw(write.mutation_id)
                self._reject_foreign(write)
        self._announce()

    def own_layers(self) -> set[Layer]:
        """Return the layers of unsent writes that are the present user's."""
        writes = (write for write in self._unsent() if gate(write.record.identity, self.identity) is Gate.SEND)
        return {layer for write in writes for _, layer in write.layers}

    def receive_stored(self, mutation_ids: Iterable[str], now: float) -> None:
        """Note that records are where they should be: on disk, or in memory if the disk refused."""
        shards: dict[str, None] = {}
        for mutation_id in mutation_ids:
            write = self.queue.get(mutation_id)
            if write is not None and not write.is_stored:
                self._mark_stored(write)
                shards[write.record.shard] = None
        for shard in shards:
            # Nothing else is a reason to flush: what waits may wait for a retry, or for another credential.
            if self._state(shard).awaits_records:
                self.flush_if_live(shard, now)

    def refuse_stored(self, mutation_id: str, error: LunoraError, now: float) -> None:
        """Give a write up whose record can never be stored."""
        write = self.queue.withdraw(mutation_id)
        if write is None:
            return
        message = f"{write.record.function_path!r} cannot be stored: {error.message}"
        self._reject(write, QueueError(message, code=_UNENCODABLE))
        self._announce()
        if self._state(write.record.shard).awaits_records:
            self.flush_if_live(write.record.shard, now)
        self._forget_done(write.record.shard)

    def expect_records(self) -> None:
        """Remember what ends from now on: records are being read, and one of it may be among them."""
        self._is_looking = True

    def hydrate(self, records: Iterable[QueuedMutation], client_id: str, now: float, *, is_whole: bool = True) -> None:
        """Take over what earlier processes left, ahead of what was composed since; stale versions are dropped.

        Args:
            records: In order. A write that was made again meanwhile stands for its record, in its place; what has its
                verdict already is removed.
            client_id: Who composed what waits without a name.
            now: The time.
            is_whole: Whether all that is there could be read.
        """
        restored, stale = self._sort_out(records)
        if is_whole:
            self._is_looking = False
            self._ended.clear()
        if stale:
            self._remove(stale)
            self._emit(StaleRecordsDropped(tuple(stale)))
        readable = [write for write in restored if self._has_readable_args(write)]
        self._restamp(readable)
        self._give_way(self.queue.restore(readable))
        self._announce()
        shards = dict.fromkeys(write.record.shard for write in readable)
        if self.is_hydrating:
            self.is_hydrating = False
            self._release_composed(client_id, now)
            shards = dict.fromkeys(self.queue.shards())
        for shard in shards:
            if not self.queue.has_shard(shard):
                continue
            self._shards.connect(shard, now)
            self.flush_if_live(shard, now)

    def flush(self, shard: str, now: float) -> None:
        """Replay what waits for a shard; while a pass runs, another follows it."""
        if self.is_hydrating or not self.needs_shard(shard):
            return
        state = self._state(shard)
        state.retry.at = inf
        if state.replay is not None:
            state.wants_another = True
            return
        # The pass has begun before preconditions are asked: what they compose waits like everything else.
        state.replay, state.identity = ReplayPass(()), self.identity
        state.replay = ReplayPass(self._pass_gates(shard, state.identity))
        state.awaits_records = self.queue.has_unstored(shard)
        self._announce()
        self._progress.begin(state.replay.size)
        self._send_chunk(shard, state, now)

    def flush_if_live(self, shard: str, now: float) -> None:
        """Replay what waits for a shard, if its socket is open, or its server answers polls."""
        if self._is_live(shard):
            self.flush(shard, now)

    def flush_reachable(self, shard: str, now: float) -> None:
        """Replay what waits for a shard that can be reached again, unless its server has asked for more time."""
        state = self._states.get(shard)
        if state is None or not state.retry.is_hinted or state.retry.at <= now or state.retry.at == inf:
            self.flush_if_live(shard, now)

    def flush_all(self, now: float, *, cuts_waits: bool = True) -> None:
        """Replay what waits for any shard that is live; ``cuts_waits`` says whether also where a retry is planned."""
        for shard in self.queue.shards():
            state = self._state(shard)
            # A pass that runs sees at its end whether the identity it was pinned to has been resolved since.
            if cuts_waits or (state.replay is None and state.retry.at == inf):
                self.flush_if_live(shard, now)

    def handle_deadline(self, now: float) -> None:
        """Retry what is due."""
        for shard, state in list(self._states.items()):
            if state.retry.at <= now:
                state.retry.at = inf
                self.flush(shard, now)

    def close(self) -> None:
        """Send and schedule nothing more; what has no verdict keeps its record, and what waits gets one."""
        for state in self._states.values():
            for write in state.waiting:
                if self._options.is_durable and write.record.client_id and self._can_queue(write.record.shard):
                    self._emit(StoreRecord(write.record))
        self._states.clear()

    def _send_or_queue(self, write: Write, now: float) -> None:
        shard = write.record.shard
        if not self._must_queue(shard) and self.queue.get(write.mutation_id) is None:
            self._send_direct(write, now)
            return
        is_behind_held = self._is_live(shard) and self._holds_all(shard)
        self._enqueue(write, now)
        if is_behind_held:
            # Nothing else would ever flush it: what it waits behind waits for somebody to sign in.
            self._state(shard).awaits_records = True
            self._flush_stored(shard, now)

    def _flush_stored(self, shard: str, now: float) -> None:
        if not self.queue.has_unstored(shard):
            self.flush_if_live(shard, now)

    def _holds_all(self, shard: str) -> bool:
        return self._state(shard).retry.at == inf and all(
            gate(write.record.identity, self.identity) is Gate.HOLD
            for write in self.queue
            if write.record.shard == shard
        )

    def _must_queue(self, shard: str) -> bool:
        if not self._can_queue(shard):
            return False
        is_down = not self._shards.was_idle_closed(shard) and not self._is_live(shard)
        return is_down or self.queue.has_shard(shard)

    def _can_queue(self, shard: str) -> bool:
        connection = self._shards.connection_of(shard)
        was_connected = connection is not None and connection.was_ever_connected
        return was_connected or self._shards.was_idle_closed(shard) or self._options.queues_before_first_connect

    def _is_live(self, shard: str) -> bool:
        connection = self._shards.connection_of(shard)
        return (connection is not None and connection.is_open) or self._shards.is_polled(shard)

    def _enqueue(self, write: Write, now: float) -> None:
        write.was_queued = True
        evicted = self.queue.push(write)
        if self._options.is_durable and not write.is_stored:
            self._emit(StoreRecord(write.record))
        else:
            self._mark_stored(write)
        self._give_way(evicted)
        self._announce()
        self._shards.connect(write.record.shard, now)

    def _mark_stored(self, write: Write) -> None:
        write.is_stored = True
        self._emit(MutationQueued(write.mutation_id))

    def _give_way(self, evicted: list[Write]) -> None:
        for write in evicted:
            message = f"{write.record.function_path!r} was the oldest of more queued writes than the queue holds"
            self._reject(write, QueueError(message, code="OFFLINE_QUEUE_OVERFLOW"))

    def _send_direct(self, write: Write, now: float) -> None:
        settle = partial(self._settle_direct, write)
        self._calls.call(call_of(write), timeout=write.timeout or self._options.timeout, settle=settle)
        self._emit(MutationSent(write.mutation_id))

    def _settle_direct(self, write: Write, outcome: Outcome, now: float) -> None:
        shard = write.record.shard
        if isinstance(outcome, Accepted) or outcome.error.code is not None or not self._can_queue(shard):
            self._settle(write, outcome)
            return
        self._enqueue(write, now)
        state = self._state(shard)
        # Several that fail together climb the ramp once, and cut no longer wait short.
        if state.retry.at == inf:
            self._schedule(shard, state, [outcome.error], now)

    def _pass_gates(self, shard: str, identity: Identity) -> list[Write]:
        ready: list[Write] = []
        held: list[Write] = []
        for write in self._pass_preconditions(shard):
            decision = gate(write.record.identity, identity)
            if decision is Gate.REJECT:
                self._reject_foreign(write)
            else:
                (ready if decision is Gate.SEND else held).append(write)
        self.queue.requeue(held)
        self._states[shard].is_held = bool(held) and not identity.is_confirmed
        return ready

    def _pass_preconditions(self, shard: str) -> list[Write]:
        passed: list[Write] = []
        for write in self.queue.take_ready(shard):
            error = _failed_precondition(write)
            if error is None:
                passed.append(write)
            else:
                self._reject(write, error)
        return passed

    def _send_chunk(self, shard: str, state: ShardWrites, now: float) -> None:
        assert state.replay is not None
        chunk = state.replay.next_chunk()
        if not chunk:
            self._end_pass(shard, state, now)
            return
        credential = Credential(state.identity.token, _expected_subject(chunk, state.identity))
        timeout = self._options.timeout
        for write in chunk:
            self._emit(MutationSent(write.mutation_id))
        if len(chunk) == 1:
            settle = partial(self._settle_single, shard, state)
            self._calls.call(call_of(chunk[0]), timeout=timeout, settle=settle, credential=credential)
            return
        calls, body = state.replay.batch
        settle_batch = partial(self._settle_batch, shard, state)
        self._calls.batch(calls, timeout=timeout, settle=settle_batch, credential=credential, body=body)

    def _settle_single(self, shard: str, state: ShardWrites, outcome: Outcome, now: float) -> None:
        assert state.replay is not None
        self._file(shard, state, state.replay.receive_single(outcome), now)

    def _settle_batch(self, shard: str, state: ShardWrites, slots: Slots, now: float) -> None:
        assert state.replay is not None
        self._file(shard, state, state.replay.receive_batch(slots), now)

    def _file(self, shard: str, state: ShardWrites, findings: Findings, now: float) -> None:
        if findings.settled and not any(map(is_credential_refusal, findings.reasons)):
            self._accept_token(state.identity.token)
        self._remove([write.record for write, _ in findings.settled])
        for write, outcome in findings.settled:
            self._tell_verdict(write, outcome)
        self._progress.settle(len(findings.settled))
        self._send_chunk(shard, state, now)

    def _end_pass(self, shard: str, state: ShardWrites, now: float) -> None:
        assert state.replay is not None
        replay, state.replay = state.replay, None
        self._restamp(replay.kept)
        self.queue.requeue(replay.kept)
        if replay.has_verdict:
            state.retry.reset()
        if replay.kept:
            self._schedule(shard, state, replay.reasons, now)
        if state.is_held:
            self._await_confirmation(state, now)
        self._announce()
        self._progress.end(len(replay.kept))
        was_unresolved = state.identity.is_unresolved and not self.identity.is_unresolved
        wants_another = state.wants_another or was_unresolved or not state.identity.is_like(self.identity)
        state.wants_another = False
        self._release_waiting(shard, state, now)
        if wants_another and state.replay is None:
            self.flush(shard, now)
        self._forget_done(shard)

    def _release_composed(self, client_id: str, now: float) -> None:
        for shard, state in list(self._states.items()):
            for write in state.waiting:
                write.record = replace(write.record, client_id=write.record.client_id or client_id)
            self._release_waiting(shard, state, now)
            self._forget_done(shard)

    def _release_waiting(self, shard: str, state: ShardWrites, now: float) -> None:
        waiting, state.waiting = state.waiting, []
        if len(waiting) > 1 and self._can_queue(shard):
            # Sent at once, side by side, they could overtake each other. Behind what waits for its time they wait too.
            is_free = self._holds_all(shard)
            for write in waiting:
                self._enqueue(write, now)
            if is_free:
                self.flush_if_live(shard, now)
            return
        for write in waiting:
            # Who is signed in may have changed meanwhile: what is not theirs goes through the gate of a pass.
            if gate(write.record.identity, self.identity) is Gate.SEND:
                self._send_or_queue(write, now)
            else:
                self._enqueue(write, now)

    def _schedule(self, shard: str, state: ShardWrites, reasons: list[Reason], now: float) -> None:
        for reason in reasons:
            if is_credential_refusal(reason):
                assert reason is not None
                self._report_refusal(state.identity.token, reason)
        if any(reason is not None and reason.code == "IDENTITY_MISMATCH" for reason in reasons):
            self._confirm(now, is_disputed=True)
        is_live, by_itself = self._is_live(shard), self._options.is_cookie_session and state.identity.token is None
        wait = self._waits.after(state.retry, reasons, is_live=is_live, retries_credential=by_itself)
        if wait is not None:
            state.retry.at = now + wait

    def _await_confirmation(self, state: ShardWrites, now: float) -> None:
        self._confirm(now, is_disputed=False)
        planned = state.retry.at if state.retry.at < inf else now
        state.retry.at = max(planned, now + self._waits.until_confirmed(state.retry))

    def _report_refusal(self, token: str | None, error: LunoraError) -> None:
        # Once a credential, and only while it is still the one in force.
        if token == self.identity.token and token != self._refused_token:
            self._refused_token = token
            self._emit(CredentialRefused(error))

    def _accept_token(self, token: str | None) -> None:
        if token == self._refused_token:
            self._refused_token = UNDEFINED

    def _settle(self, write: Write, outcome: Outcome) -> None:
        if write.was_queued:
            self._remove([write.record])
        self._tell_verdict(write, outcome)

    def _tell_verdict(self, write: Write, outcome: Outcome) -> None:
        self._note_end(write)
        self._settle_layers(write, outcome)
        self._emit(MutationSettled(write.record, outcome, write.was_queued, write.is_awaited))

    def _reject_foreign(self, write: Write) -> None:
        message = f"{write.record.function_path!r} was queued under another identity"
        self._reject(write, QueueError(message, code="OFFLINE_IDENTITY_CHANGED"))

    def _reject(self, write: Write, error: LunoraError) -> None:
        self._settle(write, Refused(error))

    def _remove(self, records: list[QueuedMutation]) -> None:
        if self._options.is_durable and records:
            self._emit(RemoveRecords(tuple(record.mutation_id for record in records)))

    def _restamp(self, writes: Iterable[Write]) -> None:
        # A stamp that names the token names its user once that is known, for the token will be another one day.
        identity = self.identity
        if identity.credential is None or not identity.is_confirmed or not isinstance(identity.subject, str):
            return
        for write in writes:
            if write.record.identity == identity.credential:
                write.record = replace(write.record, identity=identity.fingerprint)
                if write.was_queued and self._options.is_durable:
                    self._emit(ReplaceRecord(write.record))

    def _has_readable_args(self, write: Write) -> bool:
        try:
            decode_wire(write.record.args, root="args")
            serialize(write.record.args)
        except CodecError as error:
            message = f"the stored arguments of {write.record.function_path!r} cannot be read: {error.message}"
            self._reject(write, QueueError(message, code=_UNENCODABLE))
            return False
        return True

    def _note_end(self, write: Write) -> None:
        if self._open.get(write.mutation_id) is write:
            del self._open[write.mutation_id]
        if self._is_looking:
            self._ended[write.mutation_id] = None
            if len(self._ended) > MAX_ENDED:
                del self._ended[next(iter(self._ended))]

    def _sort_out(self, records: Iterable[QueuedMutation]) -> tuple[list[Write], list[QueuedMutation]]:
        restored: dict[str, Write] = {}
        stale: list[QueuedMutation] = []
        over: list[QueuedMutation] = []
        for record in records:
            known = restored.get(record.mutation_id) or self._open.get(record.mutation_id)
            if known is not None:
                if self._take_over(known, record):
                    restored[record.mutation_id] = known
            elif record.mutation_id in self._ended:
                over.append(record)
            elif self._options.version not in (None, record.version):
                stale.append(record)
            else:
                restored[record.mutation_id] = self._restore(record)
        self._remove(over)
        return list(restored.values()), stale

    def _restore(self, record: QueuedMutation) -> Write:
        write = self._open[record.mutation_id] = Write(record, is_awaited=False)
        write.is_stored = write.was_queued = True
        return write

    def _take_over(self, write: Write, record: QueuedMutation) -> bool:
        """Let a write that was made again stand for its record; tell whether it takes the place of that as well.

        Its verdict then removes the record: told rejected, it must not be carried out by the next process.
        """
        if write.is_stored or self.queue.get(write.mutation_id) is write:
            return False
        is_waiting = self._take_waiting(write.mutation_id) is not None
        if is_waiting:
            # Who left it may have brought it to the server, which tells retries apart by that name.
            write.record = replace(write.record, client_id=record.client_id)
        write.is_stored = write.was_queued = True
        if is_waiting:
            self._emit(MutationQueued(write.mutation_id))
        if write.record != record:
            self._emit(ReplaceRecord(write.record))
        return is_waiting

    def _unsent(self) -> list[Write]:
        return [*self.queue, *(write for state in self._states.values() for write in state.waiting)]

    def _take_waiting(self, mutation_id: str) -> Write | None:
        for state in self._states.values():
            for write in state.waiting:
                if write.mutation_id == mutation_id:
                    state.waiting.remove(write)
                    return write
        return None

    def _announce(self) -> None:
        waiting = len(self.queue)
        if waiting != self._announced:
            self._announced = waiting
            self._emit(PendingChanged(waiting))

    def _state(self, shard: str) -> ShardWrites:
        return self._states.setdefault(shard, ShardWrites())

    def _forget_done(self, shard: str) -> None:
        if not self.needs_shard(shard):
            self._states.pop(shard, None)


def _failed_precondition(write: Write) -> QueueError | None:
    if write.precondition is None:
        return None
    message = f"the precondition of {write.record.function_path!r} no longer holds"
    try:
        if write.precondition():
            return None
    except Exception as error:
        failed = QueueError(f"the precondition of {write.record.function_path!r} raised", code=_PRECONDITION)
        failed.__cause__ = error
        return failed
    return QueueError(message, code=_PRECONDITION)


def _expected_subject(chunk: list[Write], identity: Identity) -> str | None:
    """Return the header that names whose session a replay must find, where no bearer vouches for it."""
    if identity.token is not None:
        return None
    stamps = (write.record.identity for write in chunk)
    named = (stamp for stamp in stamps if stamp is None or (isinstance(stamp, str) and stamp.startswith("subj:")))
    stamped = next(named, UNDEFINED)
    if stamped is UNDEFINED:
        return None
    subject = None if stamped is None else stamped.removeprefix("subj:")
    return urlsafe_b64encode(serialize({"subject": subject})).rstrip(b"=").decode()
