"""The server half of one socket, without the socket: texts in, texts out.

It has no loop and no clock.  Its owner hands in what arrived (``receive_text``), takes what
is to be sent (``frames_to_send``) whenever ``on_ready`` was called, and closes the socket when
``close_code`` is set and everything was sent.  Source: ``docs/protocol.md``, sections
"WebSocket" and "Live queries".
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from lunora_rx.devserver.answers import spliced
from lunora_rx.devserver.frame_faults import FrameFaults, Subscribing
from lunora_rx.devserver.presence import Presence
from lunora_rx.devserver.refusals import AppError
from lunora_rx.devserver.settings import Limits
from lunora_rx.devserver.shard import Shard
from lunora_rx.devserver.socket_queries import SocketQueries
from lunora_rx.devserver.socket_shapes import SocketShapes
from lunora_rx.devserver.socket_streams import MakeContext, SocketStreams
from lunora_rx.devserver.surface import Surface
from lunora_rx.devserver.works import Works
from lunora_rx.errors import CodecError, LunoraError, ProtocolError
from lunora_rx.protocol.endpoints import CLOSE_TOKEN_EXPIRED, PING, PONG
from lunora_rx.protocol.frames import (
    Chunk,
    Connect,
    ErrorFrame,
    Identity,
    ServerFrame,
    ShapeSubscribe,
    ShapeUnsubscribe,
    StreamStart,
    Subscribe,
    Unsubscribe,
    WhisperFrame,
    WhisperSend,
    WhisperSubscribe,
    WhisperUnsubscribe,
    decode_client_frame,
    encode_frame,
)
from lunora_rx.protocol.text import parse

__all__ = ["ServerSession"]

logger = logging.getLogger("lunora_rx.devserver")

Asking: TypeAlias = Subscribe | ShapeSubscribe | StreamStart

PAGE_DELTA: Final = "pageDelta"
_KINDS: Final[Mapping[type[Asking], Subscribing]] = {Subscribe: "query", ShapeSubscribe: "shape", StreamStart: "stream"}


class ServerSession:
    """Everything the server knows about one socket.

    Attributes:
        subject: Whose socket it is, or ``None``.
        client_id: What the client calls itself, once it said so.
        topics: Whisper topics that the socket has joined.
        close_code: With which code to close the socket once all is sent; ``None`` while it lives.
        expires_at: Wall clock seconds at which the owner calls ``expire``; ``None`` for never.
        is_overflowed: Whether the peer did not read for too long; the owner aborts the socket.
        on_ready: Called when there is something to send, or to close.
    """

    def __init__(
        self,
        shard: Shard,
        surface: Surface,
        *,
        make_context: MakeContext,
        works: Works,
        faults: FrameFaults,
        subject: str | None = None,
        limits: Limits | None = None,
        expires_at: float | None = None,
    ) -> None:
        self.subject = subject
        self.client_id: str | None = None
        self.topics: set[str] = set()
        self.close_code: int | None = None
        self.expires_at = expires_at
        self.is_overflowed = False
        self.on_ready: Callable[[], object] = lambda: None
        self.queued_bytes = 0
        self._shard = shard
        self._surface = surface
        self._faults = faults
        self._limits = limits or Limits()
        self._caps: frozenset[str] = frozenset()
        self._queries = SocketQueries(self, shard, surface, subject=subject)
        self._shapes = SocketShapes(self, shard, surface, subject=subject, faults=faults)
        self._streams = SocketStreams(self, shard, surface, subject=subject, works=works, make_context=make_context)
        self._presence = Presence(surface.hooks, shard, subject)
        self._outbox: list[str] = []
        self._streamed_bytes = 0
        self._must_settle = False
        shard.members[self] = None

    # --- for the owner of the socket

    def receive_text(self, text: str) -> None:
        """Handle what the client has sent; what cannot be read is ignored."""
        if self.close_code is not None:
            return
        if text == PING:
            self.send_text(PONG)
            return
        try:
            tree = parse(text)
        except CodecError:
            logger.debug("a text that is no JSON is ignored")
            return
        try:
            frame = decode_client_frame(tree)
        except ProtocolError as error:
            self._refuse_malformed(tree, error)
            return
        if frame is not None:
            self._handle(frame)

    def frames_to_send(self) -> list[str]:
        """Take the texts to send, in order."""
        if self._must_settle:
            self._must_settle = False
            self._queries.settle()
        taken, self._outbox, self.queued_bytes, self._streamed_bytes = self._outbox, [], 0, 0
        self._streams.resume()  # into the room that is there now
        return taken

    def expire(self) -> None:
        """Tell the client that its token is no longer good, and end the socket."""
        if self.close_code is None:
            message = "the token of this socket has expired or is not good"
            self.send(ErrorFrame(None, message, "TOKEN_EXPIRED", message))
            self.end(CLOSE_TOKEN_EXPIRED)

    def end(self, code: int) -> None:
        """Leave the shard and ask the owner to close the socket with this code."""
        self.close()
        self.close_code = code
        self.on_ready()

    def cancel_subscriptions(self) -> None:
        """End every live query of this socket, and tell the client so."""
        self._queries.cancel()

    def close(self) -> None:
        """Leave the shard; closing twice is silent."""
        self._shard.members.pop(self, None)
        self._queries.close()
        self._shapes.close()
        self._streams.close()
        self._must_settle = False
        self._presence.leave()

    # --- for the shard

    @property
    def takes_deltas(self) -> bool:
        """Whether the client merges row changes."""
        return PAGE_DELTA in self._caps

    @property
    def is_busy(self) -> bool:
        """Whether so much waits to be sent that nothing more should be read: who asks for much has to read it."""
        return self.queued_bytes - self._streamed_bytes > self._limits.queued_bytes // 4

    @property
    def has_room(self) -> bool:
        """Whether streams may go on: they are held back long before the socket would be given up."""
        return self in self._shard.members and self.queued_bytes <= self._limits.queued_bytes // 8

    @property
    def shard_name(self) -> str:
        """The shard that the socket is connected to."""
        return self._shard.name

    @property
    def subscription_count(self) -> int:
        """How many live queries the socket has."""
        return len(self._queries)

    def settle(self) -> None:
        """Let every subscription learn the cursor reached, once for all writes until the next drain."""
        self._must_settle = True
        self.on_ready()

    def receive_whisper(self, topic: str, data: Any, sender: str | None) -> None:
        """Pass on what another member told a topic."""
        self.send(WhisperFrame(topic, data, sender))

    def send(self, frame: ServerFrame, member: str = "", text: str = "") -> None:
        """Queue a frame; a member whose JSON text is known already is spliced in."""
        try:
            head = encode_frame(frame)
        except CodecError as error:  # an id or a whisper that could be read but not be written again
            logger.debug("a frame cannot be sent: %s", error)
            return
        self.send_text(spliced(head, member, text) if member else head)

    def send_chunk(self, frame: Chunk, text: str) -> None:
        """Queue a chunk; it may strike a fault."""
        before = self.queued_bytes
        self.send(frame, "data", self._faults.strike_chunk(text))
        self._streamed_bytes += self.queued_bytes - before

    def send_text(self, text: str) -> None:
        """Queue a text; a peer that does not read is given up instead."""
        if self.is_overflowed:
            return
        # The text that passes the bound still goes, or a value larger than it could never be sent.
        if self.queued_bytes > self._limits.queued_bytes:
            self._overflow()
            return
        self._outbox.append(text)
        self.queued_bytes += len(text)
        self.on_ready()

    # --- frames

    def _handle(self, frame: object) -> None:
        if isinstance(frame, Subscribe | ShapeSubscribe | StreamStart):
            self._ask(frame)
        elif isinstance(frame, Unsubscribe):
            self._queries.unsubscribe(frame.id)
            self._streams.cancel(frame.id)
        elif isinstance(frame, Connect):
            self.client_id, self._caps = frame.client_id, frozenset(frame.caps)
            self.send(Identity(self.subject))
            self._presence.connect(frame)
        elif isinstance(frame, WhisperSubscribe):
            self._join(frame.topic)
        elif isinstance(frame, WhisperUnsubscribe):
            self.topics.discard(frame.topic)
        elif isinstance(frame, WhisperSend):
            self._shard.whisper(frame.topic, frame.data, self, self.subject or self.client_id)
        elif isinstance(frame, ShapeUnsubscribe):
            self._shapes.unsubscribe(frame.id)

    def _ask(self, frame: Asking) -> None:
        try:
            self._check_room(frame.id)
            # Whom this tells may be found not to read, and leave: its hooks write when all were told.
            with self._shard.uninterrupted():
                self._answer(frame)
        except LunoraError as error:
            self._forget(frame.id)
            self.send(ErrorFrame(frame.id, error.message, error.code, error.message))
        if self not in self._shard.members:  # the answer was more than the socket takes
            self.close()

    def _answer(self, frame: Asking) -> None:
        self._faults.check_subscription(_KINDS[type(frame)])
        if isinstance(frame, Subscribe):
            self._queries.subscribe(frame)
        elif isinstance(frame, ShapeSubscribe):
            self._shapes.subscribe(frame)
        else:
            self._streams.start(frame)

    def _forget(self, frame_id: str) -> None:
        self._queries.unsubscribe(frame_id)
        self._shapes.unsubscribe(frame_id)
        self._streams.cancel(frame_id)

    def _join(self, topic: str) -> None:
        if len(self.topics) < self._limits.subscriptions:
            self.topics.add(topic)

    def _check_room(self, subscription_id: str) -> None:
        limit = self._limits.subscriptions
        held = len(self._queries) + len(self._shapes) + len(self._streams)
        if held >= limit and subscription_id not in {*self._queries, *self._shapes, *self._streams}:
            raise AppError("TOO_MANY_SUBSCRIPTIONS", f"a connection holds at most {limit} subscriptions")

    def _refuse_malformed(self, tree: Any, error: ProtocolError) -> None:
        frame_id = tree.get("id")
        asks = any(tree.get("type") == each.TYPE for each in _KINDS)
        if asks and isinstance(frame_id, str):
            self.send(ErrorFrame(frame_id, error.message, "BAD_SUBSCRIPTION_ARGS", error.message))
        else:
            logger.debug("a frame is ignored: %s", error)

    def _overflow(self) -> None:
        logger.warning("a client does not read: its socket is dropped")
        self.is_overflowed = True
        self._outbox, self.queued_bytes = [], 0
        self.close()
        self.on_ready()
