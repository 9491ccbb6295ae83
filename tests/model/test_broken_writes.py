"""The model can fail where it writes: each client with a known defect of its layers or its queue is caught by it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from lunora_rx.core import read_cache, replay, writes
from lunora_rx.core.events import MutationQueued
from lunora_rx.core.identity import Gate
from lunora_rx.core.offline_queue import OfflineQueue, Write
from lunora_rx.core.patches import Patches
from lunora_rx.core.read_cache import ReadCache
from lunora_rx.core.replay import Findings, ReplayPass
from lunora_rx.core.results import Result
from lunora_rx.core.writes import Writes
from lunora_rx.protocol.rpc import RpcCall
from tests.model.client import ClientSettings
from tests.model.machine import WritingSchedules
from tests.model.test_broken import SEARCH, Breaking, check_fails_with_it_only
from tests.model.world import World

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


def forget_the_record_of_what_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an earlier process left, and this one makes again, has no record as far as this one knows."""
    monkeypatch.setattr(Writes, "_take_over", lambda core, write, record: False)


def hydrate_behind_newer_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an earlier process left goes out after what was composed since."""

    def hydrate(
        core: Writes, records: Any, client_id: str, now: float, original: Any = Writes.hydrate, **options: Any
    ) -> None:
        core.is_hydrating = False
        core._release_composed(client_id, now)
        original(core, records, client_id, now, **options)

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


def report_what_is_not_stored_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """A write is said to be queued when the disk is asked for it."""

    def enqueue(core: Writes, write: Write, now: float, original: Any = Writes._enqueue) -> None:
        original(core, write, now)
        if not write.is_stored:
            core._emit(MutationQueued(write.mutation_id))

    monkeypatch.setattr(Writes, "_enqueue", enqueue)


def show_what_anybody_has_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an earlier process has left is shown to whoever is signed in."""
    monkeypatch.setattr(read_cache, "matches", lambda entry, identity: True)


def show_what_was_read_to_whom_nobody_confirmed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is on the screen from an earlier process stays there while nobody knows whose the new token is."""
    monkeypatch.setattr(ReadCache, "revoke_seeds", lambda cache, identity: [])


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("breaking", "complaint"),
    [
        (ask_no_precondition, "its precondition said"),
        (count_what_is_under_way, "writes wait"),
        (forget_the_record_of_what_is_made_again, "leaves|no verdict|was applied after"),
        (hydrate_behind_newer_writes, "was applied after"),
        (keep_layers_on_resume, "layers"),
        (keep_the_layers_of_cancelled_writes, "layers"),
        (leave_records_on_the_disk, "leaves"),
        (let_null_stamps_through, "was applied for"),
        (overtake_what_waits, "overtakes what waits"),
        (replay_before_it_is_stored, "before it is stored"),
        (replay_under_a_new_id, "nobody has composed"),
        (report_what_is_not_stored_yet, "is said to be queued"),
        (roll_back_one_query_only, "layers"),
        (show_what_anybody_has_read, "has read before is shown to"),
    ],
)
def test_random_writes_with_a_broken_client_fail(breaking: Breaking, complaint: str, monkeypatch: pytest.MonkeyPatch):
    """A few hundred random schedules are more than enough to find the defect, and to say what it is."""
    breaking(monkeypatch)
    with pytest.raises(AssertionError, match=complaint):
        run_state_machine_as_test(WritingSchedules, settings=SAME_EVERY_TIME)


def come_back_and_change_the_token(world: World) -> None:
    """The next process shows what the last has read; then it gets the token of somebody of whom nothing is said."""
    world.die_and_come_back(0, "alice", "alice", "bob", offline=True)


def test_values_read_before_that_stay_while_nobody_is_confirmed_are_found():
    """They are taken off the screen with the token, and a client that keeps them fails."""
    durable = ClientSettings(is_durable=True)
    check_fails_with_it_only(show_what_was_read_to_whom_nobody_confirmed, come_back_and_change_the_token, durable)


def have_one_slot_put_off(world: World) -> None:
    """Of a batch, the server has the second write come again later."""
    world.go_live()
    world.write_offline(0, "", [[("put", f"r{number}", "a", 1)] for number in range(3)])
    world.come_back(0)
    world.garble(-1, "limited", 1)


def test_slots_that_are_forgotten_instead_of_kept_are_found():
    """The write has no verdict for ever."""
    check_fails_with_it_only(drop_kept_slots, have_one_slot_put_off)
