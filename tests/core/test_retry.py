"""How long a shard waits between two tries: ramps, hints, and what only an event can end."""

from __future__ import annotations

import pytest

from lunora_rx.core.backoff import Backoff, Ramp
from lunora_rx.core.retry import RETRY_CAP, Retry, Waits, is_credential_refusal
from lunora_rx.errors import LunoraError, ServerError, TransportError

LOST = TransportError("cut", transient=True)
LIMITED = ServerError("busy", code="RATE_LIMITED")
REFUSED = ServerError("who?", code="UNAUTHORIZED")
MISMATCH = ServerError("not they", code="IDENTITY_MISMATCH")


def hinted(seconds: float) -> LunoraError:
    return ServerError("busy", code="RATE_LIMITED", retry_after=seconds)


def waits(draw: float = 1.0) -> Waits:
    return Waits(Backoff(initial=0.25, maximum=2.0, jitter="none"), lambda: draw)


def after(retry: Retry, *reasons: LunoraError | None, draw: float = 1.0, is_live=True, retries_credential=False):
    return waits(draw).after(retry, reasons, is_live=is_live, retries_credential=retries_credential)


@pytest.mark.parametrize("reason", [LIMITED, MISMATCH, None])
def test_wait_after_an_answer_doubles_up_to_a_cap(reason):
    """One second, two, four … a minute; an answer that cannot be read counts as one."""
    retry = Retry()
    assert [after(retry, reason) for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]


def test_wait_after_very_many_answers_stays_a_number():
    """The power is bounded."""
    retry = Retry(failures=10_000)
    assert after(retry, LIMITED) == RETRY_CAP


@pytest.mark.parametrize(("draw", "expected"), [(0.0, 0.5), (0.5, 0.75), (1.0, 1.0)])
def test_wait_is_drawn_from_the_upper_half(draw, expected):
    """Clients that were refused together do not come back together, nor at once."""
    assert after(Retry(), LIMITED, draw=draw) == expected


def test_wait_after_a_verdict_begins_anew():
    """Both ramps."""
    retry = Retry()
    for _ in range(3):
        after(retry, LIMITED)
        after(retry, LOST)
    retry.reset()
    assert (after(retry, LIMITED), after(retry, LOST), retry.ramp == Ramp()) == (1.0, 0.25, False)


def test_wait_that_the_server_asks_for_is_kept():
    """It may be shorter or longer than the ramp, and is known as the server's."""
    retry = Retry()
    assert (after(retry, hinted(0.125)), retry.is_hinted) == (0.125, True)
    assert (after(retry, hinted(59)), retry.is_hinted) == (59, True)
    assert (after(retry, hinted(3600)), retry.is_hinted) == (RETRY_CAP, True)
    assert (after(retry, LIMITED), retry.is_hinted) == (8.0, False)


@pytest.mark.parametrize("useless", [0, -5])
def test_wait_of_no_time_is_no_hint(useless):
    """The ramp decides: a server that says now must not be asked in a circle."""
    retry = Retry()
    assert (after(retry, hinted(useless)), retry.is_hinted) == (1.0, False)


def test_wait_after_a_lost_request_is_the_reconnects():
    """While the server can be reached nothing else would try again; else reaching it does."""
    retry = Retry()
    assert [after(retry, LOST) for _ in range(5)] == [0.25, 0.5, 1.0, 2.0, 2.0]
    assert after(retry, LOST, is_live=False) is None
    assert retry.failures == 0


def test_wait_after_a_refused_bearer_is_for_another():
    """No time helps; a cookie may be good again by itself."""
    assert after(Retry(), REFUSED) is None
    assert after(Retry(), REFUSED, retries_credential=True) == 1.0


def test_wait_is_the_longest_of_all():
    """A hint that is shorter than a ramp does not count."""
    retry = Retry(failures=2)
    assert (after(retry, LIMITED, hinted(2), LOST, REFUSED), retry.is_hinted) == (4.0, False)
    assert (after(retry, LIMITED, hinted(9)), retry.is_hinted) == (9, True)


def test_wait_climbs_once_for_many_writes():
    """A thousand that were kept for the same reason are one failure."""
    retry = Retry()
    assert after(retry, *[LIMITED] * 1000, *[None] * 5) == 1.0
    assert after(retry, *[LOST] * 1000) == 0.25
    assert after(retry, LOST) == 0.5


def test_wait_without_a_reason_is_none():
    """Nothing was kept."""
    retry = Retry(is_hinted=True)
    assert (after(retry), retry.is_hinted, retry.failures) == (None, False, 0)


def test_wait_for_a_confirmation_climbs_with_the_others():
    """Asking whose token it is again and again is a storm of its own."""
    retry = Retry()
    assert [waits().until_confirmed(retry) for _ in range(3)] == [1.0, 2.0, 4.0]
    assert after(retry, LIMITED) == 8.0


@pytest.mark.parametrize("code", ["UNAUTHORIZED", "UNAUTHENTICATED", "TOKEN_EXPIRED"])
def test_refusal_of_a_credential_is_told_from_others(code):
    """By its code alone."""
    assert is_credential_refusal(ServerError("no", code=code))
    assert not any(map(is_credential_refusal, (None, LOST, LIMITED, MISMATCH)))
