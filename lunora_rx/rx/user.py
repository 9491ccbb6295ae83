"""Who is signed in, as an Observable.

Source: ``docs/protocol.md``, section "Identity store".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from reactivex import Observable, abc, operators

from lunora_rx.protocol.session_probe import User, UserState, UserStatus
from lunora_rx.rx.observers import OnError
from lunora_rx.rx.subject import Latest

_UNSETTLED: Final = (UserStatus.LOADING, UserStatus.UNREACHABLE)


class UserObservable(Observable[User | None]):
    """The signed-in user, ``None`` for nobody; hot, and shared by all observers.

    An observer gets what is known at once, then each real change. Nothing is emitted while nothing is known:
    before the first answer, and after a change to a different identity until its answer. A question that fails
    emits nothing either; ``states`` tells of it. Errors only with what ``resolve`` raises. It knows what is shown
    and who watches, and does not know how anybody finds out.

    Args:
        resolve: Finds out who is signed in, unless that is under way. Called before an observer attaches, whenever
            that is not known or the last question failed; the first observer is such a case.
        report: Takes what an observer raises.

    Attributes:
        states: The states, ``loading`` and ``unreachable`` included: the present one at once, then each change.
            Watching them resolves as watching the user does.
    """

    def __init__(self, resolve: Callable[[], None], report: OnError) -> None:
        super().__init__()
        self._resolve = resolve
        self._latest = Latest(UserState(), report)
        self.states: Observable[UserState] = Observable(self._watch)
        self._users: Observable[User | None] = self.states.pipe(
            operators.filter(_is_known), operators.map(_user_of), operators.distinct_until_changed()
        )

    @property
    def value(self) -> User | None:
        """The user now; ``None`` for nobody and while nothing is known, kept while ``unreachable``."""
        return self._latest.value.user

    @property
    def status(self) -> UserStatus:
        """How far it is known now who is signed in. Looking does not find out: watching does."""
        return self._latest.value.status

    def set(self, state: UserState) -> None:
        """Show another state; an equal one is not published."""
        self._latest.set(state)

    def complete(self) -> None:
        """Let go of all observers; later ones get what was known last and the end, and nothing is asked for them."""
        self._resolve = _nothing
        self._latest.complete()

    def _watch(
        self, observer: abc.ObserverBase[UserState], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        if self.status in _UNSETTLED:
            self._resolve()
        return self._latest.subscribe(observer, scheduler=scheduler)

    def _subscribe_core(
        self, observer: abc.ObserverBase[User | None], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        return self._users.subscribe(observer, scheduler=scheduler)


def _is_known(state: UserState) -> bool:
    return state.is_known


def _user_of(state: UserState) -> User | None:
    return state.user


def _nothing() -> None:
    pass
