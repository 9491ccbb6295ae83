"""Replies that say no, not now, or nothing that can be read: which writes are kept and which are settled."""

from __future__ import annotations

import json
import time
from email.utils import formatdate
from typing import Any

import pytest

from lunora_rx import Phase, Status
from lunora_rx.devserver.settings import Limits
from lunora_rx.errors import ServerError, TransportError
from tests.faults import oracle
from tests.faults.customer import Customer, phases_of, until
from tests.faults.shop import Shop, opened

HTML = b"<html><body><h1>Bad gateway</h1></body></html>"
HTML_TYPE = {"content-type": "text/html"}
RETRY_CAP = 60.0

counts = pytest.mark.parametrize("count", [1, 3], ids=["single", "batch"])


@pytest.fixture
async def quiet(shop):
    """A client without heartbeats, so that the clock can be put forward under it."""
    async with shop.customer(heartbeat_interval=0) as customer:
        yield customer
        await oracle.check_closed(customer)


@pytest.fixture
async def small_shop(watched):
    """A server that takes bodies of two kilobytes at most."""
    async with opened(Limits(body_size=2_000)) as shop:
        yield shop


async def queue(shop: Shop, customer: Customer, *numbers: int) -> None:
    """Write while the connection is down, and bring it back."""
    shop.cut()
    await customer.until_status(Status.OFFLINE)
    await customer.write(*numbers)


async def keep(shop: Shop, customer: Customer, count: int, status: int, body: bytes = b"", **headers: str) -> None:
    """Queue writes and let their replay be answered so; return once they are back in the queue."""
    await queue(shop, customer, *range(count))
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    shop.faults.fail_calls(1, status=status, body=body, headers=named)
    await shop.heal()
    await until(lambda: customer.client.debug()["calls_in_flight"] and customer.pending == 0)
    await until(lambda: customer.pending == count)


# --- 19: too large


@pytest.mark.fault(19, 52)
async def test_write_too_large_is_rejected_alone_and_the_others_go_on(small_shop):
    """A batch answered 413 is halved until the one that is too large stands alone; it is rolled back and reported."""
    async with small_shop.customer() as ada:
        small_shop.cut()
        await ada.until_status(Status.OFFLINE)
        for number in range(7):
            ada.add(number, text="x" * (5_000 if number == 3 else 300))
        assert ada.numbers == [*range(7)]
        await small_shop.heal()
        error = await ada.verdict_on(3)
        assert isinstance(error, ServerError)
        assert error.code == "PAYLOAD_TOO_LARGE"
        await oracle.check(small_shop, ada, [0, 1, 2, 4, 5, 6])
        assert (3, "rejected", "PAYLOAD_TOO_LARGE") in ada.verdicts
        assert small_shop.runs == [0, 1, 2, 4, 5, 6]
        await oracle.check_closed(ada)


@pytest.mark.fault(19, 52)
@pytest.mark.parametrize("is_queued", [False, True], ids=["direct", "queued"])
async def test_single_write_too_large_is_rejected(small_shop, is_queued):
    """The verdict is the same for a write that goes out alone."""
    async with small_shop.customer() as ada:
        if is_queued:
            small_shop.cut()
            await ada.until_status(Status.OFFLINE)
        ada.add(0, text="x" * 5_000)
        assert ada.numbers == [0]
        await small_shop.heal()
        error = await ada.verdict_on(0)
        assert isinstance(error, ServerError)
        assert error.code == "PAYLOAD_TOO_LARGE"
        await ada.write(1)
        await oracle.check(small_shop, ada, [1])
        await oracle.check_closed(ada)


@pytest.mark.fault(19, 52)
@counts
async def test_413_of_something_in_between_counts_for_the_write_alone(shop, ada, count):
    """A page that says 413 is taken at its word; with more than one write the halves are tried again."""
    await queue(shop, ada, *range(count))
    shop.faults.fail_calls(1, status=413, body=HTML, headers=HTML_TYPE)
    await shop.heal()
    await ada.until_calm()
    await oracle.check(shop, ada, [] if count == 1 else range(count))


# --- 20 and 21: verdicts


@pytest.mark.parametrize(
    "code",
    [
        *(
            pytest.param(each, marks=pytest.mark.fault(20))
            for each in ("BAD_REQUEST", "VALIDATION_ERROR", "UNPROCESSABLE")
        ),
        *(pytest.param(each, marks=pytest.mark.fault(21)) for each in ("CONFLICT", "OUT_OF_ORDER", "NO_MORE_ROOM")),
        pytest.param("INTERNAL", marks=pytest.mark.fault(21)),
    ],
)
@pytest.mark.parametrize("mode", ["direct", "single", "batch"])
async def test_verdict_rejects_rolls_back_and_reports_one_write(shop, ada, code, mode):
    """A coded refusal is final for its own write, and the next goes on."""
    if mode != "direct":
        shop.cut()
        await ada.until_status(Status.OFFLINE)
    if mode == "batch":
        await ada.write(0)
    ada.refuse(1, code)
    assert 1 in ada.numbers
    if mode == "batch":
        await ada.write(2)
    await shop.heal()
    error = await ada.verdict_on(1)
    assert isinstance(error, ServerError)
    assert error.code == code
    await until(lambda: 1 not in ada.numbers)
    await ada.write(3)
    await oracle.check(shop, ada, [0, 2, 3] if mode == "batch" else [3])
    assert [each for each in ada.verdicts if each[0] == 1] == ([] if mode == "direct" else [(1, "rejected", code)])


@pytest.mark.fault(20)
async def test_arguments_that_the_server_cannot_bind_are_rejected(shop, ada):
    """What the embedded server's own validation refuses is a verdict like any other."""
    ada.add(0, text=17)
    error = await ada.verdict_on(0)
    assert isinstance(error, ServerError)
    assert error.code == "VALIDATION_ERROR"
    await oracle.check(shop, ada, [])


# --- 22: not so fast


@pytest.mark.fault(22, 52)
@counts
@pytest.mark.parametrize(
    ("hint", "shortest", "longest"),
    [
        ("20", 20, 20),
        ("in 20 seconds", 18, 20),
        ("60", 60, 60),
        ("86400", RETRY_CAP, RETRY_CAP),
        ("99999999999", RETRY_CAP, RETRY_CAP),
        (None, 0.5, 1),
        ("0", 0.5, 1),
        ("-5", 0.5, 1),
        ("soon", 0.5, 1),
        ("9" * 400, 0.5, 1),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.5, 1),
    ],
)
async def test_rate_limit_is_waited_for_and_no_longer_than_a_minute(shop, quiet, clock, count, hint, shortest, longest):
    """429 keeps the writes, in order and on screen, for as long as it says; nonsense counts as nothing said."""
    if hint == "in 20 seconds":
        hint = formatdate(time.time() + 20, usegmt=True)
    await keep(shop, quiet, count, 429, **({} if hint is None else {"retry_after": hint}))
    assert quiet.numbers == [*range(count)]
    await clock.jump(shortest - 0.5)
    assert quiet.pending == count
    assert shop.runs == []
    await clock.jump(longest - shortest + 0.6)
    await oracle.check(shop, quiet, range(count))
    assert quiet.verdicts == [(number, "committed", None) for number in range(count)]


@pytest.mark.fault(22, 52)
async def test_write_composed_during_the_wait_stays_behind(shop, quiet, clock):
    """A held write is not overtaken by a later one."""
    await keep(shop, quiet, 2, 429, retry_after="30")
    await quiet.write(2)
    assert quiet.pending == 3
    await clock.jump(31)
    await oracle.check(shop, quiet, range(3))


@pytest.mark.fault(22, 52)
async def test_rate_limit_of_a_direct_write_is_its_callers_to_handle(shop, ada):
    """It raises ``ServerError`` with ``retry_after``, and is rolled back."""
    shop.faults.fail_calls(1, status=429, headers={"retry-after": "20"})
    error = await ada.verdict_on(0)
    assert isinstance(error, ServerError)
    assert (error.code, error.retry_after) == ("TOO_MANY_REQUESTS", 20)
    await oracle.check(shop, ada, [])


# --- 23: nothing that can be read

UNREADABLE = [
    pytest.param(503, HTML, id="503 html"),
    pytest.param(502, b"", id="502 empty"),
    pytest.param(500, b"[1]", id="500 list"),
    pytest.param(408, HTML, id="408 html"),
    pytest.param(200, HTML, id="200 html"),
    pytest.param(200, b"", id="200 empty"),
    pytest.param(200, b'{"result": ', id="200 cut"),
    pytest.param(302, b"", id="302"),
]


@pytest.mark.fault(23, 52)
@counts
@pytest.mark.parametrize(("status", "body"), UNREADABLE)
async def test_reply_that_cannot_be_read_keeps_queued_writes(shop, quiet, clock, count, status, body):
    """What is not the server's word is no verdict: the writes stay, and are carried out once."""
    await keep(shop, quiet, count, status, body, content_type="text/html")
    assert quiet.numbers == [*range(count)]
    await clock.jump(1.1)
    await oracle.check(shop, quiet, range(count))


@pytest.mark.fault(23, 52)
@pytest.mark.parametrize(("status", "body"), UNREADABLE)
async def test_reply_that_cannot_be_read_fails_a_direct_write(shop, ada, status, body):
    """Its caller is told ``INTERNAL``, transient, and the write is rolled back: a page is never data."""
    shop.faults.fail_calls(1, status=status, body=body, headers=HTML_TYPE)
    error = await ada.verdict_on(0)
    assert isinstance(error, TransportError)
    assert (error.code, error.transient) == ("INTERNAL", True)
    assert ada.numbers == []
    await ada.write(1)
    await oracle.check(shop, ada, [1])


@pytest.mark.fault(23, 52)
@pytest.mark.parametrize("status", [400, 403, 404])
async def test_page_of_a_proxy_is_no_verdict_on_a_batch(shop, quiet, clock, status):
    """A bare status says nothing about each write of a batch: all are kept."""
    await keep(shop, quiet, 3, status, HTML, content_type="text/html")
    await clock.jump(1.1)
    await oracle.check(shop, quiet, range(3))


@pytest.mark.fault(23, 52)
async def test_server_that_keeps_failing_is_asked_ever_less_often(shop, quiet, clock):
    """Each failed pass waits up to twice as long as the one before, and the writes outlast them all."""
    await keep(shop, quiet, 2, 503)
    for passes, longest in enumerate((1, 2, 4, 8), start=1):
        shop.faults.fail_calls(1, status=503)
        await clock.jump(longest / 2 - 0.1)
        assert sent(quiet.writes[0]) == passes, "sooner than half of the longest wait"
        await clock.jump(longest / 2 + 0.2)
        await until(lambda passes=passes: sent(quiet.writes[0]) == passes + 1 and quiet.pending == 2)
    assert shop.runs == []
    await clock.jump(17)
    await oracle.check(shop, quiet, range(2))


def sent(write: Any) -> int:
    """Count how often a write went out."""
    return phases_of(write).count(Phase.SENT)


# --- slots of a batch

LOST = [
    pytest.param(lambda faults: faults.refuse_slots(1), id="no verdict"),
    pytest.param(
        lambda faults: faults.refuse_slots(1, code="RATE_LIMITED", data={"retryAfterMs": 900}), id="rate limit"
    ),
    pytest.param(lambda faults: faults.lose_slots(1), id="missing"),
    pytest.param(lambda faults: faults.spoil_slots(1, body=None), id="null"),
    pytest.param(lambda faults: faults.spoil_slots(1, body=[1]), id="list"),
    pytest.param(lambda faults: faults.spoil_slots(1, body={}), id="neither"),
    pytest.param(lambda faults: faults.spoil_slots(1, body={"error": "no"}), id="no envelope"),
]


@pytest.mark.fault(23, 52)
@pytest.mark.parametrize("strike", LOST)
async def test_slot_without_a_verdict_keeps_its_write_alone(shop, quiet, clock, strike):
    """The others of the batch are committed; it goes out again, and is applied once."""
    await queue(shop, quiet, 0, 1, 2)
    strike(shop.faults)
    await shop.heal()
    await until(lambda: quiet.writes[2].is_settled and quiet.pending == 1)
    assert [number for number, _, _ in quiet.verdicts] == [0, 2]
    assert 1 in quiet.numbers
    await clock.jump(1.1)
    await oracle.check(shop, quiet, range(3), is_ordered=False)
    assert sorted(shop.runs) == [0, 1, 2]


@pytest.mark.fault(7)
@pytest.mark.parametrize("switch", ["repeat_slots", "reverse_slots"])
async def test_slots_told_twice_or_in_another_order_settle_each_write_once(shop, ada, switch):
    """Each write gets the result of its own slot, and one settled event."""
    await queue(shop, ada, 0, 1, 2)
    getattr(shop.faults, switch)()
    await shop.heal()
    await oracle.check(shop, ada, range(3))
    assert ada.verdicts == [(number, "committed", None) for number in range(3)]


@pytest.mark.fault(22, 52)
@pytest.mark.parametrize(
    ("hint", "wait"),
    [
        (20_000, 20),
        (10**9, RETRY_CAP),
        (1e300, RETRY_CAP),
        (-1, 1),
        (0, 1),
        (True, 1),
        ("5000", 1),
        ([], 1),
        (10**400, 1),
    ],
)
async def test_rate_limit_in_the_envelope_is_waited_for(shop, quiet, clock, hint, wait):
    """``retryAfterMs`` counts like the header, and nonsense counts as nothing said."""
    await queue(shop, quiet, 0, 1)
    shop.faults.fail_calls(status=429, body=envelope("RATE_LIMITED", hint))
    await shop.heal()
    await until(lambda: sent(quiet.writes[0]) and quiet.pending == 2)
    await clock.jump(wait / 2 - 0.1 if wait == 1 else wait - 0.5)
    assert quiet.pending == 2
    await clock.jump(0.7 if wait == 1 else 0.6)
    await oracle.check(shop, quiet, range(2))


def envelope(code: str, hint: Any) -> bytes:
    """Return an error body that says how long to wait."""
    return json.dumps({"error": {"code": code, "message": "slower", "data": {"retryAfterMs": hint}}}).encode()
