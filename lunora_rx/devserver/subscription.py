"""One subscription of one socket: which frames a commit becomes there.

Source: ``docs/protocol.md``, section "Live queries".
"""

from __future__ import annotations

from typing import Protocol

from lunora_rx.devserver.answers import Answer, Failure
from lunora_rx.devserver.live import LiveQuery, Update
from lunora_rx.devserver.shard import Shard
from lunora_rx.protocol.frames import Data, Delta, ErrorFrame, Resume, ServerFrame, Settled, Subscribe

__all__ = ["Outlet", "Subscription"]


class Outlet(Protocol):
    """Where the frames go."""

    @property
    def takes_deltas(self) -> bool:
        """Whether the client merges row changes."""
        ...

    def send(self, frame: ServerFrame, member: str = "", text: str = "") -> None:
        """Queue a frame; a member whose JSON text is known already is spliced in."""


class Subscription:
    """One live query on one socket.

    Attributes:
        id: What the client calls it.
        cursor: Position that the client was told last; -1 before the first one.
        query: What it watches, once it does.
    """

    def __init__(self, outlet: Outlet, frame: Subscribe) -> None:
        self.id = frame.id
        self.since_seq = frame.since_seq
        self.since_epoch = frame.since_epoch
        self.cursor = -1
        self.query: LiveQuery | None = None
        self._outlet = outlet

    def receive_update(self, update: Update) -> None:
        """Send what a commit means for this query."""
        answer = update.answer
        if isinstance(answer, Failure):
            # No position: the client keeps an older value, which a cursor of now would vouch for.
            if not update.is_same:
                self._outlet.send(ErrorFrame(self.id, answer.message, answer.code, answer.message))
            return
        self.cursor = update.cursor
        if update.is_same:
            self._outlet.send(Settled(self.id, cursor=update.cursor, epoch=update.epoch))
        elif update.deltas and self._outlet.takes_deltas:
            self._send_deltas(update)
        else:
            self._send_value(answer, update.cursor, update.epoch)

    def send_first(self, shard: Shard) -> None:
        """Answer the subscribe frame: the value, or that the client has it already."""
        assert self.query is not None
        answer, position = self.query.answer, (shard.cursor, shard.epoch)
        if not isinstance(answer, Answer):
            assert answer is not None
            self._outlet.send(ErrorFrame(self.id, answer.message, answer.code, answer.message))
            return
        self.cursor = shard.cursor
        if shard.is_unchanged(self.query.reads, self.since_seq, self.since_epoch):
            self._outlet.send(Resume(self.id, *position))
        else:
            self._send_value(answer, *position)

    def settle(self, cursor: int, epoch: str) -> None:
        """Say that the value holds up to a cursor, unless that was said."""
        assert self.query is not None
        if self.cursor < cursor and isinstance(self.query.answer, Answer):
            self.cursor = cursor
            self._outlet.send(Settled(self.id, cursor=cursor, epoch=epoch))

    def _send_value(self, answer: Answer, cursor: int, epoch: str) -> None:
        self._outlet.send(Data(self.id, cursor=cursor, epoch=epoch), "data", answer.text)

    def _send_deltas(self, update: Update) -> None:
        *earlier, last = update.deltas
        for text in earlier:
            self._outlet.send(Delta(self.id), "delta", text)
        self._outlet.send(Delta(self.id, cursor=update.cursor, epoch=update.epoch), "delta", last)
