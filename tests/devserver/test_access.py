"""Bearers, tokens of sockets, and that no token is ever told."""

from __future__ import annotations

import logging

import pytest

from lunora_rx.devserver import App, AppError
from lunora_rx.devserver.access import sign_ws_token
from tests.devserver.peer import Peer, call, chat_app, new_backend, reply_to

CANARY = "canary-7f3a"


def guarded_app(check, admin_token: str | None = None) -> App:
    app = chat_app(admin_token=admin_token)
    app.authenticate(check)
    return app


def raise_with_token(token: str) -> str:
    raise ValueError(f"bad token {token}")


async def asynchronous(token: str) -> str:
    return token.upper()


def test_subject_of_the_bearer_is_the_identity():
    """Functions see whose call it is, with plain and with async checks; no bearer is nobody."""
    backend = new_backend(guarded_app(asynchronous))
    assert call(backend, "me:name", authorization="bearer ada") == {"result": "ADA"}
    assert call(backend, "me:name") == {"result": None}


@pytest.mark.parametrize("check", [lambda token: None, raise_with_token, lambda token: 7])
def test_refused_bearer_is_unauthorized_and_untold(check, caplog):
    """A token that is refused, or breaks the check, gets 401, and is in no log and no reply."""
    caplog.set_level(logging.DEBUG)
    status, body, _ = reply_to(new_backend(guarded_app(check)), "me:name", authorization=f"Bearer {CANARY}")
    assert (status, body["error"]["code"]) == (401, "UNAUTHORIZED")
    assert CANARY not in caplog.text + str(body)


def test_check_may_choose_its_code():
    """An AppError of the check is the caller's answer."""

    def check(token: str) -> str:
        raise AppError("TOKEN_EXPIRED", "sign in again")

    assert reply_to(new_backend(guarded_app(check)), "me:name", authorization="Bearer x")[0] == 401


def test_tokens_name_nobody_without_a_check():
    """An app without authentication takes any token, and trusts none."""
    assert call(new_backend(), "me:name", authorization="Bearer ada") == {"result": None}


def test_live_query_runs_for_the_identity_of_its_socket():
    """Two subjects never share an answer; two sockets of one subject do."""
    backend = new_backend(guarded_app(lambda token: token))
    peers = [Peer(backend, token=token) for token in ("ada", "bob", "ada", None)]
    for peer in peers:
        peer.subscribe("sub_1", "me:name")
    assert [peer.values["sub_1"] for peer in peers] == ["ada", "bob", "ada", None]
    assert len(backend.shard().live) == 3
    peers[0].send({"type": "connect", "id": "connect", "clientId": "c", "caps": []})
    assert peers[0].drain() == [{"type": "identity", "subject": "ada"}]


@pytest.mark.parametrize("token", ["v1.2000000.x", "v1.x.y", "v1.", "v1.9", "other", sign_ws_token("wrong", 2_000_000)])
def test_bad_socket_token_gets_error_and_4001(token):
    """A socket that may not be is opened, told why, and closed."""
    backend = new_backend(guarded_app(lambda token: None, admin_token="admin"))
    peer = Peer(backend, token=token)
    assert peer.session.close_code == 4001
    assert not backend.shard().members


def test_expired_token_is_told_as_token_expired():
    """The error frame names no subscription."""
    backend = new_backend(chat_app(admin_token="admin"))
    session = backend.open(token=sign_ws_token("admin", 999_999))
    (text,) = session.frames_to_send()
    assert '"code":"TOKEN_EXPIRED"' in text
    assert '"id"' not in text


def test_short_lived_token_is_good_until_it_expires():
    """A good token gives a live session that knows its end; expiring is final."""
    backend = new_backend(chat_app(admin_token="admin"))
    peer = Peer(backend, token=sign_ws_token("admin", 1_060_000))
    assert peer.session.expires_at == 1060.0
    assert [frame["type"] for frame in peer.subscribe("sub_1", "me:name")] == ["ack", "data"]
    peer.session.expire()
    peer.session.expire()
    assert peer.types() == [("error", None)]
    assert peer.session.close_code == 4001
    assert len(backend.shard().live) == 0
    assert peer.subscribe("sub_2", "me:name") == []


def test_repr_of_app_tells_no_token():
    """An app may be printed."""
    app = chat_app(admin_token=CANARY)
    assert CANARY not in repr(app) + repr(app.access)
