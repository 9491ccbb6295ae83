"""What an app offers to sockets: registered functions by path, shapes, streams, hooks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from lunora_rx.devserver.functions import Function
from lunora_rx.devserver.refusals import AppError
from lunora_rx.errors import CodecError

__all__ = ["Hook", "Hooks", "Stream", "Surface", "bound"]

Hook: TypeAlias = Callable[[Any], object]
"""A function of a ``ConnectionContext``."""


@dataclass(frozen=True, slots=True)
class Stream:
    """A streaming procedure.

    Attributes:
        function: Its generator function.
        is_durable: Whether its chunks are stored, and its runs outlive sockets.
    """

    function: Function
    is_durable: bool = False


@dataclass(frozen=True, slots=True)
class Hooks:
    """Functions that are told of sockets.

    Attributes:
        on_connect: Called when a socket introduces itself, and again when its context changes.
        on_disconnect: Called once when such a socket is gone.
    """

    on_connect: list[Hook] = field(default_factory=list)
    on_disconnect: list[Hook] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Surface:
    """Everything that a socket can ask for.

    Attributes:
        functions: Queries, mutations and actions.
        shapes: Shape functions.
        streams: Streaming procedures.
        hooks: Who is told of sockets.
        has_change_log: Whether shapes can be offered at all.
    """

    functions: Mapping[str, Function] = field(default_factory=dict)
    shapes: Mapping[str, Function] = field(default_factory=dict)
    streams: Mapping[str, Stream] = field(default_factory=dict)
    hooks: Hooks = field(default_factory=Hooks)
    has_change_log: bool = True

    def query(self, path: str) -> Function:
        """Return a query that can be watched.

        Raises:
            AppError: There is none; code ``NOT_FOUND``.
        """
        function = self.functions.get(path)
        if function is None:
            raise AppError("NOT_FOUND", f"there is no function {path!r}")
        if function.kind != "query":
            raise AppError("NOT_FOUND", f"{path!r} is no query that can be watched, it is of kind {function.kind}")
        return function

    def shape(self, name: str) -> Function:
        """Return a shape function.

        Raises:
            AppError: There is none; codes ``SHAPE_REQUIRES_CDC``, ``NOT_IMPLEMENTED``, ``NOT_FOUND``.
        """
        if not self.has_change_log:
            raise AppError("SHAPE_REQUIRES_CDC", "this server keeps no change log, which shapes need")
        if not self.shapes:
            raise AppError("NOT_IMPLEMENTED", "this server has no shapes")
        if name not in self.shapes:
            raise AppError("NOT_FOUND", f"there is no shape {name!r}")
        return self.shapes[name]

    def stream(self, path: str) -> Stream:
        """Return a streaming procedure.

        Raises:
            AppError: There is none; codes ``NOT_IMPLEMENTED``, ``NOT_FOUND``.
        """
        if not self.streams:
            raise AppError("NOT_IMPLEMENTED", "this server has no streams")
        if path not in self.streams:
            raise AppError("NOT_FOUND", f"there is no stream {path!r}")
        return self.streams[path]


def bound(function: Function, args: Any) -> dict[str, Any]:
    """Return the checked arguments of a frame.

    Raises:
        AppError: Code ``BAD_SUBSCRIPTION_ARGS`` where they do not decode, else ``VALIDATION_ERROR``.
    """
    try:
        return function.bind(args)
    except CodecError as error:
        raise AppError("BAD_SUBSCRIPTION_ARGS", error.message) from None
