"""The streams of the model: what their procedures give, and what each client's consumers have been given."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from lunora_rx.core.multiplexer import Multiplexer
from lunora_rx.core.stream_events import StreamChunk, StreamEnded, StreamEvent, StreamFailed
from lunora_rx.devserver import App
from lunora_rx.devserver.refusals import AppError
from lunora_rx.protocol import encode_wire

DURABLE: Final = "jobs:follow"
EPHEMERAL: Final = "jobs:watch"
FAILING: Final = "jobs:fail"
STREAMS: Final = (DURABLE, DURABLE, EPHEMERAL, FAILING)


def register_streams(app: App) -> None:
    """Define the procedures at the server."""

    @app.stream(DURABLE, durable=True)
    def follow(ctx, count: int):
        yield from chunks_of(count)

    @app.stream(EPHEMERAL)
    def watch(ctx, count: int):
        yield from chunks_of(count)

    @app.stream(FAILING, durable=True)
    def fail(ctx, count: int):
        yield from chunks_of(count)
        raise AppError("NO", "this procedure never ends well")


def chunks_of(count: int) -> list[str]:
    """Return everything that a procedure gives."""
    return [f"{place + 1} of {count}" for place in range(count)]


@dataclass(eq=False)
class StreamView:
    """What the consumer of one stream has been given.

    Attributes:
        path: The procedure.
        count: How many chunks it gives.
        shard: Where it runs.
        chunks: What came of it.
        excuses: Codes with which it may end early, by what has happened to it.
    """

    path: str
    count: int
    shard: str
    chunks: list[str] = field(default_factory=list)
    excuses: set[str] = field(default_factory=set)


class StreamViews:
    """All streams that one client follows.

    Attributes:
        views: Those that have not ended, by stream id.
    """

    def __init__(self, core: Multiplexer, traffic: Counter[str]) -> None:
        self.views: dict[str, StreamView] = {}
        self._core = core
        self._traffic = traffic

    def start(self, path: str, count: int, shard: str, now: float) -> None:
        """Follow a procedure from its beginning."""
        args = encode_wire({"count": count})
        stream_id = self._core.start_stream(path, args, shard, now, durable=path != EPHEMERAL)
        assert stream_id not in self.views, f"{stream_id} is given twice"
        self.views[stream_id] = StreamView(path, count, shard)

    def cancel(self, stream_id: str, now: float) -> None:
        """Follow it no more; nothing comes of it afterwards."""
        self._core.cancel_stream(stream_id, self.views.pop(stream_id).shard, now)

    def excuse(self, code: str, shard: str | None = None) -> None:
        """Note for what is followed now that it may end early."""
        for view in self.views.values():
            if shard is None or view.shard == shard:
                view.excuses.add(code)

    def handle(self, event: StreamEvent) -> None:
        """Take what comes: every chunk once and in order, then the end."""
        assert event.stream_id in self.views, f"an event for {event.stream_id}, which nobody follows"
        view = self.views[event.stream_id]
        expected = chunks_of(view.count)
        match event:
            case StreamChunk(_, value):
                view.chunks.append(value)
                assert view.chunks == expected[: len(view.chunks)], f"{view.path} has given {view.chunks}"
            case StreamEnded():
                del self.views[event.stream_id]
                assert view.chunks == expected, f"{view.path} ends with {view.chunks}"
                assert view.path != FAILING
                self._traffic["stream ended"] += 1
            case StreamFailed(_, error):
                del self.views[event.stream_id]
                self._traffic[f"stream fails: {error.code}"] += 1
                self._check_failure(view, str(error.code))

    def _check_failure(self, view: StreamView, code: str) -> None:
        if code == "NO":
            assert view.path == FAILING
            assert view.chunks == chunks_of(view.count), f"{view.path} fails with {view.chunks}"
            return
        assert code != "STREAM_DISCONNECTED" or view.path == EPHEMERAL, f"{view.path} is not carried on"
        is_spoilt = code == "WIRE_DECODE_FAILED" and self._traffic["chunks to be spoilt"]
        assert is_spoilt or code in view.excuses, f"{view.path} fails with {code} for no reason, {view.excuses}"
