"""Combinations over real sockets: no reader of two queries sees a write in one of them only."""

from __future__ import annotations

import asyncio

import pytest
import reactivex

from lunora_rx import Backoff, LunoraClient, ServerError
from tests.support import Recorder, until

BRIEF = Backoff(initial=0.01, maximum=0.03)


@pytest.fixture
async def bank(no_tasks_left, origin):
    """A client of a bank of two accounts between which money moves, so that the sum is always 100, and the URL."""
    async with LunoraClient(origin, reconnect=BRIEF) as client:
        await client.mutation("accounts:open")
        yield client, origin


async def watch(client):
    """What a combination of both balances shows, and what ``combine_latest`` does."""
    balances = {name: client.live("accounts:balance", {"name": name}) for name in ("a", "b")}
    combined, latest = Recorder(), Recorder()
    client.combine(balances).subscribe(combined)
    reactivex.combine_latest(*balances.values()).subscribe(latest)
    await until(lambda: combined.values and latest.values)
    return combined, latest


def sums(told):
    """What the balances of each state come to."""
    return {sum(each.values() if isinstance(each, dict) else each) for each in told}


async def test_mutation_of_another_client_is_seen_in_both_queries_or_in_none(bank):
    """The server tells it in two frames; ``combine_latest`` shows money that is nowhere, or in two places."""
    client, url = bank
    combined, latest = await watch(client)
    async with LunoraClient(url) as other:
        for amount in (10, 20, 30):
            await other.mutation("accounts:move", {"amount": amount})
            await until(lambda amount=amount: latest.last[1] == combined.last["b"] and combined.last["b"] >= amount)
    await until(lambda: combined.last == {"a": 40, "b": 60})
    assert combined.values == [{"a": 100 - b, "b": b} for b in (0, 10, 30, 60)]
    assert sums(latest.values) != {100}


@pytest.mark.parametrize("is_refused", [False, True])
async def test_optimistic_mutation_is_seen_in_both_queries_or_in_none(bank, is_refused):
    """Its patches, and its verdict or rollback."""
    client, _ = bank
    combined, latest = await watch(client)

    def move(store, args):
        for name, change in (("a", -10), ("b", 10)):
            balance = store.get_query("accounts:balance", {"name": name})
            store.set_query("accounts:balance", {"name": name}, 10 if name == "b" else balance + change)

    write = client.mutation("accounts:move", {"amount": -10 if is_refused else 10}, optimistic_update=move)
    (verdict,) = await asyncio.gather(write, return_exceptions=True)
    assert isinstance(verdict, ServerError) is is_refused
    await until(lambda: combined.last == ({"a": 100, "b": 0} if is_refused else {"a": 90, "b": 10}))
    assert sums(combined.values) == {100}
    assert sums(latest.values) != {100}


async def test_storm_of_mutations_is_seen_in_both_queries_or_in_none(bank):
    """Sixty at once."""
    client, url = bank
    combined, _ = await watch(client)
    async with LunoraClient(url) as other:
        await asyncio.gather(*(other.mutation("accounts:move", {"amount": 1}) for _ in range(60)))
    await until(lambda: combined.last == {"a": 40, "b": 60})
    assert sums(combined.values) == {100}
