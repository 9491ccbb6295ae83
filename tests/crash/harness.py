"""Runs writers and a server on one directory, and kills them all the time.

What happens follows from the seed as far as processes can be made to repeat themselves: who is killed, after which of
its steps, and how long after. Knows nothing of what is promised; the checker does.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.crash.checker import check
from tests.crash.evidence import COMPLAINTS, gather, read_queues
from tests.crash.outcome import Outcome
from tests.crash.plan import LONGEST_LIFE, Moment, WriterLife, plan_servers, plan_writers
from tests.crash.processes import Child, Nursery

_DRAIN_PATIENCE = 60.0
_POLL = 0.001


def run(directory: Path, *, seed: str, kills: int) -> Outcome:
    """Run writers until so many of them are killed, let the last one finish, and check what is left.

    Args:
        directory: An empty directory.
        seed: Draws everything.
        kills: How many writers are killed; servers are killed besides.
    """
    return asyncio.run(_Run(directory, seed, kills).run())


class _Run:
    """One run, in a directory of its own."""

    def __init__(self, directory: Path, seed: str, kills: int) -> None:
        self._directory = directory
        self._seed = seed
        self._kills = kills
        self._port = _free_port(random.Random(f"port {seed}"))
        self._nursery = Nursery(directory / COMPLAINTS)
        self._killed_writers = 0
        self._killed_servers = 0
        self._handed_over: set[str] = set()

    async def run(self) -> Outcome:
        """Carry it out."""
        lives = list(plan_writers(self._seed, self._kills))
        for name in ("logs", COMPLAINTS):
            (self._directory / name).mkdir(parents=True)
        with self._nursery:
            async with asyncio.TaskGroup() as group:
                servers = group.create_task(self._serve())
                await self._write(lives)
                servers.cancel()
            await self._drain(sum(map(len, lives)), lives[-1][0].user)
        evidence = gather(self._directory, (life for group in lives for life in group))
        evidence.handed_over = self._handed_over
        return Outcome(self._seed, self._killed_writers, self._killed_servers, evidence, check(evidence))

    async def _serve(self) -> None:
        """Keep a server going, more or less; when cancelled, leave none behind."""
        for number, life in enumerate(plan_servers(self._seed)):
            server = self._start_server(life.dies_after, number)
            try:
                await _until(lambda: not server.is_alive, life.lifetime)  # noqa: B023
            finally:
                server.kill()
            self._killed_servers += 1
            await asyncio.sleep(life.pause)

    async def _write(self, lives: list[list[WriterLife]]) -> None:
        """Let the writers live and die, each group after the one before; note what one user leaves to another."""
        user = lives[0][0].user
        for group in lives:
            if group[0].user != user:
                self._handed_over.update(read_queues(self._directory / "storage"))
                user = group[0].user
            await asyncio.gather(*map(self._live, group))

    async def _live(self, life: WriterLife) -> None:
        writer = self._start_writer(life.process, life.seed, "write", life.user)
        sighting = _Sighting(self._log(life.process), life.moment)
        if await _until(lambda: sighting.has_come or not writer.is_alive, LONGEST_LIFE):
            await asyncio.sleep(life.moment.delay)
        self._killed_writers += writer.kill()

    async def _drain(self, process: int, user: str) -> None:
        self._start_server(0, -1)
        writer = self._start_writer(process, f"{self._seed} drain", "drain", user)
        await _until(lambda: not writer.is_alive, _DRAIN_PATIENCE)

    def _start_server(self, dies_after: int, number: int) -> Child:
        return self._nursery.start(
            "server", self._port, self._directory / "server", dies_after, f"{self._seed} {number}"
        )

    def _start_writer(self, process: int, seed: str, task: str, user: str) -> Child:
        url, storage = f"http://127.0.0.1:{self._port}", self._directory / "storage"
        return self._nursery.start("writer", url, storage, self._log(process), process, seed, task, user)

    def _log(self, process: int) -> Path:
        return self._directory / "logs" / f"{process:04d}.log"


class _Sighting:
    """Watches a log for a moment."""

    def __init__(self, path: Path, moment: Moment) -> None:
        self._path = path
        self._kind = f"{moment.kind} ".encode()
        self._left = moment.count
        self._position = 0
        self._rest = b""

    @property
    def has_come(self) -> bool:
        """Whether its lines are all there by now."""
        for line in self._new_lines():
            self._left -= (line + b" ").startswith(self._kind)
        return self._left <= 0

    def _new_lines(self) -> Iterator[bytes]:
        if not self._path.exists():
            return
        with open(self._path, "rb") as file:
            file.seek(self._position)
            text = self._rest + file.read()
            self._position = file.tell()
        *lines, self._rest = text.split(b"\n")
        yield from lines


async def _until(condition: Callable[[], bool], patience: float) -> bool:
    """Wait for a condition, and tell whether it came true in time."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience
    while not condition():
        if loop.time() > deadline:
            return False
        await asyncio.sleep(_POLL)
    return True


def _free_port(chance: random.Random) -> int:
    """Return a port that is free, and that the system gives to nobody who asks for any."""
    while True:
        port = chance.randrange(20_000, 32_000)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
