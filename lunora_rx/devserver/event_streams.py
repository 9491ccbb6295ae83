"""The aiohttp shell of one stream of server-sent events: writes texts, and decides nothing."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from typing import Final

from aiohttp import ClientConnectionResetError, web

from lunora_rx.devserver.event_faults import EventStrike
from lunora_rx.devserver.events import KEEPALIVE
from lunora_rx.devserver.faults import Faults
from lunora_rx.devserver.sockets import reset

__all__ = ["EventStream"]

logger = logging.getLogger("lunora_rx.devserver")

_WATCH_INTERVAL: Final = 0.1
_PIECE_PAUSE: Final = 0.001
_HEADERS: Final = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-store"}


class EventStream:
    """Writes the events of one run until either side ends it; its generator is closed whatever happens."""

    def __init__(
        self,
        request: web.Request,
        texts: AsyncGenerator[str, None],
        *,
        keepalive: float | None,
        strike: EventStrike,
        faults: Faults,
    ) -> None:
        self._request = request
        self._texts = texts
        self._keepalive = keepalive
        self._strike = strike
        self._faults = faults
        self._response = web.StreamResponse(headers=_HEADERS)

    async def run(self) -> web.StreamResponse:
        """Serve the stream; return when it has ended."""
        try:
            await self._response.prepare(self._request)
            if await self._write_events():
                await self._response.write_eof()
        except (ConnectionError, ClientConnectionResetError):
            logger.debug("the client of a stream of events is gone")
        finally:
            await self._texts.aclose()
        return self._response

    async def _write_events(self) -> bool:
        number = 0
        while not self._strike.is_cut_at(number):
            text = await self._next()
            if text is None:
                return True
            await self._faults.until_flowing()
            await self._write(self._strike.distort(text, number))
            number += 1
        if self._strike.cut is not None and self._strike.cut.is_reset:
            reset(self._request.transport)
            return False
        return True

    async def _next(self) -> str | None:
        """Wait for the next event, and meanwhile tell the client that the stream lives."""
        step = asyncio.ensure_future(anext(self._texts, None))
        try:
            silence = 0.0
            while not (await asyncio.wait({step}, timeout=_WATCH_INTERVAL))[0]:
                self._check_client()
                silence += _WATCH_INTERVAL
                if self._keepalive is not None and silence >= self._keepalive:
                    silence = 0.0
                    await self._write(KEEPALIVE)
            return step.result()
        finally:
            await _stop(step)

    async def _write(self, text: str) -> None:
        for piece in self._strike.framing.pieces(text):
            await self._response.write(piece)
            if self._strike.framing.write_size is not None:
                await asyncio.sleep(_PIECE_PAUSE)  # or the pieces would leave in one segment

    def _check_client(self) -> None:
        transport = self._request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client is gone")


async def _stop(step: asyncio.Future[str | None]) -> None:
    if not step.done():
        step.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await step
