"""Faults that wait for a call, and what strikes one call in the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Generic, Literal, TypeAlias, TypeVar

from lunora_rx.devserver.calls import HttpRequest
from lunora_rx.devserver.slots import SlotFaults, entries_of
from lunora_rx.protocol.rpc import HttpReply

__all__ = ["Armed", "Route", "SizeLimit", "Spoiling", "Strike"]

T = TypeVar("T")

Route: TypeAlias = Literal["single", "batch", "session", "http_stream"]
"""What a request is: one call, a batch of calls, a session probe, a stream of server-sent events."""

_CALLS: Final[frozenset[str]] = frozenset({"single", "batch"})


class Armed(Generic[T]):
    """What one switch has armed: it strikes first come first served, and does not know what a strike does."""

    def __init__(self) -> None:
        self._waiting: list[_Waiting[T]] = []

    def arm(self, effect: T, count: int | None, on: str | None = None) -> None:
        """Let an effect strike the next requests of a route, or all until ``clear``; of any call without a route."""
        if count is None or count > 0:
            self._waiting.append(_Waiting(effect, count, _CALLS if on is None else frozenset({on})))

    def take(self, route: str = "single") -> T | None:
        """Return what strikes a request."""
        due = next((each for each in self._waiting if route in each.routes), None)
        if due is None:
            return None
        if due.left is not None:
            due.left -= 1
            if due.left == 0:
                self._waiting.remove(due)
        return due.effect

    def clear(self) -> None:
        """Forget what has not struck."""
        self._waiting.clear()


@dataclass(slots=True, eq=False)
class _Waiting(Generic[T]):
    effect: T
    left: int | None
    routes: frozenset[str]


@dataclass(frozen=True, slots=True)
class SizeLimit:
    """How large a request may be.

    Attributes:
        entries: Calls of one batch; ``None`` for any number.
        body_size: Bytes of the body; ``None`` for any size.
        reply: What a larger one is answered.
    """

    entries: int | None
    body_size: int | None
    reply: HttpReply

    def is_passed_by(self, request: HttpRequest) -> bool:
        """Tell whether a request is too large; one that is no batch has no entries."""
        is_too_many = self.entries is not None and entries_of(request.body) > self.entries
        return is_too_many or (self.body_size is not None and len(request.body) > self.body_size)


@dataclass(frozen=True, slots=True)
class Spoiling:
    """What of a reply is replaced; ``None`` leaves what it is."""

    status: int | None = None
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def spoil(self, reply: HttpReply) -> HttpReply:
        """Return the reply with what is replaced."""
        return replace(
            reply,
            status=reply.status if self.status is None else self.status,
            body=reply.body if self.body is None else self.body,
            headers={**reply.headers, **self.headers},
        )


@dataclass(frozen=True, slots=True)
class Strike:
    """Everything that strikes one request.

    Attributes:
        instead: The reply it gets without being carried out.
        slots: What happens to the slots of a batch.
        spoiling: What is replaced in its reply.
        is_lost: Whether the connection is reset instead of replying.
        delay: Seconds that the reply is held back.
    """

    instead: HttpReply | None = None
    slots: SlotFaults = field(default_factory=SlotFaults)
    spoiling: Spoiling = field(default_factory=Spoiling)
    is_lost: bool = False
    delay: float = 0.0

    def admit(self, request: HttpRequest) -> HttpRequest:
        """Return the request as it is carried out."""
        return replace(request, body=self.slots.admit(request.body))

    def distort(self, reply: HttpReply) -> HttpReply:
        """Return the reply as it is sent."""
        return self.spoiling.spoil(replace(reply, body=self.slots.distort(reply.body)))
