"""Which reads a change touches, and that only those queries run again."""

from __future__ import annotations

from typing import Any

import pytest

from lunora_rx.devserver.filters import compares, equals
from lunora_rx.devserver.tracking import Change, RangeRead, ReadIndex, RowRead
from tests.devserver.peer import Peer, call, chat_app, new_backend


def change(before: dict[str, Any] | None, after: dict[str, Any] | None, table: str = "t") -> Change:
    """Return a change of row ``r``, created at 10."""
    before, after = ({"_id": "r", "_creationTime": 10.0, **row} if row is not None else None for row in (before, after))
    return Change(table, "r", before, after)


@pytest.mark.parametrize(
    ("read", "written", "is_touched"),
    [
        (RowRead("t", "r"), change({}, {"x": 1}), True),
        (RowRead("t", "other"), change({}, {"x": 1}), False),
        (RowRead("other", "r"), change({}, {"x": 1}), False),
        (RangeRead("t"), change(None, {}), True),
        (RangeRead("other"), change(None, {}), False),
        (RangeRead("t", (equals("x", 1),)), change({"x": 2}, {"x": 3}), False),
        (RangeRead("t", (equals("x", 1),)), change({"x": 1}, {"x": 3}), True),
        (RangeRead("t", (equals("x", 1),)), change(None, {"x": 1.0}), True),
        (RangeRead("t", (equals("x", 1),)), change(None, {"x": True}), False),
        (RangeRead("t", (equals("x", None),)), change({}, None), True),
        (RangeRead("t", (equals("x", 1), compares("y", ">", 5))), change(None, {"x": 1, "y": 5}), False),
        (RangeRead("t", high=9.0), change(None, {}), False),
        (RangeRead("t", low=10.0), change({"x": 1}, {"x": 2}), True),
        (RangeRead("t", (equals("x", 1),), counts_only=True), change({"x": 1}, {"x": 1, "y": 2}), False),
        (RangeRead("t", (equals("x", 1),), counts_only=True), change({"x": 1}, None), True),
    ],
)
def test_read_is_touched_exactly_by_what_it_could_show(read, written, is_touched):
    """A change touches a read if, and only if, it adds, removes or alters a row of it."""
    assert read.touched_by(written) is is_touched
    index: ReadIndex[str] = ReadIndex()
    index.replace("query", [read])
    assert index.touched_by([written]) == (["query"] if is_touched else [])


def test_index_forgets_removed_owners():
    """Nothing is left of an owner that has gone, whatever it had read."""
    index: ReadIndex[str] = ReadIndex()
    reads = [RowRead("t", "r"), RangeRead("t"), RangeRead("t", (equals("x", 1),)), RangeRead("t", (equals("x", 1),), 1)]
    index.replace("query", reads)
    index.replace("query", [RowRead("t", "q")])
    assert index.touched_by([change(None, {"x": 1})]) == []
    index.remove("query")
    index.remove("query")
    assert not index._owners
    assert not index._fields["t"]


def test_predicate_that_raises_counts_as_touched():
    """What an application's predicate cannot judge may matter."""
    app = chat_app()

    @app.query("messages:odd")
    def odd(ctx):
        return ctx.db.table("messages").where(lambda row: row["number"] > 1).collect()

    backend = new_backend(app)
    peer = Peer(backend)
    peer.subscribe("sub_1", "messages:odd")
    call(backend, "messages:send", {"channelId": "general", "text": "no number"})
    assert peer.types() == [("error", "sub_1")]
    call(
        backend, "messages:remove", {"id": call(backend, "messages:list", {"channelId": "general"})["result"][0]["_id"]}
    )
    assert peer.types() == [("data", "sub_1")]


class Counted:
    """A chat server whose live queries are counted as they run."""

    def __init__(self) -> None:
        self.backend = new_backend()
        self.peer = Peer(self.backend)

    def runs(self) -> dict[tuple[str, str], int]:
        return {query.key[:2]: query.runs for query in self.backend.shard().live}

    def reran(self, path: str, args: dict[str, Any]) -> set[tuple[str, str]]:
        """Call a mutation and return the queries that ran because of it."""
        before = self.runs()
        call(self.backend, path, args)
        return {key for key, runs in self.runs().items() if runs != before[key]}


def test_write_reruns_exactly_the_queries_of_its_channel():
    """Among many queries that differ by an equality filter, one runs."""
    counted = Counted()
    for number in range(50):
        counted.peer.subscribe(f"sub_{number}", "messages:list", {"channelId": f"c{number}"})
    reran = counted.reran("messages:send", {"channelId": "c7", "text": "hi"})
    assert reran == {("messages:list", '{"channelId":"c7"}')}


def test_write_beyond_a_full_limit_reruns_nothing():
    """The oldest two of three do not change when a fourth comes; the newest two do."""
    counted = Counted()
    for _ in range(3):
        call(counted.backend, "messages:send", {"channelId": "c", "text": "hi"})
    for order in ("asc", "desc"):
        counted.peer.subscribe(order, "messages:list", {"channelId": "c", "limit": 2, "order": order})
    assert [key[1] for key in counted.reran("messages:send", {"channelId": "c", "text": "x"})] == [
        '{"channelId":"c","limit":2,"order":"desc"}'
    ]


def test_edit_does_not_rerun_a_count():
    """A row that is still counted changes no count."""
    counted = Counted()
    row_id = call(counted.backend, "messages:send", {"channelId": "c", "text": "hi"})["result"]
    counted.peer.subscribe("sub_1", "messages:count", {"channelId": "c"})
    counted.peer.subscribe("sub_2", "messages:get", {"id": row_id})
    assert {path for path, _ in counted.reran("messages:edit", {"id": row_id, "text": "new"})} == {"messages:get"}
    assert {path for path, _ in counted.reran("messages:remove", {"id": row_id})} == {"messages:get", "messages:count"}


def test_write_that_changes_nothing_reruns_nothing():
    """An edit to the same text is no change, and moves no cursor."""
    counted = Counted()
    row_id = call(counted.backend, "messages:send", {"channelId": "c", "text": "hi"})["result"]
    counted.peer.subscribe("sub_1", "messages:get", {"id": row_id})
    cursor = counted.backend.shard().cursor
    assert counted.reran("messages:edit", {"id": row_id, "text": "hi"}) == set()
    assert counted.backend.shard().cursor == cursor


def test_subscribers_of_one_query_share_one_run():
    """A hundred sockets cost as many runs as one."""
    counted = Counted()
    peers = [Peer(counted.backend, client_id=f"c{number}") for number in range(100)]
    for peer in peers:
        peer.subscribe("sub_1", "messages:list", {"channelId": "c"})
    call(counted.backend, "messages:send", {"channelId": "c", "text": "hi"})
    assert counted.runs() == {("messages:list", '{"channelId":"c"}'): 2}
    assert all(peer.types() == [("data", "sub_1")] for peer in peers)
