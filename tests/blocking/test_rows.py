"""Rows read on a thread of their own."""

from __future__ import annotations

import asyncio
import gc
import threading

import pytest

from lunora_rx.blocking.rows import ReadRows
from tests.support import until


def rows_threads():
    """Return the threads that read rows."""
    return [each for each in threading.enumerate() if each.name == "lunora-rows"]


@pytest.fixture(autouse=True)
async def no_rows_of_others():
    """Rows that another test left in a cycle end with it, and not before it is collected."""
    gc.collect()
    await until(lambda: not rows_threads())


@pytest.mark.parametrize("count", [0, 1, 4, 5])
async def test_rows_come_in_order_whatever_the_size(count):
    """Also when the last batch is full, or empty."""
    assert [row async for row in ReadRows(iter(range(count)), 2)] == list(range(count))
    await until(lambda: not rows_threads())


async def test_rows_are_all_read_on_one_thread():
    """What belongs to a thread, such as a database cursor, works; and nothing is read ahead of a batch."""
    threads, read = set(), []

    def rows():
        for n in range(4):
            threads.add(threading.get_ident())
            read.append(n)
            yield n

    reading = ReadRows(rows(), 2)
    assert (await anext(reading), read) == (0, [0, 1])
    assert [row async for row in reading] == [1, 2, 3]
    assert len(threads) == 1
    assert threading.get_ident() not in threads


async def test_rows_that_are_left_end_their_thread():
    """With the last reference."""
    reading = ReadRows(iter(range(10)), 2)
    await anext(reading)
    assert len(rows_threads()) == 1
    del reading
    await until(lambda: not rows_threads())


async def test_rows_that_raise_raise_and_end_their_thread():
    """Wherever they raise: in ``iter`` or later."""

    class Broken:
        def __iter__(self):
            raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        await anext(ReadRows(Broken(), 2))
    await until(lambda: not rows_threads())


async def test_rows_that_block_do_not_hold_the_loop_up():
    """The loop goes on, and a wait may be cancelled."""
    gate = threading.Event()
    reading = ReadRows((gate.wait(10) for _ in range(1)), 2)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(reading), 0.01)
    gate.set()
