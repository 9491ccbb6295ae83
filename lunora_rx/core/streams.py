"""Procedure streams of one shard: who is followed, and how far each has come.

Source: ``docs/protocol.md``, section "Procedure streams".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from lunora_rx.core.stream_events import StreamChunk, StreamEnded, StreamEvent, StreamFailed
from lunora_rx.errors import ClientClosedError, CodecError, LunoraError, ProtocolError, StreamError
from lunora_rx.protocol.frames import Chunk, StreamStart, Unsubscribe, encode_frame, is_position
from lunora_rx.protocol.text import serialize
from lunora_rx.protocol.values import UNDEFINED
from lunora_rx.protocol.wire import decode_parsed

MAX_PENDING: Final = 64


class Stream:
    """One stream as asked for, with how far it has come.

    Knows what a new socket must be told to go on. Does not know whether there is one.

    Attributes:
        id: What the wire calls it.
        function_path: The procedure.
        args: Its arguments in wire form.
        is_durable: Whether the caller takes it for durable, which counts until the server has shown what it is.
        has_begun: Whether a chunk came.
        position: Number of the last chunk; ``None`` before the first, and where the server numbers none.
        generation: Which run the chunks are of, as the server says it; ``UNDEFINED`` if it does not.
    """

    __slots__ = ("args", "function_path", "generation", "has_begun", "id", "is_durable", "position")

    def __init__(self, stream_id: str, function_path: str, args: Any, *, is_durable: bool) -> None:
        self.id = stream_id
        self.function_path = function_path
        self.args = args
        self.is_durable = is_durable
        self.has_begun = False
        self.position: int | None = None
        self.generation: Any = UNDEFINED

    @property
    def can_resume(self) -> bool:
        """Whether another socket can carry it on without a gap."""
        return self.position is not None or (self.is_durable and not self.has_begun)

    def describe(self) -> dict[str, Any]:
        """Return what a bug report needs of this stream, as plain values; no chunk is among them."""
        return {"function": self.function_path, "has_begun": self.has_begun, "position": self.position}

    def encode_start(self, shard: str) -> str:
        """Return the frame that starts it, or carries it on from where it stands."""
        start = StreamStart(self.id, self.function_path, self.args, shard or None, self.position, self.generation)
        return encode_frame(start)

    def advance(self, frame: Mapping[str, Any]) -> bool:
        """Note that the value of a chunk was read; tells whether it is a new one.

        Raises:
            CodecError: Its place in the stream cannot be read, or not be said again to the next socket. To pass
                over it would leave a gap.
        """
        seq = frame.get("seq")
        if seq is not None:
            if not is_position(seq):
                raise CodecError("not an integer", path="seq", code="WIRE_DECODE_FAILED")
            if self.position is not None and seq <= self.position:
                return False
        generation = frame.get("generation", self.generation)
        if generation is not self.generation:
            _check_generation(generation)
        self.position = self.position if seq is None else seq
        self.generation = generation
        self.has_begun = True
        return True


class Streams:
    """The streams of one shard, in the order in which they were started.

    Knows which run on the present socket, and which wait for the next. Does not know when sockets open
    or close: its session does.

    Args:
        shard: The shard key.
        new_id: Returns an id that no stream of this client has had.
        emit: Takes each event.
        send: Puts a frame on the open socket, and tells whether there is one.
        frame_size: Returns how many characters the present frame has.
    """

    def __init__(
        self,
        shard: str,
        new_id: Callable[[], str],
        emit: Callable[[StreamEvent], None],
        send: Callable[[str], bool],
        frame_size: Callable[[], int] = lambda: 0,
    ) -> None:
        self._shard = shard
        self._frame_size = frame_size
        self._new_id = new_id
        self._emit = emit
        self._send = send
        self._running: dict[str, Stream] = {}
        self._pending: dict[str, Stream] = {}
        self.handlers: Mapping[str, Callable[[dict[str, Any], bool], None]] = {Chunk.TYPE: self._receive_chunk}

    @property
    def is_needed(self) -> bool:
        """Whether the socket must stay."""
        return bool(self._running or self._pending)

    def start(self, function_path: str, args: Any, *, durable: bool) -> str:
        """Start a procedure, with ``args`` in wire form, now or when the socket opens; return the stream's id.

        No event of the id comes before this returns. The caller opens a socket if there is none.
        """
        stream = Stream(self._new_id(), function_path, args, is_durable=durable)
        if self._send(stream.encode_start(self._shard)):
            self._running[stream.id] = stream
        else:
            self._queue(stream)
        return stream.id

    def cancel(self, stream_id: str) -> None:
        """Follow a stream no more; nothing comes of it afterwards. One that is over, or unknown, is silent."""
        if self._pending.pop(stream_id, None) is None and self._running.pop(stream_id, None) is not None:
            self._unsubscribe(stream_id)

    def receive_error(self, frame_id: str, error: LunoraError) -> bool:
        """Fail a stream as the server says; tells whether it is one."""
        if self._running.pop(frame_id, None) is None:
            return False
        self._emit(StreamFailed(frame_id, _as_stream_error(error)))
        return True

    def receive_complete(self, frame_id: str) -> bool:
        """End a stream as the server says; tells whether it is one."""
        if self._running.pop(frame_id, None) is None:
            return False
        self._emit(StreamEnded(frame_id))
        return True

    @property
    def starts(self) -> list[str]:
        """What would start, or carry on, those that the present socket carries."""
        return [stream.encode_start(self._shard) for stream in self._running.values()]

    @property
    def running(self) -> list[str]:
        """The streams that the present socket carries."""
        return list(self._running)

    @property
    def waiting(self) -> list[str]:
        """The streams that wait for a socket."""
        return list(self._pending)

    def begin(self, stream_id: str) -> str:
        """Return what starts one that waits, or carries it on."""
        stream = self._running[stream_id] = self._pending.pop(stream_id)
        return stream.encode_start(self._shard)

    def frames_on_open(self) -> list[str]:
        """Return what starts the streams that wait, and carries on those that were cut."""
        return [self.begin(stream_id) for stream_id in self.waiting]

    def forget_socket(self) -> None:
        """Note that the socket is gone: what can be carried on without a gap waits for the next, the rest fails."""
        cut, self._running = self._running, {}
        for stream in cut.values():
            if stream.can_resume:
                self._queue(stream)
            else:
                self._fail(stream, f"stream {stream.function_path!r} lost its socket", "STREAM_DISCONNECTED")

    def close(self) -> None:
        """Fail all of them: the client is closed."""
        streams = {**self._running, **self._pending}
        self._running, self._pending = {}, {}
        for stream in streams.values():
            message = f"the client was closed while stream {stream.function_path!r} was open"
            self._emit(StreamFailed(stream.id, ClientClosedError(message)))

    def describe(self) -> dict[str, dict[str, Any]]:
        """Return what a bug report needs of each stream."""
        return {
            stream.id: {"state": state, **stream.describe()}
            for state, streams in (("running", self._running), ("pending", self._pending))
            for stream in streams.values()
        }

    def _receive_chunk(self, frame: dict[str, Any], tagged: bool) -> None:
        stream_id = frame.get("id")
        if type(stream_id) is not str:
            raise ProtocolError("frame 'chunk': 'id' is not a string")
        stream = self._running.get(stream_id)
        if stream is None:
            return
        value = frame.get("data", UNDEFINED)
        try:
            # A chunk that cannot be read must not move the position: it would be lost without a trace.
            if tagged and value is not UNDEFINED:
                value = decode_parsed(value, root="chunk")
            is_news = stream.advance(frame)
        except CodecError as error:
            del self._running[stream_id]
            self._unsubscribe(stream_id)
            self._emit(StreamFailed(stream_id, error))
            return
        if is_news:
            self._emit(StreamChunk(stream_id, value, self._frame_size()))

    def _queue(self, stream: Stream) -> None:
        self._pending[stream.id] = stream
        if len(self._pending) > MAX_PENDING:
            oldest = self._pending.pop(next(iter(self._pending)))
            message = f"stream {oldest.function_path!r} gave way: more than {MAX_PENDING} wait for a socket"
            self._fail(oldest, message, "STREAM_QUEUE_OVERFLOW")

    def _fail(self, stream: Stream, message: str, code: str) -> None:
        self._emit(StreamFailed(stream.id, StreamError(message, code=code, transient=True)))

    def _unsubscribe(self, stream_id: str) -> None:
        self._send(encode_frame(Unsubscribe(stream_id)))


def _check_generation(generation: Any) -> None:
    if type(generation) is str and generation.isascii():
        return
    try:
        serialize(generation)
    except CodecError as error:
        reason = error.message.removeprefix(f"{error.path}: ")
        raise CodecError(reason, path="generation", code="WIRE_DECODE_FAILED") from None


def _as_stream_error(error: LunoraError) -> LunoraError:
    # What became of the stream itself reads the same whichever side says it; the rest is the procedure's own.
    if error.code is None or not error.code.startswith("STREAM_"):
        return error
    return StreamError(error.message, code=error.code, data=error.data)
