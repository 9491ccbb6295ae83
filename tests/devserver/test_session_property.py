"""Whatever is written, a session's frames lead to what running the query again gives."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lunora_rx.devserver import App, AppError, Backend
from lunora_rx.protocol import UNDEFINED
from tests.devserver.peer import Peer, call, new_backend

# What is tested is the outcome, not how busy the machine is.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

PADDING = "so that a delta is shorter than the list" * 3
QUERIES: dict[str, tuple[str, dict[str, Any]]] = {
    "asc": ("rows:list", {"order": "asc"}),
    "desc": ("rows:list", {"order": "desc"}),
    "asc 3": ("rows:list", {"order": "asc", "limit": 3}),
    "desc 3": ("rows:list", {"order": "desc", "limit": 3}),
    "desc a": ("rows:list", {"order": "desc", "group": "a"}),
    "first": ("rows:list", {"order": "desc", "limit": 1, "group": "b"}),
    "sorted": ("rows:sorted", {}),
    "big": ("rows:big", {}),
    "count": ("rows:count", {"group": "a"}),
    "page": ("rows:page", {"num_items": 2}),
    "page desc": ("rows:page", {"num_items": 4, "order": "desc"}),
    "one": ("rows:get", {"id": "r1"}),
    "fragile": ("rows:fragile", {}),
}


def rows_app() -> App:  # noqa: C901 - one function each
    app = App()

    @app.query("rows:list")
    def list_rows(ctx, order: str, limit: int | None = None, group: str | None = None):
        table = ctx.db.table("rows").order(order)
        table = table if group is None else table.where(group=group)
        return table.collect() if limit is None else table.take(limit)

    @app.query("rows:sorted")
    def sorted_rows(ctx):
        return sorted(ctx.db.table("rows").where("size", "<", 7).collect(), key=lambda row: row["size"])

    @app.query("rows:big")
    def big(ctx):
        return ctx.db.table("rows").where(lambda row: row["size"] > 4).order("desc").take(2)

    @app.query("rows:count")
    def count(ctx, group: str):
        return ctx.db.table("rows").where(group=group).count()

    @app.query("rows:page")
    def page(ctx, num_items: int, order: str = "asc"):
        return ctx.db.table("rows").order(order).paginate(None, num_items)

    @app.query("rows:get")
    def get(ctx, id: str):
        return ctx.db.get("rows", id)

    @app.query("rows:fragile")
    def fragile(ctx):
        newest = ctx.db.table("rows").order("desc").first()
        if newest and newest["size"] > 6:
            raise AppError("TOO_BIG")
        return newest["size"] if newest else 0

    @app.mutation("rows:apply")
    def apply(ctx, steps: list):
        for kind, row_id, group, size in steps:
            if kind == "put" and ctx.db.get("rows", row_id):
                ctx.db.update("rows", row_id, group=group, size=size)
            elif kind == "put":
                ctx.db.insert("rows", _id=row_id, group=group, size=size, padding=PADDING)
            else:
                ctx.db.delete("rows", row_id)

    return app


steps = st.tuples(
    st.sampled_from(["put", "put", "delete"]),
    st.sampled_from([f"r{number}" for number in range(7)]),
    st.sampled_from("ab"),
    st.integers(0, 9),
)
transactions = st.lists(st.lists(steps, min_size=1, max_size=4), max_size=12)


def shown_by_query(backend: Backend, name: str) -> Any:
    reply = call(backend, *QUERIES[name])
    return UNDEFINED if "error" in reply else reply["result"]


@unhurried
@given(transactions, st.booleans())
def test_frames_replayed_through_merge_give_what_the_query_gives(writes, takes_deltas):
    """After every transaction each subscription shows what a fresh query returns, by its frames alone."""
    backend = new_backend(rows_app())
    peer = Peer(backend, caps=("pageDelta",) if takes_deltas else ())
    for name, (path, args) in QUERIES.items():
        peer.subscribe(name, path, args)
    for transaction in writes:
        call(backend, "rows:apply", {"steps": transaction}, x_lunora_client_id="c1")
        peer.drain()
        for name in QUERIES:
            expected = shown_by_query(backend, name)
            if expected is not UNDEFINED:
                assert peer.values[name] == expected
                assert peer.positions[name] == (backend.shard().cursor, backend.shard().epoch)
    backend.close()


@unhurried
@given(transactions, st.integers(0, 12))
def test_resumed_subscription_shows_what_the_query_gives(writes, away_after):
    """A client that was away for any number of writes is right again after its resume."""
    backend = new_backend(rows_app())
    peer = Peer(backend)
    for name, (path, args) in QUERIES.items():
        peer.subscribe(name, path, args)
    for transaction in writes[:away_after]:
        call(backend, "rows:apply", {"steps": transaction})
    peer.drain()
    peer.session.close()
    for transaction in writes[away_after:]:
        call(backend, "rows:apply", {"steps": transaction})
    back = Peer(backend)
    for name, (path, args) in QUERIES.items():
        known = peer.positions.get(name) if name in peer.values else None
        back.values[name] = peer.values.get(name)
        back.subscribe(name, path, args, since=known)
        expected = shown_by_query(backend, name)
        assert expected is UNDEFINED or back.values[name] == expected
    backend.close()


@unhurried
@given(transactions)
def test_query_that_did_not_run_again_would_give_the_same(writes):
    """Whatever tracking leaves out was not changed: the cached answer equals a fresh one."""
    backend = new_backend(rows_app())
    peer = Peer(backend)
    for name, (path, args) in QUERIES.items():
        peer.subscribe(name, path, args)
    for transaction in writes:
        call(backend, "rows:apply", {"steps": transaction})
        shard = backend.shard()
        for query in shard.live:
            assert query.answer == shard.run_query(query.function, query.args, query.identity).answer
    backend.close()
