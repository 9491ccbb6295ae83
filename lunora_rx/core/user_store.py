"""Which questions about who is signed in are worth asking, and which answers count.

Source: ``docs/protocol.md``, sections "Session probe" and "Identity store".
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from lunora_rx.core.identity import Identity, IdentityChange
from lunora_rx.errors import LunoraError
from lunora_rx.protocol.frozen import frozen
from lunora_rx.protocol.session_probe import SessionAnswer, Unanswered, User, UserState, UserStatus
from lunora_rx.protocol.values import UNDEFINED, Undefined

NOBODY: Final = UserState(UserStatus.UNAUTHENTICATED, None, is_known=True)


@frozen
class Heard:
    """What an answer that counts means.

    Attributes:
        subject: What to adopt with ``learn_subject``: an id, ``None`` for nobody; ``UNDEFINED`` to adopt nothing.
        result: What every call that waits for the user gets: the user or ``None``, or an error to raise a copy of.
    """

    subject: str | Undefined | None
    result: User | LunoraError | None


class UserStore:
    """Who is signed in, as one client shows it.

    Knows the newest question and whether it waits for its answer. Questions are numbered; only the answer to the
    newest counts, and none after the identity it was asked for changed: a number is its generation. Does not
    know what tokens hold, how a question is asked, nor who waits for the answer: whoever does goes on waiting when
    an answer does not count, because a newer question is under way or ``change_identity`` has settled it.

    Args:
        has_cookies: Whether somebody may be signed in without a token.

    Attributes:
        state: What to show. Stays ``loading`` until the store is used.
        is_used: Whether anybody ever wanted to know; before, a null identity is settled.
    """

    def __init__(self, *, has_cookies: bool) -> None:
        self.state = UserState()
        self.is_used = False
        self._has_cookies = has_cookies
        self._count = 0
        self._awaited: int | None = None

    @property
    def is_resolving(self) -> bool:
        """Whether an answer may still come, so that a null identity is unresolved.

        A question that failed counts as over: ``unreachable`` passes the gate.
        """
        return self._awaited is not None

    @property
    def wants_retry(self) -> bool:
        """Whether to ``ask`` again when the status becomes connected."""
        return self.state.status is UserStatus.UNREACHABLE and not self.is_resolving

    def resolve(self) -> int | None:
        """Use the store from now on, and find out who is signed in.

        Returns:
            The number of the question to send now; ``None`` if the one under way will do.
        """
        self.is_used = True
        return None if self.is_resolving else self.ask()

    def ask(self) -> int:
        """Begin a question whatever is under way, and return its number; the caller must send it.

        For probes that no user asked for: after ``IDENTITY_MISMATCH`` an answer that is on its way may be from
        before. Who only needs a confirmation asks if not ``is_resolving``. What is shown stays until the answer.
        """
        self._count += 1
        self._awaited = self._count
        return self._count

    def receive(self, number: int, answer: SessionAnswer | LunoraError) -> Heard | None:
        """Take the answer to a question, or why there is none.

        Returns:
            What the caller must adopt and hand to those who wait; ``None`` if the answer does not count.
        """
        if number != self._awaited:
            return None
        self._awaited = None
        heard = _understand(answer)
        if self.is_used:
            self.state = self._state_after(heard)
        return heard

    def change_identity(self, identity: Identity, change: IdentityChange) -> int | None:
        """Follow a change that the application or a socket made; not one that ``receive`` told of.

        Any change makes the question under way stale, under the same token as well: what was said later counts
        more. The user stays on the screen while the subject is theirs; their fields are asked for anew all the same.

        Returns:
            The number of the question to send now. ``None`` if there is none, because nothing changed, the store is
            not used, or nobody can be signed in; in the last case who waits gets ``None``, as nothing is resolving.
        """
        if change is IdentityChange.NOTHING:
            return None
        self._awaited = None
        if not self.is_used:
            return None
        if self._is_nobody(identity):
            self.state = NOBODY
            return None
        if self.state.user is None or self.state.user.id != identity.subject:
            self.state = UserState()
        return self.ask()

    def _is_nobody(self, identity: Identity) -> bool:
        if identity.subject is UNDEFINED:
            return identity.token is None and not self._has_cookies
        return identity.subject is None

    def _state_after(self, heard: Heard) -> UserState:
        if isinstance(heard.result, User):
            return UserState(UserStatus.AUTHENTICATED, heard.result, is_known=True)
        return NOBODY if heard.subject is None else replace(self.state, status=UserStatus.UNREACHABLE)


def _understand(answer: SessionAnswer | LunoraError) -> Heard:
    if isinstance(answer, User):
        return Heard(answer.id, answer)
    if isinstance(answer, LunoraError):
        return Heard(UNDEFINED, answer)
    return Heard(UNDEFINED if isinstance(answer, Unanswered) else None, None)
