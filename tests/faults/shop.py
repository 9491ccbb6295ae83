"""A server behind two proxies, one before its calls and one before its sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from lunora_rx import Backoff, LunoraClient
from lunora_rx.devserver.faults import Faults
from lunora_rx.devserver.settings import Limits
from tests.faults.customer import Customer, until
from tests.faults.proxy import Proxy
from tests.faults.rows import ADA, SOCKET, Rows, rows_app

HEARTBEAT = 0.4
BRIEF = Backoff(initial=0.01, maximum=0.05)


class Shop:
    """A server, the ways to it, and its customers.

    Attributes:
        calls: The proxy that calls go through.
        sockets: The proxy that sockets go through.
        url: The server itself.
        rows: What the server keeps, where it runs in this process.
    """

    def __init__(self, calls: Proxy, sockets: Proxy, url: str, rows: Rows) -> None:
        self.calls = calls
        self.sockets = sockets
        self.url = url
        self.rows = rows

    def client(self, **options: Any) -> LunoraClient:
        """Return a client that goes through the proxies, as Ada, and does not poll."""
        defaults: dict[str, Any] = {
            "url": self.calls.url,
            "ws_url": self.sockets.url.replace("http", "ws") + "/_lunora/ws",
            "auth_token": ADA,
            "auth_subject": "ada",
            "ws_token": SOCKET,
            "reconnect": BRIEF,
            "heartbeat_interval": HEARTBEAT,
            "polling": None,
        }
        return LunoraClient(**(defaults | options))

    @asynccontextmanager
    async def customer(self, *, is_connected: bool = True, **options: Any) -> AsyncIterator[Customer]:
        """A client with an open live query, closed at the end."""
        async with self.client(**options) as client:
            customer = Customer(client)
            if is_connected:
                await until(lambda: customer.shown.values)
            yield customer

    def cut(self) -> None:
        """Cut every connection and let no new one be made."""
        self.calls.refuse()
        self.sockets.refuse()

    @property
    def faults(self) -> Faults:
        """The switches of the server."""
        return self.rows.app.faults

    @property
    def runs(self) -> list[int]:
        """The numbers that the server was made to keep, in order."""
        return self.rows.runs

    async def heal(self) -> None:
        """End what the proxies do."""
        await self.calls.heal()
        await self.sockets.heal()

    async def table(self) -> list[dict[str, Any]]:
        """Ask the server for its rows, by a way of the test's own."""
        return await self.ask("rows:list")

    async def ask(self, function: str) -> Any:
        """Call a function of the server, by a way of the test's own."""
        body = {"functionPath": function, "args": {}}
        async with aiohttp.ClientSession() as session, session.post(f"{self.url}/_lunora/rpc", json=body) as reply:
            return (await reply.json())["result"]


async def left_behind(shop: Shop, storage: Path, *numbers: int) -> Customer:
    """Return a client that queued numbers while cut off and was closed; the shop is still to be healed."""
    shop.cut()
    async with shop.customer(is_connected=False, storage=storage) as customer:
        for number in numbers:
            customer.add(number, text=f"left-{number}")
        await until(lambda: all(customer.was_queued(number) for number in numbers))
    return customer


@asynccontextmanager
async def opened(limits: Limits | None = None) -> AsyncIterator[Shop]:
    """A shop whose server runs on this loop."""
    rows = rows_app(limits)
    async with rows.app.serve() as url:
        port = urlsplit(url).port
        assert port is not None
        async with Proxy(port) as calls, Proxy(port) as sockets:
            yield Shop(calls, sockets, url, rows)
