"""The app of a shop: it keeps numbers, and knows Ada and Bob by their tokens."""

from __future__ import annotations

from dataclasses import dataclass, field

from lunora_rx.devserver import App, AppError
from lunora_rx.devserver.settings import Limits

CANARY = "canary-5b1fe0"
BEARERS = {f"{CANARY}-ada": "ada", f"{CANARY}-ada-2": "ada", f"{CANARY}-bob": "bob", f"{CANARY}-socket": "ada"}
ADA, ADA_2, BOB, SOCKET = BEARERS


@dataclass(slots=True)
class Rows:
    """An app that keeps numbers.

    Attributes:
        app: The app.
        runs: The numbers that it was made to keep, in order.
        refused: Tokens, and texts of writes, that are refused as unauthorized.
        asked: The tokens that it was shown.
    """

    app: App
    runs: list[int] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)


def rows_app(limits: Limits | None = None) -> Rows:
    """Return an app that knows Ada and Bob, and keeps the numbers they write."""
    rows = Rows(app := App(limits=limits))

    @app.authenticate
    def subject_of(token: str) -> str | None:
        rows.asked.append(token)
        return None if token in rows.refused else BEARERS.get(token)

    @app.query("rows:list")
    def all_rows(ctx):
        return ctx.db.table("rows").collect()

    @app.mutation("rows:add")
    def add(ctx, n: int, text: str = ""):
        if text in rows.refused:
            raise AppError("UNAUTHORIZED", "not with that credential")
        rows.runs.append(n)
        return ctx.db.insert("rows", n=n, author=ctx.identity)

    @app.mutation("rows:refuse")
    def refuse(ctx, n: int, code: str):
        raise AppError(code, "not that one")

    @app.query("server:who")
    def who(ctx):
        return ctx.identity

    @app.action("server:runs")
    def all_runs(ctx):
        return rows.runs

    @app.action("server:attempts")
    def attempts(ctx):
        return app.faults.attempts

    return rows
