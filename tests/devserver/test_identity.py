"""Who is asking: by bearer, by cookie, over HTTP, at the upgrade of a socket and in the session probe."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import closing
from typing import Any

import aiohttp
import pytest

from lunora_rx.devserver.access import session_cookie_of
from tests.devserver.peer import chat_app, new_backend
from tests.devserver.test_server import CONNECT, GENERAL, Client, receive


class Visitor(Client):
    """Somebody with a cookie, a bearer, both or neither."""

    cookie = ""
    bearer = ""

    @property
    def headers(self) -> dict[str, str]:
        cookie = {"cookie": f"theme=dark; lunora_session={self.cookie}", "origin": self.url} if self.cookie else {}
        return cookie | ({"authorization": f"Bearer {self.bearer}"} if self.bearer else {})

    async def name(self) -> Any:
        return (await self.call("me:name", {}, **self.headers))["result"]

    async def probe(self) -> tuple[int, Any]:
        async with self.http.get(f"{self.url}/api/auth/get-session", headers=self.headers) as reply:
            return reply.status, await reply.json()

    def upgrade(self, query: str = "", **headers: str) -> Any:
        return self.http.ws_connect(f"{self.url}/_lunora/ws{query}", headers=self.headers | headers)

    async def told(self, query: str = "") -> Any:
        async with self.upgrade(query) as socket:
            await socket.send_json(CONNECT)
            return (await receive(socket))[0]["subject"]


@pytest.fixture
async def visitor() -> AsyncIterator[Visitor]:
    """A chat server with one cookie session and any bearer but "bad"."""
    app = chat_app()
    app.sessions["s1"] = "ada"
    app.authenticate(lambda token: None if token == "bad" else token)
    async with app.serve() as url, aiohttp.ClientSession() as http:
        yield Visitor(app, url, http)


@pytest.mark.parametrize(
    ("cookie", "bearer", "subject"),
    [("", "", None), ("s1", "", "ada"), ("gone", "", None), ("", "eve", "eve"), ("s1", "eve", "eve")],
)
async def test_call_and_probe_see_the_same_subject(visitor, cookie, bearer, subject):
    """A bearer counts before a cookie; an unknown cookie is nobody."""
    visitor.cookie, visitor.bearer = cookie, bearer
    assert await visitor.name() == subject
    assert await visitor.probe() == (200, None if subject is None else {"user": {"id": subject}})


@pytest.mark.parametrize(
    ("cookie", "query", "subject"),
    [("", "", None), ("s1", "", "ada"), ("gone", "", None), ("s1", "?token=eve", "eve"), ("", "?token=eve", "eve")],
)
async def test_socket_has_the_subject_of_its_upgrade(visitor, cookie, query, subject):
    """The cookie of the upgrade counts unless the URL has a token; ``identity`` says who it is."""
    visitor.cookie = cookie
    assert await visitor.told(query) == subject


async def test_every_connect_is_answered_with_the_identity(visitor):
    """A changed context asks again, and is told the subject that the socket was opened with."""
    visitor.cookie = "s1"
    async with visitor.upgrade() as socket:
        for _ in range(3):
            await socket.send_json(CONNECT)
        visitor.app.sessions["s1"] = "eve"
        assert await receive(socket, 3) == [{"type": "identity", "subject": "ada"}] * 3
    assert await visitor.told() == "eve"


async def test_session_that_ends_or_changes_hands_is_seen_at_once(visitor):
    """A test signs in and out by changing the mapping."""
    visitor.cookie = "s1"
    visitor.app.sessions["s1"] = "eve"
    assert await visitor.name() == "eve"
    del visitor.app.sessions["s1"]
    assert (await visitor.name(), await visitor.probe()) == (None, (200, None))


async def test_refused_bearer_is_401_for_the_probe(visitor):
    """A bad bearer is refused even where a cookie would do."""
    visitor.cookie, visitor.bearer = "s1", "bad"
    status, body = await visitor.probe()
    assert (status, body["error"]["code"]) == (401, "UNAUTHORIZED")


async def test_socket_with_a_cookie_from_another_site_is_forbidden(visitor):
    """A page of another site cannot open a socket in somebody's name; a program that names no origin can."""
    visitor.cookie = "s1"
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await visitor.upgrade(origin="http://localhost:1")
    assert caught.value.status == 403
    async with visitor.http.ws_connect(f"{visitor.url}/_lunora/ws", headers={"cookie": "lunora_session=s1"}) as socket:
        await socket.send_json(CONNECT)
        assert (await receive(socket))[0]["subject"] == "ada"


def stamp(subject: str | None) -> dict[str, str]:
    text = base64.urlsafe_b64encode(json.dumps({"subject": subject}).encode()).rstrip(b"=").decode()
    return {"x-lunora-expect-subject": text}


@pytest.mark.parametrize("path", ["rpc", "rpc-batch"])
@pytest.mark.parametrize(
    ("cookie", "expected", "status"),
    [
        ("s1", "ada", 200),
        ("s1", "eve", 409),
        ("s1", None, 409),
        ("", None, 200),
        ("", "ada", 409),
        ("gone", "ada", 409),
    ],
)
async def test_replay_for_another_subject_carries_nothing_out(visitor, path, cookie, expected, status):
    """A single call and a whole batch are refused before anything runs, and go through once the subject fits."""
    visitor.cookie = cookie
    call = {"functionPath": "messages:send", "args": GENERAL | {"text": "hi"}}
    body = call if path == "rpc" else {"calls": [call, call]}
    headers = visitor.headers | stamp(expected)
    async with visitor.http.post(f"{visitor.url}/_lunora/{path}", json=body, headers=headers) as reply:
        assert reply.status == status
        answer = await reply.json()
    assert answer.get("error", {}).get("code") == (None if status == 200 else "IDENTITY_MISMATCH")
    rows = visitor.app.backend.shard().store.counts().get("messages", 0)
    assert rows == (0 if status == 409 else len(body.get("calls", [call])))


async def test_cookie_names_the_space_of_mutation_ids(visitor):
    """A write of one user is the same from any of the user's clients, and another one for another user."""
    visitor.app.sessions |= {"s2": "ada", "s3": "eve"}
    for cookie, client_id in (("s1", "a"), ("s2", "b"), ("s3", "a")):
        visitor.cookie = cookie
        ids = {"x-lunora-mutation-id": "m1", "x-lunora-client-id": client_id}
        assert "result" in await visitor.call("messages:send", GENERAL | {"text": "hi"}, **visitor.headers, **ids)
    assert visitor.app.backend.shard().store.counts() == {"messages": 2}


def test_socket_in_memory_takes_a_cookie():
    """A test in virtual time has cookie sessions, too."""
    app = chat_app()
    app.sessions["s1"] = "ada"
    with closing(new_backend(app)) as backend:
        assert backend.open(headers={"cookie": "lunora_session=s1"}).subject == "ada"


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("", None),
        ("lunora_session=abc", "abc"),
        ("a=b; lunora_session=abc; c=d", "abc"),
        ('lunora_session="a b"', "a b"),
        ("other=abc", None),
        ("=;;=\x00", None),
    ],
)
def test_session_cookie_is_found_among_others(header, value):
    """Other cookies do not matter, nor does a header that is none."""
    assert session_cookie_of({"cookie": header}) == value
