"""The logic of a dashboard of orders: what it shows, and not how that is drawn."""

import reactivex
from reactivex import Observable, Subject
from reactivex import operators as ops

from lunora_rx import LunoraClient, Snapshot

PATIENCE = 5.0
"""Seconds of a lost connection that nobody needs to know of."""


class Dashboard:
    """What is shown of the open orders; made where the client's loop runs."""

    def __init__(self, client: LunoraClient) -> None:
        self._client = client
        self._orders = client.live("orders:open")
        self._later = client.scheduler  # time operators run on the client's loop, and start no thread
        self.typed: Subject[str] = Subject()

    @property
    def count(self) -> Observable[int]:
        """How many orders are open."""
        return self._orders.pipe(ops.map(len), ops.distinct_until_changed())

    @property
    def rate(self) -> Observable[float]:
        """How many orders came in a second, every ten seconds."""
        return reactivex.interval(10, scheduler=self._later).pipe(
            ops.with_latest_from(self.count),
            ops.map(lambda pair: pair[1]),
            ops.pairwise(),
            ops.map(lambda pair: (pair[1] - pair[0]) / 10),
        )

    @property
    def badge(self) -> Observable[str]:
        """``loading``, ``live``, ``failed: CODE``, or ``stale`` once that has lasted."""
        return self._orders.snapshots.pipe(ops.map(self._badge_of), ops.switch_latest(), ops.distinct_until_changed())

    @property
    def found(self) -> Observable[list]:
        """What the search finds, once nothing was typed for 0.3 s."""
        words = self.typed.pipe(ops.debounce(0.3, scheduler=self._later), ops.map(lambda text: {"text": text}))
        return self._client.live("orders:search", words)

    async def ship(self, order_id: str) -> str:
        """Ship an order, which is not shown any more; return what to tell the user."""
        try:
            await self._client.mutation(
                "orders:ship",
                {"id": order_id},
                optimistic_update=lambda store, args: store.set_query(
                    "orders:open", {}, [row for row in store.get_query("orders:open", {}) if row["_id"] != order_id]
                ),
            )
        except Exception as error:
            return f"not shipped: {error}"
        return "shipped"

    def _badge_of(self, snapshot: Snapshot) -> Observable[str]:
        if snapshot.status == "stale":
            return reactivex.timer(PATIENCE, scheduler=self._later).pipe(ops.map(lambda _: "stale"))
        if snapshot.status == "failed":
            return reactivex.just(f"failed: {snapshot.error.code}")
        return reactivex.just("loading" if snapshot.status == "pending" else "live")
