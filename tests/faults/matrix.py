"""The rows of the fault matrix: what may go wrong, and what is promised then.

``@pytest.mark.fault(3)`` says that a test proves row 3; ``docs/faults.md`` is made of these rows and of what the tests
come to. Rows 1 to 42 each name one fault; rows 43 to 60 are promises over whole classes of them.
"""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """One row."""

    number: int
    fault: str
    promise: str


FAULTS = (
    Row(1, "server killed in mid-frame", "the partial frame is dropped; reconnected, subscribed again, live"),
    Row(2, "connection reset in mid-frame", "as 1"),
    Row(
        3,
        "half-open connection, nothing arrives",
        "noticed within 2.5 heartbeats; calls under way fail as `TransportError`, mutations are replayed",
    ),
    Row(4, "black hole towards the server only", "no pong: as 3; sends are bounded by a timeout"),
    Row(5, "server frozen", "as 3; sends do not hang for ever"),
    Row(6, "reply lost after the commit", "replayed under the same key, applied once"),
    Row(7, "reply or frame told twice", "the second says nothing"),
    Row(8, "frame about an unknown id", "ignored, and no crash"),
    Row(9, "reply before the frame that contains the write, and after it", "one emission, no flicker, in both orders"),
    Row(
        10,
        "new epoch; a delta or a poke with a gap before it",
        "asked for anew; what is shown meanwhile is `stale`, never wrong for good. Only a delta that something in"
        " between takes out of the stream is not noticed ([below](#what-is-not-noticed))",
    ),
    Row(11, "server restarted with nothing", "full values again, the queue is replayed"),
    Row(
        12,
        "storm: connections accepted, then closed",
        "decorrelated backoff, one attempt at a time, at most 60 in 60 s; it starts over only after proof of health",
    ),
    Row(13, "connection refused", "backoff, status `offline`, mutations queue"),
    Row(14, "name not resolved, or not in time", "as 13, and no threads pile up"),
    Row(
        15,
        "TLS: self-signed, expired, or another host's certificate",
        "one clear error in the log, nothing in plain text, backoff",
    ),
    Row(
        16,
        "close code 4001, token expired",
        "the token is asked for once, reconnected, the queue held meanwhile; a refresh that fails loses nothing",
    ),
    Row(
        17,
        "401 on a call",
        "no loop: a direct call fails with UNAUTHORIZED, queued writes are held for a new token",
    ),
    Row(18, "another user signs in while a request is under way", "nothing of A is given to B, or sent as B"),
    Row(19, "413, payload too large", "that write is rejected, rolled back, reported; the next goes on"),
    Row(20, "400 or 422, validation", "as 19"),
    Row(21, "409, conflict", "a verdict: rejected, rolled back, reported"),
    Row(22, "429 with `retry-after`: seconds, a date, none, absurd", "waited for, a minute at most; order kept"),
    Row(23, "502, 503, a proxy's page with 200", "kept and tried again; a page is never data"),
    Row(
        24,
        "close code 1009, by either side",
        "the query that is too large fails alone and is left out; the others are live; no loop",
    ),
    Row(
        25,
        "invalid UTF-8, invalid JSON, wrong shape, unknown type",
        "ignored and counted, or the connection is replaced; no payload in the log",
    ),
    Row(26, "slow link, segments of 7 bytes, 300 ms of delay", "correct, only slower"),
    Row(27, "burst of 400 MB", "memory is bounded by back-pressure; who conflates gets the newest"),
    Row(
        28,
        "slow consumer, and an observer that blocks",
        "an asynchronous one gets the newest value and delays nobody; a blocking one delays all, is named in a warning,"
        " and nothing is lost",
    ),
    Row(29, "observer raises", "reported; socket, queue and the others live"),
    Row(30, "observer subscribes, mutates or disposes within `on_next`", "no deadlock, order kept"),
    Row(31, "event loop blocked for 5 s", "one reconnect at most, nothing sent twice, no storm of timers"),
    Row(32, "machine asleep for 8 h", "reconnected within one backoff step, token first, no storm of timers"),
    Row(33, "wall clock jumps by +30 days or -1 day", "no timeout, no expiry, the same order"),
    Row(34, "kill -9 while enqueuing", "acknowledged is present, order kept, nothing torn"),
    Row(35, "kill -9 while sending, or between commit and local delete", "applied exactly once"),
    Row(36, "kill -9 while opening or compacting", "the next open works"),
    Row(37, "power loss", "what was synchronised is there; of the rest a prefix"),
    Row(
        38,
        "disk full",
        "writes go on in memory, reported; verdicts are remembered; durable again when there is space",
    ),
    Row(39, "directory read-only, forbidden, or EIO", "memory only, reported, no hang"),
    Row(
        40,
        "damaged files: flipped byte, cut short, log deleted, value file missing, no database",
        "set aside, reported, and the client runs; a wrong checksum costs one entry",
    ),
    Row(41, "planted pickle, planted path", "reported as damage; no code run, no file read"),
    Row(
        42,
        "two processes on one directory; directory deleted; `fork()`",
        "a lane each; a `StorageError` and memory goes on; a clear error in the child",
    ),
)

PROMISES = (
    Row(
        43,
        "connection cut between frames, inside one, during the handshake",
        "resumes; each observer's last value is the server's; nothing is delivered twice as new",
    ),
    Row(44, "half-open connection", "found within 2.5 heartbeats; reconnects"),
    Row(
        45,
        "handshake never answered; name, port or TLS wrong",
        "backoff as specified, the status says so, one clear error in the log, no spin",
    ),
    Row(46, "server restarts with a new epoch", "values replaced, cursors forgotten"),
    Row(47, "4001 and TOKEN_EXPIRED in a loop", "token asked for each time; the delay grows; no storm"),
    Row(48, "acknowledgement lost after the commit", "replayed under its id, applied once"),
    Row(49, "kill -9 at any point of compose, store, send, settle", "nothing acknowledged is lost, none applied twice"),
    Row(
        50,
        "several processes on one storage directory",
        "each replays its own lane; one left behind is adopted once, in order; nothing sent under another identity",
    ),
    Row(51, "disk full, read-only, damaged", "memory goes on, reported; what is damaged is never silently deleted"),
    Row(52, "413, 429, 503, page, empty body, wrong content type", "kept or settled as specified, never lost"),
    Row(53, "clock jumps, machine sleeps", "monotonic time; one extra reconnect at most"),
    Row(54, "event loop blocked for 10 s", "recovers without a storm of reconnects"),
    Row(55, "observer raises, is slow, disposes, or calls the client", "others unaffected, order kept"),
    Row(56, "stream nobody reads", "bounded memory, `STREAM_BACKPRESSURE`"),
    Row(
        57,
        "frames: malformed, unknown, 1,000 levels deep, 100 MB, NUL bytes, lone surrogates, doubled keys",
        "one subscription harmed at most; the connection lives or is closed with a reason; bounded memory",
    ),
    Row(58, "cancelled at every await", "no task, timer, layer or subscription left; the queue consistent"),
    Row(59, "client closed with work in flight", "observables complete, the queue is on disk, no warning"),
    Row(60, "another user with queued writes and cached reads", "nothing of A is sent or shown under B"),
)

IN_MEMORY = ("tests/core/", "tests/rx/", "tests/e2e/test_read_cache.py", "tests/test_driver.py")
"""Where tests play the server in memory: they show beside the others what those cannot order or count."""

ROWS = {row.number: row for row in (*FAULTS, *PROMISES)}
