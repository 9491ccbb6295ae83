"""A whole client that is sent spoilt frames, beside live queries of its own that must not notice.

The sockets are in memory and the server is a few functions, so that a million frames take minutes.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import orjson

from lunora_rx import Backoff, LunoraClient, Snapshot, SnapshotStatus
from lunora_rx.protocol.rpc import HttpReply
from lunora_rx.transport.memory_transport import MemoryRequest, MemorySocket, MemoryTransport
from tests.fuzz.mutator import Mutator
from tests.fuzz.targets import TARGETS

HEALTHY = 5
VICTIMS = 4
STREAMS = 2
WELL = {"_id": "r1", "is": "well"}
"""The row of the shape, and the chunk of each stream, once the storm is over."""
PATIENCE = 20.0
_BURST = 25
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_GROWTH = 64 * 2**20


@dataclass(slots=True)
class Told:
    """What a run came to.

    Attributes:
        problems: What went wrong.
        counts: What else there is to tell.
    """

    frames: int
    seed: str
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    memory: tuple[int, int] = (0, 0)

    def render(self) -> str:
        """A few lines."""
        start, end = (each / 2**20 for each in self.memory)
        told = ", ".join(f"{count:,} {what}" for what, count in sorted(self.counts.items()))
        rate = self.frames / self.seconds if self.seconds else 0.0
        head = f"live        {self.frames:10,} inputs {self.seconds:6.0f} s {rate:8,.0f}/s seed {self.seed}"
        lines = [
            f"{head}: {len(self.problems)} findings",
            f"    {told}; resident {start:.1f} MiB after a tenth, {end:.1f} MiB at the end",
        ]
        return "\n".join([*lines, *self.problems[:20]])


class Errors(logging.Handler):
    """Keeps what is logged as an error, with its traceback."""

    def __init__(self, told: Told) -> None:
        super().__init__(logging.ERROR)
        self._told = told
        self.frame = b""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        trace = logging.Formatter().format(record)
        self._told.problems.append(f"logged after {self.frame[:300]!r}:\n{trace}")


class Server:
    """Answers every subscription at once; what healthy queries are told is counted up.

    Attributes:
        end: The server's end of the present socket.
        healthy: The healthy queries on it, by id.
        versions: What each healthy query was told last.
        sockets: How many sockets there were.
        is_storm: Whether nothing else is answered, because spoilt frames come instead.
    """

    def __init__(self) -> None:
        self.transport = MemoryTransport(self._accept, self._respond)
        self.end: MemorySocket | None = None
        self.healthy: dict[str, int] = {}
        self.versions: Counter[int] = Counter()
        self.sockets = 0
        self.is_storm = True

    async def send(self, text: bytes) -> bool:
        """Send any text; tells whether there is a socket."""
        if self.end is None:
            return False
        self.end.put(text)
        return True

    def tell(self, number: int) -> None:
        """Give a healthy query its next value, if it can be reached."""
        self.versions[number] += 1
        for frame_id, its in list(self.healthy.items()):
            if its == number:
                self._give(frame_id)

    def _accept(self, url: str, end: MemorySocket) -> None:
        self.end, self.healthy = end, {}
        self.sockets += 1
        end.listen(lambda text: self._receive(end, text), lambda: self._lose(end))

    def _lose(self, end: MemorySocket) -> None:
        # The client may open the next socket before it has closed the last one.
        self.end = None if self.end is end else self.end

    def _receive(self, end: MemorySocket, text: str) -> None:
        if end is not self.end:
            return
        frame = orjson.loads(text) if text.startswith("{") else {"type": "ping"}
        if frame["type"] == "connect":
            self._send({"type": "identity", "subject": None})
        if not self.is_storm:
            self._answer(frame)
        if frame["type"] != "subscribe":
            return
        frame_id, path = frame["id"], frame["query"]["functionPath"]
        self._send({"type": "ack", "id": frame_id})
        if path == "healthy:value":
            self.healthy[frame_id] = frame["query"]["args"]["n"]
            self._give(frame_id)

    def _answer(self, frame: dict[str, Any]) -> None:
        """Give what the storm has harmed what it asks for, as a server should."""
        match frame:
            case {"type": "subscribe", "id": victim, "query": {"functionPath": "victim:value", "args": {"n": number}}}:
                self._send({"type": "data", "id": victim, "data": ["victim", number], "cursor": 1, "epoch": "e1"})
            case {"type": "shape_subscribe", "id": shape_id}:
                rows = [{"op": "insert", "table": "rows", "key": "r1", "value": WELL}]
                self._send({"type": "pokeStart", "pokeId": shape_id})
                part = {"pokeId": shape_id, "shapeId": shape_id, "reset": True, "rowsPatch": rows}
                self._send({"type": "pokePart", **part})
                self._send({"type": "pokeEnd", "pokeId": shape_id, "checkpoint": 1, "epoch": "e1"})
            case {"type": "stream", "id": stream_id}:
                seq = frame.get("sinceChunk", 0) + 1
                place = {"seq": seq, "generation": frame.get("generation", 1)}
                self._send({"type": "chunk", "id": stream_id, "data": WELL, **place})
                self._send({"type": "complete", "id": stream_id})

    def _give(self, frame_id: str) -> None:
        number = self.healthy[frame_id]
        version = self.versions[number]
        self._send({"type": "data", "id": frame_id, "data": [number, version], "cursor": version, "epoch": "e1"})

    def _send(self, frame: dict[str, Any]) -> None:
        if self.end is not None:
            self.end.put(orjson.dumps(frame))

    async def _respond(self, request: MemoryRequest) -> HttpReply:
        return HttpReply(200, {}, b'{"result":{"is":"well"}}')


class Follower:
    """Watches one stream; one that came to a good end is not asked for again."""

    def __init__(self, run: Run, again: Any) -> None:
        self._run = run
        self._again = again
        self._is_well = False

    def take(self, chunk: Any) -> None:
        """Count a chunk."""
        self._run.told.counts["chunks"] += 1
        self._is_well = chunk == WELL

    def fail(self, error: Exception) -> None:
        """Ask again."""
        self._again(error)

    def complete(self) -> None:
        """Ask again, unless all is well."""
        if self._is_well:
            self._run.healed_streams += 1
        else:
            self._again()


class Run:
    """One client, its server, and those who watch."""

    def __init__(self, frames: int, seed: str) -> None:
        self.told = Told(frames, seed)
        self.errors = Errors(self.told)
        self.server = Server()
        self.seen: dict[int, list[int]] = {}
        self.seen_on: dict[int, int] = {}
        self.victims: dict[int, Snapshot[Any]] = {}
        self.rows: list[Any] = []
        self.healed_streams = 0
        self.client = LunoraClient(
            "http://server.test",
            transport=self.server.transport,
            reconnect=Backoff(initial=0.0001, maximum=0.001),
            heartbeat_interval=0,
            polling=None,
            on_error=lambda error: self.told.problems.append(f"an observer was blamed: {error!r}"),
        )

    async def play(self) -> None:
        """Send the frames, and look that all is well."""
        asyncio.get_running_loop().set_exception_handler(
            lambda loop, context: self.told.problems.append(f"the loop was told: {context}")
        )
        async with self.client:
            self._watch()
            await self._until(lambda: self.server.end is not None)
            await self._send_all()
            await self._check_all()
        self.told.counts["tasks left"] = len(asyncio.all_tasks()) - 1
        if self.told.counts["tasks left"]:
            self.told.problems.append(f"tasks are left: {asyncio.all_tasks()}")

    def _watch(self) -> None:
        client = self.client
        # Victims first: what corpus frames are about has the lowest numbers.
        for number in range(VICTIMS):
            client.live("victim:value", {"n": number}).snapshots.subscribe(
                lambda snapshot, number=number: self._take_victim(number, snapshot)
            )
        for number in range(HEALTHY):
            client.live("healthy:value", {"n": number}).subscribe(
                lambda value, number=number: self._take(number, value),
                lambda error: self.told.problems.append(f"a healthy query failed: {error!r}"),
            )
        self._follow()
        client.whispers("room").subscribe(lambda value: self._count("whispers"))

    def _follow(self) -> None:
        """Have a shape and two streams; what ended is asked for again."""
        client = self.client

        def again(what: str, watch: Any) -> Any:
            def ended(error: object = None) -> None:
                self._count(f"ends of {what}")
                asyncio.get_running_loop().call_soon(lambda: client._driver.is_closed or watch())

            return ended

        def shape() -> None:
            ended = again("shapes", shape)
            client.shape("rows", {}).subscribe(self._take_rows, ended, ended)

        def stream() -> None:
            follower = Follower(self, again("streams", stream))
            client.stream("a:c", {}, durable=True).subscribe(follower.take, follower.fail, follower.complete)

        shape()
        for _ in range(STREAMS):
            stream()

    def _count(self, what: str) -> None:
        self.told.counts[what] += 1

    def _take_victim(self, number: int, snapshot: Snapshot[Any]) -> None:
        self._count("values of victims")
        self.victims[number] = snapshot

    def _take_rows(self, rows: list[Any]) -> None:
        self._count("rows")
        self.rows = rows

    def _take(self, number: int, value: Any) -> None:
        """Look at a value: on one socket each that the server gives, once; the next socket begins with the latest."""
        self._count("values of healthy queries")
        former, version = self.seen.get(number, [number, -1])[1], value[1]
        is_next = version == former + 1 or (self.seen_on.get(number) != self.server.sockets and version >= former)
        if value[0] != number or not is_next or version > self.server.versions[number]:
            told = f"shows {value} after {former}, after {self.errors.frame[:300]!r}"
            self.told.problems.append(f"healthy query {number} {told}")
        self.seen[number], self.seen_on[number] = value, self.server.sockets

    async def _send_all(self) -> None:
        random = Random(self.told.seed)
        mutator = Mutator(random, TARGETS["frames"].words)
        seeds = TARGETS["frames"].seeds
        sent = burst = 0
        start = None
        while sent < self.told.frames:
            for line in mutator.mutate(random.choice(seeds)).split(b"\n"):
                line = _of_present_ids(line, random, self.told.counts)
                if any(f'"{frame_id}"'.encode() in line for frame_id in self.server.healthy):
                    continue  # this would be the server's own word on a healthy query
                await self._until(lambda: self.server.end is not None)
                await self.server.send(line)
                self.errors.frame = line
                sent += 1
            if sent - burst >= _BURST:
                burst = sent
                self.server.tell(random.randrange(HEALTHY))
                await self._read_all()
                if random.random() < 0.9:
                    await self._until(self._is_settled)
                if random.random() < 0.002 and self.server.end is not None:
                    self.server.end.cut()
            if start is None and sent >= self.told.frames // 10:
                start = _resident()
        await self._read_all()
        self.told.memory = (start or _resident(), _resident())
        if self.told.memory[1] - self.told.memory[0] > _GROWTH:
            self.told.problems.append(f"memory grew: {self.told.memory}")

    def _is_settled(self) -> bool:
        return self.server.end is not None and len(self.server.healthy) == HEALTHY and self.server.end.unread == 0

    async def _read_all(self) -> None:
        await self._until(lambda: self.server.end is None or self.server.end.unread == 0)
        await asyncio.sleep(0)

    async def _heal(self) -> None:
        """Answer what was harmed, on a socket of its own; each must show what it is given."""
        self.server.is_storm = False
        if self.server.end is not None:
            self.server.end.cut()
        await self._until(self._is_healed)

    def _is_healed(self) -> bool:
        shown = [(each.status, each.value) for _, each in sorted(self.victims.items())]
        victims = [(SnapshotStatus.LIVE, ["victim", number]) for number in range(VICTIMS)]
        return shown == victims and self.rows == [WELL] and self.healed_streams >= STREAMS

    async def _check_all(self) -> None:
        await self._heal()
        for number in range(HEALTHY):
            await self._until(self._is_settled)
            self.server.tell(number)
        await self._until(
            lambda: all(self.seen.get(number) == [number, self.server.versions[number]] for number in range(HEALTHY))
        )
        if await self.client.query("a:b") != {"is": "well"}:
            self.told.problems.append("a call fails afterwards")
        self.told.counts["sockets"] = self.server.sockets
        self.told.counts["frames received"] = self.client._driver.core.frames_received
        self.told.counts["frames ignored"] = self.client._driver.frames_ignored
        live = sum(1 for _ in self.client.cache)
        if live != HEALTHY + VICTIMS:
            self.told.problems.append(f"{live} live queries are left of {HEALTHY + VICTIMS}")

    async def _until(self, condition: Any) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"the client is stuck, after {self.errors.frame[:300]!r}")
            await asyncio.sleep(0)


def play(frames: int, *, seed: str) -> Told:
    """Send a client so many spoilt frames; the same ones for the same seed."""
    run = Run(frames, seed)
    logger = logging.getLogger("lunora_rx")
    level = logger.level
    logger.addHandler(run.errors)
    logger.setLevel(logging.ERROR)
    began_at = time.monotonic()
    try:
        asyncio.run(run.play())
    except AssertionError as error:
        run.told.problems.append(str(error))
    finally:
        logger.removeHandler(run.errors)
        logger.setLevel(level)
    run.told.seconds = time.monotonic() - began_at
    return run.told


def _of_present_ids(line: bytes, random: Random, counts: Counter[str]) -> bytes:
    """Aim frames of streams and shapes at those of now: each that ended was followed by one with another id."""
    shape = 1 + counts["ends of shapes"]
    stream = 1 + counts["ends of streams"] + random.randrange(2)
    line = line.replace(b'"shape_1"', f'"shape_{shape}"'.encode())
    return line.replace(b'"stream_1"', f'"stream_{stream}"'.encode())


def _resident() -> int:
    gc.collect()
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * _PAGE if statm.exists() else 0
