"""Codes that the client makes of queued writes: none of them was carried out, and whoever awaits is told."""

from __future__ import annotations

import pytest

from lunora_rx import ClientClosedError, LunoraError, Phase, QueueError, ServerError, Storage
from lunora_rx.protocol.tags import TAG
from lunora_rx.storage.memory_store import MemoryQueue
from lunora_rx.testing import a_queued_mutation
from tests.coverage_of_protocol.scene import ANA
from tests.coverage_of_protocol.told import check_error, error_of
from tests.coverage_of_protocol.wire import Wire
from tests.support import Recorder, until


async def cancelled_write(scene):
    """A write that waits."""
    client, settled = await scene.cut_off(), Recorder()
    client.settled.subscribe(settled)
    write = await scene.queued(client)
    assert write.cancel()
    error = await error_of(write)
    assert (client.pending.value, settled.values) == (0, [])
    return error


async def large_write(scene):
    """A queued write that is too large by itself is given up."""
    client, settled = await scene.cut_off(), Recorder()
    client.settled.subscribe(settled)
    write = await scene.queued(client)
    scene.faults.release()
    scene.faults.limit_size(body_size=10, body=b"<html>")
    error = await error_of(write)
    assert [(each.status, each.code) for each in settled.values] == [("rejected", error.code)]
    return error


async def overflown_queue(scene):
    """The oldest of more writes than the queue holds."""
    client = await scene.cut_off(queue_limit=1)
    oldest = await scene.queued(client, 1)
    await scene.queued(client, 2)
    return await error_of(oldest)


async def failed_precondition(scene):
    """A write whose assumption no longer holds is not sent."""
    client = await scene.cut_off()
    write = await scene.queued(client, precondition=lambda: False)
    scene.faults.release()
    error = await error_of(write)
    assert scene.runs == []
    return error


async def changed_identity(scene):
    """A write of somebody who is signed in no more is not sent."""
    client = await scene.cut_off(**ANA)
    write = await scene.queued(client)
    client.set_auth_token("token-2", "bo")
    scene.faults.release()
    error = await error_of(write)
    assert scene.runs == []
    return error


async def unencodable_write(scene):
    """A write of an earlier process whose arguments nobody can read any more."""
    store, settled = MemoryQueue(), Recorder()
    store.append(a_queued_mutation("bad", args={"n": [TAG, "date"]}))
    client = await scene.client(storage=Storage(store))
    client.settled.subscribe(settled)
    await until(lambda: settled.values)
    await until(lambda: not store.load())  # its record goes on the storage's own thread
    assert (settled.last.status, scene.runs) == ("rejected", [])
    return settled.last.error


async def closed_write(scene):
    """A write that waits; it is no verdict."""
    client = await scene.cut_off()
    write = await scene.queued(client)
    await client.aclose()
    assert write.phases.latest is Phase.QUEUED
    return await error_of(write)


CASES = {
    "CANCELLED-write": (cancelled_write, LunoraError, False),
    "PAYLOAD_TOO_LARGE-write": (large_write, ServerError, False),
    "OFFLINE_QUEUE_OVERFLOW": (overflown_queue, QueueError, False),
    "OFFLINE_PRECONDITION_FAILED": (failed_precondition, QueueError, False),
    "OFFLINE_IDENTITY_CHANGED": (changed_identity, QueueError, False),
    "OFFLINE_WRITE_UNENCODABLE": (unencodable_write, QueueError, False),
    "CLIENT_CLOSED-write": (closed_write, ClientClosedError, False),
}


@pytest.mark.parametrize("case", CASES)
async def test_code_of_a_queued_write_is_told_by_its_class_and_code(scene, case):
    """Its class, its code, and whether trying again may help."""
    make, kind, transient = CASES[case]
    check_error(await make(scene), case, kind, transient=transient)


async def test_queued_write_without_a_readable_answer_is_kept_and_sent_again(scene):
    """INTERNAL that is transient says nothing of its fate: nobody is told, and it is carried out once."""
    wire, settled = Wire(), Recorder()
    client = await scene.cut_off(transport=wire)
    client.settled.subscribe(settled)
    write = await scene.queued(client)
    scene.faults.release()
    scene.faults.spoil_replies(status=502, body=b"<html>")
    await write
    assert (wire.statuses, scene.runs, settled.last.status) == ([502, 200], [1], "committed")
