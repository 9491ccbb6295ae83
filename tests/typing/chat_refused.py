"""What the type checkers must refuse, line by line: an ignore that is not needed is an error itself."""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from reactivex import Observable

from lunora_rx import LunoraClient
from tests.typing.chat_api import ChannelsId, MessagesId, api

GENERAL = ChannelsId("general")


def arguments(client: LunoraClient, numbers: Observable[int], message: MessagesId) -> None:
    """A wrong name, a wrong type, a missing key, a key too many, nothing where something is needed."""
    client.live(api.messages.list, {"channelID": GENERAL})  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    client.live(api.messages.list, {"channelId": 5})  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    client.live(api.messages.list, {"channelId": "general"})  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    client.live(api.messages.list, {"channelId": message})  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    client.live(api.messages.list, {"channelId": GENERAL, "limit": "many"})  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    client.live(api.messages.list, {"channelId": GENERAL, "mood": "merry"})  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    client.live(api.messages.list, {"channelId": GENERAL, "more": 1})  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    client.live(api.messages.list, {})  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    client.live(api.messages.list, [])  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    client.live(api.messages.list, numbers)  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    client.live(api.messages.list)  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    client.live(api.messages.count, {"limit": 1})  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    client.query(api.messages.list, {"limit": 1})  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    client.preload(api.messages.list, {"limit": 1})  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    client.mutation(api.messages.send, {"channelId": GENERAL, "text": None})  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    client.mutation(api.messages.send, {"channelId": GENERAL, "text": "", "attachments": [{"name": ""}]})  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    client.mutation(api.messages.send)  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    client.action(api.admin.import_, {"signed": {"content-type": ""}, "big": 2, "at": 3})  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    client.paginate(api.messages.pages)  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    client.paginate(api.messages.pages, {"channelId": GENERAL, "paginationOpts": 1})  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]


def kinds(client: LunoraClient) -> None:
    """A reference of another kind, or a query without pages."""
    client.live(api.messages.send, {"channelId": GENERAL, "text": ""})  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    client.query(api.admin.clock)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    client.mutation(api.messages.list, {"channelId": GENERAL})  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    client.action(api.messages.count)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    client.paginate(api.messages.list, {"channelId": GENERAL})  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    client.stream(api.messages.count)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]


async def results(client: LunoraClient) -> None:
    """A key that no row has, a value of another type, a function that there is not, a reference that cannot change."""
    rows = await client.query(api.messages.list, {"channelId": GENERAL})
    print(rows[0]["txt"])  # type: ignore[typeddict-item]  # pyright: ignore[reportGeneralTypeIssues]
    length: str = await client.query(api.messages.count)  # type: ignore[arg-type]  # pyright: ignore[reportAssignmentType]
    print(length, api.messages.lst)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    print(api.message)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    client.live(api.messages.list, {"channelId": GENERAL}).map(lambda found: found[0]["txt"])  # type: ignore[typeddict-item]  # pyright: ignore[reportGeneralTypeIssues, reportUnknownLambdaType]
    api.messages.list = api.messages.count  # type: ignore[misc, assignment]  # pyright: ignore[reportAttributeAccessIssue]
