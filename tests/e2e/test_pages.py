"""Paginated queries over real sockets, while others write."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager

import pytest

from lunora_rx import Backoff, LunoraClient, SnapshotStatus
from lunora_rx.core.pages import PageStatus
from lunora_rx.devserver import App
from lunora_rx.devserver.tables import Reader
from lunora_rx.rx.cache import Query
from lunora_rx.rx.paginated import PagedSource, PaginatedQuery
from tests.support import Recorder, until

BRIEF = Backoff(initial=0.01, maximum=0.03)
pytestmark = pytest.mark.embedded("a server that paginates")


def place(row):
    """Where a row stands in a list by score."""
    return row["score"], row["_id"]


def cursor_of(row):
    """The cursor of a row in a list by score."""
    return f"{row['score']}/{row['_id']}"


def place_of(cursor):
    """Where a cursor of a list by score stands."""
    score, _, row_id = cursor.partition("/")
    return int(score), row_id


def make_app():
    """A server of rows that come, go and move, in the order of their creation or of their scores."""
    app = App()

    @app.query("rows:recent")
    def recent(ctx, paginationOpts: dict):
        lower, upper, count = (paginationOpts[name] for name in ("lower", "upper", "numItems"))
        return ctx.db.table("rows").order("desc").paginate(lower, count, upper=upper)

    @app.query("rows:best")
    def best(ctx, paginationOpts: dict):
        lower, upper, count = (paginationOpts[name] for name in ("lower", "upper", "numItems"))
        rows = sorted(ctx.db.table("rows").collect(), key=place)
        rows = [row for row in rows if lower is None or place(row) > place_of(lower)]
        if upper is None:
            page, is_done = rows[:count], len(rows) <= count
            return {"page": page, "isDone": is_done, "continueCursor": None if is_done else cursor_of(page[-1])}
        page = [row for row in rows if place(row) <= place_of(upper)]
        split = {"splitCursor": cursor_of(page[len(page) // 2 - 1])} if len(page) > 2 * count else {}
        return {"page": page, "isDone": False, "continueCursor": upper, **split}

    @app.query("rows:failing")
    def failing(ctx, paginationOpts: dict):
        raise ValueError("no such list")

    @app.mutation("rows:add")
    def add(ctx, scores: list[int]):
        return [ctx.db.insert("rows", score=score) for score in scores]

    @app.mutation("rows:move")
    def move(ctx, row: str, score: int):
        ctx.db.update("rows", row, score=score)

    @app.mutation("rows:remove")
    def remove(ctx, rows: list[str]):
        for row in rows:
            ctx.db.delete("rows", row)

    return app


class Place:
    """A server with rows, and a client of it."""

    def __init__(self, app, client, url):
        self.app = app
        self.client = client
        self.url = url
        self.handle = None

    def watch(self, function, page_size):
        """A paginated query, and what it shows."""
        call_soon = asyncio.get_running_loop().call_soon
        source = PagedSource(
            self.client.cache,
            Query(function, {}, ""),
            page_size=page_size,
            call_soon=call_soon,
            report=lambda error: pytest.fail(str(error)),
        )
        paged, seen = PaginatedQuery(source), Recorder()
        self.handle = paged.subscribe(seen)
        return paged, seen

    def rows(self, function):
        """All rows, as the list would be that holds them all."""
        rows = Reader(self.app.backend.shard().store, lambda read: None).table("rows").order("desc").collect()
        return sorted(rows, key=place) if function == "rows:best" else rows

    def is_settled(self, paged, function):
        """Whether the list is what the server has, as far as it goes."""
        everything, shown = self.rows(function), paged.snapshot
        is_whole = (paged.status is PageStatus.EXHAUSTED) == (len(shown.value) == len(everything))
        return (
            shown.status is SnapshotStatus.LIVE
            and paged.status is not PageStatus.LOADING_MORE
            and is_whole
            and shown.value == everything[: len(shown.value)]
        )


@pytest.fixture
async def board(no_tasks_left):
    """A server and its client."""
    async with running() as board:
        yield board


@asynccontextmanager
async def running():
    """Serve, and connect."""
    app = make_app()
    async with app.serve() as url, LunoraClient(url, reconnect=BRIEF, polling=None) as client:
        yield Place(app, client, url)


async def write(client, writes, ids, seed):
    """Let rows come, go and move."""
    chance = random.Random(seed)
    for _ in range(writes):
        kind = chance.choice(["add", "add", "move", "remove"]) if len(ids) > 5 else "add"
        if kind == "add":
            scores = [chance.randrange(100) for _ in range(chance.randrange(1, 8))]
            ids += await client.mutation("rows:add", {"scores": scores})
        elif kind == "move":
            await client.mutation("rows:move", {"row": chance.choice(ids), "score": chance.randrange(100)})
        else:
            gone = [ids.pop(chance.randrange(len(ids))) for _ in range(chance.randrange(1, 5))]
            await client.mutation("rows:remove", {"rows": gone})


async def test_pages_load_until_there_are_no_more(board):
    """In order, each row once."""
    await board.client.mutation("rows:add", {"scores": list(range(7))})
    paged, seen = board.watch("rows:recent", 3)
    for expected in (3, 6, 7):
        await until(lambda expected=expected: seen.values and len(seen.last) == expected)
        await until(lambda: paged.status is not PageStatus.LOADING_MORE)
        paged.load_more()
    assert paged.status is PageStatus.EXHAUSTED
    assert [row["score"] for row in paged.value] == [6, 5, 4, 3, 2, 1, 0]
    assert [len(each) for each in seen.values] == [3, 6, 7]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("function", ["rows:recent", "rows:best"])
async def test_pages_are_the_prefix_of_the_full_query_while_rows_come_and_go(board, function, seed):
    """Through splits and joins, with no row twice in any list; also where rows move from page to page."""
    ids = await board.client.mutation("rows:add", {"scores": list(range(0, 100, 10))})
    paged, seen = board.watch(function, 3)
    await until(lambda: seen.values)
    for _ in range(6):
        paged.load_more()
        await write(board.client, 8, ids, seed)
    await until(lambda: board.is_settled(paged, function))
    assert all(len({row["_id"] for row in rows}) == len(rows) for rows in seen.values)
    assert (seen.errors, len(paged.value) >= 3) == ([], True)


async def test_pages_split_when_they_have_outgrown_and_join_when_they_have_shrunk(board):
    """As many live queries as the rows need, and the list is whole all the time."""
    ids = await board.client.mutation("rows:add", {"scores": [10, 20, 30, 40, 50, 60, 70]})
    paged, seen = board.watch("rows:best", 2)
    for expected in (2, 4, 6, 7):
        await until(lambda expected=expected: seen.values and len(seen.last) == expected)
        await until(lambda: board.is_settled(paged, "rows:best"))
        paged.load_more()
    assert len(board.client.cache) == 4
    more = await board.client.mutation("rows:add", {"scores": [11, 12, 13, 14]})
    await until(lambda: len(board.client.cache) == 5)
    await until(lambda: board.is_settled(paged, "rows:best"))
    assert len(paged.value) == 11
    await board.client.mutation("rows:remove", {"rows": [*more, *ids[:4]]})
    await until(lambda: len(board.client.cache) == 2)
    await until(lambda: board.is_settled(paged, "rows:best"))
    assert [row["score"] for row in paged.value] == [50, 60, 70]


async def test_pages_survive_a_lost_connection(board):
    """What happened meanwhile is there after it; the list is kept, stale, and grown when asked for in between."""
    ids = await board.client.mutation("rows:add", {"scores": list(range(20))})
    paged, seen = board.watch("rows:recent", 4)
    await until(lambda: seen.values)
    paged.load_more()
    await until(lambda: len(seen.last) == 8 and board.is_settled(paged, "rows:recent"))
    board.app.faults.refuse_sockets()
    board.app.faults.drop_sockets()
    await until(lambda: paged.snapshot.status is SnapshotStatus.STALE)
    paged.load_more()
    async with LunoraClient(board.url, polling=None) as other:
        await write(other, 6, ids, 1)
    assert len(paged.value) == 8
    board.app.faults.release()
    await until(lambda: len(seen.last) > 8 and board.is_settled(paged, "rows:recent"))
    assert seen.errors == []


async def test_error_of_the_function_is_the_query_s(board):
    """As of any live query."""
    _, seen = board.watch("rows:failing", 4)
    await until(lambda: seen.errors)
    assert (len(seen.errors), seen.values) == (1, [])


async def test_pages_that_nobody_watches_are_gone_at_the_server_too(board):
    """Every one of them."""
    await board.client.mutation("rows:add", {"scores": list(range(9))})
    paged, _ = board.watch("rows:recent", 3)
    live = board.app.backend.shard().live
    growing = paged.subscribe(lambda rows: paged.load_more())
    await until(lambda: paged.status is PageStatus.EXHAUSTED and len(live) == 3)
    growing.dispose()
    assert len(board.client.cache) == 3
    board.handle.dispose()
    await until(lambda: len(live) == 0)
