"""The seams: what the driver asks of a transport, and the client of a store.

Each is small enough to write anew for another library or for a test.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from lunora_rx.protocol.rpc import HttpReply


class Socket(Protocol):
    """One open WebSocket.

    ``receive`` and ``send`` are each called by one task at a time.
    """

    async def receive(self) -> str | bytes | None:
        """Wait for the next text frame; ``None`` once the socket is closed, for whatever reason."""

    async def send(self, text: str) -> None:
        """Send one text frame; raises ``TransportError`` when that is no longer possible."""

    async def close(self, code: int = 1000) -> None:
        """Close the socket; closing a closed one does nothing."""

    @property
    def close_code(self) -> int | None:
        """Why the socket is closed: the code of the peer, or ``None`` while it is open or was cut."""


class SocketFactory(Protocol):
    """Opens WebSockets."""

    async def connect(self, url: str, headers: Mapping[str, str]) -> Socket:
        """Open a WebSocket; raises ``TransportError`` when it cannot be had."""


class HttpTransport(Protocol):
    """Makes HTTP requests."""

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None, timeout: float
    ) -> HttpReply:
        """Return the reply, whatever its status; raises ``TransportError`` when there is none.

        A redirect is a reply like any other and is not followed. ``timeout`` is in seconds and
        bounds the whole exchange; exceeding it raises ``RequestTimeout``.
        """


class Transport(SocketFactory, HttpTransport, Protocol):
    """Everything that a client needs of the network."""

    async def aclose(self) -> None:
        """Release what the transport opened itself."""


class BookmarkStore(Protocol):
    """Keeps the session's database bookmark, an opaque string."""

    def get(self) -> str | None:
        """Return the bookmark, or ``None`` before the first."""

    def set(self, value: str) -> None:
        """Remember a newer bookmark."""
