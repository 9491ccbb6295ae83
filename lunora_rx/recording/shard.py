"""One shard of a replay: what its client asks for, and which recorded frames answer that.

Frames go out as they were recorded, under the client's own ids. Who comes late, or comes back after a jump, is told
the present state first and then follows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from lunora_rx.protocol.frames import Ack, ErrorFrame, ServerFrame, encode_frame
from lunora_rx.protocol.recording import Entry, Kind
from lunora_rx.protocol.text import may_hold_tag, spell
from lunora_rx.recording.answers import NOT_RECORDED
from lunora_rx.recording.contents import Asked, Contents, asked_by, not_recorded, read_frame
from lunora_rx.recording.socket import ReplaySocket
from lunora_rx.recording.state import Feed, Link, ShardState

_UNHEARD = frozenset({"ack", "identity"})
_POSITIONED = frozenset({"delta", "resume", "settled"})


class History(Protocol):
    """Looks back from where the replay stands."""

    def frames_of(self, run: str, shard: str) -> Iterable[dict[str, Any]]:
        """Return the frames that a stream's run has brought so far."""
        ...


class Follower:
    """Something that the replay's client asked for.

    Attributes:
        id: What the client calls it.
        asked: What it is.
        is_in_step: Whether the client knows what the recorded one knew, so that the next frame fits.
        run: The recorded run of a stream, once there is one.
    """

    def __init__(self, frame: dict[str, Any], asked: Asked) -> None:
        self.id = str(frame["id"])
        self.asked = asked
        self.is_in_step = False
        self.run: str | None = None


class ReplayShard:
    """One shard's conversation with the client of a replay.

    Args:
        name: The shard key.
        contents: What was recorded.
        history: Looks back.
    """

    def __init__(self, name: str, contents: Contents, history: History) -> None:
        self.name = name
        self.state = ShardState()
        self.socket: ReplaySocket | None = None
        self._contents = contents
        self._history = history
        self._queries: dict[str, Follower] = {}
        self._shapes: dict[str, Follower] = {}
        self._streams: dict[str, Follower] = {}
        self._former: dict[str, Follower] = {}
        self._topics: set[str] = set()
        self._receivers: dict[str, Callable[[Follower], None]] = {
            "subscribe": self._add_query,
            "shape_subscribe": self._add_shape,
            "stream": self._add_stream,
        }

    @property
    def is_open(self) -> bool:
        """Whether the client has a socket."""
        return self.socket is not None and not self.socket.is_closed

    def open(self) -> ReplaySocket:
        """Return a new socket for the client."""
        self._former = {**self._queries, **self._shapes}
        self._queries, self._shapes, self._topics = {}, {}, set()
        self.socket = ReplaySocket(self.receive)
        return self.socket

    def cut(self, code: int | None) -> None:
        """Break the client's connection, if there is one."""
        if self.socket is not None:
            self.socket.cut(code)
            self.socket = None

    def receive(self, text: str) -> None:
        """Take a frame of the client."""
        frame = read_frame(text)
        kind, asked, frame_id = frame.get("type"), asked_by(frame, self.name), frame.get("id")
        if asked is not None:
            self._receivers[str(kind)](Follower(frame, asked))
        elif kind in ("unsubscribe", "shape_unsubscribe"):
            for followers in (self._queries, self._shapes, self._streams):
                followers.pop(str(frame_id), None)
        elif kind in ("whisper_subscribe", "whisper_unsubscribe"):
            change = self._topics.add if kind == "whisper_subscribe" else self._topics.discard
            change(str(frame.get("topic")))

    def play(self, entry: Entry) -> None:
        """Apply an entry of this shard, and tell the client what it told the recorded one."""
        frame = read_frame(entry.text) if entry.kind is Kind.RECEIVED else {}
        if frame:
            self._forward(frame, entry.text)
            self.state.apply_frame(frame, tagged=may_hold_tag(entry.text))
        else:
            known = dict(self.state.feeds)
            self.state.apply(entry)
            self._lose_step(known)
        self._bring_in_step()
        self._start_waiting_streams()
        if entry.kind in (Kind.LOST, Kind.FAILED):
            # A frame that was too large named no query: to look for it anew would only take time.
            self.cut(None if entry.code == 1009 else entry.code)

    def jump(self, state: ShardState) -> None:
        """Go on from another point of the recording, and show what was known there."""
        self.state = state
        self._fall_behind()
        for stream in tuple(self._streams.values()):
            self._refuse(stream, "STREAM_INTERRUPTED", "the replay jumped to another time")
        self._streams.clear()
        if state.link is Link.OFFLINE:
            self.cut(None)
        self._bring_in_step()

    def _add_query(self, follower: Follower) -> None:
        if follower.asked.key not in self._contents.queries:
            self._refuse(follower, NOT_RECORDED, not_recorded("query", follower.asked, self._contents.queries.values()))
            return
        was_in_step = self._was_in_step(follower)
        self._queries[follower.id] = follower
        # At once, so that as many as there are can be asked for: the recorded answers come when they came.
        self._send(Ack(follower.id))
        self._tell_query(follower)
        feed = self.state.feeds.get(follower.asked.key)
        if was_in_step or feed is None or feed.is_blank:
            follower.is_in_step = True

    def _was_in_step(self, follower: Follower) -> bool:
        # Who asks again on the same socket could not read a value, as the recorded client could not; who asks again
        # on the next one has what the recorded client had, unless something was played meanwhile.
        before = self._queries.get(follower.id) or self._shapes.get(follower.id) or self._former.pop(follower.id, None)
        return before is not None and before.is_in_step

    def _add_shape(self, follower: Follower) -> None:
        if follower.asked.key not in self._contents.shapes:
            self._refuse(follower, NOT_RECORDED, not_recorded("shape", follower.asked, self._contents.shapes.values()))
            return
        was_in_step = self._was_in_step(follower)
        self._shapes[follower.id] = follower
        self._tell_shape(follower)
        if was_in_step or self.state.is_blank(follower.asked.key):
            follower.is_in_step = True

    def _add_stream(self, follower: Follower) -> None:
        runs = self._contents.runs.get(follower.asked.key)
        if runs is None:
            message = not_recorded("stream", follower.asked, self._contents.streams.values())
            self._refuse(follower, NOT_RECORDED, message)
            return
        if follower.id in self._streams:  # a durable one that goes on, on a new socket
            return
        self._streams[follower.id] = follower
        begun = [run for run in runs if run in self.state.run_keys]
        running = [run for run in begun if run in self.state.running]
        if running or len(begun) == len(runs):
            follower.run = (running or begun)[-1]
            for frame in self._history.frames_of(follower.run, self.name):
                self._send_to(follower, frame)
            if not running and self._streams.pop(follower.id, None) is not None:
                self._refuse(follower, "STREAM_INTERRUPTED", "the recorded run was cut off here")

    def _start_waiting_streams(self) -> None:
        for follower in tuple(self._streams.values()):
            if follower.run is None:
                runs = [run for run in self.state.running if self.state.run_keys[run] == follower.asked.key]
                follower.run = runs[-1] if runs else None  # it has just begun

    def _lose_step(self, known: dict[str, Feed]) -> None:
        # The recorded client asked for a query as if for the first time.
        for follower in self._queries.values():
            feed = known.get(follower.asked.key)
            if feed is not None and feed is not self.state.feeds[follower.asked.key]:
                follower.is_in_step = False

    def _forward(self, frame: dict[str, Any], text: str) -> None:
        kind, frame_id = frame.get("type"), frame.get("id")
        if kind in _UNHEARD:
            return
        if not self.is_open:
            self._fall_behind()
            return
        if kind in ("pokeStart", "pokeEnd"):
            if any(each.is_in_step for each in self._shapes.values()):
                self._push(text)
        elif kind == "pokePart":
            self._forward_part(frame, str(frame.get("shapeId")))
        elif kind == "whisper":
            if frame.get("topic") in self._topics:
                self._push(text)
        elif isinstance(frame_id, str):
            self._forward_own(frame, frame_id)
        else:
            self._push(text)

    def _forward_part(self, frame: dict[str, Any], shape_id: str) -> None:
        if not self.state.leads(shape_id):
            return
        key = self.state.shape_keys[shape_id]
        for follower in self._shapes.values():
            if follower.is_in_step and follower.asked.key == key:
                self._push(spell({**frame, "shapeId": follower.id}))

    def _forward_own(self, frame: dict[str, Any], frame_id: str) -> None:
        # A whole value or an error says enough by itself; what builds on more waits until that is told.
        needs_step = frame["type"] in _POSITIONED or "data" not in frame
        query, shape = self.state.query_keys.get(frame_id), self.state.shape_keys.get(frame_id)
        if query is not None:
            for follower in self._queries.values():
                if follower.asked.key == query and (follower.is_in_step or not needs_step):
                    follower.is_in_step = True
                    self._send_to(follower, frame)
        elif shape is not None and self.state.leads(frame_id):
            for follower in self._shapes.values():
                if follower.asked.key == shape and follower.is_in_step:
                    self._send_to(follower, frame)
        for follower in tuple(self._streams.values()):
            if follower.run == frame_id:
                self._send_to(follower, frame)

    def _fall_behind(self) -> None:
        for follower in (*self._queries.values(), *self._shapes.values(), *self._former.values()):
            follower.is_in_step = False

    def _bring_in_step(self) -> None:
        if not self.is_open or self.state.link is Link.OFFLINE:
            return
        for follower in self._queries.values():
            if not follower.is_in_step:
                self._tell_query(follower)
        for follower in self._shapes.values():
            if not follower.is_in_step:
                self._tell_shape(follower)

    def _tell_query(self, follower: Follower) -> None:
        feed = self.state.feeds.get(follower.asked.key)
        frames = [] if feed is None else feed.frames(follower.id)
        follower.is_in_step = bool(frames)
        for text in frames:
            self._push(text)

    def _tell_shape(self, follower: Follower) -> None:
        frames = self.state.shape_frames(follower.asked.key, follower.id)
        follower.is_in_step = bool(frames)
        for text in frames:
            self._push(text)

    def _refuse(self, follower: Follower, code: str, message: str) -> None:
        self._send(ErrorFrame(follower.id, message, error_code=code))

    def _send_to(self, follower: Follower, frame: dict[str, Any]) -> None:
        if frame.get("type") in ("complete", "error"):
            self._streams.pop(follower.id, None)
        self._push(spell({**frame, "id": follower.id}))

    def _send(self, frame: ServerFrame) -> None:
        self._push(encode_frame(frame))

    def _push(self, text: str) -> None:
        if self.is_open:
            assert self.socket is not None
            self.socket.push(text)
