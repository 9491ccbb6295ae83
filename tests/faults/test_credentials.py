"""Credentials that expire or are refused, and writes of somebody who signs out."""

from __future__ import annotations

import asyncio

import pytest

from lunora_rx import UNDEFINED, Backoff, LunoraClient, SnapshotStatus, Status
from lunora_rx.errors import QueueError, ServerError
from tests.faults import oracle
from tests.faults.customer import until
from tests.faults.proxy import Way
from tests.faults.rows import ADA, ADA_2, BOB, CANARY, SOCKET
from tests.support import Recorder

TOKEN_EXPIRED = 4001


class Provider:
    """Gives the token of a socket, when it may.

    Attributes:
        asked_at: When it was asked.
        may_answer: Whether it answers now.
        error: What it raises instead.
        token: What it answers.
    """

    def __init__(self) -> None:
        self.asked_at: list[float] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.error: Exception | None = None
        self.token = SOCKET

    async def __call__(self) -> str:
        self.asked_at.append(asyncio.get_running_loop().time())
        await self.may_answer.wait()
        if self.error is not None:
            raise self.error
        return self.token


class Screen:
    """What one client shows of two queries whose answers depend on who asks."""

    def __init__(self, client: LunoraClient) -> None:
        self.who, self.mine = client.live("server:who"), client.live("rows:mine")
        self._told = Recorder(), Recorder()
        for live, told in zip((self.who, self.mine), self._told, strict=True):
            live.snapshots.subscribe(told)

    @property
    def is_empty(self) -> bool:
        """Whether it shows nothing of anybody's."""
        shown = [each.snapshot for each in (self.who, self.mine)]
        return all(each.status is SnapshotStatus.PENDING and each.value is UNDEFINED for each in shown)

    @property
    def readers(self) -> list[str]:
        """For whom the server gave what was shown, since this was asked last, in order and each once in a row."""
        values = [each.value for told in self._told for each in told.values if each.value is not UNDEFINED]
        for told in self._told:
            told.values.clear()
        names = [name for value in values for name in _readers_of(value)]
        return [name for place, name in enumerate(names) if name not in names[place - 1 : place]]

    async def until_shown(self, reader: str, *numbers: int) -> None:
        """Wait until everything is shown, for this reader."""
        rows = [{"n": number, "reader": reader} for number in numbers]
        await until(lambda: self.who.value == reader and self.mine.value is not UNDEFINED)
        await until(lambda: [{"n": row["n"], "reader": row["reader"]} for row in self.mine.value] == rows)


def _readers_of(value: str | list[dict[str, str]]) -> list[str]:
    return [value] if isinstance(value, str) else [row["reader"] for row in value]


# --- 16: the token of a socket has expired


@pytest.mark.fault(16)
async def test_expired_socket_asks_once_for_a_token_and_holds_writes_meanwhile(shop):
    """Close code 4001: one refresh, one notice, one reconnect; what is written until then waits."""
    provider = Provider()
    async with shop.customer(ws_token=provider) as ada:
        await ada.write(0)
        provider.may_answer.clear()
        shop.faults.close_sockets(TOKEN_EXPIRED)
        await until(lambda: len(provider.asked_at) == 2)
        await ada.write(1, 2)
        assert ada.pending == 2
        assert ada.expired.values == [""]
        provider.may_answer.set()
        await oracle.check(shop, ada, range(3))
        assert len(provider.asked_at) == shop.sockets.connections == 2
        await oracle.check_closed(ada)


@pytest.mark.fault(16)
async def test_refresh_that_fails_keeps_the_queue(shop):
    """A provider that raises is asked again, its words are in no log, and the writes outlast it."""
    provider = Provider()
    async with shop.customer(ws_token=provider) as ada:
        provider.error = RuntimeError(f"no token for {CANARY}")
        shop.faults.close_sockets(TOKEN_EXPIRED)
        await ada.until_status(Status.OFFLINE, Status.CONNECTING)
        await ada.write(0, 1)
        await until(lambda: len(provider.asked_at) > 4)
        assert ada.pending == 2
        assert ada.expired.values == [""]
        provider.error = None
        await oracle.check(shop, ada, range(2))
        await oracle.check_closed(ada)


@pytest.mark.fault(16, 47)
async def test_token_refused_again_and_again_makes_no_storm(shop):
    """Sockets that open only to be closed with 4001 prove nothing: the delay between them keeps growing."""
    provider = Provider()
    async with shop.customer(ws_token=provider, reconnect=Backoff(0.03, 30, "none")) as ada:
        shop.rows.refused.add(SOCKET)
        shop.faults.close_sockets(TOKEN_EXPIRED)
        await ada.until_status(Status.OFFLINE, Status.CONNECTING)
        await ada.write(0, 1)
        await until(lambda: len(provider.asked_at) == 6)
        gaps = [later - sooner for sooner, later in zip(provider.asked_at[1:], provider.asked_at[2:], strict=False)]
        assert all(gap > 0.03 * 2**number * 0.9 for number, gap in enumerate(gaps, start=1)), gaps
        provider.token = ADA
        await oracle.check(shop, ada, range(2))
        await oracle.check_closed(ada)


# --- 17: the bearer is refused


@pytest.mark.fault(17)
async def test_refused_bearer_fails_a_direct_call_once(shop, ada):
    """``ServerError`` with code UNAUTHORIZED, after one request; a write is rolled back."""
    shop.rows.refused.add(ADA)
    asked = len(shop.rows.asked)
    with pytest.raises(ServerError) as raised:
        await ada.client.query("rows:list")
    assert raised.value.code == "UNAUTHORIZED"
    error = await ada.verdict_on(0)
    assert isinstance(error, ServerError)
    assert error.code == "UNAUTHORIZED"
    assert len(shop.rows.asked) == asked + 2
    assert ada.numbers == []
    shop.rows.refused.clear()
    await ada.write(1)
    await oracle.check(shop, ada, [1])


@pytest.mark.fault(17)
@pytest.mark.parametrize("count", [1, 3], ids=["single", "batch"])
async def test_refused_bearer_holds_queued_writes_for_a_new_one(shop, clock, count):
    """One request, one notice, and then nothing, however long: a new token for the same user sends them all."""
    async with shop.customer(heartbeat_interval=0) as ada:
        shop.cut()
        await ada.until_status(Status.OFFLINE)
        await ada.write(*range(count))
        shop.rows.refused.add(ADA)
        await shop.heal()
        await until(lambda: ada.expired.values)
        asked = shop.rows.asked.count(ADA)
        for _ in range(3):
            await clock.jump(120)
        await ada.write(count)
        assert ada.pending == count + 1
        assert ada.numbers == [*range(count + 1)]
        assert shop.rows.asked.count(ADA) == asked
        assert ada.expired.values == [None]
        ada.client.set_auth_token(ADA_2, "ada")
        await oracle.check(shop, ada, range(count + 1))
        assert {row["author"] for row in await shop.table()} == {"ada"}
        await oracle.check_closed(ada)


@pytest.mark.fault(17)
async def test_refusal_of_one_slot_holds_that_write_alone(shop, ada):
    """The others of the batch are committed; the held one follows under a new token."""
    shop.cut()
    await ada.until_status(Status.OFFLINE)
    shop.rows.refused.add("guarded")
    for number in range(3):
        ada.add(number, text="guarded" if number == 1 else "")
    await shop.heal()
    await until(lambda: ada.expired.values and ada.pending == 1)
    assert shop.runs == [0, 2]
    shop.rows.refused.clear()
    ada.client.set_auth_token(ADA_2, "ada")
    await oracle.check(shop, ada, [0, 2, 1])
    assert ada.expired.values == [None]


# --- 18: somebody else signs in


@pytest.mark.fault(18, 60)
@pytest.mark.parametrize("count", [1, 3], ids=["single", "batch"])
async def test_queued_writes_of_another_user_are_never_sent(shop, ada, count):
    """They are rejected and rolled back when Bob signs in, and Bob's own are the only ones to go out."""
    shop.cut()
    await ada.until_status(Status.OFFLINE)
    await ada.write(*range(count))
    ada.client.set_auth_token(BOB, "bob")
    await ada.write(10)
    await shop.heal()
    for number in range(count):
        error = await ada.verdict_on(number)
        assert isinstance(error, QueueError)
        assert error.code == "OFFLINE_IDENTITY_CHANGED"
    await oracle.check(shop, ada, [10])
    assert [row["author"] for row in await shop.table()] == ["bob"]


@pytest.mark.fault(18, 60)
@pytest.mark.parametrize("mode", ["direct", "single", "batch"])
async def test_write_in_flight_stays_its_authors_when_another_signs_in(shop, ada, mode):
    """What left under Ada's token is Ada's, answered to who awaited it; what follows is Bob's."""
    numbers = [0, 1, 2] if mode == "batch" else [0]
    if mode != "direct":
        shop.cut()
        await ada.until_status(Status.OFFLINE)
    shop.faults.stall()
    for number in numbers:
        ada.add(number)
    await shop.heal()
    await until(lambda: shop.runs == numbers)
    ada.client.set_auth_token(BOB, "bob")
    shop.faults.release()
    for number in numbers:
        assert await ada.verdict_on(number) is None
    await ada.write(10)
    await oracle.check(shop, ada, [*numbers, 10])
    assert [row["author"] for row in await shop.table()] == ["ada"] * len(numbers) + ["bob"]


@pytest.mark.fault(18, 60)
async def test_query_in_flight_is_answered_for_its_author_when_another_signs_in(shop, ada):
    """A call keeps the token it left with."""
    shop.faults.stall()
    query = ada.client.query("server:who")
    await until(lambda: shop.rows.asked[-1] == ADA)
    ada.client.set_auth_token(BOB, "bob")
    shop.faults.release()
    assert await query == "ada"
    assert await ada.client.query("server:who") == "bob"
    await oracle.check(shop, ada, [])


@pytest.mark.fault(18, 60)
async def test_values_of_another_user_leave_the_screen_at_once_and_late_frames_bring_none_back(shop):
    """What the server still had to say to Ada arrives after Bob signed in, and before his socket is there."""
    provider = Provider()
    async with shop.customer(ws_token=provider) as ada:
        await ada.write(0)
        screen = Screen(ada.client)
        await screen.until_shown("ada", 0)
        assert screen.readers == ["ada"]
        shop.sockets.stall(Way.DOWN)
        await ada.write(1)
        provider.may_answer.clear()
        provider.token = BOB
        ada.client.set_auth_token(BOB, "bob")
        assert screen.is_empty
        await shop.sockets.heal()
        # The frame with Ada's row is on its way, and behind it the end of her socket.
        await until(lambda: len(provider.asked_at) == 2 and shop.sockets.open_connections == 0)
        assert screen.is_empty
        assert screen.readers == []
        provider.may_answer.set()
        await screen.until_shown("bob", 0, 1)
        assert screen.readers == ["bob"]
        await oracle.check(shop, ada, range(2))
        await oracle.check_closed(ada)


@pytest.mark.fault(18, 60)
async def test_values_that_another_user_left_on_disk_are_not_shown(shop, storage):
    """Offline Ada sees what she saw last, Bob nothing; online he sees his own, and she finds nothing of his."""
    async with shop.customer(storage=storage) as ada:
        await ada.write(0)
        await Screen(ada.client).until_shown("ada", 0)
        await oracle.check_closed(ada, storage=storage)
    shop.cut()
    async with shop.client(storage=storage) as client:
        await Screen(client).until_shown("ada", 0)
    async with shop.client(storage=storage, auth_token=BOB, auth_subject="bob", ws_token=BOB) as client:
        screen = Screen(client)
        await until(lambda: client.status.value is Status.OFFLINE)
        assert screen.is_empty
        await shop.heal()
        await screen.until_shown("bob", 0)
        assert screen.readers == ["bob"]
    shop.cut()
    async with shop.client(storage=storage) as client:
        screen = Screen(client)
        await until(lambda: client.status.value is Status.OFFLINE)
        assert screen.is_empty
        client.set_auth_token(BOB, "bob")
        assert screen.is_empty
        assert screen.readers == []


@pytest.mark.fault(18, 60)
async def test_writes_of_a_user_who_signs_out_wait_for_their_return(shop, ada):
    """Nobody's session does not send them, and does not lose them either."""
    shop.cut()
    await ada.until_status(Status.OFFLINE)
    await ada.write(0, 1)
    ada.client.set_auth_token(None)
    await shop.heal()
    await ada.until_status(Status.CONNECTED)
    assert (await shop.table(), ada.pending) == ([], 2)
    ada.client.set_auth_token(ADA_2, "ada")
    await oracle.check(shop, ada, range(2))
    assert {row["author"] for row in await shop.table()} == {"ada"}


@pytest.mark.fault(18, 60)
async def test_writes_of_nobody_are_not_sent_as_somebody(shop):
    """What was queued signed out is rejected when Bob signs in."""
    async with shop.customer(auth_token=None, auth_subject=None) as nobody:
        shop.cut()
        await nobody.until_status(Status.OFFLINE)
        await nobody.write(0, 1)
        nobody.client.set_auth_token(BOB, "bob")
        await shop.heal()
        assert [(await nobody.verdict_on(number)).code for number in (0, 1)] == ["OFFLINE_IDENTITY_CHANGED"] * 2
        await oracle.check(shop, nobody, [])
        await oracle.check_closed(nobody)
