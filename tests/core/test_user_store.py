"""Which answers about who is signed in count, and what is shown of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lunora_rx.core.identity import KEEP, Identity, IdentityChange, change_token, learn_subject
from lunora_rx.core.user_store import NOBODY, Heard, UserStore
from lunora_rx.errors import ProtocolError, TransportError
from lunora_rx.protocol.session_probe import Unanswered, User, UserState, UserStatus
from lunora_rx.protocol.values import UNDEFINED

ANA, BO = User("ana", {"id": "ana"}), User("bo", {"id": "bo"})
LOADING = UserState()
BROKEN = TransportError("the connection broke", transient=True)


def shown(user: User) -> UserState:
    """The state after the answer that this user is signed in."""
    return UserState(UserStatus.AUTHENTICATED, user, is_known=True)


def store_showing(answer, *, has_cookies: bool = False) -> UserStore:
    """A store in use that got an answer."""
    store = UserStore(has_cookies=has_cookies)
    store.receive(store.resolve(), answer)
    return store


def test_store_that_nobody_uses_settles_nothing_and_shows_nothing():
    """An application that never asks has a settled identity, also while we ask for reasons of our own."""
    store = UserStore(has_cookies=True)
    assert (store.is_used, store.is_resolving, store.wants_retry, store.state) == (False, False, False, LOADING)
    assert store.receive(store.ask(), ANA) == Heard("ana", ANA)
    assert (store.is_used, store.state) == (False, LOADING)


def test_store_first_resolve_always_asks():
    """Without a token as with one, and also when we have asked before."""
    store = UserStore(has_cookies=False)
    store.receive(store.ask(), None)
    number = store.resolve()
    assert number == 2
    assert (store.is_used, store.is_resolving, store.state) == (True, True, LOADING)


def test_store_resolve_joins_the_question_under_way():
    """One fetch in flight; once it is answered the next resolve asks again, and what is shown stays meanwhile."""
    store = UserStore(has_cookies=False)
    first = store.resolve()
    assert store.resolve() is None
    store.receive(first, ANA)
    assert store.resolve() == first + 1
    assert store.state == shown(ANA)


@pytest.mark.parametrize(
    ("answer", "heard", "state"),
    [
        (ANA, Heard("ana", ANA), shown(ANA)),
        (None, Heard(None, None), NOBODY),
        (Unanswered(503), Heard(UNDEFINED, None), UserState(UserStatus.UNREACHABLE)),
        (BROKEN, Heard(UNDEFINED, BROKEN), UserState(UserStatus.UNREACHABLE)),
    ],
    ids=["user", "nobody", "status", "network"],
)
def test_store_answer_says_what_to_adopt_and_what_to_show(answer, heard, state):
    """The table of the probe: a user, nobody, or nothing at all."""
    store = UserStore(has_cookies=False)
    assert store.receive(store.resolve(), answer) == heard
    assert (store.state, store.is_resolving) == (state, False)


def test_store_answer_to_an_older_question_does_not_count():
    """Only the newest does, in whatever order they come, and only once."""
    store = UserStore(has_cookies=False)
    older = store.resolve()
    newer = store.ask()
    assert store.receive(older, BO) is None
    assert (store.state, store.is_resolving) == (LOADING, True)
    assert store.receive(newer, ANA) == Heard("ana", ANA)
    assert store.receive(older, BO) is None
    assert store.receive(newer, None) is None
    assert store.state == shown(ANA)


@pytest.mark.parametrize("before", [shown(ANA), NOBODY])
@pytest.mark.parametrize("failure", [Unanswered(401), BROKEN, ProtocolError("unreadable")])
def test_store_unreachable_keeps_what_was_known_and_wants_a_retry(before, failure):
    """The last user stays on the screen, the gate is passed, and the answer to the retry heals it."""
    store = store_showing(before.user)
    store.receive(store.ask(), failure)
    assert store.state == UserState(UserStatus.UNREACHABLE, before.user, is_known=True)
    assert (store.wants_retry, store.is_resolving) == (True, False)
    retry = store.ask()
    assert (store.wants_retry, store.state.status) == (False, UserStatus.UNREACHABLE)
    store.receive(retry, before.user)
    assert (store.state, store.wants_retry) == (before, False)


@pytest.mark.parametrize(
    ("identity", "change", "state"),
    [
        (Identity("b", "ana", is_confirmed=False), IdentityChange.AWAITS_CONFIRMATION, shown(ANA)),
        (Identity("b", "ana"), IdentityChange.TOKEN_ROTATED, shown(ANA)),
        (Identity("a", "ana"), IdentityChange.SUBJECT_LEARNED, shown(ANA)),
        (Identity("b", "bo"), IdentityChange.DIFFERENT, LOADING),
        (Identity("b"), IdentityChange.DIFFERENT, LOADING),
        (Identity(None, "bo"), IdentityChange.DIFFERENT, LOADING),
    ],
    ids=["rotated", "rotated and said so", "subject said", "another", "unknown", "another by cookie"],
)
def test_store_changed_identity_asks_anew(identity, change, state):
    """The same user stays on the screen, any other leaves it; the fields are asked for either way."""
    store = store_showing(ANA)
    assert store.change_identity(identity, change) == 2
    assert (store.state, store.is_resolving) == (state, True)


@pytest.mark.parametrize(
    ("identity", "has_cookies"),
    [(Identity(), False), (Identity("b", None), False), (Identity(None, None), True)],
    ids=["no token", "token of nobody", "cookie of nobody"],
)
def test_store_signed_out_is_unauthenticated_at_once(identity, has_cookies):
    """There is nothing to ask, and what is under way no longer counts: who waits gets nobody."""
    store = store_showing(ANA, has_cookies=has_cookies)
    stale = store.ask()
    assert store.change_identity(identity, IdentityChange.DIFFERENT) is None
    assert (store.state, store.is_resolving) == (NOBODY, False)
    assert store.receive(stale, ANA) is None


def test_store_token_dropped_in_a_cookie_session_asks():
    """The cookie may be somebody's."""
    store = store_showing(ANA, has_cookies=True)
    assert store.change_identity(Identity(), IdentityChange.DIFFERENT) is not None
    assert store.state == LOADING


def test_store_signed_in_from_nobody_is_loading():
    """A known nobody is no answer about the new token."""
    store = store_showing(None)
    assert store.change_identity(Identity("a"), IdentityChange.SIGNED_IN) is not None
    assert store.state == LOADING


def test_store_change_that_is_none_leaves_the_question_alone():
    """The same token set again does not ask again."""
    store = UserStore(has_cookies=False)
    number = store.resolve()
    assert store.change_identity(Identity("a"), IdentityChange.NOTHING) is None
    assert store.receive(number, ANA) == Heard("ana", ANA)


def test_store_changed_while_unused_ignores_what_was_asked_before():
    """Our own probe is of the old token; nobody wants to know the new one's user."""
    store = UserStore(has_cookies=False)
    stale = store.ask()
    assert store.change_identity(Identity("b"), IdentityChange.DIFFERENT) is None
    assert store.receive(stale, ANA) is None
    assert (store.state, store.is_resolving) == (LOADING, False)


SERVER = {"a1": ANA, "a2": ANA, "b1": BO, "expired": None, None: None}


class Owner:
    """Who holds the store, and does with it what its docstrings say; the server answers by ``SERVER``."""

    def __init__(self):
        self.store = UserStore(has_cookies=False)
        self.identity = Identity()
        self.questions = []
        self.newest = None
        self.waiting = 0

    def send(self, number):
        if number is not None:
            self.newest = (number, self.identity.token)
            self.questions.append(self.newest)

    def current_user(self):
        self.waiting += 1
        self.send(self.store.resolve())

    def set_token(self, token, says_who):
        user = SERVER[token]
        is_other = user is None or self.identity.subject not in (UNDEFINED, user.id)
        subject = (user and user.id) if token and (says_who or is_other) else KEEP
        self.identity, change = change_token(self.identity, token, subject)
        if change is not IdentityChange.NOTHING:
            self.newest = None
        self.send(self.store.change_identity(self.identity, change))
        if not self.store.is_resolving:
            self.waiting = 0

    def deliver(self, which, fails):
        number, token = question = self.questions.pop(which % len(self.questions))
        answer = BROKEN if fails else SERVER[token]
        before, counts = self.store.state, question == self.newest
        heard = self.store.receive(number, answer)
        assert (heard is not None) is counts
        if heard is None:
            assert self.store.state == before
            return
        self.newest, self.waiting = None, 0
        if heard.subject is not UNDEFINED:
            self.identity, _ = learn_subject(self.identity, heard.subject)
        if self.store.is_used:
            assert self.store.state == state_after(before, answer)


def state_after(before: UserState, answer) -> UserState:
    """What the answer to the newest question makes of what was shown."""
    if answer is BROKEN:
        return UserState(UserStatus.UNREACHABLE, before.user, is_known=before.is_known)
    return NOBODY if answer is None else shown(answer)


STEPS = st.one_of(
    st.tuples(st.just("current_user")),
    st.tuples(st.just("ask")),
    st.tuples(st.just("set_token"), st.sampled_from(list(SERVER)), st.booleans()),
    st.tuples(st.just("deliver"), st.integers(0, 5), st.booleans()),
    st.tuples(st.just("deliver"), st.integers(0, 5), st.just(False)),
)


@given(st.lists(STEPS, max_size=30))
def test_store_in_any_order_shows_the_newest_answer_for_the_present_token(steps):
    """No answer shows another token's user, none is lost, and nobody waits while nothing is under way."""
    owner = Owner()
    for name, *args in steps:
        if name == "ask":
            owner.send(owner.store.ask())
        elif name != "deliver" or owner.questions:
            getattr(owner, name)(*args)
        store, user = owner.store, owner.store.state.user
        assert user is None or user == SERVER[owner.identity.token]
        assert store.is_resolving is (owner.newest is not None)
        assert store.is_resolving or owner.waiting == 0
        assert not store.is_used or store.is_resolving or store.state.status is not UserStatus.LOADING
    while owner.questions:
        owner.deliver(0, fails=False)
    assert owner.waiting == 0
