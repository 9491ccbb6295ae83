"""Whispers and contexts between clients of a real server, over real sockets."""

from __future__ import annotations

import contextlib

import pytest

from lunora_rx import Backoff, LunoraClient, Polling, Status, Whisper, WireBigInt
from lunora_rx.devserver import App
from tests.support import Recorder, turn, until

BRIEF = Backoff(initial=0.01, maximum=0.03)
pytestmark = pytest.mark.embedded("a server with whispers")


class Square:
    """A server where clients talk to each other."""

    def __init__(self, app, url):
        self.app = app
        self.url = url
        self.clients = contextlib.AsyncExitStack()

    async def client(self, name, **options):
        """Return a client, closed at the end."""
        options = {"client_id": name, "reconnect": BRIEF, "polling": None, **options}
        return await self.clients.enter_async_context(LunoraClient(self.url, **options))

    async def listener(self, name, topic="t", shard=None):
        """Return a client that listens, and what it hears."""
        client, heard = await self.client(name), Recorder()
        client.whispers(topic, shard=shard).subscribe(heard)
        await until(lambda: client.status.value is Status.CONNECTED)
        return client, heard


@pytest.fixture
async def square(no_tasks_left):
    """A server with nothing but sockets."""
    app = App()

    @app.query("a:b")
    def nothing(ctx):
        return 1

    async with app.serve() as url:
        square = Square(app, url)
        async with square.clients:
            yield square


async def heard_of(speaker, recorder, *, shard=None, topic="t"):
    """Whisper until it is heard: a join takes its time, and is not acknowledged."""
    before = len(recorder.values)

    def is_heard():
        speaker.whisper(topic, "hello", shard=shard)
        return len(recorder.values) > before

    await until(is_heard)


async def test_whispers_reach_all_others_and_not_the_speaker(square):
    """With their sender, and any value that the wire can carry."""
    ana, by_ana = await square.listener("ana")
    _, by_bo = await square.listener("bo")
    _, elsewhere = await square.listener("cy", "other")
    await heard_of(ana, by_bo)
    ana.whisper("t", {"n": WireBigInt(7), "x": [None, b"1"]})
    await until(lambda: by_bo.last.data != "hello")
    assert by_bo.last == Whisper({"n": WireBigInt(7), "x": [None, b"1"]}, "ana")
    assert (by_ana.values, elsewhere.values) == ([], [])


async def test_whispers_of_another_shard_are_another_topic(square):
    """The speaker needs a socket there, and gets it by whispering."""
    _, here = await square.listener("ana")
    _, there = await square.listener("bo", shard="room")
    cy = await square.client("cy")
    await heard_of(cy, there, shard="room")
    assert (here.values, there.last) == ([], Whisper("hello", "cy"))


async def test_whispers_go_on_after_a_cut(square):
    """The topic is joined again by itself; what was said meanwhile is lost, and nothing comes twice."""
    ana, _ = await square.listener("ana")
    bo, heard = await square.listener("bo")
    await heard_of(ana, heard)
    square.app.faults.refuse_sockets()
    square.app.faults.drop_sockets()
    await until(lambda: bo.status.value is not Status.CONNECTED and ana.status.value is not Status.CONNECTED)
    ana.whisper("t", "lost")
    square.app.faults.release()
    await until(lambda: bo.status.value is ana.status.value is Status.CONNECTED)
    await heard_of(ana, heard)
    ana.whisper("t", "last")
    await until(lambda: heard.last.data == "last")
    assert [each.data for each in heard.values].count("last") == 1
    assert "lost" not in [each.data for each in heard.values]


async def test_whispers_that_nobody_watches_any_more_are_not_delivered(square):
    """The topic is left with the last observer, and joined by the next."""
    ana, _ = await square.listener("ana")
    bo, first = await square.listener("bo")
    second, third = Recorder(), Recorder()
    handles = [bo.whispers("t").subscribe(second)]
    await heard_of(ana, second)
    assert len(first.values) == len(second.values)
    handles[0].dispose()
    await heard_of(ana, first)
    count = len(second.values)
    bo.whispers("t").subscribe(third)
    await heard_of(ana, third)
    assert len(second.values) == count


async def test_whispers_stay_dark_while_polling(square):
    """They come back with the socket."""
    square.app.faults.refuse_sockets()
    bo = await square.client("bo", polling=Polling(interval=0.02, after_failures=1))
    heard = Recorder()
    bo.whispers("t").subscribe(heard)
    bo.live("a:b").subscribe(Recorder())
    await until(lambda: bo.status.value is Status.POLLING)
    bo.whisper("t", "nobody hears it")
    square.app.faults.release()
    await until(lambda: bo.status.value is Status.CONNECTED)
    ana, _ = await square.listener("ana")
    await heard_of(ana, heard)
    assert {each.data for each in heard.values} == {"hello"}


async def test_presence_is_held_over_cuts(square):
    """A server that takes contexts sees the newest with every introduction; the conversation goes on."""
    ana, _ = await square.listener("ana")
    bo, heard = await square.listener("bo")
    with bo.presence({"page": 1}), bo.presence({"page": 2}):
        square.app.faults.drop_sockets()
        await until(lambda: bo.status.value is ana.status.value is Status.CONNECTED)
        await heard_of(ana, heard)
    await turn()
    await heard_of(ana, heard)
    assert bo.debug()["frames_ignored"] == 0
