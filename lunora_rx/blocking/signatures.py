"""Methods that take what a method of the asyncio client takes, without saying it again."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])


def takes_what(
    method: Callable[Concatenate[Any, P], object],
) -> Callable[[Callable[..., R]], Callable[Concatenate[Any, P], R]]:
    """Give a method the parameters of another one, for type checkers and for ``help``; what it returns is its own."""

    def decorate(function: Callable[..., R]) -> Callable[Concatenate[Any, P], R]:
        return shows_parameters_of(method)(function)

    return decorate


def shows_parameters_of(method: Callable[..., object]) -> Callable[[F], F]:
    """Give a method the parameters of another one for ``help`` alone: type checkers know them from overloads."""

    def decorate(function: F) -> F:
        own = inspect.signature(function).return_annotation
        function.__signature__ = inspect.signature(method).replace(return_annotation=own)  # type: ignore[attr-defined]
        return function

    return decorate
