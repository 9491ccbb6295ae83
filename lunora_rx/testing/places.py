"""Where in the program something is: the line of the test, and not that of asyncio or of the client beneath it."""

from __future__ import annotations

import functools
import sys
import sysconfig
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Final

__all__ = ["place_of_caller", "place_of_coroutine", "place_of_error"]

_HERE: Final = Path(__file__).resolve().parent.parent
_LIBRARIES: Final = (
    _HERE,
    _HERE.parent / "_lunora_rx_pytest.py",
    *(Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib")),
)
_PACKAGES: Final = {"site-packages", "dist-packages"}


def place_of_caller() -> str:
    """Return the line of the program that is being carried out, ``file:line in function: text``; or ``""``."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _is_library(frame.f_code.co_filename):
        frame = frame.f_back
    return "" if frame is None else _shown(frame, frame.f_lineno)


def place_of_error(error: BaseException) -> str:
    """Return the innermost line of the program that an exception came through, or ``""``."""
    return _innermost(traceback.walk_tb(error.__traceback__))


def place_of_coroutine(coroutine: object) -> str:
    """Return the innermost line of the program at which a coroutine waits, or ``""``."""
    return _innermost((frame, frame.f_lineno) for frame in _frames(coroutine))


def _frames(awaited: Any) -> Iterator[FrameType]:
    while (frame := getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None)) is not None:
        yield frame
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)


def _innermost(places: Iterable[tuple[FrameType, int]]) -> str:
    ours = [place for place in places if not _is_library(place[0].f_code.co_filename)]
    return _shown(*ours[-1]) if ours else ""


@functools.cache
def _is_library(name: str) -> bool:
    if name.startswith("<frozen "):
        return True
    path = Path(name).resolve()
    return any(map(path.is_relative_to, _LIBRARIES)) or not _PACKAGES.isdisjoint(path.parts)


def _shown(frame: FrameType, line: int) -> str:
    summary = traceback.StackSummary.extract([(frame, line)])[0]
    return f"{summary.filename}:{summary.lineno} in {summary.name}: {summary.line}"
