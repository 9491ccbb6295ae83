"""A client of shapes and streams in memory, as plain as the protocol allows."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from lunora_rx.devserver import App, AppError, Backend, Limits
from lunora_rx.protocol import decode_wire, encode_wire
from tests.devserver.peer import call, new_backend


@dataclass
class View:
    """What one shape shows, and where it stands."""

    rows: dict[str, Any] = field(default_factory=dict)
    checkpoint: int | None = None
    epoch: str | None = None
    resets: int = 0
    gaps: int = 0


class Viewer:
    """One socket: it applies pokes whole, and keeps every frame that it takes."""

    def __init__(self, backend: Backend, *, token: str | None = None, shard: str = "", client_id: str = "c1") -> None:
        self.backend = backend
        self.session = backend.open(shard, token)
        self.views: dict[str, View] = {}
        self.chunks: dict[str, list[Any]] = {}
        self.errors: dict[str, str] = {}
        self.completed: list[str] = []
        self.pokes = 0
        self._open: list[dict[str, Any]] = []
        self.send({"type": "connect", "id": "connect", "clientId": client_id, "caps": ["pageDelta"]})
        self.drain()

    def send(self, frame: dict[str, Any]) -> None:
        self.session.receive_text(json.dumps(frame))

    def watch(
        self, shape_id: str, name: str, args: dict[str, Any] | None = None, *, since: View | None = None
    ) -> list[dict[str, Any]]:
        """Ask for a shape, from where a view stands."""
        frame: dict[str, Any] = {"type": "shape_subscribe", "id": shape_id, "shape": {"name": name}}
        if args is not None:
            frame["shape"]["args"] = encode_wire(args)
        if since is not None:
            frame |= {"sinceCheckpoint": since.checkpoint, "sinceEpoch": since.epoch}
        self.views[shape_id] = since or View()
        self.send(frame)
        return self.drain()

    def stream(self, stream_id: str, path: str, args: dict[str, Any] | None = None, **position: Any) -> list[Any]:
        """Start a stream, or go on with it."""
        query = {"functionPath": path} | ({} if args is None else {"args": encode_wire(args)})
        self.send({"type": "stream", "id": stream_id, "query": query, **position})
        return self.drain()

    def take(self) -> list[dict[str, Any]]:
        """Take the frames of one drain."""
        frames = [json.loads(text) for text in self.session.frames_to_send()]
        for frame in frames:
            getattr(self, f"_on_{frame['type']}", lambda frame: None)(frame)
        return frames

    def drain(self) -> list[dict[str, Any]]:
        """Take frames until there are none."""
        taken: list[dict[str, Any]] = []
        while frames := self.take():
            taken += frames
        return taken

    def _on_chunk(self, frame: dict[str, Any]) -> None:
        self.chunks.setdefault(frame["id"], []).append(decode_wire(frame["data"]))

    def _on_complete(self, frame: dict[str, Any]) -> None:
        self.completed.append(frame["id"])

    def _on_error(self, frame: dict[str, Any]) -> None:
        self.errors[frame["id"]] = frame["error"]["code"]

    def _on_pokeStart(self, frame: dict[str, Any]) -> None:
        self._open = [frame]

    def _on_pokePart(self, frame: dict[str, Any]) -> None:
        assert frame["pokeId"] == self._open[0]["pokeId"]
        self._open.append(frame)

    def _on_pokeEnd(self, end: dict[str, Any]) -> None:
        start, *parts = self._open
        assert end["pokeId"] == start["pokeId"]
        self.pokes += 1
        for shape_id in dict.fromkeys(part["shapeId"] for part in parts):
            self._apply(self.views[shape_id], start, [part for part in parts if part["shapeId"] == shape_id], end)

    def _apply(self, view: View, start: dict[str, Any], parts: list[dict[str, Any]], end: dict[str, Any]) -> None:
        base = parts[0].get("baseCheckpoint", start.get("baseCheckpoint"))
        if any(part.get("reset") for part in parts):
            view.rows.clear()
            view.resets += 1
        elif base != view.checkpoint or start["epoch"] != view.epoch:
            view.gaps += 1
            return
        for op in (op for part in parts for op in part["rowsPatch"]):
            if op["op"] == "delete":
                view.rows.pop(op["key"], None)
            else:
                view.rows[op["key"]] = decode_wire(op["value"])
        view.checkpoint, view.epoch = end["checkpoint"], end["epoch"]


def tasks_app(limits: Limits | None = None, *, change_log: bool = True) -> App:  # noqa: C901 - one function each
    """Return an app with tasks, shapes over them, and who may see them."""
    app = App(limits=limits, change_log=change_log)

    @app.shape("tasks:open")
    def open_tasks(ctx):
        return ctx.db.table("tasks").where(done=False)

    @app.shape("tasks:big")
    def big(ctx, size: int):
        return ctx.db.table("tasks").where("size", ">=", size)

    @app.shape("tasks:odd")
    def odd(ctx):
        return ctx.db.table("tasks").where(lambda row: row["size"] % 2)

    @app.shape("mine")
    def mine(ctx):
        if ctx.db.get("members", ctx.identity or "nobody") is None:
            raise AppError("FORBIDDEN", "no member")
        return ctx.db.table("tasks").where(owner=ctx.identity)

    @app.shape("tasks:list")
    def no_table(ctx):
        return ctx.db.table("tasks").collect()

    @app.query("tasks:all")
    def everything(ctx):
        return ctx.db.table("tasks").collect()

    @app.mutation("tasks:put")
    def put(ctx, id: str, done: bool = False, size: object = 0, owner: str | None = None):
        if ctx.db.get("tasks", id) is None:
            ctx.db.insert("tasks", _id=id, done=done, size=size, owner=owner)
        else:
            ctx.db.replace("tasks", id, done=done, size=size, owner=owner)

    @app.mutation("tasks:remove")
    def remove(ctx, id: str):
        ctx.db.delete("tasks", id)

    @app.mutation("members:set")
    def set_member(ctx, id: str, is_member: bool = True):
        ctx.db.delete("members", id)
        if is_member:
            ctx.db.insert("members", _id=id)

    app.authenticate(lambda token: token)
    return app


def tasks(limits: Limits | None = None, *, change_log: bool = True) -> Backend:
    """Return a backend of ``tasks_app``."""
    return new_backend(tasks_app(limits, change_log=change_log))


def put(backend: Backend, task_id: str, **fields: Any) -> None:
    """Write one task."""
    assert "error" not in call(backend, "tasks:put", {"id": task_id, **fields})
