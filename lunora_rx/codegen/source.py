"""Where a document comes from: a file, the standard input, or a server."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from lunora_rx.arguments import check_token, show_url
from lunora_rx.codegen.document import DocumentError
from lunora_rx.errors import CodecError, TransportError
from lunora_rx.protocol.endpoints import HEADER_AUTHORIZATION, OPENRPC_PATH
from lunora_rx.protocol.rpc import HttpReply
from lunora_rx.protocol.text import parse
from lunora_rx.transport.aiohttp_transport import AiohttpTransport

_MAX_SIZE: Final = 256 * 2**20


def read_document(source: str, *, auth_token: str | None = None, timeout: float = 30.0) -> object:
    """Return the document that a source holds, parsed.

    Args:
        source: A file, ``-`` for the standard input, or a URL; one without a path is that of a server, which has its
            document at ``/_lunora/openrpc.json``.
        auth_token: Bearer for a URL.
        timeout: Seconds that a server may take.

    Raises:
        DocumentError: It cannot be had, or is no JSON.
    """
    try:
        text = _read(source, auth_token, timeout)
    except OSError as error:
        raise DocumentError(f"cannot read {source}: {(error.strerror or str(error)).lower()}") from error
    except (TransportError, ValueError) as error:
        raise DocumentError(f"cannot read {_shown(source)}: {error}") from error
    try:
        return parse(text.removeprefix(b"\xef\xbb\xbf"))
    except CodecError as error:
        raise DocumentError(f"{_shown(source)} is {error.message.removeprefix('text: ')}") from error


def is_url(source: str) -> bool:
    """Return whether a source is the URL of a server or of a document."""
    return source.lower().startswith(("http://", "https://"))


def _read(source: str, auth_token: str | None, timeout: float) -> bytes:
    if source == "-":
        return sys.stdin.buffer.read()
    if not is_url(source):
        return Path(source).read_bytes()
    reply = asyncio.run(_fetch(_document_url(source), auth_token, timeout))
    if reply.is_cut:
        raise ValueError(f"it holds more than {_MAX_SIZE} bytes")
    if reply.status != 200:
        raise ValueError(f"the server answered with {reply.status}{_hint(reply.status)}")
    return reply.body


async def _fetch(url: str, auth_token: str | None, timeout: float) -> HttpReply:
    bearer = check_token(auth_token or None, "auth_token")
    headers: Mapping[str, str] = {HEADER_AUTHORIZATION: f"Bearer {bearer}"} if bearer else {}
    transport = AiohttpTransport(max_frame_size=0, max_body_size=_MAX_SIZE)
    try:
        return await transport.request("GET", url, headers=headers, body=None, timeout=timeout)
    finally:
        await transport.aclose()


def _document_url(url: str) -> str:
    parts = urlsplit(url)
    return url if parts.path.strip("/") else urlunsplit(parts._replace(path=OPENRPC_PATH))


def _shown(source: str) -> str:
    return show_url(source) if is_url(source) else "the standard input" if source == "-" else source


def _hint(status: int) -> str:
    return ": --auth-token gives a bearer" if status in (401, 403) else ""
