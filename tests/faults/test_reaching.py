"""Servers that cannot be reached: storms, names, certificates, handshakes that nobody answers."""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import ssl
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from urllib.parse import urlsplit

import aiohttp
import pytest
import trustme
from aiohttp.abc import AbstractResolver

from lunora_rx import Backoff, Status
from tests.faults import oracle
from tests.faults.customer import until
from tests.faults.proxy import HOST, Proxy, Way
from tests.faults.rows import ADA, SOCKET
from tests.faults.shop import Shop

NAME = "shop.test"
STEP = 0.05


# --- 12: storms


@pytest.mark.fault(12, 45, 47)
@pytest.mark.parametrize("kind", ["reset at once", "opened, then closed with 4001"])
@pytest.mark.parametrize("seed", range(3))
async def test_storm_of_closed_connections_is_met_by_decorrelated_backoff(shop, clock, monkeypatch, kind, seed):
    """For a minute every attempt fails: one at a time, each gap drawn from the one before, as the protocol says."""
    monkeypatch.setattr(random, "random", random.Random(seed).random)
    async with shop.customer(reconnect=Backoff(), heartbeat_interval=0) as ada:
        await oracle.check(shop, ada, [])
        if kind == "reset at once":
            shop.sockets.end_at_once()
            shop.sockets.cut()
        else:
            shop.rows.refused.add(SOCKET)
            shop.faults.close_sockets(4001)
        await ada.until_status(Status.OFFLINE, Status.CONNECTING)
        await ada.write(0, 1)
        first = shop.sockets.connections
        await pass_a_minute(ada, clock)
        attempts = shop.sockets.accepted_at[first:]
        check_gaps([later - sooner for sooner, later in pairwise(attempts)])
        assert 2 < len(attempts) <= 60
        assert ada.pending == (2 if kind == "reset at once" else 0), "what opens for a moment carries writes"
        shop.rows.refused.clear()
        await shop.heal()
        await clock.jump(31)
        await oracle.check(shop, ada, range(2))
        await oracle.check_closed(ada)


async def pass_a_minute(customer, clock) -> None:
    """Put the clock forward bit by bit, never while an attempt is under way."""
    for _ in range(int(60 / STEP)):
        await until(lambda: customer.client.status.value is not Status.CONNECTING)
        await clock.jump(STEP)


def check_gaps(gaps: list[float]) -> None:
    """Each lies between the shortest delay and three times the one before, and none is longer than the longest."""
    backoff = Backoff()
    for before, gap in pairwise(gaps):
        # The clock goes in steps, and each attempt takes a moment of its own.
        assert backoff.initial <= gap <= min(backoff.maximum, 3 * (before + STEP)) + 2, gaps


# --- 14: names


class Names(AbstractResolver):
    """Resolves one name, when it may.

    Attributes:
        mood: ``knows``, ``denies`` or ``is silent``.
        asked: How often it was asked.
    """

    def __init__(self) -> None:
        self.mood = "knows"
        self.asked = 0

    async def resolve(self, host, port=0, family=socket.AF_INET):
        self.asked += 1
        if self.mood == "is silent":
            await asyncio.sleep(30)
        if self.mood != "knows":
            raise OSError(socket.EAI_NONAME, "name or service not known")
        where = {"hostname": host, "host": HOST, "port": port, "family": socket.AF_INET, "proto": 0}
        return [{**where, "flags": socket.AI_NUMERICHOST}]

    async def close(self) -> None:
        """There is nothing to close."""


def by_name(shop: Shop) -> dict[str, object]:
    """Return the options of a client that knows the server by a name."""
    calls, sockets = (f"{NAME}:{urlsplit(proxy.url).port}" for proxy in (shop.calls, shop.sockets))
    return {"url": f"http://{calls}", "ws_url": f"ws://{sockets}/_lunora/ws", "connect_timeout": 0.2}


@pytest.mark.fault(14, 45)
@pytest.mark.parametrize("mood", ["denies", "is silent"])
async def test_name_that_is_not_resolved_holds_writes_until_it_is(shop, caplog, mood):
    """Offline, tried again, told once; what was written meanwhile goes out in order."""
    names = Names()
    connector = aiohttp.TCPConnector(resolver=names, use_dns_cache=False, force_close=True)
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        shop.customer(session=session, request_timeout=0.5, **(options := by_name(shop))) as ada,
    ):
        await ada.write(0)
        names.mood = mood
        shop.sockets.cut()
        await ada.until_status(Status.OFFLINE)
        await ada.write(1, 2)
        asked = names.asked
        await until(lambda: names.asked > asked + 3)
        assert ada.pending == 2
        reason = {"denies": "its name cannot be resolved", "is silent": "no answer within 0.2 s"}[mood]
        told = f"cannot connect to {options['ws_url']}: {reason}"
        assert warnings_in(caplog) == [f"shard '': {told}; will try again"]
        assert ada.client.debug()["last_error"] == told
        names.mood = "knows"
        await oracle.check(shop, ada, range(3))
        await oracle.check_closed(ada)


@pytest.mark.fault(14)
async def test_system_that_does_not_resolve_a_name_gets_no_pile_of_threads(shop, monkeypatch):
    """Attempts that are given up join the question that is still under way, in its one thread."""
    loop, may_answer, real = asyncio.get_running_loop(), threading.Event(), socket.getaddrinfo

    def resolve(host, *args, **options):
        if host == NAME:
            may_answer.wait(30)
            host = HOST
        return real(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    threads = threading.active_count()
    async with shop.customer(is_connected=False, queue_before_first_connect=True, **by_name(shop)) as ada:
        await ada.write(0)
        await until(lambda: ada.statuses.values.count(Status.CONNECTING) > 8)
        assert threading.active_count() <= threads + 2
        assert ada.pending == 1
        may_answer.set()
        await oracle.check(shop, ada, [0])
        await oracle.check_closed(ada)
    await loop.shutdown_default_executor()


# --- 15: certificates


class Certificates:
    """Who vouches for whom: an authority, and what a server shows."""

    def __init__(self) -> None:
        self.authority = trustme.CA()
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

    def show(self, kind: str) -> None:
        """Let the server show a certificate from now on."""
        now = datetime.now(UTC)
        host = "elsewhere.test" if kind == "another host's" else HOST
        issuer = trustme.CA() if kind == "self-signed" else self.authority
        dates = {"not_before": now - timedelta(days=2), "not_after": now - timedelta(days=1)}
        certificate = issuer.issue_cert(host, **(dates if kind == "expired" else {}))
        certificate.configure_cert(self.server)


@asynccontextmanager
async def secured(shop: Shop, certificates: Certificates, greetings: list[bytes]) -> AsyncIterator[Shop]:
    """The shop by TLS; what connections begin with is noted before anything is deciphered."""

    def note(chunk: bytes) -> bytes:
        greetings.append(chunk[:1])
        return chunk

    ports = [urlsplit(proxy.url).port or 0 for proxy in (shop.calls, shop.sockets)]
    async with Proxy(ports[0], tls=certificates.server) as calls, Proxy(ports[1], tls=certificates.server) as sockets:
        outer = [urlsplit(proxy.url).port or 0 for proxy in (calls, sockets)]
        async with Proxy(outer[0]) as first, Proxy(outer[1]) as second:
            for proxy in (first, second):
                proxy.change(Way.UP, note)
            yield Shop(first, second, shop.url, shop.rows)


@pytest.mark.fault(15, 45)
@pytest.mark.parametrize("kind", ["self-signed", "expired", "another host's"])
async def test_certificate_that_is_not_valid_is_told_once_and_nothing_is_said_in_plain_text(shop, caplog, kind):
    """The server is never spoken to; writes wait, and go out once it shows the right certificate."""
    certificates, greetings = Certificates(), []
    certificates.show(kind)
    trust = ssl.create_default_context()
    certificates.authority.configure_trust(trust)
    connector = aiohttp.TCPConnector(ssl=trust)
    async with secured(shop, certificates, greetings) as outer, aiohttp.ClientSession(connector=connector) as session:
        urls = {
            "url": outer.calls.url.replace("http", "https"),
            "ws_url": outer.sockets.url.replace("http", "wss") + "/_lunora/ws",
        }
        options = {**urls, "session": session, "is_connected": False, "queue_before_first_connect": True}
        async with outer.customer(**options) as ada:
            await ada.write(0)
            await until(lambda: outer.sockets.connections > 3)
            assert ada.client.status.value in (Status.OFFLINE, Status.CONNECTING)
            (warning,) = warnings_in(caplog)
            assert "certificate is not valid" in warning
            assert (shop.faults.attempts, shop.rows.asked, ada.pending) == (0, [], 1)
            assert set(greetings) == {b"\x16"}, "each connection begins with a handshake of TLS"
            certificates.show("right")
            await oracle.check(outer, ada, [0])
            await oracle.check_closed(ada)


# --- a handshake that is never answered


@pytest.mark.fault(45)
async def test_handshake_that_is_never_answered_is_given_up_and_tried_again(shop, caplog):
    """The connection stands and nothing comes: abandoned by its timeout, told once, without a spin."""
    shop.sockets.swallow(Way.DOWN)
    options = {"is_connected": False, "queue_before_first_connect": True, "connect_timeout": 0.2}
    async with shop.customer(reconnect=Backoff(0.1, 0.1, "none"), **options) as ada:
        await ada.write(0)
        await until(lambda: shop.sockets.connections == 5)
        gaps = pairwise(shop.sockets.accepted_at)
        assert all(later - sooner > 0.25 for sooner, later in gaps), "each has its time, and a pause behind it"
        assert ada.pending == 1
        told = f"cannot connect to {shop.sockets.url.replace('http', 'ws')}/_lunora/ws: no answer within 0.2 s"
        assert warnings_in(caplog) == [f"shard '': {told}; will try again"]
        assert ada.client.debug()["last_error"] == told
        await shop.heal()
        await oracle.check(shop, ada, [0])
        await oracle.check_closed(ada)


def warnings_in(caplog) -> list[str]:
    """Return what was told of sockets that somebody should act on."""
    return [
        record.getMessage()
        for record in caplog.get_records("call")
        if record.name == "lunora_rx.socket" and record.levelno >= logging.WARNING
    ]


@pytest.mark.fault(47)
async def test_token_expired_told_by_frames_alone_asks_nobody_and_makes_no_storm(shop, ada):
    """The error frame tells the listeners; the socket, which still works, is kept."""
    for _ in range(20):
        shop.faults.send_text('{"type":"error","error":{"code":"TOKEN_EXPIRED"}}')
    await until(lambda: len(ada.expired.values) == 20)
    await ada.write(0)
    await oracle.check(shop, ada, [0])
    assert shop.sockets.connections == 1
    assert ADA in shop.rows.asked
