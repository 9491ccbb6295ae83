"""WebSockets and HTTP over one pooled ``aiohttp.ClientSession``.

No message made here holds a URL's query string or a header, because tokens travel
there; aiohttp's own exceptions do, hence ``from None``.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

import aiohttp
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse, WSMsgType

from lunora_rx.errors import ProtocolError, RequestTimeout, TransportError
from lunora_rx.protocol.endpoints import CLOSE_TOO_BIG
from lunora_rx.protocol.rpc import HttpReply

POOL_LIMIT = 512
SEND_TIMEOUT = 10.0
CLOSE_TIMEOUT = 1.0
_CHUNK = 1 << 16


class AiohttpTransport:
    """Reaches one deployment.

    Args:
        session: A session to use and not to close; by default one is made at the first use and closed at the end.
            A session of your own should carry ``refuse_redirects`` among its middlewares.
        max_frame_size: Bytes; a larger frame closes its socket with code 1009.
        max_body_size: Bytes; a larger reply is given up.
    """

    def __init__(
        self, session: aiohttp.ClientSession | None = None, *, max_frame_size: int, max_body_size: int
    ) -> None:
        self._session = session
        self._is_own = session is None
        self._max_frame_size = max_frame_size
        self._max_body_size = max_body_size

    async def connect(self, url: str, headers: Mapping[str, str]) -> AiohttpSocket:
        """Open a WebSocket; raises ``TransportError`` when it cannot be had."""
        try:
            websocket = await self._client().ws_connect(
                url,
                headers=headers,
                max_msg_size=self._max_frame_size,
                timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_TIMEOUT),
                # Frames go to the JSON parser as bytes: decoding them to text first would be thrown away.
                decode_text=False,
            )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _connect_error(error, url) from None
        return AiohttpSocket(websocket)

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None, timeout: float
    ) -> HttpReply:
        """Return the reply, whatever its status; a redirect is a reply and is not followed."""
        try:
            async with self._client().request(
                method,
                url,
                headers=headers,
                data=body,
                timeout=aiohttp.ClientTimeout(total=timeout),
                allow_redirects=False,
            ) as response:
                content = await self._read(response)
                lower = {name.lower(): value for name, value in response.headers.items()}
                return HttpReply(response.status, lower, content, time.time())
        except TimeoutError:
            raise RequestTimeout(f"no reply from {_place(url)} within {timeout:g} s", transient=True) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise TransportError(f"no reply from {_place(url)}: {_reason(error)}", transient=True) from None

    async def aclose(self) -> None:
        """Close the session, if it is the transport's own."""
        if self._is_own and self._session is not None:
            await self._session.close()

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=POOL_LIMIT), middlewares=(refuse_redirects,)
            )
        return self._session

    async def _read(self, response: ClientResponse) -> bytes:
        chunks, size = [], 0
        async for chunk in response.content.iter_chunked(_CHUNK):
            size += len(chunk)
            if size > self._max_body_size:
                response.close()
                raise TransportError(
                    f"the reply exceeds max_body_size={self._max_body_size} bytes", status=response.status
                )
            chunks.append(chunk)
        return b"".join(chunks)


class AiohttpSocket:
    """One WebSocket of aiohttp."""

    def __init__(self, websocket: aiohttp.ClientWebSocketResponse[bool]) -> None:
        self._websocket = websocket
        self._receive = websocket.receive
        self._is_too_big = False

    async def receive(self) -> bytes | str | None:
        """Wait for the next frame; ``None`` once the socket is closed, for whatever reason."""
        message = await self._receive()
        if message.type is WSMsgType.TEXT or message.type is WSMsgType.BINARY:
            data: bytes | str = message.data
            return data
        error = message.data
        self._is_too_big = isinstance(error, aiohttp.WebSocketError) and error.code == CLOSE_TOO_BIG
        return None

    async def send(self, text: str) -> None:
        """Send one text frame, within ten seconds; raises ``TransportError`` when that is not possible."""
        try:
            async with asyncio.timeout(SEND_TIMEOUT):
                await self._websocket.send_str(text)
        except TimeoutError:
            raise TransportError(f"the peer took no frame for {SEND_TIMEOUT:g} s", transient=True) from None
        except (aiohttp.ClientError, OSError) as error:
            raise TransportError(f"the socket is gone: {_reason(error)}", transient=True) from None

    async def close(self, code: int = 1000) -> None:
        """Close the socket, waiting a second at most for the peer; closing a closed one does nothing."""
        await self._websocket.close(code=code)

    @property
    def close_code(self) -> int | None:
        """The code that the socket was closed with, by either side."""
        return CLOSE_TOO_BIG if self._is_too_big else self._websocket.close_code


async def refuse_redirects(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """Keep a session from following redirects: credentials and bodies stay with the origin they were meant for."""
    response = await handler(request)
    if "upgrade" in request.headers and 300 <= response.status <= 399:
        response.close()
        raise _RedirectRefused(f"it answered {response.status}, and redirects are not followed")
    return response


class _RedirectRefused(aiohttp.ClientError):
    """The server tried to send a WebSocket elsewhere."""


def _connect_error(error: Exception, url: str) -> TransportError | ProtocolError:
    if isinstance(error, aiohttp.WSServerHandshakeError):
        return ProtocolError(
            f"{_place(url)} answered {error.status} where a WebSocket was asked for; is it a Lunora deployment?",
            status=error.status,
        )
    return TransportError(f"cannot connect to {_place(url)}: {_reason(error)}", transient=True)


def _place(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _reason(error: Exception) -> str:
    if isinstance(error, _RedirectRefused):
        return str(error)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "its name cannot be resolved"
    certificate = getattr(error, "certificate_error", None) or error
    if isinstance(certificate, ssl.SSLCertVerificationError):
        return f"its certificate is not valid: {certificate.verify_message}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__
