"""Server-sent events as texts, and what a streaming route may yield.

Source: ``docs/protocol.md``, section "Server-sent events".
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any, Final

from lunora_rx.devserver.producer import Chunks, failure_of, stepping
from lunora_rx.protocol.text import serialize

__all__ = ["KEEPALIVE", "Comment", "Event", "Raw", "event_texts"]

KEEPALIVE: Final = ": keepalive\n\n"


@dataclass(frozen=True, slots=True)
class Event:
    """An event with a name of its own; its data is plain JSON."""

    name: str
    data: Any = None


@dataclass(frozen=True, slots=True)
class Comment:
    """A line that says nothing to the client."""

    text: str = ""


@dataclass(frozen=True, slots=True)
class Raw:
    """Any text, sent as it is: several ``data:`` lines, unknown fields, what is no event at all."""

    text: str


async def event_texts(open_chunks: Callable[[], Chunks], path: str) -> AsyncGenerator[str, None]:
    """Iterate over the events of one run of a route, ``complete`` or ``error`` included."""
    chunks = stepping(open_chunks)
    try:
        async for chunk in chunks:
            yield _text_of(chunk)
        yield _named("complete", {})
    except Exception as error:
        failure = failure_of(error, path)
        yield _named("error", {"code": failure.code, "message": failure.message})
    finally:
        await chunks.aclose()


def _text_of(chunk: object) -> str:
    if isinstance(chunk, Event):
        return _named(chunk.name, chunk.data)
    if isinstance(chunk, Comment):
        return "".join(f": {line}\n" for line in chunk.text.splitlines() or [""]) + "\n"
    return chunk.text if isinstance(chunk, Raw) else f"data: {_json(chunk)}\n\n"


def _named(name: str, data: object) -> str:
    return f"event: {name}\ndata: {_json(data)}\n\n"


def _json(value: object) -> str:
    return serialize(value).decode()
