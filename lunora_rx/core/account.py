"""Who is signed in: what a change of that does to queue, cached reads, sockets and displayed values.

Knows what is asked of the session probe and by which sockets. Does not know who waits for the answer.
Source: ``docs/protocol.md``, sections "Identity changes", "Session probe" and "Identity frame".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import product

from lunora_rx.core.calls import Calls
from lunora_rx.core.events import (
    AuthTokenChanged,
    Event,
    IdentityChanged,
    IdentityDisputed,
    UserHeard,
    UserStateChanged,
    ValuesRevoked,
)
from lunora_rx.core.identity import Identity, IdentityChange, Keep, change_token, learn_subject
from lunora_rx.core.reads import Reads
from lunora_rx.core.session import Session
from lunora_rx.core.subscriptions import Subscription
from lunora_rx.core.user_store import UserStore
from lunora_rx.core.writes import Writes
from lunora_rx.errors import LunoraError, ProtocolError
from lunora_rx.protocol.frozen import replace
from lunora_rx.protocol.rpc import HttpReply
from lunora_rx.protocol.session_probe import SessionAnswer, decode_session_reply
from lunora_rx.protocol.values import UNDEFINED


class Account:
    """The identity of one client.

    Args:
        sessions: The shards that are spoken to, as they come and go.
        calls: Carries the session probe, and knows the bearer of every other call.
        writes: Holds the identity, because every write is judged by it.
        reads: What was read before, where anything is kept.
        emit: Takes each event.
        probe_path: Where the session probe asks.
        has_cookies: Whether somebody may be signed in without a token.
        timeout: Seconds for an answer.

    Attributes:
        identity_epoch: How often somebody was replaced by somebody else.
    """

    def __init__(
        self,
        sessions: Mapping[str, Session],
        calls: Calls,
        writes: Writes,
        reads: Reads | None,
        emit: Callable[[Event], None],
        *,
        probe_path: str,
        has_cookies: bool,
        timeout: float,
    ) -> None:
        self.identity_epoch = 0
        self._sessions = sessions
        self._calls = calls
        self._writes = writes
        self._reads = reads
        self._emit = emit
        self._probe_path = probe_path
        self._has_cookies = has_cookies
        self._timeout = timeout
        self._store = UserStore(has_cookies=has_cookies)
        self._shown = self._store.state
        self._sockets_asked = self._sockets_answered = 0
        self._is_disputed = self._was_told = False

    @property
    def identity(self) -> Identity:
        """Who is signed in, as far as is known."""
        return self._writes.identity

    def set_token(self, token: str | None, subject: str | Keep | None, now: float) -> IdentityChange:
        """Be somebody else, or the same with another token."""
        identity, change = change_token(self.identity, token, subject)
        self._calls.bearer = token
        self._follow(identity, change, now)
        return change

    def resolve(self, now: float) -> None:
        """Find out who is signed in, for somebody who waits for ``UserHeard``; one question under way is enough."""
        self._send(self._store.resolve(), now)

    def confirm(self, now: float, *, is_disputed: bool = False) -> None:
        """Ask whose session it is, for writes that are held; ``is_disputed`` if the server saw somebody else's."""
        self._is_disputed = self._is_disputed or is_disputed
        if is_disputed or not self._store.is_resolving:
            self._send(self._store.ask(), now)

    def retry(self, now: float) -> None:
        """Ask again what could not be found out: the server is back."""
        if self._store.wants_retry:
            self._send(self._store.ask(), now)

    def ask_socket(self) -> int:
        """Return the number of a question that a socket puts by introducing itself."""
        self._sockets_asked += 1
        return self._sockets_asked

    def receive_subject(self, question: int, subject: str | None, now: float) -> None:
        """Take a socket's answer; only that of a cookie session's newest question says anything about us."""
        is_news = question > self._sockets_answered
        if not is_news or not self._has_cookies or self.identity.token is not None:
            return
        self._sockets_answered = question
        identity, change = learn_subject(self.identity, subject)
        self._follow(identity, change, now)

    def _follow(self, identity: Identity, change: IdentityChange, now: float) -> None:
        was_resolving = self._store.is_resolving
        if change is not IdentityChange.NOTHING:
            self._is_disputed = self._was_told = False
        question = self._store.change_identity(identity, change)
        self._adopt(identity, change, now)
        self._send(question, now)
        if was_resolving and not self._store.is_resolving:
            # Nobody can be signed in: that is the answer to whoever waits.
            self._emit(UserHeard(None))
        self._show()

    def _send(self, question: int | None, now: float) -> None:
        if question is None:
            return
        self._calls.ask(self._probe_path, timeout=self._timeout, settle=partial(self._receive, question))
        self._writes.identity = replace(self.identity, is_resolving=True)

    def _receive(self, question: int, reply: HttpReply | LunoraError, now: float) -> None:
        heard = self._store.receive(question, self._decode(reply))
        if heard is None:
            return
        identity, change = replace(self.identity, is_resolving=False), IdentityChange.NOTHING
        if heard.subject is not UNDEFINED:
            identity, change = learn_subject(identity, heard.subject)
            self._dispute(identity)
        self._adopt(identity, change, now)
        self._emit(UserHeard(heard.result))
        self._show()

    def _decode(self, reply: HttpReply | LunoraError) -> SessionAnswer | LunoraError:
        if isinstance(reply, LunoraError):
            return reply
        try:
            return decode_session_reply(reply, is_cookie_session=self._is_cookie_session)
        except ProtocolError as error:
            return error

    @property
    def _is_cookie_session(self) -> bool:
        return self._has_cookies and self.identity.token is None

    def _dispute(self, identity: Identity) -> None:
        is_unsolved = self._is_disputed and identity.fingerprint == self.identity.fingerprint
        self._is_disputed = False
        if is_unsolved and not self._was_told:
            self._emit(IdentityDisputed(identity.subject if isinstance(identity.subject, str) else None))
        self._was_told = is_unsolved

    def _adopt(self, identity: Identity, change: IdentityChange, now: float) -> None:
        before = self.identity
        identity = replace(identity, is_resolving=self._store.is_resolving)
        self._writes.adopt(identity)
        self._change_sockets(before, identity, change, now)
        self._change_reads(change, now)
        if identity.token != before.token:
            self._emit(AuthTokenChanged())
        is_news = not identity.is_like(before)
        if is_news or before.is_unresolved:
            # A question that taught nothing must not make a planned retry come at once: it would ask again.
            self._writes.flush_all(now, cuts_waits=is_news)

    def _change_sockets(self, before: Identity, after: Identity, change: IdentityChange, now: float) -> None:
        is_cookies_known = self._has_cookies and before.token is None and after.token is None
        if change is IdentityChange.DIFFERENT:
            self._evict(after, now)
        elif change is IdentityChange.SUBJECT_LEARNED or (is_cookies_known and before.subject is UNDEFINED):
            self._move_stamps(before.fingerprint, after.fingerprint)
        elif after.is_confirmed and not before.is_confirmed and after.token == before.token:
            self._move_stamps(before.credential, after.fingerprint)
        elif change is IdentityChange.SIGNED_IN and self._has_cookies and before.subject is None:
            # What nobody saw is no place to resume from: unchanged since then says nothing of what the user sees.
            self._restart(now)
            for session in self._sessions.values():
                session.forget_positions()

    def _move_stamps(self, before: str | None, after: str | None) -> None:
        for session in self._sessions.values():
            if session.stamp.fingerprint == before:
                session.stamp.fingerprint = after

    def _evict(self, identity: Identity, now: float) -> None:
        self.identity_epoch += 1
        self._emit(ValuesRevoked())
        if self._reads is not None:
            self._reads.clear()
        layers = self._writes.own_layers()
        for session in self._sessions.values():
            session.forget_values(layers)
        self._restart(now)
        subject = identity.subject if isinstance(identity.subject, str) else None
        self._emit(IdentityChanged(subject, self.identity_epoch))

    def _restart(self, now: float) -> None:
        for session in self._sessions.values():
            session.restart(now)

    def _change_reads(self, change: IdentityChange, now: float) -> None:
        if self._reads is None:
            return
        if change is IdentityChange.AWAITS_CONFIRMATION:
            self._emit(ValuesRevoked())
            self._refresh(self._reads.revoke(self._subscriptions()), now)
        self._reads.seed_all(self._subscriptions())
        if not self.identity.is_unresolved:
            self._reads.settle(now)

    def _refresh(self, keys: Iterable[str], now: float) -> None:
        for session, key in product(self._sessions.values(), keys):
            session.refresh(key, now)

    def _subscriptions(self) -> Iterator[Subscription]:
        return (each for session in self._sessions.values() for each in session.subscriptions)

    def _show(self) -> None:
        if self._store.state != self._shown:
            self._shown = self._store.state
            self._emit(UserStateChanged(self._shown))
