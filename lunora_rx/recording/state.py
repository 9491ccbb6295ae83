"""What the recorded client knew of one shard at a point of the recording.

It is found by applying the recorded frames with the client's own rules, so that somebody who comes late can be told.
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Mapping
from typing import Any

from lunora_rx.core.recap import data_frame, error_frame, seed_frames
from lunora_rx.core.results import Result
from lunora_rx.core.shapes import Shape, Shapes
from lunora_rx.core.snapshot import SnapshotStatus
from lunora_rx.errors import LunoraError, ProtocolError, ServerError
from lunora_rx.protocol.frames import ServerFrame, spell_frame
from lunora_rx.protocol.recording import Entry, Kind
from lunora_rx.protocol.text import may_hold_tag
from lunora_rx.protocol.values import UNDEFINED
from lunora_rx.recording.contents import asked_by, read_frame


class Link(enum.Enum):
    """How the recorded shard's connection stands."""

    NONE = "none"
    CONNECTING = "connecting"
    OPEN = "open"
    OFFLINE = "offline"


_LINKS: Mapping[Kind, Link] = {
    Kind.CONNECTING: Link.CONNECTING,
    Kind.OPENED: Link.OPEN,
    Kind.FAILED: Link.OFFLINE,
    Kind.LOST: Link.OFFLINE,
}


_SETTLED = frozenset({SnapshotStatus.LIVE, SnapshotStatus.FAILED})


class Feed:
    """One recorded live query: what the server said of it, under whichever id.

    Attributes:
        result: What it said.
        ids: What the recorded client calls the query, while it is subscribed.
        is_answered: Whether the server said anything on the present socket.
    """

    def __init__(self) -> None:
        self.result = Result()
        self.ids: set[str] = set()
        self.is_answered = False

    @property
    def is_blank(self) -> bool:
        """Whether the server gave no value yet."""
        return self.result.base is UNDEFINED

    def frames(self, frame_id: str) -> list[str]:
        """Return what tells its present state to whoever calls it ``frame_id``; nothing while it is not known."""
        result = self.result
        if self.ids and not (self.is_answered and result.status in _SETTLED):
            return []
        told: list[ServerFrame] = [] if result.base is UNDEFINED else [data_frame(frame_id, result)]
        if result.status is SnapshotStatus.FAILED and result.error is not None:
            told.append(error_frame(frame_id, result.error))
        return [spell_frame(frame) for frame in told]


class ShardState:
    """One shard of a recording, at the point up to which ``apply`` was called.

    Attributes:
        link: How its connection stands.
        feeds: The live queries by key.
        query_keys: The keys of live queries by their recorded ids.
        shape_keys: The keys of shapes by their recorded ids.
        run_keys: The keys of streams by the recorded ids of their runs, also of those that are over.
        running: The runs that are not over.
    """

    def __init__(self) -> None:
        self.link = Link.NONE
        self.feeds: dict[str, Feed] = {}
        self.query_keys: dict[str, str] = {}
        self.shape_keys: dict[str, str] = {}
        self.run_keys: dict[str, str] = {}
        self.running: set[str] = set()
        self._next_shape_id = ""
        self._shapes = Shapes(lambda: self._next_shape_id, emit=lambda event: None, send=lambda text: True)
        self._shown: dict[str, Shape] = {}
        self._answered: set[str] = set()
        self._count = 0

    def apply(self, entry: Entry) -> None:
        """Apply an entry of this shard."""
        if entry.kind is Kind.SENT:
            self._apply_sent(read_frame(entry.text), entry.shard)
        elif entry.kind is Kind.RECEIVED:
            self.apply_frame(read_frame(entry.text), tagged=may_hold_tag(entry.text))
        elif entry.kind is Kind.BASE:
            self._apply_base(read_frame(entry.text), tagged=may_hold_tag(entry.text))
        elif entry.kind in _LINKS:
            self._move(_LINKS[entry.kind])

    def apply_frame(self, frame: dict[str, Any], *, tagged: bool) -> None:
        """Apply a frame of the server, which is the caller's no longer."""
        kind, frame_id = frame.get("type"), frame.get("id")
        if isinstance(kind, str) and kind in self._shapes.handlers:
            ending = [
                poke for poke in self._shapes.pokes if kind == "pokeEnd" and poke.start.poke_id == frame.get("pokeId")
            ]
            with contextlib.suppress(ProtocolError):  # the client ignored it, too
                self._shapes.handlers[kind](frame, tagged)
            self._note_shown(*(shape_id for poke in ending for shape_id in poke.slices))
            return
        if not isinstance(frame_id, str):
            return
        if kind in ("error", "complete"):
            self._end(frame_id, frame)
        elif frame_id in self.query_keys:
            self._apply_to_query(self.feeds[self.query_keys[frame_id]], frame, tagged=tagged)

    def shape_frames(self, key: str, shape_id: str) -> list[str]:
        """Return what tells the present rows of a shape to whoever calls it so; nothing while they are not known."""
        shape = self._shown.get(key)
        if shape is None or self.is_poked:
            return []
        is_settled = key in self._answered and shape.status in _SETTLED
        if key in self.shape_keys.values() and not is_settled:
            return []
        self._count += 1
        told: list[ServerFrame] = []
        if shape.has_rows:
            told += seed_frames(f"replay-{self._count}", shape_id, shape)
        if shape.status is SnapshotStatus.FAILED and shape.error is not None:
            told.append(error_frame(shape_id, shape.error))
        return [spell_frame(frame) for frame in told]

    @property
    def is_poked(self) -> bool:
        """Whether a poke has begun that has not ended."""
        return bool(self._shapes.pokes)

    def is_blank(self, key: str) -> bool:
        """Tell whether the server gave no rows of a shape yet, and is not about to."""
        shape = self._shown.get(key)
        return not self.is_poked and (shape is None or not shape.has_rows)

    def leads(self, shape_id: str) -> bool:
        """Tell whether a recorded shape is the one that its likes are told of: the oldest with its key."""
        key = self.shape_keys.get(shape_id)
        return key is not None and next(each for each, its in self.shape_keys.items() if its == key) == shape_id

    def _apply_sent(self, frame: Mapping[str, Any], shard: str) -> None:
        kind, frame_id = frame.get("type"), frame.get("id")
        if kind in ("unsubscribe", "shape_unsubscribe") and isinstance(frame_id, str):
            self._release(frame_id)
            return
        asked = asked_by(frame, shard)
        if asked is None or not isinstance(frame_id, str):
            return
        if kind == "subscribe":
            self.query_keys[frame_id] = asked.key
            if asked.key not in self.feeds or not self.feeds[asked.key].ids:
                self.feeds[asked.key] = Feed()
            self.feeds[asked.key].ids.add(frame_id)
        elif kind == "shape_subscribe" and frame_id not in self.shape_keys:
            self.shape_keys[frame_id], self._next_shape_id = asked.key, frame_id
            self._shapes.subscribe(asked.function, asked.args)
        elif kind == "stream":
            self.run_keys[frame_id] = asked.key
            self.running.add(frame_id)

    def _release(self, frame_id: str) -> None:
        self.running.discard(frame_id)
        self.shape_keys.pop(frame_id, None)
        self._shapes.unsubscribe(frame_id)
        key = self.query_keys.pop(frame_id, None)
        if key is not None:
            self.feeds[key].ids.discard(frame_id)

    def _apply_base(self, frame: dict[str, Any], *, tagged: bool) -> None:
        key = self.query_keys.get(str(frame.get("id")))
        if key is None:
            return
        read = Result()
        read.apply_value(frame, tagged=tagged)
        result = self.feeds[key].result
        result.seed(read.base, read.cursor, read.epoch)

    def _apply_to_query(self, feed: Feed, frame: dict[str, Any], *, tagged: bool) -> None:
        kind = frame.get("type")
        if kind in ("data", "delta"):
            feed.is_answered = True
            feed.result.apply_value(frame, tagged=tagged)
        elif kind in ("resume", "settled"):
            feed.is_answered = True
            with contextlib.suppress(ProtocolError):  # the client ignored it, too
                feed.result.apply_position(frame)

    def _end(self, frame_id: str, frame: Mapping[str, Any]) -> None:
        self.running.discard(frame_id)
        error = _error_of(frame)
        if self._shapes.receive_error(frame_id, error):
            self._note_shown(frame_id)
        if frame_id in self.query_keys:
            feed = self.feeds[self.query_keys[frame_id]]
            feed.is_answered = True
            feed.result.fail(error)

    def _move(self, link: Link) -> None:
        was_open, self.link = self.link is Link.OPEN, link
        if not was_open or link is not Link.OFFLINE:
            return
        self._shapes.forget_socket()
        self.running.clear()  # a durable one is asked for again
        for feed in self.feeds.values():
            if feed.ids:
                feed.is_answered = False
                feed.result.go_stale()
        self._answered.difference_update(self.shape_keys.values())

    def _note_shown(self, *answered: str) -> None:
        for shape in self._shapes:
            if shape.id in answered and self.leads(shape.id):
                self._shown[self.shape_keys[shape.id]] = shape
                self._answered.add(self.shape_keys[shape.id])


def _error_of(frame: Mapping[str, Any]) -> LunoraError:
    if frame["type"] == "complete":
        return ServerError("subscription was cancelled by the server", code="SUBSCRIPTION_CANCELLED")
    error = frame.get("error")
    told = error if isinstance(error, dict) else {}
    message = frame.get("message") or told.get("message") or "the server refused the subscription"
    code = told.get("code")
    return ServerError(
        message if isinstance(message, str) else "the server refused the subscription",
        code=code if isinstance(code, str) else None,
    )
