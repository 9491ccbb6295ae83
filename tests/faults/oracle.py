"""What holds after every fault, whatever it was: nothing lost or doubled, nothing left behind, no token told."""

from __future__ import annotations

import asyncio
import os
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lunora_rx import LunoraClient, Status
from tests.faults.customer import PATIENCE, Customer, until
from tests.faults.rows import CANARY
from tests.faults.shop import Shop

LIVE_WITHIN = 5.0


async def check(shop: Shop, customer: Customer, expected: Sequence[int], *, is_ordered: bool = True) -> None:
    """Wait for quiescence, and compare what the server, the client and the test believe.

    Args:
        shop: Where the server is.
        customer: The client to look at, with the fault over.
        expected: The numbers that the server acknowledged, in the order of composing.
        is_ordered: Whether the test composed so that their order is promised.
    """
    await customer.until_calm()
    await customer.until_status(Status.CONNECTED)
    table = await _table_of(shop, len(expected))
    numbers = [row["n"] for row in table]
    assert (numbers if is_ordered else sorted(numbers)) == list(expected)
    _check_acknowledged(customer, table)
    await until(lambda: customer.live.value == table, patience=LIVE_WITHIN)
    assert await customer.client.query("rows:list") == table
    assert customer.shown.last == table
    assert not customer.live.snapshot.is_optimistic
    assert customer.client.debug()["open_mutations"] == customer.pending == 0
    _check_silence(customer)


async def check_closed(customer: Customer, *, storage: Path | None = None) -> None:
    """Close the client; nothing of it is left when ``aclose`` returns."""
    async with asyncio.timeout(PATIENCE):
        await customer.client.aclose()
    # The storage's thread says that it is done, and then ends.
    await until(lambda: not [each for each in threading.enumerate() if each.name.startswith("lunora")], patience=1)
    assert _tasks_of_the_client() == []
    assert _timers_of_the_client() == []
    assert storage is None or _open_files(storage) == []
    assert storage is None or CANARY.encode() not in contents(storage)
    assert customer.shown.errors == []
    assert CANARY not in repr(customer.client)


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a process holds at one moment."""

    tasks: frozenset[asyncio.Task[Any]]
    threads: frozenset[threading.Thread]
    timers: int
    files: frozenset[tuple[str, str]]

    @classmethod
    def now(cls) -> Footprint:
        """Look around."""
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        return cls(frozenset(tasks), frozenset(threading.enumerate()), len(_timers()), frozenset(_files()))

    def left_by(self, later: Footprint) -> dict[str, object]:
        """Return what there is later and was not before, by kind."""
        left: dict[str, object] = {
            "tasks": later.tasks - self.tasks,
            "threads": later.threads - self.threads,
            "timers": max(0, later.timers - self.timers),
            "files": later.files - self.files,
        }
        return {kind: things for kind, things in left.items() if things}


async def check_footprint(before: Footprint) -> None:
    """Everything is closed: what there was before is what there is."""
    with suppress(AssertionError):
        await until(lambda: not before.left_by(Footprint.now()), patience=3)
    assert before.left_by(Footprint.now()) == {}


async def _table_of(shop: Shop, count: int) -> list[dict[str, Any]]:
    # What an earlier client left may still be read from the disk: nothing waits, and yet it is to come.
    deadline = asyncio.get_running_loop().time() + LIVE_WITHIN
    while len(table := await shop.table()) < count and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.01)
    return table


def contents(directory: Path) -> bytes:
    """Return all that the files of a directory hold."""
    return b"".join(path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file())


def _check_acknowledged(customer: Customer, table: list[dict[str, Any]]) -> None:
    ids = {row["n"]: row["_id"] for row in table}
    assert len(ids) == len(table), "a number was written twice"
    for number, write in customer.writes.items():
        value = write._outcome
        acknowledged = getattr(value, "value", None)
        assert ids.get(number) == acknowledged, f"{number} was acknowledged as {value!r}"


def _check_silence(customer: Customer) -> None:
    client: LunoraClient = customer.client
    told = [repr(client), repr(customer.live), str(client.debug()), repr(list(customer.settled.values))]
    for write in customer.writes.values():
        told.append(repr(write))
        error = write._outcome
        if isinstance(error, BaseException):
            told.append("".join(traceback.format_exception(error)))
    for settled in customer.settled.values:
        if settled.error is not None:
            told += traceback.TracebackException.from_exception(settled.error, capture_locals=True).format()
    for text in told:
        assert CANARY not in text


def _tasks_of_the_client() -> list[str]:
    names = [task.get_coro().__qualname__ for task in asyncio.all_tasks() if _is_ours(task.get_coro())]  # type: ignore[union-attr]
    return sorted(names)


def _is_ours(coroutine: Any) -> bool:
    path = coroutine.cr_code.co_filename if hasattr(coroutine, "cr_code") else ""
    return "/lunora_rx/" in path and "/lunora_rx/devserver/" not in path


def _timers_of_the_client() -> list[str]:
    modules = [getattr(timer._callback, "__module__", None) or "" for timer in _timers()]  # type: ignore[attr-defined]
    return [each for each in modules if each.startswith("lunora_rx.") and not each.startswith("lunora_rx.devserver")]


def _timers() -> list[asyncio.TimerHandle]:
    scheduled: list[asyncio.TimerHandle] = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
    return [timer for timer in scheduled if not timer.cancelled()]


def _files() -> Iterator[tuple[str, str]]:
    for name in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd") else ():
        with suppress(OSError):
            yield name, os.readlink(f"/proc/self/fd/{name}")


def _open_files(directory: Path) -> list[str]:
    return [target for _, target in _files() if target.startswith(str(directory))]
