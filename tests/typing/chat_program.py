"""Calls through generated references: checked by mypy and pyright, and run against the server behind them."""

# pyright: strict

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, assert_type

import reactivex
from reactivex import Observable

from lunora_rx import (
    Call,
    LiveQuery,
    LunoraClient,
    Mutation,
    MutationRef,
    PagedQueryRef,
    PageValue,
    PaginatedQuery,
    Preloaded,
    QueryRef,
    ShapeRef,
    Stream,
    StreamRef,
    WireBigInt,
)
from lunora_rx.core.local_store import LocalStore
from tests.typing.chat_api import (
    Attachment,
    ChannelsId,
    Message,
    MessagesId,
    MessagesListArgs,
    MessagesListResult,
    MessagesPagesArgs,
    MessagesPagesPageArgs,
    MessagesSendArgs,
    Thread,
    api,
)

GENERAL = ChannelsId("general")


async def program(client: LunoraClient) -> dict[str, Any]:
    """Call every function, and return what was seen."""
    attachment: Attachment = {"name": "a.txt", "size": 3}
    sent = client.mutation(
        api.messages.send, {"channelId": GENERAL, "text": "hi", "mood": "loud", "attachments": (attachment,)}
    )
    assert_type(sent, Mutation[MessagesId])
    message_id = await sent
    assert_type(message_id, MessagesId)

    live = client.live(api.messages.list, {"channelId": GENERAL})
    assert_type(live, LiveQuery[list[Message]])
    rows = await live.first()
    assert_type(rows, MessagesListResult)
    assert_type(rows[0]["attachments"], list[Attachment])

    pages = client.paginate(api.messages.pages, {"channelId": GENERAL}, page_size=2)
    assert_type(pages, PaginatedQuery[Message])
    page = await client.query(
        api.messages.pages,
        {"channelId": GENERAL, "paginationOpts": {"lower": None, "upper": None, "numItems": 1}},
    )
    assert_type(page, PageValue[Message])

    thread: Thread = {"text": "a", "replies": [{"text": "b", "replies": []}]}
    url = await client.query(api.admin.users.get_url, {"user": "ada"})
    assert_type(url, str | None)
    given = client.action(
        api.admin.import_,
        {"signed": {"content-type": "x", "data": b"\0"}, "big": WireBigInt(2**70), "at": datetime.now(UTC)},
    )
    assert_type(given, Call[dict[str, Any]])
    return {
        "id": message_id,
        "rows": rows,
        "pages": await pages.first(),
        "page": page["page"],
        "count": await client.query(api.messages.count),
        "thread": await client.query(api.messages.thread, {"start": thread}),
        "no thread": await client.query(api.messages.thread),
        "url": url,
        "given": await given,
        "clock": await client.action(api.admin.clock),
        "preloaded": (await client.preload(api.messages.list, {"channelId": GENERAL, "limit": 1})).value,
    }


def kinds(client: LunoraClient, args: MessagesListArgs, source: Observable[MessagesListArgs]) -> None:
    """References know their types, and what may be left out may be left out."""
    listed: QueryRef[MessagesListArgs, list[Message]] = api.messages.list
    paged: PagedQueryRef[MessagesPagesArgs, PageValue[Message], MessagesPagesPageArgs] = api.messages.pages
    written: MutationRef[MessagesSendArgs, MessagesId] = api.messages.send
    assert listed.kind == paged.kind != written.kind
    assert_type(client.live(api.messages.list, args), LiveQuery[list[Message]])
    assert_type(client.live(api.messages.list, source), LiveQuery[list[Message]])
    assert_type(client.live(api.messages.list, reactivex.just(args)), LiveQuery[list[Message]])
    assert_type(client.live(api.messages.thread), LiveQuery[Thread])
    assert_type(client.live(api.messages.thread, None), LiveQuery[Thread])
    assert_type(client.live(api.messages.thread, {}), LiveQuery[Thread])
    assert_type(client.live(api.messages.thread, shard="a"), LiveQuery[Thread])
    assert_type(client.live(api.messages.pages.path), LiveQuery[Any])
    assert_type(client.preload(api.messages.thread), Call[Preloaded[Thread]])
    assert_type(client.hydrate(Preloaded("messages:count", {}, None, 3)), LiveQuery[int])


def streams(
    client: LunoraClient, numbers: StreamRef[MessagesListArgs | None, int], rows: ShapeRef[None, Message]
) -> None:
    """Streams and shapes are in no document, and typed by hand in the same way."""
    assert_type(client.stream(numbers), Stream[int])
    assert_type(client.stream(numbers, {"channelId": GENERAL}), Stream[int])
    client.shape(rows).subscribe(lambda found: print([row["text"] for row in found]))


def optimistic(client: LunoraClient) -> None:
    """What updates optimistically gets the arguments as they are typed."""

    def update(store: LocalStore, args: MessagesSendArgs) -> None:
        store.set_query(api.messages.count, {}, len(args["text"]))

    client.mutation(api.messages.send, {"channelId": GENERAL, "text": "hi"}, optimistic_update=update)
    client.mutation(
        api.messages.send,
        {"channelId": GENERAL, "text": "hi"},
        optimistic_update=lambda store, args: store.set_query(api.messages.count, {}, len(args["text"])),
    )
