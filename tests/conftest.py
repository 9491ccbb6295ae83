"""Fixtures for all rings: a server that the test plays, a client of it, and a look at what is left."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator

import pytest

from lunora_rx import LunoraClient
from tests.support import ScriptedServer, until


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
