"""Paths, header names, keepalive texts and the URLs that a client opens.

Source: ``docs/protocol.md``, sections "Endpoints" and "RPC".
"""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

RPC_PATH = "/_lunora/rpc"
BATCH_PATH = "/_lunora/rpc-batch"
WS_PATH = "/_lunora/ws"
STATUS_PATH = "/_lunora/status"
ADMIN_WS_TOKEN_PATH = "/_lunora/admin/ws-token"  # noqa: S105 - a path, not a secret
OPENRPC_PATH = "/_lunora/openrpc.json"

PING = "lunora-ping"
PONG = "lunora-pong"

CLOSE_TOKEN_EXPIRED = 4001
CLOSE_TOO_BIG = 1009

HEADER_AUTHORIZATION = "authorization"
HEADER_MUTATION_ID = "x-lunora-mutation-id"
HEADER_CLIENT_ID = "x-lunora-client-id"
HEADER_CLIENT_SEQ = "x-lunora-client-seq"
HEADER_BASE_SEQ = "x-lunora-base-seq"
HEADER_MIN_SEQ = "x-lunora-min-seq"
HEADER_BOOKMARK = "x-d1-bookmark"
HEADER_EXPECT_SUBJECT = "x-lunora-expect-subject"
HEADER_SHARD_KEY = "x-lunora-shard-key"

_TOKEN = re.compile(r"(?i)([?&;]token=)[^&#\s'\")\]]*")
_USER = re.compile(r"(?<=://)[^/?#@\s]*@")


def check_origin(url: object, *, argument: str = "url") -> str:
    """Return the origin of a deployment: ``url`` without exactly one trailing slash.

    Raises:
        TypeError: ``url`` is not a string.
        ValueError: It is not an absolute http or https URL, or has a query or a fragment.
    """
    origin = _check_url(url, argument, ("http", "https"))
    if "?" in origin or "#" in origin:
        raise ValueError(f"{argument}={redact_url(origin)!r} has a query or a fragment, and paths are appended to it")
    return origin.removesuffix("/")


def check_ws_url(url: object, *, argument: str = "ws_url") -> str:
    """Return an explicit WebSocket URL, which is used verbatim.

    Raises:
        TypeError: ``url`` is not a string.
        ValueError: It is not an absolute ws or wss URL.
    """
    return _check_url(url, argument, ("ws", "wss"))


def websocket_base(origin: str) -> str:
    """Return the WebSocket URL that belongs to an origin, without parameters."""
    scheme, rest = origin.split("://", 1)
    return f"{'wss' if scheme.lower() == 'https' else 'ws'}://{rest}{WS_PATH}"


def websocket_url(base: str, *, shard: str = "", token: str | None = None) -> str:
    """Return the URL to open for one shard, parameters in the order ``shard``, ``token``."""
    named = [("shard", shard), ("token", token or "")]
    for name, value in named:
        if value:
            base += f"{'&' if '?' in base else '?'}{name}={quote(value, safe='')}"
    return base


def place_of(url: str) -> str:
    """Return what to call the server behind a URL: without user, password, parameters and fragment."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def redact_url(text: str) -> str:
    """Return ``text`` without the values of ``token=`` parameters, and without users and passwords of URLs."""
    return _USER.sub("[redacted]@", _TOKEN.sub(r"\1[redacted]", text))


def _check_url(url: object, argument: str, schemes: tuple[str, str]) -> str:
    if not isinstance(url, str):
        raise TypeError(f"{argument} is a string such as '{schemes[0]}://127.0.0.1:8787', not {type(url).__name__}")
    try:
        parts = urlsplit(url)
        usable = parts.scheme.lower() in schemes and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable or not url.isprintable() or " " in url:
        raise ValueError(
            f"{argument}={redact_url(url)!r} is not an absolute {schemes[0]} or {schemes[1]} URL"
            f" such as '{schemes[0]}://127.0.0.1:8787'"
        )
    return url
