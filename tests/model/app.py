"""The app of the model test: queries of every form that a server can answer, and the mutations that change them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from lunora_rx.devserver import App, HttpRequest, Limits
from lunora_rx.devserver.refusals import AppError
from lunora_rx.protocol import WireBigInt
from lunora_rx.protocol.endpoints import HEADER_MUTATION_ID
from lunora_rx.protocol.rpc import HttpReply
from tests.model.pages import register_pages
from tests.model.shapes import Tables, group_of, register_shapes
from tests.model.streams import register_streams

ORIGIN = "https://model.test"
GOOD_TOKEN = "good"
USERS = ("alice", "bob")
BLOAT = 900
"""How many characters a row is blown up by, times its size."""

TOUCH = "rows:touch"
"""A path that names a query and a mutation, so that a mutation can patch the query of its own name."""

QUERIES: dict[str, tuple[str, dict[str, Any]]] = {
    "asc": ("rows:list", {"order": "asc"}),
    "desc": ("rows:list", {"order": "desc"}),
    "newest two": ("rows:list", {"order": "desc", "limit": 2}),
    "oldest two": ("rows:list", {"order": "asc", "limit": 2}),
    "group b": ("rows:list", {"order": "asc", "group": "b"}),
    "page": ("rows:page", {"order": "asc"}),
    "page desc": ("rows:page", {"order": "desc"}),
    "count": ("rows:count", {"group": "a"}),
    "newest": ("rows:newest", {"group": "a"}),
    "row": ("rows:get", {"id": "r1"}),
    "labelled": ("rows:labelled", {}),
    "by size": ("rows:by_size", {}),
    "fragile": ("rows:fragile", {}),
    "touched": (TOUCH, {"id": "r1"}),
    "who": ("users:who", {}),
    "mine": ("users:mine", {}),
}
"""Names of queries, and what each stands for."""

OWN: dict[str, Callable[[Tables, str | None], Any]] = {
    "who": lambda tables, subject: who_is(subject),
    "mine": lambda tables, subject: [
        {**row, "reader": who_is(subject)} for row in tables["rows"] if row["group"] == group_of(subject)
    ],
}
"""The queries whose answer depends on who asks: what each gives, said once more in other words."""


@dataclass(slots=True)
class Mood:
    """What the server refuses at present, and what it has carried out.

    Attributes:
        revoked: Tokens that are no longer good.
        busy_for: How many more mutations are told to come again later.
        delayed: Marks of the writes that were told so.
        applied: How many writes were applied.
    """

    revoked: set[str] = field(default_factory=set)
    busy_for: int = 0
    delayed: set[int] = field(default_factory=set)
    applied: int = 0

    def subject_of(self, token: str) -> str | None:
        """Return whose token this is."""
        if token == GOOD_TOKEN:
            return "someone"
        user = user_of(token)
        return user if user in USERS and token not in self.revoked else None

    def answer_probe(self, authorization: str | None, cookie: str | None) -> HttpReply:
        """Say whose session it is: the bearer's, and without one the cookie's."""
        user = cookie if authorization is None else self.subject_of(authorization.removeprefix("Bearer "))
        if user is None:
            return HttpReply(200 if authorization is None else 401, {}, b"null")
        return HttpReply(200, {}, orjson.dumps({"user": {"id": user}}))

    def admit(self, mark: int) -> None:
        """Let a write in, or tell it to come again."""
        if self.busy_for:
            self.busy_for -= 1
            self.delayed.add(mark)
            raise AppError("RATE_LIMITED", "come again", data={"retryAfterMs": 700})


def user_of(token: str | None) -> str | None:
    """Return who is behind a token of the model, nobody without one."""
    return None if token is None else token.partition("-")[0]


def who_is(subject: str | None) -> str:
    """Return what a query says of its reader."""
    return "nobody" if subject is None else subject


def socket_token_of(token: str | None) -> str:
    """Return what the sockets of a bearer's user open with; it is good for as long as the world stands."""
    user = user_of(token)
    return GOOD_TOKEN if user is None else f"{user}-socket"


def translated(request: HttpRequest) -> HttpRequest:
    """Return a request as the server has to see it, which knows one function a path: a touch is a put."""
    body = orjson.loads(request.body)
    calls = body.get("calls", [body])
    if all(call["functionPath"] != TOUCH for call in calls):
        return request
    for call in calls:
        mutation_id = call.get("mutationId", request.headers.get(HEADER_MUTATION_ID))
        if call["functionPath"] == TOUCH and mutation_id is not None:
            mark = int(mutation_id[1:])
            args = {"steps": [["put", call["args"]["id"], "a", 2]], "mark": mark}
            call.update(functionPath="rows:apply", args=args)
    return HttpRequest(request.path, request.headers, orjson.dumps(body), request.origin)


def model_app(mood: Mood, *, change_retention: int, queued_bytes: int) -> App:
    """Return the app; the fewer changes or bytes it keeps, the more often its clients start anew."""
    app = App(limits=Limits(change_retention=change_retention, queued_bytes=queued_bytes))
    app.authenticate(mood.subject_of)
    app.sessions.update({user: user for user in USERS})
    _register_queries(app)
    _register_own(app)
    _register_touch(app)
    _register_mutations(app, mood)
    register_pages(app)
    register_shapes(app)
    register_streams(app)
    return app


def _register_queries(app: App) -> None:
    @app.query("rows:list")
    def list_rows(ctx, order: str, limit: int | None = None, group: str | None = None):
        table = ctx.db.table("rows").order(order)
        table = table if group is None else table.where(group=group)
        return table.collect() if limit is None else table.take(limit)

    @app.query("rows:page")
    def page(ctx, order: str):
        return ctx.db.table("rows").order(order).paginate(None, 3)

    @app.query("rows:count")
    def count(ctx, group: str):
        return ctx.db.table("rows").where(group=group).count()

    @app.query("rows:newest")
    def newest(ctx, group: str):
        return ctx.db.table("rows").where(group=group).order("desc").first()

    @app.query("rows:get")
    def get(ctx, id: str):
        return ctx.db.get("rows", id)

    @app.query("rows:labelled")
    def labelled(ctx):
        labels = {row["group"]: row["text"] for row in ctx.db.table("labels").collect()}
        return [{**row, "label": labels.get(row["group"])} for row in ctx.db.table("rows").collect()]

    @app.query("rows:by_size")
    def by_size(ctx):
        return sorted(ctx.db.table("rows").collect(), key=lambda row: row["size"])

    @app.query("rows:fragile")
    def fragile(ctx):
        if ctx.db.table("rows").where(size=0).count():
            raise AppError("ZERO", "a row has size 0")
        return "sound"


def _register_own(app: App) -> None:
    @app.query("users:who")
    def who(ctx):
        return who_is(ctx.identity)

    @app.query("users:mine")
    def mine(ctx):
        rows = ctx.db.table("rows").where(group=group_of(ctx.identity)).collect()
        return [{**row, "reader": who_is(ctx.identity)} for row in rows]


def _register_touch(app: App) -> None:
    @app.query(TOUCH)
    def touched(ctx, id: str):
        return [row for row in [ctx.db.get("rows", id)] if row is not None]


def _register_mutations(app: App, mood: Mood) -> None:
    @app.mutation("rows:apply")
    def apply(ctx, steps: list, mark: int):
        mood.admit(mark)
        for kind, row_id, group, size in steps:
            apply_step(ctx.db, kind, row_id, {"group": group, "size": size})
        mood.applied += 1
        ctx.db.insert("journal", mark=mark, subject=ctx.identity, place=mood.applied)
        return mark

    @app.mutation("rows:nothing")
    def nothing(ctx, steps: list, mark: int):
        mood.admit(mark)
        return mark

    @app.mutation("rows:refuse")
    def refuse(ctx, steps: list, mark: int):
        apply(ctx, steps, mark)
        raise AppError("NO", "this mutation is never carried out")


def apply_step(db: Any, kind: str, row_id: str, fields: dict[str, Any]) -> None:
    """Carry out one step of a transaction."""
    fields = fields if fields["group"] == "a" else fields | {"big": WireBigInt(fields["size"])}
    if kind == "bloat":
        fields |= {"text": "x" * BLOAT * fields["size"]}
    if kind == "delete":
        db.delete("rows", row_id)
    elif kind == "label":
        _put(db, "labels", fields["group"], {"group": fields["group"], "text": f"label {fields['size']}"})
    else:
        _put(db, "rows", row_id, fields)


def _put(db: Any, table: str, row_id: str, fields: dict[str, Any]) -> None:
    if db.get(table, row_id) is None:
        db.insert(table, _id=row_id, **fields)
    else:
        db.replace(table, row_id, **fields)
