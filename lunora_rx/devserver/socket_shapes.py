"""The shapes of one socket: what each subscription was told, and the pokes that tell it more.

Source: ``docs/protocol.md``, section "Shapes and pokes".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Protocol, cast

from lunora_rx.devserver.answers import Failure
from lunora_rx.devserver.frame_faults import FrameFaults
from lunora_rx.devserver.pokes import Part, Patch, Poke
from lunora_rx.devserver.shapes import LiveShape, News, ShapeSubscription
from lunora_rx.devserver.shard import Shard
from lunora_rx.devserver.surface import Surface, bound
from lunora_rx.protocol.frames import ErrorFrame, ServerFrame, ShapeSubscribe
from lunora_rx.protocol.keys import stable_key_of_tree
from lunora_rx.protocol.values import UNDEFINED

__all__ = ["CLOSE_LOST", "SocketShapes"]

CLOSE_LOST: Final = 1006
"""Close code of a socket that ends with no closing handshake; it is never sent."""


class Outlet(Protocol):
    """The socket, as far as shapes need it."""

    def send(self, frame: ServerFrame) -> None:
        """Queue a frame."""

    def send_text(self, text: str) -> None:
        """Queue a text."""

    def end(self, code: int) -> None:
        """Close the socket once everything is sent."""


class SocketShapes:
    """Knows which shapes a socket watches, and up to which checkpoint each was told.

    It does not know which rows belong to a shape.
    """

    def __init__(
        self, outlet: Outlet, shard: Shard, surface: Surface, *, subject: str | None, faults: FrameFaults
    ) -> None:
        self._outlet = outlet
        self._shard = shard
        self._surface = surface
        self._subject = subject
        self._faults = faults
        self._subscriptions: dict[str, tuple[ShapeSubscription, LiveShape]] = {}

    def __len__(self) -> int:
        return len(self._subscriptions)

    def __iter__(self) -> Iterator[str]:
        return iter(self._subscriptions)

    def subscribe(self, frame: ShapeSubscribe) -> None:
        """Answer a subscription: the rows, what changed since its checkpoint, or why not.

        Raises:
            AppError: It cannot be registered.
        """
        function = self._surface.shape(frame.name)
        tree = {} if frame.args is UNDEFINED else frame.args
        args = bound(function, tree)
        subscription = ShapeSubscription(frame.id, self)
        key = (function.path, stable_key_of_tree(tree), self._subject)
        shape = self._shard.shapes.watch(key, function, args, subscription)
        self.unsubscribe(frame.id)  # the same id again; after the watch, so that a shared shape stays
        self._subscriptions[frame.id] = (subscription, shape)
        patch = self._patch_since(shape, frame)
        if patch is not None:
            subscription.checkpoint = cast("int", frame.since_checkpoint)
        told = shape.membership() if patch is None else patch
        self._tell(self._shard.shapes.next_poke_id(), [(subscription, told)], is_answer=True)

    def unsubscribe(self, shape_id: str) -> None:
        """End a subscription; an unknown one is no error."""
        known = self._subscriptions.pop(shape_id, None)
        if known is not None:
            subscription, shape = known
            self._shard.shapes.unwatch(shape, subscription)

    def receive_news(self, poke_id: int, news: Sequence[tuple[ShapeSubscription, News]]) -> None:
        """Send what one commit means for the shapes of this socket."""
        self._tell(poke_id, news, is_answer=False)

    def close(self) -> None:
        """End all subscriptions."""
        for shape_id in list(self._subscriptions):
            self.unsubscribe(shape_id)

    def _patch_since(self, shape: LiveShape, frame: ShapeSubscribe) -> Patch | None:
        since = frame.since_checkpoint
        if not isinstance(since, int) or frame.since_epoch != self._shard.epoch or since > self._shard.cursor:
            return None
        return self._shard.shapes.patch_since(shape, self._shard.store.log, since)

    def _tell(self, poke_id: int, news: Sequence[tuple[ShapeSubscription, News]], *, is_answer: bool) -> None:
        parts = []
        for subscription, told in news:
            if isinstance(told, Failure):
                self._outlet.send(ErrorFrame(subscription.id, told.message, told.code, told.message))
                continue
            parts.append(Part(subscription.id, told, None if told.is_reset else subscription.checkpoint))
            subscription.checkpoint = self._shard.cursor
        if parts:
            poke = Poke(poke_id, self._shard.cursor, self._shard.epoch, tuple(parts))
            self._send(poke, is_answer=is_answer)

    def _send(self, poke: Poke, *, is_answer: bool) -> None:
        struck = self._faults.strike_poke(poke, is_answer=is_answer)
        for text in struck.texts:
            self._outlet.send_text(text)
        if struck.is_cut:
            self._outlet.end(CLOSE_LOST)
