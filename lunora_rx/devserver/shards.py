"""All shards of a server: where each is stored, and what a restart does to them."""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from lunora_rx.devserver.functions import Function
from lunora_rx.devserver.refusals import AppError
from lunora_rx.devserver.settings import Limits
from lunora_rx.devserver.shard import Shard
from lunora_rx.devserver.store import Store, open_store
from lunora_rx.devserver.works import Works

__all__ = ["DEFAULT_SHARD", "Shards"]

DEFAULT_SHARD: Final = "default"
CLOSE_GOING_AWAY: Final = 1001
CLOSE_RESTART: Final = 1012


class Shards:
    """Opens shards as they are asked for, in memory or in a directory.

    Args:
        directory: Where to keep the databases; ``None`` keeps them in memory.
        clock: Wall clock in seconds.
        new_id: Makes ids and epochs.
        limits: How much each shard remembers.
        works: Where durable streams run.
        version: Part of every epoch; a different one makes every client ask again for everything.
    """

    def __init__(
        self,
        directory: Path | None,
        *,
        clock: Callable[[], float],
        new_id: Callable[[], str],
        limits: Limits,
        works: Works,
        version: str = "",
    ) -> None:
        self._directory = directory
        self._clock = clock
        self._new_id = new_id
        self._limits = limits
        self._works = works
        self._version = version
        self._shards: dict[str, Shard] = {}

    def __iter__(self) -> Iterator[Shard]:
        return iter(list(self._shards.values()))

    def get(self, name: str) -> Shard:
        """Return a shard by its key; ``""`` names the default one.

        Raises:
            AppError: The key cannot be stored; code ``BAD_REQUEST``.
        """
        name = name or DEFAULT_SHARD
        shard = self._shards.get(name)
        if shard is None:
            shard = self._shards[name] = Shard(
                name, self._open(name), version=self._version, limits=self._limits, works=self._works
            )
        return shard

    def begin_epoch(self) -> None:
        """Behave as after a restart that lost the change log: same rows, new epoch, no socket."""
        for shard in self:
            _end_members(shard, CLOSE_RESTART)
            shard.runs.interrupt()
            shard.store.begin_epoch()

    def erase(self) -> None:
        """Behave as after a restart that lost everything."""
        for shard in self:
            _end_members(shard, CLOSE_RESTART)
            shard.runs.forget()
            shard.store.erase()

    def forget_streams(self) -> None:
        """Forget every durable run."""
        for shard in self:
            shard.runs.forget()

    def close(self) -> None:
        """End all sockets with 1001 and close the databases; closing twice is silent."""
        for shard in self:
            _end_members(shard, CLOSE_GOING_AWAY)
            shard.runs.interrupt()
            shard.store.close()
        self._shards.clear()

    def _open(self, name: str) -> Store:
        file_name = _file_name(name)
        path = None if self._directory is None else self._directory / file_name
        if path is not None:
            _make_private(path.parent)
        return open_store(
            path, clock=self._clock, new_id=self._new_id, retention=self._limits.change_retention, name=name
        )


def code_version(functions: Iterable[Function]) -> str:
    """Return a digest of the files that the functions are written in.

    A database in a directory outlives its functions.  A client that resumed across an edit would
    keep what the old function gave, so an edit counts as a new epoch.
    """
    digest = hashlib.sha256()
    for path in sorted({_source_file(each) for each in functions}):
        digest.update(Path(path).read_bytes() if path else b"")
    return f"-{digest.hexdigest()[:12]}"


def _source_file(function: Function) -> str:
    try:
        path = inspect.getsourcefile(inspect.unwrap(function.handler)) or ""
    except TypeError:
        return ""
    return path if Path(path).is_file() else ""


def _end_members(shard: Shard, code: int) -> None:
    for member in list(shard.members):
        member.end(code)


def _make_private(directory: Path) -> None:
    """Make a directory and what is missing above it, closed to others: ``parents=True`` would heed the umask alone."""
    for each in (*reversed([above for above in directory.parents if not above.exists()]), directory):
        each.mkdir(mode=0o700, exist_ok=True)


def _file_name(name: str) -> str:
    """Return a file name for any key: readable as far as it is safe, and different for different keys."""
    try:
        digest = hashlib.sha256(name.encode()).hexdigest()[:20]
    except UnicodeEncodeError:
        raise AppError("BAD_REQUEST", "a shard key with a lone surrogate names no shard") from None
    readable = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40]
    return f"{readable or 'shard'}-{digest}.sqlite3"
