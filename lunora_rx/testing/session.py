"""The server's half of one socket, played by a script.

Source: ``docs/protocol.md``, sections "WebSocket", "Live queries", "Shapes and pokes" and "Procedure streams".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lunora_rx.errors import LunoraError
from lunora_rx.protocol.endpoints import CLOSE_TOKEN_EXPIRED, PING, PONG
from lunora_rx.protocol.frames import (
    Connect,
    ErrorFrame,
    Identity,
    ServerFrame,
    ShapeSubscribe,
    ShapeUnsubscribe,
    StreamStart,
    Subscribe,
    Unsubscribe,
    WhisperSend,
    WhisperSubscribe,
    WhisperUnsubscribe,
    decode_client_frame,
    encode_frame,
)
from lunora_rx.protocol.text import parse
from lunora_rx.protocol.values import UNDEFINED
from lunora_rx.protocol.wire import decode_wire
from lunora_rx.testing.script import Target

if TYPE_CHECKING:
    from lunora_rx.testing.answers import Answers
    from lunora_rx.testing.streams import Run

__all__ = ["Session", "Watch"]


@dataclass(slots=True)
class Watch:
    """A live query or a shape that one socket has asked for.

    Attributes:
        shown: What it was sent last, in wire form; ``UNDEFINED`` before, and after an error.
    """

    session: Session
    id: str
    target: Target
    shown: Any = field(default=UNDEFINED, repr=False)


class Session:
    """Everything the scripted server knows about one socket; it knows no answers."""

    def __init__(self, answers: Answers, shard: str) -> None:
        self.on_ready: Callable[[], object] = lambda: None
        self.close_code: int | None = None
        self.shard = shard
        self.client_id: str | None = None
        self.context: Any = UNDEFINED
        self.queries: dict[str, Watch] = {}
        self.shapes: dict[str, Watch] = {}
        self.runs: dict[str, Run] = {}
        self.topics: set[str] = set()
        self._answers = answers
        self._outbox: list[str] = []

    def receive_text(self, text: str) -> None:
        """Handle what the client has sent."""
        if text == PING:
            self._put(PONG)
            return
        frame = decode_client_frame(parse(text))
        if isinstance(frame, Subscribe):
            watch = self.queries[frame.id] = Watch(self, frame.id, self._target(frame.function_path, frame.args))
            self._answers.subscribe(watch, frame.since_seq, frame.since_epoch)
        elif isinstance(frame, ShapeSubscribe):
            watch = self.shapes[frame.id] = Watch(self, frame.id, self._target(frame.name, frame.args))
            self._answers.show_shape(watch, frame.since_checkpoint, frame.since_epoch)
        elif isinstance(frame, StreamStart):
            self._answers.start_stream(self, frame, self._target(frame.function_path, frame.args))
        else:
            self._note(frame)

    def _note(self, frame: object) -> None:
        if isinstance(frame, Connect):
            self.client_id = frame.client_id
            self.context = UNDEFINED if frame.context is UNDEFINED else decode_wire(frame.context)
            self.send(Identity(self._answers.subject))
        elif isinstance(frame, Unsubscribe):
            self.queries.pop(frame.id, None)
            self.leave_run(frame.id)
        elif isinstance(frame, ShapeUnsubscribe):
            self.shapes.pop(frame.id, None)
        elif isinstance(frame, WhisperSubscribe):
            self.topics.add(frame.topic)
        elif isinstance(frame, WhisperUnsubscribe):
            self.topics.discard(frame.topic)
        elif isinstance(frame, WhisperSend):
            self._answers.relay_whisper(self, frame.topic, frame.data)

    def frames_to_send(self) -> list[str]:
        """Take the texts to send, in order."""
        taken, self._outbox = self._outbox, []
        return taken

    def send(self, *frames: ServerFrame) -> None:
        """Send frames, unless the socket is gone."""
        for frame in frames:
            self._put(encode_frame(frame))

    def send_error(self, frame_id: str | None, error: LunoraError) -> None:
        """Tell the client that what it asked for failed, or its credential."""
        self.send(ErrorFrame(frame_id, error.message, error.code or "INTERNAL", error.message))

    def expire(self) -> None:
        """Tell the client that its token is no longer good, and close the socket."""
        self.send_error(None, LunoraError("the token of this socket has expired", code="TOKEN_EXPIRED"))
        self.close_code = CLOSE_TOKEN_EXPIRED
        self.on_ready()

    def leave_run(self, frame_id: str) -> None:
        """Follow a stream no more."""
        run = self.runs.pop(frame_id, None)
        if run is not None:
            run.detach(self, frame_id)

    def close(self) -> None:
        """Forget everything that the socket has asked for."""
        self.queries.clear()
        self.shapes.clear()
        self.topics.clear()
        for frame_id in tuple(self.runs):
            self.leave_run(frame_id)
        self._answers.sessions.pop(self, None)

    def _target(self, function: str, args: Any) -> Target:
        return Target(function, {} if args is UNDEFINED else decode_wire(args), self.shard)

    def _put(self, text: str) -> None:
        self._outbox.append(text)
        self.on_ready()
