"""OpenTelemetry: what spans and metrics say of calls, connections, the queue and what observers see."""

from __future__ import annotations

import subprocess
import sys

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, format_trace_id

from lunora_rx import LunoraError, TransportError
from lunora_rx.adapters import opentelemetry
from lunora_rx.adapters.opentelemetry import instrument
from tests.support import Recorder, until

CANARY = "canary-4711"


class Telemetry:
    """An SDK that keeps what it is told."""

    def __init__(self):
        self._exporter, self._reader = InMemorySpanExporter(), InMemoryMetricReader()
        self.tracers, self.meters = TracerProvider(), MeterProvider([self._reader])
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))

    def instrument(self, client, **options):
        """Instrument a client with this."""
        return instrument(client, tracer_provider=self.tracers, meter_provider=self.meters, **options)

    @property
    def spans(self):
        """The spans that have ended."""
        return list(self._exporter.get_finished_spans())

    def points(self, name):
        """Return the points of a metric: attributes as a tuple of values, to the sum, or the value."""
        told = self._reader.get_metrics_data()
        scopes = [scope for resource in told.resource_metrics for scope in resource.scope_metrics] if told else []
        found = [each for scope in scopes for each in scope.metrics if each.name == f"lunora.client.{name}"]
        points = [point for each in found for point in each.data.data_points]
        return {
            tuple(point.attributes.values()): getattr(point, "value", getattr(point, "sum", None)) for point in points
        }

    def count(self, name):
        """Return how many measurements a histogram holds."""
        told = self._reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics
        points = [point for each in told if each.name == f"lunora.client.{name}" for point in each.data.data_points]
        return sum(point.count for point in points)

    def everything(self):
        """Return all that was exported, as text."""
        data = self._reader.get_metrics_data()
        return "".join(span.to_json() for span in self.spans) + ("" if data is None else data.to_json())

    def close(self):
        """Shut the SDK down."""
        self.tracers.shutdown()
        self.meters.shutdown()


@pytest.fixture
def telemetry():
    """An SDK of the test's own."""
    telemetry = Telemetry()
    yield telemetry
    telemetry.close()


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    """The adapter's time, which the test sets."""
    now = [0.0]
    monkeypatch.setattr(opentelemetry.time, "perf_counter", lambda: now[0])
    return now


@pytest.fixture
async def instrumented(client, telemetry):
    """The client, instrumented."""
    telemetry.instrument(client)
    return client


async def test_span_of_a_call_names_what_it_calls(server, instrumented, telemetry):
    """By the conventions for remote procedure calls, under the caller's span, and with its context on the wire."""
    with telemetry.tracers.get_tracer("t").start_as_current_span("outer") as outer:
        call = instrumented.query("admin/users:list", {"secret": CANARY}, shard="room")
    request = await server.call()
    request.reply({"result": CANARY})
    await call
    span = next(each for each in telemetry.spans if each.name == "admin/users/list")
    assert dict(span.attributes) == {
        "rpc.system": "lunora",
        "rpc.service": "admin/users",
        "rpc.method": "list",
        "server.address": "server.test",
        "lunora.call.kind": "query",
        "lunora.shard": "room",
    }
    assert (span.kind, span.parent.span_id, span.status.status_code) == (
        SpanKind.CLIENT,
        outer.get_span_context().span_id,
        StatusCode.UNSET,
    )
    assert format_trace_id(span.context.trace_id) in request.headers["traceparent"]
    assert CANARY not in telemetry.everything()


@pytest.mark.parametrize(("code", "told"), [("FORBIDDEN", "FORBIDDEN"), (None, "TransportError")])
async def test_span_of_a_failed_call_says_the_code(server, instrumented, telemetry, code, told):
    """And not the message, which may repeat what somebody wrote."""
    call = instrumented.action("a:b")
    request = await server.call()
    if code is None:
        request.break_off()
    else:
        request.refuse(code, CANARY)
    with pytest.raises(LunoraError):
        await call
    (span,) = telemetry.spans
    assert (span.attributes["error.type"], span.status.status_code) == (told, StatusCode.ERROR)
    assert telemetry.count("call.duration") == 1
    assert CANARY not in telemetry.everything()


async def test_span_of_a_batch_counts_its_failures(server, instrumented, telemetry):
    """The batch itself has succeeded."""
    batch = instrumented.batch([("a:b",), ("a:c",)])
    (await server.call()).reply({"results": [{"id": 0, "body": {"result": 1}}, {"id": 1, "body": {"error": {}}}]})
    await batch
    (span,) = telemetry.spans
    assert (span.name, span.status.status_code) == ("batch", StatusCode.UNSET)
    assert (span.attributes["lunora.batch.size"], span.attributes["lunora.batch.failed"]) == (2, 1)


async def offline(server, client):
    """Let a client be connected once, and lose the connection."""
    client.live("a:b").subscribe(Recorder())
    socket, _ = await server.subscribed()
    server.refusal = TransportError("nobody there", transient=True)
    socket.cut()
    await until(lambda: client.status.value != "connected")


async def test_span_of_a_queued_mutation_lasts_until_its_verdict(server, instrumented, telemetry):
    """Its phases are events; several are replayed by one request, whose span links to theirs."""
    await offline(server, instrumented)
    writes = [instrumented.mutation("a:w", mutation_id=name) for name in ("m1", "m2")]
    assert telemetry.points("pending_writes") == {(): 2}
    server.refusal = None
    request = await server.call()
    slots = [{"result": 1, "commitCursor": 4}, {"error": {"code": "CONFLICT"}}]
    request.reply({"results": [{"id": number, "body": body} for number, body in enumerate(slots)]})
    await writes[0]
    with pytest.raises(LunoraError):
        await writes[1]
    replay, *mutations = telemetry.spans
    assert [[event.name for event in each.events] for each in mutations] == [["queued", "sent"]] * 2
    assert (mutations[0].attributes["lunora.mutation.id"], mutations[0].attributes["lunora.commit_cursor"]) == ("m1", 4)
    assert (replay.name, [link.context.span_id for link in replay.links]) == (
        "replay",
        [each.context.span_id for each in mutations],
    )
    assert format_trace_id(replay.context.trace_id) in request.headers["traceparent"]
    assert telemetry.points("replayed_writes") == {("committed",): 1, ("rejected", "CONFLICT"): 1}


async def test_replay_that_fails_counts_what_is_kept(server, instrumented, telemetry):
    """Its span says why; the writes are tried again."""
    await offline(server, instrumented)
    for name in ("m1", "m2"):
        instrumented.mutation("a:w", mutation_id=name)
    server.refusal = None
    (await server.call()).break_off()
    await until(lambda: telemetry.points("replayed_writes"))
    assert [(each.name, each.attributes["error.type"]) for each in telemetry.spans] == [("replay", "TransportError")]
    assert telemetry.points("replayed_writes") == {("kept",): 2}


async def test_frames_carry_no_context_and_requests_need_not(server, client, telemetry):
    """Propagation can be left out; over the socket there is none."""
    telemetry.instrument(client, propagate=False)
    client.live("a:b").subscribe(Recorder())
    socket = await server.socket()
    assert "traceparent" not in str(await socket.expect("subscribe"))
    call = client.query("a:c")
    request = await server.call()
    request.reply({"result": 1})
    await call
    assert "traceparent" not in request.headers


async def test_frames_are_counted_by_type_and_shard(server, instrumented, telemetry):
    """With their bytes, in both directions; what the client holds is told as it is."""
    instrumented.live("a:b", shard="room").subscribe(Recorder())
    socket, sub = await server.subscribed()
    for number in range(3):
        await socket.push("data", id=sub, data=number)
    await socket.push_text("nonsense")
    frames = telemetry.points("frames")
    assert frames["data", "room", "receive"] == 3
    assert frames["unknown", "room", "receive"] == frames["subscribe", "room", "transmit"] == 1
    assert telemetry.points("io")["room", "receive"] > 3 * len('{"type":"data","id":"sub_1","data":0}')
    held = ("live_queries", "observers", "open_sockets", "optimistic_layers", "calls_in_flight")
    assert [telemetry.points(name) for name in held] == [{(): 1}, {(): 1}, {(): 1}, {(): 0}, {(): 0}]


async def test_connections_are_measured(server, instrumented, telemetry, clock):
    """Attempts by their outcome, connections by how they ended, and each that is not the first."""
    instrumented.live("a:b").subscribe(Recorder())
    socket, _ = await server.subscribed()
    clock[0] = 5.0
    server.refusal = TransportError("nobody there", transient=True)
    socket.cut(1012)
    await until(lambda: len(server.urls) >= 3)
    server.refusal = None
    await server.socket()
    assert telemetry.points("connection.duration") == {("", "1012"): 5.0}
    assert set(telemetry.points("connection.attempt.duration")) == {("", "opened"), ("", "failed")}
    assert telemetry.points("reconnects") == {("",): 1}


@pytest.mark.parametrize("order", ["frame first", "reply first", "not reached"])
async def test_latency_ends_with_the_first_value_at_the_commit(server, instrumented, telemetry, clock, order):
    """A value counts that comes after the sending and has reached the commit, be it before the reply or after it."""
    instrumented.live("a:b").subscribe(Recorder())
    socket, sub = await server.subscribed()
    await socket.push("data", id=sub, data=0, cursor=9, epoch="e")
    clock[0] = 1.0
    mutation = instrumented.mutation("a:w")
    request = await server.call()
    clock[0] = 1.25
    if order == "frame first":
        await socket.push("data", id=sub, data=1, cursor=5, epoch="e")
        await socket.push("data", id=sub, data=2, cursor=8, epoch="e")
    clock[0] = 1.5
    request.reply({"result": 1, "commitCursor": 7})
    await mutation
    if order != "frame first":
        await socket.push("data", id=sub, data=3, cursor=6, epoch="e")
        clock[0] = 1.75
        await socket.push("data", id=sub, data=4, cursor=7 if order == "reply first" else 6, epoch="e")
    expected = {"frame first": {("",): 0.25}, "reply first": {("",): 0.75}, "not reached": {}}
    assert telemetry.points("commit_to_observer") == expected[order]


async def test_latency_of_a_write_that_was_in_sight_before_it_was_sent_again_is_unknown(
    server, instrumented, telemetry, clock, caplog
):
    """Its first sending was carried out, and the reply lost: the last one says nothing of how long that took."""
    instrumented.live("a:b").subscribe(Recorder())
    socket, sub = await server.subscribed()
    mutation = instrumented.mutation("a:w")
    request = await server.call()
    clock[0] = 1.0
    await socket.push("data", id=sub, data=1, cursor=7, epoch="e")
    request.break_off()
    clock[0] = 2.0
    (await server.call()).reply({"result": 1, "commitCursor": 7})
    await mutation
    await socket.push("data", id=sub, data=2, cursor=8, epoch="e")
    assert telemetry.points("commit_to_observer") == {}
    assert telemetry.points("replayed_writes") == {("committed",): 1}
    assert [each.getMessage() for each in caplog.records if each.name.startswith("opentelemetry")] == []


async def test_latency_that_takes_too_long_is_given_up(server, instrumented, telemetry, clock):
    """A live query that never shows the write, and one of another shard, are no measurement."""
    instrumented.live("a:b").subscribe(Recorder())
    socket, sub = await server.subscribed()
    mutation = instrumented.mutation("a:w")
    (await server.call()).reply({"result": 1, "commitCursor": 7})
    await mutation
    clock[0] = opentelemetry.LONGEST_LATENCY + 1
    await socket.push("data", id=sub, data=1, cursor=8, epoch="e")
    assert telemetry.points("commit_to_observer") == {}


async def test_clients_of_one_provider_are_summed(server, telemetry, no_tasks_left):
    """An SDK asks one instrument of a name only; what a client counted stays when it is gone."""
    async with server.client() as other:
        async with server.client() as client:
            for each in (client, other):
                telemetry.instrument(each)
                each.live("a:b").subscribe(Recorder())
                await server.subscribed()
            assert telemetry.points("open_sockets") == {(): 2}
        assert telemetry.points("open_sockets") == {(): 1}
        assert telemetry.points("frames")["connect", "", "transmit"] == 2


async def test_closing_the_client_ends_what_is_open(server, telemetry, no_tasks_left):
    """No span is left that never ends; closing is no failure of the write."""
    async with server.client() as client:
        telemetry.instrument(client)
        await offline(server, client)
        client.mutation("a:w")
    (span,) = telemetry.spans
    assert ([event.name for event in span.events], span.status.status_code) == (["queued", "closed"], StatusCode.UNSET)
    assert telemetry.points("open_sockets") == {}


async def test_instrument_twice_is_refused_until_disposed(server, client, telemetry):
    """Everything would be counted double."""
    first = telemetry.instrument(client)
    with pytest.raises(ValueError, match="instrumented already"):
        telemetry.instrument(client)
    first.dispose()
    first.dispose()
    telemetry.instrument(client)
    assert client.debug()["taps"] == 1


async def test_instrument_without_an_sdk_does_nothing_visible(server, client):
    """The API alone swallows what it is told."""
    instrument(client)
    call = client.query("a:b")
    (await server.call()).reply({"result": 1})
    assert await call == 1


def test_instrument_without_the_library_names_the_extra():
    """Importing the adapter needs nothing; using it says what to install."""
    program = """
import sys
sys.modules["opentelemetry"] = None
from lunora_rx import LunoraClient
from lunora_rx.adapters.opentelemetry import instrument
try:
    instrument(LunoraClient("http://server.test"))
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "instrument() needs opentelemetry-api; install lunora-rx[otel]\n"
