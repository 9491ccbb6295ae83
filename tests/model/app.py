"""The app of the model test: queries of every form that a server can answer, and two mutations."""

from __future__ import annotations

from typing import Any

from lunora_rx.devserver import App, Limits
from lunora_rx.devserver.refusals import AppError
from lunora_rx.protocol import WireBigInt

GOOD_TOKEN = "good"
BLOAT = 900
"""How many characters a row is blown up by, times its size."""

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
}
"""Names of queries, and what each stands for."""


def model_app(*, change_retention: int, queued_bytes: int) -> App:
    """Return the app; the fewer changes or bytes it keeps, the more often its clients start anew."""
    app = App(limits=Limits(change_retention=change_retention, queued_bytes=queued_bytes))
    app.authenticate(lambda token: "someone" if token == GOOD_TOKEN else None)
    _register_queries(app)
    _register_mutations(app)
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


def _register_mutations(app: App) -> None:
    @app.mutation("rows:apply")
    def apply(ctx, steps: list, mark: int):
        for kind, row_id, group, size in steps:
            _apply(ctx.db, kind, row_id, {"group": group, "size": size})
        ctx.db.insert("journal", mark=mark)
        return mark

    @app.mutation("rows:nothing")
    def nothing(ctx, steps: list, mark: int):
        return mark


def _apply(db: Any, kind: str, row_id: str, fields: dict[str, Any]) -> None:
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
