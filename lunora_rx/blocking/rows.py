"""Rows that a plain iterable gives, read on a thread of their own for a loop that must not be held up."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from functools import partial
from itertools import chain, islice
from queue import SimpleQueue
from typing import Any

_Wanted = SimpleQueue[asyncio.Future[list[Any]] | None]


class ReadRows(AsyncIterator[Any]):
    """The rows of an iterable, which may block: a generator over a file, or over another database.

    All of it is read on one thread, a batch when the one before was taken.

    Args:
        rows: The rows.
        size: How many are read at once.
    """

    def __init__(self, rows: Iterable[Any], size: int) -> None:
        self._rows = rows
        self._size = size
        self._read: deque[Any] = deque()
        self._wanted: _Wanted = SimpleQueue()
        self._has_begun = False
        self._is_last = False

    async def __anext__(self) -> Any:
        if not self._read and not self._is_last:
            batch = await self._read_batch()
            self._is_last = len(batch) < self._size
            self._read.extend(batch)
        if not self._read:
            raise StopAsyncIteration
        return self._read.popleft()

    def __del__(self) -> None:
        self._wanted.put(None)

    def _read_batch(self) -> asyncio.Future[list[Any]]:
        if not self._has_begun:
            self._has_begun = True
            # Not of an executor: the program waits for those as it exits, and the rows may never come.
            threading.Thread(
                target=_read, args=(self._rows, self._size, self._wanted), name="lunora-rows", daemon=True
            ).start()
        batch: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._wanted.put(batch)
        return batch


def _read(rows: Iterable[Any], size: int, wanted: _Wanted) -> None:
    iterator: Iterator[Any] = chain.from_iterable(iter(rows) for _ in range(1))  # iter() may raise, and block, too
    while (batch := wanted.get()) is not None:
        if not _answer(batch, iterator, size):
            return
        del batch  # while the next is waited for


def _answer(batch: asyncio.Future[list[Any]], iterator: Iterator[Any], size: int) -> bool:
    """Give the loop the next rows, or what reading them raised; tell whether there may be more."""
    read: list[Any] = []
    try:
        read = list(islice(iterator, size))
        settle = partial(batch.set_result, read)
    except Exception as error:
        settle = partial(batch.set_exception, error)
    with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits any more
        batch.get_loop().call_soon_threadsafe(_unless_done, batch, settle)
    return len(read) == size


def _unless_done(batch: asyncio.Future[list[Any]], settle: partial[None]) -> None:
    if not batch.done():
        settle()
