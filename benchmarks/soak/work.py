"""One client, kept busy with everything it can do: a cycle of it, over and over."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from reactivex.abc import DisposableBase

from lunora_rx import Backoff, LunoraClient, LunoraError, ServerError

ROOMS = 4
SHARDS = 3
PATIENCE = 30.0
_CHUNKS = 48
_WRONG = (
    '{"type":"data","id":"sub_1","cursor":"x"}',
    '{"type":"later"}',
    "not a frame",
    '{"type":"delta","id":"sub_1"}',
)


class Soak:
    """A client whose every part is used in each cycle, and who waits for the outcome of all of it.

    Args:
        url: The server of ``benchmarks.soak.server``.
        directory: Where the queue, the read cache and recordings go.

    Attributes:
        cycles: How many were done.
        reconnects: How often a socket was opened after the first.
        values: How many values the observers were given.
    """

    def __init__(self, url: str, directory: Path) -> None:
        self.cycles = 0
        self.reconnects = -1
        self.values = 0
        self._directory = directory
        self.client = LunoraClient(
            url,
            storage=directory / "client",
            reconnect=Backoff(initial=0.001, maximum=0.01),
            polling=None,
            on_error=lambda error: None,
        )
        self._held: list[DisposableBase] = []

    @property
    def frames(self) -> int:
        """How many frames were received."""
        return self.client._driver.core.frames_received

    async def begin(self) -> None:
        """Subscribe to what is watched all the time."""
        client = self.client
        self._held = [
            client.status.subscribe(self._note_status),
            client.pending.subscribe(self._note),
            client.settled.subscribe(self._note),
            client.whispers("soak").subscribe(self._note),
            *(client.live("notes:list", {"room": room}).subscribe(self._note) for room in range(ROOMS)),
            *(client.shape("notes:of", {"room": room}).subscribe(self._note) for room in range(ROOMS)),
            client.combine({str(room): client.live("notes:list", {"room": room}) for room in range(ROOMS)}).subscribe(
                self._note
            ),
        ]
        await self._room(0).first()

    async def end(self) -> None:
        """Close the client."""
        await self.client.aclose()

    async def cycle(self) -> None:
        """Lose the socket, write without it, watch, stream, fail; end where it began."""
        async with asyncio.timeout(PATIENCE):
            await self._lose_socket()
            await asyncio.gather(self._write(), self._watch(), self._stream(), self._fail(), self._speak())
            if self.cycles % 10 == 0:
                await self._record()
        self.cycles += 1

    async def _lose_socket(self) -> None:
        number = self.cycles
        if number % 4 == 3:
            self.client.set_ws_token(f"token-{number}")
        else:
            await self.client.action("soak:cut")

    async def _write(self) -> None:
        number = self.cycles
        args = {"room": number % ROOMS, "number": number, "text": f"note {number}"}
        writes = [
            self.client.mutation(
                "notes:put", {**args, "number": number + each}, optimistic_update=self._patch, precondition=lambda: True
            )
            for each in range(3)
        ]
        for write in writes:
            try:
                await write
            except ServerError as error:
                _check(error, "ROOM_FULL")

    async def _watch(self) -> None:
        number = self.cycles
        rooms = [self.client.live("notes:list", {"room": number % ROOMS, "seen": number + each}) for each in range(3)]
        handles = [room.subscribe(self._note) for room in rooms]
        handles.append(rooms[0].snapshots.subscribe(self._note))
        handles.append(self._room(0).subscribe(self._raise))
        for room in rooms:
            await room.first()
        shard = self.client.live("notes:list", {"room": 0}, shard=f"shard-{number % SHARDS}")
        await shard.first()
        shape = self.client.shape("notes:of", {"room": number % ROOMS})
        handles.append(shape.changes.subscribe(self._note))
        async for _ in rooms[1].aiter():
            break
        await self.client.query("notes:list", {"room": 0})
        for handle in handles:
            handle.dispose()

    async def _stream(self) -> None:
        stream = self.client.stream("notes:count", {"to": _CHUNKS}, durable=True)
        try:
            async for _ in stream.aiter():
                self.values += 1
        except LunoraError as error:
            # The socket may have been reset below it.
            _check(error, "STREAM_DISCONNECTED")
        left = self.client.stream("notes:count", {"to": _CHUNKS})
        left.subscribe(self._note, lambda error: None).dispose()
        if self.cycles % 10 == 0:
            async for _ in self.client.http_stream("/count/:to", params={"to": 5}).aiter():
                self.values += 1

    async def _fail(self) -> None:
        number = self.cycles
        for call in (
            self.client.query("notes:refuse", {"number": number}),
            self.client.live("notes:refuse", {"number": number}).first(),
        ):
            try:
                await call
            except ServerError as error:
                _check(error, "ROOM_FULL")
            else:
                raise AssertionError("it was not refused")
        if number % 5 == 0:
            await self.client.action("soak:garble", {"text": _WRONG[number // 5 % len(_WRONG)]})

    async def _speak(self) -> None:
        held = self.client.presence({"cycle": self.cycles})
        self.client.whisper("soak", {"cycle": self.cycles})
        await asyncio.sleep(0)
        held.dispose()

    async def _record(self) -> None:
        path = self._directory / "soak.jsonl"
        async with self.client.record(path, overwrite=True):
            await self.client.query("notes:list", {"room": 1})

    def _room(self, room: int) -> Any:
        return self.client.live("notes:list", {"room": room})

    def _patch(self, store: Any, args: Any) -> None:
        current = store.get_query("notes:list", {"room": args["room"]})
        if isinstance(current, list):
            store.set_query("notes:list", {"room": args["room"]}, [*current, {"_id": "new", "number": args["number"]}])

    def _note(self, value: object) -> None:
        self.values += 1

    def _raise(self, value: object) -> None:
        raise ValueError("an observer of the soak raises")

    def _note_status(self, status: str) -> None:
        self.reconnects += status == "connected"


def _check(error: LunoraError, code: str) -> None:
    if error.code != code:
        raise error
