"""The frames that a server sends, with where their attributes stand on the wire.

Source: ``docs/protocol.md``, section "Server frames".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final, TypeAlias

from lunora_rx.protocol.frame_fields import (
    ID,
    Epoch,
    Field,
    Position,
    Tree,
    any_field,
    array_field,
    epoch_field,
    flag_field,
    nullable_text_field,
    position_field,
    text_field,
)
from lunora_rx.protocol.frozen import frozen
from lunora_rx.protocol.values import UNDEFINED


@frozen
class Ack:
    """Server: the subscription is registered."""

    TYPE: ClassVar[str] = "ack"
    id: str


@frozen
class Data:
    """Server: the whole value of a live query; without ``data`` it carries a ``delta`` instead."""

    TYPE: ClassVar[str] = "data"
    id: str
    data: Tree = UNDEFINED
    delta: Tree = UNDEFINED
    cursor: Position | None = None
    epoch: Epoch | None = None
    last_mutation_id: int | None = None


@frozen
class Delta:
    """Server: one row change of a live query."""

    TYPE: ClassVar[str] = "delta"
    id: str
    delta: Tree = UNDEFINED
    cursor: Position | None = None
    epoch: Epoch | None = None
    last_mutation_id: int | None = None


@frozen
class Resume:
    """Server: nothing changed since the position that the client named."""

    TYPE: ClassVar[str] = "resume"
    id: str
    cursor: Position | None = None
    epoch: Epoch | None = None
    last_mutation_id: int | None = None


@frozen
class Settled:
    """Server: a write was seen that left the value as it is."""

    TYPE: ClassVar[str] = "settled"
    id: str
    cursor: Position | None = None
    epoch: Epoch | None = None
    last_mutation_id: int | None = None


@frozen
class ErrorFrame:
    """Server: a subscription, a shape, a stream or the credential failed."""

    TYPE: ClassVar[str] = "error"
    id: str | None = None
    message: str | None = None
    error_code: str | None = None
    error_message: str | None = None


@frozen
class Complete:
    """Server: a stream ended, or a live query was cancelled."""

    TYPE: ClassVar[str] = "complete"
    id: str


@frozen
class Chunk:
    """Server: one value of a stream; ``seq`` makes the stream durable."""

    TYPE: ClassVar[str] = "chunk"
    id: str
    data: Tree = UNDEFINED
    seq: Position | None = None
    generation: Tree = UNDEFINED


@frozen
class PokeStart:
    """Server: opens an atomic batch of row changes."""

    TYPE: ClassVar[str] = "pokeStart"
    poke_id: Epoch
    epoch: Epoch | None = None
    base_checkpoint: Epoch | None = None


@frozen
class PokePart:
    """Server: one shape's share of a poke."""

    TYPE: ClassVar[str] = "pokePart"
    poke_id: Epoch
    shape_id: str
    rows_patch: list[Tree]
    base_checkpoint: Epoch | None = None
    last_mutation_id: int | None = None
    reset: bool | None = None


@frozen
class PokeEnd:
    """Server: the poke is complete and may be shown."""

    TYPE: ClassVar[str] = "pokeEnd"
    poke_id: Epoch
    checkpoint: Epoch | None = None
    epoch: Epoch | None = None


@frozen
class WhisperFrame:
    """Server: what another member told a topic."""

    TYPE: ClassVar[str] = "whisper"
    topic: str
    data: Tree = None
    sender: str | None = None


@frozen
class Identity:
    """Server: whose socket this is; answers each ``connect``."""

    TYPE: ClassVar[str] = "identity"
    subject: str | None


ServerFrame: TypeAlias = (
    Ack
    | Data
    | Delta
    | Resume
    | Settled
    | ErrorFrame
    | Complete
    | Chunk
    | PokeStart
    | PokePart
    | PokeEnd
    | WhisperFrame
    | Identity
)

_RESULT = (position_field("cursor"), epoch_field("epoch"), position_field("last_mutation_id", "lastMutationId"))

SERVER_FIELDS: Final[Mapping[type[ServerFrame], tuple[Field, ...]]] = {
    Ack: (ID,),
    Data: (ID, any_field("data"), any_field("delta"), *_RESULT),
    Delta: (ID, any_field("delta"), *_RESULT),
    Resume: (ID, *_RESULT),
    Settled: (ID, *_RESULT),
    ErrorFrame: (
        ID,
        text_field("message"),
        text_field("error_code", "error.code"),
        text_field("error_message", "error.message"),
    ),
    Complete: (ID,),
    Chunk: (ID, any_field("data"), position_field("seq"), any_field("generation")),
    PokeStart: (
        epoch_field("poke_id", "pokeId"),
        epoch_field("epoch"),
        epoch_field("base_checkpoint", "baseCheckpoint"),
    ),
    PokePart: (
        epoch_field("poke_id", "pokeId"),
        text_field("shape_id", "shapeId"),
        array_field("rows_patch", "rowsPatch"),
        epoch_field("base_checkpoint", "baseCheckpoint"),
        position_field("last_mutation_id", "lastMutationId"),
        flag_field("reset"),
    ),
    PokeEnd: (epoch_field("poke_id", "pokeId"), epoch_field("checkpoint"), epoch_field("epoch")),
    WhisperFrame: (text_field("topic"), any_field("data"), text_field("sender", "from")),
    Identity: (nullable_text_field("subject"),),
}
