"""What one shard's observers asked for: key to subscription, reference counts, resume positions.

Source: ``docs/protocol.md``, sections "Registry" and "Subscribe frame".
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from itertools import takewhile
from math import inf
from typing import Any

from lunora_rx.core.results import Result
from lunora_rx.protocol.frames import Subscribe, Unsubscribe, encode_frame


class Subscription:
    """One live query as asked for, with the server's answer so far.

    Attributes:
        key: Function, arguments and shard as one text; equal keys share one subscription.
        id: What the wire calls it.
        function_path: The query.
        args: Its arguments in wire form.
        ref_count: How many have asked and not released it.
        is_asked: Whether the present socket carried it, so that frames there can be about it.
        is_acked: Whether the server answered on the present socket.
        was_sent: Whether any socket ever carried it, so that its end must be told.
        asked_cold: Whether a whole value was asked for on the present socket, after one that cannot be read.
        is_oversized: Whether its value is too large for a frame; it is left out until refreshed.
        result: What the server said.
    """

    __slots__ = (
        "args",
        "asked_cold",
        "function_path",
        "id",
        "is_acked",
        "is_asked",
        "is_oversized",
        "key",
        "ref_count",
        "result",
        "was_sent",
    )

    def __init__(self, key: str, subscription_id: str, function_path: str, args: Any) -> None:
        self.key = key
        self.id = subscription_id
        self.function_path = function_path
        self.args = args
        self.ref_count = 0
        self.is_asked = False
        self.is_acked = False
        self.was_sent = False
        self.asked_cold = False
        self.is_oversized = False
        self.result = Result()

    def describe(self) -> dict[str, Any]:
        """Return what a bug report needs of this query, as plain values; the value is not among them."""
        result = self.result
        return {
            "id": self.id,
            "status": str(result.status),
            "error": result.error and str(result.error),
            "cursor": result.cursor,
            "acked": self.is_acked,
            "behind": result.is_behind,
        }

    def encode_subscribe(self) -> str:
        """Return the frame that asks for this query: from where its result stands, else for the whole value."""
        since_seq, since_epoch = self.result.resume_position or (None, None)
        path = self.function_path
        return encode_frame(Subscribe(self.id, path, self.args, path, since_seq, since_epoch))

    def encode_unsubscribe(self) -> str:
        """Return the frame that ends it."""
        return encode_frame(Unsubscribe(self.id))

    def forget_socket(self) -> None:
        """Note that the socket is gone, and with it what the server knew."""
        self.is_asked = self.is_acked = self.asked_cold = False


class Subscriptions:
    """The live queries of one shard, in the order in which they were asked for."""

    def __init__(self, new_id: Callable[[], str], *, linger: float = 0.0) -> None:
        self._new_id = new_id
        self._linger = linger
        self._by_key: dict[str, Subscription] = {}
        self.by_id: dict[str, Subscription] = {}
        # In the order of their deadlines, as all linger equally long; a plain dict is slow to empty from its front.
        self._lingering: OrderedDict[str, float] = OrderedDict()
        self.find = self.by_id.get

    def __iter__(self) -> Iterator[Subscription]:
        return iter(self._by_key.values())

    def __len__(self) -> int:
        return len(self._by_key)

    @property
    def deadline(self) -> float:
        """When the first subscription that nobody asks for any more has outlived its last observer."""
        return next(iter(self._lingering.values()), inf)

    def get(self, key: str) -> Subscription | None:
        """Return the subscription of a key, if there is one."""
        return self._by_key.get(key)

    def acquire(self, key: str, function_path: str, args: Any) -> Subscription:
        """Count one more who asks, and return the subscription, made if need be."""
        subscription = self._by_key.get(key)
        if subscription is None:
            subscription = Subscription(key, self._new_id(), function_path, args)
            self._by_key[key] = self.by_id[subscription.id] = subscription
        self._lingering.pop(key, None)
        subscription.ref_count += 1
        return subscription

    def release(self, key: str, now: float) -> Subscription | None:
        """Count one less who asks; return the subscription if it is thereby over, nothing where nobody asks."""
        subscription = self._by_key.get(key)
        if subscription is None or key in self._lingering:
            return None
        subscription.ref_count -= 1
        if subscription.ref_count > 0:
            return None
        if self._linger > 0:
            self._lingering[key] = now + self._linger
            return None
        return self._remove(key)

    def take_outlived(self, now: float) -> list[Subscription]:
        """Remove and return those that lingered long enough."""
        outlived = takewhile(lambda item: item[1] <= now, self._lingering.items())
        return [self._remove(key) for key, _ in tuple(outlived)]

    def clear(self) -> None:
        """Forget everything."""
        self._by_key.clear()
        self.by_id.clear()
        self._lingering.clear()

    def _remove(self, key: str) -> Subscription:
        self._lingering.pop(key, None)
        subscription = self._by_key.pop(key)
        del self.by_id[subscription.id]
        return subscription
