"""What the servers of the end-to-end tests offer. Its twin for workerd is tests/workerd/worker/functions.js."""

from __future__ import annotations

from lunora_rx import WireBigInt
from lunora_rx.devserver import App, AppError

TOKENS = {"token-ana": "ana", "token-ana-2": "ana", "token-bo": "bo"}


def offered() -> App:
    """Return an app that keeps rows, notes, values and accounts, and knows ana and bo by their tokens."""
    app = App()
    app.authenticate(TOKENS.get)
    for register in (_rows, _writes_of_rows, _notes, _values, _codes, _accounts):
        register(app)
    return app


def _rows(app):  # noqa: C901 - one function after another
    @app.query("rows:list")
    def rows(ctx):
        return ctx.db.table("rows").collect()

    @app.query("rows:page")
    def page(ctx):
        return {"page": ctx.db.table("rows").order("desc").collect(), "isDone": True}

    @app.query("rows:numbers")
    def numbers(ctx):
        return [row["n"] for row in ctx.db.table("rows").collect()]

    @app.query("rows:mine")
    def mine(ctx):
        return f"of {ctx.identity or 'nobody'}"

    @app.query("rows:echo")
    def echo(ctx, n: int):
        return n

    @app.query("rows:broken")
    def broken(ctx):
        raise TypeError("no")

    @app.query("rows:none_over")
    def none_over(ctx, limit: int):
        rows = ctx.db.table("rows").collect()
        if any(row["n"] > limit for row in rows):
            raise AppError("ROOM_FULL", "there is a larger one")
        return len(rows)

    @app.query("rows:imports")
    def imports(ctx):
        return [row["numbers"] for row in ctx.db.table("imports").collect()]

    @app.shape("rows:all")
    def all_rows(ctx):
        return ctx.db.table("rows")

    @app.shape("rows:of")
    def rows_of(ctx, n: int):
        return ctx.db.table("rows").where(n=n)


def _writes_of_rows(app):
    @app.mutation("rows:add")
    def add(ctx, n: int, **fields: str):
        return ctx.db.insert("rows", n=n, **fields)

    @app.mutation("rows:import")
    def import_rows(ctx, rows: list):
        banned = [each["n"] for each in ctx.db.table("bans").collect()]
        if any(row["n"] in banned for row in rows):
            raise AppError("BAD_ROW", "bad row")
        for row in rows:
            ctx.db.insert("rows", n=row["n"])
        ctx.db.insert("imports", numbers=[row["n"] for row in rows])
        return len(rows)

    @app.mutation("rows:ban")
    def ban(ctx, n: int):
        return ctx.db.insert("bans", _id="the ban", n=n)

    @app.mutation("rows:lift_ban")
    def lift_ban(ctx):
        return ctx.db.delete("bans", "the ban")

    @app.mutation("rows:set")
    def set_number(ctx, id: str, n: int):
        ctx.db.update("rows", id, n=n)

    @app.mutation("rows:remove")
    def remove(ctx, id: str):
        return ctx.db.delete("rows", id)

    @app.action("rows:add_two")
    async def add_two(ctx):
        return [ctx.run_mutation("rows:add", n=1), ctx.run_mutation("rows:add", n=2)]


def _notes(app):
    @app.query("notes:count")
    def count(ctx):
        return len(ctx.db.table("notes").collect())

    @app.query("notes:list")
    def titles(ctx):
        return [row["title"] for row in ctx.db.table("notes").collect()]

    @app.mutation("notes:add")
    def add(ctx, title: str):
        return ctx.db.insert("notes", title=title)


def _values(app):
    @app.query("values:echo")
    def echo(ctx, value):
        return value

    @app.mutation("values:keep")
    def keep(ctx, value):
        return ctx.db.insert("values", value=value)

    @app.query("values:list")
    def kept(ctx):
        return [row["value"] for row in ctx.db.table("values").collect()]


def _codes(app):
    @app.query("codes:raise")
    def refuse(ctx, code: str):
        raise AppError(code, "no", data={"n": WireBigInt(7)})

    @app.mutation("codes:refuse")
    def refuse_write(ctx, code: str):
        ctx.db.insert("rows", n=-1)
        raise AppError(code, "no", data={"n": WireBigInt(7)})


def _accounts(app):
    @app.query("accounts:balance")
    def balance(ctx, name: str):
        return sum(row["amount"] for row in ctx.db.table("moves").where(account=name).collect())

    @app.mutation("accounts:move")
    def move(ctx, amount: int):
        if amount < 0:
            raise AppError("FORBIDDEN", "money moves one way")
        ctx.db.insert("moves", account="a", amount=-amount)
        ctx.db.insert("moves", account="b", amount=amount)

    @app.mutation("accounts:open")
    def open_account(ctx):
        ctx.db.insert("moves", account="a", amount=100)
