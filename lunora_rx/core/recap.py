"""What is known of a shard, told again in frames: for a recording that begins in the middle.

Whoever is told it shows what the client shows, but for what is pending of our own writes.
Source: ``docs/protocol.md``, sections "Client frames" and "Server frames".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from lunora_rx.core.session import Session
from lunora_rx.core.shapes import Poke, Shape
from lunora_rx.core.snapshot import SnapshotStatus
from lunora_rx.core.subscriptions import Subscription
from lunora_rx.errors import CodecError, LunoraError
from lunora_rx.protocol.frames import Data, ErrorFrame, PokeEnd, PokePart, PokeStart, ServerFrame, spell_frame
from lunora_rx.protocol.refusal import MAX_DEPTH
from lunora_rx.protocol.values import UNDEFINED
from lunora_rx.protocol.wire import encode_for_key


class Told(NamedTuple):
    """One frame of a recap."""

    is_inbound: bool
    text: str


def recap(session: Session) -> Iterator[Told]:
    """Return the frames after which a fresh client would show what this shard's shows."""
    for subscription in session.subscriptions:
        yield Told(False, subscription.encode_subscribe())
        yield from map(_inbound, _told_of_query(subscription))
    for shape in session.shapes:
        yield Told(False, shape.encode_subscribe())
        yield from map(_inbound, _told_of_shape(shape))
    for poke in session.shapes.pokes:
        yield from map(_inbound, _told_of_poke(poke))
    yield from (Told(False, text) for text in session.streams.starts)


def is_anything_shown(session: Session) -> bool:
    """Tell whether a shard's queries or shapes show a value."""
    queries = any(each.result.base is not UNDEFINED for each in session.subscriptions)
    return queries or any(shape.has_rows for shape in session.shapes)


def encode_base(subscription: Subscription) -> str | None:
    """Return the ``data`` frame that would give a query the value it has of the server; ``None`` if it has none."""
    result = subscription.result
    return None if result.base is UNDEFINED else spell_frame(data_frame(subscription.id, result))


def data_frame(frame_id: str, result: Any) -> Data:
    """Return the frame that tells the value of a query's ``Result`` to whoever calls the query ``frame_id``."""
    return Data(
        frame_id,
        wire_tree(result.base),
        cursor=result.cursor,
        epoch=result.epoch,
        last_mutation_id=result.last_mutation_id or None,
    )


def error_frame(frame_id: str, error: LunoraError) -> ErrorFrame:
    """Return the frame that fails what is called ``frame_id`` as the server failed it."""
    return ErrorFrame(frame_id, error.message, error_code=error.code)


def seed_frames(poke_id: str, shape_id: str, shape: Shape) -> list[ServerFrame]:
    """Return the poke that gives a shape all the rows of another one."""
    patch = [{"op": "insert", "key": key, "value": wire_tree(row)} for key, row in shape.rows.items()]
    mutation = shape.last_mutation_id or None
    return [
        PokeStart(poke_id),
        PokePart(poke_id, shape_id, patch, last_mutation_id=mutation, reset=True),
        PokeEnd(poke_id, shape.checkpoint, shape.epoch),
    ]


def wire_tree(value: Any) -> Any:
    """Return a value of the server in wire form; plain JSON past what we would send ourselves stays what it was."""
    return _wire_tree(value, 0)


def _wire_tree(value: Any, depth: int) -> Any:
    try:
        return encode_for_key(value)
    except CodecError:
        pass  # a row that was merged into plain JSON has tags all the same
    if depth <= MAX_DEPTH and type(value) is list:
        return [_wire_tree(each, depth + 1) for each in value]
    if depth <= MAX_DEPTH and type(value) is dict:
        return {name: _wire_tree(each, depth + 1) for name, each in value.items()}
    return value


def _inbound(frame: ServerFrame) -> Told:
    return Told(True, spell_frame(frame))


def _told_of_query(subscription: Subscription) -> Iterator[ServerFrame]:
    result = subscription.result
    if result.base is not UNDEFINED:
        yield data_frame(subscription.id, result)
    if result.status is SnapshotStatus.FAILED and result.error is not None:
        yield error_frame(subscription.id, result.error)


def _told_of_shape(shape: Shape) -> Iterator[ServerFrame]:
    if shape.has_rows:
        yield from seed_frames(f"recap-{shape.id}", shape.id, shape)
    if shape.status is SnapshotStatus.FAILED and shape.error is not None:
        yield error_frame(shape.id, shape.error)


def _told_of_poke(poke: Poke) -> Iterator[ServerFrame]:
    start = poke.start
    yield start
    for shape_id, part in poke.slices.items():
        base = part.bases[0] if part.bases else None
        mutation = part.last_mutation_id or None
        yield PokePart(start.poke_id, shape_id, part.rows_patch, base, mutation, part.is_reset or None)
