"""The server killed while it writes: what was acknowledged is there, and everything is there once.

``LUNORA_RX_KILLS`` says how many times it is killed under load, 200 for the long run; ``LUNORA_RX_SEED``
repeats a run that failed as far as chance goes.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import signal
from collections import Counter
from typing import Any

import aiohttp
import pytest

from tests.devserver.program import posix_only, running
from tests.faults.table import counted

pytestmark = posix_only

KILLS = int(os.environ.get("LUNORA_RX_KILLS", "20"))
WRITERS = 6

SCRIPT = """
import os, signal, sys
from lunora_rx.devserver import App

app = App()

@app.mutation("log:add")
def add(ctx, text: str):
    ctx.db.insert("index", text=text)  # two rows: a torn write would be seen
    return ctx.db.insert("log", text=text)

@app.query("log:all")
def all_rows(ctx):
    return [[row["_id"], row["text"]] for name in ("log", "index") for row in ctx.db.table(name).collect()]

@app.mutation("die:inside")
def die_inside(ctx):
    ctx.db.insert("log", text="half")
    os.kill(os.getpid(), signal.SIGKILL)

@app.action("die:after")
def die_after(ctx):
    os.kill(os.getpid(), signal.SIGKILL)

app.run(port=int(sys.argv[1]), storage="data")
"""


class Writer:
    """Writes one text after another, and repeats each under its id until it is acknowledged.

    It knows what was acknowledged, and with what; a server that is away is waited for.
    """

    def __init__(self, name: str, chance: random.Random) -> None:
        self.acknowledged: dict[str, str] = {}
        self._name = name
        self._chance = chance

    async def run(self, http: aiohttp.ClientSession, url: str, is_over: asyncio.Event) -> None:
        for number in itertools.count():
            texts = [f"{self._name}-{number}-{part}" for part in range(self._chance.choice([1, 1, 3]))]
            while not await self._attempt(http, url, texts):
                await asyncio.sleep(0.005)
            if is_over.is_set():
                return

    async def _attempt(self, http: aiohttp.ClientSession, url: str, texts: list[str]) -> bool:
        try:
            answers = await post(http, url, [entry(text, self._name) for text in texts])
        except (aiohttp.ClientError, ConnectionError):
            return False
        self.acknowledged.update(zip(texts, answers, strict=True))
        return True


def entry(text: str, client_id: str) -> dict[str, Any]:
    return {"functionPath": "log:add", "args": {"text": text}, "mutationId": f"m-{text}", "clientId": client_id}


async def post(http: aiohttp.ClientSession, url: str, calls: list[dict[str, Any]]) -> list[Any]:
    """Make one call alone, or several as a batch; return the results."""
    if len(calls) > 1:
        async with http.post(f"{url}/_lunora/rpc-batch", json={"calls": calls}) as reply:
            return [slot["body"]["result"] for slot in (await reply.json())["results"]]
    ids = {"x-lunora-mutation-id": calls[0].get("mutationId", ""), "x-lunora-client-id": calls[0].get("clientId", "")}
    async with http.post(f"{url}/_lunora/rpc", json=calls[0], headers=ids) as reply:
        return [(await reply.json())["result"]]


async def rows_of(http: aiohttp.ClientSession, url: str) -> list[list[str]]:
    return (await post(http, url, [{"functionPath": "log:all"}]))[0]


def check(rows: list[list[str]], acknowledged: dict[str, str]) -> None:
    """Every acknowledged text stands in both tables, once, under the id that was answered; no text stands in one."""
    assert set(Counter(text for _, text in rows).values()) <= {2}
    ids = dict(rows)
    assert {text: row_id for text, row_id in acknowledged.items() if ids.get(row_id) != text} == {}


@pytest.mark.fault(35)
@pytest.mark.timeout(120 + 10 * KILLS)
async def test_acknowledged_writes_outlive_kills_and_are_there_once(tmp_path, record_property):
    """Kill -9 at random moments of concurrent writes, then a restart on the same port and directory, several times."""
    seed = int(os.environ.get("LUNORA_RX_SEED", "") or random.randrange(2**32))
    print(f"seed {seed}")  # noqa: T201 - pytest shows it when the test fails
    chance = random.Random(seed)
    writers = [Writer(f"w{number}", random.Random(seed + number)) for number in range(WRITERS)]
    port, is_over, tasks = "0", asyncio.Event(), []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as http:
        for round_number in range(KILLS + 1):
            with running(SCRIPT, tmp_path, port) as (process, url):
                port = url.rpartition(":")[2]
                acknowledged = acknowledged_by(writers)  # before the look: the writers go on meanwhile
                check(await rows_of(http, url), acknowledged)
                if round_number == 0:
                    tasks = [asyncio.create_task(writer.run(http, url, is_over)) for writer in writers]
                if round_number < KILLS:
                    await asyncio.sleep(chance.uniform(0.02, 0.25))
                    process.kill()
                    continue
                is_over.set()
                await asyncio.gather(*tasks)
                rows = await rows_of(http, url)
        check(rows, acknowledged_by(writers))
    assert {text for _, text in rows} == acknowledged_by(writers).keys()
    assert len(rows) > 2 * WRITERS
    record_property(counted("embedded server alone: kills"), KILLS)
    record_property(counted("embedded server alone: acknowledged"), len(acknowledged_by(writers)))


def acknowledged_by(writers: list[Writer]) -> dict[str, str]:
    return {text: row_id for writer in writers for text, row_id in writer.acknowledged.items()}


@pytest.mark.fault(35)
@pytest.mark.parametrize("death", ["die:inside", "die:after"])
async def test_batch_cut_by_a_kill_is_finished_by_its_repetition(tmp_path, death):
    """What was committed before the kill is answered from the record, and what was not is carried out."""
    first, last = entry("first", "c"), entry("last", "c")
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as http:
        with running(SCRIPT, tmp_path, "0") as (process, url):
            with pytest.raises(aiohttp.ClientError):
                await post(http, url, [first, {"functionPath": death}, last])
            assert process.wait(timeout=10) == -signal.SIGKILL
        with running(SCRIPT, tmp_path, url.rpartition(":")[2]) as (_, again):
            left = await rows_of(http, again)
            assert [text for _, text in left] == ["first", "first"]
            answers = await post(http, again, [first, last])
            assert answers == await post(http, again, [first, last])
            assert answers[0] == left[0][0]
            assert Counter(text for _, text in await rows_of(http, again)) == {"first": 2, "last": 2}
        assert again == url
