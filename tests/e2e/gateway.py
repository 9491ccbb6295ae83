"""A reverse proxy that misbehaves on purpose, before whichever server the tests run against.

It knows requests and sockets, and nothing of what they mean. tests/faults/proxy.py is the one that knows bytes.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

_OWN_HEADERS = ("host", "content-length")
_NORMAL = 1000


class Gateway:
    """A reverse proxy between a client and a server.

    Attributes:
        url: Where it listens.
        refusal: What an upgrade is answered with; ``None`` to let it through.
        is_down: Whether every request is cut off without an answer.
        upgrades: How many were asked for.
        batches: The sizes of the batches that passed.
        hold: When set, what replies to batches wait for; they have been carried out by then.
    """

    def __init__(self, target, session):
        self.url = ""
        self.refusal = None
        self.is_down = False
        self.upgrades = 0
        self.batches = []
        self.hold = None
        self._target = target
        self._session = session
        self._sockets = {}
        self._lost_replies = 0
        self._answers = []

    # What may be done to a client.

    def refuse_sockets(self, seconds=None):
        """Refuse every upgrade, for a time or until ``release``."""
        self.refusal = web.HTTPServiceUnavailable
        if seconds is not None:
            asyncio.get_running_loop().call_later(seconds, self._accept_sockets)

    def drop_sockets(self):
        """Cut every socket, without a farewell."""
        for transport in self._sockets.values():
            transport.abort()

    def lose_replies(self, times=1):
        """Let so many calls reach the server, and their replies nobody."""
        self._lost_replies += times

    def fail_calls(self, times=1, *, status, body=b"", headers=None):
        """Answer so many calls with this; the server never hears of them."""
        self._answers += [lambda: web.Response(status=status, body=body, headers=headers)] * times

    def release(self):
        """End every fault."""
        self._accept_sockets()
        self._lost_replies = 0
        self._answers.clear()

    async def cut(self):
        """End every socket."""
        for socket in list(self._sockets):
            await socket.close()

    def _accept_sockets(self):
        self.refusal = None

    # What it does else.

    async def serve(self, request):
        """Pass a request on, or do not."""
        if self.is_down:
            _abort(request)
        if request.headers.get("upgrade", "").lower() == "websocket":
            return await self._upgrade(request)
        if self._answers and request.method == "POST":
            return self._answers.pop()()
        return await self._pass_on(request)

    async def _pass_on(self, request):
        url, body = self._target + request.path_qs, await request.read()
        headers = {name: text for name, text in request.headers.items() if name.lower() not in _OWN_HEADERS}
        async with self._session.request(request.method, url, headers=headers, data=body) as reply:
            answer = web.Response(status=reply.status, body=await reply.read(), content_type="application/json")
            answer.headers.update({name: text for name, text in reply.headers.items() if name.startswith("x-")})
        if self._lost_replies and request.method == "POST":
            self._lost_replies -= 1
            _abort(request)
        if request.path.endswith("rpc-batch"):
            self.batches.append(body.count(b"functionPath"))
            if self.hold is not None:
                await self.hold.wait()
        return answer

    async def _upgrade(self, request):
        self.upgrades += 1
        if self.refusal is not None:
            raise self.refusal
        near = web.WebSocketResponse()
        await near.prepare(request)
        self._sockets[near] = request.transport
        async with self._session.ws_connect(self._target + request.path_qs) as far:
            pumps = [asyncio.ensure_future(_pump(*ends)) for ends in ((near, far), (far, near))]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
                del self._sockets[near]
            await near.close(code=far.close_code or _NORMAL)
        return near


@asynccontextmanager
async def opened(target):
    """A gateway before a server, closed at the end."""
    async with aiohttp.ClientSession() as session:
        gateway = Gateway(target, session)
        front = web.Application(client_max_size=2**26)
        front.router.add_route("*", "/{path:.*}", gateway.serve)
        runner = web.AppRunner(front, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        gateway.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield gateway
        finally:
            await gateway.cut()
            await runner.cleanup()


def _abort(request):
    request.transport.abort()
    raise web.HTTPServiceUnavailable


async def _pump(source, target):
    async for message in source:
        await target.send_str(message.data)
