"""Whose session it is: what the answer to the question says, and what is shown of it.

Source: ``docs/protocol.md``, sections "Session probe" and "Identity store".
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from lunora_rx.errors import CodecError, ProtocolError
from lunora_rx.protocol.frame_fields import is_sendable
from lunora_rx.protocol.frozen import frozen
from lunora_rx.protocol.rpc import HttpReply
from lunora_rx.protocol.text import parse, serialize

SESSION_PROBE_PATH: Final = "/get-session"
"""What follows the origin and the auth base path."""


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who is signed in, as the server describes them.

    Attributes:
        id: The stable id, the ``subject`` of every other part of the protocol.
        fields: The whole ``user`` object in plain JSON, ``id`` included; shared, so read-only. Not in ``repr``.
    """

    id: str
    fields: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fields", MappingProxyType(dict(self.fields)))

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]

    def get(self, name: str, default: Any = None) -> Any:
        """Return a field, or the default where the server sent none of that name."""
        return self.fields.get(name, default)

    def __reduce__(self) -> tuple[type[User], tuple[str, dict[str, Any]]]:
        # The read-only view of the fields can be neither copied nor pickled.
        return User, (self.id, dict(self.fields))


class UserStatus(enum.StrEnum):
    """How far it is known who is signed in."""

    LOADING = "loading"
    AUTHENTICATED = "authenticated"
    UNAUTHENTICATED = "unauthenticated"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class UserState:
    """Who is signed in, as far as is known.

    Attributes:
        status: ``loading`` before the first answer about this identity, ``authenticated``, ``unauthenticated``, or
            ``unreachable`` after a question that taught nothing.
        user: The user; ``None`` for nobody, and while nothing is known. Kept while ``unreachable``.
        is_known: Whether ``user`` is what was last learned, so that ``None`` means nobody.
    """

    status: UserStatus = UserStatus.LOADING
    user: User | None = None
    is_known: bool = False


@frozen
class Unanswered:
    """The server replied with a status that says nothing of who is signed in: nothing may be adopted."""

    status: int


SessionAnswer: TypeAlias = User | Unanswered | None
"""The user, ``None`` for nobody, or no answer."""


def decode_session_reply(reply: HttpReply, *, is_cookie_session: bool) -> SessionAnswer:
    """Return what the reply to a session probe says.

    Source: ``docs/protocol.md``, section "Session probe".

    Args:
        reply: The reply, whatever its status; its body is plain JSON, without the value codec.
        is_cookie_session: Whether the question went out with no bearer; then 401 means nobody.

    Raises:
        ProtocolError: A 2xx body is no JSON, is neither an object nor ``null``, or has a user without an id that is
            a non-empty string which can be sent. A number is refused too: every other part of the protocol compares
            ids as strings, and how the server would spell it there is not known. The message holds nothing of the
            body.
    """
    if reply.status == 401 and is_cookie_session:
        return None
    if not 200 <= reply.status <= 299:
        return Unanswered(reply.status)
    session = _parse(reply)
    if session is None:
        return None
    if not isinstance(session, dict):
        raise _unreadable(f"is no object but {type(session).__name__}", reply)
    user = session.get("user")
    return None if user is None else _user_of(user, reply)


def redact_session(body: bytes) -> str:
    """Return the reply to a session probe as it may be kept: who is signed in, without the session itself."""
    try:
        tree = parse(body)
    except CodecError:
        return "null"
    user = tree.get("user") if isinstance(tree, dict) else None
    subject = user.get("id") if isinstance(user, dict) else None
    return serialize({"user": {"id": subject}} if isinstance(subject, str) else None).decode()


def _parse(reply: HttpReply) -> object:
    if reply.is_cut:
        raise _unreadable("is larger than max_body_size", reply)
    try:
        return parse(reply.body)
    except CodecError as error:
        raise _unreadable("is not JSON", reply) from error


def _user_of(user: object, reply: HttpReply) -> User:
    if not isinstance(user, dict):
        raise _unreadable(f"has a user that is no object but {type(user).__name__}", reply)
    subject = user.get("id")
    if not isinstance(subject, str):
        raise _unreadable(f"has a user whose id is no string but {type(subject).__name__}", reply)
    if not subject:
        raise _unreadable("has a user whose id is empty", reply)
    if not is_sendable(subject):
        raise _unreadable("has a user whose id holds a lone surrogate", reply)
    return User(subject, user)


def _unreadable(reason: str, reply: HttpReply) -> ProtocolError:
    return ProtocolError(f"the reply to a session probe {reason}", status=reply.status)
