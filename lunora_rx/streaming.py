"""The requests for HTTP streams: one task each, which reads a reply as it comes.

How a reply is read, and what it means, is ``protocol.http_stream``'s to say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from lunora_rx.errors import LunoraError, TransportError
from lunora_rx.interfaces import HttpTransport, StreamingReply
from lunora_rx.protocol.frozen import frozen
from lunora_rx.protocol.http_stream import ChunkReader
from lunora_rx.protocol.sse import StreamNews

# Values told in one turn of the loop: a burst must not overrun a consumer that would keep up.
_TURN = 64


@frozen
class StreamLimits:
    """How long and how much: seconds until the headers, seconds between pieces of the body, bytes of an event."""

    timeout: float = 30.0
    read_timeout: float = 120.0
    event_size: int = 64 * 2**20


DEFAULT_LIMITS = StreamLimits()


async def read_stream(
    transport: HttpTransport,
    url: str,
    headers: Mapping[str, str],
    limits: StreamLimits,
    tell: Callable[[StreamNews], None],
) -> None:
    """Make one request and tell what its reply brings, up to a ``StreamEnd``; cancelling aborts it, silently."""
    reader = ChunkReader(limits.event_size)
    try:
        reply = await transport.stream(
            "GET", url, headers=headers, timeout=limits.timeout, read_timeout=limits.read_timeout
        )
        try:
            await _read(reply, reader, tell)
        finally:
            await reply.aclose()
    except LunoraError as error:
        # Without its traceback, which leads through frames that hold the bearer.
        await _tell(reader.receive_failure(error.copy()), tell)
    except Exception as error:
        # Its text may hold a token.
        failure = TransportError(f"the transport failed: {type(error).__name__}", transient=True)
        await _tell(reader.receive_failure(failure), tell)


async def _read(reply: StreamingReply, reader: ChunkReader, tell: Callable[[StreamNews], None]) -> None:
    await _tell(reader.receive_head(reply.status, reply.headers), tell)
    while not reader.is_over:
        data = await reply.read()
        await _tell(reader.receive_end() if data is None else reader.receive_bytes(data), tell)


async def _tell(news: Sequence[StreamNews], tell: Callable[[StreamNews], None]) -> None:
    for start in range(0, len(news), _TURN):
        for each in news[start : start + _TURN]:
            tell(each)
        await asyncio.sleep(0)
