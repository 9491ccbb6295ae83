"""One frozen dataclass a WebSocket frame, with their way to and from JSON.

A frame keeps application values (``args``, ``data``, ``context``, rows) in their
wire form: whoever knows which subscription a frame belongs to decodes them, so
that an undecodable value harms that subscription and nothing else.  An optional
field without a value is ``None`` and absent on the wire; where ``null`` is a
value of its own, absence is ``UNDEFINED``.

Source: ``docs/protocol.md``, section "WebSocket".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

from lunora_rx.errors import ProtocolError
from lunora_rx.protocol.client_frames import (
    CLIENT_FIELDS,
    ClientFrame,
    Connect,
    ShapeSubscribe,
    ShapeUnsubscribe,
    StreamStart,
    Subscribe,
    Unsubscribe,
    WhisperSend,
    WhisperSubscribe,
    WhisperUnsubscribe,
)
from lunora_rx.protocol.frame_fields import Epoch, Field, Position, Tree, is_epoch, is_position
from lunora_rx.protocol.frozen import required_fields
from lunora_rx.protocol.server_frames import (
    SERVER_FIELDS,
    Ack,
    Chunk,
    Complete,
    Data,
    Delta,
    ErrorFrame,
    Identity,
    PokeEnd,
    PokePart,
    PokeStart,
    Resume,
    ServerFrame,
    Settled,
    WhisperFrame,
)
from lunora_rx.protocol.text import serialize, spell
from lunora_rx.protocol.values import UNDEFINED

__all__ = [
    "CLIENT_FRAMES",
    "SERVER_FRAMES",
    "Ack",
    "Chunk",
    "ClientFrame",
    "Complete",
    "Connect",
    "Data",
    "Delta",
    "Epoch",
    "ErrorFrame",
    "Identity",
    "PokeEnd",
    "PokePart",
    "PokeStart",
    "Position",
    "Resume",
    "ServerFrame",
    "Settled",
    "ShapeSubscribe",
    "ShapeUnsubscribe",
    "StreamStart",
    "Subscribe",
    "Tree",
    "Unsubscribe",
    "WhisperFrame",
    "WhisperSend",
    "WhisperSubscribe",
    "WhisperUnsubscribe",
    "decode_client_frame",
    "decode_server_frame",
    "encode_frame",
    "frame_to_tree",
    "is_epoch",
    "is_position",
    "spell_frame",
]

F = TypeVar("F")

FIELDS: Final[Mapping[type, tuple[Field, ...]]] = {**CLIENT_FIELDS, **SERVER_FIELDS}
CLIENT_FRAMES: Final[Mapping[str, type[ClientFrame]]] = {frame.TYPE: frame for frame in CLIENT_FIELDS}
SERVER_FRAMES: Final[Mapping[str, type[ServerFrame]]] = {frame.TYPE: frame for frame in SERVER_FIELDS}

# Attributes for which null on the wire says something else than absence.
_NULLABLE: Final = frozenset({"data", "delta", "context", "generation", "subject"})


_REQUIRED: Mapping[type, tuple[str, ...]] = {frame: required_fields(frame) for frame in FIELDS}


def encode_frame(frame: ClientFrame | ServerFrame) -> str:
    """Return the JSON text of a frame.

    Raises:
        CodecError: A payload is not a tree that JSON can carry.
    """
    return serialize(frame_to_tree(frame)).decode()


def spell_frame(frame: ClientFrame | ServerFrame) -> str:
    """Return the JSON text of a frame that repeats what was received, which ``encode_frame`` may refuse to send.

    A payload must be a tree that ``parse`` gives, or ``encode_for_key``.
    """
    return spell(frame_to_tree(frame))


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
    return _decode(tree, CLIENT_FRAMES)


def decode_server_frame(tree: object) -> ServerFrame | None:
    """Return the frame that a server sent, or ``None`` for a type that is unknown here.

    Raises:
        ProtocolError: A field is missing or of the wrong type; it is named.
    """
    return _decode(tree, SERVER_FRAMES)


def _decode(tree: object, known: Mapping[str, type[F]]) -> F | None:
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
