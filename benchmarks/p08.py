"""P8: one row of a shape changes."""

from typing import Any

import orjson

from benchmarks.frame_server import payload
from benchmarks.inmemory import opened, wired
from benchmarks.measure import Row, interleave

SMALL, LARGE = 100, 100_000
POKES = 200


async def measure(*, rounds: int, quick: bool) -> Row:
    """Measure the row."""
    large = 10_000 if quick else LARGE
    changes: list[Any] = []
    async with wired() as one, wired() as other:
        for wire, size in ((one, large), (other, SMALL)):
            wire.client.shape("rows").changes.subscribe(changes.append)
            await opened(wire.client)
            wire.receive(seed(size))
        mine, theirs = await interleave(
            lambda: one.receive(pokes(POKES)), lambda: other.receive(pokes(POKES)), rounds=max(rounds, 9)
        )
    return Row(
        "P8",
        f"a one-row poke on a shape of {large:,} rows, through `.changes`",
        f"one of {SMALL} rows",
        mine,
        theirs,
        "<= 1.5",
        is_speed=False,
        remark=f"{min(mine) / POKES * 1e6:.1f} us a poke of three frames; {len(changes):,} changes seen",
    )


def seed(size: int) -> list[bytes]:
    """Return the frames that give the first shape its rows."""
    return _poke(0, payload(size), is_reset=True)


def pokes(count: int) -> list[bytes]:
    """Return the frames of as many pokes of one row each of the first shape."""
    row = payload(1)[0]
    return [frame for number in range(count) for frame in _poke(number, [{**row, "score": number}])]


def _poke(number: int, rows: list[dict[str, Any]], *, is_reset: bool = False) -> list[bytes]:
    patch = [{"op": "update", "key": row["_id"], "table": "messages", "value": row} for row in rows]
    part = {"type": "pokePart", "pokeId": number, "shapeId": "shape_1", "rowsPatch": patch}
    frames = [
        {"type": "pokeStart", "pokeId": number, "epoch": "e"},
        {**part, "reset": True} if is_reset else part,
        {"type": "pokeEnd", "pokeId": number, "checkpoint": number, "epoch": "e"},
    ]
    return [orjson.dumps(each) for each in frames]
