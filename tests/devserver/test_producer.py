"""A generator is moved on while somebody wants more, and closed whatever happens."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from lunora_rx.devserver import works as works_module
from lunora_rx.devserver.answers import Failure
from lunora_rx.devserver.producer import Producer
from lunora_rx.devserver.works import Works


class Reader:
    """Takes chunks up to a number, and may cancel its producer at one."""

    def __init__(self, limit: int = 100, cancel_at: int = 0) -> None:
        self.limit = limit
        self.cancel_at = cancel_at
        self.chunks: list[str] = []
        self.endings: list[str | None] = []
        self.producer: Producer | None = None

    @property
    def wants_more(self) -> bool:
        return len(self.chunks) < self.limit

    def receive_chunk(self, text: str) -> None:
        self.chunks.append(text)
        if len(self.chunks) == self.cancel_at:
            assert self.producer is not None
            self.producer.cancel()

    def receive_end(self, failure: Failure | None) -> None:
        self.endings.append(None if failure is None else failure.code)


def producing(reader: Reader, chunks: Any, works: Works | None = None) -> Producer:
    reader.producer = Producer("jobs:x", lambda: chunks, reader, works or Works())
    return reader.producer


def numbers(to: int):
    yield from range(to)


async def waiting(reached: asyncio.Event):
    yield 0
    reached.set()
    await asyncio.sleep(60)


def test_producer_pauses_where_nothing_is_wanted_and_goes_on():
    """No chunk is made that nobody asked for."""
    reader, chunks = Reader(limit=2), numbers(4)
    producer = producing(reader, chunks)
    producer.resume()
    assert reader.chunks == ["0", "1"]
    reader.limit = 100
    producer.resume()
    producer.resume()
    assert (reader.chunks, reader.endings) == (["0", "1", "2", "3"], [None])


@pytest.mark.parametrize("cancel_at", [0, 2])
def test_cancelled_generator_is_closed_though_others_hold_it(cancel_at):
    """Closed by its producer, between two chunks or while one is handed over, and not by the garbage collector."""
    reader, chunks = Reader(limit=3, cancel_at=cancel_at), numbers(9)
    producer = producing(reader, chunks)
    producer.resume()
    producer.cancel()
    producer.cancel()
    assert chunks.gi_frame is None
    assert (len(reader.chunks), reader.endings) == (cancel_at or 3, [])


async def test_producer_cancelled_before_its_task_began_closes_its_generator():
    """Between ``resume`` and the first step there is nothing to interrupt, and something to close."""
    reader, works = Reader(limit=1), Works()
    chunks = numbers(9)
    producer = producing(reader, chunks, works)
    producer.resume()
    await works.finish()
    reader.limit = 9
    producer.resume()
    producer.cancel()
    await works.finish()
    assert (reader.chunks, chunks.gi_frame) == (["0"], None)


async def test_generator_that_waits_is_interrupted():
    """The task ends, and nobody is told."""
    reader, works, reached = Reader(), Works(), asyncio.Event()
    producer = producing(reader, waiting(reached), works)
    producer.resume()
    await reached.wait()
    producer.cancel()
    async with asyncio.timeout(1):
        await works.finish()
    assert (reader.chunks, reader.endings) == (["0"], [])


async def test_generator_that_does_not_end_is_left_and_said(monkeypatch, caplog):
    """A ``finally`` that waits for ever does not keep a server from stopping."""
    monkeypatch.setattr(works_module, "_FINISHING_TIMEOUT", 0.01)

    async def stubborn():
        try:
            yield 0
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(60)

    reader, works = Reader(), Works()
    producer = producing(reader, stubborn(), works)
    producer.resume()
    while not reader.chunks:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    producer.cancel()
    with caplog.at_level(logging.WARNING):
        await works.finish()
    assert "1 streams do not end" in caplog.text
    await asyncio.sleep(0.01)


def test_finally_that_raises_harms_nobody(caplog):
    """It is logged."""

    def untidy():
        try:
            yield 0
            yield 1
        finally:
            raise RuntimeError("untidy")

    reader = Reader(limit=1)
    producer = producing(reader, untidy())
    producer.resume()
    producer.cancel()
    assert "jobs:x failed" in caplog.text
