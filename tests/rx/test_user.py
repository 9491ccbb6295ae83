"""The signed-in user as an Observable: what is emitted, when, and who asks."""

from __future__ import annotations

import pytest

from lunora_rx.errors import ClientClosedError
from lunora_rx.protocol.session_probe import User, UserState, UserStatus
from lunora_rx.rx.user import UserObservable
from tests.support import Recorder

ANA, BO = User("ana", {"id": "ana"}), User("bo", {"id": "bo"})
LOADING = UserState()
NOBODY = UserState(UserStatus.UNAUTHENTICATED, None, is_known=True)


def signed_in(user):
    """The state in which this user is signed in."""
    return UserState(UserStatus.AUTHENTICATED, user, is_known=True)


def unreachable(user=None, *, is_known=True):
    """The state after a question that failed."""
    return UserState(UserStatus.UNREACHABLE, user, is_known=is_known)


class Resolving:
    """Counts how often somebody wants to know."""

    def __init__(self):
        self.count = 0
        self.reported = []
        self.user = UserObservable(self.resolve, self.reported.append)

    def resolve(self):
        """Count."""
        self.count += 1


@pytest.fixture
def resolving():
    """A user that counts its questions."""
    return Resolving()


def test_user_that_nobody_watches_is_not_asked_for(resolving):
    """Looking at it is no watching."""
    assert (resolving.user.value, resolving.user.status) == (None, UserStatus.LOADING)
    assert resolving.count == 0


@pytest.mark.parametrize("name", ["user", "states"])
def test_user_first_observer_resolves(resolving, name):
    """Of the users as of the states."""
    (resolving.user if name == "user" else resolving.user.states).subscribe(Recorder())
    assert resolving.count == 1


@pytest.mark.parametrize(
    ("state", "count"), [(LOADING, 1), (unreachable(ANA), 1), (signed_in(ANA), 0), (NOBODY, 0)], ids=str
)
def test_user_later_observer_resolves_only_what_is_not_settled(resolving, state, count):
    """After a failed question a newcomer is a reason to ask again; an answer is shared."""
    resolving.user.set(state)
    resolving.user.subscribe(Recorder())
    assert resolving.count == count


def test_user_emits_nothing_before_the_first_answer(resolving):
    """A failure is no answer either; the states tell of both."""
    users, states = Recorder(), Recorder()
    resolving.user.subscribe(users)
    resolving.user.states.subscribe(states)
    resolving.user.set(unreachable(is_known=False))
    assert users.values == []
    resolving.user.set(NOBODY)
    assert users.values == [None]
    assert states.values == [LOADING, unreachable(is_known=False), NOBODY]


def test_user_emits_each_real_change_once(resolving):
    """Neither a failed question, nor an equal answer, nor loading between the same users is a change."""
    users = Recorder()
    resolving.user.subscribe(users)
    for state in (signed_in(ANA), unreachable(ANA), signed_in(User("ana", {"id": "ana"})), LOADING, signed_in(ANA)):
        resolving.user.set(state)
    assert users.values == [ANA]
    resolving.user.set(LOADING)
    resolving.user.set(signed_in(BO))
    resolving.user.set(NOBODY)
    assert users.values == [ANA, BO, None]


@pytest.mark.parametrize(
    ("state", "replayed"),
    [
        (signed_in(ANA), [ANA]),
        (NOBODY, [None]),
        (unreachable(ANA), [ANA]),
        (unreachable(None), [None]),
        (unreachable(None, is_known=False), []),
        (LOADING, []),
    ],
)
def test_user_late_observer_gets_what_is_known_at_once(resolving, state, replayed):
    """Synchronously; ``None`` only where it means nobody."""
    resolving.user.set(signed_in(BO))
    resolving.user.set(state)
    late = Recorder()
    resolving.user.subscribe(late)
    assert late.values == replayed
    assert (resolving.user.value, resolving.user.status) == (state.user, state.status)


def test_user_observer_that_is_resolved_at_once_gets_the_answer_once():
    """An answer that comes while the first observer attaches is neither lost nor repeated."""
    user = UserObservable(lambda: user.set(signed_in(ANA)), pytest.fail)
    users, states = Recorder(), Recorder()
    user.subscribe(users)
    user.states.subscribe(states)
    assert (users.values, states.values) == ([ANA], [signed_in(ANA)])


def test_user_observer_that_left_is_told_nothing(resolving):
    """Disposing detaches, of the users as of the states."""
    users, states = Recorder(), Recorder()
    for observable, recorder in ((resolving.user, users), (resolving.user.states, states)):
        observable.subscribe(recorder).dispose()
    resolving.user.set(signed_in(ANA))
    assert (users.values, states.values) == ([], [LOADING])


def test_user_observer_that_raises_harms_nobody(resolving):
    """It is reported, the others get their value, and it gets the next."""
    seen, users = [], Recorder()

    def fail(user):
        seen.append(user)
        raise RuntimeError("the observer is broken")

    resolving.user.subscribe(fail)
    resolving.user.subscribe(users)
    resolving.user.set(signed_in(ANA))
    resolving.user.set(NOBODY)
    assert users.values == seen == [ANA, None]
    assert [str(error) for error in resolving.reported] == ["the observer is broken"] * 2


def test_user_set_during_a_delivery_keeps_the_order_for_all(resolving):
    """An observer that signs out sees it after what made it do so, and so do the others."""
    users, states = Recorder(), Recorder()
    resolving.user.subscribe(lambda user: resolving.user.set(NOBODY))
    resolving.user.subscribe(users)
    resolving.user.states.subscribe(states)
    resolving.user.set(signed_in(ANA))
    assert users.values == [ANA, None]
    assert states.values == [LOADING, signed_in(ANA), NOBODY]


def test_user_completed_ends_for_all_and_asks_no_more(resolving):
    """Those who come later get what was known last, and the end."""
    early, late, states = Recorder(), Recorder(), Recorder()
    resolving.user.subscribe(early)
    resolving.user.set(unreachable(ANA))
    resolving.user.complete()
    resolving.user.subscribe(late)
    resolving.user.states.subscribe(states)
    assert (early.values, late.values, states.values) == ([ANA], [ANA], [unreachable(ANA)])
    assert [each.completions for each in (early, late, states)] == [1, 1, 1]
    assert resolving.count == 1


@pytest.mark.parametrize("name", ["user", "states"])
def test_user_that_cannot_resolve_fails_the_observer(name):
    """Who comes when nobody can ask is told so, and is not attached."""
    closed = ClientClosedError()

    def refuse():
        raise closed

    user = UserObservable(refuse, pytest.fail)
    recorder = Recorder()
    (user if name == "user" else user.states).subscribe(recorder)
    user.set(signed_in(ANA))
    assert (recorder.values, recorder.errors) == ([], [closed])
