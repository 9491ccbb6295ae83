"""Shapes, in pokes and as a client sees them: complete at first, in step afterwards, and on from a checkpoint."""

from __future__ import annotations

from itertools import pairwise

import pytest

from lunora_rx import LunoraClient
from tests.e2e.peer import call, connected
from tests.support import QUICK, Recorder, until

ADD = "rows:add"
ALL = "rows:all"


def parts(poke, id="shape_1"):
    """The operations of a poke for a shape, as ``(op, key)``."""
    return [(each["op"], each["key"]) for part in poke[1:-1] if part["shapeId"] == id for each in part["rowsPatch"]]


async def add(origin, n):
    """Write a row; return its id."""
    return (await call(origin, ADD, {"n": n}))[1]["result"]


async def test_shape_begins_with_the_complete_membership(origin):
    """`reset` says so, also where there is no row; the end has checkpoint and epoch."""
    async with connected(origin) as peer:
        empty = await peer.follow(ALL, id="shape_1")
        row = await add(origin, 1)
        await peer.poke()
        full = await peer.follow(ALL, id="shape_2")
    assert [each["type"] for each in empty] == ["pokeStart", "pokePart", "pokeEnd"]
    assert (empty[1]["reset"], empty[1]["rowsPatch"]) == (True, [])
    assert {"checkpoint", "epoch"} <= empty[-1].keys()
    assert (full[1]["reset"], parts(full, "shape_2")) == (True, [("insert", row)])
    assert full[1]["rowsPatch"][0]["value"]["n"] == 1


async def test_changes_come_as_pokes_whose_bases_are_the_checkpoints_before(origin):
    """A row enters, leaves because it matches no more, and comes back."""
    async with connected(origin) as peer:
        poke = await peer.follow("rows:of", args={"n": 1})
        row = await add(origin, 1)
        pokes = [await peer.poke()]
        for n in (2, 1):
            await call(origin, "rows:set", {"id": row, "n": n})
            pokes.append(await peer.poke())
        await add(origin, 2)
        await call(origin, "rows:remove", {"id": row})
        pokes.append(await peer.poke())
    assert [operation for each in pokes for operation, _ in parts(each)] == ["insert", "delete", "insert", "delete"]
    for before, after in pairwise([poke, *pokes]):
        base = after[1].get("baseCheckpoint", after[0].get("baseCheckpoint"))
        assert base == before[-1]["checkpoint"]


async def test_shape_goes_on_from_a_checkpoint_with_what_became_of_each_row(origin):
    """Without a reset; also where nothing was changed."""
    kept, gone = await add(origin, 1), await add(origin, 2)
    async with connected(origin) as peer:
        held = (await peer.follow(ALL))[-1]
    await call(origin, "rows:remove", {"id": gone})
    new = await add(origin, 3)
    await call(origin, "rows:set", {"id": kept, "n": 9})
    async with connected(origin) as peer:
        poke = await peer.follow(ALL, since=held)
        assert {key: op == "delete" for op, key in parts(poke)} == {kept: False, gone: True, new: False}
        assert not any(part.get("reset") for part in poke[1:-1])
    async with connected(origin) as peer:
        unchanged = await peer.follow(ALL, since=poke[-1])
        assert (unchanged[-1]["type"], parts(unchanged)) == ("pokeEnd", [])


@pytest.mark.parametrize("since", [{"checkpoint": 10**6}, {"epoch": "none"}], ids=str)
async def test_checkpoint_that_cannot_be_judged_gets_a_reset(origin, since):
    """Of the future, or of another epoch."""
    row = await add(origin, 1)
    async with connected(origin) as peer:
        held = (await peer.follow(ALL))[-1]
        poke = await peer.follow(ALL, since=held | since)
        assert (poke[1]["reset"], parts(poke)) == (True, [("insert", row)])


async def test_shape_that_there_is_not_is_refused_by_its_id(origin):
    """And one that ended is told nothing more."""
    async with connected(origin) as peer:
        (error,) = await peer.follow("rows:none", id="shape_9")
        assert (error["type"], error["id"], error["error"]["code"]) == ("error", "shape_9", "NOT_FOUND")
        await peer.follow(ALL, id="shape_1")
        await peer.follow(ALL, id="shape_2")
        await peer.send("shape_unsubscribe", id="shape_1")
        await add(origin, 1)
        assert (await peer.poke())[1]["shapeId"] == "shape_2"


async def test_shape_of_a_client_is_in_step_through_cuts(no_tasks_left, gateway):
    """It shows the server's rows, and each change once."""
    async with LunoraClient(gateway.url, reconnect=QUICK) as client:
        seen = Recorder()
        client.shape(ALL).subscribe(seen)
        await until(lambda: seen.values)
        for number in range(12):
            if number % 4 == 2:
                gateway.drop_sockets()
            row = await client.mutation(ADD, {"n": number})
            if number % 3 == 0:
                await client.mutation("rows:remove", {"id": row})
        rows = await client.query("rows:list")
        await until(lambda: [row["n"] for row in seen.last] == [1, 2, 4, 5, 7, 8, 10, 11])
        assert seen.last == rows
        assert all(before != after for before, after in pairwise(seen.values))
