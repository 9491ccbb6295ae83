"""Subscribing again after failures, in virtual time."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from reactivex import defer, throw

from lunora_rx import Backoff, ClientClosedError, ServerError, StreamError, TransportError
from lunora_rx import operators as lops
from lunora_rx.operators.retrying import may_pass
from tests.operators.sources import Clock, Counted, Timed
from tests.support import Recorder, until

DOUBLING = Backoff(initial=1, maximum=4, jitter="none")


@pytest.fixture
def clock():
    return Clock()


def test_retry_backoff_waits_longer_each_time(clock):
    """Up to the most; nobody hears of the errors."""
    source, times, seen = Counted(), [], Recorder()

    def attempt(_):
        times.append(clock.clock)
        return throw(OSError("busy")) if len(times) < 6 else source

    defer(attempt).pipe(lops.retry_backoff(DOUBLING)).subscribe(seen, scheduler=clock)
    clock.start()
    source.emit("done")
    assert times == [0, 1, 3, 7, 11, 15]
    assert (seen.values, seen.errors) == (["done"], [])


def test_retry_backoff_starts_over_after_a_value(clock):
    """A value that comes after the subscription was made is proof of health."""
    source, seen = Counted(), Timed(clock)
    source.pipe(lops.retry_backoff(DOUBLING)).subscribe(seen, scheduler=clock)
    for delay in (1, 2):
        source.fail(OSError())
        clock.advance_by(delay)
    source.emit("well")
    source.fail(OSError())
    clock.advance_by(1)
    assert (source.watching, source.subscriptions) == (1, 4)


def test_retry_backoff_is_not_cured_by_a_replayed_value(clock):
    """A live query shows its latest value to whoever subscribes, failed or not."""
    source, seen = Counted("latest"), Recorder()
    source.pipe(lops.retry_backoff(DOUBLING)).subscribe(seen, scheduler=clock)
    for delay in (1, 2, 4, 4):
        source.fail(OSError())
        clock.advance_by(delay - 0.5)
        assert source.watching == 0
        clock.advance_by(0.5)
        assert source.watching == 1
    assert seen.values == ["latest"] * 5


def test_retry_backoff_heeds_what_the_server_asks_for(clock):
    """A hint is waited for, if it is longer."""
    source = Counted()
    source.pipe(lops.retry_backoff(DOUBLING)).subscribe(scheduler=clock)
    source.fail(ServerError("slow down", code="TOO_MANY_REQUESTS", retry_after=30))
    clock.advance_by(29)
    assert source.watching == 0
    clock.advance_by(1)
    assert source.watching == 1


def test_retry_backoff_tries_again_after_codes_that_pass():
    """As the page of the protocol says, code by code; where it depends on more, the error's own ``transient`` tells."""
    page = (Path(__file__).parents[2] / "docs/protocol.md").read_text(encoding="utf-8")
    tables = page.partition("\n### Codes made by the client\n")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.split("|")] for line in tables.splitlines() if line.startswith("| `")]
    helps = {code: row[-2] for row in rows for code in re.findall(r"`([A-Z_]{4,})`", row[1])}
    retried = {code for code in helps if may_pass(ServerError("no", code=code))}
    told = {code for code, retry in helps.items() if re.match("yes|by itself", retry)}
    assert retried == told - {"STREAM_BACKPRESSURE", "HTTP_STREAM_INTERRUPTED", "HTTP_STREAM_TRANSPORT"} | {
        "TOKEN_EXPIRED"
    }
    assert len(told) > 10


@pytest.mark.parametrize(
    "error",
    [
        OSError("busy"),
        ServerError("no", code="BUSY", retry_after=1),
        StreamError("cut off", code="HTTP_STREAM_INTERRUPTED", transient=True),
        TransportError("gone"),
    ],
)
def test_retry_backoff_tries_again_after_what_may_pass(clock, error):
    """The network, and whatever says so itself."""
    source = Counted()
    source.pipe(lops.retry_backoff(DOUBLING)).subscribe(scheduler=clock)
    source.fail(error)
    clock.advance_by(1)
    assert source.subscriptions == 2


@pytest.mark.parametrize(
    "error",
    [
        ServerError("there is no function 'a:c'", code="NOT_FOUND"),
        ServerError("sign in", code="UNAUTHORIZED"),
        TransportError("too large", code="FRAME_TOO_LARGE"),
        TypeError("rate() takes numbers"),
        KeyError("n"),
    ],
)
def test_retry_backoff_ends_at_once_by_what_stays(clock, error):
    """A mistyped name is no outage."""
    source, seen = Counted(), Recorder()
    source.pipe(lops.retry_backoff(DOUBLING)).subscribe(seen, scheduler=clock)
    source.fail(error)
    assert (seen.errors, clock.waiting) == ([error], 0)


@pytest.mark.parametrize(
    ("options", "error"),
    [({}, ClientClosedError("closed")), ({"retry_if": lambda error: "no" not in str(error)}, OSError("no"))],
)
def test_retry_backoff_passes_on_what_is_not_worth_trying(clock, options, error):
    """A closed client stays closed; and what the caller says."""
    source, seen = Counted(), Recorder()
    source.pipe(lops.retry_backoff(DOUBLING, **options)).subscribe(seen, scheduler=clock)
    source.fail(error)
    assert (seen.errors, clock.waiting, source.watching) == ([error], 0, 0)


def test_retry_backoff_whose_question_raises_fails_with_that(clock):
    """The mistake is told, not the error that was asked about."""
    source, seen = Counted(), Recorder()
    source.pipe(lops.retry_backoff(retry_if=lambda error: 1 / 0)).subscribe(seen, scheduler=clock)
    source.fail(OSError())
    assert [type(each) for each in seen.errors] == [ZeroDivisionError]


def test_retry_backoff_disposed_while_it_waits_never_tries_again(clock):
    """The timer is cancelled."""
    source = Counted()
    handle = source.pipe(lops.retry_backoff(DOUBLING)).subscribe(scheduler=clock)
    source.fail(OSError())
    assert clock.waiting == 1
    handle.dispose()
    clock.advance_by(10)
    assert (clock.waiting, source.subscriptions) == (0, 1)


def test_retry_backoff_given_no_backoff_says_so():
    """A number of seconds is none."""
    with pytest.raises(TypeError, match="takes a Backoff, not float"):
        lops.retry_backoff(2.5)


async def test_retry_backoff_attaches_to_a_live_query_anew(server, client):
    """It shows the latest value, then goes on; the error is nobody's."""
    seen = Recorder()
    client.live("a:b").pipe(lops.retry_backoff(Backoff(0.001, 0.002))).subscribe(seen)
    socket, sub = await server.subscribed()
    await socket.push("data", id=sub, data=[1])
    await socket.push("error", id=sub, error={"code": "SHARD_UNAVAILABLE", "message": "later"})
    await socket.expect("unsubscribe")
    sub = await socket.subscription()
    await socket.push("data", id=sub, data=[2])
    await until(lambda: seen.values[-1] == [2])
    assert seen.errors == []
