"""Whispers as Observables.

Source: ``docs/protocol.md``, section "Whispers".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from reactivex import Observable, abc
from reactivex.disposable import Disposable

from lunora_rx.core.events import WhisperReceived
from lunora_rx.rx.observers import Observers, OnError
from lunora_rx.rx.subject import once


@dataclass(frozen=True, slots=True)
class Whisper:
    """What another member told a topic.

    Attributes:
        data: What was said.
        sender: Who said it, as the server knows them; ``None`` if it does not say.
    """

    data: Any
    sender: str | None = None


class Requests(Protocol):
    """What whispers ask of whoever holds the connection."""

    def enter(self, what: str) -> None:
        """Raise unless requests can be made here and now."""
        ...

    def call_on_loop(self, callback: Callable[[], None]) -> None:
        """Run a callback on the client's thread."""
        ...

    def join_topic(self, topic: str, shard: str) -> None:
        """Listen to a topic."""
        ...

    def leave_topic(self, topic: str, shard: str) -> None:
        """Listen no more."""
        ...


class Whispers:
    """Who listens to what.

    Args:
        requests: Where topics are joined.
        report: Takes what observers raise.
    """

    def __init__(self, requests: Requests, report: OnError) -> None:
        self._requests = requests
        self._report = report
        self._listeners: dict[tuple[str, str], Observers[Whisper]] = {}
        self._is_completed = False

    def topic(self, topic: str, shard: str) -> Observable[Whisper]:
        """Return what others tell a topic, while somebody watches; nothing is replayed."""
        return _Topic(self, topic, shard)

    def publish(self, event: WhisperReceived) -> None:
        """Tell those who listen."""
        listeners = self._listeners.get((event.shard, event.topic))
        if listeners is not None:
            listeners.next(Whisper(event.data, event.sender))

    def complete(self) -> None:
        """Let go of all who listen; later ones get the end at once."""
        self._is_completed = True
        topics, self._listeners = self._listeners, {}
        for listeners in topics.values():
            listeners.complete()

    def attach(self, topic: str, shard: str, observer: abc.ObserverBase[Whisper]) -> abc.DisposableBase:
        """Let an observer listen; the first joins the topic, the last leaves it."""
        if self._is_completed:
            Observers[Whisper](self._report).finish(observer)
            return Disposable()
        self._requests.enter("listening to whispers")
        listeners = self._listeners.setdefault((shard, topic), Observers(self._report))
        detach = listeners.attach(observer)
        self._requests.join_topic(topic, shard)

        def leave() -> None:
            detach()
            if self._is_completed:
                return
            if not listeners:
                self._listeners.pop((shard, topic), None)
            self._requests.leave_topic(topic, shard)

        leave_once = once(leave)
        return Disposable(lambda: self._requests.call_on_loop(leave_once))


class _Topic(Observable[Whisper]):
    """What others tell one topic."""

    def __init__(self, whispers: Whispers, topic: str, shard: str) -> None:
        super().__init__()
        self._whispers = whispers
        self._topic = topic
        self._shard = shard

    def __repr__(self) -> str:
        shard = f", shard={self._shard!r}" if self._shard else ""
        return f"<Whispers {self._topic!r}{shard}>"

    def _subscribe_core(
        self, observer: abc.ObserverBase[Whisper], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        return self._whispers.attach(self._topic, self._shard, observer)
