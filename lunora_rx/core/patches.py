"""Puts a mutation's layers over live queries, and takes them away again with its verdict.

Knows which live queries a write has patched. Does not know when it is sent.
Source: ``docs/protocol.md``, section "Optimistic layers".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lunora_rx.core.events import Event, SnapshotChanged, TransformFailed
from lunora_rx.core.local_store import LocalStore
from lunora_rx.core.offline_queue import Write
from lunora_rx.core.optimistic import Layer, Transform
from lunora_rx.core.results import Change
from lunora_rx.core.session import Session
from lunora_rx.core.subscriptions import Subscription
from lunora_rx.protocol.frozen import frozen
from lunora_rx.protocol.keys import subscription_key_of_tree
from lunora_rx.protocol.rpc import Outcome, Refused

Pushed = list[tuple[Subscription, Layer]]


@frozen
class Composition:
    """A mutation as its caller composed it, with ``args`` in wire form.

    Attributes:
        optimistic: Patches the live query with the mutation's own function, arguments and shard.
        optimistic_update: Patches any live queries of the shard through a ``LocalStore``.
        precondition: Asked right before a replay from the queue.
        timeout: Seconds for a direct send, or ``None`` for the client's own.
        path_of: Turns what names a function in the API into its path.
    """

    mutation_id: str
    function_path: str
    args: Any
    shard: str = ""
    optimistic: Transform | None = None
    optimistic_update: Callable[[LocalStore], None] | None = None
    precondition: Callable[[], bool] | None = None
    timeout: float | None = None
    path_of: Callable[[Any], str] = str


class Patches:
    """The patches of all mutations.

    Args:
        sessions: The shards that are spoken to, as they come and go.
        emit: Takes each event.

    Attributes:
        acknowledged: How many writes the server has said the position of.
    """

    def __init__(self, sessions: Mapping[str, Session], emit: Callable[[Event], None]) -> None:
        self.acknowledged = 0
        self._sessions = sessions
        self._emit = emit

    def apply(self, composition: Composition) -> Pushed:
        """Patch what a mutation patches, and show it in one step; return the layers in order.

        A patch that raises is reported and leaves nothing behind; the mutation goes on without it.
        """
        session = self._sessions.get(composition.shard)
        if session is None:
            return []
        store = LocalStore(composition.shard, session.subscriptions, composition.path_of, self._report)
        if composition.optimistic is not None:
            self._patch_own(store, composition, composition.optimistic)
        if composition.optimistic_update is not None:
            self._update(store, composition.optimistic_update)
        self._show(composition.shard, [subscription for subscription, _ in store.pushed])
        return store.pushed

    def settle(self, write: Write, outcome: Outcome) -> None:
        """Confirm a write's layers, or roll them back, whichever its verdict says."""
        if not write.layers:
            return
        if isinstance(outcome, Refused):
            self.roll_back(write)
            return
        cursor = outcome.commit_cursor
        self.acknowledged += cursor is not None
        changes = [(each, each.result.confirm(layer, cursor, self.acknowledged)) for each, layer in write.layers]
        self._show(write.record.shard, [each for each, change in changes if change is not Change.NOTHING])

    def roll_back(self, write: Write) -> None:
        """Take a write's layers away; each live query shows the difference in one step."""
        layers = {layer for _, layer in write.layers}
        patched = {subscription.key: subscription for subscription, _ in write.layers}
        for subscription in patched.values():
            subscription.result.roll_back(layers)
        self._show(write.record.shard, patched.values())

    def _patch_own(self, store: LocalStore, composition: Composition, transform: Transform) -> None:
        key = subscription_key_of_tree(composition.function_path, composition.args, composition.shard)
        try:
            store.patch(key, transform)
        except Exception as error:
            self._report(error)

    def _update(self, store: LocalStore, update: Callable[[LocalStore], None]) -> None:
        before = len(store.pushed)
        try:
            update(store)
        except BaseException as error:
            # Interrupted, the mutation is never composed: nobody would take its other layer away.
            kept = before if isinstance(error, Exception) else 0
            for subscription, layer in reversed(store.pushed[kept:]):
                subscription.result.roll_back([layer])
            del store.pushed[kept:]
            if not isinstance(error, Exception):
                raise
            self._report(error)

    def _show(self, shard: str, subscriptions: Iterable[Subscription]) -> None:
        session = self._sessions.get(shard)
        if session is None:
            return
        for subscription in {each.key: each for each in subscriptions}.values():
            # One that nobody watches any more shows nothing, and its key may be another's by now.
            if session.subscriptions.get(subscription.key) is subscription:
                self._emit(SnapshotChanged(subscription.key, subscription.result.snapshot))

    def _report(self, error: Exception) -> None:
        self._emit(TransformFailed(error))
