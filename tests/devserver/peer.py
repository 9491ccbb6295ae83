"""A client of the embedded server in memory, as plain as the protocol allows, and an app to talk to."""

from __future__ import annotations

import itertools
import json
from typing import Any

from lunora_rx.core.delta import merge_delta
from lunora_rx.devserver import App, AppError, Backend, HttpRequest, Limits
from lunora_rx.protocol import decode_wire, encode_wire
from lunora_rx.protocol.endpoints import RPC_PATH


def chat_app(limits: Limits | None = None, admin_token: str | None = None) -> App:  # noqa: C901 - one function each
    """Return an app with a few functions over one table."""
    app = App(limits=limits, admin_token=admin_token)

    @app.query("messages:list")
    def list_messages(ctx, channelId: str, limit: int = 50, order: str = "asc"):
        return ctx.db.table("messages").where(channelId=channelId).order(order).take(limit)

    @app.query("messages:page")
    def page(ctx, cursor: str | None = None, num_items: int = 3, upper: str | None = None):
        return ctx.db.table("messages").paginate(cursor, num_items, upper=upper)

    @app.query("messages:count")
    def count(ctx, channelId: str):
        return ctx.db.table("messages").where(channelId=channelId).count()

    @app.query("messages:get")
    def get(ctx, id: str):
        return ctx.db.get("messages", id)

    @app.query("messages:strict")
    def strict(ctx, channelId: str):
        if ctx.db.table("messages").where(channelId=channelId, text="bad").count():
            raise AppError("BAD_CHANNEL", "there is a bad message", data={"channelId": channelId})
        return "good"

    @app.query("me:name")
    def name(ctx):
        return ctx.identity

    @app.mutation("messages:send")
    def send(ctx, channelId: str, text: str, id: str | None = None):
        return ctx.db.insert("messages", _id=id, channelId=channelId, text=text)

    @app.mutation("messages:edit")
    def edit(ctx, id: str, text: str):
        ctx.db.update("messages", id, text=text)

    @app.mutation("messages:remove")
    def remove(ctx, id: str):
        return ctx.db.delete("messages", id)

    @app.mutation("messages:fail")
    def fail(ctx, channelId: str):
        ctx.db.insert("messages", channelId=channelId, text="never")
        raise AppError("ROOM_FULL", "no more messages", data={"limit": 1})

    return app


def new_backend(app: App | None = None, **options: Any) -> Backend:
    """Return a backend whose clock stands still and whose ids count up."""
    numbers = itertools.count(1)
    return Backend(app or chat_app(), **{"clock": lambda: 1000.0, "new_id": lambda: f"id{next(numbers)}", **options})


def call(backend: Backend, function_path: str, args: dict[str, Any] | None = None, **headers: str) -> Any:
    """Call a function and return the body of the reply; header names are written with underscores."""
    return reply_to(backend, function_path, args, **headers)[1]


def reply_to(
    backend: Backend, function_path: str, args: dict[str, Any] | None = None, shard: str = "", **headers: str
) -> tuple[int, Any, dict[str, str]]:
    """Call a function and return status, body and headers of the reply."""
    body = {"functionPath": function_path, "args": encode_wire(args or {})} | ({"shardKey": shard} if shard else {})
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    reply = backend.call(HttpRequest(RPC_PATH, named, json.dumps(body).encode()))
    return reply.status, json.loads(reply.body), dict(reply.headers)


class Peer:
    """One socket: what it has received, and the value that each subscription shows by it."""

    def __init__(
        self,
        backend: Backend,
        *,
        client_id: str = "c1",
        caps: tuple[str, ...] = ("pageDelta",),
        shard: str = "",
        token: str | None = None,
    ) -> None:
        self.session = backend.open(shard, token)
        self.values: dict[str, Any] = {}
        self.positions: dict[str, tuple[int, str]] = {}
        self.errors: dict[str, str] = {}
        self.send({"type": "connect", "id": "connect", "clientId": client_id, "caps": list(caps)})
        self.drain()

    def send(self, frame: Any) -> None:
        self.session.receive_text(frame if isinstance(frame, str) else json.dumps(frame))

    def subscribe(
        self, sub: str, path: str, args: dict[str, Any] | None = None, since: tuple[int, str] | None = None
    ) -> list[dict[str, Any]]:
        query = {"functionPath": path, "args": encode_wire(args or {}), "table": path}
        if since is not None:
            query |= {"sinceSeq": since[0], "sinceEpoch": since[1]}
        self.send({"type": "subscribe", "id": sub, "query": query})
        return self.drain()

    def drain(self) -> list[dict[str, Any]]:
        """Take the frames that wait, and apply them."""
        frames = [json.loads(text) for text in self.session.frames_to_send() if text.startswith("{")]
        for frame in frames:
            self._apply(frame)
        return frames

    def types(self) -> list[tuple[str, str | None]]:
        """Take the frames that wait; return type and id of each."""
        return [(frame["type"], frame.get("id")) for frame in self.drain()]

    def _apply(self, frame: dict[str, Any]) -> None:
        sub = frame.get("id", "")
        if frame["type"] == "data":
            self.values[sub] = decode_wire(frame["data"])
        elif frame["type"] == "delta":
            self.values[sub] = merge_delta(self.values[sub], decode_wire(frame["delta"]))
        elif frame["type"] == "error":
            self.errors[sub] = frame["error"]["code"]
        if "cursor" in frame:
            self.positions[sub] = (frame["cursor"], frame["epoch"])
