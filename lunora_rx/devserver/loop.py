"""The event loop of programs that are lunora_rx's own."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from importlib import import_module
from importlib.util import find_spec
from typing import Any, TypeVar

__all__ = ["run_loop"]

T = TypeVar("T")


def run_loop(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine, on uvloop where that is installed, and return its result."""
    if find_spec("uvloop") is None:
        return asyncio.run(main)
    result: T = import_module("uvloop").run(main)
    return result
