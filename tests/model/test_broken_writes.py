"""The model can fail where it writes: each client with a known defect of its layers or its queue is caught by it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from lunora_rx.core import replay, writes
from lunora_rx.core.identity import Gate
from lunora_rx.core.offline_queue import OfflineQueue, Write
from lunora_rx.core.patches import Patches
from lunora_rx.core.replay import Findings, ReplayPass
from lunora_rx.core.results import Result
from lunora_rx.core.writes import Writes
from lunora_rx.protocol.rpc import RpcCall
from tests.model.machine import WritingSchedules
from tests.model.test_broken import SEARCH, Breaking

SAME_EVERY_TIME = settings(SEARCH, derandomize=True)


def keep_layers_on_resume(monkeypatch: pytest.MonkeyPatch) -> None:
    """A position without a value drops no layer, although the value holds its write."""

    def apply_position(result: Result, frame: Any, original: Any = Result.apply_position) -> Any:
        layers, result.layers = result.layers, ()
        change = original(result, frame)
        result.layers = layers
        return change

    monkeypatch.setattr(Result, "apply_position", apply_position)


def roll_back_one_query_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that patched two queries and is rejected stays on the second."""

    def roll_back(patches: Patches, write: Write, original: Any = Patches.roll_back) -> None:
        write.layers = [each for each in write.layers if each[0] is write.layers[0][0]]
        original(patches, write)

    monkeypatch.setattr(Patches, "roll_back", roll_back)


def keep_the_layers_of_cancelled_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that is withdrawn goes on showing."""

    def cancel(core: Writes, mutation_id: str, original: Any = Writes.cancel) -> Any:
        write = original(core, mutation_id)
        if write is not None:
            write.layers = []
        return write

    monkeypatch.setattr(Writes, "cancel", cancel)


def drop_kept_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slot of a batch that is to be sent again is forgotten."""

    def receive_batch(replayed: ReplayPass, slots: Any, original: Any = ReplayPass.receive_batch) -> Findings:
        findings: Findings = original(replayed, slots)
        if isinstance(slots, list):
            replayed.kept = [write for write in replayed.kept if write not in findings.kept]
        return findings

    monkeypatch.setattr(ReplayPass, "receive_batch", receive_batch)


def replay_under_a_new_id(monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes out of the queue has another idempotency key than before."""

    def call_of(write: Write, original: Any = replay.call_of) -> RpcCall:
        call: RpcCall = original(write)
        return replace(call, mutation_id=f"{call.mutation_id}0000") if write.was_queued else call

    monkeypatch.setattr(writes, "call_of", call_of)


def let_null_stamps_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was composed by nobody is sent as whoever is signed in."""
    original = writes.gate
    monkeypatch.setattr(
        writes, "gate", lambda stamp, identity: Gate.SEND if stamp is None else original(stamp, identity)
    )


def leave_records_on_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A verdict does not remove the stored record."""
    monkeypatch.setattr(Writes, "_remove", lambda core, records: None)


def hydrate_behind_newer_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an earlier process left goes out after what was composed since."""

    def hydrate(core: Writes, records: Any, client_id: str, now: float, original: Any = Writes.hydrate) -> None:
        core.is_hydrating = False
        core._release_composed(client_id, now)
        original(core, records, client_id, now)

    def restore(queue: OfflineQueue, restored: Iterable[Write]) -> list[Write]:
        return [evicted for write in restored for evicted in queue.push(write)]

    monkeypatch.setattr(Writes, "hydrate", hydrate)
    monkeypatch.setattr(OfflineQueue, "restore", restore)


def replay_before_it_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass takes writes whose records are still on their way to the disk."""

    def take_ready(queue: OfflineQueue, shard: str, original: Any = OfflineQueue.take_ready) -> list[Write]:
        for write in queue:
            write.is_stored = True
        taken: list[Write] = original(queue, shard)
        return taken

    monkeypatch.setattr(OfflineQueue, "take_ready", take_ready)


def overtake_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new write goes out at once although others still wait."""

    def must_queue(core: Writes, shard: str, original: Any = Writes._must_queue) -> bool:
        with pytest.MonkeyPatch.context() as within:
            within.setattr(OfflineQueue, "has_shard", lambda queue, shard: False)
            return bool(original(core, shard))

    monkeypatch.setattr(Writes, "_must_queue", must_queue)


def ask_no_precondition(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a write has assumed is not looked at."""
    monkeypatch.setattr(writes, "_failed_precondition", lambda write: None)


def count_what_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of waiting writes is told when they settle, not when they leave the queue."""

    def flush(core: Writes, shard: str, now: float, original: Any = Writes.flush) -> None:
        with pytest.MonkeyPatch.context() as within:
            within.setattr(Writes, "_announce", lambda core: None)
            original(core, shard, now)

    monkeypatch.setattr(Writes, "flush", flush)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("breaking", "complaint"),
    [
        (ask_no_precondition, "its precondition said"),
        (count_what_is_under_way, "writes wait"),
        (drop_kept_slots, "no verdict|leaves|layers"),
        (hydrate_behind_newer_writes, "was applied after"),
        (keep_layers_on_resume, "layers"),
        (keep_the_layers_of_cancelled_writes, "layers"),
        (leave_records_on_the_disk, "leaves"),
        (let_null_stamps_through, "was applied for"),
        (overtake_what_waits, "overtakes what waits"),
        (replay_before_it_is_stored, "before it is stored"),
        (replay_under_a_new_id, "nobody has composed"),
        (roll_back_one_query_only, "layers"),
    ],
)
def test_random_writes_with_a_broken_client_fail(breaking: Breaking, complaint: str, monkeypatch: pytest.MonkeyPatch):
    """A few hundred random schedules are more than enough to find the defect, and to say what it is."""
    breaking(monkeypatch)
    with pytest.raises(AssertionError, match=complaint):
        run_state_machine_as_test(WritingSchedules, settings=SAME_EVERY_TIME)
