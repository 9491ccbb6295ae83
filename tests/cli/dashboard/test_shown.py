"""What a view shows of a query, a shape and a stream."""

from __future__ import annotations

import asyncio

import pytest

from lunora_rx import UNDEFINED, LunoraClient
from lunora_rx.cli.dashboard import shown
from lunora_rx.cli.dashboard.shown import shown_of
from lunora_rx.devserver import App
from tests.support import until


def app():
    """Return an app with one of each."""
    served = App()
    served.query("songs:list")(lambda ctx: [{"title": "x"}])

    @served.shape("songs")
    def songs(ctx):
        return ctx.db.table("songs")

    @served.stream("songs:count")
    def count(ctx, upto: int, fails: bool = False):
        yield from range(upto)
        if fails:
            raise ValueError("no more")

    return served


@pytest.fixture
async def client():
    """A client of a server of that app."""
    async with app().serve() as url, LunoraClient(url) as client:
        yield client


async def test_query_and_shape_are_pending_until_they_are_live(client):
    """The same of both, with what they show."""
    for watched, value in ((client.live("songs:list"), [{"title": "x"}]), (client.shape("songs"), [])):
        seen = []
        with shown_of(watched).subscribe(seen.append):
            await until(lambda seen=seen: seen[-1].word == "live")
        assert (seen[0].word, seen[0].value) == ("pending", UNDEFINED)
        assert seen[-1].value == value


async def test_stream_runs_until_it_has_ended(client):
    """Its chunks are the rows, none of which changes afterwards."""
    seen = []
    shown_of(client.stream("songs:count", {"upto": 3})).subscribe(seen.append)
    await until(lambda: seen[-1].word == "ended")
    assert [each.value for each in seen] == [[], [0], [0, 1], [0, 1, 2], [0, 1, 2]]
    assert {each.word for each in seen[:-1]} == {"running"}


async def test_stream_that_fails_keeps_its_chunks_and_says_why(client, caplog):
    """The error is shown, and is none of the page's."""
    caplog.set_level("CRITICAL", logger="lunora_rx")
    seen = []
    shown_of(client.stream("songs:count", {"upto": 2, "fails": True})).subscribe(seen.append)
    await until(lambda: seen[-1].word == "failed")
    assert seen[-1].value == [0, 1]
    assert seen[-1].error.code == "INTERNAL"


async def test_stream_that_is_long_shows_its_newest_chunks(client, monkeypatch):
    """And says how many there were."""
    monkeypatch.setattr(shown, "KEPT", 2)
    seen = []
    shown_of(client.stream("songs:count", {"upto": 5})).subscribe(seen.append)
    await until(lambda: seen[-1].word == "ended")
    assert (seen[-1].value, seen[-1].note) == ([3, 4], "the newest 2 of 5 chunks")


async def test_stream_that_is_left_is_cancelled():
    """Whoever closes its tab ends the run, on the server too."""
    served, left = App(), []

    @served.stream("songs:tick")
    async def tick(ctx):
        try:
            while True:
                yield 1
                await asyncio.sleep(0.01)
        finally:
            left.append(True)

    async with served.serve() as url, LunoraClient(url) as client:
        seen = []
        running = shown_of(client.stream("songs:tick")).subscribe(seen.append)
        await until(lambda: len(seen) > 3)
        assert left == []
        running.dispose()
        await until(lambda: left == [True])
