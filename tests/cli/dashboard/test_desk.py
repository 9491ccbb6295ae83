"""What all pages share: the client, its calls and its frames, without the token."""

from __future__ import annotations

import logging

from lunora_rx.cli.dashboard.desk import Desk
from lunora_rx.cli.target import Target
from lunora_rx.devserver import App
from tests.support import until

CANARY = "canary-0f8a"


def app():
    """Return an app that repeats whatever it is told."""
    served = App()
    served.authenticate(lambda token: "ada")
    served.query("songs:list")(lambda ctx: [{"title": "x"}])
    served.mutation("songs:add")(lambda ctx, title: title)

    @served.action("songs:fail")
    def fail(ctx, reason: str) -> None:
        raise ValueError(reason)

    return served


async def test_mutation_is_written_down_to_its_verdict():
    """Its state and its result are those of the write."""
    async with app().serve() as url:
        desk = Desk(Target(url))
        made = desk.run("mutation", "songs:add", {"title": "Blue"}, None)
        assert made.is_queued
        await until(lambda: made.state == "committed" and made.result != "")
        assert (made.args, made.result, made.is_queued) == ('{"title":"Blue"}', "Blue", False)
        await desk.aclose()


async def test_action_that_fails_tells_its_code(caplog):
    """The reason is shown, and nobody is left asking."""
    caplog.set_level(logging.CRITICAL, logger="lunora_rx")
    async with app().serve() as url:
        desk = Desk(Target(url))
        made = desk.run("action", "songs:fail", {"reason": "no"}, None)
        await until(lambda: made.state == "failed")
        assert made.result.startswith("INTERNAL")
        await desk.aclose()


async def test_token_stands_in_no_frame_and_no_call():
    """A server that repeats the token does not get it onto the page."""
    async with app().serve() as url:
        desk = Desk(Target(url, CANARY))
        watched = desk.watch("query", "songs:list", {}, None).subscribe()
        made = desk.run("mutation", "songs:add", {"title": CANARY}, None)
        await until(lambda: made.result != "" and any(each.what == "data" for each in desk.frames.seen))
        shown = " ".join(f"{each.what} {each.text}" for each in desk.frames.seen) + made.args + made.result
        assert "[redacted]" in shown
        assert CANARY not in shown
        watched.dispose()
        await desk.aclose()


async def test_server_without_a_document_is_told_of():
    """There is nothing to pick, and the page says why."""
    desk = Desk(Target("http://127.0.0.1:9", CANARY))
    catalog = await desk.read_catalog()
    assert catalog.functions == {}
    assert "cannot read http://127.0.0.1:9" in catalog.problem
    await desk.aclose()


async def test_write_that_waits_is_in_the_queue_until_it_is_discarded():
    """In the order in which they were made; one that is taken back is rejected, and never sent."""
    served = app()
    async with served.serve() as url:
        desk = Desk(Target(url))
        watched = desk.watch("query", "songs:list", {}, None).subscribe()
        await until(lambda: desk.client.status.value == "connected")
        served.faults.refuse_sockets(1000)
        served.faults.drop_sockets()
        await until(lambda: desk.client.status.value == "offline")
        first, second = (desk.run("mutation", "songs:add", {"title": title}, None) for title in "ab")
        await until(lambda: second.state == "queued")
        assert desk.queue == [first, second]
        assert first.call.cancel()
        await until(lambda: first.state == "rejected")
        assert desk.queue == [second]
        second.call.cancel()
        watched.dispose()
        await desk.aclose()
