"""One frozen dataclass a WebSocket frame, with their way to and from JSON.

A frame keeps application values (``args``, ``data``, ``context``, rows) in their
wire form: whoever knows which subscription a frame belongs to decodes them, so
that an undecodable value harms that subscription and nothing else.  An optional
field without a value is ``None`` and absent on the wire; where ``null`` is a
value of its own, absence is ``UNDEFINED``.

Source: ``docs/protocol.md``, section "WebSocket".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, ClassVar, NamedTuple, TypeAlias, cast

from lunora_rx.errors import ProtocolError
from lunora_rx.protocol.text import serialize
from lunora_rx.protocol.values import UNDEFINED

Tree: TypeAlias = Any
Position: TypeAlias = int
Epoch: TypeAlias = str | int


@dataclass(frozen=True, slots=True)
class Connect:
    """Client: introduces itself; the first frame on every socket, and again when its context changes."""

    TYPE: ClassVar[str] = "connect"
    client_id: str
    caps: tuple[str, ...] = ("pageDelta",)
    context: Tree = UNDEFINED
    id: str = "connect"


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Client: asks for a live query, from a known position where it has one."""

    TYPE: ClassVar[str] = "subscribe"
    id: str
    function_path: str
    args: Tree
    table: str
    since_seq: Position | None = None
    since_epoch: Epoch | None = None


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Client: ends a live query or a stream."""

    TYPE: ClassVar[str] = "unsubscribe"
    id: str


@dataclass(frozen=True, slots=True)
class ShapeSubscribe:
    """Client: asks for a shape, from a known checkpoint where it has one."""

    TYPE: ClassVar[str] = "shape_subscribe"
    id: str
    name: str
    args: Tree = UNDEFINED
    since_checkpoint: Epoch | None = None
    since_epoch: Epoch | None = None


@dataclass(frozen=True, slots=True)
class ShapeUnsubscribe:
    """Client: ends a shape."""

    TYPE: ClassVar[str] = "shape_unsubscribe"
    id: str


@dataclass(frozen=True, slots=True)
class StreamStart:
    """Client: starts a streaming procedure, or resumes a durable one."""

    TYPE: ClassVar[str] = "stream"
    id: str
    function_path: str
    args: Tree = UNDEFINED
    shard_key: str | None = None
    since_chunk: Position | None = None
    generation: Tree = UNDEFINED


@dataclass(frozen=True, slots=True)
class WhisperSubscribe:
    """Client: joins a topic."""

    TYPE: ClassVar[str] = "whisper_subscribe"
    topic: str


@dataclass(frozen=True, slots=True)
class WhisperUnsubscribe:
    """Client: leaves a topic."""

    TYPE: ClassVar[str] = "whisper_unsubscribe"
    topic: str


@dataclass(frozen=True, slots=True)
class WhisperSend:
    """Client: tells a topic's other members something, best effort."""

    TYPE: ClassVar[str] = "whisper"
    topic: str
    data: Tree = None


@dataclass(frozen=True, slots=True)
class Ack:
    """Server: the subscription is registered."""

    TYPE: ClassVar[str] = "ack"
    id: str


@dataclass(frozen=True, slots=True)
class Data:
    """Server: the whole value of a live query; without ``data`` it carries a ``delta`` instead."""

    TYPE: ClassVar[str] = "data"
    id: str
    data: Tree = UNDEFINED
    delta: Tree = UNDEFINED
    cursor: Position | None = None
    epoch: Epoch | None = None
    last_mutation_id: int | None = None


@dataclass(frozen=True, slots=True)
class Delta:
    """Server: one row change of a live query."""

    TYPE: ClassVar[str] = "delta"
    id: str
    delta: Tree = UNDEFINED
    cursor: Position | None = None
    epoch: Epoch | None = None
    last_mutation_id: int | None = None


@dataclass(frozen=True, slots=True)
class Resume:
    """Server: nothing changed since the position that the client named."""

    TYPE: ClassVar[str] = "resume"
    id: str
    cursor: Position | None = None
    epoch: Epoch | None = None
    last_mutation_id: int | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    """Server: a write was seen that left the value as it is."""

    TYPE: ClassVar[str] = "settled"
    id: str
    cursor: Position | None = None
    epoch: Epoch | None = None
    last_mutation_id: int | None = None


@dataclass(frozen=True, slots=True)
class ErrorFrame:
    """Server: a subscription, a shape, a stream or the credential failed."""

    TYPE: ClassVar[str] = "error"
    id: str | None = None
    message: str | None = None
    error_code: str | None = None
    error_message: str | None = None


@dataclass(frozen=True, slots=True)
class Complete:
    """Server: a stream ended, or a live query was cancelled."""

    TYPE: ClassVar[str] = "complete"
    id: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """Server: one value of a stream; ``seq`` makes the stream durable."""

    TYPE: ClassVar[str] = "chunk"
    id: str
    data: Tree = UNDEFINED
    seq: Position | None = None
    generation: Tree = UNDEFINED


@dataclass(frozen=True, slots=True)
class PokeStart:
    """Server: opens an atomic batch of row changes."""

    TYPE: ClassVar[str] = "pokeStart"
    poke_id: Epoch
    epoch: Epoch | None = None
    base_checkpoint: Epoch | None = None


@dataclass(frozen=True, slots=True)
class PokePart:
    """Server: one shape's share of a poke."""

    TYPE: ClassVar[str] = "pokePart"
    poke_id: Epoch
    shape_id: str
    rows_patch: list[Tree]
    base_checkpoint: Epoch | None = None
    last_mutation_id: int | None = None
    reset: bool | None = None


@dataclass(frozen=True, slots=True)
class PokeEnd:
    """Server: the poke is complete and may be shown."""

    TYPE: ClassVar[str] = "pokeEnd"
    poke_id: Epoch
    checkpoint: Epoch | None = None
    epoch: Epoch | None = None


@dataclass(frozen=True, slots=True)
class WhisperFrame:
    """Server: what another member told a topic."""

    TYPE: ClassVar[str] = "whisper"
    topic: str
    data: Tree = None
    sender: str | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """Server: whose socket this is; answers each ``connect``."""

    TYPE: ClassVar[str] = "identity"
    subject: str | None


ClientFrame: TypeAlias = (
    Connect
    | Subscribe
    | Unsubscribe
    | ShapeSubscribe
    | ShapeUnsubscribe
    | StreamStart
    | WhisperSubscribe
    | WhisperUnsubscribe
    | WhisperSend
)
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


class Field(NamedTuple):
    """Where one attribute stands in the JSON object, and what it may hold there."""

    attribute: str
    path: tuple[str, ...]
    accepts: Callable[[Any], bool]
    expected: str


def is_position(value: object) -> bool:
    """Tell whether ``value`` can be a cursor: an int, not a bool."""
    return type(value) is int


def is_epoch(value: object) -> bool:
    """Tell whether ``value`` can be an epoch or a checkpoint: an opaque string or int."""
    return type(value) is str or type(value) is int


def _text(attribute: str, path: str = "") -> Field:
    return Field(attribute, _path(attribute, path), lambda value: type(value) is str, "a string")


def _position(attribute: str, path: str = "") -> Field:
    return Field(attribute, _path(attribute, path), is_position, "an integer")


def _epoch(attribute: str, path: str = "") -> Field:
    return Field(attribute, _path(attribute, path), is_epoch, "a string or an integer")


def _object(attribute: str, path: str = "") -> Field:
    return Field(attribute, _path(attribute, path), lambda value: type(value) is dict, "an object")


def _array(attribute: str, path: str = "") -> Field:
    return Field(attribute, _path(attribute, path), lambda value: isinstance(value, list | tuple), "an array")


def _any(attribute: str, path: str = "") -> Field:
    return Field(attribute, _path(attribute, path), lambda value: True, "any value")


def _path(attribute: str, path: str) -> tuple[str, ...]:
    return tuple((path or attribute).split("."))


_RESULT = (_position("cursor"), _epoch("epoch"), _position("last_mutation_id", "lastMutationId"))
_ID = _text("id")

FIELDS: Mapping[type, tuple[Field, ...]] = {
    Connect: (_ID, _text("client_id", "clientId"), _array("caps"), _any("context")),
    Subscribe: (
        _ID,
        _text("function_path", "query.functionPath"),
        _object("args", "query.args"),
        _text("table", "query.table"),
        _position("since_seq", "query.sinceSeq"),
        _epoch("since_epoch", "query.sinceEpoch"),
    ),
    Unsubscribe: (_ID,),
    ShapeSubscribe: (
        _ID,
        _text("name", "shape.name"),
        _object("args", "shape.args"),
        _epoch("since_checkpoint", "sinceCheckpoint"),
        _epoch("since_epoch", "sinceEpoch"),
    ),
    ShapeUnsubscribe: (_ID,),
    StreamStart: (
        _ID,
        _text("function_path", "query.functionPath"),
        _object("args", "query.args"),
        _text("shard_key", "query.shardKey"),
        _position("since_chunk", "sinceChunk"),
        _any("generation"),
    ),
    WhisperSubscribe: (_text("topic"),),
    WhisperUnsubscribe: (_text("topic"),),
    WhisperSend: (_text("topic"), _any("data")),
    Ack: (_ID,),
    Data: (_ID, _any("data"), _any("delta"), *_RESULT),
    Delta: (_ID, _any("delta"), *_RESULT),
    Resume: (_ID, *_RESULT),
    Settled: (_ID, *_RESULT),
    ErrorFrame: (_ID, _text("message"), _text("error_code", "error.code"), _text("error_message", "error.message")),
    Complete: (_ID,),
    Chunk: (_ID, _any("data"), _position("seq"), _any("generation")),
    PokeStart: (_epoch("poke_id", "pokeId"), _epoch("epoch"), _epoch("base_checkpoint", "baseCheckpoint")),
    PokePart: (
        _epoch("poke_id", "pokeId"),
        _text("shape_id", "shapeId"),
        _array("rows_patch", "rowsPatch"),
        _epoch("base_checkpoint", "baseCheckpoint"),
        _position("last_mutation_id", "lastMutationId"),
        Field("reset", ("reset",), lambda value: type(value) is bool, "a boolean"),
    ),
    PokeEnd: (_epoch("poke_id", "pokeId"), _epoch("checkpoint"), _epoch("epoch")),
    WhisperFrame: (_text("topic"), _any("data"), _text("sender", "from")),
    Identity: (Field("subject", ("subject",), lambda value: value is None or type(value) is str, "a string or null"),),
}

# Attributes for which null on the wire says something else than absence.
_NULLABLE = frozenset({"data", "delta", "context", "generation", "subject"})

CLIENT_FRAMES: Mapping[str, type] = {
    frame.TYPE: frame
    for frame in (
        Connect,
        Subscribe,
        Unsubscribe,
        ShapeSubscribe,
        ShapeUnsubscribe,
        StreamStart,
        WhisperSubscribe,
        WhisperUnsubscribe,
        WhisperSend,
    )
}
SERVER_FRAMES: Mapping[str, type] = {
    frame.TYPE: frame
    for frame in (
        Ack,
        Data,
        Delta,
        Resume,
        Settled,
        ErrorFrame,
        Complete,
        Chunk,
        PokeStart,
        PokePart,
        PokeEnd,
        WhisperFrame,
        Identity,
    )
}


def _required(frame: type) -> frozenset[str]:
    return frozenset(
        each.name for each in fields(frame) if each.default is MISSING and each.default_factory is MISSING
    )


_REQUIRED: Mapping[type, frozenset[str]] = {frame: _required(frame) for frame in FIELDS}


def encode_frame(frame: ClientFrame | ServerFrame) -> str:
    """Return the JSON text of a frame.

    Raises:
        CodecError: A payload is not a tree that JSON can carry.
    """
    return serialize(frame_to_tree(frame)).decode()


def frame_to_tree(frame: ClientFrame | ServerFrame) -> dict[str, Any]:
    """Return the JSON object of a frame; optional fields without a value are absent."""
    tree: dict[str, Any] = {"type": frame.TYPE}
    for attribute, path, _, _ in FIELDS[type(frame)]:
        value = getattr(frame, attribute)
        if value is UNDEFINED or (value is None and attribute not in _NULLABLE):
            continue
        owner = tree
        for name in path[:-1]:
            owner = owner.setdefault(name, {})
        owner[path[-1]] = value
    return tree


def decode_client_frame(tree: object) -> ClientFrame | None:
    """Return the frame that a client sent, or ``None`` for a type that is unknown here.

    Raises:
        ProtocolError: A field is missing or of the wrong type; it is named.
    """
    return cast("ClientFrame | None", _decode(tree, CLIENT_FRAMES))


def decode_server_frame(tree: object) -> ServerFrame | None:
    """Return the frame that a server sent, or ``None`` for a type that is unknown here.

    Raises:
        ProtocolError: A field is missing or of the wrong type; it is named.
    """
    return cast("ServerFrame | None", _decode(tree, SERVER_FRAMES))


def _decode(tree: object, known: Mapping[str, type]) -> object | None:
    if not isinstance(tree, dict):
        return None
    kind = tree.get("type")
    frame = known.get(kind) if isinstance(kind, str) else None
    if frame is None:
        return None
    return frame(**{field.attribute: value for field, value in _present(frame, tree)})


def _present(frame: type, tree: dict[str, Any]) -> list[tuple[Field, Any]]:
    present = []
    for field in FIELDS[frame]:
        value = _look_up(tree, field.path)
        if value is None and field.attribute not in _NULLABLE:
            value = UNDEFINED
        if value is UNDEFINED and field.attribute in _REQUIRED[frame]:
            raise ProtocolError(f"frame {tree['type']!r} lacks {'.'.join(field.path)!r}")
        if value is UNDEFINED:
            continue
        if not field.accepts(value):
            raise ProtocolError(f"frame {tree['type']!r}: {'.'.join(field.path)!r} is not {field.expected}")
        present.append((field, value))
    return present


def _look_up(tree: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        if not isinstance(tree, dict):
            return UNDEFINED
        tree = tree.get(name, UNDEFINED)
    return tree
