"""An app whose annotations say all that a document can hold; ``chat_api.py`` is generated from it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NewType, NotRequired, TypeAlias, TypedDict, cast

from lunora_rx import PageValue, WireBigInt
from lunora_rx.devserver import ActionContext, App, MutationContext, QueryContext, TableId

ChannelId: TypeAlias = Annotated[str, TableId("channels")]
MessageKey = NewType("MessageKey", str)
MessageId: TypeAlias = Annotated[MessageKey, TableId("messages")]
Mood: TypeAlias = Literal["calm", "loud"]


class Attachment(TypedDict):
    """A file that goes with a message."""

    name: str
    size: int
    note: NotRequired[str | None]


class Message(TypedDict):
    """A row of ``messages``."""

    _id: MessageId
    _creationTime: float
    channelId: ChannelId
    text: str
    mood: Mood
    attachments: list[Attachment]


class Thread(TypedDict):
    """A message and what was answered to it."""

    text: str
    replies: list[Thread]


class PageOptions(TypedDict):
    """Which page is asked for."""

    lower: str | None
    upper: str | None
    numItems: int


Signed = TypedDict("Signed", {"content-type": str, "data": bytes, "class": NotRequired[int]})

app = App(title="chat")


@app.query("messages:list")
def list_messages(ctx: QueryContext, channelId: ChannelId, limit: int = 50, mood: Mood | None = None) -> list[Message]:
    r"""List the messages of a channel.

    Newest last; a ``\d+`` in them is no pattern, and "quotes" stay.
    """
    rows = cast("list[Message]", ctx.db.table("messages").where(channelId=channelId).take(limit))
    return [row for row in rows if mood in (None, row["mood"])]


@app.query("messages:pages")
def pages(ctx: QueryContext, channelId: ChannelId, paginationOpts: PageOptions) -> PageValue[Message]:
    """Page through a channel."""
    lower, upper, count = paginationOpts["lower"], paginationOpts["upper"], paginationOpts["numItems"]
    rows = ctx.db.table("messages").where(channelId=channelId)
    return cast("PageValue[Message]", rows.paginate(lower, count, upper=upper))


@app.mutation("messages:send")
def send(
    ctx: MutationContext,
    channelId: ChannelId,
    text: str,
    mood: Mood = "calm",
    attachments: list[Attachment] | None = None,
) -> MessageId:
    """Send a message."""
    fields = {"channelId": channelId, "text": text, "mood": mood, "attachments": attachments or []}
    return MessageKey(ctx.db.insert("messages", **fields))


@app.query("messages:thread")
def thread(ctx: QueryContext, start: Thread | None = None) -> Thread:
    """Return a thread as it was given."""
    return start or {"text": "", "replies": []}


@app.query("messages:count")
def count(ctx: QueryContext) -> int:
    """Count the messages."""
    return len(ctx.db.table("messages").collect())


@app.query("admin/users:getURL")
def get_url(ctx: QueryContext, user: str) -> str | None:
    """Return where a user can be seen."""
    return f"https://example.org/{user}"


@app.action("admin:import")
async def import_(ctx: ActionContext, signed: Signed, big: WireBigInt, at: datetime) -> dict[str, Any]:
    """Give back what was given."""
    return {"type": signed["content-type"], "data": signed["data"], "big": big, "at": at}


@app.action("admin:clock")
def clock(ctx: ActionContext) -> datetime:
    """Return the start of an age."""
    return datetime(2026, 1, 1, tzinfo=UTC)


@app.action("admin:untyped")
def untyped(ctx: ActionContext, anything, **more):  # type: ignore[no-untyped-def]
    """Declare nothing."""
    return anything
