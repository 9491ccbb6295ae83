"""The streams of one socket: chunks go out as long as there is room for them.

Source: ``docs/protocol.md``, section "Procedure streams".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final, Protocol, TypeAlias

from lunora_rx.devserver.answers import Failure
from lunora_rx.devserver.contexts import ActionContext
from lunora_rx.devserver.producer import Chunks, Producer
from lunora_rx.devserver.refusals import AppError
from lunora_rx.devserver.runs import Run, interrupted
from lunora_rx.devserver.shard import Shard
from lunora_rx.devserver.shards import DEFAULT_SHARD
from lunora_rx.devserver.surface import Stream, Surface, bound
from lunora_rx.devserver.works import Works
from lunora_rx.protocol.frames import Chunk, Complete, ErrorFrame, ServerFrame, StreamStart
from lunora_rx.protocol.keys import stable_key_of_tree
from lunora_rx.protocol.text import serialize
from lunora_rx.protocol.values import UNDEFINED

__all__ = ["MakeContext", "SocketStreams", "StreamOutlet"]

MakeContext: TypeAlias = Callable[[Shard, str | None], ActionContext]
"""Gives the context of a stream on a shard on behalf of a subject."""

_PAGE: Final = 64


class StreamOutlet(Protocol):
    """The socket, as far as streams need it."""

    @property
    def has_room(self) -> bool:
        """Whether it takes another chunk; ``SocketStreams.resume`` is called when it does again."""
        ...

    def send(self, frame: ServerFrame) -> None:
        """Queue a frame."""

    def send_chunk(self, frame: Chunk, text: str) -> None:
        """Queue a chunk whose ``data`` has this JSON text."""


class EphemeralStream:
    """A run that belongs to one stream of one socket, and ends with it."""

    def __init__(self, stream_id: str, outlet: StreamOutlet, on_end: Callable[[str], None]) -> None:
        self._id = stream_id
        self._outlet = outlet
        self._on_end = on_end
        self._producer: Producer | None = None

    @property
    def wants_more(self) -> bool:
        """Whether the socket has room."""
        return self._outlet.has_room

    def start(self, producer: Producer) -> None:
        """Begin."""
        self._producer = producer
        producer.resume()

    def receive_chunk(self, text: str) -> None:
        """Send a chunk, which has no position."""
        self._outlet.send_chunk(Chunk(self._id), text)

    def receive_end(self, failure: Failure | None) -> None:
        """Send the end."""
        self._on_end(self._id)
        _send_end(self._outlet, self._id, None if failure is None else (failure.code, failure.message))

    def resume(self) -> None:
        """Go on."""
        if self._producer is not None:
            self._producer.resume()

    def close(self) -> None:
        """Cancel the run."""
        if self._producer is not None:
            self._producer.cancel()


class DurableStream:
    """One reader of a durable run: it sends the transcript from a position on."""

    def __init__(
        self, stream_id: str, outlet: StreamOutlet, on_end: Callable[[str], None], *, run: Run, position: int
    ) -> None:
        self._id = stream_id
        self._outlet = outlet
        self._on_end = on_end
        self._run = run
        self._position = position

    def start(self) -> None:
        """Begin."""
        self._run.follow(self)
        self.resume()

    def receive_progress(self) -> None:
        """Send what there is."""
        self.resume()

    def resume(self) -> None:
        """Send chunks while there is room, and the end behind the last one."""
        while self._position < self._run.last_seq and self._outlet.has_room:
            page = self._run.read(self._position, _PAGE)
            if not page:  # the transcript was forgotten, or replaced by a new run
                self._end(_told(interrupted()))
                return
            self._send(page)
        ending = self._run.ending
        if ending is not None and self._position >= self._run.last_seq:
            self._end(None if ending.code is None else (ending.code, ending.message or ""))

    def close(self) -> None:
        """Leave the run, which goes on."""
        self._run.leave(self)

    def _send(self, page: list[tuple[int, str]]) -> None:
        for seq, text in page:
            if not self._outlet.has_room:
                return
            self._position = seq
            self._outlet.send_chunk(Chunk(self._id, seq=seq, generation=self._run.generation), text)

    def _end(self, refusal: tuple[str, str] | None) -> None:
        self.close()
        self._on_end(self._id)
        _send_end(self._outlet, self._id, refusal)


class SocketStreams:
    """Knows the streams of a socket that have not ended."""

    def __init__(
        self,
        outlet: StreamOutlet,
        shard: Shard,
        surface: Surface,
        *,
        subject: str | None,
        works: Works,
        make_context: MakeContext,
    ) -> None:
        self._outlet = outlet
        self._shard = shard
        self._surface = surface
        self._subject = subject
        self._works = works
        self._make_context = make_context
        self._streams: dict[str, EphemeralStream | DurableStream] = {}

    def __len__(self) -> int:
        return len(self._streams)

    def __iter__(self) -> Iterator[str]:
        return iter(self._streams)

    def start(self, frame: StreamStart) -> None:
        """Start a stream, or go on with a durable one; the same id again takes the place of the first.

        Raises:
            AppError: It cannot be started, or is gone.
        """
        stream = self._surface.stream(frame.function_path)
        tree = {} if frame.args is UNDEFINED else frame.args
        args = bound(stream.function, tree)
        _check_shard(frame.shard_key, self._shard)
        self.cancel(frame.id)
        open_chunks = partial(self._open, stream, args)
        if stream.is_durable:
            self._follow(frame, stream, stable_key_of_tree(tree), open_chunks)
        elif frame.since_chunk is not None or frame.generation is not UNDEFINED:
            raise interrupted()
        else:
            self._produce(frame.id, stream, open_chunks)

    def cancel(self, stream_id: str) -> None:
        """End a stream; an unknown one is no error."""
        stream = self._streams.pop(stream_id, None)
        if stream is not None:
            # Its generator may write when it is closed, and a commit may be what closes it.
            self._shard.when_quiet(stream.close)

    def resume(self) -> None:
        """Go on: there is room again."""
        for stream in list(self._streams.values()):
            stream.resume()

    def close(self) -> None:
        """End all streams."""
        for stream_id in list(self._streams):
            self.cancel(stream_id)

    def _open(self, stream: Stream, args: dict[str, Any]) -> Chunks:
        chunks: Chunks = stream.function.handler(self._make_context(self._shard, self._subject), **args)
        return chunks

    def _produce(self, stream_id: str, stream: Stream, open_chunks: Callable[[], Chunks]) -> None:
        ephemeral = self._streams[stream_id] = EphemeralStream(stream_id, self._outlet, self._forget)
        ephemeral.start(Producer(stream.function.path, open_chunks, ephemeral, self._works))

    def _follow(self, frame: StreamStart, stream: Stream, args: str, open_chunks: Callable[[], Chunks]) -> None:
        path, runs = stream.function.path, self._shard.runs
        key = serialize([path, args, self._subject]).decode()
        if frame.since_chunk is None and frame.generation is UNDEFINED:
            run = runs.join(key, path, open_chunks)
        else:
            run = runs.resume(key, frame.generation, frame.since_chunk or 0)
        durable = DurableStream(frame.id, self._outlet, self._forget, run=run, position=frame.since_chunk or 0)
        self._streams[frame.id] = durable
        durable.start()

    def _forget(self, stream_id: str) -> None:
        self._streams.pop(stream_id, None)


def _check_shard(named: str | None, shard: Shard) -> None:
    if named is not None and (named or DEFAULT_SHARD) != shard.name:
        raise AppError("FORBIDDEN_SHARD", f"this socket is connected to shard {shard.name!r}, not {named!r}")


def _told(error: AppError) -> tuple[str, str]:
    return error.code or "INTERNAL", error.message


def _send_end(outlet: StreamOutlet, stream_id: str, refusal: tuple[str, str] | None) -> None:
    if refusal is None:
        outlet.send(Complete(stream_id))
        return
    code, message = refusal
    outlet.send(ErrorFrame(stream_id, message, code, message))
