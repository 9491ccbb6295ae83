"""A writer to be killed: a client with durable storage, in bursts and pauses, and what it is told."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from lunora_rx import Backoff, LunoraClient, LunoraError, MutationSettled
from tests.crash.log import DEFAULT, Log
from tests.crash.plan import USERS
from tests.crash.server import token_of

SHARDS = (None, "left")
_BACKOFF = Backoff(initial=0.01, maximum=0.05)
_MANY = 150
_PATIENCE = 0.4
_SHOWN_WITHIN = 10.0


class Writer:
    """Composes numbered writes at a pace that its seed sets, and says what it sees of them.

    Args:
        url: Where the server is, when it is.
        directory: What the clients store in.
        log: Where it says what it sees.
        process: The number of this process, unique within a run.
        chance: Sets the pace.
        user: Who is signed in.
    """

    def __init__(
        self, url: str, directory: str, log: Log, process: int, chance: random.Random, user: str = USERS[0]
    ) -> None:
        self._url = url
        self._directory = directory
        self._log = log
        self._process = process
        self._chance = chance
        self._user = user
        self._numbers = itertools.count()

    async def write_for_ever(self) -> None:
        """Write; now and then close the client and open another."""
        while True:
            async with self._client() as client:
                while self._chance.random() > 0.04:
                    await self._step(client)

    async def drain(self) -> None:
        """Send what waits in the directory; a last write to each shard comes behind it all, and is then shown."""
        async with self._client() as client:
            last = {shard: await self._compose(client, shard) for shard in SHARDS}
            while client.pending.value:
                await asyncio.sleep(0.01)
            for shard, row_id in last.items():
                await self._tell_what_is_shown(client, shard, row_id)
        self._log.say("drained")

    async def _tell_what_is_shown(self, client: LunoraClient, shard: str | None, row_id: str) -> None:
        """Wait until the last write is on the screen, and say what else is; one that never is, is missed."""
        live = client.live("journal:latest", shard=shard)
        shown: list[Any] = []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SHOWN_WITHIN):
                shown = await live.first(lambda rows: bool(rows) and rows[0]["_id"] == row_id)
        names = (f"{row['writer']}-{row['number']}/{row['author']}" for row in shown)
        self._log.say("shown", shard or DEFAULT, *names)

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[LunoraClient]:
        self._log.say("opening")
        async with LunoraClient(
            self._url,
            storage=self._directory,
            on_storage_error=self._complain,
            on_error=self._complain,
            auth_token=token_of(self._user),
            auth_subject=self._user,
            ws_token=token_of(self._user),
            reconnect=_BACKOFF,
            queue_limit=10_000,
        ) as client:
            client.settled.subscribe(self._note_settled)
            client.live("journal:latest").subscribe(self._look_at)
            self._log.say("opened")
            yield client
            self._log.say("closing")
        self._log.say("closed")

    async def _step(self, client: LunoraClient) -> None:
        kind = self._chance.random()
        if client.pending.value > _MANY or kind > 0.95:
            await self._until_sent(client)
        elif kind > 0.75:
            await asyncio.sleep(self._chance.uniform(0, 0.05))
        else:
            await self._burst(client)

    async def _burst(self, client: LunoraClient) -> None:
        shard = self._chance.choice(SHARDS)
        for _ in range(self._chance.choice([1, 1, 2, 5, 40])):
            mutation = self._compose(client, shard)
        await asyncio.sleep(self._chance.choice([0, 0.001, 0.005]))
        if self._chance.random() < 0.2:
            with contextlib.suppress(TimeoutError, LunoraError):
                async with asyncio.timeout(_PATIENCE):
                    await mutation

    async def _until_sent(self, client: LunoraClient) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                while client.pending.value:
                    await asyncio.sleep(0.005)

    def _compose(self, client: LunoraClient, shard: str | None) -> Any:
        number = next(self._numbers)
        name = f"{self._process}-{number}"
        args = {"writer": self._process, "number": number, "text": "x" * self._chance.choice([0, 10, 100, 3000])}
        self._log.say("composed", name, shard or DEFAULT)
        mutation = client.mutation("journal:write", args, shard=shard, mutation_id=name)
        mutation.phases.subscribe(lambda phase: self._note_phase(name, phase))
        return mutation

    def _note_phase(self, name: str, phase: Any) -> None:
        if phase != "composed":
            self._log.say(str(phase), name)

    def _note_settled(self, event: MutationSettled) -> None:
        self._log.say("settled", event.mutation_id, event.status, event.code or "-")

    def _look_at(self, rows: list[Any]) -> None:
        for row in rows:
            if row["reader"] != self._user:
                self._log.say("trouble", "foreign", f"shows {self._user} what {row['reader']} was told")
                return

    def _complain(self, error: Exception) -> None:
        self._log.say("trouble", type(error).__name__, error)


def main(url: str, directory: str, log: str, process: str, seed: str, task: str, user: str) -> None:
    """Write until the end; with the task ``drain``, end when nothing waits any more."""
    writer = Writer(url, directory, Log(Path(log)), int(process), random.Random(seed), user)
    asyncio.run(writer.drain() if task == "drain" else writer.write_for_ever())
