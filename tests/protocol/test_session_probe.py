"""What the reply to a session probe says."""

from __future__ import annotations

import copy
import pickle

import pytest

from lunora_rx.errors import ProtocolError
from lunora_rx.protocol.rpc import HttpReply
from lunora_rx.protocol.session_probe import (
    SESSION_PROBE_PATH,
    Unanswered,
    User,
    decode_session_reply,
    redact_session,
)

ANA = User("ana", {"id": "ana", "name": "Ana"})


def decode(body: bytes, *, status: int = 200, is_cookie_session: bool = False):
    """Decode a reply with this body."""
    return decode_session_reply(HttpReply(status, {}, body), is_cookie_session=is_cookie_session)


def test_session_probe_path_follows_the_auth_base_path():
    """The path of the protocol's table of endpoints."""
    assert f"/api/auth{SESSION_PROBE_PATH}" == "/api/auth/get-session"


@pytest.mark.parametrize("status", [200, 203, 299])
def test_session_reply_with_a_user_is_that_user(status):
    """The whole user object is kept; what stands beside it, as the session's token, is not."""
    body = b'{"user": {"id": "ana", "name": "Ana"}, "session": {"token": "canary"}}'
    assert decode(body, status=status) == ANA


def test_session_reply_is_plain_json():
    """What looks like a tag of the value codec is a field like any other."""
    answer = decode(b'{"user": {"id": "ana", "seen": {"$lunora.wire": "date", "v": 0}}}')
    assert answer["seen"] == {"$lunora.wire": "date", "v": 0}


@pytest.mark.parametrize("body", [b"null", b"{}", b'{"user": null}', b'{"session": {"id": "s"}}'])
def test_session_reply_without_a_user_is_nobody(body):
    """The server knows, and it is nobody."""
    assert decode(body) is None


@pytest.mark.parametrize("status", [199, 300, 302, 400, 401, 403, 404, 408, 429, 500, 503])
def test_session_reply_with_another_status_says_nothing(status):
    """Whatever its body is, nothing may be adopted."""
    assert decode(b'{"user": {"id": "ana"}}', status=status) == Unanswered(status)


def test_session_reply_401_is_nobody_for_a_cookie_session_only():
    """Without a bearer there is no session to be found; with one it was refused, which names nobody."""
    assert decode(b"", status=401, is_cookie_session=True) is None
    assert decode(b"", status=401, is_cookie_session=False) == Unanswered(401)
    assert decode(b"", status=403, is_cookie_session=True) == Unanswered(403)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "is not JSON"),
        (b"<html>canary</html>", "is not JSON"),
        (b'{"user": "canary', "is not JSON"),
        (b"[]", "is no object but list"),
        (b'"canary"', "is no object but str"),
        (b"false", "is no object but bool"),
        (b'{"user": "canary"}', "has a user that is no object but str"),
        (b'{"user": []}', "has a user that is no object but list"),
        (b'{"user": {}}', "has a user whose id is no string but NoneType"),
        (b'{"user": {"id": null, "name": "canary"}}', "has a user whose id is no string but NoneType"),
        (b'{"user": {"id": 7}}', "has a user whose id is no string but int"),
        (b'{"user": {"id": ""}}', "has a user whose id is empty"),
        (b'{"user": {"id": "\\ud800"}}', "has a user whose id holds a lone surrogate"),
    ],
)
def test_session_reply_that_cannot_be_read_raises(body, reason):
    """Signing somebody out for want of a readable answer would be worse; the message holds nothing of the body."""
    with pytest.raises(ProtocolError) as raised:
        decode(body)
    assert raised.value.message == f"the reply to a session probe {reason}"
    assert raised.value.status == 200


def test_session_reply_that_was_cut_raises():
    """A body that was thrown away says nothing; a status that says nothing needs no body."""
    with pytest.raises(ProtocolError, match="larger than max_body_size"):
        decode_session_reply(HttpReply(200, is_cut=True), is_cookie_session=False)
    assert decode_session_reply(HttpReply(500, is_cut=True), is_cookie_session=False) == Unanswered(500)


def test_user_in_a_log_shows_the_id_alone():
    """The other fields are personal."""
    assert repr(ANA) == "User(id='ana')"


def test_user_fields_are_found_by_name():
    """A field that the server did not send is a ``KeyError`` or a default."""
    assert (ANA["name"], ANA.get("name"), ANA.get("email"), ANA.get("email", "-")) == ("Ana", "Ana", None, "-")
    with pytest.raises(KeyError):
        ANA["email"]


def test_user_fields_are_read_only():
    """Neither the user nor the object it was made of changes what others see."""
    fields = {"id": "ana", "name": "Ana"}
    user = User("ana", fields)
    fields["name"] = "Bo"
    with pytest.raises(TypeError):
        user.fields["name"] = "Bo"
    assert user == ANA


@pytest.mark.parametrize("twin_of", [copy.copy, copy.deepcopy, lambda user: pickle.loads(pickle.dumps(user))])
def test_user_survives_being_copied(twin_of):
    """Dashboards keep, copy and pickle what they show."""
    assert twin_of(ANA) == ANA


def test_user_is_another_once_a_field_is():
    """Equal users have equal fields, and equal hashes."""
    assert User("ana", {"id": "ana"}) != ANA
    assert hash(User("ana", {"id": "ana"})) == hash(ANA)
    assert User("ana").fields == {}


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (b'{"user":{"id":"ada","key":"s3cret"},"session":{"token":"s3cret"}}', '{"user":{"id":"ada"}}'),
        (b'{"user":{"id":7}}', "null"),
        (b"null", "null"),
        (b"s3cret", "null"),
        (b'{"user":"s3cret"}', "null"),
    ],
)
def test_redact_session_keeps_the_id_alone(body, kept):
    """A session is a credential."""
    assert redact_session(body) == kept
