"""WebSockets and HTTP over one pooled ``aiohttp.ClientSession``.

No message made here holds a URL's query string or a header, because tokens travel
there; aiohttp's own exceptions do, while a connection or a reply is asked for.  So then
ours are raised after the handler of theirs, not in it: one raised in it would carry
aiohttp's along as its context.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiohttp
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse, WSMsgType

from lunora_rx.errors import ProtocolError, RequestTimeout, TransportError
from lunora_rx.protocol.endpoints import CLOSE_TOO_BIG, place_of
from lunora_rx.protocol.rpc import HttpReply

POOL_LIMIT = 512
SEND_TIMEOUT = 10.0
CLOSE_TIMEOUT = 1.0
_CHUNK = 1 << 16
# Named once: before Python 3.12 each mention of a member goes through a descriptor, and these come once a frame.
_TEXT = WSMsgType.TEXT
_BINARY = WSMsgType.BINARY
# RuntimeError: a session of the user's that was closed meanwhile, or that belongs to another loop.
_FAILURES = (aiohttp.ClientError, OSError, ValueError, RuntimeError)


class AiohttpTransport:
    """Reaches one deployment.

    Args:
        session: A session to use and not to close; by default one is made at the first use and closed at the end.
        max_frame_size: Bytes; a larger frame closes its socket with code 1009.
        max_body_size: Bytes; a larger reply is given up.
        keeps_cookies: Whether a session made here sends back the cookies that the server sets; one of the user's has
            a jar of its own.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession | None = None,
        *,
        max_frame_size: int,
        max_body_size: int,
        keeps_cookies: bool = False,
    ) -> None:
        self._session = session
        self._own: list[aiohttp.ClientSession] = []
        self._websocket_session: aiohttp.ClientSession | None = None
        self._max_frame_size = max_frame_size
        self._max_body_size = max_body_size
        self._keeps_cookies = keeps_cookies

    async def connect(self, url: str, headers: Mapping[str, str]) -> AiohttpSocket:
        """Open a WebSocket.

        Raises:
            TransportError: It cannot be had, for now.
            ProtocolError: The server answered with something that is no WebSocket.
        """
        try:
            websocket = await self._websocket_client().ws_connect(
                url,
                headers=headers,
                max_msg_size=self._max_frame_size,
                timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_TIMEOUT),  # pyright: ignore[reportCallIssue]
                # Frames go to the JSON parser as bytes: decoding them to text first would be thrown away.
                decode_text=False,
            )
        except _FAILURES as error:
            refusal = _connect_error(error, url)
        else:
            return AiohttpSocket(websocket)
        raise refusal

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
                raise_for_status=False,
            ) as response:
                content = await self._read(response)
                lower = {name.lower(): value for name, value in response.headers.items()}
                return HttpReply(
                    response.status, lower, content or b"", time.time(), is_cut=content is None, place=place_of(url)
                )
        except _FAILURES as error:
            refusal = _no_reply(error, url, timeout)
        raise refusal

    async def stream(
        self, method: str, url: str, *, headers: Mapping[str, str], timeout: float, read_timeout: float
    ) -> AiohttpReply:
        """Return the reply once its headers are there, whatever its status; a redirect is not followed."""
        try:
            async with asyncio.timeout(timeout):
                response = await self._client().request(
                    method,
                    url,
                    # A compressed stream comes in the pieces of whoever compresses it, not in the server's.
                    headers={"accept-encoding": "identity", **headers},
                    timeout=aiohttp.ClientTimeout(),
                    allow_redirects=False,
                    raise_for_status=False,
                    auto_decompress=True,
                )
        except _FAILURES as error:
            refusal = _no_reply(error, url, timeout)
        else:
            return AiohttpReply(response, place_of(url), read_timeout)
        raise refusal

    async def aclose(self) -> None:
        """Close the sessions that are the transport's own."""
        for session in self._own:
            await session.close()

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=POOL_LIMIT)
            # A cookie set for one user would go along with the bearer of the next.
            jar = None if self._keeps_cookies else aiohttp.DummyCookieJar()
            self._session = aiohttp.ClientSession(connector=connector, cookie_jar=jar, middlewares=(_once_and_here,))
            self._own.append(self._session)
        if self._session.closed:
            raise _Refused("the aiohttp session is closed")
        return self._session

    def _websocket_client(self) -> aiohttp.ClientSession:
        session = self._client()
        if session in self._own:
            return session
        if self._websocket_session is None:
            self._websocket_session = _without_redirects(session)
            self._own.append(self._websocket_session)
        return self._websocket_session

    async def _read(self, response: ClientResponse) -> bytes | None:
        chunks, size = [], 0
        async for chunk in response.content.iter_chunked(_CHUNK):
            size += len(chunk)
            if size > self._max_body_size:
                response.close()
                return None
            chunks.append(chunk)
        return b"".join(chunks)


class AiohttpSocket:
    """One WebSocket of aiohttp."""

    def __init__(self, websocket: aiohttp.ClientWebSocketResponse[bool]) -> None:
        self._websocket = websocket
        self._receive = websocket.receive
        self._is_too_big = False
        # Frames that are there already; empty for ever where aiohttp keeps them in another way.
        queue = getattr(websocket, "_reader", None)
        arrived = getattr(queue, "_buffer", None)
        self._arrived: deque[Any] = arrived if isinstance(arrived, deque) else deque()
        self._take: Callable[[], Awaitable[Any]] = getattr(queue, "read", websocket.receive)

    async def receive(self) -> bytes | str | None:
        """Wait for the next frame; ``None`` once the socket is closed, for whatever reason."""
        message = await self._receive()
        if message.type is _TEXT or message.type is _BINARY:
            data: bytes | str = message.data
            return data
        error = message.data
        self._is_too_big = isinstance(error, aiohttp.WebSocketError) and error.code == CLOSE_TOO_BIG
        return None

    async def receive_many(self, limit: int) -> list[bytes | str] | None:
        """Return the frames that are there already, so many at most; where there are none, wait for the next one.

        aiohttp's way for each takes twice as long, and has nothing to wait for or to answer where a text is there.
        """
        arrived, take = self._arrived, self._take
        frames: list[bytes | str] = []
        try:
            while arrived and arrived[0][0].type is _TEXT and len(frames) < limit:
                frames.append((await take()).data)
        except (AttributeError, LookupError, TypeError):  # not as this knows it: one by one
            self._arrived = deque()
        if frames:
            return frames
        first = await self.receive()
        return None if first is None else [first]

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
        """Close the socket, waiting two seconds at most for the peer; closing a closed one does nothing."""
        try:
            # aiohttp bounds each frame that comes instead of the answer, not all of them.
            async with asyncio.timeout(2 * CLOSE_TIMEOUT):
                await self._websocket.close(code=code)
        except TimeoutError:
            pass  # it has let go of the connection

    @property
    def close_code(self) -> int | None:
        """The code that the socket was closed with, by either side; ``None`` while it is open or was cut."""
        if self._is_too_big:
            return CLOSE_TOO_BIG
        code = self._websocket.close_code
        return None if code == aiohttp.WSCloseCode.ABNORMAL_CLOSURE else code


class AiohttpReply:
    """A reply of aiohttp whose body is read as it comes.

    Args:
        response: The reply, its headers read.
        place: What to call its server in errors.
        read_timeout: Seconds that the body may keep still.
    """

    def __init__(self, response: ClientResponse, place: str, read_timeout: float) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in response.headers.items()}
        self._response = response
        self._place = place
        self._read_timeout = read_timeout
        self._is_closed = False

    async def read(self) -> bytes | None:
        """Wait for the next bytes of the body; ``None`` at its end and once it is closed."""
        if self._is_closed:
            return None
        try:
            async with asyncio.timeout(self._read_timeout):
                return await self._response.content.readany() or None
        except TimeoutError:
            message = f"nothing came from {self._place} for {self._read_timeout:g} s"
            raise RequestTimeout(message, transient=True) from None
        except _FAILURES as error:
            message = f"the reply from {self._place} broke off: {_reason(error)}"
            raise TransportError(message, transient=True) from None

    async def aclose(self) -> None:
        """Close the connection, unless the body is at its end; then it may be used again."""
        self._is_closed = True
        self._response.close()


async def _once_and_here(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    if "upgrade" not in request.headers:
        return await handler(request)
    try:
        response = await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        # aiohttp would try these once more at once, and double every storm: when to try again is the backoff's to say.
        raise _Refused(_reason(error)) from None
    # ``ws_connect`` cannot be told not to follow: credentials stay with the origin they were meant for.
    if 300 <= response.status <= 399:
        response.close()
        raise _Refused(f"it answered {response.status}, and redirects are not followed")
    return response


def _without_redirects(session: aiohttp.ClientSession) -> aiohttp.ClientSession:
    """Return a session with the connections, cookies and headers of another, which refuses redirects."""
    return aiohttp.ClientSession(
        connector=session.connector,
        connector_owner=False,
        cookie_jar=session.cookie_jar,
        headers=_headers(session),
        skip_auto_headers=session.skip_auto_headers,
        trust_env=session.trust_env,
        trace_configs=session.trace_configs,
        # aiohttp shows neither of these; without them a proxy or a signature of the user's would be missing.
        middlewares=(_once_and_here, *getattr(session, "_middlewares", ())),
        proxy=getattr(session, "_default_proxy", None),
    )


def _headers(session: aiohttp.ClientSession) -> Mapping[str, str]:
    headers = session.headers.copy()
    if session.auth is not None:
        headers.setdefault("authorization", session.auth.encode())
    return headers


class _Refused(aiohttp.ClientError):
    """What this module does not do; its text is fit to be shown."""


def _connect_error(error: Exception, url: str) -> TransportError | ProtocolError:
    if isinstance(error, aiohttp.WSServerHandshakeError):
        answer = f"{place_of(url)} answered {error.status} where a WebSocket was asked for"
        if error.status >= 500:
            return TransportError(answer, status=error.status, transient=True)
        return ProtocolError(f"{answer}; is it a Lunora deployment?", status=error.status)
    return TransportError(f"cannot connect to {place_of(url)}: {_reason(error)}", transient=True)


def _no_reply(error: Exception, url: str, timeout: float) -> TransportError:
    if isinstance(error, TimeoutError):
        return RequestTimeout(f"no reply from {place_of(url)} within {timeout:g} s", transient=True)
    return TransportError(f"no reply from {place_of(url)}: {_reason(error)}", transient=True)


def _reason(error: Exception) -> str:
    if isinstance(error, _Refused):
        return str(error)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "its name cannot be resolved"
    certificate = getattr(error, "certificate_error", None) or error
    if isinstance(certificate, ssl.SSLCertVerificationError):
        return f"its certificate is not valid: {certificate.verify_message}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__
