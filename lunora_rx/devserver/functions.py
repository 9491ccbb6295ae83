"""Registered functions: their kind, their arguments, their entry in the OpenRPC document.

Arguments are checked against the annotations of the function, so that a handler only
ever runs with what it says it takes.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from lunora_rx.devserver.annotations import kind_of
from lunora_rx.devserver.kinds import Kind, Mismatch
from lunora_rx.devserver.refusals import AppError
from lunora_rx.protocol.values import UNDEFINED
from lunora_rx.protocol.wire import decode_wire

__all__ = ["Function", "FunctionKind", "register"]

FunctionKind: TypeAlias = Literal["query", "mutation", "action", "shape", "stream", "route"]

_FUNCTION: Final = (re.compile(r"[^\s:]+:[^\s:]+"), "a function path such as 'messages:list'")
_PATHS: Final[Mapping[FunctionKind, tuple[re.Pattern[str], str]]] = {
    "shape": (re.compile(r"\S+"), "a shape name such as 'tasks:open'"),
    "route": (re.compile(r"(/:[A-Za-z_][A-Za-z0-9_]*|/[^\s/:?#%{}]*)+"), "a path such as '/jobs/:id/progress'"),
}
_GENERATORS: Final[frozenset[FunctionKind]] = frozenset({"stream", "route"})
_REQUIRED: Final = inspect.Parameter.empty


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a function: what it must be, and what it is when it is not given."""

    kind: Kind
    default: Any = _REQUIRED

    @property
    def is_required(self) -> bool:
        return self.default is _REQUIRED


@dataclass(frozen=True, slots=True)
class Function:
    """A function that clients may call by its path.

    Attributes:
        path: ``"file:function"``; the name of a shape; the path of a route.
        kind: What it is.
        handler: The Python function; its first parameter is the context.
        arguments: What it takes besides, by name.
        takes_more: Whether it has ``**arguments``, so that unknown names are let through.
        result: What it says it returns; ``None`` if it says nothing. It is not checked.
    """

    path: str
    kind: FunctionKind
    handler: Callable[..., Any]
    arguments: Mapping[str, Argument]
    takes_more: bool
    result: Kind | None

    def bind(self, args: object) -> dict[str, Any]:
        """Return the keyword arguments for the handler from the wire form of a call's ``args``.

        Raises:
            CodecError: The arguments cannot be decoded.
            AppError: They are not what the function takes; code ``VALIDATION_ERROR``, the argument is named.
        """
        given = decode_wire(args, root="args")
        present = {name: value for name, value in given.items() if value is not UNDEFINED}
        unknown = [name for name in present if name not in self.arguments]
        if unknown and not self.takes_more:
            takes = ", ".join(self.arguments) or "no arguments"
            raise _refused(unknown[0], f"left out: {self.path} takes {takes}", self.path)
        return {name: present[name] for name in unknown} | self._checked(present)

    def _checked(self, present: Mapping[str, Any]) -> dict[str, Any]:
        checked = {}
        for name, argument in self.arguments.items():
            if name in present:
                checked[name] = self._check(argument.kind, present[name], name)
            elif argument.is_required:
                raise _refused(name, f"given: {argument.kind.expected}", self.path)
            else:
                checked[name] = argument.default
        return checked

    def _check(self, kind: Kind, value: Any, name: str) -> Any:
        try:
            return kind.check(value, name)
        except Mismatch as mismatch:
            raise _refused(mismatch.path, mismatch.expected, self.path) from None


def register(path: str, kind: FunctionKind, handler: Callable[..., Any]) -> Function:
    """Return the function that a handler stands for.

    Raises:
        ValueError: The path is not ``"file:function"``, or whatever this kind has instead.
        TypeError: The handler cannot be called as this kind of function, or an annotation is not supported.
    """
    pattern, example = _PATHS.get(kind, _FUNCTION)
    if not isinstance(path, str) or not pattern.fullmatch(path):
        raise ValueError(f"{path!r} is not {example}")
    _check_sort(path, kind, handler)
    context, *parameters = _parameters(path, handler)
    if context.kind not in (context.POSITIONAL_ONLY, context.POSITIONAL_OR_KEYWORD):
        raise TypeError(f"{path}: the first parameter is the context, such as 'ctx'")
    hints = _hints(path, handler)
    arguments = {each.name: _argument(path, each, hints) for each in parameters if each.kind is not each.VAR_KEYWORD}
    takes_more = len(arguments) < len(parameters)
    return Function(path, kind, handler, arguments, takes_more, _result(hints))


def _check_sort(path: str, kind: FunctionKind, handler: Callable[..., Any]) -> None:
    is_generator = inspect.isgeneratorfunction(handler) or inspect.isasyncgenfunction(handler)
    if kind in _GENERATORS and not is_generator:
        raise TypeError(f"{path}: a {kind} is a generator or an async generator; its function has no 'yield'")
    if kind not in _GENERATORS and is_generator:
        raise TypeError(f"{path}: a {kind} returns its value; only streams yield")
    if kind != "action" and inspect.iscoroutinefunction(handler):
        raise TypeError(f"{path}: a {kind} is a plain function; only actions may be async")


def _parameters(path: str, handler: Callable[..., Any]) -> list[inspect.Parameter]:
    parameters = list(inspect.signature(handler).parameters.values())
    if not parameters:
        raise TypeError(f"{path}: the function takes no context; its first parameter is 'ctx'")
    return parameters


def _hints(path: str, handler: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(handler, include_extras=True)
    except NameError as error:
        raise TypeError(f"{path}: an annotation names {error.name!r}, which is not defined in its module") from error


def _argument(path: str, parameter: inspect.Parameter, hints: Mapping[str, Any]) -> Argument:
    if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL):
        raise TypeError(f"{path}: parameter {parameter.name!r} cannot be given by name")
    try:
        kind = kind_of(hints.get(parameter.name, Any))
    except TypeError as error:
        raise TypeError(f"{path}: parameter {parameter.name!r}: {error}") from None
    return Argument(kind, parameter.default)


def _result(hints: Mapping[str, Any]) -> Kind | None:
    try:
        return kind_of(hints["return"])
    except (KeyError, TypeError):
        return None


def _refused(argument: str, expected: str, path: str) -> AppError:
    message = f"{path}: argument {argument!r} must be {expected}"
    return AppError("VALIDATION_ERROR", message, data={"argument": argument, "expected": expected})
