"""OpenTelemetry: spans for calls, metrics of the connection, the queue and what observers see.

Needs the extra ``otel``, which is ``opentelemetry-api`` alone; which SDK takes it, if any, is the program's to say.
``docs/observability.md`` lists every span, attribute and metric.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary, WeakSet

from reactivex.abc import DisposableBase
from reactivex.disposable import Disposable

from lunora_rx import CallNews, Counts, FrameText, LunoraClient, ReplayProgress

__all__ = ["instrument"]

SCOPE: Final = "lunora_rx"
LONGEST_LATENCY: Final = 60.0
"""Seconds after which nobody waits any more for a live query to show a write."""

_MOST_AWAITED: Final = 1000
_MOST_SHOWN: Final = 10_000
_SECONDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)
_MINUTES: Final = (1, 5, 15, 60, 300, 900, 3600, 14400, 86400)
_GAUGES: Final = {
    "live_queries": ("{query}", "Live queries that somebody watches."),
    "observers": ("{observer}", "Observers of live queries."),
    "pending_writes": ("{write}", "Writes that wait in the offline queue."),
    "optimistic_layers": ("{layer}", "Pending local changes over live queries."),
    "calls_in_flight": ("{call}", "HTTP calls under way."),
    "open_sockets": ("{socket}", "Sockets that are open."),
}

_instruments: WeakKeyDictionary[Any, _Instruments] = WeakKeyDictionary()
_instrumented: WeakSet[LunoraClient] = WeakSet()


def instrument(
    client: LunoraClient, *, tracer_provider: Any = None, meter_provider: Any = None, propagate: bool = True
) -> DisposableBase:
    """Report a client's calls as spans, and its frames, connections, queue and latencies as metrics.

    No payload, argument, mutation result or token is reported. It ends with the client, or when disposed.

    Args:
        client: The client; before its first use or later.
        tracer_provider: Where spans go; the global provider by default.
        meter_provider: Where metrics go; the global provider by default.
        propagate: Whether HTTP requests carry the context of their call (``traceparent`` and whatever else the
            global propagator writes). Frames never do.

    Returns:
        What ends it; ending it twice does nothing.

    Raises:
        ImportError: ``opentelemetry-api`` is not installed.
        ValueError: The client is instrumented already.
        ClientClosedError: The client is closed.
    """
    try:
        from opentelemetry import metrics, trace
    except ImportError as error:
        raise ImportError("instrument() needs opentelemetry-api; install lunora-rx[otel]") from error
    if client in _instrumented:
        raise ValueError("instrument(): the client is instrumented already; dispose of that first")
    version = client.debug()["versions"]["lunora-rx"]
    provider = metrics.get_meter_provider() if meter_provider is None else meter_provider
    shared = _instruments.get(provider)
    if shared is None:
        shared = _instruments[provider] = _Instruments(provider.get_meter(SCOPE, version))
    tracers = trace.get_tracer_provider() if tracer_provider is None else tracer_provider
    return _Instrumentation(client, _Spans(client, tracers.get_tracer(SCOPE, version)), shared, propagate).start()


class _Instrumentation:
    """The tap of one instrumented client: hands what it is told to the spans and the metrics."""

    def __init__(self, client: LunoraClient, spans: _Spans, shared: _Instruments, propagate: bool) -> None:
        self.frames: Counter[tuple[str, str, str]] = Counter()
        self.sizes: Counter[tuple[str, str]] = Counter()
        self._client = client
        self._spans = spans
        self._shared = shared
        self._propagates = propagate
        self._connections = _Connections(shared)
        self._latency = _Latency(shared)
        self._started_at: dict[int | str, float] = {}
        self._kept = 0
        self._parts: list[DisposableBase] = []

    def start(self) -> DisposableBase:
        """Begin to look on."""
        client = self._client
        self._parts.append(client.tap(self))
        _instrumented.add(client)
        self._shared.members.add(self)
        # The end of the status is that of the client: what is open then never ends by itself.
        self._parts.append(client.status.subscribe(on_completed=self.stop))
        self._parts.append(client.replay.subscribe(self._note_replay))
        return Disposable(self.stop)

    def stop(self) -> None:
        """Look on no more, and end the spans that are open."""
        parts, self._parts = self._parts, []
        for part in parts:
            part.dispose()
        if self in self._shared.members:
            self._shared.retire(self)
            _instrumented.discard(self._client)
            self._spans.close()

    def counts(self) -> Counts:
        """Return how much the client holds."""
        return self._client.counts()

    def note_socket(self, shard: str, stage: str, code: int | None) -> None:
        """Measure an attempt, or a connection."""
        self._connections.note(shard, stage, code)

    def note_frame(self, shard: str, frame: FrameText) -> None:
        """Count a frame."""
        direction = "receive" if frame.is_inbound else "transmit"
        self.frames[frame.type, shard, direction] += 1
        self.sizes[shard, direction] += frame.size

    def note_request(self, request: Any) -> Mapping[str, str] | None:
        """Give a request the context of its call."""
        span = self._spans.span_of(request)
        return _context_headers(span) if self._propagates and span is not None else None

    def note_reply(self, request: Any, reply: Any) -> None:
        """End the span of a replay, which is its request."""
        self._spans.end_replay(request, reply)

    def note_call(self, news: CallNews) -> None:
        """Follow a call from its start to its end."""
        self._spans.note(news)
        self._latency.note(news)
        if news.stage == "composed":
            self._started_at[news.call_id] = time.perf_counter()
        elif news.stage == "settled":
            self._note_settled(news, self._started_at.pop(news.call_id, None))

    def note_shown(self, shard: str, function_path: str, cursor: int) -> None:
        """Measure when writes came into sight."""
        self._latency.note_shown(shard, cursor)

    def _note_settled(self, news: CallNews, started_at: float | None) -> None:
        failed = {} if news.error is None else {"error.type": _error_type(news.error)}
        if started_at is not None:
            named = {"lunora.call.kind": news.kind, **_named(news), **failed}
            self._shared.call_duration.record(time.perf_counter() - started_at, named)
        if news.was_queued:
            outcome = "committed" if news.error is None else "rejected"
            self._shared.replayed.add(1, {"lunora.outcome": outcome, **failed})

    def _note_replay(self, progress: ReplayProgress) -> None:
        # Counts begin anew with the first pass after a pause.
        kept, self._kept = max(0, progress.kept - self._kept), progress.kept
        if kept:
            self._shared.replayed.add(kept, {"lunora.outcome": "kept"})


class _Spans:
    """The spans of one client's calls that have not ended.

    Args:
        client: Whose they are.
        tracer: Makes them.
    """

    def __init__(self, client: LunoraClient, tracer: Any) -> None:
        server = urlsplit(client.debug()["url"])
        self._server: dict[str, Any] = {"rpc.system": "lunora", "server.address": server.hostname or ""}
        if server.port is not None:
            self._server["server.port"] = server.port
        self._tracer = tracer
        self._open: dict[int | str, Any] = {}
        self._replays: dict[int, Any] = {}

    def note(self, news: CallNews) -> None:
        """Start the span of a call, add to it, or end it."""
        if news.stage == "composed":
            self._open[news.call_id] = self._start(news)
            return
        span = self._open.get(news.call_id)
        if span is None:
            return
        if news.stage != "settled":
            span.add_event(news.stage)
            return
        del self._open[news.call_id]
        _end(span, news)

    def span_of(self, request: Any) -> Any:
        """Return the span that a request belongs to: that of its call, or one of its own for a replay of several."""
        writes = [call.mutation_id for call in request.calls if call.mutation_id is not None]
        if len(writes) > 1:
            return self._start_replay(request.request_id, writes)
        return self._open.get(writes[0] if writes else request.request_id)

    def end_replay(self, request: Any, reply: Any) -> None:
        """End the span of a replay of several writes."""
        span = self._replays.pop(request.request_id, None)
        if span is None:
            return
        status = getattr(reply, "status", None)
        if status is not None:
            span.set_attribute("http.response.status_code", status)
        if isinstance(reply, Exception):
            _fail(span, _error_type(reply))
        span.end()

    def close(self) -> None:
        """End what is open: its calls have no outcome that anybody will hear of."""
        for span in (*self._open.values(), *self._replays.values()):
            span.add_event("closed")
            span.end()
        self._open.clear()
        self._replays.clear()

    def _start(self, news: CallNews) -> Any:
        from opentelemetry.trace import SpanKind

        attributes = {**self._server, **_named(news), "lunora.call.kind": news.kind, "lunora.shard": news.shard}
        if news.kind == "batch":
            attributes["lunora.batch.size"] = len(news.functions)
        if news.kind == "mutation":
            attributes["lunora.mutation.id"] = news.call_id
        name = "batch" if news.kind == "batch" else _span_name(news.functions[0])
        return self._tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes)

    def _start_replay(self, request_id: int, mutation_ids: list[str]) -> Any:
        from opentelemetry.context import Context
        from opentelemetry.trace import Link, SpanKind

        spans = [self._open[each] for each in mutation_ids if each in self._open]
        span = self._replays[request_id] = self._tracer.start_span(
            "replay",
            context=Context(),
            kind=SpanKind.CLIENT,
            links=[Link(each.get_span_context()) for each in spans],
            attributes={**self._server, "lunora.batch.size": len(mutation_ids)},
        )
        return span


class _Connections:
    """Measures the attempts and connections of one client.

    Args:
        shared: Where it is recorded.
    """

    def __init__(self, shared: _Instruments) -> None:
        self._shared = shared
        self._connecting: dict[str, float] = {}
        self._open: dict[str, float] = {}
        self._known: set[str] = set()

    def note(self, shard: str, stage: str, code: int | None) -> None:
        """Note what became of a shard's socket."""
        now = time.perf_counter()
        if stage == "connecting":
            self._connecting[shard] = now
        elif stage == "open":
            self._note_attempt(shard, now, "opened")
            self._open[shard] = now
            self._shared.reconnects.add(shard in self._known, {"lunora.shard": shard})
            self._known.add(shard)
        elif shard in self._open:
            named = {"lunora.shard": shard, "lunora.close.code": "none" if code is None else str(code)}
            self._shared.connection_duration.record(now - self._open.pop(shard), named)
        else:
            self._note_attempt(shard, now, "failed")

    def _note_attempt(self, shard: str, now: float, outcome: str) -> None:
        named = {"lunora.shard": shard, "lunora.outcome": outcome}
        started_at = self._connecting.pop(shard, None)
        if started_at is not None:
            self._shared.attempt_duration.record(now - started_at, named)


class _Latency:
    """Measures how long it takes until a write of this client comes into sight.

    It begins when a mutation is sent, the last time if several, and ends when all observers of a live query of its
    shard were told a value whose cursor has reached the mutation's commit cursor: the first such value after the
    sending, be it before the reply or after it.

    Args:
        shared: Where it is recorded.
    """

    def __init__(self, shared: _Instruments) -> None:
        self._shared = shared
        self._sent: dict[int | str, tuple[str, float]] = {}
        self._under_way: Counter[str] = Counter()
        self._shown: dict[str, deque[tuple[int, float]]] = {}
        self._awaited: dict[str, deque[tuple[int, float]]] = {}

    def note(self, news: CallNews) -> None:
        """Note that a mutation was sent, or where it landed."""
        if news.stage == "sent":
            self._under_way[news.shard] += news.call_id not in self._sent
            self._sent[news.call_id] = news.shard, time.perf_counter()
        elif news.stage == "settled" and news.call_id in self._sent:
            shard, sent_at = self._sent.pop(news.call_id)
            self._under_way[shard] -= 1
            if news.commit_cursor is not None:
                self._look_up(shard, news.commit_cursor, sent_at)
            if not self._under_way[shard]:
                self._shown.pop(shard, None)

    def note_shown(self, shard: str, cursor: int) -> None:
        """Note that a live query of a shard shows a position."""
        now = time.perf_counter()
        if self._under_way[shard]:
            # Its reply may be overtaken by the frame that shows it.
            self._shown.setdefault(shard, deque(maxlen=_MOST_SHOWN)).append((cursor, now))
        awaited = self._awaited.get(shard)
        if awaited:
            self._awaited[shard] = deque(
                (each for each in awaited if not self._is_over(shard, each, cursor, now)), maxlen=_MOST_AWAITED
            )

    def _is_over(self, shard: str, awaited: tuple[int, float], cursor: int, now: float) -> bool:
        commit_cursor, sent_at = awaited
        if now - sent_at > LONGEST_LATENCY:
            return True
        if cursor < commit_cursor:
            return False
        self._record(shard, now - sent_at)
        return True

    def _look_up(self, shard: str, commit_cursor: int, sent_at: float) -> None:
        for cursor, shown_at in self._shown.get(shard, ()):
            if cursor >= commit_cursor:
                # In sight before the last sending: an earlier one was carried out, and its reply was lost.
                if shown_at >= sent_at:
                    self._record(shard, shown_at - sent_at)
                return
        self._awaited.setdefault(shard, deque(maxlen=_MOST_AWAITED)).append((commit_cursor, sent_at))

    def _record(self, shard: str, seconds: float) -> None:
        self._shared.latency.record(seconds, {"lunora.shard": shard})


class _Instruments:
    """The instruments of one meter provider, for all clients that report there.

    An SDK asks the first observable instrument of a name only, so what each client counts is summed here, with what
    clients had counted that are gone.

    Args:
        meter: Makes them.
    """

    def __init__(self, meter: Any) -> None:
        self.members: set[_Instrumentation] = set()
        self._gone_frames: Counter[tuple[str, str, str]] = Counter()
        self._gone_sizes: Counter[tuple[str, str]] = Counter()
        self._meter = meter
        meter.create_observable_counter(
            "lunora.client.frames", [self._observe_frames], "{frame}", "WebSocket frames received and sent."
        )
        meter.create_observable_counter(
            "lunora.client.io", [self._observe_sizes], "By", "Bytes of the frames received and sent."
        )
        for name, (unit, what) in _GAUGES.items():
            meter.create_observable_gauge(f"lunora.client.{name}", [self._observer_of(name)], unit, what)
        self.reconnects = meter.create_counter(
            "lunora.client.reconnects", "{connection}", "Sockets that were opened after an earlier one of their shard."
        )
        self.replayed = meter.create_counter(
            "lunora.client.replayed_writes", "{write}", "What became of queued writes that were sent."
        )
        self.attempt_duration = self._histogram("connection.attempt.duration", "Attempts to open a socket.", _SECONDS)
        self.connection_duration = self._histogram("connection.duration", "How long sockets stayed open.", _MINUTES)
        self.call_duration = self._histogram("call.duration", "Calls, from composing to outcome.", _SECONDS)
        self.latency = self._histogram(
            "commit_to_observer", "From sending a mutation until a live query of its shard shows it.", _SECONDS
        )

    def retire(self, member: _Instrumentation) -> None:
        """Keep what a member has counted, and let go of it."""
        self.members.discard(member)
        self._gone_frames.update(member.frames)
        self._gone_sizes.update(member.sizes)

    def _histogram(self, name: str, what: str, boundaries: Iterable[float]) -> Any:
        return self._meter.create_histogram(
            f"lunora.client.{name}", "s", what, explicit_bucket_boundaries_advisory=list(boundaries)
        )

    def _observe_frames(self, options: Any) -> Iterable[Any]:
        total = self._gone_frames + _sum(each.frames for each in list(self.members))
        for (kind, shard, direction), count in total.items():
            named = {"lunora.frame.type": kind, "lunora.shard": shard, "network.io.direction": direction}
            yield _observation(count, named)

    def _observe_sizes(self, options: Any) -> Iterable[Any]:
        total = self._gone_sizes + _sum(each.sizes for each in list(self.members))
        for (shard, direction), size in total.items():
            yield _observation(size, {"lunora.shard": shard, "network.io.direction": direction})

    def _observer_of(self, name: str) -> Any:
        def observe(options: Any) -> Iterable[Any]:
            members = list(self.members)
            return [_observation(sum(getattr(each.counts(), name) for each in members), {})] if members else []

        return observe


def _sum(counters: Iterable[Counter[Any]]) -> Counter[Any]:
    total: Counter[Any] = Counter()
    for counter in counters:
        # The exporter asks on a thread of its own: a copy is made in one go, whatever the loop does meanwhile.
        total.update(dict(counter))
    return total


def _observation(value: float, attributes: dict[str, Any]) -> Any:
    from opentelemetry.metrics import Observation

    return Observation(value, attributes)


def _context_headers(span: Any) -> dict[str, str]:
    from opentelemetry import propagate, trace

    headers: dict[str, str] = {}
    propagate.inject(headers, trace.set_span_in_context(span))
    return headers


def _end(span: Any, news: CallNews) -> None:
    if news.commit_cursor is not None:
        span.set_attribute("lunora.commit_cursor", news.commit_cursor)
    if news.failed_entries:
        span.set_attribute("lunora.batch.failed", news.failed_entries)
    if news.error is not None:
        _fail(span, _error_type(news.error))
    span.end()


def _fail(span: Any, error_type: str) -> None:
    from opentelemetry.trace import StatusCode

    # Messages may repeat what somebody wrote: the code says enough.
    span.set_attribute("error.type", error_type)
    span.set_status(StatusCode.ERROR, error_type)


def _error_type(error: Any) -> str:
    return error.code or type(error).__name__


def _named(news: CallNews) -> dict[str, Any]:
    if len(news.functions) != 1:
        return {}
    service, _, method = news.functions[0].rpartition(":")
    return {"rpc.service": service, "rpc.method": method}


def _span_name(function_path: str) -> str:
    return function_path.replace(":", "/")
