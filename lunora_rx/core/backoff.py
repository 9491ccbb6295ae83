"""Reconnect delays from the delay before and a random number.

Source: ``docs/protocol.md``, section "Backoff".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from lunora_rx.protocol.frozen import frozen

Jitter: TypeAlias = Literal["decorrelated", "equal", "none"]

_JITTERS = ("decorrelated", "equal", "none")
_MAX_DOUBLINGS = 64


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait between attempts.

    Args:
        initial: Seconds before the first new attempt, about.
        maximum: Seconds that no delay exceeds.
        jitter: ``"decorrelated"`` draws each delay between ``initial`` and three times the delay before, so that
            clients that were dropped together spread out; ``"equal"`` doubles and draws from the upper half;
            ``"none"`` doubles.

    Raises:
        TypeError: ``initial`` or ``maximum`` is not a number.
        ValueError: A number is not positive, ``maximum`` is below ``initial``, or the jitter is unknown.
    """

    initial: float = 0.25
    maximum: float = 30.0
    jitter: Jitter = "decorrelated"

    def __post_init__(self) -> None:
        for argument in ("initial", "maximum"):
            seconds = getattr(self, argument)
            if isinstance(seconds, bool) or not isinstance(seconds, int | float):
                raise TypeError(f"Backoff: {argument} is a number of seconds, not {type(seconds).__name__}")
        if not 0 < self.initial <= self.maximum < float("inf"):
            raise ValueError(f"Backoff needs 0 < initial <= maximum, not {self.initial!r} and {self.maximum!r}")
        if self.jitter not in _JITTERS:
            raise ValueError(f"jitter is one of {', '.join(_JITTERS)}, not {self.jitter!r}")


@frozen
class Ramp:
    """How far a run of failed attempts has come; a fresh one stands for proof of health."""

    attempts: int = 0
    delay: float | None = None


def next_delay(backoff: Backoff, ramp: Ramp, random: float) -> tuple[float, Ramp]:
    """Return the delay before the next attempt in seconds, with the ramp after it.

    Args:
        backoff: The limits.
        ramp: Where the run of attempts stands.
        random: A number drawn evenly from [0, 1).
    """
    delay = _delay(backoff, ramp, random)
    return delay, Ramp(ramp.attempts + 1, delay)


def _delay(backoff: Backoff, ramp: Ramp, random: float) -> float:
    if backoff.jitter == "decorrelated":
        upper = 3 * (backoff.initial if ramp.delay is None else ramp.delay)
        return min(backoff.maximum, backoff.initial + random * (upper - backoff.initial))
    doubled = min(backoff.maximum, backoff.initial * 2.0 ** min(ramp.attempts, _MAX_DOUBLINGS))
    return doubled if backoff.jitter == "none" else doubled / 2 + random * doubled / 2
