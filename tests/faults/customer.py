"""A client that writes numbers, and keeps what it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from lunora_rx import LunoraClient, Phase, Status
from tests import support
from tests.support import Recorder

PATIENCE = 20.0


async def until(condition: Callable[[], Any], *, patience: float = PATIENCE) -> None:
    """Let the loop run until a condition holds, with patience for a loaded machine."""
    await support.until(condition, patience=patience)


class Customer:
    """A client, the writes it made, and what it shows."""

    def __init__(self, client: LunoraClient) -> None:
        self.client = client
        self.writes: dict[int, Any] = {}
        self.settled, self.shown, self.statuses, self.expired = Recorder(), Recorder(), Recorder(), Recorder()
        self.live = client.live("rows:list")
        client.settled.subscribe(self.settled)
        client.status.subscribe(self.statuses)
        client.token_expired.subscribe(self.expired)
        self.live.subscribe(self.shown)

    @property
    def pending(self) -> int:
        """How many writes wait."""
        return self.client.pending.value

    @property
    def numbers(self) -> list[int]:
        """The numbers on the screen."""
        return [row["n"] for row in self.shown.last] if self.shown.values else []

    @property
    def verdicts(self) -> list[tuple[int, str, str | None]]:
        """What became of the writes that waited."""
        return [(each.args["n"], each.status, each.code) for each in self.settled.values]

    @property
    def inherited(self) -> list[int]:
        """The numbers that earlier clients have left, and that were settled for this one."""
        return [number for number, _, _ in self.verdicts if number not in self.writes]

    def add(self, number: int, **options: Any) -> Any:
        """Write a number, shown at once."""
        return self._mutate("rows:add", {"n": number, **options})

    def refuse(self, number: int, code: str) -> Any:
        """Write a number that the server will not have, shown until it says so."""
        return self._mutate("rows:refuse", {"n": number, "code": code})

    async def write(self, *numbers: int) -> None:
        """Write numbers, each when the one before has its verdict or waits: that is what orders them."""
        for number in numbers:
            write = self.add(number)
            await until(lambda write=write: write.is_settled or self._waits(write))

    async def verdict_on(self, number: int) -> Exception | None:
        """Wait for the verdict on a number, written now if it was not yet; return why it was rejected, or ``None``."""
        write = self.writes.get(number) or self.add(number)
        try:
            async with asyncio.timeout(PATIENCE):
                await write
        except Exception as error:
            return error
        return None

    async def until_status(self, *statuses: Status) -> None:
        """Wait for a status."""
        await until(lambda: self.client.status.value in statuses)

    async def until_calm(self) -> None:
        """Wait until nothing waits and every write has its verdict."""
        await until(lambda: not self.pending and all(each.is_settled for each in self.writes.values()))

    def was_queued(self, number: int) -> bool:
        """Tell whether a write waited."""
        return Phase.QUEUED in phases_of(self.writes[number])

    def _waits(self, write: Any) -> bool:
        phases = phases_of(write)
        return phases[-1] is Phase.QUEUED or (Phase.QUEUED in phases and self.pending > 0)

    def _mutate(self, function: str, args: dict[str, Any]) -> Any:
        row = {"n": args["n"]}

        def show(store: Any, _: Any) -> None:
            store.set_query("rows:list", None, [*(store.get_query("rows:list", None) or []), row])

        write = self.client.mutation(function, args, optimistic_update=show)
        assert args["n"] not in self.writes, "each number is written once"
        self.writes[args["n"]] = write
        return write


def phases_of(write: Any) -> list[Phase]:
    """Return the phases that a write has gone through."""
    phases = Recorder()
    write.phases.subscribe(phases)
    return phases.values
