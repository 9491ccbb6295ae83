"""A client of nothing but frames and bodies: what a server says, with no client in between that would mend it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import aiohttp
import orjson

from tests.support import PATIENCE


class Peer:
    """One socket, in frames.

    Attributes:
        close_code: What it was closed with.
    """

    def __init__(self, socket):
        self._socket = socket
        self.close_code = None

    async def send(self, kind, **body):
        """Send a frame."""
        await self._socket.send_bytes(orjson.dumps({"type": kind, **body}))

    async def send_text(self, text):
        """Send a text that need not be a frame."""
        await self._socket.send_str(text)

    async def next(self):
        """Return the next frame, a text that is none as it is; ``None`` when the server closed the socket."""
        message = await asyncio.wait_for(self._socket.receive(), PATIENCE)
        if message.type is not aiohttp.WSMsgType.TEXT:
            self.close_code = self._socket.close_code
            return None
        return orjson.loads(message.data) if message.data.startswith("{") else message.data

    async def connect(self, client_id="peer", caps=("pageDelta",)):
        """Introduce ourselves; return the answer."""
        await self.send("connect", id="connect", clientId=client_id, caps=list(caps))
        return await self.next()

    async def subscribe(self, function, *, id="sub_1", args=None, since=None):
        """Subscribe to a live query; return the acknowledgement and the first answer."""
        position = {} if since is None else {"sinceSeq": since["cursor"], "sinceEpoch": since["epoch"]}
        query = {"functionPath": function, "args": args or {}, "table": function, **position}
        await self.send("subscribe", id=id, query=query)
        return await self.next(), await self.next()

    async def follow(self, shape, *, id="shape_1", args=None, since=None):
        """Subscribe to a shape; return the first poke."""
        position = {} if since is None else {"sinceCheckpoint": since["checkpoint"], "sinceEpoch": since["epoch"]}
        await self.send("shape_subscribe", id=id, shape={"name": shape, "args": args or {}}, **position)
        return await self.poke()

    async def poke(self):
        """Return the next poke, from its start to its end."""
        frames = [await self.next()]
        while frames[-1]["type"] in ("pokeStart", "pokePart"):
            frames.append(await self.next())
        return frames


@asynccontextmanager
async def connected(origin, *, token=None, client_id="peer", caps=("pageDelta",)):
    """A socket that has introduced itself."""
    async with opened(origin, token=token) as peer:
        await peer.connect(client_id, caps)
        yield peer


@asynccontextmanager
async def opened(origin, *, token=None, shard=None):
    """A socket of which nothing has been said yet."""
    search = {name: text for name, text in (("shard", shard), ("token", token)) if text is not None}
    url = origin + "/_lunora/ws"
    async with aiohttp.ClientSession() as session, session.ws_connect(url, params=search, max_msg_size=0) as socket:
        yield Peer(socket)


async def post(origin, path, body, **headers):
    """Make a request; return status, body and headers. Underscores of header names stand for dashes."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    async with aiohttp.ClientSession() as session, session.post(origin + path, data=data, headers=named) as reply:
        return reply.status, orjson.loads(await reply.read()), reply.headers


async def call(origin, function, args=None, *, mutation_id=None, client_id="peer", **headers):
    """Make a call; return its status and body."""
    if mutation_id is not None:
        headers |= {"x_lunora_mutation_id": mutation_id, "x_lunora_client_id": client_id}
    body = {"functionPath": function, "args": args or {}}
    status, answer, _ = await post(origin, "/_lunora/rpc", body, **headers)
    return status, answer


async def batch(origin, *calls):
    """Make a batch of calls; return the bodies of its slots, in order."""
    numbered = [{"id": number, "args": {}, **each} for number, each in enumerate(calls)]
    status, answer, _ = await post(origin, "/_lunora/rpc-batch", {"calls": numbered})
    assert status == 200, answer
    bodies = {each["id"]: each["body"] for each in answer["results"]}
    return [bodies[number] for number in range(len(calls))]
