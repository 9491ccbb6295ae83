"""A server that says more than anybody can hear: ``python -m tests.faults.burst COUNT SIZE``.

It knows one live query, and answers it with COUNT values of SIZE bytes, one after the other, as fast as they are taken:
each is a text that begins with its number. Other queries get the text "small". Each stream gives COUNT such texts, too,
and does not heed that it is given up.
"""

from __future__ import annotations

import asyncio
import json
import sys

from aiohttp import WSMsgType, web


async def answer(request: web.Request) -> web.WebSocketResponse:
    """Hold one conversation."""
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        frame = json.loads(message.data) if message.type is WSMsgType.TEXT and message.data[0] == "{" else {}
        if message.data == "lunora-ping":
            await socket.send_str("lunora-pong")
        elif frame.get("type") == "subscribe":
            await tell(socket, frame, *request.app[AMOUNT])
        elif frame.get("type") == "stream":
            await flow(socket, frame["id"], *request.app[AMOUNT])
    return socket


async def tell(socket: web.WebSocketResponse, frame: dict, count: int, size: int) -> None:
    """Answer a subscription; sending waits for whoever reads too slowly."""
    subscription = frame["id"]
    await socket.send_str(json.dumps({"type": "ack", "id": subscription}))
    if frame["query"]["functionPath"] != "values:burst":
        await socket.send_str(json.dumps({"type": "data", "id": subscription, "data": "small", "cursor": 1}))
        return
    filling = "x" * size
    for number in range(count):
        text = f'{{"type":"data","id":"{subscription}","data":"{number} {filling}","cursor":{number},"epoch":"e"}}'
        await socket.send_str(text)


async def flow(socket: web.WebSocketResponse, stream_id: str, count: int, size: int) -> None:
    """Give what a stream has."""
    filling = "x" * size
    for number in range(count):
        await socket.send_str(f'{{"type":"chunk","id":"{stream_id}","data":"{number} {filling}"}}')


AMOUNT = web.AppKey("amount", tuple)


async def main(count: int, size: int) -> None:
    """Serve until killed, and say on which port."""
    app = web.Application()
    app[AMOUNT] = (count, size)
    app.router.add_get("/_lunora/ws", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    sys.stdout.write(f"{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
