"""Switches that strike the body of a stream of server-sent events."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from lunora_rx.devserver.strikes import Armed

__all__ = ["Cut", "EventFaults", "EventStrike", "Framing"]


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a body ends too early: after so many events, by its end or by a reset of the connection."""

    after: int
    is_reset: bool


@dataclass(frozen=True, slots=True)
class Framing:
    """How a body is written: its line ends, and in pieces of how many bytes (``None``: an event at a time)."""

    newline: str = "\n"
    write_size: int | None = None

    def pieces(self, text: str) -> Iterator[bytes]:
        """Iterate over the pieces that an event is written in."""
        body = text.replace("\n", self.newline).encode(errors="backslashreplace")
        size = self.write_size or len(body)
        return (body[start : start + size] for start in range(0, len(body), max(1, size)))


@dataclass(frozen=True, slots=True)
class EventStrike:
    """Everything that strikes one body.

    Attributes:
        cut: Where it ends too early, if it does.
        bad_text: Text that stands in place of the data of its first chunk, if one does.
        framing: How it is written.
    """

    cut: Cut | None = None
    bad_text: str | None = None
    framing: Framing = field(default_factory=Framing)

    def distort(self, text: str, number: int) -> str:
        """Return the text that an event, the first being number 0, goes out with."""
        return text if self.bad_text is None or number else f"data: {self.bad_text}\n\n"

    def is_cut_at(self, number: int) -> bool:
        """Tell whether the body ends before the event of this number."""
        return self.cut is not None and number >= self.cut.after


class EventFaults:
    """Faults that wait for a stream of events; it does not know how one is answered or refused.

    Every switch takes ``count``, how many streams it strikes (``None``: all until ``release``).
    """

    def __init__(self) -> None:
        self._cuts: Armed[Cut] = Armed()
        self._texts: Armed[str] = Armed()
        self._framings: Armed[Framing] = Armed()

    def cut_http_streams(self, count: int | None = 1, *, after: int = 1, reset: bool = False) -> None:
        """End the body of the next streams after so many events, or reset their connections there."""
        self._cuts.arm(Cut(after, reset), count)

    def spoil_http_streams(self, count: int | None = 1, *, text: str = '{"cut":') -> None:
        """Send text that is no JSON, or any other text, as the first chunk of the next streams."""
        self._texts.arm(text, count)

    def frame_http_streams(
        self, count: int | None = 1, *, newline: str = "\r\n", write_size: int | None = None
    ) -> None:
        """Write the next streams with these line ends, and in pieces of so many bytes, whatever they split."""
        self._framings.arm(Framing(newline, write_size), count)

    def release(self) -> None:
        """Forget what has not struck."""
        for armed in (self._cuts, self._texts, self._framings):
            armed.clear()

    def take_event_strike(self) -> EventStrike:
        """Return what strikes a body, which is then due no more."""
        return EventStrike(self._cuts.take(), self._texts.take(), self._framings.take() or Framing())
