"""The numbers of an embedded server that may be changed."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """How much an embedded server takes, and how long it remembers.

    Attributes:
        subscriptions: Live queries, shapes and streams of one socket; one more is answered TOO_MANY_SUBSCRIPTIONS.
        queued_bytes: Text waiting for one socket; a client that leaves more unread is dropped.
        frame_size: Bytes of one inbound frame; a larger one closes the socket with 1009.
        body_size: Bytes of one HTTP body; a larger one is answered PAYLOAD_TOO_LARGE.
        change_retention: Changes in the log of each shard; a client that was away for more gets values anew.
        reply_retention: Recorded replies of each shard; an older mutation id would be carried out again.
        run_chunks: Chunks of one durable run; a longer one fails with PAYLOAD_TOO_LARGE.
        transcript_retention: Finished durable runs of each shard that are kept; an older one runs anew when asked for.
        ws_token_lifetime: Seconds that a short-lived token is good for.
    """

    subscriptions: int = 16_384
    queued_bytes: int = 16 * 2**20
    frame_size: int = 2**20
    body_size: int = 2**20
    change_retention: int = 10_000
    reply_retention: int = 100_000
    run_chunks: int = 100_000
    transcript_retention: int = 1000
    ws_token_lifetime: float = 60.0
