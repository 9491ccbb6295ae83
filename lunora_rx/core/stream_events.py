"""What streaming procedures give: the events of a shard's streams."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

from lunora_rx.errors import LunoraError
from lunora_rx.protocol.frozen import frozen


class StreamChunk(NamedTuple):
    """A stream gave one more value; ``None`` and ``UNDEFINED`` are values too.

    A tuple, because it is made once a frame: it costs a third of a frozen dataclass. ``size`` is the number of
    characters of its frame.
    """

    stream_id: str
    value: Any
    size: int = 0


@frozen
class StreamEnded:
    """A stream gave all that it had; nothing more comes of its id."""

    stream_id: str


@frozen
class StreamFailed:
    """A stream ended early; nothing more comes of its id. Whoever is told gets a copy of the error."""

    stream_id: str
    error: LunoraError


StreamEvent: TypeAlias = StreamChunk | StreamEnded | StreamFailed
