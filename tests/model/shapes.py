"""The shapes of the model: how the server defines each, and, said once more in other words, which rows belong to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from lunora_rx.devserver import App
from lunora_rx.devserver.refusals import AppError

Row: TypeAlias = dict[str, Any]
Tables: TypeAlias = Mapping[str, Sequence[Row]]

OWNED_BY_ALICE, OWNED_BY_OTHERS = "a", "b"


class ModelShape(NamedTuple):
    """What a name of the model stands for.

    Attributes:
        path: The shape function.
        args: Its arguments.
        members: Which rows belong to it for a subject; ``None`` where the function fails.
    """

    path: str
    args: dict[str, Any]
    members: Callable[[Tables, str | None], list[Row] | None]


def _in_group(group: str) -> Callable[[Tables, str | None], list[Row]]:
    return lambda tables, subject: [row for row in tables["rows"] if row["group"] == group]


def _mine(tables: Tables, subject: str | None) -> list[Row]:
    return [row for row in tables["rows"] if row["group"] == group_of(subject)]


def _big(tables: Tables, subject: str | None) -> list[Row]:
    return [row for row in tables["rows"] if row["size"] > 1]


def _fragile(tables: Tables, subject: str | None) -> list[Row] | None:
    return None if any(row["size"] == 0 for row in tables["rows"]) else list(tables["rows"])


def _chosen(tables: Tables, subject: str | None) -> list[Row]:
    label = next((row["text"] for row in tables["labels"] if row["_id"] == "a"), "")
    return [row for row in tables["rows"] if row["group"] == chosen_group(label)]


def _labels(tables: Tables, subject: str | None) -> list[Row]:
    return list(tables["labels"])


SHAPES: dict[str, ModelShape] = {
    "group a": ModelShape("rows:inGroup", {"group": "a"}, _in_group("a")),
    "group b": ModelShape("rows:inGroup", {"group": "b"}, _in_group("b")),
    "big": ModelShape("rows:big", {}, _big),
    "mine": ModelShape("rows:mine", {}, _mine),
    "chosen": ModelShape("rows:chosen", {}, _chosen),
    "sound": ModelShape("rows:sound", {}, _fragile),
    "labels": ModelShape("labels:all", {}, _labels),
}
"""Names of shapes, and what each stands for."""


def group_of(subject: str | None) -> str:
    """Return which rows are a subject's."""
    return OWNED_BY_ALICE if subject == "alice" else OWNED_BY_OTHERS


def chosen_group(label: str) -> str:
    """Return which rows a label stands for."""
    return "b" if label in ("label 0", "label 1") else "a"


def register_shapes(app: App) -> None:
    """Define the shapes at the server."""

    @app.shape("rows:inGroup")
    def in_group(ctx, group: str):
        return ctx.db.table("rows").where(group=group)

    @app.shape("rows:big")
    def big(ctx):
        return ctx.db.table("rows").where("size", ">", 1)

    @app.shape("rows:mine")
    def mine(ctx):
        return ctx.db.table("rows").where(group=group_of(ctx.identity))

    @app.shape("rows:chosen")
    def chosen(ctx):
        label = ctx.db.get("labels", "a")
        return ctx.db.table("rows").where(group=chosen_group("" if label is None else label["text"]))

    @app.shape("rows:sound")
    def sound(ctx):
        return ctx.db.table("rows").where(_is_sound)

    @app.shape("labels:all")
    def labels(ctx):
        return ctx.db.table("labels")


def _is_sound(row: Row) -> bool:
    if row["size"] == 0:
        raise AppError("ZERO", "a row has size 0")
    return True
