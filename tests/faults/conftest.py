"""Fixtures of the fault rows: a shop to harm, a clock to put forward, and an eye on what is left and told."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.faults import oracle
from tests.faults.clock import Clock
from tests.faults.customer import Customer
from tests.faults.rows import CANARY
from tests.faults.shop import Shop, opened
from tests.storage.disk import Reports


@pytest.fixture
async def watched(caplog) -> AsyncIterator[None]:
    """Fails a test that leaves anything behind, or tells a token in its log."""
    caplog.set_level(logging.DEBUG)
    before = oracle.Footprint.now()
    yield
    await oracle.check_footprint(before)
    # The text of the fixture is that of the phase we are in.
    records = [record for phase in ("setup", "call", "teardown") for record in caplog.get_records(phase)]
    assert CANARY not in "\n".join(map(caplog.handler.format, records))


@pytest.fixture
async def clock() -> AsyncIterator[Clock]:
    """The loop's clock."""
    clock = Clock()
    yield clock
    clock.close()


@pytest.fixture
async def shop(watched) -> AsyncIterator[Shop]:
    """A server behind proxies, with nobody in it yet."""
    async with opened() as shop:
        yield shop


@pytest.fixture
async def ada(shop) -> AsyncIterator[Customer]:
    """A client that is connected and watches the rows; closed at the end, when nothing of it may be left."""
    async with shop.customer() as customer:
        yield customer
        await oracle.check_closed(customer)


@pytest.fixture
def storage(tmp_path) -> Path:
    """Where a client keeps its queue."""
    return tmp_path / "storage"


@pytest.fixture
def reports() -> Reports:
    """What a client says of its storage."""
    return Reports()
