"""TLS is verified, and nothing is said to a server that fails: not in the clear either."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ssl

import aiohttp
import pytest
import trustme

from lunora_rx import Backoff, LunoraClient, TransportError
from lunora_rx.codegen import DocumentError
from lunora_rx.codegen.source import read_document
from tests.security.canary import WORD, Eavesdropper, leaks
from tests.security.house import BEARER, SOCKET, empty, trap
from tests.support import until

BRIEF = Backoff(initial=0.01, maximum=0.02)
LONG_AGO = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
NOBODYS = trustme.CA()
OURS = trustme.CA()


class SelfSigned:
    """A certificate that nobody but itself vouches for."""

    def configure_cert(self, context):
        """Let a server show it."""
        with NOBODYS.private_key_pem.tempfile() as key, NOBODYS.cert_pem.tempfile() as certificate:
            context.load_cert_chain(certificate, key)


def serving_with(certificate):
    """Return what a server needs to show a certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    return context


def trusting(authority):
    """Return what a client needs to trust an authority."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


# What is wrong: the certificate, whom the client trusts, and what the error says.
FAULTS = {
    "self-signed": (SelfSigned(), None, "self-signed certificate"),
    "of an unknown authority": (NOBODYS.issue_cert("127.0.0.1"), OURS, "unable to get local issuer"),
    "wrong name": (OURS.issue_cert("other.example"), OURS, "not valid for '127.0.0.1'"),
    "expired": (OURS.issue_cert("127.0.0.1", not_after=LONG_AGO), OURS, "certificate has expired"),
}


@contextlib.asynccontextmanager
async def connecting(url, authority):
    """A client with tokens, of a session that trusts an authority, or of its own session."""
    async with contextlib.AsyncExitStack() as stack:
        options = {"auth_token": BEARER, "ws_token": SOCKET, "reconnect": BRIEF, "polling": None}
        if authority is not None:
            connector = aiohttp.TCPConnector(ssl=trusting(authority))
            options["session"] = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        yield await stack.enter_async_context(LunoraClient(url, **options))


@pytest.mark.parametrize("fault", FAULTS)
async def test_server_that_cannot_prove_who_it_is_gets_no_request(no_tasks_left, fault, caplog):
    """Calls, sockets, streams and the probe fail, the reason is told, and no token with it; nothing was received."""
    certificate, authority, reason = FAULTS[fault]
    ear = Eavesdropper()
    context = serving_with(certificate)
    async with trap(empty, ssl_context=context) as server, connecting(server.url, authority) as client:
        with ear:
            client.live("a:b").subscribe()
            client.http_stream("/events").subscribe(on_error=ear.catch)
            for call in (client.query("a:b"), client.current_user()):
                with pytest.raises(TransportError, match=f"its certificate is not valid: .*(?:{reason})") as raised:
                    await call
                ear.catch(raised.value)
            await until(lambda: client.debug()["last_error"] and len(ear.errors) == 3)
        assert "certificate is not valid" in client.debug()["last_error"]
        assert server.requests == []
    assert ear.leaks() == set()


async def test_context_of_the_users_session_decides_whom_to_trust(no_tasks_left):
    """An authority of one's own, for calls and sockets alike."""
    context = serving_with(OURS.issue_cert("127.0.0.1"))
    async with trap(empty, ssl_context=context) as server, connecting(server.url, OURS) as client:
        client.live("a:b").subscribe()
        await client.query("a:b")
        await until(lambda: any("/_lunora/ws" in path for path, _ in server.requests))
        assert any(headers.get("Authorization") == f"Bearer {BEARER}" for _, headers in server.requests)


async def test_certificate_of_the_client_can_be_given(no_tasks_left):
    """Mutual TLS: the context of the session holds it."""
    context = serving_with(OURS.issue_cert("127.0.0.1"))
    OURS.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    ours = trusting(OURS)
    async with trap(empty, ssl_context=context) as server:
        async with connecting(server.url, OURS) as client:
            with pytest.raises(TransportError):
                await client.query("a:b")
        OURS.issue_cert("client@example.org").configure_cert(ours)
        session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=ours))
        async with session, LunoraClient(server.url, session=session, auth_token=BEARER) as client:
            await client.query("a:b")
        assert len(server.requests) == 1


async def test_server_without_tls_is_told_nothing(no_tasks_left):
    """There is no falling back: what arrives where https was asked for is a handshake, and no token."""
    heard = []

    async def listen(reader, writer):
        heard.append(await reader.read(1000))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, connecting(f"https://127.0.0.1:{port}", None) as client:
        client.live("a:b").subscribe()
        with pytest.raises(TransportError):
            await client.query("a:b")
        await until(lambda: client.debug()["last_error"] and len(heard) >= 2)
    assert all(not leaks(each.decode("latin-1")) for each in heard)
    assert all(each[:1] == b"\x16" for each in heard)  # a TLS handshake


async def test_socket_of_a_secure_origin_is_secure():
    """``https`` gives ``wss``, and whoever wants a socket in the clear has to say so."""
    async with LunoraClient("https://lunora.example") as client:
        assert client._driver._ws_base.startswith("wss://")


async def test_document_of_a_server_that_cannot_prove_who_it_is_is_not_read():
    """The code generator verifies, too."""
    context = serving_with(NOBODYS.issue_cert("127.0.0.1"))
    async with trap(empty, ssl_context=context) as server:
        with pytest.raises(DocumentError, match="certificate is not valid") as raised:
            await asyncio.to_thread(read_document, server.url, auth_token=BEARER)
        assert server.requests == []
    assert WORD not in str(raised.value)
    assert WORD not in repr(raised.value.__cause__.__context__)
