"""Streaming routes: which run a GET request asks for, or why there is none."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeAlias

from lunora_rx.devserver.access import Access, check_cross_site_socket
from lunora_rx.devserver.contexts import ActionContext
from lunora_rx.devserver.events import event_texts
from lunora_rx.devserver.functions import Function
from lunora_rx.devserver.kinds import Mismatch
from lunora_rx.devserver.producer import Chunks
from lunora_rx.errors import CodecError
from lunora_rx.protocol.text import parse

__all__ = ["EventRequest", "Route", "RouteContext", "check_route", "open_route"]

_PARAMETER: Final = re.compile(r":([A-Za-z_][A-Za-z0-9_]*)")
_RESERVED: Final = ("/_lunora", "/api/auth")

MakeContext: TypeAlias = Callable[[str | None], ActionContext]


@dataclass(frozen=True, slots=True)
class Route:
    """A streaming route.

    Attributes:
        function: Its generator function.
        keepalive: Seconds of silence after which a comment is sent; ``None`` for never.
    """

    function: Function
    keepalive: float | None

    @property
    def pattern(self) -> str:
        """Its path as aiohttp spells it."""
        return _PARAMETER.sub(r"{\1}", self.function.path)


@dataclass(frozen=True, slots=True)
class EventRequest:
    """A GET request as it came: header names in lower case, parameters decoded."""

    path_params: Mapping[str, str] = field(default_factory=dict)
    search_params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    origin: str = ""


@dataclass(frozen=True, slots=True)
class RouteContext:
    """Context of a streaming route: that of an action on the default shard, with the request's headers.

    Attributes:
        identity: The verified subject of the caller, or ``None``.
        shard: The default shard's name.
        run_query: As in an action.
        run_mutation: As in an action.
        headers: Of the request, names in lower case.
    """

    identity: str | None
    shard: str
    run_query: Callable[..., Any]
    run_mutation: Callable[..., Any]
    headers: Mapping[str, str]


def check_route(path: str, taken: Mapping[str, Route]) -> None:
    """Let a path pass that no other route, and not the server itself, answers.

    Raises:
        ValueError: It is taken.
    """
    if any(path == each or path.startswith(f"{each}/") for each in _RESERVED):
        raise ValueError(f"{path!r} is a path of the server's own")
    if _PARAMETER.sub(":", path) in {_PARAMETER.sub(":", each) for each in taken}:
        raise ValueError(f"there is a route {path!r} already")


async def open_route(
    route: Route, request: EventRequest, access: Access, make_context: MakeContext
) -> AsyncGenerator[str, None]:
    """Return the events of a new run.

    Raises:
        AppError: The caller or the parameters are refused.
    """
    check_cross_site_socket(request.headers, request.origin)
    subject = await access.subject_of_request(request.headers)
    args = route.function.bind(_values(route.function, {**request.search_params, **request.path_params}))
    action = make_context(subject)
    context = RouteContext(action.identity, action.shard, action.run_query, action.run_mutation, request.headers)
    open_chunks: Callable[[], Chunks] = partial(route.function.handler, context, **args)
    return event_texts(open_chunks, route.function.path)


def _values(function: Function, texts: Mapping[str, str]) -> dict[str, Any]:
    return {name: _value(function, name, text) for name, text in texts.items()}


def _value(function: Function, name: str, text: str) -> Any:
    """Return a parameter as the function takes it: its text, or what that says as JSON."""
    argument = function.arguments.get(name)
    if argument is None:
        return text
    try:
        argument.kind.check(text, name)
    except Mismatch:
        pass
    else:
        return text
    try:
        return parse(text)
    except CodecError:
        return text
