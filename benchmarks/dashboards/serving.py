"""A server with 1,000 rows, of which 50 writes a second change 5 each; prints its URL.

It speaks the frames itself, as an embedded server that runs the query again after each write would be what is measured.
One row is the marker: its note is the instant of its last write, which is not quite once a second, so that no page that
looks now and then meets it at the same moment each time.
"""

import asyncio
import random
import time
from contextlib import suppress

import orjson
from aiohttp import WSMsgType, web

from lunora_rx.devserver import App
from lunora_rx.protocol.endpoints import OPENRPC_PATH, PING, PONG, RPC_PATH, WS_PATH

ROWS, WRITES, ROWS_A_WRITE = 1000, 50, 5
MARK_EVERY = 47  # writes
described = App()


@described.query("cells:all")
def cells(ctx):
    """Return all rows; the marker is the first."""


class Cells:
    """The rows, and the sockets that are told of their changes."""

    def __init__(self):
        self.rows = [
            {"_id": f"cell{n:04}", "_creationTime": time.time() * 1000 + n, "x": n, "y": random.random(), "note": ""}
            for n in range(ROWS)
        ]
        self.writes = 0
        self.watching = {}

    async def serve_socket(self, request):
        """Answer a client's frames."""
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await self._receive(socket, message.data)
        self.watching = {key: each for key, each in self.watching.items() if each is not socket}
        return socket

    async def _receive(self, socket, text):
        if text == PING:
            await socket.send_str(PONG)
            return
        asked = orjson.loads(text)
        if asked["type"] == "subscribe":
            place = {"id": asked["id"], "cursor": self.writes, "epoch": "e1"}
            await socket.send_str(text_of({"type": "data", "data": self.rows, **place}))
            self.watching[socket, asked["id"]] = socket
        elif asked["type"] == "unsubscribe":
            self.watching.pop((socket, asked["id"]), None)

    async def write(self):
        """Change some rows, or the marker, and tell of it."""
        self.writes += 1
        if self.writes % MARK_EVERY:
            changed = random.sample(range(ROWS), ROWS_A_WRITE)
            for place in changed:
                self.rows[place]["y"] = random.random()
        else:
            changed = [0]
            self.rows[0]["note"] = f"tick {time.time() * 1000:.0f}"
        for (_, name), socket in list(self.watching.items()):
            with suppress(ConnectionResetError):  # it left, and its handler has yet to see that
                for place in changed:
                    await socket.send_str(text_of(self._delta(name, self.rows[place])))

    def _delta(self, name, row):
        delta = {"op": "update", "key": row["_id"], "table": "cells", "row": row}
        return {"type": "delta", "id": name, "delta": delta, "cursor": self.writes, "epoch": "e1"}

    async def answer(self, request):
        """Answer a call: how many writes there were."""
        return web.json_response({"result": self.writes})


async def describe(request):
    """Tell which functions there are."""
    return web.json_response(described.openrpc())


def text_of(frame):
    """Return a frame as its text."""
    return orjson.dumps(frame).decode()


async def main():
    """Serve until the process ends."""
    table, routes = Cells(), web.Application()
    routes.router.add_get(WS_PATH, table.serve_socket)
    routes.router.add_post(RPC_PATH, table.answer)
    routes.router.add_get(OPENRPC_PATH, describe)
    runner = web.AppRunner(routes, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        await table.write()
        due += 1 / WRITES
        await asyncio.sleep(max(0, due - loop.time()))


if __name__ == "__main__":
    asyncio.run(main())
