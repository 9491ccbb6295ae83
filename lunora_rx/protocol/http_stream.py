"""The request for a stream over HTTP, and how its reply is read.

Source: ``docs/protocol.md``, section "Server-sent events".
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from lunora_rx.errors import CodecError, LunoraError, StreamError
from lunora_rx.protocol.endpoints import HEADER_AUTHORIZATION
from lunora_rx.protocol.key_text import stable_key_of_tree
from lunora_rx.protocol.sse import EventParser, StreamEnd, StreamNews, chunk_of
from lunora_rx.protocol.text import serialize
from lunora_rx.protocol.values import UNDEFINED

EVENT_STREAM: Final = "text/event-stream"

_PARAM: Final = re.compile(r"(?<=/):([^/?]+)(?=[/?]|$)")
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_STATUSES_WITHOUT_BODY: Final = (204, 205)
_STATUSES_THAT_PASS: Final = (408, 429)


def build_stream_path(
    path: str, params: Mapping[str, Any] | None = None, search: Mapping[str, Any] | None = None
) -> str:
    """Return the path of a stream with its parameters filled in and the search parameters behind it.

    A segment ``:name`` stands for ``params["name"]``. Strings stand as they are, ``None`` as ``null``, booleans as
    ``true`` and ``false``, numbers as JavaScript spells them, and everything else as JSON; all percent-encoded.

    Raises:
        StreamError: A path parameter is missing, ``UNDEFINED`` or empty; code ``HTTP_STREAM_MISSING_PARAM``.
        CodecError: A parameter cannot be written; ``path`` says which.
        TypeError, ValueError: ``path`` is no path of a URL, or an argument is no mapping with names for keys.
    """
    values = _check_mapping(params, "params")
    filled = _PARAM.sub(lambda match: _segment(match[1], values), _check_stream_path(path))
    pairs = [
        f"{_encode(name, f'search.{name}')}={_encode(value, f'search.{name}')}"
        for name, value in _check_mapping(search, "search").items()
        if value is not UNDEFINED
    ]
    if not pairs:
        return filled
    return f"{filled}{'&' if '?' in filled else '?'}{'&'.join(pairs)}"


def check_stream_headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    """Return headers of the caller's, names in lower case.

    Raises:
        TypeError: They are no mapping of strings.
        ValueError: One cannot stand in a request; its value, which may be a token, is in no message.
    """
    own = _check_mapping(headers, "headers")
    return {_header_name(name): _header_value(name, value) for name, value in own.items()}


def stream_headers(bearer: str | None, headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of a request for a stream; the caller's, checked before, win over ours."""
    credential = {} if bearer is None else {HEADER_AUTHORIZATION: f"Bearer {bearer}"}
    return {"accept": EVENT_STREAM, **credential, **headers}


class ChunkReader:
    """Reads the chunks of one stream out of what its request brings.

    It knows how far the reply is read. It does not know where bytes come from: whoever holds the connection calls
    ``receive_head`` once, ``receive_bytes`` for each piece of the body, then ``receive_end``; or
    ``receive_failure`` at any time. What they return is to be told, in order. After a ``StreamEnd`` there is nothing
    more, and the connection is to be closed.

    Args:
        limit: Bytes that one event may take.
    """

    def __init__(self, limit: int) -> None:
        self._parser = EventParser(limit)
        self._content_type = EVENT_STREAM
        self._has_body = False
        self._is_over = False

    @property
    def is_over(self) -> bool:
        """Whether the end was told."""
        return self._is_over

    def receive_head(self, status: int, headers: Mapping[str, str]) -> list[StreamNews]:
        """Note the status and the headers, their names in lower case."""
        self._content_type = headers.get("content-type", EVENT_STREAM).partition(";")[0].strip().lower()
        if not 200 <= status <= 299:
            return self._end(_refusal(status))
        if status in _STATUSES_WITHOUT_BODY:
            return self._end(_no_body(status))
        return []

    def receive_bytes(self, data: bytes) -> list[StreamNews]:
        """Take the next bytes of the body."""
        if self._is_over:
            return []
        self._has_body = self._has_body or bool(data)
        news: list[StreamNews] = []
        try:
            for event in self._parser.feed(data):
                each = chunk_of(event)
                if isinstance(each, StreamEnd):
                    return news + self._end(each.error)
                if each is not None:
                    news.append(each)
        except StreamError as error:
            return news + self._end(error)
        return news

    def receive_end(self) -> list[StreamNews]:
        """Note that the body is at its end, which it should not be before the stream's."""
        if not self._has_body:
            return self._end(_no_body(None))
        kind = self._content_type
        reason = "" if kind == EVENT_STREAM else f"; it is {kind!r}, not {EVENT_STREAM!r}"
        message = f"the body ended before the stream did{reason}"
        return self._end(StreamError(message, code="HTTP_STREAM_INTERRUPTED", transient=True))

    def receive_failure(self, error: LunoraError) -> list[StreamNews]:
        """Note that the reply, or the rest of it, cannot be had."""
        failure = StreamError(error.message, code="HTTP_STREAM_TRANSPORT", transient=True)
        failure.__cause__ = error
        return self._end(failure)

    def _end(self, error: LunoraError | None) -> list[StreamNews]:
        if self._is_over:
            return []
        self._is_over = True
        return [StreamEnd(error)]


def _refusal(status: int) -> StreamError:
    return StreamError(
        f"the server answered {status} where a stream was asked for",
        code="HTTP_STREAM_STATUS",
        status=status,
        transient=status >= 500 or status in _STATUSES_THAT_PASS,
    )


def _no_body(status: int | None) -> StreamError:
    return StreamError("the reply has no body", code="HTTP_STREAM_NO_BODY", status=status)


def _check_stream_path(path: object) -> str:
    if not isinstance(path, str):
        raise TypeError(f"path is a string such as '/rooms/:room/events', not {type(path).__name__}")
    # A slash ends the host: without it, "@elsewhere" would be one.
    if not path.startswith("/") or not path.isprintable() or any(sign in path for sign in "# \\"):
        raise ValueError(f"path begins with a slash, and has no fragment, such as '/rooms/:room/events', not {path!r}")
    return path


def _check_mapping(value: object, argument: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TypeError(f"{argument} is a dict of values by name, not {type(value).__name__}")
    for name in value:
        if not isinstance(name, str):
            raise TypeError(f"{argument} is a dict of values by name, and {name!r} is no string")
    return value


def _segment(name: str, params: Mapping[str, Any]) -> str:
    value = params.get(name, UNDEFINED)
    if value is UNDEFINED or (isinstance(value, str) and not value):
        state = "missing" if value is UNDEFINED else "empty"
        raise StreamError(f"path parameter {name!r} is {state}", code="HTTP_STREAM_MISSING_PARAM")
    segment = _encode(value, f"params.{name}")
    if segment in (".", ".."):
        # Every library takes these for steps in the path, however they are encoded: another route would be asked.
        raise CodecError("'.' and '..' cannot be a segment of a path", path=f"params.{name}")
    return segment


def _encode(value: object, where: str) -> str:
    try:
        return quote(_text_of(value, where), safe="")
    except UnicodeEncodeError:
        raise CodecError("holds a lone surrogate, which a URL cannot", path=where) from None


def _text_of(value: object, where: str) -> str:
    if isinstance(value, str):
        return str.__str__(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float):
        return _number_text(value, where)
    try:
        return serialize(value).decode()
    except CodecError as error:
        raise CodecError(error.message.removeprefix(f"{error.path}: "), path=where) from None


def _number_text(value: float, where: str) -> str:
    if not math.isfinite(value):
        raise CodecError("is no finite number", path=where)
    return stable_key_of_tree(value + 0.0)  # negative zero is zero here


def _header_name(name: str) -> str:
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError(f"headers: {name!r} is no name of an HTTP header")
    return name.lower()


def _header_value(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"headers[{name!r}] is a string, not {type(value).__name__}")
    if not value.isprintable():
        raise ValueError(f"headers[{name!r}] holds a character that no HTTP header may")
    return value
