"""Clocks that jump, and processes and machines that sleep."""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from lunora_rx import Status
from tests.faults import oracle
from tests.faults.customer import until
from tests.faults.neighbour import neighbour
from tests.faults.proxy import Way
from tests.faults.rows import SOCKET

DAY = 86_400.0
NIGHT = 8 * 3600.0
needs_signals = pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="there is no SIGSTOP here")
jumps = pytest.mark.parametrize("jump", [30 * DAY, -DAY], ids=["30 days on", "a day back"])


# --- 32: asleep


@pytest.mark.fault(32, 53)
@pytest.mark.parametrize("is_dead", [False, True], ids=["connection alive", "connection dead"])
async def test_night_asleep_costs_one_reconnect_with_a_new_token(shop, clock, is_dead):
    """However many timers are overdue: the token is asked for once, before the one new socket, and each query once."""
    asked: list[int] = []

    def provide() -> str:
        asked.append(shop.sockets.connections)
        return SOCKET

    async with shop.customer(ws_token=provide) as ada:
        await ada.write(0, 1)
        if is_dead:
            shop.sockets.strand()
            shop.calls.strand()
        heard: list[bytes] = []
        shop.sockets.change(Way.UP, lambda chunk: heard.append(chunk) or chunk)
        await clock.jump(NIGHT)
        woke_at = asyncio.get_running_loop().time()
        await until(lambda: shop.sockets.connections > 1 or not is_dead)
        await ada.write(2)
        await oracle.check(shop, ada, range(3))
        assert shop.sockets.connections <= 2
        assert asked == [*range(shop.sockets.connections)], "a token before each socket, and no other"
        # A handshake, two frames of a new socket, and a ping each heartbeat since; at most one for the night.
        assert len(heard) <= 5 + (asyncio.get_running_loop().time() - woke_at) / 0.4
        await oracle.check_closed(ada)


@pytest.mark.fault(32, 53)
@pytest.mark.slow
@needs_signals
@pytest.mark.parametrize("seconds", [2, 20])
async def test_process_that_was_stopped_goes_on_with_one_reconnect_at_most(shop, storage, seconds):
    """What it had queued goes out once, in order, as soon as it runs again."""
    async with neighbour(shop, storage, 0, 1, 2, task="clocks") as other:
        await other.next_line()
        await other.way.accept()
        await until(lambda: shop.runs)
        attempts = other.way.connections
        other.signal(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        other.signal(signal.SIGCONT)
        await until(lambda: shop.runs == [0, 1, 2])
        await until_drained(other)
        assert other.way.connections <= attempts + 3, "at most one socket more, and calls"
        await other.close()
    async with shop.customer(storage=storage) as ada:
        await ada.write(3)
        await oracle.check(shop, ada, range(4))
        assert ada.inherited == [], "nothing was left on disk"
        await oracle.check_closed(ada, storage=storage)


async def until_drained(other) -> None:
    """Ask until nothing of it waits any more; it says that it is ready then."""
    while True:
        await other.go_on()
        if await other.next_line() == "ready":
            return
        await asyncio.sleep(0.02)


# --- 33: wall clocks


@pytest.mark.fault(33, 53)
@jumps
async def test_wall_clock_that_jumps_changes_nothing(shop, storage, monkeypatch, jump):
    """Nobody times out, nothing expires, the connection stays, and writes from both sides of it keep their order."""
    real = time.time
    async with shop.customer(storage=storage) as ada:
        await ada.write(0, 1)
        monkeypatch.setattr(time, "time", lambda: real() + jump)
        heard = ada.client.counts().frames_received
        await until(lambda: ada.client.counts().frames_received > heard + 2)  # pongs: heartbeats have come and gone
        await ada.write(2)
        await oracle.check(shop, ada, range(3))
        assert shop.sockets.connections == 1
        assert ada.statuses.values.count(Status.OFFLINE) == 0
        shop.cut()
        await ada.until_status(Status.OFFLINE)
        await ada.write(3)
        monkeypatch.setattr(time, "time", real)
        await ada.write(4)
        await oracle.check_closed(ada, storage=storage)
    await shop.heal()
    async with shop.customer(storage=storage) as ada:
        await until(lambda: len(ada.verdicts) == 2)
        await oracle.check(shop, ada, range(5))
        await oracle.check_closed(ada, storage=storage)
    assert shop.runs == [0, 1, 2, 3, 4]


@pytest.mark.fault(33, 53)
@pytest.mark.slow
@jumps
async def test_clock_of_the_system_that_jumps_changes_nothing(shop, storage, tmp_path, jump):
    """As above, for every call of the process and of SQLite, with what time is told by the C library."""
    shift = tmp_path / "shift"
    shift.write_text("+0")
    clocks = {
        "LD_PRELOAD": find_faketime(),
        "FAKETIME_TIMESTAMP_FILE": str(shift),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    async with neighbour(shop, storage, 0, 1, 2, task="clocks", environment=clocks) as other:
        wall, monotonic = map(float, (await other.next_line()).split())
        shift.write_text(f"{jump:+.0f}")
        await other.go_on()
        later, further = map(float, (await other.next_line()).split())
        assert later - wall == pytest.approx(jump, abs=60), "the clock did not jump"
        assert 0 <= further - monotonic < 60
        await other.way.accept()
        await until(lambda: shop.runs == [0, 1, 2])
        await until_drained(other)
        await other.close()
    await check_nothing_left(shop, storage)


@pytest.mark.fault(32, 33, 53)
@pytest.mark.slow
async def test_clocks_of_a_machine_that_was_up_for_a_month_change_nothing(shop, storage):
    """In a time namespace of its own: whatever the monotonic clock begins with, writes go out."""
    shift = f"{30 * DAY:.0f}"
    within = ("unshare", "--fork", "--kill-child", "--time", "--monotonic", shift, "--boottime", shift)
    if shutil.which("unshare") is None or subprocess.run([*within, "true"], capture_output=True).returncode:
        pytest.skip("a time namespace needs root, and a kernel and an unshare that know it")
    async with neighbour(shop, storage, 0, 1, 2, task="clocks", within=within) as other:
        _, monotonic = map(float, (await other.next_line()).split())
        assert monotonic > 30 * DAY
        await other.way.accept()
        await until(lambda: shop.runs == [0, 1, 2])
        await until_drained(other)
        await other.close()
    await check_nothing_left(shop, storage)


async def check_nothing_left(shop, storage) -> None:
    """The next client of the directory finds everything done."""
    async with shop.customer(storage=storage) as ada:
        await ada.write(3)
        await oracle.check(shop, ada, range(4))
        assert ada.inherited == []
        await oracle.check_closed(ada, storage=storage)
    assert shop.runs == [0, 1, 2, 3]


def find_faketime() -> str:
    """Return where libfaketime is; skips the test where it is not."""
    for path in Path("/usr/lib").glob("*/faketime/libfaketime.so.1"):
        return str(path)
    pytest.skip("libfaketime is not installed")
