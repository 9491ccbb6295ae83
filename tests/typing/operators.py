"""A program that is never run: element types flow through the operators, and mistakes are reported by both checkers."""
# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from typing import Any, TypedDict, assert_type

import pandas
import polars
from reactivex import Observable

from lunora_rx import Backoff, LunoraClient, QueryRef, RowChanges, Shape, ShapeRef
from lunora_rx import operators as lops


class Message(TypedDict):
    """A row of ``messages``."""

    _id: str
    by: str
    text: str


class User(TypedDict):
    """A row of ``users``."""

    _id: str
    name: str


LIST: QueryRef[Any, list[Message]] = QueryRef("messages:list")
USERS: QueryRef[Any, list[User]] = QueryRef("users:list")
ALL: ShapeRef[Any, User] = ShapeRef("users:all")


def is_long(message: Message) -> bool:
    """A predicate of a message."""
    return len(message["text"]) > 80


def author(message: Message, user: User) -> tuple[str, str]:
    """A message with its author."""
    return message["text"], user["name"]


def author_if_any(message: Message, user: User | None) -> str:
    """A message with its author, who may be gone."""
    return message["text"] if user is None else user["name"]


def id_of(message: Message) -> str:
    """A key."""
    return message["_id"]


def rows(client: LunoraClient) -> None:
    """Rows keep their type."""
    live = client.live(LIST)
    assert_type(live.pipe(lops.changes()), Observable[RowChanges[Message]])
    assert_type(live.pipe(lops.changes("by")), Observable[RowChanges[Message]])
    assert_type(live.pipe(lops.by_id()), Observable[dict[str, Message]])
    assert_type(live.pipe(lops.by_id(id_of)), Observable[dict[str, Message]])
    assert_type(live.pipe(lops.row("m")), Observable[Message | None])
    assert_type(live.pipe(lops.where(is_long)), Observable[list[Message]])
    assert_type(live.pipe(lops.select("text")), Observable[list[dict[str, Any]]])
    assert_type(live.pipe(lops.where(is_long), lops.changes()), Observable[RowChanges[Message]])


def shapes(client: LunoraClient) -> None:
    """So do those of a shape."""
    shape = client.shape(ALL)
    assert_type(shape, Shape[User])
    assert_type(shape.pipe(lops.changes()), Observable[RowChanges[User]])
    assert_type(shape.pipe(lops.row("u")), Observable[User | None])


def fluently(client: LunoraClient) -> None:
    """The fluent ``map`` knows what an operator gives."""
    changes = client.live(LIST).pipe(lops.changes())
    assert_type(changes.map(lambda told: told.added), Observable[list[Message]])
    assert_type(client.live(LIST).map(len).pipe(lops.history(5)), Observable[list[int]])


def any_values(client: LunoraClient, numbers: Observable[float]) -> None:
    """What works on any value keeps its type."""
    live = client.live(LIST)
    assert_type(live.pipe(lops.conflate(1)), Observable[list[Message]])
    assert_type(live.pipe(lops.retry_backoff(Backoff())), Observable[list[Message]])
    assert_type(live.pipe(lops.log("messages")), Observable[list[Message]])
    assert_type(live.snapshots.pipe(lops.unwrap()), Observable[list[Message]])
    assert_type(live.pipe(lops.history(seconds=5)), Observable[list[list[Message]]])
    assert_type(numbers.pipe(lops.rate(10), lops.ewma(half_life=5)), Observable[float])


def joins(client: LunoraClient) -> None:
    """A join gives dicts, or what its function makes."""
    live, users = client.live(LIST), client.live(USERS)
    assert_type(live.pipe(lops.join(users, on=("by", "_id"))), Observable[list[dict[str, Any]]])
    assert_type(live.pipe(lops.join(users, on=("by", "_id"), into=author)), Observable[list[tuple[str, str]]])
    left = lops.join(users, on=("by", "_id"), how="left", into=author_if_any)
    assert_type(live.pipe(left), Observable[list[str]])


def frames(client: LunoraClient) -> None:
    """Each engine gives its own frames."""
    live = client.live(LIST)
    assert_type(live.pipe(lops.to_frame()), Observable[pandas.DataFrame])
    assert_type(live.pipe(lops.to_frame("pandas", index="_id")), Observable[pandas.DataFrame])
    assert_type(live.pipe(lops.to_frame("polars", columns=["text"])), Observable[polars.DataFrame])


def untyped(client: LunoraClient) -> None:
    """A query of unknown type goes through everything."""
    live = client.live("messages:list")
    assert_type(live.pipe(lops.changes()), Observable[RowChanges[Any]])
    assert_type(live.pipe(lops.to_frame()), Observable[pandas.DataFrame])


def mistakes(client: LunoraClient, texts: Observable[str], numbers: Observable[int]) -> None:
    """Each of these is reported."""
    live = client.live(LIST)
    numbers.pipe(lops.changes())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    texts.pipe(lops.ewma(0.5))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    live.pipe(lops.rate())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    live.pipe(lops.unwrap())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.live(USERS).pipe(lops.where(is_long))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    live.pipe(lops.to_frame("dask"))  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    lops.to_frame("polars", index="_id")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    lops.retry_backoff(2.5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    lops.conflate("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    lops.select(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    lops.row()  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
