"""A server process that answers a subscribe frame with a burst of prepared frames, as fast as the socket takes them.

Run as ``python -m benchmarks.frame_server``: it prints its port and serves until its standard input closes.
The number and kind of frames come in the arguments of the query: ``{"frames": N, "rows": R, "tagged": bool}``.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
from aiohttp import web

from benchmarks import processes
from lunora_rx.protocol.endpoints import PING, PONG

_BLOB = 256 * 1024


def payload(rows: int, *, tagged: bool = False) -> list[dict[str, Any]]:
    """Return the value of a query: rows of 200 bytes or so of plain JSON, or one small row for 0."""
    if rows == 0:
        return [{"_id": "m1", "_creationTime": 1_760_000_000_000, "text": "x" * 60}]
    return [_row(index, tagged=tagged) for index in range(rows)]


def frame(subscription_id: str, cursor: int, value: Any) -> bytes:
    """Return the text of one ``data`` frame."""
    return orjson.dumps({"type": "data", "id": subscription_id, "data": value, "cursor": cursor, "epoch": "e1"})


@contextmanager
def running() -> Iterator[str]:
    """Run the server in a process of its own; yields its URL."""
    with processes.running("benchmarks.frame_server") as port:
        yield f"http://127.0.0.1:{port}"


def _row(index: int, *, tagged: bool) -> dict[str, Any]:
    row: dict[str, Any] = {
        "_id": f"messages:{index:06d}",
        "_creationTime": 1_760_000_000_000 + index,
        "author": f"user-{index % 17}",
        "text": "the quick brown fox jumps over the lazy dog, twice",
        "tags": ["a", "b", "c"],
        "score": index * 0.5,
        "read": index % 2 == 0,
    }
    return {**row, "serial": ["$lunora.wire$", "bigint", str(2**60 + index)]} if tagged else row


def _websocket_text(text: bytes) -> bytes:
    size = len(text)
    if size < 126:
        return bytes([0x81, size]) + text
    if size < 1 << 16:
        return bytes([0x81, 126]) + size.to_bytes(2, "big") + text
    return bytes([0x81, 127]) + size.to_bytes(8, "big") + text


async def _serve_socket(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(compress=False)
    await socket.prepare(request)
    async for message in socket:
        if message.data == PING:
            await socket.send_str(PONG)
            continue
        asked = json.loads(message.data)
        if asked["type"] == "subscribe":
            await _burst(request, asked["id"], asked["query"]["args"])
    return socket


async def _burst(request: web.Request, subscription_id: str, args: dict[str, Any]) -> None:
    # All of it is made before: whoever reads must wait for the socket alone.
    for blob in list(_blobs(subscription_id, args)):
        await _write(request, blob)


def _blobs(subscription_id: str, args: dict[str, Any]) -> Iterator[bytes]:
    value = payload(args["rows"], tagged=args["tagged"])
    blob = bytearray()
    for cursor in range(1, args["frames"] + 1):
        blob += _websocket_text(frame(subscription_id, cursor, value))
        if len(blob) >= _BLOB:
            yield bytes(blob)
            blob = bytearray()
    yield bytes(blob)


async def _write(request: web.Request, blob: bytes) -> None:
    assert request.transport is not None
    request.transport.write(blob)
    await request.protocol._drain_helper()


async def _query(request: web.Request) -> web.Response:
    asked = await request.json()
    await asyncio.sleep(asked["args"].get("seconds", 0))
    return web.json_response({"result": None})


async def _batch(request: web.Request) -> web.Response:
    asked = orjson.loads(await request.read())
    results = [{"id": call["id"], "body": {"result": None, "commitCursor": 1}} for call in asked["calls"]]
    return web.Response(body=orjson.dumps({"results": results}), content_type="application/json")


async def main() -> None:
    """Serve until standard input closes."""
    app = web.Application(client_max_size=2**24)
    app.router.add_get("/_lunora/ws", _serve_socket)
    app.router.add_post("/_lunora/rpc", _query)
    app.router.add_post("/_lunora/rpc-batch", _batch)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())
