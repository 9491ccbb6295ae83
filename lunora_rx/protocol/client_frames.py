"""The frames that a client sends, with where their attributes stand on the wire.

Source: ``docs/protocol.md``, section "Client frames".
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
    epoch_field,
    object_field,
    position_field,
    text_array_field,
    text_field,
)
from lunora_rx.protocol.frozen import frozen
from lunora_rx.protocol.values import UNDEFINED


@frozen
class Connect:
    """Client: introduces itself; the first frame on every socket, and again when its context changes."""

    TYPE: ClassVar[str] = "connect"
    client_id: str
    caps: tuple[str, ...] = ("pageDelta",)
    context: Tree = UNDEFINED
    id: str = "connect"

    def __post_init__(self) -> None:
        object.__setattr__(self, "caps", tuple(self.caps))


@frozen
class Subscribe:
    """Client: asks for a live query, from a known position where it has one."""

    TYPE: ClassVar[str] = "subscribe"
    id: str
    function_path: str
    args: Tree
    table: str
    since_seq: Position | None = None
    since_epoch: Epoch | None = None


@frozen
class Unsubscribe:
    """Client: ends a live query or a stream."""

    TYPE: ClassVar[str] = "unsubscribe"
    id: str


@frozen
class ShapeSubscribe:
    """Client: asks for a shape, from a known checkpoint where it has one."""

    TYPE: ClassVar[str] = "shape_subscribe"
    id: str
    name: str
    args: Tree = UNDEFINED
    since_checkpoint: Epoch | None = None
    since_epoch: Epoch | None = None


@frozen
class ShapeUnsubscribe:
    """Client: ends a shape."""

    TYPE: ClassVar[str] = "shape_unsubscribe"
    id: str


@frozen
class StreamStart:
    """Client: starts a streaming procedure, or resumes a durable one."""

    TYPE: ClassVar[str] = "stream"
    id: str
    function_path: str
    args: Tree = UNDEFINED
    shard_key: str | None = None
    since_chunk: Position | None = None
    generation: Tree = UNDEFINED


@frozen
class WhisperSubscribe:
    """Client: joins a topic."""

    TYPE: ClassVar[str] = "whisper_subscribe"
    topic: str


@frozen
class WhisperUnsubscribe:
    """Client: leaves a topic."""

    TYPE: ClassVar[str] = "whisper_unsubscribe"
    topic: str


@frozen
class WhisperSend:
    """Client: tells a topic's other members something, best effort."""

    TYPE: ClassVar[str] = "whisper"
    topic: str
    data: Tree = None


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

CLIENT_FIELDS: Final[Mapping[type[ClientFrame], tuple[Field, ...]]] = {
    Connect: (ID, text_field("client_id", "clientId"), text_array_field("caps"), any_field("context")),
    Subscribe: (
        ID,
        text_field("function_path", "query.functionPath"),
        object_field("args", "query.args"),
        text_field("table", "query.table"),
        position_field("since_seq", "query.sinceSeq"),
        epoch_field("since_epoch", "query.sinceEpoch"),
    ),
    Unsubscribe: (ID,),
    ShapeSubscribe: (
        ID,
        text_field("name", "shape.name"),
        object_field("args", "shape.args"),
        epoch_field("since_checkpoint", "sinceCheckpoint"),
        epoch_field("since_epoch", "sinceEpoch"),
    ),
    ShapeUnsubscribe: (ID,),
    StreamStart: (
        ID,
        text_field("function_path", "query.functionPath"),
        object_field("args", "query.args"),
        text_field("shard_key", "query.shardKey"),
        position_field("since_chunk", "sinceChunk"),
        any_field("generation"),
    ),
    WhisperSubscribe: (text_field("topic"),),
    WhisperUnsubscribe: (text_field("topic"),),
    WhisperSend: (text_field("topic"), any_field("data")),
}
