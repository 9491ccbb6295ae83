"""Faults by the dozen, drawn at random, with clients that come and go: all rows of the matrix at once.

``STORMS`` says from how many seeds they are drawn, each once with polling and once without: 25, so 50 storms, by
default; 500 for the long run.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from lunora_rx import Polling
from lunora_rx.errors import LunoraError
from lunora_rx.protocol.endpoints import CLOSE_TOO_BIG
from tests.faults import oracle
from tests.faults.customer import Customer
from tests.faults.proxy import End, Way
from tests.faults.shop import Shop, opened
from tests.faults.table import counted

SEEDS = range(int(os.environ.get("STORMS", "25")))
CLIENTS = 3
WRITES = 20
LONGEST_WAIT = 61.0


class Weather:
    """Harms a shop, as chance will have it.

    Attributes:
        strikes: How often it did.
    """

    def __init__(self, shop: Shop, chance: random.Random) -> None:
        self.strikes = 0
        self._shop = shop
        self._chance = chance
        self._spent: set[int] = set()
        self._strikes: list[Callable[[], Awaitable[None]]] = [
            self._cut,
            self._cut_inside,
            self._refuse,
            self._silence,
            self._slow_down,
            self._lose_replies,
            self._refuse_calls,
            self._close_sockets,
        ]

    async def change(self) -> None:
        """Harm, heal, or leave things as they are."""
        draw = self._chance.random()
        if draw < 0.35:
            self.strikes += 1
            await self._chance.choice(self._strikes)()
        elif draw < 0.5:
            await self._shop.heal()
        if self._chance.random() < 0.2:
            await asyncio.sleep(self._chance.random() * 0.1)

    @property
    def _proxy(self):
        return self._chance.choice([self._shop.calls, self._shop.sockets])

    @property
    def _end(self) -> End:
        return self._chance.choice(list(End))

    async def _cut(self) -> None:
        self._proxy.cut(end=self._end)

    async def _cut_inside(self) -> None:
        way = self._chance.choice(list(Way))
        self._proxy.cut(after=self._chance.randint(1, 600), way=way, end=self._end)

    async def _refuse(self) -> None:
        self._proxy.refuse()

    async def _silence(self) -> None:
        self._chance.choice([self._proxy.swallow, self._proxy.strand])(self._chance.choice(list(Way)))

    async def _slow_down(self) -> None:
        self._proxy.split(self._chance.randint(5, 50))
        self._proxy.delay(self._chance.random() * 0.05)

    async def _lose_replies(self) -> None:
        self._shop.faults.lose_replies(self._chance.randint(1, 3))

    async def _refuse_calls(self) -> None:
        status = self._chance.choice([429, 502, 503, 200, 408])
        self._shop.faults.fail_calls(self._chance.randint(1, 2), status=status, body=b"<html>")

    async def _close_sockets(self) -> None:
        code = self._chance.choice([1000, 1009, 1012, 4001])
        if code in self._spent:
            code = 1000
        if code == CLOSE_TOO_BIG:
            # Said again while a query is asked for alone, it means that query, which then is left out for good.
            self._spent.add(code)
        self._shop.faults.close_sockets(code)


async def write_through(shop: Shop, weather: Weather, customer: Customer, numbers: range) -> None:
    """Write numbers while the weather changes."""
    for number in numbers:
        await weather.change()
        await customer.write(number)


@pytest.mark.fault(43, 48, 52)
@pytest.mark.parametrize("polls", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
async def test_storm_loses_and_doubles_nothing(watched, clock, record_property, tmp_path: Path, seed: int, polls: bool):
    """After any sequence of faults, with clients closed in the midst of it, each write is there once, in order."""
    kept: list[int] = []
    async with opened() as shop:
        weather = Weather(shop, random.Random(seed))
        for life in range(CLIENTS):
            numbers = range(life * WRITES, (life + 1) * WRITES)
            async with shop.customer(is_connected=False, **options(tmp_path, polls=polls)) as customer:
                await write_through(shop, weather, customer, numbers)
                kept += [number for number in numbers if not is_rejected(customer, number)]
                if life == CLIENTS - 1:
                    await shop.heal()
                    shop.faults.release()
                    await clock.jump(LONGEST_WAIT)
                    await oracle.check(shop, customer, kept)
                await oracle.check_closed(customer, storage=tmp_path / "storage")
        assert shop.runs == kept
    for name, number in (("storms", 1), ("storms: faults", weather.strikes), ("storms: writes", CLIENTS * WRITES)):
        record_property(counted(name), number)


def options(tmp_path: Path, *, polls: bool) -> dict[str, object]:
    """Return what makes a client impatient."""
    return {
        "storage": tmp_path / "storage",
        "request_timeout": 0.3,
        "connect_timeout": 0.2,
        "heartbeat_interval": 0.1,
        "polling": Polling(interval=0.05, after_failures=2) if polls else None,
    }


def is_rejected(customer: Customer, number: int) -> bool:
    """Tell whether a write failed for good, as one that goes out at once does when the server is of no use."""
    outcome = customer.writes[number]._outcome
    return isinstance(outcome, LunoraError)
