"""One pass over queued mutations."""

from __future__ import annotations

import pytest

from lunora_rx.core.offline_queue import Write
from lunora_rx.core.records import QueuedMutation
from lunora_rx.core.replay import ReplayPass, call_of
from lunora_rx.errors import ServerError, TransportError
from lunora_rx.protocol.rpc import MAX_BATCH_BYTES, Accepted, Refused

OK = Accepted(1)
CONFLICT = Refused(ServerError("no", code="CONFLICT"))
LIMITED = Refused(ServerError("later", code="RATE_LIMITED", status=429))
UNREADABLE = Refused(TransportError("html", code="INTERNAL", status=503, transient=True))
NO_REPLY = Refused(TransportError("cut"))
TOO_LARGE = Refused(ServerError("big", code="PAYLOAD_TOO_LARGE", status=413))


def writes(count, size=0):
    return [Write(QueuedMutation(f"m{n}", "notes:add", {"x": "x" * size}, "client-1")) for n in range(count)]


def ids(each):
    return [write.mutation_id for write in each]


def settled(findings):
    return [write.mutation_id for write, _ in findings.settled]


def test_call_of_a_write_is_what_was_fixed_when_it_was_composed():
    """Key, issuing client and baseline go out as stored."""
    record = QueuedMutation("m1", "notes:add", {"a": 1}, "client-7", "room", "subj:ana", 5, "v2")
    call = call_of(Write(record))
    assert (call.mutation_id, call.client_id, call.baseline, call.shard) == ("m1", "client-7", 5, "room")


def test_pass_over_many_writes_sends_chunks_of_five_hundred_in_order():
    """1,001 writes are three requests, the last one single."""
    replay, sizes = ReplayPass(writes(1001)), []
    while chunk := replay.next_chunk():
        sizes.append(len(chunk))
        findings = replay.receive_batch([OK] * len(chunk)) if len(chunk) > 1 else replay.receive_single(OK)
        assert settled(findings) == ids(chunk)
    assert sizes == [500, 500, 1]
    assert replay.kept == []


def test_chunk_over_the_byte_budget_is_halved_without_sending():
    """The first half is the larger one."""
    replay = ReplayPass(writes(5, MAX_BATCH_BYTES // 4))
    assert len(replay.next_chunk()) == 3


@pytest.mark.parametrize("outcome", [LIMITED, UNREADABLE, NO_REPLY])
def test_single_write_that_is_kept_stops_the_pass(outcome):
    """Nothing is settled, and the write goes back with the reason."""
    replay = ReplayPass(writes(1))
    replay.next_chunk()
    findings = replay.receive_single(outcome)
    assert (findings.settled, ids(replay.kept), replay.reasons) == ([], ["m0"], [outcome.error])
    assert replay.next_chunk() == []


def test_slots_of_a_batch_settle_independently_in_call_order():
    """One is committed, one rejected, one limited, one unreadable."""
    replay = ReplayPass(writes(4))
    replay.next_chunk()
    findings = replay.receive_batch([OK, CONFLICT, LIMITED, None])
    assert settled(findings) == ["m0", "m1"]
    assert ids(replay.kept) == ["m2", "m3"]
    assert replay.reasons == [LIMITED.error, None]
    assert replay.has_verdict


def test_batch_that_keeps_anything_stops_later_chunks():
    """What was not sent is kept behind it, in order."""
    replay = ReplayPass(writes(501))
    replay.next_chunk()
    replay.receive_batch(NO_REPLY)
    assert ids(replay.kept) == [f"m{n}" for n in range(501)]
    assert replay.next_chunk() == []
    assert not replay.has_verdict


def test_batch_refused_with_a_verdict_rejects_every_entry():
    """A coded error without slots counts for all."""
    replay = ReplayPass(writes(2))
    replay.next_chunk()
    assert settled(replay.receive_batch(CONFLICT)) == ["m0", "m1"]


def test_batch_answered_with_a_mere_status_is_kept_whole():
    """A proxy's 404 page is no verdict on any of the writes; a readable error is."""
    page = Refused(ServerError("404 with no readable error", code="NOT_FOUND", status=404), is_readable=False)
    replay = ReplayPass(writes(2))
    replay.next_chunk()
    assert replay.receive_batch(page).settled == []
    assert ids(replay.kept) == ["m0", "m1"]
    assert {error.code for error in replay.reasons} == {"INTERNAL"}


def test_batch_refused_for_the_credential_by_a_mere_status_keeps_that_reason():
    """It is kept anyway, and what it waits for is another credential."""
    page = Refused(ServerError("401 with no readable error", code="UNAUTHORIZED", status=401), is_readable=False)
    replay = ReplayPass(writes(2))
    replay.next_chunk()
    replay.receive_batch(page)
    assert [error.code for error in replay.reasons] == ["UNAUTHORIZED", "UNAUTHORIZED"]


def test_batch_answered_too_large_is_halved_and_both_halves_sent_in_order():
    """Only a single entry that is too large is given up, with the code that says so."""
    replay, sent = ReplayPass(writes(3)), []
    replay.next_chunk()
    replay.receive_batch(TOO_LARGE)
    while chunk := replay.next_chunk():
        sent.append(ids(chunk))
        replay.receive_batch(TOO_LARGE) if len(chunk) > 1 else replay.receive_single(OK)
    assert sent == [["m0", "m1"], ["m0"], ["m1"], ["m2"]]


def test_single_entry_answered_too_large_is_rejected_with_that_code():
    """Whatever the body of the 413 looks like."""
    replay = ReplayPass(writes(1))
    replay.next_chunk()
    findings = replay.receive_single(Refused(TransportError("html", code="INTERNAL", status=413)))
    [(_, outcome)] = findings.settled
    assert outcome.error.code == "PAYLOAD_TOO_LARGE"
