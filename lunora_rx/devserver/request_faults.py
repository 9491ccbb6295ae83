"""Switches that strike HTTP requests: they are refused, or their replies are lost, late or wrong."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping
from datetime import datetime
from email.utils import format_datetime

from lunora_rx.devserver.calls import HttpRequest
from lunora_rx.devserver.refusals import AppError, refusal_reply
from lunora_rx.devserver.slots import Positions, SlotBody, SlotFaults
from lunora_rx.devserver.strikes import Armed, Route, SizeLimit, Spoiling, Strike
from lunora_rx.protocol.rpc import HttpReply

__all__ = ["RequestFaults"]

_MESSAGE = "refused on purpose"


class RequestFaults:
    """Faults that wait for a request; it does not know of sockets, nor how a request is carried out.

    Every switch takes ``count``, how many requests it strikes (``None``: all until ``release``).  Most
    take ``on``, which ones: ``"single"`` calls, ``"batch"`` requests, ``"session"`` probes or requests for
    an ``"http_stream"``; single calls and batches without it.  A switch that is used twice strikes first come first
    served.  A request that is not carried out is struck by ``delay_replies`` besides, and by nothing else.
    """

    def __init__(self) -> None:
        self._failures: Armed[HttpReply] = Armed()
        self._spoilings: Armed[Spoiling] = Armed()
        self._losses: Armed[bool] = Armed()
        self._delays: Armed[float] = Armed()
        self._refused_slots: Armed[SlotBody] = Armed()
        self._spoiled_slots: Armed[SlotBody] = Armed()
        self._lost_slots: Armed[Positions] = Armed()
        self._reversals: Armed[bool] = Armed()
        self._repetitions: Armed[bool] = Armed()
        self._size_limit: SizeLimit | None = None
        self._released = asyncio.Event()

    # --- requests that are not carried out

    def fail_calls(
        self,
        count: int | None = 1,
        *,
        status: int = 503,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        on: Route | None = None,
    ) -> None:
        """Answer the next calls with this, whatever it is."""
        self._failures.arm(HttpReply(status, headers or {}, body), count, on)

    def refuse_calls(
        self,
        count: int | None = 1,
        *,
        code: str,
        data: object = None,
        status: int | None = None,
        on: Route | None = None,
    ) -> None:
        """Answer the next calls with the envelope of a code, by default with the status that belongs to it."""
        self._failures.arm(refusal_reply(AppError(code, _MESSAGE, data=data), status), count, on)

    def refuse_credentials(self, count: int | None = 1, *, code: str = "UNAUTHORIZED", on: Route | None = None) -> None:
        """Answer the next calls with 401 and a code such as TOKEN_EXPIRED, whatever credential they bring."""
        self.refuse_calls(count, code=code, status=401, on=on)

    def limit_calls(
        self,
        count: int | None = 1,
        *,
        retry_after: int | datetime | str | None = None,
        retry_after_ms: object = None,
        code: str | None = "TOO_MANY_REQUESTS",
        on: Route | None = None,
    ) -> None:
        """Answer the next calls with 429.

        Args:
            count: How many; ``None`` for all until ``release``.
            retry_after: The header ``Retry-After``: seconds, a time in UTC that is sent as an HTTP date, or any
                text; ``None`` for no header.
            retry_after_ms: ``data.retryAfterMs`` of the envelope, any value; ``None`` for no data.
            code: Code of the envelope; ``None`` for an empty body instead of an envelope.
            on: Which requests.
        """
        headers = {} if retry_after is None else {"retry-after": _header_of(retry_after)}
        data = None if retry_after_ms is None else {"retryAfterMs": retry_after_ms}
        if code is None:
            self.fail_calls(count, status=429, headers=headers, on=on)
            return
        self._failures.arm(refusal_reply(AppError(code, _MESSAGE, data=data), 429, headers), count, on)

    def limit_size(
        self, *, entries: int | None = None, body_size: int | None = None, body: bytes | None = None
    ) -> None:
        """Answer 413 to a batch of more ``entries``, and to a batch or single call with a larger body.

        The reply is the envelope PAYLOAD_TOO_LARGE, or ``body``; nothing is carried out.
        """
        envelope = refusal_reply(AppError("PAYLOAD_TOO_LARGE", _MESSAGE))
        reply = envelope if body is None else HttpReply(413, {"content-type": "text/html"}, body)
        self._size_limit = SizeLimit(entries, body_size, reply)

    # --- requests that are carried out

    def lose_replies(self, count: int | None = 1, *, on: Route | None = None) -> None:
        """Carry the next calls out, then reset their connections instead of replying."""
        self._losses.arm(True, count, on)

    def spoil_replies(
        self,
        count: int | None = 1,
        *,
        status: int | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        on: Route | None = None,
    ) -> None:
        """Carry the next calls out, then send their replies with another status, body or headers."""
        self._spoilings.arm(Spoiling(status, body, headers or {}), count, on)

    def delay_replies(self, seconds: float, count: int | None = 1, *, on: Route | None = None) -> None:
        """Hold the next replies back, each for a time or until ``release``; the calls are carried out at once."""
        self._delays.arm(seconds, count, on)

    # --- slots of batches

    def refuse_slots(
        self, *positions: int, code: str = "SHARD_UNAVAILABLE", data: object = None, count: int | None = 1
    ) -> None:
        """Refuse these calls of the next batches with a code, and carry out the others; no position means all."""
        envelope = json.loads(refusal_reply(AppError(code, _MESSAGE, data=data)).body)
        self._refused_slots.arm(SlotBody(positions, envelope), count, "batch")

    def spoil_slots(self, *positions: int, body: object = None, count: int | None = 1) -> None:
        """Carry the next batches out, but answer these calls with any JSON value, such as ``{"error": "no"}``."""
        self._spoiled_slots.arm(SlotBody(positions, body), count, "batch")

    def lose_slots(self, *positions: int, count: int | None = 1) -> None:
        """Carry the next batches out, but leave the slots of these calls out of the replies."""
        self._lost_slots.arm(positions, count, "batch")

    def reverse_slots(self, count: int | None = 1) -> None:
        """Send the slots of the next batches last first."""
        self._reversals.arm(True, count, "batch")

    def repeat_slots(self, count: int | None = 1) -> None:
        """Send each slot of the next batches twice."""
        self._repetitions.arm(True, count, "batch")

    def release(self) -> None:
        """End every fault that is in force, and forget those that have not struck."""
        for armed in (self._failures, self._spoilings, self._losses, self._delays):
            armed.clear()
        for slots in (
            self._refused_slots,
            self._spoiled_slots,
            self._lost_slots,
            self._reversals,
            self._repetitions,
        ):
            slots.clear()
        self._size_limit = None
        self._released.set()
        self._released = asyncio.Event()

    # --- for the server

    async def hold_back(self, seconds: float) -> None:
        """Wait for a time, or until ``release``."""
        if seconds > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._released.wait(), seconds)

    def take_strike(self, route: Route, request: HttpRequest) -> Strike:
        """Return everything that strikes a request, which is then due no more."""
        delay = self._delays.take(route) or 0.0
        instead = self._too_large(route, request) or self._failures.take(route)
        if instead is not None:
            return Strike(instead=instead, delay=delay)
        return Strike(
            slots=SlotFaults(
                self._refused_slots.take(route),
                self._spoiled_slots.take(route),
                self._lost_slots.take(route),
                is_reversed=self._reversals.take(route) is not None,
                is_repeated=self._repetitions.take(route) is not None,
            ),
            spoiling=self._spoilings.take(route) or Spoiling(),
            is_lost=self._losses.take(route) is not None,
            delay=delay,
        )

    def _too_large(self, route: Route, request: HttpRequest) -> HttpReply | None:
        limit = self._size_limit
        if limit is None or route in ("session", "http_stream") or not limit.is_passed_by(request):
            return None
        return limit.reply


def _header_of(retry_after: int | datetime | str) -> str:
    return format_datetime(retry_after, usegmt=True) if isinstance(retry_after, datetime) else str(retry_after)
