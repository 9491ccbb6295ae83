"""What a recording holds: found in one pass, without keeping any frame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from lunora_rx.errors import CodecError, ProtocolError
from lunora_rx.protocol.endpoints import BATCH_PATH, RPC_PATH
from lunora_rx.protocol.keys import subscription_key_of_tree
from lunora_rx.protocol.recording import Entry, Kind
from lunora_rx.protocol.rpc import RpcCall, decode_batch, decode_call
from lunora_rx.protocol.text import parse, serialize, spell
from lunora_rx.recording.file import RecordingFile

_LISTED = 10
_SHOWN_ARGS = 80
_ASKING: Final = {"subscribe": "query", "shape_subscribe": "shape", "stream": "query"}
_OF_SOCKETS = frozenset({Kind.CONNECTING, Kind.OPENED, Kind.SENT})


class Asked(NamedTuple):
    """Something that the recorded client asked for.

    Attributes:
        function: The function, or the name of a shape.
        args: Its arguments in wire form.
        shard: The shard key, empty for the default shard.
    """

    function: str
    args: Any
    shard: str = ""

    @property
    def key(self) -> str:
        """What is equal for equal function, arguments and shard."""
        return subscription_key_of_tree(self.function, self.args, self.shard)

    def __str__(self) -> str:
        text = spell(self.args)
        shown = text if len(text) <= _SHOWN_ARGS else f"{text[:_SHOWN_ARGS]}..."
        return f"{self.function} {shown}" + (f" on shard {self.shard!r}" if self.shard else "")


class Place(NamedTuple):
    """Where a reply stands: the offset of its line, and the slot if it is that of a batch."""

    offset: int
    slot: int | None


class Contents:
    """What a recording holds, by key.

    Attributes:
        queries: The live queries.
        shapes: The shapes.
        streams: The procedure streams.
        calls: What was called over HTTP.
        runs: The ids of the runs of each stream, in the order in which they began.
        replies: Where the replies to each call stand, in order.
        shards: The shards that had a socket, or tried for one.
        duration: Milliseconds from the beginning to the end.
        steps: How many entries an observer could tell.
    """

    def __init__(self, file: RecordingFile) -> None:
        self.queries: dict[str, Asked] = {}
        self.shapes: dict[str, Asked] = {}
        self.streams: dict[str, Asked] = {}
        self.calls: dict[str, Asked] = {}
        self.runs: dict[str, list[str]] = {}
        self.replies: dict[str, list[Place]] = {}
        self.shards: set[str] = set()
        self.duration = 0.0
        self.steps = 0
        self._open: dict[int, list[tuple[str, int | None]]] = {}
        for entry, offset in file.lines():
            self._note(entry, offset)

    def __repr__(self) -> str:
        counted = ("queries", "shapes", "streams", "calls", "shards")
        counts = ", ".join(f"{len(getattr(self, name))} {name}" for name in counted)
        return f"<Contents {counts}, {self.steps} steps in {self.duration / 1000:.3f} s>"

    def _note(self, entry: Entry, offset: int) -> None:
        self.duration = max(self.duration, entry.at)
        self.steps += entry.is_seen
        if entry.kind in _OF_SOCKETS:
            self.shards.add(entry.shard)
        if entry.kind is Kind.SENT:
            self._note_frame(entry)
        elif entry.kind is Kind.REQUEST:
            self._open[entry.request] = self._note_request(entry)
        elif entry.kind is Kind.REPLY:
            for key, slot in self._open.pop(entry.request, ()):
                if slot is None or entry.code == 200:
                    self.replies.setdefault(key, []).append(Place(offset, slot))
        elif entry.kind is Kind.FAILURE:
            self._open.pop(entry.request, None)

    def _note_frame(self, entry: Entry) -> None:
        frame = read_frame(entry.text)
        kind = frame.get("type")
        asked = asked_by(frame, entry.shard)
        if asked is None:
            return
        {"subscribe": self.queries, "shape_subscribe": self.shapes, "stream": self.streams}[str(kind)][asked.key] = (
            asked
        )
        if kind == "stream" and frame["id"] not in self.runs.setdefault(asked.key, []):
            self.runs[asked.key].append(frame["id"])

    def _note_request(self, entry: Entry) -> list[tuple[str, int | None]]:
        slots = calls_of(entry.path, entry.text.encode())
        if slots is None:
            return [(entry.path, None)]
        for _, call in slots:
            asked = Asked(call.function_path, call.args, call.shard)
            self.calls[asked.key] = asked
        return [(subscription_key_of_tree(call.function_path, call.args, call.shard), slot) for slot, call in slots]


def asked_by(frame: Mapping[str, Any], shard: str) -> Asked | None:
    """Return what a client's frame asks for; ``None`` if it asks for nothing, or for what no client can have sent."""
    asked = frame.get(_ASKING.get(frame.get("type", ""), ""))
    if not isinstance(asked, dict) or not isinstance(frame.get("id"), str):
        return None
    name, args = asked.get("name", asked.get("functionPath")), asked.get("args", {})
    try:
        serialize([frame["id"], name, args])
    except CodecError:
        return None
    return Asked(name, args, shard) if isinstance(name, str) else None


def calls_of(path: str, body: bytes) -> list[tuple[int | None, RpcCall]] | None:
    """Return the calls of a request, each with its slot in a batch; ``None`` if it is no request of calls."""
    try:
        if path == f"POST {RPC_PATH}":
            return [(None, decode_call(body))]
        if path == f"POST {BATCH_PATH}":
            return [(slot, call) for slot, call in decode_batch(body) if isinstance(call, RpcCall)]
    except (CodecError, ProtocolError):
        return []
    return None


def read_frame(text: str) -> dict[str, Any]:
    """Return the object of a frame, whose type is a string; an empty one where it is none."""
    try:
        tree = parse(text)
    except CodecError:
        return {}
    return tree if isinstance(tree, dict) and isinstance(tree.get("type"), str) else {}


def not_recorded(what: str, asked: Asked, recorded: Iterable[Asked]) -> str:
    """Return why a replay cannot answer, and what it could."""
    known = [str(each) for each in recorded]
    listed = "; ".join(known[:_LISTED]) + (f"; and {len(known) - _LISTED} more" if len(known) > _LISTED else "")
    return f"the {what} {asked} was not recorded; recorded: {listed or 'none'}"
