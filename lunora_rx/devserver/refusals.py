"""How a function says no, and how that looks over HTTP.

Source: ``docs/protocol.md``, sections "Error body" and "Error codes".
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Mapping
from typing import Final

from lunora_rx.errors import CodecError, LunoraError
from lunora_rx.protocol.rpc import HttpReply, Refused, encode_outcome
from lunora_rx.protocol.text import serialize
from lunora_rx.protocol.wire import encode_wire

__all__ = ["AppError", "refusal_of", "refusal_reply", "status_of"]

logger = logging.getLogger("lunora_rx.devserver")

_STATUSES: Final[Mapping[str, int]] = {
    "UNAUTHORIZED": 401,
    "UNAUTHENTICATED": 401,
    "TOKEN_EXPIRED": 401,
    "FORBIDDEN": 403,
    "FORBIDDEN_SHARD": 403,
    "NOT_FOUND": 404,
    "CONFLICT": 409,
    "IDENTITY_MISMATCH": 409,
    "OUT_OF_ORDER": 409,
    "PAYLOAD_TOO_LARGE": 413,
    "UNPROCESSABLE": 422,
    "RATE_LIMITED": 429,
    "TOO_MANY_REQUESTS": 429,
    "INTERNAL": 500,
    "INTERNAL_SERVER_ERROR": 500,
    "NOT_IMPLEMENTED": 501,
    "SHARD_ERROR": 503,
    "SHARD_UNAVAILABLE": 503,
}


class AppError(LunoraError):
    """A function refuses a call; its code, message and data reach the client.

    Args:
        code: One of the protocol's codes, or one of your own such as ``"ROOM_FULL"``.
        message: What happened, for a person to read.
        data: Any wire value; the client gets it as ``error.data``.
        hint: What the caller may do about it.
    """

    def __init__(
        self, code: str, message: str = "request failed", *, data: object = None, hint: str | None = None
    ) -> None:
        super().__init__(_sendable(message), code=_sendable(code), data=data, hint=hint)


def refusal_of(error: Exception, function_path: str) -> LunoraError:
    """Return what the caller is told about an exception of a function; ``data`` is in wire form.

    Only an ``AppError`` speaks for itself.  The text of any other exception goes out as well:
    this server is for development, where it is the message one needs.
    """
    if isinstance(error, AppError):
        return _in_wire_form(error)
    if isinstance(error, sqlite3.Error):
        logger.error("%s: the database refused: %s", function_path, error)
        return AppError("SHARD_ERROR", f"{function_path}: the database refused: {error}")
    logger.error("%s failed", function_path, exc_info=error)
    return AppError("INTERNAL", f"{function_path} failed: {type(error).__name__}: {error}")


def status_of(code: str | None) -> int:
    """Return the HTTP status of a refused call; an application's own code gets 400."""
    return _STATUSES.get(code or "INTERNAL", 400)


def refusal_reply(error: AppError, status: int | None = None, headers: Mapping[str, str] | None = None) -> HttpReply:
    """Return the envelope of a refusal as a reply, by default with the status of its code."""
    body = serialize(encode_outcome(Refused(_in_wire_form(error))))
    sent = {"content-type": "application/json", **(headers or {})}
    return HttpReply(status_of(error.code) if status is None else status, sent, body)


def _in_wire_form(error: AppError) -> LunoraError:
    try:
        data = None if error.data is None else encode_wire(error.data, root="error.data")
    except CodecError as refused:
        logger.error("the data of an AppError %s is dropped: %s", error.code, refused)
        data = None
    hint = error.hint if isinstance(error.hint, str) else None
    return AppError(error.code or "INTERNAL", error.message, data=data, hint=hint)


def _sendable(text: str) -> str:
    """Return a text that UTF-8 can carry: messages quote whatever a client has sent."""
    return text.encode(errors="backslashreplace").decode()
