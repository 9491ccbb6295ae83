"""The live queries of one socket.

Source: ``docs/protocol.md``, section "Live queries".
"""

from __future__ import annotations

from collections.abc import Iterator

from lunora_rx.devserver.shard import Shard
from lunora_rx.devserver.subscription import Outlet, Subscription
from lunora_rx.devserver.surface import Surface, bound
from lunora_rx.protocol.frames import Ack, Complete, Subscribe
from lunora_rx.protocol.keys import stable_key_of_tree

__all__ = ["SocketQueries"]


class SocketQueries:
    """Knows which live queries a socket watches.  It does not know what each was told."""

    def __init__(self, outlet: Outlet, shard: Shard, surface: Surface, *, subject: str | None) -> None:
        self._outlet = outlet
        self._shard = shard
        self._surface = surface
        self._subject = subject
        self._subscriptions: dict[str, Subscription] = {}

    def __len__(self) -> int:
        return len(self._subscriptions)

    def __iter__(self) -> Iterator[str]:
        return iter(self._subscriptions)

    def subscribe(self, frame: Subscribe) -> None:
        """Register a subscription, and give it its value.

        Raises:
            AppError: It cannot be registered.
        """
        function = self._surface.query(frame.function_path)
        args = bound(function, frame.args)
        self._outlet.send(Ack(frame.id))
        subscription = Subscription(self._outlet, frame)
        key = (function.path, stable_key_of_tree(frame.args), self._subject)
        subscription.query = self._shard.live.watch(key, function, args, subscription)
        self.unsubscribe(frame.id)  # the same id again; after the watch, so that a shared query stays
        self._subscriptions[frame.id] = subscription
        subscription.send_first(self._shard)

    def unsubscribe(self, subscription_id: str) -> None:
        """End a subscription; an unknown one is no error."""
        subscription = self._subscriptions.pop(subscription_id, None)
        if subscription is not None and subscription.query is not None:
            self._shard.live.unwatch(subscription.query, subscription)

    def settle(self) -> None:
        """Let every subscription learn the cursor reached, unless it knows."""
        for subscription in list(self._subscriptions.values()):
            subscription.settle(self._shard.cursor, self._shard.epoch)

    def cancel(self) -> None:
        """End every subscription, and tell the client so."""
        for subscription_id in list(self._subscriptions):
            self.unsubscribe(subscription_id)
            self._outlet.send(Complete(subscription_id))

    def close(self) -> None:
        """End every subscription."""
        for subscription_id in list(self._subscriptions):
            self.unsubscribe(subscription_id)
