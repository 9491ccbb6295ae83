"""A program that is never run: mypy and pyright check that the types of the public face are what users expect."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, TypedDict, assert_type

from reactivex import Observable

from lunora_rx import (
    ActionRef,
    Call,
    Counts,
    Failed,
    FrameText,
    LiveQuery,
    LunoraClient,
    Mutation,
    MutationRef,
    Ok,
    Phase,
    QueryRef,
    Snapshot,
    Status,
    Tap,
    api,
    observable_to_aiter,
)


class ListArgs(TypedDict):
    """Arguments of ``messages:list``."""

    channelId: str


class Message(TypedDict):
    """A row of ``messages``."""

    text: str


LIST: QueryRef[ListArgs, list[Message]] = QueryRef("messages:list")
SEND: MutationRef[Message, str] = MutationRef("messages:send")
MAIL: ActionRef[Any, int] = ActionRef("mail:send")


async def typed(client: LunoraClient) -> None:
    """A typed reference gives its result everywhere."""
    live = client.live(LIST, {"channelId": "general"})
    assert_type(live, LiveQuery[list[Message]])
    assert_type(live.value, list[Message])
    assert_type(live.snapshot, Snapshot[list[Message]])
    assert_type(live.snapshots, Observable[Snapshot[list[Message]]])
    assert_type(live.resilient, Observable[list[Message]])
    assert_type(await live.first(), list[Message])
    assert_type(await live.first(lambda rows: len(rows) > 1), list[Message])
    async for rows in live.aiter():
        assert_type(rows, list[Message])
    assert_type(client.query(LIST, {"channelId": "general"}), Call[list[Message]])
    assert_type(await client.query(LIST, {"channelId": "general"}), list[Message])
    assert_type(client.mutation(SEND, {"text": "hi"}), Mutation[str])
    assert_type(await client.mutation(SEND, {"text": "hi"}), str)
    assert_type(await client.action(MAIL), int)


async def untyped(client: LunoraClient) -> None:
    """A string or a path of ``api`` gives anything."""
    assert_type(client.live("messages:list"), LiveQuery[Any])
    assert_type(client.live(api.messages.list), LiveQuery[Any])
    assert_type(await client.query("messages:list"), Any)


def fluent(client: LunoraClient) -> None:
    """The fluent ``map`` keeps types."""
    assert_type(client.live(LIST, {"channelId": "general"}).map(lambda rows: len(rows)), Observable[int])


def following(client: LunoraClient, channels: Observable[ListArgs]) -> None:
    """Arguments may be an Observable."""
    assert_type(client.live(LIST, channels), LiveQuery[list[Message]])


async def beside(client: LunoraClient) -> None:
    """Status, phases and batches."""
    assert_type(client.status.value, Status)
    assert_type(client.mutation(SEND, {"text": "hi"}).phases.map(lambda phase: phase), Observable[Phase])
    assert_type(client.token_expired, Observable[str | None])
    for slot in await client.batch([(LIST, {"channelId": "general"}), ("a:b",)]):
        assert_type(slot, Ok[Any] | Failed)


def iterating(source: Observable[int]) -> AsyncIterator[int]:
    """Any Observable can be iterated over."""
    return observable_to_aiter(source, overflow="oldest", max_buffer=5)


class Sizes(Tap):
    """A tap may leave out what it does not care for."""

    def note_frame(self, shard: str, frame: FrameText) -> None:
        """The types of what it is told are those of the seam."""
        assert_type(frame.size, int)


def looking_on(client: LunoraClient) -> None:
    """Taps and counts."""
    client.tap(Sizes()).dispose()
    assert_type(client.counts(), Counts)
