"""What a bug report says of the program around a client, and the numbers that a monitor watches."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from typing import Any

LIBRARIES = ("lunora-rx", "aiohttp", "diskcache", "orjson", "reactivex")


@dataclass(frozen=True, slots=True)
class Counts:
    """How much there is of what a client holds.

    Attributes:
        live_queries: Live queries that somebody watches.
        observers: Their observers, all together.
        pending_writes: Writes that wait in the queue.
        open_mutations: Mutations of this process that have no verdict yet.
        optimistic_layers: Pending local changes over live queries.
        calls_in_flight: HTTP calls that wait for their reply, or to be sent.
        open_sockets: Sockets that are open, one a shard.
        frames_received: Frames that all sockets have received so far.
        frames_ignored: Those of them that could not be used.
    """

    live_queries: int
    observers: int
    pending_writes: int
    open_mutations: int
    optimistic_layers: int
    calls_in_flight: int
    open_sockets: int
    frames_received: int
    frames_ignored: int


def describe_environment(loop: type | None) -> dict[str, Any]:
    """Return Python, platform, the loop's class and the versions of the libraries, as plain values."""
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": platform.platform(),
        "sqlite": _sqlite_version(),
        "loop": None if loop is None else f"{loop.__module__}.{loop.__qualname__}",
        "is_free_threaded": not getattr(sys, "_is_gil_enabled", lambda: True)(),
        "versions": {name: _version_of(name) for name in LIBRARIES},
    }


def _sqlite_version() -> str:
    import sqlite3

    return sqlite3.sqlite_version


def _version_of(library: str) -> str | None:
    from importlib import metadata  # slow to import, and only needed here

    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None  # a copy of the sources that nobody has installed
