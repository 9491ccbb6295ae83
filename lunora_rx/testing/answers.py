"""What the sockets of a scripted server are told: values, row changes, pokes, chunks and whispers.

Source: ``docs/protocol.md``, sections "Live queries", "Shapes and pokes", "Procedure streams" and "Whispers".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from lunora_rx.core.delta import UNMERGEABLE, merge_delta
from lunora_rx.errors import LunoraError
from lunora_rx.protocol.frames import (
    Ack,
    Data,
    Delta,
    PokeEnd,
    PokePart,
    PokeStart,
    Resume,
    Settled,
    StreamStart,
    WhisperFrame,
)
from lunora_rx.protocol.values import UNDEFINED
from lunora_rx.protocol.wire import decode_wire
from lunora_rx.testing.script import PENDING, Entry, Failure, Script, Target
from lunora_rx.testing.session import Session, Watch
from lunora_rx.testing.streams import Producers, Run

__all__ = ["Answers", "Rows"]

EPOCH: Final = "scripted"
_STREAM_HINT: Final = "server.on_stream(...)"
_SHAPE_HINT: Final = "server.set_shape(...)"
_QUERY_HINT: Final = "server.push(...) or server.on_query(...); PENDING lets it wait"


@dataclass(slots=True)
class Rows:
    """The rows of a scripted shape in wire form, by key, and the position that they were changed at."""

    table: str
    by_key: dict[str, Any] = field(default_factory=dict)
    checkpoint: int = 0


class Answers:
    """The script as sockets see it; it knows positions and who watches what, and makes no connection.

    Attributes:
        cursor: The position of all shards; every change moves it on.
        subject: Whose sockets these are.
        whispers: What clients told topics: shard, topic and data.
    """

    def __init__(self, script: Script) -> None:
        self.script = script
        self.producers = Producers(script)
        self.sessions: dict[Session, None] = {}
        self.subject: str | None = None
        self.cursor = 0
        self.whispers: list[tuple[str, str, Any]] = []
        self.runs: list[Run] = []
        self._last: dict[tuple[str, str, str], tuple[Any, int]] = {}
        self._pokes = 0
        self._generations = 0

    def open(self, shard: str) -> Session:
        """Return the half of a new socket."""
        session = Session(self, shard)
        self.sessions[session] = None
        return session

    def step(self) -> int:
        """Move the position on, and return it."""
        self.cursor += 1
        return self.cursor

    # --- live queries

    def watches(self) -> list[Watch]:
        """Return the live queries that are watched."""
        return [watch for session in self.sessions for watch in session.queries.values()]

    def subscribe(self, watch: Watch, since: int | None, epoch: object) -> None:
        """Answer a subscription: with the value, or with ``resume`` if it is still the one that the client has."""
        watch.session.send(Ack(watch.id))
        try:
            wire = self._ask(watch)
        except LunoraError as error:
            watch.session.send_error(watch.id, error)
            return
        if wire is PENDING:
            return
        watch.shown = wire
        if epoch == EPOCH and since is not None and since >= self._changed_at(watch.target, wire):
            watch.session.send(Resume(watch.id, self.cursor, EPOCH))
        else:
            watch.session.send(Data(watch.id, wire, cursor=self.cursor, epoch=EPOCH))

    def push(self, about: Entry | Failure) -> None:
        """Send what the script says now to all who watch what this is about, and get their answer from it."""
        for watch in self.watches():
            if about.fits(watch.target) and (isinstance(about, Failure) or self.script.find(watch.target) is about):
                self.show(watch, is_forced=True)

    def show(self, watch: Watch, *, is_forced: bool = False) -> None:
        """Send what the script says now; a value that is shown already only moves the position, unless forced."""
        try:
            wire = self._ask(watch)
        except LunoraError as error:
            if is_forced or watch.shown is not UNDEFINED:
                watch.shown = UNDEFINED
                watch.session.send_error(watch.id, error)
            return
        if wire is PENDING:
            return
        self._changed_at(watch.target, wire)
        if wire == watch.shown and not is_forced:
            watch.session.send(Settled(watch.id, self.cursor, EPOCH))
            return
        watch.shown = wire
        watch.session.send(Data(watch.id, wire, cursor=self.cursor, epoch=EPOCH))

    def change_row(self, entry: Entry, delta: dict[str, Any]) -> None:
        """Change one row of a scripted value, and send the change to all who watch it.

        Raises:
            ValueError: The value is not a list of rows that the change can be merged into, or has no such row.
        """
        merged = merge_delta(entry.answer, delta) if entry.is_value else UNMERGEABLE
        if merged is UNMERGEABLE:
            raise ValueError(
                f"the {entry} is not scripted as rows with '_id', nor as a page of them;"
                " push such a list before rows are changed one by one"
            )
        _check_row(entry, delta)
        entry.answer = merged
        cursor = self.step()
        for watch in self._watched_by(entry):
            watch.shown = merged
            self._changed_at(watch.target, merged)
            watch.session.send(Delta(watch.id, delta, cursor, EPOCH))

    def settle(self, shard: str | None = None) -> None:
        """Ask the script anew for all that is watched, on one shard or on all; whoever sees no change hears of it."""
        for watch in self.watches():
            if shard is None or watch.target.shard == shard:
                self.show(watch)

    def _ask(self, watch: Watch) -> Any:
        entry = self.script.ask(watch.target, "live query", {"query"}, _QUERY_HINT)
        wire = self.script.answer(entry, watch.target.args)
        if wire is not PENDING and hasattr(wire, "__await__"):
            wire.close()
            raise self.script.failure_of(entry, TypeError("the answer to a live query is not async"))
        return wire

    def _watched_by(self, entry: Entry) -> list[Watch]:
        return [each for each in self.watches() if self.script.find(each.target) is entry]

    def _changed_at(self, target: Target, wire: Any) -> int:
        place = (target.function, target.key, target.shard)
        last = self._last.get(place)
        if last is None or last[0] != wire:
            last = self._last[place] = (wire, self.cursor)
        return last[1]

    # --- shapes

    def shape_watches(self) -> list[Watch]:
        """Return the shapes that are watched."""
        return [watch for session in self.sessions for watch in session.shapes.values()]

    def show_shape(self, watch: Watch, checkpoint: object, epoch: object) -> None:
        """Answer a subscription to a shape: with all rows, or with none if the client has them."""
        try:
            rows = self.script.ask(watch.target, "shape", {"shape"}, _SHAPE_HINT).answer
        except LunoraError as error:
            watch.session.send_error(watch.id, error)
            return
        if epoch == EPOCH and checkpoint == rows.checkpoint:
            self._poke(watch, rows, [], base=rows.checkpoint)
        else:
            self._reset_shape(watch, rows)

    def reset_shapes(self, about: Entry | Failure) -> None:
        """Send all rows, or why there are none, to all who watch what this is about."""
        for watch in self.shape_watches():
            if about.fits(watch.target):
                self.show_shape(watch, None, None)

    def _reset_shape(self, watch: Watch, rows: Rows) -> None:
        whole = [_row_op("insert", rows.table, key, row) for key, row in rows.by_key.items()]
        self._poke(watch, rows, whole, base=None)

    def change_shape(self, entry: Entry, changed: dict[str, Any], gone: list[str]) -> None:
        """Change rows of a shape in one poke."""
        rows: Rows = entry.answer
        base, rows.checkpoint = rows.checkpoint, self.step()
        patch = [
            _row_op("update" if key in rows.by_key else "insert", rows.table, key, row) for key, row in changed.items()
        ]
        patch += [_row_op("delete", rows.table, key) for key in gone]
        rows.by_key |= changed
        for key in gone:
            rows.by_key.pop(key, None)
        for watch in self.shape_watches():
            if self.script.find(watch.target) is entry:
                self._poke(watch, rows, patch, base=base)

    def _poke(self, watch: Watch, rows: Rows, patch: list[Any], *, base: int | None) -> None:
        self._pokes += 1
        watch.session.send(
            PokeStart(self._pokes, EPOCH, base),
            PokePart(self._pokes, watch.id, patch, reset=True if base is None else None),
            PokeEnd(self._pokes, rows.checkpoint, EPOCH),
        )

    # --- streams

    def start_stream(self, session: Session, start: StreamStart, target: Target) -> None:
        """Start a run of a stream, or let a client go on with a durable one."""
        try:
            entry = self.script.ask(target, "stream", {"stream"}, _STREAM_HINT)
        except LunoraError as error:
            session.send_error(start.id, error)
            return
        run = self._known_run(target) if entry.is_durable else None
        if run is not None:
            run.attach(session, start)
        elif start.since_chunk:
            session.send_error(start.id, LunoraError("the run is gone", code="STREAM_INTERRUPTED"))
        else:
            self._begin_run(session, start, entry, target)

    def _begin_run(self, session: Session, start: StreamStart, entry: Entry, target: Target) -> None:
        self._generations += 1
        run = Run(target, f"g{self._generations}" if entry.is_durable else None)
        self.runs.append(run)
        run.attach(session, start)
        try:
            run.task = self.producers.start(entry, target.args, run.say, run.end)
        except LunoraError as error:
            run.end(error)

    def _known_run(self, target: Target) -> Run | None:
        return next((run for run in reversed(self.runs) if run.target == target), None)

    # --- whispers

    def relay_whisper(self, sender: Session, topic: str, wire: Any) -> None:
        """Pass on what a client tells a topic to the others of its shard."""
        self.whispers.append((sender.shard, topic, decode_wire(wire)))
        self.whisper(topic, wire, self.subject or sender.client_id, sender.shard, but=sender)

    def whisper(self, topic: str, wire: Any, sender: str | None, shard: str, but: Session | None = None) -> None:
        """Tell a topic something."""
        for session in self.sessions:
            if session is not but and session.shard == shard and topic in session.topics:
                session.send(WhisperFrame(topic, wire, sender))


def _check_row(entry: Entry, delta: dict[str, Any]) -> None:
    rows = entry.answer["page"] if isinstance(entry.answer, dict) else entry.answer
    ids = [row["_id"] for row in rows]
    if delta["op"] != "insert" and delta["key"] not in ids:
        raise ValueError(f"{delta['op']}(): the {entry} has no row with _id {delta['key']!r}, only {ids!r}")


def _row_op(op: str, table: str, key: str, row: Any = UNDEFINED) -> dict[str, Any]:
    change = {"op": op, "key": key, "table": table}
    return change if row is UNDEFINED else change | {"value": row}
