"""A program that is never run: the types of the blocking client are those of the other one, without ``await``."""

from __future__ import annotations

from typing import Any, TypedDict, assert_type

from reactivex import Observable

from lunora_rx import (
    ActionRef,
    Failed,
    ImportProgress,
    MutationRef,
    Ok,
    PagedQueryRef,
    PageStatus,
    PageValue,
    Phase,
    Preloaded,
    QueryRef,
    RowChanges,
    ShapeRef,
    Snapshot,
    Status,
    StreamRef,
    User,
    Whisper,
    api,
)
from lunora_rx.blocking import (
    BlockingObservable,
    Call,
    LiveQuery,
    LunoraClient,
    Mutation,
    PaginatedQuery,
    Shape,
    ShownObservable,
)


class ListArgs(TypedDict):
    """Arguments of ``messages:list``."""

    channelId: str


class Message(TypedDict):
    """A row of ``messages``."""

    text: str


LIST: QueryRef[ListArgs, list[Message]] = QueryRef("messages:list")
PAGE: PagedQueryRef[ListArgs, PageValue[Message], ListArgs] = PagedQueryRef("messages:page")
SEND: MutationRef[Message, str] = MutationRef("messages:send")
MAIL: ActionRef[Any, int] = ActionRef("mail:send")
WORDS: StreamRef[Any, str] = StreamRef("words:all")
OPEN: ShapeRef[Any, Message] = ShapeRef("open")


def constructed() -> LunoraClient:
    """The constructor knows the other one's arguments."""
    LunoraClient("http://localhost", request_timeout="soon")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    LunoraClient("http://localhost", no_such=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    with LunoraClient("http://localhost", request_timeout=5, storage="./data") as client:
        return client


def typed(client: LunoraClient) -> None:
    """A typed reference gives its result everywhere."""
    live = client.live(LIST, {"channelId": "general"})
    assert_type(live, LiveQuery[list[Message]])
    assert_type(live.value, list[Message])
    assert_type(live.snapshot, Snapshot[list[Message]])
    assert_type(live.snapshots, ShownObservable[Snapshot[list[Message]]])
    assert_type(live.first(lambda rows: len(rows) > 1, timeout=5), list[Message])
    for rows in live:
        assert_type(rows, list[Message])
    for rows in live.iter(timeout=1, conflate=False):
        assert_type(rows, list[Message])
    assert_type(client.query(LIST, {"channelId": "general"}), list[Message])
    assert_type(client.mutation(SEND, {"text": "hi"}), str)
    assert_type(client.action(MAIL), int)
    assert_type(client.start.query(LIST, {"channelId": "general"}), Call[list[Message]])
    assert_type(client.start.mutation(SEND, {"text": "hi"}), Mutation[str])
    assert_type(client.start.mutation(SEND, {"text": "hi"}).result(5), str)
    assert_type(client.start.action(MAIL).cancel(), bool)
    assert_type([phase for phase in client.start.mutation(SEND, {"text": "hi"}).phases], list[Phase])  # noqa: C416


def untyped(client: LunoraClient) -> None:
    """A string or a path of ``api`` gives anything."""
    assert_type(client.live("messages:list"), LiveQuery[Any])
    assert_type(client.query(api.messages.list), Any)
    assert_type(client.mutation("messages:send"), Any)


def views(client: LunoraClient) -> None:
    """Shapes, pages, streams and whispers."""
    shape = client.shape(OPEN)
    assert_type(shape, Shape[Message])
    assert_type(shape.changes, BlockingObservable[RowChanges[Message]])
    pages = client.paginate(PAGE, {"channelId": "general"}, page_size=10)
    assert_type(pages, PaginatedQuery[Message])
    assert_type(pages.first(), list[Message])
    assert_type(pages.status, PageStatus)
    for word in client.stream(WORDS):
        assert_type(word, str)
    for whisper in client.whispers("typing"):
        assert_type(whisper, Whisper)
    assert_type(client.http_stream("/jobs/:id", params={"id": 1}), BlockingObservable[Any])


def beside(client: LunoraClient, channels: Observable[ListArgs]) -> None:
    """What is beside the calls."""
    assert_type(client.live(LIST, channels), LiveQuery[list[Message]])
    assert_type(client.status.value, Status)
    assert_type(client.pending.first(lambda count: count == 0), int)
    assert_type(client.current_user(), User | None)
    assert_type(client.hydrate(Preloaded("a:b", {}, None, 1)), LiveQuery[int])
    for progress in client.import_rows(SEND, [{"text": "hi"}], chunk_size=2):
        assert_type(progress, ImportProgress)
    for slot in client.batch([(LIST, {"channelId": "general"}), ("a:b",)]):
        assert_type(slot, Ok[Any] | Failed)
    client.whisper("typing", {}, shard="a")
    client.whisper("typing", {}, shards="a")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.set_auth_token(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
