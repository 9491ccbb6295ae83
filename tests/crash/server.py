"""A server to be killed: an embedded one that keeps numbered writes.

It also kills itself around the commit of a certain write: no other process can aim so well.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import threading
from typing import Any

from lunora_rx.devserver import App
from tests.crash.plan import USERS

LATEST = 10
"""How many writes a live query of the journal shows."""

_BIND_PATIENCE = 5.0


class Doom:
    """The end of this process, a moment after one of its writes began.

    Args:
        dies_after: The number of that write; 0 for never.
        chance: Draws the moment: before the commit, between commit and reply, or after it.
    """

    def __init__(self, dies_after: int, chance: random.Random) -> None:
        self._left = dies_after
        self._delay = chance.choice([0.0, chance.uniform(0, 0.002), chance.uniform(0, 0.02)])

    def count(self) -> None:
        """Note that a write began."""
        self._left -= 1
        if self._left == 0:
            threading.Timer(self._delay, os.kill, (os.getpid(), signal.SIGKILL)).start()


def token_of(user: str) -> str:
    """Return what a user's processes identify themselves with, in calls and for sockets."""
    return f"token-{user}"


def journal(doom: Doom) -> App:
    """Return an app with one table of numbered writes, each with its author."""
    app = App()
    app.authenticate({token_of(user): user for user in USERS}.get)

    @app.mutation("journal:write")
    def write(ctx: Any, writer: int, number: int, text: str) -> str:
        doom.count()
        return ctx.db.insert("journal", writer=writer, number=number, text=text, author=ctx.identity)

    @app.query("journal:latest")
    def latest(ctx: Any) -> list[Any]:
        return [{**row, "reader": ctx.identity} for row in ctx.db.table("journal").order("desc").take(LATEST)]

    return app


async def serve(app: App, port: int, directory: str) -> None:
    """Serve until killed; the port may be in use for a moment still."""
    deadline = asyncio.get_running_loop().time() + _BIND_PATIENCE
    while True:
        try:
            async with app.serve(port=port, storage=directory):
                await asyncio.Event().wait()
        except OSError:
            if asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(0.02)


def main(port: str, directory: str, dies_after: str, seed: str) -> None:
    """Serve a directory until the end."""
    asyncio.run(serve(journal(Doom(int(dies_after), random.Random(seed))), int(port), directory))
