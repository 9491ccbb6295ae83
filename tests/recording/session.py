"""A session to record, and the same program run again on a replay of it."""

from __future__ import annotations

import asyncio
from typing import Any

from lunora_rx.devserver import App
from tests.support import Recorder, until

SEND = "messages:send"
LIST = "messages:list"
COUNT = "messages:count"


def chat() -> App:
    """An app with everything that a recording can hold."""
    app = App()

    @app.query(LIST)
    def list_messages(ctx, channel: str = "general"):
        return ctx.db.table("messages").where(channel=channel).take(100)

    @app.query(COUNT)
    def count_messages(ctx):
        return len(ctx.db.table("messages").take(1000))

    @app.query("messages:broken")
    def broken(ctx):
        raise ValueError("never works")

    @app.mutation(SEND)
    def send(ctx, text: str, channel: str = "general"):
        return ctx.db.insert("messages", channel=channel, text=text)

    @app.mutation("messages:edit")
    def edit(ctx, id: str, text: str):
        ctx.db.update("messages", id, text=text)

    @app.mutation("messages:drop")
    def drop(ctx, id: str):
        ctx.db.delete("messages", id)

    @app.stream("jobs:count")
    async def count(ctx, upto: int):
        for number in range(upto):
            yield {"number": number}

    @app.shape("messages:all")
    def messages(ctx):
        return ctx.db.table("messages")

    return app


class Watch:
    """Observers of all that the chat shows, and what they were told: values, shapes, streams, statuses."""

    def __init__(self, client: Any) -> None:
        self.told: dict[str, Recorder] = {}
        self._client = client
        self.see("list", client.live(LIST, {"channel": "general"}))
        self.see("snapshots", client.live(LIST, {"channel": "general"}).snapshots)
        self.see("count", client.live(COUNT))
        self.see("broken", client.live("messages:broken").snapshots)
        self.see("room", client.live(LIST, {"channel": "x"}, shard="room"))
        self.see("shape", client.shape("messages:all"))
        self.see("whispers", client.whispers("typing"))
        self.see("stream", client.stream("jobs:count", {"upto": 4}))

    def see(self, name: str, observable: Any) -> Recorder:
        """Keep what an observable says under a name."""
        self.told[name] = recorder = Recorder()
        observable.subscribe(recorder.on_next, recorder.on_error, recorder.on_completed)
        return recorder

    def begin_anew(self) -> None:
        """Forget what was said, but for what is shown now."""
        for each in self.told.values():
            each.values[:-1] = []

    @property
    def values(self) -> dict[str, list[Any]]:
        """What was said so far, in a form that compares."""
        return {name: [_plain(value) for value in each.values] for name, each in self.told.items()}

    @property
    def ends(self) -> dict[str, tuple[list[str], int]]:
        """How each ended, if it did."""
        return {name: ([str(e) for e in each.errors], each.completions) for name, each in self.told.items()}


def _plain(value: Any) -> Any:
    if not hasattr(value, "status"):
        return value
    return str(value.status), value.value, str(value.error), value.cursor


async def settle_on(watch: Watch, name: str, count: int) -> None:
    """Wait until an observer was told that often."""
    await until(lambda: len(watch.told[name].values) >= count)


async def pause() -> None:
    """Let frames that are on their way arrive."""
    await asyncio.sleep(0.05)
