"""One live WebSocket: moves texts between aiohttp and a ``ServerSession``, and decides nothing."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket as sockets
import struct
import sys
from typing import Final

from aiohttp import ClientConnectionResetError, WSMsgType, web

from lunora_rx.devserver.faults import Faults
from lunora_rx.devserver.session import ServerSession
from lunora_rx.devserver.socket_shapes import CLOSE_LOST

__all__ = ["LiveSocket", "reset"]

logger = logging.getLogger("lunora_rx.devserver")

_CLOSING_TIMEOUT: Final = 2.0
_NO_LINGER: Final = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)


class LiveSocket:
    """Runs one socket until either side ends it.

    One task reads, one writes: a write never waits for a client to ask for something.
    """

    def __init__(
        self, session: ServerSession, socket: web.WebSocketResponse, transport: asyncio.Transport | None, faults: Faults
    ) -> None:
        self._session = session
        self._socket = socket
        self._transport = transport
        self._faults = faults
        self._ready = asyncio.Event()
        self._drained = asyncio.Event()

    @property
    def shard_name(self) -> str:
        """The shard that the socket is connected to."""
        return self._session.shard_name

    async def run(self, expires_in: float | None) -> None:
        """Serve the socket; return when it is closed."""
        loop = asyncio.get_running_loop()
        expiry = None if expires_in is None else loop.call_later(max(0.0, expires_in), self._session.expire)
        self._session.on_ready = self._on_ready
        self._faults.attach_socket(self)
        writing = asyncio.create_task(self._write(), name="lunora devserver socket writer")
        self._on_ready()
        try:
            await self._read()
        finally:
            self._faults.detach_socket(self)
            self._session.close()
            if expiry is not None:
                expiry.cancel()
            writing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writing

    def abort(self) -> None:
        """Reset the connection, with no closing handshake."""
        self._session.close()
        reset(self._transport)

    def close(self, code: int) -> None:
        """Close the socket with a code once everything is sent."""
        self._session.end(code)

    def send_text(self, text: str) -> None:
        """Send any text."""
        self._session.send_text(text)

    def cancel_subscriptions(self) -> None:
        """End its live queries, and say so."""
        self._session.cancel_subscriptions()

    def _on_ready(self) -> None:
        if self._session.is_overflowed:
            self.abort()
        self._ready.set()

    async def _read(self) -> None:
        async for message in self._socket:
            if message.type is WSMsgType.TEXT:
                self._session.receive_text(message.data)
            elif message.type is WSMsgType.BINARY:
                self._session.receive_text(message.data.decode(errors="replace"))
            while self._session.is_busy and not self._socket.closed:
                self._drained.clear()
                await self._drained.wait()

    async def _write(self) -> None:
        try:
            while True:
                await self._ready.wait()
                self._ready.clear()
                await self._faults.until_flowing()
                for text in self._session.frames_to_send():
                    await self._socket.send_str(text)
                self._drained.set()
                if self._session.close_code is not None:
                    await self._close(self._session.close_code)
                    return
        except (ConnectionError, ClientConnectionResetError):
            logger.debug("a socket is gone")
        finally:
            self._drained.set()

    async def _close(self, code: int) -> None:
        if code == CLOSE_LOST and self._transport is not None:
            self._transport.close()  # what was sent still arrives, and nothing after it
            return
        try:
            async with asyncio.timeout(_CLOSING_TIMEOUT):
                await self._socket.close(code=code)
        except TimeoutError:
            self.abort()


def reset(transport: asyncio.BaseTransport | None) -> None:
    """End a connection with a TCP reset: what was not read yet is lost on either side."""
    if not isinstance(transport, asyncio.Transport):
        return
    connection = transport.get_extra_info("socket")
    if connection is not None:
        with contextlib.suppress(OSError):  # it may be gone already
            connection.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, _NO_LINGER)
    transport.abort()
