"""Fixtures for all rings: a server that the test plays, a client of it, and a look at what is left."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import signal
from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import HealthCheck, settings

from lunora_rx import LunoraClient
from tests.faults import table
from tests.support import ScriptedServer, until

_FREE = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("default", _FREE, max_examples=100)
settings.register_profile("long", _FREE, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

SEEDS = ("CRASH_SEED", "LUNORA_RX_SEED")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take what ``tests/faults/table.py`` needs to know."""
    table.add_option(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Know the markers: ``fault``, and ``slow`` for what runs only where SLOW=1, as in ``tox run -e faults``."""
    config.addinivalue_line("markers", "slow: takes long; runs with SLOW=1 in the environment only")
    table.configure(config)
    # In a shell's background it is ignored, and what the tests start would inherit that; some are interrupted.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in SEEDS:
        os.environ.setdefault(name, str(random.randrange(2**32)))


def pytest_report_header() -> str:
    """Tell what repeats a run of what goes by chance."""
    return "seeds: " + " ".join(f"{name}={os.environ[name]}" for name in SEEDS)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Let each report tell its rows of the fault matrix, and leave out what takes long."""
    table.note_rows(item)
    if item.get_closest_marker("slow") and not os.environ.get("SLOW"):
        item.add_marker(pytest.mark.skip(reason="takes long: SLOW=1, or tox run -e faults"))


@pytest.fixture
async def server() -> ScriptedServer:
    """A server in memory that the test plays by hand."""
    return ScriptedServer()


@pytest.fixture
async def client(server: ScriptedServer, no_tasks_left: None) -> AsyncIterator[LunoraClient]:
    """A client of ``server``; closed at the end, when nothing of it may be left."""
    client = server.client()
    yield client
    await client.aclose()


@pytest.fixture
async def no_tasks_left() -> AsyncIterator[None]:
    """Fails a test that leaves tasks behind."""
    before = asyncio.all_tasks()
    yield
    await until(lambda: asyncio.all_tasks() <= before | {asyncio.current_task()}, patience=2)


@pytest.fixture
def no_garbage() -> Iterator[None]:
    """Collects before the test ends, so that forgotten resources warn in the test that forgot them."""
    yield
    gc.collect()
