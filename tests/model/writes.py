"""One write of the model: what the application wants, and what became of it so far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from lunora_rx.core.local_store import LocalStore
from lunora_rx.core.optimistic import Transform
from lunora_rx.core.subscriptions import Subscription
from lunora_rx.protocol import subscription_key
from lunora_rx.protocol.rpc import Accepted, Outcome, Refused
from lunora_rx.protocol.values import UNDEFINED
from tests.model.app import QUERIES
from tests.model.pages import PAGES

if TYPE_CHECKING:
    from tests.model.client import Client

Steps: TypeAlias = list[tuple[str, str, str, int]]
Manner: TypeAlias = Literal["patch", "set", "fussy", "raise"]
Patch: TypeAlias = tuple[str, Manner]
"""A query, or all pages of lists, and how a write patches it."""

_MANY = 3


@dataclass(eq=False)
class ModelLayer:
    """A layer that a write has put over a subscription; ``is_reached`` once the base holds the write."""

    subscription: Subscription
    transform: Transform
    is_reached: bool = False
    epoch: Any = None

    def reach(self, committed: int | None) -> None:
        """Look whether the base has come as far as a commit, or has left the history that the commit was in."""
        result = self.subscription.result
        self.epoch = self.epoch or result.epoch
        is_elsewhere = result.epoch is not None and result.epoch != self.epoch
        is_there = committed is None or (result.cursor is not None and result.cursor >= committed)
        self.is_reached |= is_elsewhere or is_there


class Author(NamedTuple):
    """Who composed a write: as the client says, and as the server finds by the token in force."""

    claimed: str | None = None
    vouched: str | None = None


@dataclass(eq=False)
class Write:
    """One mutation that the application wants carried out exactly once.

    Attributes:
        mark: What it leaves in the server's journal.
        client: The process that answers for it at present.
        lane: Which client's processes it belongs to.
        mutation: The function; ``rows:refuse`` is refused by the server, whenever it comes.
        patches: What it patches while it is open.
        holds: What its precondition says when asked: whether it holds, or ``None`` to raise; no precondition, no key.
        answered: What its precondition has said last, since it was sent.
        author: Who composed it.
        outcome: Its verdict in the process that answers for it.
        layers: What it has put over live queries there.
        is_open: Whether it still has to get a verdict.
        is_stored: Whether its record is where it should be.
        is_hydrated: Whether it is left over from an earlier process.
        was_sent: Whether any request has ever carried it.
        was_carried: Whether any request has brought it to the server.
        was_queued: Whether it waited in the queue in this process.
        was_committed: Whether any process was told that it is done.
        is_ordered: Whether it waited from the start, so that its place among the others is promised.
        may_be_lost: Whether the server has lost its disk after it may have been carried out.
        may_revive: Whether a process ended before its removal from the disk was certain.
        excuses: What has happened to it that may be a reason to reject it.
    """

    mark: int
    client: Client
    lane: int
    shard: str
    mutation: str
    args: dict[str, Any]
    steps: Steps = field(default_factory=list)
    patches: tuple[Patch, ...] = ()
    holds: bool | None = True
    has_precondition: bool = False
    answered: bool | None = None
    author: Author = field(default_factory=Author)
    outcome: Outcome | None = None
    layers: list[ModelLayer] = field(default_factory=list)
    is_open: bool = True
    is_stored: bool = False
    is_hydrated: bool = False
    was_sent: bool = False
    was_carried: bool = False
    was_queued: bool = False
    was_committed: bool = False
    is_ordered: bool = False
    may_be_lost: bool = False
    may_revive: bool = False
    excuses: set[str] = field(default_factory=set)

    @property
    def mutation_id(self) -> str:
        """Its idempotency key."""
        return f"m{self.mark}"

    @property
    def has_unknown_fate(self) -> bool:
        """Whether its sender has heard nothing, so that it may be repeated under the same id."""
        return isinstance(self.outcome, Refused) and self.outcome.error.code is None

    @property
    def standing_layers(self) -> list[ModelLayer]:
        """The layers that must stand now: all while it is open, then those whose query has not caught up."""
        if isinstance(self.outcome, Accepted):
            for layer in self.layers:
                layer.reach(self.outcome.commit_cursor)
        elif not self.is_open:
            return []
        return [layer for layer in self.layers if not layer.is_reached]

    def drop_stale(self, version: str | None, current: str | None) -> None:
        """Note that a process of another version of the application has dropped it."""
        assert self.is_hydrated
        assert version != current, f"write {self.mark} is not stale"
        self.excuses.add("stale")
        self.is_open = False

    def ask_precondition(self) -> bool:
        """Answer for the client's queue."""
        self.answered = self.holds
        if self.holds is None:
            raise ValueError("this precondition cannot be asked")
        return self.holds

    def transform_own(self, subscription: Subscription | None) -> Transform | None:
        """Return what it shows in the query of its own name and arguments, and note the layer."""
        transform = _transform([("put", "r1", "a", 2)], "patch")
        if subscription is not None:
            self.layers.append(ModelLayer(subscription, transform))
        return transform

    def update(self, store: LocalStore, find: Callable[[str], Subscription | None]) -> None:
        """Patch what it patches, and note the layers; one that raises leaves none."""
        before = len(self.layers)
        try:
            for query, manner in self.patches:
                self._patch(store, query, manner, find)
        except ArithmeticError:
            del self.layers[before:]
            raise

    def _patch(self, store: LocalStore, query: str, manner: Manner, find: Callable[[str], Subscription | None]) -> None:
        if query != PAGES:
            self._patch_one(store, QUERIES[query], manner, find)
            return
        for page in store.all_queries(PAGES):
            self._patch_one(store, (PAGES, page.args), manner, find)

    def _patch_one(
        self,
        store: LocalStore,
        query: tuple[str, dict[str, Any]],
        manner: Manner,
        find: Callable[[str], Subscription | None],
    ) -> None:
        path, args = query
        key = subscription_key(path, args, self.shard)
        subscription, transform = find(key), _transform(self.steps, manner)
        if manner == "set" and subscription is not None and subscription.result.shown is UNDEFINED:
            return
        if manner == "set":
            shown = transform(store.get_query(path, args))
            store.set_query(path, args, shown)
            transform = _constant(shown)
        else:
            store.patch(key, transform)
        if subscription is not None:
            self.layers.append(ModelLayer(subscription, transform))


def _constant(shown: Any) -> Transform:
    return lambda value: shown


def _transform(steps: Steps, manner: Manner) -> Transform:
    def transform(value: Any) -> Any:
        if manner == "raise" or (manner == "fussy" and isinstance(value, list) and len(value) > _MANY):
            raise ArithmeticError("this value cannot be patched")
        for kind, row_id, group, size in steps:
            value = _patched(value, kind, {"_id": row_id, "group": group, "size": size})
        return value

    return transform


def _patched(value: Any, kind: str, row: dict[str, Any]) -> Any:
    if isinstance(value, dict) and "page" in value:
        return {**value, "page": _patched(value["page"], kind, row)}
    if isinstance(value, list):
        others = [each for each in value if each["_id"] != row["_id"]]
        return others if kind == "delete" else [*others, row]
    if isinstance(value, int):
        return max(value, 100 + row["size"])
    return value if value is UNDEFINED or isinstance(value, str) else row
