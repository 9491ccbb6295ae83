"""When to try again what a replay kept.

Knows the ramps. Does not know the time, nor what is tried again.
Source: ``docs/protocol.md``, section "Waiting".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import inf

from lunora_rx.core.backoff import Backoff, Ramp, next_delay
from lunora_rx.errors import LunoraError
from lunora_rx.protocol.rpc import Verdict, verdict_of

RETRY_BASE = 1.0
RETRY_CAP = 60.0

Reason = LunoraError | None
"""Why a write was kept: an error, or ``None`` for an answer that cannot be read."""


@dataclass(slots=True)
class Retry:
    """Where one shard stands between two tries.

    Attributes:
        at: When to try again, infinite when never.
        is_hinted: Whether the server itself has said how long to wait.
        failures: How many tries in a row brought no verdict.
        ramp: How far the tries after lost requests have come.
    """

    at: float = inf
    is_hinted: bool = False
    failures: int = 0
    ramp: Ramp = field(default_factory=Ramp)

    def reset(self) -> None:
        """Begin the ramps anew: the server gave a verdict."""
        self.failures, self.ramp = 0, Ramp()


class Waits:
    """How long to wait, for one client.

    Args:
        backoff: Delays after requests that were lost though the socket is open.
        random: Draws evenly from [0, 1).
    """

    def __init__(self, backoff: Backoff, random: Callable[[], float]) -> None:
        self._backoff = backoff
        self._random = random

    def after(
        self, retry: Retry, reasons: Iterable[Reason], *, is_live: bool, retries_credential: bool
    ) -> float | None:
        """Return the seconds to wait after a try, the longest wait of all; ``None`` if nothing but an event helps.

        Args:
            retry: Where the shard stands; it climbs by one step, however many writes were kept for the same reason.
            reasons: Why writes were kept.
            is_live: Whether the server can be reached; if not, reaching it tries again.
            retries_credential: Whether a refused credential may be good again by itself.
        """
        distinct = _distinct(reasons)
        if any(reason is None or reason.code is not None for reason in distinct):
            retry.failures += 1
        waits = [self._after(retry, each, is_live, retries_credential) for each in distinct]
        longest = max((wait for wait in waits if wait is not None), default=None)
        retry.is_hinted = longest is not None and longest in map(_hint_of, distinct)
        return longest

    def until_confirmed(self, retry: Retry) -> float:
        """Return the seconds until somebody is asked again whose token it is."""
        retry.failures += 1
        return self._on_ramp(retry)

    def _after(self, retry: Retry, reason: Reason, is_live: bool, retries_credential: bool) -> float | None:
        if is_credential_refusal(reason) and not retries_credential:
            return None
        if (hint := _hint_of(reason)) is not None:
            return hint
        if reason is None or reason.code is not None:
            return self._on_ramp(retry)
        if not is_live:
            return None
        delay, retry.ramp = next_delay(self._backoff, retry.ramp, self._random())
        return delay

    def _on_ramp(self, retry: Retry) -> float:
        ceiling: float = min(RETRY_BASE * 2.0 ** min(retry.failures - 1, 16), RETRY_CAP)
        return ceiling * (0.5 + self._random() / 2)


def is_credential_refusal(reason: Reason) -> bool:
    """Tell whether the server refused the credential rather than the write."""
    return reason is not None and verdict_of(reason) is Verdict.CREDENTIAL


def _hint_of(reason: Reason) -> float | None:
    if reason is None or reason.retry_after is None or reason.retry_after <= 0:
        return None
    return min(reason.retry_after, RETRY_CAP)


def _distinct(reasons: Iterable[Reason]) -> list[Reason]:
    seen: dict[object, Reason] = {}
    for reason in reasons:
        kind = None if reason is None else (verdict_of(reason), reason.code is None, reason.retry_after)
        seen.setdefault(kind, reason)
    return list(seen.values())
