"""What streaming procedures give: the events of a shard's streams."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from lunora_rx.errors import LunoraError


class StreamChunk(NamedTuple):
    """A stream gave one more value; ``None`` and ``UNDEFINED`` are values too.

    A tuple, because it is made once a frame: it costs a third of a frozen dataclass.
    """

    stream_id: str
    value: Any


@dataclass(frozen=True, slots=True)
class StreamEnded:
    """A stream gave all that it had; nothing more comes of its id."""

    stream_id: str


@dataclass(frozen=True, slots=True)
class StreamFailed:
    """A stream ended early; nothing more comes of its id. Whoever is told gets a copy of the error."""

    stream_id: str
    error: LunoraError


StreamEvent: TypeAlias = StreamChunk | StreamEnded | StreamFailed
