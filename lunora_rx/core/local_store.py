"""What an optimistic update may look at and patch: the live queries of one shard.

Knows which layers one mutation has put. Does not know how they are confirmed or rolled back.
Source: ``docs/protocol.md``, section "Optimistic layers".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from lunora_rx.core.optimistic import Layer, Transform
from lunora_rx.core.subscriptions import Subscription
from lunora_rx.protocol.keys import subscription_key
from lunora_rx.protocol.values import UNDEFINED
from lunora_rx.protocol.wire import decode_wire


class LocalQuery(NamedTuple):
    """One live query as an optimistic update sees it."""

    args: Any
    value: Any


class LocalStore:
    """The live queries of a mutation's shard, to read and to patch.

    Patches are shown once the update has returned, all of them at once; if it raises, none is.

    Args:
        shard: The mutation's shard.
        subscriptions: The live queries there.
        path_of: Turns what names a function in the API into its path.
        report: Takes what a transform raises later, when it is run over another base.
    """

    def __init__(
        self,
        shard: str,
        subscriptions: Iterable[Subscription],
        path_of: Callable[[Any], str],
        report: Callable[[Exception], None],
    ) -> None:
        self.pushed: list[tuple[Subscription, Layer]] = []
        self._shard = shard
        self._subscriptions: Mapping[str, Subscription] = {each.key: each for each in subscriptions}
        self._path_of = path_of
        self._report = report

    def get_query(self, function: Any, args: Mapping[str, Any] | None = None) -> Any:
        """Return what a live query shows now, ``UNDEFINED`` if it is not watched or has no value.

        A list, or an object with a ``page``, is a copy that may be changed and set; its rows are shared with whoever
        watches the query: make new ones instead of changing them.
        """
        subscription = self._find(function, args)
        return UNDEFINED if subscription is None else _own(subscription.result.shown)

    def set_query(self, function: Any, args: Mapping[str, Any] | None, value: Any) -> None:
        """Show a value in a live query until the write is confirmed; nothing happens if it is not watched."""
        subscription = self._find(function, args)
        if subscription is not None:
            self._push(subscription, lambda _: value)

    def all_queries(self, function: Any) -> list[LocalQuery]:
        """Return every live query of a function in this shard, with its arguments and what it shows."""
        path = self._path_of(function)
        return [
            LocalQuery(decode_wire(each.args, root="args"), _own(each.result.shown))
            for each in self._subscriptions.values()
            if each.function_path == path
        ]

    def patch(self, key: str, transform: Transform) -> None:
        """Put a layer over the live query of a key; raises what the transform raises, and then nothing changed."""
        subscription = self._subscriptions.get(key)
        if subscription is not None:
            self._push(subscription, transform)

    def _push(self, subscription: Subscription, transform: Transform) -> None:
        layer = Layer(transform, self._report)
        subscription.result.push(layer)
        self.pushed.append((subscription, layer))

    def _find(self, function: Any, args: Mapping[str, Any] | None) -> Subscription | None:
        return self._subscriptions.get(subscription_key(self._path_of(function), args, self._shard))


def _own(value: Any) -> Any:
    """Return a value whose outermost containers are nobody else's: what is done to them needs no rollback."""
    if type(value) is list:
        return value.copy()
    if type(value) is dict:
        page = value.get("page")
        return {**value, "page": page.copy()} if type(page) is list else value.copy()
    return value
