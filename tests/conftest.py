"""Fixtures for all rings: a server that the test plays, a client of it, and a look at what is left."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import HealthCheck, settings

from lunora_rx import LunoraClient
from tests.support import ScriptedServer, until

_FREE = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("default", _FREE, max_examples=100)
settings.register_profile("long", _FREE, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


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
