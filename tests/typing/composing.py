"""A program that is never run: what composing gives has the types that users expect."""

from __future__ import annotations

from typing import Any, TypedDict, assert_type

from reactivex import Observable
from reactivex.abc import DisposableBase

from lunora_rx import (
    Combined,
    LunoraClient,
    QueryRef,
    ShapeRef,
    bind,
    observable_to_aiter,
    observe_on_thread,
)


class Row(TypedDict):
    """A row."""

    n: int


ROWS: QueryRef[Any, list[Row]] = QueryRef("rows:list")
COUNT: QueryRef[Any, int] = QueryRef("rows:count")
SHAPE: ShapeRef[Any, Row] = ShapeRef("rows")


async def combined(client: LunoraClient) -> None:
    """Live queries of one type keep it; members of several types, or of other kinds, are anything."""
    alike = client.combine({"a": client.live(COUNT), "b": client.live(COUNT, {"of": "b"})})
    assert_type(alike, Combined[int])
    assert_type(alike.value, dict[str, int])
    assert_type(await alike.first(lambda shown: shown["a"] > 1), dict[str, int])
    async for shown in alike.aiter():
        assert_type(shown, dict[str, int])
    assert_type(alike.map(lambda shown: shown["a"] + shown["b"]), Observable[int])
    mixed = client.combine({"rows": client.live(ROWS), "count": client.live(COUNT)})
    assert_type(mixed, Combined[Any])
    assert_type(await mixed.first(), dict[str, Any])
    assert_type(client.combine({"status": client.status, "rows": client.live(ROWS).snapshots}), Combined[Any])
    client.combine({"shape": client.shape(SHAPE), "page": client.paginate("rows:page")}, patience=0.1)


async def crossed(client: LunoraClient) -> None:
    """An operator keeps the element type."""
    crossed = client.live(ROWS).pipe(observe_on_thread("charts", overflow="error"))
    assert_type(crossed, Observable[list[Row]])
    async for rows in observable_to_aiter(crossed, overflow="oldest", max_buffer=5):
        assert_type(rows, list[Row])


def bound(client: LunoraClient) -> None:
    """A setter takes what the Observable gives."""
    counts: list[int] = []
    assert_type(bind(client.live(COUNT), counts.append), DisposableBase)
    with bind(client.live(ROWS), lambda rows: counts.append(len(rows)), schedule=lambda run: run(), until=print):
        pass
    bind(client.live(ROWS), counts.append)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def refused(client: LunoraClient) -> None:
    """What cannot be combined is seen before it is run."""
    client.combine([client.status])  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    client.combine({"rows": [1]})  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    observe_on_thread(overflow="newest")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
