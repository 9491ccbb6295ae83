"""Imports over real sockets: every row once, in order, whatever happens on the way."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial

import pytest

from lunora_rx import Backoff, LunoraClient, LunoraError, ServerError
from tests.rx import test_importing
from tests.rx.test_importing import FIVE, told, watched
from tests.support import Recorder, until

BRIEF = Backoff(initial=0.02, maximum=0.05)
import_rows = partial(test_importing.import_rows, function="rows:import")


class Depot:
    """A server that takes rows, and clients of it."""

    def __init__(self, gateway):
        self.faults = gateway

    @asynccontextmanager
    async def client(self, **options):
        """A client that is connected, closed at the end."""
        async with LunoraClient(self.faults.url, reconnect=BRIEF, polling=None, **options) as client:
            client.live("rows:list").subscribe(Recorder(), on_error=lambda error: None)
            await until(lambda: client.status.value == "connected")
            yield client

    async def cut(self, *clients):
        """Cut every connection, and keep it cut; return once these clients know."""
        self.faults.refuse_sockets()
        self.faults.drop_sockets()
        await until(lambda: all(client.status.value != "connected" for client in clients))

    async def rows(self, client):
        """Return what the server holds, oldest first."""
        return [row["n"] for row in await client.query("rows:list")]


@pytest.fixture
async def depot(no_tasks_left, gateway):
    """A server that takes rows."""
    return Depot(gateway)


async def test_import_writes_every_row_once_in_order(depot):
    """A few hundred rows in chunks, with progress that only grows."""
    async with depot.client() as client:
        started = import_rows(client, ({"n": number} for number in range(95)), chunk_size=10)
        seen = watched(started)
        done = await started
        assert (done.chunks, done.imported, done.total) == (10, 95, None)
        assert await depot.rows(client) == list(range(95))
        imported = [each.imported for each in seen.values]
        assert imported == sorted(imported)


async def test_import_through_an_outage_writes_every_row_once_in_order(depot):
    """Chunks wait in the queue, a few of them, and go out when the connection is back."""
    async with depot.client() as client:
        await depot.cut(client)
        started = import_rows(client, ({"n": number} for number in range(40)), chunk_size=2, limit=4)
        seen = watched(started)
        await until(lambda: told(seen)[-1] == (4, 0, 8))
        assert client.pending.value == 4
        depot.faults.release()
        assert (await started).imported == 40
        assert await depot.rows(client) == list(range(40))
        assert await client.query("rows:imports") == [[number, number + 1] for number in range(0, 40, 2)]


async def test_import_repeated_under_its_id_writes_only_what_is_missing(depot):
    """One that stopped in the middle is made whole by the same rows under the same id."""
    async with depot.client(client_id="c") as client:
        await client.mutation("rows:ban", {"n": 3})
        with pytest.raises(ServerError) as caught:
            await import_rows(client, FIVE, import_id="r")
        assert (caught.value.code, caught.value.data["imported"]) == ("BAD_ROW", 2)
    async with depot.client(client_id="c") as client:
        await client.mutation("rows:lift_ban")
        done = await import_rows(client, FIVE, import_id="r")
        assert (done.imported, await depot.rows(client)) == (5, [0, 1, 2, 3, 4])
        assert await client.query("rows:imports") == [[0, 1], [2, 3], [4]]


async def test_import_repeated_while_its_chunks_are_still_stored_writes_every_row_once(depot, tmp_path):
    """Queued chunks outlive their process; the import made again meets them, and nothing is doubled or lost."""
    async with depot.client(storage=tmp_path) as client:
        await depot.cut(client)
        started = import_rows(client, FIVE, chunk_size=1, limit=3)
        await until(lambda: client.pending.value == 3)
        started.close()
    with pytest.raises(LunoraError):
        await started
    depot.faults.release()
    async with depot.client(storage=tmp_path) as client:
        done = await asyncio.wait_for(import_rows(client, FIVE, chunk_size=1, limit=3), 10)
        assert done.imported == 5
        await until(lambda: client.pending.value == 0)
        assert sorted(await depot.rows(client)) == [0, 1, 2, 3, 4]


async def test_import_repeated_at_once_over_stored_chunks_that_wait_writes_every_row_once(depot, tmp_path):
    """Also where the connection is still down, and old and new chunks of one id wait together."""
    async with depot.client(storage=tmp_path) as client:
        await depot.cut(client)
        started = import_rows(client, FIVE, chunk_size=1, limit=3)
        await until(lambda: client.pending.value == 3)
        started.close()
    async with LunoraClient(depot.faults.url, reconnect=BRIEF, polling=None, storage=tmp_path) as client:
        await until(lambda: client.pending.value == 3)
        again = import_rows(client, FIVE, chunk_size=1, limit=3)
        seen = watched(again)
        await until(lambda: told(seen)[-1] == (3, 0, 3))
        depot.faults.release()
        done = await asyncio.wait_for(again, 10)
        assert done.imported == 5
        assert sorted(await depot.rows(client)) == [0, 1, 2, 3, 4]
